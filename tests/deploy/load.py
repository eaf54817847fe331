"""Requests at a steady rate, and what came of each: through changes of what answers."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

CLIENTS = 8
# Seconds between the requests of a client.
PACE = 0.04


@dataclass
class Load:
    """What clients got.

    Attributes:
        port: where they ask.
        answers: when each was asked, and the release that answered; an error's text for none.
    """

    port: int
    answers: list[tuple[float, str]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def since(self, start: float) -> Counter[str]:
        """Count what was answered to requests made after a moment."""
        return Counter(release for when, release in self.answers if when >= start)

    def ask(self, body: str) -> None:
        """Ask until told to stop, on one connection as long as the server keeps it."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.done.is_set():
            when = time.monotonic()
            try:
                found = _answer(connection, body)
            except (OSError, HTTPException, ValueError) as error:
                found = f"failed: {error!r}"
                connection.close()
            self.answers.append((when, found))
            self.done.wait(max(0.0, when + PACE - time.monotonic()))
        connection.close()


def _answer(connection: HTTPConnection, body: str) -> str:
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    response = connection.getresponse()
    content: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        return f"failed: {response.status} {content}"
    return str(content["model_version"])


@contextmanager
def steady(port: int, row: dict[str, Any]) -> Iterator[Load]:
    """Keep asking for a row's prediction as long as the block runs."""
    load, body = Load(port), json.dumps([row])
    clients = [threading.Thread(target=load.ask, args=(body,)) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        yield load
    finally:
        load.done.set()
        for each in clients:
            each.join()
