"""Errors reach people as lines that begin with `error:` and an exit code that tells their kind."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from mlops import errors


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.InputError("a.csv: no rows"), 2, "error: a.csv: no rows"),
        (errors.CheckError("above the tolerance"), 3, "error: above the tolerance"),
        (errors.ProjectError("no disk"), 1, "error: no disk"),
        (FileNotFoundError(2, "No such file", "x.csv"), 1, "error: No such file: x.csv"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device"),
        (ValueError("odd\nsecond line"), 1, "error: unexpected ValueError: odd (set MLOPS_DEBUG=1"),
        (ValueError(), 1, "error: unexpected ValueError: "),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    error: Exception,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(errors.DEBUG_VARIABLE, raising=False)
    with pytest.raises(SystemExit) as stopped:
        errors.run(lambda: _raise(error))
    assert stopped.value.code == code
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith(line)
    assert len(written.err.splitlines()) == 1


def test_further_lines_of_an_error_stand_below_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors.report(errors.InputError("first\nsecond"))
    assert capsys.readouterr().err == "error: first\n       second\n"


def test_debugging_shows_where_it_comes_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(errors.DEBUG_VARIABLE, "1")
    with pytest.raises(SystemExit):
        errors.run(lambda: _raise(errors.InputError("no rows")))
    trace = capsys.readouterr().err
    assert "Traceback" in trace
    assert "in _raise" in trace


def test_an_interrupt_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        errors.run(lambda: _raise(KeyboardInterrupt()))
    assert stopped.value.code == 130
    assert capsys.readouterr().err == ""


def test_success_does_not_exit() -> None:
    done: list[int] = []
    errors.run(lambda: done.append(1))
    assert done == [1]


def test_a_stage_outside_a_project_says_so(tmp_path: object) -> None:
    stage = errors.__name__.replace("errors", "pipeline.split")
    command = [sys.executable, "-m", stage]
    done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: this is not a project: ")


def test_an_error_in_the_owners_code_names_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    (tmp_path / "src" / "late").mkdir(parents=True)
    (tmp_path / "src/late/broken.py").write_text("def go():\n    return {}['boom']\n")
    (tmp_path / "src/late/slip.py").write_text("x = (\n")
    for name, said in (
        ("broken", "error: src/late/broken.py line 2: KeyError: 'boom'"),
        ("slip", "error: src/late/slip.py line 1: SyntaxError: '(' was never closed"),
    ):
        with pytest.raises(SystemExit):
            errors.run(lambda name=name: import_module(f"late.{name}").go())  # type: ignore[misc]
        assert capsys.readouterr().err.startswith(said)
