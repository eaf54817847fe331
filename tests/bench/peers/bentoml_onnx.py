"""BentoML around onnxruntime: one worker, a row a request."""

# mypy: disable-error-code="import-not-found, untyped-decorator"

from __future__ import annotations

from typing import Any

import bentoml
from onnx_row import Model


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Onnx:
    """Answers a row with the probability of each class."""

    def __init__(self) -> None:
        self._onnx = Model()

    @bentoml.api
    async def predict(self, row: dict[str, Any]) -> dict[str, Any]:
        """Answer a row."""
        columns = {name: [value] for name, value in row.items()}
        return {"probability": self._onnx.probability(columns).tolist()}
