"""The estimator `network`: layers that params.yaml declares, as scikit-learn has estimators."""

from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from ..config.network import Network
from ..errors import needs_group
from .layers import Affine, run

GROUP = "network"
# Fewer rows are not parted: all are learned from, in all epochs.
FEWEST = 20


class BaseNetwork(BaseEstimator):
    """What both kinds of network have in common; its settings are config.network.Network's.

    The columns of categories with an embedding come last, in the order of `embeddings`: the place
    of each among those that training saw, or their number for any other.

    Attributes:
        layers_: what was learned, see layers.
        loss_curve_, validation_loss_curve_: by epoch; the second is empty without early stopping.
        epoch_: after which the layers are.
    """

    def __init__(
        self,
        layers: list[Any],
        embeddings: dict[str, int],
        loss: str,
        optimiser: str,
        learning_rate: float,
        weight_decay: float,
        schedule: str,
        warmup: float,
        clip: float | None,
        epochs: int,
        batch_size: int,
        early_stopping: int | None,
        validation_share: float,
        class_weight: str | None = None,
        random_state: int = 0,
    ) -> None:
        """Take the settings; those that only a classification has are left out elsewhere."""
        self.layers = layers
        self.embeddings = embeddings
        self.loss = loss
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.clip = clip
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_share = validation_share
        self.class_weight = class_weight
        self.random_state = random_state

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are layers."""
        return hasattr(self, "layers_")

    def _learn(
        self, inputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None, outputs: int
    ) -> None:
        """Train on rows.

        Args:
            inputs: shape (rows, columns).
            target: as descent.Rows has it.
            weight: how much each row counts, shape (rows,).
            outputs: how many scores are learned.
        """
        from . import descent

        settings = {name: getattr(self, name) for name in Network.model_fields}
        network, count = Network.model_validate(settings), len(self.embeddings)
        matrix = np.asarray(inputs, dtype="float32")
        self.n_features_in_ = matrix.shape[1]
        numbers, places = np.split(matrix, [matrix.shape[1] - count], axis=1)
        counted = np.ones(len(target)) if weight is None else np.asarray(weight, dtype="float64")
        rows = descent.Rows(
            numbers, places.astype("int32"), target, (counted / counted.mean()).astype("float32")
        )
        sizes = [int(each.max()) + 1 for each in rows.places.T]
        learn, judge = rows, None
        if network.early_stopping and len(target) >= FEWEST:
            first, second = self._parted(target)
            learn, judge = rows.take(first), rows.take(second)
        trained = descent.descend(
            network, self.loss, learn, judge, sizes, outputs, self.random_state
        )
        self.layers_ = trained.layers
        self.loss_curve_ = trained.losses
        self.validation_loss_curve_ = trained.validation_losses
        self.epoch_ = trained.epoch

    def _parted(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of rows to learn from and to stop by; each class in both where it can be."""
        rows, classes = np.arange(len(target)), None
        part = max(int(self.validation_share * len(rows)), 1)
        if target.dtype.kind == "i":
            counts = np.bincount(target)
            if counts[counts > 0].min() > 1 and np.count_nonzero(counts) <= part:
                classes = target
        found = train_test_split(
            rows, test_size=part, random_state=self.random_state, stratify=classes
        )
        return np.sort(found[0]), np.sort(found[1])

    def _scores(self, inputs: np.ndarray) -> np.ndarray:
        """Shape (rows, outputs), float32."""
        return run(self.layers_, np.asarray(inputs, dtype="float32"))


class NetworkClassifier(ClassifierMixin, BaseNetwork):
    """A declared network that tells classes apart, by as many scores."""

    def fit(
        self, inputs: np.ndarray, target: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> Self:
        """Train on rows, shape (rows, columns), and their classes, shape (rows,)."""
        self.classes_, places = np.unique(target, return_inverse=True)
        if self.class_weight is not None:
            balance = compute_sample_weight(self.class_weight, target)
            sample_weight = balance if sample_weight is None else balance * sample_weight
        self._learn(inputs, places.astype("int32"), sample_weight, len(self.classes_))
        return self

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        """The probability of each class, shape (rows, classes), float32."""
        found: np.ndarray = softmax(self._scores(inputs), axis=1)
        return found

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """The likeliest class of each row, shape (rows,)."""
        found: np.ndarray = self.classes_[self._scores(inputs).argmax(axis=1)]
        return found


class NetworkRegressor(RegressorMixin, BaseNetwork):
    """A declared network that predicts a number, or with `loss: poisson` its logarithm."""

    def fit(self, inputs: np.ndarray, target: np.ndarray) -> Self:
        """Train on rows, shape (rows, columns), and their numbers, shape (rows,).

        It learns of numbers of mean 0 and variance 1, or of mean 1 where it learns logarithms; the
        last layer then has the target's own unit.
        """
        exact = np.asarray(target, dtype="float64")
        is_logarithm = self.loss == "poisson"
        centre, spread = float(exact.mean()), float(exact.std()) or 1.0
        unit = exact / (centre or 1.0) if is_logarithm else (exact - centre) / spread
        self._learn(inputs, unit.astype("float32"), None, 1)
        end = self.layers_[-1]
        assert isinstance(end, Affine)
        moved = (
            Affine(end.weights, end.bias + np.log(centre or 1.0))
            if is_logarithm
            else Affine(end.weights * spread, end.bias * spread + centre)
        )
        moved = Affine(moved.weights.astype("float32"), moved.bias.astype("float32"))
        self.layers_ = [*self.layers_[:-1], moved]
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """The number of each row, shape (rows,), float32."""
        found = self._scores(inputs)[:, 0]
        return np.exp(found) if self.loss == "poisson" else found


def needed(kind: type[BaseNetwork]) -> Any:
    """What makes a network. Raises InputError where what trains it is not installed."""

    def made(**settings: Any) -> BaseNetwork:
        if find_spec("jax") is None or find_spec("optax") is None:
            raise needs_group("train.estimator network", GROUP)
        return kind(**settings)

    return made
