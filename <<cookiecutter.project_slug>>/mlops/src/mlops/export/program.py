"""A model's graph as a program for one row: values of a known type and shape, constants, steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from ..errors import InputError
from ..paths import CONTRACT, PARAMS

Kind = Literal["float", "double", "integer", "truth", "text"]

KINDS: dict[str, Kind] = {
    "float32": "float",
    "float64": "double",
    "int64": "integer",
    "int32": "integer",
    "bool": "truth",
}

# Where a classifier has its labels.
LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


@dataclass(frozen=True)
class Value:
    """What a step takes or makes.

    Attributes:
        name: in the graph; unique.
        kind: of its numbers or texts.
        shape: for one row.
        constant: what it is for every row, in that shape; None where the row decides.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    constant: np.ndarray | None = None

    @property
    def size(self) -> int:
        """How many numbers or texts it has."""
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True)
class Step:
    """An operator of the graph, see https://onnx.ai/onnx/operators.

    Attributes:
        operator: its name.
        inputs, outputs: its values; None for an optional one that is left out.
        settings: its attributes, texts as str.
    """

    operator: str
    inputs: list[Value | None]
    outputs: list[Value]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def taken(self, number: int = 0) -> Value:
        """The value that it must have in this place."""
        value = self.inputs[number]
        assert value is not None
        return value


@dataclass(frozen=True)
class Program:
    """Steps in their order, from the columns of one row to what the model says of it."""

    inputs: list[Value]
    outputs: list[Value]
    steps: list[Step]

    @property
    def read(self) -> set[str]:
        """The names of values that a step or whoever asked reads."""
        taken = {value.name for step in self.steps for value in step.inputs if value is not None}
        return taken | {value.name for value in self.outputs}

    @staticmethod
    def of(model: onnx.ModelProto) -> "Program":
        """Read a model whose inputs are columns, shape (rows, 1) each.

        onnxruntime says what each value is for one row: ONNX's own inference of shapes knows none
        of the operators of ai.onnx.ml.

        Raises InputError where it reads words of texts, which no other format can.
        """
        if any(node.op_type == "Tokenizer" for node in model.graph.node):
            raise InputError(
                "export.targets: the words of a text (encode: tfidf, hash_words) can only be read "
                f"by ONNX's runtime; take the text out of {CONTRACT}, or the target out of {PARAMS}"
            )
        seen = _answered(model)
        known = {
            each.name: _value(each.name, numpy_helper.to_array(each), is_constant=True)
            for each in model.graph.initializer
        }
        known |= {each.name: _value(each.name, seen[each.name]) for each in model.graph.input}
        steps: list[Step] = []
        for node in model.graph.node:
            taken = [known[name] if name else None for name in node.input]
            is_constant = all(value is None or value.constant is not None for value in taken)
            made = [_value(name, seen[name], is_constant) for name in node.output if name]
            known |= {value.name: value for value in made}
            if not is_constant:
                steps.append(Step(node.op_type, taken, made, _settings(node)))
        outputs = [known[each.name] for each in model.graph.output]
        inputs = [known[each.name] for each in model.graph.input]
        program = Program(inputs, outputs, steps)
        return Program(inputs, outputs, program.towards(outputs))

    def towards(self, outputs: list[Value]) -> list[Step]:
        """The steps that lead to some outputs."""
        wanted, found = {value.name for value in outputs}, []
        for step in reversed(self.steps):
            if wanted & {value.name for value in step.outputs}:
                wanted |= {value.name for value in step.inputs if value is not None}
                found.append(step)
        return found[::-1]

    @property
    def labels(self) -> list[Any] | None:
        """Of the classes, in the order of their probabilities; None where it tells no classes."""
        for step in self.steps:
            for name in LABELS:
                if name in step.settings:
                    return list(step.settings[name])
            constant = step.inputs[0].constant if step.inputs[0] is not None else None
            if step.operator == "ArrayFeatureExtractor" and constant is not None:
                found: list[Any] = constant.ravel().tolist()
                return found
        return None


def _answered(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every value of the graph that depends on a row, for a row of zeros and empty texts."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    outputs = {each.name for each in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name]
    told.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in inner if name not in outputs
    )
    session = ort.InferenceSession(told.SerializeToString(), providers=["CPUExecutionProvider"])
    row: dict[str, np.ndarray] = {
        each.name: np.full((1, 1), "" if each.type == "tensor(string)" else 0, _TYPES[each.type])
        for each in session.get_inputs()
    }
    names = [each.name for each in session.get_outputs()]
    return row | dict(zip(names, session.run(names, row), strict=True))


_TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(string)": "object"}


def _value(name: str, seen: np.ndarray, is_constant: bool = False) -> Value:
    kind = KINDS.get(str(seen.dtype), "text")
    return Value(name, kind, seen.shape, seen if is_constant else None)


def _settings(node: onnx.NodeProto) -> dict[str, Any]:
    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [_text(each) for each in value] if isinstance(value, list) else value
