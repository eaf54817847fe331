"""Whether a prediction interval holds as many rows as it is to."""

from collections.abc import Iterator

from ..learning.caveats.caveat import Caveat
from ..learning.interval import Interval
from ..learning.metrics import Scored
from .proportions import share


def caveats_of_interval(
    scored: Scored, interval: Interval | None, confidence: float
) -> Iterator[Caveat]:
    """The caveat that an interval holds another share of the rows, beyond chance.

    Args:
        scored: answers for rows that nothing has learned from, and their truth.
        interval: what was asked for; None where nothing was.
        confidence: how sure the other share must be.
    """
    if interval is None:
        return
    within = (scored.outputs["lower"] <= scored.truth) & (scored.truth <= scored.outputs["upper"])
    found = share(int(within.sum()), len(within), confidence)
    if found.low <= interval.level <= found.high:
        return
    fault = "too narrow" if found.value < interval.level else "wider than it need be"
    yield Caveat(
        "interval",
        None,
        f"the prediction interval is {fault}: it holds {found.value:.1%} of the test rows "
        f"({found.low:.1%} to {found.high:.1%}), and train.interval says {interval.level:.4g}",
    )
