"""The navigation of the site: which pages it has, in which order, under which titles."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import RootModel

from ..errors import CheckError, InputError
from ..files import load
from ..paths import CARD, EXPERIMENTS_PAGE
from ..project import shown

# Pages that commands write: a project begins without them.
WRITTEN = (CARD, EXPERIMENTS_PAGE)


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes:
        source: its Markdown, from the project's root.
        place: where the site has it, from the site's root; README.md is a folder's index.md.
    """

    source: Path
    place: PurePosixPath


@dataclass(frozen=True)
class Section:
    """Pages under one title."""

    title: str
    entries: "tuple[Page | Section, ...]"


Entries = tuple[Page | Section, ...]


class _Listing(RootModel[list[str | dict[str, Any]]]):
    """A navigation file as it is written."""


def load_navigation(file: Path) -> Entries:
    """Read a navigation file and those that it includes.

    An entry is a page, a title with entries below it, or `folder: file.yaml`: another navigation,
    whose pages the site has in that folder. Paths start at the folder of their file.

    Args:
        file: of YAML, from the project's root.

    Raises:
        InputError: an entry is none of these, or there is no such page.
        CheckError: a page beside a navigation is not in it, or is listed twice.
    """
    entries = tuple(_entries(file, PurePosixPath()))
    listed = [page.source for page in pages(entries)]
    if twice := sorted({str(source) for source in listed if listed.count(source) > 1}):
        raise CheckError(f"{file}: listed twice: {', '.join(twice)}")
    return entries


def pages(entries: Entries) -> Iterator[Page]:
    """The pages of a navigation, in order."""
    for entry in entries:
        if isinstance(entry, Page):
            yield entry
        else:
            yield from pages(entry.entries)


def _entries(file: Path, folder: PurePosixPath) -> Iterator[Page | Section]:
    entries = tuple(_listed(load(file, _Listing).root, file, folder))
    known = {page.source for page in pages(entries)}
    beside = {Path(os.path.normpath(path)) for path in file.parent.rglob("*.md")}
    if unlisted := sorted(str(path) for path in beside - known):
        raise CheckError(f"{file}: lists no {', '.join(unlisted)}: add what is missing")
    yield from entries


def _listed(entries: list[Any], file: Path, folder: PurePosixPath) -> Iterator[Page | Section]:
    for entry in entries:
        match entry:
            case str() if entry.endswith(".md"):
                source = Path(os.path.normpath(file.parent / entry))
                if source in WRITTEN and not source.is_file():
                    continue
                yield _page(source, file, folder)
            case dict() if len(entry) == 1:
                ((title, below),) = entry.items()
                if isinstance(below, list):
                    yield Section(str(title), tuple(_listed(below, file, folder)))
                elif isinstance(below, str) and below.endswith(".yaml"):
                    included = Path(os.path.normpath(file.parent / below))
                    yield from _entries(included, folder / str(title))
                else:
                    raise InputError(
                        f"{file}: {title} is {shown(below)}; must be a list, or a .yaml file"
                    )
            case _:
                raise InputError(f"{file}: {shown(entry)}: must be a page, or a title with pages")


def _page(source: Path, file: Path, folder: PurePosixPath) -> Page:
    # An included navigation has a folder of its own; all else lies as it does in the project.
    start = file.parent if folder.parts else Path()
    if ".." in source.parts or not source.is_relative_to(start) or not source.is_file():
        raise InputError(f"{file}: {source}: no such page")
    place = PurePosixPath(source.relative_to(start))
    if place.name == "README.md":
        place = place.with_name("index.md")
    return Page(source, folder / place)
