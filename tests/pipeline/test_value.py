"""The value of predictions in a project: as its page has it, one more metric that is gated."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pipeline.running import STAGES, Project, Reproduced, one_line


def documented(project: Project, task: str) -> dict[str, Any]:
    """Return what mlops/docs/gates.md says for a task."""
    text = (project.folder / "mlops/docs/gates.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        content: dict[str, Any] = yaml.safe_load(block)
        value = content.get("value") or content.get("evaluate", {}).get("value")
        if value and ("per" in value) == (task == "classification"):
            return dict(value)
    raise AssertionError(task)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_documented_value_is_measured_and_gated(copy: Reproduced, task: str) -> None:
    project = copy(task)
    project.set("params.yaml", evaluate__value=documented(project, task))
    ran, _ = project.repro()
    assert ran == ["evaluate"]
    found = project.read("reports/metrics.json")["value"]
    assert all("value" in part for part in project.read("reports/slices.json")["origin"].values())
    project.set("params.yaml", gates={"value": {"min": found}})
    assert "gates kept: value" in project.run("mlops", "gate").stdout
    project.set("params.yaml", gates={"value": {"min": found + 1}})
    assert "value: " in one_line(project.run("mlops", "gate", code=3))
    assert project.repro()[0] == []
    assert f"evaluate.value.{'per' if task == 'classification' else 'over'}" in (
        project.run("dvc", "params", "diff", "HEAD").stdout
    )


@pytest.mark.parametrize("task", ["classification"])
def test_other_classes_are_told_before_anything_is_written(copy: Reproduced, task: str) -> None:
    project = copy(task)
    before = project.read("reports/metrics.json")
    value = {"currency": "EUR", "per": {"late": {"late": 1, "early": 0}, "early": {}}}
    project.set("params.yaml", evaluate__value=value)
    assert "evaluate.value: per.early: must hold a value for each class" in one_line(
        project.stage("evaluate", code=2)
    )
    value["per"]["early"] = {"late": 0, "early": 1}  # type: ignore[index]
    project.set("params.yaml", evaluate__value=value)
    assert "is for late, early; the classes are false, true" in one_line(
        project.stage("evaluate", code=2)
    )
    assert project.read("reports/metrics.json") == before


@pytest.mark.parametrize("task", ["classification"])
def test_the_threshold_that_is_worth_most_is_part_of_the_model(copy: Reproduced, task: str) -> None:
    """What is served predicts by it, and the gate counts again what it is worth."""
    project = copy(task)
    value = documented(project, task)
    del value["threshold"]
    project.set("params.yaml", evaluate__value=value, train__threshold="value", gates={})
    ran, _ = project.repro()
    assert ran == STAGES[STAGES.index("train") :]
    at = project.read("reports/train/params.yaml")["threshold"]
    told = project.python(PREDICTED)
    assert told["threshold"] == {"at": at, "by": "value"}
    assert told["agree"]
    assert told["second"] > told["likelier"]  # to miss one costs most
    worth = project.read("reports/metrics.json")["value"]
    project.set("params.yaml", gates={"value": {"min": worth}})
    assert "gates kept: value" in project.run("mlops", "gate").stdout
    value["per"][True][False] = -1
    project.set("params.yaml", evaluate__value=value)
    assert "dvc repro --force --single-item train" in one_line(project.stage("evaluate", code=2))


PREDICTED = """
import json
import pandas as pd
from mlops.inference import OnnxModel
from mlops.paths import CANDIDATE_ONNX
threshold = OnnxModel(CANDIDATE_ONNX).metadata["threshold"]
rows = pd.read_parquet("data/predictions.parquet")
likely, said = rows["probability_true"], rows["prediction"].astype(bool)
print(json.dumps({
    "threshold": threshold,
    "agree": bool(((likely >= threshold["at"]) == said).all()),
    "second": int(said.sum()),
    "likelier": int((likely > 0.5).sum()),
}))
"""
