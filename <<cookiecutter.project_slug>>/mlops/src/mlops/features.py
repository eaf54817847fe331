"""The one place that computes features. It is trained, saved and exported inside the model."""

from collections.abc import Callable

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .contract import Contract
from .project import module, shown, takes, wrong


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


def own_preprocessing() -> Callable[[Contract, bool], TransformerMixin] | None:
    """The owner's `preprocessing`; None where there is none.

    Raises InputError where it is called otherwise, or what it returns is no transformer.
    """
    defined = module("features")
    if defined is None or not hasattr(defined, "preprocessing"):
        return None
    own: Callable[[Contract, bool], TransformerMixin] = defined.preprocessing
    takes("features", "preprocessing", own, "contract", "scaled")

    def made(contract: Contract, scaled: bool) -> TransformerMixin:
        found = own(contract, scaled)
        if not (hasattr(found, "fit") and hasattr(found, "transform")):
            told = f"returns {shown(found)}; must return a transformer of scikit-learn's kind"
            raise wrong("features", "preprocessing", told)
        return found

    return made
