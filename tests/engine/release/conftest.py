"""Repositories with environments: one to release to, and one with a release of a real model."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from engine.followed import PACKAGE, begin
from engine.released import Released, Repository
from engine.stored import Stored
from engine.traced import Shipped, Traced
from engine.workspace import Workspace

from mlops.project import VARIABLE

NO_DOCKER = "unix:///nowhere"


@pytest.fixture(scope="session")
def _unreleased(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Repository]:
    with pytest.MonkeyPatch.context() as patch:
        folder = _alone(tmp_path_factory.mktemp("unreleased") / "repository", patch)
        return folder, Repository.begin()


@pytest.fixture
def repository(
    _unreleased: tuple[Path, Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """Three environments without a release, in the current folder."""
    folder, begun = _unreleased
    shutil.copytree(folder, _alone(tmp_path / "repository", monkeypatch), dirs_exist_ok=True)
    return replace(begun, ids={})


def _alone(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make a folder the current one, where Git knows nothing of whoever runs the tests."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        patch.delenv(name)
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder.mkdir()
    patch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def _released(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Released:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", NO_DOCKER)
        return Released.begin(finished.copy(tmp_path_factory.mktemp("released") / "project"))


@pytest.fixture
def released(_released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Released:
    """See Released. No Docker is asked: there may be containers of the project itself."""
    monkeypatch.setenv("DOCKER_HOST", NO_DOCKER)
    return _released.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def _traced(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("traced")
    stored = Stored.begin(folder / "project", "binary", folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(stored.folder)
        Traced(stored).begin()
    return stored


@pytest.fixture
def traced(_traced: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Traced:
    """A copy of its own, with a remote and a cache of its own."""
    for name in ("project", "storage", "cache"):
        shutil.copytree(_traced.folder.parent / name, tmp_path / name, symlinks=True)
    stored = Stored(tmp_path / "project", "binary")
    for name in ("config", "config.local"):
        config = stored.folder / ".dvc" / name
        config.write_text(config.read_text().replace(str(_traced.folder.parent), str(tmp_path)))
    monkeypatch.chdir(stored.folder)
    found = Traced(stored)
    (found.id,) = (path.stem for path in Path("releases").glob("*.json"))
    return found


@pytest.fixture
def shipped(traced: Traced) -> Shipped:
    """The same, and dev runs the release."""
    return Shipped(traced)


@pytest.fixture(scope="session")
def _promoted(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("promoted")
    with pytest.MonkeyPatch.context() as patch, _at_home(folder / "project", patch):
        return begin(finished, folder).project


@pytest.fixture
def promoted(_promoted: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A project whose model runs in each environment, after another one. Not to be changed."""
    with _at_home(_promoted.folder, monkeypatch):
        yield _promoted


@contextmanager
def _at_home(project: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let commands of a project run in this process, with its own package, and without Docker."""
    patch.setenv("DOCKER_HOST", NO_DOCKER)
    patch.setenv("COLUMNS", "200")
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        patch.delenv(name)
    patch.syspath_prepend(str(project / "src"))
    yield
    os.environ.pop(VARIABLE, None)  # the package for which a command spoke
    for name in [each for each in sys.modules if each.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
