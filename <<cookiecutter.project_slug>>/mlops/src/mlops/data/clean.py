"""The rows of a snapshot without those that the contract drops, and what cleaning came to.

Nothing here learns from data: each step says beforehand what it does to a row. Spellings and
imputed values are part of reading (`contract.conform`), so that whoever answers reads as training
did; rows are dropped here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from ..errors import InputError
from ..paths import CONTRACT
from . import columns
from .checks import failing
from .contract import Contract, conform, is_missing
from .expressions import parse


@dataclass(frozen=True)
class Step:
    """A step of cleaning, and the rows that it touched.

    Attributes:
        step: what it does.
        of: the column, the condition, or the columns.
        rows: how many it changed or dropped.
        answered: of dropped rows, how many callers may send, and get an answer for; None where the
            condition looks at what callers do not send.
    """

    step: Literal["spellings", "impute", "drop", "duplicates"]
    of: str
    rows: int
    answered: int | None = None

    def __str__(self) -> str:
        told = f"{self.step} {self.of}: {self.rows:,} rows"
        if not self.answered:
            return told
        return (
            f"{told}, {self.answered:,} of them such as the server answers: bound the columns by "
            "`range` or `allowed` where it should not"
        )


@dataclass(frozen=True)
class Cleaned:
    """Rows that are learned from and judged on.

    Attributes:
        raw: as they are in the snapshot.
        typed: conformed. The index of both counts from 0.
        places: where each of them is in the snapshot, from 0.
        steps: what was done to get there.
    """

    raw: pd.DataFrame
    typed: pd.DataFrame
    places: np.ndarray
    steps: list[Step]


def clean(raw: pd.DataFrame, contract: Contract) -> Cleaned:
    """Conform the rows of a snapshot, and drop what the contract drops.

    Conditions first, in their order, then duplicates, of which the first stays. A condition that is
    unknown, as of a missing value, drops nothing.

    Args:
        raw: as `contract.snapshot` reads them.
        contract: its columns, and `clean`.

    Raises:
        InputError: a column is not there; a step names one that the contract lacks, or cannot be
            understood.
    """
    raw = raw.reset_index(drop=True)
    typed = conform(raw, contract)
    steps, gone = [*_changed(raw, typed, contract)], np.zeros(len(raw), dtype=bool)
    for step, dropped in _dropped(typed, contract):
        new = dropped & ~gone
        steps.append(
            replace(step, rows=int(new.sum()), answered=_answered(step, new, typed, contract))
        )
        gone |= new
    if again := contract.clean.duplicates:
        names = [*contract.columns] if again is True else again
        _check_names(names, contract)
        left = typed.loc[~gone, names]
        # As in SQL, a missing key is like no other. Whole rows are the same, missing values too.
        like = left.duplicated() & (True if again is True else left.notna().all(axis=1))
        told = "of all columns" if again is True else ", ".join(names)
        steps.append(Step("duplicates", told, int(like.sum())))
        gone[like.index[like]] = True
    places = np.flatnonzero(~gone)
    if len(places) == len(raw):
        return Cleaned(raw, typed, places, steps)
    raw, typed = (each.iloc[places].reset_index(drop=True) for each in (raw, typed))
    return Cleaned(raw, typed, places, steps)


def _changed(raw: pd.DataFrame, typed: pd.DataFrame, contract: Contract) -> Iterator[Step]:
    """What reading changed."""
    for name, column in contract.columns.items():
        if column.spellings:
            plain = replace(column.reader, spellings={})
            texts = columns.categories(raw[name], plain)
            yield Step("spellings", name, int(texts.isin([*column.reader.spellings]).sum()))
        if column.impute is not None:
            filled = is_missing(raw[name], column) & typed[name].notna()
            yield Step("impute", name, int(filled.sum()))


def _dropped(typed: pd.DataFrame, contract: Contract) -> Iterator[tuple[Step, np.ndarray]]:
    kinds = {name: column.kind for name, column in contract.columns.items()}
    for i, text in enumerate(contract.clean.drop):
        try:
            condition = parse(text, kinds, "boolean")
        except InputError as error:
            raise InputError(f"{CONTRACT}: clean.drop.{i}: {error}") from None
        holds = condition.values(typed).fillna(False).to_numpy(dtype=bool)
        seen = set(condition.columns) <= set(contract.features)
        yield Step("drop", text, 0, 0 if seen else None), holds


def _answered(step: Step, rows: np.ndarray, typed: pd.DataFrame, contract: Contract) -> int | None:
    """How many of dropped rows keep what the contract says of each feature."""
    if step.answered is None:
        return None
    left = rows.copy()
    for name in contract.features:
        for _, wrong in failing(typed[name], contract.columns[name]):
            left &= ~wrong
    return int(left.sum())


def _check_names(names: list[str], contract: Contract) -> None:
    for name in names:
        if name not in contract.columns:
            raise InputError(
                f"{CONTRACT}: clean.duplicates: the contract has no column {name}; it has "
                f"{', '.join(contract.columns)}"
            )
