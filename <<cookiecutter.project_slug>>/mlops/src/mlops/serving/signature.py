"""What the model takes: each input is checked against the contract that the model carries.

JSON and tensors have types, which say what a value is: a number is never read from a text. What is
missing, and how a category is spelled, is as everywhere: see reading. Values come as lists without
NaN from JSON, and as arrays from binary tensors of numbers. The checks use what Python and numpy do
in C (`set`, `min`, `max`), which is quick for one row and for thousands; rows are looked at one by
one only to tell which of them is wrong.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import numpy as np

from ..data.reading import Negative, Reader, Unreadable, reader
from .errors import Violation
from .protocol import DTYPES, Values

# The largest number that the model computes with.
LARGEST = float(np.finfo(np.float32).max)
# A missing category, as in training: see inputs.NO_CATEGORY, which pandas would come along with.
NO_CATEGORY = ""

# Characters that a category may have, unless training saw a longer one; and that a text may.
CATEGORY_CHARACTERS, TEXT_CHARACTERS = 1000, 20_000
# The least and the most of each integer type of the protocol.
_BOUNDS = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in DTYPES.items()
    if "INT" in name
}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the contract: see contract.Column."""

    kind: Literal["numeric", "categorical", "text", "boolean", "datetime"]
    role: list[str]
    nullable: bool = False
    redact: bool = False
    range: list[float | str | None] | None = None
    allowed: list[str] | None = None
    description: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None
    negative: Negative | None = None
    strip: bool | None = None
    missing: list[str] | None = None
    spellings: dict[str, str] | None = None
    impute: bool | float | str | None = None

    @property
    def optional(self) -> bool:
        """Whether a value may be left out."""
        return self.nullable or self.impute is not None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What the contract says of values, of all columns: see dialect.Dialect."""

    decimal: str | None = None
    thousands: str | None = None
    unit: str | None = None
    negative: Negative | None = None
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
            values = self._filled(values)
            self._check_types(values)
        return values

    def check_tensor(self, values: Values, datatype: str) -> Values:
        """As `check`, of a tensor: its datatype is checked first, and that the values are of it."""
        if datatype not in self.datatypes:
            names = " or ".join(sorted(self.datatypes))
            raise Violation(f"input {self.name}: datatype {datatype:.40}, not {names}", self.name)
        if isinstance(values, np.ndarray):
            return self._check_array(values)
        if datatype in _BOUNDS:
            self._check_integers(values, datatype)
        return self.check(values)

    def array(self, values: Values) -> np.ndarray:
        """Checked values as an array of shape (rows,)."""
        return np.asarray(values, dtype=self.dtype)

    def _check_array(self, values: np.ndarray) -> Values:
        return self.check(listed(values))

    def _check_integers(self, values: Values, datatype: str) -> None:
        low, high = _BOUNDS[datatype]

        def holds(value: Any) -> bool:
            # JSON has no integers of their own: 7.0 is one.
            whole = type(value) is int or (type(value) is float and value.is_integer())
            return whole and bool(low <= value <= high)

        self._check_each(values, holds, f"is no {datatype}")

    def _filled(self, values: Values) -> Values:
        """The values, what is missing imputed."""
        fill = self.column.impute
        return values if fill is None else [fill if each is None else each for each in values]

    def _check_types(self, values: Values) -> None:
        self._check_each(values, lambda value: type(value) in self.types, f"is not {self.kind}")
        self._check_missing(listed(values), None)

    def _check_each(self, values: Values, holds: Callable[[Any], bool], what: str) -> None:
        for row, value in enumerate(values, 1):
            if value is not None and not holds(value):
                wrong = f"input {self.name}, row {row}: {shown(value)} {what}"
                raise Violation(wrong, self.name)

    def _check_missing(self, values: list[Any], missing: str | None) -> None:
        if not self.column.nullable and missing in values:
            raise self._missing(values.index(missing) + 1)

    def _missing(self, row: int) -> Violation:
        wrong = "missing, and the contract does not have it nullable"
        return Violation(f"input {self.name}, row {row}: {wrong}", self.name)


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
            values = present = self._filled(values)
            self._check_types(values)
            present = [value for value in values if value is not None]
        if self._none and not self._none.isdisjoint(present):
            values = self._filled([None if value in self._none else value for value in values])
            self._check_missing(listed(values), None)
            present = [value for value in values if value is not None]
        if present and (min(present) < self.low or max(present) > self.high):
            self._check_each(
                values, lambda value: self.low <= value <= self.high, f"is outside {self._whose()}"
            )
        return values

    def _check_array(self, values: np.ndarray) -> Values:
        """As `check`: what is missing in an array is NaN, or what the contract calls missing."""
        missing = np.isnan(values) if values.dtype.kind == "f" else None
        if self._none:
            # -999.9 of float32 is what the contract calls -999.9.
            kind = values.dtype if values.dtype.kind == "f" else np.dtype("float64")
            called = np.isin(values, np.array([*self._none], kind))
            missing = called if missing is None else missing | called
        present = values
        if missing is not None and missing.any():
            if not self.column.optional:
                raise self._missing(int(missing.argmax()) + 1)
            present = values[~missing]
        if len(present) and (present.min().item() < self.low or present.max().item() > self.high):
            wide = values.astype(np.float64)
            outside = (wide < self.low) | (wide > self.high)
            if missing is not None:
                outside &= ~missing
            row = int(outside.argmax())
            wrong = f"{shown(values[row].item())} is outside {self._whose()}"
            raise Violation(f"input {self.name}, row {row + 1}: {wrong}", self.name)
        taken = values.astype(np.float32, copy=False)
        fill = np.nan if self.column.impute is None else self.column.impute
        return taken if missing is None else np.where(missing, np.float32(fill), taken)

    def _whose(self) -> str:
        """Whose range it is that values are to be in."""
        if not self.column.range:
            return "float32"
        bounds = ("" if each is None else f"{each:.12g}" for each in self.column.range)
        return f"the contract's range [{', '.join(bounds)}]"


class Boolean(Input):
    """A boolean column: float32 0 or 1, NaN where it is missing."""

    datatype = "BOOL"
    datatypes = frozenset(["BOOL"])
    dtype = np.float32
    types = frozenset([bool])
    kind = "true or false"

    def _check_array(self, values: np.ndarray) -> Values:
        return (values.view(np.uint8) != 0).astype(np.float32)


class Category(Input):
    """Categories or texts: "" where one is missing; among the contract's if it lists them.

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
        self._fill = str(column.impute or NO_CATEGORY)
        self.allowed = None
        if column.allowed is not None:
            self.allowed = frozenset([*map(read.spelling, column.allowed), NO_CATEGORY])
        self.known = None if known is None else frozenset([*known, NO_CATEGORY])
        # Values of which nothing needs to be looked at: they are spelled rightly, and allowed.
        right = self.known if self.known is not None else self.allowed or frozenset()
        self._right = (right & self.allowed if self.allowed is not None else right) - {NO_CATEGORY}
        self._longest = max(map(len, self._right), default=0)
        self._longest = max(self._longest, CATEGORY_CHARACTERS)
        if column.kind == "text":
            self._longest = TEXT_CHARACTERS

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

    def check_tensor(self, values: Values, datatype: str) -> Values:
        """See Input.check_tensor. In a tensor of numbers or booleans there is no text."""
        if datatype == "BYTES" or datatype not in self.datatypes:
            return super().check_tensor(values, datatype)
        short, found = SHORT.get(datatype), listed(values)
        for row, value in enumerate(found, 1):
            if isinstance(value, str):
                wrong = f"datatype {datatype}, and row {row} is text: {shown(value)}"
                raise Violation(f"input {self.name}: {wrong}", self.name)
        if short is not None:
            found = [short(value) if isinstance(value, float) else value for value in found]
        return super().check_tensor(found, datatype)

    def _category(self, row: int, value: Any) -> str:
        try:
            text = self.read.category(value) or self._fill
        except Unreadable:
            raise self._wrong(row, value, f"is not {self.kind}") from None
        if len(text) > self._longest:
            raise self._wrong(row, value, f"has more than {self._longest} characters")
        return text

    def _wrong(self, row: int, value: Any, what: str) -> Violation:
        return Violation(f"input {self.name}, row {row}: {shown(value)} {what}", self.name)


class Moment(Input):
    """A column of moments: text as ISO 8601 has it, in UTC where it names no zone.

    float64, microseconds from 1970, NaN where it is missing: see inputs.model_inputs.
    """

    datatype = "BYTES"
    datatypes = frozenset(["BYTES"])
    dtype = np.float64
    types = frozenset([str])
    kind = "a moment, such as 2013-01-31T12:00:00Z"

    def __init__(self, name: str, column: Column, read: Reader) -> None:
        super().__init__(name, column, read)
        bounds = column.range or [None, None]
        self.low, self.high = (None if each is None else _micro(str(each)) for each in bounds)

    def check(self, values: Values) -> Values:
        """See Input.check."""
        found = [self._moment(row, value) for row, value in enumerate(values, 1)]
        self._check_missing(found, None)
        return found

    def _moment(self, row: int, value: Any) -> float | None:
        if value is None or (isinstance(value, str) and value.strip() in self.read.missing):
            return None
        try:
            micro = _micro(value)
        except (TypeError, ValueError, OverflowError):
            wrong = f"{shown(value)} is not {self.kind}"
            raise Violation(f"input {self.name}, row {row}: {wrong}", self.name) from None
        if (self.low is not None and micro < self.low) or (
            self.high is not None and micro > self.high
        ):
            bounds = ", ".join(str(each or "") for each in self.column.range or [])
            wrong = f"{shown(value)} is outside the contract's range [{bounds}]"
            raise Violation(f"input {self.name}, row {row}: {wrong}", self.name)
        return micro

    def texts(self, micro: np.ndarray) -> np.ndarray:
        """What the model took, as text again; None where it is missing."""
        known = ~np.isnan(micro)
        found = np.full(len(micro), None, dtype=object)
        whole = micro[known].astype("int64").view("datetime64[us]")
        found[known] = np.datetime_as_string(whole).astype(object)
        return found


EPOCH = datetime(1970, 1, 1)


def _micro(text: str) -> float:
    """Microseconds from 1970 to a moment. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return float((moment - EPOCH) // timedelta(microseconds=1))


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
        if column.kind in ("categorical", "text"):
            found[name] = Category(name, column, read[name], (categories or {}).get(name))
        else:
            found[name] = KINDS[column.kind](name, column, read[name])
    return found


KINDS: dict[str, type[Input]] = {"numeric": Number, "boolean": Boolean, "datetime": Moment}


def shown(value: Any) -> str:
    """A value in an error, shortened."""
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(values: Values) -> list[Any]:
    """Values as a list, None for NaN."""
    if isinstance(values, list):
        return values
    found: list[Any] = values.tolist()
    if values.dtype.kind == "f":
        for row in np.flatnonzero(np.isnan(values)).tolist():
            found[row] = None
    return found


# Floats whose digits are few: as a category 0.1 is 0.1, not 0.10000000149011612.
SHORT: dict[str, Callable[[float], Any]] = {"FP16": np.float16, "FP32": np.float32}
