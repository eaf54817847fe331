"""Reading tables from CSV and Parquet files, whole or batch by batch.

CSV columns stay text, so that `00501` or `1e5` reach the contract as they were written; the
contract says what they mean.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from .errors import InputError

CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET = (".parquet",)

# What pandas takes for missing, too. Quoted, they are text.
MISSING = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]

# Of a CSV file, to count them.
COUNT_ROWS = 65_536


def is_table(name: str) -> bool:
    """Whether the name is that of a file that can be read here."""
    return name.lower().endswith(CSV + PARQUET)


def read(path: Path, name: str | None = None) -> pa.Table:
    """The whole table in `path`; errors call it `name`.

    Raises InputError when the file is missing, empty, of another kind, or not readable.
    """
    with _explained(path, name or str(path)):
        if path.name.lower().endswith(PARQUET):
            # Not `read_table`: that one takes folder names such as `year=2013` for columns.
            return pq.ParquetFile(path).read()
        parse, convert = _options(path)
        with _stream(path)[1] as stream:
            return csv.read_csv(stream, parse_options=parse, convert_options=convert)


def batches(path: Path, rows: int) -> Iterator[tuple[pa.RecordBatch, float]]:
    """The table in `path`, at most about `rows` rows at a time, with the share read so far.

    Raises InputError as `read` does, as soon as the trouble is met.
    """
    with _explained(path, str(path)):
        if path.name.lower().endswith(PARQUET):
            # Read ahead, pyarrow would keep every row group that was read.
            file, seen = pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20), 0
            for batch in file.iter_batches(batch_size=rows):
                seen += batch.num_rows
                yield batch, seen / file.metadata.num_rows
            return
        parse, convert = _options(path)
        size = path.stat().st_size
        raw, stream = _stream(path)
        blocks = csv.ReadOptions(block_size=4 * 2**20)  # larger is faster, and takes more memory
        with stream, csv.open_csv(stream, blocks, parse, convert) as reader:
            for block in reader:
                for start in range(0, block.num_rows, rows):
                    yield block.slice(start, rows), raw.tell() / size


def count(path: Path) -> int:
    """The number of rows of the table in `path`. Raises InputError as `read` does."""
    with _explained(path, str(path)):
        if path.name.lower().endswith(PARQUET):
            return int(pq.ParquetFile(path).metadata.num_rows)
    return sum(batch.num_rows for batch, _ in batches(path, COUNT_ROWS))


def column_names(path: Path) -> list[str]:
    """Names of the columns of the table in `path`. Raises InputError as `read` does."""
    with _explained(path, str(path)):
        if path.name.lower().endswith(PARQUET):
            return list(pq.ParquetFile(path).schema_arrow.names)
        parse, _ = _options(path)
        with _stream(path)[1] as stream, csv.open_csv(stream, parse_options=parse) as reader:
            return list(reader.schema.names)


@contextmanager
def _explained(path: Path, name: str) -> Iterator[None]:
    if not path.is_file():
        raise InputError(f"{name}: no such file")
    if not is_table(path.name):
        raise InputError(f"{name}: cannot read this kind of file; give {', '.join(CSV + PARQUET)}")
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty")
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{name}: not readable, is it whole? {why}") from error


def _options(path: Path) -> tuple[csv.ParseOptions, csv.ConvertOptions]:
    """Comma, semicolon, tab or bar is told from the header; every column is text."""
    with _stream(path)[1] as stream:
        lines = stream.read(65536).splitlines()
    header = lines[0].decode("utf-8", "replace") if lines else ""
    header = re.sub(r'"[^"]*"', "", header)  # a delimiter within a name is none
    parse = csv.ParseOptions(delimiter=max(",;\t|", key=header.count), newlines_in_values=True)
    with _stream(path)[1] as stream, csv.open_csv(stream, parse_options=parse) as reader:
        names = reader.schema.names
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=MISSING,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return parse, convert


def _stream(path: Path) -> tuple[pa.NativeFile, pa.NativeFile]:
    """The file itself, whose position tells the progress, and its content, decompressed."""
    raw = pa.OSFile(str(path))
    return raw, pa.CompressedInputStream(raw, "gzip") if path.name.lower().endswith(".gz") else raw


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Yield a function that appends a batch to the CSV or Parquet file at `path`."""
    if path.name.lower().endswith(PARQUET):
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            yield writer.write_batch
    else:
        with csv.CSVWriter(str(path), schema) as writer:
            yield writer.write_batch
