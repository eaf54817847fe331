"""Models that are served: made ones, and the server process of one."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import onnx
from engine import made
from onnx import helper

from mlops.data.contract import Contract
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model
from mlops.pipeline.convert import example

ESTIMATORS = {
    "binary": "boosting",
    "multiclass": "linear",
    "regression": "forest",
    "clustering": "kmeans",
}
INFER = "/v2/models/made/infer"


def write(what: str, path: Path, changes: dict[str, dict[str, Any]] | None = None) -> Path:
    """Write a made model, with changes of its columns."""
    model, described = made.trained(what, ESTIMATORS[what]), made.contract(what).model_dump()
    for name, change in (changes or {}).items():
        described["columns"][name] |= change
    return save(model, Contract.parse(described), path)


def save(model: Model, contract: Contract, path: Path) -> Path:
    """Write a model as `convert` does, but for where it comes from."""
    facts = {
        "project": "made",
        "task": model.task,
        "classes": model.classes,
        "categories": model.categories,
        "contract": contract.model_dump(mode="json", exclude_defaults=True),
        "example": example(model, contract),
        "background": model.background,
    }
    converted = to_onnx(model, contract)
    told = {name: json.dumps(fact) for name, fact in facts.items() if fact is not None}
    helper.set_model_props(converted, told)
    onnx.save(converted, path)
    return path


@dataclass(frozen=True)
class Served:
    """A server process, and where it is."""

    what: str
    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, Any]:
        """The answer, and what is in it; a body that is no bytes is sent as JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, sent, headers or {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        of_json = response.headers["content-type"] == "application/json"
        return response, json.loads(content) if of_json and content else content

    def infer(self, *inputs: dict[str, Any], **others: Any) -> tuple[int, Any]:
        """The status of an answer and what it says."""
        response, answer = self.ask("POST", INFER, {"inputs": list(inputs), **others})
        return response.status, answer
