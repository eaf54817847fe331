"""What people are told of each problem: that it is there, that it is over, or nothing."""

import json
import sys
from pathlib import Path

import pytest
from engine import made

from mlops import cli
from mlops.config.retraining import Retraining
from mlops.files import read_json, write_text
from mlops.monitoring import run
from mlops.monitoring.account import Account
from mlops.monitoring.result import (
    Alarm,
    Feedback,
    Kind,
    Measured,
    MetricResult,
    Result,
    WindowResult,
)
from mlops.paths import MONITOR, PARAMS
from mlops.report import monitoring, problems

ALARMS = {
    "drift": Alarm(Kind.DRIFT, "carrier", "distance 0.21 from what was trained on (p 5e-16)"),
    "missing": Alarm(Kind.MISSING, "humid", "37.0% of the rows, and 0.2% of those trained on"),
    "performance": Alarm(
        Kind.PERFORMANCE, "roc_auc", "0.5541 (0.52 to 0.5882), and 0.6865 on the test rows"
    ),
    "contract": Alarm(Kind.CONTRACT, "wind", "not in `range`: 3 of 500 rows"),
    "log": Alarm(Kind.LOG, "2030-01-01/a.parquet", "0 rows read, then it is empty"),
    "fairness": Alarm(Kind.FAIRNESS, "sex", "selection_rate by sex: 0.2 apart, 0.1 allowed"),
    "caller": Alarm(Kind.CALLER, "shop", "asked for 7 rows, and nobody declared it"),
    "review": Alarm(Kind.REVIEW, "decay", "its review is due on 2030-02-01"),
    "feedback": Alarm(Kind.FEEDBACK, "000001-a.parquet", "it is empty"),
}
METRICS = {"roc_auc": MetricResult(Measured(0.55, 0.02, 0.52, 0.59), None)}


def window(*alarms: Alarm, rows: int = 500, labelled: bool = True) -> WindowResult:
    """A window of a week."""
    return WindowResult(
        start="2030-01-01T00:00:00Z",
        end="2030-01-08T00:00:00Z",
        rows=rows,
        labelled=rows * labelled,
        too_few=rows < 200,
        metrics=METRICS if labelled else {},
        fairness={"sex": {}} if labelled else {},
        alarms=[*alarms],
    )


def result(*windows: WindowResult) -> Result:
    """What monitoring found in these windows."""
    return Result(
        environment="prod",
        release="r1",
        model="made@v1.0.0",
        commit="0" * 40,
        made="2030-01-08T00:00:00Z",
        log="log",
        reference_rows=(3000, 1500),
        settings={},
        account=Account([each.rows for each in windows]),
        feedback=Feedback(0, 0, 0, 0, []),
        windows=[*windows],
        notes=[],
    )


def told(found: Result, folder: Path, retraining: Retraining | None = None) -> dict[str, str]:
    """What is written of each problem; a key for each file."""
    problems.write(found, retraining or Retraining(), folder)
    files = (folder / "problems").iterdir()
    return {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.parametrize("name", ALARMS)
def test_a_problem_is_told_with_its_lines_and_the_summary(name: str, tmp_path: Path) -> None:
    found = told(result(window(ALARMS[name])), tmp_path)
    assert [each for each, text in found.items() if text] == [name]
    assert set(found) == set(ALARMS)
    first, _, rest = found[name].partition("\n")
    assert first.startswith(f"- {name}: ")
    assert "### 1 alarm in prod" in rest


def test_a_line_is_told_with_the_problem_that_it_is_of(tmp_path: Path) -> None:
    found = told(result(window(ALARMS["drift"], ALARMS["log"])), tmp_path)
    own = {name: text.partition("\n\n")[0] for name, text in found.items() if text}
    assert {name: text.count("\n- ") for name, text in own.items()} == {"drift": 0, "log": 0}
    assert "carrier" in own["drift"]
    assert "carrier" not in own["log"]


@pytest.mark.parametrize(
    ("windows", "unknown"),
    [
        ([window()], set()),
        ([window(rows=199, labelled=False)], {"drift", "missing", "performance", "fairness"}),
        ([window(rows=0, labelled=False)], {*ALARMS} - {"log", "feedback", "review"}),
        ([window(labelled=False)], {"performance", "fairness"}),
        ([window(), window(labelled=False)], set()),
        ([window(), window(rows=0, labelled=False)], {"drift", "missing", "contract"}),
    ],
)
def test_what_is_not_there_is_over_only_where_it_was_looked_for(
    windows: list[WindowResult], unknown: set[str], tmp_path: Path
) -> None:
    assert told(result(*windows), tmp_path) == dict.fromkeys(set(ALARMS) - unknown, "")


def test_performance_of_an_earlier_window_is_told(tmp_path: Path) -> None:
    found = told(result(window(ALARMS["performance"]), window(labelled=False)), tmp_path)
    assert "labels of 2030-01-01 to 2030-01-08" in found["performance"]


@pytest.mark.slow
@pytest.mark.parametrize(("alarms", "code"), [([], 0), ([ALARMS["drift"]], 3)])
def test_the_command_tells_programs(
    alarms: list[Alarm],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "pyproject.toml", "[tool.mlops]\n")
    write_text(PARAMS, made.params("binary", "linear").model_dump_json())
    monkeypatch.setattr(run, "run", lambda *_: result(window(*alarms)))
    monkeypatch.setattr("mlops.cli.monitor.trunk", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["mlops", "monitor", "prod", "--json"])
    monkeypatch.setattr(monitoring, "page", lambda _: "")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code or 0) == code
    found = json.loads(capsys.readouterr().out)
    assert found == read_json(MONITOR / "prod" / "result.json")
    assert [each["kind"] for each in found["windows"][0]["alarms"]] == ["drift"] * len(alarms)


def test_names_from_the_data_are_no_markup(tmp_path: Path) -> None:
    alarm = Alarm(Kind.DRIFT, "<img src=x>", "distance 0.5 (p 0; new: @ada [x](http://x) 7.8%)")
    found = told(result(window(alarm)), tmp_path)
    assert "<img" not in found["drift"]
    assert "@ada" not in found["drift"]
    assert "](" not in found["drift"]


def test_what_is_told_fits_into_an_issue(tmp_path: Path) -> None:
    many = [Alarm(Kind.DRIFT, f"column_{number}", "@" * 400) for number in range(300)]
    text = told(result(window(*many)), tmp_path)["drift"]
    assert 50_000 < len(text) <= problems.LONGEST + 10
    last, end = text.rstrip().rsplit("\n\n", 1)
    assert end == "…"
    assert last.count("&#64;") == 400 * len(last.splitlines())  # none is cut


# Retraining


@pytest.mark.parametrize(
    ("alarms", "retraining", "reason"),
    [
        (["drift", "performance"], Retraining(), "drift, performance in prod\n"),
        (["performance", "log"], Retraining(), "performance in prod\n"),
        (["drift", "performance"], Retraining(alarms=["drift"]), "drift in prod\n"),
        (["drift"], Retraining(alarms=[]), None),
        (["drift"], Retraining(environment="dev"), None),
        (["missing", "contract", "log", "feedback"], Retraining(), None),
        ([], Retraining(), None),
    ],
)
def test_why_to_retrain(
    alarms: list[str], retraining: Retraining, reason: str | None, tmp_path: Path
) -> None:
    told(result(window(*(ALARMS[name] for name in alarms))), tmp_path, retraining)
    file = tmp_path / "retrain"
    assert (file.read_text(encoding="utf-8") if file.exists() else None) == reason
