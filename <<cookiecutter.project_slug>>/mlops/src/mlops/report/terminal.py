"""What commands show in the terminal: a comparison, a load test."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from ..release.status import Status
from ..release.trace import Hop
from ..serving.load import Load

if TYPE_CHECKING:  # scikit-learn takes seconds to import, and the status of releases needs none
    from ..judging.comparison import Comparison
    from .inventory import Listed

COLOURS = {"better": "green", "same": "default", "worse": "red"}


def show(found: "Comparison") -> None:
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
                f"{each.difference:+.4g}",
                f"{each.low:+.2g} to {each.high:+.2g}",
                each.verdict,
                style=COLOURS[each.verdict],
            )
        console.print(table)
    for note in found.notes:
        console.print(note)
    reason = f": {found.reason}" if found.reason else ""
    console.print(f"{found.verdict or 'not comparable'}{reason}")


def show_features(found: "list[Listed]") -> None:
    """Print the features, and those whose version means something else elsewhere."""
    console = Console(markup=False, emoji=False)
    table = Table(Column("feature", no_wrap=True), *("kind", "version", "used by", "what it is"))
    for each in found:
        used = [f"{use.environment} (version {use.version})" for use in each.used]
        about = [each.description, each.expr, f"owner: {each.owner}" if each.owner else None]
        kind = f"{each.kind}, {each.encode}" if each.encode else each.kind
        table.add_row(
            each.name,
            kind if each.learn else f"{kind}, for others",
            str(each.version),
            "\n".join(used) or "no release",
            "\n".join(filter(None, about)),
        )
    console.print(table)
    for each in found:
        if each.renamed:
            where = ", ".join(each.renamed)
            console.print(
                f"{each.name}: version {each.version} means something else in {where}; give it "
                f"version {each.version + 1} in features.yaml"
            )


@contextmanager
def watching(seconds: float) -> Iterator[Callable[[Load, float], None]]:
    """Yield what shows how far a load test of so many seconds is."""
    bar = BarColumn(), TextColumn("{task.completed:.0f} s  {task.fields[answers]} answers")
    console = Console(stderr=True)
    disable = not console.is_terminal  # which leaves an empty line there
    with Progress(*bar, console=console, transient=True, disable=disable) as progress:
        task = progress.add_task("", total=seconds, answers=0)
        yield lambda found, passed: progress.update(
            task, completed=passed, answers=f"{len(found.took):,}"
        )


def show_load(found: Load, rows: int) -> None:
    """Print what a load test came to."""
    table = Table(Column("answers", justify="right"), *("a second", "rows a second", "failed"))
    for name in ("median", "90 %", "99 %", "longest"):
        table.add_column(name, justify="right")
    good = found.statuses[200]
    rate = good / found.seconds if found.seconds else 0.0
    times = [f"{found.percentile(share) * 1000:.1f} ms" for share in (0.5, 0.9, 0.99, 1)]
    failed = len(found.took) - good + found.broken
    table.add_row(f"{good:,}", f"{rate:,.0f}", f"{rate * rows:,.0f}", f"{failed:,}", *times)
    console = Console(markup=False, emoji=False)
    console.print(table)
    for status, count in sorted(found.statuses.items()):
        if status != 200:
            console.print(f"HTTP {status}: {count:,}")
    if found.broken:
        console.print(f"connections that broke: {found.broken:,}")


def show_status(found: list[Status]) -> None:
    """Print a table of the environments, and below it what waits for each, and why."""
    console = Console(markup=False, emoji=False)
    table = Table()
    for heading in ("environment", "release", "for", "metric"):
        table.add_column(heading, no_wrap=True)
    for each in found:
        has, hold = each.environment.release, each.environment.policy.hold
        first = list(each.metrics.items())[:1]
        table.add_row(
            each.environment.name,
            has.id if has else "none yet",
            "" if each.age is None else _long(each.age.total_seconds()),
            "".join(f"{name} {value:.4g}" for name, value in first),
            style="yellow" if hold is not None else None,
        )
    console.print(table)
    for each in found:
        name, known = each.environment.name, each.environment
        for problem in known.problems:
            console.print(f"{name}: {problem}", style="red")
        if known.policy.hold is not None and not (each.reasons or known.problems):
            console.print(f"{name} is on hold: {known.policy.hold}; `mlops unhold {name}` ends it")
        if each.quarantined is not None and known.release is not None:
            told = f"{name}: {known.release.id} is in quarantine: {each.quarantined}"
            console.print(f"{told}: mlops rollback {name}", style="red")
        if each.waiting is not None and not each.reasons:
            console.print(f"{name}: {each.waiting} may come next: mlops promote {name}")
        for reason in each.reasons:
            console.print(f"{name}: {reason}")
        for line in each.unsaid:
            if f"{name}: {line}" not in each.reasons:
                console.print(f"{name} would take no release: {line}", style="yellow")
        for line in each.drift:
            console.print(f"{name}: {line}: mlops apply {name}", style="red")


def _long(seconds: float) -> str:
    for name, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def show_hops(hops: Iterable[Hop]) -> list[Hop]:
    """Print each step of a lineage as it is found, and return all of them."""
    console, found = Console(markup=False, emoji=False, soft_wrap=True), []
    styles = {"ok": None, "wrong": "red", "not checked": "yellow"}
    for hop in hops:
        found.append(hop)
        why = "" if hop.why is None else f": {hop.why}"
        console.print(f"{hop.state}  {hop.what}: {hop.value}{why}", style=styles[hop.state])
    return found
