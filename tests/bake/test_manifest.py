"""The engine's manifest is what the engine is."""

from collections.abc import Callable
from pathlib import Path

import manifest
from helpers import PROJECT

from mlops.git.engine import MANIFEST


def test_the_manifest_fits() -> None:
    written = (PROJECT / MANIFEST).read_text(encoding="utf-8")
    assert written == manifest.computed(), "run `uv run python tests/manifest.py`"


def test_a_bake_has_the_engine_as_it_is(baked: Callable[[], Path]) -> None:
    project = baked()
    written = (project / MANIFEST).read_text(encoding="utf-8")
    assert written == manifest.computed()
