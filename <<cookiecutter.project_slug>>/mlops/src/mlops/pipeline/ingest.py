"""Ingest: take a snapshot of the source, as it is, and write down where it came from."""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from .. import tables
from ..config.params import load_params
from ..config.source import Source
from ..errors import InputError, first_line
from ..files import replacing, sha256, write_json
from ..paths import PROVENANCE, SNAPSHOT
from . import stage


@dataclass(frozen=True)
class Origin:
    """One file or query that the snapshot was made of."""

    name: str
    rows: int
    sha256: str


def ingest() -> None:
    """Write the snapshot and its provenance."""
    source = load_params().source
    table, origins = read(source)
    with replacing(SNAPSHOT) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    write_json(
        PROVENANCE,
        {
            "source": source.path,
            "retrieved_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "origins": [asdict(origin) for origin in origins],
            "rows": table.num_rows,
            "columns": {field.name: str(field.type) for field in table.schema},
            "snapshot_sha256": sha256(SNAPSHOT),
        },
    )
    print(f"{table.num_rows:,} rows, {table.num_columns} columns from {source.path}")


def read(source: Source) -> tuple[pa.Table, list[Origin]]:
    """The rows of `source` and what they were read from.

    Raises InputError when it is missing, empty, unreadable, or names a column twice.
    """
    if source.path.endswith(".sql"):
        parts = [_query(Path(source.path), source.database or "")]
    elif source.path.endswith(".url"):
        parts = [_download(address) for address in _addresses(Path(source.path))]
    elif "://" in source.path:
        parts = [_download(source.path)]
    else:
        parts = [_file(path) for path in _files(Path(source.path))]
    for table, origin in parts:
        _check_names(table.column_names, origin.name)
    table = _concatenate(parts)
    if table.num_rows == 0:
        raise InputError(f"{source.path}: no rows")
    return table, [origin for _, origin in parts]


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder (source.path in params.yaml)")
    if path.is_file():
        return [path]
    found = sorted(
        each for each in path.rglob("*") if each.is_file() and tables.is_table(each.name)
    )
    if not found:
        raise InputError(f"{path}: the folder holds no .csv, .csv.gz or .parquet file")
    return found


def _file(path: Path, name: str | None = None) -> tuple[pa.Table, Origin]:
    table = tables.read(path, name)
    return table, Origin(name or str(path), table.num_rows, sha256(path))


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


def _download(address: str) -> tuple[pa.Table, Origin]:
    import fsspec

    name = urlsplit(address).path.rsplit("/", 1)[-1]
    if not tables.is_table(name):
        raise InputError(f"{address}: the address must end in .csv, .csv.gz or .parquet")
    expanded = _expand(address)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        try:
            with fsspec.open(expanded) as remote, path.open("wb") as local:
                shutil.copyfileobj(remote, local)
        except ImportError as error:
            raise InputError(f"{address}: {error}; install it with `uv add`") from error
        except Exception as error:  # every store has exceptions of its own
            why = _hide(first_line(error), address)
            raise InputError(f"{address}: cannot be fetched: {why}") from error
        return _file(path, name=address)


def _query(path: Path, database: str) -> tuple[pa.Table, Origin]:
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
    return table, Origin(f"{path} on {on}", len(rows), digest)


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


def _concatenate(parts: list[tuple[pa.Table, Origin]]) -> pa.Table:
    first, origin = parts[0]
    for table, other in parts[1:]:
        if set(table.column_names) != set(first.column_names):
            odd = set(table.column_names) ^ set(first.column_names)
            raise InputError(
                f"{other.name}: its columns differ from those of {origin.name}: "
                f"{', '.join(sorted(odd))}"
            )
    try:
        return pa.concat_tables(
            [table.select(first.column_names) for table, _ in parts], promote_options="permissive"
        )
    except pa.ArrowTypeError as error:
        raise InputError(f"{origin.name} and its fellows disagree on a type: {error}") from error


if __name__ == "__main__":
    stage(ingest)
