"""Between which numbers a regression's truth is expected to lie."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Interval:
    """A prediction interval whose ends were moved until they held enough rows.

    Attributes:
        level: the share of rows that it is to hold.
        margin: how far its ends were moved outwards, in the target's unit; below 0 for inwards.
            Without quantiles it is half the width.
        lower, upper: what predicts its ends before that; None where they are the prediction.
    """

    level: float
    margin: float
    lower: Pipeline | None = None
    upper: Pipeline | None = None

    def ends(self, inputs: pd.DataFrame, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its ends for some rows, with the prediction between them; shape (rows,) each.

        Args:
            inputs: rows as inputs.model_inputs makes them.
            predicted: of them, shape (rows,).
        """
        low, high = quantiles(self.lower, self.upper, inputs, predicted)
        if self.lower is None:
            return low - self.margin, high + self.margin
        return np.minimum(low - self.margin, predicted), np.maximum(high + self.margin, predicted)


def quantiles(
    lower: Pipeline | None, upper: Pipeline | None, inputs: pd.DataFrame, predicted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What an interval's ends are before they are moved: quantiles, or else the prediction."""
    return tuple(  # type: ignore[return-value]  # of two
        predicted if each is None else each.predict(inputs) for each in (lower, upper)
    )


def tails(level: float) -> tuple[float, float]:
    """The quantiles between which so large a share lies, with as much on either side."""
    return (1 - level) / 2, (1 + level) / 2


def beyond(
    truth: np.ndarray, predicted: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """How far ends have to move outwards until they hold each truth; all of shape (rows,).

    The prediction is between them wherever they are, so only the end on the truth's side counts:
    with that, Romano, Patterson and Candès, "Conformalized quantile regression", NeurIPS 2019,
    equation 6.
    """
    return np.where(truth < predicted, low - truth, truth - high)


def margin(beyond: np.ndarray, level: float) -> float:
    """How far ends have to move outwards so that they hold a share of new rows.

    Split conformal prediction: Lei et al., "Distribution-free predictive inference for regression",
    JASA 2018, algorithm 2; of any ends that move with one number, Gupta, Kuchibhotla and Ramdas,
    "Nested conformal prediction", Pattern Recognition 2022. It holds while new rows are like those
    that measured it.

    Args:
        beyond: as `beyond` has it, of rows that nothing has learned from.
        level: the share.
    """
    rank = min(int(np.ceil((len(beyond) + 1) * level)), len(beyond))
    return float(np.sort(beyond)[rank - 1])
