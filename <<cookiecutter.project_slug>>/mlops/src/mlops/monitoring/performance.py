"""How well the model does on rows whose truth is known, and what to expect before it is."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from ..config.compare import Compare
from ..judging.bootstrap import errors, interval
from ..learning.metrics import Metric, Scored, values
from .result import Measured

# How often the truth is drawn from what the model says of it.
DRAWS = 20


class Sample:
    """Rows of a stream, each as likely as any other, at most so many: those of the least keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys = np.zeros(0, "uint64")
        self._columns: dict[str, list[pa.Array]] = {}
        self.seen = 0

    def add(self, keys: np.ndarray, columns: dict[str, pa.Array]) -> None:
        """Take some rows; `keys` are as good as drawn at random."""
        self.seen += len(keys)
        self._keys = np.concatenate([self._keys, keys])
        for name, each in columns.items():
            self._columns.setdefault(name, []).append(each)
        if len(self._keys) > 2 * self._most:
            self._trim()

    def _trim(self) -> None:
        kept = np.sort(np.argsort(self._keys, kind="stable")[: self._most])
        self._keys = self._keys[kept]
        rows = pa.array(kept)
        for name, parts in self._columns.items():
            self._columns[name] = [pa.concat_arrays(parts).take(rows)]

    def columns(self) -> dict[str, pa.Array]:
        """The rows."""
        self._trim()
        return {name: parts[0] for name, parts in self._columns.items()}


def measure(metrics: Mapping[str, Metric], scored: Scored, how: Compare) -> dict[str, Measured]:
    """Metrics of some rows; one that has no value there, or on most resamples, is left out."""
    rows = len(scored.outputs["prediction"])
    spread = errors(lambda chosen: values(metrics, scored.rows(chosen)), metrics, rows, how)
    return {
        name: _measured(value, spread[name], how)
        for name, value in values(metrics, scored).items()
        if name in spread
    }


def _measured(value: float, error: float, how: Compare) -> Measured:
    return Measured(value, error, *interval(value, error, how))


def worse(metric: Metric, live: Measured, test: Measured, regression: float) -> float:
    """How likely a metric is this bad by chance, were it at most `regression` worse than it was.

    Both the live rows and the test rows are samples, and their errors independent.
    """
    difference = test.value - live.value
    if metric.better == "lower":
        difference = -difference
    beyond = difference - regression * abs(test.value)
    error = float(np.hypot(live.error, test.error))
    if error == 0:
        return 0.0 if beyond > 0 else 1.0
    return NormalDist().cdf(-beyond / error)


def expected(metrics: Mapping[str, Metric], scored: Scored, how: Compare) -> dict[str, Measured]:
    """The metrics that the model itself expects, of rows whose truth is not known.

    A calibrated probability says how often it is right: the truth is drawn from it, again and
    again (as in confidence-based estimation: Guillory et al., "Predicting with confidence on unseen
    distributions", ICCV 2021). It sees rows become harder, and never that the world has changed.
    """
    assert scored.classes is not None
    probability = scored.outputs["probability"].astype("float64")
    below = np.cumsum(probability / probability.sum(axis=1, keepdims=True), axis=1)
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(DRAWS):
        drawn = (rng.random((len(below), 1)) > below[:, :-1]).sum(axis=1)
        truth = Scored(scored.outputs, scored.classes[drawn], scored.classes)
        for name, value in values(metrics, truth).items():
            found[name].append(value)
    return {
        name: _measured(float(np.mean(each)), float(np.std(each, ddof=1)), how)
        for name, each in found.items()
        if len(each) == DRAWS
    }


def trusted(
    estimate: dict[str, Measured], test: dict[str, Measured], regression: float
) -> dict[str, bool]:
    """Whether estimates of the test rows come as close to the truth there as what matters.

    Only then what the model says of itself is worth showing.
    """
    return {
        name: abs(each.value - test[name].value)
        <= max(regression * abs(test[name].value), test[name].high - test[name].value)
        for name, each in estimate.items()
        if name in test
    }
