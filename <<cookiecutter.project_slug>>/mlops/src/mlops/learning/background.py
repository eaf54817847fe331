"""Background: made rows that answers are explained against, of nobody's data.

Each column is drawn by itself, so that no row of the training data is among them: values that lie
evenly within the column, and categories as often as they are there. Rare ones, which could tell of
somebody, have no place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ..data.contract import Contract, Kind
from ..data.inputs import NO_CATEGORY

ROWS = 20

# By input of the model: a number, a text, or None for a missing number.
Background = dict[str, list[Any]]


def background(inputs: pd.DataFrame, contract: Contract) -> Background:
    """Make a background of rows as `inputs.model_inputs` has them.

    Args:
        inputs: the training rows.
        contract: a column that it has redacted is everywhere at its middle.
    """
    rng = np.random.default_rng(0)
    found = {}
    for name in contract.features:
        column = contract.columns[name]
        typical = TYPICAL.get(column.kind, _numbers)
        values = typical(inputs[name], column.redact)
        found[name] = [values[place] for place in rng.permutation(ROWS)]
    return found


def _numbers(values: pd.Series, redacted: bool) -> list[Any]:
    """Values in the middle of as many parts of the rows; as many are missing as of the rows."""
    known = values.dropna()
    if known.empty:
        return [None] * ROWS
    if redacted:
        return [float(known.quantile(0.5, interpolation="nearest"))] * ROWS
    gone = min(round(ROWS * (1 - len(known) / len(values))), ROWS - 1)
    places = (np.arange(ROWS - gone) + 0.5) / (ROWS - gone)
    some = known.quantile(places, interpolation="nearest").to_list()
    return [*map(float, some), *[None] * gone]


def _categories(values: pd.Series, redacted: bool) -> list[Any]:
    """Texts as often as in the rows, by the largest remainders."""
    shares = values.value_counts(normalize=True, sort=False).sort_index()
    shares = shares.sort_values(ascending=False, kind="stable")
    if redacted:
        return [shares.index[0]] * ROWS
    counts = np.floor(shares.to_numpy() * ROWS).astype(int)
    rest = shares.to_numpy() * ROWS - counts
    for place in np.argsort(-rest, kind="stable")[: ROWS - counts.sum()]:
        counts[place] += 1
    return [*np.repeat(shares.index.to_numpy(dtype=object), counts)]


def _nothing(values: pd.Series, redacted: bool) -> list[Any]:
    """No text at all: each is somebody's."""
    return [NO_CATEGORY] * ROWS


TYPICAL: dict[Kind, Callable[[pd.Series, bool], list[Any]]] = {
    "categorical": _categories,
    "text": _nothing,
}
