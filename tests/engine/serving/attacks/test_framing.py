"""Where a request ends, and how much of it there may be, is beyond doubt."""

import zlib

import pytest
from serving.running import Answer, Server, encode, request

CHUNKED = b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
GET = b"GET /v2 HTTP/1.1\r\n"


def refused(server: Server, data: bytes) -> Answer:
    """The answer to what is sent, after which the connection ends."""
    with server.wire() as wire:
        wire.send(data)
        answer = wire.answer()
        assert answer is not None
        assert answer.last
        assert wire.ended()
    assert server.ask("/v2").status == 200
    return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (CHUNKED + b"2\r\n[]\r\n0\r\n" + b"x: y\r\n" * 2**16, 431),
        (CHUNKED + b"2\r\n[]\r\n0\r\nx: " + b"y" * 2**18, 431),
        (CHUNKED + b"2;" + b"x" * 2**18, 431),
        (GET + b"host: a\r\n" + b"".join(b"h%d: x\r\n" % i for i in range(101)) + b"\r\n", 431),
        (GET + b"\r\n", 400),
        (GET + b"host: a\r\nhost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ],
    ids=lambda value: str(value[-20:]) if isinstance(value, bytes) else str(value),
)
def test_what_has_no_bounds_or_is_unknown_is_refused(
    server: Server, data: bytes, status: int
) -> None:
    before = server.metric("mlops_requests_total", status=str(status))
    assert refused(server, data).status == status
    assert server.metric("mlops_requests_total", status=str(status)) == before + 1


def test_trailers_of_a_usual_length_are_left_aside(server: Server) -> None:
    body = encode(server.example())
    with server.wire() as wire:
        for _ in range(2):
            wire.send(CHUNKED + b"%x\r\n%s\r\n0\r\nx: y\r\n\r\n" % (len(body), body))
            answer = wire.answer()
            assert answer is not None
            assert answer.status == 200


def test_many_requests_at_once_are_all_answered_in_order(server: Server) -> None:
    """More than wait at a time, and after the client has said that no more will come."""
    row = server.example()
    with server.wire() as wire:
        sent = [request("/predict", [row] * (1 + i % 3)) for i in range(300)]
        wire.send(b"".join(sent))
        wire.end()
        answers = wire.answers()
    assert [len(answer.json["predictions"]) for answer in answers] == [
        1 + i % 3 for i in range(300)
    ]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_may_be_packed(server: Server, coding: str) -> None:
    row, bits = server.example(), {"gzip": 31, "deflate": 15}[coding]
    headers = {"content-encoding": coding}

    def ask(content: bytes) -> Answer:
        return server.ask("/predict", content, headers=headers)

    packed = zlib.compress(encode([row] * 500), wbits=bits)
    assert ask(packed).json["predictions"] == server.predict(*[row] * 500)
    assert "is not" in ask(encode(row)).json["error"]
    assert "one whole" in ask(packed[:-1]).json["error"]
    assert "one whole" in ask(packed + b"more").json["error"]
    assert ask(zlib.compress(bytes(17 * 2**20), wbits=bits)).status == 413


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("br", False),
    ],
)
def test_answers_are_packed_for_who_takes_them(server: Server, accepted: str, packed: bool) -> None:
    rows = [server.example()] * 400
    plain = server.ask("/predict", rows)
    answer = server.ask("/predict", rows, headers={"accept-encoding": accepted})
    assert ("content-encoding" in answer.headers) == packed
    body = zlib.decompress(answer.body, wbits=31) if packed else answer.body
    assert len(body) == len(plain.body)
    short = server.ask("/predict", rows[0], headers={"accept-encoding": accepted})
    assert "content-encoding" not in short.headers
