"""Predictions for a file: a row for each row, in the same order, the same as in one go, and a bad
value is told with its row and column."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made
from onnx import helper

from mlops import predict as module
from mlops.contract import conform
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.inputs import model_inputs
from mlops.pipeline.convert import metadata, to_onnx
from mlops.predict import predict

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
    script = "import sys, mlops.predict; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"sklearn", "scipy", "pandera", "dvclive"} & {*done.stdout.split()}
