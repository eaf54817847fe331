"""The ONNX model as someone who writes a service by hand runs it: one thread, an array a column."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

MODEL = "model.onnx"  # in the folder that the server is started in


class Model:
    """Takes columns by name, gives the probability of each class."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            os.fspath(MODEL), options, providers=["CPUExecutionProvider"]
        )
        self._dtypes = {
            each.name: object if each.type == "tensor(string)" else np.float32
            for each in self._session.get_inputs()
        }

    def probability(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """An array of shape (rows, classes)."""
        feeds = {
            name: np.array(columns[name], dtype).reshape(-1, 1)
            for name, dtype in self._dtypes.items()
        }
        return self._session.run(["probability"], feeds)[0]
