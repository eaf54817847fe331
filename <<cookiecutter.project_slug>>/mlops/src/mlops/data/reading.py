"""How a value is read: one meaning and one spelling, whatever carries it.

A file of text, Parquet, JSON and tensors bring the same value as `7`, `7.0`, `"7"` or a decimal.
Plain Python, because the serving image has nothing heavier; `columns` does the same for whole
columns with Arrow.
"""

import math
import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

# What pandas takes for missing, too.
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "NULL", "null", "None", "<NA>"]

BOOLEANS = {
    "true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True,
    "false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False,
}  # fmt: skip

# Blanks that people and programs put between thousands, and before a unit.
BLANKS = " \u00a0\u202f\u2009"


class Unreadable(ValueError):
    """A value that cannot be what its column holds."""


class Written(Protocol):
    """What contract.yaml says of how values are written, of the source or of a column.

    A column has None where it is as the source says. See contract.md for the keys.
    """

    @property
    def decimal(self) -> str | None: ...
    @property
    def thousands(self) -> str | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def strip(self) -> bool | None: ...
    @property
    def missing(self) -> list[str] | None: ...


class WrittenColumn(Written, Protocol):
    """The same of a column; what it allows is never missing, and some texts mean others."""

    @property
    def spellings(self) -> dict[str, str] | None: ...
    @property
    def allowed(self) -> list[str] | None: ...


@dataclass(frozen=True)
class Reader:
    """Reads the values of a column.

    Attributes:
        decimal: the mark before decimals.
        thousands: the mark between thousands; "" for none. A blank stands for any kind of blank.
        unit: a sign before or after a number, such as % or $, that is left out; "" for none.
        strip: whether blanks around a category count for nothing. Around others they never count.
        missing: texts that say that there is no value.
        spellings: texts that mean another, of categories and booleans: UA by United.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    strip: bool = False
    missing: frozenset[str] = frozenset(MISSING)
    spellings: dict[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def number_pattern(self) -> str:
        """A regular expression of a whole number text, alike to Python and to Arrow's RE2."""
        digits = "[0-9]+"
        if self.thousands:
            mark = f"[{BLANKS}]" if self.thousands in BLANKS else re.escape(self.thousands)
            # Groups of two are India's: 12,34,567.
            digits = f"(?:[0-9]+|[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}})"
        point = re.escape(self.decimal)
        number = f"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        plain = f"[+-]?(?:{number}|(?i:inf|infinity))"
        if not self.unit:
            return f"^{plain}$"
        unit, blank = re.escape(self.unit), f"[{BLANKS}]?"
        return f"^(?:{plain}(?:{blank}{unit})?|{unit}{blank}{plain}|[+-]{unit}{blank}{number})$"

    @cached_property
    def _number(self) -> re.Pattern[str]:
        return re.compile(self.number_pattern)

    @cached_property
    def replacements(self) -> list[tuple[str, str]]:
        """What to put for what, in this order, to make a plain number of one that is written."""
        found = [(self.unit, "")] if self.unit else []
        if self.unit or self.thousands:
            found += [(blank, "") for blank in BLANKS]
        found += [(self.thousands, "")] if self.thousands.strip(BLANKS) else []
        return found + ([(self.decimal, ".")] if self.decimal != "." else [])

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """Numbers that say that there is none, such as -999."""
        found = (self._plain(text) for text in self.missing)
        return frozenset(each for each in found if each is not None)

    def number(self, value: Any) -> float | None:
        """A numeric value; None where it is missing. Raises Unreadable."""
        if value is None:
            return None
        found: float | None
        if isinstance(value, str):
            text = value.strip()
            if text in self.missing:
                return None
            found = self._plain(text)
        elif isinstance(value, date | time | bytes):
            found = None
        else:
            try:
                found = float(value)
            except (TypeError, ValueError, OverflowError):
                found = None
        if found is None:
            raise Unreadable(f"{value!r} is no number")
        return None if math.isnan(found) or found in self.missing_numbers else found

    def boolean(self, value: Any) -> bool | None:
        """A boolean value; None where it is missing. Raises Unreadable."""
        if value is None or _is_nan(value):
            return None
        text = value.strip() if isinstance(value, str) else spelled(value)
        if text in self.missing:
            return None
        found = BOOLEANS.get(self.spellings.get(text, text).lower())
        if found is None:
            raise Unreadable(f"{value!r} is neither true nor false")
        return found

    def category(self, value: Any) -> str | None:
        """A category in its one spelling; None where it is missing. Raises Unreadable."""
        if value is None or _is_nan(value):
            return None
        text = self.spelling(value) if isinstance(value, str) else spelled(value)
        return None if text in self.missing else self.spellings.get(text, text)

    def says_none(self, value: Any) -> str | None:
        """None where a value of any kind says that there is none, else what it is as text."""
        text = self.category(value)
        return None if text is None or text.strip() in self.missing else text

    @cached_property
    def odd_pattern(self) -> str:
        """A regular expression of texts that, but for blanks, have another spelling."""
        point = re.escape(self.decimal)
        decimals = "[0-9]+" if self.decimal != "." else "0+"
        whole = f"[+-]?(?:0|[1-9][0-9]*){point}{decimals}"
        return f"^(?:{whole}|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return re.compile(f"([+-]?(?:0|[1-9][0-9]*)){re.escape(self.decimal)}0+")

    @cached_property
    def _decimals(self) -> re.Pattern[str]:
        return re.compile(f"([+-]?(?:0|[1-9][0-9]*)){re.escape(self.decimal)}([0-9]+)")

    def spelling(self, text: str) -> str:
        """The one spelling of a category's text: 7 for 7.0 and 7.00, true for TRUE; 007 stays."""
        if self.strip:
            text = text.strip()
        if whole := self._whole.fullmatch(text):
            return "0" if whole[1] in ("-0", "+0") else whole[1].removeprefix("+")
        if self.decimal != "." and (parts := self._decimals.fullmatch(text)):
            return f"{parts[1]}.{parts[2]}"
        return text.lower() if text.lower() in ("true", "false") else text

    def _plain(self, text: str) -> float | None:
        if self._number.match(text) is None:
            return None
        for old, new in self.replacements:
            text = text.replace(old, new)
        return float(text)


def _is_nan(value: Any) -> bool:
    try:
        return bool(value != value)
    except ValueError:  # an array, which is no single value
        return False


def spelled(value: Any) -> str:
    """The one spelling of a value that is no text. Raises Unreadable for what is no single value.

    Floats are as short as their precision allows, so that 0.1 is 0.1 in float32, too.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Unreadable(f"{value!r} is no text") from None
    if isinstance(value, datetime):
        midnight = value.time() == time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    try:
        if isinstance(value, bool) or kind == "b":
            return "true" if value else "false"
        if isinstance(value, int) or kind in ("i", "u"):
            return str(int(value))
        if isinstance(value, Decimal):
            return f"{value.normalize() + 0:f}"
        if isinstance(value, float) or kind == "f":
            return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)
    except ValueError:  # thousands of digits
        raise Unreadable("a number of thousands of digits is no category") from None
    raise Unreadable(f"{value!r:.60} is no single value")


def reader(column: WrittenColumn, source: Written) -> Reader:
    """What reads a column: as its own keys say, else as the source's, else as programs write.

    What a column calls missing comes to what the source does, and an empty text always is; what a
    column allows is a value, as Namibia's NA may be.
    """

    def of(name: str) -> Any:
        own = getattr(column, name)
        return own if own is not None else getattr(source, name)

    usual = source.missing if source.missing is not None else MISSING
    missing = {"", *usual, *(column.missing or [])}
    given = Reader(
        decimal=of("decimal") or ".",
        thousands=of("thousands") or "",
        unit=of("unit") or "",
        strip=bool(of("strip")),
    )
    values = {given.spelling(each) for each in column.allowed or []}
    pairs = (column.spellings or {}).items()
    spellings = {given.spelling(old): given.spelling(new) for old, new in pairs}
    kept = frozenset({"", *(missing - values - {*spellings})})
    return replace(given, missing=kept, spellings=spellings)
