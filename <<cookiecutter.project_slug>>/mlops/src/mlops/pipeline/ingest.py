"""Ingest: take a snapshot of the source, as it is, and write down where it came from."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..config.params import load_params
from ..config.source import Join, Source, Table
from ..data import tables
from ..data.columns import is_text
from ..data.contract import Column, Contract, as_kind, load_contract
from ..data.dialect import Dialect
from ..data.tables import AUTO
from ..errors import CheckError, InputError, first_line
from ..files import replacing, sha256, write_json
from ..paths import CONTRACT, PARAMS, PIPELINE, PROVENANCE, SNAPSHOT
from ..progress import progress
from . import stage, watched

if TYPE_CHECKING:
    from ..data.join import Database

# Rows of the snapshot that lie together, and are in memory at a time.
GROUP_BYTES = 64 * 2**20
GROUP_ROWS = 131_072


@dataclass(frozen=True)
class Origin:
    """One file or query that the snapshot was made of, and of which table it is where there are."""

    name: str
    rows: int
    sha256: str
    table: str | None = None

    def told(self) -> dict[str, Any]:
        """As it stands in the provenance."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class File:
    """A file that is read, or was fetched, and what it is called."""

    name: str
    path: Path

    def opened(self, dialect: Dialect) -> AbstractContextManager[tables.Opened]:
        """Its rows, batch by batch."""
        return tables.opened(self.path, dialect, self.name)

    def origins(self, rows: int, table: str | None = None) -> list[Origin]:
        """Where its `rows` are from: the file, by its hash."""
        return [Origin(self.name, rows, sha256(self.path), table)]


@dataclass(frozen=True)
class Answer:
    """What a query came to, and the hash of its text."""

    name: str
    table: pa.Table
    digest: str

    def opened(self, dialect: Dialect) -> AbstractContextManager[tables.Opened]:
        """Its rows, which are in memory already, whatever the dialect."""
        batches = iter(self.table.to_batches(max_chunksize=GROUP_ROWS))
        return nullcontext(tables.Opened(self.table.schema, batches, lambda: 1.0))

    def origins(self, rows: int, table: str | None = None) -> list[Origin]:
        """Where its `rows` are from: the query, by the hash of its text."""
        return [Origin(self.name, rows, self.digest, table)]


@dataclass(frozen=True)
class Joined:
    """What a query makes of several sources, which lie on the disk."""

    database: "Database"
    loaded: list[Origin]

    @property
    def name(self) -> str:
        """Where the query stands."""
        return self.database.query.where

    def opened(self, dialect: Dialect) -> AbstractContextManager[tables.Opened]:
        """Its rows, which were read already, whatever the dialect."""
        schema, rows, seen = self.database.schema, max(self.database.rows, 1), 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal seen
            for batch in self.database.batches():
                seen += batch.num_rows
                yield batch

        return nullcontext(tables.Opened(schema, batches(), lambda: seen / rows))

    def origins(self, rows: int) -> list[Origin]:
        """Where its tables are from."""
        return self.loaded


Part = File | Answer | Joined


def ingest() -> None:
    """Write the snapshot and its provenance.

    Raises CheckError where a row of a join knows what was known later than it.
    """
    source, contract = load_params().source, load_contract()
    if isinstance(source, Join):
        check_watched(source)
    with replacing(SNAPSHOT) as temporary, parts_of(source, contract.dialect) as parts:
        schema = _schema(parts, contract.dialect)
        joins = [_checked(part, contract) for part in parts if isinstance(part, Joined)]
        rows, origins = _write(parts, contract.dialect, schema, temporary)
        if rows == 0:
            raise InputError(f"{source.name}: no rows")
    write_json(
        PROVENANCE,
        {
            "source": source.name,
            "retrieved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "origins": [origin.told() for origin in origins],
            **{key: value for join in joins for key, value in join.items()},
            "rows": rows,
            "columns": {field.name: str(field.type) for field in schema},
            "snapshot_sha256": sha256(SNAPSHOT),
        },
    )
    print(f"{rows:,} rows, {len(schema)} columns from {source.name}")


def check_watched(join: Join) -> None:
    """Raise InputError unless DVC watches what a join reads in the project.

    Without, the snapshot would stand as taken after such a file has changed.
    """
    seen = watched("ingest")
    for key, path in join.files.items():
        if not any(Path(path).is_relative_to(each) for each in seen):
            raise InputError(
                f"{PARAMS}: {key}: DVC does not watch {path}; add ${{{key}}} to `deps` of `ingest` "
                f"in {PIPELINE}"
            )


def _checked(joined: Joined, contract: Contract) -> dict[str, Any]:
    """Check the answer of a join, and return what the provenance says of it."""
    found, database = joined.database.schema.names, joined.database
    if absent := [name for name in contract.columns if name not in found]:
        raise database.query.at(
            None,
            f"it gives no column {', '.join(absent)}, which {CONTRACT} names; it gives "
            f"{', '.join(found)}",
        )
    query = {"name": joined.name, "sha256": _digest(database.query.text)}
    dated = [name for name, table in database.join.tables.items() if table.moment]
    if not dated:
        return {"query": query, "as_of": None}
    if contract.time is None:
        raise InputError(
            f"{PARAMS}: source.tables.{dated[0]}.known_at: {CONTRACT} names no column with role "
            "time, so that nothing is later than a row; write `known_at: always`"
        )
    if leak := database.leak(contract.time, contract.of_their_time):
        raise CheckError(
            f"{joined.name}: a row of {leak.moment} knows what {', '.join(leak.tables)} said only "
            f"later: {leak.found}; join with ASOF JOIN on known_at, and let no two rows of one key "
            "be known at one moment"
        )
    moments = [each.isoformat() for each in database.moments(contract.time)]
    as_of = {"time": contract.time, "columns": contract.of_their_time, "moments": moments}
    print(f"no row of {len(moments)} moments knows what was known later")
    return {"query": query, "as_of": as_of}


def _write(
    parts: list[Part], dialect: Dialect, schema: pa.Schema, path: Path
) -> tuple[int, list[Origin]]:
    """Write the rows of all parts, a group of rows at a time, however many there are."""
    origins = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer, progress() as told:
        done = 0
        for i, part in enumerate(parts):
            rows = 0
            for group, share in _groups(part, dialect, schema):
                writer.write_table(group, row_group_size=group.num_rows or None)
                rows += group.num_rows
                told(done + rows, (i + share) / len(parts))
            origins += part.origins(rows)
            done += rows
    return done, origins


def _groups(part: Part, dialect: Dialect, schema: pa.Schema) -> Iterator[tuple[pa.Table, float]]:
    """The rows of a part in the types of all, some tens of megabytes together."""
    waiting: list[pa.RecordBatch] = []
    share = 0.0
    with part.opened(dialect) as table:
        for batch in table.batches:
            waiting.append(batch)
            share = table.share()
            if sum(each.nbytes for each in waiting) >= GROUP_BYTES:
                yield _cast(waiting, schema), share
                waiting = []
    if waiting:
        yield _cast(waiting, schema), share


def _cast(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches).select(schema.names).cast(schema)


def read(source: Source | Join, dialect: Dialect = AUTO) -> tuple[pa.Table, list[Origin]]:
    """The rows of `source`, which must fit into memory, and what they were read from.

    Raises InputError when it is missing, empty, unreadable, or names a column twice.
    """
    with parts_of(source, dialect) as parts:
        schema = _schema(parts, dialect)
        groups = [[group for group, _ in _groups(part, dialect, schema)] for part in parts]
        origins = [
            origin
            for part, found in zip(parts, groups, strict=True)
            for origin in part.origins(sum(group.num_rows for group in found))
        ]
    table = pa.concat_tables([schema.empty_table(), *chain.from_iterable(groups)])
    if table.num_rows == 0:
        raise InputError(f"{source.name}: no rows")
    return table, origins


def head(parts: list[Part], dialect: Dialect, most_bytes: int) -> tuple[pa.Table, bool]:
    """The first rows of parts, about so many bytes of them, and whether these are all.

    Raises InputError as `read` does.
    """
    schema, size = _schema(parts, dialect), 0
    found: list[pa.Table] = []
    for part in parts:
        for group, _ in _groups(part, dialect, schema):
            if size > most_bytes:
                return pa.concat_tables(found), False
            found.append(group)
            size += group.nbytes
    table = pa.concat_tables([schema.empty_table(), *found])
    if table.num_rows == 0:
        raise InputError(f"{parts[0].name}: no rows")
    return table, True


@contextmanager
def parts_of(source: Source | Join, dialect: Dialect = AUTO) -> Iterator[list[Part]]:
    """What the snapshot is made of, in order; what was fetched is there as long as it is needed."""
    with ExitStack() as stack:
        if isinstance(source, Join):
            yield [stack.enter_context(_joined(source, dialect))]
        else:
            yield [*_parts(source, stack)]


def _parts(source: Source, stack: ExitStack) -> list[File | Answer]:
    if source.path.endswith(".sql"):
        return [_query(Path(source.path), source.database or "")]
    if source.path.endswith(".url"):
        return [_download(address, stack) for address in _addresses(Path(source.path))]
    if "://" in source.path:
        return [_download(source.path, stack)]
    return [File(str(path), path) for path in _files(Path(source.path))]


@contextmanager
def _joined(join: Join, dialect: Dialect) -> Iterator[Joined]:
    """The answer of a join's query, each of its tables loaded one after another."""
    from ..data.join import database  # slow to import, and for joins only

    with database(join) as made:
        origins: list[Origin] = []
        for name, table in join.tables.items():
            with ExitStack() as stack:  # what was fetched goes when it is loaded
                parts = _parts(table, stack)
                made.load(name, _loaded(name, table, parts, dialect, origins))
        made.answer()
        yield Joined(made, origins)


def _loaded(
    name: str, table: Table, parts: list[File | Answer], dialect: Dialect, origins: list[Origin]
) -> Iterator[pa.Table]:
    """The rows of a table, with moments for when they were known; its origins come to `origins`."""
    schema = _schema(parts, dialect)
    if table.moment is not None and table.moment not in schema.names:
        raise InputError(
            f"{PARAMS}: source.tables.{name}.known_at: {parts[0].name} has no column "
            f"{table.moment}; it has {', '.join(schema.names)}"
        )
    yield _dated(schema.empty_table(), table, name, 0, dialect)
    for part in parts:
        rows = 0
        for group, _ in _groups(part, dialect, schema):
            yield _dated(group, table, part.name, rows, dialect)
            rows += group.num_rows
        origins += part.origins(rows, name)


def _dated(group: pa.Table, table: Table, name: str, before: int, dialect: Dialect) -> pa.Table:
    """Rows as the query sees them: an empty text is missing, and known_at holds moments in UTC.

    Raises InputError where one is none.
    """
    for i, column in enumerate(group.columns):
        if is_text(column.type):
            full = pc.if_else(pc.equal(column, ""), None, column)
            group = group.set_column(i, group.field(i).name, full)
    if table.moment is None:
        return group
    place = group.schema.get_field_index(table.moment)
    raw = group.column(place)
    column = Column(kind="datetime", role=["time"], format=table.format).within(dialect)
    read = as_kind(raw.to_pandas(), column)
    if read.isna().any():
        row = int(read.isna().to_numpy().argmax())
        raise InputError(
            f"{name} row {before + row + 1}: {table.moment}: {raw[row].as_py()!r} is no moment, "
            "and says when the row was known: write it as ISO 8601, or give `format`"
        )
    return group.set_column(place, table.moment, pa.array(read, pa.timestamp("us")))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder ({PARAMS}: source)")
    if path.is_file():
        return [path]
    found = sorted(
        each for each in path.rglob("*") if each.is_file() and tables.is_table(each.name)
    )
    if not found:
        raise InputError(f"{path}: the folder holds no file of {tables.KINDS}")
    return found


def _check_names(names: list[str], where: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"{where}: column named twice: {', '.join(sorted(twice))}")


def _addresses(path: Path) -> list[str]:
    lines = map(str.strip, _files(path)[0].read_text(encoding="utf-8").splitlines())
    addresses = [line for line in lines if line and not line.startswith("#")]
    if not addresses:
        raise InputError(f"{path}: no address in it; write one a line")
    return addresses


def _download(address: str, stack: ExitStack) -> File:
    import fsspec

    name = urlsplit(address).path.rsplit("/", 1)[-1]
    if not tables.is_table(name):
        raise InputError(f"{address}: the address must end in {tables.KINDS}")
    expanded = _expand(address)
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / name
    try:
        with fsspec.open(expanded) as remote, path.open("wb") as local:
            shutil.copyfileobj(remote, local)
    except ImportError as error:
        raise InputError(f"{address}: {error}; install it with `uv add`") from error
    except Exception as error:  # every store has exceptions of its own
        why = _hide(first_line(error), address)
        raise InputError(f"{address}: cannot be fetched: {why}") from error
    return File(address, path)


def _query(path: Path, database: str) -> Answer:
    import pandas as pd  # slow to import, and for queries only
    import sqlalchemy as sa

    query = _files(path)[0].read_text(encoding="utf-8")
    try:
        url = sa.make_url(_expand(database))
        with sa.create_engine(url).connect() as connection:
            rows = pd.read_sql_query(sa.text(query), connection)
        _check_names(list(rows.columns), str(path))
        table = pa.Table.from_pandas(rows, preserve_index=False)
    except ImportError as error:
        raise InputError(f"source.database: {error}; install the driver with `uv add`") from error
    except (sa.exc.SQLAlchemyError, pd.errors.DatabaseError) as error:
        cause = error.__cause__ if isinstance(error, pd.errors.DatabaseError) else error
        why = str(cause.args[0] if cause and cause.args else error).splitlines()[0]
        raise InputError(f"{path}: the query failed: {_hide(why, database)}") from error
    except pa.ArrowException as error:
        why = " ".join(map(str, error.args))
        raise InputError(f"{path}: a column holds values of several types: {why}") from error
    # What comes from the environment is not to be told.
    on = database if _variables(database) else url.render_as_string(hide_password=True)
    return Answer(f"{path} on {on}", table.replace_schema_metadata(), _digest(query))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _expand(text: str) -> str:
    """`text` with $VARIABLES from the environment: where a password belongs."""
    for name in _variables(text):
        if name not in os.environ:
            raise InputError(f"{text}: the environment variable {name} is not set")
    return os.path.expandvars(text)


def _variables(text: str) -> list[str]:
    return re.findall(r"\$\{?(\w+)", text)


def _hide(message: str, text: str) -> str:
    """`message` with the names of the variables of `text` in the place of their values."""
    for name in _variables(text):
        if os.environ.get(name):
            message = message.replace(os.environ[name], f"${name}")
    return message


def _schema(parts: Sequence[Part], dialect: Dialect) -> pa.Schema:
    """The columns of all parts, in the first one's order, each in a type that fits all."""
    schemas = []
    for part in parts:
        with part.opened(dialect) as table:
            _check_names(table.schema.names, part.name)
            schemas.append(table.schema)
    first = schemas[0]
    for part, schema in zip(parts, schemas, strict=True):
        if set(schema.names) != set(first.names):
            odd = set(schema.names) ^ set(first.names)
            raise InputError(
                f"{part.name}: its columns differ from those of {parts[0].name}: "
                f"{', '.join(sorted(odd))}"
            )
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowTypeError as error:
        why = f"{parts[0].name} and its fellows disagree on a type: {error}"
        raise InputError(why) from error


if __name__ == "__main__":
    stage(ingest)
