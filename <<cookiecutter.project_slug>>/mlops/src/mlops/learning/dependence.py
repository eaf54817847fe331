"""How the strongest inputs move the answer, each by itself, by the ONNX model, which is served.

Numbers and moments: accumulated local effects (Apley and Zhu, "Visualizing the effects of predictor
variables in black box supervised learning models", Journal of the Royal Statistical Society B 82,
2020, section 2). In each row an input is moved between the ends of the interval that it is in, and
nowhere else: what goes together with it stays in place, which partial dependence pulls apart.

Categories have no order to move along. They are set in all rows: partial dependence (Friedman,
"Greedy function approximation: a gradient boosting machine", Annals of Statistics 29, 2001, section
8.2), by which a value may be set where it never occurs.
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
# What fewer rows have could tell of somebody: it is no value to be shown, nor an interval.
RARE = 10
# Kinds of inputs that have an order.
ORDERED = ("numeric", "datetime")
# Between these shares of the rows values are set: what is rare says little of a model.
ENDS = (0.05, 0.95)

Records = list[dict[str, Any]]


def dependence(
    model: Runnable, contract: Contract, rows: pd.DataFrame, names: list[str], how: Evaluate
) -> Records:
    """What a model answers on average by the value of some inputs, each by itself.

    Accumulated effects are moved so that their mean is that of the answers, to be read as such.

    Args:
        model: is asked for at most `importance_rows` rows, evenly spread, with each value of a
            category, or both ends of the interval that a number is in.
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
        for value, answers in _moved(model, asked, name, kind, grid(inputs[name], kind))
        for of, answer in zip(_classes(model, contract), answers, strict=True)
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


def _moved(
    model: Runnable, asked: dict[str, np.ndarray], name: str, kind: str, values: list[Any]
) -> list[tuple[Any, np.ndarray]]:
    """Values of an input, each with the mean answers, by class."""
    if kind in ORDERED:
        return accumulated(model, asked, name, values)
    given = asked[name]
    return [
        (value, _answers(model, asked | {name: np.full_like(given, value)}).mean(axis=0))
        for value in values
    ]


def accumulated(
    model: Runnable, asked: dict[str, np.ndarray], name: str, values: list[Any]
) -> list[tuple[Any, np.ndarray]]:
    """Accumulated local effects of an input at some of its values, about the mean answer.

    Args:
        model: is asked.
        asked: the model's inputs, each of shape (rows,).
        name: of an input with an order.
        values: rising. Those that would end an interval with fewer than RARE rows are left out.
    Returns:
        values, each with an answer for each class; none where no interval has enough rows.
    """
    given = asked[name]
    kept = _kept(given, np.array(values, dtype=given.dtype))
    if len(kept) < 2:
        return []
    ends = np.array(values, dtype=given.dtype)[kept]
    inside = (given >= ends[0]) & (given <= ends[-1])
    # An interval has its upper end, and the first one its lower end, too.
    place = np.maximum(np.searchsorted(ends, given[inside]), 1) - 1
    rows = {column: cells[inside] for column, cells in asked.items()}
    below, above = (_answers(model, rows | {name: ends[place + side]}) for side in (0, 1))
    counts = np.bincount(place)[:, None]
    local = np.zeros((len(counts), above.shape[1]))
    np.add.at(local, place, above - below)
    risen = np.vstack([np.zeros(local.shape[1]), np.cumsum(local / counts, axis=0)])
    mean = ((risen[:-1] + risen[1:]) / 2 * counts).sum(axis=0) / counts.sum()
    answers = risen - mean + _answers(model, asked).mean(axis=0)
    return [(values[place], answer) for place, answer in zip(kept, answers, strict=True)]


def _kept(given: np.ndarray, values: np.ndarray) -> list[int]:
    """The places of values between which enough rows are."""
    kept = [0] if len(values) else []
    for place in range(1, len(values)):
        low, high = values[kept[-1]], values[place]
        above = given >= low if len(kept) == 1 else given > low
        if (above & (given <= high)).sum() >= RARE:
            kept.append(place)
    return kept


def _classes(model: Runnable, contract: Contract) -> list[str]:
    """What answers are of: of two classes the second one, without classes the target."""
    classes = model.metadata.get("classes") or [str(contract.target)]
    return [classes[1]] if len(classes) == 2 else [*classes]


def _answers(model: Runnable, given: dict[str, np.ndarray]) -> np.ndarray:
    """The answer for each row, by class, as `_classes` has them; in double precision."""
    outputs = model.predict(given)
    if not model.metadata.get("classes"):
        return np.asarray(outputs["prediction"], dtype=float).reshape(-1, 1)
    probability = np.asarray(outputs["probability"], dtype=float)
    return probability[:, [1]] if probability.shape[1] == 2 else probability


def text(kind: str, value: Any) -> str:
    """A value that the model takes, as people read it."""
    if kind == "categorical":
        return shown(value)
    if kind == "boolean":
        return str(bool(value)).lower()
    if kind == "datetime":
        return f"{datetime.fromtimestamp(float(value) / 1e6, UTC):%Y-%m-%d %H:%M}"
    return f"{float(value):.6g}"
