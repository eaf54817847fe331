"""Networks in eight bits: smaller, and what that costs is told."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from engine import made

from mlops.config.export import Int8
from mlops.data.inputs import columns, model_inputs
from mlops.export.targets import TARGETS
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model

TARGET = TARGETS["onnx-int8"]
NETWORKS = [(what, name) for what, name in made.PAIRS if name in ("mlp", "network")]


def probability(model: Model, what: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What scikit-learn and eight bits say of rows that training did not see."""
    converted = to_onnx(model, made.contract(what))
    onnx.helper.set_model_props(converted, {"contract_sha256": '"abc"'})
    TARGET.make(converted, "made", folder, Int8(metric_loss=0.1))
    test = model_inputs(made.rows(what, 300, seed=1), made.contract(what))
    said = TARGET.run(folder).predict(columns(test))
    name = "prediction" if what == "regression" else "probability"
    return model.predict(test)[name], said[name]


@pytest.mark.parametrize(("what", "name"), NETWORKS)
def test_a_network_says_nearly_the_same(what: str, name: str, tmp_path: Path) -> None:
    model = made.trained(what, name)
    exact, other = probability(model, what, tmp_path)
    assert TARGET.run(tmp_path).metadata["contract_sha256"] == "abc"
    spread = model.scales["prediction" if what == "regression" else "probability"].spread
    apart = np.abs(exact - other) / spread
    assert 0 < apart.max() < 0.5
    assert apart.mean() < 0.05
