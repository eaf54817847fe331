"""Markdown for GitHub, in which what comes from data, parameters or Git is text and no markup."""

import re

# Rows of a table that is folded away; more can be seen with `dvc params diff` and the like.
ROWS = 60
# Characters of a name or a value.
LENGTH = 120


# What means something to Markdown, HTML or a table; an underscore within a word does not. GitHub
# finds people and issues, by @ and #, in the finished page.
SPECIAL = re.compile(r"[\\`*\[\]<>|&~$@#]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|(?<=[wW]{3})\.")
UNPLAIN = re.compile(r"[^A-Za-z0-9 .,:-]|(?<=[wW]{3})\.")


def plain(text: object) -> str:
    """Text as Markdown that says just that, in a line: what a column is called is no markup."""
    return _escaped(_line(text))


def code(text: object) -> str:
    """Text as code within a cell. Not in backticks, which a backslash before a bar defeats."""
    return _marked(_line(text))


def prose(text: str) -> str:
    """Sentences with code in backticks as Markdown."""
    parts = _line(text, 1000).split("`")
    return "".join(
        _marked(part) if i % 2 and i + 1 < len(parts) else _escaped(part)
        for i, part in enumerate(parts)
    )


def tidy(text: str) -> str:
    """What a template made, ending with one line's end and without two empty lines in a row."""
    return re.sub(r"\n{3,}", "\n\n", text.strip("\n")) + "\n"


def _line(text: object, length: int = LENGTH) -> str:
    """Text in a line and not too long, without what cannot be seen or turns other text around."""
    seen = "".join(each if each.isprintable() else " " for each in str(text)[: 2 * length])
    line = " ".join(seen.split())
    return line if len(line) <= length and len(str(text)) <= 2 * length else f"{line[:length]}…"


def _escaped(line: str) -> str:
    return SPECIAL.sub(lambda found: _number_of(found) + "&#8203;" * (found[0] in "@#"), line)


def _marked(line: str) -> str:
    return f"<code>{UNPLAIN.sub(_number_of, line)}</code>"


def _number_of(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"
