"""What the model is judged by: each task's metrics and which way is better.

Those that the bootstrap asks for hundreds of times are sums over NumPy's arrays: scikit-learn's
functions of the same name take several times as long to check what they are given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from numbers import Real
from typing import Literal, get_args

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.pipeline import Pipeline

from ..config.evaluate import Value
from ..config.section import Task
from ..errors import InputError
from ..files import significant
from ..project import entries, module, shown, takes, wrong
from .model import Outputs


@dataclass(frozen=True)
class Scored:
    """Rows, what is true of them and what the model said.

    Attributes:
        outputs: as model.Outputs.
        truth: shape (rows,), as inputs.target_values; None for clustering.
        classes: the values of `truth` in the order of the probabilities; for classification.
        space: shape (rows, features), where the clusters were found; None unless clustering.
    """

    outputs: Outputs
    truth: np.ndarray | None = None
    classes: np.ndarray | None = None
    space: np.ndarray | None = None

    def rows(self, chosen: np.ndarray) -> "Scored":
        """The same for some rows: a boolean mask or row numbers."""
        return Scored(
            {name: values[chosen] for name, values in self.outputs.items()},
            None if self.truth is None else self.truth[chosen],
            self.classes,
            None if self.space is None else self.space[chosen],
        )

    @property
    def is_binary(self) -> bool:
        return self.classes is not None and len(self.classes) == 2

    @property
    def positive(self) -> np.ndarray:
        """Whether a row is of the second of two classes, shape (rows,)."""
        assert self.classes is not None
        return self.truth == self.classes[1]

    @cached_property
    def hits(self) -> np.ndarray:
        """One column a class, 1 where the row is of it, shape (rows, classes)."""
        assert self.truth is not None
        assert self.classes is not None
        return (self.truth[:, None] == self.classes[None, :]).astype(int)

    @cached_property
    def errors(self) -> np.ndarray:
        """What each prediction of a number is off, shape (rows,)."""
        assert self.truth is not None
        found: np.ndarray = self.outputs["prediction"].astype("float64") - self.truth
        return found

    @cached_property
    def retrieval(self) -> tuple[float, float, float]:
        """Precision, recall and F1: of the second class where there are two, else class means.

        Of a class that is never predicted, or never true, what has no value is 0.
        """
        assert self.classes is not None
        chosen = self.classes[1:] if self.is_binary else self.classes
        of_class = self.hits[:, 1:] if self.is_binary else self.hits
        predicted = self.outputs["prediction"][:, None] == chosen[None, :]
        right = (predicted & (of_class == 1)).sum(axis=0)
        told, true = predicted.sum(axis=0), of_class.sum(axis=0)
        shares = (right / np.maximum(told, 1), right / np.maximum(true, 1))
        f1 = 2 * right / np.maximum(told + true, 1)
        precision, recall, mean = (float(each.mean()) for each in (*shares, f1))
        return precision, recall, mean

    @cached_property
    def ranking(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each class that is ranked, how many hits and others are at or above each probability.

        Those of the second class where there are two. From the highest probability down, equal ones
        together. Empty where a class has no rows, or all of them, or a probability is no number.
        """
        probability, totals = self.outputs["probability"], self.hits.sum(axis=0)
        if (totals == 0).any() or (totals == len(self.hits)).any():
            return []
        if not np.isfinite(probability).all():
            return []
        chosen = [1] if self.is_binary else range(len(totals))
        return [_counted(self.hits[:, k], probability[:, k]) for k in chosen]


def _counted(hits: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-probability)
    ordered = probability[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    hit = np.cumsum(hits[order])[ends]
    return hit, ends + 1 - hit


Better = Literal["higher", "lower"]
BETTER = get_args(Better)


@dataclass(frozen=True)
class Metric:
    """A number that judges predictions.

    Attributes:
        better: whether a higher or a lower value is better.
        compute: from scored rows; may raise ValueError or return NaN where it has no value, such as
            ROC-AUC on rows of one class.
        most_rows: it looks at no more of them.
    """

    better: Better
    compute: Callable[[Scored], float]
    most_rows: int | None = None


def score(task: Task, scored: Scored, worth: Value | None = None) -> dict[str, float]:
    """The metrics of `catalogue` for some rows. One that has no value there is left out."""
    return values(catalogue(task, worth), scored)


def values(metrics: Mapping[str, Metric], scored: Scored) -> dict[str, float]:
    """Metrics of some rows. One that has no value there is left out.

    Raises InputError where one of the owner's returns no number.
    """
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        try:
            value = metric.compute(scored)
        except ValueError:
            continue
        if not isinstance(value, Real | np.bool_):
            told = f"compute returns {shown(value)}; must return a number, NaN where there is none"
            raise wrong("metrics", f"METRICS: {name}", told)
        value = float(value)
        if np.isfinite(value):
            found[name] = value
    return found


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Metrics as files have them."""
    return {name: significant(value) for name, value in values.items()}


def _ranked(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Scored], float]:
    """Of the second class where there are two, else the mean over classes against the rest."""

    def compute(s: Scored) -> float:
        found = [function(hits, others) for hits, others in s.ranking]
        return float(np.mean(found)) if found else float("nan")

    return compute


def _roc_auc(hits: np.ndarray, others: np.ndarray) -> float:
    """The area below the curve of the shares of hits and others that are above a probability."""
    rises = np.diff(others, prepend=0)
    middles = hits - np.diff(hits, prepend=0) / 2
    return float((rises * middles).sum() / (hits[-1] * others[-1]))


def _average_precision(hits: np.ndarray, others: np.ndarray) -> float:
    """The mean precision at which a hit is found, without interpolation."""
    precision = hits / (hits + others)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def negative_log_loss(pipeline: Pipeline, inputs: pd.DataFrame, truth: np.ndarray) -> float:
    """For scikit-learn's searches. Its own scorer fails where `truth` lacks a class."""
    return -float(sk.log_loss(truth, pipeline.predict_proba(inputs), labels=pipeline.classes_))


def log_losses(probability: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """The loss of each row, shape (rows,): minus the logarithm of what was given to its class.

    Args:
        probability: of each class, shape (rows, classes).
        hits: which class it is, in the same shape.
    """
    exact = probability.astype("float64")
    of_truth = (hits * exact).sum(axis=1) / exact.sum(axis=1)
    found: np.ndarray = -np.log(np.clip(of_truth, np.finfo("float64").eps, 1))
    return found


def _log_loss(s: Scored) -> float:
    return float(log_losses(s.outputs["probability"], s.hits).mean())


def calibration_bins(s: Scored, bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean probability, share of hits and number of rows in each filled bin of equal width.

    For two classes the probability of the second and whether it is true; for more, that of the
    predicted class and whether the prediction is right.
    """
    probability = s.outputs["probability"]
    if s.is_binary:
        said, hit = probability[:, 1], s.positive
    else:
        said, hit = probability.max(axis=1), s.outputs["prediction"] == s.truth
    # A forest's 0.3 is 0.30000001 in float32: both belong to the same bin.
    place = np.clip((said * bins + 1e-6).astype(int), 0, bins - 1)
    return [
        (float(said[place == b].mean()), float(hit[place == b].mean()), int((place == b).sum()))
        for b in np.unique(place)
    ]


def _calibration_error(s: Scored) -> float:
    """Expected calibration error: Naeini et al., AAAI 2015, with ten bins of equal width."""
    rows = len(s.outputs["prediction"])
    return sum(abs(said - hit) * n for said, hit, n in calibration_bins(s)) / rows


def _mape(s: Scored) -> float:
    """Mean absolute error as a share of the truth, over rows whose truth is not zero."""
    assert s.truth is not None
    some = s.truth != 0
    if not some.any():
        return float("nan")
    return float(np.abs((s.truth - s.outputs["prediction"])[some] / s.truth[some]).mean())


def _interval_coverage(s: Scored) -> float:
    """Share of rows whose truth lies within the prediction interval."""
    if "lower" not in s.outputs:
        return float("nan")
    return float(((s.outputs["lower"] <= s.truth) & (s.truth <= s.outputs["upper"])).mean())


def _interval_width(s: Scored) -> float:
    """The mean width of the prediction interval, in the target's unit."""
    if "lower" not in s.outputs:
        return float("nan")
    return float((s.outputs["upper"] - s.outputs["lower"]).mean())


def _mean_value(worth: Value, s: Scored) -> float:
    """The mean value of a row.

    Raises InputError where `worth` is for other classes.
    """
    if worth.per is None:
        assert worth.over is not None
        assert worth.under is not None
        over, under = np.maximum(s.errors, 0), np.minimum(s.errors, 0)
        return float((worth.over * over - worth.under * under).mean())
    assert s.classes is not None
    classes = ["false", "true"] if s.classes.dtype.kind == "i" else [*map(str, s.classes)]
    if worth.per.keys() != set(classes):
        raise InputError(
            f"params.yaml: evaluate.value.per: is for {', '.join(worth.per)}; "
            f"the classes are {', '.join(classes)}"
        )
    if worth.threshold is None:
        told = (s.outputs["prediction"][:, None] == s.classes).argmax(axis=1)
    else:
        told = (s.outputs["probability"][:, 1] >= worth.threshold).astype(int)
    table = np.array([[worth.per[truth][said] for said in classes] for truth in classes])
    return float(table[s.hits.argmax(axis=1), told].mean())


def _spatial(function: Callable[..., float]) -> Callable[[Scored], float]:
    return lambda s: function(s.space, s.outputs["prediction"])


def _silhouette(space: np.ndarray, clusters: np.ndarray) -> float:
    """On some of the rows, drawn with a fixed seed: its cost grows with their square."""
    some = min(len(space), SILHOUETTE_ROWS)
    return float(sk.silhouette_score(space, clusters, sample_size=some, random_state=0))


SILHOUETTE_ROWS = 2000


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "roc_auc": Metric("higher", _ranked(_roc_auc)),
        "average_precision": Metric("higher", _ranked(_average_precision)),
        "log_loss": Metric("lower", _log_loss),
        "calibration_error": Metric("lower", _calibration_error),
        "accuracy": Metric("higher", lambda s: (s.outputs["prediction"] == s.truth).mean()),
        "precision": Metric("higher", lambda s: s.retrieval[0]),
        "recall": Metric("higher", lambda s: s.retrieval[1]),
        "f1": Metric("higher", lambda s: s.retrieval[2]),
    },
    "regression": {
        "mae": Metric("lower", lambda s: np.abs(s.errors).mean()),
        "rmse": Metric("lower", lambda s: (s.errors**2).mean() ** 0.5),
        "r2": Metric("higher", lambda s: sk.r2_score(s.truth, s.outputs["prediction"])),
        "mape": Metric("lower", _mape),
        "interval_coverage": Metric("higher", _interval_coverage),
        "interval_width": Metric("lower", _interval_width),
    },
    "clustering": {
        "silhouette": Metric("higher", _spatial(_silhouette), SILHOUETTE_ROWS),
        "davies_bouldin": Metric("lower", _spatial(sk.davies_bouldin_score)),
        "calinski_harabasz": Metric("higher", _spatial(sk.calinski_harabasz_score)),
    },
}

# Of a row, on average: there where params.yaml says what predictions are worth.
VALUE = "value"

# Computed by `evaluate` alone, since it takes refits: clusterings of resampled rows, compared.
STABILITY = "stability"


def errors(scored: Scored) -> tuple[float, float]:
    """The error of answers, and that of the best constant: RMSE, or of classes Brier's score.

    Args:
        scored: with what is true. Brier, "Verification of forecasts expressed in terms of
            probability", Monthly Weather Review 78, 1950: the sum over all classes, from 0 to 2.
    """
    assert scored.truth is not None
    if scored.classes is None:
        of_model = float(((scored.truth - scored.outputs["prediction"]) ** 2).mean() ** 0.5)
        return of_model, float(scored.truth.std())
    told, shares = scored.outputs["probability"].astype("float64"), scored.hits.mean(axis=0)
    of_model, of_constant = (
        float(((each - scored.hits) ** 2).sum(axis=1).mean()) for each in (told, shares)
    )
    return of_model, of_constant


def catalogue(task: Task, worth: Value | None = None) -> dict[str, Metric]:
    """The task's metrics by name, and the value of its predictions where it is said."""
    found = METRICS[task] | own_metrics(task)
    if worth is None:
        return found
    return found | {VALUE: Metric("higher", partial(_mean_value, worth))}


def own_metrics(task: Task) -> dict[str, Metric]:
    """The entries of the owner's `METRICS` for `task`, by name.

    Raises InputError when one has the name of one of the engine's: both would be called alike; or
    when it is no metric.
    """
    own = dict(entries(module("metrics"), "METRICS", get_args(Task), task))
    if taken := sorted(own.keys() & {*METRICS[task], VALUE, STABILITY}):
        told = f"the engine has a metric {taken[0]!r}; give yours another name"
        raise wrong("metrics", "METRICS", told)
    for name, metric in own.items():
        if not isinstance(metric, Metric):
            told = f"is {shown(metric)}; must be a Metric of mlops.learning.metrics"
            raise wrong("metrics", f"METRICS: {name}", told)
        if metric.better not in BETTER:
            told = f"better is {metric.better!r}; must be {' or '.join(BETTER)}"
            raise wrong("metrics", f"METRICS: {name}", told)
        takes("metrics", f"METRICS: {name}: compute", metric.compute, "scored")
    return own


def names(task: Task, worth: Value | None = None) -> list[str]:
    """Names of every metric that `evaluate` may write for `task`."""
    return [*catalogue(task, worth), *([STABILITY] if task == "clustering" else [])]
