"""What each value must be, checked on rows to be scored as the server checks them.

`validate` checks the same of training data with pandera, which takes longer to load than small
files take to score.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd

from .contract import Column, Contract, Violation, unreadable, violation

# The largest number that models compute with.
LARGEST = float(np.finfo("float32").max)
NOT_MISSING, FINITE, UNKNOWN = "not missing", "finite", "known to training"


def broken(raw: pd.DataFrame, typed: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    """The rules of the contract's columns that rows break, each with how many and the first few.

    Args:
        raw: the rows as they came.
        typed: the same, conformed.
        contract: its columns are those that are checked.
    """
    unread = {each.column: each for each in unreadable(raw, typed, contract)}
    for name, column in contract.columns.items():
        if name in unread:
            yield unread[name]
        for rule, wrong in failing(typed[name], column):
            if rule == NOT_MISSING and name in unread:
                continue  # an unreadable value is missing in `typed`
            if wrong.any():
                yield violation(name, rule, raw.loc[wrong, name])


def unknown(
    typed: pd.DataFrame, contract: Contract, known: dict[str, list[str]]
) -> Iterator[Violation]:
    """The categories that training never saw. `known` are those it saw, by column."""
    for name, seen in known.items():
        if name in contract.columns:
            values = typed[name]
            wrong = values.notna() & ~values.isin(seen)
            if wrong.any():
                yield violation(name, UNKNOWN, values[wrong])


def failing(values: pd.Series, column: Column) -> Iterator[tuple[str, np.ndarray]]:
    """Each rule of a column, and which values break it."""
    gone = values.isna().to_numpy()
    if not column.nullable:
        yield NOT_MISSING, gone
    if column.kind == "numeric":
        yield FINITE, values.abs().to_numpy() > LARGEST
    if column.range is not None:
        low, high = column.range
        if low is not None:
            yield f"at least {bound(low)}", (values < low).to_numpy()
        if high is not None:
            yield f"at most {bound(high)}", (values > high).to_numpy()
    if column.allowed is not None:
        yield (
            f"one of {', '.join(column.allowed):.200}",
            ~values.isin(column.allowed).to_numpy() & ~gone,
        )


def bound(value: float | datetime) -> str:
    """A bound of a range as rules have it."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
