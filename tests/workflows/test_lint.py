"""The workflows of the template and of every bake, as three linters see them: nothing to report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from workflows.act import tools_path

ROOT = helpers.ROOT
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PATH = tools_path(os.environ["PATH"])
ZIZMOR = str(Path(sys.executable).with_name("zizmor"))
OFFLINE = [ZIZMOR, "--offline", "--persona", "auditor", "--quiet"]
REMOTES = helpers.CHOICES["data_remote"]


def installed(tool: str) -> bool:
    """Tell whether there is such a tool."""
    return shutil.which(tool, path=PATH) is not None


needs_shellcheck = pytest.mark.skipif(
    not installed("shellcheck"), reason="shellcheck is not installed"
)
needs_actionlint = pytest.mark.skipif(
    not installed("actionlint"), reason="actionlint is not installed"
)


def output_of(*command: str, folder: Path = ROOT) -> str:
    """Return what a linter says, unless it is content."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""


@needs_actionlint
@needs_shellcheck
def test_actionlint_reports_nothing() -> None:
    assert output_of("actionlint", *map(str, WORKFLOWS)) == ""


def test_zizmor_reports_nothing() -> None:
    assert output_of(*OFFLINE, ".github") == ""


@needs_shellcheck
def test_shellcheck_reports_nothing() -> None:
    assert output_of("shellcheck", ".ci/run", "tests/workflows/shell/bash") == ""


def test_there_are_workflows_to_lint() -> None:
    assert WORKFLOWS
    assert [*helpers.PROJECT.glob(".github/workflows/*.yml")]


@pytest.fixture(params=REMOTES)
def repository(request: pytest.FixtureRequest, baked: Callable[..., Path], tmp_path: Path) -> Path:
    """What a bake has for GitHub, in a repository: where linters look for its own actions."""
    shutil.copytree(baked(data_remote=request.param) / ".github", tmp_path / ".github")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


@needs_actionlint
@needs_shellcheck
def test_actionlint_reports_nothing_for_a_bake(repository: Path) -> None:
    assert output_of("actionlint", folder=repository) == ""


@needs_actionlint
@pytest.mark.parametrize("repository", ["local"], indirect=True)
def test_actionlint_would_report_an_input_that_the_action_lacks(repository: Path) -> None:
    path = repository / ".github" / "workflows" / "ci.yml"
    text = path.read_text(encoding="utf-8")
    assert "data: true" in text
    path.write_text(text.replace("data: true", "dada: true"), encoding="utf-8")
    assert '"dada" is not defined' in output_of("actionlint", folder=repository)


def test_zizmor_reports_nothing_for_a_bake(repository: Path) -> None:
    assert output_of(*OFFLINE, ".", folder=repository) == ""


@needs_actionlint
@needs_shellcheck
def test_actionlint_reports_nothing_for_the_unrendered_project() -> None:
    paths = sorted(map(str, helpers.PROJECT.glob(".github/workflows/*.yml")))
    assert output_of("actionlint", *paths) == ""


def test_zizmor_reports_nothing_for_the_unrendered_project() -> None:
    config = ["--config", ".github/zizmor.yml"]
    assert output_of(*OFFLINE, *config, ".github", folder=helpers.PROJECT) == ""


@pytest.mark.parametrize("mistake", ["uses: actions/checkout@v7", "permissions: write-all"])
def test_zizmor_would_report_a_mistake(tmp_path: Path, mistake: str) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    text = WORKFLOWS[0].read_text()
    for line in text.splitlines():
        if line.strip().startswith(mistake.split(":")[0]):
            text = text.replace(line.strip(), mistake, 1)
            break
    (folder / "ci.yml").write_text(text)
    assert output_of(*OFFLINE, str(tmp_path)) != ""
