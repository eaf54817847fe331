"""What the model takes: each input is checked against the contract that the model carries.

JSON and tensors have types, which say what a value is: a number is never read from a text. What is
missing, and how a category is spelled, is as everywhere: see reading. Values come as lists without
NaN, from JSON or from the binary extension alike. The checks use what Python does in C (`set`,
`min`, `max`), which is quick for one row and for thousands; rows are looked at one by one only to
tell which of them is wrong.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal

import msgspec
import numpy as np

from ..reading import Reader, Unreadable, reader
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
    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None
    strip: bool | None = None
    missing: list[str] | None = None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What the contract says of values, of all columns: see dialect.Dialect."""

    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None
    strip: bool | None = None
    missing: list[str] | None = None


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

    def __init__(self, name: str, column: Column, read: Reader) -> None:
        self.name = name
        self.column = column
        self.read = read

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

    def __init__(self, name: str, column: Column, read: Reader) -> None:
        super().__init__(name, column, read)
        low, high = column.range or [None, None]
        self.low = -LARGEST if low is None else float(low)
        self.high = LARGEST if high is None else float(high)
        self._none = read.missing_numbers

    def check(self, values: Values) -> Values:
        """See Input.check."""
        if (
            len(values) == 1
            and type(values[0]) in self.types
            and self.low <= values[0] <= self.high
            and not self._none
        ):
            return values  # by far the most common, and several times quicker so
        present = values
        if not self.types.issuperset(map(type, values)):
            self._check_types(values)
            present = [value for value in values if value is not None]
        if self._none and not self._none.isdisjoint(present):
            values = [None if value in self._none else value for value in values]
            self._check_missing(values, None)
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
    """A categorical column: text, "" where it is missing; among the contract's if it lists them.

    A number or a boolean is the text that it is spelled by: 7 and 7.0 are "7".
    """

    datatype = "BYTES"
    datatypes = Number.datatypes | {"BYTES", "BOOL"}
    dtype = object
    types = frozenset([str])
    kind = "text"

    def __init__(
        self, name: str, column: Column, read: Reader, known: Collection[str] | None = None
    ) -> None:
        """`known` are the categories that training saw; None where the model does not say."""
        super().__init__(name, column, read)
        self.allowed = None
        if column.allowed is not None:
            self.allowed = frozenset([*map(read.spelling, column.allowed), NO_CATEGORY])
        self.known = None if known is None else frozenset([*known, NO_CATEGORY])
        # Values of which nothing needs to be looked at: they are spelled rightly, and allowed.
        right = self.known if self.known is not None else self.allowed or frozenset()
        self._right = (right & self.allowed if self.allowed is not None else right) - {NO_CATEGORY}

    def check(self, values: Values) -> Values:
        """See Input.check."""
        try:
            if self._right.issuperset(values):
                return values  # by far the most common
        except TypeError:  # a list or an object, which is no category
            pass
        values = [self._category(row, value) for row, value in enumerate(values, 1)]
        self._check_missing(values, NO_CATEGORY)
        if self.allowed is not None and not self.allowed.issuperset(values):
            listed = ", ".join(self.column.allowed or [])
            self._check_each(values, self.allowed.__contains__, f"is none of {listed:.200}")
        return values

    def _category(self, row: int, value: Any) -> str:
        try:
            return self.read.category(value) or NO_CATEGORY
        except Unreadable:
            raise Violation(
                f"input {self.name}, row {row}: {shown(value)} is not {self.kind}", self.name
            ) from None


def columns(contract: dict[str, Any]) -> dict[str, Column]:
    """The columns of the contract in a model's metadata."""
    return msgspec.convert(contract["columns"], dict[str, Column])


def readers(contract: dict[str, Any]) -> dict[str, Reader]:
    """What reads the values of each column of the contract in a model's metadata."""
    source = msgspec.convert(contract.get("dialect", {}), Dialect)
    return {name: reader(column, source) for name, column in columns(contract).items()}


def signature(
    contract: dict[str, Any], categories: dict[str, list[str]] | None = None
) -> dict[str, Input]:
    """The model's inputs by name, in its order.

    Args:
        contract: as it stands in the model's metadata.
        categories: those that training saw, by column; none of columns that the model tells
            nothing of.
    """
    read, found = readers(contract), dict[str, Input]()
    for name, column in columns(contract).items():
        if "feature" not in column.role:
            continue
        if column.kind == "categorical":
            found[name] = Category(name, column, read[name], (categories or {}).get(name))
        else:
            found[name] = {"numeric": Number, "boolean": Boolean}[column.kind](
                name, column, read[name]
            )
    return found


def shown(value: Any) -> str:
    """A value in an error, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
