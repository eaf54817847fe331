"""The service's addresses: the Open Inference Protocol, and `/predict` for people."""

import itertools
import logging
import os
import uuid
from collections.abc import Callable
from time import perf_counter
from typing import Any

import msgspec

from . import openapi, protocol
from .batching import Batcher
from .errors import Busy, Refused, Violation
from .http import JSON, RETRY, Request, Respond, Response, header
from .log import PredictionLog
from .metrics import Metrics
from .model import UNKNOWN, Batch, Job, ServedModel
from .protocol import InferRequest, InferResponse, Tensor
from .settings import Settings

logger = logging.getLogger(__name__)

JSON_BYTES = "inference-header-content-length"
METRICS = header("content-type", "text/plain; version=0.0.4; charset=utf-8")
BINARY = header("content-type", "application/octet-stream")

_rows = msgspec.json.Decoder(list[dict[str, Any]] | dict[str, Any])

# Takes an answer of the model to what answers the request.
Form = Callable[[InferResponse], Response]


class App:
    """Answers requests. To be made within the event loop.

    Attributes:
        ready: whether it says that it takes requests; it answers them in any case.
    """

    def __init__(self, model: ServedModel, settings: Settings) -> None:
        self._model = model
        self.ready = True
        self._metrics = Metrics(model.version)
        self._log = PredictionLog(model, settings, self._metrics) if settings.log else None
        self._batcher = Batcher(model, settings, self._ran)
        self._start = f"{uuid.uuid4().hex[:12]}-{os.getpid()}-"
        self._count = itertools.count(1)
        at = f"/v2/models/{model.name}"
        version = f"{at}/versions/{model.version}"
        self._get: dict[str, Callable[[], Response]] = {
            "/v2": self._server,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._is_ready,
            at: self._metadata,
            f"{at}/ready": self._is_ready,
            version: self._metadata,
            f"{version}/ready": self._is_ready,
            "/openapi.json": self._openapi,
            "/metrics": self._scrape,
        }
        self._post: dict[str, Callable[[Request, Respond], None]] = {
            f"{at}/infer": self._infer,
            f"{version}/infer": self._infer,
            "/predict": self._predict,
        }
        self._metrics.expect(self._post, model.inputs, model.categories)

    def close(self) -> None:
        """End the threads; the log is written first."""
        self._batcher.close()
        if self._log is not None:
            self._log.close()

    def tick(self) -> None:
        """To be called every second: only the worker that is scraped would tell how it is."""
        self._metrics.look(self._batcher.waiting_rows)

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer a request, now or later."""

        def counted(response: Response) -> None:
            # First, so that whoever has the answer finds it counted, by whichever worker.
            self._metrics.request(where, response.status, perf_counter() - request.started)
            respond(response)

        path = request.path.removesuffix("/")
        where = path if path in self._post or path in self._get else "other"
        try:
            post = self._post.get(path)
            if post is not None and request.method == "POST":
                post(request, counted)
            else:
                counted(self._about(path, request.method))
        except Exception as error:
            if isinstance(error, Violation):
                self._metrics.violation(error.column)
            counted(_failed(error))

    def _about(self, path: str, method: str) -> Response:
        """Answer what is not for the model."""
        get = self._get.get(path)
        if get is not None and method in ("GET", "HEAD"):
            return get()
        if get is not None or path in self._post:
            allowed = "GET" if get else "POST"
            body = protocol.error(f"{path} takes {allowed}")
            return Response(405, JSON + header("allow", allowed), body)
        known = "see /openapi.json"
        if path.startswith("/v2/models/"):
            known = f"the model is {self._model.name}, its version {self._model.version}"
        raise Refused(f"there is no {path:.100}; {known}", 404)

    def _infer(self, request: Request, respond: Respond) -> None:
        json_bytes = request.headers.get(JSON_BYTES.encode())
        if json_bytes is not None and not (json_bytes.isdigit() and len(json_bytes) < 20):
            raise Refused(f"{JSON_BYTES} is not a number")
        asked = protocol.decode(_body(request), None if json_bytes is None else int(json_bytes))
        job = self._model.job(asked, asked.id or self._new_id())
        plain = not asked.outputs and not asked.parameters
        self._submit(job, respond, _json if plain else lambda answer: _chosen(asked, answer))

    def _predict(self, request: Request, respond: Respond) -> None:
        rows = protocol.read(_rows, _body(request))
        job = self._model.job_of_rows([rows] if isinstance(rows, dict) else rows, self._new_id())
        self._submit(job, respond, self._plain)

    def _submit(self, job: Job, respond: Respond, form: Form) -> None:
        def done(answer: InferResponse | Exception) -> None:
            try:
                if isinstance(answer, Exception):
                    raise answer
                response = form(answer)
            except Exception as error:
                response = _failed(error)
            respond(response)

        self._batcher.submit(job, done)

    def _plain(self, answer: InferResponse) -> Response:
        """An object a row; probabilities by class."""
        classes = self._model.metadata.get("classes")
        (rows, *_) = answer.outputs[0].shape
        columns = {tensor.name: _cells(tensor, classes) for tensor in answer.outputs}
        predictions = [{name: cells[row] for name, cells in columns.items()} for row in range(rows)]
        about = {"id": answer.id, "model_version": answer.model_version}
        unknown = {
            name.removeprefix(f"{UNKNOWN}."): rows for name, rows in answer.parameters.items()
        }
        told = {UNKNOWN: unknown} if unknown else {}
        return _json({**about, "predictions": predictions, **told})

    def _new_id(self) -> str:
        return f"{self._start}{next(self._count)}"

    def _ran(self, batch: Batch) -> None:
        self._metrics.batch_rows.observe(batch.rows)
        for unknown in batch.unknown:
            for name, rows in unknown.items():
                self._metrics.unknown(name, rows)
        if self._log is not None:
            self._log.add(batch)

    def _server(self) -> Response:
        about = {"name": self._model.name, "version": self._model.version}
        return _json({**about, "extensions": ["binary_tensor_data"]})

    def _live(self) -> Response:
        return _json({"live": True})

    def _is_ready(self) -> Response:
        about = {"name": self._model.name, "ready": self.ready}
        return Response(200 if self.ready else 503, JSON, protocol.encode(about))

    def _metadata(self) -> Response:
        return _json(self._model.described())

    def _openapi(self) -> Response:
        return _json(openapi.document(self._model))

    def _scrape(self) -> Response:
        self.tick()
        return Response(200, METRICS, self._metrics.text())


def _json(content: Any) -> Response:
    return Response(200, JSON, protocol.encode(content))


def _failed(error: Exception) -> Response:
    if isinstance(error, Refused):
        head = JSON + RETRY if isinstance(error, Busy) else JSON
        return Response(error.status, head, protocol.error(str(error)))
    logger.error("a request failed", exc_info=error)
    return Response(500, JSON, protocol.error("internal error; the server's log has more"))


def _body(request: Request) -> bytes:
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused("send the body without Content-Encoding", 415)
    return request.body


def _cells(tensor: Tensor, classes: list[str] | None) -> list[Any]:
    """What an output says of each row."""
    values = tensor.data or []
    if len(tensor.shape) == 1:
        return values
    rows, width = tensor.shape
    parts = [values[row * width : (row + 1) * width] for row in range(rows)]
    return [dict(zip(classes, part, strict=True)) for part in parts] if classes else parts


def _chosen(asked: InferRequest, answer: InferResponse) -> Response:
    """The outputs that were asked for, in the form that was asked for."""
    by_name = {tensor.name: tensor for tensor in answer.outputs}
    all_binary = asked.parameters.get("binary_data_output", False)
    wanted = [
        (each.name, each.parameters.get("binary_data", all_binary)) for each in asked.outputs
    ] or [(name, all_binary) for name in by_name]
    answer.outputs, blobs = [], []
    for name, binary in wanted:
        tensor = by_name[name]
        if binary is True:
            blob = protocol.binary(tensor.datatype, tensor.data or [])
            tensor.data, tensor.parameters = None, {"binary_data_size": len(blob)}
            blobs.append(blob)
        answer.outputs.append(tensor)
    head = protocol.encode(answer)
    if not blobs:
        return Response(200, JSON, head)
    return Response(200, BINARY + header(JSON_BYTES, len(head)), b"".join([head, *blobs]))
