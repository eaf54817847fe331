"""The prediction log, read back: each row once, in the window of its time, none lost silently."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import InputError
from ..printable import printable
from ..serving.client import EXAMPLE
from ..serving.log import CALLER, RELEASE, REQUEST, ROW, TIME
from .account import Account, Broken
from .feedback import FOLDER
from .keys import Seen, keys
from .storage import Storage, Unreadable, explained

BATCH_ROWS = 131_072
_OWN = (TIME, REQUEST, ROW, RELEASE)
# How the server names its files: a folder a day, and the time of the first row.
_NAMED = re.compile(r"(?:.*/)?(\d{4}-\d\d-\d\d/\d{6})-[^/]*")
# A file holds the rows of seconds. One whose time is further off was told by a clock that jumped.
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """Windows that follow one another: where each begins, and the end of the last."""

    edges: Sequence[datetime]

    @staticmethod
    def of(start: datetime, end: datetime, days: int) -> "Period":
        """Windows of so many days back from `end`; the first may be shorter."""
        edges = [end]
        while edges[0] > start:
            edges.insert(0, max(start, edges[0] - timedelta(days=days)))
        return Period(edges)

    @property
    def start(self) -> datetime:
        """Where the first window begins."""
        return self.edges[0]

    @property
    def end(self) -> datetime:
        """Where the last window ends: it is the first moment after it."""
        return self.edges[-1]

    @property
    def windows(self) -> int:
        """How many there are."""
        return len(self.edges) - 1

    def places(self, moments: np.ndarray) -> np.ndarray:
        """The number of each moment's window; -1, or beyond the last, where it is in none."""
        edges = np.array([each.replace(tzinfo=None) for each in self.edges], "datetime64[us]")
        found: np.ndarray = np.searchsorted(edges, moments, side="right") - 1
        return found


@dataclass(frozen=True)
class Part:
    """Rows of a window.

    Attributes:
        window: its number.
        columns: by name.
        keys: a number for each row, by which it is known.
        moments: when each was answered, in UTC.
    """

    window: int
    columns: dict[str, pa.Array]
    keys: np.ndarray
    moments: np.ndarray


class Log:
    """The log in a storage. `known` are the columns that it may have, beside its own."""

    def __init__(self, storage: Storage, known: Collection[str]) -> None:
        self._storage = storage
        self._known = {*_OWN, CALLER, *known}

    def read(
        self, period: Period, release: str | None, columns: Collection[str], account: Account
    ) -> Iterator[Part]:
        """Yield the rows of a release, or of any, in a period, and account for all others.

        Raises InputError where there is no log, or its store does not answer.
        """
        names = self._storage.names()
        if names is None:
            raise InputError(f"{self._storage.address}: there is no prediction log")
        seen = Seen()
        for name in names:
            moment = _moment(name)
            near = moment is None or period.start - _DAY <= moment < period.end + _DAY
            if near and not name.startswith(f"{FOLDER}/"):
                account.files += 1
                yield from self._file(name, moment, period, release, columns, account, seen)

    def _file(
        self,
        name: str,
        moment: datetime | None,
        period: Period,
        release: str | None,
        columns: Collection[str],
        account: Account,
        seen: Seen,
    ) -> Iterator[Part]:
        read = 0
        try:
            file = self._storage.open(name)
            with explained():
                names = file.schema_arrow.names
            for unknown in {*names} - self._known:
                _count(account.unknown, unknown, file.metadata.num_rows)
            for batch in _batches(file, names, columns):
                read += batch.num_rows
                account.rows += batch.num_rows
                moments = _moments(batch, moment, account)
                places = period.places(moments)
                yield from _taken(batch, moments, places, release, account, seen)
        except Unreadable as error:
            account.broken.append(Broken(name, str(error), read))


def _count(counts: dict[str, int], what: str, rows: int) -> None:
    counts[what] = counts.get(what, 0) + rows


def _moment(name: str) -> datetime | None:
    found = _NAMED.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y-%m-%d/%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _batches(
    file: pq.ParquetFile, there: Collection[str], columns: Collection[str]
) -> Iterator[pa.RecordBatch]:
    missing = [each for each in _OWN if each not in there]
    if missing:
        raise Unreadable(f"it has no column {', '.join(missing)}")
    wanted = [*_OWN, *(each for each in (CALLER, *columns) if each in there)]
    batches = file.iter_batches(BATCH_ROWS, columns=wanted)
    while True:
        with explained():
            batch = next(batches, None)
            if batch is not None:
                batch.validate(full=True)  # nothing else tells that text is damaged
        if batch is None:
            return
        yield batch


def _moments(batch: pa.RecordBatch, of_file: datetime | None, account: Account) -> np.ndarray:
    """When each row was answered; where that cannot be, when its file was begun."""
    times = batch[TIME].cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    if of_file is None:
        return np.asarray(times)
    begun = np.datetime64(of_file.replace(tzinfo=None), "us")
    wrong = ~(np.abs(times - begun) <= np.timedelta64(_DAY))
    account.misdated += int(wrong.sum())
    return np.where(wrong, begun, times)


def _taken(
    batch: pa.RecordBatch,
    moments: np.ndarray,
    places: np.ndarray,
    release: str | None,
    account: Account,
    seen: Seen,
) -> Iterator[Part]:
    """The rows to be counted, by window."""
    numbers = keys(batch[REQUEST], batch[ROW])
    asked = pc.not_equal(batch[REQUEST], EXAMPLE).fill_null(True).to_numpy(zero_copy_only=False)
    account.examples += int((~asked).sum())
    fresh = seen.first(numbers) & asked
    account.duplicates += int((asked & ~fresh).sum())
    inside = (places >= 0) & (places < len(account.counted))
    account.elsewhere += int((fresh & ~inside).sum())
    mine = np.ones(len(batch), bool)
    if release is not None:
        mine = pc.equal(batch[RELEASE], release).fill_null(False).to_numpy(zero_copy_only=False)
    other = fresh & inside & ~mine
    if other.any():
        for each in pc.value_counts(batch[RELEASE].filter(pa.array(other))).to_pylist():
            _count(account.others, str(each["values"]), each["counts"])
    chosen = fresh & inside & mine
    if CALLER in batch.schema.names:
        callers = batch[CALLER].filter(pa.array(chosen)).drop_null()
        for each in pc.value_counts(callers).to_pylist():
            _count(account.callers, printable(str(each["values"])), each["counts"])
    for window in np.unique(places[chosen]).tolist():
        rows = chosen & (places == window)
        account.counted[window] += int(rows.sum())
        part = batch if rows.all() else batch.filter(pa.array(rows))
        columns = {name: part[name] for name in part.schema.names if name != CALLER}
        yield Part(window, columns, numbers[rows], moments[rows])
