"""A release has one version in all places, and a section of the changelog."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import ROOT

PLACES = ("pyproject.toml", "cookiecutter.json", "CITATION.cff")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    for name in (".ci/notes", "CHANGELOG.md", *PLACES):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def notes(checkout: Path, tag: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", ".ci/notes", tag]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def newest() -> str:
    found = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_newest_section_is_the_notes(checkout: Path) -> None:
    done = notes(checkout, f"v{newest()}")
    assert done.returncode == 0, done.stderr
    assert "### Added" in done.stdout
    assert "\n## " not in done.stdout


@pytest.mark.parametrize("place", PLACES)
def test_a_version_that_differs_is_refused(checkout: Path, place: str) -> None:
    file = checkout / place
    file.write_text(file.read_text("utf-8").replace(newest(), "9.9.9"), encoding="utf-8")
    done = notes(checkout, f"v{newest()}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {place} is not at version {newest()}\n"


def test_a_version_without_a_section_is_refused(checkout: Path) -> None:
    for name in PLACES:
        text = (checkout / name).read_text("utf-8")
        (checkout / name).write_text(text.replace(newest(), "9.9.9"), encoding="utf-8")
    done = notes(checkout, "v9.9.9")
    assert done.stderr == "error: CHANGELOG.md has no section '## 9.9.9'\n"
