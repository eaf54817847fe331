"""Distances and tests: what SciPy finds in whole columns, found in counts."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance

from mlops.data.contract import Column
from mlops.monitoring.drift import (
    holm,
    of_missing,
    of_values,
    psi,
)
from mlops.monitoring.sketch import BINS, Sketch, sketch

RNG = np.random.default_rng(0)


def column(kind: Any, **others: Any) -> Column:
    """A column of a kind."""
    return Column(kind=kind, role=["feature"], nullable=True, **others)


def sketches(kind: Any, *sides: Any, **others: Any) -> tuple[Sketch, Sketch]:
    """The reference, and what is held against it."""
    first, second = (pa.array(side, from_pandas=True) for side in sides)
    before = sketch(column(kind, **others), first)
    now = before.empty()
    for start in range(0, len(second), 100):
        now.add(second[start : start + 100])
    return before, now


@pytest.mark.parametrize("shift", [0, 0.1, 1, 5])
@pytest.mark.parametrize("draw", [RNG.normal, RNG.exponential])
def test_numbers_as_scipy_has_them(draw: Any, shift: float) -> None:
    before, now = draw(size=5000), draw(size=1000) + shift
    found = of_values(*sketches("numeric", before, now))
    assert found is not None
    told = stats.ks_2samp(before, now, method="asymp")
    # Bins only make it smaller.
    assert told.statistic - 1 / BINS - 1e-9 <= found.distance <= told.statistic + 1e-9
    assert found.p >= told.pvalue * 0.9
    assert found.sizes["wasserstein"] == pytest.approx(
        stats.wasserstein_distance(before, now) / before.std(), rel=0.05, abs=0.02
    )


def test_few_values_are_told_apart_exactly() -> None:
    before, now = RNG.integers(0, 5, 3000), RNG.integers(0, 6, 1000)
    found = of_values(*sketches("numeric", before.astype(float), now.astype(float)))
    assert found is not None
    assert found.distance == pytest.approx(stats.ks_2samp(before, now).statistic)


def test_index_of_a_known_shift() -> None:
    """Of normal numbers, moved by half a standard deviation: about a quarter (Kullback, twice)."""
    before, now = sketches("numeric", RNG.normal(size=50_000), RNG.normal(0.5, 1, 50_000))
    assert 0.2 < psi(before, now) < 0.26  # type: ignore[arg-type]
    assert psi(before, before) == pytest.approx(0)  # type: ignore[arg-type]


def test_categories_as_scipy_has_them() -> None:
    before, now = RNG.choice(list("abc"), 4000), RNG.choice(list("abc"), 900, p=[0.5, 0.3, 0.2])
    found = of_values(*sketches("categorical", before, now))
    assert found is not None
    counts = np.array([[Counter(side)[name] for name in "abc"] for side in (before, now)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert found.p == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)
    assert found.distance == pytest.approx(distance.jensenshannon(*shares, base=2))


def test_new_and_vanished_categories_are_named() -> None:
    found = of_values(*sketches("categorical", ["a"] * 90 + ["b"] * 90, ["a"] * 90 + ["c"] * 10))
    assert found is not None
    assert found.new == {"c": pytest.approx(0.1)}
    assert found.vanished == {"b": pytest.approx(0.5)}
    assert found.p < 1e-6


def test_rare_categories_are_no_drift() -> None:
    """One row each, most of them on one side only."""
    before = [f"only-{i}" for i in range(200)] + ["often"] * 2000
    now = [f"new-{i}" for i in range(20)] + ["often"] * 200
    found = of_values(*sketches("categorical", before, now))
    assert found is not None
    assert found.p > 0.5


@pytest.mark.parametrize(("before", "now"), [(1000, 100), (10, 4), (0, 3), (0, 0), (500, 0)])
def test_missing_values_as_scipy_has_them(before: int, now: int) -> None:
    sides = [[None] * before + [1.0] * (5000 - before), [None] * now + [1.0] * (500 - now)]
    found = of_missing(*sketches("numeric", *sides))
    assert found.distance == pytest.approx(abs(before / 5000 - now / 500))
    exact = stats.fisher_exact([[before, 5000 - before], [now, 500 - now]]).pvalue
    assert found.p == pytest.approx(exact, abs=0.05)


def test_missing_values_are_no_drift_of_the_others() -> None:
    values = RNG.normal(size=1000)
    some = np.where(RNG.random(1000) < 0.5, np.nan, values)
    found = of_values(*sketches("numeric", values, some))
    assert found is not None
    assert found.p > 0.01


@pytest.mark.parametrize("kind", ["numeric", "categorical", "boolean"])
def test_nothing_to_compare(kind: Any) -> None:
    nothing = pa.nulls(5, {"numeric": pa.float64(), "boolean": pa.bool_()}.get(kind, pa.string()))
    before = sketch(column(kind), nothing)
    now = before.empty()
    now.add(nothing)
    assert of_values(before, now) is None
    assert now.missing == 5


def test_holm_keeps_the_level_of_all_together() -> None:
    assert holm([0.01, 0.02, 0.03], 0.05) == [True, True, True]
    assert holm([0.02, 0.04, 0.03], 0.05) == [False, False, False]
    assert holm([0.5, 0.0001, 0.02], 0.05) == [False, True, True]
    assert holm([], 0.05) == []


def test_holm_on_tests_without_effect() -> None:
    wrong = sum(any(holm(list(RNG.random(20)), 0.05)) for _ in range(2000))
    assert wrong / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


# Counts


def test_values_outside_the_contract_are_counted() -> None:
    _, now = sketches("numeric", [1.0, 5.0], [0.5, 1, 5, 7, 7, np.nan], range=[1.0, 5.0])
    assert (now.outside, now.missing, now.total) == (3, 1, 5)
    _, now = sketches("categorical", ["a"], ["a", "b", None], allowed=["a"])
    assert (now.outside, now.missing, now.total) == (1, 1, 2)


def test_values_of_another_type_are_read_as_the_contract_says() -> None:
    _, now = sketches("numeric", [1.0, 2.0], ["1", "2.0", "many", None])
    assert (now.unreadable, now.missing, now.total) == (1, 2, 2)
    _, now = sketches("boolean", [True, False], ["yes", "0", "perhaps"])
    assert now.unreadable == 1
    assert now.total == 2


def test_what_is_left_without_a_part() -> None:
    data = pd.DataFrame({"x": RNG.normal(size=300), "c": RNG.choice(list("ab"), 300)})
    for name, kind in (("x", "numeric"), ("c", "categorical")):
        whole, part = sketches(kind, data[name], data[name][:100])
        rest = whole.minus(part)  # type: ignore[arg-type]
        assert rest.total == 200
        assert of_values(whole, rest) is not None
