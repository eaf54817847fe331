"""The page on extending a project, word by word: each file and command as it stands there, from top
to bottom, to a verified model that is served. Nothing below `mlops/` is touched."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import PROJECT
from pipeline.running import PACKAGE, STAGES, Project, Reproduced
from serving.running import serving

PAGE = PROJECT / "mlops" / "docs" / "extend.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = "uv run mlops serve"


@dataclass(frozen=True)
class Block:
    """A fenced block of the page: a file, a part of one, or commands."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that its first line names."""
        return self.text.splitlines()[0].removeprefix("# ")


def blocks(heading: str) -> list[Block]:
    """Return the blocks below a heading of the page."""
    text = PAGE.read_text(encoding="utf-8").replace("PACKAGE", PACKAGE)
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (found,) = (each for each in section if each.startswith(f"{heading}\n"))
    return [Block(*each) for each in BLOCK.findall(found)]


def follow(project: Project, heading: str) -> list[str]:
    """Do what the page says below a heading; return the stages that ran."""
    ran: list[str] = []
    for block in blocks(heading):
        if block.language == "python":
            (project.folder / block.file).parent.mkdir(exist_ok=True)
            project.write(block.file, block.text)
        elif block.language == "yaml":
            change = yaml.safe_load(block.text)
            content = merged(project.read(block.file), change)
            project.write(block.file, content | {k: change[k] for k in change if k == "estimators"})
        else:
            for command in block.text.splitlines():
                if command != SERVE:
                    done = project.uv(*command.removeprefix("uv run ").split())
                    ran += re.findall(r"^Running stage '(\w+)':", done.stdout, re.MULTILINE)
    return ran


def merged(content: Any, change: Any) -> Any:
    """Return a file's content with what a block says of it."""
    if not isinstance(content, dict):
        return change
    return content | {key: merged(content.get(key), value) for key, value in change.items()}


@pytest.fixture(scope="module")
def project(small: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which `uv run` runs the page's commands."""
    project = small("classification").copy(tmp_path_factory.mktemp("extend") / "project")
    project.set("params.yaml", gates={})  # those of the example are for all of its rows
    return project


NAMES = """
from mlops.learning.model import Model
print(*Model.load().pipeline[:-1].get_feature_names_out())
"""


def verified(project: Project) -> dict[str, Any]:
    """Return how the ONNX model agrees, which it must."""
    parity: dict[str, Any] = project.read("reports/parity.json")
    assert parity["within_tolerance"]
    return parity


def test_own_features(project: Project) -> None:
    assert follow(project, "Features") == STAGES[STAGES.index("train") :]
    assert verified(project)["groups"]["thresholds"]["rows"] > 0
    names = project.run("python", "-c", NAMES).stdout
    assert "weather__temp humid" in names


def test_own_estimators(project: Project) -> None:
    assert follow(project, "An estimator") == 2 * STAGES[STAGES.index("train") :]
    verified(project)
    assert project.read("reports/train/params.yaml") == {
        "estimator": "corrected",
        "share": 0.25,
        "C": 1.0,
        "max_iter": 1000,
    }
    assert project.read("reports/metrics.json")["roc_auc"] > 0.6


def test_own_metric(project: Project) -> None:
    assert follow(project, "A metric") == ["train", "evaluate", "verify"]
    assert 0.2 <= project.read("reports/metrics.json")["hits_among_the_surest"] <= 1
    project.set("params.yaml", gates__hits_among_the_surest={"min": 2.0})
    broken = project.run("mlops", "gate", code=3)
    assert "hits_among_the_surest" in broken.stderr
    project.set("params.yaml", gates__hits_among_the_surest={"min": 0.2})


def test_own_stage(project: Project) -> None:
    assert follow(project, "A stage") == ["threshold"]
    assert 0 < project.read("reports/threshold.json")["from"] < 1
    assert project.repro()[0] == []


ROW = """
import json
from pathlib import Path
from mlops.inference import OnnxModel
print(json.dumps(OnnxModel(Path("models/model.onnx")).metadata["example"]["row"]))
"""


def test_own_steps_around_the_served_model(project: Project, tmp_path: Path) -> None:
    assert follow(project, "Steps around the served model") == []
    assert SERVE in blocks("Steps around the served model")[-1].text
    row = project.python(ROW)
    with serving(project, tmp_path) as server:
        rows = [row | {"wind_speed": speed} for speed in (20.0, 40.0)]
        wind, storm = server.ask("/predict", rows).json["predictions"]
    assert wind == storm
    assert 0.01 <= min(wind["probability"].values()) <= max(wind["probability"].values()) <= 0.99


def test_the_bakes_own_tests_and_checks_pass(project: Project) -> None:
    """With all of the above in place; and the engine is what it was."""
    project.run("pytest", "-q")
    project.run("mypy")
    assert project.git("status", "--porcelain", "mlops") == ""


@pytest.mark.parametrize("block", BLOCK.findall(PAGE.read_text(encoding="utf-8")))
def test_code_of_the_page_is_formatted(block: tuple[str, str], tmp_path: Path) -> None:
    if block[0] != "python":
        return
    file = tmp_path / "code.py"
    file.write_text(block[1], encoding="utf-8")
    check = ["ruff", "format", "--check", "--line-length", "100", str(file)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
