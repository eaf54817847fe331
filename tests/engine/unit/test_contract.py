"""contract.yaml: what is right is read, what is wrong is told; data takes the types it names."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made

from mlops.data.contract import conform, load_contract, unreadable
from mlops.errors import InputError

FEATURE = "x: {kind: numeric, role: feature}"


def _written(folder: Path, *columns: str) -> Path:
    path = folder / "contract.yaml"
    path.write_text("\n  ".join(["columns:", *columns]), encoding="utf-8")
    return path


def _typed(values: Any, **column: Any) -> list[Any]:
    """`values` as a column of the contract has them, missing ones as None."""
    contract = made.contract_of({"x": {"role": "slice", **column}, "f": made.COLUMNS["noise"]})
    found = conform(pd.DataFrame({"x": values, "f": 0}), contract)["x"]
    return [None if pd.isna(value) else value for value in found]


def test_what_is_right_is_read(tmp_path: Path) -> None:
    contract = load_contract(
        _written(
            tmp_path,
            "when: {kind: datetime, role: time, range: [2013-01-01, null], format: '%d.%m.%Y'}",
            "b: {kind: numeric, role: [feature, slice], range: [-1, 2.5], nullable: true}",
            "a (%): {kind: categorical, role: feature, allowed: ['NO', '1']}",
            "y: {kind: boolean, role: target, description: what is to be told}",
        )
    )
    assert contract.features == ["b", "a (%)"]
    assert (contract.target, contract.time) == ("y", "when")
    assert contract.with_role("slice") == ["b"]
    assert contract.columns["when"].range == [dt.datetime(2013, 1, 1), None]
    assert [*contract.only(["y", "b"]).columns] == ["b", "y"]


def test_a_contract_without_target_and_time(tmp_path: Path) -> None:
    contract = load_contract(_written(tmp_path, FEATURE))
    assert (contract.target, contract.time) == (None, None)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (["a: {kind: number, role: feature}"], "columns.a.kind: input should be 'numeric', "),
        (["a: {kind: numeric, role: input}"], "columns.a.role.0: input should be 'feature', "),
        (["a: {kind: numeric, role: []}"], "columns.a.role: "),
        (["a: {role: feature}"], "columns.a.kind: this key is missing"),
        (["a: {kind: numeric, role: feature, rang: [0, 1]}"], "columns.a.rang: unknown key"),
        (["a: {kind: numeric, role: feature, nullable: 1}"], "columns.a.nullable: "),
        (["a: {kind: numeric, role: feature, range: [2, 1]}"], "columns.a: `range` is the wrong"),
        (["a: {kind: numeric, role: feature, range: [1]}"], "columns.a.range: "),
        (["a: {kind: boolean, role: feature, range: [0, 1]}"], "columns.a: `range` is numbers"),
        (["a: {kind: numeric, role: id, range: [2013-01-01, null]}"], "columns.a: `range` is num"),
        (["a: {kind: datetime, role: id, range: [1, null]}"], "columns.a: `range` is numbers"),
        (["a: {kind: datetime, role: id, range: [1, 2013-01-01]}"], "columns.a: `range` is"),
        (["a: {kind: numeric, role: feature, allowed: [a]}"], "columns.a: `allowed` is for cat"),
        (["a: {kind: categorical, role: feature, allowed: [1]}"], "columns.a.allowed.0: "),
        (["a: {kind: categorical, role: id, format: '%Y'}"], "columns.a: `format` is for"),
        (["a: {kind: datetime, role: target}"], "columns.a: a datetime cannot be the target"),
        (["a: {kind: numeric, role: time}"], "columns.a: a column with role time must be of"),
        (["a: {kind: numeric, role: [feature, target]}"], "columns.a: a column cannot be feat"),
        (["a: {kind: numeric, role: target}", "b: {kind: numeric, role: target}"], "columns: only"),
        (["a: {kind: numeric, role: target}"], "columns: at least one must have role feature"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, columns: list[str], line: str) -> None:
    rest = [FEATURE] if "role: target" not in columns[-1] else []
    path = _written(tmp_path, *columns, *rest)
    with pytest.raises(InputError) as refused:
        load_contract(path)
    assert str(refused.value).splitlines()[0].startswith(f"{path}: {line}")


@pytest.mark.parametrize(
    ("task", "kind", "suits"),
    [
        ("classification", "boolean", True),
        ("classification", "categorical", True),
        ("classification", "numeric", False),
        ("classification", None, False),
        ("regression", "numeric", True),
        ("regression", "boolean", False),
        ("regression", None, False),
        ("clustering", None, True),
        ("clustering", "numeric", False),
    ],
)
def test_the_target_suits_the_task(task: Any, kind: str | None, suits: bool) -> None:
    target = {"y": {"kind": kind, "role": "target"}} if kind else {}
    contract = made.contract_of({"x": made.COLUMNS["noise"], **target})
    if suits:
        contract.check_task(task)
    else:
        with pytest.raises(InputError, match=rf"contract\.yaml: task {task} of params\.yaml needs"):
            contract.check_task(task)


def test_columns_come_in_the_order_of_the_contract() -> None:
    data = pd.DataFrame({"other": [1], "noise": [2], "size": [3]}, index=[7])
    contract = made.contract_of({name: made.COLUMNS[name] for name in ("size", "noise")})
    assert [*conform(data, contract).columns] == ["size", "noise"]
    assert [*conform(data, contract).index] == [7]


def test_a_column_that_the_data_lacks_is_told() -> None:
    contract = made.contract("binary")
    with pytest.raises(
        InputError, match="rank, noise, which the contract names; it has size, wet, "
    ):
        conform(pd.DataFrame(columns=["size", "wet", "colour", "large"]), contract)


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        ([1, 2], [1.0, 2.0]),
        (["1", " -2.5 ", "1e3", None], [1.0, -2.5, 1000.0, None]),
        (["1,5", "five", ""], [None, None, None]),
        ([Decimal("1.5"), None], [1.5, None]),
        ([True, False], [1.0, 0.0]),
        (pd.array([2**53, None], "Int64"), [2.0**53, None]),
    ],
)
def test_numbers(values: Any, typed: list[Any]) -> None:
    assert _typed(values, kind="numeric") == typed


def test_a_moment_is_no_number() -> None:
    assert _typed(pd.Series(["2013-01-01", None], dtype="datetime64[us]"), kind="numeric") == [
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        ([True, False], [True, False]),
        (
            ["true", "FALSE", " yes", "n", "1", "0", None],
            [True, False, True, False, True, False, None],
        ),
        ([1, 0], [True, False]),
        ([1.0, np.nan], [True, None]),
        (["maybe", "2"], [None, None]),
    ],
)
def test_booleans(values: Any, typed: list[Any]) -> None:
    assert _typed(values, kind="boolean") == typed


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        (["00501", "NO", "", None], ["00501", "NO", None, None]),
        ([3, 4], ["3", "4"]),
        ([3.0, np.nan], ["3", None]),
        ([3.0, 3.5], ["3", "3.5"]),
    ],
)
def test_categories(values: Any, typed: list[Any]) -> None:
    assert _typed(values, kind="categorical") == typed


def test_a_category_is_read_alike_whatever_rows_come_with_it() -> None:
    values = [3.0, 3.5, 4.0]
    alone = [_typed([value], kind="categorical")[0] for value in values]
    assert _typed(values, kind="categorical") == alone


@pytest.mark.parametrize(
    ("values", "how", "typed"),
    [
        (["2013-01-02", "2013-01-02 03:04", None], None, ["2013-01-02", "2013-01-02 03:04", None]),
        (["2013-01-02T03:00:00+02:00"], None, ["2013-01-02 01:00"]),
        (pd.to_datetime(["2013-01-02"]).tz_localize("Europe/Oslo"), None, ["2013-01-01 23:00"]),
        ([dt.date(2013, 1, 2), None], None, ["2013-01-02", None]),
        (["02.01.2013", "2013-01-02"], "%d.%m.%Y", ["2013-01-02", None]),
        (["02/01/2013"], None, [None]),
    ],
)
def test_moments(values: Any, how: str | None, typed: list[str | None]) -> None:
    wanted = [pd.Timestamp(each) if each else None for each in typed]
    assert _typed(values, kind="datetime", format=how) == wanted


def test_the_same_data_is_read_alike_from_text_and_from_types() -> None:
    typed = made.rows("binary")
    as_text = typed.astype("string")
    pd.testing.assert_frame_equal(conform(as_text, made.contract("binary")), typed)


def test_what_cannot_be_read_is_found() -> None:
    contract = made.contract_of({"x": made.COLUMNS["size"], "w": made.COLUMNS["wet"]})
    raw = pd.DataFrame({"x": ["1", "one", None, *["?"] * 9], "w": ["yes"] * 12})
    (found,) = unreadable(raw, conform(raw, contract), contract)
    assert (found.column, found.rule, found.count) == ("x", "kind numeric", 10)
    assert found.rows[:2] == [(2, "one"), (4, "?")]
    assert len(found.rows) == 5
