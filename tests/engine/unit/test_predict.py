"""Predictions for a file: a row for each row, in the same order, the same as in one go, and a bad
value is told with its row and column."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from engine import made, served
from onnx import helper

from mlops.data.checks import broken
from mlops.data.columns import frame
from mlops.data.contract import Contract, conform
from mlops.data.inputs import model_inputs
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.pipeline.convert import metadata
from mlops.pipeline.validate import check
from mlops.scoring import predict as module
from mlops.scoring.predict import predict
from mlops.serving.errors import Violation
from mlops.serving.model import ServedModel
from mlops.serving.settings import Settings

WITH = [("binary", "boosting"), ("multiclass", "linear"), ("regression", "forest")]


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)
    Path("data/raw/provenance.json").write_text('{"snapshot_sha256": ""}')


def _model(what: str, name: str) -> OnnxModel:
    model, contract = made.trained(what, name), made.contract(what)
    converted = to_onnx(model, contract)
    helper.set_model_props(converted, metadata(model, made.params(what, name), contract))
    onnx.save(converted, "model.onnx")
    return OnnxModel(Path("model.onnx"))


def _file(name: str, rows: pd.DataFrame) -> Path:
    if name.endswith(".parquet"):
        rows.to_parquet(name)
    else:
        rows.to_csv(name, index=False)
    return Path(name)


def _expected(what: str, name: str, rows: pd.DataFrame) -> dict[str, Any]:
    model = made.trained(what, name)
    outputs = model.predict(model_inputs(rows, made.contract(what)))
    found = {"row": np.arange(len(rows)) + 1, "prediction": outputs["prediction"]}
    for i, value in enumerate(model.classes or []):
        found[f"probability_{value}"] = outputs["probability"][:, i]
    return found | {key: outputs[key] for key in ("lower", "upper") if key in outputs}


@pytest.mark.parametrize(("what", "name"), [*WITH, ("clustering", "kmeans")])
@pytest.mark.parametrize(("source", "target"), [("a.csv", "p.parquet"), ("a.parquet", "p.csv")])
def test_every_row_is_predicted_in_order(
    what: str, name: str, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 70)  # so that 400 rows take several batches
    rows = made.rows(what)
    assert predict(_file(source, rows), Path(target), _model(what, name)).rows == made.ROWS
    found = pd.read_csv(target) if target.endswith(".csv") else pd.read_parquet(target)
    expected = _expected(what, name, rows)
    assert [*found.columns] == [*expected]
    for column, values in expected.items():
        if np.issubdtype(values.dtype, np.floating):
            np.testing.assert_allclose(found[column], values, rtol=1e-4, atol=1e-5)
        else:
            assert (found[column] == values).all()


def test_the_columns_of_the_file_can_be_kept() -> None:
    rows, contract = made.rows("regression").assign(extra="kept"), made.contract("regression")
    model = _model("regression", "linear")
    predict(_file("a.parquet", rows), Path("p.parquet"), model, with_inputs=True)
    found = pd.read_parquet("p.parquet")
    assert [*found.columns] == [*rows.columns, "prediction", "lower", "upper"]
    pd.testing.assert_frame_equal(conform(found, contract), conform(rows, contract))
    assert (found["extra"] == "kept").all()


def test_other_columns_and_the_target_are_not_needed() -> None:
    rows = made.rows("regression").drop(columns="price")
    tally = predict(_file("a.csv", rows), Path("p.csv"), _model("regression", "linear"))
    assert (tally.rows, tally.lines()) == (made.ROWS, [])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda d: d.drop(columns="rank"), "a.csv has no column rank"),
        (lambda d: d.assign(rank=d["rank"].astype(object).where(d.index != 8, "x")), "row 9.*rank"),
        (lambda d: d.assign(noise=d["noise"].where(d.index != 8)), "row 9.*noise.*missing"),
        (lambda d: d.head(0), "no rows"),
    ],
)
def test_a_bad_file_is_told_and_nothing_is_written(change: Any, line: str) -> None:
    model = _model("regression", "linear")
    source = _file("a.csv", change(made.rows("regression")))
    with pytest.raises(InputError, match=line):
        predict(source, Path("p.csv"), model)
    assert not Path("p.csv").exists()


def test_a_bad_value_far_into_the_file_leaves_nothing_half_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 50)
    rows = made.rows("regression")
    rows = rows.assign(noise=rows["noise"].where(rows.index != 350))
    model = _model("regression", "linear")
    with pytest.raises(InputError, match="row 351, column noise"):
        predict(_file("a.parquet", rows), Path("p.parquet"), model)
    assert [path.name for path in Path().glob("*p.parquet*")] == []


def test_predictions_go_to_csv_or_parquet() -> None:
    model = _model("regression", "linear")
    with pytest.raises(InputError, match=r"p\.xlsx: predictions are written to"):
        predict(_file("a.csv", made.rows("regression")), Path("p.xlsx"), model)


def test_no_training_library_is_loaded() -> None:
    """They take longer to import than small files take to score."""
    script = "import sys, mlops.scoring.predict; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"sklearn", "scipy", "pandera", "dvclive"} & {*done.stdout.split()}


# What the server refuses, this refuses; or it is counted.

CHANGES: dict[str, dict[str, Any]] = {
    "size": {"range": [-100, 100]},
    "colour": {"allowed": ["red", "green", "blue", 'Æ, "quoted"']},
}
BROKEN: list[tuple[str, Any, str]] = [
    ("colour", " red", "row 9, column colour: ' red' is not one of red, green"),
    ("colour", "RED", "row 9, column colour: 'RED' is not one of"),
    ("size", 100.5, "row 9, column size: '100.5' is not at most 100 "),
    ("size", 1e300, "row 9, column size: '1e.300' is not finite"),
    ("size", "six", "row 9, column size: 'six' cannot be read as numeric"),
    ("rank", None, "row 9, column rank: missing"),
    ("rank", "NA", "row 9, column rank: missing"),
    ("wet", "maybe", "row 9, column wet: 'maybe' cannot be read as boolean"),
]


def _strict(path: Path = Path("strict.onnx")) -> OnnxModel:
    return OnnxModel(served.write("binary", path, CHANGES))


def _with(column: str, value: Any) -> pd.DataFrame:
    rows = made.rows("binary", 50)
    changed = rows[column].astype(object)
    changed.iloc[8] = value
    return rows.assign(**{column: changed})


@pytest.mark.parametrize(("column", "value", "line"), BROKEN)
def test_what_the_server_refuses_is_refused(column: str, value: Any, line: str) -> None:
    model, rows = _strict(), _with(column, value)
    with pytest.raises(InputError, match=rf"a\.csv: {line}.*\(1 such row") as refused:
        predict(_file("a.csv", rows), Path("p.csv"), model)
    assert len(str(refused.value).splitlines()) == 1
    assert not Path("p.csv").exists()
    server = ServedModel(Settings(model=Path("strict.onnx")))
    cells = {name: None if pd.isna(v) else v for name, v in rows.iloc[8].items()}
    with pytest.raises(Violation):
        server.job_of_rows([{str(k): v for k, v in cells.items()}], "a")


@pytest.mark.parametrize(("column", "value", "line"), BROKEN)
def test_what_is_refused_is_counted_where_that_is_asked_for(
    column: str, value: Any, line: str
) -> None:
    rows = _with(column, value)
    tally = predict(_file("a.csv", rows), Path("p.csv"), _strict(), lenient=True)
    assert {found for found, _ in tally.broken} == {column}
    assert (tally.rows, {*tally.broken.values()}) == (50, {1})
    assert tally.lines()[0].startswith("1 of 50 rows break: ")
    scored = pd.read_csv("p.csv")
    assert len(scored) == 50
    kept = predict(_file("b.csv", made.rows("binary", 50)), Path("q.csv"), _strict())
    assert kept.lines() == []
    others = scored.index != 8
    pd.testing.assert_frame_equal(scored[others], pd.read_csv("q.csv")[others])


def test_validate_breaks_the_same_rules() -> None:
    contract = Contract.parse(_strict().metadata["contract"])
    needed = contract.only(contract.features)
    for column, value, _ in BROKEN:
        raw = _with(column, value).reset_index(drop=True)
        here, there = broken(raw, conform(raw, needed), needed), check(raw, needed)
        told = [(each.column, each.count, each.rows[0][0]) for each in here]
        assert told == [(each.column, each.count, each.rows[0][0]) for each in there]
        assert {*told} == {(column, 1, 9)}


def test_categories_that_training_never_saw_are_counted() -> None:
    rows = made.rows("binary", 50)
    rows = rows.assign(colour=np.where(rows.index == 0, "red", "mauve"))
    model = OnnxModel(served.write("binary", Path("open.onnx")))
    tally = predict(_file("a.parquet", rows), Path("p.csv"), model)
    assert tally.lines() == ["49 of 50 rows hold a `colour` that training never saw"]


@pytest.mark.slow
def test_the_exit_code_tells_of_rows_that_were_counted() -> None:
    _strict(Path("model.onnx"))
    _file("a.csv", _with("colour", "GREEN"))
    _file("b.csv", made.rows("binary", 50))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from mlops.cli import main; main()", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for command in (("predict", "a.csv"), ("batch", "a.csv", "out")):
        how = ("--model", "model.onnx")
        strict, lenient = run(*command, *how), run(*command, *how, "--lenient")
        assert (strict.returncode, lenient.returncode) == (2, 4), strict.stderr + lenient.stderr
        assert "row 9, column colour: 'GREEN' is not one of" in strict.stderr
        assert "50 predictions" in lenient.stdout
        assert "1 of 50 rows break: colour: one of red, green" in lenient.stderr
        assert "1 of 50 rows hold a `colour` that training never saw" in lenient.stderr
        again = run(*command, *how, "--lenient")  # what was counted is not forgotten
        assert (again.returncode, again.stderr) == (4, lenient.stderr)
    assert run("predict", "b.csv", "--model", "model.onnx", "--lenient").returncode == 0


def test_the_index_of_pandas_is_a_column() -> None:
    rows = made.rows("binary", 50)
    rows.set_index("colour").to_parquet("a.parquet")
    rows.to_parquet("b.parquet")
    model = OnnxModel(served.write("binary", Path("model.onnx")))
    for name in ("a", "b"):
        predict(Path(f"{name}.parquet"), Path(f"{name}.csv"), model)
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_whole_numbers_keep_their_digits_where_some_are_missing() -> None:
    table = pa.table({"code": pa.array([2**53 + 1, None]), "noise": [1.0, 2.0]})
    contract = made.contract_of(
        {"code": {"kind": "categorical", "role": "feature"}, "noise": made.COLUMNS["noise"]}
    )
    assert conform(frame(table), contract)["code"].iloc[0] == "9007199254740993"
