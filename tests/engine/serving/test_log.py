"""The prediction log: every row that was answered, in whole files, whatever the store does."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine import made
from engine.served import write
from serving.running import wait_for

from mlops.errors import InputError
from mlops.serving.log import PredictionLog, open_store
from mlops.serving.metrics import Metrics
from mlops.serving.model import Batch, ServedModel
from mlops.serving.parquet import File
from mlops.serving.settings import Settings

Save = Callable[..., Path]
# Bytes that rows may take until they are stored.
SHARE = 64 * 2**20


class Logged:
    """A log in a folder, and the model that it is of."""

    def __init__(self, model: Path, folder: Path, share: int = SHARE, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings(model=model, log=str(folder), log_seconds=0.05, **settings)
        self.model = ServedModel(self.settings)
        self.metrics = Metrics("r1")
        self.log = PredictionLog(self.model, self.settings, self.metrics, share)

    def answer(self, *sizes: int, flight: str | None = None) -> Batch:
        """Answer and log requests of so many rows."""
        row = {"size": 1.0, "rank": 2, "wet": None, "colour": None, "noise": 0.5}
        others = {} if flight is None else {"flight": flight}
        jobs = [self.model.job_of_rows([row | others] * size, f"id{size}") for size in sizes]
        batch = self.model.run(jobs)
        self.log.add(batch)
        return batch

    def read(self) -> pa.Table:
        """What was logged; ends the log."""
        self.log.close()
        return pq.read_table(self.folder)

    def counted(self, name: str) -> float:
        """A metric."""
        lines = self.metrics.text().decode().splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Logged]:
    """Begins a log of a model of two classes; `changes` to its contract's columns."""

    def go(changes: dict[str, dict[str, Any]] | None = None, **settings: Any) -> Logged:
        model = write("binary", tmp_path / "model.onnx", changes)
        return Logged(model, tmp_path / "log", **settings)

    return go


def test_rows_are_logged_as_they_were_asked_and_answered(begin: Callable[..., Logged]) -> None:
    logged = begin()
    batch = logged.answer(1, 3)
    table = logged.read()
    assert table["_request"].to_pylist() == ["id1", "id3", "id3", "id3"]
    assert table["_row"].to_pylist() == [0, 0, 1, 2]
    assert set(table["_release"].to_pylist()) == {logged.model.version}
    assert table["size"].to_pylist() == [1.0] * 4
    assert table["wet"].null_count == table["colour"].null_count == 4
    assert table["prediction"].to_pylist() == batch.outputs["prediction"].tolist()
    np.testing.assert_allclose(table["probability_true"], batch.outputs["probability"][:, 1])
    assert logged.counted("mlops_log_rows_total") == 4
    moments = table["_time"].to_pandas()
    assert ((pd.Timestamp.now("UTC") - moments) < pd.Timedelta("1 min")).all()


def test_redacted_columns_are_empty(begin: Callable[..., Logged]) -> None:
    logged = begin({"size": {"redact": True}, "colour": {"redact": True}})
    logged.answer(2)
    table = logged.read()
    assert table["size"].null_count == table["colour"].null_count == 2
    assert table["rank"].null_count == 0


def test_a_share_of_the_requests_is_logged_whole(begin: Callable[..., Logged]) -> None:
    logged = begin(log_sample=0.3)
    for _ in range(50):
        logged.answer(1, 2, 3, 4)
    found = logged.read().to_pandas().groupby("_request").size()
    assert 0 < found.sum() < 400
    assert all(rows % int(name.removeprefix("id")) == 0 for name, rows in found.items())


def test_files_are_as_long_as_asked_for(begin: Callable[..., Logged]) -> None:
    logged = begin(log_rows=4)
    for _ in range(5):
        logged.answer(2)
    assert logged.read().num_rows == 10
    assert all(pq.read_metadata(each).num_rows <= 4 for each in logged.folder.rglob("*.parquet"))


def test_rows_wait_for_a_store_that_is_gone(begin: Callable[..., Logged]) -> None:
    logged = begin(log_buffer_rows=5)
    shutil.rmtree(logged.folder)
    logged.folder.touch()  # no folder can be made here
    logged.answer(4)
    while not logged.counted("mlops_log_failures_total"):
        pass
    logged.answer(2)  # no room
    logged.folder.unlink()
    assert logged.read().num_rows == 4
    assert logged.counted("mlops_log_dropped_rows_total") == 2


def test_rows_that_never_found_a_store_are_counted(begin: Callable[..., Logged]) -> None:
    logged = begin()
    shutil.rmtree(logged.folder)
    logged.folder.touch()
    logged.answer(3)
    logged.log.close()
    assert logged.counted("mlops_log_dropped_rows_total") == 3
    assert not list(logged.folder.parent.rglob(".tmp-*"))


def test_a_store_that_fsspec_knows(tmp_path: Path) -> None:
    model = write("multiclass", tmp_path / "model.onnx")
    logged = Logged(model, tmp_path / "x", log_sample=1)
    logged.log.close()
    settings = Settings(model=model, log="memory://log", log_seconds=0.05)
    log = PredictionLog(logged.model, settings, Metrics("r1"), SHARE)
    log.add(logged.model.run([logged.model.job_of_rows(_rows(2), "id")]))
    log.close()
    import fsspec

    files = fsspec.filesystem("memory")
    (path,) = files.glob("/log/*/*.parquet")
    assert pq.read_table(files.open(path)).column_names[-4:] == [
        "prediction",
        "probability_high",
        "probability_low",
        "probability_middle",
    ]


def _rows(count: int) -> list[dict[str, Any]]:
    made_rows = made.rows("multiclass", count)[made.contract("multiclass").features]
    return [dict.fromkeys(map(str, made_rows)) | {"rank": 1, "noise": 0.0}] * count


@pytest.mark.parametrize("address", ["file", "nosuch://store"])
def test_a_log_that_cannot_be_written_is_told_at_once(tmp_path: Path, address: str) -> None:
    (tmp_path / "file").touch()
    model = write("binary", tmp_path / "model.onnx")
    where = address if "://" in address else str(tmp_path / address)
    settings = Settings(model=model, log=where)
    with pytest.raises(InputError, match="MLOPS_LOG"):
        PredictionLog(ServedModel(settings), settings, Metrics("r1"), SHARE)


def test_a_log_that_could_not_write_goes_on(
    begin: Callable[..., Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of memory, say: what it lost is counted, and what comes after is logged."""
    logged, tries = begin(), []

    def add(self: File, fields: Any) -> None:
        tries.append(self)
        if len(tries) == 1:
            raise MemoryError
        whole(self, fields)

    whole = File.add
    monkeypatch.setattr(File, "add", add)
    logged.answer(3)
    wait_for(lambda: logged.counted("mlops_log_dropped_rows_total") == 3, "lost")
    logged.answer(2)
    assert logged.read().num_rows == 2
    assert logged.counted("mlops_log_failures_total") == 1
    assert logged.counted("mlops_log_pass_seconds") > time.time() - 60


def test_rows_wait_for_no_more_memory_than_there_is_for_them(begin: Callable[..., Logged]) -> None:
    logged = begin(share=20_000)
    shutil.rmtree(logged.folder)
    logged.folder.touch()  # no folder can be made here
    for _ in range(40):
        logged.answer(50)
    logged.folder.unlink()
    kept = logged.read().num_rows
    assert kept > 0
    assert kept + logged.counted("mlops_log_dropped_rows_total") == 2000


def test_a_folder_holds_no_more_than_it_may(tmp_path: Path) -> None:
    """The oldest files go, and what is beside them stays."""
    folder = tmp_path / "log"
    other = folder / "feedback" / "labels.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(bytes(3 * 10**6))
    store = open_store(str(folder), keep=2)
    names = [f"2030-01-{day:02}/000000-a-000000.parquet" for day in range(1, 8)]
    for name in names:
        store(name, bytes(600_000))
        there = sorted(folder.glob("2030*/*.parquet"))
        assert sum(each.stat().st_size for each in there) <= 2 * 10**6
    assert [str(each.relative_to(folder)) for each in there] == names[-3:]
    assert other.exists()
    everything = open_store(str(tmp_path / "all"))
    for name in names:
        everything(name, bytes(600_000))
    assert len([*(tmp_path / "all").glob("*/*.parquet")]) == len(names)
