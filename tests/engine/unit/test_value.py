"""The value of predictions: as by hand, wherever metrics go, and refused where it does not fit the
task or its classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine import made
from engine.stored import Stored
from pydantic import ValidationError

from mlops import paths
from mlops.config.evaluate import Evaluate, Value
from mlops.config.gates import Gate
from mlops.config.params import Params, load_params
from mlops.drafting import draft
from mlops.errors import InputError
from mlops.files import read_json
from mlops.git.revision import Revision
from mlops.judging.comparison import compare
from mlops.judging.gate import broken
from mlops.judging.paired import judge
from mlops.judging.slices import slices
from mlops.learning.metrics import Scored, catalogue, names, score
from mlops.pipeline.evaluate import evaluate
from mlops.report.report import report

Begin = Callable[[str], Stored]

# Unquoted, as YAML has them.
PER: dict[Any, Any] = {True: {True: 5, False: -20}, False: {True: -8, False: 1}}
BINARY = Scored(
    {
        "prediction": np.array([1, 1, 0, 0]),
        "probability": np.array([[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.9, 0.1]]),
    },
    truth=np.array([1, 0, 1, 0]),
    classes=np.array([0, 1]),
)
NUMBERS = Scored({"prediction": np.array([3.0, 1.0, 2.0])}, truth=np.array([1.0, 5.0, 2.0]))


def _value(**content: Any) -> Value:
    return Value.model_validate({"currency": "EUR", **content})


def _valued(params: Params, worth: Value, **gates: Any) -> Params:
    how = params.evaluate.model_copy(update={"value": worth})
    bounds = {name: Gate.model_validate(gate) for name, gate in gates.items()}
    return params.model_copy(update={"evaluate": how, "gates": bounds})


def test_an_outcome_has_the_value_of_its_truth_and_prediction() -> None:
    assert score("classification", BINARY, _value(per=PER))["value"] == (5 - 8 - 20 + 1) / 4


@pytest.mark.parametrize(
    ("threshold", "total"),
    [(0.95, -20 + 1 - 20 + 1), (0.6, 5 - 8 - 20 + 1), (0.3, 5 - 8 + 5 + 1), (0.1, 5 - 8 + 5 - 8)],
)
def test_a_threshold_decides_from_the_probability(threshold: float, total: float) -> None:
    value = _value(per=PER, threshold=threshold)
    assert score("classification", BINARY, value)["value"] == total / 4


def test_classes_are_found_by_name_in_any_order() -> None:
    truth, prediction = np.array(["b", "c", "1"]), np.array(["c", "c", "b"])
    probability = np.full((3, 3), 1 / 3)
    outputs = {"prediction": prediction, "probability": probability}
    scored = Scored(outputs, truth, np.array(["1", "b", "c"]))
    per = {"c": {"b": 0, "c": 10, 1: 0}, 1: {"b": 300, "c": 0, 1: 0}, "b": {"b": 0, "c": 2, 1: 0}}
    assert score("classification", scored, _value(per=per))["value"] == (2 + 10 + 300) / 3


def test_too_high_and_too_low_cost_differently() -> None:
    value = _value(over=-1.0, under=-3.0)
    assert score("regression", NUMBERS, value)["value"] == -(2 * 1 + 4 * 3) / 3


def test_without_a_value_nothing_changes() -> None:
    assert "value" not in score("classification", BINARY)
    assert "value" not in names("classification")
    assert names("classification", _value(per=PER))[:-1] == names("classification")


@pytest.mark.parametrize(
    ("task", "content", "line"),
    [
        ("binary", {"per": {True: {True: 1}, False: {False: 1}}}, "per.true: must hold a value"),
        ("binary", {"per": PER | {"maybe": {}}}, "must hold a value for each class"),
        ("binary", {"over": -1.0, "under": -1.0}, "classification takes `per`"),
        ("binary", {"per": PER, "over": -1.0}, "classification takes `per`"),
        ("binary", {}, "classification takes `per`"),
        ("regression", {"per": PER}, "regression takes `over` and `under`"),
        ("regression", {"over": -1.0}, "regression takes `over` and `under`"),
        ("regression", {"over": 1.0, "under": -1.0}, "less than or equal to 0"),
        ("multiclass", {"per": {"a": {"a": 1}}, "threshold": 0.5}, "is for two classes"),
        ("clustering", {}, "there is none for clustering"),
    ],
)
def test_what_does_not_fit_is_refused(task: str, content: dict[str, Any], line: str) -> None:
    estimator = "kmeans" if task == "clustering" else "linear"
    params = made.params(task, estimator).model_dump()
    params["evaluate"]["value"] = {"currency": "EUR", **content}
    with pytest.raises(ValidationError, match=line):
        Params.model_validate(params)


def test_other_classes_than_the_model_has_are_told() -> None:
    value = _value(per={"late": {"late": 0, "early": 0}, "early": {"late": 0, "early": 0}})
    with pytest.raises(InputError, match="is for late, early; the classes are false, true"):
        score("classification", BINARY, value)


def test_slices_have_it_too() -> None:
    rows, contract = made.rows("regression", seed=4), made.contract("regression")
    told = {"prediction": rows["price"].to_numpy(dtype="float64") + 2}
    scored = Scored(told, rows["price"].to_numpy(dtype="float64"))
    how = Evaluate(importance_rows=1, slice_rows=20, value=_value(over=-1.5, under=-1.0))
    found = slices("regression", scored, rows, contract, how)["colour"]
    assert {name: part["value"] for name, part in found.items()} == dict.fromkeys(found, -3.0)


def test_gates_bound_it() -> None:
    params = _valued(made.params("binary", "linear"), _value(per=PER), value={"min": -3.0})
    assert broken(params, {"value": -3.0}, {}) == []
    assert [*map(str, broken(params, {"value": -3.5}, {}))] == ["value: -3.5 is below -3"]
    without = made.params("binary", "linear").model_copy(update={"gates": params.gates})
    with pytest.raises(InputError, match="gates: value: no metric of classification"):
        broken(without, {"value": 0.0}, {})


def test_the_model_that_is_worth_more_is_better() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 500)
    high, low = (Scored({"prediction": truth + off}, truth) for off in (1.0, -1.0))
    params = _valued(made.params("regression", "linear"), _value(over=-1.0, under=-2.0))
    found = judge(params, low, high)["value"]
    assert (found.champion, found.challenger) == pytest.approx((-2.0, -1.0))
    assert found.verdict == "better"
    assert judge(params, high, low)["value"].verdict == "worse"
    assert judge(params, high, low)["mae"].verdict == "same"


def test_the_champion_is_held_to_it_and_the_report_shows_it(begin: Begin) -> None:
    stored = begin("binary")
    good = stored.made("good")
    stored.made("poor")
    value = {"currency": "EUR", "per": PER}
    gates = {"value": {"regression": 0}}
    stored.params(gates=gates)
    stored.edit("params.yaml", lambda params: params["evaluate"].update(value=value))
    params, against = load_params(), compare(load_params(), Revision.of(good))
    assert against.verdict == "worse"
    assert [each.metric for each in broken(params, {}, {}, against)] == ["value"]
    assert report(good, paths.REPORT, None).comparison.verdict == "worse"
    text = (paths.REPORT / "report.md").read_text(encoding="utf-8")
    assert "**value (EUR a row)**" in text
    assert "Slices by value (EUR a row)" in text


def test_the_stage_writes_it(tmp_path: Path, begin: Begin) -> None:
    stored = begin("regression")
    stored.made("good")
    value = {"currency": "EUR", "over": -1.0, "under": -1.0}
    stored.edit("params.yaml", lambda params: params["evaluate"].update(value=value))
    evaluate()
    found = read_json(paths.METRICS)
    assert found["value"] == pytest.approx(-found["mae"], rel=1e-5)


def test_it_goes_with_the_data_that_it_was_for(begin: Begin) -> None:
    stored = begin("regression")
    value = {"currency": "EUR", "over": -1.0, "under": -1.0}
    stored.edit("params.yaml", lambda params: params["evaluate"].update(value=value))
    stored.write("dvc.yaml", {"stages": {}, "plots": []})
    with pytest.raises(InputError, match=r"dvc\.yaml: stages\.ingest\.deps is missing"):
        draft.write(load_params().source, "", "regression", "mae")
    stored.write("dvc.yaml", {"stages": {"ingest": {"deps": []}}, "plots": []})
    draft.write(load_params().source, "", "regression", "mae")
    assert load_params().evaluate.value is None


def test_every_task_but_clustering_can_have_one() -> None:
    for what in made.TARGETS:
        value = _value(per=PER) if made.task(what) == "classification" else _value(over=0, under=0)
        assert (value.misfit(made.task(what)) is None) == (what != "clustering")
        assert "value" in catalogue(made.task(what), value)
