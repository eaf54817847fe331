"""`mlops retrain`: what is better becomes a branch; what is not leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from pipeline.fresh import Warehouse
from pipeline.running import ENGINE, Project, Reproduced, one_line

SAYS = "the model of the fresh data is not better"


@pytest.fixture(scope="module")
def importing(small: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose source is a copy of a warehouse, which has the first rows. Copy it."""
    folder = tmp_path_factory.mktemp("importing")
    project = small("classification").copy(folder / "project")
    Warehouse(folder / "warehouse", project).begin(folder / "store")
    return project


@pytest.fixture
def project(importing: Project, tmp_path: Path) -> Project:
    """A copy of it, with a warehouse and a store of its own."""
    return Warehouse(importing.folder.parent / "warehouse", importing).copy(tmp_path)


def stale(project: Project) -> set[str]:
    """Return what DVC would do again, but for the import: that there are newer rows is no fault."""
    return project.status() - {"data/flights.dvc"}


def warehouse(project: Project) -> Warehouse:
    """Return where the project's rows come from."""
    return Warehouse(project.folder.parent / "warehouse", project)


def state(project: Project) -> tuple[str, str, set[str]]:
    """Return what Git and DVC know of the workspace, and the branches."""
    branches = project.git("for-each-ref", "--format=%(refname:short)", "refs/heads")
    return project.git("status", "--porcelain"), project.git("log", "-1"), {*branches.split()}


def test_classification_that_learns_becomes_a_branch(project: Project) -> None:
    before = state(project)
    project.write("note.txt", "half done\n")
    line = one_line(project.run("mlops", "retrain", code=2))
    assert line == "error: note.txt: commit your changes first, or stash them"
    (project.folder / "note.txt").unlink()
    line = one_line(project.run("mlops", "retrain", code=3))
    assert line == "error: no fresh data: data/flights has the rows that the model was made of"
    assert state(project) == before

    warehouse(project).add(taught=True)
    done = project.run("mlops", "retrain", "--reason", "drift in\nprod: a new carrier")
    *_, headline, report, following = done.stdout.splitlines()
    assert headline.startswith("Better: ")
    assert report == "build/retrain/report/report.md"
    branch = following.removeprefix("Next: git merge --ff-only ")
    status, head, branches = before
    assert state(project) == (status, head, {*branches, branch})
    assert stale(project) == set()

    message = project.git("log", "-1", "--format=%B", branch)
    assert headline in message
    assert "\nReason: drift in prod: a new carrier\n" in message
    text = (project.folder / report).read_text(encoding="utf-8")
    assert "### ✅ Better: " in text
    assert "Before it can be merged" not in text
    project.git("merge", "--quiet", "--ff-only", branch)
    project.run("dvc", "checkout")
    assert project.repro()[0] == []
    told = project.run("mlops", "lock").stdout
    assert told == "dvc.lock fits its inputs, and the remote has what it names\n"


def test_classification_that_learns_nothing_leaves_nothing(project: Project) -> None:
    before = state(project)
    warehouse(project).add(taught=False)
    done = project.run("mlops", "retrain", code=3)
    assert f"error: {SAYS}: roc_auc " in done.stderr
    assert state(project) == before
    assert stale(project) == set()
    # What judges is what holds it back.
    project.append(f"{ENGINE}/retrain/fresh.py", "def _judged(head): return None")
    project.commit()
    done = project.run("mlops", "retrain")
    assert "Next: git merge --ff-only retrain/" in done.stdout


def test_classification_that_breaks_a_gate_is_not_proposed(project: Project) -> None:
    project.set(
        "params.yaml", gates={"roc_auc": {"regression": 0}, "accuracy": {"max": 0.3, "naive": 0.9}}
    )
    project.commit()
    before = state(project)
    warehouse(project).add(taught=True)
    done = project.run("mlops", "retrain", code=3)
    assert "error: accuracy: 0." in done.stderr
    assert "is above 0.3" in done.stderr
    assert "accuracy: " in done.stderr.partition("is above 0.3")[2]  # no better than naive answers
    assert state(project) == before


def test_classification_of_rows_that_break_the_contract_is_told(project: Project) -> None:
    before = state(project)
    warehouse(project).add(taught=True, rename="temp")
    done = project.run("mlops", "retrain", code=2)
    assert "error: dvc repro: " in done.stderr
    assert "temp" in done.stderr
    assert state(project) == before
    warehouse(project).folder.rename(project.folder.parent / "elsewhere")
    done = project.run("mlops", "retrain", code=2)
    assert "error: dvc update: " in done.stderr
    assert state(project) == before


def test_classification_beside_which_somebody_works_on(project: Project) -> None:
    """It takes nothing of theirs: not into its commit, and not away, even when interrupted."""
    before = state(project)
    warehouse(project).add(taught=True)
    process = subprocess.Popen(
        ["mlops", "retrain"],
        cwd=project.folder,
        env=project.cold(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Running stage 'evaluate'"):
            project.write("README.md", "# Mine\n")
            project.write("note.txt", "half done\n")
            os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    assert process.wait() == 130
    assert state(project) == (" M README.md\n?? note.txt\n", *before[1:])
    assert stale(project) == set()
