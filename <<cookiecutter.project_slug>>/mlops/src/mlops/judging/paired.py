"""Two models on the same rows: by how much a metric differs, and whether that may be chance."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..config.terms import Terms
from ..learning.metrics import METRICS, Metric, Scored, catalogue, values
from .bootstrap import errors, interval

Verdict = Literal["better", "same", "worse"]


@dataclass(frozen=True)
class Compared:
    """A metric of both models on the same rows.

    Attributes:
        champion, challenger: its values.
        low, high: interval of challenger minus champion, at the confidence asked for.
        verdict: better or worse when the interval leaves no doubt, else the same.
    """

    champion: float
    challenger: float
    low: float
    high: float
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Challenger minus champion."""
        return self.challenger - self.champion


def judged(terms: Terms) -> list[str]:
    """The metrics that decide: those with a gate on regression, else the task's first."""
    gated = [name for name, gate in terms.gates.items() if gate.regression is not None]
    return gated or [next(iter(METRICS[terms.task]))]


def judge(
    terms: Terms, champion: Scored, challenger: Scored, *, names: Collection[str] | None = None
) -> dict[str, Compared]:
    """Compare metric by metric, with the interval of the difference on these rows.

    The bootstrap is paired: both models answer the same resampled rows. A metric that has no value
    for one of the models, or on most of the resamples, is left out.

    Args:
        terms: how rows are drawn, and what the task's metrics are.
        champion, challenger: what both say of the same rows.
        names: of the metrics; None for all.
    """
    how, rows = terms.compare, len(champion.outputs["prediction"])
    known = {
        name: metric
        for name, metric in catalogue(terms.task, terms.evaluate.value).items()
        if names is None or name in names
    }
    old, new = values(known, champion), values(known, challenger)

    def differences(chosen: np.ndarray) -> dict[str, float]:
        before, after = (values(known, each.rows(chosen)) for each in (champion, challenger))
        return {name: after[name] - before[name] for name in after if name in before}

    spread = errors(differences, known, rows, how)
    found = {}
    for name in new:
        if name in old and name in spread:
            low, high = interval(new[name] - old[name], spread[name], how)
            verdict = _verdict(known[name], low, high)
            found[name] = Compared(old[name], new[name], low, high, verdict)
    return found


def _verdict(metric: Metric, low: float, high: float) -> Verdict:
    if metric.better == "lower":
        low, high = -high, -low
    return "better" if low > 0 else "worse" if high < 0 else "same"
