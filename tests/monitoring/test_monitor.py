"""`mlops monitor` and `mlops feedback`, on the log of a real server, whole and broken."""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from monitoring.conftest import Ask, Copied
from monitoring.logged import ASKED, balanced
from pipeline.running import each_task, one_line


def lines(text: str) -> list[str]:
    """Return the alarms on standard error."""
    return [line.removeprefix("error:").strip() for line in text.splitlines()]


@each_task
def test_rows_of_training_raise_nothing(logged: Ask, task: str) -> None:
    found = logged(task)
    done = found.monitor(is_drawn=True)
    assert f"{ASKED} rows" in done.stdout
    result = found.result
    assert balanced(result) == ASKED
    assert result["release"] == found.site.named("dev")
    last = result["windows"][-1]
    assert last["rows"] == ASKED
    assert last["alarms"] == last["violations"] == [] or last["violations"] == {}
    assert {"distance", "prediction"} <= last["columns"].keys()
    assert ("probability_true" in last["columns"]) == (task == "classification")
    assert (last["estimates"] != {} or result["notes"] != []) == (task == "classification")


def test_page_needs_nothing_else(logged: Ask) -> None:
    found = logged("classification")
    found.monitor(is_drawn=True)
    page = found.text("report.html")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == page.count("</svg>") > 10
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?://|<script|<link|url\(|@import", outside)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert "undefined" not in page
    assert len(found.text("report.md")) < 10_000


def test_what_drifts_is_named(own: Copied) -> None:
    found = own.logged
    found.change(own.log, 'data["distance"] *= 2; data.loc[data.index[::2], "carrier"] = "<b>|x"')
    done = found.monitor(log=own.log, code=3, is_drawn=True)
    told = [line for line in lines(done.stderr) if not line.startswith("contract:")]
    assert any(line.startswith("drift: distance:") for line in told)
    new = r"drift: carrier: 50\.\d% of the rows hold <b>\|x, never seen in the training rows"
    assert any(re.match(new, line) for line in told)
    assert all(re.match("drift: (distance|carrier):", line) for line in told)
    assert balanced(found.result) == ASKED
    assert "<b>" not in re.sub("<b>(drift|contract)</b>", "", found.text("report.html"))
    assert "| <code>distance</code> |" in found.text("report.md")


def test_values_that_go_missing_are_named(own: Copied) -> None:
    own.logged.change(own.log, 'data.loc[data.index[::3], "temp"] = np.nan')
    done = own.logged.monitor(log=own.log, code=3)
    assert [line.split(":")[:2] for line in lines(done.stderr)] == [["missing", " temp"]]


def test_other_predictions_are_drift(own: Copied) -> None:
    own.logged.change(own.log, 'data["probability_true"] **= 0.3')
    done = own.logged.monitor(log=own.log, code=3)
    assert [line.split(":")[:2] for line in lines(done.stderr)] == [["drift", " probability_true"]]


def test_ignored_columns_are_shown_and_raise_nothing(own: Copied, tmp_path: Path) -> None:
    found, params = own.logged, own.logged.site.project.folder / "params.yaml"
    before = params.read_text()
    try:
        found.site.project.set("params.yaml", monitoring__ignore=["seats"])
        found.change(own.log, 'data["seats"] = data["seats"] / 2 + 1')
        found.monitor(log=own.log)
        assert found.result["windows"][-1]["columns"]["seats"]["values"]["distance"] > 0.3
        found.site.project.set("params.yaml", monitoring__ignore=["seat"])
        assert "there is no column seat" in one_line(found.monitor(log=own.log, code=2))
    finally:
        params.write_text(before)


# What the contract says


def test_column_that_was_renamed_is_no_drift(own: Copied) -> None:
    """Rows with the old name and with the new one; what is left of the column is still judged."""
    found = own.logged
    found.change(own.log, 'data = data.rename(columns={"humid": "humidity"})')
    done = found.monitor(log=own.log, code=3, is_drawn=True)
    assert lines(done.stderr) == [f"contract: humid: not in the log: {ASKED} of {ASKED} rows"]
    assert found.result["account"]["unknown"] == {"humidity": ASKED}
    assert "humidity" in found.text("report.html")
    assert balanced(found.result) == ASKED


def test_values_that_the_contract_forbids(own: Copied) -> None:
    found = own.logged
    found.change(own.log, 'data["origin"] = "XXX"; data.loc[data.index[:1], "hour"] = 24')
    told = lines(found.monitor(log=own.log, code=3).stderr)
    assert f"contract: origin: not among `allowed`: {ASKED} of {ASKED} rows" in told
    assert any(line.startswith("contract: hour: not in `range`:") for line in told)


def test_column_of_another_type(own: Copied) -> None:
    found = own.logged
    found.change(own.log, 'data["seats"] = data["seats"].map(lambda x: f"{x} seats")')
    told = lines(found.monitor(log=own.log, code=3).stderr)
    assert any(line.startswith("contract: seats: not numeric:") for line in told)


# Files and time


def test_file_that_is_cut_off(own: Copied) -> None:
    found = own.logged
    path = max(own.log.glob("*/*.parquet"), key=lambda each: each.stat().st_size)
    lost = found.count(own.log)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (path.parent / "235959-x-000000.parquet").write_bytes(b"")
    (path.parent / "235959-y-000000.parquet").write_text("no Parquet")
    done = found.monitor(log=own.log, code=3)
    broken = [line for line in lines(done.stderr) if line.startswith("log: ")]
    assert len(broken) == 3
    assert any(path.name in line for line in broken)
    assert 0 < balanced(found.result) < lost
    assert len(found.result["account"]["broken"]) == 3


def test_page_that_is_damaged_within_a_file(own: Copied) -> None:
    """The end of the file is there, so that it looks whole."""
    found = own.logged
    path = max(own.log.glob("*/*.parquet"), key=lambda each: each.stat().st_size)
    content = bytearray(path.read_bytes())
    content[100 : len(content) // 2] = bytes(len(content) // 2 - 100)
    path.write_bytes(content)
    told = lines(found.monitor(log=own.log, code=3).stderr)
    assert any(line.startswith("log: ") and path.name in line for line in told)
    assert balanced(found.result) < ASKED


def test_rows_that_are_there_twice_count_once(own: Copied) -> None:
    found = own.logged
    for path in [*own.log.glob("*/*.parquet")]:
        shutil.copy(path, path.with_name(f"235959-copy-{path.stem[-6:]}.parquet"))
    done = found.monitor(log=own.log, code=3)
    assert f"{ASKED:,} of {2 * ASKED:,} rows are not counted, because they repeat" in done.stderr
    assert balanced(found.result) == 2 * ASKED
    assert found.result["account"]["duplicates"] == ASKED
    assert found.result["windows"][-1]["rows"] == ASKED


def test_rows_of_other_releases_are_left_out(own: Copied) -> None:
    found = own.logged
    found.change(own.log, 'data.loc[data.index[::2], "_release"] = "other"')
    found.monitor(log=own.log)
    others = found.result["account"]["others"]
    assert others.keys() == {"other"}
    assert balanced(found.result) == ASKED
    assert "there is no such release" in one_line(found.monitor("--release=other", code=2))


def test_month_without_traffic(logged: Ask) -> None:
    found = logged("classification")
    done = found.monitor("--from=2030-01-01", "--to=2030-02-01")
    assert "fewer than 200 rows: drift is not judged" in done.stdout
    assert [each["rows"] for each in found.result["windows"]] == [0] * 5
    assert "Too few rows" in found.text("report.md")
    assert "is not before" in one_line(
        found.monitor("--from=2030-01-01", "--to=2030-01-01", code=2)
    )


def test_rows_out_of_order_are_each_in_their_window(own: Copied) -> None:
    """A week apart, files and rows in any order."""
    found = own.logged
    begun = min(each.name for each in own.log.iterdir())
    before = f"{date.fromisoformat(begun) - timedelta(days=7)}"
    shutil.copytree(own.log / begun, own.log / before)
    early = f'"{before}" in str(path)'
    found.change(
        own.log,
        f"early = {early}; data['_time'] -= pd.Timedelta(days=7 * early); "
        "data['_request'] += '-early' * early; data = data.sample(frac=1, random_state=0)",
    )
    found.monitor(log=own.log)
    last = [each["rows"] for each in found.result["windows"]][-2:]
    assert last == [ASKED, ASKED]
    assert balanced(found.result) == 2 * ASKED


def test_clock_that_jumped(own: Copied) -> None:
    """Rows more than a day off their file are of its time: in one window, and told."""
    found = own.logged
    found.change(own.log, 'data.loc[data.index[::2], "_time"] += pd.Timedelta(days=40)')
    found.monitor(log=own.log, is_drawn=True)
    result = found.result
    assert balanced(result) == ASKED
    assert result["windows"][-1]["rows"] == ASKED
    assert 0 < result["account"]["misdated"] < ASKED
    assert "a clock jumped" in found.text("report.html")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("nowhere", "there is no prediction log"),
        ("nosuch://log", "nosuch://log"),
        ("s3://bucket/log", "s3"),
        ("http://127.0.0.1:9/log", "http://127.0.0.1:9/log"),
    ],
)
def test_store_that_is_down(logged: Ask, log: str, said: str) -> None:
    assert said in one_line(logged("classification").monitor(log=log, code=2))


def test_environment_without_a_release_or_a_log(logged: Ask) -> None:
    found = logged("classification")
    assert "prod has no release yet" in one_line(found.site.mlops("monitor", "prod", code=2))
    assert "there is no environment" in one_line(found.site.mlops("monitor", "nowhere", code=2))


def test_folder_that_holds_something_else_is_not_replaced(logged: Ask, tmp_path: Path) -> None:
    found = logged("classification")
    (tmp_path / "precious").touch()
    done = found.monitor(f"--output={tmp_path}", code=2)
    assert "holds something else" in one_line(done)
    assert (tmp_path / "precious").exists()
    found.monitor(f"--output={tmp_path / 'new'}")
    found.monitor(f"--output={tmp_path / 'new'}", is_drawn=True)  # its own it may
    names = {each.name for each in (tmp_path / "new").iterdir()}
    assert names == {"problems", "report.html", "report.md", "result.json"}


# Feedback


def test_labels_make_performance(own: Copied, tmp_path: Path) -> None:
    found = own.logged
    done = found.feedback(found.csv(tmp_path / "labels.csv", found.labels), own.log)
    assert f"{ASKED} labels" in done.stdout
    found.monitor(log=own.log)
    last = found.result["windows"][-1]
    assert last["labelled"] == ASKED
    live = last["metrics"]["roc_auc"]["live"]
    assert live["low"] < live["value"] < live["high"]
    assert last["metrics"]["roc_auc"]["test"]["value"] == pytest.approx(
        found.site.project.read("reports/metrics.json")["roc_auc"], abs=1e-5
    )
    assert last["slices"]["origin"].keys() <= {"EWR", "JFK", "LGA"}
    assert "roc_auc" in found.text("report.md")


def test_model_that_got_worse_raises_an_alarm(own: Copied, tmp_path: Path) -> None:
    found = own.logged
    wrong = [(request, row, not target) for request, row, target in found.labels]
    found.feedback(found.csv(tmp_path / "labels.csv", wrong), own.log)
    told = lines(found.monitor(log=own.log, code=3).stderr)
    assert [line.split(":")[:2] for line in told] == [["performance", " roc_auc"]]


def test_feedback_twice_late_and_out_of_order(own: Copied, tmp_path: Path) -> None:
    """The label imported last wins; what is imported again changes nothing."""
    found, half = own.logged, ASKED // 2
    early = tmp_path / "early"  # the log comes after its labels
    early.mkdir()
    wrong = [(request, row, not target) for request, row, target in found.labels[:half]]
    first = found.csv(tmp_path / "first.csv", [*wrong[::-1], *wrong[:5]])
    assert "5 lines repeat another" in found.feedback(first, early).stdout
    assert "known already" in found.feedback(first, early).stdout
    unknown = [("never-asked", i, True) for i in range(7)]
    second = found.csv(tmp_path / "second.csv", [*found.labels, *unknown])
    found.feedback(second, early)
    shutil.copytree(own.log, early, dirs_exist_ok=True)
    found.monitor(log=early)
    known = found.result["feedback"]
    assert known["labels"] == ASKED + 7
    assert known["matched"] == ASKED
    assert known["unmatched"] == 7
    assert known["changed"] == half
    right = found.result["windows"][-1]["metrics"]
    found.feedback(found.csv(tmp_path / "labels.csv", found.labels), own.log)
    found.monitor(log=own.log)
    assert found.result["windows"][-1]["metrics"] == right


def test_label_that_contradicts_itself(own: Copied, tmp_path: Path) -> None:
    found = own.logged
    request, row, target = found.labels[0]
    twice = found.csv(tmp_path / "twice.csv", [(request, row, not target), (request, row, target)])
    assert "0 lines repeat another; 1 contradict one" in found.feedback(twice, own.log).stdout


def test_labels_by_the_id_of_the_contract(own: Copied, tmp_path: Path) -> None:
    found = own.logged
    script = (
        "import sys, pandas as pd; d = pd.read_parquet('data/split/train.parquet');"
        "d[['flight_id', 'late']].to_parquet(sys.argv[1]); print('null')"
    )
    found.site.project.python(script, str(tmp_path / "ids.parquet"))
    found.feedback(tmp_path / "ids.parquet", own.log)
    found.monitor(log=own.log)
    assert found.result["windows"][-1]["labelled"] == ASKED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("request,row\na,0\n", "no column late"),
        ("late\ntrue\n", "no column request or flight_id"),
        ("request,late\na,perhaps\n", "row 1, late: 'perhaps' is no boolean"),
        ("request,row,late\na,x,true\n", "row 1, row: 'x' is no number"),
        ("", "the file is empty"),
    ],
)
def test_feedback_that_is_none(own: Copied, tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    assert said in one_line(own.logged.feedback(path, own.log, code=2))
    assert not (own.log / "feedback").exists()


def test_feedback_that_cannot_be_read_is_told(own: Copied, tmp_path: Path) -> None:
    found = own.logged
    found.feedback(found.csv(tmp_path / "labels.csv", found.labels), own.log)
    (path,) = (own.log / "feedback").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    told = lines(found.monitor(log=own.log, code=3).stderr)
    assert [line.split(":")[:2] for line in told] == [["feedback", f" {path.name}"]]
