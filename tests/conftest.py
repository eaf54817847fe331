"""Fixtures of the template's tests: a clean copy of the template, and bakes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import helpers
import later
import pytest
from images.fixtures import builder, engine, registry
from pipeline.projects import copy, installed, reproduced, small, started
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Fixtures of every folder, made once.
__all__ = [
    "builder",
    "copy",
    "engine",
    "installed",
    "registry",
    "reproduced",
    "small",
    "started",
]

Bake = Callable[..., Path]

later.defer()


# Groups that take long, the longest first: workers finish together when short tests come last.
LONGEST = (
    "engine",
    "images",
    "ci",
    "classification",
    "demo",
    "year",
    "bench",
    "regression",
    "clustering",
    "failures",
    "options",
    "extend",
    "project",
    "bakes",
)
# One project stands for these, and one for those that are about a task.
WORLDS = ("batch", "ci", "monitor", "retrain", "template_update")
SERVED = ("alerts/test_live", "github/test_github", "monitoring/", "serving/")
# Groups that share one Docker Engine; a builder is only in the second.
WITH_ENGINE = {
    "engine": ("deploy/", "monitoring/test_volume"),
    "images": ("images/", "workflows/test_release"),
}
# What looks at the same bakes, and at the engine's project after `dvc repro`.
BAKED = tuple(f"bake/test_{each}.py" for each in ("checks", "commands", "editors", "manifest"))
BAKED += tuple(f"bake/test_{each}.py" for each in ("options", "rendering", "site"))
REPRODUCED = (
    "engine/end_to_end/test_pipeline.py",
    "engine/release/test_accessible.py",
    "engine/release/test_apply.py",
    "engine/release/test_pages.py",
    "engine/release/test_trace.py",
    "engine/unit/test_recount.py::test_the_gate_goes_by_what_is_counted",
    "engine/unit/test_revision.py::test_this_pipeline_makes_the_same_model_again",
)
# Of these a file's tests share models, rows and projects that they make once.
QUICK = ("bake/", "engine/", "hooks/")
ALONE = {"bench/test_bench.py": "bench", "monitoring/test_year.py": "year", "test_demo.py": "demo"}
ALONE |= {f"pipeline/test_{each}.py": each for each in ("extend", "failures", "options")}


# What runs for each task, estimator or set of answers, and for some of them on each commit: the
# others take the same path, and are left to `make test-long`. A test, and what in its name is kept.
REPEATED = {
    "pipeline/test_estimators.py::test_estimator_survives_export": (
        *("classification-linear", "regression-lightgbm", "clustering-kmeans"),
    ),
    **dict.fromkeys(
        (
            f"pipeline/test_story.py::{name}"
            for name in (
                *("test_bake_passes_its_own_checks", "test_colleague_pulls_the_same_model"),
                *("test_dvc_shows_metrics_and_plots", "test_gate_is_kept_and_broken"),
                *("test_only_what_changed_is_stale", "test_same_inputs_make_the_same_model"),
            )
        ),
        ("classification",),
    ),
    "pipeline/test_story.py::test_own_data_is_three_commands_away": (
        *("[classification-regression", "[regression-clustering", "[clustering-classification"),
    ),
    "update/test_update.py::test_what_the_owner_did_stays": ("-s3-", "-ssh-"),
    "workflows/test_ci.py::test_among_many_comments": ("[29]", "[30]"),
    "deploy/test_faults.py::test_a_killed_proposal": ("promote",),
    "deploy/test_faults.py::test_a_killed_apply": ("processes",),
}


def is_repeated(nodeid: str) -> bool:
    """Tell whether another test takes the same path on each commit."""
    name = nodeid.removeprefix("tests/")
    return any(
        name.startswith(test) and not any(each in name for each in kept)
        for test, kept in REPEATED.items()
    )


def group_of(nodeid: str) -> str:
    """Return what a test shares with others; its own name where that is nothing.

    By file and by the first task in a test's name.
    """
    name = nodeid.removeprefix("tests/")
    file, _, test = name.partition("::")
    tasks = sorted((task for task in helpers.CHOICES["task"] if task in test), key=test.index)
    if file in ALONE:
        return ALONE[file]
    if name.startswith(REPRODUCED):
        return "project"
    if file in BAKED:
        return "bakes"
    if file.startswith("engine/serving/test_"):
        return "engine/serving"
    if file.startswith(QUICK):
        return file
    if file in (f"workflows/test_{each}.py" for each in WORLDS):
        return "ci"
    for group, places in WITH_ENGINE.items():
        if file.startswith(places):
            return group
    if file.startswith(SERVED):
        return tasks[0] if tasks else "classification"
    return tasks[0] if tasks and file.startswith("pipeline/") else nodeid


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and leave what is repeated to `make test-long`."""
    for item in items:
        if is_repeated(item.nodeid):
            item.add_marker("long")
    items.sort(key=lambda item: _rank(group_of(item.nodeid)))


def _rank(group: str) -> int:
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


class OneWorkerATask(LoadScopeScheduling):  # type: ignore[misc]
    """Keep tests that share an expensive project in one worker, which makes it once.

    Not by the mark `xdist_group`: that one means nothing to xdist 3.8 with pytest 9.2
    (pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Group tests for `--dist loadgroup`, in their order."""
    if config.getvalue("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False  # by the number of a group's tests, which says little
    return OneWorkerATask(config, log)


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
