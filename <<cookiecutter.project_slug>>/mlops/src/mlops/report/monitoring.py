"""What monitoring found, for people: a page, a few lines for an issue, and for the terminal."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

from ..digits import counted
from ..facts import as_json
from ..files import write_text
from ..monitoring.result import Alarm, ColumnResult, Kind, MetricResult, Result, Shift
from . import charts
from .advice import Advice, advice
from .layout import layout
from .markdown import tidy

# What the pictures of a page may take.
DRAW_SECONDS = 120
# Pictures of distributions, and lines of the picture of all windows: those furthest off.
PICTURES = 12
COLUMNS = 30
# Empty windows that are named.
EMPTY = 3
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
        return not _is_alarmed(item[1]), -_furthest(item[1])

    return dict(sorted(result.last.columns.items(), key=place))


def _furthest(column: ColumnResult) -> float:
    """How far a column is off, as a share of the distance that matters."""
    return max((each.share for each in _shifts(column)), default=0.0)


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
    return f"No alarms in {result.environment}"


def summary(result: Result) -> Iterator[str]:
    """What was looked at, in lines for the terminal."""
    last = result.last
    yield (
        f"{result.environment}: {result.release}, {last.start:.16} to {last.end:.16}, "
        f"{last.rows:,} rows, {last.labelled:,} of them labelled"
    )
    if last.too_few:
        yield f"fewer than {result.settings['minimum_rows']} rows: drift is not judged"
    yield from _empty(result)
    yield from _unknown(result)
    yield from result.notes


def _empty(result: Result) -> Iterator[str]:
    """The windows without any row: nothing was asked then, or nothing of it was logged."""
    empty = [f"{each.start:.10} to {each.end:.10}" for each in result.windows if not each.rows]
    if empty:
        more = f" and {len(empty) - EMPTY} more" if len(empty) > EMPTY else ""
        windows = counted(len(result.windows), "window")
        yield f"no rows in {len(empty)} of {windows}: {', '.join(empty[:EMPTY])}{more}"


def _unknown(result: Result) -> Iterator[str]:
    """Categories that the model takes for none."""
    for name, rows in result.last.unknown.items():
        yield f"{rows:,} of {result.last.rows:,} rows hold a {name} that training never saw"


def _slices(result: Result) -> dict[str, dict[str, MetricResult]]:
    """The slices by column, those with the worst one first; in each the worst come first."""
    found = result.measured.slices if result.measured else {}
    sign = 1 if result.sliced in result.lower else -1

    def loss(item: tuple[str, MetricResult]) -> float:
        each = item[1]
        return sign * (each.live.value - each.test.value) if each.test else 0.0

    ordered = {
        column: dict(sorted(values.items(), key=loss, reverse=True))
        for column, values in found.items()
    }
    worst = {column: max(map(loss, values.items())) for column, values in ordered.items()}
    return dict(sorted(ordered.items(), key=lambda item: -worst[item[0]]))


# In Markdown


def markdown(result: Result) -> str:
    """A summary, for an issue."""
    alarmed = {name: each for name, each in _ordered(result).items() if _is_alarmed(each)}
    text = layout("monitoring.md").render(
        result=result,
        headline=headline(result),
        columns=alarmed,
        accounting=_rows(result),
        unknown=[*_empty(result), *_unknown(result)],
        advice=_advice(result),
        furthest=_furthest,
    )
    return tidy(text)


def _advice(result: Result) -> list[tuple[Alarm, Advice]]:
    """Each alarm with what helps."""
    return [(each, advice(each, result.environment)) for each in result.alarms]


def _rows(result: Result) -> str:
    account = result.account
    others = sum(account.others.values())
    asked = sorted(account.callers.items(), key=lambda item: -item[1])
    strange = {alarm.name for alarm in result.last.alarms if alarm.kind == Kind.CALLER}
    callers = [
        f"{name} ({rows:,} rows{', not declared' if name in strange else ''})"
        for name, rows in asked[:CALLERS]
    ]
    if len(asked) > CALLERS:
        callers.append(f"{len(asked) - CALLERS} more")
    return (
        f"The log has {counted(account.rows, 'row')} in {counted(account.files, 'file')}. Counted: "
        f"{sum(account.counted):,}. Left out: {account.duplicates:,} duplicates, {others:,} of "
        f"other releases, {account.elsewhere:,} outside the period, {account.examples:,} of smoke "
        "and load tests." + (f" Callers: {', '.join(callers)}." if callers else "")
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
        empty=[*_empty(result)],
        advice=_advice(result),
        furthest=_furthest,
        slices=_slices(result),
        drawable=sum(each.histogram is not None for each in ordered.values()),
        heated=min(len(ordered), COLUMNS),
    )
