"""What a column looks like, in counts that can be added to batch by batch and do not grow.

A number is counted in bins that the reference's quantiles bound, a category by its name.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..data.contract import Column, as_kind

# Bins of a number. Between their bounds distributions cannot be told apart: 1/200 at most.
BINS = 200
# Names that are counted one by one; further ones are counted together.
NAMES = 10_000


@dataclass
class Numbers:
    """Counts of a numeric column.

    Attributes:
        bounds: upper ends of the bins, included; values above the last are counted beside.
        spread: the reference's standard deviation.
        counts: in each bin, and above the last.
        beyond: how far values below the first bound and above the last are off it, summed up.
        missing: how many are.
        outside: values that the contract's range does not allow.
        unreadable: values that are no numbers.
    """

    column: Column
    bounds: np.ndarray
    spread: float
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    beyond: np.ndarray = field(default_factory=lambda: np.zeros(2))
    missing: int = 0
    outside: int = 0
    unreadable: int = 0

    @staticmethod
    def of(column: Column, values: pa.Array) -> "Numbers":
        """That of reference values, and with bins after them."""
        known = values.cast(pa.float32()).to_numpy(zero_copy_only=False)
        known = known[~np.isnan(known)]
        levels = np.linspace(0, 1, BINS + 1)
        bounds, spread = np.zeros(0, "float32"), 0.0
        if len(known):
            bounds = np.unique(np.quantile(known, levels, method="inverted_cdf"))
            if len(bounds) > BINS / 4:  # no few values: rare ones are to be told apart, too
                bounds = np.union1d(bounds, np.linspace(bounds[0], bounds[-1], BINS // 4))
            spread = float(known.std(dtype="float64"))
        found = Numbers(column, bounds.astype("float32"), spread).empty()
        found.add(values)
        return found

    def empty(self) -> Self:
        """The same bins with nothing in them."""
        return type(self)(self.column, self.bounds, self.spread, np.zeros(len(self.bounds) + 1))

    @property
    def total(self) -> int:
        """Values that are there."""
        return int(self.counts.sum())

    def add(self, values: pa.Array) -> None:
        """Count more values."""
        if not _is_number(values.type):
            values, wrong = _read(values, self.column)
            self.unreadable += wrong
        # Sorting float32 is by far the quickest way to count in many bins.
        ordered = np.sort(values.cast(pa.float32()).to_numpy(zero_copy_only=False))
        there = int(np.searchsorted(ordered, np.nan)) if len(ordered) else 0
        self.missing += len(ordered) - there
        ordered = ordered[:there]
        ends = np.searchsorted(ordered, self.bounds, side="right")
        self.counts += np.diff(ends, prepend=0, append=there)
        if len(self.bounds):
            low, high = self.bounds[0], self.bounds[-1]
            below, above = ordered[: np.searchsorted(ordered, low)], ordered[ends[-1] :]
            self.beyond += [
                len(below) * float(low) - below.sum(dtype="float64"),
                above.sum(dtype="float64") - len(above) * float(high),
            ]
        self.outside += self._outside(ordered)

    def _outside(self, ordered: np.ndarray) -> int:
        low, high = self.column.range or [None, None]
        below, inside = 0, len(ordered)
        if isinstance(low, float):
            below = int(np.searchsorted(ordered, np.float32(low)))
        if isinstance(high, float):
            inside = int(np.searchsorted(ordered, np.float32(high), side="right"))
        return below + len(ordered) - inside

    def minus(self, part: "Numbers") -> "Numbers":
        """What is left without a part of it."""
        rest = self.empty()
        rest.counts, rest.missing = self.counts - part.counts, self.missing - part.missing
        rest.beyond = self.beyond - part.beyond
        return rest


@dataclass
class Names:
    """Counts of a categorical or boolean column.

    Attributes:
        counts: by category.
        further: values of categories that are not counted one by one.
        missing: how many are.
        unreadable: values that are no booleans.
    """

    column: Column
    counts: Counter[str] = field(default_factory=Counter)
    further: int = 0
    missing: int = 0
    unreadable: int = 0

    @staticmethod
    def of(column: Column, values: pa.Array) -> "Names":
        """That of reference values."""
        found = Names(column)
        found.add(values)
        return found

    def empty(self) -> Self:
        """One with nothing in it."""
        return type(self)(self.column)

    @property
    def total(self) -> int:
        """Values that are there."""
        return self.counts.total() + self.further

    @property
    def outside(self) -> int:
        """Values that the contract does not allow."""
        allowed = self.column.allowed
        if allowed is None:
            return 0
        return self.further + sum(n for name, n in self.counts.items() if name not in allowed)

    def add(self, values: pa.Array) -> None:
        """Count more values."""
        if self.column.kind == "boolean" and not pa.types.is_boolean(values.type):
            values, wrong = _read(values, self.column)
            self.unreadable += wrong
        self.missing += values.null_count
        for each in pc.value_counts(values.drop_null().cast(pa.string())).to_pylist():
            name, count = each["values"], each["counts"]
            if name in self.counts or len(self.counts) < NAMES:
                self.counts[name] += count
            else:
                self.further += count

    def unknown_to(self, before: "Names") -> int:
        """Values of categories that another has none of; none can be told of a very long list."""
        if before.further:
            return 0
        return self.further + sum(n for name, n in self.counts.items() if name not in before.counts)

    def minus(self, part: "Names") -> "Names":
        """What is left without a part of it."""
        left = self.counts - part.counts
        return Names(self.column, left, self.further - part.further, self.missing - part.missing)


Sketch = Numbers | Names


def sketch(column: Column, values: pa.Array) -> Sketch:
    """What reference values look like."""
    return (Numbers if column.kind == "numeric" else Names).of(column, values)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _read(values: pa.Array, column: Column) -> tuple[pa.Array, int]:
    """Values of another type as those of the column's kind, and how many cannot be."""
    typed = as_kind(values.to_pandas(), column)
    found = pa.array(typed, from_pandas=True)
    return found, found.null_count - values.null_count
