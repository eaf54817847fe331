"""The lock gate: a dvc.lock that fits passes wherever it is looked at, and what does not fit, or is
not stored, is named."""

import shutil
from pathlib import Path

import pytest
from engine.stored import MODELS, STAGES, Stored

from mlops import paths
from mlops.errors import InputError
from mlops.git import lock
from mlops.git.lock import LockState
from mlops.git.revision import Revision


@pytest.fixture
def pushed(stored: Stored) -> Stored:
    """A project with a model that is committed and pushed."""
    stored.made()
    stored.push()
    return stored


@pytest.mark.usefixtures("pushed")
def test_what_was_made_and_pushed_is_well() -> None:
    assert lock.check() == LockState(exists=True)
    assert lock.check().problems() == []


def test_without_a_lock_there_is_nothing_to_check(stored: Stored) -> None:
    assert lock.check() == LockState(exists=False)
    assert stored.params()
    assert lock.check().problems() == []


def test_a_clone_that_fetched_nothing_is_well(
    pushed: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    pushed.git("clone", "--quiet", ".", str(clone))
    assert not (clone / "models").exists()
    monkeypatch.chdir(clone)
    assert lock.check() == LockState(exists=True)
    assert not (clone / "models").exists()
    assert not (clone / ".dvc/cache/files").exists()


def test_a_changed_parameter_is_named(pushed: Stored) -> None:
    pushed.params(seed=2)
    assert lock.check().stale == {"train": ["train"]}
    pushed.forget()  # what is not fetched did not change
    assert lock.check().stale == {"train": ["train"]}


def test_a_parameter_that_no_stage_needs_is_none(pushed: Stored) -> None:
    pushed.params(gates={"f1": {"min": 0.1}})
    assert lock.check().stale == {}


def test_changed_code_and_a_changed_contract_are_named(pushed: Stored) -> None:
    (pushed.folder / "code.py").write_text("raise SystemExit(1)\n")
    assert lock.check().stale == {"train": ["code.py"]}
    (pushed.folder / paths.CONTRACT).write_text("columns: {}\n")
    state = lock.check()
    assert state.stale == {"split": ["contract.yaml"], "train": ["code.py"]}
    assert state.problems() == [
        "dvc.lock is stale: split (contract.yaml), train (code.py). Run `uv run dvc repro` and "
        "`uv run dvc push`, and commit dvc.lock with the reports"
    ]


def test_a_changed_command_and_a_new_input_are_named(pushed: Stored) -> None:
    train = STAGES["train"] | {"cmd": "false", "deps": [*STAGES["train"]["deps"], ".gitignore"]}
    pushed.write("dvc.yaml", {"stages": STAGES | {"train": train}})
    assert set(lock.check().stale["train"]) == {"its command", ".gitignore"}


def test_a_metric_that_was_touched_up_is_named(pushed: Stored) -> None:
    (pushed.folder / paths.METRICS).write_text('{"roc_auc": 1.0}\n')
    assert lock.check().stale == {"evaluate": ["reports/metrics.json"]}


def test_a_stage_that_never_ran_is_stale(pushed: Stored) -> None:
    more = {"cmd": "true", "deps": ["code.py"], "outs": ["extra.txt"]}
    pushed.write("dvc.yaml", {"stages": STAGES | {"extra": more}})
    assert [*lock.check().stale] == ["extra"]


def test_what_the_remote_lacks_is_named(pushed: Stored) -> None:
    pushed.made("twin")
    missing = [*map(str, MODELS), f"{paths.PLOTS}/"]
    assert lock.check().missing == missing
    (problem,) = lock.check().problems()
    assert problem.startswith(f"not in the remote: {', '.join(missing)}. Whoever")
    assert problem.endswith("runs `uv run dvc push`")
    pushed.forget()
    assert lock.check().missing == missing
    assert lock.check().stale == {}


def test_a_lost_folder_is_named(pushed: Stored) -> None:
    for path in (pushed.remote / "files").rglob("*.dir"):
        path.unlink()
    assert any(path.startswith(str(paths.PLOTS)) for path in lock.check().missing)


def test_a_remote_that_is_not_here_is_no_mistake(pushed: Stored) -> None:
    shutil.rmtree(pushed.remote)
    pushed.params(seed=2)
    state = lock.check()
    assert (state.missing, [*state.stale]) == ([], ["train"])
    assert state.unreachable
    assert f"the folder {pushed.remote}, which is not here" in state.unreachable


def test_no_remote_is_no_mistake(pushed: Stored) -> None:
    (pushed.folder / ".dvc/config").write_text("")
    assert lock.check().unreachable
    assert lock.check().problems() == []


def test_what_nobody_fetched_has_the_hash_of_what_makes_it(pushed: Stored) -> None:
    """The stage that made it ran again, and the one that reads it did not."""
    lock_file = pushed.load("dvc.lock")
    (made,) = (
        out for out in lock_file["stages"]["split"]["outs"] if out["path"].endswith("train.parquet")
    )
    made["md5"] = "1" * 32
    pushed.write("dvc.lock", lock_file)
    pushed.forget()
    assert lock.check().stale == {"train": [str(paths.PARTS["train"])]}


def test_a_report_that_git_lost_is_named(pushed: Stored) -> None:
    paths.METRICS.unlink()
    assert lock.check().stale == {"evaluate": [str(paths.METRICS)]}


def test_a_commit_is_looked_at_whatever_lies_beside_it(pushed: Stored) -> None:
    head = Revision(pushed.git("rev-parse", "HEAD"))
    lock.require_fresh(head)
    pushed.params(seed=2)
    lock.require_fresh(head)
    stale = Revision(pushed.commit())
    pushed.git("revert", "--no-edit", "--no-commit", "HEAD")
    assert lock.check().stale == {}
    with pytest.raises(
        InputError, match=rf"^{str(stale.commit)[:7]}: dvc\.lock is stale: train \(train\)\. Run"
    ):
        lock.require_fresh(stale)


def test_what_a_stage_reads_and_nobody_else_has_is_told(pushed: Stored) -> None:
    """Here nothing is stale, for the file is here; Git does not have it, and DVC neither."""
    pushed.git("rm", "--quiet", "--cached", "code.py")
    with (pushed.folder / ".gitignore").open("a") as file:
        file.write("/code.py\n")
    commit = Revision(pushed.commit())
    assert lock.check().stale == {}
    with pytest.raises(InputError, match=r": neither Git nor DVC has code\.py, which its stages"):
        lock.require_fresh(commit)


def test_an_input_that_somebody_deleted_is_named(pushed: Stored) -> None:
    """DVC takes it for one that nobody fetched, and for unchanged."""
    pushed.git("rm", "--quiet", "code.py")
    state = lock.check()
    assert state.stale == {}
    assert state.lost == ["code.py"]
    assert state.problems()[0].startswith("neither Git nor DVC has code.py, which its stages read")
    (pushed.folder / ".gitignore").write_text("/code.py\n", encoding="utf-8")
    assert lock.check().lost == ["code.py"], "it is in no clone from then on, and was"
    # What Git never had is of one's own machine.
    pushed.git("checkout", "--quiet", "--orphan", "anew")
    pushed.commit()
    assert lock.check().lost == []
