"""One reading of the data: a value means the same, and a category is spelled the same, whatever
carries it, one by one as in the server, or a column at a time as in the pipeline."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from engine import made
from hypothesis import given
from hypothesis import strategies as st

from mlops.data.contract import Contract, as_kind, is_missing
from mlops.data.reading import Reader, Unreadable

READERS = {
    "plain": Reader(),
    "european": Reader(decimal=",", thousands="."),
    "english": Reader(thousands=",", unit="$"),
    "percent": Reader(unit="%", decimal=","),
    "blanks": Reader(decimal=",", thousands=" ", unit="€"),
    "accounts": Reader(thousands=",", unit="$", negative="parentheses"),
    "sap": Reader(decimal=",", thousands=".", unit="EUR", negative="trailing"),
    "a unit like an exponent": Reader(unit="e", thousands="'"),
    "stripped": Reader(strip=True, missing=frozenset(["", "?", "-999"])),
}


def _column(kind: str, **keys: Any) -> Any:
    return made.contract_of({"x": {"kind": kind, "role": "feature", **keys}}).columns["x"]


def _whole(values: Any, kind: str, **keys: Any) -> list[Any]:
    read = as_kind(pd.Series(values), _column(kind, **keys))
    return [None if pd.isna(each) else each for each in read]


@pytest.mark.parametrize(
    ("text", "keys", "number"),
    [
        ("12,50", {"decimal": ","}, 12.5),
        ("1,234.50", {"thousands": ","}, 1234.5),
        ("1.234,50", {"decimal": ",", "thousands": "."}, 1234.5),
        ("1 234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u202f234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("12,34,567", {"thousands": ","}, 1234567),
        ("12.5%", {"unit": "%"}, 12.5),
        ("12,5 %", {"unit": "%", "decimal": ","}, 12.5),
        ("$5", {"unit": "$"}, 5),
        ("-$5", {"unit": "$"}, -5),
        ("$1,234.50", {"unit": "$", "thousands": ","}, 1234.5),
        ("5 EUR", {"unit": "EUR"}, 5),
        ("7", {"unit": "EUR"}, 7),
        ("?", {"missing": ["?"]}, None),
        ("-999.0", {"missing": ["-999"]}, None),
        ("NA", {}, None),
        (" 5 ", {}, 5),
        ("+5", {}, 5),
        ("1e3", {}, 1000),
        ("\u22125", {}, -5),
        ("5e\u22122", {}, 0.05),
        ("1'234.5", {"thousands": "'"}, 1234.5),
        ("1\u2019234.5", {"thousands": "'"}, 1234.5),
        ("1'234.5", {"thousands": "\u2019"}, 1234.5),
        ("(1,234.50)", {"thousands": ",", "negative": "parentheses"}, -1234.5),
        ("($5)", {"unit": "$", "negative": "parentheses"}, -5),
        ("$(5)", {"unit": "$", "negative": "parentheses"}, -5),
        ("(5 %)", {"unit": "%", "negative": "parentheses"}, -5),
        ("-5", {"negative": "parentheses"}, -5),
        ("1.234,50-", {"decimal": ",", "thousands": ".", "negative": "trailing"}, -1234.5),
        ("5- EUR", {"unit": "EUR", "negative": "trailing"}, -5),
        ("5 EUR-", {"unit": "EUR", "negative": "trailing"}, -5),
        ("5\u2212", {"negative": "trailing"}, -5),
        ("64.4°C", {"unit": "°C"}, 64.4),
        ("3 m²", {"unit": "m²"}, 3),
        ("5e1e", {"unit": "e"}, 50),
        ("inf", {"unit": "f"}, np.inf),
    ],
)
def test_numbers_as_people_write_them(text: str, keys: dict[str, Any], number: Any) -> None:
    column = _column("numeric", **keys)
    assert column.reader.number(text) == number
    for values in (pd.Series([text]), pd.Series([text], dtype=object), pd.Categorical([text])):
        assert _whole(values, "numeric", **keys) == [number]
    assert is_missing(pd.Series([text]), column).tolist() == [number is None]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("12,50", {}),
        ("12,50", {"thousands": ","}),  # no thousands have two digits at their end
        ("1.234,50", {"thousands": ","}),
        ("€5", {"unit": "$"}),
        ("5$5", {"unit": "$"}),
        ("--5", {"unit": "$"}),
        ("1_000", {}),
        ("0x10", {}),
        ("1 2", {}),
        ("٣", {}),
        ("(5)", {}),
        ("5-", {}),
        ("(5)", {"negative": "trailing"}),
        ("(-5)", {"negative": "parentheses"}),
        ("-(5)", {"negative": "parentheses"}),
        ("(5", {"negative": "parentheses"}),
        ("-5-", {"negative": "trailing"}),
        ("5.-", {"negative": "trailing"}),  # five Swiss francs
        ("5kg", {"unit": "g"}),
    ],
)
def test_what_is_no_number_is_none(text: str, keys: dict[str, Any]) -> None:
    column = _column("numeric", **keys)
    with pytest.raises(Unreadable):
        column.reader.number(text)
    assert _whole([text], "numeric", **keys) == [None]
    assert is_missing(pd.Series([text]), column).tolist() == [False]


SEVEN: list[Any] = [
    ["7"],
    ["7.0"],
    ["7.00"],
    [7],
    [7.0],
    np.array([7], "int8"),
    np.array([7], "uint64"),
    np.array([7], "float32"),
    [Decimal("7")],
    [Decimal("7.00")],
    pd.Categorical([7]),
    pd.array([7, None], "Int64")[:1],
    pa.array([7.0]).dictionary_encode().to_pandas(),
]


@pytest.mark.parametrize("values", SEVEN, ids=str)
def test_a_category_has_one_spelling(values: Any) -> None:
    assert _whole(values, "categorical") == ["7"]
    assert Reader().category([*values][0]) == "7"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        ("007.0", "007.0"),
        ("3.50", "3.50"),
        ("1e5", "1e5"),
        (1e5, "100000"),
        (np.float32(0.1), "0.1"),
        (0.1, "0.1"),
        (-0.0, "0"),
        ("-0.0", "0"),
        (Decimal("700"), "700"),
        (2**63 + 1, "9223372036854775809"),
        (True, "true"),
        ("TRUE", "true"),
        ("True", "true"),
        (np.bool_(False), "false"),
        ("GOV", "GOV"),
        (" Gov", " Gov"),
        (dt.date(2013, 1, 2), "2013-01-02"),
        (dt.datetime(2013, 1, 2), "2013-01-02"),
        (dt.datetime(2013, 1, 2, 3), "2013-01-02 03:00:00"),
        (b"Gov", "Gov"),
        ("", None),
        ("NA", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_how_a_category_is_spelled(value: Any, text: str | None) -> None:
    assert Reader().category(value) == text
    assert _whole(pd.Series([value], dtype=object), "categorical") == [text]


@pytest.mark.parametrize("value", [[7], {"a": 7}, (7,), b"\xff", 10**5000], ids=type)
def test_what_is_no_single_value_is_no_category(value: Any) -> None:
    with pytest.raises(Unreadable):
        Reader().category(value)
    assert _whole(pd.Series([value], dtype=object), "categorical") == [None]


def test_blanks_count_unless_the_contract_strips_them() -> None:
    assert _whole([" Gov", "Gov "], "categorical") == [" Gov", "Gov "]
    assert _whole([" Gov", "Gov ", " ? "], "categorical", strip=True, missing=["?"]) == [
        "Gov",
        "Gov",
        None,
    ]


def test_what_is_allowed_is_never_missing() -> None:
    """Namibia."""
    assert _whole(["NA", "None"], "categorical", allowed=["NA", "ZA"]) == ["NA", None]


def test_what_is_allowed_has_the_one_spelling() -> None:
    assert _column("categorical", allowed=["7.0", "TRUE"]).allowed == ["7", "true"]


def test_a_column_is_written_as_the_source_unless_it_says_otherwise() -> None:
    described = {
        "dialect": {"decimal": ",", "missing": ["-"]},
        "columns": {
            "a": {"kind": "numeric", "role": "feature"},
            "b": {"kind": "numeric", "role": "feature", "decimal": ".", "missing": ["?"]},
        },
    }
    contract = Contract.model_validate(described)
    read = {name: column.reader.number for name, column in contract.columns.items()}
    assert (read["a"]("1,5"), read["b"]("1.5")) == (1.5, 1.5)
    assert (read["a"]("-"), read["b"]("-"), read["b"]("?")) == (None, None, None)
    again = Contract.parse(contract.model_dump(mode="json", exclude_defaults=True))
    assert again == contract
    assert again.columns["a"].reader.number("1,5") == 1.5


# Texts that are nearly numbers, words that are nearly missing.
texts = st.text("0123456789.,-+eE $€%?naNATtrueFls\u00a0\u202f'", max_size=9)


def _one(read: Any, value: Any) -> Any:
    try:
        return read(value)
    except Unreadable:
        return "unreadable"


@pytest.mark.parametrize("name", READERS)
@given(st.lists(st.none() | texts, min_size=1, max_size=5))
def test_a_column_is_read_as_its_values_one_by_one(name: str, values: list[str | None]) -> None:
    for kind, method in (
        ("numeric", "number"),
        ("boolean", "boolean"),
        ("categorical", "category"),
    ):
        column = _column(kind)
        column._reader = READERS[name]
        expected = [_one(getattr(column.reader, method), each) for each in values]
        raw = pd.Series(values, dtype="str")
        read = as_kind(raw, column)
        gone = is_missing(raw, column)
        found = [
            (None if missing else "unreadable") if pd.isna(each) else each
            for each, missing in zip(read, gone, strict=True)
        ]
        assert found == expected
