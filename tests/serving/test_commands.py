"""`mlops smoke` and `mlops load`: what they say of a good server, and of those that are not."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from pipeline.running import Project, Run, one_line
from serving.conftest import Start
from serving.running import PATIENCE, Server, wait_for


@dataclass
class StandIn:
    """A server that answers as a real one did, but for what a test changes.

    Attributes:
        answers: status and body by path.
        seconds: what each prediction takes.
    """

    answers: dict[str, tuple[int, bytes]]
    infer: str
    seconds: float = 0.0
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def change(self, path: str, how: Callable[[Any], Any]) -> None:
        """Change what is answered."""
        content = json.loads(self.answers[path][1])
        self.answers[path] = 200, json.dumps(how(content)).encode()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        handler.rfile.read(int(handler.headers.get("content-length", 0)))
        self.asked.append(handler.path)
        status, body = self.answers.get(handler.path, (404, b'{"error": "nothing here"}'))
        if handler.path == self.infer:
            time.sleep(self.seconds)
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def running(stand_in: StandIn) -> Iterator[None]:
    """Have it listen as long as it is needed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            stand_in.answer(self)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        stand_in.url = f"http://127.0.0.1:{listening.server_port}"
        thread = Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield
        listening.shutdown()
        thread.join()


@pytest.fixture
def stand_in(server: Server) -> Iterator[StandIn]:
    model = f"/v2/models/{server.name}"
    paths = ["/v2", "/v2/health/live", "/v2/health/ready", model]
    answers = {path: (200, server.ask(path).body) for path in paths}
    body = {"inputs": server.tensors([server.example()])}
    answers[server.infer] = 200, server.ask(server.infer, body).body
    found = StandIn(answers, server.infer)
    with running(found):
        yield found


def smoke(project: Project, url: str, *options: str, code: int = 0) -> Run:
    return project.run("timeout", str(PATIENCE), "mlops", "smoke", url, *options, code=code)


def test_smoke_of_a_good_server(project: Project, server: Server) -> None:
    """Within many seconds: how busy this machine is does not matter here."""
    for url in (server.url, f"{server.url}/", server.url.removeprefix("http://")):
        done = smoke(project, url, "--release", server.release, "--within", "20000")
        said = [line.partition(": ")[0] for line in done.stdout.splitlines()]
        assert said == ["ready", "model", "prediction", "latency"]
        assert server.release in done.stdout
        assert done.stderr == ""


def test_smoke_of_a_stand_in_that_says_the_same(project: Project, stand_in: StandIn) -> None:
    """So that what the others fail by is what was changed."""
    done = smoke(project, stand_in.url, "--within", "20000")
    assert len(done.stdout.splitlines()) == 4


def failing(project: Project, url: str, *options: str, checks: int) -> str:
    """Return the error of a smoke test that fails after so many checks that hold."""
    done = smoke(project, url, *options, code=3)
    assert len(done.stdout.splitlines()) == checks
    told = one_line(done)
    assert url in told
    assert "unexpected" not in told
    return told


def test_smoke_without_a_server(project: Project, start: Start) -> None:
    server = start()
    server.signal(signal.SIGINT)
    server.wait()
    assert "refused" in failing(project, server.url, checks=0)
    assert "not the URL of a server" in one_line(smoke(project, "ftp://here", code=2))
    one_line(smoke(project, "http://here:port", code=2))
    one_line(smoke(project, "http://[::1", code=2))


def test_smoke_of_a_server_that_leaves(project: Project, start: Start) -> None:
    server = start(drain_seconds=60)
    server.signal(signal.SIGTERM)
    wait_for(lambda: server.ask("/v2/health/ready").status == 503, "not ready")
    assert "/v2/health/ready: 503" in failing(project, server.url, checks=0)
    server.signal(signal.SIGINT)


def test_smoke_of_another_release(project: Project, server: Server) -> None:
    told = failing(project, server.url, "--release", "r-2", checks=1)
    assert f"serves {server.release}, not r-2" in told


def test_smoke_of_wrong_predictions(project: Project, stand_in: StandIn) -> None:
    right = dict(stand_in.answers)

    def negate(answer: Any) -> Any:
        answer["outputs"][0]["data"] = [not answer["outputs"][0]["data"][0]]
        return answer

    def shift(answer: Any) -> Any:
        answer["outputs"][1]["data"][0] += 0.002
        return answer

    def cut(answer: Any) -> Any:
        answer["outputs"][1]["data"].pop()
        return answer

    def nulls(answer: Any) -> Any:
        answer["outputs"][1]["data"] = [None, None]
        return answer

    def leave_out(answer: Any) -> Any:
        answer["outputs"].pop()
        return answer

    for change, name in {
        negate: "prediction",
        shift: "probability",
        cut: "probability",
        nulls: "probability",
        leave_out: "probability",
    }.items():
        stand_in.answers = dict(right)
        stand_in.change(stand_in.infer, change)
        assert f"{name} of its example is " in failing(project, stand_in.url, checks=2)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((200, body) for body in (b"", b"[]", b"5", b"{}", b'{"outputs": [{}]}', b"\xff")),
        *((500, body) for body in (b"", b"\xff")),
    ],
)
def test_smoke_of_something_else(
    project: Project, stand_in: StandIn, status: int, body: bytes
) -> None:
    """Whatever answers on that port."""
    right = dict(stand_in.answers)
    for checks, path in ((0, "/v2"), (2, stand_in.infer)):
        stand_in.answers = right | {path: (status, body)}
        told = failing(project, stand_in.url, checks=checks)
        assert status == 200 or f"{path}: 500" in told


def test_smoke_of_a_slow_server(project: Project, stand_in: StandIn) -> None:
    stand_in.seconds = 0.02
    told = failing(project, stand_in.url, "--within", "15", checks=3)
    assert "more than 15" in told
    assert stand_in.asked.count(stand_in.infer) > 10


def load(project: Project, url: str, *options: str, code: int = 0) -> Run:
    return project.run("timeout", str(PATIENCE), "mlops", "load", url, *options, code=code)


def counted(table: str) -> tuple[int, int]:
    """Return how many requests were answered, and how many failed."""
    (row,) = [line for line in table.splitlines() if line.rstrip().endswith("ms │")]
    cells = [cell.strip().replace(",", "") for cell in row.split("│")[1:-1]]
    return int(cells[0]), int(cells[3])


def test_load_of_a_good_server(project: Project, start: Start) -> None:
    server = start()
    done = load(project, server.url, "--connections", "4", "--seconds", "0.5", "--rows", "3")
    for title in ("answers", "a second", "rows a second", "failed", "median", "99 %", "longest"):
        assert title in done.stdout
    answered, failed = counted(done.stdout)
    assert failed == 0
    assert answered == server.metric("mlops_requests_total", path=server.infer)
    assert server.metric("mlops_log_rows_total") == 0
    assert answered * 3 == rows_run(server)


def rows_run(server: Server) -> float:
    """Return how many rows went through the model."""
    return server.metric("mlops_batch_rows_sum")


def test_load_counts_what_is_refused(project: Project, start: Start) -> None:
    server = start(max_rows=2)
    options = ("--connections", "2", "--seconds", "0.3", "--rows", "3")
    done = load(project, server.url, *options, code=3)
    assert "nothing was answered with 200" in one_line(done)
    answered, failed = counted(done.stdout)
    assert answered == 0
    assert failed == server.metric("mlops_requests_total", path=server.infer, status="413") > 0
    assert f"HTTP 413: {failed:,}" in done.stdout


def test_load_of_a_server_that_is_killed(project: Project, start: Start) -> None:
    server = start()
    command = ["mlops", "load", server.url, "--connections", "4", "--seconds", "2"]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running_load:
        wait_for(lambda: server.metric("mlops_requests_total", path=server.infer) > 20, "load")
        server.process.kill()
        told, errors = running_load.communicate(timeout=PATIENCE)
    assert running_load.returncode == 0, errors
    answered, failed = counted(told)
    assert answered > 20
    (broken,) = re.findall(r"connections that broke: ([\d,]+)", told)
    assert int(broken.replace(",", "")) == failed >= 4


def test_load_of_a_server_that_falls_silent(project: Project, stand_in: StandIn) -> None:
    """It ends, and counts who waits in vain."""
    stand_in.seconds = 3600
    done = load(project, stand_in.url, "--connections", "3", "--seconds", "0.3", code=3)
    assert counted(done.stdout) == (0, 3)
    assert "connections that broke: 3" in done.stdout


def test_load_without_a_server(project: Project, start: Start) -> None:
    server = start()
    server.signal(signal.SIGINT)
    server.wait()
    assert "refused" in one_line(load(project, server.url, code=3))
    assert "not the URL" in one_line(load(project, "ftp://x", code=2))
