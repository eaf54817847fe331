"""The catalogue: task → name → estimator. Each entry survives export to ONNX, or is not in here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    TweedieRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline

from ..config.hyperparameters import (
    BoostingClassifierParams,
    BoostingRegressorParams,
    ElasticNetParams,
    ForestClassifierParams,
    ForestParams,
    KMeansParams,
    LightGbmClassifierParams,
    LightGbmRegressorParams,
    LogisticElasticNetParams,
    LogisticRegressionParams,
    LogLinkParams,
    MixtureParams,
    MlpParams,
    NetworkClassifierParams,
    NetworkRegressorParams,
    QuantileParams,
    RidgeParams,
    TweedieParams,
    XgboostClassifierParams,
    XgboostRegressorParams,
    own_estimators,
)
from ..config.network import Network
from ..config.section import Section, Task
from ..data.contract import Contract
from ..errors import InputError, first_line, needs_group, own_code
from ..paths import FEATURES, PARAMS
from ..project import shown, wrong
from .declared import Declared, Learned, load_declared
from .encoders import Places
from .features import DeclaredFeatures, own_preprocessing, preprocessing
from .folds import Fold
from .mixture import Mixture
from .network import NetworkClassifier, NetworkRegressor, needed
from .rounding import round_down


def _as_it_is(_: BaseEstimator) -> None:
    """Nothing is left to do."""


def _undrawn(estimator: Callable[..., BaseEstimator]) -> Callable[..., BaseEstimator]:
    """An estimator that draws nothing, and so takes no `random_state`."""

    def made(random_state: int, **settings: Any) -> BaseEstimator:
        return estimator(**settings)

    return made


def _lightgbm() -> ModuleType:
    """The module on LightGBM. Raises InputError where that is not installed."""
    try:
        from . import lightgbm
    except ModuleNotFoundError as error:
        raise needs_group(f"{PARAMS}: train.estimator lightgbm", "lightgbm") from error
    return lightgbm


def _xgboost() -> ModuleType:
    """The module on XGBoost. Raises InputError where that is not installed."""
    try:
        from . import xgboost
    except ModuleNotFoundError as error:
        raise needs_group(f"{PARAMS}: train.estimator xgboost", "xgboost") from error
    return xgboost


@dataclass(frozen=True)
class Entry:
    """An estimator of the catalogue, or one of the owner's.

    Attributes:
        estimator: takes its hyperparameters and `random_state`.
        scaled: whether its inputs are scaled, see features.preprocessing.
        hyperparameters: what can be set of it in params.yaml, with defaults.
        trained: what is done to it after training, in place.
        quantile: the hyperparameters by which it predicts a quantile; None where it cannot.
    """

    estimator: Callable[..., BaseEstimator]
    scaled: bool
    hyperparameters: type[Section]
    trained: Callable[[Any], None] = _as_it_is
    quantile: Callable[[float], dict[str, Any]] | None = None


def snap_thresholds(model: BaseEstimator) -> None:
    """Round the thresholds of histogram boosting down to float32, in place.

    A float32 input is at most a threshold exactly when it is at most the threshold rounded down, so
    no prediction changes; and as ONNX keeps thresholds in float32, both then take every branch
    alike, also for inputs that lie exactly on a threshold.
    """
    for trees in model._predictors:
        for tree in trees:
            tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])


# HistGradientBoosting's own `categorical_features` exports wrongly, without an error: for it, too,
# categories are one-hot encoded.
CATALOGUE: dict[Task, dict[str, Entry]] = {
    "classification": {
        "linear": Entry(LogisticRegression, True, LogisticRegressionParams),
        "elasticnet": Entry(
            partial(LogisticRegression, solver="saga"), True, LogisticElasticNetParams
        ),
        "boosting": Entry(
            partial(HistGradientBoostingClassifier, early_stopping=False),
            False,
            BoostingClassifierParams,
            snap_thresholds,
        ),
        "lightgbm": Entry(
            lambda **settings: _lightgbm().classifier(**settings),
            False,
            LightGbmClassifierParams,
            lambda model: _lightgbm().snap_thresholds(model),
        ),
        "xgboost": Entry(
            lambda **settings: _xgboost().classifier(**settings), False, XgboostClassifierParams
        ),
        "forest": Entry(RandomForestClassifier, False, ForestClassifierParams),
        "extratrees": Entry(ExtraTreesClassifier, False, ForestClassifierParams),
        "mlp": Entry(MLPClassifier, True, MlpParams),
        "network": Entry(needed(NetworkClassifier), True, NetworkClassifierParams),
    },
    "regression": {
        "linear": Entry(Ridge, True, RidgeParams),
        "elasticnet": Entry(ElasticNet, True, ElasticNetParams),
        "poisson": Entry(_undrawn(PoissonRegressor), True, LogLinkParams),
        "gamma": Entry(_undrawn(GammaRegressor), True, LogLinkParams),
        "tweedie": Entry(_undrawn(partial(TweedieRegressor, link="log")), True, TweedieParams),
        "quantile": Entry(
            _undrawn(QuantileRegressor),
            True,
            QuantileParams,
            quantile=lambda share: {"quantile": share},
        ),
        "boosting": Entry(
            partial(HistGradientBoostingRegressor, early_stopping=False),
            False,
            BoostingRegressorParams,
            snap_thresholds,
            lambda share: {"loss": "quantile", "quantile": share},
        ),
        "lightgbm": Entry(
            lambda **settings: _lightgbm().regressor(**settings),
            False,
            LightGbmRegressorParams,
            lambda model: _lightgbm().snap_thresholds(model),
            lambda share: {"objective": "quantile", "alpha": share},
        ),
        "xgboost": Entry(
            lambda **settings: _xgboost().regressor(**settings),
            False,
            XgboostRegressorParams,
            quantile=lambda share: {"objective": "reg:quantileerror", "quantile_alpha": share},
        ),
        "forest": Entry(RandomForestRegressor, False, ForestParams),
        "extratrees": Entry(ExtraTreesRegressor, False, ForestParams),
        "mlp": Entry(MLPRegressor, True, MlpParams),
        "network": Entry(needed(NetworkRegressor), True, NetworkRegressorParams),
    },
    "clustering": {
        "kmeans": Entry(KMeans, True, KMeansParams),
        "mixture": Entry(Mixture, True, MixtureParams),
    },
}


def check_target(name: str, hyperparameters: Section, truth: np.ndarray | None) -> None:
    """Raise InputError where an estimator that predicts the logarithm cannot take the target.

    Args:
        name: of the estimator.
        hyperparameters: of it.
        truth: the target, shape (rows,).
    """
    settings = hyperparameters.model_dump()
    kind = settings.get("loss", settings.get("objective", name)).removeprefix("reg:")
    kind = kind.removeprefix("count:")  # as XGBoost has objectives
    if truth is None or kind not in ("poisson", "gamma", "tweedie"):
        return
    least, above = float(truth.min()), kind == "gamma" or settings.get("power", 1) >= 2
    if least < 0 or (above and least == 0):
        raise InputError(
            f"{PARAMS}: train.estimator {name}: {kind} takes a target "
            f"{'above' if above else 'of at least'} 0, and its least is {least:g}"
        )


def features(
    contract: Contract,
    scaled: bool,
    given: Declared | None = None,
    embedded: Iterable[str] = (),
) -> Pipeline:
    """The steps before an estimator, untrained, from inputs as inputs.model_inputs has them.

    `declared` computes what features.yaml says, where it says something; `features` is the owner's
    preprocessing where there is one, else the engine's.

    Args:
        contract: names the inputs and their kinds.
        scaled: see features.preprocessing.
        given: what is declared, in the place of features.yaml.
        embedded: the categories of which the estimator learns an embedding.
    """
    own, declared = own_preprocessing(), given or load_declared(contract)
    learned = contract if declared.is_empty else declared.learned
    if names := [*embedded]:
        learned = _embedded(learned, names)
    made = (own or preprocessing)(learned, scaled)
    if names and not _ends_with_places(made, names):
        told = "must leave the columns of estimators.network.embeddings to the engine's, and last"
        raise wrong("features", "preprocessing", told)
    step = ("features", made)
    if declared.is_empty:
        return Pipeline([step])
    return Pipeline([("declared", DeclaredFeatures(declared)), step])


def _ends_with_places(made: Any, names: list[str]) -> bool:
    """Whether the last columns that a transformer makes are the places of these categories."""
    last = made.transformers[-len(names) :] if isinstance(made, ColumnTransformer) else []
    return [columns for _, step, columns in last if isinstance(step, Places)] == [
        [name] for name in names
    ]


def _embedded(contract: Contract, names: list[str]) -> Learned:
    """What is learned from, with categories that a network embeds.

    Raises InputError where one is none, or is encoded in another way.
    """
    learned = contract if isinstance(contract, Learned) else None
    encodings = learned.encodings if learned else {}
    known = [
        name
        for name in contract.features
        if contract.columns[name].kind == "categorical" and name not in encodings
    ]
    for name in names:
        where = f"{PARAMS}: estimators.network.embeddings.{name}"
        if name in encodings:
            raise InputError(f"{where}: {FEATURES} encodes it; leave one of the two out")
        if name not in known:
            raise InputError(
                f"{where}: no category of this name is learned from; "
                f"choose from {', '.join(known) or 'none'}"
            )
    return Learned(
        dialect=contract.dialect, columns=contract.columns, encodings=encodings, embedded=names
    )


def build(
    task: Task,
    name: str,
    hyperparameters: Section,
    contract: Contract,
    seed: int,
    calibration: list[Fold] | None = None,
    declared: Declared | None = None,
) -> Pipeline:
    """An untrained pipeline: the steps of `features`, and `model`; every random choice seeded.

    Args:
        calibration: of a classifier, on which rows to learn and by which to calibrate, by turns:
            the probabilities are the mean of as many models, each with a sigmoid behind it (Platt,
            "Probabilistic outputs for support vector machines", 1999). None for none.
        declared: features, in the place of those of features.yaml.
    """
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
    if calibration is not None:
        model = CalibratedClassifierCV(model, method="sigmoid", cv=calibration)
    embedded = hyperparameters.embeddings if isinstance(hyperparameters, Network) else ()
    steps = features(contract, entry.scaled, declared, embedded).steps
    return Pipeline([*steps, ("model", model)])


def of_quantile(task: Task, name: str, share: float) -> dict[str, Any]:
    """The hyperparameters by which an estimator predicts a quantile.

    Raises InputError where it cannot.
    """
    known = {each: entry.quantile for each, entry in catalogue(task).items() if entry.quantile}
    if name not in known:
        raise InputError(
            f"{PARAMS}: train.interval.by: {name} predicts no quantiles; choose from "
            f"{', '.join(known)}, or leave `by` out"
        )
    return known[name](share)


def finish(task: Task, name: str, pipeline: Pipeline) -> None:
    """Do what an estimator asks for once it is trained, in place."""
    model = pipeline[-1]
    members = [each.estimator for each in getattr(model, "calibrated_classifiers_", [])]
    if members:
        model.cv = len(members)  # instead of the numbers of all rows, which the file need not hold
    for each in members or [model]:
        catalogue(task)[name].trained(each)


def catalogue(task: Task) -> dict[str, Entry]:
    """The engine's estimators and the owner's, by name."""
    return CATALOGUE[task] | own_estimators(task)
