"""Fixtures of the template's tests: a clean copy of the template, and bakes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from images.fixtures import builder, engine, haproxy, registry
from pipeline.projects import copy, installed, reproduced, small
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Fixtures of every folder, made once.
__all__ = ["builder", "copy", "engine", "haproxy", "installed", "registry", "reproduced", "small"]

Bake = Callable[..., Path]


class OneWorkerATask(LoadScopeScheduling):  # type: ignore[misc]
    """Keep tests that share an expensive project in one worker, which makes it once.

    By file and by the first task in a test's name, not by the mark `xdist_group`: that one means
    nothing to xdist 3.8 with pytest 9.2 (pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        tasks = sorted((task for task in helpers.CHOICES["task"] if task in test), key=test.index)
        one_world = ("batch", "ci", "monitor", "retrain")
        if file in (f"tests/workflows/test_{each}.py" for each in one_world):
            return "ci"  # what they are made of
        one_engine = ("tests/deploy/", "tests/images/", "tests/workflows/test_release")
        if file.startswith((*one_engine, "tests/monitoring/test_volume")):
            return "engine"
        if file == "tests/monitoring/test_year.py":
            return "year"
        served = ("alerts/test_live", "github/test_github", "monitoring/", "serving/")
        if file.startswith(tuple(f"tests/{each}" for each in served)):
            return tasks[0] if tasks else "classification"
        if not file.startswith("tests/pipeline/"):
            return nodeid
        return file if file.endswith("failures.py") else tasks[0] if tasks else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Group tests for `--dist loadgroup`."""
    return OneWorkerATask(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a clone would have it."""
    return helpers.export(tmp_path_factory.mktemp("clone") / "mlops-template")


@pytest.fixture
def bake(template: Path, tmp_path: Path) -> Bake:
    """Bake with the given answers into the test's own folder."""

    def bake_into(name: str = "output", /, **answers: str) -> Path:
        return helpers.bake(template, tmp_path / name, **answers)

    return bake_into


@pytest.fixture(scope="session")
def baked(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Bake with the given answers, once a session: for tests that only read the result."""
    known: dict[frozenset[tuple[str, str]], Path] = {}

    def bake_once(**answers: str) -> Path:
        key = frozenset(answers.items())
        if key not in known:
            known[key] = helpers.bake(template, tmp_path_factory.mktemp("bake") / "out", **answers)
        return known[key]

    return bake_once
