"""Validation: each rule of the contract is found broken, with how often and where first, and what
keeps the contract passes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made

from mlops.data.contract import Violation
from mlops.data.profile import profile
from mlops.errors import CheckError, InputError
from mlops.files import read_json, write_json, write_text
from mlops.paths import (
    CONTRACT,
    FEATURES,
    PARAMS,
    PIPELINE,
    PROFILE,
    PROVENANCE,
    SNAPSHOT,
    VALIDATION,
)
from mlops.pipeline.validate import check, table, validate

TAKEN = datetime(2026, 3, 1, 12, tzinfo=UTC)

RULES: list[tuple[dict[str, Any], list[Any], list[Violation]]] = [
    (
        {"kind": "numeric"},
        ["1", "one", "2", "?"],
        [Violation("x", "kind numeric", 2, [(2, "one"), (4, "?")])],
    ),
    ({"kind": "boolean"}, ["yes", "maybe"], [Violation("x", "kind boolean", 1, [(2, "maybe")])]),
    (
        {"kind": "datetime"},
        ["2013-01-01", "soon"],
        [Violation("x", "kind datetime", 1, [(2, "soon")])],
    ),
    ({"kind": "numeric"}, [1, None, 3], [Violation("x", "not missing", 1, [(2, "nan")])]),
    ({"kind": "boolean"}, [True, None], [Violation("x", "not missing", 1, [(2, "<NA>")])]),
    ({"kind": "categorical"}, ["a", None], [Violation("x", "not missing", 1, [(2, "nan")])]),
    ({"kind": "datetime"}, ["2013-01-01", None], [Violation("x", "not missing", 1, [(2, "NaT")])]),
    (
        {"kind": "numeric", "range": [0, 10]},
        [-1, 0, 10, 10.5],
        [
            Violation("x", "at least 0", 1, [(1, "-1")]),
            Violation("x", "at most 10", 1, [(4, "10.5")]),
        ],
    ),
    (
        {"kind": "datetime", "range": [None, "2013-12-31T00:00:00"]},
        ["2013-12-31", "2014-01-01"],
        [Violation("x", "at most 2013-12-31 00:00:00", 1, [(2, "2014-01-01 00:00:00")])],
    ),
    (
        {"kind": "categorical", "allowed": ["a", "b"]},
        ["a", "c", "b", "A"],
        [Violation("x", "allowed values", 2, [(2, "c"), (4, "A")])],
    ),
    ({"kind": "numeric"}, [1, float("inf")], [Violation("x", "finite", 1, [(2, "inf")])]),
]


def _column(**keys: Any) -> Any:
    return made.contract_of({"x": {"role": "slice", **keys}, "f": made.COLUMNS["noise"]})


@pytest.mark.parametrize(("column", "values", "violations"), RULES)
def test_each_rule(column: dict[str, Any], values: list[Any], violations: list[Violation]) -> None:
    assert check(pd.DataFrame({"x": values, "f": 0}), _column(**column)) == violations


@pytest.mark.parametrize("column", [column for column, *_ in RULES])
def test_missing_values_break_nothing_where_they_may_be(column: dict[str, Any]) -> None:
    data = pd.DataFrame({"x": pd.array([None, None], "string"), "f": 0})
    assert check(data, _column(**column, nullable=True)) == []


@pytest.mark.parametrize("what", made.TARGETS)
def test_what_keeps_the_contract_passes(what: str) -> None:
    data = made.rows(what)
    assert check(data, made.contract(what)) == []
    assert check(data.astype("string"), made.contract(what)) == []


def test_an_unreadable_value_is_told_once() -> None:
    data = pd.DataFrame({"x": ["one", None, "-5"], "f": 0})
    found = check(data, _column(kind="numeric", range=[0, None]))
    assert [(each.rule, each.rows[0][0]) for each in found] == [
        ("kind numeric", 1),
        ("not missing", 2),
        ("at least 0", 3),
    ]


def test_every_broken_row_counts_and_the_first_five_are_shown() -> None:
    data = pd.DataFrame({"x": range(100, 0, -1), "f": 0}, index=range(1000, 1100))
    (found,) = check(data, _column(kind="numeric", range=[31, None]))
    assert found.count == 30
    assert found.rows == [(row, f"{101 - row}") for row in range(71, 76)]


def test_a_range_with_a_time_zone() -> None:
    data = pd.DataFrame({"x": ["2013-01-01T00:00:00Z", "2012-12-31T23:00:00Z"], "f": 0})
    contract = _column(kind="datetime", range=["2013-01-01T01:00:00+01:00", None])
    assert [(each.count, each.rows[0][0]) for each in check(data, contract)] == [(1, 2)]


def test_the_table_has_a_line_for_each_rule() -> None:
    lines = table(
        [
            Violation("size", "at least 0", 12345, [(1, "-1.0"), (2, "-2.0")]),
            Violation("a longer name", "allowed values", 1, [(7, "x" * 99)]),
        ]
    ).splitlines()
    assert lines[0].split()[:3] == ["column", "rule", "rows"]
    assert lines[1].endswith("at least 0      12,345  1: -1.0, 2: -2.0")
    assert lines[2].endswith("allowed values       1  7: " + "x" * 24)


def test_the_table_says_what_all_rows_come_to() -> None:
    broken = Violation("(rows)", "at least 20,000 rows", 50, [], "50 rows")
    assert table([broken]).endswith("at least 20,000 rows    50  50 rows")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, contract.yaml and a snapshot, where the stage can run."""
    monkeypatch.chdir(tmp_path)
    write_text(PARAMS, made.params("binary", "linear").model_dump_json())
    write_text(CONTRACT, made.contract("binary").model_dump_json(exclude_defaults=True))
    SNAPSHOT.parent.mkdir(parents=True)
    made.rows("binary").assign(extra=1).to_parquet(SNAPSHOT)
    write_json(PROVENANCE, {"retrieved_at": TAKEN.isoformat()})
    return tmp_path


@pytest.mark.usefixtures("project")
def test_the_report_says_that_the_contract_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    validate()
    assert read_json(VALIDATION) == {
        "valid": True,
        "rows": made.ROWS,
        "columns": [*made.contract("binary").columns],
        "not_in_contract": ["extra"],
        "clean": [],
        "violations": [],
        "caveats": [],
        "groups": {},
    }
    assert read_json(PROFILE) == profile(made.rows("binary"), made.contract("binary"))
    assert "400 rows keep the contract" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_a_broken_contract_stops_with_a_table_and_a_report() -> None:
    made.rows("binary").assign(rank="high").to_parquet(SNAPSHOT)
    with pytest.raises(CheckError) as stopped:
        validate()
    assert "rank" in str(stopped.value)
    assert not PROFILE.exists()
    report = read_json(VALIDATION)
    assert not report["valid"]
    (violation,) = report["violations"]
    assert violation["column"] == "rank"
    assert violation["rule"] == "kind numeric"
    assert violation["count"] == made.ROWS
    assert violation["rows"][0] == [1, "high"]


@pytest.mark.usefixtures("project")
def test_a_missing_column_stops() -> None:
    made.rows("binary").drop(columns="rank").to_parquet(SNAPSHOT)
    with pytest.raises(InputError, match="no column rank"):
        validate()


@pytest.mark.usefixtures("project")
def test_a_target_that_does_not_suit_the_task_stops() -> None:
    write_text(CONTRACT, made.contract("regression").model_dump_json(exclude_defaults=True))
    with pytest.raises(InputError, match="price is numeric"):
        validate()


SECONDS = 1.7e9 + np.arange(1000) % 100


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (SECONDS, "2 of its 100 values: subtract an offset in the data, such as 1700000000"),
        (1e9 + np.random.default_rng(0).normal(0, 3, 1000), "1 of its 1,000 values"),
        (-3e8 - np.arange(1000.0) / 8, "of its 1,000 values"),
        (1000 + 1e-6 * (np.arange(1000) % 5 - 2), "1 of its 5 values"),
        (1000 + 1e-6 * (np.arange(1000) % 100 == 7), "1 of its 2 values"),
    ],
)
@pytest.mark.parametrize("role", ["feature", "target"])
def test_numbers_that_float32_makes_one_of_are_refused(
    values: np.ndarray, told: str, role: str
) -> None:
    contract = made.contract_of(
        {"x": {"kind": "numeric", "role": "feature"}, "y": {"kind": "numeric", "role": "target"}}
    )
    name = "x" if role == "feature" else "y"
    rows = pd.DataFrame({"x": np.arange(1000.0), "y": np.arange(1000.0)}).assign(**{name: values})
    (found,) = check(rows, contract)
    assert found.column == name
    assert found.rule.startswith("apart in float32, which makes ")
    assert told in found.rule


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).lognormal(12, 2, 1000).round(2),
        SECONDS - 1.7e9,
        np.random.default_rng(0).normal(0, 1e-12, 1000),
        np.full(1000, 0.1),
        np.where(np.arange(1000) == 3, 3e38, np.arange(1000)),
        1e6 + np.random.default_rng(0).normal(0, 300, 1000),
    ],
)
def test_numbers_that_float32_keeps_apart_pass(values: np.ndarray) -> None:
    contract = made.contract_of({"x": {"kind": "numeric", "role": "feature"}})
    assert check(pd.DataFrame({"x": values}), contract) == []


def _with_rules(**rules: Any) -> None:
    contract = made.contract("binary").model_dump(mode="json", exclude_defaults=True)
    write_text(CONTRACT, json.dumps(contract | {"rules": rules}))


@pytest.mark.usefixtures("project")
def test_rules_on_all_rows_are_of_the_snapshot() -> None:
    _with_rules(rows=[20_000, None], unique=["noise"], each_row=["rank >= 0"])
    with pytest.raises(CheckError, match="400 rows"):
        validate()
    assert read_json(VALIDATION)["violations"] == [
        {
            "column": "(rows)",
            "rule": "at least 20,000 rows",
            "count": made.ROWS,
            "rows": [],
            "found": "400 rows",
        }
    ]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("watched", "stops"), [("data/reference", False), ("data/raw", True)])
def test_a_file_of_references_is_watched(watched: str, stops: bool) -> None:
    _with_rules(references={"colour": {"file": "data/reference/colours.csv"}})
    write_text(PIPELINE, json.dumps({"stages": {"validate": {"deps": [watched]}}}))
    known = made.rows("binary")["colour"].dropna().unique()
    Path("data/reference").mkdir()
    pd.DataFrame({"colour": known}).to_csv("data/reference/colours.csv", index=False)
    if stops:
        with pytest.raises(InputError, match="DVC does not watch data/reference/colours.csv"):
            validate()
    else:
        validate()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("blind", [None, "validate", "train"])
def test_a_file_of_features_is_watched(blind: str | None) -> None:
    write_json(FEATURES, {"include": {"shared.json": ["half"]}})
    write_json(Path("shared.json"), {"features": {"half": {"expr": "size / 2"}}})
    stages = {
        name: {"deps": [] if name == blind else ["shared.json"]} for name in ("validate", "train")
    }
    write_text(PIPELINE, json.dumps({"stages": stages}))
    if blind:
        told = f"features.yaml: include: DVC does not watch shared.json; add .* `{blind}`"
        with pytest.raises(InputError, match=told):
            validate()
    else:
        validate()


@pytest.mark.usefixtures("project")
def test_features_that_make_no_sense_stop_before_anything_is_trained() -> None:
    write_json(FEATURES, {"features": {"x": {"expr": "log(colour)"}}})
    with pytest.raises(
        InputError, match=r"features.yaml: features.x: `log\(colour\)`: log\(…\) ta"
    ):
        validate()


@pytest.mark.usefixtures("project")
def test_a_rule_with_a_wrong_name_stops_with_its_place() -> None:
    _with_rules(each_row=["rank >= 0", "rnak >= 0"])
    with pytest.raises(InputError, match="rules.each_row.1: `rnak >= 0`: .* no column rnak; it"):
        validate()
