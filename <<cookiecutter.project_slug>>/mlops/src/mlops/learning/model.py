"""A trained model as scikit-learn has it, with what its predictions mean."""

import filecmp
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ..config.section import Task
from ..errors import ProjectError, first_line, needs_group, own_code
from ..files import replacing
from ..paths import CANDIDATE, MODEL
from ..project import module, shown, wrong
from .declared import Declared
from .features import DeclaredFeatures
from .interval import Interval
from .mixture import Mixture as Mixture  # which a pickle may name: loading depends on it
from .network import NetworkClassifier as NetworkClassifier  # likewise

if TYPE_CHECKING:
    # Which a pickle may name, too, where their groups are installed: loading depends on them.
    from . import lightgbm as lightgbm
    from . import xgboost as xgboost

# Libraries that a pickle may need and that dependency groups of their names bring.
GROUPS = ("lightgbm", "xgboost")

# Predictions by name, each with a row first: `prediction` (rows,) always; `probability` (rows,
# classes) for classification; `lower`, `upper` (rows,) where regression has an interval;
# `distances` (rows, clusters) to each centre for clustering.
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Scale:
    """Where an output lies on the training rows, in its own unit; shape () or (width,) each.

    Attributes:
        center: its mean.
        spread: its standard deviation: a difference is small or large beside it.
    """

    center: np.ndarray
    spread: np.ndarray

    @staticmethod
    def of(values: np.ndarray) -> "Scale":
        """That of the values of an output, shape (rows,) or (rows, width)."""
        exact = values.astype("float64")
        return Scale(exact.mean(axis=0), exact.std(axis=0))


@dataclass(frozen=True)
class Threshold:
    """From which probability on the second of two classes is predicted.

    Attributes:
        at: the probability, a float32, in which ONNX compares.
        by: the metric that chose it; None where params.yaml says the number.
        worth: what predictions were worth then, as evaluate.value has it; None by another metric.
    """

    at: float
    by: str | None = None
    worth: dict[str, Any] | None = None


@dataclass(frozen=True)
class Model:
    """A trained pipeline and the names of what goes in and comes out.

    Attributes:
        task: decides which outputs there are.
        pipeline: raw columns in (inputs.model_inputs), predictions out.
        scales: where each output that is a number lies on the training rows.
        rows: how many rows it learned from.
        classes: the classes in the order of the probabilities; None unless classification.
        interval: of a regression, between which numbers truth is expected; None without one.
        categories: those that training saw, by feature.
        background: made rows that answers are explained against; empty without.
        threshold: from which probability on the second of two classes is predicted; None for the
            likelier.
    """

    task: Task
    pipeline: Pipeline
    scales: dict[str, Scale]
    rows: int
    classes: list[str] | None = None
    interval: Interval | None = None
    categories: dict[str, list[str]] = field(default_factory=dict)
    background: dict[str, list[Any]] = field(default_factory=dict)
    threshold: Threshold | None = None

    @property
    def declared(self) -> Declared | None:
        """What features.yaml said when it was trained; None where that was nothing."""
        first = self.pipeline[0]
        return first.declared if isinstance(first, DeclaredFeatures) else None

    def predict(self, inputs: pd.DataFrame) -> Outputs:
        """The outputs for `inputs` as inputs.model_inputs makes them.

        Raises InputError where the owner's features are not what a model can take.
        """
        return outputs(self.task, self.pipeline, self.interval, inputs, self.threshold)

    def save(self, path: Path = MODEL) -> None:
        """Write the model with joblib. It stays in this pipeline; ONNX is what is served."""
        with replacing(path) as temporary:
            joblib.dump(self, temporary)

    @staticmethod
    def load(path: Path = MODEL) -> "Model":
        """Read a model that `save` wrote. Only from files of your own: a pickle can run code.

        Raises InputError where the library of its estimator is not installed.
        """
        try:
            model = joblib.load(path)
        except ModuleNotFoundError as error:
            if error.name not in GROUPS:
                raise
            raise needs_group(f"{path}: the estimator", error.name) from error
        assert isinstance(model, Model)
        return model


def is_refitted() -> bool:
    """Whether the model that is served is another than the candidate, which was judged."""
    return not filecmp.cmp(CANDIDATE, MODEL, shallow=False)


def outputs(
    task: Task,
    pipeline: Pipeline,
    interval: Interval | None,
    inputs: pd.DataFrame,
    threshold: Threshold | None = None,
) -> Outputs:
    """What a pipeline says of `inputs`, with the interval around a number where there is one.

    With a threshold the second class is predicted where its probability is at least that.

    Raises InputError where the owner's features are not what a model can take.
    """
    features, estimator = pipeline[:-1], pipeline[-1]
    with explained(features, inputs):
        made = features.transform(inputs) if len(features) else inputs
        found = {"prediction": estimator.predict(made)}
        if task == "classification":
            found["probability"] = estimator.predict_proba(made)
            if threshold is not None:
                is_second = found["probability"][:, 1] >= threshold.at
                found["prediction"] = estimator.classes_[is_second.astype(int)]
        if task == "clustering":
            found["distances"] = estimator.transform(made)
    if (rows := len(found["prediction"])) != len(inputs):
        raise wrong("features", "preprocessing", _few_rows(rows, len(inputs)))
    if interval is not None:
        found["lower"], found["upper"] = interval.ends(inputs, found["prediction"])
    return found


def scales(task: Task, found: Outputs) -> dict[str, Scale]:
    """The scale of each output that is a number, by its name."""
    labels = {"prediction"} if task != "regression" else set()
    return {name: Scale.of(values) for name, values in found.items() if name not in labels}


@contextmanager
def explained(features: Pipeline, inputs: pd.DataFrame, fitted: bool = True) -> Iterator[None]:
    """Tell of an error with `inputs` whether the owner's features are what is wrong.

    Args:
        features: the steps of the pipeline before its model.
        inputs: rows, as inputs.model_inputs.
        fitted: whether the features are; else they are fitted on these rows.
    Raises:
        InputError: they make nothing of the rows, or too few rows, texts, or missing numbers.
    """
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:
        if not hasattr(module("features"), "preprocessing") or own_code(error):
            raise  # not theirs, or it names their line
        if why := _fault(features, inputs, fitted):
            raise wrong("features", "preprocessing", why) from error
        raise


def _fault(features: Pipeline, inputs: pd.DataFrame, fitted: bool) -> str | None:
    """What is wrong with what features make of rows; None where it is what a model can take."""
    try:
        made = features.transform(inputs) if fitted else clone(features).fit_transform(inputs)
    except Exception as error:
        return f"its steps fail: {type(error).__name__}: {first_line(error)[:200]}"
    if not hasattr(made, "shape") or made.ndim != 2:
        return f"its steps make {shown(made)} of the rows; must make a table of numbers"
    if made.shape[0] != len(inputs):
        return _few_rows(made.shape[0], len(inputs))
    values: Any = made.data if issparse(made) else np.asarray(made)
    if values.dtype.kind not in "fiub":
        return f"its steps make values of type {values.dtype}; must make numbers"
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(0, bool)
    if missing.any():
        where = "" if missing.ndim == 1 else f" in column {int(missing.any(axis=0).argmax())}"
        return (
            f"its steps make missing numbers (NaN){where} of {values.shape[-1]}; fill them, as "
            "SimpleImputer does, or choose an estimator that takes them"
        )
    return None


def _few_rows(made: int, given: int) -> str:
    """What is wrong with features that drop or add rows."""
    return f"its steps make {made:,} rows of {given:,}; must keep each row, in its place"
