"""Batch scoring: a row for each row in their order, whatever stops it; what is there already is
made again only when its file or the model is another."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from engine import made
from onnx import helper

from mlops import cli
from mlops.errors import CheckError, InputError
from mlops.files import read_json, sha256
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.pipeline.convert import metadata
from mlops.scoring.batch import KEY, Done, batch
from mlops.scoring.predict import Scorer, predict

IN, OUT, MODEL = Path("in"), Path("out"), Path("model.onnx")
# Of 400, 300 and 100 rows, in partitions of 150: 3, 2 and 1 of them.
FILES = {"a.parquet": (400, 0), "b/c.csv": (300, 1), "d.csv.gz": (100, 2)}
PARTITIONS = [*(f"a.parquet/0000{i}" for i in range(3)), "b/c.csv/00000", "b/c.csv/00001"]
PARTITIONS = [f"{name}.parquet" for name in [*PARTITIONS, "d.csv.gz/00000"]]


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # So that a partition takes several batches.
    monkeypatch.setattr("mlops.scoring.predict.BATCH_ROWS", 100)
    Path("data/raw").mkdir(parents=True)
    Path("data/raw/provenance.json").write_text('{"snapshot_sha256": ""}')
    _model("good")
    for name, (count, seed) in FILES.items():
        _write(name, count, seed)


def _model(project: str) -> None:
    converted = to_onnx(made.trained("binary", "boosting"), made.contract("binary"))
    told = metadata(
        made.trained("binary", "boosting"),
        made.params("binary", "boosting"),
        made.contract("binary"),
    )
    helper.set_model_props(converted, told | {"project": json.dumps(project)})
    onnx.save(converted, MODEL)


def _write(name: str, count: int, seed: int) -> None:
    path, rows = IN / name, made.rows("binary", count, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False)


def _run() -> Done:
    return batch(IN, OUT, MODEL, partition_rows=150)


def _times() -> dict[str, int]:
    """When each partition was made."""
    paths = sorted(OUT.rglob("*.parquet"))
    return {p.relative_to(OUT).as_posix(): p.stat().st_mtime_ns for p in paths if p.is_file()}


def _made_again(before: dict[str, int]) -> list[str]:
    return [name for name, time in _times().items() if before.get(name) != time]


def _found() -> pd.DataFrame:
    """All predictions, in the order of the manifest."""
    manifest = read_json(OUT / "_manifest.json")
    return pd.concat(
        [pd.read_parquet(OUT / each["name"]) for each in manifest["partitions"]], ignore_index=True
    )


def _expected() -> pd.DataFrame:
    parts = []
    for name in FILES:
        predict(IN / name, Path("whole.parquet"), OnnxModel(MODEL))
        parts.append(pd.read_parquet("whole.parquet"))
    return pd.concat(parts, ignore_index=True)


def test_rows_are_those_of_predict_in_their_order() -> None:
    assert _run() == Done(800, 6, 6)
    pd.testing.assert_frame_equal(_found(), _expected())
    assert [*_times()] == PARTITIONS


def test_the_folder_can_be_read_as_one_table() -> None:
    _run()
    pd.testing.assert_frame_equal(pd.read_parquet(OUT), _expected())
    for name in ("b.csv", "b-.csv", "b.csv.gz", "B.csv"):
        _write(name, 200, len(name))
    _run()
    pd.testing.assert_frame_equal(pd.read_parquet(OUT), _found())


def test_a_single_file_is_split_too() -> None:
    assert batch(IN / "a.parquet", OUT, MODEL, partition_rows=150) == Done(400, 3, 3)
    predict(IN / "a.parquet", Path("whole.parquet"), OnnxModel(MODEL))
    pd.testing.assert_frame_equal(_found(), pd.read_parquet("whole.parquet"))


def test_the_manifest_proves_it() -> None:
    batch(IN, OUT, MODEL, "2026-01-01-abc", 150)
    manifest = read_json(OUT / "_manifest.json")
    assert manifest["rows"] == 800
    assert [each["rows"] for each in manifest["inputs"]] == [400, 300, 100]
    assert [each["name"] for each in manifest["partitions"]] == PARTITIONS
    expected = {"model_sha256": sha256(MODEL), "project": "good", "release": "2026-01-01-abc"}
    assert {name: manifest[name] for name in expected} == expected
    for each in manifest["inputs"]:
        assert each["sha256"] == sha256(IN / each["name"])
        parts = [p for p in manifest["partitions"] if p["input"] == each["name"]]
        assert [p["before"] for p in parts] == [*range(0, each["rows"], 150)]
        assert sum(p["rows"] for p in parts) == each["rows"]
    for each in manifest["partitions"]:
        read = pq.read_metadata(OUT / each["name"])
        assert each["sha256"] == sha256(OUT / each["name"])
        assert each["rows"] == read.num_rows
        assert expected.items() <= json.loads(read.metadata[KEY]).items()


def test_a_second_run_makes_nothing() -> None:
    _run()
    before, manifest = _times(), (OUT / "_manifest.json").read_bytes()
    assert _run() == Done(800, 6, 0)
    assert _made_again(before) == []
    assert (OUT / "_manifest.json").read_bytes() == manifest


KILLED = """
import os, pathlib, signal, sys
from mlops.scoring import batch, predict
where, left = sys.argv[1], int(sys.argv[2])
owner, name = {
    "scoring": (predict.Scorer, "score"),
    "writing": (batch, "_facts"),
    "renaming": (pathlib.Path, "replace"),
}[where]
predict.BATCH_ROWS = 70
real = getattr(owner, name)
def counted(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
setattr(owner, name, counted)
batch.batch(pathlib.Path("in"), pathlib.Path("out"), pathlib.Path("model.onnx"), None, 150)
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["scoring", "writing", "renaming"])
def test_a_killed_run_goes_on_where_it_was(where: str) -> None:
    # 14 batches; 6 checks of what is there, 6 of what was written; 6 partitions and the manifest.
    left = random.randrange({"scoring": 14, "writing": 12, "renaming": 7}[where])
    done = subprocess.run([sys.executable, "-c", KILLED, where, str(left)], check=False)
    assert done.returncode == -signal.SIGKILL, left
    assert not (OUT / "_manifest.json").exists()
    there = {name: time for name, time in _times().items() if not name.count(".tmp-")}
    assert [*there] == PARTITIONS[: len(there)]
    assert _run() == Done(800, 6, 6 - len(there)), left
    assert _made_again(there) == PARTITIONS[len(there) :]
    pd.testing.assert_frame_equal(_found(), _expected())
    assert [*OUT.rglob(".tmp-*")] == []


def test_only_a_changed_file_is_scored_again() -> None:
    _run()
    before = _times()
    _write("b/c.csv", 300, 7)
    assert _run() == Done(800, 6, 2)
    assert _made_again(before) == PARTITIONS[3:5]
    pd.testing.assert_frame_equal(_found(), _expected())


def test_another_model_or_release_scores_all_again() -> None:
    _run()
    _model("other")
    assert _run() == Done(800, 6, 6)
    assert batch(IN, OUT, MODEL, "r1", 150) == Done(800, 6, 6)
    assert batch(IN, OUT, MODEL, "r1", 150) == Done(800, 6, 0)
    assert batch(IN, OUT, MODEL, "r1", 200) == Done(800, 5, 4)  # d.csv.gz is as before
    assert len(_times()) == 5


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b[:99] + b"x" + b[100:]])
def test_a_damaged_partition_is_made_again(change: Any) -> None:
    _run()
    before, hurt = _times(), OUT / PARTITIONS[3]
    hurt.write_bytes(change(hurt.read_bytes()))
    assert _run() == Done(800, 6, 1)
    assert _made_again(before) == [PARTITIONS[3]]
    pd.testing.assert_frame_equal(_found(), _expected())


def test_a_partition_with_too_few_rows_is_made_again() -> None:
    _run()
    (OUT / "_manifest.json").unlink()
    short = pq.ParquetFile(OUT / PARTITIONS[3]).read()
    pq.write_table(short.slice(1), OUT / PARTITIONS[3])
    assert KEY in pq.read_metadata(OUT / PARTITIONS[3]).metadata
    assert _run() == Done(800, 6, 1)
    pd.testing.assert_frame_equal(_found(), _expected())


def test_there_is_no_manifest_when_something_is_missing() -> None:
    _run()
    (IN / "a.parquet").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"in/a\.parquet: not readable"):
        _run()
    assert not (OUT / "_manifest.json").exists()
    assert [*_times()] == PARTITIONS[3:]


def test_a_file_without_rows_has_no_partition() -> None:
    (IN / "b/empty.csv").write_text(",".join(made.rows("binary").columns) + "\n")
    made.rows("binary").head(0).to_parquet(IN / "none.parquet")
    assert _run() == Done(800, 6, 6)
    inputs = read_json(OUT / "_manifest.json")["inputs"]
    assert {e["name"]: e["rows"] for e in inputs} == {
        "a.parquet": 400,
        "b/c.csv": 300,
        "b/empty.csv": 0,
        "d.csv.gz": 100,
        "none.parquet": 0,
    }


def test_what_was_made_of_a_file_goes_with_it() -> None:
    _run()
    (IN / "a.parquet").unlink()
    assert _run() == Done(400, 3, 0)
    assert [*_times()] == PARTITIONS[3:]


def test_a_broken_file_is_told_and_the_others_are_done() -> None:
    whole = (IN / "a.parquet").read_bytes()
    (IN / "a.parquet").write_bytes(whole[:-20])
    rows = made.rows("binary", 300, 1)
    rows.assign(noise=rows["noise"].where(rows.index != 200)).to_csv(IN / "b/c.csv", index=False)
    with pytest.raises(InputError) as raised:
        _run()
    first, second = str(raised.value).splitlines()
    assert first.startswith("in/a.parquet: not readable, is it whole?")
    assert second.startswith("in/b/c.csv: row 201, column noise: missing")
    assert [*_times()] == [PARTITIONS[3], PARTITIONS[5]]
    assert not (OUT / "_manifest.json").exists()
    (IN / "a.parquet").write_bytes(whole)
    _write("b/c.csv", 300, 1)
    assert _run() == Done(800, 6, 5)  # d.csv.gz is done; the mended file is another one
    pd.testing.assert_frame_equal(_found(), _expected())


def test_a_file_with_several_broken_partitions_is_one_line() -> None:
    rows = made.rows("binary", 400).drop(columns="rank")
    rows.to_parquet(IN / "a.parquet")
    with pytest.raises(InputError) as raised:
        _run()
    assert len(str(raised.value).splitlines()) == 1
    assert "in/a.parquet has no column rank" in str(raised.value)
    assert "(and 2 more of its partitions)" in str(raised.value)


def test_a_file_that_changes_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Scorer.score

    def score(self: Scorer, read: Any, before: int) -> Any:
        os.utime(IN / "d.csv.gz")
        return real(self, read, before)

    monkeypatch.setattr(Scorer, "score", score)
    with pytest.raises(InputError, match=r"in/d\.csv\.gz: was changed meanwhile; run this again"):
        _run()
    assert [*_times()] == PARTITIONS[:5]


def test_two_at_once_are_refused() -> None:
    OUT.mkdir()
    held = os.open(OUT, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(CheckError, match="out: another batch writes there"):
            _run()
    finally:
        os.close(held)
    assert _run() == Done(800, 6, 6)


def test_a_folder_with_something_else_is_left_alone() -> None:
    _run()
    (IN / "a.parquet").unlink()
    predict(IN / "d.csv.gz", OUT / "mine.parquet", OnnxModel(MODEL))
    before = _times()
    with pytest.raises(InputError, match=r"out/mine\.parquet: nothing of `mlops batch`"):
        _run()
    assert _times() == before
    assert (OUT / "_manifest.json").exists()


def test_places_that_cannot_be_are_refused() -> None:
    for target in (IN, IN / "scored"):
        with pytest.raises(InputError, match="would be scored the next time"):
            batch(IN, target, MODEL)
    with pytest.raises(InputError, match=r"model\.onnx: is a file; give a folder"):
        batch(IN, MODEL, MODEL)
    with pytest.raises(InputError, match="there: no such file or folder"):
        batch(Path("there"), OUT, MODEL)
    Path("nothing").mkdir()
    with pytest.raises(InputError, match="nothing: the folder holds no"):
        batch(Path("nothing"), OUT, MODEL)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "error: in/b/c.csv: row 201, column noise: missing"),
        (["--environment", "prod"], "error: --model or --environment: give one of them"),
    ],
)
def test_the_command_tells_in_a_line(
    options: list[str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = made.rows("binary", 300, 1)
    rows.assign(noise=rows["noise"].where(rows.index != 200)).to_csv(IN / "b/c.csv", index=False)
    command = ["mlops", "batch", "in", "out", "--model", "model.onnx", *options]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(line)
