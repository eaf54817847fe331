"""The log and the feedback, read back from folders and stores that are well, empty or down."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from engine import made

from mlops.errors import InputError
from mlops.monitoring.account import Account
from mlops.monitoring.feedback import Labels, store
from mlops.monitoring.log import Log, Period
from mlops.monitoring.storage import Storage
from mlops.serving.client import EXAMPLE

START = datetime(2030, 1, 1, tzinfo=UTC)
PERIOD = Period.of(START, START + timedelta(days=21), 7)
CONTRACT = made.contract("binary")


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A store with nothing in it."""
    if request.param == "memory":
        return Storage(f"memory://{uuid.uuid4().hex}")
    return Storage(str(tmp_path / "log"))


def rows(day: float, count: int = 10, **changes: Any) -> pa.Table:
    """Rows of the log."""
    data = {
        "_time": pd.date_range(START + timedelta(days=day), periods=count, freq="s", unit="us"),
        "_request": [f"{day}-{i}" for i in range(count)],
        "_row": np.zeros(count, int),
        "_release": "r1",
        "size": np.arange(count, dtype="float32"),
    }
    return pa.Table.from_pandas(pd.DataFrame(data | changes), preserve_index=False)


def put(storage: Storage, day: float, table: pa.Table | None = None, name: str = "a") -> None:
    """Write a file as the server names it."""
    moment = START + timedelta(days=day)
    path = f"{moment:%Y-%m-%d/%H%M%S}-{name}-000000.parquet"
    storage.write(path, rows(day) if table is None else table)


def test_files_of_rows_are_not_for_everybody(tmp_path: Path) -> None:
    Storage(str(tmp_path / "log")).write("a/b.parquet", rows(0))
    assert oct((tmp_path / "log" / "a" / "b.parquet").stat().st_mode & 0o777) == "0o640"


def read(storage: Storage, period: Period = PERIOD) -> tuple[list[float], Account]:
    """The column `size` of the rows that count, and what became of all."""
    account, found = Account([0] * period.windows), []
    for part in Log(storage, ["size"]).read(period, "r1", ["size"], account):
        found += part.columns["size"].to_pylist()
        assert len(part.keys) == len(part.columns["size"])
    parts = [account.examples, account.duplicates, account.elsewhere, *account.others.values()]
    assert account.rows == sum(account.counted) + sum(parts)
    assert len(found) == sum(account.counted)
    return found, account


def test_rows_are_counted_in_the_window_of_their_time(storage: Storage) -> None:
    for day in (0, 8, 8.5, 20):
        put(storage, day)
    found, account = read(storage)
    assert account.counted == [10, 20, 10]
    assert found == [*range(10)] * 4


def test_midnight_parts_the_rows_of_a_file(storage: Storage) -> None:
    put(storage, 7 - 5 / 86400)
    assert read(storage)[1].counted == [5, 5, 0]


def test_rows_before_and_after_the_period_are_elsewhere(storage: Storage) -> None:
    for day in (-0.5, 21.5, -30, 60):
        put(storage, day)
    _, account = read(storage)
    assert account.elsewhere == 20
    assert account.files == 2  # those of other days are not even read


def test_windows_of_a_long_time_hold_each_row_once(storage: Storage) -> None:
    """However many periods there are, and however clocks jump."""
    for day in range(30):
        put(storage, day)
    jumped = rows(3, _request=[f"jumped-{i}" for i in range(10)])
    times = pa.array(jumped["_time"].to_pandas() + pd.Timedelta(days=12))
    put(storage, 3, jumped.set_column(0, "_time", times), name="b")
    counted = 0
    for start in range(0, 30, 10):
        begin = START + timedelta(days=start)
        counted += sum(read(storage, Period.of(begin, begin + timedelta(days=10), 5))[1].counted)
    assert counted == 310


def test_rows_are_counted_once(storage: Storage) -> None:
    put(storage, 1)
    put(storage, 1, name="b")
    put(storage, 2, rows(1))  # the same requests again, a day later
    _, account = read(storage)
    assert account.counted == [10, 0, 0]
    assert account.duplicates == 20


def test_who_asked_is_counted_for_rows_that_count(storage: Storage) -> None:
    put(storage, 1)  # of a server that knows nobody
    callers = ["shop"] * 6 + ["\x1b[31mbank"] * 3 + [None]
    put(storage, 2, rows(2, _caller=callers))
    put(storage, 3, rows(2, _caller=callers), name="b")  # again: duplicates
    _, account = read(storage)
    assert account.counted == [20, 0, 0]
    assert account.callers.pop("shop") == 6
    ((name, count),) = account.callers.items()
    assert count == 3
    assert name.isprintable()
    assert not account.unknown


def test_rows_of_a_request_are_told_apart(storage: Storage) -> None:
    put(storage, 1, rows(1, _request="one", _row=np.arange(10)))
    assert read(storage)[1].counted == [10, 0, 0]


def test_rows_of_smoke_tests_are_left_out(storage: Storage) -> None:
    put(storage, 1, rows(1, _request=[EXAMPLE] * 6 + [f"r{i}" for i in range(4)]))
    _, account = read(storage)
    assert account.counted == [4, 0, 0]
    assert (account.examples, account.duplicates) == (6, 0)


def test_rows_without_a_time_or_a_release(storage: Storage) -> None:
    table = rows(1)
    put(storage, 1, table.set_column(0, "_time", pa.nulls(10, table.schema.field(0).type)))
    put(storage, 2, rows(2, _release=None).cast(table.schema))
    _, account = read(storage)
    assert account.misdated == 10
    assert account.counted == [10, 0, 0]
    assert account.others == {"None": 10}


@pytest.mark.parametrize("column", ["_time", "_request", "_row", "_release"])
def test_file_that_is_no_log_is_named(storage: Storage, column: str) -> None:
    put(storage, 1, rows(1).drop_columns([column]))
    put(storage, 2)
    _, account = read(storage)
    assert [each.why for each in account.broken] == [f"it has no column {column}"]
    assert account.counted == [10, 0, 0]


def test_any_name_will_do_where_the_rows_have_times(storage: Storage) -> None:
    storage.write("mine.parquet", rows(1))
    storage.write("deeper/still.parquet", rows(100))
    _, account = read(storage)
    assert account.counted == [10, 0, 0]
    assert account.elsewhere == 10


def test_a_file_alone_is_a_log(tmp_path: Path) -> None:
    Storage(str(tmp_path)).write("one.parquet", rows(1))
    assert read(Storage(str(tmp_path / "one.parquet")))[1].counted == [10, 0, 0]


def test_no_log_is_no_empty_log(storage: Storage) -> None:
    with pytest.raises(InputError, match="there is no prediction log"):
        read(storage)


@pytest.mark.parametrize("call", ["find", "exists", "cat_file"])
def test_store_that_is_down_is_told(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of one that fails: no store that can be made to is at hand."""
    storage = Storage(f"memory://{uuid.uuid4().hex}")
    put(storage, 1)

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("connection refused")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), call, fail)
    with pytest.raises(InputError, match="the store does not answer: connection refused"):
        read(storage)


def test_windows_go_back_from_the_end() -> None:
    period = Period.of(START, START + timedelta(days=16), 7)
    assert [(b - a).days for a, b in zip(period.edges, period.edges[1:], strict=False)] == [2, 7, 7]


# Feedback


def csv(path: Path, *lines: str) -> Path:
    """A file to import."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_labels_are_found_by_request_and_row(storage: Storage, tmp_path: Path) -> None:
    file = csv(tmp_path / "f.csv", "row,request,large", "0,a,true", "1,a,no", "0,b,1")
    assert store(file, CONTRACT, storage).labels == 3
    labels = Labels(storage, CONTRACT)
    columns = {"_request": pa.array(["a", "x", "b", "a"]), "_row": pa.array([1, 0, 0, 2])}
    known, values = labels.of(columns)
    assert known.tolist() == [True, False, True, False]
    assert [bool(value) for value in values] == [False, True]
    assert (labels.count, labels.unknown) == (3, 1)


def test_the_label_imported_last_wins(storage: Storage, tmp_path: Path) -> None:
    for i, label in enumerate(["true", "false", "true", "false"]):
        file = csv(tmp_path / f"{i}.csv", "request,large", f"a,{label}", "b,true")
        assert store(file, CONTRACT, storage).name is not None
    assert store(file, CONTRACT, storage).name is None  # the very same again
    labels = Labels(storage, CONTRACT)
    found = labels.of({"_request": pa.array(["a", "b"]), "_row": pa.array([0, 0])})[1]
    assert [bool(value) for value in found] == [False, True]
    assert (labels.count, labels.changed) == (2, 1)


def test_lines_of_a_file_that_repeat_and_contradict(storage: Storage, tmp_path: Path) -> None:
    lines = ["request,large", "a,true", "a,true", "a,false", "b,true", "c,", ",true"]
    found = store(csv(tmp_path / "f.csv", *lines), CONTRACT, storage)
    assert (found.labels, found.repeated, found.contradicting, found.incomplete) == (2, 1, 1, 2)


def test_labels_by_ids_that_are_numbers_in_the_log(storage: Storage, tmp_path: Path) -> None:
    columns = made.COLUMNS | made.TARGETS["binary"][1]
    columns["noise"] = columns["noise"] | {"role": ["feature", "id"]}
    contract = made.contract_of(columns)
    store(csv(tmp_path / "f.csv", "noise,large", "3,true", "4,false"), contract, storage)
    logged = {"_request": pa.array(["a", "b"]), "noise": pa.array([4, 5], pa.float32())}
    known, values = Labels(storage, contract).of(logged)
    assert known.tolist() == [True, False]
    assert [bool(value) for value in values] == [False]


def test_column_of_the_contract_that_is_called_row(storage: Storage, tmp_path: Path) -> None:
    columns = made.COLUMNS | made.TARGETS["binary"][1]
    columns["row"] = {"kind": "categorical", "role": "id"}
    contract = made.contract_of(columns)
    store(csv(tmp_path / "f.csv", "row,large", "x,true"), contract, storage)
    logged = {"_request": pa.array(["a"]), "row": pa.array(["x"])}
    assert Labels(storage, contract).of(logged)[0].tolist() == [True]
