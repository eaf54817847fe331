"""Memory: the arithmetic is that of the encoded matrix, and what does not fit is never begun."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from mlops import paths
from mlops.data.inputs import columns, model_inputs, target_values
from mlops.errors import InputError
from mlops.files import write_text
from mlops.inference import OnnxModel
from mlops.learning import memory
from mlops.learning.conversion import to_onnx
from mlops.learning.estimators import build
from mlops.learning.memory import Need, available, check, need
from mlops.learning.model import Model
from mlops.pipeline.train import train


def _pipeline(what: str, name: str) -> Pipeline:
    hyperparameters = made.params(what, name).hyperparameters(name)
    return build(made.task(what), name, hyperparameters, made.contract(what), 1)


@pytest.mark.parametrize("what", made.TARGETS)
def test_as_many_columns_as_there_are_once_encoded(what: str) -> None:
    name = next(iter(made.HYPERPARAMETERS[made.task(what)]))
    contract, rows = made.contract(what), made.rows(what)
    pipeline, inputs = _pipeline(what, name), model_inputs(rows, contract)
    found = need(pipeline, inputs, name)
    encoded = pipeline[0].fit_transform(inputs, target_values(rows, contract))
    assert (found.rows, found.columns) == encoded.shape
    assert found.bytes == encoded.nbytes * 3  # linear and kmeans: at the peak, three float32
    assert found.widths["colour"] == rows["colour"].nunique(dropna=False)


INPUTS = pd.DataFrame(
    {"code": [f"c{min(i, 60)}" for i in range(100)], "size": np.zeros(100, "float32")}
)


@pytest.mark.parametrize(
    ("encoder", "width"),
    [
        (OneHotEncoder(sparse_output=False), 61),
        (OneHotEncoder(sparse_output=False, min_frequency=10), 2),
        (OneHotEncoder(sparse_output=False, max_categories=7), 7),
        (
            OneHotEncoder(
                categories=[["c1", "c2", "c3"]], handle_unknown="ignore", sparse_output=False
            ),
            3,
        ),
        (OneHotEncoder(), 1),  # a sparse matrix holds one value a row
        (TargetEncoder(), 1),
    ],
)
def test_own_encoders_are_counted_as_they_encode(encoder: Any, width: int) -> None:
    features = ColumnTransformer([("codes", encoder, ["code"]), ("rest", "passthrough", ["size"])])
    pipeline = Pipeline([("features", features), ("model", Ridge())])
    assert need(pipeline, INPUTS, "own").widths == {"code": width, "size": 1}


def test_what_is_no_transformer_of_columns_counts_its_inputs() -> None:
    pipeline = Pipeline([("features", TargetEncoder()), ("model", Ridge())])
    assert need(pipeline, INPUTS, "own").columns == 2


TARGET = TargetEncoder(cv=KFold(shuffle=True, random_state=0))
NAMED = OneHotEncoder(
    categories=[["blue", "red"]], handle_unknown="ignore", sparse_output=False, dtype=np.float32
)


@pytest.mark.parametrize(
    ("what", "encoder"),
    [("binary", TARGET), ("regression", TARGET), ("binary", NAMED), ("multiclass", NAMED)],
)
def test_what_is_advised_instead_converts_to_onnx(what: str, encoder: Any, tmp_path: Path) -> None:
    contract, rows = made.contract(what), made.rows(what)
    numbers = [name for name in contract.features if name != "colour"]
    features = ColumnTransformer(
        [("numbers", SimpleImputer(strategy="median"), numbers), ("codes", encoder, ["colour"])]
    )
    pipeline = Pipeline([("features", features), _pipeline(what, "linear").steps[1]])
    inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
    pipeline.fit(inputs, truth)
    classes = [*map(str, getattr(pipeline, "classes_", []))] or None
    model = Model(made.task(what), pipeline, {}, len(rows), classes)
    onnx.save(to_onnx(model, contract), tmp_path / "model.onnx")
    inputs.loc[:50, "colour"] = "a category that training never saw"
    found = OnnxModel(tmp_path / "model.onnx").predict(columns(inputs))
    name = "prediction" if what == "regression" else "probability"
    np.testing.assert_allclose(found[name], model.predict(inputs)[name], rtol=1e-4, atol=1e-5)


# The case that was met: 36,000 categories × 65,000 rows.
MANY = Need(65_000, {"tail": 36_000, "size": 1}, 65_000 * 36_001 * 16)


def test_what_does_not_fit_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError) as refused:
        check(MANY, 16 * 2**30)
    assert str(refused.value) == (
        "training takes about 34.9 GiB of memory, 65,000 rows × 36,001 columns when encoded, and "
        "there is 16.0 GiB; tail alone makes 36,000 columns: leave it out of contract.yaml, or "
        "say in features.yaml how to encode it, such as by `encode: target`: "
        "mlops/docs/features.md#encodings"
    )


def test_what_fits_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    check(MANY, 64 * 2**30)
    check(Need(1000, {"size": 1}, 2**20), None)
    assert capsys.readouterr().out.splitlines() == [
        "65,000 rows × 36,001 columns when encoded: about 34.9 GiB of memory of 64.0 GiB",
        "1,000 rows × 1 columns when encoded: about 1 MiB of memory",
    ]


def test_a_container_has_what_it_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    machine.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "MEMORY", machine)
    monkeypatch.setattr(memory, "LIMITS", [limit])
    assert available() == 4000 * 1024
    limit.write_text("1000000\n")
    assert available() == 1_000_000
    limit.write_text("max\n")
    assert available() == 4000 * 1024
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "none")
    assert (available() or 0) > 4000 * 1024  # of this machine


def test_training_that_does_not_fit_is_never_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    limit = tmp_path / "memory.max"
    limit.write_text(f"{2**20}\n")
    monkeypatch.setattr(memory, "LIMITS", [limit])
    many = made.rows("binary", 2000).assign(colour=[f"c{i}" for i in range(2000)])
    write_text(paths.PARAMS, made.params("binary", "boosting").model_dump_json())
    write_text(paths.CONTRACT, made.contract("binary").model_dump_json(exclude_defaults=True))
    for name in ("train", "validation"):
        paths.PARTS[name].parent.mkdir(parents=True, exist_ok=True)
        many.to_parquet(paths.PARTS[name])
    with pytest.raises(InputError, match="colour alone makes 2,000 columns: leave it out"):
        train()
    assert not paths.MODEL.exists()
    assert not paths.TRAINING_LOG.exists()
