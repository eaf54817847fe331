"""HTTP/1.1 on httptools: a connection, with bounds on what comes in and how long it may take.

What a connection holds, from a request's first byte to the last of its answer, is taken from the
worker's share of memory first (budget.Held), and given back.

A request is answered by a callback, not by a coroutine of its own, and an answer is one write: that
is what most of the time of a small request goes into. A response is sent when it is there; requests
that a client sends before the answer to an earlier one (pipelining) wait for their turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from time import perf_counter, time
from typing import cast
from urllib.parse import unquote

import httptools

from . import protocol
from .budget import CONNECTION, SMALL, Held

# Bytes that a request's first line and headers may have together; those after a body, as well.
HEAD_BYTES = 64 * 1024
# How many headers.
HEADERS = 100
# The parser knows no pause: it is given so many bytes at a time, and no more while so many requests
# wait for the answer to an earlier one.
SLICE, PIPELINED = 4 * 1024, 16
# What a connection's data is parsed for without a break, in seconds: a body may come in chunks of a
# byte each.
TURN_SECONDS = 0.005
# From so many bytes on that a client has not read of its answers, it is not read from.
UNREAD = 16 * 1024


def header(name: str, value: str | int) -> bytes:
    """A line of a response's head."""
    return f"{name}: {value}\r\n".encode("latin-1")


JSON = header("content-type", "application/json")
RETRY = header("retry-after", 1)
# https://www.rfc-editor.org/rfc/rfc6750#section-3
_WHO = header("www-authenticate", "Bearer")
_CLOSE = header("connection", "close")
_KEEP = header("connection", "keep-alive")


@dataclass(slots=True)
class Request:
    """A request, whole. Names of headers are in lower case.

    Attributes:
        query: what follows the path, as it was sent.
        started: when its head came.
        held: bytes that it came in, taken until it is answered.
        caller: who asks, where that is known.
    """

    method: str = ""
    path: str = ""
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes | bytearray = b""
    keep_alive: bool = True
    started: float = 0.0
    held: int = 0
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What a request is answered with. `head` has the headers as they are sent, a line each."""

    status: int
    head: bytes
    body: bytes


Respond = Callable[[Response], None]
Handle = Callable[[Request, Respond], None]
# Is told the status of each answer that was given without the application.
Turned = Callable[[int], None]
# Says who asks for a path, with these headers: see Access.admits.
Admits = Callable[[str, Mapping[bytes, bytes]], str | None]


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
        held: the memory that requests may take.
        connections: those that are open.
        closing: each answer is the last on its connection.
    """

    def __init__(
        self, handle: Handle, turned: Turned, admits: Admits, limits: Limits, held: Held
    ) -> None:
        self.handle = handle
        self.turned = turned
        self.admits = admits
        self.limits = limits
        self.held = held
        self.connections: set[Connection] = set()
        self.closing = False
        self.date = b""
        self._ticked = 0.0
        self.tick(0)

    def tick(self, now: float) -> None:
        """Every TICK_SECONDS: end connections that take too long, by the loop's clock.

        Time in which the loop did not turn is no client's: what has come may be yet to be read.
        """
        self.date = header("date", formatdate(time(), usegmt=True))
        lost = max(0.0, now - self._ticked - TICK_SECONDS) if self._ticked else 0.0
        self._ticked = now
        for connection in list(self.connections):
            connection.deadline += lost
            if connection.deadline < now:
                connection.expire()

    def close_idle(self) -> None:
        """Have connections end after their answer, or soon where no request is on its way."""
        self.closing = True
        for connection in list(self.connections):
            connection.close_when_idle()


NEVER = float("inf")
TICK_SECONDS = 1
# What a client that was refused may go on sending, before it is cut off.
LINGER_SECONDS = 2
# Connections beyond the limit that get an answer; others are cut off, before files run out.
REFUSALS = 32
# While the server stops: what a connection without a request is given for one that is on its way.
LAST_SECONDS = 1


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
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        # Of the request that is coming in.
        self._part = Part.NONE
        self._request = Request()
        self._url = b""
        self._body: bytes | bytearray = b""
        self._head_bytes: int | None = None
        self._between_bytes = 0
        self._hosts = 0
        self._held = 0
        # Those that have come in while another one is being answered, and what came after them.
        self._waiting: deque[Request] = deque()
        self._unparsed = b""
        self._unread = 0
        self._fresh = True  # no request has begun to come
        self._ended = False
        self._done_reading = False
        self._slow_reader = False
        self.busy = False
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNREAD)
        site = self._site
        site.connections.add(self)
        self._end_in(site.limits.receive_seconds)
        fits = site.held.fits(CONNECTION, large=True)
        site.held.bytes += CONNECTION
        beyond = len(site.connections) - site.limits.connections
        if beyond > REFUSALS:
            site.turned(503)
            self._transport.abort()
        elif beyond > 0 or not fits:
            self._refuse(503, "too many connections; try again in a second", RETRY)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._site.connections.discard(self)
        self._done_reading = True
        waiting = sum(request.held for request in self._waiting)
        self._site.held.bytes -= CONNECTION + self._held + self._unread + waiting
        self._held = self._unread = 0
        self._waiting.clear()
        # The parser and this refer to each other: left so, both would wait for Python's collector,
        # which counts objects, and not the megabytes of a body that hang on one of them.
        self._parser = None
        self._body = self._unparsed = b""

    def eof_received(self) -> bool:
        """The client sends no more, but may wait for answers: the connection stays for those."""
        self._ended = True
        if self._unparsed:
            return True  # what came before the end is yet to be looked at
        self._done_reading = True
        return self.busy

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if len(data) <= SLICE and not self._unparsed:
            self._parse(data)
        else:
            self._parse_slices(data)

    def _parse_slices(self, data: bytes) -> None:
        """Parse until there is no more, enough requests wait, or others are to have their turn."""
        data, at = self._unparsed + data, 0
        self._keep(b"")
        until = perf_counter() + TURN_SECONDS
        while at < len(data):
            if len(self._waiting) >= PIPELINED or (at and perf_counter() > until):
                self._keep(data[at:])
                break
            self._parse(data[at : at + SLICE])
            at += SLICE

    def _keep(self, data: bytes) -> None:
        """Hold what is not parsed yet. A connection is read from no more meanwhile."""
        held = self._site.held
        held.bytes -= len(self._unparsed)
        self._held -= len(self._unparsed)
        self._unparsed = data
        if data and self._take(len(data)):
            self._transport.pause_reading()
            if not self._waiting:
                self._loop.call_soon(self._next)

    def _take(self, size: int) -> bool:
        """Take memory for what came in, or refuse it."""
        held = self._site.held
        if not held.fits(size, self._held > SMALL):
            self._refuse(503, "other requests have taken the memory; try again in a second", RETRY)
            return False
        held.bytes += size
        self._held += size
        return True

    def _parse(self, data: bytes) -> None:
        # Of a request that was refused: read and left aside, so that the client gets to read why.
        if self._done_reading or self._parser is None or not self._take(len(data)):
            return
        body_bytes = len(self._body)
        try:
            while data:
                try:
                    self._parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    data = self._without_offer() + data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1")
            return
        if self._part is Part.HEAD:
            # Its first piece may follow other requests in `data`: the later ones are counted.
            self._head_bytes = 0 if self._head_bytes is None else self._head_bytes + len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, f"the headers are longer than {HEAD_BYTES} bytes")
        elif self._part is Part.BODY:
            # Extensions of chunks and headers after the last one are no body, and have no length.
            grown = len(self._body) > body_bytes
            self._between_bytes = 0 if grown else self._between_bytes + len(data)
            if self._between_bytes > HEAD_BYTES:
                self._refuse(431, f"more than {HEAD_BYTES} bytes are between parts of the body")

    def _without_offer(self) -> bytes:
        """The head of a request that offers another protocol, to be read anew without the offer.

        A server may decline it by going on with this one; httptools leaves such a request's body.
        """
        request = self._request
        if request.method == "CONNECT":
            self._refuse(405, "this is no proxy")
            return b""
        assert self._parser is not None
        version = self._parser.get_http_version()
        self._parser = httptools.HttpRequestParser(self)
        headers = {k: v for k, v in request.headers.items() if k not in (b"connection", b"upgrade")}
        if b"close" in request.headers.get(b"connection", b"").lower():
            headers[b"connection"] = b"close"
        lines = [f"{request.method} ".encode() + self._url + f" HTTP/{version}".encode()]
        lines += [name + b": " + value for name, value in headers.items()]
        return b"\r\n".join([*lines, b"", b""])

    def pause_writing(self) -> None:
        """The client reads more slowly than it asks: nothing more is answered meanwhile."""
        self._slow_reader = True
        self._unread = self._transport.get_write_buffer_size()
        self._site.held.bytes += self._unread
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See pause_writing."""
        self._slow_reader = False
        self._site.held.bytes -= self._unread
        self._unread = 0
        self._read_on()
        self._loop.call_soon(self._next)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._part = Part.HEAD
        self._fresh = False
        self._request = Request(started=perf_counter())
        self._url = b""
        self._body = b""
        self._head_bytes = None
        self._between_bytes = self._hosts = 0
        if not self.busy:
            self._end_in(self._site.limits.receive_seconds)

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those that come after the body count for nothing."""
        if self._part is Part.HEAD:
            name = name.lower()
            self._hosts += name == b"host"
            headers = self._request.headers
            headers[name] = value
            if len(headers) > HEADERS:
                self._refuse(431, f"there are more than {HEADERS} headers")

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._part = Part.BODY
        parser, request = self._parser, self._request
        assert parser is not None
        request.method = parser.get_method().decode("ascii")
        request.keep_alive = parser.should_keep_alive()
        request.path = _path(self._url)
        if b"?" in self._url:
            request.query = _query(self._url)
        if self._hosts != 1 and (self._hosts or parser.get_http_version() != "1.0"):
            # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
            self._refuse(400, "a request has one header Host")
            return
        if parser.should_upgrade():
            return  # see _without_offer
        caller = self._site.admits(request.path, request.headers)
        if caller is None:
            # Before the body: a stranger's takes no memory.
            self._refuse(401, "a bearer token is needed: Authorization: Bearer TOKEN", _WHO)
            return
        request.caller = caller
        codings = request.headers.get(b"transfer-encoding")
        if codings is not None and codings.strip().lower() != b"chunked":
            self._refuse(501, "of transfer codings the server knows chunked")
            return
        if self._too_long(int(request.headers.get(b"content-length", b"0"))):
            return
        if request.headers.get(b"expect", b"").lower() == b"100-continue" and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._done_reading or self._too_long(len(self._body) + len(body)):
            return
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += body

    def on_message_complete(self) -> None:
        """The request is there, whole."""
        self._part = Part.NONE
        request = self._request
        if self._done_reading or self._parser is None or self._parser.should_upgrade():
            return
        request.body, self._body = self._body, b""
        request.held, self._held = self._held, 0
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
        self._site.held.bytes -= request.held
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
        elif self._waiting or self._unparsed:
            # Not at once: a long pipeline would answer itself deeper and deeper in the stack.
            self._loop.call_soon(self._next)
        else:
            idle = self._part is Part.NONE
            self._end_in(limits.idle_seconds if idle else limits.receive_seconds)

    def _next(self) -> None:
        if self.busy or self._slow_reader:
            return
        if self._waiting:
            self._answer(self._waiting.popleft())
        elif self._unparsed:
            self._parse_slices(b"")
        if self._ended and not self._unparsed:
            self._done_reading = True
        self._read_on()

    def _read_on(self) -> None:
        if not self._waiting and not self._slow_reader and not self._unparsed:
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
        self._body = b""
        self._site.held.bytes -= self._held
        self._held = 0
        self._unparsed = b""
        if self.busy or self._waiting:
            return
        self._site.turned(status)
        if not self._slow_reader:
            self._transport.resume_reading()
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

    def close_when_idle(self) -> None:
        """Close, unless a request is being answered or coming in: then after its answer.

        On a connection that was just made a request is on its way: there is a while for it.
        """
        if self.busy or self._unparsed or self._part is not Part.NONE:
            return
        if self._fresh:
            self._end_in(LAST_SECONDS)
        else:
            self._transport.close()


_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


def _path(url: bytes) -> str:
    """The path of a request's address, without query."""
    if not url.startswith(b"/"):
        with suppress(httptools.HttpParserInvalidURLError):  # which is the address of nothing
            url = httptools.parse_url(url).path or b"/"
    path = url.partition(b"?")[0].decode("latin-1")
    return unquote(path) if "%" in path else path


def _query(url: bytes) -> str:
    """What follows the path of a request's address."""
    return url.partition(b"?")[2].partition(b"#")[0].decode("latin-1")
