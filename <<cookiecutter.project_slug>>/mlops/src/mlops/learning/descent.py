"""How a declared network learns: gradient descent by JAX and optax, the dependency group `network`.

Imported only to train: what is learned are arrays of NumPy, see `layers`.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# One thread adds up in one order: the same weights on machines of two cores and of forty. XLA looks
# once, when it is imported.
os.environ["XLA_FLAGS"] = " ".join(
    [*os.environ.get("XLA_FLAGS", "").split(), "--xla_cpu_multi_thread_eigen=false"]
)

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..config.network import Activate, Dense, Dropout, Network, Normalisation, Residual
from ..config.section import Section
from ..errors import InputError
from ..paths import PARAMS
from . import layers as trained
from .layers import EPSILON, Affine, Embedded, affine, normalised

ACTIVATIONS = trained.activations(jnp)
# What begins with weights as these activations want them: He et al., "Delving deep into
# rectifiers", 2015; Glorot and Bengio, "Understanding the difficulty", 2010, for the others.
RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu")
# What a batch normalisation keeps of what it knew of the rows before.
KEPT = 0.9
MOMENTUM = 0.9
# How much less rows count that are predicted well: Lin et al., "Focal loss", 2017.
FOCUS = 2

# Weights and what else layers keep, in the order of the layers: a dictionary of arrays for each, a
# list of such for a residual block.
Tree = list[Any]


@dataclass(frozen=True)
class Rows:
    """Rows to learn from, or to judge by.

    Attributes:
        numbers: float32, shape (rows, columns).
        places: of categories with an embedding, int32, shape (rows, embeddings).
        target: places of classes, int32, or numbers, float32; shape (rows,).
        weight: how much each row counts, float32, shape (rows,).
    """

    numbers: np.ndarray
    places: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    def take(self, rows: np.ndarray) -> "Rows":
        """Some of them."""
        return Rows(*(each[rows] for each in self._arrays))

    @property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.numbers, self.places, self.target, self.weight

    def sent(self) -> tuple[jax.Array, ...]:
        """As JAX has them, on a GPU where there is one."""
        return tuple(map(jnp.asarray, self._arrays))


@dataclass(frozen=True)
class Trained:
    """What was learned.

    Attributes:
        layers: see layers.
        losses: the mean loss of each epoch's rows while they were learned from.
        validation_losses: of the rows to judge by after each epoch; empty without.
        epoch: after which, counted from 1, the weights are the layers'.
    """

    layers: list[trained.Layer]
    losses: list[float]
    validation_losses: list[float]
    epoch: int


def _cross_entropy(scores: jax.Array, target: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(scores, target)


def _focal(scores: jax.Array, target: jax.Array) -> jax.Array:
    entropy = _cross_entropy(scores, target)
    return (1 - jnp.exp(-entropy)) ** FOCUS * entropy


def _poisson(scores: jax.Array, target: jax.Array) -> jax.Array:
    """Of the logarithm of a mean, up to a constant."""
    return jnp.exp(scores[:, 0]) - target * scores[:, 0]


# The loss of each row, of scores of shape (rows, outputs).
LOSSES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "squared_error": lambda scores, target: (scores[:, 0] - target) ** 2,
    "absolute_error": lambda scores, target: jnp.abs(scores[:, 0] - target),
    "huber": lambda scores, target: optax.huber_loss(scores[:, 0], target),
    "poisson": _poisson,
}


def descend(
    network: Network,
    loss: str,
    learn: Rows,
    judge: Rows | None,
    sizes: Sequence[int],
    outputs: int,
    seed: int,
) -> Trained:
    """Train a network.

    Args:
        network: its layers, and how it learns.
        loss: one of LOSSES.
        learn: the rows to learn from.
        judge: the rows by which it stops early; None to run all epochs.
        sizes: how many categories each embedding has.
        outputs: how many scores it makes.
        seed: of weights, of dropout and of the order of rows.
    Raises:
        InputError: the loss is no number any more.
    """
    draw = np.random.default_rng(seed)
    weights, state = _begun(network, learn.numbers.shape[1], sizes, outputs, draw)
    size = min(network.batch_size, len(learn.target))
    batches = len(learn.target) // size
    compiled = _compiled(network.model_dump_json(), loss, batches, seed)
    carry, best = (weights, state, compiled.begin(weights)), (weights, state)
    rows, judges = learn.sent(), judge.sent() if judge else None
    losses: list[float] = []
    validation: list[float] = []
    kept, patience = 0, network.early_stopping or network.epochs
    for number in range(1, network.epochs + 1):
        order = draw.permutation(len(learn.target))[: batches * size].reshape(batches, size)
        carry, mean = compiled.epoch(carry, rows, order, number)
        losses.append(float(mean))
        if judges:
            validation.append(float(compiled.judge(*carry[:2], judges)))
        _check(number, [*losses[-1:], *validation[-1:]])
        if not judges or validation[-1] == min(validation):
            best, kept = carry[:2], number
        elif number - kept >= patience:
            break
    return Trained(_learned(network, learn, *best), losses, validation, kept)


def _check(number: int, losses: list[float]) -> None:
    if not all(map(math.isfinite, losses)):
        raise InputError(
            f"{PARAMS}: estimators.network: its loss is no number after epoch {number}; lower "
            "learning_rate, or set clip: 1"
        )


def rate(network: Network, steps: int) -> Callable[[Any], Any]:
    """The learning rate at each of so many steps, counted from 0."""
    rising = int(network.warmup * steps)

    def rate(step: Any) -> Any:
        share = jnp.clip((step - rising) / max(steps - rising, 1), 0, 1)
        fall: Any = {
            "constant": 1.0,
            "cosine": (1 + jnp.cos(math.pi * share)) / 2,
            "linear": 1 - share,
        }[network.schedule]
        return network.learning_rate * fall * jnp.minimum((step + 1) / (rising + 1), 1)

    return rate


def _optimiser(network: Network, batches: int) -> optax.GradientTransformation:
    how = rate(network, network.epochs * batches)
    decayed: dict[str, Any] = {"weight_decay": network.weight_decay, "mask": _decayed}
    first = [optax.clip_by_global_norm(network.clip)] if network.clip else []
    if network.optimiser == "adamw":
        return optax.chain(*first, optax.adamw(how, **decayed))
    descent = optax.sgd(how, MOMENTUM, nesterov=True)
    return optax.chain(*first, optax.add_decayed_weights(**decayed), descent)


def _decayed(weights: Any) -> Any:
    """Which arrays of weights decay: those that multiply units."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", "") == "weights", weights
    )


@dataclass(frozen=True)
class Compiled:
    """Functions that XLA compiles once for rows and weights of the same shapes.

    Attributes:
        begin: what the optimiser knows of weights at the beginning.
        epoch: learns from all rows once.
        judge: the mean loss of rows.
    """

    begin: Callable[..., Any]
    epoch: Callable[..., Any]
    judge: Callable[..., jax.Array]


@lru_cache(maxsize=8)
def _compiled(declared: str, loss: str, batches: int, seed: int) -> Compiled:
    """What trains a network, which is given in JSON: compiling takes longer than a small one."""
    network = Network.model_validate_json(declared)
    optimiser = _optimiser(network, batches)

    def objective(
        weights: Any, state: Tree, rows: tuple[jax.Array, ...], key: Any
    ) -> tuple[jax.Array, Tree]:
        """The mean loss of rows, and what batch normalisations know after them.

        Args:
            key: to draw by; None to judge.
        """
        numbers, places, target, weight = rows
        chosen = [table[places[:, i]] for i, table in enumerate(weights["tables"])]
        x = jnp.concatenate([numbers, *chosen], axis=1)
        x, state = _applied(network.layers, weights["layers"], state, x, key)
        losses = LOSSES[loss](affine(x, **weights["end"]), target)
        return (losses * weight).sum() / weight.sum(), state

    @jax.jit
    def epoch(
        carry: Any, rows: tuple[jax.Array, ...], order: jax.Array, number: jax.Array
    ) -> tuple[Any, jax.Array]:
        def step(carry: Any, drawn: Any) -> tuple[Any, jax.Array]:
            (weights, state, kept), (chosen, key) = carry, drawn
            some = tuple(each[chosen] for each in rows)
            gradient = jax.value_and_grad(objective, has_aux=True)
            (mean, state), slope = gradient(weights, state, some, key)
            change, kept = optimiser.update(slope, kept, weights)
            return (optax.apply_updates(weights, change), state, kept), mean

        key = jax.random.fold_in(jax.random.key(seed), number)
        carry, means = jax.lax.scan(step, carry, (order, jax.random.split(key, len(order))))
        return carry, means.mean()

    @jax.jit
    def judge(weights: Any, state: Tree, rows: tuple[jax.Array, ...]) -> jax.Array:
        return objective(weights, state, rows, None)[0]

    return Compiled(jax.jit(optimiser.init), epoch, judge)


def _applied(
    layers: Sequence[Section], weights: Tree, state: Tree, x: jax.Array, key: Any
) -> tuple[jax.Array, Tree]:
    """What layers make of units, shape (rows, units), and what they know then; see `objective`."""
    known: Tree = []
    for place, (layer, own, kept) in enumerate(zip(layers, weights, state, strict=True)):
        match layer:
            case Dense():
                x = affine(x, **own)
                x = ACTIVATIONS[layer.activation](x) if layer.activation else x
            case Activate():
                x = ACTIVATIONS[layer.activation](x)
            case Dropout() if key is not None:
                stays = jax.random.bernoulli(
                    jax.random.fold_in(key, place), 1 - layer.dropout, x.shape
                )
                x = jnp.where(stays, x / (1 - layer.dropout), 0)
            case Normalisation(normalisation="layer"):
                x = normalised(x, **own)
            case Normalisation():
                now = {"mean": x.mean(axis=0), "variance": x.var(axis=0)}
                used = kept if key is None else now
                kept = {name: KEPT * kept[name] + (1 - KEPT) * now[name] for name in kept}
                x = (x - used["mean"]) / jnp.sqrt(used["variance"] + EPSILON)
                x = x * own["scale"] + own["shift"]
            case Residual():
                own_key = None if key is None else jax.random.fold_in(key, place)
                made, kept = _applied(layer.residual, own, kept, x, own_key)
                x = x + made
        known.append(kept)
    return x, known


def _begun(
    network: Network, columns: int, sizes: Sequence[int], outputs: int, draw: np.random.Generator
) -> tuple[dict[str, Any], Tree]:
    """The weights at the beginning, and what layers know."""
    widths = [*network.embeddings.values()]
    tables = [
        (draw.standard_normal((size, width)) / math.sqrt(width)).astype("float32")
        for size, width in zip(sizes, widths, strict=True)
    ]
    layers, state, width = _drawn(network.layers, columns + sum(widths), draw)
    return {"tables": tables, "layers": layers, "end": _dense(draw, width, outputs, None)}, state


def _drawn(
    layers: Sequence[Section], size: int, draw: np.random.Generator
) -> tuple[Tree, Tree, int]:
    """The same of layers that take so many units, and how many there are after them."""
    weights: Tree = []
    state: Tree = []
    for layer in layers:
        made: Any = {}
        kept: Any = {}
        match layer:
            case Dense():
                made, size = _dense(draw, size, layer.dense, layer.activation), layer.dense
            case Normalisation():
                made = {"scale": _filled(1, size), "shift": _filled(0, size)}
                if layer.normalisation == "batch":
                    kept = {"mean": _filled(0, size), "variance": _filled(1, size)}
            case Residual():
                made, kept, size = _drawn(layer.residual, size, draw)
        weights.append(made)
        state.append(kept)
    return weights, state, size


def _dense(
    draw: np.random.Generator, size: int, units: int, activation: str | None
) -> dict[str, np.ndarray]:
    """Of variance 2 / in before a rectifier, of 2 / (in + out) before others."""
    variance = 2 / size if activation in RECTIFIERS else 2 / (size + units)
    drawn = draw.standard_normal((size, units)) * math.sqrt(variance)
    return {"weights": drawn.astype("float32"), "bias": _filled(0, units)}


def _filled(value: float, size: int) -> np.ndarray:
    return np.full(size, value, dtype="float32")


def _learned(
    network: Network, learn: Rows, weights: dict[str, Any], state: Tree
) -> list[trained.Layer]:
    """The layers with what they learned, as NumPy has it."""
    weights, state = jax.tree.map(np.asarray, (weights, state))
    found: list[trained.Layer] = []
    if weights["tables"]:
        chosen = zip(weights["tables"], learn.places.T, strict=True)
        usual = [(table, table[places].mean(axis=0, keepdims=True)) for table, places in chosen]
        tables = [np.concatenate(both) for both in usual]
        found.append(Embedded(tables, learn.numbers.shape[1]))
    found += _fixed(network.layers, weights["layers"], state)
    return [*found, Affine(**weights["end"])]


def _fixed(layers: Sequence[Section], weights: Tree, state: Tree) -> list[trained.Layer]:
    found: list[trained.Layer] = []
    for layer, own, kept in zip(layers, weights, state, strict=True):
        match layer:
            case Dense():
                found.append(Affine(**own))
                found += [trained.Activated(layer.activation)] if layer.activation else []
            case Activate():
                found.append(trained.Activated(layer.activation))
            case Normalisation(normalisation="layer"):
                found.append(trained.Normalised(**own))
            case Normalisation():
                scale = own["scale"] / np.sqrt(kept["variance"] + np.float32(EPSILON))
                found.append(trained.Scaled(scale, own["shift"] - kept["mean"] * scale))
            case Residual():
                found.append(trained.Added(_fixed(layer.residual, own, kept)))
    return found
