"""The one place that computes features. It is trained, saved and exported inside the model."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ..data.contract import Contract
from ..errors import InputError
from ..paths import FEATURES
from ..project import module, shown, takes, wrong
from .declared import OF_TEXTS, WORDS, Declared, Encoding, Learned
from .encoders import CategoryEncoder, Places
from .texts import TextEncoder


def preprocessing(contract: Contract, scaled: bool) -> ColumnTransformer:
    """Raw columns in, one float32 matrix out.

    Args:
        contract: names the features and their kinds.
        scaled: True fills missing numbers with the median and scales to unit variance (for what
            measures distances or descends gradients); False only fills them (trees do not care,
            and a scaled number may fall on the other side of a threshold after rounding).
    """
    encodings, embedded = (
        (contract.encodings, contract.embedded) if isinstance(contract, Learned) else ({}, [])
    )
    kinds = {name: contract.columns[name].kind for name in contract.features}
    words = {name: WORDS for name, kind in kinds.items() if kind == "text"}
    encodings = words | encodings
    numbers = [name for name, kind in kinds.items() if kind not in ("categorical", "text")]
    others = {*numbers, *encodings, *embedded}
    categories = [name for name in contract.features if name not in others]
    fill = SimpleImputer(strategy="median")
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(fill, StandardScaler()) if scaled else fill, numbers),
            ("categories", Pipeline([("encode", encode)]), categories),
            *(
                (f"encoded{i}", _encoded(encodings[name], scaled), [name])
                for i, name in enumerate(encodings)
            ),
            # Last, which is where a network looks for them.
            *((f"embedded{i}", Places(), [name]) for i, name in enumerate(embedded)),
        ]
    )


def _encoded(encoding: Encoding, scaled: bool) -> TransformerMixin:
    """An encoder; what it makes is scaled where it is measured, and no column of 0 and 1."""
    if encoding.how in OF_TEXTS:
        return TextEncoder(encoding)
    encoder = CategoryEncoder(encoding)
    if scaled and encoding.how in ("target", "frequency"):
        return make_pipeline(encoder, StandardScaler())
    return encoder


class DeclaredFeatures(TransformerMixin, BaseEstimator):
    """The first step of a pipeline: from a model's inputs to what features.yaml makes of them."""

    def __init__(self, declared: Declared) -> None:
        """Take what features.yaml declares."""
        self.declared = declared

    def fit(self, inputs: pd.DataFrame, target: Any = None) -> Self:
        """Nothing is learned. Raises InputError where a feature has no value in any row."""
        made = self.transform(inputs)
        for name in self.declared.terms():
            if ((made[name] == "") | made[name].isna()).all():
                raise InputError(
                    f"{FEATURES}: features.{name}: `{self.declared.expressions[name].text}` is "
                    f"missing in each of {len(made):,} rows; correct it, or leave it out"
                )
        return self

    def transform(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """What an estimator learns from: see declared.Declared."""
        return self.declared.columns_of(inputs)

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:
        """The names of what is learned from."""
        return np.array(self.declared.learned.features, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        """It learns nothing."""
        return True


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
