"""What editors find in a bake agrees with its Makefile, and what is the owner's stays small."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import CHOICES, ROOT

Baked = Callable[..., Path]
# What is the engine's, the platform's, a document's or data.
OTHERS = ("mlops", "deploy", ".github", "docs", "data", "environments", ".dvc", ".git")
MOST_FILES, MOST_LINES = 40, 600


def test_tasks_are_those_of_the_makefile(baked: Baked) -> None:
    tasks = json.loads((baked() / ".vscode/tasks.json").read_text(encoding="utf-8"))["tasks"]
    targets = re.findall(r"^([a-z]+):.*## ", (baked() / "Makefile").read_text(), re.MULTILINE)
    assert {task["label"]: task["command"] for task in tasks} == {
        target: f"make {target}" for target in targets if target != "help"
    }


@pytest.mark.parametrize("version", CHOICES["python_version"])
def test_container_has_the_projects_python(baked: Baked, version: str) -> None:
    project = baked(python_version=version)
    container = json.loads((project / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert container["image"].endswith(f":{version}")
    assert container["postCreateCommand"] == "make run"


def test_style_is_the_templates(baked: Baked) -> None:
    assert (baked() / ".editorconfig").read_bytes() == (ROOT / ".editorconfig").read_bytes()


@pytest.mark.parametrize("task", CHOICES["task"])
def test_what_the_owner_edits_is_small(baked: Baked, task: str) -> None:
    project = baked(task=task)
    files = [path for path in project.rglob("*") if path.is_file()]
    own = [path for path in files if path.relative_to(project).parts[0] not in OTHERS]
    assert 0 < len(own) <= MOST_FILES
    code = [path.read_text("utf-8") for path in own if path.suffix == ".py"]
    assert 0 < sum(text.count("\n") for text in code) <= MOST_LINES
