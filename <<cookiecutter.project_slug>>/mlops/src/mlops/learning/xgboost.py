"""XGBoost's estimators, which the dependency group of that name brings, and their way to ONNX.

Their thresholds are float32 and compare with float32, as ONNX's do: nothing has to be rounded.
"""

from typing import Any, Self

import numpy as np
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.utils.class_weight import compute_sample_weight
from xgboost import XGBClassifier, XGBRegressor


class LabelledXGBClassifier(XGBClassifier):
    """XGBClassifier that takes classes of any name, and weighs them as scikit-learn's do."""

    def __init__(self, *, class_weight: str | None = None, **settings: Any) -> None:
        """Take what XGBClassifier takes, and `balanced` or None."""
        super().__init__(**settings)
        self.class_weight = class_weight

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Learn the places of the classes in alphabetical order."""
        labels, places = np.unique(y, return_inverse=True)
        self.labels_ = np.arange(len(labels))  # which is what fitting sees
        if self.class_weight is not None:
            of_class = compute_sample_weight(self.class_weight, y)
            sample_weight = of_class if sample_weight is None else of_class * sample_weight
        super().fit(X, places, sample_weight=sample_weight)
        self.labels_ = labels
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The likeliest class of each row."""
        predicted: np.ndarray = self.labels_[super().predict(X).astype(int)]
        return predicted

    def get_xgb_params(self) -> dict[str, Any]:
        """What the library itself takes."""
        known: dict[str, Any] = super().get_xgb_params()
        known.pop("class_weight", None)
        return known

    @property
    def classes_(self) -> np.ndarray:
        """The classes in the order of the probabilities."""
        return self.labels_


class ConvertibleXGBRegressor(XGBRegressor):
    """XGBRegressor whose pickle names this module: loading it brings the converter."""


update_registered_converter(
    LabelledXGBClassifier,
    "XGBoostLabelledXGBClassifier",
    calculate_linear_classifier_output_shapes,
    convert_xgboost,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)
update_registered_converter(
    ConvertibleXGBRegressor,
    "XGBoostConvertibleXGBRegressor",
    calculate_linear_regressor_output_shapes,
    convert_xgboost,
)


def classifier(**settings: Any) -> LabelledXGBClassifier:
    """A classifier with some hyperparameters and `random_state`.

    On one core: the library promises the same sums for no other number of them.
    """
    return LabelledXGBClassifier(n_jobs=1, **settings)


def regressor(**settings: Any) -> ConvertibleXGBRegressor:
    """A regressor with some hyperparameters and `random_state`, on one core as `classifier`."""
    return ConvertibleXGBRegressor(n_jobs=1, **settings)
