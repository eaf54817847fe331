"""Slices: rows with the same value in a column, or in the same quarter of its numbers."""

import pandas as pd

from ..config.evaluate import Evaluate
from ..config.section import Task
from ..data.contract import Contract
from ..data.membership import named, places
from ..learning.metrics import Scored, rounded, score

# By column with role slice and value; `rows` is how many there are.
Slices = dict[str, dict[str, dict[str, float]]]


def slices(
    task: Task, scored: Scored, test: pd.DataFrame, contract: Contract, how: Evaluate
) -> Slices:
    """The metrics by column with role slice and value, for values with enough rows."""
    found: Slices = {}
    for column in contract.with_role("slice"):
        found[column] = {}
        for value, rows in places(named(test[column], test[column])).items():
            if len(rows) >= how.slice_rows:
                values = score(task, scored.rows(rows), how.value)
                found[column][value] = {"rows": len(rows), **rounded(values)}
    return found
