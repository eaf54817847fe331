"""`mlops`: help with examples, exit codes that tell what went wrong, one line for an error."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from engine import made
from engine.stored import Stored
from engine.workspace import root

from mlops import cli, paths
from mlops.config.gates import Gate
from mlops.errors import DEBUG_VARIABLE
from mlops.files import write_json, write_text


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "pyproject.toml", "[tool.mlops]\n")
    monkeypatch.setenv(DEBUG_VARIABLE, "")  # `--debug` sets it; so it is unset again


def _mlops(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mlops", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


COMMANDS = [
    ["data", "init"],
    ["data", "export"],
    ["data", "import"],
    ["predict"],
    ["compare"],
    ["gate"],
    ["lock"],
    ["report"],
]


@pytest.mark.parametrize("command", [*COMMANDS, []])
def test_help_says_what_a_command_does(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, *command, "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: ")
    if command not in (["lock"], []):
        assert f"\n  mlops {' '.join(command)} " in text


def test_each_command_is_in_one_section_and_says_what_it_does_in_a_few_words() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    listed = [name for names in cli.SECTIONS.values() for name in names.split()]
    assert sorted(listed) == sorted(commands)
    told = {name: command.get_short_help_str(200) for name, command in commands.items()}
    assert {name: text for name, text in told.items() if not 0 < len(text) <= 55} == {}


def test_the_help_fits_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _mlops(monkeypatch, "--help")
    usage, *lines = capsys.readouterr().out.splitlines()
    assert usage == "Usage: mlops [OPTIONS] COMMAND [ARGS]..."
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []


def test_the_version_is_told_anywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").unlink()
    assert _mlops(monkeypatch, "--version") == 0
    assert re.fullmatch(r"mlops \d+\.\d+\.\d+\n", capsys.readouterr().out)


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


@pytest.fixture
def _as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no model here to count the metrics of: gates are held against what is written."""
    monkeypatch.setattr("mlops.judging.recount.recount", lambda *_: None)


@pytest.mark.usefixtures("_as_written")
def test_a_broken_gate_is_a_failed_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(paths.METRICS, {"f1": 0.5})
    write_json(paths.SLICES, {})
    for bound, code in ((0.4, 0), (0.6, 3)):
        gates = {"f1": Gate(min=bound)}
        params = made.params("binary", "linear").model_copy(update={"gates": gates})
        write_text(paths.PARAMS, params.model_dump_json())
        assert _mlops(monkeypatch, "gate") == code
    written = capsys.readouterr()
    assert written.out == "gates kept: f1\n"
    assert written.err == "error: f1: 0.5 is below 0.6\n"


def _facts(written: str) -> Any:
    """What `--json` printed, strictly read."""
    return json.loads(written, parse_constant=pytest.fail)


@pytest.mark.usefixtures("_as_written")
def test_gates_are_told_to_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(paths.METRICS, {"f1": 0.5})
    write_json(paths.SLICES, {})
    for bound, code in ((0.4, 0), (0.6, 3)):
        gates = {"f1": Gate(min=bound)}
        params = made.params("binary", "linear").model_copy(update={"gates": gates})
        write_text(paths.PARAMS, params.model_dump_json())
        assert _mlops(monkeypatch, "gate", "--json") == code
        found = _facts(capsys.readouterr().out)
        assert found["gates"]["f1"]["min"] == bound
        assert [each["metric"] for each in found["broken"]] == ["f1"] * bool(code)


def test_the_summary_says_what_comes_next(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(stored.folder)
    stored.params(gates={"roc_auc": {"min": 0.4}})
    stored.made("good")
    assert _mlops(monkeypatch, "summary") == 0
    out = capsys.readouterr().out
    assert re.match(r"Model ready: roc_auc 0\.\d+; gates kept\.\nNext:\n  uv run mlops serve ", out)
    stored.put("poor")
    stored.ran()
    assert _mlops(monkeypatch, "summary") == 0
    assert "\nNext:\n  git add . && git commit " in capsys.readouterr().out
    stored.params(gates={"roc_auc": {"min": 0.999}})
    assert _mlops(monkeypatch, "summary") == 0
    out = capsys.readouterr().out
    assert re.search(
        r"It breaks gates:\n  roc_auc: 0\.\d+ is below 0\.999\nNext:\n  make run ", out
    )


def test_drafting_says_which_gate_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy2(root() / name, name)
    made.rows("regression").to_csv("own.csv", index=False)
    assert _mlops(monkeypatch, "data", "init", "own.csv", "--target", "price") == 0
    assert "the gate is that mae gets no worse" in capsys.readouterr().out


def test_the_lock_gate(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, "lock") == 0
    assert "there is no dvc.lock yet" in capsys.readouterr().out
    stored.made()
    assert _mlops(monkeypatch, "lock") == 3
    assert "error: not in the remote: data/split/test.parquet, " in capsys.readouterr().err
    stored.push()
    assert _mlops(monkeypatch, "lock") == 0
    assert "dvc.lock fits its inputs, and the remote has" in capsys.readouterr().out
    stored.remote.rename(stored.remote.with_name("away"))
    assert _mlops(monkeypatch, "lock") == 0
    assert "the remote was not asked: the remote is the folder" in capsys.readouterr().out


def test_without_a_model_there_is_nothing_to_compare(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.commit()
    for options in ([], ["--json"]):
        assert _mlops(monkeypatch, "compare", *options) == 2
        written = capsys.readouterr()
        assert written.err == "error: there is no model: run `uv run dvc repro`\n"
        assert bool(written.out) == bool(options)


def test_champion_and_challenger(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.params(gates={"roc_auc": {"regression": 0}})
    stored.made("good")
    assert _mlops(monkeypatch, "compare") == 0
    assert capsys.readouterr().out.endswith("same: the model is the same file\n")
    stored.put("poor")
    stored.ran()
    assert _mlops(monkeypatch, "compare") == 0
    assert capsys.readouterr().out.endswith("\nworse\n")
    assert _mlops(monkeypatch, "gate") == 0
    assert _mlops(monkeypatch, "gate", "--base", "HEAD") == 3
    assert "is worse than the champion's" in capsys.readouterr().err
    assert _mlops(monkeypatch, "compare", "--json") == 0
    told = _facts(capsys.readouterr().out)
    assert (told["verdict"], told["metrics"]["roc_auc"]["verdict"]) == ("worse", "worse")
    assert _mlops(monkeypatch, "gate", "--base", "HEAD", "--json") == 3
    assert _facts(capsys.readouterr().out)["comparison"]["verdict"] == "worse"
    assert _mlops(monkeypatch, "report", "--base", "main") == 0
    out = capsys.readouterr().out
    assert "Do not merge: `roc_auc` fell " in out
    assert out.endswith("build/report/report.md\n")
    assert _mlops(monkeypatch, "report", "--base", "main", "--json") == 0
    assert _facts(capsys.readouterr().out)["comparison"]["verdict"] == "worse"
    for command in ("compare", "gate", "report"):
        assert _mlops(monkeypatch, command, "--base", "--help") == 2
        assert "error: --help: Git knows no such revision" in capsys.readouterr().err
