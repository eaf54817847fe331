"""Whatever the rows, a join that looks ahead is refused where that changes a row, and nowhere else.

The other side asks in plain Python, row by row, what a query would have said at its time. It shares
no code with DuckDB or the engine.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.config.source import Join
from mlops.data.join import MOMENTS, database

START = datetime(2020, 1, 1)
LAST = MOMENTS - 2  # so that every moment of a row is looked at

Rows = list[tuple[int, str]]  # hour, key
Events = list[tuple[int, str]]  # hour in which it is known, key; its value is its place


def _latest(events: list[tuple[int, int]]) -> int | None:
    return max(events)[1] if events else None


# What a query asks of the events of a row's key up to some hours after it, in SQL and in Python.
ASKED: dict[str, tuple[str, Callable[[list[tuple[int, int]]], object]]] = {
    "the latest": (
        "SELECT r.id, r.at, e.value AS x FROM r ASOF LEFT JOIN e "
        "ON e.key = r.key AND e.seen <= r.at + INTERVAL ({ahead}) HOUR",
        _latest,
    ),
    "how many": (
        "SELECT r.id, r.at, (SELECT count(*) FROM e WHERE e.key = r.key "
        "AND e.seen <= r.at + INTERVAL ({ahead}) HOUR) AS x FROM r",
        len,
    ),
    "the mean": (
        "SELECT r.id, r.at, avg(e.value / 7) AS x FROM r LEFT JOIN e ON e.key = r.key "
        "AND e.seen <= r.at + INTERVAL ({ahead}) HOUR GROUP BY ALL",
        lambda events: round(sum(v for _, v in events) / len(events) / 7, 9) if events else None,
    ),
    "whether there is one": (
        "SELECT r.id, r.at, 0 AS x FROM r SEMI JOIN e ON e.key = r.key "
        "AND e.seen <= r.at + INTERVAL ({ahead}) HOUR",
        bool,
    ),
}


def _table(hours: list[int], keys: list[str], time: str, value: str) -> pa.Table:
    moments = pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us"))
    return pa.table({time: moments, "key": keys, value: pa.array(range(len(hours)), pa.int64())})


def _is_refused(rows: Rows, events: Events, query: str) -> bool:
    tables = {"r": {"path": "r", "known_at": "at"}, "e": {"path": "e", "known_at": "seen"}}
    with database(Join.model_validate({"query": query, "tables": tables})) as joined:
        joined.load("r", [_table([h for h, _ in rows], [k for _, k in rows], "at", "id")])
        joined.load("e", [_table([h for h, _ in events], [k for _, k in events], "seen", "value")])
        joined.answer()
        return joined.leak("at", ["id", "at", "x"]) is not None


def _looks_ahead(
    rows: Rows, events: Events, ahead: int, ask: Callable[[list[tuple[int, int]]], object]
) -> bool:
    """Whether a row is another when only what was known at its moment counts."""

    def said(hour: int, key: str, known: int | None = None) -> object:
        seen = [(h, value) for value, (h, k) in enumerate(events) if k == key and h <= hour + ahead]
        return ask([each for each in seen if known is None or each[0] <= known])

    return any(said(hour, key) != said(hour, key, hour) for hour, key in rows)


KEYS = st.sampled_from(["a", "b"])


@pytest.mark.slow
@given(
    rows=st.lists(st.tuples(st.integers(0, LAST), KEYS), min_size=1, max_size=12),
    events=st.lists(
        st.tuples(st.integers(-2, LAST + 3), KEYS), min_size=1, max_size=12, unique=True
    ),
    ahead=st.sampled_from([-2, 0, 0, 1, 2, 100]),
    asked=st.sampled_from(sorted(ASKED)),
)
def test_a_join_is_refused_where_and_only_where_it_looks_ahead(
    rows: Rows, events: Events, ahead: int, asked: str
) -> None:
    query, ask = ASKED[asked]
    if asked == "whether there is one" and not any(
        k == key and h <= hour + ahead for hour, key in rows for h, k in events
    ):
        return  # no row at all, which `ingest` refuses
    expected = _looks_ahead(rows, events, ahead, ask)
    assert _is_refused(rows, events, query.format(ahead=ahead)) == expected
