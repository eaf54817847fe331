"""Convert: the whole pipeline to ONNX, raw columns in and predictions out."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
from onnx import helper

from ..config.params import Params, load_params
from ..data.contract import Column, Contract, conform, load_contract
from ..data.inputs import model_inputs
from ..files import digest, read_json, replacing
from ..learning.conversion import to_onnx
from ..learning.model import Model, is_refitted
from ..paths import CANDIDATE, CANDIDATE_ONNX, MODEL, ONNX, PROVENANCE
from ..project import about
from . import stage

# The moment of an example where the contract has no bound.
EXAMPLE = datetime(2020, 1, 1, 12)


def convert() -> None:
    """Write both ONNX models with their metadata; the final one may be the candidate."""
    params, contract = load_params(), load_contract()
    write(Model.load(CANDIDATE), params, contract, CANDIDATE_ONNX)
    if is_refitted():
        write(Model.load(MODEL), params, contract, ONNX)
    else:
        with replacing(ONNX) as temporary:
            shutil.copyfile(CANDIDATE_ONNX, temporary)
    print(f"{ONNX}: {ONNX.stat().st_size:,} bytes, {len(contract.features)} inputs")


def write(model: Model, params: Params, contract: Contract, path: Path) -> None:
    """Convert a model and write it. Raises CheckError as `to_onnx`."""
    converted = to_onnx(model, contract)
    told = {"example": json.dumps(example(model, contract))}
    helper.set_model_props(converted, metadata(model, params, contract) | told)
    onnx.checker.check_model(converted, full_check=True)
    with replacing(path) as temporary:
        onnx.save(converted, temporary)


def metadata(model: Model, params: Params, contract: Contract) -> dict[str, str]:
    """What the model carries to tell where it comes from, each value as JSON.

    No commit and no time: made again from its commit, it is to be the file that dvc.lock names.
    """
    described: dict[str, Any] = contract.model_dump(
        mode="json",
        exclude_defaults=True,
        # These are of the rows that it was trained on, not of those that it answers.
        exclude={"rules", "clean"},
    )
    facts = {
        "project": about().name,
        "task": model.task,
        "estimator": params.train.estimator,
        "rows": model.rows,
        "classes": model.classes,
        "threshold": _decision(model),
        "interval": model.interval.level if model.interval else None,
        "categories": model.categories,
        "features": model.declared.described() if model.declared else None,
        "background": model.background,
        "contract": described,
        "contract_sha256": digest(described),
        "data_sha256": read_json(PROVENANCE)["snapshot_sha256"],
    }
    return {name: json.dumps(value) for name, value in facts.items() if value is not None}


def _decision(model: Model) -> dict[str, Any] | None:
    """The threshold, and the metric that chose it where one did."""
    if model.threshold is None:
        return None
    return {"at": model.threshold.at} | ({"by": model.threshold.by} if model.threshold.by else {})


def example(model: Model, contract: Contract) -> dict[str, Any]:
    """A row that the contract allows, of nobody's data, and what scikit-learn says of it.

    Whoever runs the model can ask it for this row and see that it is itself: `mlops smoke`. How far
    an output spreads in training tells which difference is small.
    """
    row = {
        name: _likely(contract.columns[name], model.categories.get(name, []))
        for name in contract.features
    }
    data = conform(pd.DataFrame([row]), contract.only(contract.features))
    outputs = model.predict(model_inputs(data, contract))
    return {
        "row": row,
        "outputs": {name: values[0].tolist() for name, values in outputs.items()},
        "spreads": {name: scale.spread.tolist() for name, scale in model.scales.items()},
    }


def _likely(column: Column, seen: list[str]) -> Any:
    """A text that is allowed, or that training saw; the middle of the range, or any number."""
    if column.kind == "boolean":
        return False
    if column.kind == "datetime":
        moments = [bound for bound in column.range or [] if isinstance(bound, datetime)]
        return (moments[0] if moments else EXAMPLE).isoformat()
    if column.kind == "text":
        return "example"
    if column.kind == "categorical":
        known = column.allowed or ([] if column.redact else seen)
        return known[0] if known else "example"
    numbers = [bound for bound in column.range or [] if isinstance(bound, float)]
    return sum(numbers) / len(numbers) if numbers else 0.0


if __name__ == "__main__":
    stage(convert)
