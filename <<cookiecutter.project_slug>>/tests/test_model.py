"""What your model must keep to, whatever it learned: answers depend on a row alone,
probabilities are probabilities, and missing or unknown values still get an answer.

The model is the ONNX one, trained by your pipeline on a sample of your source.
"""

import numpy as np
import pandas as pd
import pytest
from conftest import Workspace

from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.data.inputs import NO_CATEGORY, columns, model_inputs
from mlops.inference import OnnxModel
from mlops.learning.model import Outputs
from mlops.paths import ONNX, PARTS

CLOSE = 1e-5


@pytest.fixture(scope="module")
def model(workspace: Workspace) -> OnnxModel:
    """What the pipeline made."""
    return OnnxModel(workspace.folder / ONNX)


@pytest.fixture(scope="module")
def inputs(workspace: Workspace, contract: Contract) -> pd.DataFrame:
    """Rows of the test."""
    test = pd.read_parquet(workspace.folder / PARTS["test"])
    return model_inputs(test, contract).head(200).reset_index(drop=True)


@pytest.fixture(scope="module")
def outputs(model: OnnxModel, inputs: pd.DataFrame) -> Outputs:
    """What the model says of them."""
    return model.predict(columns(inputs))


def _rows(outputs: Outputs, rows: np.ndarray) -> Outputs:
    return {name: values[rows] for name, values in outputs.items()}


def _are_alike(expected: Outputs, found: Outputs) -> None:
    """Alike up to the rounding of sums that are taken in another order."""
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=CLOSE, atol=CLOSE)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_the_order_of_rows_does_not_matter(
    model: OnnxModel, inputs: pd.DataFrame, outputs: Outputs
) -> None:
    order = np.random.default_rng(0).permutation(len(inputs))
    shuffled = model.predict(columns(inputs.iloc[order]))
    _are_alike(_rows(outputs, order), shuffled)


def test_equal_rows_get_equal_answers(
    model: OnnxModel, inputs: pd.DataFrame, outputs: Outputs
) -> None:
    twice = np.repeat(np.arange(len(inputs)), 2)
    doubled = model.predict(columns(inputs.iloc[twice]))
    _are_alike(_rows(outputs, twice), doubled)


def test_a_row_alone_gets_the_same_answer(
    model: OnnxModel, inputs: pd.DataFrame, outputs: Outputs
) -> None:
    for row in range(5):
        alone = model.predict(columns(inputs.iloc[[row]]))
        _are_alike(_rows(outputs, np.array([row])), alone)


def test_outputs_are_those_of_the_task(model: OnnxModel, outputs: Outputs, params: Params) -> None:
    if params.task == "classification":
        probability = outputs["probability"]
        assert probability.shape[1] == len(model.metadata["classes"])
        assert (probability >= 0).all()
        np.testing.assert_allclose(probability.sum(axis=1), 1, atol=CLOSE)
    elif params.task == "clustering":
        np.testing.assert_array_equal(outputs["distances"].argmin(axis=1), outputs["prediction"])
    elif params.train.interval is not None:
        assert (outputs["lower"] <= outputs["prediction"]).all()
        assert (outputs["prediction"] <= outputs["upper"]).all()


def test_missing_and_unknown_values_get_an_answer(
    model: OnnxModel, inputs: pd.DataFrame, contract: Contract
) -> None:
    for name in contract.features:
        is_category = contract.columns[name].kind == "categorical"
        for value in (NO_CATEGORY, "never seen ✈") if is_category else (np.float32(np.nan),):
            changed = columns(inputs) | {name: np.full_like(inputs[name], value)}
            for output, values in model.predict(changed).items():
                is_number = np.issubdtype(values.dtype, np.number)
                assert not is_number or np.isfinite(values).all(), f"{output} without {name}"
