"""Numbers and moments as people read them, the same on every page, in each comment and terminal."""

import math
from datetime import datetime

# What is smaller than 0.0001 has an exponent, and what is larger than people count.
SMALLEST, LARGEST = -4, 15
# Below this, only that it is below says something.
P_SMALLEST = 0.001


def digits(value: float | None) -> str:
    """Three significant digits, and every digit before the point; a dash for None."""
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.3g}")  # 0.9996 is 1.00, and not 1.000
    size = math.floor(math.log10(abs(rounded)))
    if not SMALLEST <= size <= LARGEST:
        return f"{value:.3g}"
    return f"{value:,.{max(0, 2 - size)}f}"


def signed(value: float) -> str:
    """The same with the sign of a difference."""
    return f"{'+' if value > 0 else ''}{digits(value)}"


def pair(before: float, after: float) -> tuple[str, str]:
    """Two values to be compared: with more digits where three would make them look equal."""
    short = digits(before), digits(after)
    if short[0] != short[1] or before == after:
        return short
    decimals = min(10, 1 - math.floor(math.log10(abs(after - before))))
    return f"{before:,.{max(0, decimals)}f}", f"{after:,.{max(0, decimals)}f}"


def p_value(p: float) -> str:
    """A p-value: two significant digits, or that it is below what anybody tells apart."""
    return f"< {P_SMALLEST:g}" if p < P_SMALLEST else f"{p:.2g}"


def amount(value: float) -> str:
    """A value of the data, such as a year: whole numbers in full, else four significant digits."""
    is_whole = float(value).is_integer() and abs(value) < 10**LARGEST
    return f"{value:.0f}" if is_whole else f"{value:.4g}"


def setting(value: object) -> str:
    """A hyperparameter: numbers with a point as everywhere, others as they are written."""
    return digits(value) if isinstance(value, float) else str(value)


def counted(count: int, what: str) -> str:
    """A number of things: "1 column", "2 columns"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def moment(when: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{when:%Y-%m-%d %H:%M} UTC"
