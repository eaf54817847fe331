"""Revisions: files are read as they were at a commit, outputs come whole from wherever they are
stored, and what is stored nowhere is made again."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo
from engine.stored import Stored
from engine.workspace import Workspace, root, warm_commands

from mlops import paths
from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.files import sha256, write_json
from mlops.git.revision import WORKSPACE, Revision, git, is_clean
from mlops.inference import OnnxModel
from mlops.judging.comparison import compare
from mlops.paths import LOCK, ONNX, PARTS, PLOTS


def _at(name: str) -> Revision:
    found = Revision.of(name)
    assert found is not None
    return found


def test_files_are_read_as_they_were(stored: Stored) -> None:
    text, data = Path("Ærø.txt"), Path("data.json")
    text.write_text("one\n", encoding="utf-8")
    first = stored.commit()
    text.write_text("two\n", encoding="utf-8")
    data.write_text('{"a": [1, 0.5, null]}')
    stored.git("tag", "v1")
    second = stored.commit()
    text.write_text("three\n", encoding="utf-8")
    assert [_at(name).commit for name in (first, "v1", first[:9], "HEAD~1")] == [first] * 4
    assert _at("main").commit == second
    revisions = (_at(first), _at("main"), WORKSPACE)
    assert [each.read(text) for each in revisions] == ["one\n", "two\n", "three\n"]
    content = {"a": [1, 0.5, None]}
    assert [each.load(data) for each in revisions] == [None, content, content]


@pytest.mark.parametrize(
    "name",
    ["no-such", "f" * 40, "--help", "--all", "--since=now", "", "HEAD:code.py", "main..", "$(id)"],
)
def test_an_unknown_revision_is_told_and_is_no_option(stored: Stored, name: str) -> None:
    stored.commit()
    with pytest.raises(InputError, match="Git knows no such revision"):
        Revision.of(name)


@pytest.mark.usefixtures("stored")
def test_a_name_that_several_have_is_refused(stored: Stored) -> None:
    """Git would take the tag, which anybody may push, for the branch that is meant."""
    first, second = stored.commit(), stored.commit()
    stored.git("update-ref", "refs/remotes/origin/main", first)
    assert _at("origin/main").commit == first
    stored.git("tag", "origin/main", second)
    for name in ("origin/main", "origin/main~0", "origin/main^{commit}", "origin/main^0~0"):
        with pytest.raises(InputError, match=" Git has several: give one of refs/"):
            Revision.of(name)
    assert _at("refs/remotes/origin/main").commit == first
    assert _at("refs/tags/origin/main").commit == second


@pytest.mark.usefixtures("stored")
def test_a_tag_that_is_called_as_a_remote_is_refused(stored: Stored) -> None:
    first, second = stored.commit(), stored.commit()
    stored.git("update-ref", "refs/remotes/origin/main", first)
    stored.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    assert _at("origin").commit == first
    stored.git("tag", "origin", second)
    with pytest.raises(InputError, match="^origin: Git has several"):
        Revision.of("origin")


@pytest.mark.usefixtures("stored")
def test_a_hash_is_a_commit_whatever_is_called_so(stored: Stored) -> None:
    first, second = stored.commit(), stored.commit()
    stored.git("tag", first, second)
    assert _at(first).commit == first


def test_what_git_started_ends_when_its_time_is_over(tmp_path: Path) -> None:
    number, ssh = tmp_path / "pid", tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ > {number}\nexec sleep 600\n")
    ssh.chmod(0o755)
    with pytest.raises(InputError, match="^git ls-remote: no answer within 5 seconds$"):
        git("ls-remote", "ssh://nowhere/x", env={"GIT_SSH_COMMAND": str(ssh)}, seconds=5)
    of_ssh = Path("/proc", number.read_text().strip(), "status")
    deadline = time.monotonic() + 30
    while of_ssh.exists() and "\nState:\tZ" not in of_ssh.read_text():
        assert time.monotonic() < deadline, "ssh goes on"
        time.sleep(0.05)


def test_all_zeros_are_nothing_yet() -> None:
    assert Revision.of("0" * 40) is None


def test_json_that_is_no_yaml_is_read(stored: Stored) -> None:
    content = {"x" * 2000: 1e-05, "control \x7f \x81": "✈ \\ : #"}
    write_json(Path("data.json"), content)
    stored.commit()
    assert WORKSPACE.load(Path("data.json")) == _at("HEAD").load(Path("data.json")) == content


@pytest.mark.parametrize("name", ["broken.json", "broken.yaml"])
def test_a_file_that_cannot_be_read_is_told(stored: Stored, name: str) -> None:
    Path(name).write_text("{a: [1,\n")
    stored.commit()
    for revision in (WORKSPACE, _at("HEAD")):
        with pytest.raises(InputError, match=f"{name}: (cannot be read|not valid JSON): "):
            revision.load(Path(name))


@pytest.mark.usefixtures("planted")
def test_a_conflict_in_the_lock_is_told() -> None:
    LOCK.write_text("<" * 7 + " HEAD\n" + LOCK.read_text())
    with pytest.raises(InputError, match=r"dvc\.lock: cannot be read: "):
        assert WORKSPACE.outputs


def test_outputs_are_those_of_the_lock_as_it_is_now(planted: Stored) -> None:
    first = _at("poor")
    assert first.outputs.keys() == WORKSPACE.outputs.keys()
    assert {ONNX, PLOTS, *PARTS.values()} <= first.outputs.keys()
    assert first.outputs[ONNX] != WORKSPACE.outputs[ONNX]
    assert WORKSPACE.outputs[ONNX].size == ONNX.stat().st_size
    planted.git("checkout", "--quiet", "poor")
    assert WORKSPACE.outputs == first.outputs
    LOCK.unlink()
    assert WORKSPACE.outputs == {}


def test_an_output_comes_from_the_workspace_the_cache_and_the_remote(
    stored: Stored, tmp_path: Path
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    first = _at(stored.made("poor"))
    champion = sha256(ONNX)
    stored.push()
    stored.made("good")
    assert sha256(WORKSPACE.fetch(ONNX, folder)) == sha256(ONNX) != champion
    assert sha256(first.fetch(ONNX, folder)) == champion  # from the cache
    stored.forget()
    assert sha256(first.fetch(ONNX, folder)) == champion  # from the remote
    part = first.fetch(PLOTS / "importance.json", folder)  # of a folder
    assert WORKSPACE.load(part)[0]["column"] == "size"
    assert not ONNX.exists()


def test_what_is_nowhere_is_told_with_who_can_help(stored: Stored, tmp_path: Path) -> None:
    commit = stored.made()
    stored.forget()
    wanted = (
        rf"models/model\.onnx of {commit} is neither in DVC's cache nor on the "
        r"remote \(.+\); whoever made it runs `uv run dvc push`"
    )
    with pytest.raises(InputError, match=wanted):
        _at(commit).fetch(ONNX, tmp_path)
    with pytest.raises(InputError, match=r"no\.txt: no output in dvc\.lock of the workspace"):
        WORKSPACE.fetch(Path("no.txt"), tmp_path)


def _spoil(store: Path, md5: str) -> None:
    (path,) = store.rglob(f"{md5[:2]}/{md5[2:]}")
    path.chmod(0o644)
    path.write_bytes(b"spoilt")


def test_a_spoilt_object_is_refused(stored: Stored, tmp_path: Path) -> None:
    stored.forget()  # from here on, the cache is its own
    first = _at(stored.made("poor"))
    md5 = first.outputs[ONNX].md5
    stored.push()
    stored.made("good")
    _spoil(stored.folder / ".dvc/cache", md5)
    with pytest.raises(InputError, match=r"is not the file that dvc\.lock names"):
        first.fetch(ONNX, tmp_path)
    ONNX.write_bytes(b"spoilt")
    with pytest.raises(InputError, match=r"of the workspace is not the file that dvc\.lock names"):
        WORKSPACE.fetch(ONNX, tmp_path)
    stored.forget()
    _spoil(stored.remote, md5)
    with pytest.raises(InputError, match=r"model\.onnx of "):
        first.fetch(ONNX, tmp_path)


def test_a_workspace_is_clean_when_it_is_what_is_committed(stored: Stored) -> None:
    stored.commit()
    Path("new.txt").touch()
    assert is_clean()
    stored.params(seed=7)
    assert not is_clean()


MAKES = """
import pathlib
text = pathlib.Path("source.txt").read_text()
pathlib.Path("models").mkdir(exist_ok=True)
pathlib.Path("models/model.onnx").write_text(text + "by the old code")
"""


def _made_by(stored: Stored, code: str) -> Revision:
    """A commit whose one stage makes a model by `code` from data that DVC keeps; it is lost."""
    stored.forget()  # from here on, the cache is its own
    Path("make.py").write_text(code)
    stage = {"cmd": "python make.py", "deps": ["make.py", "source.txt"], "outs": [str(ONNX)]}
    stored.write("dvc.yaml", {"stages": {"make": stage}})
    Path("source.txt").write_text("from data, ")
    ONNX.parent.mkdir()
    ONNX.write_text("what was made once")
    with Repo() as repo:
        repo.add("source.txt")
    stored.ran()
    Path(".gitignore").write_text("/source.txt\n/models\n")
    commit = stored.commit()
    md5 = WORKSPACE.outputs[ONNX].md5
    for path in Path(".dvc/cache/files").rglob(f"{md5[:2]}/{md5[2:]}"):
        path.unlink()
    Path("make.py").write_text("raise SystemExit(1)")
    stored.commit()
    return _at(commit)


def test_what_is_stored_nowhere_is_made_again_and_kept(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = _made_by(stored, MAKES)
    head = stored.git("symbolic-ref", "HEAD")
    # As in a hook of Git, and where no environment is active.
    git = stored.folder / ".git"
    for name, value in (("GIT_DIR", git), ("GIT_WORK_TREE", git.parent), ("PATH", os.defpath)):
        monkeypatch.setenv(name, str(value))
    for turn in range(2):
        assert old.remake([ONNX])[ONNX].read_text() == "from data, by the old code"
        assert ("making the model" in capsys.readouterr().err) == (turn == 0)
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert stored.git("symbolic-ref", "HEAD") == head
    assert stored.git("status", "--porcelain") == ""
    assert ONNX.read_text() == "what was made once"
    with pytest.raises(InputError, match=r"the pipeline of .{7} makes no models/model\.joblib"):
        old.remake([ONNX, paths.MODEL])
    assert old.remake([ONNX])[ONNX].exists()  # as it was kept


def test_a_pipeline_that_fails_is_told_and_nothing_is_kept(stored: Stored) -> None:
    old = _made_by(stored, "raise SystemExit(3)")
    line = rf"the pipeline of {str(old.commit)[:7]} fails: .*failed to reproduce 'make'"
    with pytest.raises(InputError, match=line):
        old.remake([ONNX])
    assert [*Path(".dvc/cache/remade").iterdir()] == []


@pytest.fixture
def committed(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The project after `dvc repro`, committed, in which the process is; it runs warm commands."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr("sys.executable", str(warm_commands() / "python"))
    shutil.copy2(root() / ".gitignore", project.folder)
    project.run("git", "add", "--all")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    done = project.run("git", *who, "commit", "--quiet", "--message=more")
    assert done.returncode == 0, done.stderr
    return project


def test_this_pipeline_makes_the_same_model_again(
    committed: Workspace,
    own_contract: Contract,
    own_params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(committed.folder / ".dvc/tmp/site"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    old = _at("HEAD")
    md5 = old.outputs[ONNX].md5
    (committed.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    test = pd.read_parquet(PARTS["test"])
    asked = columns(model_inputs(test, own_contract))
    expected = OnnxModel(ONNX).predict(asked)
    ONNX.unlink()
    for name, values in OnnxModel(old.remake([ONNX])[ONNX]).predict(asked).items():
        np.testing.assert_array_equal(values, expected[name])
    # Nobody has the model, but that it is the champion's own is plain.
    assert compare(own_params, old).verdict == "same"
