"""What monitoring found, for people: a page, a few lines for an issue, and for the terminal."""

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..facts import as_json
from ..files import write_text
from ..monitoring.result import ColumnResult, Result, Shift, WindowResult
from . import charts
from .markdown import code, plain, prose, table

# Pictures of distributions, and lines of the picture of all windows: those furthest off.
PICTURES = 12
COLUMNS = 30


def write(result: Result, folder: Path) -> None:
    """Write result.json, report.md and report.html."""
    write_text(folder / "result.json", as_json(result))
    write_text(folder / "report.md", markdown(result))
    write_text(folder / "report.html", page(result))


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
    yield from result.notes


# In Markdown


def markdown(result: Result) -> str:
    """A summary, for an issue."""
    last = result.last
    lines = [
        f"### {plain(headline(result))}",
        "",
        f"{code(result.release)}, {plain(last.start[:16])} to {plain(last.end[:16])} UTC: "
        f"{last.rows:,} rows, {last.labelled:,} labelled.",
        "",
        *(f"- {prose(str(each))}" for each in result.alarms),
    ]
    if result.measured:
        lines += ["", _metrics(result.measured)]
    alarmed = [name for name, each in _ordered(result).items() if _is_alarmed(each)]
    if alarmed:
        lines += ["", _columns(result, alarmed)]
    return "\n".join([*lines, "", *_rows(result)]) + "\n"


def _metrics(window: WindowResult) -> str:
    rows = [
        (
            plain(name),
            f"{each.test.value:.4g}" if each.test else "–",
            f"{each.live.value:.4g}",
            f"{each.live.low:.4g} to {each.live.high:.4g}",
        )
        for name, each in window.metrics.items()
    ]
    return table(("metric", "test rows", "live", "interval"), rows)


def _columns(result: Result, names: list[str]) -> str:
    rows = []
    for name in names:
        each = result.last.columns[name]
        distance = "–" if each.values is None else f"{each.values.distance:.3f}"
        needed = "–" if each.values is None else f"{each.values.needed:.3f}"
        missing = f"{each.missing_before:.1%} → {each.missing_now:.1%}"
        rows.append((code(name), distance, needed, missing))
    return table(("column", "distance", "matters from", "missing"), rows)


def _rows(result: Result) -> Iterator[str]:
    account = result.account
    others = sum(account.others.values())
    yield (
        f"Of {account.rows:,} logged rows in {account.files:,} files, {sum(account.counted):,} "
        f"count; {account.duplicates:,} are there twice, {others:,} are of other releases, "
        f"{account.elsewhere:,} of other times, {account.examples:,} of smoke and load tests."
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
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("monitoring.html").render(
        result=result,
        headline=headline(result),
        columns=ordered,
        traffic=charts.traffic(result),
        heat=charts.heat(result, [*ordered][:COLUMNS]) if ordered else None,
        metrics={name: charts.metric(result, name) for name in judged},
        histograms={name: charts.bars(h) for name in drawn if (h := ordered[name].histogram)},
        accounting=[*_rows(result)],
    )
