"""`params.yaml`, typed: an unknown key or a bad value is one clear line."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from .files import explain, load
from .paths import PARAMS

Task = Literal["classification", "regression", "clustering"]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A part of params.yaml. Unknown keys are refused, and `"1"` is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(Section):
    """Where `ingest` reads from."""

    path: Annotated[str, Field(min_length=1)]
    database: str | None = None

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        for key, address in (("path", self.path), ("database", self.database or "")):
            if re.search(r"://[^/@:]*:[^/@$]+@", address):
                raise ValueError(f"{key}: a password stands here; write $VARIABLE in its place")
        return self

    @model_validator(mode="after")
    def _database_goes_with_a_query(self) -> Self:
        if self.path.endswith(".sql") != (self.database is not None):
            raise ValueError("`database` goes with a `path` that ends in .sql, and only with one")
        return self


class Split(Section):
    """Shares of rows kept for validation and for the test."""

    validation: Fraction
    test: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("`validation` and `test` must leave rows to train on (sum below 1)")
        return self


class Search(Section):
    """A random search over hyperparameters, judged on the validation rows."""

    trials: Annotated[int, Field(ge=0)]
    space: dict[str, dict[str, Annotated[list[Any], Field(min_length=1)]]]


class Train(Section):
    """Which estimator is trained, and how."""

    estimator: str
    seed: Seed
    interval: Fraction | None = None
    search: Search


class LogisticRegressionParams(Section):
    """Hyperparameters of `linear` for classification."""

    C: Positive = 1.0
    max_iter: Count = 1000


class RidgeParams(Section):
    """Hyperparameters of `linear` for regression."""

    alpha: Positive = 1.0


class BoostingParams(Section):
    """Hyperparameters of `boosting`. Categories are one-hot encoded: see estimators."""

    learning_rate: Positive = 0.1
    max_iter: Count = 100
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    min_samples_leaf: Count = 20
    l2_regularization: Annotated[float, Field(ge=0)] = 1.0


class ForestParams(Section):
    """Hyperparameters of `forest`."""

    n_estimators: Count = 100
    max_depth: Count | None = None
    min_samples_leaf: Count = 2
    max_features: Fraction | Literal["sqrt", "log2"] = "sqrt"


class MlpParams(Section):
    """Hyperparameters of `mlp`."""

    hidden_layer_sizes: Annotated[list[Count], Field(min_length=1)] = [64, 32]
    alpha: Annotated[float, Field(ge=0)] = 0.01
    learning_rate_init: Positive = 0.001
    max_iter: Count = 200
    early_stopping: bool = True


class KMeansParams(Section):
    """Hyperparameters of `kmeans`."""

    n_clusters: Annotated[int, Field(ge=2)] = 5
    n_init: Count = 10
    max_iter: Count = 300


HYPERPARAMETERS: dict[Task, dict[str, type[Section]]] = {
    "classification": {
        "linear": LogisticRegressionParams,
        "boosting": BoostingParams,
        "forest": ForestParams,
        "mlp": MlpParams,
    },
    "regression": {
        "linear": RidgeParams,
        "boosting": BoostingParams,
        "forest": ForestParams,
        "mlp": MlpParams,
    },
    "clustering": {"kmeans": KMeansParams},
}


def _class_name(key: object) -> object:
    """A class as its name: unquoted in YAML, `true` and `1` are none."""
    return str(key).lower() if isinstance(key, bool) else str(key) if isinstance(key, int) else key


ClassName = Annotated[str, BeforeValidator(_class_name)]
# Of one unit that a prediction is off.
Loss = Annotated[float, Field(le=0)]


class Value(Section):
    """What a prediction is worth to those who act on it; costs are negative.

    Attributes:
        currency: what is counted: EUR, minutes.
        per: for classification: of each class that is true, the value of each that is predicted.
        threshold: for two classes: act as if the second were predicted from this probability on;
            None to go by the prediction.
        over, under: for regression: of each unit that a prediction is too high, too low.
    """

    currency: Annotated[str, Field(min_length=1)]
    per: dict[ClassName, dict[ClassName, float]] | None = None
    threshold: Fraction | None = None
    over: Loss | None = None
    under: Loss | None = None

    @model_validator(mode="after")
    def _each_outcome_has_a_value(self) -> Self:
        per = self.per or {}
        for truth, predicted in per.items():
            if predicted.keys() != per.keys():
                raise ValueError(
                    f"per.{truth}: must hold a value for each class that `per` has: "
                    f"{', '.join(per)}"
                )
        if self.threshold is not None and len(per) != 2:
            raise ValueError("`threshold` is for two classes")
        return self

    def misfit(self, task: Task) -> str | None:
        """How this is not what the task takes; None when it is."""
        wanted = {"classification": {"per"}, "regression": {"over", "under"}}.get(task)
        if wanted is None:
            return f"there is none for {task}"
        given = {name for name in ("per", "over", "under") if getattr(self, name) is not None}
        if given != wanted:
            return f"{task} takes {' and '.join(f'`{name}`' for name in sorted(wanted))}"
        return None


class Evaluate(Section):
    """How the model is examined."""

    importance_rows: Count
    slice_rows: Count
    value: Value | None = None


class Bounds(Section):
    """The lowest and the highest value allowed."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if all(value is None for value in self.__dict__.values()):
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` is above `max`: {self.min:g}, {self.max:g}")
        return self

    def outside(self, name: str, value: float | None) -> str | None:
        """How `value`, called `name`, is not within the bounds; None when it is."""
        if self.min is None and self.max is None:
            return None
        if value is None:
            return f"{name}: has no value on the test rows"
        if self.min is not None and value < self.min:
            return f"{name}: {value:g} is below {self.min:g}"
        if self.max is not None and value > self.max:
            return f"{name}: {value:g} is above {self.max:g}"
        return None


class Gate(Bounds):
    """What a metric of the test rows must keep.

    Attributes:
        regression: how much worse than the champion's it may be, in the metric's unit; 0 for "not
            worse". Chance is allowed for: see reporting.compare.
        slices: bounds on each value of a column with role slice.
    """

    regression: Annotated[float, Field(ge=0)] | None = None
    slices: dict[str, Bounds] | None = None


class Compare(Section):
    """How champion and challenger are compared: see reporting.compare."""

    resamples: Annotated[int, Field(ge=20)]
    confidence: Fraction
    rows: Count


class Verify(Section):
    """How closely the ONNX model must follow the scikit-learn one."""

    tolerance: Positive
    edge_rows: Count


class Monitoring(Section):
    """When `mlops monitor` raises an alarm: see docs/monitor.md.

    Attributes:
        window_days: how long a window is, which is judged as a whole.
        false_alarms: the share of windows that may raise one though nothing has changed.
        minimum_rows: a window with fewer is not judged.
        minimum_effect: the least distance from the reference that matters, from 0 to 1.
        regression: how much worse a metric may be than on the test rows, as a share of its value
            there. Chance is allowed for.
        ignore: columns that are shown and raise no alarm.
    """

    window_days: Count = 7
    false_alarms: Fraction = 0.05
    minimum_rows: Count = 200
    minimum_effect: Annotated[float, Field(ge=0, lt=1)] = 0.1
    regression: Annotated[float, Field(ge=0)] = 0.1
    ignore: list[str] = []


class Retraining(Section):
    """When `retrain` is started by itself: see docs/retrain.md.

    Attributes:
        environment: whose alarms start it.
        alarms: those that do: defects of the data are mended, and not learned.
        cool_down_days: how long after one was started the next may be.
        weekly: how many may be started in seven days.
    """

    environment: str = "prod"
    alarms: list[Literal["drift", "performance"]] = ["drift", "performance"]
    cool_down_days: Annotated[float, Field(ge=0)] = 3
    weekly: Annotated[int, Field(ge=0)] = 2


class Params(Section):
    """The whole of params.yaml."""

    task: Task
    source: Source
    split: Split
    train: Train
    estimators: dict[str, dict[str, Any]]
    evaluate: Evaluate
    gates: dict[str, Gate]
    compare: Compare
    verify: Verify
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()

    @model_validator(mode="after")
    def _estimators_fit_the_task(self) -> Self:
        mistakes = [*self._unknown_estimators()] or [*self._wrong_hyperparameters()]
        if self.train.interval is not None and self.task != "regression":
            mistakes.append("train.interval: prediction intervals are for regression only")
        if self.evaluate.value and (misfit := self.evaluate.value.misfit(self.task)):
            mistakes.append(f"evaluate.value: {misfit}")
        if mistakes:
            raise ValueError("\n".join(dict.fromkeys(mistakes)))  # a key: once, not for each value
        return self

    def _unknown_estimators(self) -> Iterator[str]:
        known = HYPERPARAMETERS[self.task]
        for where, names in (
            ("train.estimator", [self.train.estimator]),
            ("estimators", self.estimators),
            ("train.search.space", self.train.search.space),
        ):
            for name in names:
                if name not in known:
                    yield (
                        f"{where}: {name!r} is no estimator for {self.task}; "
                        f"choose from {', '.join(known)}"
                    )
        if self.train.estimator not in self.estimators:
            yield f"estimators.{self.train.estimator}: this key is missing"

    def _wrong_hyperparameters(self) -> Iterator[str]:
        for name in self.estimators:
            yield from _mistakes(f"estimators.{name}", partial(self.hyperparameters, name))
        for name, space in self.train.search.space.items():
            # Alone, so that a mistake in `estimators` is not told once more for each value.
            check = HYPERPARAMETERS[self.task][name].model_validate
            for key, values in space.items():
                for value in values:
                    yield from _mistakes(f"train.search.space.{name}", partial(check, {key: value}))

    def hyperparameters(self, name: str, changed: dict[str, Any] | None = None) -> Section:
        """The typed hyperparameters of the estimator `name`, with `changed` ones in their place.

        Raises pydantic.ValidationError where one is unknown or out of bounds.
        """
        model = HYPERPARAMETERS[self.task][name]
        return model.model_validate(self.estimators.get(name, {}) | (changed or {}))


def _mistakes(where: str, check: Callable[[], object]) -> list[str]:
    try:
        check()
    except ValidationError as error:
        return [f"{where}.{line}" for line in explain(error)]
    return []


def load_params(path: Path = PARAMS) -> Params:
    """Read and check params.yaml. Raises InputError, one line a mistake."""
    return load(path, Params)
