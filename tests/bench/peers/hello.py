"""The floor: a bare ASGI application that says hello, on uvicorn with uvloop and httptools."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")],
}
BODY = {"type": "http.response.body", "body": b"hello"}


async def hello(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer anything."""
    await send(HEAD)
    await send(BODY)


if __name__ == "__main__":
    uvicorn.run(
        hello,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
