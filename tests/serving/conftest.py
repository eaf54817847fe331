"""Servers of a small project: one a session to ask, others to stop, break and overload."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from pipeline.running import Project, Reproduced, shell
from serving.running import Server, serving

Start = Callable[..., Server]
Environment = Callable[[str], Path]


@pytest.fixture(scope="session")
def project(small: Reproduced) -> Project:
    """A project with a model. Not to be changed: copy it."""
    return small("classification")


@pytest.fixture(scope="session")
def server(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server to ask, as often and as badly as one likes: in the end it has nothing to report."""
    with serving(project, tmp_path_factory.mktemp("server")) as found:
        yield found
    assert found.told() == ""
    assert found.process.returncode == 0


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What makes a virtual environment for a package that is not the tests' own, once a session."""

    @cache
    def install(requirement: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv = str(folder / "venv")
        for command in (
            ["uv", "venv", "--python", "3.11", venv],
            ["uv", "pip", "install", "--python", venv, requirement],
        ):
            done = subprocess.run(command, env=shell(folder), capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        return Path(venv)

    return install


@pytest.fixture
def start(project: Project, tmp_path: Path) -> Iterator[Start]:
    """What starts a server of the test's own: `start("--workers", "2", drain_seconds=1)`."""
    with ExitStack() as stack:

        def run(*arguments: str, of: Project = project, **settings: object) -> Server:
            env = {f"MLOPS_{name.upper()}": str(value) for name, value in settings.items()}
            return stack.enter_context(serving(of, tmp_path, *arguments, env=env))

        yield run
