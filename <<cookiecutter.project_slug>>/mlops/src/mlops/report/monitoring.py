"""What monitoring found, for people: a page, a few lines for an issue, and for the terminal."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

from ..facts import as_json
from ..files import write_text
from ..monitoring.result import ColumnResult, Result, Shift
from . import charts
from .layout import layout
from .markdown import tidy

# What the pictures of a page may take.
DRAW_SECONDS = 120
# Pictures of distributions, and lines of the picture of all windows: those furthest off.
PICTURES = 12
COLUMNS = 30
# Names of who asked, those who ask most.
CALLERS = 10


def write(result: Result, folder: Path) -> None:
    """Write result.json and report.md."""
    write_text(folder / "result.json", as_json(result))
    write_text(folder / "report.md", markdown(result))


def draw(result: Result, path: Path) -> str | None:
    """Write the page, in a process of its own; say why it could not be.

    What draws its pictures ends the process where it fails, and takes minutes for what it was not
    made for. Alarms do not wait for pictures.
    """
    process = multiprocessing.get_context("spawn").Process(target=_draw, args=(result, path))
    process.start()
    process.join(DRAW_SECONDS)
    if process.exitcode == 0:
        return None
    why = "it takes too long" if process.exitcode is None else f"exit code {process.exitcode}"
    process.kill()
    path.unlink(missing_ok=True)
    return f"the page with pictures could not be drawn: {why}"


def _draw(result: Result, path: Path) -> None:
    write_text(path, page(result))


def _ordered(result: Result) -> dict[str, ColumnResult]:
    """The last window's columns: alarms first, then by how far they are off."""

    def place(item: tuple[str, ColumnResult]) -> tuple[bool, float]:
        shifts = _shifts(item[1])
        furthest = max((each.share for each in shifts), default=0.0)
        return not _is_alarmed(item[1]), -furthest

    return dict(sorted(result.last.columns.items(), key=place))


def _shifts(column: ColumnResult) -> list[Shift]:
    return [each for each in (column.values, column.missing) if each is not None]


def _is_alarmed(column: ColumnResult) -> bool:
    return any(each.alarm for each in _shifts(column))


def headline(result: Result) -> str:
    """The verdict in a line."""
    alarms = len(result.alarms)
    if alarms:
        return f"{alarms} alarm{'s' if alarms > 1 else ''} in {result.environment}"
    if result.last.too_few:
        return f"Too few rows to judge {result.environment}"
    return f"{result.environment} sees what it was made for"


def summary(result: Result) -> Iterator[str]:
    """What was looked at, in lines for the terminal."""
    last = result.last
    yield (
        f"{result.environment}: {result.release}, {last.start:.16} to {last.end:.16}, "
        f"{last.rows:,} rows, {last.labelled:,} of them labelled"
    )
    if last.too_few:
        yield f"fewer than {result.settings['minimum_rows']} rows: drift is not judged"
    yield from _unknown(result)
    yield from result.notes


def _unknown(result: Result) -> Iterator[str]:
    """Categories that the model takes for none."""
    for name, rows in result.last.unknown.items():
        yield f"{rows:,} of {result.last.rows:,} rows hold a {name} that training never saw"


# In Markdown


def markdown(result: Result) -> str:
    """A summary, for an issue."""
    alarmed = {name: each for name, each in _ordered(result).items() if _is_alarmed(each)}
    text = layout("monitoring.md").render(
        result=result,
        headline=headline(result),
        columns=alarmed,
        accounting=_rows(result),
        unknown=[*_unknown(result)],
    )
    return tidy(text)


def _rows(result: Result) -> str:
    account = result.account
    others = sum(account.others.values())
    asked = sorted(account.callers.items(), key=lambda item: -item[1])
    callers = [f"{name} ({rows:,} rows)" for name, rows in asked[:CALLERS]]
    if len(asked) > CALLERS:
        callers.append(f"{len(asked) - CALLERS} more")
    return (
        f"Of {account.rows:,} logged rows in {account.files:,} files, {sum(account.counted):,} "
        f"count; {account.duplicates:,} are there twice, {others:,} are of other releases, "
        f"{account.elsewhere:,} of other times, {account.examples:,} of smoke and load tests."
        + (f" Asked by {', '.join(callers)}." if callers else "")
    )


# As a page


def page(result: Result) -> str:
    """One page that needs nothing else: styles and pictures are in it."""
    ordered = _ordered(result)
    drawn = [name for name, each in ordered.items() if each.histogram][:PICTURES]
    judged = dict.fromkeys(
        name
        for window in result.windows
        for name in [*(n for n, m in window.metrics.items() if m.p is not None), *window.estimates]
    )
    return layout("monitoring.html").render(
        result=result,
        headline=headline(result),
        columns=ordered,
        traffic=charts.traffic(result),
        heat=charts.heat(result, [*ordered][:COLUMNS]) if ordered else None,
        metrics={name: charts.metric(result, name) for name in judged},
        histograms={name: charts.bars(h) for name in drawn if (h := ordered[name].histogram)},
        accounting=_rows(result),
        unknown=[*_unknown(result)],
    )
