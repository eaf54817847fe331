"""Membership: which group or slice a row is in, by its values in one column or several."""

from collections.abc import Iterator
from functools import reduce
from itertools import combinations

import numpy as np
import pandas as pd

from .contract import Contract

# A column with more numbers is cut into quarters.
NUMBERS = 10
MISSING = "(missing)"


def named(values: pd.Series, reference: pd.Series) -> pd.Series:
    """The slice of each row; missing values are one of their own.

    Args:
        values: of the column.
        reference: the rows whose quarters count; those at the ends have no other end.
    """
    if pd.api.types.is_numeric_dtype(reference) and not pd.api.types.is_bool_dtype(reference):
        numbers = values.astype("float64")
        if reference.nunique() > NUMBERS:
            cuts = np.unique(np.quantile(reference.dropna(), [0.25, 0.5, 0.75]))
            values = pd.cut(numbers, [-np.inf, *cuts, np.inf])
        else:
            values = numbers.astype("string").str.removesuffix(".0")
    return values.astype("string").fillna(MISSING)


def memberships(
    rows: pd.DataFrame, contract: Contract, combined: int
) -> Iterator[tuple[str, bool, pd.Series]]:
    """Yield each column, or columns together, whether it is several, and each row's group."""
    known = {name: named(rows[name], rows[name]) for name in contract.with_role("sensitive")}
    for size in range(1, combined + 1):
        for some in combinations(known, size):
            joined = reduce(lambda one, other: one + " & " + other, (known[name] for name in some))
            yield " & ".join(some), size > 1, joined


def places(names: pd.Series) -> dict[str, np.ndarray]:
    """The numbers of the rows of each slice, in the order of their names."""
    found = names.groupby(names.to_numpy(), sort=True).indices
    return {str(name): np.asarray(rows) for name, rows in found.items()}
