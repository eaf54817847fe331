"""Servers of made models, a process a target."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from engine.served import Served, write

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes the ONNX model of a target, with changes to its contract's columns."""
    return lambda what, **changes: write(what, tmp_path / "model.onnx", changes)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """A server of a target's model, once a session."""
    running = []

    @cache
    def start(what: str) -> Served:
        model = write(what, tmp_path_factory.mktemp(what) / "model.onnx")
        settings = {"MLOPS_MODEL": str(model), "MLOPS_PORT": "0", "MLOPS_WORKERS": "1"}
        command = [sys.executable, "-m", "mlops.serving"]
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        return Served(what, int(process.stdout.readline().rsplit(":", 1)[1]))

    yield start
    for process in running:
        process.terminate()
        process.terminate()
        process.communicate()
