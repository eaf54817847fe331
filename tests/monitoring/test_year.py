"""A year in production: months in order through a real server, alarms, retraining that helps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from statistics import fmean

import pytest
from bench.measuring import LIGHT
from monitoring import year as bench
from monitoring.year import LESS, QUICK, STARTS, Help, Sizes, Year, lived, page, picture
from pipeline.running import Reproduced

# Retraining is what all of it costs most: there is a month of rest after one.
WHOLE = Sizes(params=LESS | {"retraining__cool_down_days": 45})

COUNT = """
import json, sys
import pyarrow.parquet as pq
print(json.dumps([pq.read_metadata(path).num_rows for path in sys.argv[1:]]))
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(QUICK, id="three-months"),
        pytest.param(WHOLE, marks=pytest.mark.long, id="year"),
    ],
)
def year(
    started: Reproduced, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Year]:
    """Three months of the year, as `--quick` lives them, or all of it."""
    folder = tmp_path_factory.mktemp("year")
    project = started("classification").copy(folder / "project")
    with lived(project, folder, request.param) as found:
        yield found


@pytest.fixture(scope="module")
def without(year: Year) -> dict[str, float]:
    """How good the first model is, month by month."""
    return year.without()


def test_every_row_counts_once_in_its_month_and_is_labelled(year: Year) -> None:
    assert [each.name for each in year.lived] == [*year.names]
    for month in year.lived:
        account, feedback = month.result["account"], month.result["feedback"]
        assert account["counted"] == [month.rows]
        assert account["duplicates"] == account["examples"] == account["misdated"] == 0
        assert account["others"] == account["unknown"] == {}
        assert account["broken"] == feedback["broken"] == []
        assert account["rows"] == month.rows + account["elsewhere"]
        assert month.window["labelled"] == feedback["matched"] == month.rows
    files = (str(year.months / f"{name}.parquet") for name in year.names)
    months = year.project.python(COUNT, *files)
    assert [month.rows for month in year.lived] == months
    assert feedback["labels"] == sum(months)


def test_what_git_named_answered(year: Year) -> None:
    for month in year.lived:
        assert month.answered == {month.release} == {month.result["release"]}
    for before, after in zip(year.lived, year.lived[1:], strict=False):
        assert (before.release != after.release) == before.better
    assert not [line for line in year.site.drift() if "prod" in line]


def test_alarms_start_retrainings_and_nothing_else_does(year: Year) -> None:
    assert any(month.alarms for month in year.lived)
    for month in year.lived:
        assert not [line for line in month.alarms if line.startswith(("log:", "feedback:"))]
        if month.retraining:
            assert any(line.startswith(STARTS) for line in month.alarms)


def test_better_model_is_judged_promoted_and_serves(year: Year) -> None:
    better = [month for month in year.lived if month.better]
    assert better
    served = {month.release for month in year.lived}
    assert len(served) == 1 + len(better)
    assert year.site.named("prod") == year.lived[-1].release
    commits = year.project.git("log", "--format=%s%n%b", "main")
    assert commits.count("Retrain on the data of") == len(better)
    for month in better:
        assert month.retraining
        assert month.retraining.said.startswith("Better: ")


def test_retraining_helps(year: Year, without: dict[str, float]) -> None:
    brought = year.help(without)
    assert fmean(brought.with_it) > fmean(brought.without)
    same = [month for month in year.lived if month.release == year.lived[0].release]
    for month in same:  # offline and live are one model on the same rows
        assert month.live["value"] == pytest.approx(without[month.name], abs=1e-4)


def test_help_is_said_with_its_intervals() -> None:
    """Of Student's t and Wilson, computed by hand."""
    brought = Help([0.70, 0.72, 0.69], [0.66, 0.70, 0.69])
    half = 4.302653 * 0.02 / math.sqrt(3)  # t for 2 degrees of freedom, standard deviation
    assert brought.gain().startswith("+0.020, ")
    assert brought.gain().endswith(f" of {0.02 - half:+.3f} to {0.02 + half:+.3f}")
    assert brought.share() == "2 of 3 months (21% to 94%)"


def test_page_and_picture_tell_each_month(year: Year, without: dict[str, float]) -> None:
    lines = page(year, without, minutes=3).splitlines()
    for month in year.lived:
        (line,) = [each for each in lines if each.startswith(f"| {month.name} ")]
        assert f"| {month.rows:,} | **{month.live['value']:.3f}** " in line
        assert line.endswith("| **better** |") == month.better
    spec = picture(year, without, LIGHT)
    assert len(spec["data"]["values"]) == 2 * len(year.names)
    assert len(spec["layer"][0]["data"]["values"]) == sum(month.better for month in year.lived)


def test_benchmark_comes_to_its_end(
    year: Year, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the months, which were lived for these tests."""
    monkeypatch.setattr(bench, "lived", lambda *_: nullcontext(year))
    bench.main(["--quick"])
    said = capsys.readouterr().out
    assert all(f"| {name} " in said for name in year.names)
