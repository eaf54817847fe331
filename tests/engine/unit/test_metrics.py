"""Metrics have the values that they have by hand, or by scikit-learn; one without a value is left
out, never zero."""

import numpy as np
import pytest
from engine import made
from sklearn import metrics as sk

from mlops.config.section import Task
from mlops.learning.metrics import (
    METRICS,
    Scored,
    calibration_bins,
    names,
    score,
)

# Four rows of class 1, two of class 0; one of each is told wrong.
PROBABILITY = np.array([0.9, 0.8, 0.6, 0.4, 0.55, 0.1])
BINARY = Scored(
    {
        "prediction": (PROBABILITY > 0.5).astype(int),
        "probability": np.column_stack([1 - PROBABILITY, PROBABILITY]),
    },
    truth=np.array([1, 1, 1, 1, 0, 0]),
    classes=np.array([0, 1]),
)

THREE = Scored(
    {
        "prediction": np.array(["a", "b", "c", "a"]),
        "probability": np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0, 0.4, 0.6], [0.5, 0.3, 0.2]]),
    },
    truth=np.array(["a", "b", "c", "b"]),
    classes=np.array(["a", "b", "c"]),
)

NUMBERS = Scored(
    {
        "prediction": np.array([1.0, 2.0, 5.0, 1.0]),
        "lower": np.array([0.0, 1.0, 4.5, 0.0]),
        "upper": np.array([2.0, 3.0, 5.5, 2.0]),
    },
    truth=np.array([1.0, 4.0, 5.0, 0.0]),
)


def test_binary_classification_by_hand() -> None:
    assert score("classification", BINARY) == pytest.approx(
        {
            "accuracy": 4 / 6,
            "precision": 3 / 4,
            "recall": 3 / 4,
            "f1": 3 / 4,
            # Of eight pairs of a 1 and a 0, only 0.4 and 0.55 are the wrong way round.
            "roc_auc": 7 / 8,
            # Precision at each hit, in order of probability: 1/1, 2/2, 3/3, 4/5.
            "average_precision": (1 + 1 + 1 + 4 / 5) / 4,
            "log_loss": -np.log([0.9, 0.8, 0.6, 0.4, 0.45, 0.9]).mean(),
            # A bin for each row but none holds two.
            "calibration_error": np.mean([0.1, 0.2, 0.4, 0.6, 0.55, 0.1]),
        }
    )


def test_several_classes_are_averaged_alike() -> None:
    assert THREE.truth is not None
    hits = (THREE.truth[:, None] == THREE.classes).astype(int)
    probability = THREE.outputs["probability"]
    assert score("classification", THREE) == pytest.approx(
        {
            "accuracy": 3 / 4,
            "precision": (1 / 2 + 1 + 1) / 3,
            "recall": (1 + 1 / 2 + 1) / 3,
            "f1": (2 / 3 + 2 / 3 + 1) / 3,
            "roc_auc": np.mean([sk.roc_auc_score(hits[:, k], probability[:, k]) for k in range(3)]),
            "average_precision": np.mean(
                [sk.average_precision_score(hits[:, k], probability[:, k]) for k in range(3)]
            ),
            "log_loss": -np.log([0.7, 0.8, 0.6, 0.3]).mean(),
            # How sure the model is, against whether it is right.
            "calibration_error": (0.3 + 0.2 + 0.4 + 0.5) / 4,
        }
    )


def _drawn(classes: list[str], seed: int) -> Scored:
    """Predictions that know something, with ties among the probabilities, of uneven classes."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(len(classes)))
    truth = rng.choice(len(classes), size=300, p=0.8 * shares + 0.2 / len(classes))
    probability = rng.dirichlet(np.ones(len(classes)), size=300) + np.eye(len(classes))[truth] / 2
    probability = (probability / probability.sum(axis=1, keepdims=True)).round(2)
    names = np.array(classes)
    outputs = {
        "prediction": names[probability.argmax(axis=1)],
        "probability": probability.astype("float32"),
    }
    return Scored(outputs, names[truth], names)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [["no", "yes"], ["a", "b", "c", "d"]])
def test_classification_as_scikit_learn_has_it(classes: list[str], seed: int) -> None:
    scored = _drawn(classes, seed)
    assert scored.truth is not None
    binary, predicted = len(classes) == 2, scored.outputs["prediction"]
    probability = scored.outputs["probability"]
    hits = scored.hits[:, 1] if binary else scored.hits
    ranked = probability[:, 1] if binary else probability
    retrieval = sk.precision_recall_fscore_support(
        scored.truth,
        predicted,
        zero_division=0,
        **({"average": "binary", "pos_label": "yes"} if binary else {"average": "macro"}),
    )
    expected = {
        "accuracy": sk.accuracy_score(scored.truth, predicted),
        **dict(zip(("precision", "recall", "f1"), retrieval[:3], strict=True)),
        "roc_auc": sk.roc_auc_score(hits, ranked, average="macro"),
        "average_precision": sk.average_precision_score(hits, ranked, average="macro"),
    }
    found = score("classification", scored)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    scored = _drawn(["a", "b", "c"], 0)
    scored.outputs["prediction"][:] = "b"
    found = score("classification", scored)
    expected = sk.precision_recall_fscore_support(
        scored.truth, scored.outputs["prediction"], average="macro", zero_division=0
    )
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected[:3])


def test_what_is_no_probability_ranks_nothing() -> None:
    scored = _drawn(["no", "yes"], 0)
    scored.outputs["probability"][3] = np.nan
    for name in ("roc_auc", "average_precision"):
        assert np.isnan(METRICS["classification"][name].compute(scored))


def test_regression_by_hand() -> None:
    assert score("regression", NUMBERS) == pytest.approx(
        {
            "mae": 3 / 4,
            "rmse": np.sqrt(5 / 4),
            "r2": 1 - 5 / 17,
            "mape": (0 + 1 / 2 + 0) / 3,  # a truth of zero has no share
            "interval_coverage": 3 / 4,
            "interval_width": 7 / 4,
        }
    )


def test_without_an_interval_there_is_no_coverage() -> None:
    outputs = {"prediction": NUMBERS.outputs["prediction"]}
    assert "interval_coverage" not in score("regression", Scored(outputs, NUMBERS.truth))


def test_clustering_by_hand() -> None:
    space = np.array([[0.0], [2.0], [10.0], [12.0]])
    scored = Scored({"prediction": np.array([0, 0, 1, 1])}, space=space)
    assert score("clustering", scored) == pytest.approx(
        {
            "silhouette": ((11 - 2) / 11 * 2 + (9 - 2) / 9 * 2) / 4,
            "davies_bouldin": (1 + 1) / 10,
            "calinski_harabasz": (100 / 1) / (4 / 2),
        }
    )


def test_an_infallible_model_has_a_finite_log_loss() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    outputs = {"prediction": np.array([0, 1]), "probability": sure}
    scored = Scored(outputs, np.array([0, 1]), np.array([0, 1]))
    assert score("classification", scored)["log_loss"] == pytest.approx(0)
    wrong = Scored(outputs, np.array([1, 0]), np.array([0, 1]))
    assert 30 < score("classification", wrong)["log_loss"] < 40


@pytest.mark.parametrize("scored", [BINARY, THREE])
def test_rows_of_one_class_have_no_ranking(scored: Scored) -> None:
    assert scored.truth is not None
    for value in np.unique(scored.truth):
        found = score("classification", scored.rows(scored.truth == value))
        assert found.keys() == METRICS["classification"].keys() - {"roc_auc", "average_precision"}


def test_rows_without_a_class_have_no_ranking() -> None:
    found = score("classification", THREE.rows(np.array([0, 1, 3])))
    assert "roc_auc" not in found
    assert "accuracy" in found


def test_what_has_no_value_is_left_out() -> None:
    one = score("regression", NUMBERS.rows(np.array([0, 0])))
    assert {"mae", "rmse", "mape"} <= one.keys()
    zero = score("regression", NUMBERS.rows(np.array([3, 3])))
    assert "mape" not in zero
    same = Scored({"prediction": np.zeros(4, int)}, space=np.arange(4.0)[:, None])
    assert score("clustering", same) == {}


def test_calibration_bins_hold_every_row() -> None:
    probability = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    outputs = {
        "prediction": (probability > 0.5).astype(int),
        "probability": np.column_stack([1 - probability, probability]),
    }
    scored = Scored(outputs, np.array([0, 1, 0, 1, 1]), np.array([0, 1]))
    said, hit, rows = zip(*calibration_bins(scored), strict=True)
    assert rows == (2, 1, 2)
    assert said == pytest.approx((0.025, 0.1, 0.975))
    assert hit == pytest.approx((0.5, 0.0, 1.0))


@pytest.mark.parametrize(("task", "scored"), [("classification", BINARY), ("regression", NUMBERS)])
def test_a_worse_model_scores_worse(task: Task, scored: Scored) -> None:
    assert scored.truth is not None
    rng = np.random.default_rng(0)
    many = scored.rows(np.arange(len(scored.truth)).repeat(50))
    worse = Scored(
        {name: rng.permutation(values) for name, values in many.outputs.items()},
        many.truth,
        many.classes,
    )
    good, bad = score(task, many), score(task, worse)
    for name in good.keys() - {"calibration_error"}:
        better = good[name] > bad[name]
        assert better == (METRICS[task][name].better == "higher"), name


def test_every_metric_has_a_name() -> None:
    for task in METRICS:
        assert {*names(task)} >= {*METRICS[task]}
        assert any(made.task(what) == task for what in made.TARGETS)
