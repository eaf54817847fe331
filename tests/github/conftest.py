"""A project whose remote is on GitHub, and a stand-in for GitHub to set up."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from github.hub import Hub
from pipeline.running import Project, Reproduced, Run
from workflows.events import REPOSITORY
from workflows.github import PERSON, serve

from mlops import cli

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


class NearDesk(Desk):
    """The same with `mlops` in this process, which has imported it."""

    def mlops(self, *arguments: str, code: int = 0, **env: str) -> Run:
        """Run the command, and forget which requests came before it."""
        assert not env, "what another environment changes is for a process of its own"
        self.hub.calls.clear()
        command = ["mlops", "github", *arguments]
        stdout, stderr = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.project.folder),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "argv", command)
            for name, value in self.environ().items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        status = int(ended.value.code or 0)
        run = subprocess.CompletedProcess(command, status, stdout.getvalue(), stderr.getvalue())
        assert status == code, f"exit {status}, not {code}: {run.stdout}{run.stderr}"
        return run


@pytest.fixture(scope="session")
def cloned(started: Reproduced, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a remote on GitHub. Not to be changed: copy it."""
    project = started("classification").copy(tmp_path_factory.mktemp("cloned") / "project")
    project.git("remote", "add", "origin", f"git@github.com:{REPOSITORY}.git")
    return project


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """GitHub as it is for a new public repository."""
    return Hub(REPOSITORY, tmp_path / "origin", tmp_path / "api")


@pytest.fixture
def known(cloned: Project, hub: Hub, tmp_path: Path) -> Iterator[Project]:
    """A copy of the project, whose `gh` finds a repository to set up."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    with serve(hub):
        yield cloned.copy(tmp_path / "project")


@pytest.fixture
def desk(known: Project, hub: Hub) -> Desk:
    """Where the command runs in this process."""
    return NearDesk(known, hub)


@pytest.fixture
def terminal(known: Project, hub: Hub) -> Desk:
    """Where it is started as somebody starts it."""
    return Desk(known, hub)
