"""An environment that runs as a process, was asked for real rows, and has logged them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from deploy.conftest import containers, with_images
from deploy.site import Site
from monitoring.logged import Logged
from pipeline.running import Reproduced

__all__ = ["containers", "with_images"]

Ask = Callable[[str], Logged]


@pytest.fixture(scope="session")
def logged(small: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """What makes such an environment for a task, once. Not to be changed: copy its log."""
    sites = []

    @cache
    def ask(task: str) -> Logged:
        folder = tmp_path_factory.mktemp(f"site-{task}")
        project = small(task).copy(folder / "released")
        # Quick; and the training rows are asked, whose predictions are not quite the test rows'.
        changes = {"compare__resamples": 20, "monitoring__minimum_effect": 0.2}
        project.set("params.yaml", **changes)
        site = Site.begin(project).copy(folder / "project")
        sites.append(site)
        return Logged.begin(site)

    yield ask
    for site in sites:
        site.stop()


@dataclass
class Copied:
    """A log of the test's own, and the environment that it is of."""

    logged: Logged
    log: Path


@pytest.fixture
def own(logged: Ask, tmp_path: Path) -> Copied:
    """A copy of the log, to be broken."""
    found = logged("classification")
    return Copied(found, found.copy(tmp_path / "log"))
