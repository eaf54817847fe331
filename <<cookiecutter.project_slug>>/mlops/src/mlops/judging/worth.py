"""Whether a model is worth it: is it better than the best naive answer, by more than chance?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..config.terms import Terms
from ..learning.metrics import Scored, catalogue, values
from .bootstrap import errors, interval


@dataclass(frozen=True)
class Worth:
    """A metric of the model and of the best naive answer, on the same rows.

    Attributes:
        answer: which one that is: constant, mean, median, always true, last, rule.
        naive, model: the metric's values.
        low, high: interval of how much better the model is, at the confidence asked for.
    """

    answer: str
    naive: float
    model: float
    low: float
    high: float


def worth(terms: Terms, scored: Scored, found: dict[str, Scored]) -> dict[str, Worth]:
    """Of each metric whose gate asks for it: the model against the best naive answer.

    The interval is that of a paired bootstrap, as in `comparison`. A metric that has no value for
    the model or for any naive answer is left out.
    """
    gated = [name for name, gate in terms.gates.items() if gate.naive is not None]
    compared = {name: _worth(terms, name, scored, found) for name in gated}
    return {name: each for name, each in compared.items() if each is not None}


def _worth(terms: Terms, name: str, scored: Scored, found: dict[str, Scored]) -> Worth | None:
    metric = catalogue(terms.task, terms.evaluate.value)[name]
    sign = 1 if metric.better == "higher" else -1

    def better(answers: Mapping[str, Scored]) -> dict[str, float]:
        """The metric by answer, turned so that more is better."""
        each = {label: values({name: metric}, said) for label, said in answers.items()}
        return {label: sign * value[name] for label, value in each.items() if value}

    model, naive = better({"": scored}), better(found)
    if not model or not naive:
        return None
    best = max(naive, key=lambda label: naive[label])

    def gain(chosen: np.ndarray) -> dict[str, float]:
        both = better({"model": scored.rows(chosen), "naive": found[best].rows(chosen)})
        return {name: both["model"] - both["naive"]} if len(both) == 2 else {}

    spread = errors(gain, {name: metric}, len(scored.outputs["prediction"]), terms.compare)
    if name not in spread:
        return None
    low, high = interval(model[""] - naive[best], spread[name], terms.compare)
    return Worth(best, sign * naive[best], sign * model[""], low, high)
