"""Fuzzing by coverage: `python fuzz.py TARGET MODEL -max_total_time=60 CORPUS`.

Each target says what must hold of any input. An exception ends the process, and leaves the input
in a file.
"""

import asyncio
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["mlops.serving"], enable_loader_override=False):
    from mlops.serving import http, protocol
    from mlops.serving.budget import Held
    from mlops.serving.errors import Refused
    from mlops.serving.model import ServedModel
    from mlops.serving.parquet import Field, File
    from mlops.serving.settings import Settings

import msgspec
import numpy as np
import pyarrow.parquet as pq

Target = Callable[[bytes], None]
SHARE = 2**20
# What a message can be refused with.
_STATUSES = {400: "wrong", 413: "too much"}
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [\w -]+\r\n((?:[\w-]+: [^\r\n]*\r\n)+)\r\n")


class Wire:
    """In the place of a socket: takes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        """Take it."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closing

    def close(self) -> None:
        """Take no more."""
        self.closing = True

    abort = close

    def can_write_eof(self) -> bool:
        """As sockets can."""
        return True

    def get_write_buffer_size(self) -> int:
        """All is on its way at once."""
        return 0

    def _nothing(self, *_: object, **__: object) -> None:
        """Neither buffers nor waits."""

    write_eof = pause_reading = resume_reading = set_write_buffer_limits = _nothing


def connection() -> Target:
    """Whatever comes, in whatever pieces: whole answers, and all memory given back."""
    loop = asyncio.new_event_loop()

    async def come(data: bytes) -> None:
        held, asked = Held(SHARE), []

        def handle(request: http.Request, respond: http.Respond) -> None:
            asked.append(request)
            assert len(request.body) <= 4096
            response = http.Response(200, http.JSON, b"{}")
            if len(asked) % 2:
                respond(response)
            else:
                loop.call_soon(respond, response)

        limits = http.Limits(4096, 20, 75, 9)
        site = http.Site(handle, lambda status: None, lambda path, headers: "", limits, held)
        wire, found = Wire(), http.Connection(site)
        found.connection_made(wire)  # type: ignore[arg-type]
        # The first byte says in which pieces the rest comes.
        size = max(1, data[0]) if data else 1
        for at in range(1, len(data), size * size):
            if wire.closing:
                break
            found.data_received(data[at : at + size * size])
            await asyncio.sleep(0)
        found.eof_received()
        for _ in range(30):
            await asyncio.sleep(0)
        found.expire()
        found.connection_lost(None)
        for _ in range(30):
            await asyncio.sleep(0)
        assert held.bytes == 0, held.bytes
        assert not site.connections
        _whole(wire.written, [each.method for each in asked])

    return lambda data: loop.run_until_complete(come(data))


def _whole(written: bytes, methods: list[str]) -> None:
    """Hold that what was written is answers from end to end, no more than there were requests."""
    heads = iter(methods)
    while written:
        if written.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            written = written[25:]
            continue
        head = _HEAD.match(written)
        assert head, written[:200]
        size = re.search(rb"content-length: (\d+)\r\n", head[2])
        assert size, head[0]
        body, method = written[head.end() :], next(heads, None)
        # Of a request that was refused, the last of all, the handler has not heard; of its answer
        # a body may be missing, since it may have been HEAD.
        missing = method == "HEAD" or (method is None and not body)
        has = 0 if missing else int(size[1])
        assert len(body) >= has
        written = body[has:]


def message(path: Path) -> Target:
    """A body, as JSON, with binary tensors behind it, or as plain rows: answered, or refused."""
    model = ServedModel(Settings(model=path, max_rows=64))

    def target(data: bytes) -> None:
        where, body = (data[0], data[1:]) if data else (0, b"")
        try:
            if where == 255:
                rows = protocol.read(_ROWS, body)
                job = model.job_of_rows(rows if isinstance(rows, list) else [rows], "id")
            else:
                asked = protocol.decode(body, None if where == 254 else where * 4)
                job = model.job(asked, asked.id or "id")
            batch = model.run([job])
        except Refused as error:
            protocol.error(f"{_STATUSES[error.status]} {error}")
        else:
            (answer,) = model.answers(batch)
            assert answer.rows == job.rows
            protocol.encode(model.response(answer))

    return target


def log(_: Path) -> Target:
    """Any columns of any rows: pyarrow reads what was written."""

    def target(data: bytes) -> None:
        given = atheris.FuzzedDataProvider(data)
        rows = given.ConsumeIntInRange(1, 70)
        fields = dict(_field(given, rows, i) for i in range(given.ConsumeIntInRange(1, 5)))
        file = File({"any": given.ConsumeUnicodeNoSurrogates(9)})
        file.add(fields)
        # Without threads: libFuzzer ends the process while they wait for work, and it never ends.
        content = io.BytesIO(file.content())
        table = pq.ParquetFile(content, pre_buffer=False).read(use_threads=False)
        for name, field in fields.items():
            wanted = field.values.tolist() if isinstance(field.values, np.ndarray) else field.values
            found = table[name].to_pylist()
            if field.kind == "float":
                found = [np.nan if each is None else each for each in found]
                np.testing.assert_array_equal(np.array(found, "f4"), np.array(wanted, "f4"))
            else:
                assert found == list(wanted)

    return target


def _field(given: Any, rows: int, number: int) -> tuple[str, Field]:
    name = f"{number}{given.ConsumeUnicodeNoSurrogates(6)}"
    kind = given.PickValueInList(["boolean", "integer", "float", "text"])
    make = {
        "boolean": given.ConsumeBool,
        "integer": lambda: given.ConsumeInt(8),
        "float": lambda: float(np.float32(given.ConsumeFloat())),
        "text": lambda: given.ConsumeUnicodeNoSurrogates(12),
    }[kind]
    values = [make() for _ in range(rows)]
    if kind == "text":
        values = [None if each == "" else each for each in values]
    return name, Field(kind, np.array(values) if kind in ("integer", "float") else values)


_ROWS = msgspec.json.Decoder(list[dict[str, Any]] | dict[str, Any])
TARGETS: dict[str, Callable[[Path], Target]] = {
    "connection": lambda _: connection(),
    "message": message,
    "log": log,
}

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]](Path(sys.argv[2]))
    with np.errstate(all="ignore"):
        atheris.Setup([sys.argv[0], *sys.argv[3:]], target)
        atheris.Fuzz()
