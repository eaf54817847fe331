"""A server's life: what it refuses to start with, how it stops, what it survives."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from pipeline.running import OWN, Project, Reproduced, one_line
from serving.conftest import Start
from serving.running import (
    COMMAND,
    Answer,
    Server,
    alive,
    kill,
    request,
    serving,
    wait_for,
)

# Own steps that take as long as a request's rows: a thousandth of a second each.
SLOW = """
import time
def before(inputs):
    time.sleep(len(next(iter(inputs.values()))) / 1000)
    return inputs
"""
LARGE = 400  # rows; requests of 256 and more are put in a queue


@pytest.fixture(scope="session")
def slow(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose model takes its time."""
    found = project.copy(tmp_path_factory.mktemp("slow") / "project")
    found.append(f"{OWN}/hooks.py", SLOW)
    return found


@dataclass
class Crowd:
    """Clients that ask one request after the other until the server is no more ready.

    Each keeps its connection until it is told that it closes; that is what a proxy does.
    """

    server: Server
    body: bytes
    sent: int = 0
    answers: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    turned: bool = False

    async def one(self) -> None:
        """One client."""
        while not self.turned:
            reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
            stays = True
            while stays and not self.turned:
                writer.write(self.body)
                self.sent += 1
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                    await reader.readexactly(size)
                except (OSError, EOFError) as error:
                    self.lost.append(repr(error))
                    break
                self.answers.append(int(head.split()[1]))
                stays = b"connection: close" not in head
            writer.close()

    async def balance(self) -> None:
        """Look whether the server is ready, and have all turn to another one when it is not."""
        loop = asyncio.get_running_loop()
        while not self.turned:
            answer = await loop.run_in_executor(None, self.server.ask, "/v2/health/ready")
            self.turned = answer.status == 503
            await asyncio.sleep(0.02)

    async def all(self, clients: int, stop: Callable[[], None]) -> None:
        """Have clients ask, and stop the server when all of them have got answers."""
        tasks = [asyncio.create_task(self.one()) for _ in range(clients)]
        while len(self.answers) < 10 * clients:
            await asyncio.sleep(0.01)
        stop()
        await asyncio.gather(self.balance(), *tasks)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_no_request(start: Start, workers: int) -> None:
    server = start("--workers", str(workers), drain_seconds=5)
    crowd = Crowd(server, request("/predict", server.example()))
    asyncio.run(crowd.all(16, lambda: server.signal(signal.SIGTERM)))
    assert server.wait() == 0
    assert crowd.lost == []
    assert crowd.answers == [200] * crowd.sent
    assert server.told() == ""


def test_draining_server_answers_and_says_that_it_leaves(start: Start) -> None:
    server = start(drain_seconds=60)
    row = server.example()
    with server.wire() as kept, server.wire() as new:
        kept.send(request("/predict", row))
        assert kept.answer() is not None
        server.signal(signal.SIGTERM)
        wait_for(lambda: server.ask("/v2/health/ready").status == 503, "not ready")
        assert server.ask("/v2/health/ready").json == {"name": server.name, "ready": False}
        assert server.get("/v2/health/live") == {"live": True}
        for wire in (kept, new):
            wire.send(request("/predict", row))
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200
            assert answer.last
            assert wire.ended()
    assert server.process.poll() is None
    server.signal(signal.SIGTERM)  # for whom it takes too long
    assert server.wait() == 0
    assert server.told() == ""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_requests_under_way_are_finished(
    start: Start, slow: Project, sig: signal.Signals, workers: int
) -> None:
    server = start("--workers", str(workers), of=slow)
    with server.wire() as wire, server.wire() as idle:
        idle.send(request("/v2"))
        assert idle.answer() is not None
        wire.send(request("/predict", [server.example()] * LARGE))
        wait_for(lambda: server.metric("mlops_waiting_rows") == LARGE, "waiting")
        server.signal(sig)
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 200
        assert len(answer.json["predictions"]) == LARGE
        assert answer.last
        assert wire.ended()
        assert idle.ended()
    assert server.wait() == 0
    assert server.told() == ""


def test_stop_has_an_end(start: Start, slow: Project) -> None:
    """What was not begun in time is given up, and clients that send too slowly are."""
    server = start(of=slow, stop_seconds=0.1)
    wires = [server.wire() for _ in range(8)]
    half, *whole = wires
    half.send(b"POST /predict HTTP/1.1\r\n")
    for wire in whole:
        wire.send(request("/predict", [server.example()] * 500))
    wait_for(lambda: server.metric("mlops_waiting_rows") == 3500, "waiting")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    answers = [wire.answer() for wire in wires]
    assert answers[0] is None
    assert sum(answer is not None for answer in answers) < 3
    for wire in wires:
        wire.__exit__()
    assert server.told() == ""


def has_workers(server: Server, least: int) -> bool:
    return len(server.workers()) >= least


def none_alive(processes: set[int]) -> bool:
    return not any(map(alive, processes))


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_stops_at_any_moment_of_its_start(
    project: Project, tmp_path: Path, sig: signal.Signals, workers: str
) -> None:
    for moment in range(6):
        with serving(project, tmp_path, "--workers", workers, ready=False) as server:
            if workers == "2":
                wait_for(partial(has_workers, server, moment // 2), "workers")
            children = server.workers()
            server.signal(sig)
            assert server.wait() in (0, -sig, 130), server.told()
            assert "Traceback" not in server.told()
            wait_for(partial(none_alive, children), "no worker left")


def test_killed_worker_is_replaced(start: Start) -> None:
    server = start("--workers", "2")
    row = server.example()
    for _ in range(20):
        server.predict(row)
    asked = server.metric("mlops_requests_total", path="/predict")
    assert asked == 20
    workers = server.workers()
    assert len(workers) == 2
    killed = min(workers)
    kill(killed)
    wait_for(lambda: len(server.workers() - {killed}) == 2, "a new worker")
    assert f"worker {killed} ended with -9; starting another" in server.told()
    for _ in range(20):
        server.predict(row)
    assert server.metric("mlops_requests_total", path="/predict") == asked + 20
    assert server.metric("mlops_waiting_rows") == 0


def sockets(process: int) -> int:
    """Return how many sockets a process has open."""
    return sum(
        str(each.readlink()).startswith("socket:") for each in Path(f"/proc/{process}/fd").iterdir()
    )


def settled_sockets(process: int) -> int:
    """How many sockets a process has, once those of earlier requests are closed."""
    found = -1
    while found != (again := sockets(process)):
        found = again
        time.sleep(0.5)
    return found


def test_clients_of_other_workers_notice_nothing(start: Start) -> None:
    """Connections are a worker's own: only those of the one that is killed break."""
    server = start("--workers", "2")
    body = request("/predict", server.example())
    killed, other = server.workers()
    before = settled_sockets(other)
    wires = [server.wire() for _ in range(40)]
    for wire in wires:
        wire.send(body)
        assert wire.answer() is not None
    kept = settled_sockets(other) - before
    kill(killed)
    answered = 0
    for wire in wires:
        wire.send(body)
        answer = wire.answer()
        answered += answer is not None and answer.status == 200
        wire.__exit__()
    assert answered == kept


def test_workers_end_with_their_parent(start: Start) -> None:
    """What is left of them would keep the port from the next one."""
    server = start("--workers", "2")
    workers = server.workers()
    kill(server.process.pid)
    wait_for(partial(none_alive, workers), "no worker left")


def test_workers_that_cannot_start_end_the_server(
    small: Reproduced, project: Project, tmp_path: Path
) -> None:
    broken = project.copy(tmp_path / "project")
    broken.append(
        f"{OWN}/hooks.py",
        "import os\nos.register_at_fork(after_in_child=lambda: os._exit(7))",
    )
    done = broken.run(*COMMAND, "--workers", "2", code=1)
    *log, last = done.stderr.splitlines()
    assert last == "error: workers end as soon as they start; see the log above"
    assert all("ended with 7; starting another" in line for line in log)


def test_broken_steps_of_ones_own_are_told_at_the_start(project: Project, tmp_path: Path) -> None:
    broken = project.copy(tmp_path / "project")
    broken.append(f"{OWN}/hooks.py", "def before(inputs): return inputs['speed']")
    assert "KeyError: 'speed'" in one_line(broken.run(*COMMAND, code=1))


def test_connections_beyond_the_bound_are_told_to_come_back(start: Start) -> None:
    server = start(connections=4)
    kept = [server.wire() for _ in range(4)]
    for wire in kept:
        wire.send(request("/v2"))
        assert wire.answer() is not None
    with server.wire() as wire:
        answer = wire.answer()
        assert_busy(answer)
        assert wire.ended()
    kept.pop().__exit__()
    wait_for(lambda: server.ask("/v2").status == 200, "room for one more")
    for wire in kept:
        wire.send(request("/v2"))
        assert wire.answer() is not None
        wire.__exit__()
    assert server.told() == ""


def assert_busy(answer: Answer | None) -> None:
    assert answer is not None
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json.keys() == {"error"}


def test_rows_beyond_the_queue_are_told_to_come_back(start: Start, slow: Project) -> None:
    """Every request gets an answer, and what the queue has taken is finished."""
    server = start(of=slow, queue_rows=2 * LARGE)
    rows = [server.example()] * LARGE
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(server.ask, "/predict", rows) for _ in range(6)]
        answers = [each.result() for each in asked]
    good = [answer for answer in answers if answer.status == 200]
    busy = [answer for answer in answers if answer.status != 200]
    assert len(good) >= 2
    assert busy
    for answer in busy:
        assert_busy(answer)
    wait_for(lambda: server.metric("mlops_waiting_rows") == 0, "none waiting")
    assert server.ask("/predict", rows).status == 200
    assert server.metric("mlops_requests_total", path="/predict", status="503") == len(busy)


def test_large_request_does_not_keep_small_ones_waiting(start: Start, slow: Project) -> None:
    server = start(of=slow)
    row = server.example()
    with server.wire() as wire:
        wire.send(request("/predict", [row] * 5000))
        wait_for(lambda: server.metric("mlops_waiting_rows") == 5000, "waiting")
        server.predict(row)
        assert server.metric("mlops_waiting_rows") == 5000
    server.process.kill()
