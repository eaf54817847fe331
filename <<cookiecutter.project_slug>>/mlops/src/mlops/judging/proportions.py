"""Intervals for means and shares of few rows, and for how far two of them are apart."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A number of some rows, and where it lies at the confidence asked for."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Disparity:
    """How far groups are apart in a metric.

    Attributes:
        lowest, highest: the groups; low, high: their numbers.
        difference: of the highest and the lowest, and where the largest of all pairs lies.
        ratio: of the lowest and the highest, likewise; None where it means nothing.
    """

    lowest: str
    highest: str
    low: float
    high: float
    difference: Estimate
    ratio: Estimate | None


def share(hits: int, rows: int, confidence: float) -> Estimate:
    """The share of hits, with Wilson's score interval, which holds for few rows and no hits too.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    z = _reach(confidence)
    value = hits / rows
    centre = (value + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows)
    half *= math.sqrt(value * (1 - value) / rows + z * z / (4 * rows * rows))
    return Estimate(value, max(0.0, centre - half), min(1.0, centre + half))


def mean(values: np.ndarray, confidence: float) -> Estimate:
    """The mean of values, shape (rows,), with its normal interval; of one row, no interval."""
    value = float(values.mean())
    if len(values) < 2:
        return Estimate(value, -math.inf, math.inf)
    half = _reach(confidence) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(value, value - half, value + half)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """One minus the other, of separate rows.

    The interval is put together of both intervals: for shares it is Newcombe's (method 10 of
    "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, 1998), for means Welch's with the normal distribution.
    """
    value = one.value - other.value
    return Estimate(
        value,
        value - math.hypot(one.value - one.low, other.high - other.value),
        value + math.hypot(one.high - one.value, other.value - other.low),
    )


def ratio(one: Estimate, other: Estimate) -> Estimate | None:
    """One by the other, neither of them below zero; None where the other is zero.

    Donner and Zou, "Closed-form confidence intervals for functions of the normal mean and standard
    deviation", Statistical Methods in Medical Research 21, 2012, equation 6.
    """
    if other.value <= 0:
        return None
    value = one.value / other.value
    return Estimate(value, _bound(one, other, -1), _bound(one, other, 1))


def _bound(one: Estimate, other: Estimate, side: int) -> float:
    a, b = one.value, other.value
    near, far = (one.low, other.high) if side < 0 else (one.high, other.low)
    # Of means that are never below zero, an interval may be.
    near, far = max(0.0, near), max(0.0, far)
    below = far * (2 * b - far)
    if below <= 0:
        return 0.0 if side < 0 else math.inf
    inner = (a * b) ** 2 - near * far * (2 * a - near) * (2 * b - far)
    return max(0.0, (a * b + side * math.sqrt(max(0.0, inner))) / below)


def _reach(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
