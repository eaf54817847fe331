"""Importance: the column that decides is found, a bound is kept, and what is long tells how far it
is."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer

from mlops import progress
from mlops.config.evaluate import Evaluate
from mlops.data.inputs import model_inputs, target_values
from mlops.learning import importance as module
from mlops.learning.importance import followed, importance
from mlops.learning.model import Model

HOW = Evaluate(importance_rows=200, slice_rows=20)
BEST = [("binary", "forest"), ("multiclass", "linear"), ("regression", "boosting")]


@pytest.mark.parametrize(("what", "name"), BEST)
def test_importance_finds_the_column_that_decides(what: str, name: str) -> None:
    model, contract, rows = made.trained(what, name), made.contract(what), made.rows(what, seed=4)
    inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
    assert truth is not None
    found = importance(made.task(what), model, inputs, truth, HOW)
    assert {each["column"] for each in found} == {*contract.features}
    assert found[0]["column"] == "size"
    assert found[0]["importance"] > 5 * abs(found[1]["importance"])
    assert [each["importance"] for each in found] == sorted(
        (each["importance"] for each in found), reverse=True
    )


def test_importance_for_clusters_is_the_share_of_rows_that_move() -> None:
    model, contract = made.trained("clustering", "kmeans"), made.contract("clustering")
    inputs = model_inputs(made.rows("clustering"), contract)
    clusters = model.predict(inputs)["prediction"]
    found = importance("clustering", model, inputs, clusters, HOW)
    assert all(0 <= each["importance"] <= 1 for each in found)
    assert found[0]["importance"] > 0.1


@pytest.mark.parametrize(
    ("what", "name", "scoring"),
    [
        ("regression", "boosting", "neg_mean_absolute_error"),
        ("binary", "forest", "neg_log_loss"),
        ("multiclass", "forest", "neg_log_loss"),
    ],
)
def test_it_is_what_scikit_learn_says(what: str, name: str, scoring: str) -> None:
    model, contract, rows = made.trained(what, name), made.contract(what), 150
    inputs = model_inputs(made.rows(what, rows, seed=4), contract)
    truth = target_values(made.rows(what, rows, seed=4), contract)
    assert truth is not None
    how = Evaluate(importance_rows=rows, importance_repeats=3, slice_rows=20)
    found = importance(made.task(what), model, inputs, truth, how)
    alone = permutation_importance(
        model.pipeline,
        inputs,
        truth,
        scoring=get_scorer(scoring),
        n_repeats=3,
        random_state=0,
    )
    for key, numbers in (
        ("importance", alone.importances_mean),
        ("spread", alone.importances_std),
    ):
        expected = dict(zip(inputs.columns, numbers, strict=True))
        assert {each["column"]: each[key] for each in found} == pytest.approx(expected, abs=1e-6)


def test_it_does_not_vanish_where_the_target_is_small() -> None:
    contract, chosen = made.contract("regression"), made.params("regression", "linear")
    found = []
    for unit in (1.0, 1e-9):
        rows = made.rows("regression").assign(price=made.rows("regression")["price"] * unit)
        inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
        assert truth is not None
        model = made.fit(chosen, contract, rows, rows)
        found.append(importance("regression", model, inputs, truth, HOW)[0])
    assert found[1]["column"] == found[0]["column"] == "size"
    assert found[1]["importance"] == pytest.approx(found[0]["importance"] * 1e-9, rel=1e-3)


class _Known:
    """A model whose predictions are known."""

    def __init__(self, outputs: np.ndarray) -> None:
        self._outputs = outputs

    def predict(self, _: pd.DataFrame) -> dict[str, np.ndarray]:
        return {"prediction": self._outputs}


def test_columns_that_predictions_follow_are_chosen() -> None:
    """In whatever way they do: up and down, by category, by what is missing."""
    rng = np.random.default_rng(0)
    rows = 500
    noise = {f"noise{i}": rng.normal(size=rows).astype("float32") for i in range(30)}
    told = pd.DataFrame(
        {
            "around": rng.normal(size=rows).astype("float32"),
            "colour": rng.choice(["red", "blue", ""], rows),
            "gone": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
        }
    )
    inputs = pd.concat([told["around"], pd.DataFrame(noise), told[["colour", "gone"]]], axis=1)
    outputs = told["around"] ** 2 + (told["colour"] == "red") + told["gone"].isna()
    model: Any = _Known(outputs.to_numpy())
    assert [*followed(model, inputs, 3)] == ["around", "colour", "gone"]
    assert [*followed(model, inputs, 40)] == [*inputs.columns]
    assert len(followed(model, inputs.assign(around=1.0), 5)) == 5


def test_no_more_is_shuffled_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model, contract = made.trained("regression", "linear"), made.contract("regression")
    inputs = model_inputs(made.rows("regression", seed=4), contract)
    truth = target_values(made.rows("regression", seed=4), contract)
    assert truth is not None
    asked = []
    losses = module.LOSSES["regression"]

    def counted(pipeline: Any, rows: pd.DataFrame, of: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return losses(pipeline, rows, of)

    monkeypatch.setitem(module.LOSSES, "regression", counted)
    how = Evaluate(importance_rows=100, importance_columns=2, importance_repeats=4, slice_rows=20)
    found = importance("regression", model, inputs, truth, how)
    assert len(found) == 2
    assert found[0]["column"] == "size"
    assert asked == [100, 4 * 100, 4 * 100]


def test_how_far_it_is_can_be_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model: Model = made.trained("clustering", "kmeans")
    inputs = model_inputs(made.rows("clustering"), made.contract("clustering"))
    clusters = model.predict(inputs)["prediction"]
    importance("clustering", model, inputs, clusters, HOW)
    assert capsys.readouterr().err == ""  # it is quick
    monkeypatch.setattr(progress, "SECONDS", 0)
    importance("clustering", model, inputs, clusters, HOW)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    shuffles = len(inputs.columns) * HOW.importance_repeats + 1
    assert lines[0] == f"1 shuffles, {1 / shuffles:.0%}"
    assert lines[-1] == f"{shuffles} shuffles, 100%"
