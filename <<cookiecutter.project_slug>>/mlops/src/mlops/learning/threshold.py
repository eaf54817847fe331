"""Which threshold is best: from which probability on the second of two classes is predicted."""

from dataclasses import replace

import numpy as np

from ..config.evaluate import Value
from ..config.section import Task
from ..errors import InputError
from ..paths import PARAMS
from .metrics import VALUE, Metric, Scored, catalogue, values
from .model import Threshold

# So many are tried, at most: each costs the metric of all rows.
STEPS = 200
# Where nothing else is asked for, the likelier class is predicted.
HALF = 0.5


def check_worth(threshold: Threshold | None, worth: Value | None) -> None:
    """Raise InputError where a threshold was chosen by what predictions are no longer worth."""
    if threshold is None or threshold.worth is None:
        return
    if worth is None or threshold.worth != worth.model_dump():
        raise InputError(
            f"{PARAMS}: evaluate.value is not what train.threshold was chosen by: run "
            "`uv run dvc repro --force --single-item train`, then `uv run dvc repro`"
        )


def deciding_metric(name: str, task: Task, worth: Value | None) -> Metric:
    """The metric by which a threshold is chosen. Raises InputError where there is no such."""
    known = catalogue(task, worth)
    if name not in known:
        raise InputError(
            f"{PARAMS}: train.threshold: {name!r} is no metric; give a number, or one of "
            f"{', '.join(known)}"
        )
    return known[name]


def choose(name: str, metric: Metric, scored: Scored, worth: Value | None) -> Threshold:
    """The threshold at which a metric is best; of equal ones, that nearest to a half.

    Those that are tried lie halfway between probabilities of the rows, so that no row is on them.

    Args:
        name, metric: of the metric.
        scored: rows of two classes that the model did not learn from, and that do not judge it.
        worth: what predictions are worth.
    Raises:
        InputError: the metric has no value on the rows, or does not look at predicted classes.
    """
    sign = 1 if metric.better == "higher" else -1
    found = {at: values({name: metric}, predicted(scored, at)) for at in _steps(scored)}
    known = {at: sign * value[name] for at, value in found.items() if value}
    if not known:
        raise InputError(
            f"{PARAMS}: train.threshold: {name} has no value on the {len(scored.positive):,} "
            "validation rows"
        )
    if not _looks_at_classes(name, metric, scored):
        raise InputError(
            f"{PARAMS}: train.threshold: {name} is the same at any threshold; choose by a metric "
            "of predicted classes, such as value or f1"
        )
    best = max(known, key=lambda at: (known[at], -abs(at - HALF)))
    of_value = worth.model_dump() if worth and name == VALUE else None
    return Threshold(best, name, of_value)


def predicted(scored: Scored, at: float) -> Scored:
    """The same rows with the classes that a threshold predicts."""
    return _with_classes(scored, scored.outputs["probability"][:, 1] >= at)


def _with_classes(scored: Scored, is_second: np.ndarray) -> Scored:
    assert scored.classes is not None
    predicted = scored.classes[is_second.astype(int)]
    return replace(scored, outputs=scored.outputs | {"prediction": predicted})


def _looks_at_classes(name: str, metric: Metric, scored: Scored) -> bool:
    """Whether right answers have another value than wrong ones, whatever the model says."""
    right, wrong = (
        values({name: metric}, _with_classes(scored, each))
        for each in (scored.positive, ~scored.positive)
    )
    return right != wrong


def _steps(scored: Scored) -> list[float]:
    """Thresholds between neighbouring probabilities, evenly spread over the rows, and a half."""
    likely = np.sort(scored.outputs["probability"][:, 1].astype("float64"))
    between = (likely[1:] + likely[:-1])[np.diff(likely) > 0] / 2
    places = np.linspace(0, len(between) - 1, min(STEPS, len(between))).round().astype(int)
    tried = np.append(between[places], HALF).astype("float32")
    return [float(at) for at in np.unique(tried) if 0 < at < 1]
