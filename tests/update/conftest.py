"""Fixtures of the updates' tests: a template with two versions, and projects of the first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import helpers
import pytest
from cookiecutter.main import cookiecutter
from update.worlds import Project, Versions


@pytest.fixture(scope="session")
def versions(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """The template as a repository, with the version of this commit and a newer one."""
    return Versions.make(template, tmp_path_factory.mktemp("versions") / "mlops-template")


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bake without starting cookiecutter anew, which takes most of an update's time."""

    def render(template: Path, output: Path, given: list[str]) -> str:
        config = helpers.user_config(output.parent)
        answers = dict(each.split("=", 1) for each in given)
        try:
            cookiecutter(
                str(template),
                no_input=True,
                extra_context=answers,
                output_dir=str(output),
                config_file=str(config),
            )
        except Exception as error:
            return str(error)
        return ""

    monkeypatch.setattr("mlops.update.template.render", render)


@pytest.fixture(scope="session")
def begun(versions: Versions, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Bakes the older version with the given answers, and commits it, once. Copy it."""

    @cache
    def go(**answers: str) -> Project:
        return Project.begin(versions, tmp_path_factory.mktemp("begun"), **answers)

    return go


@pytest.fixture
def begin(begun: Callable[..., Project], tmp_path: Path) -> Callable[..., Project]:
    """Makes a project of the older version with the given answers, of the test's own."""

    def go(**answers: str) -> Project:
        baked = begun(**answers)
        folder = shutil.copytree(baked.folder, tmp_path / "project" / baked.folder.name)
        return Project(folder, baked.versions)

    return go
