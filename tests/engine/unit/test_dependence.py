"""How inputs move answers: what scikit-learn and plain formulas say, and what must not be shown."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.inspection import partial_dependence

from mlops.data.inputs import model_inputs
from mlops.inference import OnnxModel
from mlops.learning.dependence import GRID, INPUTS, RARE, accumulated, dependence, grid, text

NAMES = ["size", "rank", "wet", "colour", "noise"]


def found(what: str, name: str, folder: Path, columns: dict[str, Any] | None = None) -> Any:
    """What is said of a small model and its rows."""
    given = made.contract_of(made.COLUMNS | (columns or {}) | made.target_of(what))
    made.export(made.trained(what, name), given, folder / "model.onnx")
    how = made.params(what, name).evaluate
    rows = made.rows(what, seed=6)
    return dependence(OnnxModel(folder / "model.onnx"), given, rows, NAMES, how)


MODELS = [("binary", "boosting"), ("multiclass", "linear"), ("regression", "forest")]


def asked_rows(what: str, name: str) -> pd.DataFrame:
    """The rows that the model is asked for."""
    inputs = model_inputs(made.rows(what, seed=6), made.contract(what))
    how = made.params(what, name).evaluate
    return inputs.iloc[np.linspace(0, len(inputs) - 1, how.importance_rows).astype(int)]


@pytest.mark.parametrize(("what", "name"), MODELS)
def test_categories_are_those_of_scikit_learn(what: str, name: str, tmp_path: Path) -> None:
    """Its own partial dependence, brute force, of the pipeline that was converted."""
    records, model = found(what, name, tmp_path), made.trained(what, name)
    inputs = model_inputs(made.rows(what, seed=6), made.contract(what))
    assert [*dict.fromkeys(each["column"] for each in records)] == NAMES[:INPUTS]
    for column in ("wet", "colour"):
        values = grid(inputs[column], made.contract(what).columns[column].kind)
        expected = partial_dependence(
            model.pipeline,
            asked_rows(what, name),
            [column],
            custom_values={column: np.array(values, dtype=inputs[column].to_numpy().dtype)},
            method="brute",
            kind="average",
        )["average"]
        mine = [each["answer"] for each in records if each["column"] == column]
        np.testing.assert_allclose(
            np.array(mine).reshape(len(values), -1).T, expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(("what", "name"), MODELS)
def test_numbers_have_the_effects_of_the_pipeline_that_was_converted(
    what: str, name: str, tmp_path: Path
) -> None:
    """Equations 15 and 16 of Apley and Zhu, by pandas' own intervals and scikit-learn's answers."""
    records, pipeline = found(what, name, tmp_path), made.trained(what, name).pipeline

    def answers(of: pd.DataFrame) -> np.ndarray:
        if what == "regression":
            return np.asarray(pipeline.predict(of)).reshape(-1, 1)
        return np.asarray(pipeline.predict_proba(of))[:, 1 if what == "binary" else 0 :]

    rows = asked_rows(what, name)
    for column in ("size", "rank"):
        mine = [each for each in records if each["column"] == column]
        texts = dict.fromkeys(each["value"] for each in mine)
        ends = [float(np.float32(each)) for each in texts]
        assert len(ends) > 3
        interval = pd.cut(rows[column], ends, include_lowest=True)
        counts, height, heights = [], 0.0, [np.zeros(answers(rows[:1]).shape[1])]
        for k, (_, some) in enumerate(rows.groupby(interval, observed=False)):
            counts.append(len(some))
            height = height + np.mean(
                answers(some.assign(**{column: np.float32(ends[k + 1])}))
                - answers(some.assign(**{column: np.float32(ends[k])})),
                axis=0,
            )
            heights.append(height)
        assert min(counts) >= RARE
        middles = [(a + b) / 2 for a, b in pairwise(heights)]
        centre = np.average(middles, weights=counts, axis=0)
        expected = np.array(heights) - centre + answers(rows).mean(axis=0)
        found_here = np.array([each["answer"] for each in mine]).reshape(len(ends), -1)
        np.testing.assert_allclose(found_here, expected, rtol=1e-4, atol=1e-5)


class Formula:
    """A model that is a formula of two inputs."""

    metadata: ClassVar[dict[str, Any]] = {}

    def __init__(self, formula: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.formula = formula

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer rows."""
        return {"prediction": self.formula(columns["a"], columns["b"])}


def test_what_goes_together_stays_together() -> None:
    """Where b is a, and the model says a * b: the slope at a is a, so that the effect is a squared
    by two. Partial dependence says a straight line, the slope of which is the mean of b."""
    a = np.random.default_rng(0).uniform(0, 1, 20_000)
    points = [*np.linspace(0.1, 0.9, 9)]
    told = accumulated(Formula(lambda a, b: a * b), {"a": a, "b": a}, "a", points)
    rise = np.array([float(answer[0] - told[0][1][0]) for _, answer in told])
    np.testing.assert_allclose(rise, (np.array(points) ** 2 - 0.01) / 2, atol=1e-3)
    assert abs(rise[-1] - 0.8 * a.mean()) < 1e-2, "the ends are alike, and the middle is not"
    assert abs(rise[4] - 0.4 * a.mean()) > 0.05


def test_of_a_sum_each_input_has_its_own_slope_whatever_it_goes_with() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=1000)
    b = a + rng.normal(scale=0.1, size=1000)
    told = accumulated(Formula(lambda a, b: 3 * a - 2 * b + 7), {"a": a, "b": b}, "b", [-1, 0, 1])
    np.testing.assert_allclose(np.diff([answer[0] for _, answer in told]), -2)


def test_intervals_with_few_rows_are_none() -> None:
    a = np.array([0.0] * 30 + [1.0] * 9 + [2.0] * 20 + [3.0] * 3 + [np.nan] * 40)
    told = accumulated(Formula(lambda a, b: a), {"a": a, "b": a}, "a", [0.0, 1.0, 2.0, 3.0])
    assert [value for value, _ in told] == [0.0, 1.0, 2.0], "with the rows at the lower end"
    told = accumulated(Formula(lambda a, b: a), {"a": a, "b": a}, "a", [0.5, 1.0, 2.0])
    assert [value for value, _ in told] == [0.5, 2.0]
    assert accumulated(Formula(lambda a, b: a), {"a": a, "b": a}, "a", [2.5, 3.0]) == []
    assert accumulated(Formula(lambda a, b: a), {"a": a, "b": a}, "a", []) == []


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
