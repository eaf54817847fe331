"""Training: the search chooses from its space, the prediction interval covers what it promises, and
the log holds what `dvc exp show` compares."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from ruamel.yaml import YAML

from mlops import progress
from mlops.data.inputs import model_inputs, target_values
from mlops.files import read_json, write_text
from mlops.learning.interval import margin
from mlops.learning.metrics import METRICS
from mlops.learning.model import Model
from mlops.paths import CANDIDATE, CONTRACT, MODEL, PARAMS, PARTS, TRAINING_LOG
from mlops.pipeline.train import choose, learning_curve, train

SPACES: dict[str, dict[str, list[Any]]] = {
    "linear": {"max_iter": [900, 1000], "C": [0.01, 1.0]},
    "boosting": {"max_iter": [1, 10], "learning_rate": [0.01, 0.3]},
    "forest": {"max_depth": [1, None], "max_features": ["sqrt", 0.9]},
    "mlp": {"hidden_layer_sizes": [[2], [8, 4]]},
    "lightgbm": {"n_estimators": [1, 10], "num_leaves": [3, 7]},
    "xgboost": {"n_estimators": [1, 10], "max_depth": [1, 3]},
    "network": {"layers": [[{"dense": 4, "activation": None}], []]},
    "kmeans": {"n_clusters": [3, 4]},
    "elasticnet": {"l1_ratio": [0.1, 0.9]},
    "extratrees": {"max_depth": [1, None], "max_features": ["sqrt", 0.9]},
    **dict.fromkeys(("poisson", "gamma", "tweedie"), {"alpha": [0.1, 1.0]}),
    "quantile": {"alpha": [0.0, 0.1]},
    "mixture": {"covariance_type": ["diag", "tied"]},
}


def _space(what: str, name: str) -> dict[str, list[Any]]:
    return {"alpha": [0.1, 1.0]} if (what, name) == ("regression", "linear") else SPACES[name]


def _search(what: str, name: str, trials: int, space: dict[str, list[Any]]) -> dict[str, Any]:
    params = made.params(what, name, search={"trials": trials, "space": {name: space}})
    rows = made.rows(what, 200), made.rows(what, 100, seed=2)
    return choose(params, made.contract(what), *rows).model_dump()


@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_the_search_chooses_from_its_space(what: str, name: str) -> None:
    space = _space(what, name)
    found = _search(what, name, 2, space)
    given = made.params(what, name).hyperparameters(name).model_dump()
    assert all(found[key] in values for key, values in space.items())
    assert {key: found[key] for key in found.keys() - space} == {
        key: given[key] for key in given.keys() - space
    }


def test_the_search_takes_what_does_best_on_the_validation_rows() -> None:
    found = _search(
        "regression", "boosting", 9, {"max_iter": [1, 50], "learning_rate": [0.001, 0.2]}
    )
    assert (found["max_iter"], found["learning_rate"]) == (50, 0.2)


def test_the_search_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0)
    _search("clustering", "kmeans", 2, {"n_clusters": [3, 4, 5]})
    assert capsys.readouterr().err.splitlines() == ["1 trials, 50%", "2 trials, 100%"]


def test_more_trials_than_there_are_choices_try_them_all() -> None:
    assert _search("binary", "linear", 99, {"C": [1e-6, 1.0]})["C"] == 1.0


@pytest.mark.parametrize(("trials", "space"), [(0, {"C": [5.0]}), (5, {})])
def test_without_a_search_the_given_ones_are_taken(trials: int, space: dict[str, Any]) -> None:
    assert _search("binary", "linear", trials, space)["C"] == 1.0


def test_the_search_copes_with_a_class_that_the_validation_rows_lack() -> None:
    contract, rows = made.contract("multiclass"), made.rows("multiclass")
    search = {"trials": 2, "space": {"linear": {"C": [0.1, 1.0]}}}
    params = made.params("multiclass", "linear", search=search)
    found = choose(params, contract, rows, rows[rows["grade"] != "low"])
    assert found.model_dump()["C"] in (0.1, 1.0)


@pytest.mark.parametrize(
    ("errors", "coverage", "expected"),
    [
        # The k-th smallest of n errors, where k is (n + 1) times the coverage, rounded up.
        ([1.0, 2.0, 3.0, 4.0], 0.5, 3.0),
        ([4.0, 3.0, 2.0, 1.0], 0.8, 4.0),
        ([1.0, 2.0, 3.0, 4.0], 0.2, 1.0),
        # With too few rows for the coverage, the largest one.
        ([1.0, 2.0], 0.9, 2.0),
    ],
)
def test_the_margin_of_an_interval_by_hand(
    errors: list[float], coverage: float, expected: float
) -> None:
    assert margin(np.array(errors), coverage) == expected


def test_the_interval_covers_new_rows() -> None:
    model, contract, new = (
        made.trained("regression", "boosting"),
        made.contract("regression"),
        made.rows("regression", 2000, seed=7),
    )
    outputs = model.predict(model_inputs(new, contract))
    truth = target_values(new, contract)
    covered = (outputs["lower"] <= truth) & (truth <= outputs["upper"])
    assert covered.mean() == pytest.approx(0.9, abs=0.05)


def test_only_a_model_that_was_asked_for_an_interval_has_one() -> None:
    rows, contract = made.rows("regression"), made.contract("regression")
    model = made.fit(made.params("regression", "linear"), contract, rows, rows)
    assert model.predict(model_inputs(rows, contract)).keys() == {"prediction"}


@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_the_learning_curve_falls(what: str, name: str) -> None:
    model, contract, rows = made.trained(what, name), made.contract(what), made.rows(what)
    inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
    curve = [*learning_curve(model.pipeline, inputs, truth)]
    trees, networks = ("boosting", "lightgbm", "xgboost"), ("mlp", "network")
    if name not in trees + networks:
        assert curve == []
        return
    assert len(curve) == len(getattr(model.pipeline[-1], "loss_curve_", curve))
    logged = {"loss"} if name in networks else set()
    logged |= {"validation_loss"} if name != "mlp" else set()
    assert all(step.keys() == logged for step in curve)
    assert all(curve[-1][loss] < curve[0][loss] for loss in logged)


@pytest.mark.parametrize(
    ("what", "classes"),
    [
        ("binary", ["false", "true"]),
        ("multiclass", ["high", "low", "middle"]),
        ("regression", None),
    ],
)
def test_classes_have_the_names_of_the_data(what: str, classes: list[str] | None) -> None:
    assert made.trained(what, "linear").classes == classes


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model, contract = made.trained("regression", "forest"), made.contract("regression")
    model.save(tmp_path / "model.joblib")
    back = Model.load(tmp_path / "model.joblib")
    inputs = model_inputs(made.rows("regression"), contract)
    for name, values in model.predict(inputs).items():
        np.testing.assert_array_equal(back.predict(inputs)[name], values)


@pytest.mark.parametrize(
    ("what", "name"), [("binary", "boosting"), ("regression", "linear"), ("clustering", "kmeans")]
)
def test_the_stage_writes_the_model_and_its_log(
    what: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = made.params(what, name)
    write_text(PARAMS, params.model_dump_json())
    write_text(CONTRACT, made.contract(what).model_dump_json(exclude_defaults=True))
    PARTS["train"].parent.mkdir(parents=True)
    for seed, part in enumerate(PARTS):
        made.rows(what, seed=seed).to_parquet(PARTS[part])
    train()
    inputs = model_inputs(pd.read_parquet(PARTS["test"]), made.contract(what))
    assert len(Model.load().predict(inputs)["prediction"]) == made.ROWS
    logged = YAML(typ="safe").load(TRAINING_LOG / "params.yaml")
    assert logged == {"estimator": name, **params.hyperparameters(name).model_dump()}
    metrics = read_json(TRAINING_LOG / "metrics.json")
    assert metrics.keys() >= METRICS[made.task(what)].keys() - {
        "interval_coverage",
        "interval_width",
    }
    assert (TRAINING_LOG / "plots").is_dir()
    assert (TRAINING_LOG / "plots" / "metrics" / "validation_loss.tsv").exists() == (
        name == "boosting"
    )


@pytest.mark.parametrize(
    ("refit", "timed", "rows"),
    [
        ("auto", True, 3 * made.ROWS),
        ("auto", False, made.ROWS),
        ("all", False, 3 * made.ROWS),
        ("none", True, made.ROWS),
    ],
)
def test_the_final_model_learns_from_all_rows_where_it_should(
    refit: str, timed: bool, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    when = {"when": {"kind": "datetime", "role": "time"}} if timed else {}
    contract = made.contract_of(made.COLUMNS | made.TARGETS["regression"][1] | when)
    params = made.params("regression", "linear", refit=refit, interval=0.9)
    write_text(PARAMS, params.model_dump_json())
    write_text(CONTRACT, contract.model_dump_json(exclude_defaults=True))
    PARTS["train"].parent.mkdir(parents=True)
    parts = [made.rows("regression", seed=seed).assign(when=seed) for seed in range(3)]
    for part, path in zip(parts, PARTS.values(), strict=True):
        part.assign(when=pd.Timestamp("2030-01-01")).to_parquet(path)
    train()
    candidate, final = Model.load(CANDIDATE), Model.load()
    assert (candidate.rows, final.rows) == (made.ROWS, rows)
    assert (CANDIDATE.read_bytes() == MODEL.read_bytes()) == (rows == made.ROWS)
    assert candidate.interval == final.interval, "it was measured on rows that were not learned"
    learned = pd.concat(parts) if rows > made.ROWS else parts[0]
    plain = made.fit(params, contract, learned, parts[1]).pipeline
    inputs = model_inputs(made.rows("regression", seed=9), contract)
    np.testing.assert_allclose(final.pipeline.predict(inputs), plain.predict(inputs), rtol=1e-5)


def test_many_rows_with_a_rare_class_are_trained_on() -> None:
    # From 10,000 rows on, scikit-learn's boosting would set rows aside by class on its own.
    contract, rows = made.contract("multiclass"), made.rows("multiclass", 10_500)
    grade = rows["grade"].astype(object)
    grade.iloc[0] = "rare"
    rows = rows.assign(grade=grade.astype("str"))
    model = made.fit(made.params("multiclass", "boosting"), contract, rows, rows)
    assert model.classes == ["high", "low", "middle", "rare"]
    iterations = made.HYPERPARAMETERS["classification"]["boosting"]["max_iter"]
    assert model.pipeline[-1].n_iter_ == iterations
