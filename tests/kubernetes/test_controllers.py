"""Argo CD and Flux look at every environment, where it is, and undo what is changed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.cluster import ENVIRONMENTS, Object, needs_kustomize, of_kind, render

REPOSITORY = "https://github.com/example-org/flight-delays.git"


@pytest.fixture
def application_set(project: Path) -> Object:
    path = project / "deploy" / "argocd" / "applicationset.yaml"
    found: Object = yaml.safe_load(path.read_text("utf-8"))
    return found


def filled_in(value: Any, path: str) -> Any:
    """Fill in a folder as Argo CD's Go templates do; all else in braces fails."""
    if isinstance(value, dict):
        return {key: filled_in(each, path) for key, each in value.items()}
    if isinstance(value, str):
        known = {"{{ .path.path }}": path, "{{ .path.basename }}": Path(path).name}
        for placeholder, text in known.items():
            value = value.replace(placeholder, text)
        assert "{{" not in value
    return value


def test_argo_cd_has_an_application_for_each_environment(
    project: Path, application_set: Object
) -> None:
    spec = application_set["spec"]
    assert spec["goTemplate"] is True
    assert spec["goTemplateOptions"] == ["missingkey=error"]
    ((generator,),) = [each.values() for each in spec["generators"]]
    assert generator["repoURL"] == REPOSITORY
    (directories,) = generator["directories"]
    folders = sorted(path for path in project.glob(directories["path"]) if path.is_dir())
    assert sorted(folder.name for folder in folders) == sorted(ENVIRONMENTS)
    for folder in folders:
        found = filled_in(spec["template"], f"environments/{folder.name}")
        assert found["metadata"]["name"] == f"flight-delays-{folder.name}"
        source, destination = found["spec"]["source"], found["spec"]["destination"]
        assert source["repoURL"] == REPOSITORY
        path = project / source["path"] / "kustomization.yaml"
        assert destination["namespace"] == yaml.safe_load(path.read_text("utf-8"))["namespace"]


def test_argo_cd_keeps_to_git(application_set: Object) -> None:
    spec = application_set["spec"]
    assert spec["template"]["spec"]["project"] == "default"
    assert spec["template"]["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert spec["syncPolicy"] == {"preserveResourcesOnDeletion": True}


@needs_kustomize
def test_flux_applies_each_environment(project: Path) -> None:
    objects = render(project / "deploy" / "flux")
    source = of_kind(objects, "GitRepository")
    assert source["spec"]["url"] == REPOSITORY
    applied = [each for each in objects if each["kind"] == "Kustomization"]
    paths = {each["metadata"]["name"]: each["spec"]["path"] for each in applied}
    assert paths == {f"flight-delays-{name}": f"./environments/{name}" for name in ENVIRONMENTS}
    for each in applied:
        assert (project / each["spec"]["path"] / "kustomization.yaml").is_file()
        assert each["metadata"]["namespace"] == source["metadata"]["namespace"] == "flux-system"
        assert each["spec"]["sourceRef"] == {
            "kind": "GitRepository",
            "name": source["metadata"]["name"],
        }
        assert each["spec"]["prune"] is True
        assert each["spec"]["wait"] is True


@needs_kustomize
@pytest.mark.parametrize("deployment", ["kubernetes"])  # of KServe's Deployment KServe says when
def test_flux_waits_until_a_release_has_failed(project: Path) -> None:
    server = of_kind(render(project / "environments" / "prod"), "Deployment")
    applied = [o for o in render(project / "deploy" / "flux") if o["kind"] == "Kustomization"]
    assert {each["spec"]["timeout"] for each in applied} == {"3m"}
    assert server["spec"]["progressDeadlineSeconds"] < 180
