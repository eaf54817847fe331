"""The pages that people read, as the commands and the output that they show.

A block that no test runs says so in the page's source, in the line above it, where readers do not
see it: `<!-- not run: needs a repository on GitHub -->`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
# Commands in a sentence or a table: those that begin as a command of the project does.
INLINE = re.compile(r"(?<!`)`((?:uv run )?mlops [a-z][^`\n]*|uv run [^`\n]+|make [a-z-]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        why: why no test runs it; None where one does.
        line: where it begins in the page, from 1.
    """

    language: str
    text: str
    why: str | None
    line: int

    @property
    def commands(self) -> list[str]:
        """The commands of a block of shell: one a line, without comments."""
        joined = self.text.replace("\\\n", " ")
        bare = (re.sub(r"\s+#\s.*$", "", line).strip() for line in joined.splitlines())
        return [line for line in bare if line and not line.startswith("#")]


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    return [
        Block(
            language=match["language"],
            text=match["text"],
            why=match["why"],
            line=text.count("\n", 0, match.start("language")) + 1,
        )
        for match in FENCE.finditer(text)
    ]


def shell_commands(text: str) -> list[str]:
    """Return the commands of a page's blocks of shell, in order."""
    return [line for block in blocks(text) if block.language == "bash" for line in block.commands]


@dataclass(frozen=True)
class Page:
    """A page as what somebody types from top to bottom.

    Attributes:
        sections: the commands of each block of shell, by the heading that it stands below; what
            stands above the first one is below the empty one.
        left: the headings that were not asked for yet.
    """

    sections: dict[str, list[list[str]]]
    left: list[str]

    @staticmethod
    def read(path: Path) -> Page:
        sections = {}
        for number, part in enumerate(re.split(r"(?m)^## ", path.read_text(encoding="utf-8"))):
            typed = [each.commands for each in blocks(part) if each.language == "bash"]
            if typed:
                sections[part.splitlines()[0] if number else ""] = typed
        return Page(sections, [*sections])

    def below(self, heading: str) -> list[list[str]]:
        """Return the blocks below the next heading, which is to be this one."""
        assert self.left[0] == heading, f"the page goes on with {self.left[0]}"
        return self.sections[self.left.pop(0)]


def inline_commands(text: str) -> list[str]:
    """Return the commands of the project that a page's sentences name; none with a placeholder."""
    sentences = FENCE.sub("", text)
    found = INLINE.findall(sentences)
    return [line for line in found if not re.search(r"…|\.\.\.|\[", line)]


def words(command: str) -> tuple[dict[str, str], list[str]]:
    """Return what a command sets before it, and its words, without what follows a pipe."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    parts = [*lexer]
    while parts and parts[0] == "(":
        parts.pop(0)
    for position, part in enumerate(parts):
        if part in {"|", "&&", ";", ">", "<"}:
            parts = parts[:position]
            break
    settings = {}
    while parts and re.fullmatch(r"[A-Z][A-Z_]*=.*", parts[0]):
        name, _, value = parts.pop(0).partition("=")
        settings[name] = value
    return settings, parts


def manual(project: Path) -> list[Path]:
    """Return the pages of a bake: its own, and the manual of the engine."""
    return [
        project / "README.md",
        *sorted((project / "docs").glob("*.md")),
        *sorted((project / "mlops/docs").glob("*.md")),
    ]
