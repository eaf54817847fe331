"""Every command that a page shows, or names in a sentence: it exists, and takes what it is given.

Which of them run, and what they print: engine/release/test_pages.py.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import helpers
import pages
import pytest
import typer
from conftest import Bake
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from typer.core import TyperGroup
from typer.main import get_command

from mlops.cli import app

TEMPLATE = [helpers.ROOT / "README.md", *sorted((helpers.ROOT / "docs").glob("*.md"))]
# Of the machine or of GitHub. With the subcommands whose files are looked for below.
TOOLS = (
    *(
        "amtool",
        "arm-none-eabi-gcc",
        "cat",
        "cc",
        "cd",
        "curl",
        "export",
        "docker",
        "gh",
        "kubectl",
    ),
    *("kustomize", "mkdir", "umask", "promtool", "python", "git", "sudo"),
)
# What Typer's parser raises; of its classes it names this one alone.
USAGE: Any = typer.BadParameter.__base__


class Refused(Exception):
    """A command is not as its program takes it."""


def check_mlops(words: list[str], project: Path) -> None:
    """Parse a command of the engine as it does itself; a sentence may leave arguments out."""
    name: str | None = "mlops"
    command: Any = get_command(app)
    parent = None
    try:
        while True:
            context = command.make_context(name, [*words], parent=parent)
            words = [*context._protected_args, *context.args]
            if not isinstance(command, TyperGroup) or not words:
                return
            name, command, words = command.resolve_command(context, words)
            parent = context
    except typer.Exit:  # of --help
        return
    except USAGE as error:
        message = error.format_message()
        if not re.search(r"^Missing (argument|option)|^Usage:|requires an argument\.$", message):
            raise Refused(message) from None


@cache
def _dvc() -> Any:
    with patch.object(sys, "argv", ["dvc"]):  # it looks there, too
        return get_main_parser()


def check_dvc(words: list[str], project: Path) -> None:
    """Parse a command of DVC as it does itself; a sentence may leave arguments out."""
    parser = _dvc()
    try:
        parsed = parser.parse_args(words if len(words) > 1 else [*words, "--help"])
    except DvcParserError:
        raise Refused("dvc takes no such words") from None
    except SystemExit:  # of --help
        return
    if words[0] == "repro":
        stages = helpers.load_yaml((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        if unknown := {*parsed.targets} - stages.keys():
            raise Refused(f"no stage {unknown}")


def check_make(words: list[str], project: Path) -> None:
    """Look for a target of the project or of the template."""
    both = (project / "Makefile", helpers.ROOT / "Makefile")
    text = "\n".join(path.read_text(encoding="utf-8") for path in both)
    for word in words:
        if not re.search(rf"^{re.escape(word)}:", text, re.MULTILINE):
            raise Refused(f"Makefile: no target {word}")


def check_groups(words: list[str], project: Path) -> list[str]:
    """Look for dependency groups, and return what `uv run` runs."""
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)["dependency-groups"]
    while words and words[0].startswith("--"):
        option, *words = words
        if option in {"--group", "--project"}:
            value, *words = words
            if option == "--group" and value not in groups:
                raise Refused(f"pyproject.toml: no group {value}")
    return words


def check_uv(words: list[str], project: Path) -> None:
    """Look at what `uv` runs or installs."""
    subcommand, *rest = words
    rest = check_groups(rest, project)
    if subcommand == "run" and rest:
        check(rest, project)
    elif subcommand not in {"run", "sync", "add", "lock", "export"}:
        raise Refused(f"uv {subcommand}")


def check_python(words: list[str], project: Path) -> None:
    """Compile a program that is given as an argument."""
    if words[0] == "-c":
        try:
            compile(words[1], "page", "exec")
        except SyntaxError as error:
            raise Refused(str(error)) from None


def check_gh(words: list[str], project: Path) -> None:
    """Look for a workflow and its inputs."""
    if words[:2] != ["workflow", "run"]:
        return
    path = project / ".github/workflows" / f"{words[2].removesuffix('.yml')}.yml"
    if not path.exists():
        raise Refused(f"no workflow {words[2]}")
    declared = helpers.load_yaml(path.read_text(encoding="utf-8"))
    inputs = (declared.get("on") or declared.get(True))["workflow_dispatch"] or {}
    for word in words[3:]:
        name, sign, _ = word.partition("=")
        if sign and name not in inputs.get("inputs", {}):
            raise Refused(f"{path.name}: no input {name}")


def check_files(words: list[str], project: Path) -> None:
    """Look for files of the project that another program is given."""
    for word in words:
        name = word.rpartition("=")[2]
        if name.startswith("deploy/") and not (project / name).exists():
            raise Refused(f"no {name}")


def check_uvx(words: list[str], project: Path) -> None:
    """Look for the questions that answers are given to, and for the choices."""
    for word in words:
        name, sign, answer = word.partition("=")
        if sign and name not in helpers.QUESTIONS:
            raise Refused(f"cookiecutter.json: no question {name}")
        if sign and answer not in helpers.CHOICES.get(name, [answer]):
            raise Refused(f"cookiecutter.json: {name}: no choice {answer}")


CHECKS: dict[str, Callable[[list[str], Path], None]] = {
    "mlops": check_mlops,
    "dvc": check_dvc,
    "make": check_make,
    "uv": check_uv,
    "python": check_python,
    "uvx": check_uvx,
    "gh": check_gh,
}


def check(words: list[str], project: Path) -> None:
    """Raise Refused where a command is not as its program takes it."""
    program, *rest = words
    if program in CHECKS:
        CHECKS[program](rest, project)
    elif program in TOOLS:
        check_files(rest, project)
    elif program not in {"pytest", "pre-commit", "marimo"}:
        raise Refused(f"{program}: no program that pages use")


def refusals(page: Path, project: Path) -> list[str]:
    """Return the commands of a page that are not as their programs take them."""
    text = page.read_text(encoding="utf-8")
    found = []
    for command in [*pages.shell_commands(text), *pages.inline_commands(text)]:
        _, words = pages.words(command.replace("NUMBER", "7"))
        try:
            if words:
                check(words, project)
        except Refused as error:
            found.append(f"{page.name}: {command}: {error}")
    return found


@pytest.fixture(scope="module")
def project(baked: Bake) -> Path:
    """A bake with every file that a page names."""
    return baked(deployment="kubernetes")


def test_commands_of_the_manual(project: Path) -> None:
    assert [line for page in pages.manual(project) for line in refusals(page, project)] == []


def test_commands_of_the_template(project: Path) -> None:
    assert [line for page in TEMPLATE for line in refusals(page, project)] == []


@pytest.mark.parametrize(
    "command",
    [
        "uv run mlops compare --bsae main",
        "uv run mlops compere",
        "uv run mlops data iniit data.csv",
        "uv run mlops experiments --al",
        "uv run mlops promote staging prod",
        "uv run mlops load http://localhost:8080 --connections many",
        "uv run dvc repro --forse",
        "uv run dvc repro trian",
        "uv run dvc experiment",
        "uv run --group ntoebook marimo edit notebooks/explore.py",
        "uv sync --group ntoebook",
        'uv run python -c "print("',
        "uv run ruf check",
        "make deom",
        "gh workflow run retrian.yml",
        "gh workflow run retrain.yml --field raeson=drift",
        "kubectl apply --kustomize deploy/flex",
        "docker build --file=deploy/images/sreving.Dockerfile",
        "mlpos status",
        "uvx cookiecutter gh:org/mlops-template --no-input taks=regression",
        "uvx cookiecutter gh:org/mlops-template --no-input task=regresion",
    ],
)
def test_a_command_that_is_not_so_is_found(project: Path, tmp_path: Path, command: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```bash\n{command}\n```\n", encoding="utf-8")
    assert refusals(page, project) != []
