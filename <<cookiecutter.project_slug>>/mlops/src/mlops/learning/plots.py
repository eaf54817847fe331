"""Plots: their data as JSON for `dvc plots`, and the same plots as pictures.

A plot's look is a Vega-Lite template in `.dvc/plots/`, which DVC and this module both fill.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vl_convert
from dvc_render.vega import VegaRenderer
from sklearn.metrics import precision_recall_curve, roc_curve

from ..config.section import Task
from ..files import significant, write_json
from ..paths import PLOT_TEMPLATES
from ..printable import all_shown
from .metrics import Scored, calibration_bins

# A curve is thinned to this many points: more cannot be seen, and every one is stored.
POINTS = 200

Records = list[dict[str, Any]]

# What is measured, and not drawn from outputs.
MEASURED = ("importance", "dependence")


@dataclass(frozen=True)
class Plot:
    """What `dvc.yaml` says of a plot: a template and which fields go where."""

    template: str
    x: str
    y: str
    title: str
    x_label: str
    y_label: str


CONFUSION = Plot("confusion", "predicted", "actual", "Confusion matrix", "predicted", "actual")
ROC = Plot("diagonal", "fpr", "tpr", "ROC curve", "false positive rate", "true positive rate")
PRECISION_RECALL = Plot(
    "curve", "recall", "precision", "Precision and recall", "recall", "precision"
)
CALIBRATION = Plot(
    "diagonal", "said", "happened", "Calibration", "predicted probability", "observed share"
)
RESIDUALS = Plot("scatter", "predicted", "residual", "Residuals", "predicted", "actual - predicted")
CLUSTERS = Plot("bars", "rows", "cluster", "Rows in each cluster", "rows", "cluster")
IMPORTANCE = Plot(
    "bars", "importance", "column", "Importance of each column", "loss when shuffled", "column"
)
DEPENDENCE = Plot(
    "dependence", "value", "answer", "How the strongest columns move it", "value", "mean answer"
)

PLOTS: dict[Task, dict[str, Plot]] = {
    "classification": {
        "confusion": CONFUSION,
        "roc": ROC,
        "precision_recall": PRECISION_RECALL,
        "calibration": CALIBRATION,
        "importance": IMPORTANCE,
        "dependence": DEPENDENCE,
    },
    "regression": {
        "residuals": RESIDUALS,
        "importance": IMPORTANCE,
        "dependence": DEPENDENCE,
    },
    "clustering": {"clusters": CLUSTERS, "importance": IMPORTANCE},
}


def records(name: str, scored: Scored, classes: list[str]) -> Records:
    """The data of a plot, but of those in MEASURED."""
    return {
        "confusion": _confusion,
        "roc": _roc,
        "precision_recall": _precision_recall,
        "calibration": _calibration,
        "residuals": _residuals,
        "clusters": _clusters,
    }[name](scored, classes)


def _confusion(s: Scored, classes: list[str]) -> Records:
    assert s.classes is not None
    predicted = s.outputs["prediction"]
    return [
        {
            "actual": classes[i],
            "predicted": classes[j],
            "rows": int(((s.truth == actual) & (predicted == guess)).sum()),
            "share": round(
                float(((s.truth == actual) & (predicted == guess)).sum())
                / max(int((s.truth == actual).sum()), 1),
                4,
            ),
        }
        for i, actual in enumerate(s.classes)
        for j, guess in enumerate(s.classes)
    ]


def _one_against_rest(s: Scored, classes: list[str]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Class, hits and probability of the second of two classes, or of each that is there."""
    chosen = [1] if s.is_binary else np.flatnonzero(s.hits.any(axis=0))
    return [(classes[k], s.hits[:, k], s.outputs["probability"][:, k]) for k in chosen]


def _roc(s: Scored, classes: list[str]) -> Records:
    found: Records = []
    for name, hits, probability in _one_against_rest(s, classes):
        fpr, tpr, _ = roc_curve(hits, probability)
        found += _curve(name, fpr=fpr, tpr=tpr)
    return found


def _precision_recall(s: Scored, classes: list[str]) -> Records:
    found: Records = []
    for name, hits, probability in _one_against_rest(s, classes):
        precision, recall, _ = precision_recall_curve(hits, probability)
        found += _curve(name, recall=recall[::-1], precision=precision[::-1])
    return found


def _curve(name: str, **axes: np.ndarray) -> Records:
    length = len(next(iter(axes.values())))
    keep = np.unique(np.linspace(0, length - 1, min(POINTS, length)).round().astype(int))
    return [
        {"class": name, **{axis: round(float(values[i]), 4) for axis, values in axes.items()}}
        for i in keep
    ]


def _calibration(s: Scored, classes: list[str]) -> Records:
    name = classes[1] if s.is_binary else "predicted class"
    return [
        {"class": name, "said": round(said, 4), "happened": round(hit, 4), "rows": rows}
        for said, hit, rows in calibration_bins(s)
    ]


def _residuals(s: Scored, _: list[str]) -> Records:
    """At most 1,000 rows, evenly spread over the test."""
    assert s.truth is not None
    predicted = s.outputs["prediction"]
    some = np.unique(np.linspace(0, len(predicted) - 1, min(1000, len(predicted))).astype(int))
    return [
        {
            "predicted": significant(predicted[i]),
            "residual": significant(s.truth[i] - predicted[i]),
        }
        for i in some
    ]


def _clusters(s: Scored, _: list[str]) -> Records:
    numbers, rows = np.unique(s.outputs["prediction"], return_counts=True)
    return [
        {"cluster": f"cluster {number}", "rows": int(count)}
        for number, count in zip(numbers, rows, strict=True)
    ]


def write(folder: Path, name: str, plot: Plot, data: Records) -> None:
    """Write `<name>.json` and `<name>.png` (opaque, so that it reads on light and dark pages)."""
    write_json(folder / f"{name}.json", data)
    draw(folder / f"{name}.png", name, plot, data)


def draw(path: Path, name: str, plot: Plot, data: Records) -> None:
    """Write a picture of `data`, in which `rev` may tell several models apart."""
    spec = json.dumps(filled(name, plot, all_shown(data)))
    path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))


def filled(name: str, plot: Plot, data: Records, rev: str = "workspace") -> dict[str, Any]:
    """The plot's template with `data` in it, as `dvc plots` would fill it."""
    renderer = VegaRenderer(
        [{"rev": rev, **record} for record in data],
        name,
        template=plot.template,
        template_dir=str(PLOT_TEMPLATES),
        x=plot.x,
        y=plot.y,
        title=plot.title,
        x_label=plot.x_label,
        y_label=plot.y_label,
    )
    return dict(renderer.get_filled_template())
