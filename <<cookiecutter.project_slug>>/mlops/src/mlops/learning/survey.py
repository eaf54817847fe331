"""A data set before there is a model: distributions, gaps, relation to the target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..config.section import Task
from ..data.columns import frame
from ..data.contract import Contract, conform, unreadable
from ..errors import InputError
from ..paths import SNAPSHOT
from .caveats.data import caveats_of_data, codes, explained, indicators

# Rows that are looked at, evenly spread over the snapshot, so that memory does not grow with it.
ROWS = 100_000
BINS = 24
VALUES = 8
# Rows in the two ends that a histogram cuts off, where outliers would leave one bar of it.
TAIL = 0.005
# A group of fewer people is not shown by itself.
SMALLEST_GROUP = 10
# The target's mean of fewer rows is noise.
FEWEST_OF_MEAN = 10
# Fewer rows tell nothing of a relation.
FEWEST_ROWS = 50


@dataclass(frozen=True)
class Bar:
    """Some values of a column.

    Attributes:
        label: the value, or where the bin begins.
        share: of the rows that have a value, from 0 to 1.
        target: the mean of the target among them, for one of two classes its share; None where
            there are too few.
    """

    label: str
    share: float
    target: float | None


@dataclass(frozen=True)
class Surveyed:
    """A column.

    Attributes:
        name, kind, roles, description: as the contract has them.
        missing, unreadable: shares of the rows, from 0 to 1.
        distinct: how many values it has.
        bars: of numbers and moments from low to high, of categories the most frequent; none of a
            column whose only role is id, or that the contract redacts.
        low, middle, high: the least, the median and the greatest value; None of categories.
        is_clipped: whether the outermost bars hold all that lies beyond.
        explained: the share of the target's variance that it explains by itself; None where it is
            no feature, or nothing tells.
        caveats: what is doubtful about it, a sentence each.
    """

    name: str
    kind: str
    roles: list[str]
    description: str | None
    missing: float
    unreadable: float
    distinct: int
    bars: list[Bar]
    low: str | None
    middle: str | None
    high: str | None
    is_clipped: bool
    explained: float | None
    caveats: list[str]


@dataclass(frozen=True)
class Survey:
    """A data set.

    Attributes:
        rows: that it has; seen: that were looked at.
        duplicates: rows seen that equal an earlier one in features and target.
        target: the name of its column; positive: the class whose share is shown, None where the
            mean is.
        columns: the target first, then features by how much they explain, then the others.
        others: columns that the contract leaves out.
        caveats: what is doubtful about the rows, a sentence each.
    """

    rows: int
    seen: int
    duplicates: int
    target: str | None
    positive: str | None
    columns: list[Surveyed]
    others: list[str]
    caveats: list[str]


def load_rows(limit: int = ROWS) -> tuple[pd.DataFrame, int]:
    """At most `limit` rows of the snapshot, evenly spread, and how many it has.

    Raises InputError where there is no snapshot.
    """
    if not SNAPSHOT.is_file():
        raise InputError(f"{SNAPSHOT}: no snapshot yet; take it with `uv run dvc repro ingest`")
    with pq.ParquetFile(SNAPSHOT) as file:
        total = file.metadata.num_rows
        step, start, parts = -(-total // limit) or 1, 0, []
        for batch in file.iter_batches():
            parts.append(batch.take(pa.array(np.arange(-start % step, batch.num_rows, step))))
            start += batch.num_rows
        return frame(pa.Table.from_batches(parts, file.schema_arrow)), total


def survey(raw: pd.DataFrame, total: int, contract: Contract, task: Task) -> Survey:
    """Look at rows.

    Args:
        raw: as they are in the snapshot, all or some of them.
        total: how many it has.
        contract: their columns.
        task: of the model.
    """
    typed = conform(raw, contract)
    unread = {each.column: each.count / len(raw) for each in unreadable(raw, typed, contract)}
    caveats = caveats_of_data(typed, contract, task) if len(typed) else []
    positive, target = _target(typed, contract)
    strength = _strengths(typed, contract)
    of_column: dict[str, list[str]] = {}
    for caveat in caveats:
        if caveat.column is not None:
            of_column.setdefault(caveat.column, []).append(caveat.evidence)
    columns = [
        _surveyed(typed[name], contract, target, unread.get(name, 0.0), strength, of_column)
        for name in contract.columns
    ]
    key = [*contract.features, *filter(None, [contract.target])]
    return Survey(
        rows=total,
        seen=len(raw),
        duplicates=int(typed.duplicated(key).sum()),
        target=contract.target,
        positive=positive,
        columns=sorted(columns, key=lambda each: _rank(each, contract)),
        others=[str(name) for name in raw.columns if name not in contract.columns],
        caveats=[each.evidence for each in caveats if each.column is None],
    )


def _rank(column: Surveyed, contract: Contract) -> tuple[int, float]:
    if column.name == contract.target:
        return 0, 0.0
    if column.name in contract.features:
        return 1, -(column.explained or 0.0)
    return 2, 0.0


def _target(typed: pd.DataFrame, contract: Contract) -> tuple[str | None, pd.Series | None]:
    """The target as numbers, whose mean says something; none where there are more classes.

    Also the name of the class that 1 stands for, where there are two.
    """
    if contract.target is None:
        return None, None
    values = typed[contract.target]
    if contract.columns[contract.target].kind == "numeric":
        return None, values
    classes = sorted(values.dropna().unique())
    if len(classes) != 2:
        return None, None
    positive = classes[1]
    name = "true" if isinstance(positive, bool | np.bool_) else str(positive)
    return name, (values == positive).astype("float64").where(values.notna())


def _strengths(typed: pd.DataFrame, contract: Contract) -> Mapping[str, float]:
    """The share of the target's variance that each feature explains by itself."""
    if contract.target is None:
        return {}
    known = typed[typed[contract.target].notna()]
    if len(known) < FEWEST_ROWS:
        return {}
    target = indicators(known[contract.target])
    return {
        name: max(0.0, explained(codes(known[name]), target))
        for name in contract.features
        if known[name].notna().any()
    }


def _surveyed(
    values: pd.Series,
    contract: Contract,
    target: pd.Series | None,
    unread: float,
    strength: Mapping[str, float],
    caveats: Mapping[str, list[str]],
) -> Surveyed:
    name = str(values.name)
    column = contract.columns[name]
    known = values.dropna()
    ends: tuple[Any, ...] = (None, None, None)
    bars: list[Bar] = []
    is_clipped = False
    is_sensitive = "sensitive" in column.role
    least = SMALLEST_GROUP if is_sensitive else 1
    if len(known) and column.role != ["id"] and column.kind != "text" and not column.redact:
        truth = None if target is None or name == contract.target else target[known.index]
        if column.kind in ("numeric", "datetime"):
            bars, is_clipped = _histogram(known, truth, least)
            if not is_sensitive:  # the oldest of all is one person
                ends = tuple(_text(each) for each in (known.min(), known.median(), known.max()))
        else:
            named = known.astype("str")
            if column.kind == "boolean":
                named = named.str.lower()
            bars = [*_categories(named, truth, least)]
    return Surveyed(
        name=name,
        kind=column.kind,
        roles=list(column.role),
        description=column.description,
        missing=float(values.isna().mean()) - unread if len(values) else 0.0,
        unreadable=unread,
        distinct=int(known.nunique()),
        bars=bars,
        low=ends[0],
        middle=ends[1],
        high=ends[2],
        is_clipped=is_clipped,
        explained=strength.get(name),
        caveats=[*caveats.get(name, [])],
    )


def _histogram(known: pd.Series, target: pd.Series | None, least: int) -> tuple[list[Bar], bool]:
    """Bins of equal width, and whether far outliers are in the outermost of them.

    Those of fewer rows than `least` are drawn as if they had none.
    """
    numbers = known.astype("int64") if known.dtype.kind == "M" else known
    numbers = numbers.astype("float64")
    numbers = numbers[np.isfinite(numbers)]
    if numbers.empty:
        return [], False
    low, high = numbers.min(), numbers.max()
    inner = np.quantile(numbers, [TAIL, 1 - TAIL])
    is_clipped = bool(least > 1 or high - low > 3 * (inner[1] - inner[0]) > 0)
    if is_clipped:
        low, high = inner
    count = 1 if low == high else min(BINS, max(2, numbers.nunique()))
    edges = np.linspace(low, high, count + 1)
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, count - 1)
    bins = pd.Series(places, index=numbers.index)
    starts = pd.Series(edges[:-1])
    if known.dtype.kind == "M":
        starts = starts.astype("int64").astype(known.dtype)
    bars = [_bar(_text(each), bins == i, target, least) for i, each in enumerate(starts)]
    return bars, is_clipped


def _categories(known: pd.Series, target: pd.Series | None, least: int) -> Iterator[Bar]:
    """The most frequent values of at least `least` rows, and one bar for all others."""
    counts = known.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    frequent = counts[counts >= least].head(VALUES)
    for value in frequent.index:
        yield _bar(str(value), known == value, target, least)
    if rest := len(counts) - len(frequent):
        yield _bar(f"{rest:,} others", ~known.isin(frequent.index), target, least)


def _bar(label: str, rows: pd.Series, target: pd.Series | None, least: int) -> Bar:
    """The bar of some rows, a mask; too few of them are not shown."""
    if rows.sum() < least:
        return Bar(label, 0.0, None)
    known = pd.Series() if target is None else target[rows.index][rows].dropna()
    mean = float(known.mean()) if len(known) >= FEWEST_OF_MEAN else None
    return Bar(label, float(rows.mean()), mean)


def _text(value: Any) -> str:
    return str(value)[:16] if isinstance(value, pd.Timestamp) else f"{value:,.6g}"
