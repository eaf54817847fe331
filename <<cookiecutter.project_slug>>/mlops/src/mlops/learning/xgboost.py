"""XGBoost's estimators, which the dependency group of that name brings, and their way to ONNX.

Their thresholds are float32 and compare with float32, as ONNX's do: nothing has to be rounded.
"""

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from scipy.special import expit, softmax
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.utils.class_weight import compute_sample_weight
from xgboost import XGBClassifier, XGBRegressor

# Objectives whose scores are logarithms.
LOGARITHMIC = ("count:poisson", "reg:gamma", "reg:tweedie")


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

    def staged_predict_proba(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """The probabilities after each round, shape (rows, classes), as scikit-learn has it."""
        for scores in _scores(super().predict, X, self.get_booster().num_boosted_rounds()):
            if scores.ndim == 1:
                second = expit(scores)
                yield np.column_stack([1 - second, second])
            else:
                yield softmax(scores, axis=1)

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

    def staged_predict(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """The predictions after each round, shape (rows,), as scikit-learn has it."""
        for scores in _scores(self.predict, X, self.get_booster().num_boosted_rounds()):
            yield np.exp(scores) if self.objective in LOGARITHMIC else scores


def _scores(predict: Callable[..., Any], X: np.ndarray, rounds: int) -> Iterator[np.ndarray]:
    """What the trees of the first rounds add up to: each tree is asked once."""
    total = None
    for i in range(rounds):
        total = predict(X, output_margin=True, base_margin=total, iteration_range=(i, i + 1))
        yield total


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
