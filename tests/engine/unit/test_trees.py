"""Thresholds of trees: read from the ONNX model, met by rows whatever steps lie between, and never
silently left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from mlops.data.inputs import model_inputs, target_values
from mlops.errors import CheckError
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model
from mlops.learning.trees import (
    follows_numbers,
    has_trees,
    near_thresholds,
    on_thresholds,
    thresholds,
)
from mlops.pipeline.verify import edge_cases

CONTRACT = made.contract_of(
    {name: {"kind": "numeric", "role": "feature"} for name in ("a", "b", "a__b")}
    | {"price": {"kind": "numeric", "role": "target"}}
)
NUMBERS = ["a", "b", "a__b"]


@pytest.fixture(scope="module")
def inputs() -> pd.DataFrame:
    """Numbers around a thousand and more."""
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {name: rng.normal(1000 * i, 5, 300).astype("float32") for i, name in enumerate(NUMBERS, 1)}
    )


def _model(inputs: pd.DataFrame, steps: Any, estimator: Any) -> tuple[Pipeline, onnx.ModelProto]:
    target = inputs["a"] + np.sin(inputs["b"]) + inputs["a__b"] / 100
    pipeline = Pipeline([("features", clone(steps)), ("model", clone(estimator))])
    pipeline.fit(inputs, target)
    return pipeline, to_onnx(Model("regression", pipeline, {}, 0), CONTRACT)


FOREST = RandomForestRegressor(5, max_depth=4, random_state=0)
STEPS = {
    "as they are": ColumnTransformer([("n", "passthrough", NUMBERS)]),
    "in another order": ColumnTransformer([("n", "passthrough", NUMBERS[::-1])]),
    "without prefixes": ColumnTransformer(
        [("n", "passthrough", NUMBERS)], verbose_feature_names_out=False
    ),
    "scaled": ColumnTransformer([("n", StandardScaler(), NUMBERS)]),
    "made of several": ColumnTransformer(
        [("n", make_pipeline(StandardScaler(), PolynomialFeatures(2)), NUMBERS)]
    ),
}


@pytest.mark.parametrize("steps", STEPS)
def test_rows_meet_thresholds_behind_any_step(inputs: pd.DataFrame, steps: str) -> None:
    """On a threshold or one float32 beside it; behind what computes, nearer than real rows lie."""
    pipeline, proto = _model(inputs, STEPS[steps], FOREST)
    trees, features = thresholds(proto), pipeline[:-1]
    assert follows_numbers(inputs, features, trees, NUMBERS)
    rows, met = on_thresholds(inputs, features, trees, NUMBERS, np.random.default_rng(0))
    assert len(met) >= len(trees) / 2
    assert (rows.dtypes == "float32").all()

    def distance(moved: pd.DataFrame) -> np.ndarray:
        """To the nearest threshold of any column, as a share of the column's largest value."""
        matrix = np.asarray(features.transform(moved), dtype="float64")
        return np.min(
            [
                np.abs(matrix[:, [i]] - values).min(axis=1) / np.abs(matrix[:, i]).max()
                for i, values in trees.items()
            ],
            axis=0,
        )

    assert (distance(rows) < 1e-4).mean() > 0.9
    assert np.median(distance(rows)) < np.median(distance(inputs)) / 2
    exact = (distance(rows) == 0).mean()
    assert exact > 0.3 or steps in {"scaled", "made of several"}


def test_a_difference_that_is_the_same_in_all_rows_follows_its_numbers(
    inputs: pd.DataFrame,
) -> None:
    """Both move, and not as far."""
    drawn = inputs.assign(b=inputs["a"] - 10)
    features = make_pipeline(FunctionTransformer(lambda rows: rows[["a"]] - rows[["b"]].values))
    trees = {0: np.array([10.5])}
    assert follows_numbers(drawn, features, trees, NUMBERS)
    _, met = on_thresholds(drawn, features, trees, NUMBERS, np.random.default_rng(0))
    assert met == {0}


@pytest.mark.parametrize(
    "estimator",
    [
        FOREST,
        ExtraTreesRegressor(4, max_depth=3, random_state=0),
        GradientBoostingRegressor(n_estimators=5, random_state=0),
        VotingRegressor([("a", FOREST), ("b", GradientBoostingRegressor(n_estimators=3))]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_any_estimator_that_becomes_trees_has_them(inputs: pd.DataFrame, estimator: Any) -> None:
    pipeline, proto = _model(inputs, STEPS["as they are"], estimator)
    assert has_trees(proto, pipeline)
    found = thresholds(proto)
    assert found
    for column, values in found.items():
        assert inputs.iloc[:, column].min() <= values.min()
        assert values.max() <= inputs.iloc[:, column].max()


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_other_models_have_none(name: str) -> None:
    model = made.trained("binary", name)
    proto = to_onnx(model, made.contract("binary"))
    assert thresholds(proto) == {}
    assert not has_trees(proto, model.pipeline)


def test_trees_whose_thresholds_are_not_found_fail() -> None:
    """They may not pass because nothing was compared."""
    model, contract = made.trained("regression", "forest"), made.contract("regression")
    proto = to_onnx(model, contract)
    for node in proto.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            node.op_type = "OfSomebody"
    test = model_inputs(made.rows("regression"), contract)
    with pytest.raises(CheckError, match="RandomForestRegressor grows trees, and the ONNX model"):
        edge_cases(test, model, proto, contract, 50)


def test_thresholds_that_no_number_reaches_fail() -> None:
    contract = made.contract("regression")
    rows = made.rows("regression")
    inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
    model = made.fit(made.params("regression", "forest"), contract, rows, rows)
    proto = to_onnx(model, contract)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values":
                attribute.floats[:] = [1e30] * len(attribute.floats)

    class Rounded:
        """Steps that no number moves past what the trees ask for."""

        def transform(self, rows: pd.DataFrame) -> np.ndarray:
            return np.asarray(model.pipeline[:-1].transform(rows)).round()

        def get_feature_names_out(self) -> list[str]:
            return ["x"] * model.pipeline[:-1].get_feature_names_out().size

        def __len__(self) -> int:
            return 1

    assert truth is not None
    trees = thresholds(proto)
    numbers = ["size", "rank", "noise"]
    _, met = on_thresholds(inputs.head(50), Rounded(), trees, numbers, np.random.default_rng(0))
    assert met == set()


def test_trees_that_split_on_categories_alone_have_no_such_group() -> None:
    contract = made.contract_of(
        {name: made.COLUMNS[name] for name in ("colour", "noise")}
        | {"price": {"kind": "numeric", "role": "target"}}
    )
    rows = made.rows("regression").assign(noise=0.0)
    rows["price"] = (rows["colour"] == "red").astype(float)
    model = made.fit(made.params("regression", "forest"), contract, rows, rows)
    proto = to_onnx(model, contract)
    assert thresholds(proto)
    cases = edge_cases(model_inputs(rows, contract), model, proto, contract, 50)
    assert cases.groups.keys() == {"missing", "unknown", "extremes"}
    assert cases.without == {"thresholds": "the trees split on categories alone"}


def test_rows_near_a_threshold_behind_a_step_that_computes_are_told() -> None:
    """There either side is right; where a number is taken as it is, none but its own."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.normal(0, 10, 400).astype("float32") for name in NUMBERS})
    scaled = Pipeline([("features", ColumnTransformer([("n", StandardScaler(), NUMBERS)]))])
    scaled.fit(rows)
    as_it_is = Pipeline([("features", ColumnTransformer([("n", "passthrough", NUMBERS)]))])
    as_it_is.fit(rows)
    made = scaled.transform(rows)[:, 0]
    on = {0: np.unique(made[[3, 7]]), 1: np.array([1e6])}
    near = near_thresholds(rows, rows, scaled, on, NUMBERS)
    expected = np.abs(made[:, None] - on[0]).min(axis=1) <= 2.0**-20 * np.abs(made).max()
    np.testing.assert_array_equal(near, expected)
    assert near[[3, 7]].all()
    assert near.mean() < 0.05
    given = {0: np.unique(rows["a"].to_numpy()[[3, 7]])}
    assert not near_thresholds(rows, rows, as_it_is, given, NUMBERS).any()
    assert not near_thresholds(rows, rows, scaled, {}, NUMBERS).any()


def test_a_threshold_close_to_the_0_of_a_category_excuses_no_row() -> None:
    """LightGBM's are at 1e-35: else each row without that category could fall on either side."""
    rows = pd.DataFrame({"a": np.arange(400, dtype="float32"), "colour": ["red", "blue"] * 200})
    steps = ColumnTransformer(
        [("n", StandardScaler(), ["a"]), ("c", OneHotEncoder(sparse_output=False), ["colour"])]
    )
    features = Pipeline([("features", steps)]).fit(rows)
    trees = {column: np.array([1e-35, 1e-34]) for column in (1, 2)}
    assert not near_thresholds(rows, rows, features, trees, ["a"]).any()


@pytest.mark.parametrize(
    "step",
    [
        KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform"),
        FunctionTransformer(lambda given: np.maximum(given - 300, 0)),
        SimpleImputer(add_indicator=True),
    ],
)
def test_a_threshold_close_to_what_does_not_move_excuses_no_row(step: Any) -> None:
    """But for those at the very edge of a bin, or of what is cut off: they may be told apart."""
    rows = pd.DataFrame({"a": np.arange(400, dtype="float32")})
    if isinstance(step, SimpleImputer):
        rows["a"] = rows["a"].where(rows["a"] % 10 > 0)
    features = Pipeline([("features", ColumnTransformer([("n", step, ["a"])]))]).fit(rows)
    columns = features.transform(rows).shape[1]
    trees = {column: np.array([1e-35, 1e-34]) for column in range(columns)}
    assert near_thresholds(rows, rows, features, trees, ["a"]).sum() <= columns


def test_a_missing_number_that_a_step_computes_may_fall_on_either_side() -> None:
    """What stands in for it is scaled by both runtimes as any other number is."""
    rows = pd.DataFrame({"a": np.arange(401, dtype="float32")})
    asked = rows.assign(a=rows["a"].where(rows["a"] % 10 > 0))
    step = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    features = Pipeline([("features", ColumnTransformer([("n", step, ["a"])]))]).fit(rows)
    on = {0: np.unique(features.transform(asked)[[0, 0]])}
    near = near_thresholds(asked, rows, features, on, ["a"])
    assert near[asked["a"].isna()].all()
    assert near.mean() < 0.11


@pytest.mark.parametrize("steps", STEPS)
def test_rows_that_were_put_beside_a_threshold_are_not_excused(
    inputs: pd.DataFrame, steps: str
) -> None:
    """Else a model whose thresholds lie elsewhere would pass where it is looked at."""
    pipeline, proto = _model(inputs, STEPS[steps], FOREST)
    trees, features = thresholds(proto), pipeline[:-1]
    rows, _ = on_thresholds(inputs, features, trees, NUMBERS, np.random.default_rng(0))
    # Numbers around 3,000 have so coarse a float32 that some lie on a threshold of their scale.
    assert near_thresholds(rows, inputs, features, trees, NUMBERS).mean() < 0.1
