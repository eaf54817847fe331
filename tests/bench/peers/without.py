"""This project's server without a part of it, which cannot be switched off in the product.

without.py PART: `validation` takes the values of each column as they come (their number,
names and datatypes are still looked at), `metrics` counts and times nothing, `nothing` leaves all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

# What is replaced, and by what: module, class, function, replacement.
PARTS: dict[str, list[tuple[str, str, str, Callable[..., Any]]]] = {
    "nothing": [],
    "validation": [
        ("serving.signature", kind, "check", lambda self, values: values)
        for kind in ("Input", "Number", "Category", "Moment")
    ],
    "metrics": [("serving.metrics", "Metrics", "request", lambda *_: None)],
}


def remove(part: str) -> None:
    """Replace a part of the server by what does nothing."""
    for module, kind, function, replacement in PARTS[part]:
        setattr(getattr(import_module(f"mlops.{module}"), kind), function, replacement)


if __name__ == "__main__":
    remove(sys.argv[1])
    settings = import_module("mlops.serving.settings").load_settings()
    import_module("mlops.serving.server").serve(settings)
