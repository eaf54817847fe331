"""The facts of a change as a comment on GitHub, laid out by comment.md and not too long."""

from typing import Any

from ..learning.metrics import VALUE
from .change import Change, Numbers
from .differences import differences
from .headline import headline
from .layout import layout
from .markdown import code, tidy

# GitHub refuses comments of 65,536 characters; links to pictures grow when they are published.
LIMIT = 60_000
# Lines of what must be mended.
LINES = 20
# Macros of comment.md, in the order in which they stand.
SECTIONS = (
    "gated",
    "engine",
    "caveats",
    "metrics",
    "cleaning",
    "fairness",
    "plots",
    "experiments",
    "parameters",
    "data",
    "folds",
    "parts",
    "slices",
    "model",
    "exports",
    "stages",
    "lineage",
    "reproduce",
)
VERDICTS = {"better": "✅ better", "same": "⚪ no difference", "worse": "⚠️ worse"}


def comment(change: Change, drawn: list[str]) -> str:
    """All sections that fit, the first ones first; one that is left out is named.

    Args:
        change: what is told.
        drawn: the names of pictures.
    """
    macros, verdict = _layout(), headline(change)
    if change.only_documentation and not verdict.stop:
        return tidy(macros.verdict(verdict, ""))
    text = tidy(macros.verdict(verdict, differences(change))) + "\n"
    left_out = []
    for name in SECTIONS:
        section = tidy(getattr(macros, name)(change, drawn))
        if len(text) + len(section) > LIMIT:
            left_out.append(name.capitalize())
        elif section.strip():
            text += section + "\n"
    if left_out:
        text += f"Left out, to keep the comment short: {', '.join(left_out)}.\n"
    return text


def _layout() -> Any:
    """The macros of comment.md."""
    template = layout("comment.md", code_or_dash=_code_or_dash, both=_both)
    return template.make_module({"VERDICTS": VERDICTS, "LINES": LINES, "VALUE": VALUE})


def _code_or_dash(text: str | None) -> str:
    return "–" if text is None else code(text)


def _both(numbers: Numbers, change: Change, form: str, times: float = 1) -> str:
    """Cells for both revisions, or for the one that there is."""
    sides = [numbers.before, numbers.after] if change.base_commit else [numbers.after]
    return " | ".join("–" if each is None else form.format(each * times) for each in sides)
