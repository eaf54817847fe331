"""A threshold of two classes: chosen on rows that neither teach nor judge, part of the model."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from engine import made
from engine.export.machines import needs_compiler
from sklearn.metrics import f1_score

from mlops import paths
from mlops.config.evaluate import Value
from mlops.config.export import C, Coreml, Tflite
from mlops.config.params import Params
from mlops.data.inputs import columns, model_inputs, target_values
from mlops.errors import InputError
from mlops.export.targets import TARGETS
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.learning.metrics import METRICS, Metric, Scored, catalogue
from mlops.learning.model import Model, Threshold
from mlops.learning.threshold import check_worth, choose
from mlops.pipeline.train import check_threshold, decide, measured
from mlops.pipeline.verify import compare, edge_cases

COSTS = {"true": {"true": 5.0, "false": -20.0}, "false": {"true": -8.0, "false": 0.0}}
WORTH = Value(currency="EUR", per=COSTS)


def _scored(likely: np.ndarray, truth: np.ndarray) -> Scored:
    probability = np.column_stack([1 - likely, likely])
    outputs = {"prediction": (likely >= 0.5).astype(int), "probability": probability}
    return Scored(outputs, truth, np.arange(2))


def _worth(likely: np.ndarray, truth: np.ndarray, at: float) -> float:
    """The mean value of a row, counted one by one."""
    names = ("false", "true")
    each = [COSTS[names[t]][names[int(p >= at)]] for p, t in zip(likely, truth, strict=True)]
    return float(np.mean(each))


@pytest.mark.parametrize("name", ["value", "f1", "accuracy"])
def test_nothing_that_could_be_chosen_is_better(name: str) -> None:
    """Against every threshold that parts the rows in another way, each counted independently."""
    rng = np.random.default_rng(0)
    likely = rng.random(50)
    truth = (rng.random(50) < likely**2).astype(int)
    found = choose(name, catalogue("classification", WORTH)[name], _scored(likely, truth), WORTH)

    def counted(at: float) -> float:
        if name == "value":
            return _worth(likely, truth, at)
        said = likely >= at
        return f1_score(truth, said) if name == "f1" else float((said == truth).mean())

    best = max(counted(at) for at in [*likely, 1.1])
    assert counted(found.at) == pytest.approx(best)
    assert found.by == name
    assert found.at == np.float32(found.at)
    assert not np.isin(found.at, likely)


def test_of_thresholds_that_are_as_good_the_nearest_to_a_half_is_taken() -> None:
    likely = np.array([0.1, 0.2, 0.8, 0.9])
    found = choose("f1", METRICS["classification"]["f1"], _scored(likely, likely > 0.5), None)
    assert found.at == 0.5


def test_a_metric_that_cannot_choose_is_told() -> None:
    scored = _scored(np.linspace(0.1, 0.9, 20), np.tile([0, 1], 10))
    known = METRICS["classification"]
    with pytest.raises(InputError, match="roc_auc is the same at any threshold; choose by"):
        choose("roc_auc", known["roc_auc"], scored, None)
    with pytest.raises(InputError, match="nothing has no value on the 20 validation rows"):
        choose("nothing", Metric("higher", lambda _: float("nan")), scored, None)


def test_a_model_that_is_as_good_at_any_threshold_has_the_likelier_class() -> None:
    """That is the model's doing, and no metric's fault: a small one may be so."""
    scored = _scored(np.repeat([0.6, 0.7, 0.8], 10), np.tile([0, 1], 15))
    assert choose("accuracy", METRICS["classification"]["accuracy"], scored, None).at == 0.5


def _params(threshold: Any, what: str = "binary", name: str = "linear", **more: Any) -> Params:
    return made.params(what, name, threshold=threshold, **more)


@pytest.mark.parametrize(
    ("task", "threshold", "value", "line"),
    [
        ("regression", 0.3, None, "classes are predicted in a classification only"),
        ("binary", "value", None, "evaluate.value says of no prediction what it is worth"),
        ("binary", 0.3, {"threshold": 0.4}, "evaluate.value.threshold: train.threshold decides"),
        ("binary", 1.0, None, "less than 1"),
    ],
)
def test_what_cannot_be_is_one_line(
    task: str, threshold: Any, value: dict[str, Any] | None, line: str
) -> None:
    content = made.params(task, "linear").model_dump()
    content["train"]["threshold"] = threshold
    if value is not None:
        content["evaluate"]["value"] = {"currency": "EUR", "per": COSTS} | value
    with pytest.raises(ValueError, match=line):
        Params.model_validate(content)


def test_what_the_rows_or_metrics_cannot_is_told_before_training() -> None:
    for what, threshold, line in (
        ("multiclass", 0.3, "train.threshold: is for two classes; the rows have 3"),
        ("binary", "gain", "train.threshold: 'gain' is no metric; give a number, or one of roc_"),
    ):
        with pytest.raises(InputError, match=line):
            check_threshold(_params(threshold, what), made.contract(what), made.rows(what))
    check_threshold(_params("f1"), made.contract("binary"), made.rows("binary"))


def test_it_is_chosen_by_the_rows_to_look_at() -> None:
    """By an independent count on the validation rows, and not on those that were learned from."""
    given, look_at = made.contract("binary"), made.rows("binary", 60, seed=2)
    model = made.fit(_params("f1"), given, made.rows("binary"), look_at)
    assert model.threshold is not None
    likely = model.pipeline.predict_proba(model_inputs(look_at, given))[:, 1]
    truth = target_values(look_at, given)
    best = max(f1_score(truth, likely >= at) for at in likely)
    assert f1_score(truth, likely >= model.threshold.at) == pytest.approx(best, abs=1e-3)
    again = decide(_params("f1"), given, model.pipeline, made.rows("binary", 60, seed=7))
    assert again is not None
    assert again.at != model.threshold.at


CASES = [
    *(("binary", name, 0.8) for name in ("linear", "boosting", "mlp", "lightgbm", "xgboost")),
    ("named", "linear", 0.2),
    ("named", "forest", 0.7),
]


def _case(what: str, name: str, threshold: float) -> tuple[Model, Any]:
    """A model of two classes, which have names where they are `named`."""
    if what == "binary":
        given, rows = made.contract("binary"), made.rows("binary")
    else:
        given = made.contract("multiclass")
        all_rows = made.rows("multiclass")
        rows = all_rows[all_rows["grade"] != "high"].reset_index(drop=True)
    params = _params(threshold, "binary" if what == "binary" else "multiclass", name)
    return made.fit(params, given, rows, rows), given


@pytest.mark.parametrize(("what", "name", "threshold"), CASES)
def test_the_onnx_model_predicts_by_it(
    what: str, name: str, threshold: float, tmp_path: Path
) -> None:
    model, given = _case(what, name, threshold)
    proto = to_onnx(model, given)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, tmp_path / "model.onnx")
    served = OnnxModel(tmp_path / "model.onnx")
    test = model_inputs(made.rows("binary", 300, seed=3), made.contract("binary"))
    groups = {"test": test, **edge_cases(test, model, proto, given, 200).groups}
    for group, rows in groups.items():
        found, expected = served.predict(columns(rows)), model.predict(rows)
        parity = compare(expected, found, model.scales, 1e-4, threshold=threshold)
        assert parity.worst == [], f"{group}: {parity}"
        is_second = found["probability"][:, 1] >= np.float32(threshold)
        np.testing.assert_array_equal(found["prediction"], model.pipeline.classes_[is_second * 1])
        likelier = model.pipeline.predict(rows)
        if group == "test":
            assert (likelier.astype(str) != found["prediction"].astype(str)).any()


def test_a_model_that_predicts_by_another_threshold_is_refused() -> None:
    """Near it either class is right, and nowhere else."""
    model, given = _case("binary", "linear", 0.8)
    rows = model_inputs(made.rows("binary", 300, seed=3), given)
    expected = model.predict(rows)
    likely = expected["probability"][:, 1]
    for at, is_wrong in ((0.5, True), (0.8 + 1e-6, False)):
        other = expected | {"prediction": (likely >= at).astype(int)}
        parity = compare(expected, other, model.scales, 1e-4, threshold=0.8)
        assert bool(parity.labels) == is_wrong
    likely[0] = 0.8 + 1e-7
    other = expected | {"prediction": (likely >= 0.8 + 2e-7).astype(int)}
    expected["prediction"] = (likely >= 0.8).astype(int)
    assert compare(expected, other, model.scales, 1e-4, threshold=0.8).ties == 1
    assert compare(expected, other, model.scales, 1e-4).labels == 1


@needs_compiler
@pytest.mark.parametrize(("what", "name", "threshold"), [CASES[0], CASES[1], CASES[5]])
def test_exports_predict_by_it(what: str, name: str, threshold: float, tmp_path: Path) -> None:
    model, given = _case(what, name, threshold)
    proto = to_onnx(model, given)
    test = model_inputs(made.rows("binary", 100, seed=3), made.contract("binary"))
    for target, settings in {
        "c": C(),
        **({"tflite": Tflite()} if name == "linear" else {}),
    }.items():
        TARGETS[target].make(proto, "made", tmp_path, settings)
        answers = TARGETS[target].run(tmp_path).predict(columns(test))
        parity = compare(model.predict(test), answers, model.scales, 1e-4, threshold=threshold)
        assert parity.worst == []
        assert parity.rows == len(test)
    with pytest.raises(
        InputError, match=r"^export\.targets\.coreml: .* has train\.threshold; .* c$"
    ):
        TARGETS["coreml"].make(proto, "made", tmp_path, Coreml())
    assert not (tmp_path / "model.mlmodel").exists()


def test_a_threshold_of_other_values_is_refused() -> None:
    by_value = Threshold(0.3, "value", WORTH.model_dump())
    check_worth(by_value, WORTH)
    check_worth(Threshold(0.3, "f1"), None)
    check_worth(None, WORTH)
    for now in (
        None,
        Value(
            currency="EUR", per={"true": {"true": 1, "false": 0}, "false": {"true": 0, "false": 0}}
        ),
    ):
        with pytest.raises(InputError, match="--force --single-item train"):
            check_worth(by_value, now)


def test_each_fold_chooses_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is taken in each, too: no row is then above 0.99."""
    monkeypatch.chdir(tmp_path)
    for path, count in zip(paths.PARTS.values(), (120, 40, 40), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        made.rows("binary", count, seed=count).to_parquet(path)
    given = made.contract("binary")
    recalls = {
        threshold: [
            fold["metrics"]["recall"] for fold in measured(_params(threshold, folds=2), given)
        ]
        for threshold in (0.999999, "f1", None)
    }
    assert recalls[0.999999] == [0, 0]
    assert min(recalls["f1"]) > 0.5
    assert recalls["f1"] != recalls[None]
