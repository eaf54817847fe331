"""Split: rows for training, validation and test, none of them in two parts.

With a time column the parts follow one another in time, and rows of one moment stay together.
Without, rows are drawn at random (seeded), in the target's proportions; rows that share an id, or
are equal in every column of the contract, stay together.
"""

import numpy as np
import pandas as pd

from ..config.params import load_params
from ..config.section import Task
from ..config.split import Split
from ..contract import Contract, conform, load_contract, snapshot
from ..errors import InputError
from ..files import replacing
from ..paths import PARTS
from . import stage

# A number is cut into this many equally filled bins when parts are to have its proportions.
STRATA = 10


def split() -> None:
    """Write the three parts."""
    params, contract = load_params(), load_contract()
    data = conform(snapshot(contract.columns), contract)
    parts = divide(data, contract, params.task, params.split)
    for name, part in parts.items():
        with replacing(PARTS[name]) as temporary:
            part.to_parquet(temporary, index=False, compression="zstd")
        print(f"{name:<10} {len(part):>9,} rows{_span(part, contract)}")


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
        labels = _by_time(data[contract.time], how)
    else:
        labels = _at_random(_groups(data, contract), _strata(data, contract, task), how)
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


def _at_random(groups: pd.Series, strata: pd.Series | None, how: Split) -> np.ndarray:
    """A part's name for each row; a group is drawn whole, into the stratum of its first row."""
    rng = np.random.default_rng(how.seed)
    heads = ~groups.duplicated()
    of_group = pd.DataFrame({"group": groups[heads]})
    of_group["stratum"] = 0 if strata is None else strata[heads]
    of_group = of_group.iloc[rng.permutation(len(of_group))]
    # A group's place within its stratum, from 0 to 1, decides its part.
    by_stratum = of_group.groupby("stratum", observed=True)["group"]
    place = (by_stratum.cumcount() + 0.5) / by_stratum.transform("size")
    part = np.select(
        [place < how.test, place < how.test + how.validation], ["test", "validation"], "train"
    )
    return groups.map(dict(zip(of_group["group"], part, strict=True))).to_numpy()


def _groups(data: pd.DataFrame, contract: Contract) -> pd.Series:
    rows = pd.util.hash_pandas_object(data, index=False)
    ids = data[contract.with_role("id")]
    if ids.columns.empty:
        return rows
    return rows.where(ids.isna().any(axis=1), pd.util.hash_pandas_object(ids, index=False))


def _strata(data: pd.DataFrame, contract: Contract, task: Task) -> pd.Series | None:
    if contract.target is None:
        return None
    target = data[contract.target]
    if task == "classification":
        return target.astype("str")
    return pd.qcut(target.rank(method="first"), min(STRATA, len(target)), labels=False)


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


def _span(part: pd.DataFrame, contract: Contract) -> str:
    if contract.time is None:
        return ""
    first, last = part[contract.time].min(), part[contract.time].max()
    return f", {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    stage(split)
