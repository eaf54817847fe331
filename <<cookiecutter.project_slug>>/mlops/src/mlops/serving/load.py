"""A small load test: how many requests a server answers, and how long they take."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit

from ..errors import CheckError
from .client import Client

# After its end: for the answers to requests under way.
LAST_SECONDS = 5.0


@dataclass
class Load:
    """What came of it.

    Attributes:
        seconds: how long it went on.
        took: seconds that each answered request took.
        statuses: how many answers there were by HTTP status.
        broken: connections that ended without an answer.
    """

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    def percentile(self, share: float) -> float:
        """The time, in seconds, below which this share of the answers lies."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def load(
    url: str,
    connections: int,
    seconds: float,
    rows: int,
    progress: Callable[[Load, float], None] = lambda load, passed: None,
) -> Load:
    """Ask for the model's example over and over, on each connection one request at a time.

    Args:
        url: where the server is; http only.
        connections: how many at once.
        seconds: for how long.
        rows: rows a request.
        progress: is called several times a second, with the seconds that have passed.
    Raises:
        CheckError: there is no such server.
    """
    with Client(url) as client:
        parts, body = urlsplit(client.url), client.request(rows)
        path = f"/v2/models/{client.model['name']}/infer"
    if parts.scheme != "http":
        raise CheckError(f"{url}: load tests are for http; ask the server behind the proxy")
    assert parts.hostname is not None
    headers = {"host": parts.netloc, "content-length": len(body), **client.headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    found = Load()
    asyncio.run(
        _all(parts.hostname, parts.port or 80, request, connections, seconds, found, progress)
    )
    return found


async def _all(
    host: str,
    port: int,
    request: bytes,
    connections: int,
    seconds: float,
    found: Load,
    progress: Callable[[Load, float], None],
) -> None:
    started = perf_counter()
    until = started + seconds
    tasks = [
        asyncio.create_task(_one(host, port, request, until, found)) for _ in range(connections)
    ]
    while waiting := [task for task in tasks if not task.done()]:
        await asyncio.wait(waiting, timeout=0.2)
        found.seconds = perf_counter() - started
        progress(found, found.seconds)
        if found.seconds > seconds + LAST_SECONDS:
            found.broken += sum(task.cancel() for task in waiting)
            break


async def _one(host: str, port: int, request: bytes, until: float, found: Load) -> None:
    while perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                while perf_counter() < until:
                    sent = perf_counter()
                    writer.write(request)
                    status, stays = await _answer(reader)
                    found.took.append(perf_counter() - sent)
                    found.statuses[status] += 1
                    if not stays:
                        break
            finally:
                writer.close()
        except (OSError, EOFError):
            found.broken += 1
            await asyncio.sleep(0.05)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of an answer, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    lines = head.split("\r\n")
    headers = dict(line.partition(": ")[::2] for line in lines[1:] if line)
    await reader.readexactly(int(headers.get("content-length", 0)))
    return int(lines[0].split()[1]), headers.get("connection") != "close"
