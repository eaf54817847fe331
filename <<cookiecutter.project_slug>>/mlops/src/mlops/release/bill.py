"""Bills of materials: what each image has, packages and model, in CycloneDX's format.

The packages are those of uv.lock, as `uv export` tells them. Beside them the server's image has the
model, a component with a model card: https://cyclonedx.org/docs/1.6/json
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..card import Card, Measured, Source
from ..errors import InputError, ProjectError
from ..files import write_json
from ..packages import ENGINE
from .evidence import Evidence, Images

# uv writes 1.5, of which 1.6 takes all.
SPECIFICATION = "1.6"
APPROACHES = {
    "classification": "supervised",
    "regression": "supervised",
    "clustering": "unsupervised",
}


def bills_of_materials(folder: Path, arguments: list[str], evidence: Evidence, card: Card) -> None:
    """Write what each image has: `KIND.cdx.json`.

    Args:
        folder: where to.
        arguments: of the Dockerfiles, as NAME=value: some bring packages.
        evidence: of the release, which tells the model.
        card: what is to be known of it.
    Raises:
        InputError: there is no uv.
        ProjectError: it fails, for which it gives the reason as it goes.
    """
    stores = [each.partition("=")[2] for each in arguments if each.startswith("LOG_STORE=")]
    chosen = {
        "serving": [f"--package={ENGINE}", *(f"--extra=log-{each}" for each in stores)],
        "training": ["--no-dev"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for kind in Images.model_fields:
        _packages(folder / f"{kind}.cdx.json", chosen[kind])
    serving = folder / "serving.cdx.json"
    found = json.loads(serving.read_text(encoding="utf-8"))
    write_json(serving, with_model(found, evidence, card))


def _packages(file: Path, chosen: list[str]) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise InputError("uv: not found; install it from https://docs.astral.sh/uv")
    how = ["export", "--quiet", "--locked", "--format=cyclonedx1.5", f"--output-file={file}"]
    done = subprocess.run([uv, *how, *chosen], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise ProjectError(f"uv {' '.join([*how, *chosen])} failed; it says why above")


def with_model(bill: dict[str, Any], evidence: Evidence, card: Card) -> dict[str, Any]:
    """A bill of packages, and the model that runs on them."""
    model = component(evidence, card)
    whole = bill.get("metadata", {}).get("component", {}).get("bom-ref")
    needed = [dict(each) for each in bill.get("dependencies", [])]
    for each in needed:
        if each["ref"] == whole:
            each["dependsOn"] = [*each.get("dependsOn", []), model["bom-ref"]]
    return {
        **bill,
        "specVersion": SPECIFICATION,
        "components": [*bill.get("components", []), model],
        "dependencies": [*needed, {"ref": model["bom-ref"]}],
    }


def component(evidence: Evidence, card: Card) -> dict[str, Any]:
    """The model as a component."""
    name, _, version = evidence.model.version.partition("@")
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model-{name}@{version}",
        "name": name,
        "version": version,
        "hashes": [
            {"alg": "MD5", "content": evidence.model.md5},
            {"alg": "SHA-256", "content": evidence.model.sha256},
        ],
        "modelCard": {
            "modelParameters": _parameters(card),
            "quantitativeAnalysis": {"performanceMetrics": [*_metrics(card)]},
            "considerations": _considerations(card),
        },
        "properties": [
            {"name": "mlops:release", "value": evidence.id},
            {"name": "mlops:commit", "value": evidence.git_sha},
            {"name": "mlops:dvc_lock_sha256", "value": evidence.dvc_lock_sha256},
        ],
    }
    if card.description:
        found["description"] = card.description
    if card.licence:
        found["licenses"] = [{"expression": card.licence}]
    return found


def _parameters(card: Card) -> dict[str, Any]:
    found: dict[str, Any] = {
        "approach": {"type": APPROACHES[card.task]},
        "task": card.task,
        "modelArchitecture": card.estimator,
        "datasets": [_dataset(each, card) for each in card.sources],
        "inputs": [{"format": f"{each.name}: {each.kind}"} for each in card.inputs],
    }
    if card.target:
        found["outputs"] = [{"format": f"{card.target.name}: {card.target.kind}"}]
    return found


def _dataset(source: Source, card: Card) -> dict[str, Any]:
    told = {
        "licence": source.licence,
        "sha256": source.sha256,
        "snapshot_sha256": card.lineage.snapshot_sha256,
        "rows": None if source.rows is None else str(source.rows),
    }
    known = [{"name": name, "value": value} for name, value in told.items() if value]
    found: dict[str, Any] = {"type": "dataset", "name": source.name}
    if known:
        found["contents"] = {"properties": known}
    if source.personal_data:
        found["sensitiveData"] = [f"personal data: {source.personal_data}"]
    if card.said.teams:
        owners = [{"organization": {"name": each}} for each in card.said.teams.supply]
        found["governance"] = {"owners": owners}
    return found


def _metrics(card: Card) -> Iterator[dict[str, Any]]:
    """All metrics of all test rows, and those with gates of each slice."""
    for name, each in card.metrics.items():
        yield _metric(name, each)
    told = [name for name in card.gates if name in card.metrics] or [*card.metrics][:1]
    for column, values in card.slices.items():
        for value, of_rows in values.items():
            for name in told:
                if name in of_rows:
                    yield {**_metric(name, Measured(of_rows[name])), "slice": f"{column}={value}"}


def _metric(name: str, each: Measured) -> dict[str, Any]:
    found: dict[str, Any] = {"type": name, "value": f"{each.value:.6g}"}
    if each.low is not None and each.high is not None:
        found["confidenceInterval"] = {
            "lowerBound": f"{each.low:.6g}",
            "upperBound": f"{each.high:.6g}",
        }
    return found


def _considerations(card: Card) -> dict[str, Any]:
    """What the owner says, where CycloneDX has a place for it, and what was measured of groups."""
    said = card.said
    not_for = [f"It must not be used for: {each}" for each in said.out_of_scope or []]
    found: dict[str, Any] = {
        "users": said.teams.use if said.teams else [],
        "useCases": said.intended or [],
        "technicalLimitations": [*not_for, *(said.limits or []), *card.caveats],
        "ethicalConsiderations": [
            {"name": name.replace("_", " "), "mitigationStrategy": risk.mitigation}
            for name, risk in said.risks or ()
        ],
        "fairnessAssessments": [
            {
                "groupAtRisk": f"{column}: {each['lowest']}, {each['highest']}",
                "harms": f"{metric} is {each['low']:.4g} and {each['high']:.4g}",
            }
            for column, groups in card.fairness.items()
            for metric, each in groups["disparities"].items()
        ],
    }
    return {name: each for name, each in found.items() if each}
