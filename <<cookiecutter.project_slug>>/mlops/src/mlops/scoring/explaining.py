"""Explaining: how much each input moved an answer, by the ONNX model alone.

Interventional Shapley values (Lundberg and Lee, "A unified approach to interpreting model
predictions", NeurIPS 2017): an input's share is what it changes, on average over all orders in
which inputs take their values in place of a background's. They add up to the answer less the mean
answer for the background. Few inputs are gone through in full; of many, orders are drawn, each with
its reverse (Castro, Gomez and Tejada, "Polynomial calculation of the Shapley value based on
sampling", Computers & Operations Research 36, 2009; Mitchell et al., JMLR 23, 2022).

Numpy and the model, as in the server: nothing of scikit-learn or pandas.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Protocol

import numpy as np

from ..errors import InputError

# So many inputs are gone through in full: 256 sets of them, each with every row of the background.
FEW = 8
# Pairs of orders for each row of the background.
PAIRS = 4

Columns = dict[str, np.ndarray]


class Asked(Protocol):
    """A model that answers rows, as OnnxModel does."""

    @property
    def inputs(self) -> dict[str, str]:
        """See OnnxModel."""

    @property
    def metadata(self) -> dict[str, Any]:
        """See OnnxModel."""

    def predict(self, columns: Columns) -> Columns:
        """See OnnxModel.predict."""


@dataclass(frozen=True)
class Explanation:
    """What moved an answer.

    Attributes:
        base: the mean answer for the background.
        answer: that for the row.
        shares: what each input added, by name, the strongest first.
        error: the largest standard error of a share; 0 where nothing was drawn.
    """

    base: float
    answer: float
    shares: dict[str, float]
    error: float


def background_of(model: Asked) -> Columns:
    """The background that travels with a model. Raises InputError where there is none."""
    recorded: dict[str, list[Any]] | None = model.metadata.get("background")
    if not recorded:
        raise InputError(
            "the model carries no background to explain against: make it again with "
            "`uv run dvc repro`"
        )
    texts = {name for name, kind in model.inputs.items() if kind == "tensor(string)"}
    return {
        name: np.array(values, dtype=object)
        if name in texts
        else np.array([np.nan if v is None else v for v in values], dtype="float32")
        for name, values in recorded.items()
    }


def explained_output(model: Asked, row: Columns) -> Callable[[dict[str, np.ndarray]], Any]:
    """What is explained of a row, shape (rows,): the number; of two classes how likely the second
    is, of more the one that is predicted.

    Raises InputError for clusters, which are no number.
    """
    is_explained(model)
    if not model.metadata.get("classes"):
        return lambda outputs: outputs["prediction"].reshape(-1)
    place = explained_class(model, row)
    return lambda outputs: outputs["probability"][:, place]


def is_explained(model: Asked) -> None:
    """Raise InputError where a model says clusters, which are no number."""
    if model.metadata.get("task") == "clustering":
        raise InputError("a cluster is no number that inputs could raise: there is no explanation")


def model_rows(inputs: int, background: int) -> int:
    """Rows that a model of so many inputs is asked for one explanation; of the background: some."""
    return background * (2**inputs if inputs <= FEW else 2 * PAIRS * (inputs + 1))


def explained_class(model: Asked, row: Columns) -> int:
    """The place of the class that is explained among the probabilities."""
    classes = model.metadata["classes"]
    return 1 if len(classes) == 2 else int(model.predict(row)["probability"][0].argmax())


def explain(model: Asked, row: Columns, background: Columns) -> Explanation:
    """Explain the answer for a row.

    Args:
        model: is asked.
        row: an array of shape (1,) an input, as the model takes them.
        background: of shape (rows,) each: see `background_of`.
    Raises:
        InputError: the model says what is no number.
    """
    of = explained_output(model, row)

    def ask(columns: Columns) -> np.ndarray:
        return np.asarray(of(model.predict(columns)), dtype="float64")

    names = [*model.inputs]
    answer, base = float(ask(row)[0]), float(ask(background).mean())
    few = len(names) <= FEW
    shares, error = (_exact if few else _sampled)(ask, names, row, background)
    order = np.argsort(-np.abs(shares), kind="stable")
    return Explanation(base, answer, {names[i]: float(shares[i]) for i in order}, error)


def _mixed(names: list[str], row: Columns, background: Columns, taken: np.ndarray) -> Columns:
    """Rows that have the row's value where `taken`, shape (rows, inputs), else the background's."""
    return {
        name: np.where(taken[:, i], row[name][0], background[name]).astype(row[name].dtype)
        for i, name in enumerate(names)
    }


def _exact(
    ask: Callable[[Columns], np.ndarray], names: list[str], row: Columns, background: Columns
) -> tuple[np.ndarray, float]:
    """All sets of inputs, each with every row of the background."""
    count, rows = len(names), len(background[names[0]])
    sets = np.array([[code // 2**i % 2 for i in range(count)] for code in range(2**count)], bool)
    repeated = {name: np.tile(values, len(sets)) for name, values in background.items()}
    asked = ask(_mixed(names, row, repeated, np.repeat(sets, rows, axis=0)))
    worth = asked.reshape(len(sets), rows).mean(axis=1)
    shares = np.zeros(count)
    for i in range(count):
        others = [j for j in range(count) if j != i]
        for size in range(count):
            weight = 1 / (count * comb(count - 1, size))
            for some in combinations(others, size):
                without = sum(2**j for j in some)
                shares[i] += weight * (worth[without + 2**i] - worth[without])
    return shares, 0.0


def _sampled(
    ask: Callable[[Columns], np.ndarray], names: list[str], row: Columns, background: Columns
) -> tuple[np.ndarray, float]:
    """Orders drawn with a fixed seed, and their reverses, as many for each background row."""
    count, rows = len(names), len(background[names[0]])
    rng = np.random.default_rng(0)
    pairs = rows * PAIRS
    orders = np.array([rng.permutation(count) for _ in range(pairs)])
    both = np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, count)
    place = np.argsort(both, axis=1)
    # Row k of an order has taken its first k inputs.
    taken = place[:, None, :] < np.arange(count + 1)[None, :, None]
    which = np.repeat(np.arange(len(both)) // 2 % rows, count + 1)
    chosen = {name: values[which] for name, values in background.items()}
    asked = ask(_mixed(names, row, chosen, taken.reshape(-1, count)))
    steps = np.diff(asked.reshape(len(both), count + 1), axis=1)
    shares = np.empty_like(steps)
    np.put_along_axis(shares, both, steps, axis=1)
    paired = shares.reshape(pairs, 2, count).mean(axis=1)
    error = float((paired.std(axis=0, ddof=1) / np.sqrt(pairs)).max())
    return paired.mean(axis=0), error
