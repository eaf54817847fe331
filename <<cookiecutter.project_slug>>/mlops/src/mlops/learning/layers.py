"""What a trained network computes: layers with numbers, applied by NumPy in float32.

Nothing is drawn at random here: dropout leaves no trace, and a batch normalisation is what it
learned of the training rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config.network import Activation

# What is added to a variance before it divides.
EPSILON = 1e-5
# How steep leaky_relu is below 0.
LEAK = 0.01


def affine(x: Any, weights: Any, bias: Any) -> Any:
    """A dense layer, of NumPy or of JAX."""
    return x @ weights + bias


def normalised(x: Any, scale: Any, shift: Any) -> Any:
    """A layer normalisation, of NumPy or of JAX."""
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    return centred / (variance + EPSILON) ** 0.5 * scale + shift


def activations(library: Any) -> dict[Activation, Callable[[Any], Any]]:
    """What each activation computes.

    Args:
        library: `numpy`, or `jax.numpy`.
    """

    def sigmoid(x: Any) -> Any:
        return (1 + library.tanh(x / 2)) / 2

    def gelu(x: Any) -> Any:
        """By its tanh: Hendrycks and Gimpel, "Gaussian error linear units", 2016."""
        return x * (1 + library.tanh(GELU[0] * (x + GELU[1] * x * x * x))) / 2

    return {
        "relu": lambda x: library.maximum(x, 0),
        "leaky_relu": lambda x: library.maximum(x, LEAK * x),
        "elu": lambda x: library.maximum(x, 0) + library.exp(library.minimum(x, 0)) - 1,
        "gelu": gelu,
        "silu": lambda x: x * sigmoid(x),
        "tanh": library.tanh,
        "sigmoid": sigmoid,
    }


GELU = (float(np.sqrt(2 / np.pi)), 0.044715)
ACTIVATIONS = activations(np)


@dataclass(frozen=True)
class Embedded:
    """Numbers for categories, instead of the places of these, which are the last columns.

    Attributes:
        tables: for each such column, shape (categories + 1, numbers); the last row is that of all
            which training never saw, the mean over its rows.
        numbers: how many columns there are before them.
    """

    tables: list[np.ndarray]
    numbers: int

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The other columns, and the numbers after them; shape (rows, columns)."""
        numbers, places = np.split(x, [self.numbers], axis=1)
        chosen = [
            table[place] for table, place in zip(self.tables, places.astype("int64").T, strict=True)
        ]
        return np.concatenate([numbers, *chosen], axis=1)


@dataclass(frozen=True)
class Affine:
    """A dense layer: weights of shape (in, out), bias of shape (out,)."""

    weights: np.ndarray
    bias: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Shape (rows, in) to (rows, out)."""
        made: np.ndarray = affine(x, self.weights, self.bias)
        return made


@dataclass(frozen=True)
class Scaled:
    """A batch normalisation: a number to multiply each unit by, and one to add."""

    scale: np.ndarray
    shift: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """In its shape, (rows, units)."""
        return x * self.scale + self.shift


@dataclass(frozen=True)
class Normalised:
    """A layer normalisation."""

    scale: np.ndarray
    shift: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """In its shape, (rows, units)."""
        made: np.ndarray = normalised(x, self.scale, self.shift)
        return made


@dataclass(frozen=True)
class Activated:
    """An activation."""

    name: Activation

    def apply(self, x: np.ndarray) -> np.ndarray:
        """In its shape."""
        made: np.ndarray = ACTIVATIONS[self.name](x)
        return made


@dataclass(frozen=True)
class Added:
    """A residual block: what its layers make of the units, added to these."""

    layers: list["Layer"]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """In its shape, (rows, units)."""
        return x + run(self.layers, x)


Layer = Embedded | Affine | Scaled | Normalised | Activated | Added


def run(layers: list[Layer], x: np.ndarray) -> np.ndarray:
    """Apply layers one after the other."""
    for layer in layers:
        x = layer.apply(x)
    return x
