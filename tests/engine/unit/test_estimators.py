"""Every estimator of the catalogue, with everything that it can predict: it learns, is seeded, and
its ONNX model says the same on data of every kind. One that cannot is not in the catalogue."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from engine import made

from mlops.config.hyperparameters import HYPERPARAMETERS
from mlops.conversion import to_onnx
from mlops.estimators import build, snap_thresholds
from mlops.inference import OnnxModel
from mlops.inputs import columns, model_inputs, target_values
from mlops.metrics import Scored, score
from mlops.model import Model
from mlops.pipeline.verify import compare, edge_cases

TREES = {"boosting", "forest"}


def test_the_whole_catalogue_is_tested() -> None:
    tested = {(made.task(what), name) for what, name in made.PAIRS}
    assert tested == {(task, name) for task, entries in HYPERPARAMETERS.items() for name in entries}


@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_onnx_says_the_same(what: str, name: str, tmp_path: Path) -> None:
    model, contract = made.trained(what, name), made.contract(what)
    proto = to_onnx(model, contract)
    onnx.save(proto, tmp_path / "model.onnx")
    converted = OnnxModel(tmp_path / "model.onnx")
    test = model_inputs(made.rows(what, 200, seed=3), contract)
    groups = {"test": test, **edge_cases(test, model, proto, contract, 300).groups}
    assert ("thresholds" in groups) == (name in TREES)
    for group, rows in groups.items():
        parity = compare(model.predict(rows), converted.predict(columns(rows)), model.scales, 1e-4)
        assert parity.worst == [], f"{group}: {parity}"
        assert parity.ties <= len(rows) / 100


@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_it_learns(what: str, name: str) -> None:
    model, contract, rows = made.trained(what, name), made.contract(what), made.rows(what, seed=4)
    inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
    space = model.pipeline[:-1].transform(inputs)
    classes = getattr(model.pipeline, "classes_", None)
    found = score(model.task, Scored(model.predict(inputs), truth, classes, space))
    at_least = {"classification": ("accuracy", 0.8), "regression": ("r2", 0.7)}
    metric, bound = at_least.get(model.task, ("silhouette", 0.05))
    assert found[metric] > bound


@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_the_same_seed_makes_the_same_model(what: str, name: str) -> None:
    contract, rows = made.contract(what), made.rows(what)
    again = made.fit(made.params(what, name), contract, rows, rows)
    inputs = model_inputs(rows, contract)
    first = made.trained(what, name).predict(inputs)
    for output, values in again.predict(inputs).items():
        np.testing.assert_array_equal(values, first[output])


@pytest.mark.parametrize("what", ["binary", "multiclass", "regression"])
def test_rounded_thresholds_change_no_prediction(what: str) -> None:
    contract, rows, params = made.contract(what), made.rows(what), made.params(what, "boosting")
    exact = build(params.task, "boosting", params.hyperparameters("boosting"), contract, 1)
    exact.fit(model_inputs(rows, contract), target_values(rows, contract))
    new = model_inputs(made.rows(what, 2000, seed=5), contract)
    before = Model(params.task, exact, {}, 0).predict(new)
    snap_thresholds(exact[-1])
    rounded = [tree.nodes["num_threshold"] for trees in exact[-1]._predictors for tree in trees]
    for values in rounded:
        np.testing.assert_array_equal(values, values.astype("float32"))
    for name, values in Model(params.task, exact, {}, 0).predict(new).items():
        np.testing.assert_array_equal(values, before[name])
