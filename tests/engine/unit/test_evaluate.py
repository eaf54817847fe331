"""Evaluation: slices hold the rows that they name, importance finds the column that matters, and
the predictions can be joined to their rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from engine.workspace import root
from sklearn.metrics import mean_absolute_error

from mlops import paths
from mlops.config.evaluate import Evaluate
from mlops.data.contract import conform
from mlops.data.inputs import model_inputs, target_values
from mlops.files import read_json, write_text
from mlops.judging.slices import slices
from mlops.learning.metrics import Scored, names, score
from mlops.learning.plots import PLOTS
from mlops.pipeline.evaluate import (
    evaluate,
    predictions,
    stability,
)

HOW = Evaluate(importance_rows=200, slice_rows=20)
BEST = [("binary", "forest"), ("multiclass", "linear"), ("regression", "boosting")]


def _scored(what: str, name: str, rows: pd.DataFrame) -> Scored:
    model, contract = made.trained(what, name), made.contract(what)
    inputs = model_inputs(rows, contract)
    return Scored(
        model.predict(inputs),
        target_values(rows, contract),
        getattr(model.pipeline, "classes_", None),
        model.pipeline[:-1].transform(inputs),
    )


@pytest.mark.parametrize(("what", "name"), [*BEST, ("clustering", "kmeans")])
def test_a_slice_is_scored_like_its_rows_alone(what: str, name: str) -> None:
    rows = made.rows(what, seed=4)
    found = slices(made.task(what), _scored(what, name, rows), rows, made.contract(what), HOW)
    assert found.keys() == {"rank", "colour"}
    for value, part in rows.groupby(rows["colour"].fillna("(missing)")):
        alone = score(made.task(what), _scored(what, name, part.reset_index(drop=True)))
        assert found["colour"][str(value)] == pytest.approx({"rows": len(part), **alone}, rel=1e-4)
    assert sum(part["rows"] for part in found["colour"].values()) == len(rows)


def test_small_slices_are_left_out() -> None:
    rows = made.rows("regression", seed=4)
    most = int(rows["colour"].value_counts().max())
    how = Evaluate(importance_rows=1, slice_rows=most)
    scored, contract = _scored("regression", "linear", rows), made.contract("regression")
    assert len(slices("regression", scored, rows, contract, how)["colour"]) == 1


def test_numbers_are_cut_into_quarters() -> None:
    rows = made.rows("regression", seed=4)
    contract = made.contract_of({"size": made.COLUMNS["size"] | {"role": ["feature", "slice"]}})
    found = slices("regression", _scored("regression", "linear", rows), rows, contract, HOW)["size"]
    missing = found.pop("(missing)")["rows"]
    assert missing == rows["size"].isna().sum()
    assert len(found) == 4
    quarter = (len(rows) - missing) / 4
    assert all(abs(part["rows"] - quarter) <= 1 for part in found.values())


def test_clusters_that_are_there_are_stable_and_noise_is_not() -> None:
    model, contract = made.trained("clustering", "kmeans"), made.contract("clustering")
    rng = np.random.default_rng(0)
    apart = made.rows("clustering").assign(size=rng.choice([-1e3, 0.0, 1e3, 2e3], made.ROWS))
    apart = apart.assign(rank=0.0, noise=0.0, wet=True, colour="red")
    alike = apart.assign(size=rng.normal(size=made.ROWS), noise=rng.normal(size=made.ROWS))
    found = []
    for rows in (apart, alike):
        inputs = model_inputs(conform(rows, contract), contract)
        fitted = made.fit(made.params("clustering", "kmeans"), contract, rows, rows)
        found.append(stability(fitted, inputs, inputs, seed=0))
    assert found[0] == pytest.approx(1)
    assert found[1] < 0.95
    assert stability(model, inputs, inputs, seed=0) == stability(model, inputs, inputs, seed=0)


@pytest.mark.parametrize(("what", "name"), [*BEST, ("clustering", "kmeans")])
def test_predictions_stand_beside_ids_time_and_truth(what: str, name: str) -> None:
    contract = made.contract_of(
        {
            "who": {"kind": "categorical", "role": "id"},
            "when": {"kind": "datetime", "role": "time"},
            **made.COLUMNS,
            **made.TARGETS[what][1],
        }
    )
    when = pd.date_range("2020", periods=made.ROWS, freq="h")
    rows = conform(made.rows(what).assign(who=range(made.ROWS), when=when), contract)
    model = made.trained(what, name)
    outputs = model.predict(model_inputs(rows, contract))
    found = predictions(rows, contract, model, outputs)
    expected: dict[str, Any] = {"who": rows["who"], "when": rows["when"]}
    if contract.target:
        expected[contract.target] = rows[contract.target]
    expected["prediction"] = outputs["prediction"]
    for i, value in enumerate(model.classes or []):
        expected[f"probability_{value}"] = outputs["probability"][:, i]
    if what == "regression":
        expected |= {"lower": outputs["lower"], "upper": outputs["upper"]}
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the stage can run."""
    (tmp_path / paths.PLOT_TEMPLATES.parent).mkdir()
    (tmp_path / paths.PLOT_TEMPLATES).symlink_to(root() / paths.PLOT_TEMPLATES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(what: str, name: str, test: pd.DataFrame) -> None:
    made.trained(what, name).save(paths.CANDIDATE)
    made.export(made.trained(what, name), made.contract(what), paths.CANDIDATE_ONNX)
    write_text(paths.PARAMS, made.params(what, name).model_dump_json())
    write_text(paths.CONTRACT, made.contract(what).model_dump_json(exclude_defaults=True))
    paths.PARTS["test"].parent.mkdir(parents=True)
    test.to_parquet(paths.PARTS["test"])
    made.rows(what).to_parquet(paths.PARTS["train"])
    evaluate()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("what", "name"), [*BEST, ("clustering", "kmeans")])
def test_the_stage_writes_what_it_found(what: str, name: str) -> None:
    test = made.rows(what, 200, seed=4)
    _run(what, name, test)
    metrics = read_json(paths.METRICS)
    assert metrics.keys() == {*names(made.task(what))}
    alone = score(made.task(what), _scored(what, name, test))
    assert {key: metrics[key] for key in alone} == pytest.approx(alone, rel=1e-5)
    assert read_json(paths.SLICES).keys() == {"rank", "colour"}
    naive = {"classification": "constant", "regression": "median"}.get(made.task(what))
    assert (naive in read_json(paths.NAIVE)) if naive else read_json(paths.NAIVE) == {}
    assert len(pd.read_parquet(paths.PREDICTIONS)) == 200
    expected = {f"{plot}{end}" for plot in PLOTS[made.task(what)] for end in (".json", ".png")}
    assert {path.name for path in paths.PLOTS.iterdir()} == expected


@pytest.mark.usefixtures("project")
def test_metrics_are_those_of_the_model_that_is_served() -> None:
    """Not those of scikit-learn: the ONNX model is another here."""
    test, contract = made.rows("regression", 200, seed=4), made.contract("regression")
    served = made.trained("regression", "boosting")
    _run("regression", "linear", test)
    made.export(served, contract, paths.CANDIDATE_ONNX)
    evaluate()
    predicted = served.pipeline.predict(model_inputs(test, contract))
    found = read_json(paths.METRICS)
    assert found["mae"] == pytest.approx(mean_absolute_error(test["price"], predicted), rel=1e-4)
    predictions_of = pd.read_parquet(paths.PREDICTIONS)["prediction"]
    np.testing.assert_allclose(predictions_of, predicted, rtol=1e-5)


@pytest.mark.usefixtures("project")
def test_a_class_that_the_test_rows_lack_leaves_metrics_out() -> None:
    test = made.rows("multiclass", 200, seed=4)
    _run("multiclass", "linear", test[test["grade"] != "low"])
    metrics = read_json(paths.METRICS)
    assert metrics.keys() == {*names("classification")} - {"roc_auc", "average_precision"}
    for plot in ("roc", "precision_recall"):
        assert {each["class"] for each in read_json(paths.PLOTS / f"{plot}.json")} == {
            "high",
            "middle",
        }
