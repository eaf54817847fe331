"""How far a long command is: a bar in a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# Between two lines where there is no terminal, as in CI; what is quicker says nothing.
SECONDS = 10

# Takes the rows that are done, and their share of all.
Told = Callable[[int, float], None]


@contextmanager
def progress() -> Iterator[Told]:
    """Yield what tells people, on standard error, how many rows are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    bar = Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rows]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=1.0, rows="")
        yield lambda rows, share: bar.update(task, completed=share, rows=f"{rows:,} rows")


def _lines() -> Told:
    last = time.monotonic()

    def told(rows: int, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            print(f"{rows:,} rows, {share:.0%}", file=sys.stderr, flush=True)

    return told
