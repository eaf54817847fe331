"""Monitoring whole: models of every task, their logs and labels, and the reports of them."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine import made
from engine.served import ESTIMATORS, write

from mlops.config.fairness import Parity
from mlops.data.contract import Contract
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.monitoring.log import Period
from mlops.monitoring.monitor import Monitor
from mlops.monitoring.reference import describe
from mlops.monitoring.result import Kind, Result
from mlops.monitoring.storage import Storage
from mlops.release.state import Release
from mlops.report import monitoring
from mlops.scoring.predict import answers

START = datetime(2030, 1, 1, tzinfo=UTC)
PERIOD = Period.of(START, START + timedelta(days=14), 7)
RELEASE = Release("r1", "0" * 40, "", "", "made@v1.0.0", "0" * 32)
Change = Callable[[pd.DataFrame], pd.DataFrame]


class Environment:
    """A model, what it was made of, and its log."""

    def __init__(self, what: str, folder: Path, **monitoring: Any) -> None:
        contract = monitoring.pop("contract", None)
        self.model = OnnxModel(write(what, folder / "model.onnx", contract))
        self.contract = Contract.parse(self.model.metadata["contract"])
        params = made.params(what, ESTIMATORS[what])
        how = params.monitoring.model_copy(update=monitoring)
        self.params = params.model_copy(update={"monitoring": how})
        self.storage = Storage(str(folder / "log"))
        self.what = what

    def log(self, day: float, count: int, change: Change = lambda rows: rows) -> None:
        """Log rows of a day, and what is true of them."""
        rows = change(made.rows(self.what, count, seed=int(day) + 10))
        moment = START + timedelta(days=day)
        about = {
            "_time": pa.array([moment] * count, pa.timestamp("us", "UTC")),
            "_request": pa.array([f"{day}-{i}" for i in range(count)]),
            "_row": pa.array([0] * count),
            "_release": pa.array(["r1"] * count),
        }
        inputs = pa.Table.from_pandas(rows[self.contract.features], preserve_index=False)
        told = {name: inputs[name] for name in inputs.column_names}
        table = pa.table({**about, **told, **answers(self.model, self.contract, rows)})
        self.storage.write(f"{moment:%Y-%m-%d/%H%M%S}-a-000000.parquet", table)
        if self.contract.target:
            labels = {n: about[n] for n in ("_request", "_row")}
            labels[self.contract.target] = pa.array(rows[self.contract.target], from_pandas=True)
            self.storage.write(f"feedback/{int(day) + 1:06d}-x.parquet", pa.table(labels))

    def monitor(self) -> Result:
        """Monitor it."""
        train, test = made.rows(self.what, 3000, seed=1), made.rows(self.what, 1500, seed=3)
        reference = describe(RELEASE, self.params, self.model, train, test)
        return Monitor(reference, self.params).run("prod", self.storage, PERIOD)


@pytest.mark.slow
@pytest.mark.parametrize("what", ESTIMATORS)
def test_quiet_windows_of_every_task(what: str, tmp_path: Path) -> None:
    environment = Environment(what, tmp_path)
    environment.log(1, 500)
    environment.log(8, 500)
    result = environment.monitor()
    assert [each.alarms for each in result.windows] == [[], []]
    assert [each.violations for each in result.windows] == [{}, {}]
    last = result.last
    assert last.columns.keys() >= {*environment.contract.features, "prediction"}
    assert bool(last.metrics) == (what != "clustering")
    assert bool(last.estimates or result.notes) == (made.task(what) == "classification")
    assert bool(last.slices) == (what != "clustering")
    monitoring.write(result, tmp_path / "report")
    told = json.loads((tmp_path / "report/result.json").read_text())
    assert told["windows"][-1]["rows"] == 500


@pytest.mark.slow
@pytest.mark.parametrize("what", ["binary", "multiclass", "regression"])
def test_truth_that_changed_is_a_matter_of_performance_alone(what: str, tmp_path: Path) -> None:
    environment = Environment(what, tmp_path)
    target = str(environment.contract.target)

    def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(**{target: rows[target].sample(frac=1, random_state=0).to_numpy()})

    environment.log(1, 500)
    environment.log(8, 500, shuffled)
    first, last = environment.monitor().windows
    assert first.alarms == []
    assert [each.kind for each in last.alarms] == [Kind.PERFORMANCE]


def test_input_that_moved_is_found_and_so_is_what_the_model_says(tmp_path: Path) -> None:
    environment = Environment("regression", tmp_path)
    environment.log(8, 500, lambda rows: rows.assign(size=rows["size"] + 3))
    alarms = environment.monitor().last.alarms
    assert {each.name for each in alarms} >= {"size", "prediction"}


def test_few_rows_are_not_judged(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path)
    environment.log(8, 199, lambda rows: rows.assign(size=100.0))
    result = environment.monitor()
    assert result.last.too_few
    assert result.last.alarms == []
    assert any("fewer than 200 rows" in line for line in monitoring.summary(result))


@pytest.mark.slow
def test_categories_that_training_never_saw_are_counted(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path)

    def some_new(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(colour=np.where(np.arange(len(rows)) < 7, "mauve", rows["colour"]))

    environment.log(1, 500)
    environment.log(8, 500, some_new)
    result = environment.monitor()
    assert [each.unknown for each in result.windows] == [{}, {"colour": 7}]
    line = "7 of 500 rows hold a colour that training never saw"
    assert line in [*monitoring.summary(result)]
    assert line in monitoring.page(result)
    assert line in monitoring.markdown(result)


def test_redacted_columns_are_not_watched(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path, contract={"noise": {"redact": True}})
    environment.log(8, 500, lambda rows: rows.assign(noise=np.nan))
    last = environment.monitor().last
    assert "noise" not in last.columns
    assert not any("noise" in str(each) for each in last.alarms)


def test_unknown_column_to_ignore_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"monitoring\.ignore: there is no column nothing"):
        Environment("binary", tmp_path, ignore=["nothing"]).monitor()


# Seasons


class Sized:
    """In place of a model: it says what size is. Its contract may have a column of time."""

    def __init__(self, time: bool) -> None:
        columns = {
            "size": {"kind": "numeric", "role": "feature"},
            "cost": {"kind": "numeric", "role": "target"},
        }
        if time:
            columns["when"] = {"kind": "datetime", "role": "time"}
        self.metadata = {"contract": {"columns": columns}}

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs."""
        return {"prediction": columns["size"]}


@pytest.mark.parametrize(("time", "size", "alarms"), [(0, 2, 1), (1, 2, 0), (1, 9, 1)])
def test_weeks_as_the_reference_had_them_are_nothing_new(
    time: bool, size: float, alarms: int, tmp_path: Path
) -> None:
    """Size is another each week, up to 3; so a week of size 2 is drift only if that is unknown."""
    rng, weeks = np.random.default_rng(0), np.repeat(np.arange(30), 300)
    rows = pd.DataFrame({"size": 3 * np.sin(weeks) + rng.normal(0, 0.5, len(weeks))})
    rows["cost"] = rows["size"]
    rows["when"] = pd.Timestamp("2029-01-01") + pd.to_timedelta(weeks * 7, unit="D")
    params = made.params("regression", "forest")
    model: Any = Sized(bool(time))
    storage = Storage(str(tmp_path))
    table = {
        "_time": pa.array([START + timedelta(days=8)] * 300, pa.timestamp("us", "UTC")),
        "_request": [str(i) for i in range(300)],
        "_row": [0] * 300,
        "_release": ["r1"] * 300,
        "size": rng.normal(size, 0.5, 300),
    }
    storage.write("a.parquet", pa.table({**table, "prediction": table["size"]}))
    known = Monitor(describe(RELEASE, params, model, rows, rows), params)
    found = known.run("prod", storage, PERIOD).last.alarms
    assert len([each for each in found if (each.kind, each.name) == (Kind.DRIFT, "size")]) == alarms


# The page


@pytest.mark.slow
def test_page_says_what_was_logged_and_does_not_do_it(tmp_path: Path) -> None:
    """Categories come from whoever asks."""
    environment = Environment("binary", tmp_path)
    hostile = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]>{{ 7*7 }}"]
    environment.log(8, 500, lambda rows: rows.assign(colour=np.resize(hostile, len(rows))))
    result = environment.monitor()
    page, told = monitoring.page(result), monitoring.markdown(result)
    assert not re.search(r"<(script|img)", page + told)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "7*7" in page


def test_page_without_anything(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path)
    environment.log(-0.5, 10)
    result = environment.monitor()
    assert "Too few rows" in monitoring.page(result)
    assert result.account.elsewhere == 10


@pytest.mark.slow
def test_least_distance_of_zero(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path, minimum_effect=0.0)
    environment.log(8, 500)
    assert "<svg" in monitoring.page(environment.monitor())


def test_result_holds_all_that_the_reports_tell(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path)
    environment.log(8, 500, lambda rows: rows.assign(size=rows["size"] * 5))
    result = environment.monitor()
    told = asdict(result)
    assert told["windows"][-1]["columns"]["size"]["values"]["alarm"]
    for alarm in result.last.alarms:
        assert f"- {alarm.kind}: {alarm.name}: " in monitoring.markdown(result)


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    """A slice is not in one, numbers are wider in another, and one lacks what the model said."""
    environment = Environment("binary", tmp_path)
    changes: list[Callable[[pa.Table], pa.Table]] = [
        lambda table: table.drop_columns(["rank"]),
        lambda table: table.drop_columns(["probability_true"]),
        lambda table: table.set_column(
            table.column_names.index("rank"), "rank", table["rank"].cast(pa.int64())
        ),
    ]
    for day, change in zip((8, 9, 10), changes, strict=True):
        environment.log(day, 300)
        name = f"{START + timedelta(days=day):%Y-%m-%d/%H%M%S}-a-000000.parquet"
        environment.storage.write(name, change(environment.storage.open(name).read()))
    result = environment.monitor()
    assert result.last.rows == 900
    assert result.last.violations == {
        "rank": {"not in the log": 300},
        "probability_true": {"not in the log": 300},
    }
    assert result.last.labelled == 600
    assert result.last.slices["rank"]


def test_model_whose_answers_are_not_in_the_log(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path)
    environment.log(8, 300)
    (name,) = [n for n in environment.storage.names() or [] if not n.startswith("feedback/")]
    table = environment.storage.open(name).read()
    environment.storage.write(name, table.drop_columns(["prediction"]))
    last = environment.monitor().last
    assert last.violations == {"prediction": {"not in the log": 300}}
    assert (last.labelled, last.metrics, last.estimates) == (0, {}, {})


@pytest.mark.slow
def test_labels_come_later_than_their_rows(tmp_path: Path) -> None:
    """The newest window with enough of them is judged for performance, whatever is newer."""
    environment = Environment("binary", tmp_path)
    environment.log(1, 500, lambda rows: rows.assign(large=~rows["large"]))
    environment.log(8, 500)
    for path in (tmp_path / "log/feedback").glob("000009-*"):
        path.unlink()
    result = environment.monitor()
    assert result.last.alarms == []
    assert result.measured is result.windows[0]
    (alarm,) = result.alarms
    assert alarm.kind is Kind.PERFORMANCE
    assert alarm.told.endswith("; labels of 2030-01-01 to 2030-01-08")
    assert len(result.measured.metrics) > 1
    assert result.measured.slices
    assert "From the newest window with enough labels" in monitoring.page(result)


@pytest.mark.slow
def test_categories_that_cannot_be_drawn_hold_nothing_up(tmp_path: Path) -> None:
    """A terminal's escape, what is no character, and two million of them."""
    environment = Environment("binary", tmp_path)
    names = ["\x1b[31m", "\ufffe", "::error::gone"]
    colours = ["x" * 2_000_000, *(names[i % 3] for i in range(499))]
    environment.log(1, 500)
    environment.log(8, 500, change=lambda rows: rows.assign(colour=colours))
    result = environment.monitor()
    assert result.alarms
    assert all(str(alarm).isprintable() and len(str(alarm)) < 1000 for alarm in result.alarms)
    assert monitoring.draw(result, tmp_path / "report.html") is None
    page = (tmp_path / "report.html").read_text()
    assert "\x1b" not in page
    assert len(page) < 1_000_000


def test_pictures_that_cannot_be_drawn_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment("binary", tmp_path)
    environment.log(1, 500)
    result = environment.monitor()
    monkeypatch.setattr(monitoring, "DRAW_SECONDS", 0)
    told = monitoring.draw(result, tmp_path / "report.html")
    assert told == "the page with pictures could not be drawn: it takes too long"
    assert not (tmp_path / "report.html").exists()


PROTECTED = {"colour": {"role": ["feature", "sensitive"]}}


@pytest.mark.slow
def test_groups_that_the_model_treats_less_alike_raise_an_alarm(tmp_path: Path) -> None:
    """What was fair in training drifts: large ones are red now, and small ones are not."""
    environment = Environment("binary", tmp_path, contract=PROTECTED)
    parity = {"selection_rate": Parity(difference=0.3)}
    environment.params = environment.params.model_copy(update={"fairness": parity})

    def biased(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(colour=np.where(rows["size"] > 0, "red", "blue"))

    environment.log(1, 600)
    environment.log(8, 600, biased)
    result = environment.monitor()
    quiet, last = result.windows
    assert quiet.fairness["colour"]["selection_rate"].difference.low < 0.3
    assert quiet.unfair == []
    (alarm,) = [each for each in last.alarms if each.kind is Kind.FAIRNESS]
    assert str(alarm).startswith("fairness: colour: selection_rate by colour: blue ")
    assert str(alarm).endswith("apart, 0.3 allowed")
    assert alarm in result.alarms
    monitoring.write(result, tmp_path / "report")
    told = (tmp_path / "report/report.md").read_text()
    assert "groups by colour" in told
    assert "Groups by colour" in monitoring.page(result)


def test_groups_that_the_log_does_not_have_are_not_judged(tmp_path: Path) -> None:
    environment = Environment("binary", tmp_path, contract=PROTECTED)
    parity = {"selection_rate": Parity(difference=0.3)}
    environment.params = environment.params.model_copy(update={"fairness": parity})
    environment.log(8, 600)
    (file,) = (tmp_path / "log").rglob("*-a-*.parquet")
    pq.write_table(pq.read_table(file).drop_columns("colour"), file)
    result = environment.monitor()
    assert (result.last.fairness, result.last.unfair) == ({}, [])
    assert result.last.metrics
