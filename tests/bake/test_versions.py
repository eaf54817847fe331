"""The engine is tested in place, and projects in copies, with the versions that a bake has."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions

from helpers import PROJECT


def test_these_tests_run_with_what_a_bake_locks() -> None:
    """Some have several versions in the lock, each for some versions of Python."""
    lock = tomllib.loads((PROJECT / "uv.lock").read_text(encoding="utf-8"))
    locked = {(each["name"], each["version"]) for each in lock["package"] if "version" in each}
    found = {(re.sub(r"[-_.]+", "-", each.name).lower(), each.version) for each in distributions()}
    names = {name for name, _ in locked}
    both = {(name, version) for name, version in found if name in names}
    assert {"dvc", "numpy", "onnxruntime", "pandas", "scikit-learn"} <= {name for name, _ in both}
    assert both <= locked
