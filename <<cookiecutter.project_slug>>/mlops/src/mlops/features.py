"""The one place that computes features. It is trained, saved and exported inside the model."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .contract import Contract


def preprocessing(contract: Contract, scaled: bool) -> ColumnTransformer:
    """Raw columns in, one float32 matrix out.

    Args:
        contract: names the features and their kinds.
        scaled: True fills missing numbers with the median and scales to unit variance (for what
            measures distances or descends gradients); False only fills them (trees do not care,
            and a scaled number may fall on the other side of a threshold after rounding).
    """
    numbers = [name for name in contract.features if contract.columns[name].kind != "categorical"]
    categories = [name for name in contract.features if name not in numbers]
    fill = SimpleImputer(strategy="median")
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(fill, StandardScaler()) if scaled else fill, numbers),
            ("categories", Pipeline([("encode", encode)]), categories),
        ]
    )
