"""What imports what: down only, between modules and between folders."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from helpers import PROJECT, ROOT

ENGINE = PROJECT / "mlops" / "src" / "mlops"
MODULES = sorted(ENGINE.rglob("*.py"))
# What only a face or a command may need, and what a server has no room for.
HEAVY = {"dvc", "jinja2", "pandas", "pydantic", "rich", "scipy", "sklearn", "sqlalchemy", "typer"}


def name(path: Path) -> str:
    """Return what a module is called within the engine; "" is the engine itself."""
    return (
        ".".join(path.relative_to(ENGINE).with_suffix("").parts).removesuffix("__init__").strip(".")
    )


def unit(module: str) -> str:
    """Return the folder that a module is in, or itself where it is in none."""
    return module.partition(".")[0]


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules of the engine that one imports, wherever in its text: all are relative."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            found |= {name(each) for alias in node.names for each in _files(base, alias.name)}
    return frozenset(found)


def _files(base: Path, imported: str) -> Iterator[Path]:
    """Yield the module that `from base import imported` needs: that one, or the one that has it."""
    for place in (base / imported, base):
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                yield path
                return


def others(path: Path) -> Set[str]:
    """Return the packages that a module imports, wherever in its text."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def cycle(graph: Mapping[str, Set[str]]) -> list[str]:
    """Return what depends on itself in a graph, step by step; nothing where it is sound."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def importers(wanted: str) -> set[str]:
    """Return the units, but itself, that import something of a unit."""
    return {
        unit(name(path)) for path in MODULES for each in imports(path) if unit(each) == wanted
    } - {wanted}


def test_the_graph_is_read_whole() -> None:
    assert {"judging.comparison", "judging.gate", "git.lock"} <= imports(
        ENGINE / "report" / "change.py"
    )
    assert "release" in {unit(each) for each in imports(ENGINE / "cli" / "release.py")}
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycle({name(path): imports(path) - {name(path)} for path in MODULES}) == []


def test_no_folder_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        graph[unit(name(path))] |= {unit(each) for each in imports(path)} - {unit(name(path))}
    assert cycle(graph) == []


def test_the_server_needs_little_of_the_engine() -> None:
    needed = {each for path in ENGINE.glob("serving/*.py") for each in imports(path)}
    others = {each for each in needed if unit(each) != "serving"}
    known = {"", "errors", "inference", "project", "data.reading", "scoring.reasons"}
    assert others <= known


def test_what_the_server_needs_is_in_its_image_and_nothing_heavy() -> None:
    dockerfile = PROJECT / "deploy" / "images" / "serving.Dockerfile"
    copied = re.findall(r"\bmlops/src/mlops/(\S+)", dockerfile.read_text(encoding="utf-8"))
    held = [path for path in MODULES for each in copied if path.is_relative_to(ENGINE / each)]
    assert {name(path) for path in held} >= {each for path in held for each in imports(path)}
    assert {name(path): found for path in held if (found := others(path) & HEAVY)} == {}


@pytest.mark.parametrize(("floor", "above"), [("report", {"cli"}), ("cli", set())])
def test_what_people_see_is_needed_by_nothing_below_it(floor: str, above: set[str]) -> None:
    assert importers(floor) == above


def test_templates_are_of_the_top_floor() -> None:
    assert {unit(name(path)) for path in MODULES if "jinja2" in others(path)} == {"report"}


def test_one_module_imports_what_is_the_owners() -> None:
    asking = [path for path in MODULES if "import_module" in path.read_text(encoding="utf-8")]
    assert [name(path) for path in asking] == ["project"]


@pytest.mark.parametrize(
    "module",
    [
        *("release.apply", "release.changes", "release.guard", "release.status", "release.trace"),
        "report.terminal",  # which shows what they found
    ],
)
def test_commands_on_environments_start_quickly(module: str) -> None:
    """Whoever rolls back at night waits for no library that compares models."""
    program = f"import sys, mlops.{module}\nprint(*{{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {*done.stdout.split()} & {"dvc", "numpy", "onnxruntime", "pandas", "sklearn"} == set()


def test_help_imports_no_more_than_it_says() -> None:
    program = (
        "import sys, typer.main, mlops.cli\n"
        "typer.main.get_command(mlops.cli.app)\n"
        "print(*sorted({each.partition('.')[0] for each in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    found = {*done.stdout.split()}
    assert not found & (HEAVY | {"numpy", "onnxruntime", "pyarrow"}) - {"pydantic", "typer"}


PICTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def drawn_groups() -> dict[str, str]:
    """Return the group that the picture puts each unit in: the box's name, or what it lists."""
    boxes = re.findall(r'^  (\w+)\["<b>\w+</b><br/>(.*)"\]$', PICTURE, re.MULTILINE)
    units = {unit(name(path)) for path in MODULES} - {""}
    found = {each: group for group, text in boxes for each in text.split(" · ") if each in units}
    folders = {path.name for path in ENGINE.iterdir() if path.is_dir()}
    return found | {
        group: group for group, _ in boxes if group in folders or group in units - {*found}
    }


def drawn_arrows() -> set[tuple[str, str]]:
    """Return the picture's arrows; those to what all stand on are left out of it."""
    return {
        (start, end)
        for start, ends in re.findall(r"^  (\w+) --> (.+)$", PICTURE, re.MULTILINE)
        for end in ends.split(" & ")
    }


def test_the_picture_shows_every_unit_and_every_import() -> None:
    groups = drawn_groups()
    units = {unit(name(path)) for path in MODULES} - {""}
    assert units - groups.keys() == set()
    real = {
        (groups[unit(name(path))], groups[unit(each)])
        for path in MODULES
        for each in imports(path)
        if unit(name(path)) and unit(each)
    }
    assert drawn_arrows() == {
        (start, end) for start, end in real if start != end and end != "ground"
    }
