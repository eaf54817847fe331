"""Metrics of your own, beside those of the engine: see mlops/docs/extend.md.

from mlops.learning.metrics import Metric, Scored

def _share_predicted(rows: Scored) -> float:
    return float((rows.outputs["prediction"] == rows.classes[1]).mean())

METRICS["classification"]["share_predicted"] = Metric("lower", _share_predicted)
"""

from mlops.config.section import Task
from mlops.learning.metrics import Metric

# By task and name; each is reported, and gates of params.yaml may bound it.
METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {},
    "regression": {},
    "clustering": {},
}
