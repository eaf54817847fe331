"""Partial dependence: what a model answers on average when one input is set to a value everywhere.

Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29,
2001, section 8.2. The ONNX model is asked, which is the one that is served. Inputs that go together
are pulled apart: a value may be set where it never occurs.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ..config.evaluate import Evaluate
from ..data.contract import Contract
from ..data.inputs import columns, model_inputs
from ..files import significant
from ..inference import Runnable
from ..printable import shown

# Inputs that are looked at, and values of each.
INPUTS, GRID = 4, 12
# What fewer rows have could tell of somebody: it is no value to be shown.
RARE = 10
# Between these shares of the rows values are set: what is rare says little of a model.
ENDS = (0.05, 0.95)

Records = list[dict[str, Any]]


def dependence(
    model: Runnable, contract: Contract, rows: pd.DataFrame, names: list[str], how: Evaluate
) -> Records:
    """What a model answers on average by the value of some inputs, each by itself.

    Args:
        model: is asked for at most `importance_rows` rows, evenly spread, a value.
        contract: a column that it has redacted is left out, and so are texts: none stands for many.
        rows: conformed.
        names: of the inputs, the strongest first; INPUTS of them are looked at.
        how: the model is examined.
    Returns:
        a record for each value and, of more than two classes, class: `column`, `value` as text,
        `answer` (a probability, of two classes that of the second, or the number) and the `class`
        that it is of, the target where there is none. None for clusters, which are no numbers.
    """
    if model.metadata.get("task") == "clustering":
        return []
    places = np.linspace(0, len(rows) - 1, min(how.importance_rows, len(rows))).astype(int)
    inputs = model_inputs(rows, contract)
    asked = columns(inputs.iloc[np.unique(places)])
    known = {name: contract.columns[name] for name in names}
    shown_names = [n for n, each in known.items() if not each.redact and each.kind != "text"]
    return [
        {"column": name, "value": text(kind, value), "answer": significant(answer), "class": of}
        for name in shown_names[:INPUTS]
        for kind in (contract.columns[name].kind,)
        for value in grid(inputs[name], kind)
        for of, answer in _answers(model, contract, asked, name, value)
    ]


def strongest(importance: Records) -> list[str]:
    """The inputs without which the model is worse, as `importance` has them, in its order."""
    return [str(each["column"]) for each in importance if each["importance"] > 0]


def grid(values: pd.Series, kind: str) -> list[Any]:
    """The values of an input that are shown: as the model takes them, missing ones left out."""
    counts = values[values != ""].value_counts()
    known = counts[counts >= RARE].index
    if kind == "categorical":
        return sorted(known[:GRID])
    if len(counts) <= GRID:
        return sorted(known)
    low, high = values.quantile(list(ENDS))
    points = np.linspace(low, high, GRID)
    if (values.dropna() % 1 == 0).all():
        return [*np.unique(points.round())]
    return [*dict.fromkeys(significant(float(each), 4) for each in points)]


def _answers(
    model: Runnable, contract: Contract, asked: dict[str, np.ndarray], name: str, value: Any
) -> list[tuple[str, float]]:
    """The mean answer where an input has a value everywhere, by class."""
    given = asked | {name: np.full_like(asked[name], value)}
    outputs = model.predict(given)
    classes = model.metadata.get("classes")
    if not classes:
        return [(str(contract.target), float(outputs["prediction"].mean()))]
    means = outputs["probability"].mean(axis=0)
    chosen = [1] if len(classes) == 2 else range(len(classes))
    return [(classes[i], float(means[i])) for i in chosen]


def text(kind: str, value: Any) -> str:
    """A value that the model takes, as people read it."""
    if kind == "categorical":
        return shown(value)
    if kind == "boolean":
        return str(bool(value)).lower()
    if kind == "datetime":
        return f"{datetime.fromtimestamp(float(value) / 1e6, UTC):%Y-%m-%d %H:%M}"
    return f"{float(value):.6g}"
