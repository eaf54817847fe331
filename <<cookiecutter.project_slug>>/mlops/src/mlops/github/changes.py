"""What differs between GitHub and the file: requests that settle it, and what cannot be had."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A request.

    Attributes:
        of: what it changes: without one of its changes, the next ones make no sense.
        lines: what will differ, for people.
    """

    of: str
    lines: list[str]
    method: str
    path: str
    body: Any = None


@dataclass(frozen=True)
class Problem:
    """What is declared and cannot be had, and why."""

    of: str
    why: str


Found = Iterator[Change | Problem]


def differing(of: str, declared: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """A line for each declared value that is not what was found."""
    return [
        f"~ {of}: {key}: {shown(found.get(key))} -> {shown(value)}"
        for key, value in declared.items()
        if value != found.get(key)
    ]


def shown(value: Any) -> str:
    """A value as people read it."""
    match value:
        case None | []:
            return "none"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(shown(each) for each in value)
        case _:
            return str(value)
