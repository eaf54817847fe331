"""Cleaning: what each step does is what it says, counted; the server reads values as training did;
rows that callers may send though training dropped them are told."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine import made

from mlops.config.params import load_params
from mlops.data.clean import Step, clean
from mlops.data.contract import Contract, as_kind, conform, load_contract
from mlops.errors import CheckError, InputError
from mlops.files import read_json, write_json, write_text
from mlops.judging import recount
from mlops.paths import CONTRACT, PARAMS, PARTS, PROVENANCE, SNAPSHOT, VALIDATION
from mlops.pipeline.split import split
from mlops.pipeline.validate import validate
from mlops.report import comment
from mlops.serving.signature import signature

COLUMNS: dict[str, dict[str, Any]] = {
    "id": {"kind": "categorical", "role": "id"},
    "carrier": {
        "kind": "categorical",
        "role": "feature",
        "spellings": {"United": "UA", "U.A.": "UA", "7": "AA"},
        "impute": "none",
    },
    "distance": {"kind": "numeric", "role": "feature", "range": [0, 5000], "impute": 0},
    "wet": {"kind": "boolean", "role": "feature", "spellings": {"ja": "yes"}, "impute": False},
    "late": {"kind": "boolean", "role": "target"},
}
RAW = pd.DataFrame(
    {
        "id": ["a", "b", "c", "c", "d", "d", None, None],
        "carrier": ["United", "UA", "U.A.", "7.0", "", None, "NA", "AA"],
        "distance": ["1", "0", "", "6000", "5", "5", "9", "9"],
        "wet": ["ja", "no", "", "yes", "0", "0", "NA", "true"],
        "late": ["yes", "no", "no", "no", "yes", "yes", "no", "no"],
    }
)


def _contract(**clean: Any) -> Contract:
    return Contract.model_validate({"columns": COLUMNS, "clean": clean})


def test_values_are_read_as_the_contract_spells_and_imputes_them() -> None:
    found = clean(RAW, _contract())
    assert found.typed["carrier"].tolist() == ["UA", "UA", "UA", "AA", *["none"] * 3, "AA"]
    assert found.typed["distance"].tolist() == [1, 0, 0, 6000, 5, 5, 9, 9]
    assert found.typed["wet"].tolist() == [True, False, False, True, False, False, False, True]
    assert {str(found.typed[name].dtype) for name in found.typed} == {"str", "float64", "boolean"}
    assert found.steps == [
        Step("spellings", "carrier", 3),
        Step("impute", "carrier", 3),
        Step("impute", "distance", 1),
        Step("spellings", "wet", 1),
        Step("impute", "wet", 2),
    ]


def test_a_value_that_cannot_be_read_is_not_imputed() -> None:
    raw = pd.DataFrame({"distance": ["far", ""], "f": 0})
    columns = {"distance": COLUMNS["distance"], "f": made.COLUMNS["noise"]}
    typed = conform(raw, Contract.model_validate({"columns": columns}))
    assert typed["distance"].isna().tolist() == [True, False]


def _steps(found: list[Step]) -> list[Step]:
    return [each for each in found if each.step in ("drop", "duplicates")]


@pytest.mark.parametrize(
    ("steps", "kept", "told"),
    [
        ({"drop": ["distance == 0"]}, [0, 3, 4, 5, 6, 7], [Step("drop", "distance == 0", 2, 2)]),
        (
            {"drop": ["distance > 5000"]},
            [*range(3), *range(4, 8)],
            [Step("drop", "distance > 5000", 1, 0)],
        ),
        ({"drop": ["late"]}, [1, 2, 3, 6, 7], [Step("drop", "late", 3, None)]),
        (
            {"drop": ["distance == 0", "distance < 2"]},
            [3, 4, 5, 6, 7],
            [Step("drop", "distance == 0", 2, 2), Step("drop", "distance < 2", 1, 1)],
        ),
        ({"drop": ["id == 'a'"]}, [*range(1, 8)], [Step("drop", "id == 'a'", 1, None)]),
        ({"duplicates": ["id"]}, [0, 1, 2, 4, 6, 7], [Step("duplicates", "id", 2)]),
        (
            {"duplicates": ["carrier", "late"]},
            [0, 1, 3, 4, 6],
            [Step("duplicates", "carrier, late", 3)],
        ),
        ({"duplicates": True}, [0, 1, 2, 3, 4, 6, 7], [Step("duplicates", "of all columns", 1)]),
        (
            {"drop": ["distance > 5000"], "duplicates": ["id"]},
            [0, 1, 2, 4, 6, 7],
            [Step("drop", "distance > 5000", 1, 0), Step("duplicates", "id", 1)],
        ),
        ({}, [*range(8)], []),
    ],
)
def test_rows_go_and_are_counted(steps: dict[str, Any], kept: list[int], told: list[Step]) -> None:
    found = clean(RAW, _contract(**steps))
    assert found.places.tolist() == kept
    assert _steps(found.steps) == told
    whole = conform(RAW, _contract())
    pd.testing.assert_frame_equal(found.typed, whole.iloc[kept].reset_index(drop=True))
    pd.testing.assert_frame_equal(found.raw, RAW.iloc[kept].reset_index(drop=True))


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (
            {"kind": "numeric", "spellings": {"a": "b"}},
            "`spellings` is for categorical and boolean",
        ),
        ({"kind": "categorical", "spellings": {"a": "b", "b": "c"}}, "b is on both sides"),
        ({"kind": "categorical", "spellings": {}}, "spellings: "),
        ({"kind": "numeric", "impute": "0"}, "`impute` is a number, a text, or true or false"),
        ({"kind": "numeric", "impute": True}, "`impute` is a number"),
        ({"kind": "boolean", "impute": 1}, "`impute` is a number"),
        ({"kind": "numeric", "impute": 0, "nullable": True}, "leave out `nullable`"),
        ({"kind": "numeric", "impute": 9, "range": [0, 8]}, "`impute`: 9.0 is outside `range`"),
        (
            {"kind": "categorical", "impute": "x", "allowed": ["y"]},
            "`impute`: x is not in `allowed`",
        ),
        ({"kind": "boolean", "impute": True, "role": "target"}, "`impute` is not for a target"),
        ({"kind": "datetime", "impute": "2020-01-01", "role": "time"}, "`impute` is a number"),
    ],
)
def test_what_cannot_clean_a_column_is_told(
    column: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    columns = {"x": {"role": "feature"} | column, "f": made.COLUMNS["noise"]}
    write_text(CONTRACT, json.dumps({"columns": columns}))
    with pytest.raises(InputError, match=rf"contract\.yaml: columns\.x.*{line}"):
        load_contract()


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (
            {"drop": ["distance > 0", "distanec > 0"]},
            r"clean\.drop\.1: `distanec > 0`: .* no column",
        ),
        ({"drop": ["distance"]}, r"clean\.drop\.0: `distance`: is a number, and must be true or"),
        (
            {"duplicates": ["ids"]},
            r"clean\.duplicates: the contract has no column ids; it has id, ",
        ),
    ],
)
def test_a_step_that_cannot_be_is_told(steps: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        clean(RAW, _contract(**steps))


# Whoever answers reads as training did.

SENT: dict[str, list[Any]] = {
    "carrier": ["United", "UA", "U.A.", 7, 7.0, "", None, "NA", "XX"],
    "distance": [1, 0.5, None, 3, 0],
    "wet": [True, None, False],
}


@pytest.mark.parametrize("name", SENT)
def test_the_server_reads_as_training_did(name: str) -> None:
    contract = _contract()
    carried = json.loads(contract.model_dump_json(exclude_defaults=True, exclude={"clean"}))
    one = signature(carried)[name]
    for values in (SENT[name], *([each] for each in SENT[name])):
        read = as_kind(pd.Series(values, dtype=object), contract.columns[name])
        answered = one.array(one.check(values)).tolist()
        assert answered == (read.tolist() if name == "carrier" else read.astype("float32").tolist())


def test_tensors_are_read_as_training_did() -> None:
    carried = json.loads(_contract().model_dump_json(exclude_defaults=True))
    one = signature(carried)["distance"]
    sent = np.array([np.nan, 2, 7], dtype=np.float32)
    assert one.array(one.check_tensor(sent, "FP32")).tolist() == [0, 2, 7]
    columns = {"distance": COLUMNS["distance"] | {"missing": ["-999"]}}
    one = signature({"columns": {k: v | {"role": ["feature"]} for k, v in columns.items()}})[
        "distance"
    ]
    assert one.array(one.check([-999, 4])).tolist() == [0, 4]
    assert one.array(one.check_tensor(np.array([-999, 4]), "INT64")).tolist() == [0, 4]


def test_reading_twice_changes_nothing() -> None:
    """Parts of the split hold what was read, and are read again."""
    once = clean(RAW, _contract()).typed
    pd.testing.assert_frame_equal(conform(once, _contract()), once)


# In the pipeline.


def _project(folder: Path, monkeypatch: pytest.MonkeyPatch, **clean: Any) -> pd.DataFrame:
    monkeypatch.chdir(folder)
    raw = made.rows("binary").assign(rank=lambda data: range(len(data)))
    write_text(PARAMS, made.params("binary", "linear").model_dump_json())
    columns = made.contract("binary").model_dump(mode="json", exclude_defaults=True)["columns"]
    columns["rank"]["range"] = [100, None]
    write_text(CONTRACT, json.dumps({"columns": columns, "clean": clean}))
    SNAPSHOT.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pandas(raw), SNAPSHOT)
    write_json(PROVENANCE, {"retrieved_at": "2026-01-01T00:00:00+00:00"})
    return raw


def test_what_is_checked_split_and_told_is_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = _project(tmp_path, monkeypatch, drop=["rank < 100"], duplicates=["rank"])
    validate()
    found = read_json(VALIDATION)
    assert found["rows"] == len(raw) - 100
    assert [Step(**each) for each in found["clean"]] == [
        Step("drop", "rank < 100", 100, 0),
        Step("duplicates", "rank", 0),
    ]
    assert "clean: drop rank < 100: 100 rows\n" in capsys.readouterr().out
    split()
    parts = pd.concat([pd.read_parquet(path) for path in PARTS.values()])
    assert sorted(parts["rank"]) == [*range(100, len(raw))]


def test_the_gate_cleans_the_snapshot_before_it_splits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all test rows would be strangers where a row was dropped."""
    _project(tmp_path, monkeypatch, drop=["rank < 100"])
    split()
    here = SimpleNamespace(files={SNAPSHOT: SNAPSHOT})
    monkeypatch.setattr(recount, "obtain", lambda *_: here)
    test = pd.read_parquet(PARTS["test"])
    assert recount.strangers(load_params(), None, test, tmp_path) == 0
    test.loc[0, "noise"] = 77.0
    assert recount.strangers(load_params(), None, test, tmp_path) == 2


def test_a_broken_rule_tells_rows_as_the_snapshot_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _project(tmp_path, monkeypatch, drop=["rank < 90"])
    with pytest.raises(CheckError):
        validate()
    (violation,) = read_json(VALIDATION)["violations"]
    assert violation["count"] == 10
    assert violation["rows"][0] == [91, "90"]


def test_the_comment_tells_what_was_cleaned() -> None:
    steps = [Step("drop", "rank < 100", 1200, 7), Step("duplicates", "id", 0)]
    text = comment._layout().cleaning(SimpleNamespace(cleaned=steps), [])
    assert "drop rank &#60; 100: 1,200 rows, 7 of them such as the server answers" in text
    assert "duplicates id: 0 rows" in text
    assert comment._layout().cleaning(SimpleNamespace(cleaned=[]), []).strip() == ""
    assert "cleaning" in comment.SECTIONS
