"""Servers to attack: of a made model, with a limit of memory that the kernel enforces."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine.served import write
from engine.serving.attacks.cage import Cage
from serving.running import Server, serving

COMMAND = (sys.executable, "-m", "mlops.serving")


@dataclass(frozen=True)
class Place:
    """Where a server is started.

    Attributes:
        model: what it serves.
    """

    folder: Path
    model: Path

    def cold(self) -> dict[str, str]:
        """The environment with the model."""
        return os.environ | {"MLOPS_MODEL": str(self.model)}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes."""
    return write("binary", tmp_path_factory.mktemp("attacked") / "model.onnx")


@pytest.fixture
def start(model: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """What starts a server: `start(memory=512, connections=9)`; within a cage, if one is given."""
    with ExitStack() as stack:

        def run(
            cage: Cage | None = None, command: tuple[str, ...] = COMMAND, **settings: object
        ) -> Server:
            env = {f"MLOPS_{name.upper()}": str(value) for name, value in settings.items()}
            command = command if cage is None else (*cage.within, *command)
            place = Place(tmp_path, model)
            return stack.enter_context(serving(place, tmp_path, command=command, env=env))

        yield run


@pytest.fixture(scope="session")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all that must not harm it: in the end it has nothing to report."""
    place = Place(tmp_path_factory.mktemp("server"), model)
    with serving(place, place.folder, command=COMMAND) as found:
        yield found
    assert found.told() == ""
    assert found.process.returncode == 0
