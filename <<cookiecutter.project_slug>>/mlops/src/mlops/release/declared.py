"""What the project's pyproject.toml declares at a revision: its name, and where its images are."""

import re
from typing import Any

from ..errors import InputError
from ..git.revision import Revision
from ..project import PYPROJECT, parsed, table
from .evidence import Images

_REGISTRY = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)+")

_PLATFORM = re.compile(r"linux/[a-z0-9]+(/v\d+)?")


def project_name(at: Revision) -> str:
    """The project's name. Raises InputError where none is declared."""
    name = (table(_declared(at), "project") or {}).get("name")
    if not isinstance(name, str):
        raise InputError(f"{PYPROJECT}: project: name is missing")
    return name


def registry(at: Revision) -> str:
    """Where images are pushed, as HOST/NAME. Raises InputError where nothing fit is declared."""
    found = (table(_declared(at), "tool", "mlops") or {}).get("registry")
    if not isinstance(found, str):
        raise InputError(
            f"{PYPROJECT}: tool.mlops: registry is missing: where images are pushed, as "
            '"registry.example.com/team/flights"'
        )
    image_names(found)
    return found


def platforms(at: Revision) -> list[str]:
    """What serving images are built for, such as linux/arm64; empty for the builder's own.

    Raises InputError where that is no list of platforms.
    """
    found = (table(_declared(at), "tool", "mlops") or {}).get("platforms", [])
    if not (isinstance(found, list) and all(_PLATFORM.fullmatch(str(each)) for each in found)):
        raise InputError(
            f"{PYPROJECT}: tool.mlops: platforms: write a list of what serving images are for: "
            '["linux/amd64", "linux/arm64"]'
        )
    return [*dict.fromkeys(found)]


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
    return parsed(text)
