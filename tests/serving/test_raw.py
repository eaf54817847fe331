"""What comes over the wire from whoever likes: no answer is 5xx, and the next client gets one."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving.conftest import Start
from serving.running import Answer, Row, Server, encode, request, wait_for

GET = b"GET /v2 HTTP/1.1\r\nhost: server\r\n\r\n"


@pytest.fixture
def row(server: Server) -> Row:
    return server.example()


@pytest.fixture(autouse=True)
def _good_request_is_answered_afterwards(server: Server) -> Iterator[None]:
    yield
    assert len(server.predict(server.example())) == 1


def told(answer: Answer | None, status: int, about: str = "") -> None:
    """Require an error with this status, as the protocol has it."""
    assert answer is not None
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.json.keys() == {"error"}
    assert about in answer.json["error"]


def conforms(answer: Answer) -> None:
    """Require that an answer is a good one, or says what the client did wrong."""
    assert answer.status in (100, 200, 501) or 400 <= answer.status < 500, answer
    if answer.status >= 400:
        told(answer, answer.status)


# What is no request.


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost server\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nx : a\r\n\r\n",
        b"GET /v\x002 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: 1x\r\n\r\nab",
        b"POST /predict HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\n[{}]",
        b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]xx0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n[]",
    ],
    ids=lambda data: data[:60].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_no_request_is_refused_and_closed(server: Server, data: bytes) -> None:
    """Where a request ends must be beyond doubt: what follows could be taken for the next one."""
    with server.wire() as wire:
        wire.send(data + GET)
        answer = wire.answer()
        told(answer, 400)
        assert answer is not None
        assert answer.last
        assert wire.ended()


def test_requests_that_are_cut_off(server: Server, row: Row) -> None:
    whole = request("/predict", row)
    for length in [*range(0, 120, 7), len(whole) - 1]:
        with server.wire() as wire:
            wire.send(whole[:length])
            wire.end()
            for answer in wire.answers():
                told(answer, 400)


def test_client_that_sends_no_more_gets_its_answer(server: Server, row: Row) -> None:
    """As `printf … | nc` does."""
    with server.wire() as wire:
        wire.send(request("/predict", row) + request("/predict", [row] * 300))
        wire.end()
        assert [answer.status for answer in wire.answers()] == [200, 200]


def test_client_that_leaves_is_forgotten(server: Server, row: Row) -> None:
    for _ in range(20):
        with server.wire() as wire:
            wire.send(request("/predict", [row] * 300))


def test_byte_after_byte(server: Server, row: Row) -> None:
    with server.wire() as wire:
        for byte in request("/predict", row):
            wire.send(bytes([byte]))
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 200
        assert not answer.last


# Forms of HTTP that are.


def test_chunks_with_extensions_and_trailers(server: Server, row: Row) -> None:
    body = encode(row)
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    with server.wire() as wire:
        head = b"POST /predict HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
        wire.send(head + chunks + b"0\r\nx: y\r\n\r\n" + GET)
        for _ in range(2):
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200


def test_pipelined_requests_are_answered_in_their_order(server: Server, row: Row) -> None:
    """Quick ones after slow ones, too."""
    many = 60
    with server.wire() as wire:
        sent = [
            request("/predict", [row] * (300 if i % 3 == 0 else i)) if i % 2 else GET
            for i in range(1, many + 1)
        ]
        wire.send(b"".join(sent))
        for i in range(1, many + 1):
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200
            rows = len(answer.json["predictions"]) if i % 2 else None
            assert rows == ((300 if i % 3 == 0 else i) if i % 2 else None)
            assert not answer.last
        wire.send(GET)
        assert wire.answer() is not None


def test_answers_end_where_the_client_ends_them(server: Server, row: Row) -> None:
    closing = GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    with server.wire() as wire:
        wire.send(request("/predict", row) + closing + GET * 3)
        answers = wire.answers()
        assert [answer.last for answer in answers] == [False, True]
        assert [answer.status for answer in answers] == [200, 200]


def test_noise_after_a_request_takes_away_no_answer(server: Server, row: Row) -> None:
    """Neither its own nor that of a client whose rows go through the model with it."""
    for rows in (1, 300):
        with server.wire() as wire, server.wire() as other:
            other.send(request("/predict", row))
            wire.send(request("/predict", [row] * rows) + b"\x00noise\r\n\r\n")
            first = other.answer()
            assert first is not None
            assert first.status == 200
            answers = wire.answers()
            assert answers[0].status == 200
            assert answers[-1].last
            for answer in answers[1:]:
                told(answer, 400)


def test_large_bodies_leave_the_connection_usable(server: Server, row: Row) -> None:
    """Larger than what headers may have: one has nothing to do with the other."""
    with server.wire() as wire:
        for rows in (255, 300, 1000, 5000):
            wire.send(request("/predict", [row] * rows) + GET)
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200
            assert len(answer.json["predictions"]) == rows
            assert wire.answer() is not None


def test_http_1_0(server: Server) -> None:
    for headers in (b"", b"connection: keep-alive\r\n"):
        with server.wire() as wire:
            wire.send(b"GET /v2 HTTP/1.0\r\n" + headers + b"\r\n")
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200
            assert answer.last != bool(headers)
            if headers:  # that it stays open has to be said to such a client
                assert answer.headers["connection"] == "keep-alive"
            else:
                assert wire.ended()


def test_head_is_get_without_a_body(server: Server) -> None:
    paths = ("/v2", "/v2/health/ready", f"/v2/models/{server.name}", "/openapi.json", "/nowhere")
    for path in paths:
        with server.wire() as wire:
            wire.send(request(path, method="HEAD") + request(path))
            head, whole = wire.answer(head_only=True), wire.answer()
            assert head is not None
            assert whole is not None
            assert head.status == whole.status
            assert int(head.headers["content-length"]) == len(whole.body)


def test_expect_100_continue(server: Server, row: Row) -> None:
    body = encode(row)
    head = b"POST /predict HTTP/1.1\r\nhost: a\r\nExpect: 100-continue\r\n"
    head += b"content-length: %d\r\n\r\n"
    with server.wire() as wire:
        for _ in range(2):
            wire.send(head % len(body))
            go_on = wire.answer()
            assert go_on is not None
            assert go_on.status == 100
            wire.send(body)
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200
        wire.send(head % 10**9)  # told before it sends it
        told(wire.answer(), 413)
        assert wire.ended()


def test_offer_of_another_protocol_is_declined(server: Server, row: Row) -> None:
    """By going on with this one, as curl --http2 expects."""
    offers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMA"}
    with server.wire() as wire:
        for each in (request("/v2", headers=offers), request("/predict", row, headers=offers)):
            wire.send(each + GET)
            for _ in range(2):
                answer = wire.answer()
                assert answer is not None
                assert answer.status == 200
        many = 3000
        wire.send(request("/v2", headers=offers) * many)  # comes in few pieces
        for _ in range(many):
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200


def test_server_is_no_proxy(server: Server) -> None:
    with server.wire() as wire:
        wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n" + GET)
        answers = wire.answers()
        assert len(answers) == 1
        told(answers[0], 405)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://server/v2", 200),
        ("http://other:1/v2?x=http://y/", 200),
        ("/v2?x=1#y", 200),
        ("/v2/", 200),
        ("/%76%32", 200),
        ("/v%2", 404),
        ("/%ff%fe", 404),
        ("/%00", 404),
        ("/\xe4\xff", 404),
        ("//v2", 404),
        ("/v2/../v2", 404),
        ("/v2/models/..%2f..%2fetc", 404),
        ("http://server", 200),
        ("http://[::1", 404),
        ("*", 404),
        ("/" + "a" * 5000, 404),
    ],
)
def test_addresses(server: Server, target: str, status: int) -> None:
    with server.wire() as wire:
        wire.send(request(target) + GET)
        answer = wire.answer()
        assert answer is not None
        if target in ("http://[::1", "/\xe4\xff") and answer.status == 400:
            return  # no address at all
        assert answer.status == status, answer
        if status != 200:
            told(answer, status)
            assert len(answer.body) < 1000
        assert wire.answer() is not None


def test_other_methods(server: Server, row: Row) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = server.ask("/predict", row, method)
        told(answer, 405)
        assert answer.headers["allow"] == "POST"
    answer = server.ask("/v2", {})
    told(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD"


# Too much.


def test_bodies_that_are_too_long(server: Server) -> None:
    size = 17 * 2**20
    with server.wire() as wire:
        wire.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
        told(wire.answer(), 413, "16777216")
        wire.send(bytes(size))
        assert wire.ended()
    with server.wire() as wire:
        wire.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%s\r\n" % (2**16, bytes(2**16))
        for _ in range(size // 2**16):
            wire.send(piece)
        told(wire.answer(), 413)
        assert wire.ended()


@pytest.mark.parametrize("shape", ["one", "many", "address", "endless"])
def test_headers_that_are_too_long(server: Server, shape: str) -> None:
    fill = {
        "one": b"GET /v2 HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 2**20 + b"\r\n\r\n",
        "many": b"GET /v2 HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 2**18 + b"\r\n",
        "address": b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n\r\n",
        "endless": b"GET /v2 HTTP/1.1\r\nhost: a\r\n" + b"x" * 2**20,
    }
    with server.wire() as wire:
        wire.send(fill[shape])
        told(wire.answer(), 431)
        assert wire.ended()


def test_headers_of_a_usual_length_after_large_bodies(server: Server, row: Row) -> None:
    body = request("/predict", [row] * 1000)
    whole = GET.replace(b"\r\n\r\n", b"\r\nx: " + b"a" * 20_000 + b"\r\n\r\n")
    with server.wire() as wire:
        for _ in range(5):
            wire.send(body + whole[:10_000])
            assert wire.answer() is not None
            wire.send(whole[10_000:])
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200


def test_slow_clients_are_cut_off(start: Start) -> None:
    server = start(receive_seconds=0.5)
    with server.wire() as idle, server.wire() as head, server.wire() as body:
        head.send(b"GET /v2 HT")
        body.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n[")
        for wire in (head, body):
            told(wire.answer(), 408)
            assert wire.ended()
        assert idle.ended()
    with server.wire() as wire:
        for _ in range(3):  # the time is a request's, not that between them
            wire.send(GET)
            assert wire.answer() is not None
            wait_for(lambda: server.ask("/v2").status == 200, "another")
    assert server.told() == ""


def test_client_that_never_reads(start: Start) -> None:
    """What is not taken is not made either: the server's memory stays as it is."""
    server = start()
    status = Path(f"/proc/{server.process.pid}/status")

    def megabytes() -> int:
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) // 1024

    document = request("/openapi.json")
    before = megabytes()
    with server.wire() as wire:
        wire.socket.settimeout(1)
        try:
            for _ in range(200):
                wire.send(document * 100)
        except TimeoutError:
            pass
        assert server.get("/v2")["name"] == server.name
        assert megabytes() - before < 40
    assert server.told() == ""


# Bodies that are no request of the protocol.

BODIES = {
    "empty": b"",
    "no json": b"{",
    "nothing": b"null",
    "utf-16": '{"inputs": []}'.encode("utf-16"),
    "utf-8 with a mark": b'\xef\xbb\xbf{"inputs": []}',
    "latin-1": '{"inputs": [], "id": "é"}'.encode("latin-1"),
    "lone surrogate": b'{"inputs": [], "id": "\\ud800"}',
    "two surrogates the wrong way": b'{"inputs": [], "id": "\\udc00\\ud800"}',
    "surrogate in utf-8": b'{"inputs": [], "id": "\xed\xa0\x80"}',
    "deep": b'{"inputs": ' + b"[" * 200_000,
    "deep and closed": b'{"parameters": {"a": ' + b"[" * 5000 + b"]" * 5000 + b'}, "inputs": []}',
    "deep objects": b'{"inputs": ' + b'{"a":' * 100_000,
    "huge number": b'{"inputs": [], "parameters": {"a": ' + b"9" * 100_000 + b"}}",
    "huge exponent": b'{"inputs": [], "parameters": {"a": 1e99999}}',
    "no inputs": b'{"inputs": []}',
    "two documents": b'{"inputs": []}{"inputs": []}',
    "nul": b'{"inputs": []}\0',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_request(server: Server, name: str) -> None:
    for path in (server.infer, "/predict"):
        told(server.ask(path, BODIES[name]), 400)


WRONG: dict[str, list[bytes]] = {
    "distance": [
        b"NaN", b"Infinity", b"-Infinity", b"1e999", b'"1"', b"true", b"null", b"[1]", b"{}",
        b"0", b"10000.1", b"9" * 400, b"9" * 4299, b"-" + b"9" * 5000, b"[" * 800 + b"]" * 800,
        b"[" * 300 + b"]" * 300, b'"' + b"x" * 10_000 + b'"',
    ],
    "weekend": [b"0", b'"true"', b"null", b"1.0", b"[true]"],
    "origin": [b'"XXX"', b'""', b"null", b"1", b'"\\ud800"', b'"\xff"', b"[]", b'"EWR\\u0000"'],
    "temp": [b"-40.1", b"130.1", b'"NaN"', b'""', b"NaN", b"false"],
}  # fmt: skip


@pytest.mark.parametrize("column", WRONG)
def test_wrong_values_are_told_with_column_and_row(server: Server, row: Row, column: str) -> None:
    mark = "@value@"
    plain = encode([row, row | {column: mark}])
    asked = encode({"inputs": server.tensors([row, row | {column: mark}])})
    for value in WRONG[column]:
        for path, body in (("/predict", plain), (server.infer, asked)):
            answer = server.ask(path, body.replace(encode(mark), value))
            told(answer, 400)
            assert len(answer.body) < 1000
            text = answer.json["error"]
            if "JSON" not in text and "out of range" not in text and "deep" not in text:
                assert column in text, (value[:20], text)
                assert "row 2" in text, (value[:20], text)


def changed(server: Server, row: Row, **changes: Any) -> Any:
    """A request of the protocol with members of its first input changed."""
    inputs = server.tensors([row])
    inputs[0] |= changes
    return {"inputs": inputs}


def test_wrong_tensors_are_told(server: Server, row: Row) -> None:
    inputs = server.tensors([row])
    first = inputs[0]
    for asked, says in [
        ({"inputs": inputs[1:]}, "missing: carrier"),
        ({"inputs": [*inputs, first]}, "carrier: given twice"),
        ({"inputs": [*inputs, first | {"name": "speed"}]}, "speed"),
        ({"inputs": [*inputs, first | {"name": "late"}]}, "late"),
        (changed(server, row, shape=[2]), "carrier"),
        (changed(server, row, shape=[]), "rows"),
        (changed(server, row, shape=[0], data=[]), "rows"),
        (changed(server, row, shape=[-1]), "rows"),
        (changed(server, row, shape=[1, 2], data=["a", "b"]), "carrier"),
        (changed(server, row, shape=[1, 1, 1]), "carrier"),
        (changed(server, row, shape=[1.0]), "shape"),
        (changed(server, row, shape=[10**400]), "shape"),
        (changed(server, row, shape=["1"]), "shape"),
        (changed(server, row, datatype="FP32"), "carrier: datatype FP32"),
        (changed(server, row, datatype="NONE" * 1000), "carrier: datatype NONE"),
        (changed(server, row, data=None), "carrier: no data"),
        (changed(server, row, data="UA"), "data"),
        (changed(server, row, data=[["UA", "UA"]], shape=[1, 1]), "carrier"),
        (changed(server, row, name="x" * 100_000), "x"),
        ({"inputs": inputs, "outputs": [{"name": "nothing"}]}, "nothing"),
        ({"inputs": inputs, "outputs": [{"name": "prediction"}] * 2}, "prediction"),
        ({"inputs": inputs, "id": 5}, "id"),
    ]:
        answer = server.ask(server.infer, asked)
        assert answer.status in (400, 413), says
        told(answer, answer.status, says)
        assert len(answer.body) < 1200, says


def test_duplicate_keys_are_the_last_one(server: Server, row: Row) -> None:
    """As everywhere in JSON; for a row that is what the log and the model get alike."""
    body = encode(row).replace(b'"origin"', b'"origin": "XXX", "origin"')
    assert server.ask("/predict", body).status == 200


def test_too_many_rows(server: Server, row: Row) -> None:
    told(server.ask("/predict", [row] * 10_001), 413, "10000")
    told(server.ask("/predict", []), 400)


def test_bodies_of_another_coding_are_refused(server: Server, row: Row) -> None:
    told(server.ask("/predict", row, headers={"content-encoding": "br"}), 415, "gzip and deflate")


# The binary extension.


def in_binary(server: Server, row: Row, **lies: Any) -> Answer:
    """Ask with all inputs in binary, with lies about their lengths."""
    inputs, blobs = [], []
    for each in server.tensors([row]):
        (value,) = each.pop("data")
        if each["datatype"] == "BYTES":
            text = value if isinstance(value, bytes) else value.encode()
            blob = struct.pack("<I", lies.get("text", len(text))) + text
        else:
            blob = struct.pack("<?" if each["datatype"] == "BOOL" else "<f", value)
        each["parameters"] = {"binary_data_size": lies.get("size", len(blob))}
        inputs.append(each | lies.get("input", {}))
        blobs.append(blob)
    head = encode({"inputs": inputs})
    length = lies.get("head", len(head))
    headers = {"inference-header-content-length": str(length)}
    body = head + b"".join(blobs) + lies.get("rest", b"")
    return server.ask(server.infer, body[: lies.get("cut")], headers=headers)


def test_binary_lengths_that_lie(server: Server, row: Row) -> None:
    assert in_binary(server, row).status == 200
    every: list[dict[str, Any]] = [
        {"head": 10**9}, {"head": 0}, {"head": 5}, {"head": "9" * 5000}, {"head": "-1"},
        {"head": "x"}, {"head": "\xb2"}, {"head": ""}, {"head": "1e3"},
        {"size": 10**12}, {"size": 0}, {"size": 3}, {"size": -4}, {"size": True}, {"size": "4"},
        {"size": 10**300}, {"size": None}, {"text": 2**32 - 1}, {"text": 0},
        {"rest": b"more"}, {"cut": -1}, {"cut": 5},
        {"input": {"shape": [2**62, 2]}}, {"input": {"shape": [-1]}}, {"input": {"shape": [0]}},
        {"input": {"shape": [10**400]}}, {"input": {"shape": [1] * 100_000}},
        {"input": {"datatype": "FP64"}}, {"input": {"datatype": "BYTES"}},
        {"input": {"datatype": "COMPLEX"}}, {"input": {"name": "x"}},
    ]  # fmt: skip
    for lies in every:
        answer = in_binary(server, row, **lies)
        assert answer.status in (400, 413), lies
        told(answer, answer.status)
        assert len(answer.body) < 1200, lies
    told(in_binary(server, row | {"carrier": b"\xff\xfe"}), 400, "carrier, row 1")
    told(in_binary(server, row | {"carrier": b"\xed\xa0\x80"}), 400, "carrier, row 1")


def test_binary_numbers_that_are_none(server: Server, row: Row) -> None:
    for value in (float("inf"), -float("inf"), float("nan")):
        told(in_binary(server, row | {"distance": value}), 400, "distance, row 1")
    assert in_binary(server, row | {"temp": float("nan")}).status == 200
    told(in_binary(server, row | {"temp": float("inf")}), 400, "temp, row 1")


# Whatever comes to mind.


def spoilt(data: bytes, chance: random.Random) -> bytes:
    """Return a request with something cut, doubled, put in or overwritten."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(found) + 1)
        end = min(len(found), start + chance.choice([1, 2, 10, 100]))
        match chance.randrange(5):
            case 0:
                del found[start:end]
            case 1:
                found[start:start] = found[start:end]
            case 2:
                found[start:end] = chance.randbytes(end - start)
            case 3:
                found[start:start] = chance.choice(
                    [b"\r\n", b"\0", b"9" * 30, b"{", b"]", b'"', b"\\", b"\xff", b": ", b"-1"]
                )
            case 4 if len(found) > 1:
                at = chance.randrange(len(found))
                found[at] ^= 1 << chance.randrange(8)
    return bytes(found)


@pytest.mark.parametrize("seed", range(4))
def test_spoilt_requests(server: Server, row: Row, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    asked = json.dumps({"id": "7", "inputs": server.tensors([row, row])})
    good = [
        request("/predict", [row, row]),
        request(server.infer, asked.encode()),
        request("/predict", row, headers={"transfer-encoding": "identity"}),
        GET * 2,
        b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        b"4\r\n[{}]\r\n0\r\n\r\n",
    ]
    for _ in range(100):
        data = spoilt(chance.choice(good), chance)
        with server.wire() as wire:
            wire.send(data)
            wire.end()
            answers = wire.answers()
        for answer in answers:
            conforms(answer)
        assert all(not answer.last for answer in answers[:-1]), data
