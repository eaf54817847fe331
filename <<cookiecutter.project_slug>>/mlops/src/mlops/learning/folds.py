"""Several ways to part rows into those to learn from and those to judge by."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from ..config.section import Task
from ..data.contract import Contract
from ..data.groups import groups, moments, strata
from ..errors import InputError

Fold = tuple[np.ndarray, np.ndarray]


def folds(data: pd.DataFrame, contract: Contract, task: Task, count: int, seed: int) -> list[Fold]:
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
    Raises:
        InputError: there are too few rows, or moments or groups of them, for so many folds.
    """
    found = [*_folds(data, contract, task, count, seed)]
    if not found or not all(map(len, (side for fold in found for side in fold))):
        raise InputError(
            f"train.folds: {count} folds leave one without rows to learn from or to judge by; "
            "set fewer in params.yaml, or bring more data"
        )
    return found


def _folds(
    data: pd.DataFrame, contract: Contract, task: Task, count: int, seed: int
) -> Iterator[Fold]:
    if contract.time:
        times = moments(data, contract).to_numpy()
        cuts = np.quantile(times, np.arange(1, count + 1) / (count + 1), method="nearest")
        for start, end in zip(cuts, [*cuts[1:], None], strict=True):
            asked = times >= start if end is None else (times >= start) & (times < end)
            yield np.flatnonzero(times < start), np.flatnonzero(asked)
        return
    together, alike = groups(data, contract), strata(data, contract, task)
    if min(together.max(initial=-1) + 1, np.bincount(alike).max(initial=0)) < count:
        return
    parted = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    yield from parted.split(data, alike, together)
