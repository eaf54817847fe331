"""Formats of dates are the same after a way through those of Java."""

from hypothesis import given
from hypothesis import strategies as some

from mlops.drafting.odcs.dates import from_java, to_java

DATES = ["%Y", "%m", "%d", "%H", "%M", "%S", "%j", "%b", "%f", "T", "-", "/", " ", ":", "at "]


@given(some.lists(some.sampled_from(DATES), min_size=1, max_size=9, unique=True).map("".join))
def test_formats_of_dates_come_back(text: str) -> None:
    java = to_java(text)
    # Both of Java's begin with M: fields of one letter cannot stand side by side.
    assert from_java(java) == text if java else "%m%b" in text or "%b%m" in text
