"""A page of the manual as what somebody types from top to bottom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """The lines of a page's blocks of commands, by heading, in the order of the page.

    A test follows every heading that has commands; `left` says what it has not asked for.
    """

    sections: dict[str, list[list[str]]]
    left: list[str]

    @staticmethod
    def read(path: Path) -> Page:
        """Read a page; what stands above its first heading is below the empty one."""
        sections: dict[str, list[list[str]]] = {}
        parts = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for number, part in enumerate(parts):
            heading = part.splitlines()[0] if number else ""
            if blocks := [each.splitlines() for each in _BLOCK.findall(part)]:
                sections[heading] = blocks
        return Page(sections, [*sections])

    def below(self, heading: str) -> list[list[str]]:
        """Return the blocks below the next heading, each by its lines."""
        assert self.left[0] == heading, f"the page goes on with {self.left[0]}"
        return self.sections[self.left.pop(0)]
