"""`mlops update`: a newer template in a project whose owner has worked on."""

from __future__ import annotations

import json
from collections.abc import Callable

from update.worlds import NEW_KEY, VERIFY_KEY, Project, git

Begin = Callable[..., Project]


def test_an_untouched_project_becomes_the_newer_bake(begin: Begin) -> None:
    project = begin()
    before = git(project.folder, "status", "--porcelain", "--ignored")
    said = project.update()
    assert "Update the template from 0.2.0 to 9.0.0: no conflict" in said
    assert git(project.folder, "status", "--porcelain", "--ignored") == before
    assert git(project.folder, "branch", "--show-current") == "main"
    project.switch()
    record = json.loads(project.read(".cookiecutter.json"))
    assert record["commit"] == project.versions.new
    assert record["template"] == str(project.versions.folder)
    assert record["version"] == "9.0.0"
    assert record["answers"]["region"] == "eu-central-1"
    assert "NEWER = True" in project.read("mlops/src/mlops/gate.py")
    assert not (project.folder / "mlops/docs/limits.md").exists()
    assert "It runs in eu-central-1." in project.read("README.md")
    assert NEW_KEY in project.read("params.yaml")
    assert VERIFY_KEY in project.read("params.yaml")
    assert (project.folder / "tests/test_region.py").is_file()
    assert "# newer" not in project.read("tests/test_contract.py")
    assert project.mlops("engine", "--check").returncode == 0
