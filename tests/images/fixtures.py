"""A Docker Engine, what images are built upon, and a registry, for tests of every folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from images.engine import (
    Builder,
    Engine,
    Missing,
    running_builder,
    running_engine,
    running_registry,
)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker Engine with all that the Dockerfiles are built upon."""
    try:
        with running_engine() as found:
            yield found
    except Missing as missing:
        pytest.skip(f"needs a Docker Engine: {missing}")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry on loopback."""
    try:
        with running_registry(tmp_path_factory.mktemp("registry")) as address:
            yield address
    except Missing as missing:
        pytest.skip(f"needs a registry: {missing}")


@pytest.fixture(scope="session")
def builder(engine: Engine, registry: str) -> Iterator[Builder]:
    """A builder that makes the same images of the same files."""
    try:
        with running_builder(engine, registry) as found:
            yield found
    except Missing as missing:
        pytest.skip(f"needs a builder: {missing}")
