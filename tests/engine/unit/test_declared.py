"""features.yaml: what it declares is learned from and served alike, and what makes no sense is told
in a line before anything is trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import featured, made
from engine.featured import FILE, KINDS, UNTARGETED
from engine.served import save
from engine.workspace import root

from mlops.data.contract import Contract
from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.files import parse, write_json, write_text
from mlops.inference import OnnxModel
from mlops.learning.conversion import nodes_of, to_onnx
from mlops.learning.declared import FeatureFile, declared, load_declared
from mlops.learning.model import Model
from mlops.paths import FEATURES
from mlops.pipeline.verify import compare, edge_cases
from mlops.serving.errors import Refused
from mlops.serving.model import ServedModel
from mlops.serving.settings import Settings


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


@pytest.mark.slow
@pytest.mark.parametrize(("what", "name"), made.PAIRS)
def test_each_estimator_takes_each_kind_of_feature(
    what: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    features = UNTARGETED if what == "clustering" else KINDS | {"noisy": {"expr": "noise"}}
    write_json(FEATURES, FILE | {"features": features})
    contract, rows = featured.contract(what), featured.rows(what)
    model = made.fit(made.params(what, name), contract, rows, rows)
    test = model_inputs(featured.rows(what, 200, 3), contract)
    for group, parity in _parity(model, contract, test, tmp_path).items():
        assert parity.worst == [], f"{group}: {parity}"
        assert parity.ties <= parity.rows / 50, group


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_feature_is_converted_alone(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no other step that would ask for operators of a later version."""
    monkeypatch.chdir(tmp_path)
    contract, rows = featured.contract("binary"), featured.rows("binary")
    write_json(FEATURES, featured.alone(kind, KINDS[kind]))
    model = made.fit(made.params("binary", "linear"), contract, rows, rows)
    test = model_inputs(featured.rows("binary", 200, 3), contract)
    for group, parity in _parity(model, contract, test, tmp_path).items():
        assert parity.worst == [], f"{group}: {parity}"


def test_callers_send_raw_columns_moments_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(FEATURES, FILE | {"features": UNTARGETED})
    contract, rows = featured.contract("binary"), featured.rows("binary")
    model = made.fit(made.params("binary", "linear"), contract, rows, rows)
    served = ServedModel(Settings(model=save(model, contract, tmp_path / "model.onnx")))
    some = rows[contract.features].head(60).assign(at=rows["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    plain = some.astype(object).where(some.notna(), None).to_dict("records")
    sent = [{str(name): value for name, value in row.items()} for row in plain]
    sent[1]["at"] = "2020-05-01T02:00:00+02:00"
    rows.loc[1, "at"] = pd.Timestamp("2020-05-01")
    batch = served.run([served.job_of_rows(sent, "")])
    expected = model.predict(model_inputs(rows[:60], contract))["probability"]
    np.testing.assert_allclose(batch.outputs["probability"], expected, atol=1e-6)
    with pytest.raises(Refused, match=r"input at, row 1: 7 is not a moment, such as 2013"):
        served.job_of_rows([{**sent[0], "at": 7}], "")


@pytest.mark.parametrize(
    ("features", "columns_", "told"),
    [
        ({"x": "log(colour)"}, {}, r"features.x: `log\(colour\)`: log\(…\) takes a number, not t"),
        ({"x": "sise + 1"}, {}, "features.x: `sise [+] 1`: .* sise; did you mean size?"),
        (
            {"x": "y + 1", "y": "x * 2"},
            {},
            r"features.y: `x \* 2`: is computed of itself: x → y → x",
        ),
        ({"x": "x + 1"}, {}, "features.x: `x [+] 1`: is computed of itself: x → x"),
        ({"x": "squared(size)"}, {}, "no function squared; there are year"),
        ({"x": "size + "}, {}, "features.x: `size [+] `: cannot be read"),
        ({"x": "large + 1"}, {}, "large has no role feature in contract.yaml, so that callers"),
        ({"x": "1 + 1"}, {}, "names no column"),
        ({"x": "at"}, {}, "is a moment, and a model learns from numbers and texts: take a part"),
        ({"x": "at - '2020-01-01'"}, {}, "is a length of time, .* divide it, such as by hours"),
        ({"x": "lower(colour)"}, {}, r"lower\(…\) is for rules: .* use ascii_lower"),
        ({"x": "colour < 'red'"}, {}, "texts have no order in a model"),
        ({"x": "lookup(colour, 'heat')"}, {}, "no table heat; there are warmth"),
        ({"x": "size if rank > 1 else colour"}, {}, "either a number or text; be one"),
        ({"size": "rank"}, {}, "features.size: contract.yaml has a column of this name"),
        ({"x": "hour(at)"}, {"sise": {"learn": False}}, "columns.sise: contract.yaml has no such"),
        ({"x": "hour(at)"}, {"noise": {"learn": False}}, "columns.noise: `learn: false`, and no f"),
        ({"x": "hour(at)"}, {"size": {"encode": "hash"}}, "columns.size.encode: is for texts"),
        ({"x": {"expr": "hour(at)", "encode": "rare"}}, {}, "features.x.encode: is for texts"),
        ({"x": {"expr": "hour(at)", "encode": "targets"}}, {}, "features.x.encode.how: "),
        ({"x": {"expr": "hour(at)", "version": "1"}}, {}, "features.x.version: "),
        ({"x": {"exp": "hour(at)"}}, {}, "features.x.expr: this key is missing"),
        ({}, {}, r"at is a moment, .* and no feature reads it: declare one, such as"),
    ],
)
def test_what_makes_no_sense_is_a_line(
    features: dict[str, Any], columns_: dict[str, Any], told: str, tmp_path: Path
) -> None:
    described = {k: {"expr": v} if isinstance(v, str) else v for k, v in features.items()}
    write_json(
        tmp_path / "features.json",
        {"features": described, "columns": columns_, "tables": FILE["tables"]},
    )
    with pytest.raises(InputError, match=told) as refused:
        load_declared(featured.contract("binary"), tmp_path / "features.json")
    assert refused.value.exit_code == 2
    lines = str(refused.value).splitlines()
    assert all(each.startswith(f"{tmp_path / 'features.json'}: ") for each in lines)


def test_a_mistake_is_told_once_where_it_is() -> None:
    file = FeatureFile.model_validate(
        {"features": {"a": {"expr": "b + 1"}, "b": {"expr": "c * 2"}, "c": {"expr": "log(colour)"}}}
    )
    with pytest.raises(InputError) as refused:
        declared(file, made.contract("binary"))
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).startswith("features.yaml: features.c: ")


def _meanings(features: dict[str, Any]) -> dict[str, str]:
    file = FeatureFile.model_validate({"features": features, "tables": FILE["tables"]})
    found = declared(file, made.contract("binary")).described()
    return {name: each["sha256"] for name, each in found.items()}


def test_a_feature_is_known_by_its_meaning() -> None:
    first = _meanings({"half": {"expr": "size / 2"}, "more": {"expr": "half + rank"}})
    same = _meanings(
        {"more": {"expr": "(size/2)+rank", "owner": "ada"}, "half": {"expr": "size  /  2.0"}}
    )
    assert same == first
    other = _meanings({"half": {"expr": "size / 3"}, "more": {"expr": "half + rank"}})
    assert other["more"] != first["more"]


def test_many_features_on_one_another_are_compiled_and_computed() -> None:
    """Each is read twice by the next one: what stands there twice must be looked at once."""
    features: dict[str, Any] = {"f0": {"expr": "size"}} | {
        f"f{i}": {"expr": f"f{i - 1} + f{i - 1} * 0", "learn": False} for i in range(1, 200)
    }
    features["last"] = {"expr": "f199"}
    found = declared(FeatureFile.model_validate({"features": features}), made.contract("binary"))
    inputs = model_inputs(made.rows("binary", 50), made.contract("binary"))
    made_of = found.columns_of(inputs)
    np.testing.assert_array_equal(made_of["last"].to_numpy(), inputs["size"].to_numpy())
    nodes = nodes_of(found, {name: name for name in found.terms()})
    assert len(nodes.nodes) < 800
    assert len({each["sha256"] for each in found.described().values()}) == 200


def test_without_a_file_the_model_learns_from_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_declared(made.contract("binary")).is_empty
    write_text(FEATURES, "# features:\n#   a: {expr: size}\n")
    assert load_declared(made.contract("binary")).is_empty


def test_a_feature_without_a_value_is_told_before_it_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(FEATURES, {"features": {"x": {"expr": "size / (rank * 0)"}}})
    rows = made.rows("binary")
    with pytest.raises(InputError, match=r"features.x: .* is missing in each of 400 rows"):
        made.fit(made.params("binary", "linear"), made.contract("binary"), rows, rows)


def test_the_example_in_the_project_makes_sense_when_it_is_taken(own_contract: Contract) -> None:
    text = (root() / FEATURES).read_text(encoding="utf-8")
    assert parse(text, FeatureFile, FEATURES) == FeatureFile()
    taken = re.sub(r"^# (?=  |features:|columns:|tables:)", "", text, flags=re.MULTILINE)
    found = declared(parse(taken, FeatureFile, FEATURES), own_contract)
    assert len(found.expressions) >= 5
    assert found.learned.encodings


SHARED = {
    "features": {
        "half": {"expr": "size / 2", "owner": "ada"},
        "warm_half": {"expr": "half * lookup(colour, 'warmth')", "version": 3},
        "other": {"expr": "a_column_of_the_other_project + 1"},
    },
    "tables": FILE["tables"],
}


def test_two_projects_compute_the_same_of_what_they_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Path("theirs.json"), SHARED)
    asked = {"theirs.json": ["warm_half"]}
    # What is called like a part of theirs changes nothing of it.
    own = {"x": {"expr": "warm_half + 1"}, "half": {"expr": "rank"}}
    write_json(Path("features.json"), {"include": asked, "features": own})
    contract = made.contract("binary")
    mine = load_declared(contract, Path("features.json"))
    wider = {"a_column_of_the_other_project": made.COLUMNS["rank"]}
    their_contract = made.contract_of(made.COLUMNS | wider | made.TARGETS["binary"][1])
    theirs = load_declared(their_contract, Path("theirs.json"))
    rows = made.rows("binary").assign(a_column_of_the_other_project=1.0)
    for_me = mine.columns_of(model_inputs(rows, contract))
    for_them = theirs.columns_of(model_inputs(rows, their_contract))
    pd.testing.assert_series_equal(for_me["warm_half"], for_them["warm_half"])
    # What it is made of is not learned from, and what was not asked for is not even read.
    assert {*for_me} == {*contract.features, "warm_half", "x", "half"}
    np.testing.assert_array_equal(for_me["half"], for_me["rank"])
    told, known = mine.described(), theirs.described()
    assert told["warm_half"]["sha256"] == known["warm_half"]["sha256"]
    assert told["warm_half"]["version"] == 3


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ({"include": {"theirs.json": ["quarter"]}}, "theirs.json has no feature quarter; it has h"),
        ({"include": {"theirs.json": None}}, "^theirs.json: features.other: .* no column or featu"),
        ({"include": {"nowhere.json": None}}, "nowhere.json: no such file"),
        (
            {"include": {"theirs.json": ["half"]}, "features": {"half": {"expr": "size"}}},
            "include: half of theirs.json is declared twice; rename one",
        ),
    ],
)
def test_what_cannot_be_included_is_told(
    file: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(Path("theirs.json"), SHARED)
    write_json(Path("features.json"), file)
    with pytest.raises(InputError, match=told):
        load_declared(made.contract("binary"), Path("features.json"))
