"""Rows for training, validation and test, none of them in two parts.

With a time column the parts follow one another in time, and rows of one moment stay together.
Without, rows are drawn at random (seeded), in the target's proportions. Rows that share a group or
an id stay together; so do exact copies, where they are few. What is to be predicted never decides
on what stays together: a part would hold the rows of one answer, and another those of the other.
"""

from typing import Any

import numpy as np
import pandas as pd

from ..config.section import Task
from ..config.split import Split
from ..errors import CheckError, InputError
from ..files import significant
from ..paths import PARTS
from .contract import Contract
from .groups import groups, moments, strata

# How far a part's target may be from that of all rows, as a share, beside what chance does to few.
FAR = 0.1


def divide(
    data: pd.DataFrame, contract: Contract, task: Task, how: Split
) -> dict[str, pd.DataFrame]:
    """The parts of conformed `data`, by name.

    Raises InputError when the target or the time is missing in a row, when a part would be empty,
    or when a class is missing from the rows to train on.
    """
    for name in filter(None, (contract.target, contract.time)):
        gone = int(data[name].isna().sum())
        if gone:
            raise InputError(
                f"{name}: missing in {gone:,} rows; the target and the time may not be"
            )
    if contract.time:
        labels = _by_time(moments(data, contract), how)
    else:
        labels = _at_random(groups(data, contract), strata(data, contract, task), how)
    parts = {name: data[labels == name] for name in PARTS}
    _check(parts, contract, task)
    return parts


def _by_time(time: pd.Series, how: Split) -> np.ndarray:
    """A part's name for each row. Cuts fall between moments, never within one."""
    ordered = np.sort(time.to_numpy())
    cuts = [1 - how.validation - how.test, 1 - how.test]
    first, second = (ordered[min(int(cut * len(ordered)), len(ordered) - 1)] for cut in cuts)
    values = time.to_numpy()
    return np.select([values < first, values < second], ["train", "validation"], "test")


def _at_random(groups: np.ndarray, strata: np.ndarray, how: Split) -> np.ndarray:
    """A part's name for each row; a group is drawn whole, into the stratum of most of its rows.

    Args:
        groups: shape (rows,), numbers from 0.
        strata: shape (rows,).
    """
    rng = np.random.default_rng(how.seed)
    counts = pd.crosstab(groups, strata) if groups.max() + 1 < len(groups) else None
    drawn = pd.DataFrame(
        {
            "stratum": strata if counts is None else counts.to_numpy().argmax(axis=1),
            "rows": 1 if counts is None else counts.to_numpy().sum(axis=1),
        }
    ).iloc[rng.permutation(groups.max() + 1)]
    # A group's place within its stratum, from 0 to 1 of the rows, decides its part.
    rows = drawn.groupby("stratum")["rows"]
    place = (rows.cumsum() - drawn["rows"] / 2) / rows.transform("sum")
    part = np.select(
        [place < how.test, place < how.test + how.validation], ["test", "validation"], "train"
    )
    return pd.Series(part, drawn.index).sort_index().to_numpy()[groups]


def _check(parts: dict[str, pd.DataFrame], contract: Contract, task: Task) -> None:
    for name, part in parts.items():
        if part.empty:
            raise InputError(
                f"split: no rows are left for {name}; change split.validation or split.test in "
                "params.yaml, or bring more data"
            )
    if task == "classification":
        target = contract.target or ""
        for name, part in parts.items():
            if part[target].nunique() < 2:
                raise InputError(f"split: {name} holds a single value of {target}")
        unseen = set(parts["validation"][target]) | set(parts["test"][target])
        unseen -= set(parts["train"][target])
        if unseen:
            raise InputError(
                f"split: {target} takes values that are never trained on: "
                f"{', '.join(map(str, sorted(unseen)))}"
            )
    empty = [name for name in contract.features if parts["train"][name].isna().all()]
    if empty:
        raise InputError(
            f"split: no value to train on in {', '.join(empty)}; drop its role feature"
        )


def represent(parts: dict[str, pd.DataFrame], contract: Contract) -> None:
    """Raise CheckError where a part cannot stand for the whole, with a number of both.

    A part drawn at random has to have the classes of all rows in their shares, a number's its
    distribution. Parts that follow one another in time may differ: the world does.
    """
    target = contract.target
    if target is None or contract.time:
        return
    whole = pd.concat(parts.values())[target]
    for name, part in parts.items():
        far, of_part, of_whole = _farthest(part[target], whole)
        if far > FAR + 1 / np.sqrt(len(part)):
            raise CheckError(
                f"split: {name} cannot stand for the whole: {of_part} there, {of_whole} of all "
                f"rows; rows are kept together by {_keeper(contract)}: bring more of its values, "
                "try another split.seed, or take that role from the column"
            )


def _keeper(contract: Contract) -> str:
    return contract.group or ", ".join(contract.with_role("id")) or "what they hold"


def _farthest(part: pd.Series, whole: pd.Series) -> tuple[float, str, str]:
    """The largest difference of two distributions, from 0 to 1, and where each of them is there."""
    if pd.api.types.is_float_dtype(whole):
        marks = np.unique(whole.quantile(np.linspace(0, 1, 21)))
        shares = [
            np.searchsorted(np.sort(each), marks, "right") / len(each) for each in (part, whole)
        ]
        at = int(np.abs(shares[0] - shares[1]).argmax())
        what = f"of {whole.name} up to {marks[at]:g}"
    else:
        both = [_shares(each) for each in (part, whole)]
        names = both[1].index
        shares = [each.reindex(names, fill_value=0.0).to_numpy() for each in both]
        at = int(np.abs(shares[0] - shares[1]).argmax())
        what = f"of {whole.name} {names[at]}"
    one, other = (float(each[at]) for each in shares)
    return abs(one - other), f"{one:.1%} {what}", f"{other:.1%}"


def _shares(target: pd.Series) -> pd.Series:
    """The share of each class, by its name as the model has it."""
    names = target.astype("str")
    named = names.str.lower() if pd.api.types.is_bool_dtype(target) else names
    return named.value_counts(normalize=True).sort_index()


def describe(part: pd.DataFrame, contract: Contract) -> dict[str, Any]:
    """Rows of a part, how many are distinct in their features, its target and its span of time."""
    found: dict[str, Any] = {
        "rows": len(part),
        "distinct": int((~part.duplicated(contract.features)).sum()),
    }
    if contract.target:
        target = part[contract.target]
        if pd.api.types.is_float_dtype(target):
            found["quantiles"] = [
                significant(each) for each in target.quantile([0, 0.25, 0.5, 0.75, 1])
            ]
        else:
            found["shares"] = {name: significant(each) for name, each in _shares(target).items()}
    if contract.time:
        moments = part[contract.time]
        found["time"] = [moments.min().isoformat(), moments.max().isoformat()]
    return found
