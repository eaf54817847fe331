"""A trained model as scikit-learn has it, with what its predictions mean."""

import hashlib
import json
from dataclasses import dataclass, field
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
class Model:
    """A trained pipeline and the names of what goes in and comes out.

    Attributes:
        task: decides which outputs there are.
        pipeline: raw columns in (inputs.model_inputs), predictions out.
        classes: the classes in the order of the probabilities; None unless classification.
        interval: half the width of the prediction interval, in the target's unit; None without one.
        categories: those that training saw, by feature.
    """

    task: Task
    pipeline: Pipeline
    classes: list[str] | None = None
    interval: float | None = None
    categories: dict[str, list[str]] = field(default_factory=dict)

    def predict(self, inputs: pd.DataFrame) -> Outputs:
        """The outputs for `inputs` as inputs.model_inputs makes them."""
        outputs = {"prediction": self.pipeline.predict(inputs)}
        if self.task == "classification":
            outputs["probability"] = self.pipeline.predict_proba(inputs)
        if self.task == "clustering":
            outputs["distances"] = self.pipeline.transform(inputs)
        if self.interval is not None:
            outputs["lower"] = outputs["prediction"] - self.interval
            outputs["upper"] = outputs["prediction"] + self.interval
        return outputs

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


def digest(value: object) -> str:
    """SHA-256 of a value's JSON with sorted keys: the same for the same content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
