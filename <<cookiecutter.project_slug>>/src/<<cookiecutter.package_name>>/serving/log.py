"""The prediction log: what was asked and answered, in Parquet files, without a request waiting.

A thread writes. Files appear whole, under their final name, at most log_seconds after the first of
their rows: a process that is killed loses the rows of that time and never leaves half a file; one
that is asked to stop loses none. While the store is gone rows wait in memory, at most
log_buffer_rows of them; what does not fit is dropped, and counted.
"""

import logging
import os
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .metrics import Metrics
from .model import Batch, ServedModel
from .parquet import Field, Kind, encode
from .settings import Settings
from .signature import NO_CATEGORY

logger = logging.getLogger(__name__)

# Columns of the log beside the contract's and the predictions.
TIME, REQUEST, ROW, RELEASE = "_time", "_request", "_row", "_release"

KINDS: dict[str, Kind] = {"categorical": "text", "boolean": "boolean", "numeric": "float"}

Store = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch, and when it was answered: microseconds since 1970, by the wall clock."""

    time: int
    batch: Batch
    rows: int


class PredictionLog:
    """Takes batches from the event loop and writes them in a thread of its own."""

    def __init__(self, model: ServedModel, settings: Settings, metrics: Metrics) -> None:
        """Raises InputError when nothing can be written to settings.log."""
        self._model = model
        self._settings = settings
        self._metrics = metrics
        self._store = open_store(settings.log)
        self._waiting: deque[Entry] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._refused = False
        self._random = random.Random()  # noqa: S311 (draws a sample, keeps no secret)
        self._name = uuid.uuid4().hex[:8]
        self._files = 0
        self._thread = threading.Thread(target=self._write_all, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, batch: Batch) -> None:
        """Take a batch, or drop it where too much is waiting; never blocks."""
        entry = self._sampled(batch)
        if entry is None:
            return
        with self._lock:
            fits = self._waiting_rows + entry.rows <= self._settings.log_buffer_rows
            if fits:
                self._waiting.append(entry)
                self._waiting_rows += entry.rows
        if not fits:
            self._metrics.log_dropped.inc(entry.rows)
        elif self._waiting_rows >= self._settings.log_rows and not self._refused:
            self._wake.set()

    def close(self) -> None:
        """Write what is waiting. Blocks, for some seconds at most."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=10)
        with self._lock:
            if self._waiting_rows:
                self._metrics.log_dropped.inc(self._waiting_rows)
                logger.error("%d logged rows are lost: the store is gone", self._waiting_rows)

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
                {name: values[of_rows] for name, values in batch.inputs.items()},
                {name: values[of_rows] for name, values in batch.outputs.items()},
            )
        return Entry(now, batch, batch.rows)

    def _write_all(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(self._settings.log_seconds)
            self._wake.clear()
            closing = self._closing
            while self._waiting:
                self._refused = not self._write_file()
                if self._refused or (self._waiting_rows < self._settings.log_rows and not closing):
                    break  # what has come in meanwhile gets its own time

    def _write_file(self) -> bool:
        """Write one file. False when the store refuses: its rows go on waiting."""
        with self._lock:
            waiting = list(self._waiting)
        entries: list[Entry] = []
        rows = 0
        for entry in waiting:
            if entries and rows + entry.rows > self._settings.log_rows:
                break
            entries.append(entry)
            rows += entry.rows
        content = encode(
            dict(self._fields(entries)),
            {
                "model": self._model.name,
                "release": self._model.version,
                "model_sha256": self._model.sha256,
            },
        )
        moment = datetime.fromtimestamp(entries[0].time / 1e6, UTC)
        name = f"{moment:%Y-%m-%d/%H%M%S}-{self._name}-{self._files:06d}.parquet"
        try:
            self._store(name, content)
        except Exception as error:  # stores have exceptions of their own
            self._metrics.log_failures.inc()
            logger.error("the prediction log cannot be written, rows wait: %s", error)
            return False
        self._files += 1
        with self._lock:
            for _ in entries:
                self._waiting.popleft()
            self._waiting_rows -= rows
        self._metrics.log_rows.inc(rows)
        return True

    def _fields(self, entries: list[Entry]) -> Iterator[tuple[str, Field]]:
        batches = [entry.batch for entry in entries]
        sizes = [size for batch in batches for size in batch.sizes]
        ids = [id_ for batch in batches for id_ in batch.ids]
        rows = sum(sizes)
        yield TIME, Field("moment", np.repeat([e.time for e in entries], [e.rows for e in entries]))
        yield REQUEST, Field("text", np.repeat(np.array(ids, object), sizes))
        yield ROW, Field("integer", np.arange(rows) - np.repeat(np.cumsum(sizes) - sizes, sizes))
        yield RELEASE, Field("text", [self._model.version] * rows)
        for name, column in self._model.others.items():
            values = [value for batch in batches for value in _others(batch, name)]
            yield name, Field("text", values if not column.redact else [None] * rows)
        for name, each in self._model.inputs.items():
            array = np.concatenate([batch.inputs[name] for batch in batches])
            if each.column.redact:
                array = np.full(len(array), None)
            elif each.column.kind == "categorical":
                array[array == NO_CATEGORY] = None
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


def open_store(address: str) -> Store:
    """What writes a file, named by a relative path, into a folder or an fsspec store.

    Raises InputError: there is no such kind of store, or the folder cannot be written to.
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
        folder.mkdir(parents=True, exist_ok=True)
        _write(probe, b"")
        probe.unlink()
    except OSError as error:
        raise InputError(f"MLOPS_LOG: {error.filename}: {error.strerror}") from None
    return lambda name, content: _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
