"""What people see of experiments: a table in the terminal, and a page in the repository."""

import re
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from ..digits import digits, setting
from ..experiments.record import Experiment, Record, noted
from ..files import write_text
from ..git.revision import WORKSPACE
from ..paths import EXPERIMENTS_PAGE, FEATURES
from .layout import layout
from .markdown import plain, tidy


def show(found: list[Experiment]) -> None:
    """Print experiments, a line each."""
    console = Console(markup=False, emoji=False)
    short = [Column(name, no_wrap=True) for name in ("experiment", "made", "score", "test")]
    table = Table(*short, "settings", "what it told")
    for each in found:
        record = each.record
        told = [record.hypothesis and f"? {record.hypothesis}", record.conclusion]
        states = [each.state] if each.state != "done" else []
        states += ["params.yaml"] if each.is_taken else []
        state = f" ({', '.join(states)})" if states else ""
        table.add_row(
            record.name,
            f"{record.made}{state}",
            _first(record.scores),
            _first(record.test),
            ", ".join(f"{_short(key)} {setting(each)}" for key, each in record.params.items()),
            "\n".join(filter(None, told)),
            style="green" if each.is_taken else None,
        )
    console.print(table)


def _short(key: str) -> str:
    """A setting's name as far as it tells it from others of the same experiment."""
    _, _, name = key.removeprefix("estimators.").rpartition(f"{FEATURES}: ")
    return name.removeprefix("train.").removeprefix("columns.").removeprefix("features.")


def write() -> Path:
    """Write the page of what is noted, and say where."""
    write_text(EXPERIMENTS_PAGE, page(noted(WORKSPACE)))
    return EXPERIMENTS_PAGE


def page(records: list[Record]) -> str:
    """The page, the newest experiment first."""
    ordered = sorted(records, key=lambda each: (each.made, each.name), reverse=True)
    template = layout("experiments.md", anchor=_anchor, score=_first_in_a_cell)
    return tidy(template.render(records=ordered))


def _first(scores: Mapping[str, float]) -> str:
    """The first metric, as a cell has it."""
    return next((f"{name} {digits(value)}" for name, value in scores.items()), "")


def _first_in_a_cell(scores: Mapping[str, float]) -> str:
    return plain(_first(scores) or "–")


def _anchor(name: str) -> str:
    """Where GitHub puts a heading: https://docs.github.com/en/get-started/writing-on-github."""
    return re.sub(r"[^\w-]", "", name.lower())
