"""Measure the server of a bake beside its peers, and write docs/bench-serving.md with a picture.

Servers have one core and the load generator (wrk) another; they are measured in turns within one
run, and what is reported is the median of the turns. Run it by `make bench`, on a machine that does
nothing else; it needs wrk, and Go where the question of gRPC is to be answered.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import helpers
from bench import contenders
from bench.contenders import (
    HELLO,
    MLFLOW,
    MLSERVER,
    MLSERVER_SKLEARN,
    OURS,
    UNLOGGED,
    WHOLE,
    Materials,
)
from bench.measuring import (
    WORKER,
    bake,
    deliver,
    draw,
    in_turns,
    install,
    megabytes,
    program_of,
    ratio,
    run,
    say,
    seconds,
    table,
    wants_quick,
    worker,
)
from bench.servers import (
    PEERS,
    TOLERANCE,
    Cores,
    Load,
    Request,
    Row,
    Running,
    Server,
    UnavailableError,
    answer,
    check,
    cpu_seconds,
    infer,
    infer_binary,
    load,
    memory,
    packages_bytes,
    reason,
    serving,
    version_of,
    write_requests,
    wrk,
)

REPORT = helpers.ROOT / "docs" / "bench-serving.md"
VENVS = helpers.ROOT / "build" / "bench"
FEW, MANY = 1, 64  # connections
OVERLOADS = (512, 2000)  # connections
ROW_CONNECTIONS = 4  # what is asked, and what the load before left behind, fits the server's queue
SAMPLES = 64  # different rows that are asked for in turn
CHECKED = 8  # of them, each held against scikit-learn before a server is measured
LEFT_OUT = "is left out by --quick"
GHZ = "github.com/bojand/ghz/cmd/ghz@latest"


@dataclass(frozen=True)
class Sizes:
    """How much is measured: turns, and seconds of load in each.

    Attributes:
        rows: a request.
        peers: whether those are measured that take minutes to install.
    """

    rows: tuple[int, ...]
    peers: bool
    turns: int
    warm: float
    seconds: float
    cost_turns: int
    row_seconds: float
    memory_seconds: float
    memory_every: float


FULL = Sizes(
    rows=(1, 16, 256, 4096),
    peers=True,
    turns=3,
    warm=1,
    seconds=4,
    cost_turns=5,
    row_seconds=2,
    memory_seconds=600,
    memory_every=30,
)
QUICK = Sizes(
    rows=(1, 64),
    peers=False,
    turns=1,
    warm=1,
    seconds=1,
    cost_turns=1,
    row_seconds=1,
    memory_seconds=2,
    memory_every=0.25,
)


@dataclass(frozen=True)
class Turn:
    """A server from its start: seconds until it was ready, its loads, its memory after them."""

    ready: float
    one: Load
    many: Load
    memory: int


@dataclass(frozen=True)
class Measured:
    """A server, the bytes of packages that it installs, and its turns."""

    name: str
    version: str
    packages: int
    turns: Sequence[Turn]

    def of(self, value: Callable[[Turn], float]) -> float:
        """The median of a value."""
        return median(map(value, self.turns))


@dataclass(frozen=True)
class Grpc:
    """A bare gRPC server: its loads, and the bytes of packages that it needs."""

    loads: Sequence[Load]
    packages: int


@dataclass(frozen=True)
class Growth:
    """Memory under load: seconds from its start and bytes, and rows that the log dropped."""

    samples: Sequence[tuple[float, int]]
    dropped: float

    @property
    def change(self) -> int:
        """Bytes from a fifth of the time on, which is what start-up takes at most, to the end."""
        settled = [size for at, size in self.samples if at >= self.samples[-1][0] / 5]
        return settled[-1] - settled[0]


@dataclass(frozen=True)
class Results:
    """Everything that the report tells.

    Attributes:
        missing: why servers are not among those measured, by name.
        costs: loads, turn by turn, by the part that the server was without.
        rows: rows a second, turn by turn, by rows a request and by JSON, binary or alone.
        overload: loads, turn by turn, by connections.
        grpc: or why it was not measured.
    """

    facts: str
    turns: int
    servers: Mapping[str, Measured]
    missing: Mapping[str, str]
    costs: Mapping[str, Sequence[Load]]
    rows: Mapping[int, Mapping[str, Sequence[float]]]
    overload: Mapping[int, Sequence[Load]]
    growth: Growth
    grpc: Grpc | str


@dataclass(frozen=True)
class Bench:
    """What every measure needs."""

    materials: Materials
    cores: Cores
    sizes: Sizes
    rows: Sequence[Row]
    expected: Sequence[Sequence[float]]

    def requests(self, server: Server) -> Path:
        """The requests of single rows as a server takes them."""
        asked = [server.ask(row) for row in self.rows[:SAMPLES]]
        return write_requests(server.folder / "requests", asked)

    def check(self, server: Server) -> None:
        """Raise UnavailableError unless a server starts and answers rightly."""
        with serving(server, self.cores) as running:
            check(server, running, self.rows[:CHECKED], self.expected[:CHECKED])


# What is measured


def measure_servers(
    bench: Bench, makes: Mapping[str, contenders.Make]
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Every server that can be had, and why the others cannot."""
    servers: dict[str, Server] = {}
    missing: dict[str, str] = {}
    for name, make in makes.items():
        say(f"{name}: installing and asking")
        try:
            server = make(bench.materials)
            bench.check(server)
        except UnavailableError as why:
            missing[name] = str(why)
            say(f"{name} {why}")
        else:
            servers[name] = server
    found = in_turns(
        bench.sizes.turns,
        {name: _turn(bench, server) for name, server in servers.items()},
        warm=False,
    )
    measured = {
        name: Measured(name, server.version, packages_bytes(server.venv), found[name])
        for name, server in servers.items()
    }
    return measured, missing


def _turn(bench: Bench, server: Server) -> Callable[[], Turn]:
    requests, sizes, cores = bench.requests(server), bench.sizes, bench.cores

    def measure() -> Turn:
        say(server.name)
        with serving(server, cores) as running:
            load(running, requests, cores, MANY, sizes.warm)
            one = whole(server, load(running, requests, cores, FEW, sizes.seconds))
            many = whole(server, load(running, requests, cores, MANY, sizes.seconds))
            turn = Turn(running.seconds, one, many, memory(running))
        shutil.rmtree(server.folder / "log", ignore_errors=True)
        return turn

    return measure


def whole(server: Server, found: Load) -> Load:
    """A load in which every request was answered; else its numbers mean nothing."""
    if found.refused or found.broken:
        raise SystemExit(
            f"{server.name}: {found.refused:.1%} of answers are errors, "
            f"{found.broken} connections failed"
        )
    return found


def measure_costs(bench: Bench) -> dict[str, list[Load]]:
    """This project's server under load, and the same without one of its parts."""
    sizes, cores = bench.sizes, bench.cores

    def measure(server: Server, requests: Path) -> Load:
        with serving(server, cores) as running:
            load(running, requests, cores, MANY, sizes.warm)
            found = whole(server, load(running, requests, cores, MANY, sizes.seconds))
        shutil.rmtree(server.folder / "log", ignore_errors=True)
        return found

    def measures(make: contenders.Make) -> Callable[[], Load]:
        server = make(bench.materials)
        bench.check(server)
        requests = bench.requests(server)
        return partial(measure, server, requests)

    makes = {part: measures(make) for part, make in contenders.PARTS.items()}
    return in_turns(sizes.cost_turns, makes, warm=False)


def measure_rows(bench: Bench) -> dict[int, dict[str, list[float]]]:
    """Rows a second by rows a request, in JSON, binary, and of onnxruntime alone."""
    server, cores = contenders.ours(bench.materials, "rows", log=False), bench.cores
    path = server.ask(bench.rows[0]).path
    rows = list(islice(cycle(bench.rows), max(bench.sizes.rows)))
    file, model = server.folder / "rows.json", server.folder / "model.onnx"
    file.write_text(json.dumps(rows), encoding="utf-8")
    seconds = bench.sizes.row_seconds
    python = program_of(bench.materials.project, "python")
    pinned = ("taskset", "--cpu-list", str(cores.server), python, WORKER, "alone", model, file)

    def alone(count: int) -> float:
        return float(run(*pinned, str(count), str(seconds)).output)

    def asked(running: Running, requests: Path, count: int) -> float:
        found = load(running, requests, cores, ROW_CONNECTIONS, seconds)
        return whole(server, found).rate * count

    found: dict[int, dict[str, list[float]]] = {}
    with serving(server, cores) as running:
        for count in bench.sizes.rows:
            say(f"{count:,} rows a request")
            measures: dict[str, Callable[[], float]] = {"alone": partial(alone, count)}
            for name, form in {"json": infer, "binary": infer_binary}.items():
                requests = write_requests(server.folder / name, [form(path, rows[:count])])
                measures[name] = partial(asked, running, requests, count)
            found[count] = in_turns(bench.sizes.turns, measures, warm=False)
    return found


def measure_overload(bench: Bench) -> dict[int, list[Load]]:
    """This project's server with as many connections as usual, and with far too many."""
    server, cores, sizes = contenders.ours(bench.materials, "overload"), bench.cores, bench.sizes
    requests = bench.requests(server)
    with serving(server, cores) as running:
        found = in_turns(
            sizes.turns,
            {
                connections: partial(load, running, requests, cores, connections, sizes.seconds)
                for connections in (MANY, *OVERLOADS)
            },
            warm=False,
        )
        others = set(statuses(metrics(running))) - {"200", "503"}
    if others:
        raise SystemExit(f"under overload the server answered {', '.join(sorted(others))}")
    return found


def statuses(text: str) -> dict[str, float]:
    """How often a server has answered with each HTTP status that it did answer with.

    By its metrics, where a series may stand at 0 before anything is counted.
    """
    found: dict[str, float] = {}
    for status, number in series(text, r"mlops_requests_total\{.*status=\"(\d+)\".*\}"):
        found[status] = found.get(status, 0) + number
    return {status: number for status, number in found.items() if number}


def series(text: str, name: str) -> list[tuple[str, float]]:
    """What a group of an expression says in metrics, and the number beside it."""
    return [
        (found[1], float(found[2]))
        for found in re.finditer(rf"^{name} (\S+)$", text, flags=re.MULTILINE)
    ]


def metrics(running: Running) -> str:
    """The server's metrics."""
    return answer(running.port, Request("/metrics"))[1].decode()


def measure_growth(bench: Bench) -> Growth:
    """The memory of this project's server with everything on, under load."""
    server, sizes = contenders.ours(bench.materials, "growth"), bench.sizes
    requests = bench.requests(server)
    samples: list[tuple[float, int]] = []
    with serving(server, bench.cores) as running:
        command = wrk(running, requests, bench.cores, MANY, sizes.memory_seconds)
        start = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as generator:
            try:
                while len(samples) < round(sizes.memory_seconds / sizes.memory_every):
                    due = start + (len(samples) + 1) * sizes.memory_every
                    time.sleep(max(0, due - time.monotonic()))
                    samples.append((time.monotonic() - start, memory(running)))
                    for file in server.folder.glob("log/*/[!.]*.parquet"):
                        file.unlink()  # so that the log of so many requests needs no disk
                generator.wait()
            finally:
                generator.kill()
        ((_, dropped),) = series(metrics(running), "(mlops_log_dropped_rows_total)")
    return Growth(samples, dropped)


def measure_grpc(bench: Bench) -> Grpc:
    """Calls of a bare gRPC server. Raises UnavailableError."""
    sizes, cores = bench.sizes, bench.cores
    if not sizes.peers:
        raise UnavailableError(LEFT_OUT)
    programs = bench.materials.venvs / "bin"
    if not (programs / "ghz").exists():
        try:
            run("env", f"GOBIN={programs}", "go", "install", GHZ)
        except (OSError, SystemExit) as failed:
            raise UnavailableError(reason(f"its load generator cannot be had: {failed}")) from None
    server = contenders.grpc(bench.materials)
    pinned: list[str | Path] = ["taskset", "--cpu-list", str(cores.load), programs / "ghz"]
    call: list[str | Path] = ["--insecure", "--proto", PEERS / "hello.proto", "--call", "Hello.Say"]
    many = f"--concurrency {MANY} --connections {MANY} --cpus 1 --format json".split()

    def measure() -> Load:
        say(server.name)
        with serving(server, cores) as running:
            before = cpu_seconds(running)
            for_ = ["--duration", f"{sizes.seconds:.0f}s", f"127.0.0.1:{running.port}"]
            found = json.loads(run(*pinned, *call, *many, *for_).output)
            spent = cpu_seconds(running) - before
        at = {each["percentage"]: each["latency"] / 1e9 for each in found["latencyDistribution"]}
        return Load(found["rps"], at[50], at[99], busy=spent / (found["total"] / 1e9))

    loads = in_turns(sizes.turns, {server.name: measure}, warm=False)[server.name]
    return Grpc(loads, packages_bytes(server.venv))


# The whole


def prepare(folder: Path, cores: Cores, sizes: Sizes) -> Bench:
    """Bake, install, run the pipeline, and take rows of its test with their answers."""
    say("baking")
    bake(helpers.export(folder / "template"), folder / "baked")
    project = next((folder / "baked").iterdir())
    say("installing the bake's dependencies")
    run("git", "init", "--quiet", cwd=project)
    install(project)
    # What its image holds, see deploy/images/serving.Dockerfile.
    venv = folder / "serving"
    sync = "uv sync --quiet --locked --no-install-workspace --package mlops-template-engine".split()
    run("env", f"UV_PROJECT_ENVIRONMENT={venv}", *sync, cwd=project)
    say("running the pipeline")
    run(program_of(project, "dvc"), "repro", cwd=project)
    return prepared(project, venv / "bin" / "python", folder, VENVS, cores, sizes)


def prepared(
    project: Path, python: Path, folder: Path, venvs: Path, cores: Cores, sizes: Sizes
) -> Bench:
    """The same from a project whose pipeline has run, and a Python with what its server needs."""
    pipeline = folder / "pipeline.joblib"
    said = json.loads(worker(project, "samples", str(max(sizes.rows)), pipeline))
    sklearn = version_of(project / ".venv", "scikit-learn")
    materials = Materials(folder, venvs, project, python, pipeline, sklearn)
    return Bench(materials, cores, sizes, said["rows"], said["probability"])


def measure_all(folder: Path, sizes: Sizes) -> tuple[Results, Path]:
    """Take every measure in `folder`, which is left full of files; also the bake."""
    bench = prepare(folder, Cores.mine(), sizes)
    peers = () if sizes.peers else contenders.SLOW_TO_INSTALL
    makes = {name: make for name, make in contenders.CONTENDERS.items() if name not in peers}
    servers, missing = measure_servers(bench, makes)
    missing |= dict.fromkeys(peers, LEFT_OUT)
    say("the cost of each part")
    costs = measure_costs(bench)
    rows = measure_rows(bench)
    say("overload")
    overload = measure_overload(bench)
    grpc: Grpc | str
    try:
        grpc = measure_grpc(bench)
    except UnavailableError as why:
        grpc = str(why)
    say(f"memory over {sizes.memory_seconds:.0f} s of load")
    growth = measure_growth(bench)
    told = facts(bench, servers)
    results = Results(told, sizes.turns, servers, missing, costs, rows, overload, growth, grpc)
    return results, bench.materials.project


def facts(bench: Bench, servers: Mapping[str, Measured]) -> str:
    """What the numbers depend on, in one line."""
    materials = bench.materials
    python = run(materials.python, "-V").output.strip()
    runtime = version_of(materials.python.parent.parent, "onnxruntime")
    told = [f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"]
    told.append(f"{python}, onnxruntime {runtime}, scikit-learn {materials.sklearn}")
    others = {
        f"{'uvicorn' if name == HELLO else name.split(',')[0]} {each.version}": None
        for name, each in servers.items()
        if each.version
    }
    return "; ".join([*told, ", ".join(others)])


# The report


@dataclass(frozen=True)
class Bar:
    """A bound on a value of a turn of ours, or on its ratio to one of a turn of another server."""

    what: str
    bound: float
    at_least: bool
    shown: Callable[[float], str]
    value: Callable[[Turn], float]
    to: str = ""
    theirs: Callable[[Turn], float] | None = None

    def values(self, results: Results, name: str) -> list[float]:
        """What was measured, turn by turn, of the server of this name; empty without the other."""
        ours = [self.value(turn) for turn in results.servers[name].turns]
        if not self.to:
            return ours
        if self.to not in results.servers:
            return []
        others = map(self.theirs or self.value, results.servers[self.to].turns)
        return [our / their for our, their in zip(ours, others, strict=True)]

    def holds(self, values: Sequence[float]) -> bool:
        """Whether the median keeps the bound."""
        found = median(values)
        return found >= self.bound if self.at_least else found < self.bound


def bars(results: Results) -> list[Bar]:
    """What the server must keep."""
    best = max(
        (name for name in (MLSERVER, MLSERVER_SKLEARN) if name in results.servers),
        key=lambda name: results.servers[name].of(rate),
        default=MLSERVER,
    )
    many = f"{MANY} connections"
    return [
        Bar(f"requests/s at {many}, to MLServer's best", 10, True, factor, rate, best),
        Bar(f"requests/s at {many}, to MLflow's", 100, True, factor, rate, MLFLOW),
        Bar(f"requests/s at {many}, to the bare hello's", 0.4, True, factor, rate, HELLO),
        Bar(
            "median at 1 connection, to the bare hello's",
            2.5,
            False,
            factor,
            lambda turn: turn.one.median,
            HELLO,
        ),
        Bar(
            f"p99 at {many}, to MLServer's median there",
            1,
            False,
            factor,
            lambda turn: turn.many.p99,
            best,
            lambda turn: turn.many.median,
        ),
        Bar("start to ready", 1.5, False, seconds, lambda turn: turn.ready),
        Bar("resident memory after load", 120e6, False, megabytes, lambda turn: turn.memory),
    ]


def rate(turn: Turn) -> float:
    """Answers a second under load."""
    return turn.many.rate


def bar_table(results: Results) -> str:
    """Each bar, what was measured with the prediction log and without, and whether it holds."""
    lines = []
    for bar in bars(results):
        line = [bar.what, f"{'at least' if bar.at_least else 'below'} {bar.shown(bar.bound)}"]
        for name in (OURS, UNLOGGED):
            values = bar.values(results, name)
            if values:
                verdict = "holds" if bar.holds(values) else "**does not hold**"
                line.append(f"{spread(values, bar.shown)} {verdict}")
            else:
                line.append("not measured")
        lines.append(line)
    return table(["", "bar", "with everything on", "without prediction log"], lines)


def server_table(results: Results) -> str:
    """Every server, quickest first."""
    ours = results.servers[OURS].packages
    lines = []
    for each in by_rate(results.servers):
        beyond = each.packages - ours
        name = f"**{each.name}**" if each.name == OURS else each.name
        lines.append(
            [
                name,
                f"{each.of(lambda turn: turn.one.rate):,.0f}",
                milliseconds(each.of(lambda turn: turn.one.median)),
                milliseconds(each.of(lambda turn: turn.one.p99)),
                f"{each.of(rate):,.0f}",
                milliseconds(each.of(lambda turn: turn.many.median)),
                milliseconds(each.of(lambda turn: turn.many.p99)),
                seconds(each.of(lambda turn: turn.ready)),
                megabytes(each.of(lambda turn: turn.memory)),
                f"{beyond / 1e6:+,.0f} MB" if beyond else "",
            ]
        )
    head = ["server", "requests/s at 1", "median", "p99", f"requests/s at {MANY}", "median", "p99"]
    return table([*head, "to ready", "memory", "packages"], lines)


def by_rate(servers: Mapping[str, Measured]) -> list[Measured]:
    """Servers by their answers a second under load, the quickest first."""
    return sorted(servers.values(), key=lambda each: -each.of(rate))


def cost_table(costs: Mapping[str, Sequence[Load]]) -> str:
    """What each part takes of a request."""
    lines = []
    for part, loads in costs.items():
        pairs = list(zip(costs[WHOLE], loads, strict=True))
        spent = [cost(whole) - cost(without) for whole, without in pairs]
        share = median(a / cost(whole) for a, (whole, _) in zip(spent, pairs, strict=True))
        line = ["with everything" if part == WHOLE else f"without {part}"]
        line.append(f"{median(each.rate for each in loads):,.0f}")
        line.append(microseconds(median(map(cost, loads))))
        line += ["", ""] if part == WHOLE else [microseconds(median(spent)), f"{share:.1%}"]
        lines.append(line)
    head = ["", f"requests/s at {MANY}", "processor time a request", "so the part costs", "share"]
    return table(head, lines)


def cost(found: Load) -> float:
    """The seconds of processor time that an answer took."""
    return found.busy / found.rate


def row_table(rows: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    """Rows a second by rows a request, and their ratio to onnxruntime alone."""
    lines = []
    for count, found in rows.items():
        line = [f"{count:,}", *(f"{median(found[name]):,.0f}" for name in FORMS)]
        for name in FORMS[:2]:
            pairs = zip(found[name], found["alone"], strict=True)
            line.append(ratio([served / alone for served, alone in pairs]))
        lines.append(line)
    head = ["rows a request", "JSON, rows/s", "binary, rows/s", "onnxruntime alone, rows/s"]
    return table([*head, "JSON to alone", "binary to alone"], lines)


def overload_table(overload: Mapping[int, Sequence[Load]]) -> str:
    """What becomes of the server with too many connections."""
    lines = []
    usual = overload[MANY]
    for connections, loads in overload.items():
        lines.append(
            [
                f"{connections:,}",
                f"{median(each.rate * (1 - each.refused) for each in loads):,.0f}",
                milliseconds(median(each.p99 for each in loads)),
                factor(median(a.rate * (1 - a.refused) / b.rate for a, b in both(loads, usual))),
                factor(median(a.p99 / b.p99 for a, b in both(loads, usual))),
                f"{median(each.refused for each in loads):.1%}",
                f"{median(each.broken for each in loads):,.0f}",
            ]
        )
    head = ["connections", "answered with 200, a second", "p99 of all answers", f"rate to {MANY}'s"]
    return table([*head, f"p99 to {MANY}'s", "503s", "failed connections"], lines)


def both(loads: Sequence[Load], usual: Sequence[Load]) -> zip[tuple[Load, Load]]:
    """The turns of two loads, side by side."""
    return zip(loads, usual, strict=True)


def growth_text(growth: Growth) -> str:
    """How memory went, in a sentence or two."""
    (start, first), (end, last) = growth.samples[0], growth.samples[-1]
    sizes = [size for _, size in growth.samples]
    return (
        f"{megabytes(first)} after {start:.0f} s, {megabytes(last)} after {end:.0f} s of load at "
        f"{MANY} connections with everything on, between {megabytes(min(sizes))} and "
        f"{megabytes(max(sizes))}. From {end / 5:.0f} s to the end it changed by "
        f"**{growth.change / 1e6:+.1f} MB**. The log dropped {growth.dropped:,.0f} rows."
    )


def grpc_text(results: Results) -> str:
    """Whether a gRPC endpoint would pay, by the numbers."""
    grpc = results.grpc
    if isinstance(grpc, str):
        return f"Not measured: a bare gRPC server {grpc}."
    calls = median(each.rate for each in grpc.loads)
    ours = results.servers[OURS].of(rate)
    verdict = (
        "Without a model it is slower than this server is with one, so that a gRPC endpoint would "
        "cost its users time: there is none."
        if calls < ours
        else "Without a model it is quicker than this server is with one: a gRPC endpoint may pay."
    )
    return (
        f"A bare gRPC server in Python (grpc.aio, empty messages, no model) answers {calls:,.0f} "
        f"calls a second at {MANY} connections (median "
        f"{milliseconds(median(each.median for each in grpc.loads))}, p99 "
        f"{milliseconds(median(each.p99 for each in grpc.loads))}; its core was "
        f"{median(each.busy for each in grpc.loads):.0%} busy), {calls / ours:.2f} times what this "
        f"server answers over HTTP with the model and everything on; grpcio and protobuf would add "
        f"{megabytes(grpc.packages)} of packages. {verdict}"
    )


FORMS = ("json", "binary", "alone")


def factor(value: float) -> str:
    """A ratio, as many digits as matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The median of the turns and, where there are several, the lowest and the highest."""
    between = f" ({shown(min(values))} to {shown(max(values))})" if len(values) > 1 else ""
    return f"**{shown(median(values))}**{between}"


def microseconds(value: float) -> str:
    """Seconds in µs to the tenth."""
    return f"{value * 1e6:.1f} µs"


def milliseconds(value: float) -> str:
    """Seconds in ms, as many digits as matter."""
    return f"{value * 1e3:,.0f} ms" if value >= 0.01 else f"{value * 1e3:.2f} ms"


def report(results: Results) -> str:
    """The whole of docs/bench-serving.md."""
    missing = "".join(f"\n- {name}: {why}" for name, why in results.missing.items())
    ours = results.servers[OURS]
    return f"""\
# How fast its server is

Written by `make bench` (tests/bench/serving.py), not by hand: the next run replaces it.

{results.facts}

{bar_table(results)}

<picture>
  <source media="(prefers-color-scheme: dark)" srcset="bench-serving-dark.svg">
  <img alt="Requests a second at {MANY} connections, by server" src="bench-serving-light.svg">
</picture>

{server_table(results)}
{f"{chr(10)}Not measured:{chr(10)}{missing}{chr(10)}" if missing else ""}
Single rows of the flights example as JSON, {SAMPLES} different ones in turn, 17 columns of numbers,
text and a boolean; every server has the very same model (boosting, as baked) and one core, the load
generator, wrk, the other. A server is started, warmed, loaded with 1 and then with {MANY}
connections, and stopped, one server after the other; turns: {results.turns}. Numbers are medians of
the turns, ratios medians of the turns' ratios, in brackets the lowest and the highest.
Before it is measured each must give scikit-learn's probabilities for {CHECKED} rows to within
{TOLERANCE:g}, and under load every answer must be a 200. To ready is from the start of the process
to the first 200 of its readiness; memory is resident, of all its processes, after the load;
packages are megabytes installed beyond this server's {megabytes(ours.packages)}, without bytecode.

This project's server is measured with everything on: validation, metrics, and a log of every
prediction into a folder; it runs in an environment that has what its image has. The bare hello is
uvicorn with uvloop and httptools, without access log; it is asked by GET and reads no body.
MLServer's ONNX runtime is a class written by hand, without its codecs; it runs without worker pool,
metrics, compression and access log. MLflow and MLServer's own runtime have the scikit-learn
pipeline that the ONNX model was converted from. No peer logs its predictions. Each is in an
environment of its own, with the newest versions that install under Python 3.11.

## What each part costs

{cost_table(results.costs)}

Measured like the servers, in turns of their own. Validation and metrics cannot be switched off in
the product: tests/bench/peers/without.py starts the same server with the check of a column's
values, or the count and time of a request, replaced by what does nothing. What else is validated
(JSON, names, shapes, datatypes) cannot be told apart from reading a request.

## Many rows a request

{row_table(results.rows)}

{ROW_CONNECTIONS} connections, without prediction log; binary is the protocol's binary extension in
both directions. Alone is `InferenceSession.run` in a loop, one thread on the same core, on arrays
of the same rows, built beforehand.

## Overload

{overload_table(results.overload)}

Beyond the connections and the queued rows that its settings allow the server answers 503 with
`Retry-After`; any answer that is neither a 200 nor a 503 would have ended the benchmark.

## Memory

{growth_text(results.growth)}

## gRPC

{grpc_text(results)}
"""


# The picture


def picture(servers: Mapping[str, Measured], colours: Mapping[str, str]) -> dict[str, Any]:
    """A Vega-Lite specification: answers a second under load, by server, on a log scale."""
    values = [{"server": each.name, "rate": round(each.of(rate))} for each in by_rate(servers)]
    slowest = min(each.of(rate) for each in servers.values())
    lowest = 10 ** math.floor(math.log10(slowest / 2))
    y = {
        "field": "server",
        "type": "nominal",
        "sort": None,
        "axis": {
            "title": None,
            "ticks": False,
            "domain": False,
            "labelPadding": 8,
            "labelColor": colours["text"],
            "labelLimit": 300,
        },
    }
    x = {
        "field": "rate",
        "type": "quantitative",
        "scale": {"type": "log", "domainMin": lowest},
        "axis": {
            "title": f"requests a second at {MANY} connections, logarithmic",
            "titleColor": colours["faint"],
            "titleFontWeight": "normal",
            "titlePadding": 10,
            "labelColor": colours["faint"],
            "gridColor": colours["grid"],
            "domain": False,
            "ticks": False,
            "format": "~s",
            "values": [10**power for power in range(7)],
        },
    }
    whose = {"test": f"indexof(datum.server, {json.dumps(OURS)}) === 0", "value": colours["us"]}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "width": 480,
        "height": {"step": 26},
        "padding": {"left": 4, "right": 36, "top": 4, "bottom": 4},
        "config": {"view": {"stroke": None}, "font": "sans-serif"},
        "data": {"values": values},
        "encoding": {"y": y, "x": x},
        "layer": [
            {
                "mark": {"type": "bar", "height": 16, "cornerRadiusEnd": 2},
                "encoding": {
                    "x2": {"datum": lowest},
                    "color": {"condition": whose, "value": colours["bar"]},
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {
                    "text": {"field": "rate", "format": ","},
                    "color": {"value": colours["text"]},
                },
            },
        ],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    quick = wants_quick(__doc__, arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        folder = Path(name).resolve()
        results, project = measure_all(folder, QUICK if quick else FULL)
        text = report(results)
        target = folder / REPORT.name if quick else REPORT
        draw(project, partial(picture, results.servers), target)
    deliver(REPORT, text, quick)


if __name__ == "__main__":
    main()
