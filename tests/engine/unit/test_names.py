"""Names of locals are nouns of what they hold, in the folders that were gone through."""

import ast
from collections.abc import Iterator

import helpers
import pytest

SOURCES = helpers.PROJECT / "mlops/src/mlops"
# These hold anything: a noun says what.
VAGUE = {"each", "found", "told", "said", "at", "how", "there"}
DONE: tuple[str, ...] = ("config", "retrain", "scoring", "site")
DONE += ("facts.py", "files.py", "inference.py", "packages.py")


def vague(source: str) -> Iterator[str]:
    """Yield the vague names that a module gives to locals and arguments, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE:
            yield f"{node.lineno}: {node.id}"
        elif isinstance(node, ast.arg) and node.arg in VAGUE:
            yield f"{node.lineno}: {node.arg}"


@pytest.mark.parametrize("place", DONE)
def test_names_say_what_they_hold(place: str) -> None:
    path = SOURCES / place
    modules = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert modules
    assert [f"{m}:{name}" for m in modules for name in vague(m.read_text("utf-8"))] == []


def test_a_vague_name_is_found() -> None:
    source = (
        "def f(how: int) -> int:\n    found = [each for each in range(how)]\n    return found\n"
    )
    assert sorted(vague(source)) == ["1: how", "2: each", "2: found"]
