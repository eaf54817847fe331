"""How far a number of some rows may be off by chance: the bootstrap.

The standard error is that of the same number on rows drawn again, and the interval is normal (Efron
and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 13.3), for which some 200
resamples do.
"""

from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist

import numpy as np

from ..config.compare import Compare
from ..learning.metrics import Metric
from ..progress import progress


def errors(
    values: Callable[[np.ndarray], Mapping[str, float]],
    metrics: Mapping[str, Metric],
    rows: int,
    how: Compare,
) -> dict[str, float]:
    """The standard errors of numbers by name; one without a value on most resamples is left out.

    Args:
        values: the numbers of some rows, which are told by their places.
        metrics: what the numbers are of; one that is not there looks at all rows.
        rows: how many there are.
        how: how often rows are drawn, and how many.
    """
    found: dict[str, list[float]] = {}
    with progress("resamples") as told:
        for done, chosen in enumerate(_resamples(rows, how), 1):
            for name, value in values(chosen).items():
                found.setdefault(name, []).append(value)
            told(done, done / how.resamples)
    return {
        name: float(np.std(each, ddof=1)) * _share(rows, metrics.get(name), how) ** 0.5
        for name, each in found.items()
        if len(each) >= how.resamples / 2
    }


def interval(value: float, error: float, how: Compare) -> tuple[float, float]:
    """Where a number lies, at the confidence asked for."""
    reach = NormalDist().inv_cdf((1 + how.confidence) / 2) * error
    return value - reach, value + reach


def _resamples(rows: int, how: Compare) -> Iterator[np.ndarray]:
    some = np.unique(np.linspace(0, rows - 1, min(rows, how.rows)).round().astype(int))
    rng = np.random.default_rng(0)
    for _ in range(how.resamples):
        yield rng.choice(some, len(some))


def _share(rows: int, metric: Metric | None, how: Compare) -> float:
    """Rows of a resample, of those that the number itself is of: there may be more of these."""
    of_all = min(rows, (metric.most_rows if metric else None) or rows)
    return min(how.rows, of_all) / of_all
