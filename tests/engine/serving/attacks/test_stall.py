"""A worker that no longer turns is replaced: a client's request must not take it for good."""

import sys
from collections.abc import Callable

import pytest
from serving.running import Server, request, wait_for

# A server that stands still for a request with this id, holding Python's interpreter.
STALLING = """
from mlops.serving import server
from mlops.serving.model import ServedModel
from mlops.serving.settings import load_settings

def run(self, jobs):
    if jobs[0].id == "stall":
        10 ** (10 ** 9)  # a single call, in which no other thread and no handler gets a turn
    return whole(self, jobs)

whole, ServedModel.run, server.STALLED_SECONDS = ServedModel.run, run, 2
server.serve(load_settings())
"""


@pytest.mark.slow
def test_a_worker_that_stands_still_is_replaced(start: Callable[..., Server]) -> None:
    server = start(command=(sys.executable, "-c", STALLING), workers=2)
    before, row = server.workers(), server.example()
    with server.wire() as wire:
        wire.send(request(server.infer, {"id": "stall", "inputs": server.tensors([row])}))
        assert wire.ended()
    wait_for(lambda: len(server.workers()) == 2 and server.workers() != before, "replaced")
    assert "ended with -14; starting another" in server.told()
    for _ in range(10):
        assert server.predict(row)
