"""What a version does to projects of older ones, beyond merging files.

Run by the engine of the new version in whatever Python the old one has: its modules import nothing
but the standard library. A migration sees three folders: the project as it was baked, as Git merged
it with the new template, and as it would be baked now. It changes the second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """Where a migration works.

    Attributes:
        old: the project as the old version baked it.
        project: as it was merged; to be changed.
        new: as the new version bakes it.
    """

    old: Path
    project: Path
    new: Path


@dataclass(frozen=True)
class Migration:
    """What a version does to projects of older ones.

    Attributes:
        version: the first that needs it.
        is_due: whether a project is one that it is for.
        run: changes the project, and returns what is left to do by hand, a line each.
    """

    version: str
    is_due: Callable[[Folders], bool]
    run: Callable[[Folders], list[str]]


def is_newer(version: str, than: str) -> bool:
    """Whether a version comes after another."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))
