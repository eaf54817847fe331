"""The report of the server's benchmark on made numbers, and its tools without a server."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench import servers, serving
from bench.contenders import HELLO, MLFLOW, MLSERVER, OURS, UNLOGGED, WHOLE
from bench.measuring import DARK
from bench.peers import without
from bench.servers import Load
from bench.serving import Growth, Grpc, Measured, Results, Turn

ROW = {"distance": 1.5, "weekend": True, "carrier": "UA"}


def measured(name: str, version: str, rate: float, *turns: float, packages: int = 80) -> Measured:
    """A server whose turns are so many times as quick as `rate`."""
    made = [
        Turn(
            ready=0.5,
            one=Load(rate * each / 2, 0.0002, 0.0004),
            many=Load(rate * each, 64 / rate / each, 80 / rate / each),
            memory=100_000_000,
        )
        for each in turns or (1.0, 1.0)
    ]
    return Measured(name, version, packages * 1_000_000, made)


MADE = Results(
    facts="3 cores, made up",
    turns=2,
    servers={
        HELLO: measured(HELLO, "0.5", 40_000, packages=10),
        OURS: measured(OURS, "", 10_000, 0.8, 1.2),
        UNLOGGED: measured(UNLOGGED, "", 20_000),
        MLSERVER: measured(MLSERVER, "1.7", 1_000, packages=300),
    },
    missing={MLFLOW: "cannot be installed: no such version"},
    costs={
        WHOLE: [Load(10_000, 1, 1, busy=1.0), Load(8_000, 1, 1, busy=0.8)],
        "metrics": [Load(12_500, 1, 1, busy=1.0), Load(12_500, 1, 1, busy=1.0)],
    },
    rows={16: {"json": [100_000.0], "binary": [150_000.0], "alone": [200_000.0]}},
    overload={
        64: [Load(10_000, 0.004, 0.005)],
        2000: [Load(10_000, 0.1, 0.2, refused=0.25, broken=3)],
    },
    growth=Growth([(30, 80_000_000), (120, 90_000_000), (600, 91_500_000)], dropped=7),
    grpc=Grpc([Load(5_000, 0.012, 0.023, busy=0.9)], packages=20_000_000),
)


@pytest.mark.parametrize(
    "line",
    [
        "3 cores, made up",
        "| requests/s at 64 connections, to MLServer's best | at least 10.0 "
        "| **10.0** (8.00 to 12.0) holds | **20.0** (20.0 to 20.0) holds |",
        "| requests/s at 64 connections, to MLflow's | at least 100 "
        "| not measured | not measured |",
        "| requests/s at 64 connections, to the bare hello's | at least 0.40 "
        "| **0.25** (0.20 to 0.30) **does not hold** | **0.50** (0.50 to 0.50) holds |",
        "| start to ready | below 1.50 s | **0.50 s** (0.50 s to 0.50 s) holds "
        "| **0.50 s** (0.50 s to 0.50 s) holds |",
        "- MLflow, pyfunc: cannot be installed: no such version",
        "| MLServer, ONNX runtime class | 500 | 0.20 ms | 0.40 ms | 1,000 | 64 ms | 80 ms "
        "| 0.50 s | 100 MB | +220 MB |",
        "| with everything | 9,000 | 100.0 µs |  |  |",
        "| without metrics | 12,500 | 80.0 µs | 20.0 µs | 20.0% |",
        "| 16 | 100,000 | 150,000 | 200,000 | **0.50** | **0.75** |",
        "| 64 | 10,000 | 5.00 ms | 1.00 | 1.00 | 0.0% | 0 |",
        "| 2,000 | 7,500 | 200 ms | 0.75 | 40.0 | 25.0% | 3 |",
    ],
)
def test_report_tells(line: str) -> None:
    assert line in serving.report(MADE).splitlines()


def test_report_lists_the_quickest_server_first() -> None:
    text = serving.report(MADE)
    places = [text.index(f"\n| {name} | ") for name in (HELLO, UNLOGGED, MLSERVER)]
    assert places == sorted(places)


def test_report_says_that_it_is_generated_and_by_what() -> None:
    assert "Written by `make bench`" in serving.report(MADE).splitlines()[2]


def test_growth_is_from_when_it_has_settled() -> None:
    assert "changed by **+1.5 MB**. The log dropped 7 rows." in serving.report(MADE)


def test_verdict_on_grpc_follows_from_the_numbers() -> None:
    assert "0.50 times" in serving.grpc_text(MADE)
    assert "would cost its users time" in serving.grpc_text(MADE)
    quick = replace(MADE, grpc=Grpc([Load(50_000, 0.001, 0.002, busy=0.9)], packages=20_000_000))
    assert "may pay" in serving.grpc_text(quick)
    unknown = replace(MADE, grpc="needs Go")
    assert serving.grpc_text(unknown) == "Not measured: a bare gRPC server needs Go."


def test_picture_has_every_server_and_stands_out_ours() -> None:
    spec: Any = serving.picture(MADE.servers, DARK)
    rates = {each["server"]: each["rate"] for each in spec["data"]["values"]}
    assert rates == {HELLO: 40_000, UNLOGGED: 20_000, OURS: 10_000, MLSERVER: 1_000}
    assert OURS in spec["layer"][0]["encoding"]["color"]["condition"]["test"]
    assert spec["layer"][0]["encoding"]["x2"]["datum"] < 1_000


def test_reason_is_one_line_without_what_belongs_to_a_machine() -> None:
    said = "uv pip install ended with exit code 1\nBecause\n  no wheel in /home/me/x of https://a.b/c\n"
    assert servers.reason(f"cannot be installed: {said}") == (
        "cannot be installed: no wheel in … of …"
    )
    assert servers.reason("answers 500: oops") == "answers 500: oops"


def test_errors_under_load_end_it() -> None:
    server = servers.Server("made", Path(), Path(), [], "/", lambda _: servers.Request("/"), None)
    assert serving.whole(server, Load(1, 1, 1)) == Load(1, 1, 1)
    with pytest.raises(SystemExit, match=r"made: 10.0% of answers are errors"):
        serving.whole(server, Load(1, 1, 1, refused=0.1))


def test_request_of_the_protocol() -> None:
    request = servers.infer("/infer", [ROW, ROW])
    head, _, body = request.raw.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /infer HTTP/1.1"
    assert b"content-length: %d" % len(body) in head.splitlines()
    assert json.loads(body)["inputs"] == [
        {"name": "distance", "datatype": "FP32", "shape": [2], "data": [1.5, 1.5]},
        {"name": "weekend", "datatype": "BOOL", "shape": [2], "data": [True, True]},
        {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": ["UA", "UA"]},
    ]


def test_request_with_binary_tensors() -> None:
    request = servers.infer_binary("/infer", [ROW])
    size = int(request.headers["inference-header-content-length"])
    sizes = [each["parameters"] for each in json.loads(request.body[:size])["inputs"]]
    assert sizes == [{"binary_data_size": number} for number in (4, 1, 6)]
    assert request.body[size:] == b"\0\0\xc0\x3f" + b"\1" + b"\2\0\0\0UA"


def test_requests_are_written_with_their_lengths(tmp_path: Path) -> None:
    get = servers.Request("/")
    written = servers.write_requests(tmp_path / "requests", [get, get]).read_bytes()
    assert written == b"32\nGET / HTTP/1.1\r\nhost: server\r\n\r\n" * 2


@pytest.mark.parametrize(
    ("module", "kind", "function"),
    [place[:3] for places in without.PARTS.values() for place in places],
)
def test_parts_to_do_without_are_methods_of_the_bake(
    baked: Callable[..., Path], module: str, kind: str, function: str
) -> None:
    file = baked() / "mlops" / "src" / "mlops" / f"{module.replace('.', '/')}.py"
    body = ast.parse(file.read_text()).body
    (found,) = [each for each in body if isinstance(each, ast.ClassDef) and each.name == kind]
    assert function in [each.name for each in found.body if isinstance(each, ast.FunctionDef)]


def test_no_part_to_do_without_is_checked_elsewhere(baked: Callable[..., Path]) -> None:
    file = baked() / "mlops" / "src" / "mlops" / "serving" / "signature.py"
    kinds = {
        each.name
        for each in ast.parse(file.read_text()).body
        if isinstance(each, ast.ClassDef)
        for defined in each.body
        if isinstance(defined, ast.FunctionDef) and defined.name == "check"
    }
    assert kinds == {kind for _, kind, _, _ in without.PARTS["validation"]}


def test_status_that_was_never_answered_is_none_of_the_answers() -> None:
    """The server shows each status from its start, so that a rate can be taken of the first."""
    text = """\
# TYPE mlops_requests_total counter
mlops_requests_total{path="/predict",status="200"} 41.0
mlops_requests_total{path="/v2",status="200"} 1.0
mlops_requests_total{path="/v2",status="503"} 3.0
mlops_requests_total{path="/v2",status="500"} 0.0
mlops_requests_total{path="/predict",status="400"} 0.0
"""
    assert serving.statuses(text) == {"200": 42, "503": 3}
