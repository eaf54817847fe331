"""Features: missing and unknown values, and scaling."""

import numpy as np
import pandas as pd
import pytest
from engine import made

from mlops.data.contract import conform
from mlops.data.inputs import model_inputs
from mlops.learning import features


def _matrix(scaled: bool, train: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    kinds = {"n": "numeric", "b": "boolean", "c": "categorical"}
    columns = {name: {"kind": kinds[name], "role": "feature"} for name in map(str, train)}
    contract = made.contract_of(columns)
    inputs = [model_inputs(conform(each, contract), contract) for each in (train, rows)]
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
