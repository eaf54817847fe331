"""Whatever the rows, an expression says what plain Python says, row by row."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as some

from mlops.data.expressions import Kind, parse

KINDS: dict[str, Kind] = {
    "a": "numeric",
    "b": "numeric",
    "departed": "datetime",
    "arrived": "datetime",
}
NUMBERS = some.one_of(some.none(), some.integers(-3, 3).map(float))


def _said(text: str, rows: pd.DataFrame, wanted: Kind = "boolean") -> list[Any]:
    values = parse(text, KINDS, wanted).values(rows)
    return [None if pd.isna(each) else each for each in values.astype(object)]


def _know(value: float | None, condition: Callable[[float], bool]) -> bool | None:
    return None if value is None else condition(value)


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


@given(some.lists(some.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_what_is_unknown_spreads_as_in_sql(pairs: list[tuple[float | None, float | None]]) -> None:
    rows = pd.DataFrame(pairs, columns=["a", "b"]).astype("float64")
    both = [_and(_know(a, lambda x: x > 0), _know(b, lambda x: x > 0)) for a, b in pairs]
    assert _said("a > 0 and b > 0", rows) == both
    negated = [None if each is None else not each for each in both]
    assert _said("not (a > 0 and b > 0)", rows) == negated
    assert _said("not (a > 0) or not (b > 0)", rows) == negated


@given(some.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), some.integers(-9999, 9999))
def test_time_is_counted_as_python_does(moment: datetime, minutes: int) -> None:
    other = moment + timedelta(minutes=minutes)
    moments = {"departed": [moment], "arrived": [other]}
    rows = pd.DataFrame(moments).astype("datetime64[us]").assign(a=float(minutes))
    assert _said("arrived == departed + minutes(a)", rows) == [True]
    assert _said("(arrived - departed) / minutes(1)", rows, "numeric") == [minutes]
    assert _said("weekday(departed)", rows, "numeric") == [moment.isoweekday()]
