"""Fairness: what the model does to groups of people, and how far they are surely apart.

A group is the rows with the same value in a column with role sensitive, which need not be a
feature. Groups are compared pair by pair, with intervals that hold for all pairs together
(Bonferroni), so that a difference that is sure is no matter of how many groups there are.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from ..config.evaluate import Evaluate
from ..config.section import Task
from ..data.contract import Contract
from ..data.membership import memberships, places
from ..files import significant
from ..learning.metrics import Scored
from .proportions import Disparity, Estimate, difference, mean, ratio, share

# How far groups are apart in the cluster in which they are the furthest.
COMPOSITION = "composition"
# What `evaluate` writes: see `as_file`.
FairnessFile = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Measure:
    """What is measured of each row, and of which rows; a group's number is the mean.

    Attributes:
        values: shape (rows,).
        among: whether a row counts, shape (rows,).
        is_share: whether values are 0 or 1.
        has_ratio: whether one group's number by another's means something.
    """

    values: np.ndarray
    among: np.ndarray
    is_share: bool = True
    has_ratio: bool = True

    def of(self, rows: np.ndarray, confidence: float) -> tuple[Estimate | None, int]:
        """The number of some rows, given by their places, and how many of them count."""
        some = self.values[rows[self.among[rows]]]
        if not len(some):
            return None, 0
        if self.is_share:
            return share(int(some.sum()), len(some), confidence), len(some)
        return mean(some, confidence), len(some)


@dataclass(frozen=True)
class Group:
    """A group: its rows, and each metric with its interval and the rows that count for it."""

    rows: int
    metrics: dict[str, Estimate]
    counted: dict[str, int]


@dataclass(frozen=True)
class Groups:
    """The groups of a column, or of several together, and how far they are apart.

    Attributes:
        combined: whether it is of several columns.
        groups: by value, also those that are too small to be judged.
        disparities: by metric, of those that are not; left out where there are not two.
    """

    combined: bool
    groups: dict[str, Group]
    disparities: dict[str, Disparity]


def measures(task: Task, scored: Scored, how: Evaluate) -> dict[str, Measure]:
    """What is measured of each row, by metric.

    - `selection_rate`: is the second class predicted, or its probability at `value.threshold`?
      `true_positive_rate`, `false_positive_rate`: the same among rows that are of it, and are not;
      both together are equalised odds (Hardt, Price and Srebro, NeurIPS 2016).
    - `calibration`: its probability, less whether it is true. `error`: is the prediction wrong?
    - Numbers: `mean_prediction`; the prediction less the truth, `mean_error`, and its size, `mae`.
    - `cluster_0`, ...: is the row in it?
    """
    said = scored.outputs["prediction"]
    every = np.ones(len(said), bool)
    if task == "clustering":
        return {f"cluster_{each}": Measure(said == each, every) for each in np.unique(said)}
    if task == "regression":
        off = said.astype("float64") - scored.truth
        return {
            "mean_prediction": Measure(said.astype("float64"), every, False, has_ratio=False),
            "mean_error": Measure(off, every, is_share=False, has_ratio=False),
            "mae": Measure(np.abs(off), every, is_share=False),
        }
    wrong = {"error": Measure(said != scored.truth, every)}
    if not scored.is_binary:
        return wrong
    assert scored.classes is not None
    likely = scored.outputs["probability"][:, 1].astype("float64")
    threshold = how.value.threshold if how.value else None
    selected = said == scored.classes[1] if threshold is None else likely >= threshold
    true = scored.positive
    return {
        "selection_rate": Measure(selected, every),
        "true_positive_rate": Measure(selected, true),
        "false_positive_rate": Measure(selected, ~true),
        "calibration": Measure(likely - true, every, is_share=False, has_ratio=False),
        **wrong,
    }


def fairness(
    task: Task, scored: Scored, rows: pd.DataFrame, contract: Contract, how: Evaluate
) -> dict[str, Groups]:
    """What the model does to the groups of each column with role sensitive.

    Args:
        task: what the model does.
        scored: its answers.
        rows: the same rows, conformed.
        contract: names the columns.
        how: which groups are judged, and from which probability on somebody counts as selected.
    """
    measured = measures(task, scored, how)
    tests = len(measured) if task == "clustering" else 1
    found = {}
    for label, several, membership in memberships(rows, contract, how.group_columns):
        of_group = places(membership)
        found[label] = Groups(
            several,
            {name: _group(measured, some, how.group_confidence) for name, some in of_group.items()},
            _with_composition(
                task, {name: _apart(each, of_group, how, tests) for name, each in measured.items()}
            ),
        )
    return found


def _with_composition(task: Task, apart: dict[str, Disparity | None]) -> dict[str, Disparity]:
    """Those that there are; of clusters, which have no names that last, the largest as well."""
    found = {name: each for name, each in apart.items() if each is not None}
    if task != "clustering" or not found:
        return found
    largest = max(found.values(), key=lambda each: each.difference.value)
    return {COMPOSITION: replace(largest, ratio=None), **found}


def _group(measured: dict[str, Measure], rows: np.ndarray, confidence: float) -> Group:
    each = {name: measure.of(rows, confidence) for name, measure in measured.items()}
    return Group(
        len(rows),
        {name: estimate for name, (estimate, _) in each.items() if estimate is not None},
        {name: count for name, (_, count) in each.items()},
    )


def _apart(
    measure: Measure, groups: dict[str, np.ndarray], how: Evaluate, tests: int
) -> Disparity | None:
    judged = [name for name, rows in groups.items() if measure.among[rows].sum() >= how.group_rows]
    if len(judged) < 2:
        return None
    pairs = len(judged) * (len(judged) - 1) / 2
    confidence = 1 - (1 - how.group_confidence) / pairs / tests
    found = {name: measure.of(groups[name], confidence)[0] for name in judged}
    known = {name: each for name, each in found.items() if each is not None}
    lowest, highest = (choose(known, key=lambda name: known[name].value) for choose in (min, max))
    apart = [difference(known[one], known[other]) for one, other in permutations(known, 2)]
    of_both = [ratio(known[one], known[other]) for one, other in permutations(known, 2)]
    ratios = [each for each in of_both if each is not None] if measure.has_ratio else []
    return Disparity(
        lowest,
        highest,
        known[lowest].value,
        known[highest].value,
        _extreme(max, apart),
        _extreme(min, ratios) if ratios else None,
    )


def _extreme(choose: Callable[..., float], every: list[Estimate]) -> Estimate:
    """The largest, or the smallest, of all, and where it lies."""
    return Estimate(*(choose(values) for values in zip(*map(_ends, every), strict=True)))


def _ends(each: Estimate) -> tuple[float, float, float]:
    return each.value, each.low, each.high


def as_file(found: dict[str, Groups]) -> FairnessFile:
    """The same for JSON, in six digits."""
    return {label: _plain(asdict(each)) for label, each in found.items()}


def _plain(value: Any) -> Any:
    """Nested dictionaries with numbers as files have them; what has no bound has no number."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, float):
        return significant(value) if np.isfinite(value) else None
    return value


def spread(measure: Measure, codes: np.ndarray, judged: np.ndarray, rows: np.ndarray) -> float:
    """The largest difference between judged groups, of some rows; NaN where one of them is empty.

    Args:
        measure: what is measured.
        codes: the number of each row's group, shape (all rows,).
        judged: the numbers of those that count.
        rows: places of rows, some of them more than once.
    """
    rows = rows[measure.among[rows]]
    size = int(codes.max()) + 1
    counts = np.bincount(codes[rows], minlength=size)[judged]
    sums = np.bincount(codes[rows], measure.values[rows].astype("float64"), size)[judged]
    if (counts == 0).any():
        return float("nan")
    means = sums / counts
    return float(means.max() - means.min())
