"""The value of predictions in a project: as its page has it, one more metric that is gated."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pipeline.running import Project, Reproduced, one_line


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
