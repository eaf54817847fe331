"""HTTP/1.1 on httptools: a connection, with bounds on what comes in and how long it may take.

A request is answered by a callback, not by a coroutine of its own, and an answer is one write: that
is what most of the time of a small request goes into. A response is sent when it is there; requests
that a client sends before the answer to an earlier one (pipelining) wait for their turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from time import perf_counter, time
from typing import cast
from urllib.parse import unquote

import httptools

from . import protocol

# Bytes that a request's first line and headers may have together.
HEAD_BYTES = 64 * 1024


def header(name: str, value: str | int) -> bytes:
    """A line of a response's head."""
    return f"{name}: {value}\r\n".encode("latin-1")


JSON = header("content-type", "application/json")
RETRY = header("retry-after", 1)
_CLOSE = header("connection", "close")
_KEEP = header("connection", "keep-alive")


@dataclass(slots=True)
class Request:
    """A request, whole. Names of headers are in lower case; `started` is when its head came."""

    method: str = ""
    path: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Response:
    """What a request is answered with. `head` has the headers as they are sent, a line each."""

    status: int
    head: bytes
    body: bytes


Respond = Callable[[Response], None]
Handle = Callable[[Request, Respond], None]


@dataclass
class Limits:
    """What a connection may take, in bytes and seconds, and how many there may be."""

    body_bytes: int
    receive_seconds: float
    idle_seconds: float
    connections: int


class Site:
    """The connections of a server, and what they share.

    Attributes:
        connections: those that are open.
        closing: each answer is the last on its connection.
    """

    def __init__(self, handle: Handle, limits: Limits) -> None:
        self.handle = handle
        self.limits = limits
        self.connections: set[Connection] = set()
        self.closing = False
        self.date = b""
        self.tick(0)

    def tick(self, now: float) -> None:
        """Once a second: end connections that take too long, by the loop's clock."""
        self.date = header("date", formatdate(time(), usegmt=True))
        for connection in list(self.connections):
            if connection.deadline < now:
                connection.expire()

    def close_idle(self) -> None:
        """Close connections without a request under way; the others close after their answer."""
        self.closing = True
        for connection in list(self.connections):
            if not connection.busy:
                connection.close()


NEVER = float("inf")
# What a client that was refused may go on sending, before it is cut off.
LINGER_SECONDS = 2


class Part(Enum):
    """Which part of a request is coming in."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()


class Connection(asyncio.Protocol):
    """A client's connection.

    Attributes:
        busy: a request is being answered.
        deadline: when it is ended unless something happens, by the loop's clock.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        # Of the request that is coming in.
        self._part = Part.NONE
        self._request = Request()
        self._url = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes: int | None = None
        # Those that have come in while another one is being answered.
        self._waiting: deque[Request] = deque()
        self._done_reading = False
        self._slow_reader = False
        self.busy = False
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._site.connections.add(self)
        self._end_in(self._site.limits.receive_seconds)
        if len(self._site.connections) > self._site.limits.connections:
            self._refuse(503, "too many connections; try again in a second", RETRY)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._site.connections.discard(self)
        self._done_reading = True
        self._waiting.clear()

    def eof_received(self) -> bool:
        """The client sends no more, but may wait for answers: the connection stays for those."""
        self._done_reading = True
        return self.busy

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._done_reading:
            return  # read and left aside, so that the client gets to read why
        try:
            while data:
                try:
                    self._parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    data = self._without_offer() + data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1")
        else:
            if self._part is Part.HEAD:
                # Its first piece may follow other requests in `data`: the later ones are counted.
                self._head_bytes = 0 if self._head_bytes is None else self._head_bytes + len(data)
                if self._head_bytes > HEAD_BYTES:
                    self._refuse(431, f"the headers are longer than {HEAD_BYTES} bytes")

    def _without_offer(self) -> bytes:
        """The head of a request that offers another protocol, to be read anew without the offer.

        A server may decline it by going on with this one; httptools leaves such a request's body.
        """
        request = self._request
        if request.method == "CONNECT":
            self._refuse(405, "this is no proxy")
            return b""
        version = self._parser.get_http_version()
        self._parser = httptools.HttpRequestParser(self)
        headers = {k: v for k, v in request.headers.items() if k not in (b"connection", b"upgrade")}
        if b"close" in request.headers.get(b"connection", b"").lower():
            headers[b"connection"] = b"close"
        lines = [f"{request.method} ".encode() + self._url + f" HTTP/{version}".encode()]
        lines += [name + b": " + value for name, value in headers.items()]
        return b"\r\n".join([*lines, b"", b""])

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks: it is not read from meanwhile."""
        self._slow_reader = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See pause_writing."""
        self._slow_reader = False
        self._read_on()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._part = Part.HEAD
        self._request = Request(started=perf_counter())
        self._url = b""
        self._body = []
        self._body_bytes = 0
        self._head_bytes = None
        if not self.busy:
            self._end_in(self._site.limits.receive_seconds)

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those that come after the body count for nothing."""
        if self._part is Part.HEAD:
            self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._part = Part.BODY
        request = self._request
        request.method = self._parser.get_method().decode("ascii")
        request.keep_alive = self._parser.should_keep_alive()
        request.path = _path(self._url)
        if self._parser.should_upgrade():
            return  # see _without_offer
        if self._too_long(int(request.headers.get(b"content-length", b"0"))):
            return
        if request.headers.get(b"expect", b"").lower() == b"100-continue" and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        if not self._done_reading and not self._too_long(self._body_bytes):
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is there, whole."""
        self._part = Part.NONE
        request, body = self._request, self._body
        if self._done_reading or self._parser.should_upgrade():
            return
        request.body = body[0] if len(body) == 1 else b"".join(body)
        self._body = []
        if self.busy:
            self._waiting.append(request)
            self._transport.pause_reading()
        else:
            self._answer(request)

    # Answers.

    def _answer(self, request: Request) -> None:
        self.busy = True
        self.deadline = NEVER
        self._site.handle(request, lambda response: self._respond(request, response))

    def _respond(self, request: Request, response: Response) -> None:
        if self._transport.is_closing():
            return
        no_more = self._done_reading and not self._waiting
        last = no_more or self._site.closing or not request.keep_alive
        self._write(request, response, last)
        self.busy = False
        limits = self._site.limits
        if last:
            self._transport.close()
            self._end_in(limits.receive_seconds)
        elif self._waiting:
            # Not at once: a long pipeline would answer itself deeper and deeper in the stack.
            self._loop.call_soon(self._next)
        else:
            idle = self._part is Part.NONE
            self._end_in(limits.idle_seconds if idle else limits.receive_seconds)

    def _next(self) -> None:
        if self._waiting and not self.busy:
            self._answer(self._waiting.popleft())
            self._read_on()

    def _read_on(self) -> None:
        if not self._waiting and not self._slow_reader:
            self._transport.resume_reading()

    def _write(self, request: Request, response: Response, last: bool) -> None:
        connection = b""
        if last:
            connection = _CLOSE
        elif b"connection" in request.headers:
            connection = _KEEP  # which HTTP/1.0 has to be told
        head = b"%b%b%b%bcontent-length: %d\r\n\r\n" % (
            _STATUS[response.status],
            self._site.date,
            response.head,
            connection,
            len(response.body),
        )
        self._transport.write(head if request.method == "HEAD" else head + response.body)

    def _too_long(self, size: int) -> bool:
        limit = self._site.limits.body_bytes
        if size > limit:
            self._refuse(413, f"the body has more than {limit} bytes")
        return size > limit

    def _refuse(self, status: int, message: str, head: bytes = b"") -> None:
        """Answer what is no whole request, and end the connection once the client has seen it.

        While earlier requests are being answered, theirs are the last, and this is not told.
        """
        if self._done_reading:
            return
        self._done_reading = True
        if self.busy or self._waiting:
            return
        response = Response(status, JSON + head, protocol.error(message))
        self._write(self._request, response, last=True)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        # What is still on its way is read: a connection closed on it would be reset, and the
        # answer lost.
        self._end_in(LINGER_SECONDS)

    def _end_in(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds

    def expire(self) -> None:
        """The deadline has passed."""
        unread = self._transport.get_write_buffer_size() > 0
        if self._done_reading or unread or self._transport.is_closing():
            self._transport.abort()
        elif self._part is Part.NONE:
            self._transport.close()
        else:
            self._refuse(408, "the request took too long to come")

    def close(self) -> None:
        """Close at once."""
        self._transport.close()


_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


def _path(url: bytes) -> str:
    """The path of a request's address, without query."""
    if not url.startswith(b"/"):
        try:
            url = httptools.parse_url(url).path or b"/"
        except httptools.HttpParserInvalidURLError:
            url = b"/"
    path = url.partition(b"?")[0].decode("latin-1")
    return unquote(path) if "%" in path else path
