"""Verification: a difference between the ONNX model and the scikit-learn one is found and its rows
are named; a tie is no difference; edge cases are what they are called."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made
from sklearn.metrics import r2_score

from mlops import paths
from mlops.data.inputs import NO_CATEGORY, model_inputs
from mlops.errors import CheckError, InputError
from mlops.files import read_json, write_text
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model, Outputs, Scale
from mlops.learning.trees import thresholds
from mlops.pipeline.verify import Difference, Pair, Parity, compare, edge_cases, verify


def _numbers(*values: float) -> Outputs:
    return {"prediction": np.array(values)}


def _classes(*probability: float) -> Outputs:
    second = np.array(probability)
    return {
        "prediction": (second > 0.5).astype(int),
        "probability": np.column_stack([1 - second, second]),
    }


def _scale(center: float, spread: float, name: str = "prediction") -> dict[str, Scale]:
    return {name: Scale(np.array(center), np.array(spread))}


OF_CLASSES = _scale(0.5, 0.2, "probability")


def _rows(parity: Parity) -> list[int]:
    return [each.row for each in parity.worst]


def test_equal_outputs_agree() -> None:
    for outputs, scales in ((_numbers(1, 2), _scale(1, 1)), (_classes(0.1, 0.9), OF_CLASSES)):
        parity = compare(outputs, outputs, scales, 1e-9)
        assert (parity.rows, parity.difference, parity.labels, parity.ties) == (2, 0, 0, 0)
        assert parity.worst == []


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_difference_is_a_share_of_the_spread_in_any_unit(unit: float, offset: float) -> None:
    scales = _scale(offset * unit, 3 * unit)
    expected = _numbers(*(unit * (offset + each) for each in (-1.0, 0.0, 2.0)))
    near = {"prediction": expected["prediction"] + 3e-5 * unit}
    far = {"prediction": expected["prediction"] + 6e-3 * unit}
    parity = compare(expected, near, scales, 1e-3)
    assert parity.difference == pytest.approx(1e-5, rel=0.1)
    assert parity.worst == []
    assert compare(expected, far, scales, 1e-3).difference == pytest.approx(2e-3, rel=0.1)
    assert sorted(_rows(compare(expected, far, scales, 1e-3))) == [0, 1, 2]


def test_each_output_has_its_own_scale() -> None:
    """The bound of an interval that crosses zero is as wide as the others."""
    rng = np.random.default_rng(0)
    price = rng.uniform(300, 19_000, 1000)
    expected = {"prediction": price, "lower": price - 5000, "upper": price + 5000}
    actual = {
        name: values.astype("float32") * np.float32(1 + 3e-7) for name, values in expected.items()
    }
    scales = {name: Scale.of(values) for name, values in expected.items()}
    assert compare(expected, actual, scales, 1e-4).worst == []
    actual["lower"][7] += 30
    (worst,) = compare(expected, actual, scales, 1e-4).worst
    assert (worst.row, worst.output) == (7, "lower")
    assert float(worst.onnx) - float(worst.scikit_learn) == pytest.approx(30, rel=1e-3)


def test_what_lies_far_out_is_held_by_its_distance() -> None:
    scales = _scale(0, 1)
    assert compare(_numbers(1e4), _numbers(1e4 + 0.5), scales, 1e-4).worst == []
    assert _rows(compare(_numbers(1e4), _numbers(1e4 + 2), scales, 1e-4)) == [0]


def test_what_float32_cannot_tell_is_no_difference() -> None:
    exact = _numbers(20_000_001.0, 20_000_003.0)
    rounded = {"prediction": exact["prediction"].astype("float32")}
    assert compare(exact, rounded, _scale(20_000_002, 1000), 1e-4).worst == []
    assert compare(exact, rounded, _scale(20_000_002, 1), 1e-4).worst, "all of what it tells"
    assert compare(_numbers(5.0), _numbers(5.0 + 1e-7), _scale(5, 0), 1e-4).worst == []
    assert _rows(compare(_numbers(5.0), _numbers(5.01), _scale(5, 0), 1e-4)) == [0]


def test_a_constant_is_no_model_of_what_varies() -> None:
    """A target of 1e9 with a spread of 3, of which float32 makes one number."""
    expected = 1e9 + np.random.default_rng(0).normal(0, 3, 100)
    actual = np.full(100, 1e9)
    parity = compare(
        _numbers(*expected), _numbers(*actual), {"prediction": Scale.of(expected)}, 1e-4
    )
    assert parity.worst


def test_the_worst_five_rows_are_named_worst_first() -> None:
    expected, actual = np.zeros(20), np.zeros(20)
    actual[[3, 5, 7, 11, 13, 17]] = [0.3, 0.5, 0.1, 0.6, 0.2, 0.4]
    parity = compare(_numbers(*expected), _numbers(*actual), _scale(0, 1), 0.01)
    assert _rows(parity) == [11, 5, 17, 3, 13]
    assert parity.worst[0] == Difference(11, "prediction", 0.0, 0.6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_number_is_a_difference(value: float) -> None:
    parity = compare(_numbers(1.0, 2.0), _numbers(1.0, value), _scale(1, 1), 0.1)
    assert _rows(parity) == [1]
    assert parity.difference > 1e9


def test_a_rare_class_is_held_by_how_its_probability_spreads() -> None:
    """Within 1e-4 of 1 in 10,000 anything would pass."""
    expected, actual = _classes(1e-4, 3e-4), _classes(1e-4, 2e-4)
    scales = {"probability": Scale(np.array([0.9998, 2e-4]), np.array([1e-4, 1e-4]))}
    (worst,) = compare(expected, actual, scales, 1e-3).worst
    assert (worst.row, worst.output) == (1, "probability 1")


def test_another_class_is_a_difference_unless_it_was_a_tie() -> None:
    expected, actual = _classes(0.50001, 0.9), _classes(0.49999, 0.9)
    parity = compare(expected, actual, OF_CLASSES, 1e-3)
    assert (parity.labels, parity.ties, parity.worst) == (0, 1, [])
    actual["prediction"][1] = 0
    parity = compare(expected, actual, OF_CLASSES, 1e-3)
    assert (parity.labels, parity.ties) == (1, 1)
    assert parity.worst == [Difference(1, "prediction", "1", "0")]


def test_another_cluster_is_a_difference_unless_both_are_as_near() -> None:
    expected = {
        "prediction": np.array([0, 0]),
        "distances": np.array([[1.0, 1.0001, 9.0], [1.0, 2.0, 9.0]]),
    }
    actual = expected | {"prediction": np.array([1, 1])}
    parity = compare(expected, actual, _scale(3, 1, "distances"), 1e-3)
    assert (parity.labels, parity.ties, _rows(parity)) == (1, 1, [1])


def test_classes_compare_by_what_they_read() -> None:
    expected = {"prediction": np.array(["low", "high"]), "probability": np.eye(2)}
    actual = expected | {"prediction": np.array(["low", "high"], dtype=object)}
    assert compare(expected, actual, OF_CLASSES, 1e-6).labels == 0


@pytest.mark.parametrize(
    ("first", "second", "ties", "differs"),
    [
        (0.8, 0.8001, 0, False),
        (0.8, 0.803, 0, True),
        (0.8, 0.803, 0.005, False),
        (1e-9, 2e-16, 0, False),
        (3.0, 0.997, 0, True),
        (None, 0.5, 0, True),
        (None, None, 0, False),
    ],
)
def test_a_metric_of_both_models_is_the_same(
    first: float | None, second: float | None, ties: float, differs: bool
) -> None:
    assert Pair(first, second).differs(ties) == Pair(second, first).differs(ties) == differs


def _cases(what: str, name: str, rows: int = 500) -> dict[str, pd.DataFrame]:
    test = model_inputs(made.rows(what), made.contract(what))
    model, contract = made.trained(what, name), made.contract(what)
    found = edge_cases(test, model, to_onnx(model, contract), contract, rows).groups
    assert all(len(group) == rows for group in found.values())
    assert all(group.dtypes.equals(test.dtypes) for group in found.values())
    return found


def test_edge_cases_are_what_they_are_called() -> None:
    test = model_inputs(made.rows("regression"), made.contract("regression"))
    cases = _cases("regression", "forest")
    missing = cases["missing"]
    assert missing.drop(columns="colour").isna().any().all()
    assert (missing["colour"] == NO_CATEGORY).mean() > 0.2
    known = {*test["colour"]}
    assert 0.3 < (~cases["unknown"]["colour"].isin(known)).mean() < 0.7
    extremes = cases["extremes"]["noise"]
    assert extremes.min() < test["noise"].min()
    assert extremes.max() > test["noise"].max()


@pytest.mark.parametrize("name", ["boosting", "forest"])
def test_numbers_lie_on_thresholds_and_one_step_beside(name: str) -> None:
    on = _cases("regression", name)["thresholds"]["size"].to_numpy()
    proto = to_onnx(made.trained("regression", name), made.contract("regression"))
    at = thresholds(proto)[0]
    beside = [np.nextafter(at, np.float32(end)) for end in (-np.inf, np.inf)]
    near = np.concatenate([at, *beside])
    assert np.isin(on, near).all()
    assert 0.3 < np.isin(on, at).mean() < 0.9


def test_edge_cases_are_the_same_each_time() -> None:
    first, again = _cases("binary", "boosting"), _cases("binary", "boosting")
    for name, rows in first.items():
        pd.testing.assert_frame_equal(rows, again[name])


@pytest.fixture
def converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """A folder where the stage can run, and the model in it."""
    monkeypatch.chdir(tmp_path)
    write_text(paths.PARAMS, made.params("regression", "linear").model_dump_json())
    contract = made.contract("regression")
    write_text(paths.CONTRACT, contract.model_dump_json(exclude_defaults=True))
    paths.PARTS["test"].parent.mkdir(parents=True)
    made.rows("regression", seed=3).to_parquet(paths.PARTS["test"])
    return _put(made.trained("regression", "linear"))


def _put(model: Model, served: Model | None = None, final: Model | None = None) -> onnx.ModelProto:
    """Put a candidate, what is to be served for it, and the final model in place."""
    contract = made.contract("regression")
    model.save(paths.CANDIDATE)
    (final or model).save(paths.MODEL)
    made.export(final or model, contract, paths.ONNX)
    return made.export(served or model, contract, paths.CANDIDATE_ONNX)


@pytest.mark.usefixtures("converted")
def test_a_faithful_model_passes(capsys: pytest.CaptureFixture[str]) -> None:
    verify()
    report = read_json(paths.PARITY)
    assert report["within_tolerance"]
    assert report["groups"].keys() == {"test", "missing", "unknown", "extremes"}
    assert {group["rows"] for group in report["groups"].values()} == {made.ROWS, 300}
    assert all(group["worst"] == [] for group in report["groups"].values())
    assert "largest difference" in capsys.readouterr().out


def test_an_unfaithful_model_stops_and_its_rows_are_named(converted: onnx.ModelProto) -> None:
    coefficients = next(
        node for node in converted.graph.node if node.op_type == "LinearRegressor"
    ).attribute
    weights = next(each for each in coefficients if each.name == "coefficients")
    weights.floats[0] *= 1.01
    onnx.save(converted, paths.CANDIDATE_ONNX)
    with pytest.raises(CheckError) as stopped:
        verify()
    report = read_json(paths.PARITY)
    assert not report["within_tolerance"]
    worst = report["groups"]["test"]["worst"]
    assert len(worst) == 5
    text, first = str(stopped.value), worst[0]
    assert "verify.tolerance 0.0001" in text
    assert (
        f"row {first['row']}, {first['output']}: {first['scikit_learn']} from scikit-learn, "
        f"{first['onnx']} from ONNX; size="
    ) in text


@pytest.mark.parametrize("unit", [1e-9, 1.0])
@pytest.mark.usefixtures("converted")
def test_a_model_of_another_training_stops_in_any_unit(unit: float) -> None:
    contract = made.contract("regression")
    chosen = made.params("regression", "linear", interval=0.9)
    rows = made.rows("regression").assign(price=lambda d: d["price"] * unit)
    other = rows.assign(price=rows["price"].to_numpy()[::-1])
    ours, another = (made.fit(chosen, contract, each, each) for each in (rows, other))
    rows.to_parquet(paths.PARTS["test"])
    _put(ours)
    verify()
    _put(ours, served=another)
    with pytest.raises(CheckError, match="from scikit-learn"):
        verify()


@pytest.mark.usefixtures("converted")
def test_the_final_model_is_verified_too() -> None:
    contract, chosen = made.contract("regression"), made.params("regression", "forest")
    rows = made.rows("regression", 500, seed=8)
    candidate, final = made.trained("regression", "forest"), made.fit(chosen, contract, rows, rows)
    _put(candidate, final=final)
    verify()
    groups = read_json(paths.PARITY)["groups"]
    assert {"test", "final test", "final thresholds"} <= groups.keys()
    made.export(candidate, contract, paths.ONNX)
    with pytest.raises(CheckError, match="final test: largest difference"):
        verify()


@pytest.mark.usefixtures("converted")
def test_metrics_of_both_models_stand_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    verify()
    report = read_json(paths.PARITY)
    assert report["without"] == {"thresholds": "the model grows no trees"}
    test = made.rows("regression", seed=3)
    predicted = made.trained("regression", "linear").pipeline.predict(
        model_inputs(test, made.contract("regression"))
    )
    r2 = report["metrics"]["r2"]
    assert r2["scikit_learn"] == pytest.approx(r2_score(test["price"], predicted), rel=1e-5)
    assert r2["onnx"] == pytest.approx(r2["scikit_learn"], rel=1e-5)
    of_onnx = {"prediction": np.zeros(len(test)), "lower": np.zeros(1), "upper": np.zeros(1)}
    monkeypatch.setattr("mlops.pipeline.verify.compare", lambda *_: Parity(1, 0, 0, 0, []))
    monkeypatch.setattr(
        "mlops.inference.OnnxModel.predict",
        lambda *_: of_onnx | {"lower": np.zeros(len(test)), "upper": np.zeros(len(test))},
    )
    with pytest.raises(CheckError, match=r"mae of the test rows is .* for the scikit-learn model"):
        verify()


@pytest.mark.usefixtures("converted")
def test_a_file_that_is_no_model_is_told() -> None:
    paths.CANDIDATE_ONNX.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"candidate\.onnx: not a model"):
        verify()
    paths.CANDIDATE_ONNX.unlink()
    with pytest.raises(InputError, match=r"candidate\.onnx: no model; make it"):
        verify()


def test_a_row_that_may_fall_on_either_side_of_a_threshold_is_a_tie() -> None:
    expected, actual = _classes(0.2, 0.9, 0.3), _classes(0.6, 0.9, 0.3)
    near = np.array([True, True, False])
    parity = compare(expected, actual, OF_CLASSES, 1e-3, lambda: near)
    assert (parity.labels, parity.ties, parity.difference, parity.worst) == (0, 1, 0, [])
    assert _rows(compare(expected, actual, OF_CLASSES, 1e-3, lambda: ~near)) == [0]
