"""Prediction intervals by quantiles: as plain libraries make them, the same in ONNX, and as wide as
the rows are uncertain."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from lightgbm import LGBMRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import QuantileRegressor
from xgboost import XGBRegressor

from mlops.data.contract import conform
from mlops.data.inputs import columns, model_inputs, target_values
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.judging.coverage import caveats_of_interval
from mlops.learning.declared import FeatureFile, declared
from mlops.learning.interval import Interval
from mlops.learning.metrics import Scored, score
from mlops.learning.model import Model
from mlops.pipeline.train import check_interval, final_model, fitted
from mlops.pipeline.verify import compare, edge_cases

LEVEL = 0.8
CONTRACT = made.contract("regression")
# The plain library, told in its own words what the engine calls a quantile.
PLAIN: dict[str, Any] = {
    "boosting": lambda share, settings: HistGradientBoostingRegressor(
        **settings | {"loss": "quantile", "quantile": share}, early_stopping=False, random_state=1
    ),
    "lightgbm": lambda share, settings: LGBMRegressor(
        **settings | {"objective": "quantile", "alpha": share}, random_state=1, verbosity=-1
    ),
    "xgboost": lambda share, settings: XGBRegressor(
        **settings | {"objective": "reg:quantileerror", "quantile_alpha": share}, random_state=1
    ),
    "quantile": lambda share, settings: QuantileRegressor(**settings | {"quantile": share}),
}


@cache
def _rows(count: int, seed: int) -> pd.DataFrame:
    """Rows whose price is ten times as uncertain where it is wet."""
    data = made.rows("regression", count, seed).copy()
    spread = np.where(data["wet"].fillna(False), 20, 2)
    noise = np.random.default_rng(seed).normal(0, 1, count)
    return conform(data.assign(price=2 * data["size"].fillna(0) + spread * noise), CONTRACT)


@cache
def _model(name: str) -> Model:
    chosen = made.params("regression", name, interval={"level": LEVEL, "by": "quantiles"})
    return made.fit(chosen, CONTRACT, _rows(600, 0), _rows(400, 1))


@pytest.mark.parametrize("name", PLAIN)
def test_it_is_conformalized_quantile_regression(name: str) -> None:
    """Romano, Patterson and Candès, NeurIPS 2019, around a prediction, written out once more."""
    model, (learn, calibrate, new) = _model(name), (_rows(600, 0), _rows(400, 1), _rows(500, 2))
    steps = model.pipeline[:-1]
    settings = made.params("regression", name).hyperparameters(name).model_dump()
    ends = []
    for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        plain = PLAIN[name](share, settings)
        plain.fit(steps.transform(model_inputs(learn, CONTRACT)), target_values(learn, CONTRACT))
        ends.append(
            [
                plain.predict(steps.transform(model_inputs(rows, CONTRACT)))
                for rows in (calibrate, new)
            ]
        )
    (low, low_new), (high, high_new) = ends
    truth = target_values(calibrate, CONTRACT)
    predicted = model.pipeline.predict(model_inputs(calibrate, CONTRACT))
    scores = np.sort(np.where(truth < predicted, low - truth, truth - high))
    margin = scores[int(np.ceil(401 * LEVEL)) - 1]
    said = model.predict(model_inputs(new, CONTRACT))
    expected = np.minimum(low_new - margin, said["prediction"])
    np.testing.assert_allclose(said["lower"], expected, rtol=1e-4, atol=1e-3)
    expected = np.maximum(high_new + margin, said["prediction"])
    np.testing.assert_allclose(said["upper"], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", PLAIN)
def test_onnx_has_the_same_ends_and_the_steps_before_them_once(name: str, tmp_path: Path) -> None:
    model = _model(name)
    proto = made.export(model, CONTRACT, tmp_path / "model.onnx")
    converted = OnnxModel(tmp_path / "model.onnx")
    test = model_inputs(_rows(200, 3), CONTRACT)
    for group, rows in edge_cases(test, model, proto, CONTRACT, 300).groups.items():
        parity = compare(model.predict(rows), converted.predict(columns(rows)), model.scales, 1e-4)
        assert parity.worst == [], f"{group}: {parity}"
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("OneHotEncoder") == 1


def test_it_holds_what_it_says_and_is_wide_where_rows_are_uncertain() -> None:
    new = _rows(3000, 4)
    inputs, truth = model_inputs(new, CONTRACT), target_values(new, CONTRACT)
    wet = new["wet"].fillna(False).to_numpy(bool)
    fixed = made.fit(
        made.params("regression", "boosting", interval=LEVEL),
        CONTRACT,
        _rows(600, 0),
        _rows(400, 1),
    )
    widths = {}
    for how, model in (("quantiles", _model("boosting")), ("errors", fixed)):
        said = model.predict(inputs)
        found = score("regression", Scored(said, truth))
        assert found["interval_coverage"] == pytest.approx(LEVEL, abs=0.05)
        assert (said["lower"] <= said["prediction"]).all()
        assert (said["prediction"] <= said["upper"]).all()
        width = said["upper"] - said["lower"]
        assert found["interval_width"] == pytest.approx(width.mean())
        widths[how] = width[wet].mean() / width[~wet].mean()
    assert widths["errors"] == pytest.approx(1)
    assert widths["quantiles"] > 1.5


def test_features_that_are_declared_are_computed_once(tmp_path: Path) -> None:
    file = FeatureFile.model_validate(
        {"features": {"gap": {"expr": "log1p(abs(size)) - rank"}}, "columns": {}}
    )
    rows, params = _rows(300, 0), made.params("regression", "boosting")
    made_of = declared(file, CONTRACT)
    settings = params.hyperparameters("boosting")
    main, low, high = (
        fitted(params, settings.model_copy(update=change), CONTRACT, rows, made_of)
        for change in (
            {},
            {"loss": "quantile", "quantile": 0.1},
            {"loss": "quantile", "quantile": 0.9},
        )
    )
    model = Model("regression", main, {}, 300, interval=Interval(0.8, -0.5, low, high))
    proto = made.export(model, CONTRACT, tmp_path / "model.onnx")
    assert [node.op_type for node in proto.graph.node].count("Log") == 1
    inputs = model_inputs(rows, CONTRACT)
    said = OnnxModel(tmp_path / "model.onnx").predict(columns(inputs))
    for name, values in model.predict(inputs).items():
        np.testing.assert_allclose(said[name], values, rtol=1e-5, atol=1e-4)


def test_the_final_model_learns_its_ends_anew_and_keeps_the_margin() -> None:
    chosen = made.params("regression", "boosting", interval={"level": LEVEL, "by": "quantiles"})
    settings, candidate = chosen.hyperparameters("boosting"), _model("boosting")
    rows = pd.concat([_rows(600, 0), _rows(400, 1)], ignore_index=True)
    final = final_model(candidate, chosen, settings, CONTRACT, rows)
    assert candidate.interval is not None
    assert final.interval is not None
    assert final.interval.margin == candidate.interval.margin
    inputs = model_inputs(_rows(200, 5), CONTRACT)
    again = made.fit(chosen, CONTRACT, rows, rows).interval
    assert again is not None
    for name in ("lower", "upper"):
        first, second = (getattr(each, name).predict(inputs) for each in (final.interval, again))
        np.testing.assert_array_equal(first, second)


def test_what_predicts_no_quantiles_is_refused() -> None:
    params = made.params("regression", "forest", interval={"level": 0.9, "by": "quantiles"})
    with pytest.raises(
        InputError, match=r"train.interval.by: forest predicts no quantiles; choose"
    ):
        check_interval(params)
    check_interval(made.params("regression", "forest", interval=0.9))


@pytest.mark.parametrize(
    ("half", "words"),
    [(1.0, "too narrow: it holds 6"), (1.65, None), (4.0, "wider than it need be: it holds 100")],
)
def test_an_interval_that_holds_another_share_is_named(half: float, words: str | None) -> None:
    truth = np.random.default_rng(0).normal(0, 1, 2000)
    outputs = {"prediction": truth / 2, "lower": np.full(2000, -half), "upper": np.full(2000, half)}
    found = [*caveats_of_interval(Scored(outputs, truth), Interval(0.9, half), 0.95)]
    assert [each.kind for each in found] == (["interval"] if words else [])
    assert all(str(words) in str(each) for each in found)
