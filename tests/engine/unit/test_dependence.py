"""Partial dependence: what scikit-learn says of its own model, and what must not be shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.inspection import partial_dependence

from mlops.data.inputs import model_inputs
from mlops.inference import OnnxModel
from mlops.learning.dependence import GRID, INPUTS, dependence, grid, text

NAMES = ["size", "rank", "wet", "colour", "noise"]


def found(what: str, name: str, folder: Path, columns: dict[str, Any] | None = None) -> Any:
    """What is said of a small model and its rows."""
    given = made.contract_of(made.COLUMNS | (columns or {}) | made.target_of(what))
    made.export(made.trained(what, name), given, folder / "model.onnx")
    how = made.params(what, name).evaluate
    rows = made.rows(what, seed=6)
    return dependence(OnnxModel(folder / "model.onnx"), given, rows, NAMES, how)


@pytest.mark.parametrize(
    ("what", "name"),
    [("binary", "boosting"), ("multiclass", "linear"), ("regression", "forest")],
)
def test_answers_are_those_of_scikit_learn(what: str, name: str, tmp_path: Path) -> None:
    """Its own partial dependence, brute force, of the pipeline that was converted."""
    records, model = found(what, name, tmp_path), made.trained(what, name)
    inputs = model_inputs(made.rows(what, seed=6), made.contract(what))
    how = made.params(what, name).evaluate
    some = inputs.iloc[np.linspace(0, len(inputs) - 1, how.importance_rows).astype(int)]
    assert [*dict.fromkeys(each["column"] for each in records)] == NAMES[:INPUTS]
    for column in NAMES[:INPUTS]:
        kind = made.contract(what).columns[column].kind
        values = grid(inputs[column], kind)
        expected = partial_dependence(
            model.pipeline,
            some,
            [column],
            custom_values={column: np.array(values, dtype=inputs[column].to_numpy().dtype)},
            method="brute",
            kind="average",
        )["average"]
        mine = [each["answer"] for each in records if each["column"] == column]
        np.testing.assert_allclose(
            np.array(mine).reshape(len(values), -1).T, expected, rtol=1e-4, atol=1e-5
        )


def test_clusters_have_none_and_redacted_columns_are_not_shown(tmp_path: Path) -> None:
    assert found("clustering", "kmeans", tmp_path) == []
    hidden = {"size": made.COLUMNS["size"] | {"redact": True}}
    columns = {each["column"] for each in found("binary", "linear", tmp_path, hidden)}
    assert columns == {"rank", "wet", "colour", "noise"}


def test_no_value_is_shown_that_could_tell_of_somebody() -> None:
    names = pd.Series(["usual"] * 90 + ["often"] * 10 + [f"rare {i}" for i in range(9)] + [""] * 50)
    assert grid(names, "categorical") == ["often", "usual"]
    few = pd.Series([1.0] * 50 + [2.0] * 50 + [7.0], dtype="float32")
    assert grid(few, "numeric") == [1, 2]
    numbers = pd.Series(np.random.default_rng(0).lognormal(10, 1, 1000).astype("float32"))
    points = grid(numbers, "numeric")
    assert len(points) == GRID
    assert numbers.min() < points[0] < points[-1] < numbers.quantile(0.96)
    assert not {*points} & {*numbers}, "evenly spread, and nobody's"
    hours = pd.Series(np.arange(1000) % 24, dtype="float32")
    assert all(float(each).is_integer() for each in grid(hours, "numeric"))


def test_a_moment_is_told_as_one() -> None:
    assert text("datetime", 1.5e15) == "2017-07-14 02:40"
    assert (text("boolean", 1.0), text("numeric", 0.5)) == ("true", "0.5")
