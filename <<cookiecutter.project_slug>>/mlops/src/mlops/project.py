"""The owner's package, src/<package>: the one place from which the engine imports it.

Its modules features, estimators, metrics and hooks extend the engine's; each may be missing.
"""

import importlib
import inspect
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import InputError

# Names the package where there is no pyproject.toml: in the serving image.
VARIABLE = "MLOPS_PACKAGE"
PYPROJECT = Path("pyproject.toml")


def root() -> Path | None:
    """The nearest folder, from the working folder up, whose pyproject.toml has [tool.mlops]."""
    here = Path.cwd()
    if _settings(here) is not None:
        return here
    for folder in here.parents:
        with suppress(InputError):  # what is wrong above is somebody else's
            if _settings(folder) is not None:
                return folder
    return None


def require_root() -> None:
    """Raise InputError unless the working folder is the root of a project.

    From elsewhere, files and Git's history of them would be looked for where they are not.
    """
    found = root()
    if found is None:
        raise InputError(
            "this is not a project: no pyproject.toml here or above has [tool.mlops]; cd to one"
        )
    if found != Path.cwd():
        raise InputError(f"this is not the root of the project: cd {found}")


def parsed(text: str, file: Path = PYPROJECT) -> dict[str, Any]:
    """What a pyproject.toml, of the project or of its engine, says.

    Raises InputError where it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: not valid TOML: {error}") from None


def table(content: Mapping[str, Any], *names: str, file: Path = PYPROJECT) -> dict[str, Any] | None:
    """A table of a pyproject.toml by its names, from the outside in; None where there is none.

    Raises InputError where something else has its name.
    """
    found: Any = content
    for depth, name in enumerate(names, start=1):
        found = found.get(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            where = ".".join(names[:depth])
            raise InputError(f"{file}: {where} is {shown(found)}; must be a table")
    return dict(found)


def _settings(folder: Path) -> dict[str, Any] | None:
    """What stands under [tool.mlops] in a folder's pyproject.toml; None where there is no such."""
    return table(_described(folder), "tool", "mlops")


def _described(folder: Path) -> dict[str, Any]:
    file = folder / PYPROJECT
    if not file.is_file():
        return {}
    try:
        return parsed(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{PYPROJECT}: not UTF-8 text") from None


@dataclass(frozen=True)
class About:
    """What pyproject.toml says of the project; where it says nothing, the folder has the name.

    Attributes:
        name, version: of the project.
        repository: its address on the web; None where none is given.
    """

    name: str
    version: str
    repository: str | None = None


def about() -> About:
    """The project's name and version, which it has wherever it was cloned to."""
    said = _described(Path())
    project = table(said, "project") or {}
    urls = table(said, "project", "urls") or {}
    return About(
        project.get("name", Path.cwd().name),
        project.get("version", "0.1.0"),
        urls.get("Repository"),
    )


def package() -> str | None:
    """The name of the owner's package: from the environment, else [tool.mlops] in pyproject.toml.

    None where neither names one: the engine then runs by itself.
    """
    if name := os.environ.get(VARIABLE):
        return name
    return _package(_settings(Path()))


def speak_for(pyproject: str) -> None:
    """Take the owner's package that another pyproject.toml names: the one that is installed.

    Raises InputError where that file is none.
    """
    if name := _package(table(parsed(pyproject), "tool", "mlops")):
        os.environ[VARIABLE] = name


def _package(settings: Mapping[str, Any] | None) -> str | None:
    """What [tool.mlops] calls the owner's package. Raises InputError where that is no name."""
    name = (settings or {}).get("package")
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise InputError(f"{PYPROJECT}: tool.mlops.package is {shown(name)}; must name a package")
    return name


def module(name: str) -> ModuleType | None:
    """The module `name` of the owner's package; None where there is none.

    Raises InputError when the package or what the module imports is not installed.
    """
    owner = package()
    if owner is None:
        return None
    if find_spec(owner) is None:
        raise InputError(
            f"{owner}: [tool.mlops] in pyproject.toml names this package, and it is not installed; "
            "run `uv sync`"
        )
    if find_spec(f"{owner}.{name}") is None:
        return None
    try:
        return importlib.import_module(f"{owner}.{name}")
    except ModuleNotFoundError as error:
        raise InputError(
            f"{owner}/{name}.py: there is no module {error.name}; add what it comes from "
            "with `uv add`"
        ) from error


def wrong(name: str, what: str, why: str) -> InputError:
    """The error that something which the owner's module `name` defines is not what it must be."""
    return InputError(f"src/{package()}/{name}.py: {what}: {why}")


def takes(name: str, what: str, function: Any, *arguments: str) -> None:
    """Raise InputError unless the owner's function can be called with arguments like these."""
    told = f"must be a function of ({', '.join(arguments)})"
    if not callable(function):
        raise wrong(name, what, f"is {shown(function)}; {told}")
    try:
        taken = inspect.signature(function)
    except ValueError:
        return  # of a library in C, which tells no signature
    try:
        taken.bind(*arguments)
    except TypeError:
        raise wrong(name, what, f"is a function of {taken}; {told}") from None


def entries(
    own: ModuleType | None, what: str, tasks: tuple[str, ...], task: str
) -> Mapping[str, Any]:
    """What a module of the owner's lists for `task`; nothing where it lists nothing.

    Raises InputError where it is no list by task and by name.
    """
    if own is None:
        return {}
    name, listed = own.__name__.rpartition(".")[2], getattr(own, what, {})
    if not isinstance(listed, Mapping) or not all(isinstance(v, Mapping) for v in listed.values()):
        raise wrong(name, what, f"is {shown(listed)}; must be {{task: {{name: ...}}}}")
    if others := [each for each in listed if each not in tasks]:
        raise wrong(name, what, f"there is no task {others[0]!r}; there are {', '.join(tasks)}")
    found: Mapping[str, Any] = listed.get(task, {})
    return found


def shown(value: object) -> str:
    """A value that was not expected, and its type, as short as it may be."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
