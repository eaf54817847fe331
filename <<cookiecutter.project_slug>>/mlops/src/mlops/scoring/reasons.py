"""Reasons: what moved an answer most, in words that the contract has for its columns.

The contract is the one that the model carries. Numpy and the model, as in the server: `mlops
predict`, `mlops batch` and the server have this one way to explain.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..printable import shown
from .explaining import (
    Asked,
    Columns,
    background_of,
    explain,
    explained_class,
    is_explained,
    model_rows,
)

# What moves an answer by less, as a share of the strongest, is no reason.
LEAST = 0.01
# Bytes that a value takes while it is put into the place of another: the value, the background's
# and whether it is taken, with what numpy makes on the way.
VALUE_BYTES = 32


class Reasons:
    """Explains the answers of a model.

    Attributes:
        model_rows: rows that the model is asked for one answer to be explained.
        bytes: of memory that this takes at most, beside the model's own.
    """

    def __init__(self, model: Asked) -> None:
        """Take the background and the words that the model carries.

        Raises InputError where it carries no background, or says what is no number.
        """
        is_explained(model)
        self._model, self._background = model, background_of(model)
        self._columns: Mapping[str, Mapping[str, Any]] = model.metadata["contract"]["columns"]
        inputs, rows = len(model.inputs), len(next(iter(self._background.values())))
        self.model_rows = model_rows(inputs, rows)
        self.bytes = self.model_rows * inputs * VALUE_BYTES

    def of(self, asked: Columns, count: int) -> list[list[str]]:
        """The strongest reasons for the answer to each of some rows, at most `count`.

        Args:
            asked: an array of shape (rows,) an input, as the model takes them.
            count: of reasons.
        """
        rows = len(next(iter(asked.values())))
        return [
            self._of_row({name: values[i : i + 1] for name, values in asked.items()}, count)
            for i in range(rows)
        ]

    def _of_row(self, row: Columns, count: int) -> list[str]:
        shares = explain(self._model, row, self._background).shares
        least = LEAST * max(map(abs, shares.values()), default=0.0)
        strong = [(name, share) for name, share in shares.items() if abs(share) > least]
        what, is_share = self._what(row)
        return [
            self._reason(name, row[name][0], share, what, is_share)
            for name, share in strong[:count]
        ]

    def _what(self, row: Columns) -> tuple[str, bool]:
        """What is explained, in words, and whether it is a probability."""
        classes = self._model.metadata.get("classes")
        target = next(name for name, column in self._columns.items() if "target" in column["role"])
        if not classes:
            return target, False
        of_boolean = self._columns[target]["kind"] == "boolean"
        place = explained_class(self._model, row)
        name = target if of_boolean else f"{target} {shown(classes[place])}"
        return f"the probability of {name}", True

    def _reason(self, name: str, value: Any, share: float, what: str, is_share: bool) -> str:
        verb = "raises" if share > 0 else "lowers"
        by = f"{abs(share) * 100:.1f} points" if is_share else f"{abs(share):.4g}"
        column = self._columns[name]
        called = column.get("description") or name
        return f"{shown(called)} {_value(column['kind'], value)} {verb} {what} by {by}"


def _value(kind: str, value: Any) -> str:
    if kind in ("categorical", "text"):
        return shown(str(value)) if value else "missing"
    if np.isnan(value):
        return "missing"
    return str(bool(value)).lower() if kind == "boolean" else f"{float(value):.6g}"
