"""Feedback: what turned out to be true of logged rows, which comes late, twice and in any order.

Each import is a file in the folder `feedback` of the log, numbered, so that it is known which came
last. A label that is imported again takes the place of the one before. Labels of requests that the
log does not have are kept: the log may come later than they do.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ..data import tables
from ..data.columns import frame
from ..data.contract import Column, Contract, as_kind, is_missing
from ..errors import InputError
from ..serving.log import REQUEST, ROW
from .keys import keys
from .storage import Storage, Unreadable, explained

FOLDER = "feedback"
# What people may call the columns of the log, too.
_NAMES = {"request": REQUEST, "row": ROW}
_NUMBER = Column(kind="numeric", role=["id"])
_TEXT = Column(kind="categorical", role=["id"])


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        name: of the file that it wrote; None where the last one is the same.
        labels: how many there are, each for another row.
        repeated: further lines of the file that say the same of a row again.
        contradicting: those that say something else; the last one counts.
        incomplete: lines without a label, or without what it is of.
    """

    name: str | None
    labels: int
    repeated: int
    contradicting: int
    incomplete: int


def store(path: Path, contract: Contract, log: Storage) -> Imported:
    """Import the labels of a CSV or Parquet file: a request and a row, or ids, and the target.

    Raises InputError: a column is missing, a value is no such thing, or the store does not answer.
    """
    lines = _labels(path, contract)
    data = lines.dropna()
    by = [name for name in data if name != contract.target]
    same = data.duplicated()
    labels = data.drop_duplicates(by, keep="last")
    table = pa.Table.from_pandas(labels, preserve_index=False).replace_schema_metadata()
    digest = hashlib.sha256(labels.to_csv(index=False).encode()).hexdigest()[:12]
    storage = log.within(FOLDER)
    names = storage.names() or []
    name: str | None = f"{len(names) + 1:06d}-{digest}.parquet"
    if names and names[-1].endswith(f"-{digest}.parquet"):
        name = None
    else:
        storage.write(str(name), table)
    contradicting = len(data) - len(labels) - int(same.sum())
    incomplete = len(lines) - len(data)
    return Imported(name, len(labels), int(same.sum()), contradicting, incomplete)


def _labels(path: Path, contract: Contract) -> pd.DataFrame:
    """The lines of a file, typed: what names the row, and the target; either may be missing."""
    if contract.target is None:
        raise InputError("the model predicts no target: there is no feedback to import")
    names = {name: own for name, own in _NAMES.items() if name not in contract.columns}
    raw = frame(tables.read(path, dialect=contract.dialect)).rename(columns=names)
    ids = [name for name in contract.with_role("id") if name in raw]
    if contract.target not in raw:
        raise InputError(f"{path}: no column {contract.target}, the target")
    if REQUEST not in raw and not ids:
        known = " or ".join(["request", *contract.with_role("id")])
        raise InputError(f"{path}: no column {known}: nothing says what the labels are of")
    column = contract.columns[contract.target]
    target = as_kind(raw[contract.target], column)
    _refuse(path, raw[contract.target], target, column)
    if REQUEST in raw:
        row = raw[ROW] if ROW in raw else pd.Series(0, raw.index)
        numbers = as_kind(row, _NUMBER)
        _refuse(path, row.rename("row"), numbers, _NUMBER)
        by = {REQUEST: as_kind(raw[REQUEST], _TEXT), ROW: numbers.fillna(0).astype("int64")}
    else:  # as the log has them
        by = {name: as_kind(raw[name], _text(contract.columns[name])) for name in ids}
    return pd.DataFrame({**by, contract.target: target})


def _text(column: Column) -> Column:
    """A column whose values are kept as texts, whatever its kind."""
    return column if column.kind == "categorical" else _TEXT


def _refuse(path: Path, raw: pd.Series, read: pd.Series, column: Column) -> None:
    """Raise InputError where values could not be read as what they are to be."""
    wrong = (~is_missing(raw, column) & read.isna()).to_numpy()
    if wrong.any():
        first, what = int(wrong.argmax()), {"numeric": "number"}.get(column.kind, column.kind)
        raise InputError(
            f"{path}: row {first + 1}, {raw.name}: {raw.iloc[first]!r} is no {what} "
            f"({int(wrong.sum()):,} such rows)"
        )


class Labels:
    """All feedback of an environment, to be looked up.

    Attributes:
        count: rows that a label is known of.
        changed: labels that a later import changed.
        broken: files that cannot be read, each with the reason.
    """

    def __init__(self, log: Storage, contract: Contract) -> None:
        """Read it. Raises InputError where the store does not answer."""
        self.count = self.changed = 0
        self.broken: list[tuple[str, str]] = []
        self._target = contract.target or ""
        self._known: dict[tuple[str, ...], pd.Series] = {}
        self._found: dict[tuple[str, ...], np.ndarray] = {}
        storage = log.within(FOLDER)
        parts: dict[tuple[str, ...], list[pd.Series]] = {}
        for name in storage.names() or []:
            try:
                with explained():
                    table = storage.open(name).read()
            except Unreadable as error:
                self.broken.append((name, str(error)))
                continue
            by = tuple(each for each in table.column_names if each != self._target)
            parts.setdefault(by, []).append(self._series(table, by))
        for by, series in parts.items():
            together = pd.concat(series)
            self._known[by] = together[~together.index.duplicated(keep="last")].sort_index()
            self._found[by] = np.zeros(len(self._known[by]), bool)
            self.count += len(self._known[by])
            values = together.groupby(level=0).nunique()
            self.changed += int((values > 1).sum())

    def _series(self, table: pa.Table, by: Sequence[str]) -> pd.Series:
        columns = [table[name].combine_chunks() for name in by]
        return pd.Series(table[self._target].to_pandas().array, pd.Index(keys(*columns)))

    def of(self, columns: dict[str, pa.Array]) -> tuple[np.ndarray, Any]:
        """Which rows have a label, and the labels of those."""
        rows = len(columns[REQUEST])
        places = np.full(rows, -1)
        labels = pd.Series(index=range(rows), dtype=object)
        for by, known in self._known.items():
            if all(name in columns for name in by):
                at = known.index.get_indexer(pd.Index(keys(*(columns[name] for name in by))))
                some = (at >= 0) & (places < 0)
                labels[some] = known.iloc[at[some]].to_numpy()
                places[some] = at[some]
                self._found[by][at[some]] = True
        labelled = places >= 0
        return labelled, labels[labelled].to_numpy()

    @property
    def unknown(self) -> int:
        """Labels whose rows were not among those asked for."""
        return sum(int((~found).sum()) for found in self._found.values())
