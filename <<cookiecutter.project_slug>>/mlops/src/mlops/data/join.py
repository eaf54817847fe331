"""Several tables and the query that makes one of them: DuckDB, on the disk, in bounded memory.

What comes out depends on the values that go in, and on nothing else: not on threads, not on the
order of rows, not on the hour, not on any file beside. And no row of it may know what was known
later than it: `leak` answers the query again with what was known at some moments, and compares.
"""

import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import types

from ..config.source import Join, Table
from ..errors import InputError, first_line
from ..paths import PARAMS

# Rows that are handed out together.
ROWS = 131_072
# For so many moments, evenly spread over the rows, the query is answered again.
MOMENTS = 12
# Differing rows that are looked at; numbers that differ by less are the same, added up otherwise.
DIFFERING = 2_000
NOISE = 1e-6

# What answers otherwise tomorrow, or each time. Of `age`, the one that counts from today.
MOODY = {
    *("random", "setseed", "uuid", "gen_random_uuid", "uuidv4", "uuidv7"),
    *("now", "today", "ago", "current_date", "current_time", "current_timestamp"),
    *("localtime", "localtimestamp", "current_localtime", "current_localtimestamp"),
    *("get_current_time", "get_current_timestamp", "transaction_timestamp"),
    *("nextval", "currval", "txid_current", "current_connection_id", "current_query_id"),
    *("current_transaction_id", "current_setting", "getvariable", "version"),
}
# Of these, what SQL writes without parentheses, unless a column has that name. A bare `version` can
# only be a column.
BARE = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
# Those that read nothing.
TABLE_FUNCTIONS = {"range", "generate_series", "unnest"}


@dataclass(frozen=True)
class Query:
    """A query as it was written, and where."""

    text: str
    where: str

    def at(self, place: int | None, why: str) -> InputError:
        """What is wrong in it, and in which line: `place` counts its bytes."""
        text = self.text.encode()
        if place is None or not 0 <= place <= len(text):
            return InputError(f"{self.where}: {why}")
        line = text[:place].count(b"\n") + 1
        return InputError(f"{self.where} line {line}: {why}")


@dataclass(frozen=True)
class Leak:
    """A row that is another when nothing is known that was known later than it.

    Attributes:
        tables: whose later rows it knows.
        moment: of the row.
        found: how it differs.
    """

    tables: list[str]
    moment: datetime
    found: str


@dataclass(frozen=True)
class _Rows:
    """The rows that are compared: a condition of SQL.

    Attributes:
        time: the column that says when a row is.
        columns: those that are compared.
        since, until: the rows are after the one, if there is one, and not after the other.
    """

    time: str
    columns: list[str]
    since: datetime | None
    until: datetime

    def __str__(self) -> str:
        when = f"{_quoted(self.time)}::timestamp"
        after = "" if self.since is None else f"{when} > {_literal(self.since)} and "
        return f"{after}{when} <= {_literal(self.until)}"


@dataclass
class Database:
    """The tables of a join, and what its query makes of them.

    Load each table, then `answer`, then read.
    """

    join: Join
    query: Query
    _connection: duckdb.DuckDBPyConnection
    _loaded: set[str] = field(default_factory=set)

    def load(self, name: str, groups: Iterable[pa.Table]) -> None:
        """Take the rows of a table, which are in memory a group at a time."""
        incoming, made = f'kept."{name} as it comes"', False
        for group in groups:
            self._connection.register("incoming", group)
            verb = "insert into" if made else "create table"
            with self._explained():
                self._run(f"{verb} {incoming} {'' if made else 'as '}from incoming")
            self._connection.unregister("incoming")
            made = True
        # The order in which rows come is no part of what they say.
        with self._explained():
            self._run(f"create table {_kept(name)} as from {incoming} order by all")
        self._run(f"drop table {incoming}")
        self._loaded.add(name)

    def answer(self) -> None:
        """Run the query, which from now on can read what was loaded and nothing else.

        Raises InputError where it cannot be run, or could give other rows another time.
        """
        assert self._loaded == {*self.join.tables}
        self._run("set enable_external_access = false")
        self._run("set lock_configuration = true")
        self._check()
        self._show()
        self._check_names()
        self._answer()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the answer."""
        return self._relation("from answer.whole").limit(0).to_arrow_table().schema

    @property
    def rows(self) -> int:
        """How many the answer has."""
        return int(self._one("select count(*) from answer.whole")[0])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of the answer, sorted by all of its columns."""
        with self._explained():
            yield from self._relation("from answer.whole order by all").to_arrow_reader(ROWS)

    def leak(self, time: str, columns: list[str]) -> Leak | None:
        """A row of the answer that knows what was known later than it; None where none was found.

        The rows of a moment may follow from what was known by then. So the query is answered again
        without what was known later, and rows up to then, since the moment before, must be the
        same. Where a table holds labels, rows may also be missing: those whose label was not there
        yet.

        Args:
            time: the column of the answer that says when a row is.
            columns: those that are compared, `time` among them: not the target, which comes later.

        Raises:
            InputError: `time` is no column of moments.
        """
        self._check_time(time)
        labels = {name for name, table in self._dated() if table.label}
        others = {name for name, _ in self._dated()} - labels
        moments = self.moments(time)
        for since, moment in zip([None, *moments], moments, strict=False):
            rows = _Rows(time, columns, since, moment)
            for cut, may_miss in ((others, False), (labels, True)):
                found = self._differs(cut, rows, may_miss) if cut else None
                if found is None:
                    continue
                blamed = [
                    name
                    for name in sorted(cut)
                    if len(cut) == 1 or self._differs({name}, rows, may_miss)
                ]
                return Leak(blamed or sorted(cut), *found)
        return None

    def moments(self, time: str) -> list[datetime]:
        """The moments for which `leak` looks: of rows, the first and the last among them."""
        shares = [i / (MOMENTS - 1) for i in range(MOMENTS)]
        distinct = f"select distinct {_quoted(time)}::timestamp as t from answer.whole"
        found = self._one(f"select quantile_disc(t, {shares}) from ({distinct})")[0]
        return sorted({*(found or [])})

    def _dated(self) -> list[tuple[str, Table]]:
        return [(name, each) for name, each in self.join.tables.items() if each.moment]

    def _check(self) -> None:
        """Raise InputError unless the query is one SELECT of the tables, the same each time."""
        try:
            statements = self._connection.extract_statements(self.query.text)
        except duckdb.Error as error:
            raise self._told(error) from None
        if [each.type for each in statements] != [duckdb.StatementType.SELECT]:
            raise self.query.at(None, "write one SELECT, and nothing else")
        tree = json.loads(self._one("select json_serialize_sql(?)", self.query.text)[0])
        if tree["error"]:
            raise self.query.at(None, tree["error_message"])
        nodes = [*_nodes(tree["statements"])]
        within = {
            entry["key"].lower()
            for each in nodes
            for entry in each.get("cte_map", {}).get("map", [])
        }
        used: set[str] = set()
        for node in nodes:
            if why := _refused(node, {*self.join.tables} | within):
                raise self.query.at(node.get("query_location"), why)
            if node.get("type") == "BASE_TABLE":
                used.add(node["table_name"].lower())
        if idle := sorted({*self.join.tables} - used):
            raise self.query.at(None, f"it reads nothing of {', '.join(idle)}")

    def _check_names(self) -> None:
        """The answer's own table would give a second name to what is named twice."""
        self._make("explain ")
        names = [each.lower() for each in self._relation(self.query.text).columns]
        if twice := sorted({each for each in names if names.count(each) > 1}):
            raise self.query.at(None, f"column named twice: {', '.join(twice)}")

    def _check_time(self, time: str) -> None:
        kind = self.schema.field(time).type
        if not (types.is_timestamp(kind) or types.is_date(kind)):
            raise self.query.at(
                None, f"{time} is {kind}, and says when a row is: write {_quoted(time)}::TIMESTAMP"
            )

    def _show(self, cut: Iterable[str] = (), moment: datetime | None = None) -> None:
        """Let the query see all tables, those of `cut` up to a moment."""
        for name, table in self.join.tables.items():
            seen = f"from {_kept(name)}"
            if name in cut:
                assert table.moment
                assert moment
                seen += f" where {_quoted(table.moment)} <= {_literal(moment)}"
            self._run(f"create or replace view {_quoted(name)} as {seen}")

    def _answer(self) -> None:
        self._make("create table answer.whole as ")
        # The same again of what can be seen then.
        self._make("create view answer.question as ")

    def _make(self, before: str, after: str | None = None) -> None:
        """Make something of the query, or of the question that it became, in the database."""
        with self._explained(before):
            self._run(before + (after or self.query.text))

    @contextmanager
    def _explained(self, before: str = "") -> Iterator[None]:
        """Raise InputError for what DuckDB cannot do within; `before` stands before the query."""
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            most = f"{self.join.memory_gb:g} GB"
            why = f"it takes more than {most}: raise source.memory_gb in {PARAMS}"
            raise self.query.at(None, why) from error
        except duckdb.Error as error:
            raise self._told(error, before) from None

    def _differs(self, cut: set[str], rows: "_Rows", may_miss: bool) -> tuple[datetime, str] | None:
        """When one of some rows is, and how it differs without what `cut` knew later."""
        self._show(cut, rows.until)
        try:
            self._make(
                "create or replace table answer.known as ", f"from answer.question where {rows}"
            )
        finally:
            self._show()
        compared = self._coarse(rows.columns)
        digest = f"select count(*), sum(hash({', '.join(compared)})) from "
        whole = f"answer.whole where {rows}"
        if self._one(digest + whole) == self._one(digest + "answer.known"):
            return None
        found = {}
        for one, other in ((whole, "answer.known"), ("answer.known", whole)):
            named = ", ".join(
                f"{value} as {_quoted(name)}"
                for value, name in zip(compared, rows.columns, strict=True)
            )
            odd = f"(select {named} from {one}) except all (select {named} from {other})"
            order = f"order by {_quoted(rows.time)} limit {DIFFERING}"
            found[one] = self._connection.execute(f"{odd} {order}").fetchall()
        there, known = found[whole], found["answer.known"]
        unlike = _unlike(known, there)
        if unlike is None and not may_miss:
            unlike = _unlike(there, known)
        if unlike is None:
            return None
        when, is_known = unlike[rows.columns.index(rows.time)], unlike in known
        others = there if is_known else known
        return _moment(when), _difference(unlike, others, rows.columns, is_known)

    def _coarse(self, columns: list[str]) -> list[str]:
        """The columns, so that numbers that were added up in another order are mostly the same."""
        kinds = {each.name: each.type for each in self.schema}
        return [
            f"{_quoted(name)}{'::float' if types.is_float64(kinds[name]) else ''}"
            for name in columns
        ]

    def _told(self, error: duckdb.Error, before: str = "") -> InputError:
        """What DuckDB says, in a line: which one of the query, what, and what it proposes.

        Args:
            error: what it says, as JSON.
            before: what stood before the query.
        """
        try:
            found = json.loads(str(error).partition("Error: ")[2])
        except ValueError:  # of the disk, or of DuckDB itself
            return self.query.at(None, first_line(error))
        lines = [line for line in found["exception_message"].splitlines() if line.strip()]
        told = lines[:1] + [each for each in lines[1:] if each.startswith(("Did you", "Candidate"))]
        place = int(found["position"]) - len(before) if "position" in found else None
        return self.query.at(place, " ".join(told))

    def _run(self, statement: str) -> None:
        self._connection.execute(statement).fetchall()

    def _one(self, query: str, *values: Any) -> tuple[Any, ...]:
        (row,) = self._connection.execute(query, [*values]).fetchall()
        return tuple(row)

    def _relation(self, query: str) -> duckdb.DuckDBPyRelation:
        return self._connection.sql(query)


@contextmanager
def database(join: Join) -> Iterator[Database]:
    """An empty database for the tables of a join, as long as it is needed.

    Raises InputError where the query is in a file that cannot be read.
    """
    query = written(join)
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{join.memory_gb * 1000:.0f}MB",
            "temp_directory": f"{folder}/spilled",
            "threads": 1,  # sums of several threads differ in their last digits
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # a variable here is no table
        }
        with duckdb.connect(f"{folder}/join.duckdb", config=settings) as connection:
            made = Database(join, query, connection)
            made._run("set TimeZone = 'UTC'")
            made._run("set errors_as_json = true")
            for schema in ("kept", "answer"):
                made._run(f"create schema {schema}")
            yield made


def written(join: Join) -> Query:
    """The query of a join. Raises InputError where it is in a file that cannot be read."""
    if join.file is None:
        return Query(join.query, f"{PARAMS}: source.query")
    try:
        return Query(Path(join.file).read_text(encoding="utf-8"), join.file)
    except (OSError, UnicodeError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else first_line(error)
        raise InputError(f"{join.file}: {why} (source.query in {PARAMS})") from None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a query, as DuckDB tells them."""
    if isinstance(tree, dict):
        yield tree
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(each)


def _refused(node: Mapping[str, Any], tables: set[str]) -> str | None:
    """Why a query may not hold this node."""
    if node.get("sample"):
        return "a sample is other rows each time; choose them by a condition"
    match node.get("type"):
        case "BASE_TABLE":
            path = [node["catalog_name"], node["schema_name"], node["table_name"]]
            if path[-1].lower() not in tables or any(path[:-1]):
                name = ".".join(filter(None, path))
                return f"there is no table {name}; source.tables has {', '.join(sorted(tables))}"
        case "TABLE_FUNCTION":
            name = (node.get("function") or {}).get("function_name", "")
            if name not in TABLE_FUNCTIONS:
                return f"{name}(…) reads what is no table of source.tables"
    called, column = node.get("function_name") or "", ".".join(node.get("column_names") or [])
    is_age_today = called == "age" and len(node.get("arguments", [])) == 1
    if called.lower() in MOODY or column.lower() in BARE or is_age_today:
        name = called or column
        return f"{name} is another each time; the same sources must give the same snapshot"
    return None


def _unlike(rows: list[tuple[Any, ...]], others: list[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """The first of some rows that none of the others equals, but for how numbers were added up."""
    waiting: dict[str, list[tuple[Any, ...]]] = {}
    for other in others:
        waiting.setdefault(_exact(other), []).append(other)
    for row in rows:
        alike = waiting.get(_exact(row), [])
        same = next((i for i, other in enumerate(alike) if _close(row, other)), None)
        if same is None:
            return row
        del alike[same]
    return None


def _exact(row: tuple[Any, ...]) -> str:
    return repr([float if isinstance(each, float) else each for each in row])


def _close(row: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        not isinstance(a, float)
        or math.isclose(a, b, rel_tol=NOISE, abs_tol=NOISE**2)
        or (math.isnan(a) and math.isnan(b))
        for a, b in zip(row, other, strict=True)
    )


def _difference(
    odd: tuple[Any, ...], others: list[tuple[Any, ...]], columns: list[str], known: bool
) -> str:
    """How a row differs from the one that is most like it, in its first column that does.

    Args:
        odd: the row.
        others: those of the other answer.
        columns: their names.
        known: whether it is of the answer without what was known later.
    """

    def alike(other: tuple[Any, ...]) -> int:
        return sum(a == b for a, b in zip(odd, other, strict=True))

    best = max(others, key=alike, default=None)
    if best is None or alike(best) * 2 < len(columns):
        return f"the row is there only {'without' if known else 'with'} that"
    then, now = (odd, best) if known else (best, odd)
    for name, a, b in zip(columns, then, now, strict=True):
        if a != b:
            return f"{name} is {_shown(b)} with that, and {_shown(a)} without"
    return "the row is there another number of times"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _moment(when: Any) -> datetime:
    """A moment of DuckDB's, which may be a date, or have a zone: UTC."""
    with suppress(AttributeError):
        return datetime.fromisoformat(when.isoformat()).replace(tzinfo=None)
    raise AssertionError(when)


def _kept(name: str) -> str:
    return f"kept.{_quoted(name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(moment: datetime) -> str:
    return f"timestamp '{moment.isoformat(sep=' ')}'"
