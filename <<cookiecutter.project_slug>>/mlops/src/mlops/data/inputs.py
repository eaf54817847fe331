"""What a model takes in: features and target of conformed data, in the types it computes with.

Without scikit-learn, which predictions do not need.
"""

import numpy as np
import pandas as pd

from .contract import Contract, Kind

# A missing category, in training and in serving: ONNX has no missing text.
NO_CATEGORY = ""


def model_inputs(data: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The features of conformed `data`, in exactly the types that the ONNX model takes.

    Numbers and booleans become float32, missing ones NaN; categories become text, missing ones "";
    moments become float64, microseconds from 1970, missing ones NaN: see `declared`.
    Training on float32 lets scikit-learn and ONNX see the very same numbers, so that trees take the
    same branches. Integers above 2**24 lose their last digits.
    """
    return pd.DataFrame(
        {name: _input(data[name], contract.columns[name].kind) for name in contract.features},
        index=data.index,
    )


def _input(values: pd.Series, kind: Kind) -> pd.Series:
    match kind:
        case "categorical" | "text":
            return values.fillna(NO_CATEGORY).astype(object)
        case "datetime":
            micro = values.astype("datetime64[us]").astype("int64").astype("float64")
            return micro.where(values.notna())
        case _:
            return values.astype("float32")


def seen_categories(data: pd.DataFrame, contract: Contract) -> dict[str, list[str]]:
    """The categories in conformed `data`, by feature: what a model that it trains has seen."""
    return {
        name: sorted(data[name].dropna().unique())
        for name in contract.features
        if contract.columns[name].kind == "categorical"
    }


def columns(inputs: pd.DataFrame) -> dict[str, np.ndarray]:
    """`inputs` as the ONNX model takes them: an array of shape (rows,) a column."""
    return {str(name): values.to_numpy() for name, values in inputs.items()}


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
