"""LightGBM and XGBoost: they say what the libraries say when these are used plainly, they are the
same each time, and where a library is missing, that is one line."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from engine import made
from sklearn.base import clone
from sklearn.utils.class_weight import compute_sample_weight

from mlops import learning
from mlops.data.inputs import columns, model_inputs, target_values
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.learning.estimators import build
from mlops.learning.lightgbm import ZERO, snap_thresholds
from mlops.learning.model import Model
from mlops.learning.xgboost import LabelledXGBClassifier
from mlops.pipeline.verify import compare, edge_cases

WHATS = ["binary", "multiclass", "regression"]


def _matrix(what: str, name: str, rows: pd.DataFrame) -> np.ndarray:
    inputs = model_inputs(rows, made.contract(what))
    matrix: np.ndarray = made.trained(what, name).pipeline[:-1].transform(inputs)
    return matrix


def _said(what: str, model: Any, matrix: np.ndarray) -> np.ndarray:
    says = model.predict if what == "regression" else model.predict_proba
    return np.asarray(says(matrix))


@pytest.mark.slow
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_it_says_what_the_library_says(what: str, name: str) -> None:
    """The library used plainly learns from the same matrix, and is asked for rows of another."""
    of_library: Any = {
        "lightgbm": (lightgbm.LGBMRegressor, lightgbm.LGBMClassifier),
        "xgboost": (xgboost.XGBRegressor, xgboost.XGBClassifier),
    }[name][what != "regression"]
    quiet = {"verbosity": -1} if name == "lightgbm" else {}
    settings = made.HYPERPARAMETERS["classification"][name] | quiet
    rows, new = made.rows(what), made.rows(what, 300, seed=5)
    target = target_values(rows, made.contract(what))
    assert target is not None
    if what != "regression":
        target = np.unique(target, return_inverse=True)[1]
    plain = of_library(**settings, random_state=1).fit(_matrix(what, name, rows), target)
    ours = made.trained(what, name).pipeline[-1]
    matrix = _matrix(what, name, new)
    np.testing.assert_array_equal(_said(what, ours, matrix), _said(what, plain, matrix))


@pytest.mark.parametrize("what", ["binary", "multiclass"])
def test_classes_of_xgboost_have_any_name_and_weight(what: str) -> None:
    rows = made.rows(what)
    matrix, truth = _matrix(what, "xgboost", rows), target_values(rows, made.contract(what))
    assert truth is not None
    classes, places = np.unique(truth, return_inverse=True)
    weights = compute_sample_weight("balanced", truth)
    half = np.where(np.arange(len(rows)) % 2, 1.0, 0.5)
    for given in (None, half):
        ours = clone(LabelledXGBClassifier(class_weight="balanced", n_estimators=5))
        ours.fit(matrix, truth, sample_weight=given)
        together = weights if given is None else weights * half
        plain = xgboost.XGBClassifier(n_estimators=5).fit(matrix, places, sample_weight=together)
        np.testing.assert_array_equal(ours.predict_proba(matrix), plain.predict_proba(matrix))
        np.testing.assert_array_equal(ours.predict(matrix), classes[plain.predict(matrix)])
        np.testing.assert_array_equal(ours.classes_, classes)


@pytest.mark.parametrize("what", WHATS)
def test_rounded_thresholds_change_no_prediction_of_lightgbm(what: str) -> None:
    """Nor does a pickle, which is read from a text."""
    contract, rows, params = made.contract(what), made.rows(what), made.params(what, "lightgbm")
    exact = build(params.task, "lightgbm", params.hyperparameters("lightgbm"), contract, 1)
    exact.fit(model_inputs(rows, contract), target_values(rows, contract))
    new = _matrix(what, "lightgbm", made.rows(what, 2000, seed=5)).astype("float32")
    before = _said(what, exact[-1], new)
    snap_thresholds(exact[-1])
    np.testing.assert_array_equal(_said(what, exact[-1], new), before)
    copy = lightgbm.Booster(model_str=exact[-1].booster_.model_to_string())
    np.testing.assert_array_equal(np.squeeze(copy.predict(new)), exact[-1].booster_.predict(new))


TINY = np.array([-1e-34, -1e-35, -1e-36, -0.0, 0.0, 1e-36, 1e-35, 1e-34], dtype="float32")


def test_what_lightgbm_takes_for_zero_is_so_in_onnx(tmp_path: Path) -> None:
    """Rows on either side of zero are parted, and those next to it go where LightGBM has them."""
    contract = made.contract_of(
        {"a": {"kind": "numeric", "role": "feature"}, "y": {"kind": "numeric", "role": "target"}}
    )
    sign = np.repeat([-1.0, 0.0, 1.0], 100)
    rows = pd.DataFrame({"a": sign, "y": 10 * sign})
    model = made.fit(made.params("regression", "lightgbm"), contract, rows, rows)
    onnx.save(to_onnx(model, contract), tmp_path / "model.onnx")
    near = np.concatenate([TINY, np.nextafter(TINY, -np.inf), np.nextafter(TINY, np.inf)])
    inputs = pd.DataFrame({"a": np.concatenate([near, [-ZERO, ZERO, -1, 1]]).astype("float32")})
    said = OnnxModel(tmp_path / "model.onnx").predict(columns(inputs))["prediction"]
    np.testing.assert_allclose(said, model.predict(inputs)["prediction"], atol=1e-5)
    assert len(np.unique(said.round(3))) == 3


@pytest.mark.parametrize("what", WHATS)
def test_thresholds_that_are_not_rounded_fail(what: str, tmp_path: Path) -> None:
    """The group of rows on thresholds is not vacuous for other libraries than scikit-learn."""
    contract, rows, params = made.contract(what), made.rows(what), made.params(what, "lightgbm")
    pipeline = build(params.task, "lightgbm", params.hyperparameters("lightgbm"), contract, 1)
    pipeline.fit(model_inputs(rows, contract), target_values(rows, contract))
    unrounded = replace(made.trained(what, "lightgbm"), pipeline=pipeline)
    proto = to_onnx(unrounded, contract)
    onnx.save(proto, tmp_path / "model.onnx")
    test = model_inputs(made.rows(what, 200, seed=3), contract)
    some = edge_cases(test, unrounded, proto, contract, 300).groups["thresholds"]
    said = OnnxModel(tmp_path / "model.onnx").predict(columns(some))
    parity = compare(unrounded.predict(some), said, unrounded.scales, 1e-4)
    assert parity.worst
    assert parity.difference > 0.01


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_the_same_rows_make_the_same_file(name: str) -> None:
    contract, rows = made.contract("multiclass"), made.rows("multiclass")
    again = made.fit(made.params("multiclass", name), contract, rows, rows)
    first, second = (
        to_onnx(model, contract).SerializeToString(deterministic=True)
        for model in (made.trained("multiclass", name), again)
    )
    assert first == second


CONVERTED = """
import sys
from pathlib import Path
from engine import made
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model
for path in map(Path, sys.argv[1:]):
    what = path.stem.partition("-")[0]
    proto = to_onnx(Model.load(path), made.contract(what))
    path.with_suffix(".onnx").write_bytes(proto.SerializeToString(deterministic=True))
"""


@pytest.mark.slow
def test_another_process_converts_what_was_saved(tmp_path: Path) -> None:
    """As the stages do: a pickle brings the converter, and what comes out is the same file."""
    models = [(what, name) for what in ("binary", "regression") for name in ("lightgbm", "xgboost")]
    paths = [tmp_path / f"{what}-{name}.joblib" for what, name in models]
    for (what, name), path in zip(models, paths, strict=True):
        made.trained(what, name).save(path)
    command = [sys.executable, "-c", CONVERTED, *map(str, paths)]
    tests = Path(made.__file__).parents[1]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(tests)})
    for (what, name), path in zip(models, paths, strict=True):
        ours = to_onnx(made.trained(what, name), made.contract(what))
        written = path.with_suffix(".onnx").read_bytes()
        assert written == ours.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_library_that_is_missing_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training before it begins, and where the model is loaded."""
    params = made.params("regression", name)
    monkeypatch.delattr(learning, name)
    for module in (name, f"mlops.learning.{name}"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"^params.yaml: train.estimator {name} needs .*{name}`"):
        build("regression", name, params.hyperparameters(name), made.contract("regression"), 1)

    def missing(path: Path) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(joblib, "load", missing)
    with pytest.raises(
        InputError, match=rf"the estimator needs the dependency group `{name}`: run"
    ):
        Model.load(tmp_path / "model.joblib")


@pytest.mark.parametrize("what", [*WHATS, "amount"])
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_each_round_is_what_the_library_says_after_so_many(what: str, name: str) -> None:
    chosen = made.params(what, name)
    counts = {"objective": "poisson" if name == "lightgbm" else "count:poisson"}
    settings = chosen.hyperparameters(name, counts if what == "amount" else {})
    contract, rows = made.contract(what), made.rows(what)
    pipeline = build(chosen.task, name, settings, contract, 1)
    pipeline.fit(model_inputs(rows, contract), target_values(rows, contract))
    matrix = pipeline[:-1].transform(model_inputs(made.rows(what, 50, seed=5), contract))
    model, is_number = pipeline[-1], chosen.task == "regression"
    stages = [*(model.staged_predict(matrix) if is_number else model.staged_predict_proba(matrix))]
    assert len(stages) == 15
    for rounds in (1, 7, 15):
        some = {"num_iteration": rounds} if name == "lightgbm" else {"iteration_range": (0, rounds)}
        plain = model.predict(matrix, **some) if is_number else model.predict_proba(matrix, **some)
        np.testing.assert_allclose(stages[rounds - 1], plain, rtol=1e-5, atol=1e-6)
