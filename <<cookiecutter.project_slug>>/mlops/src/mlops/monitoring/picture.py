"""Distributions as shares between a few edges, or of a few categories, to be drawn."""

import numpy as np

from ..digits import amount
from ..printable import shown
from .result import Histogram
from .sketch import Numbers, Sketch

BARS = 24
CATEGORIES = 12


def histogram(before: Sketch, now: Sketch) -> Histogram:
    """The reference and a window side by side."""
    if isinstance(before, Numbers):
        assert isinstance(now, Numbers)
        return _of_numbers(before, now)
    assert not isinstance(now, Numbers)
    together = before.counts + now.counts
    names = [name for name, _ in together.most_common(CATEGORIES)]
    shares = [[each.counts[name] / max(each.total, 1) for name in names] for each in (before, now)]
    if len(together) > CATEGORIES or before.further or now.further:
        names.append("others")
        for side in shares:
            side.append(max(0.0, 1 - sum(side)))
    return Histogram([*map(shown, names)], [], shares[0], shares[1])


def _of_numbers(before: Numbers, now: Numbers) -> Histogram:
    bounds = before.bounds.astype("float64")
    if len(bounds) <= BARS:  # so few values that each has a bar
        counts = [each.counts for each in (before, now)]
        shares = [[float(n) for n in each / max(each.sum(), 1)] for each in counts]
        labels = [*map(amount, bounds), f"above {amount(bounds[-1])}"]
        if not now.counts[-1]:
            labels, shares = labels[:-1], [each[:-1] for each in shares]
        return Histogram(labels, [], shares[0], shares[1])
    middle = bounds[int(0.01 * len(bounds)) : int(np.ceil(0.99 * len(bounds)))]
    edges = np.linspace(middle[0], middle[-1], BARS + 1)
    found = []
    for each in (before, now):
        below = np.cumsum(each.counts)[:-1] / max(each.total, 1)
        at = np.interp(edges, bounds, below)
        at[0], at[-1] = 0, 1  # what lies further out is in the outer bars
        found.append([float(share) for share in np.diff(at)])
    return Histogram([], [float(edge) for edge in edges], found[0], found[1])
