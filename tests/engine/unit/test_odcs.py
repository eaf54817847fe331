"""The Open Data Contract Standard: what is exported is valid by the standard's own schema and says
the same when it comes back; what others wrote is read, and what is left out is told."""

import json
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
from engine import made
from engine.workspace import root
from helpers import ROOT
from ruamel.yaml import YAML

from mlops import cli
from mlops.config.params import load_params
from mlops.config.source import Source
from mlops.data.contract import Contract, load_contract
from mlops.data.rules import Rules
from mlops.drafting.odcs import draft, standard
from mlops.drafting.odcs.dates import from_java, to_java
from mlops.drafting.odcs.draft import Imported
from mlops.drafting.odcs.export import Export, export
from mlops.errors import InputError
from mlops.files import parse, write_text
from mlops.paths import CONTRACT, PARAMS
from mlops.project import About

STANDARD = ROOT / "tests" / "engine" / "odcs"
SCHEMA = json.loads((STANDARD / "odcs-json-schema-v3.1.0.json").read_text(encoding="utf-8"))
SOURCE, ABOUT = Source(path="data/flights.csv"), About("delays", "1.2.0")

EVERYTHING = Contract.model_validate(
    {
        "dialect": {"delimiter": ";", "header": False, "decimal": ",", "missing": ["?", "k. A."]},
        "columns": {
            "id": {"kind": "categorical", "role": "id"},
            "left": {
                "kind": "datetime",
                "role": "time",
                "format": "%d/%m/%Y %H:%M",
                "range": ["2013-01-01", None],
            },
            "came back": {"kind": "datetime", "role": "rule", "format": "%a %d"},
            "carrier": {
                "kind": "categorical",
                "role": ["feature", "slice"],
                "allowed": ["UA", "1", "no"],
                "description": "Who flies, as IATA writes it: two signs",
            },
            "seats": {"kind": "numeric", "role": "feature", "nullable": True, "range": [0, 900.5]},
            "user": {"kind": "categorical", "role": "feature", "redact": True},
            "late": {"kind": "boolean", "role": "target"},
        },
        "rules": {
            "rows": [100, None],
            "unique": ["id", ["carrier", "left"]],
            "each_row": ["`came back` >= left", "seats > 0 or carrier == 'UA'"],
            "freshness": {"left": 2.5},
            "shares": [
                {"of": "seats is missing", "within": [None, 0.07]},
                {"of": "late", "within": [0.1, 0.5]},
            ],
            "quantiles": [{"of": "seats", "at": 0.5, "within": [10, None]}],
            "references": {"carrier": {"file": "data/carriers.csv", "column": "code"}},
        },
    }
)


def _valid(exported: Export) -> dict[str, Any]:
    """The document as others read it, which keeps the standard's schema."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(exported.text())
    jsonschema.Draft201909Validator(SCHEMA).validate(document)
    return document


def _imported(text: str, folder: Path, **options: str | None) -> tuple[Contract, list[str]]:
    path = folder / "given.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    asked = {"table": None, "target": None, "time": None} | options
    found: Imported = draft.draft(standard.read(path), path, **asked)
    return parse(found.text, Contract, CONTRACT), found.notes


def _document(*properties: dict[str, Any], **others: Any) -> str:
    table = {"name": "orders", "properties": [*properties], "quality": others.pop("quality", [])}
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "x",
        "version": "1",
        "status": "draft",
        "schema": [table],
        **others,
    }
    jsonschema.Draft201909Validator(SCHEMA).validate(document)
    return json.dumps(document)


CLEANED = Contract.model_validate(
    {
        "columns": {
            "carrier": {
                "kind": "categorical",
                "role": "feature",
                "spellings": {"United": "UA"},
                "impute": "none",
            },
            "fee": {"kind": "numeric", "role": "feature", "impute": 0},
            "paid": {"kind": "boolean", "role": "feature", "impute": False},
        },
        "clean": {"drop": ["fee < 0"], "duplicates": ["carrier"]},
    }
)


@pytest.mark.parametrize("what", [*made.TARGETS, "everything", "cleaned", "own"])
def test_there_and_back(what: str, tmp_path: Path, own_contract: Contract) -> None:
    known = {"everything": EVERYTHING, "cleaned": CLEANED, "own": own_contract}
    contract = known[what] if what in known else made.contract(what)
    exported = export(contract, SOURCE, ABOUT)
    _valid(exported)
    found, notes = _imported(exported.text(), tmp_path)
    assert found == contract
    assert notes == ["the document: servers"]


def test_the_standard_says_it_in_its_own_words() -> None:
    document = _valid(export(EVERYTHING, SOURCE, ABOUT))
    (table,) = document["schema"]
    columns = {each["name"]: each for each in table["properties"]}
    assert document["slaProperties"] == [
        {"property": "latency", "value": 2.5, "unit": "d", "element": "flights.left"}
    ]
    assert columns["id"]["unique"] is True
    assert columns["id"]["required"] is True
    assert columns["left"]["logicalTypeOptions"] == {
        "minimum": "2013-01-01T00:00:00",
        "format": "dd/MM/yyyy HH:mm",
    }
    assert columns["carrier"]["quality"][0] == {
        "metric": "invalidValues",
        "arguments": {"validValues": ["UA", "1", "no"]},
        "mustBe": 0,
    }
    assert columns["seats"]["quality"] == [
        {"metric": "nullValues", "unit": "percent", "mustBeLessOrEqualTo": 7}
    ]
    assert table["quality"][:2] == [
        {"metric": "rowCount", "mustBeGreaterOrEqualTo": 100},
        {
            "metric": "duplicateValues",
            "arguments": {"properties": ["carrier", "left"]},
            "mustBe": 0,
        },
    ]


def test_what_others_cannot_read_is_told() -> None:
    assert export(EVERYTHING, SOURCE, ABOUT).notes == [
        "columns.came back.format: in customProperties",
        "rules.references.carrier: as quality that only mlops checks",
        "columns.user.redact: in customProperties",
        "rules.each_row: `came back` >= left: as quality that only mlops checks",
        "rules.each_row: seats > 0 or carrier == 'UA': as quality that only mlops checks",
        "rules.shares: late: as quality that only mlops checks",
        "rules.quantiles: seats: as quality that only mlops checks",
    ]


def test_the_full_example_of_the_standard_is_read(tmp_path: Path) -> None:
    text = (STANDARD / "full-example.odcs.yaml").read_text(encoding="utf-8")
    found, notes = _imported(text, tmp_path, table="tbl", time="txn_ref_dt")
    assert {name: (each.kind, each.role) for name, each in found.columns.items()} == {
        "txn_ref_dt": ("datetime", ["time"]),
        "rcvr_id": ("categorical", ["id"]),
        "rcvr_cntry_code": ("categorical", ["feature"]),
    }
    assert not found.columns["rcvr_cntry_code"].nullable
    assert found.rules.rows == [1_000_001, None]
    assert found.rules.unique == [["rcvr_id"]]
    assert found.rules.freshness == {}  # it is of a table that the example has not
    for left in (
        "slaProperties: latency",
        "the document: servers",
        "the document: team",
        "rcvr_cntry_code: encryptedName",
    ):
        assert left in notes
    assert all(note.count("\n") == 0 for note in notes)
    with pytest.raises(InputError, match="several tables: give --table, one of tbl, receivers"):
        _imported(text, tmp_path)


def _column(name: str, kind: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "logicalType": kind, "required": True, **keys}


def _check(metric: str, **keys: Any) -> dict[str, Any]:
    return {"metric": metric, **keys}


NUMBER = _column("n", "number")
TEXT = _column("t", "string")


@pytest.mark.parametrize(
    ("properties", "others", "rules"),
    [
        (
            [_column("n", "integer", logicalTypeOptions={"exclusiveMinimum": 0, "multipleOf": 5})],
            {},
            {"each_row": ["n > 0", "n % 5 == 0"]},
        ),
        (
            [NUMBER, _column("a b", "string", logicalTypeOptions={"maxLength": 3})],
            {},
            {"each_row": ["length(`a b`) <= 3"]},
        ),
        (
            [NUMBER, _column("t", "string", logicalTypeOptions={"pattern": "^[A-Z]+$"})],
            {},
            {"each_row": ["matches(t, '^[A-Z]+$')"]},
        ),
        (
            [NUMBER, {**TEXT, "quality": [_check("duplicateValues", mustBeLessThan=1)]}],
            {},
            {"unique": ["t"]},
        ),
        (
            [{**NUMBER, "quality": [_check("nullValues", mustBeLessOrEqualTo=5, unit="percent")]}],
            {},
            {"shares": [{"of": "n is missing", "within": [None, 0.05]}]},
        ),
        (
            [
                {**TEXT, "primaryKey": True, "primaryKeyPosition": 2},
                _column("u", "string", primaryKey=True, primaryKeyPosition=1),
                NUMBER,
            ],
            {},
            {"unique": [["u", "t"]]},
        ),
        (
            [NUMBER],
            {"quality": [_check("rowCount", mustBeBetween=[10, 20])]},
            {"rows": [10, 20]},
        ),
        (
            [NUMBER, _column("d", "date")],
            {
                "slaProperties": [
                    {"property": "ly", "value": 12, "unit": "h", "element": "orders.d"}
                ]
            },
            {"freshness": {"d": 0.5}},
        ),
    ],
)
def test_checks_become_rules(
    properties: list[dict[str, Any]], others: Any, rules: dict[str, Any], tmp_path: Path
) -> None:
    found, notes = _imported(_document(*properties, **others), tmp_path)
    wanted = Contract.model_validate(
        {"columns": {"n": {"kind": "numeric", "role": "feature"}}, "rules": rules}
    )
    assert found.rules == wanted.rules
    assert notes == []


@pytest.mark.parametrize(
    ("properties", "others", "note"),
    [
        ([NUMBER, _column("o", "array")], {}, "o: the column, as a contract has no array"),
        ([NUMBER, {"name": "o"}], {}, "o: the column, as a contract has no no type"),
        ([{**NUMBER, "tags": ["a"]}], {}, "n: tags"),
        ([{**NUMBER, "customProperties": [{"property": "p", "value": 1}]}], {}, "n: p"),
        (
            [{**NUMBER, "quality": [_check("duplicateValues", mustBeLessThan=9)]}],
            {},
            "n: quality duplicateValues",
        ),
        (
            [{**NUMBER, "quality": [{"type": "sql", "query": "SELECT 1", "mustBe": 1}]}],
            {},
            "n: quality sql",
        ),
        (
            [_column("t", "string", logicalTypeOptions={"pattern": "(?=a)"})],
            {},
            "t: pattern, as `matches(t, '.*(?:(?=a)).*')`: not a pattern: ",
        ),
        (
            [NUMBER, _column("d", "date", logicalTypeOptions={"format": "QQQ yyyy"})],
            {},
            "d: logicalTypeOptions.format",
        ),
        ([NUMBER], {"slaProperties": [{"property": "retention", "value": 3}]}, "slaProperties: re"),
        ([NUMBER], {"domain": "seller"}, "the document: domain"),
    ],
)
def test_what_is_not_taken_over_is_told(
    properties: list[dict[str, Any]], others: Any, note: str, tmp_path: Path
) -> None:
    _, notes = _imported(_document(*properties, **others), tmp_path)
    assert [each[: len(note)] for each in notes] == [note]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "not valid YAML"),
        ("apiVersion: v3.1.0\nkind: Other\nid: x", "kind: input should be 'DataContract'"),
        ("apiVersion: v2.2.2\nkind: DataContract\nid: x", "v2.2.2 cannot be read; only v3"),
        ("apiVersion: v3.1.0\nkind: DataContract\nid: x", "describes no table; there is none"),
        (_document(_column("d", "date")), "at least one must have role feature"),
    ],
)
def test_a_document_that_cannot_be_read_is_a_line(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why):
        _imported(text, tmp_path)


def test_formats_of_dates_are_those_of_java() -> None:
    assert to_java("%d.%m.%Y um %H:%M") == "dd.MM.yyyy 'um' HH:mm"
    assert from_java("yyyy-MM-dd'T'HH:mm:ss") == "%Y-%m-%dT%H:%M:%S"
    assert from_java("EEEE dd") is None
    assert to_java("%A %d") is None
    assert datetime.strptime("03.04.2020", from_java("dd.MM.yyyy") or "").day == 3


def _mlops(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mlops", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's contract.yaml and params.yaml."""
    for name in (CONTRACT, PARAMS, Path("pyproject.toml")):
        shutil.copy(root() / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = load_contract()
    assert _mlops(monkeypatch, "data", "export") == 0
    write_text(Path("own.yaml"), capsys.readouterr().out)
    assert _mlops(monkeypatch, "data", "import", "own.yaml") == 0
    assert "not taken over:\n  the document: servers\n" in capsys.readouterr().out
    assert load_contract() == before
    assert _mlops(monkeypatch, "data", "import", "own.yaml", "--target", "no") == 2
    assert "own.yaml: no column no; there are" in capsys.readouterr().err
    assert load_contract() == before


@pytest.mark.usefixtures("project")
def test_edits_that_are_not_committed_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(Path("own.yaml"), export(EVERYTHING, SOURCE, ABOUT).text())
    for command in (["init", "--quiet"], ["add", "contract.yaml"]):
        subprocess.run(["git", *command], check=True)
    text = CONTRACT.read_text(encoding="utf-8") + "# mine\n"
    write_text(CONTRACT, text)
    assert _mlops(monkeypatch, "data", "import", "own.yaml") == 2
    assert "changed since the last commit" in capsys.readouterr().err
    assert CONTRACT.read_text(encoding="utf-8") == text
    assert _mlops(monkeypatch, "data", "import", "own.yaml", "--force") == 0
    assert load_contract() == EVERYTHING


@pytest.mark.long
def test_the_standard_is_checked_with_a_tool_of_others(project: Path) -> None:
    """datacontract-cli reads the export, finds its data sound, and broken where it is."""
    tool = ["uv", "tool", "run", "--from", "datacontract-cli[duckdb]==1.2.8", "datacontract"]
    write_text(Path("all.yaml"), export(EVERYTHING, SOURCE, ABOUT).text())
    source, contract = load_params().source, load_contract()
    rules = Rules(rows=[10_000, None], unique=[["flight_id"], ["flight_id", "time_hour"]])
    contract = contract.model_copy(update={"rules": rules})
    (project / source.name).parent.mkdir(parents=True)
    shutil.copy(root() / source.name, project / source.name)
    write_text(Path("own.yaml"), export(contract, source, ABOUT).text())
    for command, file in (("lint", "all.yaml"), ("lint", "own.yaml"), ("test", "own.yaml")):
        done = subprocess.run([*tool, command, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    data = pd.read_parquet(source.name)
    is_fourth = data.index == 3
    data["origin"] = data["origin"].mask(is_fourth, "XXX")
    data["flight_id"] = data["flight_id"].mask(is_fourth, data["flight_id"].shift())
    data.head(9_000).to_parquet(source.name)
    done = subprocess.run([*tool, "test", "own.yaml"], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = re.findall(r"^│ failed.*$", done.stdout, re.MULTILINE)
    assert len(failed) >= 3, done.stdout  # an origin, an id, and too few rows
