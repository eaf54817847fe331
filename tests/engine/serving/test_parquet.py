"""The Parquet writer, read back by pyarrow: every kind, missing values, odd numbers of rows."""

import io
from datetime import UTC, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops.serving.parquet import Field, File


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 64, 1000])
def test_what_is_written_is_read(rows: int) -> None:
    rng = np.random.default_rng(rows)
    gaps = rng.random(rows) < 0.3
    fields = {
        "boolean": Field("boolean", rng.random(rows) < 0.5),
        "gappy boolean": Field("boolean", [None if gap else True for gap in gaps]),
        "float with NaN for missing": Field(
            "boolean", np.where(gaps, np.nan, rng.random(rows) < 0.5).astype("float32")
        ),
        "integer": Field("integer", rng.integers(-(2**60), 2**60, rows)),
        "float": Field("float", np.where(gaps, np.nan, rng.random(rows)).astype("float32")),
        "text": Field("text", [None if gap else "ü" * i for i, gap in enumerate(gaps)]),
        "all there": Field("text", np.array(["a", "bc"] * rows, object)[:rows]),
        "nothing there": Field("float", [None] * rows),
        "moment": Field("moment", np.arange(rows) * 10**6),
    } | {f"integer {i}": Field("integer", np.arange(rows) + i) for i in range(20)}
    file = File({"release": "r1"})
    file.add(fields)
    file.add({name: Field(field.kind, field.values[:1]) for name, field in fields.items()})
    assert file.rows == rows + 1
    table = pq.read_table(io.BytesIO(file.content()))
    assert pq.read_metadata(io.BytesIO(file.content())).num_row_groups == 2
    assert table.num_rows == rows + 1
    table = table.slice(0, rows)
    assert table.schema.metadata == {b"release": b"r1"}
    assert table.column_names == list(fields)
    found = table.to_pydict()
    second = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert found.pop("moment")[:2] == [datetime(1970, 1, 1, tzinfo=UTC), second][:rows]
    for name, values in found.items():
        written = list(fields[name].values)
        expected = [None if value is None or value != value else value for value in written]
        assert values == expected, name
