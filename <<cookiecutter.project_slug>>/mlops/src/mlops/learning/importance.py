"""Importance: how much worse the model gets when a column is shuffled."""

from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer

from ..config.evaluate import Evaluate
from ..config.section import Task
from ..files import significant
from ..progress import progress
from .metrics import negative_log_loss
from .model import Model

SCORING: dict[Task, Any] = {
    "classification": negative_log_loss,
    "regression": get_scorer("neg_mean_absolute_error"),
    # The share of rows that stay in their cluster.
    "clustering": lambda pipeline, inputs, before: float(
        (pipeline.predict(inputs) == before).mean()
    ),
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
    given = inputs.iloc[rows]
    names = followed(model, given, how.importance_columns)
    scores, done = names.size * how.importance_repeats + 1, count(1)
    with progress("shuffles") as told:

        def scored(pipeline: Any, shuffled: pd.DataFrame, of: np.ndarray) -> float:
            value = SCORING[task](pipeline, _with(given, shuffled), of)
            told(number := next(done), number / scores)
            return value

        found = permutation_importance(
            model.pipeline,
            given[names],
            truth[rows],
            scoring=scored,
            n_repeats=how.importance_repeats,
            random_state=0,
        )
    order = np.argsort(-found.importances_mean)
    return [
        {
            "column": str(names[i]),
            "importance": significant(found.importances_mean[i], 9),
            "spread": significant(found.importances_std[i], 9),
        }
        for i in order
    ]


def _with(inputs: pd.DataFrame, shuffled: pd.DataFrame) -> pd.DataFrame:
    return inputs.assign(**{str(name): values for name, values in shuffled.items()})


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
