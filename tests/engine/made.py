"""Small contracts, data and models, made for the tests: none of them depends on the project's own.

`size` decides the target; the other columns tell nothing about it.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from mlops.config.params import Params
from mlops.data.contract import Contract, conform
from mlops.data.inputs import model_inputs, target_values
from mlops.learning.conversion import to_onnx
from mlops.learning.estimators import build, finish
from mlops.learning.model import Model
from mlops.pipeline.train import described, measured_interval

ROWS = 400

COLUMNS: dict[str, dict[str, Any]] = {
    "size": {"kind": "numeric", "role": "feature", "nullable": True},
    "rank": {"kind": "numeric", "role": ["feature", "slice"]},
    "wet": {"kind": "boolean", "role": "feature", "nullable": True},
    "colour": {"kind": "categorical", "role": ["feature", "slice"], "nullable": True},
    "noise": {"kind": "numeric", "role": "feature"},
}

# What can be predicted, by name: the task, and the column that is the target.
TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("classification", {"large": {"kind": "boolean", "role": "target"}}),
    "multiclass": ("classification", {"grade": {"kind": "categorical", "role": "target"}}),
    "regression": ("regression", {"price": {"kind": "numeric", "role": "target"}}),
    "clustering": ("clustering", {}),
}

# Small, so that every estimator trains in a moment.
HYPERPARAMETERS: dict[str, dict[str, dict[str, Any]]] = {
    "classification": {
        "linear": {"C": 1.0, "max_iter": 1000},
        "elasticnet": {"C": 1.0, "l1_ratio": 0.5},
        "boosting": {
            "learning_rate": 0.2,
            "max_iter": 15,
            "max_leaf_nodes": 7,
            "min_samples_leaf": 5,
            "l2_regularization": 1.0,
        },
        "lightgbm": {"learning_rate": 0.2, "n_estimators": 15, "num_leaves": 7},
        "xgboost": {"n_estimators": 15, "max_depth": 3},
        "forest": {
            "n_estimators": 8,
            "max_depth": 6,
            "min_samples_leaf": 2,
            "max_features": "sqrt",
        },
        "extratrees": {"n_estimators": 8, "max_depth": 6},
        "mlp": {
            "hidden_layer_sizes": [8],
            "alpha": 0.01,
            "learning_rate_init": 0.02,
            "max_iter": 500,
            "early_stopping": True,
        },
        "network": {
            "layers": [
                {"dense": 8, "activation": "relu"},
                {"normalisation": "batch"},
            ],
            "learning_rate": 0.02,
            "batch_size": 64,
            "epochs": 40,
        },
    },
    "clustering": {
        "kmeans": {"n_clusters": 4, "n_init": 3, "max_iter": 100},
        "mixture": {"n_components": 4, "n_init": 2},
    },
}
HYPERPARAMETERS["regression"] = {
    **HYPERPARAMETERS["classification"],
    "linear": {"alpha": 1.0},
    "elasticnet": {"alpha": 0.1},
    "poisson": {"alpha": 0.1},
    "gamma": {"alpha": 0.1},
    "tweedie": {"alpha": 0.1, "power": 1.5},
    "quantile": {"quantile": 0.5},
}

# What predicts logarithms takes amounts: a target above 0.
AMOUNTS = {"amount": ("regression", {"amount": {"kind": "numeric", "role": "target"}})}
LOGARITHMIC = ("poisson", "gamma", "tweedie")

# Every estimator of the catalogue with everything it can predict.
PAIRS = [
    *(
        (what, name)
        for what, (task, _) in TARGETS.items()
        for name in HYPERPARAMETERS[task]
        if name not in LOGARITHMIC
    ),
    *(("amount", name) for name in LOGARITHMIC),
]


def task(what: str) -> Any:
    """The task of a target, by its name."""
    return (TARGETS | AMOUNTS)[what][0]


def contract_of(columns: dict[str, dict[str, Any]]) -> Contract:
    """The contract of `columns`, written as in contract.yaml."""
    return Contract.model_validate({"columns": columns})


def contract(what: str) -> Contract:
    """The contract of `rows(what)`."""
    return contract_of(COLUMNS | target_of(what))


def target_of(what: str) -> dict[str, dict[str, Any]]:
    """The column that is predicted, as in contract.yaml; none for a clustering."""
    return (TARGETS | AMOUNTS)[what][1]


@cache
def _rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.normal(0, 3, count)
    colour = rng.choice(["red", "green", "blue", 'Æ, "quoted"'], count)
    made = {
        "size": np.where(rng.random(count) < 0.1, np.nan, size),
        "rank": rng.integers(0, 5, count),
        "wet": pd.array(rng.random(count) < 0.4, "boolean"),
        "colour": np.where(rng.random(count) < 0.1, np.array(None, dtype=object), colour),
        "noise": rng.normal(0, 1, count),
        "large": size + rng.normal(0, 0.5, count) > 0,
        "grade": np.select([size < -2, size < 2], ["low", "middle"], "high"),
        "price": 100 + 20 * size + rng.normal(0, 1, count),
        "amount": 100 * np.exp(size / 8),
    }
    data = pd.DataFrame(made)
    data.loc[rng.random(count) < 0.1, "wet"] = pd.NA
    return data


def rows(what: str, count: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Rows that keep the contract: numbers, booleans and categories, some of them missing."""
    return conform(_rows(count, seed), contract(what))


def params(what: str, estimator: str, **train: Any) -> Params:
    """What params.yaml says, with changes to its section `train`."""
    return Params.model_validate(
        {
            "task": task(what),
            "source": {"path": "data/source.parquet"},
            "split": {"validation": 0.15, "test": 0.2, "seed": 1},
            "train": {
                "estimator": estimator,
                "seed": 1,
                "search": {"trials": 0, "space": {}},
                **train,
            },
            "estimators": HYPERPARAMETERS[task(what)],
            "evaluate": {"importance_rows": 200, "slice_rows": 20},
            "gates": {},
            "compare": {"resamples": 20, "confidence": 0.95, "rows": 1000},
            "verify": {"tolerance": 1e-4, "edge_rows": 300},
        }
    )


def fit(chosen: Params, given: Contract, data: pd.DataFrame, look_at: pd.DataFrame) -> Model:
    """A model as the stage `train` makes it."""
    name = chosen.train.estimator
    settings = chosen.hyperparameters(name)
    pipeline = build(chosen.task, name, settings, given, chosen.train.seed)
    pipeline.fit(model_inputs(data, given), target_values(data, given))
    finish(chosen.task, name, pipeline)
    interval = measured_interval(chosen, settings, given, pipeline, data, look_at)
    return described(pipeline, chosen, given, data, look_at, interval)


@cache
def trained(what: str, estimator: str) -> Model:
    """A model fitted on `rows(what)`; a regression has an interval that holds 0.9 of the rows."""
    interval = 0.9 if task(what) == "regression" else None
    chosen = params(what, estimator, interval=interval)
    return fit(chosen, contract(what), rows(what), rows(what, 200, seed=2))


def export(model: Model, given: Contract, path: Path) -> onnx.ModelProto:
    """Write the ONNX model with what it carries about itself, and return it."""
    proto = to_onnx(model, given)
    carried = {
        "task": model.task,
        "classes": model.classes,
        "contract": given.model_dump(mode="json", exclude_defaults=True),
    }
    told = {name: json.dumps(value) for name, value in carried.items() if value is not None}
    onnx.helper.set_model_props(proto, told)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, path)
    return proto
