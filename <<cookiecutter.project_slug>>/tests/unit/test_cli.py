"""`mlops`: help with examples, exit codes that tell what went wrong, one line for an error."""

import sys
from pathlib import Path

import made
import pytest

from <<cookiecutter.package_name>> import cli, paths
from <<cookiecutter.package_name>>.config import Gate
from <<cookiecutter.package_name>>.errors import DEBUG_VARIABLE
from <<cookiecutter.package_name>>.files import write_json, write_text


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DEBUG_VARIABLE, "")  # `--debug` sets it; so it is unset again


def _mlops(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mlops", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", [["data", "init"], ["predict"], ["gate"], []])
def test_help_says_what_a_command_does(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, *command, "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: ")
    if command in (["data", "init"], ["predict"]):
        assert f"\n  mlops {' '.join(command)} " in text


@pytest.mark.parametrize("arguments", [["no-such"], ["predict"], ["predict", "--no-such", "a"]])
def test_a_wrong_command_is_bad_input(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_bad_input_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, "predict", "a.csv") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: models/model.onnx: no model; make it with")


def test_debugging_shows_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, "--debug", "predict", "a.csv") == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_broken_gate_is_a_failed_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(paths.METRICS, {"f1": 0.5})
    for bound, code in ((0.4, 0), (0.6, 3)):
        gates = {"f1": Gate(min=bound)}
        params = made.params("binary", "linear").model_copy(update={"gates": gates})
        write_text(paths.PARAMS, params.model_dump_json())
        assert _mlops(monkeypatch, "gate") == code
    written = capsys.readouterr()
    assert written.out == "1 gates kept\n"
    assert written.err == "error: f1: 0.5 is below 0.6\n"
