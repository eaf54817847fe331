"""The prediction log: what was asked and answered, in Parquet files, without a request waiting.

A thread writes, a little at a time, so that it never keeps requests from the interpreter for long.
Files appear whole, under their final name, at most log_seconds after the first of their rows: a
process that is killed loses the rows of that time and never leaves half a file; one that is asked
to stop loses none. While the store is gone rows wait in memory, at most log_buffer_rows of them;
what does not fit is dropped, and counted.
"""

import itertools
import logging
import os
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .metrics import Metrics
from .model import Batch, ServedModel
from .parquet import Field, File, Kind
from .settings import Settings
from .signature import NO_CATEGORY, Moment

logger = logging.getLogger(__name__)

# Columns of the log beside the contract's and the predictions.
TIME, REQUEST, ROW, RELEASE = "_time", "_request", "_row", "_release"
# And where the server knows who asks.
CALLER = "_caller"

KINDS: dict[str, Kind] = {
    "categorical": "text",
    "text": "text",
    "boolean": "boolean",
    "numeric": "float",
    "datetime": "text",  # as it came
}

Store = Callable[[str, bytes], None]

# What was asked is nobody else's on the machine: the group may read it, for a monitor beside.
FILE_MODE, FOLDER_MODE = 0o640, 0o750
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


# How often what has come in is put into the file that is open, and in groups of how many rows.
ENCODE_SECONDS = 0.2
GROUP_ROWS = 2048
# And of what size, as their requests were counted: a page of a file has an end.
GROUP_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch, and when it was answered: microseconds since 1970, by the wall clock."""

    time: int
    batch: Batch
    rows: int
    bytes: int


@dataclass(frozen=True)
class Closed:
    """A file that waits to be stored."""

    name: str
    content: bytes
    rows: int
    bytes: int


class PredictionLog:
    """Takes batches from the event loop and writes them in a thread of its own."""

    def __init__(
        self, model: ServedModel, settings: Settings, metrics: Metrics, share: int
    ) -> None:
        """Begin to write to settings.log.

        Args:
            model, settings, metrics: the server's.
            share: bytes that rows may take until they are stored.
        Raises:
            InputError: nothing can be written there.
        """
        self._model = model
        self._settings = settings
        self._metrics = metrics
        self._store = open_store(settings.log, settings.log_keep)
        self._entries: deque[Entry] = deque()
        # Those of entries, of the open file and of closed ones.
        self._rows = self._bytes = 0
        self._share = share
        self._lock = threading.Lock()
        self._file: File | None = None
        self._file_bytes = 0
        self._opened = 0.0
        self._moment = datetime.now(UTC)
        self._closed: deque[Closed] = deque()
        self._retry_at = 0.0
        self._stop = threading.Event()
        self._random = random.Random()  # noqa: S311 (draws a sample, keeps no secret)
        self._name = uuid.uuid4().hex[:8]
        self._count = itertools.count()
        self._thread = threading.Thread(target=self._write_all, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, batch: Batch) -> None:
        """Take a batch, or drop it where too much is waiting; never blocks."""
        entry = self._sampled(batch)
        if entry is None:
            return
        with self._lock:
            fits = (
                self._rows + entry.rows <= self._settings.log_buffer_rows
                and self._bytes + entry.bytes <= self._share
            )
            if fits:
                self._entries.append(entry)
                self._rows += entry.rows
                self._bytes += entry.bytes
        if not fits:
            self._metrics.log_dropped.inc(entry.rows)

    def close(self) -> None:
        """Write what is waiting. Blocks, for some seconds at most."""
        self._stop.set()
        self._thread.join(timeout=10)
        with self._lock:
            if self._rows:
                self._metrics.log_dropped.inc(self._rows)
                logger.error("%d logged rows are lost: the store is gone", self._rows)

    def _sampled(self, batch: Batch) -> Entry | None:
        now, share = time.time_ns() // 1000, self._settings.log_sample
        if share < 1:
            kept = [self._random.random() < share for _ in batch.ids]
            if not any(kept):
                return None
            of_rows = np.repeat(kept, batch.sizes)
            batch = Batch(
                list(compress(batch.ids, kept)),
                list(compress(batch.sizes, kept)),
                list(compress(batch.others, kept)),
                list(compress(batch.unknown, kept)),
                list(compress(batch.callers, kept)),
                {name: values[of_rows] for name, values in batch.inputs.items()},
                {name: values[of_rows] for name, values in batch.outputs.items()},
                batch.bytes,
            )
        return Entry(now, batch, batch.rows, batch.bytes)

    def _write_all(self) -> None:
        tick = min(ENCODE_SECONDS, self._settings.log_seconds)
        stopping = False
        while not stopping:
            stopping = self._stop.wait(tick)
            try:
                self._write(stopping)
            except Exception as error:  # for want of memory, say: what comes after is to be logged
                self._metrics.log_failures.inc()
                logger.error("the prediction log lost rows: %s", error or type(error).__name__)
            self._metrics.log_pass.set_to_current_time()

    def _write(self, stopping: bool) -> None:
        while self._entries:
            self._encode()
        if stopping or time.monotonic() >= self._opened + self._settings.log_seconds:
            self._close_file()
        if stopping or time.monotonic() >= self._retry_at:
            self._store_closed()

    def _encode(self) -> None:
        """Put a group of rows into the open file; close it when it is full."""
        entries: list[Entry] = []
        rows = taken = 0
        most = min(GROUP_ROWS, self._settings.log_rows)
        while self._entries and (not rows or self._next_fits(rows, taken, most)):
            entries.append(self._entries.popleft())
            rows += entries[-1].rows
            taken += entries[-1].bytes
        try:
            if self._file is not None and self._file.rows + rows > self._settings.log_rows:
                self._close_file()
            if self._file is None:
                about = {"model": self._model.name, "release": self._model.version}
                self._file = File(about | {"model_sha256": self._model.sha256})
                self._opened = time.monotonic()
                self._moment = datetime.fromtimestamp(entries[0].time / 1e6, UTC)
            before = self._file.size
            self._file.add(dict(self._fields(entries)))
        except Exception:
            self._gone(rows, taken)
            self._metrics.log_dropped.inc(rows)
            raise
        packed = self._file.size - before
        self._file_bytes += packed
        self._gone(0, taken - packed)

    def _next_fits(self, rows: int, taken: int, most: int) -> bool:
        entry = self._entries[0]
        return rows + entry.rows <= most and taken + entry.bytes <= GROUP_BYTES

    def _gone(self, rows: int, taken: int) -> None:
        """Count no longer as waiting what is stored, or lost."""
        with self._lock:
            self._rows -= rows
            self._bytes -= taken

    def _close_file(self) -> None:
        if self._file is not None:
            name = f"{self._moment:%Y-%m-%d/%H%M%S}-{self._name}-{next(self._count):06d}.parquet"
            file, taken, self._file, self._file_bytes = self._file, self._file_bytes, None, 0
            try:
                content = file.content()
            except Exception:
                self._gone(file.rows, taken)
                self._metrics.log_dropped.inc(file.rows)
                raise
            self._closed.append(Closed(name, content, file.rows, taken))

    def _store_closed(self) -> None:
        """Store files until there is none, or the store refuses: then the rest waits a while."""
        while self._closed:
            file = self._closed[0]
            try:
                self._store(file.name, file.content)
            except Exception as error:  # stores have exceptions of their own
                self._metrics.log_failures.inc()
                logger.error("the prediction log cannot be written, rows wait: %s", error)
                self._retry_at = time.monotonic() + self._settings.log_seconds
                return
            self._closed.popleft()
            self._gone(file.rows, file.bytes)
            self._metrics.log_rows.inc(file.rows)

    def _fields(self, entries: list[Entry]) -> Iterator[tuple[str, Field]]:
        batches = [entry.batch for entry in entries]
        sizes = [size for batch in batches for size in batch.sizes]
        ids = [id_ for batch in batches for id_ in batch.ids]
        rows = sum(sizes)
        yield TIME, Field("moment", np.repeat([e.time for e in entries], [e.rows for e in entries]))
        yield REQUEST, Field("text", np.repeat(np.array(ids, object), sizes))
        yield ROW, Field("integer", np.arange(rows) - np.repeat(np.cumsum(sizes) - sizes, sizes))
        yield RELEASE, Field("text", [self._model.version] * rows)
        if self._settings.names_callers:
            callers = [caller or None for batch in batches for caller in batch.callers]
            yield CALLER, Field("text", np.repeat(np.array(callers, object), sizes))
        for name, column in self._model.others.items():
            values = [value for batch in batches for value in _others(batch, name)]
            yield name, Field("text", values if not column.redact else [None] * rows)
        for name, each in self._model.inputs.items():
            array = np.concatenate([batch.inputs[name] for batch in batches])
            if each.column.redact:
                array = np.full(len(array), None)
            elif each.column.kind in ("categorical", "text"):
                array[array == NO_CATEGORY] = None
            elif isinstance(each, Moment):
                array = each.texts(array)
            yield name, Field(KINDS[each.column.kind], array)
        for name in batches[0].outputs:
            array = np.concatenate([batch.outputs[name] for batch in batches])
            yield from _output(name, array, self._model.metadata.get("classes", []))


def _others(batch: Batch, name: str) -> Iterator[Any]:
    for others, size in zip(batch.others, batch.sizes, strict=True):
        yield from others.get(name) or [None] * size


def _output(name: str, array: np.ndarray, classes: list[str]) -> Iterator[tuple[str, Field]]:
    """Named as `mlops predict` names its columns."""
    if array.ndim == 2:
        labels = classes or [str(i) for i in range(array.shape[1])]
        for i, label in enumerate(labels):
            yield f"{name}_{label}", Field("float", array[:, i])
    else:
        kinds: dict[str, Kind] = {"b": "boolean", "i": "integer", "f": "float"}
        yield name, Field(kinds.get(array.dtype.kind, "text"), array)


def open_store(address: str, keep: int = 0) -> Store:
    """What writes a file, named by a relative path, into a folder or an fsspec store.

    Args:
        address: the folder, or a URL.
        keep: megabytes that a folder's files may take; a store has rules of its own.
    Raises:
        InputError: there is no such kind of store, or the folder cannot be written to.
    """
    if "://" in address:
        try:
            import fsspec

            files, root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise InputError(
                f"MLOPS_LOG: {address}: {error}; build the image with LOG_STORE, or `uv sync "
                "--group log-s3` (log-gs, log-azure)"
            ) from None
        except ValueError as error:
            raise InputError(f"MLOPS_LOG: {address}: {error}") from None
        if "file" not in files.protocol:
            return lambda name, content: files.pipe_file(f"{root}/{name}", content)
        address = root
    folder = Path(address)
    probe = folder / f".writable-{os.getpid()}"  # other workers try it, too
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        _write(probe, b"")
        probe.unlink()
    except OSError as error:
        raise InputError(f"MLOPS_LOG: {error.filename}: {error.strerror}") from None

    def store(name: str, content: bytes) -> None:
        if keep:
            _make_room(folder, keep * 10**6 - len(content))
        _write(folder / name, content)

    return store


def _make_room(folder: Path, size: int) -> None:
    """Delete the oldest files until all that are there take no more than `size` bytes.

    Names begin with their time. Other workers delete, too.
    """
    found = []
    for path in sorted(folder.glob("????-??-??/*.parquet")):  # and no feedback
        with suppress(FileNotFoundError):
            found.append((path, path.stat().st_size))
    total = sum(each for _, each in found)
    for path, taken in found:
        if total <= size:
            break
        path.unlink(missing_ok=True)
        total -= taken


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        with os.fdopen(os.open(temporary, _NEW, FILE_MODE), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
