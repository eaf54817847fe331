"""LitServe around onnxruntime: one worker, a row a request."""

# mypy: disable-error-code="import-not-found, misc"

from __future__ import annotations

import sys
from typing import Any

import litserve
from onnx_row import Model


class Onnx(litserve.LitAPI):
    """Answers a row with the probability of each class."""

    def setup(self, device: str) -> None:
        """Load the model, in the worker."""
        self._onnx = Model()

    def predict(self, x: dict[str, Any]) -> Any:
        """Answer a row."""
        return self._onnx.probability({name: [value] for name, value in x.items()})

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Put the answer into JSON."""
        return {"probability": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Onnx(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
    )
