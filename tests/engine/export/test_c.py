"""Models in C say what scikit-learn says: here, checked as they run, and on a Cortex-M."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import featured, made
from engine.export.machines import (
    CORTEX_M4,
    HOST,
    Machine,
    flash,
    needs_compiler,
    needs_cortex,
    stack,
)
from onnx import TensorProto, helper

from mlops.config.export import C
from mlops.data.inputs import columns, model_inputs
from mlops.errors import CheckError, InputError
from mlops.export import c, footprint
from mlops.export.compiled import Compiled
from mlops.export.program import Program
from mlops.export.targets import TARGETS
from mlops.files import write_json
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model, Outputs
from mlops.paths import FEATURES
from mlops.pipeline.verify import compare, edge_cases

TOLERANCE = 1e-4
ROWS = 60


def groups(what: str, model: Model, converted: onnx.ModelProto) -> dict[str, pd.DataFrame]:
    """Rows that training did not see, and the edge cases of `verify`."""
    contract = made.contract(what)
    test = model_inputs(made.rows(what, ROWS, seed=1), contract)
    return {"test": test} | edge_cases(test, model, converted, contract, ROWS).groups


def said(program: Program, lines: list[list[str]]) -> Outputs:
    """The outputs that a machine printed."""
    table, found, start = np.array([line[:-1] for line in lines]), {}, 0
    for value in program.outputs:
        part = table[:, start : start + value.size]
        values = part if value.kind == "text" else part.astype("float64")
        found[value.name] = values if len(value.shape) > 1 else values[:, 0]
        start += value.size
    if found["prediction"].dtype.kind == "f" and len(program.outputs[0].shape) == 1:
        kind = program.outputs[0].kind
        if kind in ("integer", "truth"):
            found["prediction"] = found["prediction"].astype("int64")
    return found


def run(machine: Machine, what: str, name: str, folder: Path) -> None:
    """Ask a machine for every group of rows, and compare with scikit-learn."""
    model = made.trained(what, name)
    converted = to_onnx(model, made.contract(what))
    program = Program.of(converted)
    source = c.write(converted, "made-1", "a note")
    cases = groups(what, model, converted)
    together = pd.concat(cases.values(), ignore_index=True)
    rows = [{str(k): v for k, v in row.items()} for row in together.to_dict("records")]
    lines = machine.answers(source, program, "made-1", rows, folder)
    parity = compare(model.predict(together), said(program, lines), model.scales, TOLERANCE)
    assert parity.worst == []
    assert parity.rows == sum(map(len, cases.values())) >= 3 * ROWS
    assert parity.ties <= len(together) / 20


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_every_model_says_the_same_in_c(what: str, name: str, tmp_path: Path) -> None:
    """With what the compiler can check while it runs: addresses, and what C leaves undefined."""
    run(HOST, what, name, tmp_path)


@needs_cortex
@pytest.mark.parametrize(
    ("what", "name"),
    [
        *(
            ("binary", "boosting"),
            ("binary", "mlp"),
            ("multiclass", "network"),
            ("multiclass", "forest"),
        ),
        *(("multiclass", "linear"), ("regression", "boosting"), ("clustering", "mixture")),
    ],
)
def test_a_microcontroller_says_the_same(what: str, name: str, tmp_path: Path) -> None:
    run(CORTEX_M4, what, name, tmp_path)


# Features that put texts together, or take them apart.
TEXTS = {"text", "cross", "target", "frequency", "hash", "rare"}
MORE: dict[str, dict[str, Any]] = {
    "extremes": {"expr": "min(size, noise, 2) + max(size, 0)"},
    "signs": {"expr": "sign(size) * round(noise)"},
    "among": {"expr": "colour in ('red', 'blue')"},
    "days": {"expr": "weekday(at) + rank % 3"},
}


def learned(kind: str) -> Model:
    """A model whose features.yaml has one feature of a kind."""
    write_json(FEATURES, featured.alone(kind, (featured.KINDS | MORE)[kind]))
    rows = featured.rows("binary")
    return made.fit(made.params("binary", "linear"), featured.contract("binary"), rows, rows)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("kind", [kind for kind in featured.KINDS | MORE if kind not in TEXTS])
def test_features_come_along(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, contract = learned(kind), featured.contract("binary")
    converted = to_onnx(model, contract)
    test = model_inputs(featured.rows("binary", ROWS, 3), contract)
    cases = {"test": test} | edge_cases(test, model, converted, contract, ROWS).groups
    together = pd.concat(cases.values(), ignore_index=True)
    source, program = c.write(converted, "made", "a note"), Program.of(converted)
    rows = [{str(k): v for k, v in row.items()} for row in together.to_dict("records")]
    lines = HOST.answers(source, program, "made", rows, tmp_path)
    parity = compare(model.predict(together), said(program, lines), model.scales, TOLERANCE)
    assert parity.worst == []
    assert parity.rows == 4 * ROWS


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("encode", ["one_hot", "target", "frequency", "rare"])
@pytest.mark.parametrize("what", ["binary", "multiclass", "regression"])
def test_encodings_come_along(
    what: str, encode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(FEATURES, {"columns": {"colour": {"encode": encode}}})
    rows, contract = made.rows(what), made.contract(what)
    model = made.fit(made.params(what, "linear"), contract, rows, rows)
    converted, together = to_onnx(model, contract), model_inputs(made.rows(what, ROWS, 1), contract)
    source = c.write(converted, "made", "a note")
    asked = [{str(k): v for k, v in row.items()} for row in together.to_dict("records")]
    lines = HOST.answers(source, Program.of(converted), "made", asked, tmp_path)
    said_of = said(Program.of(converted), lines)
    assert compare(model.predict(together), said_of, model.scales, TOLERANCE).worst == []


def test_values_of_a_shape_that_is_not_taken_are_refused() -> None:
    """Rather than read as if they were a row."""
    nodes = [helper.make_node("Concat", ["x", "x"], ["two"], axis=0)]
    nodes += [helper.make_node("Softmax", ["two"], ["prediction"], axis=-1)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "softmax",
        [value("x", TensorProto.FLOAT, [None, 1])],
        [value("prediction", TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    line = r"^export: Softmax of values of shape \(2, 1\) cannot be written in C .* export to onnx$"
    with pytest.raises(InputError, match=line):
        c.write(model, "m", "a note")


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_features_of_texts_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    converted = to_onnx(learned(kind), featured.contract("binary"))
    with pytest.raises(InputError, match=r"^export: .* cannot be written in C .* export to onnx$"):
        c.write(converted, "made", "a note")


@needs_cortex
def test_what_it_takes_of_a_microcontroller_is_known(tmp_path: Path) -> None:
    converted = to_onnx(made.trained("binary", "boosting"), made.contract("binary"))
    source = c.write(converted, "made", "a note")
    taken = flash(source, tmp_path)
    assert source.table_bytes < taken < source.table_bytes + 4096
    assert 0 < stack(tmp_path) < 1024
    code = tmp_path / "model.c"
    expected = footprint.Footprint(flash=taken, ram=stack(tmp_path))

    def check(**bounds: float) -> footprint.Footprint | None:
        return footprint.check("c", footprint.of_c, code, C(**bounds))

    assert check(flash_kb=64, ram_kb=4) == expected
    assert check(table_kb=64) is None
    line = r"^export\.targets\.c: the model takes \S+ KiB of a micro\S+ flash, .* flash_kb: 1;"
    with pytest.raises(CheckError, match=line):
        check(flash_kb=1, ram_kb=4)
    with pytest.raises(CheckError, match=r"of a microcontroller's ram, more than ram_kb: 0\.01;"):
        check(ram_kb=0.01)


def test_bounds_without_a_compiler_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = r"^export\.targets\.c: flash_kb and ram_kb are checked with arm-none-eabi-gcc, which is"
    with pytest.raises(InputError, match=line):
        footprint.check("c", footprint.of_c, tmp_path / "model.c", C(flash_kb=64))


@needs_compiler
def test_a_changed_model_is_another(tmp_path: Path) -> None:
    """What shows the comparison failing: a threshold of a tree, a weight of a leaf."""
    converted = to_onnx(made.trained("binary", "boosting"), made.contract("binary"))
    source = c.write(converted, "m", "a note")
    table = next(line for line in source.code.splitlines() if line.startswith("static const float"))
    wrong = table.replace("e+00", "e+01").replace("e-01", "e+00")
    assert wrong != table
    file = tmp_path / "model.c"
    (tmp_path / "model.h").write_text(source.header)
    file.write_text(source.code.replace(table, wrong))
    model = made.trained("binary", "boosting")
    test = model_inputs(made.rows("binary", 200, seed=1), made.contract("binary"))
    answers = Compiled(file).predict(columns(test))
    assert compare(model.predict(test), answers, model.scales, TOLERANCE).worst != []


def test_texts_are_written_byte_by_byte() -> None:
    assert c.quoted('Æ "x" \\ ??/ \n') == '"\\303\\206 \\042x\\042 \\134 \\077\\077/ \\012"'


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.1, "1.0e-01f"), (1 / 3, "3.3333334e-01f"), (float("nan"), "MISSING"), (0, "0.0e+00f")],
)
def test_numbers_are_written_exactly(value: float, written: str) -> None:
    assert c.literal("float", value) == written
    if value == value:
        assert np.float32(written.removesuffix("f")) == np.float32(value)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("size", "size"),
        ("a b", "a_b"),
        ("1st", "x_1st"),
        ("int", "x_int"),
        ("é", "x__"),
    ],
)
def test_names_are_what_c_allows(name: str, written: str) -> None:
    assert c.identifier(name) == written


def test_names_that_become_the_same_stay_apart() -> None:
    """Columns `a b` and `a_b` are two members."""
    nodes = [
        helper.make_node("Add", ["a b", "a_b"], ["prediction"]),
    ]
    columns_ = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("a b", "a_b")
    ]
    output = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "sum", columns_, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    header = c.write(model, "m", "a note").header
    assert "float a_b_0;" in header
    assert "float a_b_1;" in header


def test_a_step_that_c_cannot_say_is_named() -> None:
    node = helper.make_node("Erf", ["x"], ["prediction"])
    graph = helper.make_graph(
        [node],
        "erf",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(InputError, match=r"^export: Erf cannot be written in C \(it makes pred"):
        c.write(model, "m", "a note")


def test_tables_beyond_the_bound_are_refused(tmp_path: Path) -> None:
    converted = to_onnx(made.trained("binary", "forest"), made.contract("binary"))
    with pytest.raises(CheckError, match=r"^export\.targets\.c: the tables take .* table_kb: 0\.5"):
        TARGETS["c"].make(converted, "made", tmp_path, C(table_kb=0.5))
    assert [*tmp_path.iterdir()] == []
    TARGETS["c"].make(converted, "made", tmp_path, C(table_kb=64))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.c", "model.h"]


def test_a_missing_compiler_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    converted = to_onnx(made.trained("binary", "linear"), made.contract("binary"))
    TARGETS["c"].make(converted, "made", tmp_path, C())
    with pytest.raises(InputError, match=r"there is no C compiler .no-such-compiler.*install gcc"):
        TARGETS["c"].run(tmp_path)


def test_where_it_comes_from_and_its_labels_are_in_the_header(tmp_path: Path) -> None:
    """A program reads them, and nothing of them is left in one that does not."""
    converted = to_onnx(made.trained("multiclass", "linear"), made.contract("multiclass"))
    told = {"contract_sha256": '"abc"', "data_sha256": '"def"', "classes": '["high", "l/*w*/"]'}
    helper.set_model_props(converted, told)
    TARGETS["c"].make(converted, "made", tmp_path, C())
    header = (tmp_path / "model.h").read_text()
    assert '#define MADE_CONTRACT_SHA256 "abc"\n' in header
    assert '#define MADE_DATA_SHA256 "def"\n' in header
    assert '#define MADE_CLASSES 2\n#define MADE_LABELS {"high", "l/*w*/"}\n' in header
    assert TARGETS["c"].run(tmp_path).metadata == {
        name: json.loads(text) for name, text in told.items()
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, r"model\.c: no model; `export` makes it"),
        ("int main(void) { return 0; }", r"model\.c: not a model in C that says what it is$"),
        ("/* what this is:\n{}\n*/", r"model\.c: not a model in C that says what it is$"),
    ],
)
def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, text: str | None, line: str) -> None:
    if text is not None:
        (tmp_path / "model.c").write_text(text)
    with pytest.raises(InputError, match=line):
        TARGETS["c"].run(tmp_path)
