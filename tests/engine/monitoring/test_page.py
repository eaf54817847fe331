"""The page of monitoring: each alarm with what helps, and nothing left out without a word."""

import re
from dataclasses import replace

import pytest

from mlops.monitoring.account import Account
from mlops.monitoring.alarms import of_window
from mlops.monitoring.result import (
    Alarm,
    ColumnResult,
    Feedback,
    Histogram,
    Kind,
    Measured,
    MetricResult,
    Result,
    Shift,
    WindowResult,
)
from mlops.report import monitoring
from mlops.report.advice import advice

YEARS = [1960.0 + 5 * step for step in range(11)]


def _shift(distance: float, p: float, new: dict[str, float], alarm: bool) -> Shift:
    return Shift(p, distance, 0.1, "chi-squared", {}, new, {}, alarm)


def _column(distance: float, alarm: bool = False) -> ColumnResult:
    picture = Histogram([], YEARS, [0.1] * 10, [0.05] * 8 + [0.3] * 2)
    shift = _shift(distance, 5e-16 if alarm else 0.2, {"ZZ": 0.5} if alarm else {}, alarm)
    return ColumnResult("numeric", False, False, 500, shift, None, 0.0, 0.0, picture)


def _metric(live: float, test: float, alarm: bool = False) -> MetricResult:
    now, before = (Measured(value, 0.01, value - 0.02, value + 0.02) for value in (live, test))
    return MetricResult(now, before, None, alarm)


def _window(day: int, rows: int, **found: object) -> WindowResult:
    start, end = (f"2030-01-{each:02}T00:00:00Z" for each in (day, day + 7))
    return WindowResult(start, end, rows, rows, rows < 200, **found)  # type: ignore[arg-type]


@pytest.fixture
def result() -> Result:
    columns = {f"year{i}": _column(0.01 * i) for i in range(18)} | {"carrier": _column(0.5, True)}
    last = _window(
        15,
        500,
        columns=columns,
        metrics={"roc_auc": _metric(0.55, 0.687, alarm=True), "log_loss": _metric(0.55, 0.5)},
        slices={
            "dest": {"XNA": _metric(0.69, 0.68)},
            "origin": {"JFK": _metric(0.6, 0.65), "LGA": _metric(0.5, 0.7)},
        },
    )
    return Result(
        environment="prod",
        release="r1",
        model="made@v1.0.0",
        commit="0" * 40,
        made="2030-01-22T00:00:00Z",
        log="log",
        reference_rows=(3000, 1500),
        settings={"minimum_rows": 200, "minimum_effect": 0.1, "false_alarms": 0.05},
        account=Account([0, 0, 500]),
        feedback=Feedback(0, 0, 0, 0, []),
        windows=[_window(1, 0), _window(8, 0), replace(last, alarms=[*of_window(last)])],
        notes=[],
        lower=["log_loss"],
        sliced="roc_auc",
    )


def test_alarms_are_sentences_with_commands(result: Result) -> None:
    drift, performance = map(str, result.alarms)
    assert drift == (
        "drift: carrier: 50.0% of the rows hold ZZ, never seen in the training rows; "
        "distance 0.50 from the training rows (p < 0.001)"
    )
    assert performance == (
        "performance: roc_auc: 0.550 live (0.530 to 0.570), and 0.687 on the test rows"
    )
    page, told = monitoring.page(result), monitoring.markdown(result)
    for command in ("mlops retrain --reason", "mlops rollback prod"):
        assert page.count(command) == told.count(command) == 2
    assert "2 alarms in prod" in page


@pytest.mark.parametrize("kind", Kind)
def test_something_helps_against_each_alarm(kind: Kind) -> None:
    found = advice(Alarm(kind, "name", "told"), "prod")
    assert found.look
    assert all(each.startswith("uv run mlops ") for each in found.commands)
    assert found.commands


def test_what_is_not_shown_is_counted_and_the_order_is_a_column(result: Result) -> None:
    page = monitoring.page(result)
    assert "12 of 19 columns shown" in page
    assert "No rows in 2 of 3 windows: 2030-01-01 to 2030-01-08, 2030-01-08 to" in page
    shown = [float(each) for each in re.findall(r"<td>([\d.]+)×</td>", page)]
    assert len(shown) == 19
    assert shown == sorted(shown, reverse=True)


def test_numbers_can_be_read(result: Result) -> None:
    page = monitoring.page(result)
    assert "<td>&lt; 0.001</td>" in page
    assert ">1960<" in page
    assert not re.search(r"\de[+-]\d", re.sub(r"<path[^>]*>", "", page))


def test_the_worst_slices_are_open(result: Result) -> None:
    page = monitoring.page(result)
    assert "<details open><summary>roc_auc by origin, worst first</summary>" in page
    assert "<details><summary>roc_auc by dest, worst first</summary>" in page
    assert page.index(">LGA<") < page.index(">JFK<")
    other = replace(result, lower=["roc_auc"])  # then the highest is the worst
    page = monitoring.page(other)
    assert "<details open><summary>roc_auc by dest" in page
    assert page.index(">JFK<") < page.index(">LGA<")
