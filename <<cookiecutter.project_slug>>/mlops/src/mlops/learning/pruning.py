"""Pruning: the smallest model whose validation metric is nearly that of the one it is made of.

Smaller means smaller hyperparameters, trained anew: fewer rounds and leaves of boosting, fewer
trees and larger leaves of a forest, fewer units of a network. That is a configuration like any
other: the candidate, the final model, the folds and each export are made by it. What is cut out of
one trained model would still be in the final one, which learns from all rows.
"""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator

from ..errors import InputError

# A setting becomes so many times as large, largest model first.
SHARES = (0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)
GROWTH = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Tried:
    """A model of a size, and how good it is.

    Attributes:
        settings: the hyperparameters that make it smaller; none of the whole one.
        size: of the trained estimator as Python pickles it, in bytes.
        metric: its value on the validation rows.
        kept: whether it is the one that is taken.
    """

    settings: dict[str, Any]
    size: int
    metric: float
    kept: bool = False


Smaller = Callable[[Any], Iterator[Any]]


def _shares(least: int) -> Smaller:
    """So many shares of a number."""

    def smaller(value: int) -> Iterator[int]:
        made = dict.fromkeys(max(least, round(value * share)) for share in SHARES)
        return (each for each in made if each < value)

    return smaller


def _grown(value: int) -> Iterator[int]:
    return (value * times for times in GROWTH)


def _layers(value: list[int]) -> Iterator[list[int]]:
    """The same share of each layer's units."""
    made = dict.fromkeys(tuple(max(1, round(units * share)) for units in value) for share in SHARES)
    return (list(each) for each in made if each != tuple(value))


# What makes an estimator smaller: a hyperparameter after the other, and the values to try.
WAYS: dict[str, dict[str, Smaller]] = {
    "boosting": {"max_iter": _shares(1), "max_leaf_nodes": _shares(2)},
    "extratrees": {"n_estimators": _shares(1), "min_samples_leaf": _grown},
    "forest": {"n_estimators": _shares(1), "min_samples_leaf": _grown},
    "lightgbm": {"n_estimators": _shares(1), "num_leaves": _shares(2)},
    "mlp": {"hidden_layer_sizes": _layers},
    "xgboost": {"n_estimators": _shares(1), "max_depth": _shares(1)},
}


def check(estimator: str) -> None:
    """Raise InputError where there is nothing to take away from an estimator."""
    if estimator not in WAYS:
        raise InputError(
            f"params.yaml: train.prune: {estimator} has nothing that could be taken away; "
            f"{', '.join(WAYS)} have: choose one of them, or leave prune out"
        )


def prune(
    estimator: str,
    hyperparameters: dict[str, Any],
    trained: Callable[[dict[str, Any]], tuple[BaseEstimator, float]],
    loss: float,
    higher_is_better: bool,
) -> list[Tried]:
    """Try smaller models, and mark the smallest that loses no more than it may.

    Each hyperparameter in turn starts at what the one before was found to allow.

    Args:
        estimator: its name; one of WAYS.
        hyperparameters: of the whole model.
        trained: what some settings in their place make: the estimator, and its metric on the
            validation rows.
        loss: how much worse that may be than the whole model's.
        higher_is_better: of the metric.
    Returns:
        All that were tried, the whole one first.
    """

    def attempt(settings: dict[str, Any]) -> Tried:
        model, metric = trained(settings)
        return Tried(settings, len(pickle.dumps(model)), metric)

    whole = best = attempt({})
    found = [whole]
    for name, smaller in WAYS[estimator].items():
        start = best.settings
        for value in smaller(hyperparameters[name]):
            found.append(attempt(start | {name: value}))
        sign = 1 if higher_is_better else -1
        allowed = [each for each in found if sign * (whole.metric - each.metric) <= loss]
        best = min(allowed, key=lambda each: each.size)
    return [Tried(each.settings, each.size, each.metric, kept=each is best) for each in found]
