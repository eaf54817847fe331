"""The engine against its manifest: what is told, and what is refused."""

import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import PROJECT

from mlops.errors import InputError
from mlops.git import engine
from mlops.git.record import RECORD, Record
from mlops.git.revision import Revision, git
from mlops.report.change import changed_engine

SHIPPED = {"a.py": engine.digest(b"a\n"), "b.py": engine.digest(b"b\n")}


def test_a_manifest_is_what_sha256sum_writes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a\n")
    (tmp_path / "b.py").write_text("b\n")
    command = ["sha256sum", "a.py", "b.py"]
    written = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert engine.manifest(SHIPPED) == written
    assert engine.parse(written) == SHIPPED


def test_line_ends_are_no_difference_but_bytes_are() -> None:
    assert engine.digest(b"a\r\n") == engine.digest(b"a\n")
    assert engine.digest(b"\0a\r\n") != engine.digest(b"\0a\n")


def test_differences_are_a_line_each() -> None:
    found = {"b.py": engine.digest(b"c\n"), "c.py": engine.digest(b"c\n")}
    assert engine.differences(SHIPPED, found).lines() == [
        "added: mlops/c.py",
        "changed: mlops/b.py",
        "removed: mlops/a.py",
    ]
    assert engine.differences(SHIPPED, SHIPPED).lines() == []


@pytest.mark.parametrize("line", ["", "abc  a.py", f"{'0' * 64} a.py", f"{'0' * 64}  "])
def test_what_is_no_manifest_is_refused(line: str) -> None:
    with pytest.raises(InputError, match=r"mlops/manifest line 2: not a line of a manifest"):
        engine.parse(f"{SHIPPED['a.py']}  a.py\n{line}\n")


@pytest.mark.parametrize(
    ("name", "is_part"),
    [
        ("pyproject.toml", True),
        ("src/mlops/py.typed", True),
        ("manifest", False),
        ("src/mlops/__pycache__/cli.cpython-311.pyc", False),
        (".ruff_cache/x", False),
        ("src/.DS_Store", False),
        ("src/mlops_template_engine.egg-info/PKG-INFO", False),
    ],
)
def test_what_tools_leave_is_no_part(name: str, is_part: bool) -> None:
    assert engine.is_part(name) is is_part


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with this engine, in Git."""
    monkeypatch.chdir(tmp_path)
    caches = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info")
    shutil.copytree(PROJECT / "mlops", "mlops", ignore=caches)
    record = Record(template="https://example.com/t", commit="1" * 40, version="0", answers={})
    RECORD.write_text(record.text())
    _commit()
    return tmp_path


def _commit() -> None:
    # The tests' `git` takes no variable of Git's from the environment.
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    git("init", "--quiet")
    git("add", "--all")
    git(*identity, "commit", "--quiet", "--message", "All")


def test_this_engine_is_what_its_manifest_says(project: Path) -> None:
    assert engine.engine().summary()[1:] == [
        "template https://example.com/t",
        f"commit {'1' * 40}",
        "no file differs from this version",
    ]
    assert changed_engine() == []


def test_a_change_is_a_fact_of_the_report(project: Path) -> None:
    (project / "mlops/src/mlops/judging/gate.py").write_text("")
    assert changed_engine() == ["changed: mlops/src/mlops/judging/gate.py"]


def test_a_manifest_that_hides_a_change_is_found(project: Path) -> None:
    base = Revision.of("HEAD")
    assert base is not None
    assert not engine.is_rewritten(base)
    text = engine.MANIFEST.read_text()
    engine.MANIFEST.write_text(text.replace(text[:64], "0" * 64))
    assert engine.is_rewritten(base)
    # An update brings another one, and says so in the record.
    RECORD.write_text(RECORD.read_text().replace("1" * 40, "2" * 40))
    assert not engine.is_rewritten(base)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[project", "not valid TOML: "),
        (b"\xff = 1", "not UTF-8 text"),
        (b"project = 1", "project is 1 .*; must be a table"),
        (b"[project]", "project.version is missing"),
        (b"[project]\nversion = 2", "project.version is missing"),
    ],
)
def test_an_engine_without_a_version_is_a_line(project: Path, text: bytes, said: str) -> None:
    (project / "mlops/pyproject.toml").write_bytes(text)
    with pytest.raises(InputError, match=f"^mlops/pyproject.toml: {said}"):
        engine.engine()


def test_no_manifest_is_a_line(project: Path) -> None:
    engine.MANIFEST.unlink()
    with pytest.raises(InputError, match=r"mlops/manifest: no such file"):
        engine.engine()
