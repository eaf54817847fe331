"""What the answers came to, in numbers of rows: how often a model is wrong, and by how much."""

from typing import Any

import numpy as np

from ..config.section import Task
from ..files import significant
from .metrics import Scored

# Shares of the rows whose error is told.
SHARES = (0.5, 0.8, 0.95)

Outcomes = list[dict[str, Any]]


def outcomes(task: Task, scored: Scored, classes: list[str]) -> Outcomes:
    """Counts of classes or clusters, or how large errors are.

    Args:
        task: of the model.
        scored: rows, with what is true of them where that is known.
        classes: as people write them, in the order of `scored.classes`; for classification.
    Returns:
        for a classification, of each class: how many rows are of it, how many the model takes for
        it, and how many of these are right; for a regression, how far off the answers for so large
        a share of the rows are at most; for a clustering, the rows of each cluster.
    """
    said = scored.outputs["prediction"]
    if task == "clustering":
        clusters, counts = np.unique(said, return_counts=True)
        return [
            {"cluster": str(name), "rows": int(rows)}
            for name, rows in zip(clusters, counts, strict=True)
        ]
    if task == "regression":
        off = np.abs(scored.truth - said.astype("float64"))
        return [
            {"share": share, "off": significant(float(np.quantile(off, share)))} for share in SHARES
        ]
    assert scored.classes is not None
    return [
        {
            "class": name,
            "rows": int((scored.truth == value).sum()),
            "predicted": int((said == value).sum()),
            "right": int(((scored.truth == value) & (said == value)).sum()),
        }
        for name, value in zip(classes, scored.classes, strict=True)
    ]
