"""The lock gate: a dvc.lock that fits passes wherever it is looked at, and what does not fit, or is
not stored, is named."""

import shutil
from pathlib import Path

import pytest
from engine.stored import MODELS, STAGES, Stored

from mlops import lock, paths
from mlops.lock import LockState


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
    missing = [*map(str, MODELS)]
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
