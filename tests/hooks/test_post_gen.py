"""post_gen_project: only what answers dropped, and caches of the template's checkout, go."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import files, load_hook


def test_dropped_folders_go(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in (
        *(".dropped/k8s/app.yaml", "deploy/.dropped/k8s/app.yaml", ".dropped/x/.dropped/y"),
        *("dropped/kept", ".dropped.txt", "deploy/kept"),
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    load_hook("post_gen_project", tmp_path).prune(project)
    assert [str(path) for path in files(project)] == [".dropped.txt", "deploy/kept", "dropped/kept"]
    assert list(project.rglob(".dropped")) == []


@pytest.mark.parametrize("cache", ["__pycache__", ".ruff_cache", ".mypy_cache"])
def test_caches_of_the_checkout_go(tmp_path: Path, cache: str) -> None:
    (tmp_path / "src" / cache).mkdir(parents=True)
    (tmp_path / "src" / cache / "x.pyc").write_bytes(b"\x00\x8c")
    load_hook("post_gen_project", tmp_path).prune(tmp_path)
    assert not (tmp_path / "src" / cache).exists()


def test_a_file_called_dropped_stays(tmp_path: Path) -> None:
    (tmp_path / ".dropped").touch()
    load_hook("post_gen_project", tmp_path).prune(tmp_path)
    assert (tmp_path / ".dropped").exists()


def test_importing_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_hook("post_gen_project", tmp_path)
    load_hook("pre_gen_project", tmp_path)
    assert capsys.readouterr() == ("", "")
