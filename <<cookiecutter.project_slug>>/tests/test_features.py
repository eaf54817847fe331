"""Your features: one row in, one row out, finite numbers, whatever is missing or unknown."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops.data.contract import Contract, conform
from mlops.data.inputs import NO_CATEGORY, model_inputs, target_values
from mlops.learning.estimators import features


@pytest.fixture(scope="module")
def rows(sample: pa.Table, contract: Contract) -> pd.DataFrame:
    """Rows of the source, as the contract has them."""
    return conform(sample.to_pandas(), contract).reset_index(drop=True)


@pytest.fixture(scope="module")
def inputs(rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The same as a model gets them."""
    return model_inputs(rows, contract)


@pytest.mark.parametrize("scaled", [False, True])
def test_each_row_gets_finite_features_of_its_own(
    rows: pd.DataFrame, inputs: pd.DataFrame, contract: Contract, scaled: bool
) -> None:
    fitted = features(contract, scaled).fit(inputs, target_values(rows, contract))
    made = np.asarray(fitted.transform(inputs))
    assert len(made) == len(inputs)
    assert np.isfinite(made).all()
    alone = np.asarray(fitted.transform(inputs.iloc[[3]]))
    np.testing.assert_allclose(alone, made[[3]], rtol=1e-6)


def test_missing_and_unknown_values_are_taken(
    rows: pd.DataFrame, inputs: pd.DataFrame, contract: Contract
) -> None:
    fitted = features(contract, True).fit(inputs, target_values(rows, contract))
    empty = inputs.head(5).copy()
    for name in contract.features:
        is_category = contract.columns[name].kind == "categorical"
        empty[name] = NO_CATEGORY if is_category else np.float32(np.nan)
    assert np.isfinite(np.asarray(fitted.transform(empty))).all()
