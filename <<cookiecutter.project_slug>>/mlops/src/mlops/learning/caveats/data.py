"""Caveats of the data: leaks, ids, the order of the file, copies, classes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...config.section import Task
from ...data.contract import Contract
from .caveat import Caveat

# Rows that are looked at to tell what explains the target, evenly spread.
ROWS = 10_000
# A column is cut into this many values to see what they say about the target.
VALUES = 50
# A single column that explains this share of the target's variance knows it from elsewhere.
LEAK = 0.9
# Fewer rows tell nothing about whole numbers that never repeat.
FEW_ROWS = 50
MANY_CLASSES = 100
RARE = 0.01
COPIES = 0.5


def caveats_of_data(data: pd.DataFrame, contract: Contract, task: Task) -> list[Caveat]:
    """The caveats of conformed rows, in the order of the file that they came in."""
    return [
        *_leaks(data, contract),
        *_numbering(data, contract),
        *_copies(data, contract),
        *(_classes(data[contract.target or ""]) if task == "classification" else ()),
    ]


def _leaks(data: pd.DataFrame, contract: Contract) -> Iterator[Caveat]:
    if contract.target is None:
        return
    known = data[data[contract.target].notna()]
    if len(known) < FEW_ROWS:
        return
    some = known.iloc[np.unique(np.linspace(0, len(known) - 1, min(ROWS, len(known))).astype(int))]
    target = _indicators(some[contract.target])
    for name in contract.features:
        share = explained(_codes(some[name]), target)
        if share >= LEAK:
            yield Caveat(
                "leak",
                name,
                f"explains {share:.1%} of {contract.target} by itself: is it known before "
                f"{contract.target} is? If not, take its role feature",
            )


def explained(codes: np.ndarray, target: np.ndarray) -> float:
    """The share of the target's variance that the values of one column explain, at most 1.

    Half of the rows tell what each value means, the other half are asked, and the other way round,
    so that a column of many values explains nothing by chance.

    Args:
        codes: the column's values as numbers from 0, shape (rows,).
        target: shape (rows, width).
    """
    half = np.random.default_rng(0).permutation(len(codes)) % 2 == 0
    left = 0.0
    for known, asked in ((half, ~half), (~half, half)):
        counts = np.bincount(codes[known], minlength=codes.max() + 1)
        mean = target[known].mean(axis=0)
        for one, average in zip(target.T, mean, strict=True):
            sums = np.bincount(codes[known], one[known], minlength=len(counts))
            told = np.where(counts > 0, sums / np.maximum(counts, 1), average)
            left += float(((one[asked] - told[codes[asked]]) ** 2).sum())
    whole = float(((target - target.mean(axis=0)) ** 2).sum())
    return 1 - left / whole if whole > 0 else 0.0


def _indicators(target: pd.Series) -> np.ndarray:
    """A column a class, or the rank of a number, which no outlier rules."""
    if pd.api.types.is_float_dtype(target):
        return target.rank().to_numpy(dtype="float64")[:, None]
    codes = pd.factorize(target)[0]
    return np.eye(codes.max() + 1)[codes] if codes.max() < MANY_CLASSES else codes[:, None] * 1.0


def _codes(values: pd.Series) -> np.ndarray:
    """A column as numbers from 0: bins of as many rows, or the values themselves.

    What is infinite has no place among bins, and is as good as missing.
    """
    if pd.api.types.is_float_dtype(values):
        values = values.where(np.isfinite(values))
    if pd.api.types.is_float_dtype(values) and values.nunique() > VALUES:
        values = pd.qcut(values, VALUES, labels=False, duplicates="drop")
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0])


def _numbering(data: pd.DataFrame, contract: Contract) -> Iterator[Caveat]:
    """Whole numbers that count rows: they know where a row stood, and what it is not."""
    for name in contract.features:
        if contract.columns[name].kind != "numeric":
            continue
        values = data[name].dropna()
        if len(values) < FEW_ROWS or not (values % 1 == 0).all():
            continue
        if values.is_monotonic_increasing and values.nunique() > VALUES:
            yield Caveat(
                "order", name, "rises from row to row: it tells where a row stood in the file"
            )
        elif values.is_unique:
            yield Caveat(
                "id",
                name,
                f"{len(values):,} whole numbers, none of them twice: is it an id? Give it role id",
            )


def _copies(data: pd.DataFrame, contract: Contract) -> Iterator[Caveat]:
    distinct = int((~data.duplicated(contract.features)).sum())
    if len(data) >= FEW_ROWS and distinct <= COPIES * len(data):
        yield Caveat(
            "copies",
            None,
            f"{distinct:,} of {len(data):,} rows are distinct in their features: most rows to "
            "judge by are like one to learn from, and more rows tell less than they seem to",
        )


def _classes(target: pd.Series) -> Iterator[Caveat]:
    shares = target.astype("str").value_counts(normalize=True)
    if len(shares) > MANY_CLASSES:
        yield Caveat(
            "classes",
            str(target.name),
            f"{len(shares):,} classes: is it a number, an id or a text? Each class needs rows",
        )
    elif len(shares) and shares.iloc[-1] < RARE:
        rows = round(shares.iloc[-1] * len(target))
        yield Caveat(
            "imbalance",
            str(target.name),
            f"{shares.index[-1]} is {shares.iloc[-1]:.2%} of the rows ({rows:,}): "
            "accuracy says little, average_precision and recall say more",
        )
