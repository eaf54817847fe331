"""Projects with a release whose environments are served: on a Docker Engine, and as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.site import Site
from images.engine import Engine
from pipeline.running import Reproduced


@pytest.fixture(scope="session")
def without_images(small: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose release has no image. Not to be changed: copy it."""
    return Site.begin(small("classification").copy(tmp_path_factory.mktemp("site") / "project"))


@pytest.fixture(scope="session")
def with_images(
    small: Reproduced,
    tmp_path_factory: pytest.TempPathFactory,
    engine: Engine,
    registry: str,
) -> Site:
    """A site whose release has an image. Not to be changed: copy it."""
    project = small("classification").copy(tmp_path_factory.mktemp("site") / "project")
    return Site.begin(project, engine, registry)


@pytest.fixture
def processes(without_images: Site, tmp_path: Path) -> Iterator[Site]:
    """A site without images, whose dev has a release."""
    site = without_images.copy(tmp_path / "project")
    yield site
    site.stop()


@pytest.fixture
def containers(with_images: Site, tmp_path: Path) -> Iterator[Site]:
    """A site with images, whose dev has a release."""
    site = with_images.copy(tmp_path / "project")
    yield site
    site.stop()
