"""The catalogue: task → name → estimator. Each entry survives export to ONNX, or is not in here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
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
from .declared import load_declared
from .errors import first_line, own_code
from .features import DeclaredFeatures, own_preprocessing, preprocessing
from .project import shown, wrong


def _as_it_is(_: BaseEstimator) -> None:
    """Nothing is left to do."""


@dataclass(frozen=True)
class Entry:
    """An estimator of the catalogue, or one of the owner's.

    Attributes:
        estimator: takes its hyperparameters and `random_state`.
        scaled: whether its inputs are scaled, see features.preprocessing.
        hyperparameters: what can be set of it in params.yaml, with defaults.
        trained: what is done to it after training, in place.
    """

    estimator: Callable[..., BaseEstimator]
    scaled: bool
    hyperparameters: type[Section]
    trained: Callable[[Any], None] = _as_it_is


def snap_thresholds(model: BaseEstimator) -> None:
    """Round the thresholds of histogram boosting down to float32, in place.

    A float32 input is at most a threshold exactly when it is at most the threshold rounded down, so
    no prediction changes; and as ONNX keeps thresholds in float32, both then take every branch
    alike, also for inputs that lie exactly on a threshold.
    """
    for trees in model._predictors:
        for tree in trees:
            tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])


def round_down(exact: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each float64, as float64."""
    near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near).astype(exact.dtype)


# HistGradientBoosting's own `categorical_features` exports wrongly, without an error: for it, too,
# categories are one-hot encoded.
CATALOGUE: dict[Task, dict[str, Entry]] = {
    "classification": {
        "linear": Entry(LogisticRegression, True, LogisticRegressionParams),
        "boosting": Entry(
            partial(HistGradientBoostingClassifier, early_stopping=False),
            False,
            BoostingParams,
            snap_thresholds,
        ),
        "forest": Entry(RandomForestClassifier, False, ForestParams),
        "mlp": Entry(MLPClassifier, True, MlpParams),
    },
    "regression": {
        "linear": Entry(Ridge, True, RidgeParams),
        "boosting": Entry(
            partial(HistGradientBoostingRegressor, early_stopping=False),
            False,
            BoostingParams,
            snap_thresholds,
        ),
        "forest": Entry(RandomForestRegressor, False, ForestParams),
        "mlp": Entry(MLPRegressor, True, MlpParams),
    },
    "clustering": {"kmeans": Entry(KMeans, True, KMeansParams)},
}


def features(contract: Contract, scaled: bool) -> Pipeline:
    """The steps before an estimator, untrained, from inputs as inputs.model_inputs has them.

    `declared` computes what features.yaml says, where it says something; `features` is the owner's
    preprocessing where there is one, else the engine's.
    """
    make, declared = own_preprocessing() or preprocessing, load_declared(contract)
    if declared.is_empty:
        return Pipeline([("features", make(contract, scaled))])
    return Pipeline(
        [
            ("declared", DeclaredFeatures(declared)),
            ("features", make(declared.learned, scaled)),
        ]
    )


def build(
    task: Task, name: str, hyperparameters: Section, contract: Contract, seed: int
) -> Pipeline:
    """An untrained pipeline: the steps of `features`, and `model`; every random choice seeded."""
    entry = catalogue(task)[name]
    settings: dict[str, Any] = hyperparameters.model_dump()
    try:
        model = entry.estimator(**settings, random_state=seed)
    except TypeError as error:
        if name in CATALOGUE[task] or own_code(error):
            raise
        told = f"cannot be made of its hyperparameters and random_state: {first_line(error)}"
        raise wrong("estimators", f"ESTIMATORS: {name}", told) from error
    if not (hasattr(model, "fit") and hasattr(model, "predict")):
        told = f"makes {shown(model)}; must make an estimator of scikit-learn's kind"
        raise wrong("estimators", f"ESTIMATORS: {name}", told)
    return Pipeline([*features(contract, entry.scaled).steps, ("model", model)])


def finish(task: Task, name: str, pipeline: Pipeline) -> None:
    """Do what an estimator asks for once it is trained, in place."""
    catalogue(task)[name].trained(pipeline[-1])


def catalogue(task: Task) -> dict[str, Entry]:
    """The engine's estimators and the owner's, by name."""
    return CATALOGUE[task] | own_estimators(task)
