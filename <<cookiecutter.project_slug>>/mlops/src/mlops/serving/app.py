"""The service's addresses: the Open Inference Protocol, and `/predict` for people."""

import itertools
import logging
import os
import re
import uuid
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from . import coded, openapi, protocol
from .access import Access
from .accesslog import AccessLog
from .batching import ALONE, Batcher, Form
from .budget import SMALL, Budget, Held
from .client import EXAMPLE
from .errors import Busy, Refused, Violation
from .http import JSON, RETRY, Request, Respond, Response, header
from .log import PredictionLog
from .metrics import Metrics
from .model import REASONS, UNKNOWN, Answer, Batch, Job, Output, ServedModel
from .page import page
from .protocol import InferRequest
from .settings import Settings

logger = logging.getLogger(__name__)

JSON_BYTES = "inference-header-content-length"
METRICS = header("content-type", "text/plain; version=0.0.4; charset=utf-8")
BINARY = header("content-type", "application/octet-stream")

_rows = msgspec.json.Decoder(list[dict[str, Any]] | dict[str, Any])

# The parameter that asks for reasons, and how many `true` asks for.
EXPLAIN, FEW_REASONS = "explain", 3
# Bytes that a reason takes, in memory and as JSON.
REASON_BYTES = 4096

# Bodies from here on are read in a thread: to decode one may take as long as many small ones.
LONG_BYTES = 256 * 1024
# Reads a request's body.
Make = Callable[[bytes | bytearray], tuple[Job, Form]]
_NUMBER = re.compile(r"[0-9]{1,4}")
# What an answer takes for a row, and for each value of it, in memory and as JSON.
ROW_BYTES, VALUE_BYTES = 512, 192


class App:
    """Answers requests. To be made within the event loop.

    Attributes:
        ready: whether it says that it takes requests; it answers them in any case.
        held: the memory that requests take.
    """

    def __init__(
        self, model: ServedModel, settings: Settings, budget: Budget, access: Access
    ) -> None:
        self._model = model
        self.ready = True
        self.held = Held(budget.requests)
        self._max_bytes = settings.max_bytes
        self._explain_rows = settings.explain_rows
        self._metrics = Metrics(model.version)
        self._access = access
        self._names_callers = settings.names_callers
        self._access_log = AccessLog(settings.access_log)
        self._log = (
            PredictionLog(model, settings, self._metrics, budget.log) if settings.log else None
        )
        values = sum(each.width or 1 for each in model.outputs)
        labels = sum(map(len, model.metadata.get("classes") or ()))
        self._answer_bytes = ROW_BYTES + VALUE_BYTES * values + 2 * labels
        self._batcher = Batcher(model, settings, self._ran)
        self._start = f"{uuid.uuid4().hex[:12]}-{os.getpid()}-"
        self._count = itertools.count(1)
        at = f"/v2/models/{model.name}"
        version = f"{at}/versions/{model.version}"
        described = _json(model.described())
        document = _json(openapi.document(model, access.closed))
        form = page(model)
        self._get: dict[str, Callable[[], Response]] = {
            "/": lambda: form,
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._is_ready,
            at: lambda: described,
            f"{at}/ready": self._is_ready,
            version: lambda: described,
            f"{version}/ready": self._is_ready,
            "/openapi.json": lambda: document,
            "/metrics": self._scrape,
        }
        self._post: dict[str, Callable[[Request, Respond], None]] = {
            f"{at}/infer": self._infer,
            f"{version}/infer": self._infer,
            "/predict": self._predict,
            "/v2/repository/index": self._index,
        }
        self._metrics.expect(self._post, model.inputs, model.categories)

    def close(self) -> None:
        """End the threads; the log is written first."""
        self._batcher.close()
        self._access_log.close()
        if self._log is not None:
            self._log.close()

    def tick(self) -> None:
        """To be called every second: only the worker that is scraped would tell how it is."""
        self._access.tick()
        self._metrics.look(self._batcher.waiting_rows, self.held)

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer a request, now or later."""

        def counted(response: Response) -> None:
            # First, so that whoever has the answer finds it counted, by whichever worker.
            seconds = perf_counter() - request.started
            self._metrics.request(where, response.status, seconds)
            size = len(request.body)
            self._access_log.add(where, response.status, seconds, request.caller, size)
            respond(response)

        path = request.path.removesuffix("/") or "/"
        where = path if path in self._post or path in self._get else "other"
        try:
            post = self._post.get(path)
            if post is not None and request.method == "POST":
                post(request, counted)
            else:
                counted(self._about(path, request.method))
        except Exception as error:
            counted(self._failed(error))

    def _about(self, path: str, method: str) -> Response:
        """Answer what is not for the model."""
        get = self._get.get(path)
        if get is not None and method in ("GET", "HEAD"):
            return get()
        if get is not None or path in self._post:
            allowed = "GET, HEAD" if get else "POST"
            body = protocol.error(f"{path} takes {allowed}")
            return Response(405, JSON + header("allow", allowed), body)
        known = "see /openapi.json"
        if path.startswith("/v2/models/"):
            known = f"the model is {self._model.name}, its version {self._model.version}"
        raise Refused(f"there is no {path:.100}; {known}", 404)

    def turned(self, status: int) -> None:
        """Count an answer that was given for want of a whole request, or of room for one."""
        self._metrics.turned(status)
        self._access_log.add("none", status, 0, "", 0)

    def _infer(self, request: Request, respond: Respond) -> None:
        written = request.headers.get(JSON_BYTES.encode())
        if written is not None and not (written.isdigit() and len(written) < 20):
            raise Refused(f"{JSON_BYTES} is not a number")
        json_bytes = None if written is None else int(written)

        def make(body: bytes | bytearray) -> tuple[Job, Form]:
            asked = protocol.decode(body, json_bytes)
            job = self._model.job(asked, asked.id or self._new_id())
            job.text_bytes = 4 * len(body)
            if asked.id == EXAMPLE and not self._model.is_example(job):
                raise Refused(f"the id {EXAMPLE} is for requests of the model's example alone")
            if asked.parameters and EXPLAIN in asked.parameters:
                job.explain = self._wanted(asked.parameters[EXPLAIN], job.rows)
            if asked.outputs or asked.parameters:
                return job, lambda answer: _chosen(self._model, asked, answer)
            return job, self._tensors

        self._submit(request, respond, make, json_bytes)

    def _predict(self, request: Request, respond: Respond) -> None:
        def make(body: bytes | bytearray) -> tuple[Job, Form]:
            rows = protocol.read(_rows, body)
            rows = [rows] if isinstance(rows, dict) else rows
            job = self._model.job_of_rows(rows, self._new_id())
            job.text_bytes = 4 * len(body)
            if request.query:
                job.explain = self._wanted(_in_query(request.query), job.rows)
            return job, self._plain

        self._submit(request, respond, make)

    def _submit(
        self, request: Request, respond: Respond, make: Make, json_bytes: int | None = None
    ) -> None:
        """Answer a request that `make` reads, taking memory for each step before it."""
        taken = 0

        def take(amount: int, large: bool = True) -> None:
            nonlocal taken
            self.held.take(amount, large)
            taken += amount

        def done(answer: Response | Exception) -> None:
            nonlocal taken
            self.held.bytes -= taken
            taken = 0
            respond(self._failed(answer) if isinstance(answer, Exception) else answer)

        def run(made: tuple[Job, Form] | Exception) -> None:
            if isinstance(made, Exception):
                # Raised here it would refer to itself, by this frame, and keep the body that way.
                done(made)
                return
            try:
                job, form = made
                job.caller = request.caller
                take(self._answer_bytes * job.rows, large=job.rows >= ALONE)
                if job.explain:
                    assert self._model.reasons is not None
                    take(self._model.reasons.bytes + REASON_BYTES * job.explain * job.rows)
                    self._metrics.explained(job.rows)
                self._batcher.submit(job, form, done)
            except Exception as error:
                done(error)

        try:
            body = request.body
            if coding := request.headers.get(b"content-encoding"):
                take(min(self._max_bytes, coded.GROWTH * len(body)))
                body = coded.decoded(body, coding, self._max_bytes)
            take(protocol.cost(body, json_bytes), large=len(body) > SMALL)
            if coded.accepted(request.headers.get(b"accept-encoding", b"")):
                make = _coded(make)
            if len(body) >= LONG_BYTES:
                self._batcher.apart(lambda: make(body), run)
            else:
                run(make(body))
        except Exception as error:
            done(error)

    def _wanted(self, explain: Any, rows: int) -> int:
        """How many reasons are to be given for each of some rows. Raises Refused."""
        if explain is True:
            explain = FEW_REASONS
        most = len(self._model.inputs)
        if explain is False or (type(explain) is int and explain == 0):
            return 0
        if type(explain) is not int or not 0 < explain <= most:
            raise Refused(f"explain: {explain!s:.20} is no number of reasons, from 0 to {most}")
        if self._model.reasons is None:
            raise Refused(f"explain: {self._model.unexplained}")
        if not self._explain_rows:
            raise Refused("explain: this server explains nothing: MLOPS_EXPLAIN_ROWS is 0")
        if rows > self._explain_rows:
            told = f"explain: {rows} rows: send 1 to {self._explain_rows} at a time"
            raise Refused(told, 413)
        return explain

    def _tensors(self, answer: Answer) -> Response:
        """The protocol's answer."""
        return _json(self._model.response(answer))

    def _plain(self, answer: Answer) -> Response:
        """An object a row; probabilities by class."""
        classes = self._model.metadata.get("classes")
        columns = {
            each.name: _told(each, answer)
            if each.name == REASONS
            else _cells(each, answer, classes)
            for each in answer.outputs
        }
        predictions = [
            {name: cells[row] for name, cells in columns.items()} for row in range(answer.rows)
        ]
        about = {"id": answer.id, "model_version": self._model.version}
        unknown = {UNKNOWN: answer.unknown} if answer.unknown else {}
        return _json({**about, "predictions": predictions, **unknown})

    def _failed(self, error: Exception) -> Response:
        if isinstance(error, Violation):
            self._metrics.violation(error.column)
        if isinstance(error, Refused):
            head = JSON + RETRY if isinstance(error, Busy) else JSON
            return Response(error.status, head, protocol.error(str(error)))
        logger.error("a request failed", exc_info=error)
        return Response(500, JSON, protocol.error("internal error; the server's log has more"))

    def _new_id(self) -> str:
        return f"{self._start}{next(self._count)}"

    def _ran(self, batch: Batch) -> None:
        self._metrics.batch_rows.observe(batch.rows)
        if self._names_callers:
            for caller, rows in zip(batch.callers, batch.sizes, strict=True):
                self._metrics.asked(self._access.series(caller), rows)
        for unknown in batch.unknown:
            for name, rows in unknown.items():
                self._metrics.unknown(name, rows)
        if self._log is not None:
            self._log.add(batch)

    def _index(self, request: Request, respond: Respond) -> None:
        """The one model that there is, as Triton lists them; whatever a request would leave out."""
        about = {"name": self._model.name, "version": self._model.version}
        respond(_json([{**about, "state": "READY", "reason": ""}]))

    def _server(self) -> Response:
        about = {"name": self._model.name, "version": self._model.version}
        return _json({**about, "extensions": ["binary_tensor_data"]})

    def _live(self) -> Response:
        return _json({"live": True})

    def _is_ready(self) -> Response:
        about = {"name": self._model.name, "ready": self.ready}
        return Response(200 if self.ready else 503, JSON, protocol.encode(about))

    def _scrape(self) -> Response:
        self.tick()
        return Response(200, METRICS, self._metrics.text())


def _in_query(query: str) -> Any:
    """What a query says of `explain`; other parameters are left aside. Raises Refused."""
    said = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == EXPLAIN]
    if len(said) > 1:
        raise Refused(f"{EXPLAIN}: given twice")
    if not said:
        return 0
    known = {"true": True, "false": False}
    return int(said[0]) if _NUMBER.fullmatch(said[0]) else known.get(said[0], said[0])


def _json(content: Any) -> Response:
    return Response(200, JSON, protocol.encode(content))


def _coded(make: Make) -> Make:
    """As `make`, for a client that takes compressed answers."""

    def packed(body: bytes | bytearray) -> tuple[Job, Form]:
        job, form = make(body)
        return job, lambda answer: coded.encoded(form(answer))

    return packed


def _cells(output: Output, answer: Answer, classes: list[str] | None) -> list[Any]:
    """What an output says of each row."""
    values, width = output.values(answer.start, answer.rows), output.width
    if width is None:
        return values
    parts = [values[at : at + width] for at in range(0, len(values), width)]
    return [dict(zip(classes, part, strict=True)) for part in parts] if classes else parts


def _told(reasons: Output, answer: Answer) -> list[list[str]]:
    """The reasons for each row, without the empty texts that fill a tensor."""
    return [[*filter(None, each)] for each in _cells(reasons, answer, None)]


def _chosen(model: ServedModel, asked: InferRequest, answer: Answer) -> Response:
    """The outputs that were asked for, in the form that was asked for."""
    by_name = {each.name: each for each in answer.outputs}
    all_binary = (asked.parameters or {}).get("binary_data_output", False)
    wanted = [
        (each.name, (each.parameters or {}).get("binary_data", all_binary))
        for each in asked.outputs or ()
    ] or [(name, all_binary) for name in by_name]
    if asked.outputs and REASONS in by_name:  # which the parameter asks for
        wanted.append((REASONS, all_binary))
    tensors, blobs = [], []
    for name, binary in wanted:
        if binary is True:
            tensor, blob = by_name[name].binary(answer.start, answer.rows)
            blobs.append(blob)
        else:
            tensor = by_name[name].tensor(answer.start, answer.rows)
        tensors.append(tensor)
    head = protocol.encode(model.response(answer, tensors))
    if not blobs:
        return Response(200, JSON, head)
    return Response(200, BINARY + header(JSON_BYTES, len(head)), b"".join([head, *blobs]))
