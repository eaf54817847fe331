"""A project on GitHub whose branches are pull requests, made once a session and copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pipeline.running import QUICK, STAGES, Project, Reproduced
from workflows.act import Workflow
from workflows.events import REPOSITORY
from workflows.github import GitHub, serve
from workflows.world import World, hub


def _push(project: Project, branch: str) -> None:
    project.commit()
    project.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")


def _branch(project: Project, name: str) -> None:
    project.git("checkout", "--quiet", "--force", "-B", name, "main")


@pytest.fixture(scope="session")
def prepared(started: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A repository whose `main` has a good model, and a branch for each kind of change.

    Its gates forbid no model but one that is worse than that of `main`.
    """
    folder = tmp_path_factory.mktemp("world")
    project = started("classification").copy(folder / "project")
    origin = hub(folder)
    store = folder / "store"
    (folder / "objects").mkdir()
    store.symlink_to(folder / "objects")
    project.git("remote", "add", "origin", str(origin))
    project.git("checkout", "--quiet", "-B", "main")
    # Another test may have reproduced the project that this is a copy of.
    project.git("rm", "-r", "--quiet", "--force", "--ignore-unmatch", "dvc.lock", "reports")
    project.sample("data/small.parquet", 5)
    project.run("dvc", "remote", "modify", "storage", "url", str(store))
    project.learn_from("data/small.parquet")
    project.set(
        "params.yaml",
        split__test=0.5,
        estimators__boosting__max_iter=20,
        gates={"roc_auc": {"min": 0.4, "regression": 0}, "log_loss": {"max": 0.9}},
        **QUICK,
    )
    _push(project, "first")
    ran, _ = project.repro()
    assert ran == STAGES
    project.run("dvc", "push")
    _push(project, "main")

    _branch(project, "worse")
    stump = {"max_iter": 1, "max_leaf_nodes": 2}
    for name, value in stump.items():
        project.set("params.yaml", **{f"estimators__boosting__{name}": value})
    ran, _ = project.repro()
    assert ran == STAGES[3:]
    project.run("dvc", "push")
    _push(project, "worse")
    project.git("revert", "--no-edit", "HEAD")  # the good model again, where the bad one is in use
    project.git("push", "--quiet", "origin", "HEAD:refs/heads/better")

    _branch(project, "stale")
    project.set("params.yaml", estimators__boosting__learning_rate=0.07)
    _push(project, "stale")
    _branch(project, "tests")
    path = project.folder / "tests" / "test_features.py"
    path.write_text(f"{path.read_text(encoding='utf-8')}# says nothing\n", encoding="utf-8")
    _push(project, "tests")
    _branch(project, "edited")
    by_hand = f"RELEASE_ID=by-hand\nGIT_SHA={'0' * 40}\nSERVING_IMAGE=\nTRAINING_IMAGE=\n"
    by_hand += f"MODEL_VERSION=flight-delays@v1.0.0\nMODEL_MD5={'0' * 32}\n"
    project.write("environments/prod/release.env", by_hand)
    _push(project, "edited")
    _branch(project, "docs")
    project.write("README.md", "# Flight delays\n")
    _push(project, "docs")
    _branch(project, "main")
    return World(folder, project, GitHub(REPOSITORY, origin, folder / "api"), store)


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it to work in. The project knows DVC's remote by a link, which leads to its own."""
    origin = tmp_path / "hub" / f"{REPOSITORY}.git"
    shutil.copytree(prepared.origin, origin)
    shutil.copytree(prepared.folder / "objects", tmp_path / "objects")
    prepared.store.unlink(missing_ok=True)
    prepared.store.symlink_to(tmp_path / "objects")
    project = prepared.project.copy(tmp_path / "project")
    project.git("remote", "set-url", "origin", str(origin))
    github = GitHub(REPOSITORY, origin, tmp_path / "api")
    with serve(github):
        yield World(tmp_path, project, github, prepared.store)


@pytest.fixture(scope="session")
def baked_ci(baked: Callable[..., Path]) -> Workflow:
    """The `ci` workflow of a bake."""
    return Workflow.read(baked() / ".github" / "workflows" / "ci.yml")
