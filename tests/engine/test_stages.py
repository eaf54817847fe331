"""`dvc.yaml` names for each stage the code that can change what it makes, and no other.

What a stage imports, directly or not, is read from the source. Left out is what can stop a stage or
move its files, which are outputs, but not change them: the names in HARMLESS.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import PROJECT

from mlops.config.params import Params
from mlops.config.section import Section

ENGINE = PROJECT / "mlops" / "src" / "mlops"
HARMLESS = {
    ENGINE / name
    for name in (
        "config/params.py",  # puts the sections together, each of which says what it holds
        "config/section.py",
        "errors.py",
        "learning/memory.py",  # stops training that cannot end
        "paths.py",
        "pipeline/__init__.py",
        "progress.py",
        "project.py",  # finds the owner's modules, which are dependencies themselves
    )
}
# Nor what says what a folder is for, and nothing else.
HARMLESS |= {
    path
    for path in ENGINE.rglob("__init__.py")
    if len(ast.parse(path.read_text(encoding="utf-8")).body) == 1
}
SECTIONS = {path.stem for path in (ENGINE / "config").glob("*.py")}
# One that there is for each target is looked at as one.
STAGES: dict[str, Any] = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"].items()
}


def declared(stage: str, owner: str) -> set[str]:
    """Return the modules below `owner`, engine or src, that a stage declares as dependencies."""
    prefix = f"${{{owner}}}/"
    return {dep.removeprefix(prefix) for dep in STAGES[stage]["deps"] if dep.startswith(prefix)}


@cache
def closure(stage: str) -> frozenset[Path]:
    """Return a stage's module and those of the engine that it imports, but the harmless ones."""
    found: set[Path] = set()
    waiting = {ENGINE / "pipeline" / f"{stage}.py"}
    while waiting:
        path = waiting.pop()
        found.add(path)
        waiting |= imports(path) - found - HARMLESS
    return frozenset(found)


def imports(path: Path) -> set[Path]:
    """Return the modules of the engine that a module imports: all such imports are relative."""
    found = set()
    for node in nodes(path, ast.ImportFrom):
        if node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for place in [base, *(base / alias.name for alias in node.names)]:
                found |= {place.with_suffix(".py"), place / "__init__.py"}
    return {each for each in found if each.is_file()}


def nodes(path: Path, kind: type[Any]) -> list[Any]:
    """Return the nodes of a kind in a module's syntax tree."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def defaulted(stage: str) -> set[str]:
    """Return the modules of sections that a stage reads and whose defaults can decide.

    DVC sees the values that stand in params.yaml, and not a default.
    """
    chains = [
        ast.unparse(node).split(".")
        for node in nodes(ENGINE / "pipeline" / f"{stage}.py", ast.Attribute)
    ]
    read = {tuple(chain[1:]) for chain in chains if chain[0] == "params" and len(chain) > 1}
    found = set()
    for section, *fields in read:
        kind = Params.model_fields[section].annotation if section in Params.model_fields else None
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            continue
        whole = not fields and not any(len(other) > 1 and other[0] == section for other in read)
        if whole or (fields and not kind.model_fields[fields[0]].is_required()):
            found.add(f"config/{section}.py")
    return found


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "ingest"])
def test_a_stage_depends_on_the_code_that_can_change_its_result(stage: str) -> None:
    imported = {path.relative_to(ENGINE).as_posix() for path in closure(stage)}
    assert declared(stage, "engine") == imported | defaulted(stage)


def test_ingest_depends_on_no_code() -> None:
    assert STAGES["ingest"]["deps"] == ["${source.path}"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_modules_of_the_owner_that_it_asks_for(stage: str) -> None:
    asked = {
        f"{call.args[0].value}.py"
        for path in closure(stage)
        for call in nodes(path, ast.Call)
        if isinstance(call.func, ast.Name) and call.func.id == "module"
    }
    # What a model was pickled with is needed to load it.
    loads = (
        any(path == ENGINE / "learning/model.py" for path in closure(stage)) and stage != "train"
    )
    assert declared(stage, "src") == asked | ({"features.py", "estimators.py"} if loads else set())


def test_no_stage_depends_on_a_part_of_a_folder_that_another_makes() -> None:
    """DVC would take it for up to date: https://github.com/treeverse/dvc/issues/11099."""
    made = {
        Path(next(iter(out)) if isinstance(out, dict) else out)
        for stage in STAGES.values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    }
    needed = {Path(dep) for stage in STAGES.values() for dep in stage["deps"]}
    assert [dep for dep in needed if made & set(dep.parents)] == []


# What draws, logs, looks at Git and shows how far things are, and what reads sources.
APART = {"dvc", "dvc-render", "dvclive", "duckdb", "fsspec", "rich", "scmrepo", "sqlalchemy"}
APART |= {"pandera", "python-calamine"}  # pandera checks rows, and changes none


@pytest.mark.parametrize(
    "stage", [name for name in STAGES if "packages.txt" in STAGES[name]["deps"]]
)
def test_what_a_stage_imports_is_in_packages(stage: str) -> None:
    lines = (PROJECT / "packages.txt").read_text(encoding="utf-8").splitlines()
    held = {line.partition("==")[0] for line in lines} | APART
    known = packages_distributions()
    imported = {
        name.partition(".")[0]
        for path in closure(stage)
        for node in [*nodes(path, ast.Import), *nodes(path, ast.ImportFrom)]
        for name in (
            [each.name for each in node.names] if isinstance(node, ast.Import) else _of(node)
        )
    }
    brought = {re.sub(r"[-_.]+", "-", d).lower() for name in imported for d in known.get(name, [])}
    assert {"numpy", "scikit-learn"} & brought
    assert brought <= held


def _of(node: ast.ImportFrom) -> list[str]:
    return [node.module] if node.module and not node.level else []
