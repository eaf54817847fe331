"""Links of a page: to another page, to a picture, to a file of the repository, or dead."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from .navigation import Page

PICTURES = {".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp"}

# Code, in which brackets mean something else: fences, and spans between equal runs of backticks.
_CODE = re.compile(r"^ *(```+)[^\n]*\n.*?^ *\1 *$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.M | re.S)
# The target of [text](target), and of HTML's attributes.
_LINK = re.compile(r"(\]\()([^)\s]+)(?=\))|(\b(?:href|src|srcset)=\")([^\"]+)(?=\")")
_EXTERNAL = re.compile(r"[a-z][a-z+.-]*:|//", re.I)


@dataclass(frozen=True)
class Resolved:
    """A page as the site has it.

    Attributes:
        text: Markdown whose links lead to where the site, or the repository, has their target.
        pictures: the files that it shows, by their places in the site.
        dead: a line for each link that leads nowhere.
    """

    text: str
    pictures: dict[PurePosixPath, Path]
    dead: list[str]


def resolve(text: str, page: Page, places: Mapping[Path, PurePosixPath], web: str) -> Resolved:
    """Rewrite the links of a page for the site.

    Args:
        text: its Markdown, in which a link starts at the page's folder.
        page: where it is, in the project and in the site.
        places: of each page in the site, by its source.
        web: the repository's address, where files that are no pages are shown.
    """
    pictures: dict[PurePosixPath, Path] = {}
    dead: list[str] = []

    def target(link: str, line: int) -> str:
        path, mark, anchor = link.partition("#")
        if not path or _EXTERNAL.match(link):
            return link
        source = Path(os.path.normpath(page.source.parent / unquote(path)))
        if source in places:
            return _relative(places[source], page.place) + mark + anchor
        if ".." in source.parts or not source.exists():
            dead.append(f"{page.source}:{line}: {link}: no such file")
        elif source.suffix.lower() in PICTURES:
            place = PurePosixPath("pictures", source)
            pictures[place] = source
            return _relative(place, page.place)
        else:
            kind = "tree" if source.is_dir() else "blob"
            return f"{web}/{kind}/HEAD/{quote(source.as_posix())}{mark}{anchor}"
        return link

    return Resolved("".join(_rewritten(text, target)), pictures, dead)


def _rewritten(text: str, target: Callable[[str, int], str]) -> Iterator[str]:
    """The text in parts, code as it is, and the rest with its links replaced."""
    line, end = 1, 0

    def prose(part: str) -> str:
        def replaced(match: re.Match[str]) -> str:
            where = line + part.count("\n", 0, match.start())
            before, link = match[1] or match[3], match[2] or match[4]
            return before + target(link, where)

        return _LINK.sub(replaced, part)

    for code in _CODE.finditer(text):
        before = text[end : code.start()]
        yield prose(before)
        yield code[0]
        line += (before + code[0]).count("\n")
        end = code.end()
    yield prose(text[end:])


def _relative(place: PurePosixPath, page: PurePosixPath) -> str:
    return quote(PurePosixPath(os.path.relpath(place, page.parent)).as_posix())
