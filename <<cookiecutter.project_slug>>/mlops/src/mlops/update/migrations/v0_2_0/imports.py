"""Imports of the engine, where it was a part of the owner's package, turned to where it is now."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# What own modules import of the owner's extensions, which stay in the package.
_STAYS = {("features", "preprocessing"), ("hooks", "before"), ("hooks", "after")}
_MOVED = {("serving.hooks", "before"): "hooks", ("serving.hooks", "after"): "hooks"}


@dataclass(frozen=True)
class Modules:
    """Modules of the old package, and what the engine has of them.

    Attributes:
        package: the owner's.
        homes: the engine's module for each of the old package's; None where there is none.
        names: what each module of the engine defines.
        paths: the engine's file for each of the old package's.
    """

    package: str
    homes: Mapping[str, str | None]
    names: Mapping[str, set[str]]
    paths: Mapping[str, str]

    @staticmethod
    def of(package: Path, engine: Path, renamed: Mapping[str, str]) -> "Modules":
        """Look at the files of the old package and of the engine."""
        homes, paths = {}, {}
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            home = _home(renamed.get(name, name), engine)
            homes[_dotted(name)] = f"mlops.{_dotted(home)}".rstrip(".") if home else None
            if home:
                paths[name] = f"mlops/src/mlops/{home}"
        names = {
            f"mlops.{_dotted(path.relative_to(engine).as_posix())}": _defined(path)
            for path in engine.rglob("*.py")
        }
        return Modules(package.name, homes, names, paths)

    def path_of(self, path: str) -> str:
        """Where a file of the old package is now, from the project's root."""
        for start in ("${src}/", f"src/{self.package}/"):
            if path.startswith(start):
                name = path.removeprefix(start)
                return self.paths.get(name, f"src/{self.package}/{name}")
        return path

    def home(self, module: str, name: str) -> str | None:
        """The module of the engine that now defines a name of an old one; None where none does."""
        home = self.homes.get(module)
        if home and name in self.names.get(home, set()):
            return home
        found = [where for where, names in self.names.items() if name in names]
        # A module that became a folder is meant before others that define the name, too.
        inside = [where for where in found if where.startswith(f"mlops.{module}.")]
        return next((some[0] for some in (inside, found) if len(some) == 1), None)


def _home(name: str, engine: Path) -> str | None:
    """The file of the engine for one of the old package: as it was, or in a folder since."""
    if (engine / name).is_file():
        return name
    found = [path.relative_to(engine).as_posix() for path in engine.glob(f"*/{name}")]
    return found[0] if len(found) == 1 else None


def turned(text: str, inside: tuple[str, ...], modules: Modules) -> tuple[str, list[str]]:
    """A module's text with its imports turned, and what could not be.

    Args:
        text: of the module.
        inside: the package that it is in, for relative imports; empty outside of the owner's.
        modules: where things are.
    """
    lines = text.splitlines(keepends=True)
    unknown: list[str] = []
    imports = (ast.Import, ast.ImportFrom)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, imports)]
    for node in sorted(nodes, key=lambda each: each.lineno, reverse=True):
        if isinstance(node, ast.Import):
            made = _imported(node, modules, unknown)
        else:
            made = _imported_from(node, inside, modules, unknown)
        if made is not None:
            end = node.end_lineno or node.lineno
            margin = " " * node.col_offset
            lines[node.lineno - 1 : end] = [f"{margin}{line}\n" for line in made]
    return "".join(lines), unknown


def _imported(node: ast.Import, modules: Modules, unknown: list[str]) -> list[str] | None:
    """What `import package.module as name` becomes; None where it stays."""
    made, is_changed = [], False
    for alias in node.names:
        top, _, module = alias.name.partition(".")
        home = modules.homes.get(module) if top == modules.package and module else None
        if home and alias.asname:
            made.append(f"import {home} as {alias.asname}")
            is_changed = True
        else:
            made.append(f"import {_alias(alias)}")
            if home or (top == modules.package and module in modules.homes):
                unknown.append(f"`{alias.name}`")
    return made if is_changed else None


def _imported_from(
    node: ast.ImportFrom, inside: tuple[str, ...], modules: Modules, unknown: list[str]
) -> list[str] | None:
    """What `from package.module import name` becomes; None where it stays."""
    module = _module(node, inside, modules.package)
    if module is None or (module and module not in modules.homes):
        return None
    found: dict[str, list[str]] = {}
    for alias in node.names:
        where, name = _place(module, alias.name, modules)
        if where is None:
            where = "." * node.level + (node.module or "")
            if f"{module}.{alias.name}".strip(".") in modules.homes or module in modules.homes:
                unknown.append(f"`{alias.name}` of `{module or modules.package}`")
        kept = alias.asname or (alias.name if alias.name != name else None)
        found.setdefault(where, []).append(f"{name} as {kept}" if kept else name)
    return [f"from {where} import {', '.join(names)}" for where, names in found.items()]


def _place(module: str, name: str, modules: Modules) -> tuple[str | None, str]:
    """The module that has a name now, and what it is called there; None where it stays, or is not.

    The name may be a module itself.
    """
    if (module, name) in _MOVED:
        return f"{modules.package}.{_MOVED[module, name]}", name
    if (module, name) in _STAYS:
        return f"{modules.package}.{module}", name
    whole = modules.homes.get(f"{module}.{name}".strip("."))
    if whole:
        parent, _, last = whole.rpartition(".")
        return parent, last
    return (modules.home(module, name) if module else None), name


def _module(node: ast.ImportFrom, inside: tuple[str, ...], package: str) -> str | None:
    """The module of the owner's package that is imported from, without the package's name."""
    if node.level:
        above = inside[: len(inside) - node.level + 1]
        if not above or above[0] != package:
            return None
        return ".".join([*above[1:], *filter(None, [node.module])])
    parts = (node.module or "").split(".")
    return ".".join(parts[1:]) if parts[0] == package else None


def _alias(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("__init__").rstrip("/").replace("/", ".")


def _defined(path: Path) -> set[str]:
    return {*_names(ast.parse(path.read_text(encoding="utf-8")))}


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (each.id for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
