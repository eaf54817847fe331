"""What a column of text looks like: numbers, dates, yes and no, or categories, and how they are
written. A guess for people to read, made once by `mlops data init`; reading itself never guesses.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import pandas as pd

from ..data.contract import Kind
from ..data.reading import BOOLEANS, MINUS, MISSING, Negative, Reader

Order = Literal["day-first", "month-first"]

# What people put where there is no number; MISSING is missing in any case.
MARKS = {
    "?", "-", "--", "—", ".", "..", "*", "x", "na", "n/a", "n.a.", "none", "null", "nil", "nan",
    "missing", "unknown", "k.a.", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!",
    "<null>", "\\n", "(null)", "not available", "not applicable",
}  # fmt: skip

# Marks before decimals and between thousands, the likeliest first.
NUMBERS = [
    (".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"),
]  # fmt: skip
# Keys of a column that tell how its numbers are written.
WRITTEN = ("decimal", "thousands", "unit", "negative")
# Ends of numbers that say that they are negative.
NEGATIVES: dict[Negative, re.Pattern[str]] = {
    "parentheses": re.compile(r".*\(.*\d.*\).*"),
    "trailing": re.compile(rf"\D*\d(?:.*\d)?(?:[{MINUS}-]|[{MINUS}-]\D+|\D+[{MINUS}-])"),
}
# So large a part must be numbers, and so few other texts may stand among them, to be numbers.
MOSTLY, ODD_TEXTS = 0.9, 3
# What may stand at a number, before or after it. Other words may behind it: after a blank, or
# behind all numbers of the column, where they cannot be parts of codes such as 12A and 12B.
SIGNS = {*"%‰$€£¥₹₩₽₺₫₴₪₱฿¢°", "R$", "kr", "Fr.", "zł", "Kč", "Rs", "Rs.", "Ft"}
SIGNS |= {f"{country}$" for country in ("US", "A", "AU", "C", "CA", "HK", "NZ", "S", "NT", "MX")}
SIGNS |= {
    "USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF",
    "AUD", "CAD", "NZD", "BRL", "MXN", "ZAR", "SGD", "HKD", "KRW", "TRY",
}  # fmt: skip
_AROUND = re.compile(
    rf"[+{MINUS}-]?(\S*?)[\s\u00a0\u202f]?[+{MINUS}-]?[.,]?\d"
    rf"[\d.,'\u2019\s\u00a0\u202f]*?([\s\u00a0\u202f]?)([^\d\s.,'+()\u2019{MINUS}-]{{0,9}})"
)
_CODE = re.compile(r"0\d+")

_DAYS = [
    *((f"%Y{mark}%m{mark}%d", None) for mark in ("-", "/", ".")),
    *(
        (f"{day}{mark}{year}".replace("~", mark), order)
        for mark in ("/", "-")
        for year in ("%Y", "%y")
        for day, order in (("%d~%m", "day-first"), ("%m~%d", "month-first"))
    ),
    ("%d.%m.%Y", None), ("%d.%m.%y", None), ("%d %b %Y", None), ("%d-%b-%Y", None),
    ("%d-%b-%y", None), ("%d %B %Y", None), ("%b %d, %Y", None), ("%B %d, %Y", None),
]  # fmt: skip
_TIMES = ["", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p"]
DATES: list[tuple[str, Order | None]] = [
    (f"{day}{time}", order)  # type: ignore[misc]
    for day, order in _DAYS
    for time in _TIMES
]
# Eight digits are dates only where somebody says that they are.
PACKED = [(f"%Y%m%d{time}", None) for time in ("", " %H:%M", " %H:%M:%S")]


@dataclass(frozen=True)
class Guess:
    """What a column seems to hold.

    Attributes:
        kind: of contract.yaml.
        keys: further entries there: how it is written.
        share: of the values that are not missing, those that fit.
        odd: texts that stand for no value, with how many there are of each.
        either: two formats that all dates fit, the day or the month first.
    """

    kind: Kind
    keys: dict[str, Any] = field(default_factory=dict)
    share: float = 1.0
    odd: dict[str, int] = field(default_factory=dict)
    either: tuple[str, str] | None = None


def guess(counts: Mapping[str, int], is_time: bool = False, usual: Reader | None = None) -> Guess:
    """What the texts of a column seem to be.

    Args:
        counts: how often each text is there.
        is_time: whether somebody says that they are moments.
        usual: how the numbers of other columns are written, where that is known.
    """
    texts = Counter[str]()
    for text, count in counts.items():
        if text.strip() not in MISSING:
            texts[text.strip()] += count
    if not texts:
        return Guess("categorical")
    if len(texts) <= 2 and {t.lower() for t in texts} <= set(BOOLEANS) - {"0", "1", "0.0", "1.0"}:
        return Guess("boolean")
    if is_time and (found := _moments(texts, [*DATES, *PACKED])):
        return found
    return _numbers(texts, usual) or _moments(texts, DATES) or Guess("categorical")


def _numbers(texts: Counter[str], usual: Reader | None) -> Guess | None:
    if any(_CODE.fullmatch(text) for text in texts):
        return None  # 00501 is a code, not the number 501
    total = texts.total()
    best: tuple[float, Reader] | None = None
    for read in _readers(texts, usual):
        odd = {text: n for text, n in texts.items() if not re.match(read.number_pattern, text)}
        share = 1 - sum(odd.values()) / total
        if not odd:
            return Guess("numeric", _keys(read))
        if best is None or share > best[0]:
            best = share, read
    if best is None:
        return None
    share, read = best
    odd = {text: n for text, n in texts.items() if not re.match(read.number_pattern, text)}
    marks = all(text.lower() in MARKS for text in odd)
    few = len(odd) <= ODD_TEXTS and share >= MOSTLY
    if not (few or (marks and share >= 0.05)) or len(odd) == len(texts):
        return None
    return Guess("numeric", {**_keys(read), "missing": sorted(odd)}, share, odd)


def _readers(texts: Counter[str], usual: Reader | None) -> Iterator[Reader]:
    units = ["", *_units(texts)]
    point = usual.decimal if usual is not None else "."
    marks = sorted(NUMBERS, key=lambda each: each[0] != point) if is_open(texts) else NUMBERS
    for negative, unit, (decimal, thousands) in product(_negatives(texts), units, marks):
        yield Reader(decimal=decimal, thousands=thousands, unit=unit, negative=negative)


def _negatives(texts: Counter[str]) -> list[Negative | None]:
    """How numbers may say that they are negative.

    What all of them end in is no minus but part of a range, and a minus stands in one place only.
    """
    found: list[Negative | None] = [None]
    if any(re.match(rf"[{MINUS}-]\D?\d", text) for text in texts):
        return found
    for way, pattern in NEGATIVES.items():
        count = sum(n for text, n in texts.items() if pattern.fullmatch(text))
        if 0 < count < MOSTLY * texts.total():
            found.append(way)
    return found


def _units(texts: Counter[str]) -> list[str]:
    """What stands before or after most of the numbers."""
    found, words, total = Counter[str](), Counter[str](), 0
    for text, count in texts.most_common(200):
        total += count * (text.lower() not in MARKS)
        if match := _AROUND.fullmatch(_without_negative(text)):
            before, blank, after = match.groups()
            if before in SIGNS:
                found[before] += count
            if after in SIGNS or (after.isalpha() and blank):
                found[after] += count
            elif after:
                words[after] += count
    found += Counter({word: count for word, count in words.items() if count == total})
    return [sign for sign, _ in found.most_common(2)]


def _without_negative(text: str) -> str:
    """A number without what may say that it is negative."""
    return re.sub(rf"[()]|(?<=[^eE])[{MINUS}-](?=\D*$)", "", text)


def _keys(read: Reader) -> dict[str, Any]:
    keys = {name: getattr(read, name) for name in WRITTEN}
    return {key: mark for key, mark in keys.items() if mark and (key, mark) != ("decimal", ".")}


def is_open(texts: Iterable[str]) -> bool:
    """Whether the marks in numbers may stand before decimals or between thousands: 1,234."""
    marked = [text for text in texts if re.search(r"\d[.,]\d", text)]
    return bool(marked) and all(
        re.fullmatch(r"[^\d.,]*\d{1,3}[.,]\d{3}[^\d.,]*", text) for text in marked
    )


def _moments(texts: Counter[str], formats: Iterable[tuple[str, Order | None]]) -> Guess | None:
    if not all(re.search(r"\d", text) for text in texts):
        return None  # sooner than by trying every format
    values = pd.Series([*texts], dtype="str")
    if values.str.len().min() < 6:
        return None
    some = values.head(50)
    packed = bool(values.str.fullmatch(r"\d+").any())
    if values.str.len().min() >= 8 and not packed and _fit(values, "ISO8601", some):
        return Guess("datetime")
    fitting = []
    for how, order in formats:
        if _fit(values, how, some):
            fitting.append((how, order))
            if order is None:
                break
    if not fitting:
        return None
    how = fitting[0][0]
    orders = {order: each for each, order in fitting if order is not None}
    if len(orders) == 2:
        return Guess(
            "datetime", {"format": how}, either=(orders["day-first"], orders["month-first"])
        )
    return Guess("datetime", {"format": how})


def _fit(values: pd.Series, how: str, some: pd.Series) -> bool:
    """Whether all values are moments that are so written; `some` of them are tried first."""
    return all(
        pd.to_datetime(each, errors="coerce", format=how, utc=True).notna().all()
        for each in (some, values)
    )


def has_header(first: list[str], rest: list[list[str]]) -> float:
    """How sure it is that the first row of a file are names: 1 certain, 0.5 unknown, 0 certain not.

    A name is no number above numbers, and does not stand again among the values below it.
    """
    if not rest or not first:
        return 0.5
    if len({*first}) < len(first) and all(first):
        return 0.0 if _are_numbers(first) else 0.5
    votes = []
    for cell, *below in zip(first, *rest, strict=False):
        counts = Counter(text for text in below if text.strip() not in MISSING)
        if not counts or re.fullmatch(r"(19|20)\d\d", cell.strip()):
            continue  # a year may well be a name
        kind = guess(counts).kind
        if kind in ("numeric", "datetime"):
            votes.append(guess({cell: 1}).kind != kind)
        elif len(counts) <= len(below) / 2:
            votes.append(cell not in counts)
    return sum(votes) / len(votes) if votes else 0.5


def _are_numbers(cells: list[str]) -> bool:
    return any(guess({cell: 1}).kind == "numeric" for cell in cells)
