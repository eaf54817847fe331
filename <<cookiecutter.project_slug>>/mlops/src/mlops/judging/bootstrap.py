"""How far a number of some rows may be off by chance: the bootstrap.

The standard error is that of the same number on rows drawn again, and the interval is normal (Efron
and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 13.3), for which some 200
resamples do.
"""

from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist

import numpy as np

from ..config.compare import Compare
from ..files import significant
from ..learning.metrics import Metric, Scored, values
from ..progress import progress


def errors(
    of: Callable[[np.ndarray], Mapping[str, float]],
    metrics: Mapping[str, Metric],
    rows: int,
    how: Compare,
) -> dict[str, float]:
    """The standard errors of numbers by name; one without a value on most resamples is left out.

    Args:
        of: the numbers of some rows, which are told by their places.
        metrics: what the numbers are of; one that is not there looks at all rows.
        rows: how many there are.
        how: how often rows are drawn, and how many.
    """
    found: dict[str, list[float]] = {}
    with progress("resamples") as told:
        for done, chosen in enumerate(_resamples(rows, how), 1):
            for name, value in of(chosen).items():
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


def intervals(
    metrics: Mapping[str, Metric], scored: Scored, how: Compare
) -> dict[str, dict[str, float]]:
    """Where each metric of some rows lies, `low` and `high`, as files have it.

    One without a value, on these rows or on most resamples of them, is left out.
    """
    found, rows = values(metrics, scored), len(scored.outputs["prediction"])
    spread = errors(lambda chosen: values(metrics, scored.rows(chosen)), metrics, rows, how)
    ends = {name: interval(found[name], spread[name], how) for name in found if name in spread}
    return {
        name: {"low": significant(low), "high": significant(high)}
        for name, (low, high) in ends.items()
    }


def _resamples(rows: int, how: Compare) -> Iterator[np.ndarray]:
    some = np.unique(np.linspace(0, rows - 1, min(rows, how.rows)).round().astype(int))
    rng = np.random.default_rng(0)
    for _ in range(how.resamples):
        yield rng.choice(some, len(some))


def _share(rows: int, metric: Metric | None, how: Compare) -> float:
    """Rows of a resample, of those that the number itself is of: there may be more of these."""
    of_all = min(rows, (metric.most_rows if metric else None) or rows)
    return min(how.rows, of_all) / of_all
