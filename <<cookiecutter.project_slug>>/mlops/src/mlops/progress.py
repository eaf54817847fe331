"""How far something long is, on standard error: a bar in a terminal, else a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# What is quicker shows no bar.
QUICK = 2
# Between two lines where there is no terminal, as in CI; what is quicker says nothing.
SECONDS = 10

# Takes what is done, such as rows, and its share of all.
Told = Callable[[int, float], None]


@contextmanager
def progress(what: str = "rows") -> Iterator[Told]:
    """Yield what tells people how many, such as rows, are done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what)
        return
    bar = Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[done]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task, begun = bar.add_task("", total=1.0, done=""), time.monotonic()

    def told(done: int, share: float) -> None:
        bar.update(task, completed=share, done=f"{done:,} {what}")
        if time.monotonic() - begun >= QUICK:
            bar.start()

    try:
        yield told
    finally:
        bar.stop()


def _lines(what: str) -> Told:
    last = time.monotonic()

    def told(done: int, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            print(f"{done:,} {what}, {share:.0%}", file=sys.stderr, flush=True)

    return told


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Tell people how long they have waited for something whose end nobody can tell."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            bar.add_task(what)
            yield
        return
    over, begun = Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(SECONDS):
            print(f"{what}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
