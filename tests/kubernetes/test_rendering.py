"""An environment on a cluster is what its release.env and its config.env say, and nothing more."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import PROJECT
from kubernetes.cluster import (
    DEPLOYMENTS,
    ENVIRONMENTS,
    Pods,
    copy_manifests,
    facts,
    kustomize,
    needs_kustomize,
    of_kind,
    pods,
    release_env,
    render,
)

Bake = Callable[..., Path]

pytestmark = needs_kustomize
each_environment = pytest.mark.parametrize("name", ENVIRONMENTS)

SOURCE = PROJECT / "mlops" / "src" / "mlops"
CONFIG = """\
# A comment with REPLICAS=9 in it.
LISTEN=127.0.0.1:8000
REPLICAS=3
CPUS=0.5
MEMORY=768M
MLOPS_LOG=s3://bucket/predictions
MLOPS_WORKERS=0
"""


def environment(project: Path, name: str) -> Path:
    return project / "environments" / name


def named(name: str) -> str:
    return f"flight-delays-{name}"


def test_release_is_one_that_mlops_writes() -> None:
    tree = ast.parse((SOURCE / "release" / "state.py").read_text("utf-8"))
    known = next(
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_FACTS"
    )
    lines = release_env("dev").splitlines()
    assert [line.partition("=")[0] for line in lines] == re.findall(r"'([A-Z0-9_]+)'", known)


@each_environment
def test_release_is_the_one_in_git(project: Path, name: str) -> None:
    release = facts(environment(project, name) / "release.env")
    objects = render(environment(project, name))
    found = pods(objects)
    assert found.container["image"] == release["SERVING_IMAGE"]
    assert "@sha256:" in found.container["image"]
    assert {"name": "MLOPS_RELEASE", "value": release["RELEASE_ID"]} in found.container["env"]
    assert found.labels["app.kubernetes.io/version"] == release["RELEASE_ID"]
    told = [each for each in objects if each["metadata"]["name"] == "release"]
    assert [each["data"] for each in told] == [release]


def test_release_of_one_environment_is_not_that_of_another(project: Path) -> None:
    before = {name: render(environment(project, name)) for name in ENVIRONMENTS}
    (environment(project, "dev") / "release.env").write_text(release_env("newer", "r-2"), "utf-8")
    after = {name: render(environment(project, name)) for name in ENVIRONMENTS}
    assert "/newer-serving@sha256:" in pods(after["dev"]).container["image"]
    assert {name for name in ENVIRONMENTS if before[name] != after[name]} == {"dev"}


def test_release_like_a_number_stays_text(project: Path) -> None:
    (environment(project, "dev") / "release.env").write_text(release_env("dev", "1e3"), "utf-8")
    found = pods(render(environment(project, "dev")))
    assert found.labels["app.kubernetes.io/version"] == "1e3"
    assert {"name": "MLOPS_RELEASE", "value": "1e3"} in found.container["env"]


def test_environment_without_a_release_fails_alone(project: Path) -> None:
    (environment(project, "prod") / "release.env").unlink()
    done = kustomize(environment(project, "prod"))
    assert done.returncode != 0
    assert "prod/release.env: no such file" in done.stderr
    assert pods(render(environment(project, "staging"))).container["image"]


def test_size_is_that_of_the_settings(project: Path) -> None:
    (environment(project, "prod") / "config.env").write_text(CONFIG, "utf-8")
    found = pods(render(environment(project, "prod")))
    assert found.replicas == 3
    size = {"cpu": "0.5", "memory": "768M"}
    assert found.container["resources"] == {"requests": size, "limits": size}


@each_environment
def test_size_as_baked_is_that_of_the_settings(project: Path, name: str) -> None:
    settings = facts(environment(project, name) / "config.env")
    found = pods(render(environment(project, name)))
    assert found.replicas == int(settings["REPLICAS"])
    assert found.container["resources"]["limits"] == {
        "cpu": settings["CPUS"],
        "memory": settings["MEMORY"],
    }


def test_load_may_call_for_more_than_any_setting(project: Path, deployment: str) -> None:
    source = (SOURCE / "release" / "settings.py").read_text("utf-8")
    assert '"a number from 1 to 16"' in source
    objects = render(environment(project, "prod"))
    scaled = (
        of_kind(objects, "HorizontalPodAutoscaler")["spec"]
        if deployment == "kubernetes"
        else of_kind(objects, "InferenceService")["spec"]["predictor"]
    )
    assert scaled["maxReplicas"] == 16


def settings_of(project: Path, name: str) -> tuple[str, dict[str, str]]:
    """Return the name of the config map that the pods read, and what is in it."""
    objects = render(environment(project, name))
    read = [each["configMapRef"]["name"] for each in pods(objects).container["envFrom"]]
    maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    (only,) = read
    return only, maps[only]


def test_settings_reach_the_pods(project: Path) -> None:
    path = environment(project, "prod") / "config.env"
    path.write_text(CONFIG, "utf-8")
    _, settings = settings_of(project, "prod")
    of_clusters = {"MLOPS_DRAIN_SECONDS": "10", "MLOPS_LOG_KEEP": "1500"}
    assert settings == of_clusters | facts(path)
    path.write_text(CONFIG + "MLOPS_DRAIN_SECONDS=7\n", "utf-8")
    assert settings_of(project, "prod")[1]["MLOPS_DRAIN_SECONDS"] == "7"


def test_changed_setting_starts_new_pods(project: Path) -> None:
    path = environment(project, "prod") / "config.env"
    path.write_text(CONFIG, "utf-8")
    name, _ = settings_of(project, "prod")
    path.write_text(CONFIG.replace("comment", "remark"), "utf-8")
    assert settings_of(project, "prod")[0] == name
    path.write_text(CONFIG.replace("MLOPS_WORKERS=0", "MLOPS_WORKERS=2"), "utf-8")
    assert settings_of(project, "prod")[0] != name


def test_environments_do_not_meet_in_one_cluster(project: Path) -> None:
    seen: set[tuple[str, str | None, str]] = set()
    for name in ENVIRONMENTS:
        objects = render(environment(project, name))
        assert of_kind(objects, "Namespace")["metadata"]["name"] == named(name)
        inside = [each for each in objects if each["kind"] != "Namespace"]
        assert {each["metadata"]["namespace"] for each in inside} == {named(name)}
        keys = {
            (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
            for each in objects
        }
        assert len(keys) == len(objects)
        assert not keys & seen
        seen |= keys


def matches(selector: dict[str, str], found: Pods) -> bool:
    return bool(selector) and selector.items() <= found.labels.items()


def test_all_that_selects_pods_selects_these(project: Path, deployment: str) -> None:
    objects = render(environment(project, "prod"))
    found = pods(objects)
    selectors = [
        of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in found.spec["topologySpreadConstraints"]),
    ]
    if deployment == "kubernetes":
        server = of_kind(objects, "Deployment")
        selectors.append(server["spec"]["selector"]["matchLabels"])
        selectors.append(of_kind(objects, "Service")["spec"]["selector"])
        assert of_kind(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"] == {
            "apiVersion": server["apiVersion"],
            "kind": server["kind"],
            "name": server["metadata"]["name"],
        }
        assert "replicas" not in server["spec"], "it would undo what the autoscaler does"
    assert all(matches(selector, found) for selector in selectors)
    # A release has a version of its own: what selects by it would lose the pods of the one before.
    assert not any("app.kubernetes.io/version" in selector for selector in selectors)


def test_requests_reach_the_server(project: Path, deployment: str) -> None:
    objects = render(environment(project, "prod"))
    container = pods(objects).container
    (port,) = container["ports"]
    dockerfile = (project / "deploy" / "images" / "serving.Dockerfile").read_text("utf-8")
    assert f"MLOPS_PORT={port['containerPort']} " in dockerfile
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert [probe["port"] for probe in probes] == [port["name"]] * 3
    assert [probe["path"] for probe in probes] == ["/v2/health/ready"] * 2 + ["/v2/health/live"]
    (let_in,) = of_kind(objects, "NetworkPolicy")["spec"]["ingress"]
    assert let_in["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    name = pods(objects).labels["app.kubernetes.io/name"]
    labels = {f"{name}/asks": "yes"}
    assert let_in["from"] == [
        {"podSelector": {}},  # of the namespace
        {"namespaceSelector": {"matchLabels": labels}},  # and whom somebody has let in
    ]
    if deployment == "kubernetes":
        (answers,) = of_kind(objects, "Service")["spec"]["ports"]
        assert answers["targetPort"] == port["name"]
    else:
        # KServe looks at no container of another name, and takes it for a server of version 1.
        assert container["name"] == "kserve-container"
        assert {"name": "PROTOCOL", "value": "v2"} in container["env"]


def test_pods_have_no_rights(project: Path) -> None:
    objects = render(environment(project, "prod"))
    found = pods(objects)
    assert found.spec["automountServiceAccountToken"] is False
    assert found.spec["enableServiceLinks"] is False
    assert found.spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert found.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = of_kind(objects, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    out = of_kind(objects, "NetworkPolicy")["spec"]["egress"]
    assert [{port["port"] for port in rule["ports"]} for rule in out] == [{53, 443}]


def test_server_can_write_where_it_writes(project: Path) -> None:
    found = pods(render(environment(project, "prod")))
    volumes = {each["name"]: each for each in found.spec["volumes"]}
    mounts = {
        each["mountPath"]: each
        for each in found.container["volumeMounts"]
        if not each.get("readOnly")
    }
    log = facts(environment(project, "prod") / "config.env")["MLOPS_LOG"]
    assert mounts.keys() == {"/tmp", log}  # noqa: S108 (the pod's own)
    assert all("sizeLimit" in volumes[each["name"]]["emptyDir"] for each in mounts.values())
    # And deletes the oldest of its log before the volume is full, which would end the pod.
    kept = int(settings_of(project, "prod")[1]["MLOPS_LOG_KEEP"])
    assert kept * 10**6 < 0.8 * 2 * 2**30
    assert volumes["log"]["emptyDir"]["sizeLimit"] == "2Gi"


def test_tokens_are_read_from_a_secret_that_need_not_be_there(project: Path) -> None:
    found = pods(render(environment(project, "prod")))
    volumes = {each["name"]: each for each in found.spec["volumes"]}
    mounts = {each["name"]: each for each in found.container["volumeMounts"]}
    assert volumes["tokens"]["secret"] == {"secretName": "tokens", "optional": True}
    assert mounts["tokens"] == {"name": "tokens", "mountPath": "/run/tokens", "readOnly": True}


def default_of(setting: str) -> float:
    """Read a default of the server's settings."""
    text = (SOURCE / "serving" / "settings.py").read_text("utf-8")
    found = re.search(rf"^    {setting}: .* = ([0-9.]+)$", text, re.MULTILINE)
    assert found, f"no default for {setting}"
    return float(found[1])


def test_release_is_swapped_without_a_gap(project: Path) -> None:
    objects = render(environment(project, "prod"))
    found = pods(objects)
    assert found.strategy == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    drain = float(settings_of(project, "prod")[1]["MLOPS_DRAIN_SECONDS"])
    assert drain >= default_of("drain_seconds")
    assert found.spec["terminationGracePeriodSeconds"] >= drain + default_of("stop_seconds") + 10
    assert of_kind(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("deployment", "slug"), [("kubernetes", "x" * 55), ("kserve", "x" * 38), ("kubernetes", "true")]
)
def test_names_are_ones_that_a_cluster_takes(
    bake: Bake, tmp_path: Path, deployment: str, slug: str
) -> None:
    baked = bake(project_name=slug, package_name="a_package", deployment=deployment)
    copy = copy_manifests(baked, tmp_path / "copy")
    (environment(copy, "staging") / "release.env").write_text(release_env("x"), "utf-8")
    objects = render(environment(copy, "staging"))
    assert of_kind(objects, "Namespace")["metadata"]["name"] == f"{slug}-staging"
    assert pods(objects).labels["app.kubernetes.io/name"] == slug
    names = [each["metadata"]["name"] for each in objects]
    if deployment == "kserve":
        names.append(f"server-predictor-{slug}-staging")  # a part of a host's name
    assert max(map(len, names)) <= 63


def test_only_clusters_have_manifests(baked: Bake) -> None:
    made = {"deploy/k8s", "deploy/argocd", "deploy/flux"}
    made |= {f"environments/{name}/kustomization.yaml" for name in ENVIRONMENTS}
    assert [path for path in made if (baked() / path).exists()] == []
    for deployment in DEPLOYMENTS:
        assert all((baked(deployment=deployment) / path).exists() for path in made)
