"""What a data scientist does with a fresh bake, for each task, with the commands of the README.

The long parts (environment, `uv run dvc repro`) happen once a task: see conftest.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from pipeline.running import ENGINE, EXAMPLE, OWN, STAGES, Project, Reproduced, each_task

METRICS = {
    "classification": {
        "roc_auc",
        "average_precision",
        "log_loss",
        "calibration_error",
        "accuracy",
        "precision",
        "recall",
        "f1",
    },
    "regression": {"mae", "rmse", "r2", "mape", "interval_coverage", "interval_width"},
    "clustering": {"silhouette", "davies_bouldin", "calinski_harabasz", "stability"},
}
PLOTS = {
    "classification": {
        "confusion",
        "roc",
        "precision_recall",
        "calibration",
        "importance",
        "dependence",
    },
    "regression": {"residuals", "importance", "dependence"},
    "clustering": {"clusters", "importance"},
}
CHOSEN = {"classification": "boosting", "regression": "boosting", "clustering": "kmeans"}
HYPERPARAMETER = {
    "classification": {"estimators__boosting__max_leaf_nodes": 14},
    "regression": {"estimators__boosting__max_leaf_nodes": 14},
    "clustering": {"estimators__kmeans__max_iter": 299},
}


@each_task
def test_results_are_there_and_pass_their_checks(reproduced: Reproduced, task: str) -> None:
    project = reproduced(task)
    metrics = project.read("reports/metrics.json")
    assert metrics.keys() == METRICS[task]
    assert all(math.isfinite(value) for value in metrics.values())
    assert project.read("reports/train/metrics.json").keys() >= METRICS[task] - {"stability"}
    assert project.read("reports/train/params.yaml")["estimator"] == CHOSEN[task]
    validation = project.read("reports/validation.json")
    assert validation["valid"]
    assert validation["rows"] == 20_000
    parity = project.read("reports/parity.json")
    groups = {"test", "missing", "unknown", "extremes"}
    groups |= {"thresholds"} if task != "clustering" else set()
    # The final model is verified, too.
    assert parity["groups"].keys() == groups | {f"final {name}" for name in groups}
    assert parity["within_tolerance"]
    for group in parity["groups"].values():
        assert group["rows"] > 0
        assert group["difference"] <= parity["tolerance"]
        assert group["labels"] == 0
    assert project.read("reports/slices.json")["origin"].keys() == {"EWR", "JFK", "LGA"}
    found = {path.stem for path in (project.folder / "reports/plots").glob("*.json")}
    assert found == PLOTS[task]
    for name in found:
        picture = (project.folder / f"reports/plots/{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")


DESCRIBE = """
import json, sys, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
inputs = {each.name: [each.type, each.shape] for each in session.get_inputs()}
written = session.get_modelmeta().custom_metadata_map
print(json.dumps([inputs, [each.name for each in session.get_outputs()], written]))
"""


@each_task
def test_model_names_its_inputs_and_its_origin(reproduced: Reproduced, task: str) -> None:
    """What is served stands on its own: raw columns in, and where it comes from inside."""
    project = reproduced(task)
    columns = project.read("contract.yaml")["columns"]
    features = [name for name, column in columns.items() if "feature" in column["role"]]
    inputs, outputs, metadata = project.python(DESCRIBE, "models/model.onnx")
    assert list(inputs) == features
    for name, (kind, shape) in inputs.items():
        text = columns[name]["kind"] == "categorical"
        assert kind == ("tensor(string)" if text else "tensor(float)")
        assert shape[1:] == [1]
    assert (
        outputs
        == {
            "classification": ["prediction", "probability"],
            "regression": ["prediction", "lower", "upper"],
            "clustering": ["prediction", "distances"],
        }[task]
    )
    facts = {name: json.loads(value) for name, value in metadata.items()}
    assert facts["task"] == task
    assert facts["contract"]["columns"].keys() == columns.keys()
    canonical = json.dumps(facts["contract"], sort_keys=True).encode()
    assert facts["contract_sha256"] == hashlib.sha256(canonical).hexdigest()
    snapshot = (project.folder / "data/raw/snapshot.parquet").read_bytes()
    assert facts["data_sha256"] == hashlib.sha256(snapshot).hexdigest()
    provenance = project.read("data/raw/provenance.json")
    assert facts["data_sha256"] == provenance["snapshot_sha256"]
    assert provenance["source"] == EXAMPLE
    assert provenance["rows"] == 20_000


@each_task
def test_same_inputs_make_the_same_model(reproduced: Reproduced, task: str, tmp_path: Path) -> None:
    """Byte for byte: no order of a set, which differs from process to process, is left in it."""
    project = reproduced(task).copy(tmp_path / "project")
    made = set()
    for seed in "04":
        project.stage("convert", env={"PYTHONHASHSEED": seed})
        made.add((project.folder / "models/model.onnx").read_bytes())
    assert len(made) == 1


@each_task
def test_nothing_runs_twice(reproduced: Reproduced, task: str) -> None:
    project = reproduced(task)
    ran, done = project.repro()
    assert ran == []
    assert "up to date" in done.stdout
    assert project.git("status", "--porcelain", "--untracked-files=all") == ""


@each_task
def test_dvc_shows_metrics_and_plots(reproduced: Reproduced, task: str, tmp_path: Path) -> None:
    project = reproduced(task)
    shown = project.run("dvc", "metrics", "show", "--json")
    files = json.loads(shown.stdout)[""]["data"]
    assert files["reports/metrics.json"]["data"] == project.read("reports/metrics.json")
    assert "reports/train/metrics.json" in files
    done = project.run("dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    assert "WARNING" not in done.stderr + done.stdout
    page = (tmp_path / "plots" / "index.html").read_text(encoding="utf-8")
    titles = [next(iter(plot.values()))["title"] for plot in project.read("dvc.yaml")["plots"]]
    assert len(titles) == len(PLOTS[task])
    for title in titles:
        assert title in page


@each_task
def test_only_what_changed_is_stale(reproduced: Reproduced, task: str, tmp_path: Path) -> None:
    project = reproduced(task).copy(tmp_path / "project")
    assert project.status() == set()
    gate = next(iter(project.read("params.yaml")["gates"]))
    changes: list[tuple[dict[str, Any], set[str]]] = [
        ({f"gates__{gate}": {"min": 0.5}}, set()),
        (HYPERPARAMETER[task], {"train"}),
        ({"train__seed": 7}, {"train", "evaluate"}),
        ({"evaluate__slice_rows": 51}, {"evaluate"}),
        ({"verify__tolerance": 0.001}, {"verify"}),
        ({"split__test": 0.3}, {"split"}),
        ({"source__path": "data/example"}, {"ingest"}),
    ]
    if task != "clustering":
        changes.append(({"estimators__forest__n_estimators": 99}, set()))
    for change, stale in changes:
        project.set("params.yaml", **change)
        assert project.status() == stale, change
        project.restore("params.yaml")


@pytest.mark.parametrize("task", ["classification"])
def test_code_that_no_stage_needs_makes_none_stale(
    reproduced: Reproduced, task: str, tmp_path: Path
) -> None:
    """Monitoring, serving, releases, commands, other sections of params.yaml: nothing is stale."""
    project = reproduced(task).copy(tmp_path / "project")
    stages = project.read("dvc.lock")["stages"]
    needed = {dep["path"]: set[str]() for stage in stages.values() for dep in stage["deps"]}
    for name, stage in stages.items():
        for dep in stage["deps"]:
            needed[dep["path"]].add(name)
    modules = [path.relative_to(project.folder) for path in project.folder.glob("mlops/**/*.py")]
    others = [module.as_posix() for module in modules if module.as_posix() not in needed]
    areas = {"cli", "config", "github", "monitoring", "release", "report", "retrain", "serving"}
    assert areas <= {part for module in others for part in module.split("/")[3:4]}
    for module in [*others, f"{OWN}/hooks.py"]:
        project.append(module, "# changed")
    assert project.status() == set()
    for module in (f"{OWN}/metrics.py", f"{ENGINE}/learning/trees.py", f"{ENGINE}/config/split.py"):
        project.append(module, "# changed")
        assert project.status() == needed[module], module
        project.restore(module)


@pytest.mark.parametrize("task", ["clustering"])
def test_experiments_are_run_and_compared(
    reproduced: Reproduced, task: str, tmp_path: Path
) -> None:
    project = reproduced(task).copy(tmp_path / "project")
    done = project.run("dvc", "exp", "run", "--name", "again", "--set-param", "train.seed=1")
    assert "Running stage 'train'" in done.stdout
    assert "Running stage 'split'" not in done.stdout
    difference = json.loads(project.run("dvc", "params", "diff", "--json").stdout)
    assert difference["params.yaml"]["train.seed"] == {"old": 42, "new": 1, "diff": -41}
    shown = project.run("dvc", "exp", "show", "--csv").stdout
    header, *rows = [line.split(",") for line in shown.splitlines()]
    seeds = {row[header.index("Experiment")]: row[header.index("train.seed")] for row in rows}
    assert seeds["again"] == "1"
    assert "42" in seeds.values()
    assert any(name.endswith("silhouette") for name in header)
    assert json.loads(project.run("dvc", "metrics", "diff", "--json").stdout) != {}


@each_task
def test_colleague_pulls_the_same_model(reproduced: Reproduced, task: str, tmp_path: Path) -> None:
    project = reproduced(task).copy(tmp_path / "original")
    project.run("dvc", "push")
    assert (tmp_path / "flight-delays-data").is_dir()
    project.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", project.venv)
    assert not (clone.folder / "models").exists()
    clone.run("dvc", "pull")
    for name in ("models/model.onnx", "models/model.joblib", "data/predictions.parquet"):
        assert (clone.folder / name).read_bytes() == (project.folder / name).read_bytes()
    ran, _ = clone.repro()
    assert ran == []
    assert clone.git("status", "--porcelain", "--untracked-files=all") == ""


@each_task
def test_gate_is_kept_and_broken(reproduced: Reproduced, task: str, tmp_path: Path) -> None:
    project = reproduced(task)
    assert "gates kept" in project.uv("mlops", "gate").stdout
    name, gate = next(iter(project.read("params.yaml")["gates"].items()))
    bound, value = ("min", 1e9) if "min" in gate else ("max", -1e9)
    copy = project.copy(tmp_path / "project")
    copy.set("params.yaml", **{f"gates__{name}": {bound: value}})
    broken = copy.run("mlops", "gate", code=3)
    assert broken.stderr.startswith(f"error: {name}: ")
    assert len(broken.stderr.splitlines()) == 1
    copy.restore("params.yaml")
    copy.run("mlops", "gate")


# Reads what was predicted for the test rows by the stage and by `mlops predict` for every row.
COMPARE = """
import json, sys, numpy as np, pandas as pd
want = pd.read_parquet("data/predictions.parquet").set_index("flight_id")
source = pd.read_parquet("data/raw/snapshot.parquet")
found = {}
for name in sys.argv[1:]:
    read = pd.read_parquet if name.endswith(".parquet") else pd.read_csv
    every = read(name)
    all_ids = list(every["flight_id"]) == list(source["flight_id"])
    rows = every.set_index("flight_id").loc[want.index]
    numbers = [each for each in want if each.startswith(("probability_", "lower", "upper"))]
    apart = max((float(abs(rows[each] - want[each]).max()) for each in numbers), default=0.0)
    same = np.isclose(rows["prediction"].astype(float), want["prediction"].astype(float), rtol=1e-4)
    found[name] = {
        "all_ids": all_ids, "apart": apart, "numbers": numbers, "differ": int((~same).sum()),
        "columns": list(every), "source": list(source),
    }
print(json.dumps(found))
"""
TO_CSV = """
import pandas as pd, sys
pd.read_parquet(sys.argv[1]).to_csv(sys.argv[2], index=False)
print("null")
"""


@each_task
def test_predict_says_what_evaluate_said(reproduced: Reproduced, task: str, tmp_path: Path) -> None:
    """From CSV and Parquet to CSV and Parquet; compared on the test rows."""
    project = reproduced(task)
    csv, to_csv, to_parquet = (
        str(tmp_path / name) for name in ("all.csv", "out.csv", "out.parquet")
    )
    project.python(TO_CSV, EXAMPLE, csv)
    judged = ("--model", "models/candidate.onnx")
    done = project.uv("mlops", "predict", EXAMPLE, "-o", to_csv, *judged)
    assert "20,000 predictions" in done.stdout
    project.uv("mlops", "predict", csv, "--output", to_parquet, "--with-inputs", *judged)
    found = project.python(COMPARE, to_csv, to_parquet)
    for facts in found.values():
        assert facts["all_ids"]
        assert facts["differ"] == 0
        # Relative above 1: an interval is in minutes, a probability below 1.
        assert facts["apart"] < (0.05 if task == "regression" else 1e-4)
    added = ["prediction", *found[to_csv]["numbers"]]
    assert found[to_csv]["columns"] == ["flight_id", *added]
    assert found[to_parquet]["columns"] == [*found[to_parquet]["source"], *added]


@each_task
def test_bake_passes_its_own_checks(reproduced: Reproduced, task: str) -> None:
    """Lint, format, types and tests."""
    project = reproduced(task)
    project.uv("ruff", "check", ".")
    project.uv("ruff", "format", "--check", ".")
    project.uv("mypy")
    project.uv("pytest")


WRITE = """
import sys
from sklearn import datasets
frame = getattr(datasets, f"load_{sys.argv[1]}")(as_frame=True).frame
frame.drop(columns=sys.argv[3:]).to_csv(sys.argv[2], index=False)
print("null")
"""


@pytest.mark.parametrize(
    ("baked", "task", "data", "metric", "least"),
    [
        ("classification", "classification", "breast_cancer", "roc_auc", 0.95),
        ("regression", "regression", "diabetes", "r2", 0.2),
        ("clustering", "clustering", "wine", "silhouette", 0.1),
        # From one task to another; wine has three classes.
        ("clustering", "classification", "wine", "f1", 0.8),
        ("classification", "regression", "diabetes", "r2", 0.2),
        ("regression", "clustering", "wine", "silhouette", 0.1),
    ],
)
def test_own_data_is_three_commands_away(
    reproduced: Reproduced,
    tmp_path: Path,
    baked: str,
    task: str,
    data: str,
    metric: str,
    least: float,
) -> None:
    """`mlops data init`, `dvc repro`, `mlops predict`, without an edit in between."""
    project = reproduced(baked).copy(tmp_path / "project")
    csv = tmp_path / f"{data}.csv"
    with_target = task != "clustering"
    project.python(WRITE, data, str(csv), *([] if with_target else ["target"]))
    header, *rows = csv.read_text(encoding="utf-8").splitlines()
    options = ["--target", "target"] if with_target else []
    done = project.run("mlops", "data", "init", str(csv), *options)
    assert f"task {task}" in done.stdout
    columns = project.read("contract.yaml")["columns"]
    assert list(columns) == header.split(",")
    ran, _ = project.repro()
    assert ran == STAGES
    assert project.read("reports/metrics.json")[metric] > least
    assert project.read("reports/parity.json")["within_tolerance"]
    inputs, _, metadata = project.python(DESCRIBE, "models/model.onnx")
    assert list(inputs) == [name for name in columns if columns[name]["role"] != "target"]
    assert json.loads(metadata["task"]) == task
    shown = project.run("dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    assert "WARNING" not in shown.stderr
    out = tmp_path / "out.csv"
    project.run("mlops", "predict", str(csv), "-o", str(out))
    assert len(out.read_text(encoding="utf-8").splitlines()) == len(rows) + 1
    assert project.repro()[0] == []
