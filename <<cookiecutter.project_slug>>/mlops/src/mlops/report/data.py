"""The page of the data: what `mlops data show` writes."""

from dataclasses import dataclass

from ..digits import counted
from ..learning.survey import Survey, Surveyed
from ..printable import shown
from .layout import layout

# Columns that the page draws.
COLUMNS = 60
# The picture's size, in its own units.
WIDTH, HEIGHT = 320, 90


@dataclass(frozen=True)
class Rectangle:
    """A bar of a histogram, in the picture's units."""

    x: float
    y: float
    width: float
    height: float
    told: str


@dataclass(frozen=True)
class Dot:
    """The target's mean above a bar."""

    x: float
    y: float


def page(survey: Survey, name: str) -> str:
    """One page that needs nothing else; `name` is the project's."""
    drawn = survey.columns[:COLUMNS]
    means = [bar.target for column in drawn for bar in column.bars if bar.target is not None]
    low = min([0.0, *means])
    return layout("data.html", shown=shown, percent=percent).render(
        survey=survey,
        name=name,
        headline=headline(survey),
        doubts=doubts(survey),
        columns=drawn,
        hidden=[each.name for each in survey.columns[COLUMNS:]],
        pictures={each.name: picture(each, low, max([1e-12, *means])) for each in drawn},
        low=low,
        high=max(means, default=0.0),
        width=WIDTH,
        height=HEIGHT,
    )


def headline(survey: Survey) -> str:
    """The page in one line."""
    size = f"{counted(survey.rows, 'row')}, {counted(len(survey.columns), 'column')}"
    found = len(doubts(survey))
    return f"{size}: {counted(found, 'finding') if found else 'nothing doubtful found'}"


def doubts(survey: Survey) -> list[tuple[str | None, str]]:
    """What to look into first: the column, None for the rows, and why."""
    found: list[tuple[str | None, str]] = [(None, each) for each in survey.caveats]
    if survey.duplicates:
        text = f"{counted(survey.duplicates, 'row')} of {survey.seen:,} repeat an earlier row"
        found.append((None, f"{text} in features and target"))
    for column in survey.columns:
        found += [(column.name, each) for each in column.caveats]
        if column.unreadable:
            found.append((column.name, f"{percent(column.unreadable)} cannot be read"))
        if column.distinct == 0:
            found.append((column.name, "has no value"))
        elif column.distinct == 1 and "feature" in column.roles:
            found.append((column.name, "has one value only, which teaches nothing"))
    return found


def picture(column: Surveyed, low: float, high: float) -> tuple[list[Rectangle], list[list[Dot]]]:
    """The bars, and the line of the target's mean, which has a gap where there is none.

    Args:
        column: with bars from low to high.
        low, high: the ends of the target's scale, the same in each picture of the page.
    """
    most = max((bar.share for bar in column.bars), default=0.0) or 1.0
    step = WIDTH / max(len(column.bars), 1)
    bars: list[Rectangle] = []
    lines: list[list[Dot]] = [[]]
    for i, bar in enumerate(column.bars):
        size = bar.share / most * HEIGHT
        told = f"from {bar.label}: {percent(bar.share)}"
        bars.append(Rectangle(i * step + 0.5, HEIGHT - size, max(step - 1, 1), size, told))
        if bar.target is None:
            lines.append([])
        else:
            y = HEIGHT - (bar.target - low) / ((high - low) or 1) * (HEIGHT - 6) - 3
            lines[-1].append(Dot((i + 0.5) * step, y))
    return bars, [each for each in lines if each]


def percent(share: float) -> str:
    """A share for people: small ones are not nothing, and large ones not all."""
    if 0 < share < 0.001:
        return "< 0.1\u202f%"
    if 0.999 < share < 1:
        return "> 99.9\u202f%"
    return f"{100 * share:.1f}\u202f%"
