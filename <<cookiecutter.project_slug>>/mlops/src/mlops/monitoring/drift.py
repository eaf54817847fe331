"""Drift: how far a column is from the reference, and whether chance explains it.

Distances say how large a difference is, tests whether there is one. With ten million rows every
trifle is certain, and in two hundred nothing small is, so that an alarm takes both: a test that
leaves no doubt, and a distance that matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ..printable import shown
from .sketch import Names, Numbers, Sketch

# Fewer rows than this are no cell of a chi-squared test (Cochran, Biometrics 10, 1954).
EXPECTED = 5
# Bins of the stability index; ten is what its rules of thumb are made for.
INDEX_BINS = 10
# A category is told to have vanished where this many of it were to be expected.
VANISHED = 20


@dataclass(frozen=True)
class Difference:
    """How values differ from the reference.

    Attributes:
        p: how likely chance alone makes them differ as much.
        distance: from 0 (the same) to 1 (nothing in common): Kolmogorov-Smirnov for numbers,
            Jensen-Shannon for categories, the difference of shares for missing values.
        test: the name of the test.
        sizes: further measures by name.
        new, vanished: categories with their share.
    """

    p: float
    distance: float
    test: str
    sizes: dict[str, float]
    new: dict[str, float]
    vanished: dict[str, float]


def of_values(reference: Sketch, live: Sketch) -> Difference | None:
    """The difference of the values that are there; None where one side has none."""
    if not reference.total or not live.total:
        return None
    if isinstance(reference, Numbers):
        assert isinstance(live, Numbers)
        return _of_numbers(reference, live)
    assert isinstance(live, Names)
    return _of_names(reference, live)


def of_missing(reference: Sketch, live: Sketch) -> Difference:
    """The difference of the shares that are missing.

    Pearson's chi-squared test of the two by two table, and Fisher's exact test where a cell of it
    is too small for that.
    """
    table = np.array([[each.missing, each.total] for each in (reference, live)])
    rows = np.maximum(table.sum(axis=1), 1)
    shares = table[:, 0] / rows
    expected = table.sum(axis=0)[None, :] * rows[:, None] / rows.sum()
    if table[:, 0].sum() == 0 or table[:, 1].sum() == 0:
        p, test = 1.0, "none"
    elif expected.min() < EXPECTED:
        p, test = float(stats.fisher_exact(table).pvalue), "Fisher's exact"
    else:
        p, test = _chi_squared(table.astype(float)), "chi-squared"
    distance = float(abs(shares[1] - shares[0]))
    return Difference(p, distance, test, {"missing": float(shares[1])}, {}, {})


def _of_numbers(reference: Numbers, live: Numbers) -> Difference:
    before, after = (_below(each) for each in (reference, live))
    distance = float(np.abs(after - before).max(initial=0))
    return Difference(
        p=kolmogorov_smirnov(distance, reference.total, live.total),
        distance=distance,
        test="Kolmogorov-Smirnov",
        sizes={"wasserstein": wasserstein(reference, live), "psi": psi(reference, live)},
        new={},
        vanished={},
    )


def _below(sketch: Numbers) -> np.ndarray:
    """The share of values at most each bound."""
    return np.asarray(np.cumsum(sketch.counts)[:-1] / sketch.total)


def kolmogorov_smirnov(distance: float, before: int, after: int) -> float:
    """The two-sample test's p-value, by its limit distribution.

    Smirnov, "Table for estimating the goodness of fit of empirical distributions", Annals of
    Mathematical Statistics 19, 1948. Values that are equal, and bins, only make it more careful.
    """
    return float(special.kolmogorov(distance * np.sqrt(before * after / (before + after))))


def wasserstein(reference: Numbers, live: Numbers) -> float:
    """The area between the two distribution functions, in standard deviations of the reference.

    Vallender, Theory of Probability and its Applications 18, 1974. Within a bin both are taken for
    straight lines; what lies beyond the reference is exact.
    """
    bounds = reference.bounds.astype("float64")
    gap = np.abs(_below(live) - _below(reference))
    area = float((np.diff(bounds) * (gap[1:] + gap[:-1]) / 2).sum())
    beyond = live.beyond / live.total
    whole = area + float(beyond.sum())
    return whole / reference.spread if reference.spread else float(whole > 0)


def psi(reference: Numbers, live: Numbers) -> float:
    """The population stability index over the reference's deciles.

    Siddiqi, "Credit Risk Scorecards", 2006. Half a row in each bin keeps the logarithm finite.
    """
    before = _below(reference)
    cuts = np.unique(np.searchsorted(before, np.arange(1, INDEX_BINS) / INDEX_BINS))
    shares = []
    for each in (reference, live):
        counts = np.diff(np.cumsum(each.counts)[cuts], prepend=0, append=each.total) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def _of_names(reference: Names, live: Names) -> Difference:
    names = sorted({*reference.counts, *live.counts})
    counts = np.array(
        [[each.counts[n] for n in names] + [each.further] for each in (reference, live)], float
    )
    shares = counts / counts.sum(axis=1, keepdims=True)
    new = {n: float(s) for n, s in zip(names, shares[1], strict=False) if n not in reference.counts}
    vanished = {
        n: float(s)
        for n, s in zip(names, shares[0], strict=False)
        if n not in live.counts and s * live.total >= VANISHED
    }
    return Difference(
        p=_chi_squared(counts),
        distance=jensen_shannon(shares),
        test="chi-squared",
        sizes={},
        new=_largest(new),
        vanished=_largest(vanished),
    )


def _largest(shares: dict[str, float], most: int = 10) -> dict[str, float]:
    """The largest by name; names come from clients, and are made to be shown."""
    found: dict[str, float] = {}
    for name, share in sorted(shares.items(), key=lambda each: -each[1])[:most]:
        found[shown(name)] = found.get(shown(name), 0) + share
    return found


def _chi_squared(counts: np.ndarray) -> float:
    """Pearson's test of homogeneity of two rows of counts; rare cells are put together."""
    totals = counts.sum(axis=0)
    rare = totals * counts.sum(axis=1).min() / counts.sum() < EXPECTED
    cells = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    if cells[:, -1].sum() * cells.sum(axis=1).min() / cells.sum() < EXPECTED and cells.shape[1] > 2:
        cells = np.column_stack([cells[:, :-2], cells[:, -2] + cells[:, -1]])
    cells = cells[:, cells.sum(axis=0) > 0]
    if cells.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(cells, correction=False).pvalue)


def jensen_shannon(shares: np.ndarray) -> float:
    """The distance of two distributions, from 0 to 1.

    Endres and Schindelin, "A new metric for probability distributions", IEEE Transactions on
    Information Theory 49, 2003: the root of the divergence, with logarithms to the base 2.
    """
    middle = shares.mean(axis=0)
    ratios = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
    divergence = (shares * np.log2(ratios)).sum(axis=1).mean()
    return float(np.sqrt(max(divergence, 0)))


def holm(p: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses to reject, so that one is wrongly with at most this probability.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979. The tests may depend on one another.
    """
    rejected = [False] * len(p)
    for done, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[i] > level / (len(p) - done):
            break
        rejected[i] = True
    return rejected
