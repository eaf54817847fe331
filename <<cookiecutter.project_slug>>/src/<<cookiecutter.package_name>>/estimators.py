"""Estimators of your own, beside those of the engine: see mlops/docs/extend.md.

from mlops.config.section import Section
from mlops.learning.estimators import Entry
from sklearn.ensemble import ExtraTreesClassifier

class ExtraTreesParams(Section):
    n_estimators: int = 100

ESTIMATORS["classification"]["extra_trees"] = Entry(
    ExtraTreesClassifier, scaled=False, hyperparameters=ExtraTreesParams
)
"""

from mlops.config.section import Task
from mlops.learning.estimators import Entry

# By task and name; params.yaml chooses one by its name.
ESTIMATORS: dict[Task, dict[str, Entry]] = {
    "classification": {},
    "regression": {},
    "clustering": {},
}
