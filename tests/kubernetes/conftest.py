"""Projects for a cluster that have a release in every environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes.cluster import DEPLOYMENTS, ENVIRONMENTS, copy_manifests, release_env

Bake = Callable[..., Path]


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest) -> str:
    """How the project runs on a cluster."""
    answer: str = request.param
    return answer


@pytest.fixture
def project(baked: Bake, deployment: str, tmp_path: Path) -> Path:
    """What a controller reads of a project: the test's own copy."""
    copy = copy_manifests(baked(deployment=deployment), tmp_path / "project")
    for name in ENVIRONMENTS:
        (copy / "environments" / name / "release.env").write_text(release_env(name), "utf-8")
    return copy
