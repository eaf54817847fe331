"""The prediction log: what was asked is in it, whatever happens to the server or to the store."""

from __future__ import annotations

import random
import resource
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pipeline.running import OWN, Project
from serving.conftest import Start
from serving.running import Row, Server, kill, request, serving, wait_for

READ = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
rows = []
for path in sorted(Path(sys.argv[1]).rglob("*.parquet")):
    if not path.name.startswith("."):
        rows += pq.read_table(path).to_pylist()
print(json.dumps(rows, default=str))
"""
NUMBERS = {"distance": 100.0, "hour": 0.0, "day_of_week": 1.0, "month": 1.0, "seats": 1.0}


def read(project: Project, log: Path) -> list[Row]:
    """Return the rows of a log, as pyarrow reads it."""
    rows: list[Row] = project.python(READ, str(log))
    return rows


def files(log: Path) -> list[Path]:
    """Return a log's files, but those that are not whole yet."""
    return [path for path in log.rglob("*.parquet") if not path.name.startswith(".")]


def rows_like(example: Row, many: int, chance: random.Random) -> list[Row]:
    """Return rows that are all different, with something missing here and there."""
    return [
        example
        | {name: low + chance.randrange(7) for name, low in NUMBERS.items()}
        | {"temp": chance.choice([None, 33.5]), "engine": chance.choice([None, "", "Turbo-é✈"])}
        | {"weekend": chance.random() < 0.5, "carrier": f"C{chance.randrange(20)}"}
        | {"flight_id": f"{chance.getrandbits(64):x}", "time_hour": "2013-01-01T05:00:00Z"}
        for _ in range(many)
    ]


def test_log_has_what_was_asked_and_answered(
    start: Start, project: Project, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    server = start("--log", str(log), release="r-1", log_seconds=0.3)
    began = datetime.now(UTC)
    example, chance = server.example(), random.Random(0)  # noqa: S311
    asked: dict[str, tuple[list[Row], list[Row]]] = {}
    for i in range(40):
        rows = rows_like(example, chance.choice([1, 2, 30, 300]), chance)
        if i % 2:
            answer = server.ask("/predict", rows).json
            asked[answer["id"]] = rows, answer["predictions"]
        else:
            body = {"id": f"request-{i}", "inputs": server.tensors(rows)}
            outputs = {
                each["name"]: each["data"]
                for each in server.ask(server.infer, body).json["outputs"]
            }
            pairs = iter(outputs["probability"])
            predictions = [
                {"prediction": said, "probability": {"false": next(pairs), "true": next(pairs)}}
                for said in outputs["prediction"]
            ]
            asked[f"request-{i}"] = rows, predictions
    assert server.ask("/predict", [example | {"origin": "XXX"}]).status == 400
    wait_for(lambda: files(log), "a file before the end")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    logged = read(project, log)
    assert len(logged) == sum(len(rows) for rows, _ in asked.values())
    by_request: dict[str, list[Row]] = {}
    for row in logged:
        by_request.setdefault(row["_request"], []).append(row)
    assert by_request.keys() == asked.keys()
    for id_, (rows, predictions) in asked.items():
        for i, (found, row, said) in enumerate(
            zip(by_request[id_], rows, predictions, strict=True)
        ):
            assert found["_row"] == i
            assert found["_release"] == "r-1"
            time = datetime.fromisoformat(found["_time"])
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
            assert began - timedelta(seconds=1) < time < datetime.now(UTC)
            assert {name: found[name] for name in row} == row | {"engine": row["engine"] or None}
            assert found["prediction"] == said["prediction"]
            for label, probability in said["probability"].items():
                assert found[f"probability_{label}"] == pytest.approx(probability, abs=1e-6)


def ask_all(server: Server, many: int, rows: int = 1) -> None:
    """Ask so many requests, four at a time."""
    body = [server.example()] * rows
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: server.ask("/predict", body), range(many)):
            assert answer.status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_loses_no_row(start: Start, project: Project, tmp_path: Path, workers: int) -> None:
    log = tmp_path / "log"
    server = start("--workers", str(workers), "--log", str(log))  # log_seconds: none by itself
    ask_all(server, 100)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.told() == ""
    assert len({row["_request"] for row in read(project, log)}) == 100


# The kernel ends a process that writes more than it may, where Python would get an error.
MORTAL = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)"


def test_death_while_writing_leaves_only_whole_files(
    start: Start, project: Project, tmp_path: Path
) -> None:
    log, mortal = tmp_path / "log", project.copy(tmp_path / "project")
    mortal.append(f"{OWN}/hooks.py", MORTAL)
    server = start("--log", str(log), of=mortal, log_seconds=0.1)
    ask_all(server, 10)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 10, "written")
    body = [server.example()] * 500
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (2000, most))
    assert server.ask("/predict", body).status == 200
    assert server.wait() == -signal.SIGXFSZ
    assert len(read(project, log)) == 10
    (half,) = {path for path in log.rglob("*") if path.is_file()} - set(files(log))
    assert half.stat().st_size == 2000


def test_kill_loses_only_what_was_not_written(
    start: Start, project: Project, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    server = start("--log", str(log), log_seconds=0.1)
    ask_all(server, 10)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 10, "written")
    kill(server.process.pid)
    server.wait()
    assert len(read(project, log)) == 10


def test_killed_worker_leaves_only_whole_files(
    start: Start, project: Project, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    server = start("--workers", "2", "--log", str(log), log_seconds=0.05)
    ask_all(server, 40)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 40, "all of them written")
    kill(min(server.workers()))
    assert len(read(project, log)) == 40
    wait_for(lambda: len(server.workers()) == 2, "a new worker")
    ask_all(server, 10)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 50, "the others written")
    assert len(read(project, log)) == 50


REDACT = """
import json, sys, onnx
model = onnx.load("models/model.onnx")
(fact,) = [each for each in model.metadata_props if each.key == "contract"]
contract = json.loads(fact.value)
for name in sys.argv[2:]:
    contract["columns"][name]["redact"] = True
fact.value = json.dumps(contract)
onnx.save(model, sys.argv[1])
print("null")
"""


def test_redacted_columns_are_empty(start: Start, project: Project, tmp_path: Path) -> None:
    log, model = tmp_path / "log", tmp_path / "model.onnx"
    redacted = {"carrier", "distance", "weekend", "flight_id"}
    project.python(REDACT, str(model), *redacted)
    server = start("--log", str(log), "--model", str(model))
    rows = rows_like(server.example(), 20, random.Random(1))  # noqa: S311
    server.predict(*rows)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    logged = read(project, log)
    assert len(logged) == 20
    for found, row in zip(logged, rows, strict=True):
        assert all(found[name] is None for name in redacted)
        assert found["dest"] == row["dest"]
        assert found["prediction"] is not None
    (file,) = files(log)
    assert rows[0]["flight_id"].encode() not in file.read_bytes()


def test_sample_is_of_whole_requests(start: Start, project: Project, tmp_path: Path) -> None:
    found = {}
    for share in (0, 0.3, 1):
        log = tmp_path / f"log-{share}"
        server = start("--log", str(log), log_sample=share)
        ask_all(server, 300, rows=3)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        rows = read(project, log)
        requests = {row["_request"] for row in rows}
        assert len(rows) == 3 * len(requests)
        found[share] = len(requests)
    assert found[0] == 0
    assert 40 < found[0.3] < 140  # six standard deviations from 90
    assert found[1] == 300


def test_no_log_by_default(start: Start, tmp_path: Path) -> None:
    server = start()
    ask_all(server, 3)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert list(tmp_path.rglob("*.parquet")) == []


def test_requests_go_on_while_the_store_is_gone(
    start: Start, project: Project, tmp_path: Path
) -> None:
    """Rows wait as far as there is room, are counted beyond it, and are written in the end."""
    log, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
    server = start("--log", str(log), log_seconds=0.1, log_buffer_rows=50, log_rows=20)
    ask_all(server, 10)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 10, "written")
    log.rename(elsewhere)
    log.write_text("in the way")
    ask_all(server, 80)
    wait_for(lambda: server.metric("mlops_log_failures_total") >= 2, "failures counted")
    assert server.metric("mlops_log_dropped_rows_total") == 30
    assert server.metric("mlops_log_rows_total") == 10
    assert "the prediction log cannot be written, rows wait" in server.told()
    log.unlink()
    wait_for(lambda: server.metric("mlops_log_rows_total") == 60, "written once it is back")
    assert all(len(read(project, path)) <= 20 for path in log.iterdir() if path.is_file())
    ask_all(server, 5)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert len(read(project, log)) == 55
    assert len(read(project, elsewhere)) == 10


def test_failing_store_is_not_tried_with_every_request(start: Start, tmp_path: Path) -> None:
    """Else the attempts would take the time of requests."""
    log = tmp_path / "log"
    server = start("--log", str(log), log_seconds=1, log_rows=5)
    shutil.rmtree(log)
    log.write_text("in the way")
    ask_all(server, 400)
    told = server.told().count("cannot be written")
    assert server.metric("mlops_log_failures_total") < 60, told


def test_server_stops_while_the_store_is_gone(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = start("--log", str(log))
    shutil.rmtree(log)
    log.write_text("in the way")
    ask_all(server, 7)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "7 logged rows are lost" in server.told()


def test_full_store(start: Start, project: Project, tmp_path: Path) -> None:
    """A file that cannot be written to its end; a limit on its size stands for a full disk."""
    log = tmp_path / "log"
    server = start("--log", str(log), log_seconds=0.1)
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (2000, most))
    ask_all(server, 10, rows=30)
    wait_for(lambda: server.metric("mlops_log_failures_total") >= 2, "failures counted")
    assert files(log) == []
    assert [path.name for path in log.rglob("*.parquet")] == []  # nor what is left of one
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, most))
    wait_for(lambda: server.metric("mlops_log_rows_total") == 300, "written once there is room")
    assert len(read(project, log)) == 300
    assert server.metric("mlops_log_dropped_rows_total") == 0


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_url_of_a_store(start: Start, project: Project, tmp_path: Path, scheme: str) -> None:
    log = tmp_path / "new" / "log"
    server = start("--log", f"{scheme}://{log}", log_seconds=0.1)
    ask_all(server, 5)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 5, "written")
    assert len(read(project, log)) == 5
    assert server.told() == ""


def test_store_that_is_no_folder(start: Start, project: Project, tmp_path: Path) -> None:
    """In memory: what is behind fsspec goes through it."""
    server = start("--log", "memory://log", log_seconds=0.1)
    ask_all(server, 5)
    wait_for(lambda: server.metric("mlops_log_rows_total") == 5, "written")
    assert server.metric("mlops_log_failures_total") == 0


def faketime() -> list[Path]:
    """Return Debian's library that gives a process another wall clock."""
    return list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def has_written(server: Server, rows: int) -> bool:
    return server.metric("mlops_log_rows_total") == rows


@pytest.mark.skipif(not faketime(), reason="needs Debian's package faketime")
def test_wall_clock_that_jumps(project: Project, tmp_path: Path) -> None:
    """Forwards and back: nobody is cut off, and every row is logged, with the time it was told."""
    clock, log = tmp_path / "clock", tmp_path / "log"
    clock.write_text("+0")
    env = {
        "LD_PRELOAD": str(faketime()[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "MLOPS_LOG_SECONDS": "0.1",
        "MLOPS_RECEIVE_SECONDS": "20",
    }
    with serving(project, tmp_path, "--log", str(log), env=env) as server:
        body = [server.example()]
        with server.wire() as kept:
            for i, offset in enumerate(["+0", "+40d", "-40d", "+0"], 1):
                clock.write_text(offset)
                kept.send(request("/v2"))
                assert kept.answer() is not None
                assert server.ask("/predict", body).status == 200
                wait_for(partial(has_written, server, i), "written")
        assert server.metric("mlops_request_seconds_sum", path="/predict") < 20
    assert server.told() == ""
    days = sorted(datetime.fromisoformat(row["_time"]).date() for row in read(project, log))
    assert len(days) == 4
    assert (days[1] - days[0]).days in (39, 40, 41)
    assert (days[3] - days[1]).days in (39, 40, 41)
    assert len({path.parent for path in files(log)}) == 3
