"""What an owner added to a module of the old engine: definitions, and entries of a catalogue."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Extension:
    """How a catalogue of the old engine is extended now.

    Attributes:
        module: the old module.
        catalogue: its name in there.
        own: the owner's, to which entries are added now.
        parameters: the catalogue of config.py that belongs to it; None where there is none.
    """

    module: str
    catalogue: str
    own: str
    parameters: str | None


@dataclass(frozen=True)
class Added:
    """What was added, and whether it is all that was changed.

    Attributes:
        imports: statements that bind what the text uses, as the old modules bind it.
        text: definitions and entries, as Python.
        is_all, is_all_of_config: whether nothing else differs in the module, and in config.py.
    """

    imports: list[str]
    text: str
    is_all: bool
    is_all_of_config: bool


@dataclass(frozen=True)
class Module:
    """A module's text, and what stands at its top."""

    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """As Python reads it."""
        return ast.parse(self.text)

    @cached_property
    def definitions(self) -> dict[str, ast.stmt]:
        """Functions, classes and variables by name."""
        return {name: node for node in self.tree.body if (name := _name(node))}

    def source(self, node: ast.AST) -> str:
        """A node as it is written, with a function's decorators."""
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda each: each.lineno)
        lines = self.text.splitlines()
        if isinstance(node, ast.stmt):
            return "\n".join(lines[first.lineno - 1 : node.end_lineno])
        return ast.get_source_segment(self.text, node) or ""

    def entries(self, catalogue: str) -> dict[tuple[str, str], ast.expr]:
        """The entries of a catalogue by task and name."""
        node = self.definitions.get(catalogue)
        value = getattr(node, "value", None)
        return {
            (task, name): entry for task, inner in _items(value) for name, entry in _items(inner)
        }

    def imports(self) -> Iterator[tuple[str, str]]:
        """Each name that an import binds, with a statement that binds it."""
        for node in self.tree.body:
            for alias in getattr(node, "names", []):
                kept = f" as {alias.asname}" if alias.asname else ""
                if isinstance(node, ast.ImportFrom):
                    where = "." * node.level + (node.module or "")
                    yield alias.asname or alias.name, f"from {where} import {alias.name}{kept}"
                elif isinstance(node, ast.Import):
                    bound = alias.asname or alias.name.partition(".")[0]
                    yield bound, f"import {alias.name}{kept}"

    def without(self, names: set[str], catalogues: dict[str, set[tuple[str, str]]]) -> list[str]:
        """What is left, in a form to be compared: without imports, some names, some entries."""
        left = []
        for node in ast.parse(self.text).body:
            name = _name(node)
            if isinstance(node, ast.Import | ast.ImportFrom) or name in names:
                continue
            for task, inner in _items(getattr(node, "value", None)) if name in catalogues else []:
                _drop(inner, {entry for of, entry in catalogues[str(name)] if of == task})
            left.append(ast.dump(node))
        return left


def added(
    old: Module, mine: Module, extension: Extension, old_config: Module, config: Module
) -> Added:
    """What the owner added to a module, and to config.py for it, as Python for the owner's own."""
    names = set(mine.definitions) - set(old.definitions)
    entries = mine.entries(extension.catalogue)
    new = {key for key in entries if key not in old.entries(extension.catalogue)}
    parameters = config.entries(extension.parameters) if extension.parameters else {}
    classes = set(config.definitions) - set(old_config.definitions) if parameters else set()
    parts = [
        config.source(config.definitions[name]) for name in config.definitions if name in classes
    ]
    parts += [mine.source(mine.definitions[name]) for name in mine.definitions if name in names]
    for task, name in entries:
        if (task, name) in new:
            value = mine.source(entries[task, name])
            if extension.parameters:
                of = parameters.get((task, name))
                value = (
                    f"{value[:-1].rstrip().rstrip(',')}, hyperparameters={config.source(of)})"
                    if of
                    else value
                )
            parts.append(f'{extension.own}["{task}"]["{name}"] = {value}')
    added_parameters = {
        key for key in parameters if key not in old_config.entries(extension.parameters or "")
    }
    text = "\n\n".join(parts) + "\n" if parts else ""
    return Added(
        imports=_imports(text, names | classes, mine, config, extension),
        text=text,
        is_all=old.without(set(), {}) == mine.without(names, {extension.catalogue: new}),
        is_all_of_config=bool(parameters)
        and old_config.without(set(), {})
        == config.without(classes, {str(extension.parameters): added_parameters}),
    )


def _imports(
    text: str, own: set[str], mine: Module, config: Module, extension: Extension
) -> list[str]:
    """Statements that bind what a text uses, as the old modules imported or defined it."""
    nodes = [*ast.walk(ast.parse(text))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {name for node in nodes for name in _quoted(node)}
    where = {name: f"from .config import {name}" for name in config.definitions}
    where |= {name: f"from .{extension.module} import {name}" for name in mine.definitions}
    where |= dict(config.imports()) | dict(mine.imports())
    # What the owner's module imports already, or defines.
    known = own | {extension.own, "Task", "Entry", "Metric"}
    return sorted({where[name] for name in (used & where.keys()) - known})


def _quoted(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return None


def _items(node: ast.AST | None) -> list[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Dict):
        return []
    return [
        (str(key.value), value)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
    ]


def _drop(node: ast.expr, names: set[str]) -> None:
    """Take entries out of a dictionary."""
    if not isinstance(node, ast.Dict):
        return
    kept = [
        (key, value)
        for key, value in zip(node.keys, node.values, strict=True)
        if not (isinstance(key, ast.Constant) and key.value in names)
    ]
    node.keys, node.values = [key for key, _ in kept], [value for _, value in kept]
