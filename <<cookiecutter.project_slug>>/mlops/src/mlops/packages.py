"""What stages compute with: the packages of uv.lock that can change a model, in their own file.

`train` and what follows depend on `packages.txt` in place of uv.lock as a whole, so that a renewed
linter makes no stage stale.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import read_text, write_text
from .project import parsed

PACKAGES = Path("packages.txt")
UV_LOCK = Path("uv.lock")
HEADER = f"# What stages compute with, from {UV_LOCK}: `uv run mlops packages` writes it.\n"
# Groups of pyproject.toml that no stage imports. Others count, also those that an owner adds.
_APART = re.compile(r"dev|docs|notebook|search|(log|remote)-.+")
ENGINE = "mlops-template-engine"
# The part of its extra `pipeline` that counts: mlops/pyproject.toml.
_PART = {"pipeline": "stages"}
# Sources of what lies in the repository, whose code stages name themselves.
_OWN = {"editable", "virtual", "directory"}

Package = Mapping[str, Any]


def text(lock: str) -> str:
    """What packages.txt is to hold: a line for each package, in order.

    Dependencies are followed for every platform and Python that the lock is for.

    Args:
        lock: the content of uv.lock, whose format is uv's:
            https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
    Raises:
        InputError: it is not that of a uv.lock.
    """
    try:
        packages = parsed(lock, UV_LOCK)["package"]
        (root,) = (package for package in packages if "." in package["source"].values())
        return HEADER + "".join(f"{line}\n" for line in sorted({*_lines(root, packages)}))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{UV_LOCK}: not written by uv; run `uv lock`") from None


def write() -> bool:
    """Write packages.txt, and tell whether it was another one. Raises InputError as `text`."""
    wanted = text(read_text(UV_LOCK))
    if PACKAGES.is_file() and read_text(PACKAGES) == wanted:
        return False
    write_text(PACKAGES, wanted)
    return True


def differing() -> list[str]:
    """What packages.txt has otherwise than uv.lock, a package a line; nothing where one lacks.

    Raises InputError as `text`.
    """
    if not (PACKAGES.is_file() and UV_LOCK.is_file()):
        return []
    has, wanted = read_text(PACKAGES).splitlines(), text(read_text(UV_LOCK)).splitlines()
    return sorted({*has} ^ {*wanted})


def _lines(root: Package, packages: list[Package]) -> Iterator[str]:
    """Each package that stages may import, with its version and where it comes from."""
    waiting = [*root.get("dependencies", [])]
    for name, dependencies in root.get("dev-dependencies", {}).items():
        if not _APART.fullmatch(name):
            waiting += dependencies
    followed: set[tuple[str, str, str | None]] = set()
    while waiting:
        needed = waiting.pop()
        for package in packages:
            if not _is(package, needed):
                continue
            for extra in _parts(package, needed):
                key = (package["name"], package.get("version", ""), extra)
                if key not in followed:
                    followed.add(key)
                    waiting += _needs(package, extra)
            if not package["source"].keys() & _OWN:
                yield _line(package)


def _is(package: Package, needed: Package) -> bool:
    """Whether a package is one that another needs, which names the version where there are two."""
    version = needed.get("version")
    return package["name"] == needed["name"] and version in (None, package.get("version"))


def _parts(package: Package, needed: Package) -> list[str | None]:
    """Which of a package's lists of dependencies count: None is that without an extra.

    Without extras the engine is the server, which no stage runs.
    """
    extras = needed.get("extra", [])
    if package["name"] == ENGINE:
        return [_PART.get(extra, extra) for extra in extras]
    return [None, *extras]


def _needs(package: Package, extra: str | None) -> list[Package]:
    if extra is None:
        return list(package.get("dependencies", []))
    return list(package.get("optional-dependencies", {}).get(extra, []))


def _line(package: Package) -> str:
    ((kind, place),) = package["source"].items()
    pinned = f"{package['name']}=={package['version']}"
    return pinned if kind == "registry" else f"{pinned} of {place}"
