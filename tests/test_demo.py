"""`make demo` on a clone: the whole story, as it is told to somebody new."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from pipeline.running import shell


def test_make_demo_tells_the_whole_story(template: Path, tmp_path: Path) -> None:
    clone = shutil.copytree(template, tmp_path / "clone")
    done = subprocess.run(
        ["make", "demo"],
        cwd=clone,
        env=shell(tmp_path),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    for environment in ("dev", "staging", "prod"):
        assert len(re.findall(rf"mlops apply {environment}\ntried: ", told)) >= 1, environment
    (trace,) = re.findall(r"mlops trace prod\n((?:(?:ok|wrong|not checked)  .+\n)+)", told)
    assert "wrong  " not in trace
    assert trace.splitlines()[-1].startswith("ok  source data/example/flights.parquet: ")
    assert "worse" in told
    assert "roc_auc" in re.findall(r"^error: .+", told, re.MULTILINE)[0]
    assert "error: prod is on hold: answers are wrong since noon" in told
    alarms = re.findall(r"^(?:error: |       )(\w+): (\w+): ", told, re.MULTILINE)
    assert {("drift", "carrier"), ("performance", "roc_auc")} <= {*alarms}
    _, _, proposed = told.partition("A retraining on the fresh data")
    assert re.search(r"### ✅ Better: .+ rose ", proposed)
    _, _, merged = proposed.partition("$ git merge --quiet --ff-only retrain/")
    assert "gates kept: roc_auc, log_loss" in merged
    assert re.search(r"mlops apply dev\ntried: ", merged)
    left = subprocess.run(["pgrep", "-f", str(clone)], capture_output=True, text=True)
    assert left.returncode == 1, "servers are left"
