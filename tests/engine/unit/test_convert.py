"""Conversion: the ONNX model takes the columns by name and carries where it comes from; what cannot
be converted is told with what can."""

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from engine import made
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline

from mlops import paths
from mlops.data.contract import Contract, conform
from mlops.data.inputs import columns, model_inputs
from mlops.errors import CheckError
from mlops.files import digest, write_json, write_text
from mlops.inference import OnnxModel
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model
from mlops.pipeline.convert import (
    convert,
    example,
)
from mlops.pipeline.verify import compare, edge_cases
from mlops.project import about


class Unknown(RegressorMixin, BaseEstimator):
    """An estimator of one's own, which skl2onnx has never heard of."""

    def fit(self, inputs: np.ndarray, truth: np.ndarray) -> "Unknown":
        self.mean_ = truth.mean()
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.full(len(inputs), self.mean_)


def _loaded(model: Model, contract: Contract, folder: Path) -> OnnxModel:
    onnx.save(to_onnx(model, contract), folder / "model.onnx")
    return OnnxModel(folder / "model.onnx")


@pytest.mark.parametrize(
    ("what", "name", "outputs"),
    [
        ("binary", "linear", {"prediction": (9,), "probability": (9, 2)}),
        ("multiclass", "mlp", {"prediction": (9,), "probability": (9, 3)}),
        ("regression", "forest", {"prediction": (9,), "lower": (9,), "upper": (9,)}),
        ("clustering", "kmeans", {"prediction": (9,), "distances": (9, 4)}),
    ],
)
def test_columns_in_predictions_out(
    what: str, name: str, outputs: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    contract = made.contract(what)
    model = _loaded(made.trained(what, name), contract, tmp_path)
    assert model.inputs == {
        column: "tensor(string)" if column == "colour" else "tensor(float)"
        for column in contract.features
    }
    found = model.predict(columns(model_inputs(made.rows(what, 9), contract)))
    assert {key: values.shape for key, values in found.items()} == outputs


def test_the_interval_is_around_the_prediction(tmp_path: Path) -> None:
    model, contract = made.trained("regression", "boosting"), made.contract("regression")
    found = _loaded(model, contract, tmp_path).predict(
        columns(model_inputs(made.rows("regression"), contract))
    )
    assert model.interval is not None
    for name, sign in (("lower", -1), ("upper", 1)):
        width = (found[name] - found["prediction"]) * sign
        np.testing.assert_allclose(width, model.interval.margin, rtol=1e-3)


AWKWARD = ["sepal length (cm)", "a b", "a_b", "variable", "flat", "2x", "Æ-", "label"]


@pytest.mark.parametrize(
    ("what", "name"), [("binary", "linear"), ("regression", "boosting"), ("clustering", "kmeans")]
)
def test_columns_may_have_any_name(what: str, name: str, tmp_path: Path) -> None:
    named = dict.fromkeys(AWKWARD, made.COLUMNS["noise"])
    contract = made.contract_of(named | made.COLUMNS | made.TARGETS[what][1])
    rng = np.random.default_rng(0)
    values = {each: rng.normal(size=made.ROWS) for each in AWKWARD}
    rows = conform(made.rows(what).assign(**values), contract)
    model = made.fit(made.params(what, name), contract, rows, rows)
    loaded = _loaded(model, contract, tmp_path)
    assert [*loaded.inputs] == contract.features
    inputs = model_inputs(rows, contract)
    assert (
        compare(model.predict(inputs), loaded.predict(columns(inputs)), model.scales, 1e-4).worst
        == []
    )


@pytest.mark.parametrize("kept", [["size"], ["colour"], ["wet", "noise"]])
@pytest.mark.parametrize(
    ("what", "name"), [("binary", "boosting"), ("regression", "linear"), ("clustering", "kmeans")]
)
def test_one_kind_of_columns_is_enough(
    kept: list[str], what: str, name: str, tmp_path: Path
) -> None:
    features = {each: made.COLUMNS[each] for each in kept}
    contract = made.contract_of(features | made.TARGETS[what][1])
    rows = conform(made.rows(what), contract)
    model = made.fit(made.params(what, name), contract, rows, rows)
    loaded, inputs = _loaded(model, contract, tmp_path), model_inputs(rows, contract)
    proto = to_onnx(model, contract)
    for group, some in {
        "train": inputs,
        **edge_cases(inputs, model, proto, contract, 200).groups,
    }.items():
        parity = compare(model.predict(some), loaded.predict(columns(some)), model.scales, 1e-4)
        assert parity.worst == [], f"{group}: {parity}"


def test_what_cannot_be_converted_is_told_with_what_can() -> None:
    fitted, contract = made.trained("regression", "linear").pipeline, made.contract("regression")
    inputs = model_inputs(made.rows("regression"), contract)
    own = Pipeline([("features", fitted[0]), ("model", Unknown())])
    own[-1].fit(own[:-1].transform(inputs), np.ones(len(inputs)))
    with pytest.raises(CheckError) as refused:
        to_onnx(Model("regression", own, {}, 0), contract)
    (line,) = str(refused.value).splitlines()
    assert line.startswith("Unknown cannot be converted to ONNX")
    assert line.endswith(
        "Choose another train.estimator in params.yaml: mlops/docs/train.md lists what converts"
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the stage can run."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    folder = tmp_path / "a-project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for path in (paths.CANDIDATE, paths.MODEL):
        made.trained("multiclass", "linear").save(path)
    write_text(paths.PARAMS, made.params("multiclass", "linear").model_dump_json())
    contract = made.contract("multiclass").model_dump(mode="json", exclude_defaults=True)
    write_json(paths.CONTRACT, contract | {"rules": {"rows": [10, None]}})
    write_json(paths.PROVENANCE, {"snapshot_sha256": "5ba5"})
    return folder


def _git(*arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.usefixtures("project")
def test_the_model_carries_where_it_comes_from() -> None:
    convert()
    described = made.contract("multiclass").model_dump(mode="json", exclude_defaults=True)
    assert "rules" not in described  # which are of the rows that it learned from
    metadata = OnnxModel(paths.ONNX).metadata
    assert metadata.pop("example")
    assert metadata.pop("background").keys() == {*made.contract("multiclass").features}
    assert metadata == {
        "project": "a-project",
        "task": "classification",
        "estimator": "linear",
        "rows": made.ROWS,
        "classes": ["high", "low", "middle"],
        "categories": {"colour": ["blue", "green", "red", 'Æ, "quoted"']},
        "contract": described,
        "contract_sha256": digest(described),
        "data_sha256": "5ba5",
    }
    assert Contract.model_validate(metadata["contract"]) == made.contract("multiclass")


@pytest.mark.usefixtures("project")
def test_the_project_is_called_the_same_wherever_it_is() -> None:
    assert about().name == "a-project"
    write_text(Path("pyproject.toml"), '[project]\nname = "flights"\n')
    assert about().name == "flights"


def test_the_example_is_of_nobody_and_kept_by_the_contract() -> None:
    columns = made.COLUMNS | {
        "size": made.COLUMNS["size"] | {"range": [0, 10]},
        "rank": made.COLUMNS["rank"] | {"range": [3, None]},
        "colour": made.COLUMNS["colour"] | {"allowed": ["red", "green"]},
    }
    contract = made.contract_of(columns | made.TARGETS["regression"][1])
    told = example(made.trained("regression", "forest"), contract)
    assert told["row"] == {"size": 5.0, "rank": 3.0, "wet": False, "colour": "red", "noise": 0.0}
    assert told["outputs"].keys() == {"prediction", "lower", "upper"}
    assert told["outputs"]["lower"] < told["outputs"]["prediction"] < told["outputs"]["upper"]


@pytest.mark.usefixtures("project")
def test_the_same_model_is_converted_to_the_same_file() -> None:
    """At another commit, too: that of a model is made after it."""
    convert()
    first = paths.ONNX.read_bytes()
    _git("init", "--quiet")
    _git("add", "params.yaml", "contract.yaml")
    _git("commit", "--quiet", "--message", "first")
    convert()
    assert paths.ONNX.read_bytes() == first


def test_the_final_model_is_the_candidate_where_that_is_so(project: Path) -> None:
    convert()
    assert paths.CANDIDATE_ONNX.read_bytes() == paths.ONNX.read_bytes()
    other = made.rows("multiclass", 150, seed=4)
    chosen, contract = made.params("multiclass", "linear"), made.contract("multiclass")
    final = made.fit(chosen, contract, other, other)
    final.save()
    convert()
    inputs = columns(model_inputs(other, contract))
    for path, model in (
        (paths.CANDIDATE_ONNX, made.trained("multiclass", "linear")),
        (paths.ONNX, final),
    ):
        found = OnnxModel(project / path)
        assert found.metadata["rows"] == model.rows
        expected = model.predict(model_inputs(other, contract))["probability"]
        np.testing.assert_allclose(found.predict(inputs)["probability"], expected, atol=1e-5)


def test_the_digest_is_of_the_content() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
