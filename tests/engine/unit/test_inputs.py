"""Inputs: the types that ONNX takes, and what the target becomes."""

import numpy as np
import pytest
from engine import made

from mlops.data.inputs import (
    NO_CATEGORY,
    columns,
    model_inputs,
    target_values,
)


def test_inputs_have_the_types_that_onnx_takes() -> None:
    inputs = model_inputs(made.rows("binary"), made.contract("binary"))
    assert [*inputs.columns] == made.contract("binary").features
    arrays = columns(inputs)
    for name, values in arrays.items():
        assert values.shape == (made.ROWS,)
        assert values.dtype == (object if name == "colour" else np.float32)
    assert np.isnan(arrays["size"]).any()
    assert {*arrays["wet"][~np.isnan(arrays["wet"])]} == {0.0, 1.0}
    assert NO_CATEGORY in arrays["colour"]
    assert all(isinstance(value, str) for value in arrays["colour"])


def test_the_target_is_no_input() -> None:
    for what in made.TARGETS:
        contract = made.contract(what)
        assert contract.target not in model_inputs(made.rows(what), contract)


@pytest.mark.parametrize(
    ("what", "dtype"), [("binary", "int64"), ("multiclass", "<U6"), ("regression", "float64")]
)
def test_target_values(what: str, dtype: str) -> None:
    rows, contract = made.rows(what), made.contract(what)
    values = target_values(rows, contract)
    assert values is not None
    assert values.dtype == dtype
    assert values.tolist() == rows[contract.target].tolist()


def test_clustering_has_no_target_values() -> None:
    rows = made.rows("clustering")
    assert target_values(rows, made.contract("clustering")) is None
