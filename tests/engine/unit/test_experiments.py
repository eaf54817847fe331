"""Experiments: what is known of them, what Git keeps, and what a report quotes."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine import made
from ruamel.yaml import YAML

from mlops import cli, paths
from mlops.errors import InputError
from mlops.experiments import record
from mlops.experiments.adopt import Texts
from mlops.experiments.record import Record, experiments, note
from mlops.experiments.search import LOG, STUDY, Log
from mlops.experiments.space import Configuration
from mlops.experiments.trial import Trial
from mlops.files import write_json, write_text
from mlops.git.revision import Revision
from mlops.report import change, comment
from mlops.report import experiments as face


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in Git with settings and metrics."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_text(Path("pyproject.toml"), "[tool.mlops]\n")
    _git("init", "--quiet", "--initial-branch=main")
    _set({})
    write_json(paths.METRICS, {"roc_auc": 0.7})
    _commit("first")
    return tmp_path


def _git(*arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _commit(message: str) -> str:
    _git("add", "--all")
    _git("commit", "--quiet", f"--message={message}")
    return _git("rev-parse", "HEAD")


def _set(changed: dict[str, Any], estimator: str = "forest") -> None:
    content = made.params("binary", estimator).model_dump(mode="json", exclude_none=True)
    content["estimators"]["forest"] |= changed
    with paths.PARAMS.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(content, stream)


def _dvc(name: str, depth: int, score: float) -> None:
    """An experiment as `dvc exp run --temp` leaves it: a commit that only a reference holds."""
    base = _git("rev-parse", "HEAD")
    _set({"max_depth": depth})
    write_json(paths.METRICS, {"roc_auc": score})
    write_json(paths.TRAINING_LOG / "metrics.json", {"roc_auc": score + 0.01, "step": 9})
    commit = _commit(name)
    _git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)
    _git("update-ref", "refs/exps/stash", commit)  # DVC's own
    _git("reset", "--quiet", "--hard", base)


def _searched() -> None:
    """What a search of three trials leaves."""
    trials = [
        Trial(0, "current", Configuration("forest"), {}, "done", [0.7, 0.8], 1.0),
        Trial(1, "linear", Configuration("linear"), {}, "failed", [], 1.0, "no memory"),
        Trial(2, None, Configuration("forest", {"max_depth": 3}), {}, "done", [0.8, 0.9], 1.0),
    ]
    day = date(2026, 11, 30)
    log = Log(day, _git("rev-parse", "HEAD"), "roc_auc", "higher", 90, 2, Texts.here(), trials)
    write_json(paths.SEARCH / "search-abcdef" / STUDY, LOG.dump_python(log, mode="json"))


def test_all_experiments_are_listed_with_what_they_are(project: Path) -> None:
    _dvc("deep", 9, 0.71)
    _searched()
    known = {each.record.name: each for each in experiments()}
    assert {*known} == {"deep", *(f"search-abcdef-{i}" for i in range(3))}
    deep = known["deep"].record
    assert deep.params == {"estimators.forest.max_depth": 9}
    assert (deep.scores, deep.test) == ({"roc_auc": 0.72}, {"roc_auc": 0.71})
    assert deep.base == _git("rev-parse", "HEAD")[:7]
    best = known["search-abcdef-2"].record
    assert best.params == {"estimators.forest.max_depth": 3}
    assert best.scores == {"roc_auc": pytest.approx(0.85)}
    assert known["search-abcdef-1"].state == "failed"
    assert [name for name, each in known.items() if each.is_taken] == ["search-abcdef-0"]
    _set({"max_depth": 3.0})  # which is 3
    assert [e.record.name for e in experiments() if e.is_taken] == ["search-abcdef-2"]


def test_the_best_trials_are_shown_and_all_that_is_noted(project: Path) -> None:
    _dvc("deep", 9, 0.71)
    _searched()
    note("search-abcdef-1", None, "needs a machine with more memory")
    shown = {each.record.name for each in record.foremost(experiments(), 1)}
    assert shown == {"deep", "search-abcdef-1", "search-abcdef-2"}


def test_a_hypothesis_comes_first_and_the_facts_later(project: Path) -> None:
    planned = note("deep", "deeper trees find more", None)
    assert (planned.kind, planned.params) == ("planned", {})
    _commit("plan")
    _dvc("deep", 9, 0.71)
    (listed,) = experiments()
    assert listed.is_noted
    assert listed.record.test == {"roc_auc": 0.71}
    whole = note("deep", None, "they do not: 0.70 and 0.71")
    assert (whole.kind, whole.hypothesis) == ("dvc", "deeper trees find more")
    assert whole.params == {"estimators.forest.max_depth": 9}
    _git("for-each-ref", "--format=delete %(refname)", "refs/exps/deep")
    for ref in _git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines():
        _git("update-ref", "-d", ref)
    (kept,) = experiments()  # which DVC has forgotten
    assert kept.record == whole
    assert YAML(typ="safe").load(whole.path)["conclusion"] == "they do not: 0.70 and 0.71"


@pytest.mark.parametrize(
    ("name", "hypothesis", "conclusion", "line"),
    [
        ("deep", None, None, "say what was expected, --hypothesis, or what was learned"),
        ("nothing", None, "it failed", "nothing: there is no such experiment; `mlops experim"),
        ("../deep", "deeper", None, "../deep: call an experiment by letters"),
        ("", "deeper", None, ": call an experiment by letters"),
    ],
)
def test_what_cannot_be_noted_is_a_line(
    name: str, hypothesis: str | None, conclusion: str | None, line: str, project: Path
) -> None:
    with pytest.raises(InputError) as refused:
        note(name, hypothesis, conclusion)
    assert str(refused.value).startswith(line)
    assert not paths.EXPERIMENTS.exists()


def test_a_note_that_is_none_is_a_line(project: Path) -> None:
    write_text(paths.EXPERIMENTS / "odd.yaml", "name: odd\nkind: planned\nmade: 2026-11-30\nx: 1\n")
    with pytest.raises(InputError, match=r"odd.yaml: x: unknown key"):
        experiments()


def _quoted(base: str) -> dict[str, list[str]]:
    found = change._experiments(Revision(base))
    return {
        "led": [each.name for each in found.led],
        "others": [each.name for each in found.others],
    }


def test_a_report_quotes_what_led_to_the_settings(project: Path) -> None:
    base = _git("rev-parse", "HEAD")
    _dvc("deep", 9, 0.71)
    _dvc("flat", 1, 0.6)
    note("deep", "deeper trees find more", "they do")
    note("flat", None, "worse")
    _commit("notes")
    assert _quoted(base) == {"led": [], "others": ["deep", "flat"]}
    _set({"max_depth": 9})
    taken = _commit("deeper")
    assert _quoted(base) == {"led": ["deep"], "others": ["flat"]}
    _set({"max_depth": 8})
    assert _quoted(base) == {"led": [], "others": ["deep", "flat"]}
    _set({"max_depth": 9})
    assert _quoted(taken) == {"led": [], "others": []}  # a later change has not come from it
    note("deep", None, "they do, also on new rows")
    assert _quoted(taken) == {"led": ["deep"], "others": []}


def test_the_comment_has_hypothesis_conclusion_and_evidence() -> None:
    led = _record(
        "deep", hypothesis="*deeper*", conclusion="better", evidence=["+0.01 over linear"]
    )
    found = change.Experiments([led], [_record("flat", conclusion="worse")])
    told = comment._layout().experiments(SimpleNamespace(experiments=found), [])
    assert "<b>Experiments: 1 led to this, 1 other</b>" in told
    assert "**deep**: &#42;deeper&#42;" in told
    assert "\n- +0.01 over linear\n" in told
    assert "\n- flat: worse\n" in told
    nothing = SimpleNamespace(experiments=change.Experiments([], []))
    assert not comment._layout().experiments(nothing, []).strip()


def _record(name: str, **said: Any) -> Record:
    return Record(name=name, kind="dvc", made=date(2026, 11, 30), **said)


def test_the_page_says_what_the_notes_say(project: Path) -> None:
    assert "Nothing is noted yet." in face.page([])
    records = [
        _record("deep", conclusion="a | b", params={"estimators.forest.max_depth": 9}),
        Record(name="later", kind="planned", made=date(2026, 12, 1), hypothesis="@all <b>"),
    ]
    text = face.page(records)
    assert text == face.page(records[::-1])  # in whatever order files are read
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert rows == [
        "| [<code>later</code>](#later) | planned | – | – | – |",
        "| [<code>deep</code>](#deep) | 2026-11-30 | – | – | a &#124; b |",
    ]
    assert "**Hypothesis.** &#64;&#8203;all &#60;b&#62;" in text
    assert "| <code>estimators.forest.max&#95;depth</code> | <code>9</code> |" in text


def _mlops(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mlops", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_commands_list_note_and_write_the_page(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _mlops(monkeypatch, "experiments") == 0
    assert capsys.readouterr().out.startswith("there are none yet")
    _searched()
    arguments = ("note", "search-abcdef-2", "--hypothesis", "few leaves do", "-m", "they do")
    assert _mlops(monkeypatch, "experiments", *arguments) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["docs/experiments/search-abcdef-2.yaml", "docs/experiments/README.md"]
    assert "few leaves do" in paths.EXPERIMENTS_PAGE.read_text(encoding="utf-8")
    assert _mlops(monkeypatch, "experiments") == 0
    assert "? few leaves do" in capsys.readouterr().out
    assert _mlops(monkeypatch, "experiments", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found[-1]["record"]["name"].startswith("search-abcdef-")
    paths.EXPERIMENTS_PAGE.unlink()
    assert _mlops(monkeypatch, "experiments", "page") == 0
    assert paths.EXPERIMENTS_PAGE.is_file()
    assert _mlops(monkeypatch, "experiments", "note", "search-abcdef-2") == 2
    assert _mlops(monkeypatch, "search", "--trials", "0") == 2
    assert "Traceback" not in capsys.readouterr().err
