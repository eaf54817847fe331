"""Projects that were installed or reproduced once a session, for tests to look at or to copy."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import helpers
import pytest
from pipeline.running import QUICK, STAGES, Project, Reproduced


@pytest.fixture(scope="session")
def started(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Reproduced:
    """A bake for a task, as a Git repository: nothing was run yet.

    Its commands run in the environment of these tests, which has what a bake's lock file names.
    """

    @cache
    def start(task: str) -> Project:
        folder = helpers.bake(template, tmp_path_factory.mktemp(task) / "bake", task=task)
        project = Project(folder, Path(sys.prefix))
        project.init()
        return project

    return start


@pytest.fixture(scope="session")
def installed(started: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Reproduced:
    """The same with an environment of its own, as its owner has."""

    @cache
    def install(task: str) -> Project:
        copied = started(task).copy(tmp_path_factory.mktemp(f"installed-{task}") / "project")
        project = Project(copied.folder, copied.folder / ".venv")
        project.run("uv", "lock", "--check")
        project.run("uv", "sync", "--locked")
        return project

    return install


@pytest.fixture(scope="session")
def reproduced(
    started: Reproduced, installed: Reproduced, tmp_path_factory: pytest.TempPathFactory
) -> Reproduced:
    """A bake for a task after `uv run dvc repro`, committed. Not to be changed: copy it.

    One of them has an environment of its own; what is locked is the same for each task.
    """

    @cache
    def reproduce(task: str) -> Project:
        if task == "classification":
            project = installed(task)
        else:
            project = started(task).copy(tmp_path_factory.mktemp(f"whole-{task}") / "project")
        done = project.uv("dvc", "repro")
        assert [f"Running stage '{stage}':" in done.stdout for stage in STAGES] == [True] * 7
        project.commit()
        return project

    return reproduce


@pytest.fixture(scope="session")
def small(started: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Reproduced:
    """The same on every tenth row and with less to examine. Not to be changed: copy it."""

    @cache
    def reproduce(task: str) -> Project:
        project = started(task).copy(tmp_path_factory.mktemp(f"small-{task}") / "project")
        project.sample("data/small.parquet", 10)
        project.learn_from("data/small.parquet")
        project.set(
            "params.yaml",
            **QUICK,
        )
        if task != "clustering":
            project.set("params.yaml", estimators__boosting__max_iter=20)
        project.commit()  # the last one: the model holds the commit, so copies convert to the same
        ran, _ = project.repro()
        assert ran == STAGES
        return project

    return reproduce


@pytest.fixture
def copy(small: Reproduced, tmp_path: Path) -> Reproduced:
    """A private copy of the small project for a task, to be broken."""
    return lambda task: small(task).copy(tmp_path / "project")
