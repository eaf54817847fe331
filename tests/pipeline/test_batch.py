"""Batch scoring in a pipeline, by the stage that its page gives: only new files are scored."""

from __future__ import annotations

import re

import pytest
from pipeline.running import STAGES, Reproduced


@pytest.mark.parametrize("task", ["classification"])
def test_the_documented_stage_scores_only_what_is_new(copy: Reproduced, task: str) -> None:
    project = copy(task)
    text = (project.folder / "mlops/docs/batch.md").read_text(encoding="utf-8")
    (stage,) = re.findall(r"```yaml\n(  batch:\n.*?)```", text, re.DOTALL)
    pipeline = (project.folder / "dvc.yaml").read_text(encoding="utf-8")
    project.write("dvc.yaml", pipeline.replace("stages:\n", f"stages:\n{stage}\n", 1))
    (project.folder / "data/new").mkdir()
    project.sample("data/new/b.parquet", 40)
    project.run("dvc", "add", "data/new")
    ran, done = project.repro()
    assert ran == ["batch"]
    assert "500 predictions, 1 of 1 partitions made now" in done.stdout

    project.sample("data/new/a.parquet", 50)
    ran, done = project.repro()
    assert ran == ["batch"]
    assert "900 predictions, 1 of 2 partitions made now" in done.stdout
    assert project.repro()[0] == []

    # As for everybody else's outputs: stored, judged by the lock, and made again for another model.
    project.run("dvc", "push")
    project.run("mlops", "lock")
    project.set("params.yaml", estimators__boosting__max_leaf_nodes=3)
    ran, done = project.repro()
    assert set(ran) == {*STAGES[3:], "batch"}
    assert "900 predictions, 2 of 2 partitions made now" in done.stdout
