"""`packages.txt` has what can change a model of uv.lock, and nothing of linters and servers."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from helpers import PROJECT

from mlops import cli, packages
from mlops.errors import CheckError, InputError
from mlops.git import lock
from mlops.git.revision import Revision

LOCK = (PROJECT / "uv.lock").read_text(encoding="utf-8")
SHIPPED = (PROJECT / "packages.txt").read_text(encoding="utf-8")
PYPI = 'source = { registry = "https://pypi.org/simple" }'


def renewed(name: str, version: str = "99.0") -> str:
    """uv.lock with another version of a package."""
    (found, *_) = (each for each in tomllib.loads(LOCK)["package"] if each["name"] == name)
    before = f'name = "{name}"\nversion = "{found["version"]}"'
    assert before in LOCK
    return LOCK.replace(before, f'name = "{name}"\nversion = "{version}"')


def test_a_bake_has_that_of_its_lock() -> None:
    assert packages.text(LOCK) == SHIPPED


@pytest.mark.parametrize(
    "name", ["ruff", "pytest", "dvc", "httptools", "zensical", "gcsfs", "optuna"]
)
def test_what_no_stage_computes_with_changes_nothing(name: str) -> None:
    assert packages.text(renewed(name)) == SHIPPED


@pytest.mark.parametrize(
    "name", ["scikit-learn", "skl2onnx", "onnxruntime", "pandas", "joblib", "lightgbm", "optax"]
)
def test_what_a_stage_computes_with_does(name: str) -> None:
    assert f"\n{name}==99.0\n" in packages.text(renewed(name))


def _project(needs: str = "", groups: str = "", more: str = "") -> str:
    return f"""
version = 1
[[package]]
name = "churn"
source = {{ editable = "." }}
dependencies = [{needs}]
[package.dev-dependencies]
{groups}
{more}
"""


def _package(name: str, version: str = "1.0", needs: str = "", source: str = PYPI) -> str:
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n{source}\ndependencies = [{needs}]\n'
    )


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (_project(), []),
        (
            _project('{ name = "a" }', more=_package("a", needs='{ name = "b" }') + _package("b")),
            ["a==1.0", "b==1.0"],
        ),
        (  # groups of one's own count, those of tools do not
            _project(
                groups='devices = [{ name = "a" }]\ndev = [{ name = "b" }]\n'
                'log-s3 = [{ name = "c" }]\ndocs-of-data = [{ name = "d" }]',
                more="".join(map(_package, "abcd")),
            ),
            ["a==1.0", "d==1.0"],
        ),
        (  # another version for other Pythons
            _project(
                '{ name = "a", version = "1.0" }, { name = "a", version = "2.0" }',
                more=_package("a", needs='{ name = "b" }')
                + _package("a", "2.0", '{ name = "c" }')
                + _package("b")
                + _package("c"),
            ),
            ["a==1.0", "a==2.0", "b==1.0", "c==1.0"],
        ),
        (  # an extra brings more, and packages may need each other
            _project(
                '{ name = "a", extra = ["fast"] }',
                more=_package("a")
                + '[package.optional-dependencies]\nfast = [{ name = "b" }]\n'
                + _package("b", needs='{ name = "a" }'),
            ),
            ["a==1.0", "b==1.0"],
        ),
        (
            _project(
                '{ name = "a" }',
                more=_package("a", source='source = { git = "https://example.com/a?rev=x#0123" }'),
            ),
            ["a==1.0 of https://example.com/a?rev=x#0123"],
        ),
        (  # a library of one's own in the repository has needs, too
            _project(
                '{ name = "lib" }',
                more=_package("lib", needs='{ name = "a" }', source='source = { editable = "lib" }')
                + _package("a"),
            ),
            ["a==1.0"],
        ),
    ],
)
def test_what_is_followed(content: str, lines: list[str]) -> None:
    assert packages.text(content) == packages.HEADER + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("content", ["", "package = 1", "[[package]]\nname = 'x'", "[", "a = 1"])
def test_what_uv_did_not_write_is_refused(content: str) -> None:
    with pytest.raises(InputError, match=r"^uv\.lock: not (written by uv|valid TOML)"):
        packages.text(content)


def test_the_gate_names_what_differs(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.made()
    stored.push()
    Path("uv.lock").write_text(LOCK, encoding="utf-8")
    assert lock.check().packages == []  # a project of before has none
    assert packages.write()
    assert not packages.write()
    assert lock.check().problems() == []
    Path("uv.lock").write_text(renewed("ruff"), encoding="utf-8")
    assert lock.check().problems() == []
    Path("uv.lock").write_text(renewed("pandas"), encoding="utf-8")
    (problem,) = lock.check().problems()
    assert problem.startswith("packages.txt does not fit uv.lock: pandas==")
    assert "pandas==99.0" in problem
    assert "`uv run mlops packages`" in problem
    monkeypatch.setattr("sys.argv", ["mlops", "packages"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert lock.check().problems() == []


def test_a_release_of_packages_that_do_not_fit_is_refused(stored: Any) -> None:
    Path("uv.lock").write_text(LOCK, encoding="utf-8")
    packages.write()
    commit = stored.made()
    lock.require_fresh(Revision(commit))
    Path("uv.lock").write_text(renewed("onnx"), encoding="utf-8")
    with pytest.raises((InputError, CheckError), match=r"packages\.txt does not fit uv\.lock"):
        lock.require_fresh(Revision(stored.commit()))
