"""A comparison as a table in the terminal."""

from rich.console import Console
from rich.table import Column, Table

from .compare import Comparison

COLOURS = {"better": "green", "same": "default", "worse": "red"}


def show(found: Comparison) -> None:
    """Print the verdict and, where there are metrics, a table of them."""
    console = Console(markup=False, emoji=False)  # a column may be called [red]
    if found.metrics:
        names = ("champion", "this", "difference", "interval", "verdict")
        table = Table(Column("metric", no_wrap=True), *names)
        for name, each in found.metrics.items():
            table.add_row(
                name,
                f"{each.champion:.4g}",
                f"{each.challenger:.4g}",
                f"{each.challenger - each.champion:+.4g}",
                f"{each.low:+.2g} to {each.high:+.2g}",
                each.verdict,
                style=COLOURS[each.verdict],
            )
        console.print(table)
    for note in found.notes:
        console.print(note)
    reason = f": {found.reason}" if found.reason else ""
    console.print(f"{found.verdict or 'not comparable'}{reason}")
