"""TensorFlow Lite: the model for phones and microcontrollers, written without TensorFlow.

The file is made by the schema that the interpreter brings (`ai-edge-litert`, dependency group
`tflite`): see https://ai.google.dev/edge/litert/models/metadata and schema.fbs there. A category is
a whole number, its place in a list that lies beside the model, and so is the class that is
predicted: the format has no texts to compute with.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import InputError, needs_group
from ..files import read_bytes
from ..inference import read_metadata
from .program import Kind, Program, Step, Value

# The first release of the format that has all operators below, in a version of its own.
FORMAT = 3
IDENTIFIER = b"TFL3"
DESCRIPTION = "columns.json"
# What the model's own metadata calls the same, with where the model comes from.
DESCRIBED = "mlops"
MODEL = "model.tflite"
# As many as the interpreter for microcontrollers joins at once.
JOINED = 10


@dataclass(frozen=True)
class Columns:
    """What the tensors of a model mean.

    Attributes:
        inputs: their names in order; of a category the texts that its numbers count, else None.
        classes: what the predicted number counts; None unless there are classes.
    """

    inputs: dict[str, list[str] | None]
    classes: list[Any] | None


def write(model: onnx.ModelProto, folder: Path, is_int8: bool = False) -> None:
    """Write `model.tflite`, and `columns.json` which says what its numbers mean.

    Args:
        model: whose inputs are columns and whose outputs are an answer's.
        folder: takes both.
        is_int8: whether the weights of layers are of eight bits.
    Raises:
        InputError: it has a step that cannot be written, or the format is not installed.
    """
    program = Program.of(model)
    writer = Writer(_schema(), is_int8)
    for value in program.inputs:
        writer.take(value)
    for step in program.steps:
        writer.step(step)
    told = {"inputs": writer.known, "classes": writer.classes}
    writer.describe(told | {"metadata": {each.key: each.value for each in model.metadata_props}})
    content = writer.finished(program.outputs)
    (folder / MODEL).write_bytes(content)
    text = json.dumps(told, ensure_ascii=False, indent=2)
    (folder / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")


def _schema() -> Any:
    """The classes of the format's tables."""
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise _absent() from None
    return schema_py_generated


def _absent() -> InputError:
    return needs_group("export.targets.tflite", "tflite")


def _refused(step: Step, how: str = "") -> InputError:
    """That a step cannot be written, and what helps."""
    what = "take the feature or step that needs it out, or export to c"
    if step.operator.startswith("TreeEnsemble"):
        what = "the format has no trees: export them to c"
    made = step.outputs[0].name
    return InputError(
        f"export.targets.tflite: {step.operator}{how} cannot be written (it makes {made}); {what}"
    )


class Writer:
    """Writes steps one after the other into the tables of the format.

    Attributes:
        known: the inputs, see Columns.
        classes: see Columns.
        schema: the classes of the format's tables.
    """

    def __init__(self, schema: Any, is_int8: bool) -> None:
        self.known: dict[str, list[str] | None] = {}
        self.classes: list[Any] | None = None
        self.schema, self._is_int8 = schema, is_int8
        self._codes: list[int] = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators, self._graph.inputs = [], [], []
        self._buffers = [schema.BufferT()]
        self._metadata: list[Any] = []
        self._places: dict[str, int] = {}
        self._categories: dict[str, str] = {}

    def take(self, value: Value) -> None:
        """Make a column an input; a category's texts are known once a step asks for them."""
        if value.kind == "double":
            raise InputError(
                f"export.targets.tflite: {value.name} is a moment, and numbers of 32 bits are too "
                "short for one; export to c"
            )
        is_text = value.kind == "text"
        kind: Kind = "integer" if is_text else "float"
        self._places[value.name] = self._tensor(value.name, kind, (1, 1))
        self._graph.inputs.append(self._places[value.name])
        self.known[value.name] = [] if is_text else None
        if is_text:
            self._categories[value.name] = value.name

    def step(self, step: Step) -> None:
        """Write a step. Raises InputError where the format has no such one."""
        write = WRITERS.get(step.operator)
        if write is None:
            raise _refused(step)
        write(self, step)

    def place(self, value: Value) -> int:
        """The tensor of a value."""
        if value.constant is not None:
            return self.constant(value.constant)
        return self._places[value.name]

    def category(self, value: Value) -> str:
        """The column whose texts a value has."""
        return self._categories[value.name]

    def follow(self, value: Value, place: int) -> None:
        """Say that a value is a tensor which is there."""
        self._places[value.name] = place

    def follow_category(self, value: Value, column: str) -> None:
        """Say that a value is the texts of a column."""
        self._categories[value.name] = column
        self._places[value.name] = self._places[column]

    def constant(self, values: np.ndarray) -> int:
        """A tensor whose numbers are in the file; float64 as float32."""
        kind: Kind = "float" if values.dtype.kind == "f" else "integer"
        made = values.astype("float32" if kind == "float" else "int32")
        return self._stored(made, kind)

    def layer(self, matrix: np.ndarray) -> int:
        """The weights of a layer, shape (out, in): of eight bits, if that is asked for."""
        weights = np.ascontiguousarray(matrix, dtype="float32")
        if not self._is_int8:
            return self._stored(weights, "float")
        scale = max(float(np.abs(weights).max()), float(np.finfo("float32").tiny)) / 127
        place = self._stored(np.round(weights / scale).astype("int8"), "integer")
        tensor = self._graph.tensors[place]
        tensor.type = self.schema.TensorType.INT8
        tensor.quantization = self.schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
        return place

    def operator(
        self,
        name: str,
        inputs: list[int],
        shape: tuple[int, ...],
        kind: Kind = "float",
        settings: tuple[str, dict[str, Any]] | None = None,
    ) -> int:
        """Add an operator of one output, and return that."""
        schema = self.schema
        made = schema.OperatorT()
        made.opcodeIndex = self._code(getattr(schema.BuiltinOperator, name))
        made.inputs, made.outputs = inputs, [self._tensor("", kind, shape)]
        if settings is not None:
            table, values = settings
            made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            made.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in values.items():
                setattr(made.builtinOptions, key, value)
        self._graph.operators.append(made)
        place: int = made.outputs[0]
        return place

    def describe(self, facts: dict[str, Any]) -> None:
        """Put facts into the file, as JSON, for whoever has that alone."""
        entry = self.schema.MetadataT()
        entry.name, entry.buffer = DESCRIBED, len(self._buffers)
        self._metadata.append(entry)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(json.dumps(facts).encode(), dtype="uint8")
        self._buffers.append(buffer)

    def finished(self, outputs: list[Value]) -> bytes:
        """The file."""
        schema = self.schema
        import flatbuffers

        self._graph.outputs = [self._places[value.name] for value in outputs]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = FORMAT, [self._graph], self._buffers
        model.description = "mlops"
        model.operatorCodes = []
        for code in self._codes:
            known = schema.OperatorCodeT()
            known.builtinCode, known.deprecatedBuiltinCode = code, min(code, 127)
            known.version = 1
            model.operatorCodes.append(known)
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [
            self._named(name, place)
            for name, place in zip(self.known, self._graph.inputs, strict=True)
        ]
        signature.outputs = [self._named(value.name, self._places[value.name]) for value in outputs]
        model.signatureDefs, model.metadata = [signature], self._metadata
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _named(self, name: str, place: int) -> Any:
        found = self.schema.TensorMapT()
        found.name, found.tensorIndex = name, place
        return found

    def _code(self, code: int) -> int:
        if code not in self._codes:
            self._codes.append(code)
        return self._codes.index(code)

    def _stored(self, values: np.ndarray, kind: Kind) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), dtype="uint8")
        self._buffers.append(buffer)
        return self._tensor("", kind, values.shape, len(self._buffers) - 1)

    def _tensor(self, name: str, kind: Kind, shape: tuple[int, ...], buffer: int = 0) -> int:
        tensor = self.schema.TensorT()
        types = self.schema.TensorType
        tensor.type = {"integer": types.INT32, "truth": types.BOOL}.get(kind, types.FLOAT32)
        tensor.shape = list(shape)
        tensor.name = name or f"t{len(self._graph.tensors)}"
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def _simple(name: str, table: str | None = None, **settings: Any) -> Callable[[Writer, Step], None]:
    """An operator that the format has alike, of one or two values."""

    def write(writer: Writer, step: Step) -> None:
        (made,) = step.outputs
        taken = [writer.place(value) for value in step.inputs if value is not None]
        kind: Kind = "float" if made.kind == "double" else made.kind
        options = (table, settings) if table else None
        writer.follow(made, writer.operator(name, taken, made.shape, kind, options))

    return write


def _folded(name: str, table: str | None = None) -> Callable[[Writer, Step], None]:
    """An operator of any number of values, as one of two after the other."""

    def write(writer: Writer, step: Step) -> None:
        (made,) = step.outputs
        first, *others = [writer.place(value) for value in step.inputs if value is not None]
        for other in others:
            options: tuple[str, dict[str, Any]] | None = (table, {}) if table else None
            first = writer.operator(name, [first, other], made.shape, settings=options)
        writer.follow(made, first)

    return write


def _alike(writer: Writer, step: Step) -> None:
    """Cast between numbers with a point, Identity: the same tensor. Of labels, their number."""
    (made,), taken = step.outputs, step.taken()
    place = writer.place(taken)
    if (taken.kind, made.kind) == ("truth", "integer"):
        types = writer.schema.TensorType
        settings = {"inDataType": types.BOOL, "outDataType": types.INT32}
        place = writer.operator("CAST", [place], made.shape, "integer", ("CastOptions", settings))
    writer.follow(made, place)


def _cast(writer: Writer, step: Step) -> None:
    """Cast from or to whole numbers; others as _alike."""
    (made,), kinds = step.outputs, {step.taken().kind, step.outputs[0].kind}
    if kinds not in ({"integer", "float"}, {"integer", "double"}):
        return _alike(writer, step)
    kind: Kind = "integer" if made.kind == "integer" else "float"
    return writer.follow(
        made, writer.operator("CAST", [writer.place(step.taken())], made.shape, kind)
    )


def _reshape(writer: Writer, step: Step) -> None:
    (made,) = step.outputs
    shape = writer.constant(np.array(made.shape))
    table = ("ReshapeOptions", {"newShape": list(made.shape)})
    kind: Kind = "float" if made.kind in ("float", "double") else "integer"
    place = writer.operator("RESHAPE", [writer.place(step.taken()), shape], made.shape, kind, table)
    writer.follow(made, place)


def _concat(writer: Writer, step: Step) -> None:
    (made,) = step.outputs
    if made.kind == "text":
        raise _refused(step, " of texts")
    values, axis = [value for value in step.inputs if value is not None], step.settings["axis"]
    table = ("ConcatenationOptions", {"axis": axis})
    parts = [(writer.place(value), value.shape[axis]) for value in values]
    while len(parts) > 1:
        joined = []
        for start in range(0, len(parts), JOINED):
            places, widths = zip(*parts[start : start + JOINED], strict=True)
            shape = [*made.shape]
            shape[axis] = sum(widths)
            place = writer.operator("CONCATENATION", [*places], tuple(shape), settings=table)
            joined.append((place, sum(widths)))
        parts = joined
    writer.follow(made, parts[0][0])


def _gather(writer: Writer, step: Step) -> None:
    """Of a column itself: the same. Of labels: their number, which `columns.json` explains.

    Of a table: the row that is asked for.
    """
    (made,), taken = step.outputs, step.taken()
    if taken.kind == "text" and taken.constant is None and made.size == taken.size == 1:
        writer.follow_category(made, writer.category(taken))
    elif taken.constant is not None and taken.kind == "float" and len(taken.shape) == 2:
        asked = [writer.place(taken), writer.place(step.taken(1))]
        table = ("GatherOptions", {"axis": 0})
        writer.follow(made, writer.operator("GATHER", asked, made.shape, settings=table))
    elif taken.constant is not None and taken.size == max(taken.shape):
        writer.classes = taken.constant.ravel().tolist()
        writer.follow(made, writer.place(step.taken(1)))
    elif taken.constant is None and step.taken(1).constant is not None:
        places = writer.constant(np.asarray(step.taken(1).constant))
        table = ("GatherOptions", {"axis": len(taken.shape) - 1})
        place = writer.operator("GATHER", [writer.place(taken), places], made.shape, settings=table)
        writer.follow(made, place)
    else:
        raise _refused(step)


def _imputer(writer: Writer, step: Step) -> None:
    (made,), taken = step.outputs, writer.place(step.taken())
    fill = np.array(step.settings["imputed_value_floats"], dtype="float32")
    fill = np.broadcast_to(fill, made.shape)
    missing = writer.operator("NOT_EQUAL", [taken, taken], made.shape, "truth")
    parts = [missing, writer.constant(fill), taken]
    writer.follow(made, writer.operator("SELECT_V2", parts, made.shape))


def _scaler(writer: Writer, step: Step) -> None:
    (made,), taken = step.outputs, writer.place(step.taken())
    offset, scale = (
        writer.constant(np.array(step.settings[name], dtype="float32").reshape(1, -1))
        for name in ("offset", "scale")
    )
    moved = writer.operator("SUB", [taken, offset], made.shape, settings=("SubOptions", {}))
    scaled = writer.operator("MUL", [moved, scale], made.shape, settings=("MulOptions", {}))
    writer.follow(made, scaled)


def _ones(writer: Writer, column: Value, known: list[str]) -> int:
    """A 1 where a column of categories is one of those that are known, in a row of 0."""
    texts = writer.known[writer.category(column)]
    assert texts is not None
    texts += [text for text in known if text not in texts]
    numbers = writer.constant(np.array([[texts.index(text) for text in known]]))
    shape = (1, len(known))
    same = writer.operator("EQUAL", [writer.place(column), numbers], shape, "truth")
    return writer.operator("CAST", [same], shape)


def _labelled(writer: Writer, step: Step) -> None:
    """LabelEncoder of a column: the whole number of each category, or that of all others."""
    (made,), told = step.outputs, step.settings
    if step.taken().kind != "text" or "values_int64s" not in told:
        raise _refused(step)
    other = told["default_int64"]
    numbers = writer.constant(np.array([told["values_int64s"]], dtype="float32") - other)
    known = told["keys_strings"]
    ones = [_ones(writer, step.taken(), known), numbers]
    each = writer.operator("MUL", ones, (1, len(known)), settings=("MulOptions", {}))
    parts = [each, writer.constant(np.array([1]))]
    total = writer.operator(
        "SUM", parts, made.shape, settings=("ReducerOptions", {"keepDims": True})
    )
    moved = [total, writer.constant(np.array([other], dtype="float32"))]
    whole = writer.operator("ADD", moved, made.shape, settings=("AddOptions", {}))
    writer.follow(made, writer.operator("CAST", [whole], made.shape, "integer"))


def _one_hot(writer: Writer, step: Step) -> None:
    """OneHotEncoder of a column: its number compared with those of the categories it knows."""
    (made,), ones = step.outputs, _ones(writer, step.taken(), step.settings["cats_strings"])
    table = ("ReshapeOptions", {"newShape": list(made.shape)})
    shaped = [ones, writer.constant(np.array(made.shape))]
    writer.follow(made, writer.operator("RESHAPE", shaped, made.shape, settings=table))


def _product(writer: Writer, step: Step) -> None:
    (made,), matrix = step.outputs, step.taken(1).constant
    if matrix is None:
        raise _refused(step, " of two values that a row decides")
    weights = writer.layer(matrix.reshape(matrix.shape[0], -1).T)
    shape = (1, made.size)
    place = _connected(writer, writer.place(step.taken()), weights, shape)
    if made.shape != shape:
        wanted = writer.constant(np.array(made.shape))
        table = ("ReshapeOptions", {"newShape": list(made.shape)})
        place = writer.operator("RESHAPE", [place, wanted], made.shape, settings=table)
    writer.follow(made, place)


def _connected(writer: Writer, taken: int, weights: int, shape: tuple[int, ...]) -> int:
    table = ("FullyConnectedOptions", {"keepNumDims": False})
    return writer.operator("FULLY_CONNECTED", [taken, weights, -1], shape, settings=table)


def _linear(writer: Writer, step: Step) -> int:
    """The scores of a linear model, shape (1, scores)."""
    start = np.array(step.settings["intercepts"], dtype="float32").reshape(1, -1)
    matrix = np.array(step.settings["coefficients"], dtype="float32").reshape(start.size, -1)
    taken = writer.place(step.taken())
    scores = _connected(writer, taken, writer.layer(matrix), start.shape)
    parts = [scores, writer.constant(start)]
    return writer.operator("ADD", parts, start.shape, settings=("AddOptions", {}))


def _linear_classifier(writer: Writer, step: Step) -> None:
    label, probability = step.outputs
    scores, shape = _linear(writer, step), probability.shape
    for name in ("classlabels_strings", "classlabels_ints"):
        writer.classes = step.settings.get(name, writer.classes)
    match step.settings.get("post_transform", "NONE"):
        case "SOFTMAX":
            table = ("SoftmaxOptions", {"beta": 1.0})
            place = writer.operator("SOFTMAX", [scores], shape, settings=table)
        case "LOGISTIC":
            place = writer.operator("LOGISTIC", [scores], shape)
        case other:
            raise _refused(step, f" with {other}")
    writer.follow(probability, place)
    writer.follow(label, _best(writer, "ARG_MAX", scores, label.shape))


def _linear_regressor(writer: Writer, step: Step) -> None:
    if step.settings.get("post_transform", "NONE") != "NONE":
        raise _refused(step, " with post_transform")
    writer.follow(step.outputs[0], _linear(writer, step))


def _best(writer: Writer, name: str, taken: int, shape: tuple[int, ...]) -> int:
    table = {"ARG_MAX": "ArgMaxOptions", "ARG_MIN": "ArgMinOptions"}[name]
    types = writer.schema.TensorType
    parts = [taken, writer.constant(np.array([1]))]
    return writer.operator(name, parts, (1,), "integer", (table, {"outputType": types.INT32}))


def _choice(name: str) -> Callable[[Writer, Step], None]:
    def write(writer: Writer, step: Step) -> None:
        (made,) = step.outputs
        writer.follow(made, _best(writer, name, writer.place(step.taken()), made.shape))

    return write


def _sum(writer: Writer, step: Step) -> None:
    (made,) = step.outputs
    parts = [writer.place(step.taken()), writer.constant(np.array([1]))]
    table = ("ReducerOptions", {"keepDims": True})
    writer.follow(made, writer.operator("SUM", parts, made.shape, settings=table))


def _normalizer(writer: Writer, step: Step) -> None:
    """Normalizer with norm L1, of numbers that are not negative."""
    (made,), taken = step.outputs, writer.place(step.taken())
    if step.settings.get("norm") != "L1":
        raise _refused(step, f" by {step.settings.get('norm')}")
    parts = [taken, writer.constant(np.array([1]))]
    total = writer.operator("SUM", parts, (1, 1), settings=("ReducerOptions", {"keepDims": True}))
    share = writer.operator("DIV", [taken, total], made.shape, settings=("DivOptions", {}))
    writer.follow(made, share)


WRITERS: dict[str, Callable[[Writer, Step], None]] = {
    "Add": _simple("ADD", "AddOptions"),
    "ArgMax": _choice("ARG_MAX"),
    "ArgMin": _choice("ARG_MIN"),
    "ArrayFeatureExtractor": _gather,
    "Cast": _cast,
    "Concat": _concat,
    "Div": _simple("DIV", "DivOptions"),
    "Exp": _simple("EXP"),
    "Gather": _gather,
    "GreaterOrEqual": _simple("GREATER_EQUAL", "GreaterEqualOptions"),
    "Identity": _alike,
    "Imputer": _imputer,
    "LabelEncoder": _labelled,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "MatMul": _product,
    "Max": _folded("MAXIMUM"),
    "Min": _folded("MINIMUM"),
    "Mul": _simple("MUL", "MulOptions"),
    "Normalizer": _normalizer,
    "OneHotEncoder": _one_hot,
    "ReduceSum": _sum,
    "Relu": _simple("RELU"),
    "Reshape": _reshape,
    "Scaler": _scaler,
    "Sigmoid": _simple("LOGISTIC"),
    "Softmax": _simple("SOFTMAX", "SoftmaxOptions", beta=1.0),
    "Sqrt": _simple("SQRT"),
    "Sub": _simple("SUB", "SubOptions"),
    "Sum": _folded("ADD", "AddOptions"),
    "Tanh": _simple("TANH"),
}


@dataclass(frozen=True)
class Interpreted:
    """A model that TensorFlow Lite's interpreter answers for.

    Attributes:
        metadata: what travels with it, as in the ONNX model.
        columns: what its numbers mean.
    """

    metadata: dict[str, Any]
    columns: Columns
    runner: Callable[..., dict[str, np.ndarray]] = field(repr=False)

    @staticmethod
    def of(path: Path) -> "Interpreted":
        """Load what `write` wrote. Raises InputError where it is something else."""
        schema = _schema()
        from ai_edge_litert.interpreter import Interpreter

        content = read_bytes(path)
        if content[4:8] != IDENTIFIER:
            raise InputError(f"{path}: not a TensorFlow Lite model")
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        facts = {
            each.name.decode(): bytes(model.buffers[each.buffer].data)
            for each in model.metadata or []
        }
        if DESCRIBED not in facts:
            raise InputError(f"{path}: does not say what its numbers mean; export it again")
        told = json.loads(facts[DESCRIBED])
        columns = Columns(told["inputs"], told["classes"])
        made = Interpreter(model_content=content, num_threads=1)
        return Interpreted(read_metadata(told["metadata"]), columns, made.get_signature_runner())

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for columns, as inference.OnnxModel.predict has them."""
        taken = {
            name: _numbers(columns[name], texts) for name, texts in self.columns.inputs.items()
        }
        rows = len(next(iter(taken.values())))
        answers = [
            self.runner(**{name: values[row].reshape(1, 1) for name, values in taken.items()})
            for row in range(rows)
        ]
        found = {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}
        if self.columns.classes is not None:
            found["prediction"] = np.array(self.columns.classes)[found["prediction"].ravel()]
        return found


def _numbers(column: np.ndarray, texts: list[str] | None) -> np.ndarray:
    if texts is None:
        return column.astype("float32")
    places = {text: place for place, text in enumerate(texts)}
    return np.array([places.get(str(text), -1) for text in column], dtype="int32")
