"""Exported models, by stages that params.yaml asks for, on real rows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from engine.export.machines import MISSING
from pipeline.running import ENGINE, Project, Reproduced, Run, each_task, one_line

PAGE = "mlops/docs/export.md"
# What scikit-learn says of a row, whose other columns hold a text or a number.
SAID = """
import json, sys, numpy as np, pandas as pd
from mlops.data.contract import load_contract
from mlops.learning.model import Model
from mlops.paths import MODEL
given, text, number = json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3])
columns = {name: load_contract().columns[name].kind for name in load_contract().features}
row = {name: text if kind == "categorical" else number for name, kind in columns.items()} | given
rows = pd.DataFrame([row])
for name, kind in columns.items():
    if kind != "categorical":
        rows[name] = rows[name].astype("float32")
print(json.dumps(float(Model.load(MODEL).predict(rows)["probability"][0, 1])))
"""


def exported(project: Project, targets: dict[str, Any], code: int = 0) -> tuple[list[str], Run]:
    project.set("params.yaml", export__targets=targets)
    return project.repro(code=code)


def last_error(done: Run) -> str:
    """The only line of an error beside what DVC says of the stage that failed."""
    return one_line(subprocess.CompletedProcess(done.args, done.returncode, "", _told(done)))


def _told(done: Run) -> str:
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("ERROR: ")]
    return "\n".join(lines)


@each_task
def test_a_project_begins_without_targets(small: Reproduced, task: str) -> None:
    stages = small(task).run("dvc", "stage", "list", "--name-only").stdout.split()
    assert [name for name in stages if name.startswith("export")] == []


@each_task
def test_every_task_is_exported_to_c(small: Reproduced, tmp_path: Path, task: str) -> None:
    project = small(task).copy(tmp_path / "project")
    ran, _ = exported(project, {"c": {}})
    assert ran == ["export@c"]
    assert project.status() == set()
    told = project.read("reports/export/c.json")
    assert {*told["files"]} == {"model.c", "model.h"}
    groups = {"test", "missing", "unknown", "extremes"}
    assert groups <= {*told["groups"]}
    assert all(group["rows"] > 0 and not group["worst"] for group in told["groups"].values())
    assert all(cost["onnx"] == pytest.approx(cost["target"]) for cost in told["metrics"].values())
    assert told["metrics"] != {}
    project.commit()
    assert project.git("ls-files", "models") == ""
    assert project.git("ls-files", "reports/export") == "reports/export/c.json\n"


def test_the_page_is_right(small: Reproduced, tmp_path: Path) -> None:
    """Its program, compiled by its command, says what scikit-learn says, also of a pruned model."""
    project = small("classification").copy(tmp_path / "project")
    whole = (project.folder / "models/model.onnx").stat().st_size
    project.set("params.yaml", train__prune={"metric": "roc_auc", "metric_loss": 0.02}, gates={})
    exported(project, {"c": {}})
    assert (project.folder / "models/model.onnx").stat().st_size < whole
    (kept,) = (each for each in project.read("reports/train/pruning.json") if each["kept"])
    assert project.read("reports/train/params.yaml").items() >= kept["settings"].items()
    project.commit()
    assert "reports/train/pruning.json" in project.git("ls-files", "reports")
    page = (project.folder / PAGE).read_text(encoding="utf-8")
    (program,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (command,) = re.findall(r"^cc .*$", page, re.MULTILINE)
    project.write("main.c", program)
    project.run("sh", "-c", command)
    (measured,) = re.findall(r"^arm-none-eabi-gcc .*$", page, re.MULTILINE)
    if not MISSING:
        assert "model.c" in project.run("sh", "-c", measured).stdout
    row = '{"carrier": "UA", "origin": "JFK", "hour": 18, "temp": NaN}'
    expected = project.python(SAID, row, "", "0")
    assert float(project.run("./delayed").stdout) == pytest.approx(expected, abs=1e-5)
    for model in ("models/model.onnx", "models/export/c/model.c"):
        output = f"{Path(model).name}.csv"
        project.run("mlops", "predict", "data/small.parquet", "--model", model, "-o", output)
    names = ("model.onnx.csv", "model.c.csv")
    by_onnx, by_c = (pd.read_csv(project.folder / name) for name in names)
    pd.testing.assert_frame_equal(by_onnx, by_c, rtol=1e-4, atol=1e-5)


def test_another_model_in_c_is_refused(small: Reproduced, tmp_path: Path) -> None:
    """Trees that take a threshold itself the other way: only rows on thresholds tell."""
    project = small("classification").copy(tmp_path / "project")
    project.append(f"{ENGINE}/export/trees.py", 'MODES["BRANCH_LEQ"] = "<"')
    _, done = exported(project, {"c": {}}, code=255)
    said = "error: the c model differs from the scikit-learn model (verify.tolerance 0.0001)"
    assert said in done.stderr
    assert re.search(r"^ *thresholds: .*from scikit-learn, .* from c; ", done.stderr, re.MULTILINE)
    assert not (project.folder / "models/export/c").exists()
    assert not (project.folder / "reports/export/c.json").exists()


def test_the_page_of_tflite_is_right(small: Reproduced, tmp_path: Path) -> None:
    """Its Python, as it stands, on the same row but for what it leaves out."""
    project = small("classification").copy(tmp_path / "project")
    project.set("params.yaml", train__estimator="linear", gates={})
    exported(project, {"tflite": {}})
    page = (project.folder / PAGE).read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said = project.run("python", "-c", program).stdout
    (chance,) = re.findall(r"\[\[\S+ +(\S+)\]\]", said)
    expected = project.python(SAID, '{"carrier": "UA", "hour": 18}', "never seen", "nan")
    assert float(chance) == pytest.approx(expected, abs=1e-5)


def test_networks_lose_no_more_than_they_may(small: Reproduced, tmp_path: Path) -> None:
    project = small("classification").copy(tmp_path / "project")
    project.set("params.yaml", train__estimator="mlp", gates={})
    ran, _ = exported(project, {"onnx-int8": {"metric_loss": 0.5}})
    assert ran[-1] == "export@onnx-int8"
    told = project.read("reports/export/onnx-int8.json")
    cost = told["metrics"]["roc_auc"]
    assert cost["low"] <= cost["loss"] <= cost["high"] < 0.5
    assert cost["loss"] == pytest.approx(cost["onnx"] - cost["target"], abs=1e-5)
    file = project.folder / "models/export/onnx-int8/model.onnx"
    before = file.read_bytes()
    assert len(before) < (project.folder / "models/model.onnx").stat().st_size / 1.5
    _, done = exported(project, {"onnx-int8": {"metric_loss": 0.0}}, code=255)
    line = last_error(done)
    assert re.search(r"error: onnx-int8 may lose \S+ of roc_auc .*metric_loss: 0$", line)
    assert not file.exists() or file.read_bytes() == before


@pytest.mark.parametrize(
    ("targets", "line"),
    [
        ({"flash": {}}, r"params\.yaml: export\.targets\.flash: unknown key"),
        ({"c": {"table_kb": 0.1}}, r"export\.targets\.c: the tables take .* table_kb: 0\.1"),
        ({"c": {"table_kb": "1"}}, r"params\.yaml: export\.targets\.c\.table_kb: "),
        ({"onnx-int8": {}}, r"params\.yaml: export\.targets\.onnx-int8\.metric_loss: .*missing"),
        ({"onnx-int8": {"metric_loss": 1}}, r"export\.targets\.onnx-int8: the model has no layers"),
        ({"tflite": {}}, r"export\.targets\.tflite: TreeEnsembleClassifier cannot be written"),
    ],
)
def test_what_cannot_be_is_one_line(
    small: Reproduced, tmp_path: Path, targets: dict[str, Any], line: str
) -> None:
    project = small("classification").copy(tmp_path / "project")
    _, done = exported(project, targets, code=255)
    assert re.search(f"^error: .*{line}", last_error(done))
    assert not (project.folder / "models/export").exists() or not any(
        (project.folder / "models/export").iterdir()
    )
