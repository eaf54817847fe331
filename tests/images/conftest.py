"""A reproduced project's images, each made once a session."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from images.engine import RESTRICTED, Engine, kept, wait_for
from pipeline.running import Project, Reproduced

REVISION = "0123456789abcdef0123456789abcdef01234567"
RELEASE = "r-1"


@pytest.fixture(scope="session")
def project(small: Reproduced) -> Project:
    """A project with a model."""
    return small("classification")


@pytest.fixture(scope="session")
def model_hash(project: Project) -> str:
    """The hash of its model."""
    return hashlib.sha256((project.folder / "models" / "model.onnx").read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def serving(engine: Engine, project: Project, model_hash: str) -> str:
    """The name of its serving image."""
    name = "serving:test"
    known = {"RELEASE": RELEASE, "REVISION": REVISION, "MODEL_SHA256": model_hash}
    engine.build(project.folder, "serving", kept(name), arguments=known)
    return name


@pytest.fixture(scope="session")
def training(engine: Engine, project: Project) -> str:
    """The name of its training image."""
    name = "training:test"
    engine.build(project.folder, "training", kept(name), arguments={"REVISION": REVISION})
    return name


@pytest.fixture(scope="session")
def server(engine: Engine, serving: str) -> Iterator[str]:
    """A container of the serving image with no rights, ready."""
    with engine.container(*RESTRICTED, "--publish", "127.0.0.1::8080", serving) as container:
        wait_for(lambda: engine.health(container) == "healthy", "the server", 30)
        yield container
