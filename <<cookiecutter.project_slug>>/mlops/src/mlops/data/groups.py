"""Which rows belong together: of a group, an id, a moment, or copies; what parts have alike."""

import numpy as np
import pandas as pd

from ..config.section import Task
from .contract import Contract

# A number is cut into this many equally filled bins when parts are to have its proportions.
STRATA = 10
# Up to this share of the rows may be copies of another row's features and stay together. Where
# there are more, columns of few values make them, in what a model sees as in what it learns from.
FEW_COPIES = 0.1


def moments(data: pd.DataFrame, contract: Contract) -> pd.Series:
    """When each row was; all rows of a group count as its last one: none trains too early."""
    time = data[contract.time or ""]
    if contract.group is None:
        return time
    return time.groupby(_by_key(data, [contract.group])).transform("max")


def together(data: pd.DataFrame, contract: Contract) -> str:
    """What keeps rows in one part: `group`, `time`, `id`, `copies` of all features or `nothing`."""
    if contract.group:
        return "group"
    if contract.time:
        return "time"
    if contract.with_role("id"):
        return "id"
    copies = data.duplicated(contract.features).mean()
    return "copies" if 0 < copies <= FEW_COPIES else "nothing"


def groups(data: pd.DataFrame, contract: Contract) -> np.ndarray:
    """The number of each row's group, shape (rows,), from 0."""
    match together(data, contract):
        case "group":
            return _by_key(data, [contract.group or ""])
        case "id":
            return _by_key(data, contract.with_role("id"))
        case "copies":
            return data.groupby(contract.features, dropna=False, sort=False).ngroup().to_numpy()
        case _:
            return np.arange(len(data))


def _by_key(data: pd.DataFrame, names: list[str]) -> np.ndarray:
    """A number for each combination of values; a row where one is missing is on its own."""
    known = data[names].notna().all(axis=1).to_numpy()
    keys = np.empty(len(data), "int64")
    keys[known] = data.loc[known, names].groupby(names, sort=False).ngroup()
    keys[~known] = np.arange((~known).sum()) + (keys[known].max(initial=-1) + 1)
    return keys


def strata(data: pd.DataFrame, contract: Contract, task: Task) -> np.ndarray:
    """What the parts are to have alike, shape (rows,): the class, or the tenth of a number."""
    if contract.target is None:
        return np.zeros(len(data), "int64")
    target = data[contract.target]
    if task == "classification":
        return pd.factorize(target.astype("str"), sort=True)[0]
    cuts = min(STRATA, len(target))
    return pd.qcut(target.rank(method="first"), cuts, labels=False).to_numpy()
