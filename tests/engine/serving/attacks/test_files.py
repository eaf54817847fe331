"""A process that may open few files has fewer connections, and never runs out of files."""

import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack

from serving.running import Server, request

FEW = 200
FEWER = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW}, {FEW}))
runpy.run_module("mlops.serving", run_name="__main__")
"""


def test_metrics_are_answered_when_every_connection_is_taken(start: Callable[..., Server]) -> None:
    server = start(command=(sys.executable, "-c", FEWER), workers=1)
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (FEW, FEW)
    told = f"72 connections, not 1024: the process may open {FEW} files (ulimit -n)"
    assert told in server.told()
    with ExitStack() as stack:
        wires = [stack.enter_context(server.wire()) for _ in range(72)]
        for wire in wires:
            wire.send(request("/v2/health/live"))
            answer = wire.answer()
            assert answer
            assert answer.status == 200
        beyond = [stack.enter_context(server.wire()) for _ in range(FEW)]
        answers = [wire.answer() for wire in beyond]
        assert {answer.status for answer in answers if answer} == {503}
        assert answers[0]
        assert not answers[-1]
        wires[0].send(request("/metrics"))
        metrics = wires[0].answer()
    assert metrics
    assert metrics.status == 200
    assert f'mlops_requests_total{{path="none",status="503"}} {FEW}.0' in metrics.body.decode()
