"""A network that params.yaml declares: its layers by kind and size, and how it learns."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from .section import Count, Fraction, Positive, Searched, Section, searched

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
# Above, the weights between two layers take more than 256 MiB.
Size = Annotated[int, Field(ge=1, le=8192)]
NotNegative = Annotated[float, Field(ge=0)]


class Dense(Section):
    """Every unit takes all of the layer before it."""

    dense: Size
    activation: Activation | None = None


class Activate(Section):
    """An activation that stands alone, such as after a normalisation."""

    activation: Activation


class Dropout(Section):
    """Leaves so large a share of the units out at random while it learns."""

    dropout: Fraction


class Normalisation(Section):
    """Unit mean and variance: of each unit over a `batch` of rows, or of each row over a `layer`.

    Ioffe and Szegedy, "Batch normalization", 2015; Ba, Kiros and Hinton, "Layer normalization",
    2016.
    """

    normalisation: Literal["batch", "layer"]


class Residual(Section):
    """Layers whose result is added to what they took: He et al., "Deep residual learning", 2016."""

    residual: Annotated[list["Layer"], Field(min_length=1)]

    @property
    def has_weights(self) -> bool:
        """Whether anything in it is learned from all of its units."""
        return any(isinstance(layer, Dense | Residual) for layer in self.residual)


KINDS: dict[str, type[Section]] = {
    "dense": Dense,
    "dropout": Dropout,
    "normalisation": Normalisation,
    "residual": Residual,
    "activation": Activate,  # last, as a dense layer has one, too
}


def _kind(value: Any) -> str | None:
    """What a layer is: the first of its keys that is the name of a kind."""
    keys = value if isinstance(value, dict) else type(value).model_fields
    return next((kind for kind in KINDS if kind in keys), None)


def _written(value: Any) -> str | None:
    return _kind(value) if isinstance(value, dict | Section) else None


Layer = Annotated[
    Annotated[Dense, Tag("dense")]
    | Annotated[Activate, Tag("activation")]
    | Annotated[Dropout, Tag("dropout")]
    | Annotated[Normalisation, Tag("normalisation")]
    | Annotated[Residual, Tag("residual")],
    Discriminator(
        _written,
        custom_error_type="layer",
        custom_error_message=f"a layer is one of {', '.join(KINDS)} with its size or kind",
    ),
]
Residual.model_rebuild()


def size_after(layers: Iterable[Section], size: int | None = None) -> int | None:
    """How many units there are after some layers.

    Args:
        layers: one after the other.
        size: how many there are before them; None for those of the inputs, which data decides.
    Raises:
        ValueError: a residual block ends otherwise than it begins, or learns nothing.
    """
    for layer in layers:
        if isinstance(layer, Dense):
            size = layer.dense
        elif isinstance(layer, Residual):
            if size is None:
                raise ValueError("a residual block needs a dense layer before it, for its size")
            if not layer.has_weights:
                raise ValueError("a residual block needs a dense layer in it")
            end = size_after(layer.residual, size)
            if end != size:
                raise ValueError(
                    f"a residual block ends with {end} units and begins with {size}; its last "
                    f"dense layer must have {size}"
                )
    return size


def _fitting(layers: list[Any]) -> list[Any]:
    size_after(layers)
    return layers


Layers = Annotated[list[Layer], AfterValidator(_fitting)]


def _dense(*sizes: int) -> list[dict[str, Any]]:
    return [{"dense": size, "activation": "relu"} for size in sizes]


# What a search tries, unless params.yaml says otherwise.
SHAPES = [_dense(32), _dense(64, 32), _dense(128), _dense(128, 64)]


class Network(Section):
    """Hyperparameters of `network`.

    Attributes:
        layers: between the inputs and what is predicted, which has a layer of its own.
        embeddings: how many numbers stand for a category of each of these columns, and are learned.
        optimiser: `adamw` (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019),
            or `sgd` with Nesterov's momentum of 0.9.
        learning_rate: its largest; weight_decay: of the weights, not of biases.
        schedule: what becomes of the learning rate by the last epoch; warmup: in which share of
            them it rises from 0.
        clip: the largest norm of a gradient; None for any.
        epochs: how often all rows are learned from, at most; batch_size: how many at once.
        early_stopping: after how many epochs that are no better it stops; None for never. What
            was best stays.
        validation_share: of the rows to learn from, by which early stopping judges.
    """

    unsearched: ClassVar[frozenset[str]] = frozenset({"embeddings"})

    layers: Annotated[Layers, Searched(SHAPES)] = [
        Dense(dense=64, activation="relu"),
        Dense(dense=32, activation="relu"),
    ]
    embeddings: dict[str, Annotated[int, Field(ge=1, le=256)]] = {}
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[Positive, searched(3e-4, 3e-2, log=True)] = 0.003
    weight_decay: Annotated[NotNegative, searched(1e-6, 0.1, log=True)] = 0.0001
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip: Positive | None = None
    epochs: Count = 100
    batch_size: Count = 256
    early_stopping: Count | None = 10
    validation_share: Fraction = 0.1
