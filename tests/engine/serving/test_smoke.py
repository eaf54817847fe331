"""The smoke test of a server: what it checks, and that each check can fail."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest
from engine.served import Served

from mlops.errors import CheckError, InputError
from mlops.serving.smoke import smoke

Start = Callable[[str], Served]


@pytest.mark.parametrize("what", ["binary", "multiclass", "regression", "clustering"])
def test_a_good_server_passes(served: Start, what: str) -> None:
    lines = [*smoke(f"http://127.0.0.1:{served(what).port}", within_ms=60_000)]
    assert [line.split(":")[0] for line in lines] == ["ready", "model", "prediction", "latency"]


@pytest.mark.parametrize(
    ("options", "told"),
    [({"release": "r9"}, "not r9"), ({"within_ms": 0}, r"ms \(median\), more than 0")],
)
def test_a_release_or_a_time_that_it_has_not_fails(
    served: Start, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(CheckError, match=told):
        [*smoke(f"127.0.0.1:{served('binary').port}", **options)]


class Liar(BaseHTTPRequestHandler):
    """Stands in for a server that is broken: it says what it is told to say."""

    answers: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        answer = self.answers.get(self.path)
        content = json.dumps(answer).encode()
        self.send_response(200 if answer else 503)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"/v2/health/ready": None}, "ready: 503"),
        ({"/v2": {"name": "other"}}, "/v2/models/other: 503"),
        ({"/v2/models/made/infer": {"outputs": []}}, "prediction of its example is None, not"),
        ({"/v2/models/made": {"versions": ["1"]}}, "carries no example"),
    ],
)
def test_a_broken_server_fails(served: Start, broken: dict[str, Any], told: str) -> None:
    good = {
        path: served("binary").ask("GET", path)[1]
        for path in ("/v2", "/v2/models/made", "/v2/health/live", "/v2/health/ready")
    }
    liar = type("Told", (Liar,), {"answers": good | broken})
    with HTTPServer(("127.0.0.1", 0), liar) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(CheckError, match=told):
            [*smoke(f"http://127.0.0.1:{server.server_port}")]
        server.shutdown()


def test_no_server_and_no_address() -> None:
    with pytest.raises(CheckError, match="refused"):
        [*smoke("http://127.0.0.1:9")]
    with pytest.raises(InputError, match="not the URL"):
        [*smoke("ftp://example.com")]
