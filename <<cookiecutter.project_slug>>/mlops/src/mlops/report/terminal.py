"""What commands show in the terminal: a comparison, a load test."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from ..digits import digits, moment, signed
from ..printable import printable
from ..release.audit import Audit
from ..release.hop import Hop
from ..release.status import Status
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
                digits(each.champion),
                digits(each.challenger),
                signed(each.difference),
                f"{signed(each.low)} to {signed(each.high)}",
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
    """Print what is wrong, then a table of the environments, then what waits for each, and why.

    Nothing is cut, so that what is printed can be copied: where the terminal is too narrow for the
    table, each environment is a block of lines.
    """
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    troubled = [(each.environment.name, trouble) for each in found for trouble in each.troubles]
    for name, trouble in troubled:
        command = f" → {trouble.command}" if trouble.command else ""
        console.print(printable(f"✗ {name}: {trouble.told}{command}"), style="red")
    if troubled:
        console.print()
    names = dict.fromkeys(name for each in found for name in [*each.metrics][:1])
    metric = next(iter(names), "metric") if len(names) < 2 else "metric"
    heading = ("environment", "release", "live for", f"test {metric}", f"live {metric} (when)")
    rows = [(*heading, "state"), *(_environment(each, metric) for each in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if console.is_terminal and sum(widths) + 2 * len(widths) > console.width:
        for row in rows[1:]:
            console.print(row[0])
            for name, value in zip(rows[0][1:], row[1:], strict=True):
                console.print(f"  {name}: {value}")
    else:
        for row in rows:
            cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
            console.print("  ".join(cells).rstrip())
    following = [line for each in found for line in _following(each)]
    if following:
        console.print()
    for line in following:
        console.print(printable(line))


def _environment(each: Status, metric: str) -> tuple[str, ...]:
    """The cells of an environment's row."""
    has, live = each.environment.release, each.live
    name, value = next(iter(each.metrics.items()), ("", None))
    now = live.metrics.get(name) if live else None
    where = "" if metric == name or not name else f"{name} "
    return (
        each.environment.name,
        has.id if has else "–",
        "–" if each.age is None else _long(each.age.total_seconds()),
        "–" if value is None else f"{where}{digits(value)}",
        "–" if now is None or live is None else f"{where}{digits(now)} ({live.measured})",
        each.state,
    )


def _following(each: Status) -> Iterator[str]:
    """What waits for an environment, and why it may not come yet."""
    name = each.environment.name
    told = {trouble.told for trouble in each.troubles}
    if each.waiting is not None and not each.reasons:
        yield f"{name}: {each.waiting} can be promoted → mlops promote {name}"
    for reason in each.reasons:
        known = reason in told or reason.removeprefix(f"{name}: ") in told
        if not known and not reason.startswith(f"{name} is on hold: "):
            yield f"{name}: {each.waiting} waits: {reason}"
    if each.environment.release is None:
        for line in each.unsaid:
            if f"{name}: {line}" not in each.reasons:
                yield f"{name}: accepts no release yet: {line}"


def _long(seconds: float) -> str:
    for name, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def show_audit(found: Audit) -> None:
    """Print which releases answered, each with its steps."""
    show_hops([*found.history, *found.log])
    for each in found.answering:
        until = moment(each.until) if each.until else "now"
        Console(markup=False, emoji=False, soft_wrap=True).print(
            f"\n{each.release}: {moment(each.since)} to {until}"
        )
        show_hops(each.hops)


def show_hops(hops: Iterable[Hop]) -> list[Hop]:
    """Print each step of a lineage as it is found, and return all of them."""
    console, found = Console(markup=False, emoji=False, soft_wrap=True), []
    styles = {"ok": None, "wrong": "red", "not checked": "yellow"}
    for hop in hops:
        found.append(hop)
        why = "" if hop.why is None else f": {hop.why}"
        line = printable(f"{hop.state}  {hop.what}: {hop.value}{why}")
        console.print(line, style=styles[hop.state])
    return found
