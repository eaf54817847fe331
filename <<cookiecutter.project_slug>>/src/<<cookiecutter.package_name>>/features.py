"""The one place that computes features. It is trained, saved and exported inside the model."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .contract import Contract

# A missing category, in training and in serving: ONNX has no missing text.
NO_CATEGORY = ""


def model_inputs(data: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The features of conformed `data`, in exactly the types that the ONNX model takes.

    Numbers and booleans become float32, missing ones NaN; categories become text, missing ones "".
    Training on float32 lets scikit-learn and ONNX see the very same numbers, so that trees take the
    same branches. Integers above 2**24 lose their last digits.
    """
    return pd.DataFrame(
        {
            name: data[name].fillna(NO_CATEGORY).astype(object)
            if contract.columns[name].kind == "categorical"
            else data[name].astype("float32")
            for name in contract.features
        },
        index=data.index,
    )


def columns(inputs: pd.DataFrame) -> dict[str, np.ndarray]:
    """`inputs` as the ONNX model takes them: an array of shape (rows,) a column."""
    return {str(name): values.to_numpy() for name, values in inputs.items()}


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


def target_values(data: pd.DataFrame, contract: Contract) -> np.ndarray | None:
    """What is to be predicted, shape (rows,); None where the contract has no target.

    int64 0 or 1 for boolean, str for categorical, float64 for numeric.
    """
    if contract.target is None:
        return None
    values = data[contract.target]
    match contract.columns[contract.target].kind:
        case "boolean":
            return values.astype("int64").to_numpy()
        case "categorical":
            return values.astype(object).to_numpy().astype(str)
        case _:
            return values.to_numpy(dtype="float64")
