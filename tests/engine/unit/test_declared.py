"""features.yaml: what it declares is learned from and served alike, and what makes no sense is told
in a line before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made

from mlops.contract import Contract, conform
from mlops.conversion import to_onnx
from mlops.declared import FeatureFile, declared, load_declared
from mlops.errors import InputError
from mlops.files import write_json
from mlops.inference import OnnxModel
from mlops.inputs import columns, model_inputs
from mlops.model import Model
from mlops.paths import FEATURES
from mlops.pipeline.verify import compare, edge_cases

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


def _contract(what: str) -> Contract:
    return made.contract_of(made.COLUMNS | {"at": AT} | made.TARGETS[what][1])


def _rows(what: str, count: int = made.ROWS, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    minutes = rng.integers(-500_000, 500_000, count)
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(minutes, unit="min")
    rows = made.rows(what, count, seed).assign(at=pd.Series(at).where(rng.random(count) > 0.1))
    return conform(rows, _contract(what))


def _parity(model: Model, contract: Contract, test: pd.DataFrame, folder: Path) -> dict[str, Any]:
    proto = to_onnx(model, contract)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, folder / "model.onnx")
    served = OnnxModel(folder / "model.onnx")
    assert [*served.inputs] == contract.features
    groups = {"test": test, **edge_cases(test, model, proto, contract, 200).groups}
    return {
        name: compare(model.predict(rows), served.predict(columns(rows)), model.scales, 1e-4)
        for name, rows in groups.items()
    }


@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_each_estimator_takes_each_kind_of_feature(
    what: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    features = UNTARGETED if what == "clustering" else KINDS | {"noisy": {"expr": "noise"}}
    write_json(FEATURES, FILE | {"features": features})
    contract, rows = _contract(what), _rows(what)
    model = made.fit(made.params(what, name), contract, rows, rows)
    test = model_inputs(_rows(what, 200, 3), contract)
    for group, parity in _parity(model, contract, test, tmp_path).items():
        assert parity.worst == [], f"{group}: {parity}"
        assert parity.ties <= parity.rows / 50, group
