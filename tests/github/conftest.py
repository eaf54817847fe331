"""A project whose remote is on GitHub, and a stand-in for GitHub to set up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from github.hub import Hub
from pipeline.running import Project, Reproduced, Run
from workflows.events import REPOSITORY
from workflows.github import PERSON, serve

SETTINGS = ".github/settings.yaml"
TOOLS = ("gh", "openssl")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]


@dataclass(frozen=True)
class Desk:
    """Where somebody types `mlops github`.

    Attributes:
        settings: of the environment, beside those by which `gh` finds the stand-in.
    """

    project: Project
    hub: Hub
    settings: Mapping[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """Return what makes `gh` ask the stand-in, with a login that it knows."""
        config = self.hub.folder / "gh"
        config.mkdir(exist_ok=True)
        text = f"http_unix_socket: {self.hub.socket}\n"
        (config / "config.yml").write_text(text, encoding="utf-8")
        # A job of CI has a login of its own.
        ours = {name: "" for name in os.environ if name.startswith(("GH_", "GITHUB_"))}
        return ours | {"GH_CONFIG_DIR": str(config), "GH_TOKEN": PERSON} | dict(self.settings)

    def type(self, command: str) -> str:
        """Run a line as a shell does, and return what it prints."""
        return self.project.run("bash", "-ec", command, env=self.environ()).stdout

    def mlops(self, *arguments: str, code: int = 0, **env: str) -> Run:
        """Run the command, and forget which requests came before it."""
        self.hub.calls.clear()
        return self.project.run("mlops", "github", *arguments, code=code, env=self.environ() | env)

    def review(self, *names: str) -> None:
        """Declare who approves deployments to prod."""
        self.project.set(SETTINGS, environments__prod__reviewers=[*names])

    def differences(self, *arguments: str, code: int = 0) -> list[str]:
        """Run it and return the lines that tell of a difference."""
        lines = self.mlops(*arguments, code=code).stdout.splitlines()
        return [line for line in lines if line.startswith(("+ ", "~ ", "- "))]


@pytest.fixture(scope="session")
def cloned(started: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a remote on GitHub. Not to be changed: copy it."""
    project = started("classification").copy(tmp_path_factory.mktemp("cloned") / "project")
    project.git("remote", "add", "origin", f"git@github.com:{REPOSITORY}.git")
    return project


@pytest.fixture
def desk(cloned: Project, tmp_path: Path) -> Iterator[Desk]:
    """A copy of it, and GitHub as it is for a new public repository."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    hub = Hub(REPOSITORY, tmp_path / "origin", tmp_path / "api")
    with serve(hub):
        yield Desk(cloned.copy(tmp_path / "project"), hub)
