"""The facts of a change as a comment on GitHub, laid out by comment.md and not too long."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..metrics import VALUE
from .change import Change, Numbers
from .headline import Headline
from .markdown import ROWS, code, plain, prose

# GitHub refuses comments of 65,536 characters; links to pictures grow when they are published.
LIMIT = 60_000
# Lines of what must be mended.
LINES = 20
# Macros of comment.md, in the order in which they stand.
SECTIONS = (
    "metrics",
    "plots",
    "parameters",
    "data",
    "slices",
    "model",
    "stages",
    "lineage",
    "reproduce",
)
DOTS = {"better": "🟢", "same": "⚪", "worse": "🔴"}


def comment(change: Change, headline: Headline, drawn: list[str]) -> str:
    """All sections that fit, the first ones first; one that is left out is named.

    Args:
        change: what is told.
        headline: what is told first.
        drawn: the names of pictures.
    """
    layout = _layout()
    text = _tidy(layout.alert(headline)) + "\n"
    left_out = []
    for name in SECTIONS:
        section = _tidy(getattr(layout, name)(change, drawn))
        if len(text) + len(section) > LIMIT:
            left_out.append(name.capitalize())
        elif section.strip():
            text += section + "\n"
    if left_out:
        text += f"Left out, as a comment must be short: {', '.join(left_out)}.\n"
    return text


def _layout() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - it is Markdown, and what others wrote goes through a filter
    )
    environment.filters |= {
        "plain": plain,
        "code": code,
        "prose": prose,
        "number": _number,
        "arrow": _arrow,
        "code_or_dash": _code_or_dash,
        "both": _both,
    }
    environment.globals |= {"DOTS": DOTS, "LINES": LINES, "ROWS": ROWS, "VALUE": VALUE}
    return environment.get_template("comment.md").module


def _tidy(section: str) -> str:
    """A section that ends with one line's end, and has no two empty lines in it."""
    return re.sub(r"\n{3,}", "\n\n", section.strip("\n")) + "\n"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _arrow(difference: float) -> str:
    return "▲" if difference > 0 else "▼" if difference < 0 else "="


def _code_or_dash(text: str | None) -> str:
    return "–" if text is None else code(text)


def _both(numbers: Numbers, change: Change, form: str, times: float = 1) -> str:
    """Cells for both revisions, or for the one that there is."""
    sides = [numbers.before, numbers.after] if change.base_commit else [numbers.after]
    return " | ".join("–" if each is None else form.format(each * times) for each in sides)
