"""Convert: the whole pipeline to ONNX, raw columns in and predictions out."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

from ..config.params import Params, load_params
from ..contract import Column, Contract, conform, load_contract
from ..errors import CheckError
from ..files import read_json, replacing
from ..inputs import model_inputs
from ..model import Model, digest, is_refitted
from ..paths import CANDIDATE, CANDIDATE_ONNX, MODEL, ONNX, PROVENANCE
from ..project import about
from . import stage

# Old enough for the servers in use, new enough for every operator of the catalogue.
OPSET = {"": 18, "ai.onnx.ml": 3}

# Names for the outputs that skl2onnx makes, in its order, by task.
OUTPUTS = {
    "classification": ("prediction", "probability"),
    "regression": ("prediction",),
    "clustering": ("space",),  # the features alone: see _add_clusters
}


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


def to_onnx(model: Model, contract: Contract) -> onnx.ModelProto:
    """The ONNX model: an input of shape (rows, 1) a feature, and the outputs of model.Outputs.

    Raises CheckError when a step of the pipeline cannot be converted.
    """
    pipeline = model.pipeline
    inputs = [
        (name, StringTensorType([None, 1]))
        if contract.columns[name].kind == "categorical"
        else (name, FloatTensorType([None, 1]))
        for name in contract.features
    ]
    options = {id(pipeline): {"zipmap": False}} if model.task == "classification" else None
    try:
        converted = convert_sklearn(
            pipeline[:-1] if model.task == "clustering" else pipeline,
            "model",
            inputs,
            final_types=[(name, None) for name in OUTPUTS[model.task]],
            options=options,
            target_opset=OPSET,
        )
    except (MissingConverter, MissingShapeCalculator, NotImplementedError) as error:
        raise CheckError(
            f"{type(pipeline[-1]).__name__} cannot be converted to ONNX: "
            f"{str(error).strip().splitlines()[0]} Choose another train.estimator in params.yaml: "
            "mlops/docs/train.md lists what converts"
        ) from error
    converted = _name_inputs(converted, contract.features)
    converted.opset_import.sort(key=lambda each: each.domain)  # else in the order of a set
    if model.task == "regression":
        _flatten(converted, "prediction")
    if model.task == "clustering":
        _add_clusters(converted, pipeline[-1].cluster_centers_)
    if model.interval is not None:
        _add_interval(converted, model.interval)
    return converted


def metadata(model: Model, params: Params, contract: Contract) -> dict[str, str]:
    """What the model carries to tell where it comes from, each value as JSON.

    No commit and no time: made again from its commit, it is to be the file that dvc.lock names.
    """
    described: dict[str, Any] = contract.model_dump(
        mode="json",
        exclude_defaults=True,
        exclude={"rules"},  # of the rows that it was trained on, not of those that it answers
    )
    facts = {
        "project": about().name,
        "task": model.task,
        "estimator": params.train.estimator,
        "rows": model.rows,
        "classes": model.classes,
        "categories": model.categories,
        "background": model.background,
        "contract": described,
        "contract_sha256": digest(described),
        "data_sha256": read_json(PROVENANCE)["snapshot_sha256"],
    }
    return {name: json.dumps(value) for name, value in facts.items() if value is not None}


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
    if column.kind == "categorical":
        known = column.allowed or ([] if column.redact else seen)
        return known[0] if known else "example"
    numbers = [bound for bound in column.range or [] if isinstance(bound, float)]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _name_inputs(converted: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Name the inputs as the columns, which skl2onnx only does where these are identifiers."""
    # The prefix keeps a column's name from meeting that of an edge within.
    converted = add_prefix(converted, "model/", rename_outputs=False)
    renamed = {each.name: name for each, name in zip(converted.graph.input, names, strict=True)}
    for each in converted.graph.input:
        each.name = renamed[each.name]
    for node in converted.graph.node:
        for i, edge in enumerate(node.input):
            node.input[i] = renamed.get(edge, edge)
    return converted


def _flatten(converted: onnx.ModelProto, name: str) -> None:
    """Shape (rows, 1) to (rows,), as scikit-learn predicts."""
    graph = converted.graph
    _rename_output(graph, name)
    shape = helper.make_tensor("model/flat", TensorProto.INT64, [1], [-1])
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [f"model/{name}", "model/flat"], [name]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]))


def _add_clusters(converted: onnx.ModelProto, centers: np.ndarray) -> None:
    """Distances and nearest centre, in float64 from |x|² - 2xc + |c|² as scikit-learn has it.

    skl2onnx does this in float32, which is not-a-number for a row that lies on a centre.
    """
    graph, exact = converted.graph, centers.astype("float64")
    _rename_output(graph, "space")
    constants = {
        "minus_2c": -2 * exact.T,
        "c2": (exact**2).sum(axis=1)[None, :],
        "zero": np.zeros(1),
        "by_feature": np.array([1]),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(value, f"model/{name}"))

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))

    add("Cast", ["model/space"], "model/x", to=TensorProto.DOUBLE)
    add("Mul", ["model/x", "model/x"], "model/xx")
    add("ReduceSum", ["model/xx", "model/by_feature"], "model/x2", keepdims=1)
    add("MatMul", ["model/x", "model/minus_2c"], "model/minus_2xc")
    add("Sum", ["model/x2", "model/minus_2xc", "model/c2"], "model/squared")
    add("ArgMin", ["model/squared"], "prediction", axis=1, keepdims=0)
    add("Max", ["model/squared", "model/zero"], "model/positive")
    add("Sqrt", ["model/positive"], "model/root")
    add("Cast", ["model/root"], "distances", to=TensorProto.FLOAT)
    del graph.output[:]
    number, clusters = TensorProto.INT64, len(centers)
    graph.output.append(helper.make_tensor_value_info("prediction", number, [None]))
    graph.output.append(
        helper.make_tensor_value_info("distances", TensorProto.FLOAT, [None, clusters])
    )


def _rename_output(graph: onnx.GraphProto, name: str) -> None:
    """Put the prefix `model/` before an output, so that it can become an edge within."""
    for node in graph.node:
        for i, edge in enumerate(node.output):
            if edge == name:
                node.output[i] = f"model/{name}"


def _add_interval(converted: onnx.ModelProto, half_width: float) -> None:
    graph = converted.graph
    graph.initializer.append(
        helper.make_tensor("model/half_width", TensorProto.FLOAT, [1], [half_width])
    )
    for operator, name in (("Sub", "lower"), ("Add", "upper")):
        graph.node.append(helper.make_node(operator, ["prediction", "model/half_width"], [name]))
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]))


if __name__ == "__main__":
    stage(convert)
