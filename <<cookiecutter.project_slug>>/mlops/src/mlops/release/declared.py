"""What the project's pyproject.toml declares at a revision: its name, and where its images are."""

import re
import tomllib
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..git.revision import Revision
from .evidence import Images

PYPROJECT = Path("pyproject.toml")
_REGISTRY = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)+")


def project_name(at: Revision) -> str:
    """The project's name. Raises InputError where none is declared."""
    name = _declared(at).get("project", {}).get("name")
    if not isinstance(name, str):
        raise InputError(f"{PYPROJECT}: project: name is missing")
    return name


def registry(at: Revision) -> str:
    """Where images are pushed, as HOST/NAME. Raises InputError where nothing fit is declared."""
    found = _declared(at).get("tool", {}).get("mlops", {}).get("registry")
    if not isinstance(found, str):
        raise InputError(
            f"{PYPROJECT}: tool.mlops: registry is missing: where images are pushed, as "
            '"registry.example.com/team/flights"'
        )
    image_names(found)
    return found


def image_names(registry: str) -> dict[str, str]:
    """The name of each image. Raises InputError where `registry` is not HOST/NAME."""
    if not _REGISTRY.fullmatch(registry):
        raise InputError(
            f"{registry}: write HOST/NAME in lower case: registry.example.com/team/flights"
        )
    return {kind: f"{registry}/{kind}" for kind in Images.model_fields}


def _declared(at: Revision) -> dict[str, Any]:
    text = at.read(PYPROJECT)
    if text is None:
        raise InputError(f"{PYPROJECT}: no such file")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{PYPROJECT}: not valid TOML: {error}") from None
