"""Numbers in place of texts, so that those of ten million rows are compared quickly."""

import numpy as np
import pandas as pd
import pyarrow as pa

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def keys(*columns: pa.Array) -> np.ndarray:
    """64 bits for each row of some columns, equal where the texts or integers of all of them are.

    For ten million different rows the odds that two get the same number are one in 300,000. They
    are as good as drawn at random.
    """
    found = np.zeros(len(columns[0]), "uint64")
    for column in columns:
        if pa.types.is_integer(column.type):
            filled = column.fill_null(0)
        else:
            filled = column.cast(pa.large_string()).fill_null("")
        values = filled.to_numpy(zero_copy_only=False)
        found = found * _FACTOR + pd.util.hash_array(values, categorize=False)
    return found


class Seen:
    """Which numbers came before: eight bytes for each of them."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def first(self, numbers: np.ndarray) -> np.ndarray:
        """Whether each of these comes for the first time, here and ever."""
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        fresh = np.ones(len(ordered), bool)
        fresh[1:] = ordered[1:] != ordered[:-1]
        for run in self._runs:
            at = np.searchsorted(run, ordered)
            fresh &= run[np.minimum(at, len(run) - 1)] != ordered
        self._keep(ordered[fresh])
        found = np.empty(len(numbers), bool)
        found[order] = fresh
        return found

    def _keep(self, run: np.ndarray) -> None:
        """Runs are of falling sizes: few to look into, and none is merged often."""
        if len(run):
            self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-1]) * 2 > len(self._runs[-2]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))
