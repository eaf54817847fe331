"""Expressions: they say of each row what plain Python says, and refuse what makes no sense."""

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from mlops.data.expressions import Kind, parse
from mlops.errors import InputError

KINDS: dict[str, Kind] = {
    "a": "numeric",
    "b": "numeric",
    "carrier": "categorical",
    "tail number": "categorical",
    "class": "categorical",
    "late": "boolean",
    "departed": "datetime",
    "arrived": "datetime",
}
ROWS: list[dict[str, Any]] = [
    {
        "a": 1.0,
        "b": 2.0,
        "carrier": "UA",
        "tail number": "N1",
        "class": "x",
        "late": True,
        "departed": datetime(2013, 12, 31, 23, 30),
        "arrived": datetime(2014, 1, 1, 2, 0),
    },
    {
        "a": -3.0,
        "b": 0.0,
        "carrier": "it's",
        "tail number": "Ñ22",
        "class": "y",
        "late": False,
        "departed": datetime(2013, 3, 3),
        "arrived": datetime(2013, 3, 2),
    },
    dict.fromkeys(KINDS),
]


def _data() -> pd.DataFrame:
    types: dict[str, Any] = {"numeric": "float64", "categorical": "str", "boolean": "boolean"}
    return pd.DataFrame(
        {
            name: pd.Series([row[name] for row in ROWS]).astype(types.get(kind, "datetime64[us]"))
            for name, kind in KINDS.items()
        }
    )


def _said(text: str) -> list[Any]:
    values = parse(text, KINDS, "boolean").values(_data())
    return [None if pd.isna(each) else each for each in values.astype(object)]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("arrived >= departed", [True, False, None]),
        ("a < b and late", [True, False, None]),
        ("a > b or carrier is missing", [False, False, True]),
        ("not late", [False, True, None]),
        ("late == false", [False, True, None]),
        ("a is missing or a > 0", [True, False, True]),
        ("a is not missing", [True, True, False]),
        ("-1 <= a <= 2", [True, False, None]),
        ("carrier == 'UA'", [True, False, None]),
        ('carrier == "it\'s"', [False, True, None]),
        ("carrier in ['UA', 'AA']", [True, False, None]),
        ("a not in (1, 2)", [False, True, None]),
        ("`tail number` == 'N1' and `class` != 'y'", [True, False, None]),
        ("length(`tail number`) == 2", [True, False, None]),
        (r"matches(`tail number`, '[A-Z]\d')", [True, False, None]),
        ("lower(carrier) == 'ua'", [True, False, None]),
        ("month(departed) == 12 and year(arrived) == 2014", [True, False, None]),
        ("weekday(departed) == 7", [False, True, None]),
        ("departed < '2013-06-01'", [False, True, None]),
        ("departed >= '2014-01-01T00:30:00+01:00'", [True, False, None]),
        ("arrived - departed <= hours(2) + minutes(30)", [True, True, None]),
        ("arrived - departed < hours(2.5)", [False, True, None]),
        ("arrived < departed + days(1)", [True, True, None]),
        ("date(arrived) == date(departed)", [False, False, None]),
        ("(arrived - departed) / hours(1) == 2.5", [True, False, None]),
        ("a / b == 0.5", [True, None, None]),  # what is divided by zero is unknown
        ("(a + 7) % 3 == 2", [True, False, None]),
        ("abs(a) * 2 - 1 == 5", [False, True, None]),
    ],
)
def test_what_is_said_of_each_row(text: str, holds: list[Any]) -> None:
    assert _said(text) == holds


def test_a_long_list_is_no_deep_one() -> None:
    listed = ", ".join(map(str, range(2, 300)))
    assert _said(f"a in [{listed}, 1]") == [True, False, None]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("arived >= departed", "no column arived; it has a, b, carrier"),
        ("a = 1", "cannot be read: "),
        ("a >", "cannot be read: "),
        ("", "cannot be read: "),
        ("a > b ; late", "; is not understood"),
        ("a > 1 # not", "# is not understood"),
        ("carrier == 'UA", "' is not understood"),
        ("carrier == 1", "compares text with a number"),
        ("a == '1'", "compares a number with text"),
        ("late > false", "have no order"),
        ("a and late", "take conditions, not a number"),
        ("a + b", "is a number, and must be true or false"),
        ("a + carrier > 1", r"a number \+ text makes no sense"),
        ("departed + departed > '2013-01-01'", r"a moment \+ a moment makes no sense"),
        ("departed > '2013-02-30'", "no moment"),
        ("departed > carrier", "compares a moment with text"),
        ("a is 1", "after `is` comes"),
        ("a in b", "after `in` comes a list"),
        ("a in []", "not empty"),
        ("1 < 2", "names no column"),
        ("month(a) == 1", r"month\(…\) takes a moment"),
        ("month() == 1", r"month\(…\) takes a moment"),
        ("tan(a) > 1", "no function tan; there are year"),
        ("matches(carrier, '(')", "not a pattern"),
        ("matches(carrier, a)", "a pattern in quotes"),
        ("a ** 9 ** 9 > 1", "of arithmetic"),
        ("-" * 900 + "a > 1", "too deep"),
        ("(" * 400 + "a > 1" + ")" * 400, "too "),
    ],
)
def test_what_makes_no_sense_is_a_line(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        parse(text, KINDS, "boolean")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "a.__class__ is missing",
        "carrier[0] == 'U'",
        "(lambda: late)()",
        "[x for x in carrier] == 'U'",
        "f'{a}' == 'U'",
        "(late := true)",
        "late if a > 1",
        "*carrier",
        "{a: b}",
        "month(x=departed) == 1",
        "a > 1j",
        "a > None",
    ],
)
def test_nothing_else_of_python_is_understood(text: str) -> None:
    with pytest.raises(InputError):
        parse(text, KINDS, "boolean")
