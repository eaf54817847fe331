"""What can be set of each estimator: of the engine's catalogue and of the owner's."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from ..project import entries, module, shown, wrong
from .network import Network
from .section import Count, Fraction, Positive, Searched, Section, Task, searched

Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]


class Weighted(Section):
    """Of classifiers: `balanced` weighs each class as if all had as many rows."""

    class_weight: Literal["balanced"] | None = None


class LogisticRegressionParams(Weighted):
    """Hyperparameters of `linear` for classification."""

    C: Annotated[Positive, searched(1e-3, 100, log=True)] = 1.0
    max_iter: Count = 1000


class RidgeParams(Section):
    """Hyperparameters of `linear` for regression."""

    alpha: Annotated[Positive, searched(1e-2, 1000, log=True)] = 1.0


class LogisticElasticNetParams(Weighted):
    """Hyperparameters of `elasticnet` for classification."""

    C: Annotated[Positive, searched(1e-3, 100, log=True)] = 1.0
    l1_ratio: Annotated[Share, searched(0, 1)] = 0.5
    max_iter: Count = 1000


class ElasticNetParams(Section):
    """Hyperparameters of `elasticnet` for regression."""

    alpha: Annotated[Positive, searched(1e-4, 10, log=True)] = 0.1
    l1_ratio: Annotated[Share, searched(0, 1)] = 0.5
    max_iter: Count = 1000


class LogLinkParams(Section):
    """Hyperparameters of `poisson` and `gamma`: linear in the logarithm of the target."""

    alpha: Annotated[NotNegative, searched(1e-5, 10, log=True)] = 1.0
    max_iter: Count = 1000


class TweedieParams(LogLinkParams):
    """Hyperparameters of `tweedie`: power 1 is Poisson, 2 is Gamma, between is mass at zero."""

    power: Annotated[float, Field(ge=1, le=3), searched(1.1, 1.9)] = 1.5


class QuantileParams(Section):
    """Hyperparameters of `quantile`."""

    quantile: Fraction = 0.5
    alpha: Annotated[NotNegative, searched(1e-5, 1, log=True)] = 0.01


class BoostingParams(Section):
    """Hyperparameters of `boosting`. Categories are one-hot encoded: see estimators."""

    learning_rate: Annotated[Positive, searched(0.02, 0.3, log=True)] = 0.1
    max_iter: Annotated[Count, searched(50, 400, log=True)] = 100
    max_leaf_nodes: Annotated[int, Field(ge=2), searched(4, 64, log=True)] = 31
    min_samples_leaf: Annotated[Count, searched(5, 200, log=True)] = 20
    l2_regularization: Annotated[NotNegative, searched(1e-3, 100, log=True)] = 1.0


class BoostingClassifierParams(BoostingParams, Weighted):
    """Hyperparameters of `boosting` for classification."""


class BoostingRegressorParams(BoostingParams):
    """Hyperparameters of `boosting` for regression; `quantile` goes with the loss of that name."""

    loss: Literal["squared_error", "absolute_error", "poisson", "gamma", "quantile"] = (
        "squared_error"
    )
    quantile: Fraction | None = None

    @model_validator(mode="after")
    def _quantile_goes_with_its_loss(self) -> Self:
        if (self.loss == "quantile") != (self.quantile is not None):
            raise ValueError("`quantile` goes with `loss: quantile`, and only with that")
        return self


class Boosted(Section):
    """Hyperparameters that LightGBM and XGBoost call alike."""

    n_estimators: Annotated[Count, searched(50, 400, log=True)] = 100
    subsample: Annotated[PositiveShare, searched(0.5, 1)] = 1.0
    colsample_bytree: Annotated[PositiveShare, searched(0.3, 1)] = 1.0


class LightGbmParams(Boosted):
    """Hyperparameters of `lightgbm`, by its names. Categories are one-hot encoded."""

    learning_rate: Annotated[Positive, searched(0.02, 0.3, log=True)] = 0.1
    num_leaves: Annotated[int, Field(ge=2), searched(4, 64, log=True)] = 31
    max_depth: Annotated[int, Field(ge=-1)] = -1
    min_child_samples: Annotated[Count, searched(5, 200, log=True)] = 20
    reg_alpha: NotNegative = 0.0
    reg_lambda: Annotated[NotNegative, searched(1e-3, 100, log=True)] = 0.0


class LightGbmClassifierParams(LightGbmParams, Weighted):
    """Hyperparameters of `lightgbm` for classification."""


class LightGbmRegressorParams(LightGbmParams):
    """Hyperparameters of `lightgbm` for regression; `alpha` goes with `objective: quantile`."""

    objective: Literal["regression", "regression_l1", "poisson", "gamma", "tweedie", "quantile"] = (
        "regression"
    )
    alpha: Fraction | None = None

    @model_validator(mode="after")
    def _quantile_goes_with_its_objective(self) -> Self:
        if (self.objective == "quantile") != (self.alpha is not None):
            raise ValueError("`alpha` goes with `objective: quantile`, and only with that")
        return self


class XgboostParams(Boosted):
    """Hyperparameters of `xgboost`, by its names. Categories are one-hot encoded."""

    learning_rate: Annotated[Positive, searched(0.02, 0.3, log=True)] = 0.3
    max_depth: Annotated[Count, searched(2, 8)] = 6
    min_child_weight: Annotated[NotNegative, searched(0.1, 100, log=True)] = 1.0
    reg_alpha: NotNegative = 0.0
    reg_lambda: Annotated[NotNegative, searched(1e-3, 100, log=True)] = 1.0


class XgboostClassifierParams(XgboostParams, Weighted):
    """Hyperparameters of `xgboost` for classification."""


class XgboostRegressorParams(XgboostParams):
    """Hyperparameters of `xgboost` for regression; `quantile_alpha` goes with that objective."""

    objective: Literal[
        "reg:squarederror",
        "reg:absoluteerror",
        "count:poisson",
        "reg:gamma",
        "reg:tweedie",
        "reg:quantileerror",
    ] = "reg:squarederror"
    quantile_alpha: Fraction | None = None

    @model_validator(mode="after")
    def _quantile_goes_with_its_objective(self) -> Self:
        if (self.objective == "reg:quantileerror") != (self.quantile_alpha is not None):
            raise ValueError(
                "`quantile_alpha` goes with `objective: reg:quantileerror`, and only with that"
            )
        return self


class ForestParams(Section):
    """Hyperparameters of `forest` and `extratrees`."""

    n_estimators: Count = 100
    max_depth: Annotated[Count | None, Searched([None, 6, 10, 16])] = None
    min_samples_leaf: Annotated[Count, searched(1, 100, log=True)] = 2
    max_features: Annotated[
        Fraction | Literal["sqrt", "log2"], Searched(["sqrt", "log2", 0.3, 0.6])
    ] = "sqrt"


class ForestClassifierParams(ForestParams, Weighted):
    """Hyperparameters of `forest` and `extratrees` for classification."""


class MlpParams(Section):
    """Hyperparameters of `mlp`."""

    hidden_layer_sizes: Annotated[
        list[Count], Field(min_length=1), Searched([[32], [64, 32], [128], [128, 64]])
    ] = [64, 32]
    alpha: Annotated[NotNegative, searched(1e-5, 1, log=True)] = 0.01
    learning_rate_init: Annotated[Positive, searched(1e-4, 1e-2, log=True)] = 0.001
    max_iter: Count = 200
    early_stopping: bool = True


class NetworkClassifierParams(Network, Weighted):
    """Hyperparameters of `network` for classification; `focal` is for what is hard to tell."""

    loss: Literal["cross_entropy", "focal"] = "cross_entropy"


class NetworkRegressorParams(Network):
    """Hyperparameters of `network` for regression; `poisson` is for counts."""

    loss: Literal["squared_error", "absolute_error", "huber", "poisson"] = "squared_error"


class KMeansParams(Section):
    """Hyperparameters of `kmeans`."""

    n_clusters: Annotated[int, Field(ge=2), searched(2, 12)] = 5
    n_init: Count = 10
    max_iter: Count = 300


class MixtureParams(Section):
    """Hyperparameters of `mixture`."""

    n_components: Annotated[int, Field(ge=2), searched(2, 12)] = 5
    covariance_type: Annotated[
        Literal["full", "tied", "diag", "spherical"],
        Searched(["full", "tied", "diag", "spherical"]),
    ] = "full"
    reg_covar: Positive = 1e-3
    n_init: Count = 3
    max_iter: Count = 200


HYPERPARAMETERS: dict[Task, dict[str, type[Section]]] = {
    "classification": {
        "linear": LogisticRegressionParams,
        "elasticnet": LogisticElasticNetParams,
        "boosting": BoostingClassifierParams,
        "lightgbm": LightGbmClassifierParams,
        "xgboost": XgboostClassifierParams,
        "forest": ForestClassifierParams,
        "extratrees": ForestClassifierParams,
        "mlp": MlpParams,
        "network": NetworkClassifierParams,
    },
    "regression": {
        "linear": RidgeParams,
        "elasticnet": ElasticNetParams,
        "poisson": LogLinkParams,
        "gamma": LogLinkParams,
        "tweedie": TweedieParams,
        "quantile": QuantileParams,
        "boosting": BoostingRegressorParams,
        "lightgbm": LightGbmRegressorParams,
        "xgboost": XgboostRegressorParams,
        "forest": ForestParams,
        "extratrees": ForestParams,
        "mlp": MlpParams,
        "network": NetworkRegressorParams,
    },
    "clustering": {"kmeans": KMeansParams, "mixture": MixtureParams},
}


def hyperparameters(task: Task, named: Iterable[str]) -> dict[str, type[Section]]:
    """What can be set of each estimator that `task` has, those of the owner among them.

    The owner's are imported only when one in `named` is not the engine's: they bring scikit-learn,
    which takes a second. Raises InputError when one of them has the name of one of the engine's.
    """
    known = HYPERPARAMETERS[task]
    if known.keys() >= set(named):
        return known
    return known | {name: entry.hyperparameters for name, entry in own_estimators(task).items()}


def own_estimators(task: Task) -> dict[str, Any]:
    """The entries of the owner's `ESTIMATORS` for `task`, by name: see estimators.Entry.

    Raises InputError when one has the name of one of the engine's, or is no entry.
    """
    own = dict(entries(module("estimators"), "ESTIMATORS", get_args(Task), task))
    if taken := sorted(own.keys() & HYPERPARAMETERS[task].keys()):
        problem = f"the engine has an estimator {taken[0]!r}; give yours another name"
        raise wrong("estimators", "ESTIMATORS", problem)
    for name, entry in own.items():
        if not hasattr(entry, "hyperparameters"):
            problem = f"is {shown(entry)}; must be an Entry of mlops.learning.estimators"
            raise wrong("estimators", f"ESTIMATORS: {name}", problem)
        settings = entry.hyperparameters
        if not (isinstance(settings, type) and issubclass(settings, Section)):
            problem = f"hyperparameters is {shown(settings)}; must be a class on Section"
            raise wrong("estimators", f"ESTIMATORS: {name}", problem)
    return own
