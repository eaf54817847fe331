"""Rules beyond a column: each is found broken, with its rows, by data that keeps every column's
keys, and kept by the same data once mended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mlops.data.contract import Contract, Violation
from mlops.errors import InputError
from mlops.pipeline.validate import check

TAKEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS: dict[str, dict[str, Any]] = {
    "id": {"kind": "categorical", "role": "id", "nullable": True},
    "day": {"kind": "datetime", "role": "time", "nullable": True},
    "month": {"kind": "numeric", "role": "feature"},
    "carrier": {"kind": "categorical", "role": "feature", "nullable": True},
    "late": {"kind": "boolean", "role": "target"},
}
ROWS = pd.DataFrame(
    {
        "id": ["1", "2", "3", "4", None, None],
        "day": ["2026-02-01", "2026-02-02", "2026-02-27", None, "2026-01-31", "2026-02-03"],
        "month": [2, 2, 2, 5, 1, 2],
        "carrier": ["UA", "AA", "UA", "007", None, "AA"],
        "late": [True, False, False, False, True, False],
    }
)


def _contract(**rules: Any) -> Contract:
    return Contract.model_validate({"columns": COLUMNS, "rules": rules})


def _check(data: pd.DataFrame, **rules: Any) -> list[Violation]:
    return check(data, _contract(**rules), TAKEN)


def _changed(column: str, row: int, value: Any) -> pd.DataFrame:
    data = ROWS.copy()
    data.loc[row - 1, column] = value
    return data


BROKEN: list[tuple[dict[str, Any], pd.DataFrame, Violation]] = [
    (
        {"rows": [6, None]},
        ROWS.head(5),
        Violation("(rows)", "at least 6 rows", 5, [], "5 rows"),
    ),
    (
        {"rows": [None, 6]},
        pd.concat([ROWS, ROWS]),
        Violation("(rows)", "at most 6 rows", 12, [], "12 rows"),
    ),
    (
        {"unique": ["id"]},
        _changed("id", 4, "2"),
        Violation("id", "unique", 1, [(4, "2")]),
    ),
    (
        {"unique": [["carrier", "day"]]},
        _changed("day", 6, "2026-02-02T00:00"),
        Violation("carrier, day", "unique", 1, [(6, "carrier=AA, day=2026-02-02 00:00:00")]),
    ),
    (
        {"each_row": ["month == month(day)"]},
        _changed("month", 5, 2),
        Violation(
            "month, day",
            "month == month(day)",
            1,
            [(5, "month=2, day=2026-01-31 00:00:00")],
        ),
    ),
    (
        {"freshness": {"day": 2.5}},
        _changed("day", 3, "2026-02-26T23:00"),
        Violation(
            "day",
            "at most 2.5 days older than the snapshot",
            6,
            [],
            "newest 2026-02-26 23:00:00, snapshot of 2026-03-01 12:00:00",
        ),
    ),
    (
        {"shares": [{"of": "late", "within": [0.1, 0.4]}]},
        _changed("late", 2, True),
        Violation("late", "share of late at least 0.1 and at most 0.4", 3, [], "it is 0.5"),
    ),
    (
        {"shares": [{"of": "carrier is missing", "within": [None, 0.2]}]},
        _changed("carrier", 2, None),
        Violation("carrier", "share of carrier is missing at most 0.2", 2, [], "it is 0.333333"),
    ),
    (
        {"quantiles": [{"of": "month", "at": 0.5, "within": [2, 2]}]},
        ROWS.assign(month=[1, 1, 1, 5, 1, 2]),
        Violation("month", "quantile 0.5 of month at least 2 and at most 2", 6, [], "it is 1"),
    ),
]


@pytest.mark.parametrize(("rules", "data", "violation"), BROKEN)
def test_each_rule(rules: dict[str, Any], data: pd.DataFrame, violation: Violation) -> None:
    assert _check(data, **rules) == [violation]
    assert _check(ROWS, **rules) == []


def test_thousands_of_repeated_ids_are_counted() -> None:
    rng = np.random.default_rng(0)
    data = pd.concat([ROWS.tail(1)] * 8000, ignore_index=True)
    ids = rng.permutation(np.arange(8000))
    ids[3000:] = rng.choice(ids[:3000], 5000)
    (found,) = _check(data.assign(id=ids), unique=["id"])
    assert (found.count, found.rows[0][0]) == (5000, 3001)


def test_as_old_as_it_was_when_it_was_taken() -> None:
    """The same data, read again a year later, says the same."""
    newest = TAKEN.replace(tzinfo=None) - timedelta(days=2)
    data = _changed("day", 3, newest.isoformat())
    assert _check(data, freshness={"day": 2}) == []
    late = check(data, _contract(freshness={"day": 2}), TAKEN + timedelta(microseconds=1))
    assert [each.rule for each in late] == ["at most 2 days older than the snapshot"]


def test_without_a_value_there_is_nothing_within_bounds() -> None:
    data = ROWS.assign(day=None)
    assert [each.found for each in _check(data, freshness={"day": 2})] == [
        "newest NaT, snapshot of 2026-03-01 12:00:00"
    ]
    late = [{"of": "length(carrier)", "at": 1, "within": [0, 9]}]
    found = _check(ROWS.assign(carrier=None), quantiles=late)
    assert [each.found for each in found] == ["no value"]


def test_a_part_of_a_snapshot_keeps_what_the_whole_keeps() -> None:
    rules = {"rows": [6, None], "shares": [{"of": "late", "within": [0.3, 0.4]}], "unique": ["id"]}
    assert check(ROWS.head(2), _contract(**rules)) == []


@pytest.mark.parametrize(
    ("text", "column"),
    [("carrier\nUA\nAA\n007\n", None), ("name,code\nx,UA\ny,AA\nz,007\nz,007\n", "code")],
)
def test_references_are_read_as_the_column_is(
    text: str, column: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("known.csv").write_text(text)
    rules = {"references": {"carrier": {"file": "known.csv", "column": column}}}
    assert _check(ROWS, **rules) == []
    (found,) = _check(_changed("carrier", 4, "7"), **rules)
    assert found == Violation("carrier", "in known.csv", 1, [(4, "7")])
    with pytest.raises(InputError, match=r"references.month: known.csv has no column month; it"):
        _check(ROWS, references={"month": {"file": "known.csv"}})
    with pytest.raises(InputError, match=r"rules.references.carrier: gone.csv: no such file"):
        _check(ROWS, references={"carrier": {"file": "gone.csv"}})


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"unique": ["id", ["id", "no"]]}, "contract.yaml: rules.unique.1: .* no column no; it"),
        ({"freshness": {"no": 1}}, "rules.freshness: the contract has no column no"),
        ({"freshness": {"id": 1}}, "rules.freshness: id is categorical, and must be a datetime"),
        ({"references": {"no": {"file": "a.csv"}}}, "rules.references.no: the contract has no"),
        ({"shares": [{"of": "month", "within": [0, 1]}]}, "rules.shares.0.of: `month`: is a num"),
        ({"quantiles": [{"of": "late", "at": 0, "within": [0, 1]}]}, "rules.quantiles.0.of: "),
    ],
)
def test_a_rule_that_makes_no_sense_is_a_line(rules: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        _check(ROWS, **rules)


@pytest.mark.parametrize(
    "rules",
    [
        {"rows": [10, 5]},
        {"rows": [None, None]},
        {"rows": [-1, None]},
        {"unique": [[]]},
        {"each_row": ["x" * 1001]},
        {"freshness": {"day": 0}},
        {"shares": [{"of": "late", "within": [0, 1.5]}]},
        {"quantiles": [{"of": "month", "at": 2, "within": [0, 1]}]},
        {"no_such": 1},
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_contract(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="rules"):
        _contract(**rules)
