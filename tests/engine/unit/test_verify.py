"""Verification: a difference between the ONNX model and the scikit-learn one is found and its rows
are named; a tie is no difference; edge cases are what they are called."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made

from mlops import paths
from mlops.errors import CheckError, InputError
from mlops.files import read_json, write_text
from mlops.inputs import NO_CATEGORY, model_inputs
from mlops.model import Outputs
from mlops.pipeline.convert import to_onnx
from mlops.pipeline.verify import compare, edge_cases, verify
from mlops.trees import thresholds


def _numbers(*values: float) -> Outputs:
    return {"prediction": np.array(values)}


def _classes(*probability: float) -> Outputs:
    second = np.array(probability)
    return {
        "prediction": (second > 0.5).astype(int),
        "probability": np.column_stack([1 - second, second]),
    }


def test_equal_outputs_agree() -> None:
    for outputs in (_numbers(1, 2), _classes(0.1, 0.9)):
        parity = compare(outputs, outputs, 1e-9)
        assert (parity.rows, parity.difference, parity.labels, parity.ties) == (2, 0, 0, 0)
        assert parity.worst == []


def test_a_difference_is_absolute_below_one_and_relative_above() -> None:
    parity = compare(_numbers(0.5, -2000.0), _numbers(0.4, -2002.0), 0.05)
    assert parity.difference == pytest.approx(0.1)
    assert parity.worst == [0]
    assert compare(_numbers(0.5, -2000.0), _numbers(0.4, -2002.0), 0.11).worst == []
    assert compare(_numbers(-2000.0), _numbers(-2002.0), 0.0005).worst == [0]


def test_the_worst_five_rows_are_named_worst_first() -> None:
    expected, actual = np.zeros(20), np.zeros(20)
    actual[[3, 5, 7, 11, 13, 17]] = [0.3, 0.5, 0.1, 0.6, 0.2, 0.4]
    assert compare(_numbers(*expected), _numbers(*actual), 0.01).worst == [11, 5, 17, 3, 13]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_number_is_a_difference(value: float) -> None:
    parity = compare(_numbers(1.0, 2.0), _numbers(1.0, value), 0.1)
    assert parity.worst == [1]
    assert parity.difference > 1e9


def test_another_class_is_a_difference_unless_it_was_a_tie() -> None:
    expected, actual = _classes(0.50001, 0.9), _classes(0.49999, 0.9)
    parity = compare(expected, actual, 1e-3)
    assert (parity.labels, parity.ties, parity.worst) == (0, 1, [])
    actual["prediction"][1] = 0
    parity = compare(expected, actual, 1e-3)
    assert (parity.labels, parity.ties, parity.worst) == (1, 1, [1])


def test_another_cluster_is_a_difference_unless_both_are_as_near() -> None:
    expected = {
        "prediction": np.array([0, 0]),
        "distances": np.array([[1.0, 1.0001, 9.0], [1.0, 2.0, 9.0]]),
    }
    actual = expected | {"prediction": np.array([1, 1])}
    parity = compare(expected, actual, 1e-3)
    assert (parity.labels, parity.ties, parity.worst) == (1, 1, [1])


def test_classes_compare_by_what_they_read() -> None:
    expected = {"prediction": np.array(["low", "high"]), "probability": np.eye(2)}
    actual = expected | {"prediction": np.array(["low", "high"], dtype=object)}
    assert compare(expected, actual, 1e-6).labels == 0


def _cases(what: str, name: str, rows: int = 500) -> dict[str, pd.DataFrame]:
    test = model_inputs(made.rows(what), made.contract(what))
    model, contract = made.trained(what, name), made.contract(what)
    found = dict(edge_cases(test, model, to_onnx(model, contract), contract, rows))
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
    model = made.trained("regression", "linear")
    model.save()
    proto = to_onnx(model, contract)
    onnx.save(proto, paths.ONNX)
    return proto


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
    onnx.save(converted, paths.ONNX)
    with pytest.raises(CheckError) as stopped:
        verify()
    report = read_json(paths.PARITY)
    assert not report["within_tolerance"]
    worst = report["groups"]["test"]["worst"]
    assert len(worst) == 5
    text = str(stopped.value)
    assert "verify.tolerance 0.0001" in text
    assert f"rows {', '.join(map(str, worst))}; row {worst[0]}: size=" in text


@pytest.mark.usefixtures("converted")
def test_a_file_that_is_no_model_is_told() -> None:
    paths.ONNX.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"model\.onnx: not a model"):
        verify()
    paths.ONNX.unlink()
    with pytest.raises(InputError, match=r"model\.onnx: no model; make it"):
        verify()
