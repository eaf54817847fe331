"""What a client sends takes no more memory than there is for it, and leaves none taken."""

import asyncio
import gc
import gzip
import json
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from engine.serving.attacks.cage import Cage, cage
from serving.running import Answer, Server, Wire, encode, request, wait_for

from mlops.serving import budget, protocol
from mlops.serving.budget import Held
from mlops.serving.http import JSON, Connection, Limits, Request, Respond, Response, Site

Start = Callable[..., Server]
MIB = 2**20
MEMORY = 512


@pytest.fixture
def caged() -> Iterator[Cage]:
    with cage(MEMORY) as found:
        yield found


def rss(process: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s*(\d+)", status)
    assert found is not None
    return int(found[1]) * 1024


def test_closed_connections_keep_nothing_without_the_collector() -> None:
    """Of whatever request, and at whatever point it was left."""
    made = weakref.WeakSet[Connection]()

    def answer(request: Request, respond: Respond) -> None:
        respond(Response(200, JSON, b"{}"))

    async def ask() -> None:
        loop, held = asyncio.get_running_loop(), Held(64 * MIB)
        site = Site(answer, print, lambda path, headers: "", Limits(16 * MIB, 20, 75, 99), held)

        def connect() -> Connection:
            connection = Connection(site)
            made.add(connection)
            return connection

        server = await loop.create_server(connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        whole = request("/predict", bytes(MIB))
        for data in [whole, whole[:-9], whole * 3, whole[:40], b"", b"no request\r\n\r\n"]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            await writer.drain()
            if data.startswith(whole):
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
        while site.connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert held.bytes == 0
        server.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
        assert len(made) == 0
    finally:
        gc.enable()


def test_new_connections_for_each_call_take_no_more_each_time(start: Start) -> None:
    server = start(memory=MEMORY)
    body = encode([server.example() | {"none": "x" * 1000}] * 300)
    sizes = []
    for _ in range(3):
        for _ in range(40):
            assert server.ask("/predict", body).status == 200
        sizes.append(rss(server.process.pid))
    assert sizes[2] < sizes[0] + 20 * MIB


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'[{"":"' + b"x" * 4 * MIB + b'"}]', 400),  # read, and no row of the contract
        (b'[{"":"' + b"x" * 4 * MIB, 400),  # no JSON
        (b'{"colour":"' + b"x" * 4 * MIB + b'"}', 400),
        (b"[" + b"[]," * MIB + b"[]]", 400),
        (b"[" + b"0," * (7 * MIB) + b"0]", 413),
    ],
    ids=["no row", "no JSON", "long", "lists", "too much"],
)
def test_refused_bodies_are_kept_by_nothing(start: Start, body: bytes, status: int) -> None:
    """What was wrong with one is told, and not kept until Python's collector looks."""
    server = start(memory=MEMORY)
    for _ in range(3):
        assert server.ask("/predict", body).status == status
    before = rss(server.process.pid)
    for _ in range(20):
        assert server.ask("/predict", body).status == status
    assert rss(server.process.pid) < before + 30 * MIB


@pytest.mark.parametrize(
    "text",
    [
        "[" + ",".join(["[]"] * 50_000) + "]",
        "[" + ",".join(["{}"] * 50_000) + "]",
        "[" + ",".join(['{"":1}'] * 50_000) + "]",
        "[" + ",".join(['{"a":1,"b":[2]}'] * 30_000) + "]",
        "{" + ",".join(f'"k{i}":{i}.5' for i in range(30_000)) + "}",
        "[" + ",".join(["1.5"] * 80_000) + "]",
        "[" + ",".join(["70000"] * 80_000) + "]",
        "[" + ",".join(['"ab"'] * 80_000) + "]",
        '["' + "a" * 500_000 + '\U0001f600"]',
        '["' + "a" * 500_000 + '\\ud83d\\ude00"]',
        "[" + ",".join(['"\\u00fc\\u4e2d"'] * 30_000) + "]",
    ],
    ids=lambda text: text[:12],
)
def test_decoding_takes_no_more_than_is_taken_for_it(text: str) -> None:
    """Counted by the allocator itself."""
    import tracemalloc

    import msgspec

    for body in [text.encode(), text.encode()[: budget.SMALL] if text[1] == "[" else text.encode()]:
        tracemalloc.start()
        with suppress(msgspec.DecodeError):  # cut off: what it had come to by then counts as well
            kept = msgspec.json.decode(body)
            assert kept is not None
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < protocol.cost(body) + 100_000


def _lists(name: str) -> bytes:
    return request(f"/v2/models/{name}/infer", b'{"inputs":[{"name":"size","datatype":"FP32",'
                   b'"shape":[1],"data":[' + b"[]," * (5 * MIB) + b"[]]}]}")  # fmt: skip


def _numbers(name: str) -> bytes:
    return request("/predict", b"[" + b"0," * (7 * MIB) + b"0]")


def _texts(name: str) -> bytes:
    text = b'"' + b"a" * (15 * MIB) + '\U0001f600"'.encode()
    return request("/predict", b'[{"colour":' + text + b"}]")


def _objects(name: str) -> bytes:
    return request("/predict", b"[" + b'{"":1},' * (2 * MIB) + b"{}]")


def _chunks(name: str) -> bytes:
    head = b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"2\r\n[]\r\n" * (MIB // 2)


def _unfinished(name: str) -> bytes:
    return request("/predict", bytes(15 * MIB))[:-1]


def _binary(name: str) -> bytes:
    count = 15 * MIB // 5
    tensor = {"name": "colour", "datatype": "BYTES", "shape": [count]}
    head = encode({"inputs": [tensor | {"parameters": {"binary_data_size": 5 * count}}]})
    headers = {"inference-header-content-length": str(len(head))}
    return request(f"/v2/models/{name}/infer", head + b"\1\0\0\0a" * count, headers=headers)


def _bomb(name: str) -> bytes:
    return request("/predict", _packed(), headers={"content-encoding": "gzip"})


@cache
def _packed() -> bytes:
    return gzip.compress(b"[" + b"[]," * (64 * MIB // 3), 6)


def _pipeline(name: str) -> bytes:
    return b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n" * 20_000


def _headers(name: str) -> bytes:
    return b"GET /v2 HTTP/1.1\r\nhost: a\r\n" + b"".join(b"h%d:\r\n" % i for i in range(6000))


ATTACKS = [
    _lists, _numbers, _texts, _objects, _chunks, _unfinished, _binary, _bomb, _pipeline, _headers,
]  # fmt: skip


class Crowd:
    """Attackers, each in a thread, over and over again until told to stop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self.statuses = set[int]()
        self.failures = list[BaseException]()

    def attack(self, data: bytes, reads: bool) -> None:
        """Send, and read the answer or leave it there."""
        while not self._stop.is_set():
            try:
                with Wire(self._server.host, self._server.port) as wire:
                    wire.socket.settimeout(10)
                    with suppress(TimeoutError, OSError):
                        wire.socket.sendall(data)
                    answer = self._answer(wire) if reads else None
                    if answer is not None:
                        self.statuses.add(answer.status)
                    else:
                        self._stop.wait(0.5)
            except OSError:
                self._stop.wait(0.05)
            except BaseException as error:
                self.failures.append(error)
                raise

    @staticmethod
    def _answer(wire: Wire) -> Answer | None:
        with suppress(OSError):
            return wire.answer()
        return None

    def stop(self) -> None:
        """Tell them to stop."""
        self._stop.set()


@contextmanager
def crowd(server: Server) -> Iterator[Crowd]:
    """All attackers together; every other one never reads what it is answered."""
    found = Crowd(server)
    threads = [
        threading.Thread(target=found.attack, args=(attack(server.name), i % 2 == 0), daemon=True)
        for i, attack in enumerate(ATTACKS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stop()
        for thread in threads:
            thread.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_worst_requests_together_kill_nothing(
    caged: Cage, start: Start, workers: int, tmp_path: Path
) -> None:
    """Within 512 MB that the kernel enforces; others are served meanwhile."""
    server = start(caged, memory=MEMORY, workers=workers, log=tmp_path / "log", receive_seconds=3)
    row, answered = server.example(), 0
    with crowd(server) as attackers:
        for _ in range(30):
            # Each within the time that a usual client has, whatever else goes on.
            with server.wire() as wire:
                wire.send(request("/v2/health/live"))
                health = wire.answer()
                assert health is not None
                assert health.status in (200, 503)
            with server.wire() as wire:
                wire.send(request("/predict", row))
                answer = wire.answer()
                assert answer is not None
                assert answer.status in (200, 503), answer
                answered += answer.status == 200
    assert attackers.failures == []
    assert attackers.statuses <= {200, 400, 408, 413, 431, 503}
    assert attackers.statuses >= {413}
    assert answered >= 20
    assert caged.killed == 0
    assert server.process.poll() is None
    assert server.predict(row)
    assert "MemoryError" not in server.told()


@pytest.mark.slow
def test_a_server_that_counts_on_more_than_there_is_would_be_killed(
    caged: Cage, start: Start
) -> None:
    """What the attacks are worth: without the bound they are the end of it."""
    server = start(caged, memory=64 * MEMORY, receive_seconds=3)
    with crowd(server):
        wait_for(lambda: caged.killed, "killed")


def test_memory_that_is_too_little_is_told(model: Path, start: Start) -> None:
    with pytest.raises(AssertionError, match=r"64 MB of memory are too little .* need \d+ MB"):
        start(memory=64)


def test_what_is_taken_is_given_back(start: Start) -> None:
    server = start(memory=MEMORY)
    row = server.example()
    for attack in ATTACKS:
        with suppress(OSError), server.wire() as wire:
            wire.socket.settimeout(1)
            wire.send(attack(server.name))
    for _ in range(20):
        server.predict(row)

    def left() -> bool:
        return server.metric("mlops_request_memory_bytes") < 200_000

    wait_for(left, "given back")


def test_shares_add_up() -> None:
    for limit in (256, 512, 4096):
        for workers in (1, 2, 8):
            used, own = 90 * MIB, 3 * MIB
            if limit * MIB < used + workers * (budget.WORKER + own + budget.LEAST):
                continue
            found = budget.Budget.of(limit * MIB, used, workers, own)
            worker = found.requests + found.log + budget.WORKER + own
            assert used + workers * worker <= limit * MIB
            # What a request's body is copied to while it grows, and an answer on its way.
            assert used + workers * (worker + (found.requests + found.log) // 3) <= limit * MIB


def test_memory_of_a_large_request_is_told(start: Start) -> None:
    server = start(memory=160)
    answer = server.ask("/predict", b"[" + b"[]," * 500_000 + b"[]]")
    assert answer.status == 413
    assert json.loads(answer.body)["error"].startswith("the request may take ")
