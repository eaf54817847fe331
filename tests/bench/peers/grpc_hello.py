"""A bare gRPC server on grpc.aio that answers a call with an empty message."""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc


async def say(request: bytes, context: Any) -> bytes:
    """Answer anything."""
    return b""


async def serve(port: str) -> None:
    """Answer calls until the process ends."""
    server = grpc.aio.server()
    handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Hello", handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
