"""LightGBM's estimators, which the dependency group of that name brings, and their way to ONNX."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from lightgbm import Booster, LGBMClassifier, LGBMRegressor
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from scipy.special import expit, softmax
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from .rounding import round_down

# So near zero a number is zero: kZeroThreshold in LightGBM's include/LightGBM/meta.h.
ZERO = np.float32(1e-35)
# Objectives whose scores are logarithms.
LOGARITHMIC = ("poisson", "gamma", "tweedie")
# The same model each time: `deterministic` is for any number of cores, of which 0 takes all and,
# unlike -1, leaves their number out of the model. `subsample` does nothing without a frequency.
FIXED: dict[str, Any] = {
    "n_jobs": 0,
    "deterministic": True,
    "force_row_wise": True,
    "subsample_freq": 1,
    "verbosity": -1,
}


class ProbableLGBMClassifier(LGBMClassifier):
    """LGBMClassifier that tells probabilities alone.

    It is calibrated by them: the scores behind them, which scikit-learn prefers since LightGBM 4.7
    tells them, are not in the ONNX model.
    """

    decision_function = None  # type: ignore[assignment] # as scikit-learn's own take one out

    def staged_predict_proba(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """The probabilities after each round, shape (rows, classes), as scikit-learn has it."""
        for scores in _scores(self, X):
            if scores.ndim == 1:
                second = expit(scores)
                yield np.column_stack([1 - second, second])
            else:
                yield softmax(scores, axis=1)


class ConvertibleLGBMRegressor(LGBMRegressor):
    """LGBMRegressor whose pickle names this module: loading it brings the converter."""

    def staged_predict(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """The predictions after each round, shape (rows,), as scikit-learn has it."""
        for scores in _scores(self, X):
            yield np.exp(scores) if self.objective_ in LOGARITHMIC else scores


def _scores(
    model: "ProbableLGBMClassifier | ConvertibleLGBMRegressor", X: np.ndarray
) -> Iterator[np.ndarray]:
    """What the trees of the first rounds add up to: each tree is asked once."""
    total: Any = 0
    for i in range(model.booster_.current_iteration()):
        total = total + model.booster_.predict(
            X, raw_score=True, start_iteration=i, num_iteration=1
        )
        yield total


update_registered_converter(
    ProbableLGBMClassifier,
    "LightGbmProbableLGBMClassifier",
    calculate_linear_classifier_output_shapes,
    convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)
update_registered_converter(
    ConvertibleLGBMRegressor,
    "LightGbmConvertibleLGBMRegressor",
    calculate_linear_regressor_output_shapes,
    convert_lightgbm,
)


def classifier(**settings: Any) -> ProbableLGBMClassifier:
    """A classifier with some hyperparameters and `random_state`."""
    return ProbableLGBMClassifier(**FIXED, **settings)


def regressor(**settings: Any) -> ConvertibleLGBMRegressor:
    """A regressor with some hyperparameters and `random_state`."""
    return ConvertibleLGBMRegressor(**FIXED, **settings)


def snap_thresholds(model: ProbableLGBMClassifier | ConvertibleLGBMRegressor) -> None:
    """Put thresholds, in place, where float32, which ONNX keeps, takes every branch alike.

    LightGBM compares in float64. A float32 input is at most a threshold exactly when it is at most
    the threshold rounded down to float32, so no prediction of such inputs changes. The new
    threshold is written a quarter of a step above that, since LightGBM reads its own text, in which
    it is pickled, only so exactly.
    """

    def snapped(line: re.Match[str]) -> str:
        below = _comparable(np.array(line[1].split(), dtype="float64"))
        above = np.nextafter(below, np.float32(np.inf))
        exact = below + (above.astype("float64") - below) / 4
        return "threshold=" + " ".join(map(repr, exact.tolist()))

    text = model.booster_.model_to_string()
    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)  # of the text as it was
    text = re.sub(r"^threshold=(.+)$", snapped, text, flags=re.MULTILINE)
    model._Booster = Booster(model_str=text)


def _comparable(exact: np.ndarray) -> np.ndarray:
    """The float32 below each threshold by which ONNX parts the numbers that LightGBM parts.

    A number within ZERO of zero is zero to LightGBM, and itself to ONNX: a threshold below zero is
    below all of them, one above is not below any.
    """
    below: np.ndarray = round_down(exact).astype("float32")
    beyond = np.nextafter(-ZERO, np.float32(-np.inf))
    below = np.where((below >= -ZERO) & (below < 0), beyond, below)
    return np.where((below >= 0) & (below < ZERO), ZERO, below)
