"""Reading tables from CSV, Parquet, JSON lines and Excel files, whole or batch by batch.

CSV cells stay text, so that `00501`, `12,50` or `NA` reach the contract as they were written; the
contract says what they mean.
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, json

from ..errors import InputError
from .dialect import Dialect
from .layout import Layout, layout, named
from .reading import Unreadable, spelled

CSV = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet",)
EXCEL = (".xlsx", ".xls")
PACKED = (".gz", ".zip")
KINDS = ".csv, .tsv, .jsonl (each also as .gz or .zip), .parquet or .xlsx"

AUTO = Dialect()
# Of a CSV file, to count them.
COUNT_ROWS = 65_536
# Larger blocks are faster, and take more memory.
CSV_BLOCK = 4 * 2**20
# In which the types of JSON are told.
JSON_BLOCK = 64 * 2**20


@dataclass(frozen=True)
class Opened:
    """A table that is being read: its columns, its rows, and the share of them that was read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    share: Callable[[], float]


def is_table(name: str) -> bool:
    """Whether the name is that of a file that can be read here."""
    return _kind(name).endswith(CSV + LINES + PARQUET + EXCEL)


def read(path: Path, name: str | None = None, dialect: Dialect = AUTO) -> pa.Table:
    """The whole table in `path`; errors call it `name`.

    Raises InputError when the file is missing, empty, of another kind, or not readable.
    """
    with opened(path, dialect, name) as table:
        return pa.Table.from_batches(table.batches, table.schema)


def batches(
    path: Path, rows: int, dialect: Dialect = AUTO
) -> Iterator[tuple[pa.RecordBatch, float]]:
    """The table in `path`, at most about `rows` rows at a time, with the share read so far.

    Raises InputError as `read` does, as soon as the trouble is met.
    """
    with opened(path, dialect, rows=rows) as table:
        for block in table.batches:
            for start in range(0, block.num_rows, rows):
                yield block.slice(start, rows), table.share()


def count(path: Path, dialect: Dialect = AUTO) -> int:
    """The number of rows of the table in `path`. Raises InputError as `read` does."""
    return sum(batch.num_rows for batch, _ in batches(path, COUNT_ROWS, dialect))


def column_names(path: Path, dialect: Dialect = AUTO) -> list[str]:
    """Names of the columns of the table in `path`. Raises InputError as `read` does."""
    with opened(path, dialect) as table:
        return list(table.schema.names)


@contextmanager
def opened(
    path: Path, dialect: Dialect = AUTO, name: str | None = None, rows: int = COUNT_ROWS
) -> Iterator[Opened]:
    """Open the table in `path`, in batches of about `rows` rows where the format has no own.

    What pandas notes of its index does not count: it is a column like others.
    Raises InputError as `read` does, also while it is read.
    """
    with explained(path, name or str(path)), ExitStack() as stack:
        kind = _kind(path.name)
        if kind.endswith(PARQUET):
            # Not `read_table`: that one takes folder names such as `year=2013` for columns.
            # Read ahead, pyarrow would keep every row group that was read.
            file = pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
            yield _parquet(file, rows)
        elif kind.endswith(EXCEL):
            table = _excel(path, dialect)
            yield Opened(table.schema, iter(table.to_batches()), lambda: 1.0)
        else:
            share, stream = _stream(path, stack)
            if kind.endswith(LINES):
                options = json.ReadOptions(block_size=JSON_BLOCK)
                reader = stack.enter_context(json.open_json(stream, options))
            else:
                reader = stack.enter_context(_csv(stream, layout_of(path, dialect)))
            yield Opened(reader.schema, iter(reader), share)


def layout_of(path: Path, dialect: Dialect = AUTO) -> Layout:
    """How the text in a CSV file lies; see layout.Layout."""

    def chunks() -> Iterator[bytes]:
        with ExitStack() as stack:
            stream = _stream(path, stack)[1]
            while chunk := stream.read(2**22):
                yield chunk

    return layout(chunks, dialect)


def is_text(name: str) -> bool:
    """Whether a file of this name is CSV, packed or not."""
    return _kind(name).endswith(CSV)


def _kind(name: str) -> str:
    """A file's name in small letters, without the ending of what it is packed with."""
    low = name.lower()
    kind = low.removesuffix(".gz").removesuffix(".zip")
    if low.endswith(".zip") and not kind.endswith(CSV + LINES):
        return f"{kind}.csv"
    return kind if kind == low or kind.endswith(CSV + LINES) else low


@contextmanager
def explained(path: Path, name: str) -> Iterator[None]:
    """Raise InputError, which calls the file `name`, for what keeps it from being read within."""
    if not path.is_file():
        raise InputError(f"{name}: no such file")
    if not is_table(path.name):
        raise InputError(f"{name}: cannot read this kind of file; give {KINDS}")
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty")
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, zipfile.BadZipFile, UnicodeError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{name}: not readable, is it whole? {why}") from error


def _parquet(file: pq.ParquetFile, rows: int) -> Opened:
    schema = file.schema_arrow.remove_metadata()
    seen = 0

    def found() -> Iterator[pa.RecordBatch]:
        nonlocal seen
        for batch in file.iter_batches(batch_size=rows):
            seen += batch.num_rows
            yield batch.replace_schema_metadata()

    return Opened(schema, found(), lambda: seen / max(file.metadata.num_rows, 1))


def _csv(stream: Any, how: Layout) -> csv.CSVStreamingReader:
    if not how.names:
        raise pa.ArrowInvalid("Empty CSV file")
    read = csv.ReadOptions(
        block_size=CSV_BLOCK,
        encoding=how.encoding,
        column_names=how.names,
        skip_rows=how.lines_before,
    )
    parse = csv.ParseOptions(delimiter=how.delimiter, newlines_in_values=True)
    text = dict.fromkeys(how.names, pa.string())
    convert = csv.ConvertOptions(column_types=text, strings_can_be_null=False)
    return csv.open_csv(stream, read, parse, convert)


def _stream(path: Path, stack: ExitStack) -> tuple[Callable[[], float], Any]:
    """The share that was read of a file, and its content, unpacked."""
    size, low = path.stat().st_size, path.name.lower()
    raw = stack.enter_context(path.open("rb"))

    def share() -> float:
        return min(raw.tell() / size, 1.0)

    if low.endswith(".zip"):
        return share, pa.PythonFile(stack.enter_context(_member(raw)), mode="r")
    stream = pa.PythonFile(raw, mode="r")
    return share, pa.CompressedInputStream(stream, "gzip") if low.endswith(".gz") else stream


def _member(raw: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(raw)
    names = [
        each.filename
        for each in archive.infolist()
        if not each.is_dir() and not each.filename.startswith("__MACOSX/")
    ]
    if len(names) != 1 or not names[0].lower().endswith(CSV + LINES):
        raise zipfile.BadZipFile(
            f"it holds {', '.join(names[:3]) or 'nothing'}; one file of {', '.join(CSV + LINES)} "
            "is expected"
        )
    return archive.open(names[0])


def _excel(path: Path, dialect: Dialect) -> pa.Table:
    """The first sheet: cells have types of their own, and columns of several become text."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise InputError(
            f"{path}: Excel files need a package more: `uv add python-calamine`; or save it as CSV"
        ) from None
    try:
        rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    except CalamineError as error:
        raise pa.ArrowInvalid(str(error)) from error
    rows = [row for row in rows if any(cell != "" for cell in row)]
    if dialect.header is True:
        names, rows = [str(cell) for cell in rows[0]] if rows else [], rows[1:]
    else:
        names = dialect.names(len(rows[0]) if rows else 0)
    cells = zip(*rows, strict=True) if rows else [()] * len(names)
    columns = [_typed([None if cell == "" else cell for cell in column]) for column in cells]
    return pa.Table.from_arrays(columns, names=named(names))


def _typed(cells: list[Any]) -> pa.Array:
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) <= 1 and str not in kinds:
        return pa.array(cells)
    return pa.array([None if cell is None else _spelled(cell) for cell in cells], pa.string())


def _spelled(cell: Any) -> str:
    try:
        return spelled(cell)
    except Unreadable:  # a duration
        return str(cell)


class Writing:
    """Appends batches to a file."""

    def __init__(self, writer: pq.ParquetWriter | csv.CSVWriter) -> None:
        self._writer = writer

    def __call__(self, batch: pa.RecordBatch) -> None:
        """Append a batch."""
        self._writer.write_batch(batch)

    def note(self, key: bytes, text: str) -> None:
        """Have a Parquet file say something of itself that is known last."""
        self._writer.add_key_value_metadata({key: text})


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Writing]:
    """Yield what appends to the CSV or Parquet file at `path`."""
    if path.name.lower().endswith(PARQUET):
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            yield Writing(writer)
    else:
        with csv.CSVWriter(str(path), schema) as writer:
            yield Writing(writer)
