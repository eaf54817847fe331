"""What a cluster is given is valid, strictly, in every Kubernetes that there are schemas for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.cluster import (
    DEFINED,
    ENVIRONMENTS,
    VERSIONS,
    Object,
    Pods,
    needs_go,
    needs_kustomize,
    of_kind,
    pods,
    problem,
    render,
)

pytestmark = [needs_go, needs_kustomize]

NEWEST = VERSIONS[-1]
FLUX = "kustomize.toolkit.fluxcd.io"


def everything(project: Path) -> list[Object]:
    """Return all objects of a project: its environments', Argo CD's and Flux's."""
    found = [each for name in ENVIRONMENTS for each in render(project / "environments" / name)]
    argo = (project / "deploy" / "argocd" / "applicationset.yaml").read_text("utf-8")
    return [*found, *render(project / "deploy" / "flux"), yaml.safe_load(argo)]


def test_versions_are_many() -> None:
    assert len(VERSIONS) >= 4


def test_all_is_valid_in_every_version(project: Path, deployment: str) -> None:
    objects = everything(project)
    assert {each["kind"] for each in objects} & DEFINED.keys() == (
        DEFINED.keys() if deployment == "kserve" else DEFINED.keys() - {"InferenceService"}
    )
    found = {(v, problem(each, v)) for v in VERSIONS for each in objects}
    assert {each for each in found if each[1]} == set()


Change = Callable[[Object], Any]


def refused(each: Object, change: Change) -> str:
    """Return why an object is refused when it has been changed; it is valid before."""
    assert problem(each, NEWEST) is None
    changed = copy.deepcopy(each)
    change(changed)
    found = problem(changed, NEWEST)
    assert found is not None, "the mistake was not seen"
    return found


def server(each: Object) -> Pods:
    return pods([each, {"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 1}}])


def container(each: Object) -> Object:
    return server(each).container


@pytest.mark.parametrize(
    ("mistake", "change"),
    [
        ("imagee", lambda o: container(o).update(imagee="x")),
        ("paht", lambda o: container(o)["readinessProbe"]["httpGet"].update(paht="/")),
        ("tokens", lambda o: container(o)["securityContext"].update(tokens=False)),
        ("labls", lambda o: o["metadata"].update(labls={})),
        ("'1'", lambda o: container(o)["livenessProbe"].update(periodSeconds="1")),
        ("'8080'", lambda o: container(o)["ports"][0].update(containerPort="8080")),
        ("'no'", lambda o: server(o).spec.update(automountServiceAccountToken="no")),
        ("'name' is a required property", lambda o: container(o).pop("name")),
        ("v1alpha1", lambda o: o.update(apiVersion=o["apiVersion"].split("/")[0] + "/v1alpha1")),
    ],
)
def test_mistake_in_the_server_is_refused(
    project: Path, deployment: str, mistake: str, change: Change
) -> None:
    kind = {"kubernetes": "Deployment", "kserve": "InferenceService"}[deployment]
    assert mistake in refused(of_kind(render(project / "environments" / "prod"), kind), change)


def automated(each: Object) -> Object:
    found: Object = each["spec"]["template"]["spec"]["syncPolicy"]["automated"]
    return found


def git(each: Object) -> Object:
    found: Object = each["spec"]["generators"][0]["git"]
    return found


@pytest.mark.parametrize(
    ("kind", "mistake", "change"),
    [
        ("PodDisruptionBudget", "maxUnavailabl", lambda o: o["spec"].update(maxUnavailabl=1)),
        ("PodDisruptionBudget", "v1beta1", lambda o: o.update(apiVersion="policy/v1beta1")),
        ("NetworkPolicy", "ports", lambda o: o["spec"]["ingress"][0].update(ports=8080)),
        ("Kustomization", "prun", lambda o: o["spec"].update(prun=True)),
        ("Kustomization", "'yes'", lambda o: o["spec"].update(wait="yes")),
        ("Kustomization", "'soon'", lambda o: o["spec"].update(interval="soon")),
        ("Kustomization", "v1beta1", lambda o: o.update(apiVersion=f"{FLUX}/v1beta1")),
        ("GitRepository", "'ftp:", lambda o: o["spec"].update(url="ftp://example.com/x")),
        ("GitRepository", "brnch", lambda o: o["spec"]["ref"].update(brnch="main")),
        ("ApplicationSet", "goTemplat", lambda o: o["spec"].update(goTemplat=True)),
        ("ApplicationSet", "selfHeel", lambda o: automated(o).update(selfHeel=True)),
        ("ApplicationSet", "'directories'", lambda o: git(o).update(directories="environments")),
        ("ApplicationSet", "project", lambda o: o["spec"]["template"]["spec"].pop("project")),
    ],
)
def test_mistake_elsewhere_is_refused(
    project: Path, kind: str, mistake: str, change: Change
) -> None:
    found = next(each for each in everything(project) if each["kind"] == kind)
    assert mistake.strip("'") in refused(found, change)
