"""The catalogue: task → name → estimator. Each entry survives export to ONNX, or is not in here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

from .config.hyperparameters import (
    BoostingParams,
    ForestParams,
    KMeansParams,
    LogisticRegressionParams,
    MlpParams,
    RidgeParams,
    own_estimators,
)
from .config.section import Section, Task
from .contract import Contract
from .features import preprocessing
from .project import module


@dataclass(frozen=True)
class Entry:
    """An estimator of the catalogue, or one of the owner's.

    Attributes:
        estimator: takes its hyperparameters and `random_state`.
        scaled: whether its inputs are scaled, see features.preprocessing.
        hyperparameters: what can be set of it in params.yaml, with defaults.
    """

    estimator: Callable[..., BaseEstimator]
    scaled: bool
    hyperparameters: type[Section]


# HistGradientBoosting's own `categorical_features` exports wrongly, without an error: for it, too,
# categories are one-hot encoded.
CATALOGUE: dict[Task, dict[str, Entry]] = {
    "classification": {
        "linear": Entry(LogisticRegression, True, LogisticRegressionParams),
        "boosting": Entry(
            partial(HistGradientBoostingClassifier, early_stopping=False), False, BoostingParams
        ),
        "forest": Entry(RandomForestClassifier, False, ForestParams),
        "mlp": Entry(MLPClassifier, True, MlpParams),
    },
    "regression": {
        "linear": Entry(Ridge, True, RidgeParams),
        "boosting": Entry(
            partial(HistGradientBoostingRegressor, early_stopping=False), False, BoostingParams
        ),
        "forest": Entry(RandomForestRegressor, False, ForestParams),
        "mlp": Entry(MLPRegressor, True, MlpParams),
    },
    "clustering": {"kmeans": Entry(KMeans, True, KMeansParams)},
}


def features(contract: Contract, scaled: bool) -> TransformerMixin:
    """The owner's preprocessing where there is one, else the engine's."""
    own = getattr(module("features"), "preprocessing", preprocessing)
    made: TransformerMixin = own(contract, scaled)
    return made


def build(
    task: Task, name: str, hyperparameters: Section, contract: Contract, seed: int
) -> Pipeline:
    """An untrained pipeline: steps `features` and `model`, every random choice seeded."""
    entry = (CATALOGUE[task] | own_estimators(task))[name]
    settings: dict[str, Any] = hyperparameters.model_dump()
    return Pipeline(
        [
            ("features", features(contract, entry.scaled)),
            ("model", entry.estimator(**settings, random_state=seed)),
        ]
    )


def snap_thresholds(pipeline: Pipeline) -> None:
    """Round the thresholds of boosted trees down to float32, in place.

    A float32 input is at most a threshold exactly when it is at most the threshold rounded down, so
    no prediction changes; and as ONNX keeps thresholds in float32, both then take every branch
    alike, also for inputs that lie exactly on a threshold.
    """
    for trees in getattr(pipeline[-1], "_predictors", []):
        for tree in trees:
            exact = tree.nodes["num_threshold"]
            near = exact.astype(np.float32)
            below = np.nextafter(near, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(near > exact, below, near)


def thresholds(pipeline: Pipeline) -> dict[int, np.ndarray]:
    """The thresholds of a tree model by column of its feature matrix; empty for other models."""
    model = pipeline[-1]
    found: dict[int, list[np.ndarray]] = {}

    def add(columns: np.ndarray, values: np.ndarray, inner: np.ndarray) -> None:
        for column in np.unique(columns[inner]):
            found.setdefault(int(column), []).append(values[inner & (columns == column)])

    for trees in getattr(model, "_predictors", []):
        for tree in trees:
            nodes = tree.nodes
            add(nodes["feature_idx"], nodes["num_threshold"], ~nodes["is_leaf"].astype(bool))
    if isinstance(model, RandomForestClassifier | RandomForestRegressor):
        for member in model.estimators_:
            tree = member.tree_
            add(tree.feature, tree.threshold, tree.children_left != -1)
    return {column: np.unique(np.concatenate(values)) for column, values in found.items()}
