"""A project that its reader works in: released to every environment, command by command."""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pages
from engine.released import Released
from engine.workspace import SAMPLE, Workspace
from ruamel.yaml import YAML
from typer.testing import CliRunner

from mlops.cli import app
from mlops.errors import ProjectError

# What somebody reviews and merges.
PROPOSED = re.compile(
    r"Next: git merge --ff-only (\S+)|^Pushed (\S+)\. Next: have it", re.MULTILINE
)
WARM = ("dvc", "python")
STAGES = ("ingest", "validate", "split", "verify")
EXAMPLE = "data/example/flights.parquet"
PACKAGE = "flight_delays"


class World:
    """The project of a page, in a folder of its own, with what its reader has."""

    def __init__(self, project: Workspace) -> None:
        self.project = project
        self.printed = ""

    def run(self, command: str) -> None:
        """Run a line of shell, and keep what it prints. It must succeed."""
        settings, words = pages.words(command)
        words = words[2:] if words[:2] == ["uv", "run"] else words
        if words[:2] == ["git", "commit"]:
            self.edit()
        if words == ["make", "run"]:  # what comes before was run
            words = ["mlops", "summary"]
        if words[:2] == ["dvc", "repro"] and words[-1] in STAGES:  # without DVC it is sooner there
            stage, words = words[-1], ["python", "-m", f"mlops.pipeline.{words[-1]}"]
            self.printed += f"Running stage '{stage}':\n> {' '.join(words)}\n"
        if words[0] == "mlops" and not settings:
            code, printed = self.mlops(*words[1:])
            if target := re.search(r" > (\S+)$", command):
                (self.project.folder / target[1]).write_text(printed, encoding="utf-8")
        else:
            done = self.project.run(*(words if words[0] in WARM else ("bash", "-c", command)))
            code, printed = done.returncode, done.stdout + done.stderr
        assert code == 0, f"{command}: exit code {code}\n{printed}"
        self.printed += printed
        if merged := PROPOSED.search(printed):  # as who reviews it does
            self.git("merge", "--quiet", "--ff-only", merged[1] or merged[2])
            if self.git("remote"):
                self.git("push", "--quiet", "origin", "HEAD:main")

    def mlops(self, *words: str) -> tuple[int, str]:
        """Run a command of the engine in this process: its exit code, and what it prints."""
        with chdir(self.project.folder), patch.object(sys, "argv", ["mlops", *words]):
            done = CliRunner().invoke(app, [*words])
        if isinstance(done.exception, ProjectError):
            return done.exception.exit_code, f"{done.output}error: {done.exception}\n"
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def git(self, *words: str) -> str:
        """Run Git."""
        done = self.project.run("git", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def edit(self) -> None:
        """Change something where a page says to change something in words."""
        if not self.git("status", "--porcelain", "--untracked-files=no"):
            with (self.project.folder / "params.yaml").open("a", encoding="utf-8") as params:
                params.write("# edited\n")
            self.git("add", "params.yaml")


def begin(finished: Workspace, folder: Path) -> World:
    """Release a project twice, to each environment, with a remote of Git's."""
    project = finished.copy(folder / "project")
    world = World(project)
    (project.folder / "data/example").mkdir()
    shutil.copy2(project.folder / SAMPLE, project.folder / EXAMPLE)

    def answer(model: dict[str, Any]) -> None:
        (terms,) = model["sources"].values()
        model["sources"] = {SAMPLE: terms}

    def at_once(policy: dict[str, Any]) -> None:
        policy["soak_minutes"] = 0

    # In the order of a bake, in which gates are named.
    params = project.load("params.yaml")
    params["gates"] = {name: params["gates"][name] for name in ("roc_auc", "log_loss")}
    YAML().dump(params, project.folder / "params.yaml")
    project.edit("model.yaml", answer)
    for name in ("staging", "prod"):
        project.edit(f"environments/{name}/policy.yaml", at_once)
    released = Released(project)
    released.settings("MLOPS_WORKERS=1")
    world.git("checkout", "--quiet", "-B", "main")
    world.git("config", "user.name", "Ada")
    world.git("config", "user.email", "ada@example.com")
    world.run("uv run mlops card")
    released.commit()
    for ways in (["staging", "prod"], ["staging", "prod"], ["staging"]):
        world.git("commit", "--quiet", "--allow-empty", "--message", "x")
        for words in ("release", *(f"promote {name}" for name in ways)):
            world.run(f"uv run mlops {words}")
    world.git("init", "--quiet", "--bare", "../origin.git")
    world.git("remote", "add", "origin", "../origin.git")
    world.git("push", "--quiet", "--set-upstream", "origin", "main")
    return world
