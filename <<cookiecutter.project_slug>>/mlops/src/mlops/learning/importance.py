"""Importance: how much worse the model gets when a column is shuffled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..config.evaluate import Evaluate
from ..config.section import Task
from ..files import significant
from ..progress import progress
from .metrics import log_losses
from .model import Model

Losses = Callable[[Pipeline, pd.DataFrame, np.ndarray], np.ndarray]

# The loss of each row, of which the model's is the mean; for clustering, whether the row leaves its
# cluster.
LOSSES: dict[Task, Losses] = {
    "classification": lambda pipeline, inputs, truth: log_losses(
        pipeline.predict_proba(inputs), truth[:, None] == pipeline.classes_
    ),
    "regression": lambda pipeline, inputs, truth: np.abs(pipeline.predict(inputs) - truth),
    "clustering": lambda pipeline, inputs, before: pipeline.predict(inputs) != before,
}
# Numbers are cut into so many groups of equal size, to see whether the predictions follow them.
GROUPS = 10


def importance(
    task: Task, model: Model, inputs: pd.DataFrame, truth: np.ndarray, how: Evaluate
) -> list[dict[str, Any]]:
    """How much worse the model gets when a column is shuffled, most important first.

    Breiman, "Random forests", 2001, on at most `importance_rows` rows evenly spread over the test,
    for the `importance_columns` columns that go most with the predictions.
    """
    rows = np.linspace(0, len(inputs) - 1, min(how.importance_rows, len(inputs))).astype(int)
    given, of = inputs.iloc[rows].reset_index(drop=True), truth[rows]
    names = followed(model, given, how.importance_columns)
    orders = _orders(len(given), how.importance_repeats)
    repeated = given.iloc[np.tile(np.arange(len(given)), len(orders))].reset_index(drop=True)
    truths = np.tile(of, len(orders))
    losses = LOSSES[task]
    scores, done = len(names) * len(orders) + 1, 1
    worse = np.empty((len(names), len(orders)))
    with progress("shuffles") as told:
        usual = losses(model.pipeline, given, of).mean()
        told(done, done / scores)
        for i, name in enumerate(names):  # all shuffles of a column are asked at once
            shuffled = repeated.assign(**{str(name): given[name].array[orders.ravel()]})
            of_rows = losses(model.pipeline, shuffled, truths)
            worse[i] = of_rows.reshape(orders.shape).mean(axis=1) - usual
            done += len(orders)
            told(done, done / scores)
    means, spreads = worse.mean(axis=1), worse.std(axis=1)
    return [
        {
            "column": str(names[i]),
            "importance": significant(means[i], 9),
            "spread": significant(spreads[i], 9),
        }
        for i in np.argsort(-means)
    ]


def _orders(rows: int, repeats: int) -> np.ndarray:
    """How rows are shuffled, shape (repeats, rows): as `permutation_importance` of scikit-learn."""
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    shuffle, random = np.arange(rows), np.random.RandomState(seed)
    order, orders = np.arange(rows), np.empty((repeats, rows), int)
    for i in range(repeats):  # each shuffles what the one before left
        random.shuffle(shuffle)
        order = orders[i] = order[shuffle]
    return orders


def followed(model: Model, inputs: pd.DataFrame, most: int) -> pd.Index:
    """The columns that go most with the predictions, `most` of them, in the order of the inputs.

    By the correlation ratio (Pearson, 1905): the share of the predictions' variance that lies
    between groups of rows, which are those of a category, or of a tenth of the numbers. What
    matters only together with another column is not seen.
    """
    if len(inputs.columns) <= most:
        return inputs.columns
    outputs = model.predict(inputs)
    found = outputs.get("probability", outputs.get("distances", outputs["prediction"]))
    values = found.reshape(len(inputs), -1).astype("float64")
    ratios = [_between(_groups(inputs[name]), values) for name in inputs.columns]
    return inputs.columns[np.sort(np.argsort(-np.array(ratios), kind="stable")[:most])]


def _groups(values: pd.Series) -> np.ndarray:
    """The number of each row's group; missing values are one of their own."""
    if pd.api.types.is_numeric_dtype(values):
        tenths = (values.rank(method="first", pct=True) * GROUPS).apply(np.ceil)
        return tenths.fillna(0).astype(int).to_numpy()
    return pd.factorize(values)[0]


def _between(groups: np.ndarray, values: np.ndarray) -> float:
    """The share of the variance of `values`, shape (rows, outputs), that is between groups."""
    apart = values - values.mean(axis=0)
    sizes = np.maximum(np.bincount(groups), 1)
    sums = np.stack([np.bincount(groups, column) for column in apart.T], axis=1)
    total = float((apart**2).sum())
    return float((sums**2 / sizes[:, None]).sum()) / total if total else 0.0
