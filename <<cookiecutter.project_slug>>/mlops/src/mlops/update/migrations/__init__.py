"""What a version does to projects of older ones, beyond merging files.

A version declares it by a module of its name, v0_2_0, that `__main__` lists. It has two functions:
`is_due(Folders) -> bool`, and `run(Folders) -> list[str]`, which changes the project and returns
what is left to do by hand, a line each.

Run by the engine of the new version in whatever Python the old one has: its modules import nothing
but the standard library and ruamel.yaml.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """Where a migration works.

    Attributes:
        old: the project as the old version baked it.
        mine: as its owner has it.
        project: as Git merged it with the new template; to be changed.
        new: as the new version bakes it.
    """

    old: Path
    mine: Path
    project: Path
    new: Path


def between(old: str, new: str, modules: Iterable[str]) -> list[str]:
    """Those of the modules that are of a version after `old`, up to `new`; oldest first."""
    found = [name for name in {*modules} if re.fullmatch(r"v\d+(_\d+)+", name)]
    due = [name for name in found if _numbers(old) < _numbers(name) <= _numbers(new)]
    return sorted(due, key=_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
