"""The ONNX model, as it is served: numpy and onnxruntime, nothing of scikit-learn or pandas."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# It reports its use to its maker unless it is told not to, before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from .errors import InputError

# Rows with texts that are answered at once: each of them takes as much memory as the one with most
# words, up to 320 kB each time that they are looked at.
TEXT_ROWS = 64


class Runnable(Protocol):
    """A model in any form, which answers rows as OnnxModel does."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What `convert` wrote into the model."""

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See OnnxModel.predict."""


class OnnxModel:
    """A model that takes one array a column and returns its outputs by name.

    Attributes:
        inputs: for each input its name and type, `tensor(float)`, `tensor(string)` or, of moments,
            `tensor(double)`.
        metadata: what `convert` wrote into the model: project, task, classes, contract and hashes.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        """Load the model at `path`.

        Args:
            path: the .onnx file.
            threads: how many onnxruntime may use within an operator; 0 for one a core.
        Raises:
            InputError: there is no such file, or it is no model that onnxruntime can load.
        """
        if not path.is_file():
            raise InputError(f"{path}: no model; make it with `uv run dvc repro` or `dvc pull`")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise InputError(f"{path}: not a model that onnxruntime can load: {error}") from error
        self.inputs = {node.name: node.type for node in self._session.get_inputs()}
        self._outputs = [node.name for node in self._session.get_outputs()]
        written = self._session.get_modelmeta().custom_metadata_map
        self.metadata = read_metadata(written)
        self._has_texts = _has_texts(self.metadata)

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for `columns`: one array of shape (rows,) an input, float32, text
        or, of moments, float64."""
        feeds = {name: columns[name].reshape(-1, 1) for name in self.inputs}
        results = (
            self._by_parts(feeds) if self._has_texts else self._session.run(self._outputs, feeds)
        )
        return dict(zip(self._outputs, results, strict=True))

    def _by_parts(self, feeds: dict[str, np.ndarray]) -> Iterable[np.ndarray]:
        """The outputs for TEXT_ROWS rows at a time, as one."""
        rows = len(next(iter(feeds.values())))
        parts = [
            self._session.run(
                self._outputs,
                {name: values[first : first + TEXT_ROWS] for name, values in feeds.items()},
            )
            for first in range(0, max(rows, 1), TEXT_ROWS)
        ]
        return map(np.concatenate, zip(*parts, strict=True))


def _has_texts(metadata: dict[str, Any]) -> bool:
    """Whether the model takes texts, and their words apart."""
    contract = metadata.get("contract")
    columns = contract.get("columns") if isinstance(contract, dict) else None
    return isinstance(columns, dict) and any(
        isinstance(column, dict) and column.get("kind") == "text" for column in columns.values()
    )


def read_metadata(written: Mapping[str, str]) -> dict[str, Any]:
    """What `convert` wrote into a model, by name."""
    return {name: _read(text) for name, text in written.items()}


def _read(text: str) -> Any:
    """A value that `convert` wrote; another's model may hold what is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
