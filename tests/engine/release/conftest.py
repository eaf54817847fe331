"""Repositories with environments: one to release to, and one with a release of a real model."""

import os
from pathlib import Path

import pytest
from engine.released import Released, Repository
from engine.workspace import Workspace


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Three environments without a release, in the current folder."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Repository.begin()


@pytest.fixture
def released(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> Released:
    """See Released. No Docker is asked: there may be containers of the project itself."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    return Released(project)
