"""The owner's package, src/<package>: the one place from which the engine imports it.

Its modules features, estimators, metrics and hooks extend the engine's; each may be missing.
"""

import importlib
import os
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import InputError

# Names the package where there is no pyproject.toml: in the serving image.
VARIABLE = "MLOPS_PACKAGE"


def root() -> Path | None:
    """The nearest folder, from the working folder up, whose pyproject.toml has [tool.mlops]."""
    here = Path.cwd()
    return next((each for each in (here, *here.parents) if _settings(each) is not None), None)


def _settings(folder: Path) -> dict[str, Any] | None:
    """What stands under [tool.mlops] in a folder's pyproject.toml; None where there is no such."""
    settings: dict[str, Any] | None = _described(folder).get("tool", {}).get("mlops")
    return settings


def _described(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


@dataclass(frozen=True)
class About:
    """What pyproject.toml says of the project; where it says nothing, the folder has the name."""

    name: str
    version: str


def about() -> About:
    """The project's name and version."""
    said = _described(Path()).get("project", {})
    return About(said.get("name", Path.cwd().name), said.get("version", "0.1.0"))


def package() -> str | None:
    """The name of the owner's package: from the environment, else [tool.mlops] in pyproject.toml.

    None where neither names one: the engine then runs by itself.
    """
    if name := os.environ.get(VARIABLE):
        return name
    return (_settings(Path()) or {}).get("package")


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
