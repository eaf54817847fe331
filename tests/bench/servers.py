"""Servers of one model: installing, starting and asking them, and putting them under load."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from bench.measuring import run

PEERS = Path(__file__).with_name("peers")
PATIENCE = 90.0  # seconds; longer than any server takes to start
TOLERANCE = 1e-4  # between a probability of scikit-learn and that of a server
DATATYPES = {str: "BYTES", bool: "BOOL", float: "FP32"}
JSON = {"content-type": "application/json"}
# Whatever reports its use to its makers is told not to.
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
}

Row = dict[str, Any]


class UnavailableError(Exception):
    """A server that cannot be installed, started or trusted, and why."""


@dataclass(frozen=True)
class Request:
    """A request over HTTP; a GET where there is no body."""

    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)

    @property
    def method(self) -> str:
        """POST or GET."""
        return "POST" if self.body else "GET"

    @property
    def raw(self) -> bytes:
        """Its bytes."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: server"]
        if self.body:
            lines += [f"{name}: {value}" for name, value in self.headers.items()]
            lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Server:
    """A server, in a folder that holds its model.

    Attributes:
        name: in the report.
        venv: where its packages are.
        command: what starts it; PORT stands for its port, OTHER for another one that is free.
        ready: the path that answers 200 as soon as it takes requests.
        ask: makes the request for a row.
        told: takes the probabilities out of the answer; None for a server that has no model.
        env: variables for its process, PORT and OTHER as in the command.
        version: that of its package; empty for this project's.
    """

    name: str
    folder: Path
    venv: Path
    command: Sequence[str | Path]
    ready: str
    ask: Callable[[Row], Request]
    told: Callable[[Any], Sequence[float]] | None
    env: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True)
class Running:
    """A server's process, its port, and the seconds from its start until it was ready."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes:
        rate: answers a second.
        median, p99: seconds from a request to its answer.
        refused: the share of answers that are errors, by their HTTP status.
        broken: connections that failed or timed out.
        busy: the share of its core that the server took.
    """

    rate: float
    median: float
    p99: float
    refused: float = 0.0
    broken: int = 0
    busy: float = 0.0


@dataclass(frozen=True)
class Cores:
    """Which core servers run on, and which the load generator."""

    server: int
    load: int

    @staticmethod
    def mine() -> Cores:
        """The first two that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise SystemExit("a server and its load need a core each, and there is one")
        return Cores(*usable[:2])


# Requests


def tensors(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as inputs of the Open Inference Protocol."""
    return [
        {
            "name": name,
            "datatype": DATATYPES[type(value)],
            "shape": [len(rows)],
            "data": [row[name] for row in rows],
        }
        for name, value in rows[0].items()
    ]


def infer(path: str, rows: Sequence[Row]) -> Request:
    """A request of the protocol in JSON."""
    return Request(path, json.dumps({"inputs": tensors(rows)}).encode())


def infer_binary(path: str, rows: Sequence[Row]) -> Request:
    """A request of the protocol with its binary extension, in both directions."""
    inputs, blobs = tensors(rows), []
    for each in inputs:
        blobs.append(_blob(each["datatype"], each.pop("data")))
        each["parameters"] = {"binary_data_size": len(blobs[-1])}
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": inputs}).encode()
    kind = {"content-type": "application/octet-stream"}
    kind["inference-header-content-length"] = str(len(head))
    return Request(path, b"".join([head, *blobs]), kind)


def _blob(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return struct.pack(f"<{len(values)}{'?' if datatype == 'BOOL' else 'f'}", *values)


def output(name: str) -> Callable[[Any], Sequence[float]]:
    """What takes an output out of the protocol's answer."""
    return lambda answer: next(each["data"] for each in answer["outputs"] if each["name"] == name)


def write_requests(path: Path, requests: Sequence[Request]) -> Path:
    """Write requests as load.lua reads them."""
    path.write_bytes(b"".join(b"%d\n%b" % (len(each.raw), each.raw) for each in requests))
    return path


# Servers


def install(folder: Path, requirements: Sequence[str]) -> Path:
    """A virtual environment with these packages, newest versions; kept for the next run."""
    wanted, stamp = "\n".join(requirements), folder / "installed.txt"
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        python = folder / "bin" / "python"
        try:
            run("uv", "venv", "--quiet", "--clear", "--python", "3.11", folder)
            run("uv", "pip", "install", "--quiet", "--python", python, *requirements)
        except SystemExit as failed:
            raise UnavailableError(reason(f"cannot be installed: {failed}")) from None
        stamp.write_text(wanted, encoding="utf-8")
    return folder


def reason(text: str) -> str:
    """The last line of what went wrong, without what belongs to one machine."""
    first, *_, last = [*text.strip().splitlines(), ""] if "\n" not in text else text.splitlines()
    said = f"{first.split(':')[0]}: {last.strip()}" if "\n" in text else first
    return re.sub(r"https?://\S+|(?<![\w.])/[\w.+/-]+", "…", said)[:200]


def version_of(venv: Path, package: str) -> str:
    """Which version of a package is installed."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return run(venv / "bin" / "python", "-c", code).output.strip()


def packages_bytes(venv: Path) -> int:
    """The size of what is installed, without bytecode, which comes with use."""
    return sum(
        path.stat().st_size
        for path in venv.glob("lib/python*/site-packages/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    )


@contextmanager
def serving(server: Server, cores: Cores) -> Iterator[Running]:
    """Run a server on its core for as long as it is needed."""
    ports = {"PORT": str(_free_port()), "OTHER": str(_free_port())}

    def filled(text: str | Path) -> str:
        return re.sub("|".join(ports), lambda found: ports[found[0]], str(text))

    ours = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = os.pathsep.join([str(server.venv / "bin"), ours["PATH"]])
    env = ours | QUIET | {name: filled(value) for name, value in server.env.items()}
    command = ["taskset", "--cpu-list", str(cores.server), *map(filled, server.command)]
    with (server.folder / "said.txt").open("wb") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=server.folder,
            env=env | {"PATH": path},
            stdout=said,
            stderr=said,
        )
    try:
        port = int(ports["PORT"])
        _wait(server, process, port)
        yield Running(process, port, time.perf_counter() - start)
    finally:
        _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Server, process: subprocess.Popen[bytes], port: int) -> None:
    until = time.perf_counter() + PATIENCE
    while time.perf_counter() < until:
        if process.poll() is not None:
            said = (server.folder / "said.txt").read_text(encoding="utf-8", errors="replace")
            raise UnavailableError(reason(f"ends as it starts:\n{said}"))
        try:
            if not server.ready:
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
                return
            if answer(port, Request(server.ready))[0] == 200:
                return
        except (OSError, HTTPException):
            pass
        time.sleep(0.005)
    raise UnavailableError(f"is not ready after {PATIENCE:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what `serving` started: in order by SIGTERM, and what is left after that."""
    started = processes(process)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in started if process.poll() is None else started[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def answer(port: int, request: Request) -> tuple[int, bytes]:
    """Ask once: the status and the body of the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        headers = dict(request.headers) if request.body else {}
        connection.request(request.method, request.path, request.body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def check(
    server: Server, running: Running, rows: Sequence[Row], expected: Sequence[Sequence[float]]
) -> None:
    """Raise UnavailableError unless a server says of each row what scikit-learn says."""
    if server.told is None:
        return
    for row, probability in zip(rows, expected, strict=True):
        status, body = answer(running.port, server.ask(row))
        if status != 200:
            raise UnavailableError(reason(f"answers {status}: {body.decode(errors='replace')}"))
        found = server.told(json.loads(body))
        differences = [abs(a - b) for a, b in zip(found, probability, strict=True)]
        if max(differences) > TOLERANCE:
            raise UnavailableError(f"answers {list(found)}, not {list(probability)}")


# Load


def load(running: Running, requests: Path, cores: Cores, connections: int, seconds: float) -> Load:
    """Send requests on so many connections, one at a time on each, by wrk on the other core."""
    before = cpu_seconds(running)
    done = run(*wrk(running, requests, cores, connections, seconds))
    spent = cpu_seconds(running) - before
    found = json.loads(done.output.splitlines()[-1])
    taken = found["microseconds"] / 1e6
    return Load(
        rate=found["answers"] / taken,
        median=found["median"] / 1e6,
        p99=found["p99"] / 1e6,
        refused=found["refused"] / max(1, found["answers"]),
        broken=found["broken"],
        busy=spent / taken,
    )


def wrk(
    running: Running, requests: Path, cores: Cores, connections: int, seconds: float
) -> list[str]:
    """The command of the load generator."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk makes the load, and is not installed: apt-get install wrk")
    options = f"-t1 -c{connections} -d{max(1, round(seconds))}s --timeout 20s".split()
    url = f"http://127.0.0.1:{running.port}"
    script = ["-s", str(PEERS / "load.lua"), url, "--", str(requests)]
    return ["taskset", "--cpu-list", str(cores.load), program, *options, *script]


def processes(process: subprocess.Popen[bytes]) -> list[int]:
    """A process and all that it has started, and these in turn."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children.setdefault(int(_stat(path)[1]), []).append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = [process.pid]
    for pid in found:
        found += children.get(pid, [])
    return found


def _stat(path: Path) -> list[str]:
    """The fields of a process's stat after its name: state, parent, ..."""
    return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def cpu_seconds(running: Running) -> float:
    """The processor time that a server has taken."""
    ticks = 0
    for pid in processes(running.process):
        fields = _stat(Path(f"/proc/{pid}/stat"))
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(running: Running) -> int:
    """Resident bytes; where there are several processes, what they share is counted once."""
    pids = processes(running.process)
    kind = "Rss" if len(pids) == 1 else "Pss"
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total += sum(int(size) for size in re.findall(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE))
    return total * 1024
