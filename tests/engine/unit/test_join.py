"""Joins: named sources become one snapshot by one query, which reads nothing else and says the same
each time, and in which no row knows what was known only later."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine import made

from mlops.config.params import load_params
from mlops.config.source import Join
from mlops.data import join as module
from mlops.data.contract import Contract
from mlops.errors import CheckError, InputError
from mlops.files import read_json, sha256, write_text
from mlops.paths import CONTRACT, PARAMS, PIPELINE, PROVENANCE, SNAPSHOT
from mlops.pipeline import watched
from mlops.pipeline.ingest import ingest, read
from mlops.pipeline.validate import check_as_of
from mlops.release import trace

START = datetime(2013, 1, 1)
HOURS = 40
LAG = 5  # hours from a departure to its landing

TABLES: dict[str, dict[str, Any]] = {
    "flights": {"path": "data/flights.csv", "known_at": "at"},
    "weather": {"path": "data/weather.csv", "known_at": "seen"},
    "landed": {"path": "data/landed.csv", "known_at": "landed", "label": True},
    "carriers": {"path": "data/carriers.csv", "known_at": "always"},
}
QUERY = """\
SELECT f.id, f.at, c.name AS carrier, w.temp::DOUBLE AS temp, l.late
FROM flights f
ASOF LEFT JOIN weather w ON w.origin = f.origin AND w.seen <= f.at
LEFT JOIN landed l USING (id)
JOIN carriers c ON c.code = f.carrier
"""
CONTRACTED = {
    "id": {"kind": "categorical", "role": "id"},
    "at": {"kind": "datetime", "role": "time"},
    "carrier": {"kind": "categorical", "role": "feature"},
    "temp": {"kind": "numeric", "role": "feature", "nullable": True},
    "late": {"kind": "boolean", "role": "target"},
}


def _csv(name: str, *rows: tuple[object, ...]) -> None:
    path = Path("data") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def _hour(hour: float) -> datetime:
    return START + timedelta(hours=hour)


@pytest.fixture(autouse=True)
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flight each hour, the weather half an hour before each and so on, and when each landed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "MOMENTS", 3)  # the first, one between, the last
    hours = range(HOURS)
    origins = ["JFK", "EWR"]
    flights = [(f"{i:04d}", _hour(i), ("UA", "AA")[i % 2], origins[i % 2]) for i in hours]
    _csv("flights.csv", ("id", "at", "carrier", "origin"), *flights)
    seen = [(origin, _hour(i - 0.5), 2 * i) for i in range(HOURS + 9) for origin in origins]
    _csv("weather.csv", ("origin", "seen", "temp"), *seen)
    landed = [(f"{i:04d}", _hour(i + LAG), "yes" if i % 3 else "no") for i in hours]
    _csv("landed.csv", ("id", "landed", "late"), *landed)
    _csv("carriers.csv", ("code", "name"), ("UA", "United"), ("AA", "American"))
    write_text(CONTRACT, json.dumps({"columns": CONTRACTED}))


def _join(query: str = QUERY, tables: dict[str, Any] = TABLES, **more: Any) -> Join:
    return Join.model_validate({"query": query, "tables": tables, **more})


def _params(join: Join) -> None:
    params = made.params("binary", "linear").model_copy(update={"source": join})
    write_text(PARAMS, params.model_dump_json())
    deps = [f"${{{key}}}" for key in join.files]
    write_text(PIPELINE, json.dumps({"stages": {"ingest": {"deps": deps}}}))


def _rows(query: str = QUERY, **more: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(_join(query, **more))[0].to_pylist()
    return rows


def _other(*changes: tuple[str, str]) -> str:
    query = QUERY
    for old, new in changes:
        assert old in query
        query = query.replace(old, new)
    return query


def test_a_query_joins_what_it_names() -> None:
    rows = _rows()
    assert len(rows) == HOURS
    assert rows[3] == {
        "id": "0003",  # text, as it is written
        "at": _hour(3),
        "carrier": "American",
        "temp": 6.0,
        "late": "no",
    }


def test_the_snapshot_says_where_each_row_came_from() -> None:
    write_text(Path("data/join.sql"), QUERY)
    _params(_join("data/join.sql"))
    ingest()
    found = read_json(PROVENANCE)
    assert found["source"] == "data/join.sql of flights, weather, landed, carriers"
    counts = {"flights": HOURS, "weather": 2 * (HOURS + 9), "landed": HOURS, "carriers": 2}
    assert found["origins"] == [
        {
            "name": f"data/{name}.csv",
            "rows": rows,
            "sha256": sha256(Path(f"data/{name}.csv")),
            "table": name,
        }
        for name, rows in counts.items()
    ]
    assert found["query"] == {"name": "data/join.sql", "sha256": sha256(Path("data/join.sql"))}
    assert found["as_of"]["time"] == "at"
    assert found["as_of"]["columns"] == ["id", "at", "carrier", "temp"]
    assert found["rows"] == pq.read_metadata(SNAPSHOT).num_rows == HOURS
    assert found["snapshot_sha256"] == sha256(SNAPSHOT)


def test_sources_of_every_kind_are_joined(tmp_path: Path) -> None:
    """A folder of Parquet, an address, a database."""
    with closing(sqlite3.connect("data/d.sqlite")) as connection, connection:
        connection.execute("create table carriers (code text, name text)")
        connection.execute("insert into carriers values ('UA', 'United'), ('AA', 'American')")
    write_text(Path("data/carriers.sql"), "select * from carriers")
    rows = [line.split(",") for line in Path("data/flights.csv").read_text().split()[1:]]
    assert rows
    flights = _rows("SELECT * FROM flights", tables={"flights": TABLES["flights"]})
    for part, some in (("a", flights[:7]), ("b", flights[7:])):
        Path("data/flights").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(some), f"data/flights/{part}.parquet")
    Path("data/weather.url").write_text(f"file://{tmp_path}/data/weather.csv\n")
    tables = TABLES | {
        "flights": TABLES["flights"] | {"path": "data/flights"},
        "weather": TABLES["weather"] | {"path": "data/weather.url"},
        "carriers": {
            "path": "data/carriers.sql",
            "database": f"sqlite:///{tmp_path}/data/d.sqlite",
            "known_at": "always",
        },
    }
    table, origins = read(_join(tables=tables))
    assert table.to_pylist() == _rows()
    assert [(each.table, each.rows) for each in origins if each.table == "flights"] == [
        ("flights", 7),
        ("flights", HOURS - 7),
    ]


def test_the_same_values_make_the_same_bytes_in_whatever_order_they_come() -> None:
    """Sums, too, whose last digits would be others."""
    query = _other(
        ("w.temp::DOUBLE", "(SELECT sum(temp::DOUBLE / 7) FROM weather) + w.temp::DOUBLE")
    )
    tables = {name: table | {"known_at": "always"} for name, table in TABLES.items()}
    _params(_join(query, tables))
    ingest()
    first = SNAPSHOT.read_bytes()
    for name in TABLES:
        header, *rows = Path(f"data/{name}.csv").read_text().splitlines()
        Path(f"data/{name}.csv").write_text("\n".join([header, *reversed(rows)]))
    ingest()
    assert SNAPSHOT.read_bytes() == first


def test_memory_is_bounded_and_what_takes_more_is_told() -> None:
    query = "SELECT i.range AS id, md5(i.range::VARCHAR) AS x FROM carriers, range(150000) i"
    tables = {"carriers": TABLES["carriers"]}
    assert len(_rows(query, tables=tables, memory_gb=0.05)) == 300_000
    with pytest.raises(InputError, match=r"it takes more than 0\.05 GB: raise source\.memory_gb"):
        _rows(
            "SELECT list(md5(i.range::VARCHAR)) AS x FROM carriers, range(2000000) i",
            tables=tables,
            memory_gb=0.05,
        )


# What is refused, in one line.


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("FROM flights f", "FORM flights f"), 'line 2: syntax error at or near "flights"'),
        (("f.id,", "\nf.idd,"), "line 2: .*idd"),
        (("w.temp::DOUBLE", "w.origin::DOUBLE"), "line 1: Could not convert string '(JFK|EWR)'"),
        (("JOIN landed", "JOIN landing"), "line 4: there is no table landing; source.tables has"),
        (("JOIN landed", "JOIN kept.landed"), "line 4: there is no table kept.landed"),
        (("JOIN landed", "JOIN information_schema.tables"), "line 4: there is no table"),
        (("FROM flights f", "FROM 'data/flights.csv' f"), "line 2: there is no table data/fl"),
        (("FROM flights", "FROM read_csv('data/flights.csv')"), r"line 2: read_csv\(…\) reads"),
        (("FROM flights f", "FROM glob('/*'), flights f"), r"line 2: glob\(…\) reads what is no"),
        (("FROM flights f", "FROM query('FROM flights') f"), r"line 2: query\(…\) reads"),
        (("l.late", "l.late, now()"), "line 1: now is another each time"),
        (("l.late", "l.late, current_date"), "line 1: current_date is another each time"),
        (("l.late", "random() < 0.5 AS late"), "line 1: random is another each time"),
        (("l.late", "l.late, age(f.at)"), "line 1: age is another each time"),
        (("FROM flights f", "FROM flights f TABLESAMPLE 5%"), "line 2: a sample is other rows"),
        (("l.late", "l.late, f.ID"), "column named twice: id"),
        (("c.code = f.carrier", "code = f.carrier AND f.x = 1"), "line 5: .*x"),
        (("c.name", "\n\n\nc.nam"), "line 4: .*nam"),
        (("c.code = f.carrier", "c.code = f.carrier WHERE false"), "no rows"),
    ],
)
def test_a_query_that_cannot_be_is_told(change: tuple[str, str], line: str) -> None:
    Path("join.sql").write_text(_other(change))
    with pytest.raises(InputError, match=rf"^join\.sql.*{line}") as refused:
        _rows("join.sql")
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(InputError, match=r"^(params\.yaml: )?source\.query.*" + line):
        _rows(_other(change))


def test_a_column_may_be_called_as_what_is_refused() -> None:
    named = ("FROM flights f", "FROM (SELECT *, 1 AS now, 2 AS version FROM flights) f")
    row = _rows(_other(named, ("l.late", "l.late, now, f.version")))[0]
    assert (row["now"], row["version"]) == (1, 2)


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE flights",
        "SELECT 1; SELECT 2",
        "COPY flights TO 'out.csv'",
        "INSTALL httpfs",
        "SET threads = 4",
        "ATTACH 'x.duckdb'",
        "-- nothing",
    ],
)
def test_a_query_is_one_select(query: str) -> None:
    with pytest.raises(InputError, match="write one SELECT, and nothing else"):
        _rows(query)


def test_the_engine_reads_no_file_even_where_a_query_got_past() -> None:
    """The second wall behind the look at the query, which may overlook what DuckDB will learn."""
    join = _join("FROM carriers", {"carriers": TABLES["carriers"]})
    with module.database(join) as database:
        database.load("carriers", [pa.table({"code": ["UA"]})])
        database.answer()
        for query in (
            "FROM 'data/flights.csv'",
            "FROM read_text('/etc/hostname')",
            "COPY kept.carriers TO 'out.csv'",
            "INSTALL httpfs",
            "ATTACH 'x.duckdb'",
            "SET enable_external_access = true",
            "FROM join",
        ):
            with pytest.raises(duckdb.Error):
                database._run(query)
    assert not Path("out.csv").exists()


def test_a_table_that_the_query_does_not_read_is_told() -> None:
    with pytest.raises(InputError, match="it reads nothing of carriers, weather"):
        _rows("SELECT id, late FROM flights JOIN landed USING (id)")


def test_a_query_may_be_written_as_people_write() -> None:
    query = (
        f"-- who flew: é\nWITH weather AS (FROM weather), x AS (\n{QUERY})\nSELECT * FROM x ; -- x"
    )
    assert _rows(query) == _rows()
    query = 'FROM flights SELECT id, age("at", "at") = INTERVAL 0 DAY AS x, year("at") AS y'
    first = _rows(query, tables={"flights": TABLES["flights"]})[0]
    assert first == {"id": "0000", "x": True, "y": 2013}


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("weather", {"path": "data/no.csv"}, r"data/no\.csv: no such file or folder"),
        (
            "weather",
            {"known_at": "when"},
            r"weather\.known_at: data/weather\.csv has no column when",
        ),
        ("weather", {"known_at": "temp"}, r"weather\.csv row 1: temp: '0' is no moment"),
        (
            "weather",
            {"format": "%d.%m.%Y"},
            r"weather\.csv row 1: seen: '2012-12-31 23:30:00' is no",
        ),
    ],
)
def test_a_source_that_cannot_be_is_told(name: str, change: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as refused:
        _rows(tables=TABLES | {name: TABLES[name] | change})
    assert len(str(refused.value).splitlines()) == 1


def test_a_moment_that_is_none_is_told_with_its_row() -> None:
    text = Path("data/landed.csv").read_text().replace(str(_hour(7 + LAG)), "later")
    Path("data/landed.csv").write_text(text)
    with pytest.raises(InputError, match=r"data/landed\.csv row 8: landed: 'later' is no moment"):
        _rows()


def test_an_empty_cell_is_missing_and_other_words_are_the_querys_to_read() -> None:
    _csv("carriers.csv", ("code", "name", "fee"), ("UA", "", "1.5"), ("AA", "NA", ""))
    query = "SELECT code, name, fee::DOUBLE AS fee FROM carriers"
    carriers = {"carriers": TABLES["carriers"]}
    assert _rows(query, tables=carriers) == [
        {"code": "AA", "name": "NA", "fee": None},
        {"code": "UA", "name": None, "fee": 1.5},
    ]


def test_moments_are_read_as_they_are_written() -> None:
    text = Path("data/weather.csv").read_text()
    written = re.sub(r"(\d{4})-(\d\d)-(\d\d) ", r"\3.\2.\1 ", text)
    Path("data/weather.csv").write_text(written)
    dotted = TABLES["weather"] | {"format": "%d.%m.%Y %H:%M:%S"}
    tables = TABLES | {"weather": dotted}
    Path("data/was.csv").write_text(text)
    was = TABLES | {"weather": TABLES["weather"] | {"path": "data/was.csv"}}
    assert _rows(tables=tables) == _rows(tables=was)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ({"query": QUERY}, "source.tables: this key is missing"),
        ({"query": QUERY, "tables": {}}, "source.tables: "),
        ({"tables": TABLES}, "source.query: this key is missing"),
        (
            {"query": QUERY, "tables": {"a": {"path": "x.csv"}}},
            "source.tables.a.known_at: this key is",
        ),
        ({"query": QUERY, "tables": TABLES, "path": "x.csv"}, "source.path: unknown key"),
        (
            {"query": QUERY, "tables": {"Big": TABLES["flights"]}},
            "source: tables.Big: a name is small",
        ),
        (
            {"query": QUERY, "tables": {"a": TABLES["flights"] | {"path": "x://u:p@h/x.csv"}}},
            "source.tables.a: path: contains a password",
        ),
        ("data/x.csv", "source: give `path`, or `query` and `tables`"),
    ],
)
def test_what_params_say_wrongly_is_told(source: Any, line: str) -> None:
    params = made.params("binary", "linear").model_dump(mode="json") | {"source": source}
    write_text(PARAMS, json.dumps(params))
    with pytest.raises(InputError, match=re.escape(line)) as refused:
        load_params()
    assert len(str(refused.value).splitlines()) == 1


def test_two_sources_of_one_name_are_told() -> None:
    params = made.params("binary", "linear").model_dump_json(exclude={"source"})
    twice = '{"query": "q", "tables": {"a": {"path": "x.csv"}, "a": {"path": "y.csv"}}}'
    write_text(PARAMS, f'{params[:-1]}, "source": {twice}}}')
    with pytest.raises(InputError, match="found duplicate key"):
        load_params()


def test_dvc_watches_every_file_that_a_join_reads() -> None:
    write_text(Path("data/join.sql"), QUERY)
    join = _join("data/join.sql")
    _params(join)
    assert [*map(str, watched("ingest"))] == [
        "data/join.sql",
        *(each["path"] for each in TABLES.values()),
    ]
    deps = read_json(PIPELINE)["stages"]["ingest"]["deps"]
    for i, missing in enumerate(deps):
        others = deps[:i] + deps[i + 1 :]
        write_text(PIPELINE, json.dumps({"stages": {"ingest": {"deps": others}}}))
        told = re.escape(f"add {missing} to `deps` of `ingest` in dvc.yaml")
        with pytest.raises(InputError, match=told):
            ingest()
    write_text(PIPELINE, json.dumps({"stages": {"ingest": {"deps": ["data"]}}}))
    ingest()


def test_a_column_of_the_contract_that_the_query_does_not_give_is_told() -> None:
    _params(_join(_other(("l.late", "l.late AS delayed"))))
    with pytest.raises(InputError, match="it gives no column late, which contract.yaml names; it"):
        ingest()


# What was known only later.

LEAKS = {
    "the next weather": (("w.seen <= f.at", "w.seen >= f.at"), "weather", "temp"),
    "a mean over all days": (
        ("w.temp::DOUBLE", "avg(w.temp::DOUBLE) OVER ()"),
        "flights, weather",
        "temp",
    ),
    "the flight after": (("w.temp::DOUBLE", "lead(f.id) OVER (ORDER BY f.at)"), "flights", "temp"),
    "the target itself": (("w.temp::DOUBLE", "(l.late = 'yes')::INT"), "landed", "temp"),
    "the mean of all targets": (
        ("w.temp::DOUBLE", "(SELECT avg((late = 'yes')::INT) FROM landed)"),
        "landed",
        "temp",
    ),
    "rows chosen by what comes": (
        (
            "LEFT JOIN landed",
            "SEMI JOIN (FROM weather WHERE seen >= '2013-01-02') x ON true JOIN landed",
        ),
        "weather",
        "the row is there only with that",
    ),
}
TRUE = {
    "the weather before": ("w.seen <= f.at", "w.seen < f.at - INTERVAL 3 HOUR"),
    "a mean of all days before": ("w.temp::DOUBLE", "avg(w.temp::DOUBLE / 7) OVER (ORDER BY f.at)"),
    "targets that were known": (
        "w.temp::DOUBLE",
        "(SELECT avg((x.late = 'yes')::INT) FROM landed x WHERE x.landed <= f.at)",
    ),
    "only rows with a label": ("LEFT JOIN landed", "JOIN landed"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_row_that_knows_the_future_stops(leak: str) -> None:
    change, table, found = LEAKS[leak]
    _params(_join(_other(change)))
    with pytest.raises(CheckError, match=f"knows what {table} said only later: {found}") as refused:
        ingest()
    assert len(str(refused.value).splitlines()) == 1
    assert not SNAPSHOT.exists()
    assert not PROVENANCE.exists()


@pytest.mark.parametrize("query", TRUE)
def test_a_row_may_know_what_was_known(query: str) -> None:
    _params(_join(_other(TRUE[query])))
    ingest()
    assert len(read_json(PROVENANCE)["as_of"]["moments"]) == module.MOMENTS


def test_what_is_known_at_the_very_moment_is_known() -> None:
    tables = TABLES | {"weather": TABLES["weather"] | {"known_at": "seen"}}
    text = Path("data/weather.csv").read_text().replace(":30:00", ":00:00")
    Path("data/weather.csv").write_text(text)
    _params(_join(tables=tables))
    ingest()


def test_a_leak_that_sums_hide_is_no_leak() -> None:
    """Numbers that are added up in another order differ in their last digits, and that is all."""
    known = [(START, "x", 0.1 + 0.2, None), (START, "y", 1.0, float("nan"))]
    whole = [(START, "y", 1.0, float("nan")), (START, "x", 0.3, None)]
    assert module._unlike(known, whole) is None
    assert module._unlike(known, [*whole[:1], (START, "x", 0.31, None)]) == known[0]
    assert module._unlike([*known, known[0]], whole) == known[0]
    assert module._unlike([(1.0,)], [(None,)]) == (1.0,)


def test_a_time_that_is_text_orders_nothing() -> None:
    _params(_join(_other(("f.at,", "f.at::VARCHAR AS at,"))))
    with pytest.raises(InputError, match='at is string, and says when .*: write "at"::TIMESTAMP'):
        ingest()


def test_without_a_time_nothing_is_later() -> None:
    columns = CONTRACTED | {"at": {"kind": "datetime", "role": "id"}}
    write_text(CONTRACT, json.dumps({"columns": columns}))
    _params(_join())
    with pytest.raises(InputError, match=r"flights\.known_at: .* no column with role time"):
        ingest()
    tables = {name: table | {"known_at": "always"} for name, table in TABLES.items()}
    _params(_join(tables=tables))
    ingest()
    assert read_json(PROVENANCE)["as_of"] is None


def _new_feature(columns: dict[str, Any]) -> None:
    columns["late"] = {"kind": "boolean", "role": "feature"}


def _new_time(columns: dict[str, Any]) -> None:
    columns["at"] = {"kind": "datetime", "role": "id"}


@pytest.mark.parametrize(
    ("change", "line"),
    [(_new_feature, "late: new since"), (_new_time, "the time, which was at: new since")],
)
def test_what_ingest_did_not_look_at_stops_validate(
    change: Callable[[dict[str, Any]], None], line: str
) -> None:
    _params(_join())
    ingest()
    seen, columns = read_json(PROVENANCE)["as_of"], dict(CONTRACTED)
    check_as_of(Contract.model_validate({"columns": columns}), seen)
    change(columns)
    with pytest.raises(InputError, match=line):
        check_as_of(Contract.model_validate({"columns": columns}), seen)


class _Commit:
    """A commit as `trace` sees it, of the files that lie here."""

    def read_bytes(self, path: Path) -> bytes | None:
        return path.read_bytes() if path.exists() else None

    def load(self, path: Path) -> Any:
        return read_json(path)


@pytest.mark.parametrize("query", ["join.sql", QUERY])
def test_trace_knows_the_query(query: str) -> None:
    write_text(Path("join.sql"), QUERY)
    _params(_join(query))
    ingest()
    where, digest = read_json(PROVENANCE)["query"].values()
    commit: Any = _Commit()
    assert trace._joined(where, digest, commit).state == "ok"
    write_text(Path("join.sql"), "SELECT 1")
    _params(_join("join.sql" if query == "join.sql" else "SELECT 1"))
    assert trace._joined(where, digest, commit).state == "wrong"
