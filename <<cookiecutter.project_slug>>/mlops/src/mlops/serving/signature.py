"""What the model takes: each input is checked against the contract that the model carries.

Values come as lists without NaN, from JSON or from the binary extension alike. The checks use what
Python does in C (`set`, `min`, `max`), which is quick for one row and for thousands; rows are
looked at one by one only to tell which of them is wrong.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np

from .errors import Violation

# The largest number that the model computes with.
LARGEST = float(np.finfo(np.float32).max)
# A missing category, as in training: see inputs.NO_CATEGORY, which pandas would come along with.
NO_CATEGORY = ""

Values = list[Any]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the contract: see contract.Column."""

    kind: Literal["numeric", "categorical", "boolean", "datetime"]
    role: list[str]
    nullable: bool = False
    redact: bool = False
    range: list[float | str | None] | None = None
    allowed: list[str] | None = None
    description: str | None = None


class Input:
    """An input of the model: what its values must be, and the array that the model takes.

    Attributes:
        datatype: the protocol's name for its type.
        datatypes: the protocol's names of all the types that it may come in.
        dtype: the type of the array that the model takes.
        types: the types of values, and `kind` what they are called.
    """

    datatype: str
    datatypes: frozenset[str]
    dtype: type
    types: frozenset[type]
    kind: str

    def __init__(self, name: str, column: Column) -> None:
        self.name = name
        self.column = column

    def check(self, values: Values) -> Values:
        """The values, one a row, as `array` takes them. Raises Violation, naming a wrong one."""
        if not self.types.issuperset(map(type, values)):
            self._check_types(values)
        return values

    def array(self, values: Values) -> np.ndarray:
        """Checked values as an array of shape (rows,)."""
        return np.array(values, dtype=self.dtype)

    def _check_types(self, values: Values) -> None:
        self._check_each(values, lambda value: type(value) in self.types, f"is not {self.kind}")
        self._check_missing(values, None)

    def _check_each(self, values: Values, holds: Callable[[Any], bool], what: str) -> None:
        for row, value in enumerate(values, 1):
            if value is not None and not holds(value):
                wrong = f"input {self.name}, row {row}: {shown(value)} {what}"
                raise Violation(wrong, self.name)

    def _check_missing(self, values: Values, missing: str | None) -> None:
        if not self.column.nullable and missing in values:
            row = values.index(missing) + 1
            wrong = "missing, and the contract does not have it nullable"
            raise Violation(f"input {self.name}, row {row}: {wrong}", self.name)


class Number(Input):
    """A numeric column: float32, NaN where it is missing; in the contract's range if it has one."""

    datatype = "FP32"
    datatypes = frozenset(f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64))
    datatypes |= {"FP16", "FP32", "FP64"}
    dtype = np.float32
    types = frozenset([int, float])
    kind = "a number"

    def __init__(self, name: str, column: Column) -> None:
        super().__init__(name, column)
        low, high = column.range or [None, None]
        self.low = -LARGEST if low is None else float(low)
        self.high = LARGEST if high is None else float(high)

    def check(self, values: Values) -> Values:
        """See Input.check."""
        if (
            len(values) == 1
            and type(values[0]) in self.types
            and self.low <= values[0] <= self.high
        ):
            return values  # by far the most common, and several times quicker so
        present = values
        if not self.types.issuperset(map(type, values)):
            self._check_types(values)
            present = [value for value in values if value is not None]
        if present and (min(present) < self.low or max(present) > self.high):
            bounds = ("" if each is None else f"{each:.12g}" for each in self.column.range or [])
            whose = (
                f"the contract's range [{', '.join(bounds)}]" if self.column.range else "float32"
            )
            self._check_each(
                values, lambda value: self.low <= value <= self.high, f"is outside {whose}"
            )
        return values


class Boolean(Input):
    """A boolean column: float32 0 or 1, NaN where it is missing."""

    datatype = "BOOL"
    datatypes = frozenset(["BOOL"])
    dtype = np.float32
    types = frozenset([bool])
    kind = "true or false"


class Category(Input):
    """A categorical column: text, "" where it is missing; among the contract's if it lists them."""

    datatype = "BYTES"
    datatypes = frozenset(["BYTES"])
    dtype = object
    types = frozenset([str])
    kind = "text"

    def __init__(self, name: str, column: Column) -> None:
        super().__init__(name, column)
        self.allowed = None
        if column.allowed is not None:
            self.allowed = frozenset([*column.allowed, NO_CATEGORY])

    def check(self, values: Values) -> Values:
        """See Input.check."""
        if not self.types.issuperset(map(type, values)):
            self._check_types(values)
            values = [NO_CATEGORY if value is None else value for value in values]
        self._check_missing(values, NO_CATEGORY)
        if self.allowed is not None and not self.allowed.issuperset(values):
            listed = ", ".join(self.column.allowed or [])
            self._check_each(values, self.allowed.__contains__, f"is none of {listed:.200}")
        return values


INPUTS: dict[str, type[Input]] = {"numeric": Number, "boolean": Boolean, "categorical": Category}


def columns(contract: dict[str, Any]) -> dict[str, Column]:
    """The columns of the contract in a model's metadata."""
    return msgspec.convert(contract["columns"], dict[str, Column])


def signature(described: dict[str, Column]) -> dict[str, Input]:
    """The model's inputs by name, in its order."""
    return {
        name: INPUTS[column.kind](name, column)
        for name, column in described.items()
        if "feature" in column.role
    }


def shown(value: Any) -> str:
    """A value in an error, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
