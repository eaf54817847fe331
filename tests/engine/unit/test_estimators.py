"""Every estimator of the catalogue, with everything that it can predict: it learns, is seeded, and
its ONNX model says the same on data of every kind. One that cannot is not in the catalogue."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made
from sklearn.calibration import CalibratedClassifierCV
from sklearn.mixture import GaussianMixture

from mlops.config.hyperparameters import HYPERPARAMETERS
from mlops.data.inputs import columns, model_inputs, target_values
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.learning.estimators import build, check_target, snap_thresholds
from mlops.learning.metrics import Scored, score
from mlops.learning.model import Model
from mlops.pipeline.train import CALIBRATORS, calibrators, described, fit
from mlops.pipeline.verify import Parity, compare, edge_cases

TREES = {"boosting", "lightgbm", "xgboost", "forest", "extratrees"}


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


# What is beside the catalogue's defaults.


def _parities(what: str, model: Model, folder: Path) -> dict[str, Parity]:
    """How far ONNX is apart from scikit-learn, on rows of every kind."""
    contract = made.contract(what)
    proto = to_onnx(model, contract)
    onnx.save(proto, folder / "model.onnx")
    converted = OnnxModel(folder / "model.onnx")
    test = model_inputs(made.rows(what, 200, seed=3), contract)
    groups = {"test": test, **edge_cases(test, model, proto, contract, 300).groups}
    return {
        group: compare(model.predict(rows), converted.predict(columns(rows)), model.scales, 1e-4)
        for group, rows in groups.items()
    }


def _fitted(what: str, name: str, settings: dict[str, Any], **train: Any) -> Model:
    chosen = made.params(what, name, **train)
    estimators = chosen.estimators | {name: chosen.estimators[name] | settings}
    chosen = chosen.model_copy(update={"estimators": estimators})
    rows, given = made.rows(what), made.contract(what)
    pipeline = fit(chosen, chosen.hyperparameters(name), given, rows)
    return described(pipeline, chosen, given, rows, rows)


SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    *(
        ("amount", "lightgbm", {"objective": objective})
        for objective in ("regression_l1", "poisson", "gamma", "tweedie")
    ),
    ("regression", "lightgbm", {"objective": "quantile", "alpha": 0.9}),
    *(
        ("amount", "xgboost", {"objective": objective})
        for objective in ("reg:absoluteerror", "count:poisson", "reg:gamma", "reg:tweedie")
    ),
    ("regression", "xgboost", {"objective": "reg:quantileerror", "quantile_alpha": 0.9}),
    ("binary", "lightgbm", {"subsample": 0.5, "colsample_bytree": 0.5, "max_depth": 2}),
    *(("amount", "boosting", {"loss": loss}) for loss in ("absolute_error", "poisson", "gamma")),
    ("regression", "boosting", {"loss": "quantile", "quantile": 0.9}),
    ("amount", "tweedie", {"power": 3}),
    *(
        (what, name, {"class_weight": "balanced"})
        for what, name in (
            *(("binary", "linear"), ("binary", "boosting"), ("multiclass", "forest")),
            *(("multiclass", "elasticnet"), ("binary", "extratrees")),
            *(("multiclass", "lightgbm"), ("binary", "xgboost"), ("multiclass", "xgboost")),
        )
    ),
    *(
        ("clustering", "mixture", {"covariance_type": kind})
        for kind in ("tied", "diag", "spherical")
    ),
]


@pytest.mark.parametrize(("what", "name", "settings"), SETTINGS)
def test_onnx_says_the_same_of_other_settings(
    what: str, name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    for group, parity in _parities(what, _fitted(what, name, settings), tmp_path).items():
        assert parity.worst == [], f"{group}: {parity}"


@pytest.mark.parametrize(
    ("what", "name"),
    [
        *(("binary", "linear"), ("binary", "boosting"), ("multiclass", "forest")),
        *(("multiclass", "mlp"), ("binary", "xgboost"), ("multiclass", "lightgbm")),
    ],
)
def test_calibration_is_scikit_learns_and_survives(what: str, name: str, tmp_path: Path) -> None:
    model = _fitted(what, name, {}, calibration="sigmoid")
    for group, parity in _parities(what, model, tmp_path).items():
        assert parity.worst == [], f"{group}: {parity}"
    rows, given = made.rows(what), made.contract(what)
    params = made.params(what, name)
    alone = build("classification", name, params.hyperparameters(name), given, 1)
    parted = calibrators(params, given, rows)
    inputs, truth = model_inputs(rows, given), target_values(rows, given)
    matrix = alone[0].fit_transform(inputs)
    plain = CalibratedClassifierCV(alone[1], method="sigmoid", cv=parted).fit(matrix, truth)
    new = model_inputs(made.rows(what, 300, seed=5), given)
    said = model.pipeline.predict_proba(new)
    np.testing.assert_allclose(said, plain.predict_proba(alone[0].transform(new)), atol=1e-6)
    assert model.pipeline[-1].cv == CALIBRATORS


def test_calibration_makes_probabilities_come_true() -> None:
    """Those of balanced weights are of another world, in which all classes are as frequent."""
    given, rows = made.contract("binary"), made.rows("binary", 3000, seed=6)
    rare = rows[~rows["large"] | (np.arange(len(rows)) % 8 == 0)].reset_index(drop=True)
    params, gaps = made.params("binary", "linear", calibration="sigmoid"), []
    weighted = params.hyperparameters("linear", {"class_weight": "balanced"})
    for chosen in (made.params("binary", "linear"), params):
        said = fit(chosen, weighted, given, rare).predict_proba(model_inputs(rare, given))[:, 1]
        gaps.append(abs(said.mean() - rare["large"].mean()))
    assert gaps[0] > 0.05
    assert gaps[1] < 0.01


def test_what_belongs_together_is_not_calibrated_by_what_learned_it() -> None:
    contract = made.contract_of(
        made.COLUMNS
        | {"who": {"kind": "categorical", "role": "group"}}
        | {"at": {"kind": "datetime", "role": "time"}}
        | made.TARGETS["binary"][1]
    )
    who = [f"w{i // 4}" for i in range(made.ROWS)]
    at = pd.date_range("2020-01-01", periods=made.ROWS)
    rows = made.rows("binary").assign(who=who, at=at)
    parted = calibrators(made.params("binary", "linear"), contract, rows)
    assert len(parted) == CALIBRATORS
    assert sorted(np.concatenate([judge for _, judge in parted])) == [*range(made.ROWS)]
    for learn, judge in parted:
        assert not set(rows["who"].iloc[learn]) & set(rows["who"].iloc[judge])
    with pytest.raises(InputError, match="train.calibration: there are too few rows of a class"):
        calibrators(made.params("binary", "linear"), contract, rows.head(12))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_mixture_is_scikit_learns(kind: str) -> None:
    model = _fitted("clustering", "mixture", {"covariance_type": kind}).pipeline
    space = model[0].transform(model_inputs(made.rows("clustering"), made.contract("clustering")))
    plain, ours = GaussianMixture, model[-1]
    np.testing.assert_array_equal(ours.predict(space), plain.predict(ours, space))
    likely = np.exp(-ours.transform(space))
    shares = likely / likely.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, plain.predict_proba(ours, space), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings", "truth", "line"),
    [
        ("poisson", {}, [0, -1], "poisson takes a target of at least 0, and its least is -1"),
        ("gamma", {}, [1, 0], "gamma takes a target above 0, and its least is 0"),
        ("tweedie", {"power": 2}, [1, 0], "tweedie takes a target above 0"),
        ("boosting", {"loss": "gamma"}, [1, 0], "train.estimator boosting: gamma takes a target"),
        ("lightgbm", {"objective": "poisson"}, [0, -1], "lightgbm: poisson takes a target of at"),
        ("xgboost", {"objective": "count:poisson"}, [0, -1], "xgboost: poisson takes a target of"),
        ("xgboost", {"objective": "reg:gamma"}, [1, 0], "xgboost: gamma takes a target above 0"),
        ("xgboost", {"objective": "reg:tweedie"}, [0, 1], None),
        ("poisson", {}, [0, 1], None),
        ("tweedie", {}, [0, 1], None),
        ("linear", {}, [-1, 1], None),
    ],
)
def test_a_target_that_has_no_logarithm_is_told(
    name: str, settings: dict[str, Any], truth: list[float], line: str | None
) -> None:
    chosen = made.params("regression", name).hyperparameters(name, settings)
    if line is None:
        check_target(name, chosen, np.array(truth))
    else:
        with pytest.raises(InputError, match=line):
            check_target(name, chosen, np.array(truth))
