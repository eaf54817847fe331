"""A folder or an object store that holds Parquet files: the prediction log, and the feedback."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InputError, first_line
from ..files import TEMPORARY, replacing

# Labels of people are no more everybody's than the rows in the server's log.
FILE_MODE = 0o640


class Unreadable(Exception):
    """A file is there, and is no whole Parquet file."""


class Storage:
    """Files below an address: a folder, a file, or a URL that fsspec knows."""

    def __init__(self, address: str) -> None:
        """Raises InputError where there is no such kind of store."""
        import fsspec

        self.address = address
        try:
            self._files, root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise InputError(
                f"{address}: {error}; `uv sync --group log-s3` (log-gs, log-azure)"
            ) from None
        except ValueError as error:
            raise InputError(f"{address}: {error}") from None
        self._root: str = root.rstrip("/") or "/"
        self._local = "file" in self._files.protocol

    def within(self, name: str) -> "Storage":
        """What lies in a folder of it."""
        return Storage(f"{self.address.rstrip('/')}/{name}")

    def names(self) -> list[str] | None:
        """Its Parquet files by their path in it, sorted; None where there is nothing at all.

        Raises InputError where the store does not answer.
        """
        with self._answering():
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return None
            found = self._files.find(self._root)
        paths = sorted(each for each in found if each.endswith(".parquet"))
        names = (posixpath.relpath(each, self._root) for each in paths)
        return [each for each in names if not posixpath.basename(each).startswith(TEMPORARY)]

    def open(self, name: str) -> pq.ParquetFile:
        """A Parquet file, to be read.

        Raises:
            InputError: the store does not answer.
            Unreadable: the file is cut off, or of another kind.
        """
        path, source = posixpath.normpath(f"{self._root}/{name}"), None
        with self._answering():
            if not self._local:
                source = pa.BufferReader(self._files.cat_file(path))
            elif not Path(path).stat().st_size:
                raise Unreadable("it is empty")
        with explained():
            # Read ahead, pyarrow would keep every row group that was read.
            return pq.ParquetFile(source or path, pre_buffer=False, buffer_size=2**20)

    def write(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file, whole or not at all. Raises InputError where it cannot be."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        with self._answering():
            if self._local:
                with replacing(Path(self._root) / name) as temporary:
                    temporary.write_bytes(content)
                    temporary.chmod(FILE_MODE)
            else:
                self._files.pipe_file(f"{self._root}/{name}", content)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (InputError, Unreadable):
            raise
        except Exception as error:  # stores have exceptions of their own
            what = error.strerror if isinstance(error, OSError) else None
            raise InputError(
                f"{self.address}: the store does not answer: {what or first_line(error)}"
            ) from error


@contextmanager
def explained() -> Iterator[None]:
    """Have what pyarrow says of a file that it cannot read be Unreadable."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Unreadable(first_line(error).rstrip(".")) from error
