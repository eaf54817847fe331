"""From the contract's columns to what an estimator learns from: see mlops/docs/extend.md.

Steps of scikit-learn that ONNX knows. They are trained, saved and exported inside the model.
"""

from sklearn.compose import ColumnTransformer

from mlops.data.contract import Contract
from mlops.learning.features import preprocessing as columns_as_they_are


def preprocessing(contract: Contract, scaled: bool) -> ColumnTransformer:
    """Raw columns in, one matrix of float32 out.

    Args:
        contract: names the features and their kinds.
        scaled: whether the estimator needs numbers without gaps and of unit variance.
    """
    return columns_as_they_are(contract, scaled)
