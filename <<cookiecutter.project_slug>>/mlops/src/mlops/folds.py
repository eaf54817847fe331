"""Several ways to part rows into those to learn from and those to judge by."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from .config.section import Task
from .contract import Contract
from .groups import groups, moments, strata

Fold = tuple[np.ndarray, np.ndarray]


def folds(
    data: pd.DataFrame, contract: Contract, task: Task, count: int, seed: int
) -> Iterator[Fold]:
    """The row numbers to learn from and to judge by, `count` times.

    With a time they walk forward: the rows are cut into one more block than there are folds, and
    each but the first is judged by what learned from all before it. Without, each row is judged
    once, in parts that have the target's proportions; what belongs together stays together.

    Args:
        data: conformed rows.
        contract: names time, group and id.
        task: decides what the target's proportions are.
        count: of folds, 2 or more.
        seed: of the draw.
    """
    if contract.time:
        times = moments(data, contract).to_numpy()
        cuts = np.quantile(times, np.arange(1, count + 1) / (count + 1), method="nearest")
        for start, end in zip(cuts, [*cuts[1:], None], strict=True):
            asked = times >= start if end is None else (times >= start) & (times < end)
            yield np.flatnonzero(times < start), np.flatnonzero(asked)
        return
    parted = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    yield from parted.split(data, strata(data, contract, task), groups(data, contract))
