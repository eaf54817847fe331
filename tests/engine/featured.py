"""Features of each kind, and rows for them: those of `made`, with a moment each."""

from typing import Any

import numpy as np
import pandas as pd
from engine import made

from mlops.data.contract import Contract, conform

AT = {"kind": "datetime", "role": "feature", "nullable": True}
# A feature of each kind, by what it is to a model.
KINDS: dict[str, dict[str, Any]] = {
    "ratio": {"expr": "size / (rank + 1)"},
    "logarithm": {"expr": "log1p(abs(size)) * 3"},
    "bins": {"expr": "bins(size, -2, 0, 2)"},
    "filled": {"expr": "fill(size, 0) if wet is not missing else -1"},
    "condition": {"expr": "size > 0 and not wet"},
    "cycle": {"expr": "cycle_sin(hour(at), 24)"},
    "age": {"expr": "('2021-01-01' - at) / days(1)"},
    "month": {"expr": "month(at)"},
    "lookup": {"expr": "lookup(colour, 'warmth')"},
    "text": {"expr": "ascii_upper(part(colour, ',', 0))"},
    "cross": {"expr": "cross(colour, rank, wet)"},
    "target": {"expr": "cross(colour, rank)", "encode": "target"},
    "frequency": {"expr": "cross(colour, bins(size, 0))", "encode": "frequency"},
    "hash": {"expr": "cross(colour, month(at))", "encode": {"hash": 16}},
    "rare": {"expr": "cross(colour, month(at))", "encode": {"rare": 0.03}},
}
FILE: dict[str, Any] = {
    "features": KINDS,
    "columns": {"noise": {"learn": False}, "colour": {"encode": "frequency"}},
    "tables": {"warmth": {"red": 3, "green": 1.5}},
}
# What clustering has no target for.
UNTARGETED = {name: each for name, each in KINDS.items() if name != "target"} | {
    "noisy": {"expr": "noise"}
}


def contract(what: str) -> Contract:
    """The contract of `rows(what)`."""
    return made.contract_of(made.COLUMNS | {"at": AT} | made.target_of(what))


def rows(what: str, count: int = made.ROWS, seed: int = 0) -> pd.DataFrame:
    """Made rows with a moment each, of which a tenth is missing."""
    rng = np.random.default_rng(seed)
    minutes = rng.integers(-500_000, 500_000, count)
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(minutes, unit="min")
    found = made.rows(what, count, seed).assign(at=pd.Series(at).where(rng.random(count) > 0.1))
    return conform(found, contract(what))


def alone(name: str, feature: dict[str, Any]) -> dict[str, Any]:
    """A features.yaml with one feature, beside one that reads the moment."""
    return {"features": {name: feature, "hour": {"expr": "hour(at)"}}, "tables": FILE["tables"]}
