"""A trained model as scikit-learn has it, with what its predictions mean."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from .config.section import Task
from .files import replacing
from .paths import MODEL

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
class Model:
    """A trained pipeline and the names of what goes in and comes out.

    Attributes:
        task: decides which outputs there are.
        pipeline: raw columns in (inputs.model_inputs), predictions out.
        scales: where each output that is a number lies on the training rows.
        rows: how many rows it learned from.
        classes: the classes in the order of the probabilities; None unless classification.
        interval: half the width of the prediction interval, in the target's unit; None without one.
    """

    task: Task
    pipeline: Pipeline
    scales: dict[str, Scale]
    rows: int
    classes: list[str] | None = None
    interval: float | None = None

    def predict(self, inputs: pd.DataFrame) -> Outputs:
        """The outputs for `inputs` as inputs.model_inputs makes them."""
        return outputs(self.task, self.pipeline, self.interval, inputs)

    def save(self, path: Path = MODEL) -> None:
        """Write the model with joblib. It stays in this pipeline; ONNX is what is served."""
        with replacing(path) as temporary:
            joblib.dump(self, temporary)

    @staticmethod
    def load(path: Path = MODEL) -> "Model":
        """Read a model that `save` wrote. Only from files of your own: a pickle can run code."""
        model = joblib.load(path)
        assert isinstance(model, Model)
        return model


def outputs(
    task: Task, pipeline: Pipeline, interval: float | None, inputs: pd.DataFrame
) -> Outputs:
    """What a pipeline says of `inputs`, with the interval around a number where there is one."""
    found = {"prediction": pipeline.predict(inputs)}
    if task == "classification":
        found["probability"] = pipeline.predict_proba(inputs)
    if task == "clustering":
        found["distances"] = pipeline.transform(inputs)
    if interval is not None:
        found["lower"] = found["prediction"] - interval
        found["upper"] = found["prediction"] + interval
    return found


def scales(task: Task, found: Outputs) -> dict[str, Scale]:
    """The scale of each output that is a number, by its name."""
    labels = {"prediction"} if task != "regression" else set()
    return {name: Scale.of(values) for name, values in found.items() if name not in labels}


def digest(value: object) -> str:
    """SHA-256 of a value's JSON with sorted keys: the same for the same content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
