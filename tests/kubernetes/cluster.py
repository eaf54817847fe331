"""Render a bake for a cluster with the real Kustomize, and validate what comes out.

Kubernetes' own kinds are held against the schemas that `kubernetes-validate` brings, others against
the definitions that their controllers install, which lie in the controllers' Go modules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from jsonschema.exceptions import best_match
from kubernetes_validate.utils import all_versions
from workflows.act import tools_path

Object = dict[str, Any]

KUSTOMIZE = shutil.which("kustomize", path=tools_path(os.environ["PATH"]))
GO = shutil.which("go")
needs_kustomize = pytest.mark.skipif(not KUSTOMIZE, reason="not installed: kustomize")
needs_go = pytest.mark.skipif(not GO, reason="not installed: go")

DEPLOYMENTS = ("kubernetes", "kserve")
ENVIRONMENTS = ("dev", "staging", "prod")

# Kubernetes from 1.26 on: an older one does not know the budget's unhealthyPodEvictionPolicy.
VERSIONS = sorted({v.rpartition(".")[0] for v in all_versions()} - {"1.25"})

# Who defines a kind, and in which file. These versions are the newest that need no Go beyond 1.26.
DEFINED = {
    "ApplicationSet": (
        "github.com/argoproj/argo-cd/v3@v3.5.7",
        "manifests/crds/applicationset-crd.yaml",
    ),
    "Kustomization": (
        "github.com/fluxcd/kustomize-controller@v1.9.6",
        "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
    "GitRepository": (
        "github.com/fluxcd/source-controller@v1.9.6",
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
    ),
    "InferenceService": (
        "github.com/kserve/kserve@v0.17.0",
        "config/crd/full/serving.kserve.io_inferenceservices.yaml",
    ),
}


def release_env(name: str, release: str = "20300102-0304-abcdef1") -> str:
    """Return a release.env as `mlops` writes it."""
    image = f"ghcr.io/example-org/{name}"
    return (
        f"RELEASE_ID={release}\n"
        f"GIT_SHA={'a' * 40}\n"
        f"SERVING_IMAGE={image}-serving@sha256:{'b' * 64}\n"
        f"TRAINING_IMAGE={image}-training@sha256:{'c' * 64}\n"
        f"MODEL_VERSION={name}@v1.0.0\n"
        f"MODEL_MD5={'d' * 32}\n"
    )


def facts(path: Path) -> dict[str, str]:
    """Read a release.env or a config.env."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def copy_manifests(project: Path, target: Path) -> Path:
    """Copy what a cluster's controller reads of a project."""
    for folder in ("deploy", "environments"):
        shutil.copytree(project / folder, target / folder)
    return target


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Kustomize on a folder."""
    assert KUSTOMIZE
    return subprocess.run([KUSTOMIZE, "build", str(folder)], capture_output=True, text=True)


def render(folder: Path) -> list[Object]:
    """Return the objects that a folder stands for."""
    done = kustomize(folder)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[Object], kind: str) -> Object:
    """Return the only object of a kind."""
    found = [each for each in objects if each["kind"] == kind]
    assert len(found) == 1, f"{len(found)} objects of the kind {kind}"
    return found[0]


@dataclass(frozen=True)
class Pods:
    """The pods that an environment has: their labels and what is in them."""

    labels: dict[str, str]
    spec: Object
    replicas: int
    strategy: Object

    @property
    def container(self) -> Object:
        """The only container."""
        (only,) = self.spec["containers"]
        found: Object = only
        return found


def pods(objects: list[Object]) -> Pods:
    """Return the pods of an environment, whoever makes them."""
    if any(each["kind"] == "InferenceService" for each in objects):
        predictor = of_kind(objects, "InferenceService")["spec"]["predictor"]
        least, strategy = predictor["minReplicas"], predictor["deploymentStrategy"]
        return Pods(predictor["labels"], predictor, least, strategy)
    deployment = of_kind(objects, "Deployment")["spec"]
    template = deployment["template"]
    least = of_kind(objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    return Pods(template["metadata"]["labels"], template["spec"], least, deployment["strategy"])


def problem(each: Object, version: str) -> str | None:
    """Say what a version of Kubernetes has against an object; None when it is valid."""
    defined = each["kind"] in DEFINED
    # Definitions leave metadata to Kubernetes: they are held against those of one of its own kinds.
    known = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": each["metadata"]}
    try:
        kubernetes_validate.validate(known if defined else each, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{each['kind']} {'.'.join(map(str, error.absolute_path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return _problem_as_defined(each) if defined else None


def _problem_as_defined(each: Object) -> str | None:
    schemas = definitions(each["kind"])
    if each["apiVersion"] not in schemas:
        return f"there is no {each['kind']} in {each['apiVersion']}"
    error = best_match(schemas[each["apiVersion"]].iter_errors(each))
    return error and f"{each['kind']} {'.'.join(map(str, error.absolute_path))}: {error.message}"


@cache
def definitions(kind: str) -> dict[str, jsonschema.Draft202012Validator]:
    """Return the validators of a kind by the `apiVersion` they are for."""
    module, path = DEFINED[kind]
    assert GO
    done = subprocess.run([GO, "mod", "download", "-json", module], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = Path(json.loads(done.stdout)["Dir"], path).read_text("utf-8")
    definition = yaml.load(text, yaml.CSafeLoader)["spec"]
    return {
        f"{definition['group']}/{version['name']}": jsonschema.Draft202012Validator(
            strict(version["schema"]["openAPIV3Schema"])
        )
        for version in definition["versions"]
        if version["served"]
    }


def strict(schema: Any) -> Any:
    """Return a definition's schema so that it refuses fields that it does not know."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    open_ended = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & schema.keys()
    if schema.get("type") == "object" and "properties" in schema and not open_ended:
        found["additionalProperties"] = False
    return found
