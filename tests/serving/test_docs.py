"""What mlops/docs/serve.md tells people to type, run as it stands but for address and name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from pipeline.running import Project, shell
from serving.conftest import Environment
from serving.running import Server
from serving.test_clients import CLIENTS


@pytest.fixture(scope="module")
def blocks(project: Project, server: Server) -> dict[str, list[str]]:
    """The blocks of code on the page, by language."""
    text = (project.folder / "mlops" / "docs" / "serve.md").read_text(encoding="utf-8")
    text = text.replace("localhost:8080", server.url.removeprefix("http://"))
    settings = tomllib.loads((project.folder / "pyproject.toml").read_text(encoding="utf-8"))
    text = text.replace("PROJECT", settings["project"]["name"])
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        found.setdefault(language, []).append(block)
    return found


def test_commands(project: Project, blocks: dict[str, list[str]]) -> None:
    commands = [line for block in blocks["bash"] for line in block.splitlines()]
    smoke, load = (
        next(line for line in commands if line.startswith(f"uv run mlops {name} "))
        for name in ("smoke", "load")
    )
    assert "as scikit-learn has it" in project.run(*smoke.split()[2:]).stdout
    assert project.run(*load.split()[2:]).stderr == ""


def test_curl(blocks: dict[str, list[str]], server: Server, tmp_path: Path) -> None:
    assert shutil.which("curl"), "install curl"
    (tmp_path / "row.json").write_text(json.dumps(server.example()), encoding="utf-8")
    (command,) = [block for block in blocks["bash"] if block.startswith("curl ")]
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert prediction.keys() == {"prediction", "probability"}


def test_python(project: Project, blocks: dict[str, list[str]]) -> None:
    plain, _ = blocks["python"]
    assert "'prediction': " in project.run("python", "-c", plain).stdout


def test_tritonclient(
    environment: Environment, blocks: dict[str, list[str]], tmp_path: Path
) -> None:
    _, triton = blocks["python"]
    python = environment(CLIENTS["tritonclient"]) / "bin" / "python"
    done = subprocess.run(
        [python, "-c", triton], env=shell(tmp_path), capture_output=True, text=True
    )
    assert re.fullmatch(r"\[(True|False)\]\n", done.stdout), done.stderr


def test_errors_are_as_shown(blocks: dict[str, list[str]], server: Server) -> None:
    shown = [json.loads(block) for block in blocks["json"]]
    (error,) = [each["error"] for each in shown if "error" in each]
    row = server.example()
    assert server.ask("/predict", [row, {**row, "humid": 250}]).json["error"] == error
