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
from typing import Any, Literal, Protocol

# What pandas takes for missing, too.
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "NULL", "null", "None", "<NA>"]

BOOLEANS = {
    "true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True,
    "false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False,
}  # fmt: skip

# Blanks that people and programs put between thousands, and before a unit.
BLANKS = " \u00a0\u202f\u2009"
APOSTROPHES = "'\u2019"
# The minus of typographers. It is read wherever a hyphen is.
MINUS = "\u2212"

# How a number says that it is negative where no sign stands before it: (5), as accountants write,
# or 5-, as SAP does.
Negative = Literal["parentheses", "trailing"]


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
    def negative(self) -> Negative | None: ...
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
        thousands: the mark between thousands; "" for none. A blank stands for any kind of blank,
            and an apostrophe for the typographic one, too.
        unit: a sign before or after a number, such as % or $, that is left out; "" for none.
        negative: how numbers say that they are, beside a minus before them; None for no other way.
        strip: whether blanks around a category count for nothing. Around others they never count.
        missing: texts that say that there is no value.
        spellings: texts that mean another, of categories and booleans: UA by United.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    negative: Negative | None = None
    strip: bool = False
    missing: frozenset[str] = frozenset(MISSING)
    spellings: dict[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def number_pattern(self) -> str:
        """A regular expression of a whole number text, alike to Python and to Arrow's RE2."""
        digits = "[0-9]+"
        if self.thousands:
            # Groups of two are India's: 12,34,567.
            mark = self._thousands_pattern
            digits = f"(?:[0-9]+|[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}})"
        point, minus = re.escape(self.decimal), f"[{MINUS}-]"
        sign = f"[+{MINUS}-]?"
        number = f"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE]{sign}[0-9]+)?"
        # What ends in a point has no minus behind it: 5.- is five Swiss francs.
        firm = f"(?:{digits}(?:{point}[0-9]+)?|{point}[0-9]+)"
        plain = f"{sign}(?:{number}|(?i:inf|infinity))"
        unit, blank = re.escape(self.unit), f"[{BLANKS}]?"
        ways = [plain]
        if self.unit:
            before, after = f"{unit}{blank}", f"{blank}{unit}"
            ways += [f"{plain}{after}", f"{before}{plain}", f"[+{MINUS}-]{before}{number}"]
        if self.negative == "parentheses":
            ways.append(rf"\({number}\)")
            if self.unit:
                ways += [rf"\({before}{number}\)", rf"\({number}{after}\)"]
                ways += [rf"{before}\({number}\)", rf"\({number}\){after}"]
        elif self.negative == "trailing":
            ways.append(f"{firm}{minus}")
            if self.unit:
                ways += [f"{before}{firm}{minus}", f"{firm}{after}{minus}", f"{firm}{minus}{after}"]
        return f"^(?:{'|'.join(ways)})$"

    @cached_property
    def _thousands_pattern(self) -> str:
        for alike in (BLANKS, APOSTROPHES):
            if self.thousands in alike:
                return f"[{alike}]"
        return re.escape(self.thousands)

    @cached_property
    def _number(self) -> re.Pattern[str]:
        return re.compile(self.number_pattern)

    @cached_property
    def plain(self) -> bool:
        """Whether numbers are written as programs do."""
        return self.decimal == "." and not (self.thousands or self.unit or self.negative)

    @cached_property
    def replacements(self) -> list[tuple[str, str]]:
        """What to put for what, in this order, to make a plain number of one that is written.

        Regular expressions as Python and RE2 have them. A unit goes from beside a number alone: its
        letters may be those of an exponent, or of infinity.
        """
        found = []
        if self.unit:
            unit, point = re.escape(self.unit), re.escape(self.decimal)
            before, after = rf"[{BLANKS}]?[(+{MINUS}-]?", rf"[){MINUS}-]?[{BLANKS}]?"
            digit = f"(?:[0-9]|{point}|(?i:inf))"
            found.append((rf"^([(+{MINUS}-]?){unit}({before}{digit})", r"\1\2"))
            digit = f"(?:[0-9]|{point}|(?i:inf|infinity))"
            found.append((rf"({digit}{after}){unit}([){MINUS}-]?)$", r"\1\2"))
        if self.unit or self.thousands:
            found.append((f"[{BLANKS}]", ""))
        if self.thousands.strip(BLANKS):
            found.append((self._thousands_pattern, ""))
        if self.decimal != ".":
            found.append((re.escape(self.decimal), "."))
        if self.negative == "parentheses":
            found.append((r"^\((.*)\)$", r"-\1"))
        elif self.negative == "trailing":
            found.append((f"^(.*)[{MINUS}-]$", r"-\1"))
        return [*found, (MINUS, "-")]

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
        if self.plain:  # most are, and a server reads each value by itself
            return float(text.replace(MINUS, "-"))
        for old, new in self.replacements:
            text = re.sub(old, new, text)
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
        negative=of("negative"),
        strip=bool(of("strip")),
    )
    values = {given.spelling(each) for each in column.allowed or []}
    pairs = (column.spellings or {}).items()
    spellings = {given.spelling(old): given.spelling(new) for old, new in pairs}
    kept = frozenset({"", *(missing - values - {*spellings})})
    return replace(given, missing=kept, spellings=spellings)
