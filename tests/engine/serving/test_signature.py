"""What the model takes: values are checked against the contract, and the first wrong one told."""

from typing import Any

import numpy as np
import pytest

from mlops.serving.errors import Refused
from mlops.serving.signature import Input, signature


def _input(**column: Any) -> Input:
    return signature({"columns": {"x": {"role": ["feature"], **column}}})["x"]


NUMBER = _input(kind="numeric")
PERCENT = _input(kind="numeric", range=[0, 100])
POSITIVE = _input(kind="numeric", range=[0, None], nullable=True)
FLAG = _input(kind="boolean")
MAYBE = _input(kind="boolean", nullable=True)
TEXT = _input(kind="categorical")
MOMENT = _input(kind="datetime", nullable=True)
SINCE = _input(kind="datetime", range=["2013-01-01T00:00:00", None])
COLOUR = _input(kind="categorical", allowed=["red", "green"], nullable=True)


@pytest.mark.parametrize(
    ("taken", "values", "array"),
    [
        (NUMBER, [1, 2.5, -3e38], [1, 2.5, -3e38]),
        (PERCENT, [0, 100], [0, 100]),
        (POSITIVE, [None, 0.0, 1e30], [np.nan, 0, 1e30]),
        (POSITIVE, [None], [np.nan]),
        (FLAG, [True, False], [1, 0]),
        (MAYBE, [None, True], [np.nan, 1]),
        (TEXT, ["a", "ü"], ["a", "ü"]),
        (TEXT, [7, 7.0, "7", "7.0", "007"], ["7", "7", "7", "7", "007"]),
        (TEXT, [True, "TRUE", 3.5], ["true", "true", "3.5"]),
        (MOMENT, ["1970-01-01T00:00:01Z", "1969-12-31T23:59:59", None], [1e6, -1e6, np.nan]),
        (MOMENT, ["1970-01-01T01:00+01:00", "NA"], [0, np.nan]),
        (SINCE, ["2013-01-01"], [1_356_998_400e6]),
        (COLOUR, ["NA", None, ""], ["", "", ""]),
        (COLOUR, ["red", None, ""], ["red", "", ""]),
    ],
)
def test_values_become_what_the_model_takes(
    taken: Input, values: list[Any], array: list[Any]
) -> None:
    found = taken.array(taken.check(values))
    np.testing.assert_array_equal(found, np.array(array, taken.dtype))
    assert found.dtype == taken.dtype


@pytest.mark.parametrize(
    ("taken", "values", "told"),
    [
        (NUMBER, [1, "2"], "row 2: '2' is not a number"),
        (NUMBER, [True], "row 1: True is not a number"),
        (NUMBER, [[1]], r"row 1: \[1\] is not a number"),
        (NUMBER, [0.0, None], "row 2: missing, and the contract does not have it nullable"),
        (NUMBER, [1e39], r"row 1: 1e\+39 is outside float32"),
        (NUMBER, [10**400], "is outside float32"),
        (PERCENT, [5, 100.5, -1], r"row 2: 100.5 is outside the contract's range \[0, 100\]"),
        (POSITIVE, [None, -1], "row 2: -1 is outside the contract's range"),
        (FLAG, [1], "row 1: 1 is not true or false"),
        (FLAG, [None], "row 1: missing"),
        (TEXT, ["a", [3]], r"row 2: \[3\] is not text"),
        (TEXT, ["a", "NA"], "row 2: missing"),
        (TEXT, ["a", ""], "row 2: missing"),
        (TEXT, ["a", None], "row 2: missing"),
        (MOMENT, ["2020-02-30"], "row 1: '2020-02-30' is not a moment, such as"),
        (MOMENT, [7], "row 1: 7 is not a moment"),
        (SINCE, [None], "row 1: missing"),
        (SINCE, ["2020-01-01", "2012-12-31T23:59"], "row 2: .* is outside the contract's range"),
        (COLOUR, ["red", None, "blue"], "row 3: 'blue' is none of red, green"),
    ],
)
def test_a_wrong_value_is_told_with_its_row(taken: Input, values: list[Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        taken.check(values)
    assert refused.value.status == 400
    assert str(refused.value).startswith("input x, row ")
