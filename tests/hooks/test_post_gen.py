"""post_gen_project: only what answers dropped, and caches of the template's checkout, go."""

from __future__ import annotations

import subprocess
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


URL = "https://github.com/acme/mlops-template"


@pytest.mark.parametrize(
    ("template", "recorded"),
    [
        (URL, URL),
        (f"{URL}.git", f"{URL}.git"),
        ("https://ada:secret@github.com/acme/mlops-template", URL),
        ("gh:acme/mlops-template", URL),
        ("git@github.com:acme/mlops-template.git", "git@github.com:acme/mlops-template.git"),
        ("git+file:///srv/mlops-template", "file:///srv/mlops-template"),
        ("ssh://git@example.com/acme/mlops-template", "ssh://git@example.com/acme/mlops-template"),
    ],
)
def test_an_address_is_recorded_without_a_password(
    tmp_path: Path, template: str, recorded: str
) -> None:
    hook = load_hook("post_gen_project", tmp_path)
    assert hook.address(template, tmp_path / "clones" / "mlops-template") == recorded
    assert hook.address(template, None) == recorded


@pytest.mark.parametrize("typed", [".", "../mlops-template", "mlops-template/", "{folder}"])
def test_a_folder_is_recorded_as_one(tmp_path: Path, typed: str) -> None:
    hook = load_hook("post_gen_project", tmp_path)
    folder = tmp_path / "mlops-template"
    assert hook.address(typed.format(folder=folder), folder) == str(folder)


def test_a_commit_is_recorded_where_there_is_one(tmp_path: Path) -> None:
    hook = load_hook("post_gen_project", tmp_path)
    folder = tmp_path / "mlops-template"
    folder.mkdir()
    (folder / "cookiecutter.json").write_text("{}")
    assert hook.commit(folder) is None
    git(folder, "init", "--quiet")
    assert hook.commit(folder) is None
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "One")
    assert hook.commit(folder) == git(folder, "rev-parse", "HEAD")
    (folder / "cookiecutter.json").write_text("{} ")
    assert hook.commit(folder) is None  # no commit holds what is baked


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
