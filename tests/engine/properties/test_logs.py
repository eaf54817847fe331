"""The prediction log: what servers write is read, and each row is accounted for, whatever comes."""

import io
import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from mlops.monitoring.account import Account
from mlops.monitoring.feedback import FOLDER
from mlops.monitoring.log import Log, Period
from mlops.monitoring.storage import Storage
from mlops.serving.client import EXAMPLE
from mlops.serving.parquet import Field, File

START = datetime(2030, 1, 1, tzinfo=UTC)
PERIOD = Period.of(START, START + timedelta(days=14), 7)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    "boolean": st.none() | st.booleans(),
    "float": st.none() | st.floats(width=32, allow_nan=False),
    "text": st.none() | st.text(max_size=8),
}


@st.composite
def tables(draw: st.DrawFn) -> dict[str, tuple[Any, list[list[Any]]]]:
    """Columns by name, each with its kind and its values, by group of rows."""
    sizes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=3))
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20, unique=True))
    found = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(VALUES)))
        groups = [draw(st.lists(VALUES[kind], min_size=n, max_size=n)) for n in sizes]
        found[name] = (kind, groups)
    return found


@given(tables(), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_what_is_written_is_read(
    table: dict[str, tuple[Any, list[list[Any]]]], about: dict[str, str]
) -> None:
    file = File(about)
    for number in range(len(next(iter(table.values()))[1])):
        file.add({name: Field(kind, groups[number]) for name, (kind, groups) in table.items()})
    read = pq.read_table(io.BytesIO(file.content()))
    assert read.num_rows == file.rows
    assert read.to_pydict() == {name: sum(groups, []) for name, (_, groups) in table.items()}
    metadata = read.schema.metadata or {}
    assert {key.decode(): value.decode() for key, value in metadata.items()} == about


ROW = st.fixed_dictionaries(
    {
        "day": st.floats(-3, 17) | st.none(),
        "request": st.sampled_from(["a", "b", "c", EXAMPLE]) | st.none(),
        "row": st.integers(0, 3),
        "release": st.sampled_from(["r1", "r2"]) | st.none(),
    }
)


def logged(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a file of the log."""
    moments = [each["day"] and START + timedelta(days=each["day"]) for each in rows]
    return pa.table(
        {
            "_time": pa.array(moments, pa.timestamp("us", "UTC")),
            "_request": pa.array([each["request"] for each in rows], pa.string()),
            "_row": pa.array([each["row"] for each in rows], pa.int64()),
            "_release": pa.array([each["release"] for each in rows], pa.string()),
        }
    )


@st.composite
def stores(draw: st.DrawFn) -> dict[str, bytes]:
    """Files by name: of rows, cut off or damaged, or of anything."""
    found = {}
    for number in range(draw(st.integers(1, 4))):
        sink = io.BytesIO()
        pq.write_table(logged(draw(st.lists(ROW, max_size=12))), sink)
        content = sink.getvalue()
        match draw(st.sampled_from(["whole", "whole", "cut", "damaged", "anything"])):
            case "cut":
                content = content[: draw(st.integers(0, len(content) - 1))]
            case "damaged":
                at = draw(st.integers(0, len(content) - 1))
                content = content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
            case "anything":
                content = draw(st.binary(max_size=50))
        day = draw(st.dates(START.date() - timedelta(days=2), START.date() + timedelta(days=16)))
        where = draw(
            st.sampled_from(
                [f"{day}/120000-x-{number:06d}", f"{day}/999999-{number}", f"f{number}"]
            )
        )
        found[f"{where}.parquet"] = content
    return found


@given(stores())
def test_each_row_is_accounted_for_once(files: dict[str, bytes]) -> None:
    storage = Storage(f"memory://{uuid.uuid4().hex}")
    for name, content in files.items():
        storage._files.pipe_file(f"{storage._root}/{name}", content)
    account, found = Account([0] * PERIOD.windows), 0
    for part in Log(storage, []).read(PERIOD, "r1", [], account):
        assert 0 <= part.window < PERIOD.windows
        found += len(part.keys)
    storage._files.rm(storage._root, recursive=True)
    parts = [account.examples, account.duplicates, account.elsewhere, *account.others.values()]
    assert account.rows == sum(account.counted) + sum(parts)
    assert found == sum(account.counted) <= 12  # three requests of four rows
    assert account.files <= len(files)
    assert all(each.why and "\n" not in each.why for each in account.broken)
    assert FOLDER not in account.others


@given(
    st.lists(st.datetimes(datetime(2029, 12, 25), datetime(2030, 1, 25)), min_size=1),
    st.integers(1, 30),
)
def test_each_moment_is_in_one_window(moments: list[datetime], days: int) -> None:
    period = Period.of(START, START + timedelta(days=14), days)
    assert (period.start, period.end) == (START, START + timedelta(days=14))
    assert period.windows == math.ceil(14 / days)
    places = period.places(np.array(moments, "datetime64[us]"))
    for moment, place in zip(moments, places.tolist(), strict=True):
        at = moment.replace(tzinfo=UTC)
        inside = 0 <= place < period.windows
        assert inside == (period.start <= at < period.end)
        assert not inside or period.edges[place] <= at < period.edges[place + 1]
