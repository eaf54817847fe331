"""Performance: intervals that hold the truth, and estimates that know their limits."""

import numpy as np
import pyarrow as pa
import pytest

from mlops.config.compare import Compare
from mlops.learning.metrics import METRICS, Metric, Scored
from mlops.monitoring.performance import (
    Sample,
    expected,
    measure,
    trusted,
    worse,
)
from mlops.monitoring.result import Measured

HOW = Compare(resamples=60, confidence=0.95, rows=5000)

REGRESSION = METRICS["regression"]


def some(*names: str) -> dict[str, Metric]:
    """Metrics of classification."""
    return {name: METRICS["classification"][name] for name in names}


def said(rows: int, seed: int = 0, true_to: float = 1.0) -> Scored:
    """Probabilities, and a truth that keeps them, or their power."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 2, rows)
    truth = (rng.random(rows) < probability**true_to).astype(int)
    outputs = {
        "prediction": (probability > 0.5).astype(int),
        "probability": np.column_stack([1 - probability, probability]),
    }
    return Scored(outputs, truth, np.arange(2))


def errors(rows: int, scale: float = 1.0, seed: int = 0) -> Scored:
    """Numbers that are off by so much."""
    rng = np.random.default_rng(seed)
    return Scored({"prediction": rng.normal(0, scale, rows)}, np.zeros(rows))


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = (2 / np.pi) ** 0.5
    held = 0
    for seed in range(100):
        found = measure({"mae": REGRESSION["mae"]}, errors(300, seed=seed), HOW)["mae"]
        held += found.low <= truth <= found.high
    assert held / 100 > 0.95 - 3 * (0.95 * 0.05 / 100) ** 0.5


def test_metric_without_a_value_is_left_out() -> None:
    rows = said(50)
    one = Scored(rows.outputs, np.zeros(50, int), rows.classes)
    assert measure(some("roc_auc", "accuracy"), one, HOW).keys() == {"accuracy"}


@pytest.mark.parametrize(
    ("name", "live", "test", "p"),
    [
        ("mae", 1.5, 1.0, "small"),
        ("mae", 1.05, 1.0, "large"),  # within what is allowed
        ("mae", 0.5, 1.0, "large"),
        ("rmse", 1.5, 1.0, "small"),
        ("r2", 0.5, 1.0, "small"),  # here higher is better
        ("r2", 1.5, 1.0, "large"),
    ],
)
def test_worse_is_what_the_metric_means_by_it(name: str, live: float, test: float, p: str) -> None:
    found = worse(REGRESSION[name], _exact(live), _exact(test), 0.1)
    assert found < 0.001 if p == "small" else found > 0.5


def _exact(value: float, error: float = 0.02) -> Measured:
    return Measured(value, error, value - error, value + error)


def test_few_rows_prove_nothing() -> None:
    assert worse(REGRESSION["mae"], _exact(1.5, 0.5), _exact(1.0), 0.1) > 0.05
    assert worse(REGRESSION["mae"], _exact(1.5, 0.0), _exact(1.0, 0.0), 0.1) == 0.0


def test_estimate_meets_what_labels_say() -> None:
    rows = said(4000)
    guessed = expected(some("roc_auc", "log_loss", "accuracy"), rows, HOW)
    known = measure(some("roc_auc", "log_loss", "accuracy"), rows, HOW)
    for name, each in guessed.items():
        assert each.value == pytest.approx(known[name].value, abs=4 * known[name].error)
    assert all(trusted(guessed, known, 0.02).values())


def test_estimate_of_a_model_that_is_not_calibrated_is_not_trusted() -> None:
    rows = said(4000, true_to=3)
    guessed = expected(some("log_loss"), rows, HOW)
    known = measure(some("log_loss"), rows, HOW)
    assert trusted(guessed, known, 0.02) == {"log_loss": False}


def test_sample_keeps_rows_evenly_and_together() -> None:
    rng, sample = np.random.default_rng(0), Sample(500)
    for start in range(0, 20_000, 400):
        numbers = np.arange(start, start + 400)
        columns = {"a": pa.array(numbers), "b": pa.array(numbers * 2)}
        sample.add(rng.integers(0, 2**63, 400).astype("uint64"), columns)
    kept = sample.columns()
    assert sample.seen == 20_000
    assert len(kept["a"]) == 500
    assert (kept["a"].to_numpy() * 2 == kept["b"].to_numpy()).all()
    assert kept["a"].to_numpy().mean() == pytest.approx(10_000, rel=0.1)


def test_sample_of_few_keeps_all() -> None:
    sample = Sample(500)
    sample.add(np.arange(3, dtype="uint64"), {"a": pa.array([1, 2, 3])})
    assert sample.columns()["a"].to_pylist() == [1, 2, 3]
