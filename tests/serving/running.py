"""A project's server as its users start it, and ways to talk to it: whole requests or raw bytes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

# Longer than anything takes here; whoever waits for it finds something that hangs.
PATIENCE = 30.0
COMMAND = ("mlops", "serve", "--port", "0")
MODULE = ("python", "-m", "mlops.serving")

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A response as it came over the wire; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's content."""
        return json.loads(self.body)

    @property
    def last(self) -> bool:
        """Whether the server says that it closes the connection."""
        return self.headers.get("connection") == "close"


class Wire:
    """A connection that sends whatever it is told to."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self._stream = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send, as far as the other side still listens."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def end(self) -> None:
        """Send no more."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def answer(self, head_only: bool = False) -> Answer | None:
        """Return the next response; None when the connection ends before it begins."""
        line = self._line()
        if not line:
            return None
        found = re.fullmatch(r"HTTP/1\.1 (\d{3}) [\w -]+\r\n", line)
        assert found is not None, line
        headers = {}
        while (line := self._line()) not in ("", "\r\n"):
            name, _, value = line.removesuffix("\r\n").partition(": ")
            assert name not in headers, line
            headers[name] = value
        if found[1] == "100":
            return Answer(100, headers, b"")
        assert line, "a head is cut off"
        size = 0 if head_only else int(headers["content-length"])
        body = self._stream.read(size)
        assert len(body) == size, "a body is cut off"
        return Answer(int(found[1]), headers, body)

    def answers(self) -> list[Answer]:
        """Return the responses until the connection ends."""
        return list(iter(self.answer, None))

    def ended(self) -> bool:
        """Tell whether the other side has closed and sent nothing more."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            return True

    def _line(self) -> str:
        try:
            return self._stream.readline().decode("latin-1")
        except ConnectionResetError:
            return ""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        name, release: of its model, as it says at its start.
        errors: the file that takes its standard error.
    """

    process: subprocess.Popen[str]
    name: str
    release: str
    host: str
    port: int
    errors: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def wire(self) -> Wire:
        """Return a new connection."""
        return Wire(self.host, self.port)

    def ask(
        self,
        path: str,
        content: Any = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a request on a connection of its own; content goes as JSON."""
        with self.wire() as wire:
            wire.send(request(path, content, method, {"connection": "close", **(headers or {})}))
            answer = wire.answer(method == "HEAD")
            assert answer is not None
            return answer

    def get(self, path: str) -> Any:
        """Return what is at a path."""
        answer = self.ask(path)
        assert answer.status == 200, answer
        return answer.json

    @property
    def infer(self) -> str:
        """The path of the protocol's requests."""
        return f"/v2/models/{self.name}/infer"

    @cached_property
    def metadata(self) -> Any:
        """What the protocol tells of the model."""
        return self.get(f"/v2/models/{self.name}")

    def example(self) -> Row:
        """Return the row that the model carries."""
        row: Row = self.metadata["parameters"]["example"]["row"]
        return row

    def tensors(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return rows as the protocol's inputs, in the model's types; other columns as text."""
        known = {each["name"]: each["datatype"] for each in self.metadata["inputs"]}
        return [
            {
                "name": name,
                "datatype": known.get(name, "BYTES"),
                "shape": [len(rows)],
                "data": [row[name] for row in rows],
            }
            for name in rows[0]
        ]

    def predict(self, *rows: Row) -> list[Row]:
        """Return what it says of plain rows."""
        answer = self.ask("/predict", list(rows))
        assert answer.status == 200, answer
        predictions: list[Row] = answer.json["predictions"]
        return predictions

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's values over all labels but those given."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = self.ask("/metrics").body.decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if re.match(rf"{name}[ {{]", line) and all(each in line for each in wanted)
        )

    def workers(self) -> set[int]:
        """Return the processes that it has started."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return set(map(int, children.split()))

    def signal(self, sig: signal.Signals) -> None:
        """Send a signal to it, not to its workers."""
        self.process.send_signal(sig)

    def wait(self) -> int:
        """Return its exit code, once it has ended."""
        return self.process.wait(PATIENCE)

    def told(self) -> str:
        """Return what it wrote to standard error."""
        return self.errors.read_text(encoding="utf-8")


class Started(Protocol):
    """Where a server is started: in a project, say."""

    @property
    def folder(self) -> Path:
        """Its working directory."""

    def cold(self) -> dict[str, str]:
        """Its environment, in which the process that is begun is the server itself."""


@contextmanager
def serving(
    project: Started,
    folder: Path,
    *arguments: str,
    command: Sequence[str] = COMMAND,
    env: Mapping[str, str] | None = None,
    ready: bool = True,
) -> Iterator[Server]:
    """Run a server as long as it is needed; `folder` takes its standard error."""
    errors = folder / f"server-{time.monotonic_ns()}.log"
    known = {"MLOPS_DRAIN_SECONDS": "0", "MLOPS_PORT": "0", "MLOPS_WORKERS": "1"}
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=project.folder,
            env=project.cold() | known | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"(\S+) (\S+): http://(.+):(\d+)\n", line)
        assert found is not None, f"{line}{errors.read_text(encoding='utf-8')}"
        host = found[3].strip("[]")
        server = Server(process, found[1], found[2], host, int(found[4]), errors)
        if ready:
            wait_for(lambda: server.ask("/v2/health/ready").status == 200, "ready")
        yield server
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def request(
    path: str,
    content: Any = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a request's bytes: a POST where there is content, which goes as JSON unless bytes."""
    body = b"" if content is None else content if isinstance(content, bytes) else encode(content)
    lines = [f"{method or ('GET' if content is None else 'POST')} {path} HTTP/1.1", "host: server"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if content is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def encode(content: Any) -> bytes:
    """Return JSON."""
    return json.dumps(content).encode()


def wait_for(ready: Callable[[], Any], what: str) -> None:
    """Wait until something holds, and fail when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} s"
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Tell whether there is such a process, which is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.split()[0] != "Z"


def kill(process: int) -> None:
    """Kill a process without a chance to clean up."""
    os.kill(process, signal.SIGKILL)
