"""Models in TensorFlow Lite say what scikit-learn says; trees are refused."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import featured, made
from tflite_micro.python.tflite_micro import runtime

from mlops.config.export import Int8, Tflite
from mlops.data.inputs import columns, model_inputs
from mlops.errors import CheckError, InputError, ProjectError
from mlops.export import footprint
from mlops.export.targets import TARGETS
from mlops.files import write_json
from mlops.learning.conversion import to_onnx
from mlops.paths import FEATURES
from mlops.pipeline.verify import compare, edge_cases

TARGET = TARGETS["tflite"]
TREES = ("boosting", "lightgbm", "xgboost", "forest", "extratrees")
ROWS = 100


@pytest.mark.parametrize(("what", "name"), [pair for pair in made.PAIRS if pair[1] not in TREES])
def test_every_model_without_trees_says_the_same(what: str, name: str, tmp_path: Path) -> None:
    model, contract = made.trained(what, name), made.contract(what)
    converted = to_onnx(model, contract)
    TARGET.make(converted, "made", tmp_path, Tflite())
    target = TARGET.run(tmp_path)
    test = model_inputs(made.rows(what, ROWS, seed=1), contract)
    groups = {"test": test} | edge_cases(test, model, converted, contract, ROWS).groups
    for rows in groups.values():
        parity = compare(model.predict(rows), target.predict(columns(rows)), model.scales, 1e-4)
        assert parity.worst == []
        assert parity.rows == ROWS
    assert {*groups} >= {"test", "missing", "unknown", "extremes"}


@pytest.mark.parametrize("kind", ["month", "ratio"])
def test_what_the_format_has_not_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment, or a step of a feature: nobody who has no trees is told of trees."""
    monkeypatch.chdir(tmp_path)
    rows = featured.rows("binary")
    contract = featured.contract("binary")
    if kind == "ratio":
        contract = made.contract("binary")
        write_json(FEATURES, {"features": {kind: featured.KINDS[kind]}})
    else:
        write_json(FEATURES, featured.alone(kind, featured.KINDS[kind]))
    model = made.fit(made.params("binary", "linear"), contract, rows, rows)
    line = {
        "month": r"^export\.targets\.tflite: at is a moment, .* export to c$",
        "ratio": r"^export\.targets\.tflite: \w+ cannot be written .* take the feature .* to c$",
    }[kind]
    with pytest.raises(InputError, match=line):
        TARGET.make(to_onnx(model, contract), "made", tmp_path, Tflite())


@pytest.mark.parametrize("how", ["target", "frequency", {"rare": 0.1}])
def test_encodings_say_the_same(how: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of categories that training saw, of others and of none."""
    monkeypatch.chdir(tmp_path)
    write_json(FEATURES, {"columns": {"colour": {"encode": how}}})
    contract, rows = made.contract("multiclass"), made.rows("multiclass")
    model = made.fit(made.params("multiclass", "linear"), contract, rows, rows)
    converted = to_onnx(model, contract)
    TARGET.make(converted, "made", tmp_path, Tflite())
    test = model_inputs(made.rows("multiclass", ROWS, seed=1), contract)
    test.loc[:9, "colour"] = "never seen"
    said = TARGET.run(tmp_path).predict(columns(test))
    assert compare(model.predict(test), said, model.scales, 1e-4).worst == []


@pytest.mark.parametrize(("what", "name"), [pair for pair in made.PAIRS if pair[1] not in TREES])
def test_eight_bits_say_nearly_the_same(what: str, name: str, tmp_path: Path) -> None:
    model, contract = made.trained(what, name), made.contract(what)
    converted = to_onnx(model, contract)
    target = TARGETS["tflite-int8"]
    target.make(converted, "made", tmp_path, Int8(metric_loss=0.1))
    test = model_inputs(made.rows(what, ROWS, seed=1), contract)
    said = target.run(tmp_path).predict(columns(test))
    parity = compare(model.predict(test), said, model.scales, 1e-4)
    assert 1e-4 < parity.difference < 0.5


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("binary", "mlp"),
        ("multiclass", "network"),
        ("multiclass", "linear"),
        ("regression", "mlp"),
        ("clustering", "kmeans"),
    ],
)
def test_a_microcontrollers_interpreter_says_the_same(what: str, name: str, tmp_path: Path) -> None:
    """In 16 KiB of memory."""
    model, contract = made.trained(what, name), made.contract(what)
    TARGET.make(to_onnx(model, contract), "made", tmp_path, Tflite())
    told = json.loads((tmp_path / "columns.json").read_text(encoding="utf-8"))
    rows = model_inputs(made.rows(what, ROWS, seed=1), contract)
    micro = runtime.Interpreter.from_file(str(tmp_path / "model.tflite"), arena_size=16 * 1024)
    answers = []
    for row in range(ROWS):
        for place, (column, texts) in enumerate(told["inputs"].items()):
            value = rows[column].iloc[row]
            number = np.float32(value) if texts is None else np.int32(texts.index(value))
            micro.set_input(np.array([[number]]), place)
        micro.invoke()
        answers.append([micro.get_output(0).ravel()[0], micro.get_output(1).ravel()])
    named = {"clustering": "distances", "regression": "lower"}.get(model.task, "probability")
    said = np.array([each for _, each in answers]).reshape(ROWS, -1)
    expected = model.predict(rows)[named].reshape(ROWS, -1)
    assert said == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_what_it_takes_of_a_microcontroller_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With that much memory the interpreter answers, with less it does not."""
    converted = to_onnx(made.trained("binary", "mlp"), made.contract("binary"))
    TARGET.make(converted, "made", tmp_path, Tflite())
    model = tmp_path / "model.tflite"

    def check(**bounds: float) -> footprint.Footprint | None:
        return footprint.check("tflite", footprint.of_tflite, model, Tflite(**bounds))

    taken = check(flash_kb=64, ram_kb=16)
    assert taken is not None
    assert taken.flash == model.stat().st_size
    runtime.Interpreter.from_file(str(model), arena_size=taken.ram).invoke()
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_file(str(model), arena_size=taken.ram - 32)
    assert check() is None
    with pytest.raises(
        CheckError, match=r"^export\.targets\.tflite: the model takes .* ram_kb: 1;"
    ):
        check(ram_kb=1)
    monkeypatch.setattr(footprint, "MOST", 2048)
    with pytest.raises(ProjectError, match="does not take the model: not in 2048 bytes"):
        check(ram_kb=1)
    monkeypatch.setattr(footprint, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the dependency group `tflite-micro`"):
        check(ram_kb=1)


def test_a_microcontroller_takes_more_columns_than_it_joins_at_once(tmp_path: Path) -> None:
    names = [f"x{number}" for number in range(23)]
    given = made.contract_of(
        {name: {"kind": "numeric", "role": "feature"} for name in names}
        | {"large": {"kind": "boolean", "role": "target"}}
    )
    rng = np.random.default_rng(4)
    data = pd.DataFrame(rng.normal(0, 1, (ROWS, len(names))).astype("float32"), columns=names)
    data["large"] = data["x3"] - data["x20"] > 0
    model = made.fit(made.params("binary", "linear"), given, data, data)
    TARGET.make(to_onnx(model, given), "made", tmp_path, Tflite())
    expected = model.predict(data[names])["probability"]
    said = TARGET.run(tmp_path).predict(columns(data[names]))["probability"]
    assert said == pytest.approx(expected, abs=1e-5)
    micro = runtime.Interpreter.from_file(str(tmp_path / "model.tflite"), arena_size=64 * 1024)
    for row in range(5):
        for place, name in enumerate(names):
            micro.set_input(np.array([[data[name][row]]], "float32"), place)
        micro.invoke()
        assert micro.get_output(1).ravel() == pytest.approx(expected[row], abs=1e-5)


def test_eight_bits_are_for_phones(tmp_path: Path) -> None:
    """The day on which microcontrollers take them, too, their bounds may be offered."""
    converted = to_onnx(made.trained("binary", "mlp"), made.contract("binary"))
    TARGETS["tflite-int8"].make(converted, "made", tmp_path, Int8(metric_loss=0.1))
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_file(str(tmp_path / "model.tflite"), arena_size=64 * 1024)


def test_numbers_are_explained_beside_it(tmp_path: Path) -> None:
    converted = to_onnx(made.trained("multiclass", "linear"), made.contract("multiclass"))
    TARGET.make(converted, "made", tmp_path, Tflite())
    told = json.loads((tmp_path / "columns.json").read_text(encoding="utf-8"))
    assert [*told["inputs"]] == ["size", "rank", "wet", "colour", "noise"]
    assert {*told["inputs"]["colour"]} == {"", "red", "green", "blue", 'Æ, "quoted"'}
    assert told["inputs"]["size"] is None
    assert told["classes"] == ["high", "low", "middle"]


def test_what_is_not_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ai_edge_litert", "ai_edge_litert.schema_py_generated"):
        monkeypatch.setitem(sys.modules, name, None)
    converted = to_onnx(made.trained("binary", "linear"), made.contract("binary"))
    with pytest.raises(
        InputError, match=r"dependency group `tflite`: run `uv sync --group tflite`"
    ):
        TARGET.make(converted, "made", tmp_path, Tflite())


def test_what_the_numbers_mean_and_where_they_come_from_is_in_the_file(tmp_path: Path) -> None:
    """The file alone answers rows."""
    model, contract = made.trained("multiclass", "linear"), made.contract("multiclass")
    converted = to_onnx(model, contract)
    onnx.helper.set_model_props(converted, {"contract_sha256": '"abc"'})
    TARGET.make(converted, "made", tmp_path, Tflite())
    (tmp_path / "columns.json").unlink()
    rows = model_inputs(made.rows("multiclass", ROWS, seed=1), contract)
    target = TARGET.run(tmp_path)
    assert target.metadata == {"contract_sha256": "abc"}
    said = target.predict(columns(rows))
    assert compare(model.predict(rows), said, model.scales, 1e-4).worst == []


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.tflite: no such file"):
        TARGET.run(tmp_path)
    (tmp_path / "model.tflite").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"model\.tflite: not a TensorFlow Lite model"):
        TARGET.run(tmp_path)
