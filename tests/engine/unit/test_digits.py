"""Numbers as people read them."""

import pytest

from mlops.digits import amount, counted, digits, p_value, pair, signed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.68651, "0.687"),
        (0.7, "0.700"),
        (0.9996, "1.00"),
        (-0.01234, "-0.0123"),
        (12.345, "12.3"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (1234567.0, "1,234,567"),
        (0.000012345, "1.23e-05"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_three_digits_are_significant_and_those_before_the_point_stay(
    value: float | None, shown: str
) -> None:
    assert digits(value) == shown


def test_values_that_differ_do_not_look_alike() -> None:
    assert pair(0.6871, 0.6674) == ("0.687", "0.667")
    assert pair(0.68712, 0.68739) == ("0.68712", "0.68739")
    assert pair(0.5, 0.5) == ("0.500", "0.500")
    assert pair(1e9, 1e9 + 1) == ("1,000,000,000", "1,000,000,001")


def test_differences_have_their_sign() -> None:
    assert [*map(signed, (0.0123, -0.0123, 0.0))] == ["+0.0123", "-0.0123", "0"]


def test_nobody_tells_small_p_values_apart() -> None:
    assert [*map(p_value, (0.0, 5e-16, 0.00099, 0.001, 0.0234, 1.0))] == (
        ["< 0.001"] * 3 + ["0.001", "0.023", "1"]
    )


def test_values_of_the_data_are_written_out() -> None:
    assert [*map(amount, (1960.0, 1e9, 2.5, -0.00012345))] == (
        ["1960", "1000000000", "2.5", "-0.0001234"]
    )


def test_one_thing_is_no_plural() -> None:
    assert [counted(n, "column") for n in (0, 1, 2000)] == [
        "0 columns",
        "1 column",
        "2,000 columns",
    ]
