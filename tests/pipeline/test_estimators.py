"""Every estimator of the catalogue says in ONNX what it says in scikit-learn."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from helpers import PROJECT
from pipeline.running import STAGES, Project, Reproduced, each_task

SEARCHES: dict[str, dict[str, list[Any]]] = {
    "linear": {"C": [0.1, 1.0, 10.0]},
    "boosting": {"max_leaf_nodes": [3, 7], "learning_rate": [0.05, 0.1]},
    "lightgbm": {"num_leaves": [3, 7], "subsample": [0.7, 1.0]},
    "xgboost": {"max_depth": [2, 4], "n_estimators": [20, 40]},
    "forest": {"max_depth": [3, 6], "max_features": ["sqrt", 0.5]},
    "mlp": {"hidden_layer_sizes": [[8], [16, 8]], "early_stopping": [True, False]},
    "network": {"layers": [[{"dense": 8, "activation": "gelu"}], [{"dense": 4}]]},
    "kmeans": {"n_clusters": [3, 4, 6]},
    "mixture": {"n_components": [3, 4, 6]},
    "elasticnet": {"l1_ratio": [0.2, 0.8]},
    "poisson": {"alpha": [0.1, 1.0]},
    "gamma": {"alpha": [0.1, 1.0]},
    "tweedie": {"power": [1.2, 1.8]},
    "quantile": {"alpha": [0.01, 0.1]},
    "extratrees": {"max_depth": [3, 6], "max_features": ["sqrt", 0.5]},
}
TREES = ["boosting", "lightgbm", "xgboost", "forest", "extratrees"]
ESTIMATORS = {
    "classification": ["linear", "elasticnet", *TREES, "mlp", "network"],
    "regression": [
        *("linear", "elasticnet", "poisson", "gamma", "tweedie", "quantile"),
        *(*TREES, "mlp", "network"),
    ],
    "clustering": ["kmeans", "mixture"],
}
CATALOGUE = """
import json
from mlops.learning.estimators import CATALOGUE
print(json.dumps({task: list(entries) for task, entries in CATALOGUE.items()}))
"""


@pytest.fixture
def project(copy: Reproduced, task: str) -> Project:
    return copy(task)


@each_task
def test_catalogue_is_what_is_tested(project: Project, task: str) -> None:
    assert project.python(CATALOGUE)[task] == ESTIMATORS[task]


@pytest.mark.parametrize(
    ("task", "estimator"),
    [(task, name) for task, names in ESTIMATORS.items() for name in names],
)
def test_estimator_survives_export(project: Project, task: str, estimator: str) -> None:
    """Chosen and searched by params.yaml alone; what was searched is logged and exported."""
    space = SEARCHES[estimator]
    if (task, estimator) == ("regression", "linear"):
        space = {"alpha": space["C"]}
    given = project.read("params.yaml")["estimators"].get(estimator, {})
    project.set(
        "params.yaml",
        **{f"estimators__{estimator}": given},
        train__estimator=estimator,
        train__search={"trials": 2, "space": {estimator: space}},
    )
    ran, done = project.repro()
    assert ran == STAGES[STAGES.index("train") :]
    assert "best of 2 trials: " in done.stdout
    logged = project.read("reports/train/params.yaml")
    assert logged["estimator"] == estimator
    for key, values in space.items():
        assert logged[key] in values
    parity = project.read("reports/parity.json")
    assert parity["within_tolerance"]
    assert ("thresholds" in parity["groups"]) == (estimator in TREES)
    assert project.run("mlops", "predict", "data/small.parquet", "-o", "out.csv").returncode == 0
    lines = (project.folder / "out.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2001


@pytest.mark.parametrize("task", ["classification"])
def test_the_page_of_networks_is_right(project: Project, task: str) -> None:
    """Its declaration as it stands: trained, logged by epoch, verified; its error in its words."""
    text = (PROJECT / "mlops/docs/network.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n# params.yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (declared,) = map(yaml.safe_load, blocks)
    network = declared["estimators"]["network"]
    project.set("params.yaml", train__estimator="network", estimators__network=network)
    ran, _ = project.repro()
    assert ran == STAGES[STAGES.index("train") :]
    assert project.read("reports/train/params.yaml")["layers"][1] == {"normalisation": "batch"}
    assert project.read("reports/parity.json")["within_tolerance"]
    for curve in ("loss", "validation_loss"):
        lines = project.folder / f"reports/train/plots/metrics/{curve}.tsv"
        assert 2 < len(lines.read_text(encoding="utf-8").splitlines()) <= 31
    network["layers"][2]["residual"][0]["dense"] = 32
    project.set("params.yaml", estimators__network=network)
    (line,) = re.findall(r"^error: .*$", text, re.MULTILINE)
    assert line in project.stage("train", code=2).stderr


@pytest.mark.parametrize("task", ["classification"])
def test_runs_are_compared(project: Project, task: str) -> None:
    """`dvc exp run` over the catalogue, as the README shows, then `dvc exp show`."""
    project.set("params.yaml", estimators__forest__n_estimators=10)
    for name in ("linear", "forest"):
        project.run("dvc", "exp", "run", "--name", name, "-S", f"train.estimator={name}")
    shown = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    (experiments,) = [each["experiments"] for each in shown if each["experiments"]]
    assert {each["name"] for each in experiments} == {"linear", "forest"}
    for each in experiments:
        data = each["revs"][0]["data"]
        assert data["metrics"]["reports/metrics.json"]["data"]["roc_auc"] > 0.5
        logged = data["params"]["reports/train/params.yaml"]["data"]
        assert logged["estimator"] == each["name"]
