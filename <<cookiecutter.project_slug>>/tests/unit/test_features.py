"""Features: the types that ONNX takes, missing and unknown values, and what the target becomes."""

import made
import numpy as np
import pandas as pd
import pytest

from <<cookiecutter.package_name>> import features
from <<cookiecutter.package_name>>.contract import conform


def test_inputs_have_the_types_that_onnx_takes() -> None:
    inputs = features.model_inputs(made.rows("binary"), made.contract("binary"))
    assert [*inputs.columns] == made.contract("binary").features
    arrays = features.columns(inputs)
    for name, values in arrays.items():
        assert values.shape == (made.ROWS,)
        assert values.dtype == (object if name == "colour" else np.float32)
    assert np.isnan(arrays["size"]).any()
    assert {*arrays["wet"][~np.isnan(arrays["wet"])]} == {0.0, 1.0}
    assert features.NO_CATEGORY in arrays["colour"]
    assert all(isinstance(value, str) for value in arrays["colour"])


def test_the_target_is_no_input() -> None:
    for what in made.TARGETS:
        contract = made.contract(what)
        assert contract.target not in features.model_inputs(made.rows(what), contract)


@pytest.mark.parametrize(
    ("what", "dtype"), [("binary", "int64"), ("multiclass", "<U6"), ("regression", "float64")]
)
def test_target_values(what: str, dtype: str) -> None:
    rows, contract = made.rows(what), made.contract(what)
    values = features.target_values(rows, contract)
    assert values is not None
    assert values.dtype == dtype
    assert values.tolist() == rows[contract.target].tolist()


def test_clustering_has_no_target_values() -> None:
    rows = made.rows("clustering")
    assert features.target_values(rows, made.contract("clustering")) is None


def _matrix(scaled: bool, train: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    kinds = {"n": "numeric", "b": "boolean", "c": "categorical"}
    columns = {name: {"kind": kinds[name], "role": "feature"} for name in train}
    contract = made.contract_of(columns)
    inputs = [features.model_inputs(conform(each, contract), contract) for each in (train, rows)]
    fitted = features.preprocessing(contract, scaled).fit(inputs[0])
    matrix: np.ndarray = fitted.transform(inputs[1])
    return matrix


TRAIN = pd.DataFrame(
    {"n": [1.0, 2.0, 9.0, None], "c": ["a", "b", "a", None], "b": [True, True, False, None]}
)


def test_missing_numbers_become_the_median_and_a_missing_category_is_one() -> None:
    matrix = _matrix(False, TRAIN, TRAIN.tail(1))
    # Numbers and booleans, then the categories "", a and b.
    np.testing.assert_array_equal(matrix, [[2, 1, 1, 0, 0]])
    assert matrix.dtype == np.float32


def test_an_unknown_category_is_none_of_the_known() -> None:
    row = pd.DataFrame({"n": [5.0], "c": ["z"], "b": [False]})
    np.testing.assert_array_equal(_matrix(False, TRAIN, row), [[5, 0, 0, 0, 0]])


def test_scaled_numbers_have_mean_zero_and_unit_variance() -> None:
    matrix = _matrix(True, TRAIN, TRAIN)
    np.testing.assert_allclose(matrix[:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(matrix[:, :2].std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("names", [["n"], ["b"], ["c"]])
def test_one_kind_of_columns_is_enough(names: list[str]) -> None:
    assert np.isfinite(_matrix(True, TRAIN[names], TRAIN[names])).all()
