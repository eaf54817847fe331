"""Models in Core ML say what scikit-learn says, by what their specification tells to compute."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from engine import featured, made
from engine.export.test_c import TEXTS
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from mlops.config.export import Coreml
from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.export import coreml
from mlops.export.specification import Specification
from mlops.export.targets import TARGETS
from mlops.files import write_json
from mlops.learning.conversion import to_onnx
from mlops.paths import FEATURES
from mlops.pipeline.verify import compare, edge_cases

TARGET = TARGETS["coreml"]
ROWS = 100


@pytest.mark.slow
@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_every_model_says_the_same(what: str, name: str, tmp_path: Path) -> None:
    model, contract = made.trained(what, name), made.contract(what)
    converted = to_onnx(model, contract)
    TARGET.make(converted, "made", tmp_path, Coreml())
    target = TARGET.run(tmp_path)
    test = model_inputs(made.rows(what, ROWS, seed=1), contract)
    groups = {"test": test} | edge_cases(test, model, converted, contract, ROWS).groups
    for group, rows in groups.items():
        parity = compare(model.predict(rows), target.predict(columns(rows)), model.scales, 1e-4)
        assert parity.worst == [], group
        assert parity.rows == ROWS
    assert {*groups} >= {"test", "missing", "unknown", "extremes"}


def specified(what: str, name: str, folder: Path) -> Specification:
    """A model that was written, read back."""
    proto = to_onnx(made.trained(what, name), made.contract(what))
    onnx.helper.set_model_props(proto, {"contract_sha256": '"abc"'})
    TARGET.make(proto, "made", folder, Coreml())
    return Specification.of(folder / "model.mlmodel")


def test_a_changed_model_is_another(tmp_path: Path) -> None:
    """What shows the comparison failing: the way of a threshold, in one node."""
    found = specified("binary", "boosting", tmp_path)
    ensemble = found.model.pipelineClassifier.pipeline.models[-1].treeEnsembleClassifier
    root = ensemble.treeEnsemble.nodes[0]
    root.trueChildNodeId, root.falseChildNodeId = root.falseChildNodeId, root.trueChildNodeId
    model, rows = made.trained("binary", "boosting"), made.rows("binary", 200, seed=1)
    test = model_inputs(rows, made.contract("binary"))
    said = found.predict(columns(test))
    assert compare(model.predict(test), said, model.scales, 1e-4).worst != []


def test_missing_values_go_the_way_that_trees_learned(tmp_path: Path) -> None:
    """Without a step that fills them: HistGradientBoosting splits on what is missing."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 2)).astype("float32")
    inputs[rng.random(inputs.shape) < 0.3] = np.nan
    truth = np.where(np.isnan(inputs[:, 0]), 3.0, np.nan_to_num(inputs[:, 1]))
    learned = HistGradientBoostingRegressor(max_iter=10).fit(inputs, truth)
    names = ["a", "b"]
    types = [(name, FloatTensorType([None, 1])) for name in names]
    together = ColumnTransformer([("same", "passthrough", [0, 1])]).fit(inputs)
    pipeline = make_pipeline(together, learned)
    converted = convert_sklearn(pipeline, initial_types=types)
    converted.graph.output[0].name = converted.graph.node[-1].output[0] = "prediction"
    coreml.write(converted, tmp_path / "model.mlmodel")
    said = Specification.of(tmp_path / "model.mlmodel").predict(
        dict(zip(names, inputs.T, strict=True))
    )
    assert said["prediction"] == pytest.approx(learned.predict(inputs), abs=1e-5)


def test_what_apple_reads_is_there(tmp_path: Path) -> None:
    """Inputs as callers have them, classes in their order, and where the model comes from."""
    about = specified("multiclass", "linear", tmp_path).model.description
    assert {each.name: each.type.WhichOneof("Type") for each in about.input} == {
        **dict.fromkeys(("size", "rank", "wet", "noise"), "doubleType"),
        "colour": "stringType",
    }
    assert [each.name for each in about.output] == ["prediction", "probability"]
    assert (about.predictedFeatureName, about.predictedProbabilitiesName) == (
        "prediction",
        "probability",
    )
    assert about.metadata.userDefined == {"contract_sha256": '"abc"'}
    model = specified("multiclass", "linear", tmp_path).model.pipelineClassifier.pipeline.models[-1]
    labels = model.neuralNetworkClassifier.stringClassLabels.vector
    assert list(labels) == made.trained("multiclass", "linear").classes


@pytest.mark.slow
def test_models_of_a_pipeline_take_what_earlier_ones_make(tmp_path: Path) -> None:
    """With the same type on both sides, as Core ML's validation asks; each name is made once."""
    for what, name in made.PAIRS:
        found = specified(what, name, tmp_path).model
        pipeline = found.WhichOneof("Type")
        models = getattr(found, pipeline)
        models = models.models if pipeline == "pipeline" else models.pipeline.models
        known = {each.name: each.type for each in found.description.input}
        for model in models:
            assert model.description.input
            assert all(known[each.name] == each.type for each in model.description.input)
            made_here = {each.name: each.type for each in model.description.output}
            assert made_here
            assert not made_here.keys() & known.keys()
            known |= made_here
        if name in ("boosting", "forest", "mlp"):
            kinds = [model.WhichOneof("Type") for model in models]
            assert any(kind.startswith(("tree", "neural")) for kind in kinds)
        wanted = {each.name: each.type for each in found.description.output}
        assert {name: known[name].WhichOneof("Type") for name in wanted} == {
            name: each.WhichOneof("Type") for name, each in wanted.items()
        }


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_features_that_the_format_has_not_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(FEATURES, featured.alone(kind, featured.KINDS[kind]))
    rows = featured.rows("binary")
    model = made.fit(made.params("binary", "linear"), featured.contract("binary"), rows, rows)
    converted = to_onnx(model, featured.contract("binary"))
    line = r"^export\.targets\.coreml: \w+.* cannot be written .* take the feature .* export to c$"
    with pytest.raises(InputError, match=line):
        TARGET.make(converted, "made", tmp_path, Coreml())
    assert not (tmp_path / "model.mlmodel").exists()


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.mlmodel").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"model\.mlmodel: not a Core ML model"):
        Specification.of(tmp_path / "model.mlmodel")


def test_what_is_not_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    converted = to_onnx(made.trained("binary", "linear"), made.contract("binary"))
    with pytest.raises(
        InputError, match=r"dependency group `coreml`: run `uv sync --group coreml`"
    ):
        TARGET.make(converted, "made", tmp_path, Coreml())
