"""The model in the server's bill of materials: what CycloneDX's own schema takes, and no less."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from engine.stored import Stored

from mlops import paths
from mlops.card import load_card
from mlops.files import read_json, write_json, write_text
from mlops.release.bill import with_model
from mlops.release.evidence import Evidence, Images, Model

# As `uv export --format cyclonedx1.5` writes it.
PACKAGES: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "serialNumber": "urn:uuid:e5361377-ee03-4880-9b67-1b95a3210c45",
    "metadata": {
        "timestamp": "2026-11-29T22:36:43.594205877Z",
        "tools": [{"vendor": "Astral Software Inc.", "name": "uv", "version": "0.13.9"}],
        "component": {
            "type": "library",
            "bom-ref": "mlops-template-engine-1@0.2.0",
            "name": "mlops-template-engine",
            "version": "0.2.0",
        },
    },
    "components": [
        {
            "type": "library",
            "bom-ref": "numpy-2@2.3.0",
            "name": "numpy",
            "version": "2.3.0",
            "purl": "pkg:pypi/numpy@2.3.0",
        }
    ],
    "dependencies": [
        {"ref": "mlops-template-engine-1@0.2.0", "dependsOn": ["numpy-2@2.3.0"]},
        {"ref": "numpy-2@2.3.0"},
    ],
}
STATEMENT = """\
intended: [Planning]
out_of_scope: [Judging people]
limits: ["Winters were few, <script>"]
teams: {supply: [Billing], use: [Service]}
sources: {a.csv: {licence: CC0-1.0, personal_data: special}}
risks:
  outage: &risk {likelihood: 1, impact: 1, mitigation: We wait, owner: Ada, review: 2030-01-31}
  wrong_predictions: *risk
  decay: *risk
  lost_knowledge: *risk
"""


def evidence() -> Evidence:
    """Of a release of it."""
    return Evidence(
        id="20300101-0000-1111111",
        created="2030-01-01T00:00:00Z",
        git_sha="1" * 40,
        dvc_lock_sha256="2" * 64,
        snapshot_sha256="3" * 64,
        model=Model(version="parcels@v3.0.0", md5="4" * 32, sha256="5" * 64),
        images=Images(serving="", training=""),
        metrics={"roc_auc": 0.7},
    )


def model_of(bill: dict[str, Any]) -> dict[str, Any]:
    (found,) = (each for each in bill["components"] if each["type"] == "machine-learning-model")
    return dict(found)


def check(bill: dict[str, Any]) -> None:
    """Hold a bill against the schema, in which no unknown key is."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None


def test_the_schema_is_asked() -> None:
    check(PACKAGES | {"specVersion": "1.6"})
    with pytest.raises(AssertionError):
        check(with_wrong := PACKAGES | {"specVersion": "1.6", "unheard_of": 1})
    assert with_wrong


def test_a_model_of_which_all_is_said(planted: Stored) -> None:
    text = '[project]\nname = "parcels"\nlicense = "MIT OR Apache-2.0"\ndescription = "Late?"\n'
    write_text(planted.folder / "pyproject.toml", text)
    write_text(paths.STATEMENT, STATEMENT)
    origin = {"name": "a.csv", "rows": 300, "sha256": "6" * 64}
    write_json(paths.PROVENANCE, {"snapshot_sha256": "3" * 64, "origins": [origin]})
    ends = {"value": 0.2, "low": 0.05, "high": 0.3}
    apart = {"lowest": "old", "highest": "young", "low": 0.3, "high": 0.5, "difference": ends}
    groups = {"age": {"groups": {}, "disparities": {"selection_rate": apart}}}
    write_json(paths.FAIRNESS, groups)
    bill = with_model(PACKAGES, evidence(), load_card())
    check(bill)
    found = model_of(bill)
    assert {each["alg"]: each["content"] for each in found["hashes"]}["SHA-256"] == "5" * 64
    card = found["modelCard"]
    assert card["considerations"]["useCases"] == ["Planning"]
    assert card["considerations"]["technicalLimitations"] == [
        "It must not be used for: Judging people",
        "Winters were few, <script>",
    ]
    (dataset,) = card["modelParameters"]["datasets"]
    assert dataset["sensitiveData"] == ["personal data: special"]
    measured = card["quantitativeAnalysis"]["performanceMetrics"]
    whole = {each["type"]: each for each in measured if "slice" not in each}
    assert whole.keys() == read_json(paths.METRICS).keys()
    assert whole["roc_auc"]["confidenceInterval"].keys() == {"lowerBound", "upperBound"}
    assert any(each.get("slice") == "colour=red" for each in measured)
    needed = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert needed["mlops-template-engine-1@0.2.0"] == ["numpy-2@2.3.0", found["bom-ref"]]
    assert found["bom-ref"] in needed


@pytest.mark.parametrize("what", ["binary", "multiclass", "regression", "clustering"])
def test_a_model_of_which_nothing_is_said(begin: Any, what: str) -> None:
    begin(what).put()
    for path in (paths.INTERVALS, paths.SLICES, paths.FAIRNESS):
        path.unlink()
    write_json(paths.PROVENANCE, {})
    bill = with_model(PACKAGES, evidence(), load_card())
    check(bill)
    assert model_of(bill)["modelCard"]["considerations"] == {}
    assert PACKAGES["specVersion"] == "1.5"
    assert PACKAGES["dependencies"][0]["dependsOn"] == ["numpy-2@2.3.0"]
