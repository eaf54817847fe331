"""The manual shows messages as the engine says them: one that was changed is found on a page.

A message of a page is covered by templates, the constants and f-strings of the engine's source, in
which any text may stand for a value. What is not covered may be a value, or words of a library.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import helpers
import pages
import pytest

MANUAL = helpers.PROJECT / "mlops/docs"
SOURCES = helpers.PROJECT / "mlops/src/mlops"
VALUE = "\0"
# A line of the manual that is a message, and its words that count: no path, key, number or code.
MESSAGE = re.compile(r"^(?:error|caveat): (?P<text>.+)$", re.MULTILINE)
WORD = re.compile(r"`[^`]*`|(?<![\w./'-])(?P<word>[A-Za-z]{2,})(?![\w/.'=(-])")
# What libraries say, quoted by the engine's own messages.
LIBRARIES = re.compile(
    r"input should be .*|Parquet magic bytes .*|CSV parse error: .*|No module named '\w+'"
    r"|Install s3fs to access S3|line \d+: KeyError: .*"
)
COVERED = 0.5


def texts(node: ast.expr) -> str:
    """Return what a literal says, with a mark for each value in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(texts, node.values))
    return VALUE


def templates(path: Path) -> Iterator[str]:
    """Yield the lines of a module's literals that say something."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            for line in texts(node).splitlines():
                if len(re.findall(r"[A-Za-z]{2,}", line)) > 1:
                    yield line.strip()


@cache
def known() -> list[tuple[str, re.Pattern[str]]]:
    """Return each template of the engine as its longest words and its pattern."""
    lines = {line for path in SOURCES.rglob("*.py") for line in templates(path)}
    parts = [line.split(VALUE) for line in sorted(lines)]
    return [(max(each, key=len), re.compile("(.+?)".join(map(re.escape, each)))) for each in parts]


def covered(text: str) -> float:
    """Return the share of a message's words that are those of templates."""
    text = LIBRARIES.sub("…", text)
    said = [False] * len(text)
    for longest, pattern in known():
        if longest in text:
            for match in pattern.finditer(text):
                values = {i for group in match.regs[1:] for i in range(*group)}
                for i in {*range(*match.span())} - values:
                    said[i] = True
    words = [match.span() for match in WORD.finditer(text) if match["word"]]
    return sum(all(said[slice(*word)]) for word in words) / len(words) if words else 1


def messages() -> list[tuple[str, str]]:
    """Return the messages of the manual, each with its page."""
    return [
        (path.name, match["text"])
        for path in sorted(MANUAL.glob("*.md"))
        for block in pages.blocks(path.read_text(encoding="utf-8"))
        if block.language == "text"
        for match in MESSAGE.finditer(block.text)
    ]


def test_the_manual_shows_what_the_engine_says() -> None:
    found = messages()
    assert len(found) > 60
    assert [(page, text) for page, text in found if covered(text) < COVERED] == []


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (
            "roc_auc: 0.6667 is worse than the champion's 0.6865 by at least 0.01345",
            "roc_auc: 0.6667 is less good than the champion's 0.6865, by 0.01345 or more",
        ),
        ("params.yaml: split.seed: this key is missing", "params.yaml: split.seed: key not found"),
    ],
)
def test_a_message_that_is_no_longer_said_is_found(text: str, other: str) -> None:
    assert covered(text) >= COVERED
    assert covered(other) < COVERED
