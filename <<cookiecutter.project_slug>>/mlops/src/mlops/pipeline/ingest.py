"""Ingest: take a snapshot of the source, as it is, and write down where it came from."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from .. import tables
from ..config.params import load_params
from ..config.source import Source
from ..contract import load_contract
from ..dialect import Dialect
from ..errors import InputError, first_line
from ..files import replacing, sha256, write_json
from ..paths import PROVENANCE, SNAPSHOT
from ..progress import progress
from ..tables import AUTO
from . import stage

# Rows of the snapshot that lie together, and are in memory at a time.
GROUP_BYTES = 64 * 2**20
GROUP_ROWS = 131_072


@dataclass(frozen=True)
class Origin:
    """One file or query that the snapshot was made of."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class File:
    """A file that is read, or was fetched, and what it is called."""

    name: str
    path: Path

    def opened(self, dialect: Dialect) -> AbstractContextManager[tables.Opened]:
        """Its rows, batch by batch."""
        return tables.opened(self.path, dialect, self.name)

    def sha256(self) -> str:
        """The hash of the file."""
        return sha256(self.path)


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

    def sha256(self) -> str:
        """The hash of the query."""
        return self.digest


Part = File | Answer


def ingest() -> None:
    """Write the snapshot and its provenance."""
    source, dialect = load_params().source, load_contract().dialect
    with replacing(SNAPSHOT) as temporary, parts_of(source) as parts:
        schema = _schema(parts, dialect)
        origins = _write(parts, dialect, schema, temporary)
        rows = sum(origin.rows for origin in origins)
        if rows == 0:
            raise InputError(f"{source.path}: no rows")
    write_json(
        PROVENANCE,
        {
            "source": source.path,
            "retrieved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "origins": [asdict(origin) for origin in origins],
            "rows": rows,
            "columns": {field.name: str(field.type) for field in schema},
            "snapshot_sha256": sha256(SNAPSHOT),
        },
    )
    print(f"{rows:,} rows, {len(schema)} columns from {source.path}")


def _write(parts: list[Part], dialect: Dialect, schema: pa.Schema, path: Path) -> list[Origin]:
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
            origins.append(Origin(part.name, rows, part.sha256()))
            done += rows
    return origins


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


def read(source: Source, dialect: Dialect = AUTO) -> tuple[pa.Table, list[Origin]]:
    """The rows of `source`, which must fit into memory, and what they were read from.

    Raises InputError when it is missing, empty, unreadable, or names a column twice.
    """
    with parts_of(source) as parts:
        schema = _schema(parts, dialect)
        groups = [[group for group, _ in _groups(part, dialect, schema)] for part in parts]
        origins = [
            Origin(part.name, sum(group.num_rows for group in found), part.sha256())
            for part, found in zip(parts, groups, strict=True)
        ]
    table = pa.concat_tables([schema.empty_table(), *chain.from_iterable(groups)])
    if table.num_rows == 0:
        raise InputError(f"{source.path}: no rows")
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
def parts_of(source: Source) -> Iterator[list[Part]]:
    """What the snapshot is made of, in order; what was fetched is there as long as it is needed."""
    with ExitStack() as stack:
        if source.path.endswith(".sql"):
            yield [_query(Path(source.path), source.database or "")]
        elif source.path.endswith(".url"):
            yield [_download(address, stack) for address in _addresses(Path(source.path))]
        elif "://" in source.path:
            yield [_download(source.path, stack)]
        else:
            yield [File(str(path), path) for path in _files(Path(source.path))]


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder (source.path in params.yaml)")
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


def _download(address: str, stack: ExitStack) -> Part:
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


def _query(path: Path, database: str) -> Part:
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
    digest = hashlib.sha256(query.encode()).hexdigest()
    return Answer(f"{path} on {on}", table.replace_schema_metadata(), digest)


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


def _schema(parts: list[Part], dialect: Dialect) -> pa.Schema:
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
