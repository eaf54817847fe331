"""Core ML: the model for phones, tablets and computers of Apple, made where there are none.

One `.mlmodel`: a pipeline of the models that the format has for columns, for trees and for
networks. What prepares columns and what trees compare is computed in float64 on the processor;
layers of a network are computed in float32, and in float16 where Core ML may choose the hardware.
`coremltools` (dependency group `coreml`) brings the format's messages, see
https://apple.github.io/coremltools/mlmodel; its converter takes an older scikit-learn.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from ..errors import InputError, needs_group
from .program import Program, Step, Value
from .trees import Trees

MODEL = "model.mlmodel"
# iOS 13, macOS 10.15: the first with layers for arrays of any shape.
VERSION = 4
# A value is the same feature after these.
ALIASES = ("Cast", "Identity", "Reshape")
# What a classifier's outputs are called, here and in the ONNX model.
LABEL, PROBABILITY = "prediction", "probability"
BRANCHES = {
    "<=": "BranchOnValueLessThanEqual",
    "<": "BranchOnValueLessThan",
    ">=": "BranchOnValueGreaterThanEqual",
    ">": "BranchOnValueGreaterThan",
}


@dataclass(frozen=True)
class Feature:
    """What goes from one model of the pipeline to the next.

    Attributes:
        name: in the file.
        kind: a number, a text, an array, or what is said of each class.
        size: how many numbers it has.
        is_layer: whether a network made it.
    """

    name: str
    kind: Literal["double", "text", "array", "classes"]
    size: int = 1
    is_layer: bool = False


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write a model in Core ML.

    Args:
        model: whose inputs are columns and whose outputs are an answer's.
        path: of the file.
    Raises:
        InputError: it has a step that the format has not, or coremltools is not installed.
    """
    program = Program.of(model)
    _require_likeliest(program)
    labels, outputs = program.labels, program.outputs
    if labels is not None:
        # The format itself names the class whose probability is highest.
        outputs = [value for value in outputs if value.name == PROBABILITY]
    steps = program.towards(outputs)
    writer = Writer(messages(), program.inputs, labels, _names(steps, outputs))
    for step in steps:
        write = WRITERS.get(step.operator)
        if write is None:
            raise _refused(step)
        write(writer, step)
    written = writer.finished(outputs)
    about = written.description.metadata
    about.shortDescription = "made from its ONNX model: change that, not this"
    for each in model.metadata_props:
        about.userDefined[each.key] = each.value
    path.write_bytes(written.SerializeToString(deterministic=True))


def _require_likeliest(program: Program) -> None:
    """Raise InputError where another class than the likeliest may be predicted."""
    probability, label = (
        [value for value in program.outputs if value.name == name] for name in (PROBABILITY, LABEL)
    )
    shared = {step.outputs[0].name for step in program.towards(probability)}
    decided = (step for step in program.towards(label) if step.outputs[0].name not in shared)
    if probability and any(step.operator == "GreaterOrEqual" for step in decided):
        raise InputError(
            "export.targets.coreml: a classifier of Core ML names the likeliest class, and this "
            "model has train.threshold; leave that out and compare the probability, or export to c"
        )


def messages() -> Any:
    """The messages of the format, by the name of their file: `messages().Model_pb2.Model`."""
    # It tells at length what it cannot do here: convert this scikit-learn, ask Apple's libraries.
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        from coremltools import proto
    except ImportError:
        raise needs_group("export.targets.coreml", "coreml") from None
    finally:
        logging.disable(level)
    return proto


def _names(steps: list[Step], outputs: list[Value]) -> dict[str, str]:
    """What values are called in the file that become an output as they are."""
    found = {value.name: value.name for value in outputs}
    for step in reversed(steps):
        name = found.get(step.outputs[0].name)
        if step.operator in ALIASES and name is not None:
            found.setdefault(step.taken().name, name)
    return found


def _refused(step: Step, how: str = "") -> InputError:
    """That a step cannot be written, and what helps."""
    return InputError(
        f"export.targets.coreml: {step.operator}{how} cannot be written (it makes "
        f"{step.outputs[0].name}); take the feature or step that needs it out, or export to c"
    )


class Writer:
    """Writes steps one after the other as models of a pipeline.

    Args:
        proto: see messages.
        inputs: the columns.
        labels: of the classes, in the order of their probabilities; None where there are none.
        names: see _names.
    """

    def __init__(
        self, proto: Any, inputs: list[Value], labels: list[Any] | None, names: dict[str, str]
    ) -> None:
        self.proto, self.labels, self._names = proto, labels, names
        self._models: list[Any] = []
        self._count = 0
        self._inputs = [
            Feature(value.name, "text" if value.kind == "text" else "double") for value in inputs
        ]
        # A value may be several features one after the other, until something takes it as one.
        self._parts = {feature.name: [feature] for feature in self._inputs}
        self._features = {feature.name: feature for feature in self._inputs}

    def parts(self, value: Value) -> list[Feature]:
        """The features that a value is made of."""
        return self._parts[value.name]

    def follow(self, value: Value, parts: list[Feature]) -> None:
        """Say that a value is features which are there."""
        self._parts[value.name] = parts

    def whole(self, value: Value) -> Feature:
        """A value as one feature."""
        parts = self.parts(value)
        if len(parts) > 1:
            size = sum(part.size for part in parts)
            made = Feature(self.fresh(), "array", size)
            vectorizer = self.model("featureVectorizer", parts, [made])
            for part in parts:
                vectorizer.inputList.add(inputColumn=part.name, inputDimensions=part.size)
            self._parts[value.name] = [made]
        return self._parts[value.name][0]

    def fresh(self) -> str:
        """A name that no column has."""
        self._count += 1
        name = f"step_{self._count}"
        return name if name not in self._features else self.fresh()

    def named(self, value: Value) -> str:
        """What a feature is to be called that is this value."""
        return self._names.get(value.name) or self.fresh()

    def model(self, kind: str, inputs: list[Feature], outputs: list[Feature]) -> Any:
        """Add a model, and return the message of its kind."""
        made = self.proto.Model_pb2.Model()
        made.specificationVersion = VERSION
        for feature in inputs:
            self._describe(made.description.input, feature)
        for feature in outputs:
            self._features[feature.name] = feature
            self._describe(made.description.output, feature)
        message = getattr(made, kind)
        message.SetInParent()
        self._models.append(made)
        return message

    def layer(
        self, kind: str, inputs: list[Feature], size: int, name: str | None = None
    ) -> tuple[Any, Feature]:
        """Add a layer to the network that is last in the pipeline, or begin one.

        Returns the message of its kind, and what it makes.
        """
        if not self._models or self._models[-1].WhichOneof("Type") != "neuralNetwork":
            network = self.model("neuralNetwork", [], [])
            network.arrayInputShapeMapping = (
                self.proto.NeuralNetwork_pb2.NeuralNetworkMultiArrayShapeMapping.Value(
                    "EXACT_ARRAY_MAPPING"
                )
            )
        made = Feature(name or self.fresh(), "array", size, is_layer=True)
        self._features[made.name] = made
        layer = self._models[-1].neuralNetwork.layers.add(name=made.name)
        layer.input.extend(feature.name for feature in inputs)
        layer.output.append(made.name)
        layer.inputTensor.extend(self._tensor(feature) for feature in inputs)
        layer.outputTensor.append(self._tensor(made))
        message = getattr(layer, kind)
        message.SetInParent()
        return message, made

    def constant(self, values: np.ndarray) -> Feature:
        """Numbers that a layer reads."""
        message, made = self.layer("loadConstantND", [], values.size)
        message.shape.append(values.size)
        message.data.floatValue.extend(values.astype("float32").ravel().tolist())
        return made

    def label(self, message: Any) -> None:
        """Give a classifier its classes in their order."""
        assert self.labels is not None
        if isinstance(self.labels[0], str):
            message.stringClassLabels.vector.extend(self.labels)
        else:
            message.int64ClassLabels.vector.extend(map(int, self.labels))

    def finished(self, outputs: list[Value]) -> Any:
        """The pipeline. Raises InputError where a class has a probability of no classifier."""
        last = [self.whole(value) for value in outputs]
        self._close_networks(last)
        made = self.proto.Model_pb2.Model()
        made.specificationVersion = VERSION
        for feature in self._inputs:
            self._describe(made.description.input, feature)
        if self.labels is None:
            for value, feature in zip(outputs, last, strict=True):
                self._describe(made.description.output, feature, value.kind == "integer")
            made.pipeline.models.extend(self._models)
            return made
        self._classify(self._models[-1], last[0])
        described = self._models[-1].description
        made.description.output.extend(described.output)
        made.description.predictedFeatureName = described.predictedFeatureName
        made.description.predictedProbabilitiesName = described.predictedProbabilitiesName
        made.pipelineClassifier.pipeline.models.extend(self._models)
        return made

    def classes(self) -> list[Feature]:
        """What a classifier says: the class, and the probability of each."""
        return [Feature(LABEL, "classes"), Feature(PROBABILITY, "classes", len(self.labels or []))]

    def _classify(self, model: Any, probability: Feature) -> None:
        """Make a network a classifier; trees are one."""
        model.description.predictedFeatureName = LABEL
        model.description.predictedProbabilitiesName = PROBABILITY
        if probability.kind == "classes":
            return
        network = self.proto.NeuralNetwork_pb2.NeuralNetworkClassifier()
        network.layers.extend(model.neuralNetwork.layers)
        network.arrayInputShapeMapping = model.neuralNetwork.arrayInputShapeMapping
        # The layer's own name is free for the classifier's output.
        last = network.layers[-1]
        last.name = last.output[0] = self.fresh()
        network.labelProbabilityLayerName = last.output[0]
        self.label(network)
        model.neuralNetworkClassifier.CopyFrom(network)
        del model.description.output[:]
        for feature in self.classes():
            self._describe(model.description.output, feature)

    def _close_networks(self, last: list[Feature]) -> None:
        """Tell of each network what it takes from others, and what others take of it."""
        taken = {feature.name for feature in last}
        for model in reversed(self._models):
            if model.WhichOneof("Type") == "neuralNetwork":
                layers = model.neuralNetwork.layers
                made = [name for layer in layers for name in layer.output]
                read = dict.fromkeys(name for layer in layers for name in layer.input)
                for name in read:
                    if name not in made:
                        self._describe(model.description.input, self._features[name])
                for name in made:
                    if name in taken:
                        self._describe(model.description.output, self._features[name])
            taken |= {feature.name for feature in model.description.input}

    def _tensor(self, feature: Feature) -> Any:
        return self.proto.NeuralNetwork_pb2.Tensor(rank=1, dimValue=[feature.size])

    def _describe(self, descriptions: Any, feature: Feature, is_integer: bool = False) -> None:
        described = descriptions.add(name=feature.name)
        match feature.kind:
            case "double":
                described.type.doubleType.SetInParent()
            case "text":
                described.type.stringType.SetInParent()
            case "array":
                array = described.type.multiArrayType
                array.shape.append(feature.size)
                elements = self.proto.FeatureTypes_pb2.ArrayFeatureType.ArrayDataType
                element = "FLOAT32" if feature.is_layer else "DOUBLE"
                array.dataType = elements.Value("INT32" if is_integer else element)
            case "classes":
                assert self.labels is not None
                is_text = isinstance(self.labels[0], str)
                if feature.name == LABEL:
                    kind = described.type.stringType if is_text else described.type.int64Type
                else:
                    keys = described.type.dictionaryType
                    kind = keys.stringKeyType if is_text else keys.int64KeyType
                kind.SetInParent()


def _alias(writer: Writer, step: Step) -> None:
    """The same numbers in their order."""
    writer.follow(step.outputs[0], writer.parts(step.taken()))


def _gather(writer: Writer, step: Step) -> None:
    """Of a column itself: the same."""
    taken = step.taken()
    if taken.size != 1 or step.outputs[0].size != 1:
        raise _refused(step, " of several")
    writer.follow(step.outputs[0], writer.parts(taken))


def _concat(writer: Writer, step: Step) -> None:
    (made,) = step.outputs
    values = [value for value in step.inputs if value is not None]
    if made.kind == "text" or any(value.constant is not None for value in values):
        raise _refused(step, " of texts or constants")
    parts = [part for value in values for part in writer.parts(value)]
    if any(part.is_layer for part in parts):
        message, feature = writer.layer("concatND", parts, made.size, writer.named(made))
        message.axis = -1
        parts = [feature]
    writer.follow(made, parts)


def _imputer(writer: Writer, step: Step) -> None:
    """Of each column alone: the format's own converters make no other."""
    (made,) = step.outputs
    fill, filled = np.resize(step.settings["imputed_value_floats"], made.size), []
    parts = writer.parts(step.taken())
    if any(part.kind != "double" for part in parts):
        raise _refused(step, " of what is no column")
    for part, value in zip(parts, fill, strict=True):
        feature = Feature(writer.fresh(), "double")
        message = writer.model("imputer", [part], [feature])
        message.imputedDoubleValue = float(np.float32(value))
        message.replaceDoubleValue = float("nan")
        filled.append(feature)
    writer.follow(made, filled)


def _scaler(writer: Writer, step: Step) -> None:
    (made,) = step.outputs
    offset, scale = (np.float32(step.settings[name]) for name in ("offset", "scale"))
    _scaled(writer, step, -np.resize(offset, made.size), np.resize(scale, made.size))


def _scaled(writer: Writer, step: Step, shift: np.ndarray, scale: np.ndarray) -> None:
    """(x + shift) * scale, in float64."""
    (made,), taken = step.outputs, writer.whole(step.taken())
    feature = Feature(writer.named(made), taken.kind, taken.size)
    message = writer.model("scaler", [taken], [feature])
    message.shiftValue.extend(map(float, shift))
    message.scaleValue.extend(map(float, scale))
    writer.follow(made, [feature])


def _one_hot(writer: Writer, step: Step) -> None:
    (made,), taken = step.outputs, writer.whole(step.taken())
    known = step.settings.get("cats_strings")
    if known is None or taken.kind != "text":
        raise _refused(step, " of numbers")
    feature = Feature(writer.fresh(), "array", len(known))
    message = writer.model("oneHotEncoder", [taken], [feature])
    message.stringCategories.vector.extend(known)
    message.handleUnknown = message.HandleUnknown.Value("IgnoreUnknown")
    writer.follow(made, [feature])


def _elementwise(kind: str) -> Callable[[Writer, Step], None]:
    """An operator of two or more values, element by element; what trees say is kept in float64."""

    def write(writer: Writer, step: Step) -> None:
        (made,) = step.outputs
        values = [value for value in step.inputs if value is not None]
        taken, other = values[0], values[-1]
        if step.operator in ("Add", "Sub") and other.constant is not None:
            whole = writer.whole(taken)
            if not whole.is_layer and whole.kind in ("double", "array") and made.kind == "float":
                sign = 1 if step.operator == "Add" else -1
                shift = np.resize(sign * other.constant.astype("float32"), made.size)
                _scaled(writer, step, shift, np.ones(made.size))
                return
        first, *others = [_operand(writer, value) for value in values]
        for n, each in enumerate(others):
            name = writer.named(made) if n == len(others) - 1 else None
            _, first = writer.layer(kind, [first, each], made.size, name)
        writer.follow(made, [first])

    return write


def _operand(writer: Writer, value: Value) -> Feature:
    return writer.constant(value.constant) if value.constant is not None else writer.whole(value)


def _product(writer: Writer, step: Step) -> None:
    (made,), matrix = step.outputs, step.taken(1).constant
    if matrix is None:
        raise _refused(step, " of two values that a row decides")
    weights = matrix.reshape(matrix.shape[0], -1).T
    feature = _inner(writer, writer.whole(step.taken()), weights, None, writer.named(made))
    writer.follow(made, [feature])


def _inner(
    writer: Writer, taken: Feature, weights: np.ndarray, start: np.ndarray | None, name: str
) -> Feature:
    """A layer of weights, shape (out, in), and of what each output begins with."""
    message, made = writer.layer("innerProduct", [taken], len(weights), name)
    message.inputChannels, message.outputChannels = weights.shape[1], len(weights)
    message.weights.floatValue.extend(weights.astype("float32").ravel().tolist())
    if start is not None:
        message.hasBias = True
        message.bias.floatValue.extend(start.astype("float32").ravel().tolist())
    return made


def _activation(kind: str) -> Callable[[Writer, Step], None]:
    def write(writer: Writer, step: Step) -> None:
        (made,), taken = step.outputs, writer.whole(step.taken())
        writer.follow(made, [_activated(writer, kind, taken, writer.named(made))])

    return write


def _activated(writer: Writer, kind: str, taken: Feature, name: str) -> Feature:
    message, made = writer.layer("activation", [taken], taken.size, name)
    getattr(message, kind).SetInParent()
    return made


def _unary(kind: str) -> Callable[[Writer, Step], None]:
    def write(writer: Writer, step: Step) -> None:
        (made,), taken = step.outputs, writer.whole(step.taken())
        message, feature = writer.layer("unary", [taken], made.size, writer.named(made))
        message.type, message.scale = message.Operation.Value(kind), 1
        writer.follow(made, [feature])

    return write


def _softmax(writer: Writer, step: Step) -> None:
    (made,), taken = step.outputs, writer.whole(step.taken())
    writer.follow(made, [_softened(writer, taken, writer.named(made))])


def _softened(writer: Writer, taken: Feature, name: str) -> Feature:
    message, made = writer.layer("softmaxND", [taken], taken.size, name)
    message.axis = -1
    return made


def _least(writer: Writer, step: Step) -> None:
    (made,), taken = step.outputs, writer.whole(step.taken())
    message, feature = writer.layer("argMin", [taken], 1, writer.named(made))
    message.axis = -1
    writer.follow(made, [feature])


def _total(writer: Writer, taken: Feature, name: str) -> Feature:
    message, made = writer.layer("reduceSum", [taken], 1, name)
    message.axes.append(-1)
    message.keepDims = True
    return made


def _sum(writer: Writer, step: Step) -> None:
    (made,) = step.outputs
    writer.follow(made, [_total(writer, writer.whole(step.taken()), writer.named(made))])


def _normalizer(writer: Writer, step: Step) -> None:
    """Normalizer with norm L1, of numbers that are not negative."""
    (made,), taken = step.outputs, writer.whole(step.taken())
    if step.settings.get("norm") != "L1":
        raise _refused(step, f" by {step.settings.get('norm')}")
    if taken.kind == "classes":
        raise _refused(step, " of what trees say")
    total = _total(writer, taken, writer.fresh())
    _, share = writer.layer("divideBroadcastable", [taken, total], made.size, writer.named(made))
    writer.follow(made, [share])


def _linear(writer: Writer, step: Step, name: str) -> Feature:
    """The scores of a linear model."""
    start = np.array(step.settings["intercepts"])
    weights = np.array(step.settings["coefficients"]).reshape(start.size, -1)
    return _inner(writer, writer.whole(step.taken()), weights, start, name)


def _linear_classifier(writer: Writer, step: Step) -> None:
    probability = step.outputs[1]
    scores, name = _linear(writer, step, writer.fresh()), writer.named(probability)
    match step.settings.get("post_transform", "NONE"):
        case "SOFTMAX":
            feature = _softened(writer, scores, name)
        case "LOGISTIC":
            feature = _activated(writer, "sigmoid", scores, name)
        case other:
            raise _refused(step, f" with {other}")
    writer.follow(probability, [feature])


def _linear_regressor(writer: Writer, step: Step) -> None:
    if step.settings.get("post_transform", "NONE") != "NONE":
        raise _refused(step, " with post_transform")
    (made,) = step.outputs
    writer.follow(made, [_linear(writer, step, writer.named(made))])


def _tree_regressor(writer: Writer, step: Step) -> None:
    (made,), trees = step.outputs, Trees.of(step)
    if step.settings.get("post_transform", "NONE") != "NONE" or len(trees.start) != 1:
        raise _refused(step, " of several numbers or with post_transform")
    feature = Feature(writer.named(made), "double")
    message = writer.model("treeEnsembleRegressor", [writer.whole(step.taken())], [feature])
    _planted(message.treeEnsemble, trees)
    writer.follow(made, [feature])


# What turns scores into probabilities: of the score of the second class alone, or of all classes.
TRANSFORMS = {
    ("LOGISTIC", True): "Regression_Logistic",
    ("SOFTMAX", False): "Classification_SoftMax",
    ("NONE", False): "NoTransform",
}


def _tree_classifier(writer: Writer, step: Step) -> None:
    trees, classes = Trees.of(step), writer.classes()
    how = step.settings.get("post_transform", "NONE")
    if how == "NONE" and len(trees.start) == 1:
        # The share of the second of two classes: the other has the rest.
        both = np.hstack([-trees.weights, trees.weights])
        trees = replace(trees, weights=both, start=np.append(1 - trees.start, trees.start))
    transform = TRANSFORMS.get((how, len(trees.start) == 1))
    if transform is None:
        raise _refused(step, f" of {len(trees.start)} scores with {how}")
    message = writer.model("treeEnsembleClassifier", [writer.whole(step.taken())], classes)
    _planted(message.treeEnsemble, trees)
    transforms = writer.proto.TreeEnsemble_pb2.TreeEnsemblePostEvaluationTransform
    message.postEvaluationTransform = transforms.Value(transform)
    writer.label(message)
    writer.follow(step.outputs[1], classes[1:])


def _planted(message: Any, trees: Trees) -> None:
    """Write trees node by node; their numbers count from 0 in each."""
    message.numPredictionDimensions = len(trees.start)
    message.basePredictionValue.extend(map(float, trees.start))
    for tree, root in enumerate(trees.roots):
        numbers: dict[int, int] = {}
        waiting = [int(root)]
        while waiting:
            node = waiting.pop()
            made = message.nodes.add(treeId=tree, nodeId=numbers.setdefault(node, len(numbers)))
            if node < 0:
                made.nodeBehavior = made.TreeNodeBehavior.Value("LeafNode")
                for score in np.flatnonzero(trees.weights[~node]):
                    weight = float(trees.weights[~node, score])
                    made.evaluationInfo.add(evaluationIndex=int(score), evaluationValue=weight)
                continue
            made.nodeBehavior = made.TreeNodeBehavior.Value(BRANCHES[trees.comparison])
            made.branchFeatureIndex = int(trees.columns[node])
            made.branchFeatureValue = float(trees.thresholds[node])
            made.missingValueTracksTrueChild = bool(trees.missing[node])
            yes, no = int(trees.yes[node]), int(trees.no[node])
            made.trueChildNodeId = numbers.setdefault(yes, len(numbers))
            made.falseChildNodeId = numbers.setdefault(no, len(numbers))
            waiting += [no, yes]


WRITERS: dict[str, Callable[[Writer, Step], None]] = {
    "Add": _elementwise("addBroadcastable"),
    "ArgMin": _least,
    "Cast": _alias,
    "Concat": _concat,
    "Div": _elementwise("divideBroadcastable"),
    "Exp": _unary("EXP"),
    "Gather": _gather,
    "Identity": _alias,
    "Imputer": _imputer,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "MatMul": _product,
    "Max": _elementwise("maxBroadcastable"),
    "Min": _elementwise("minBroadcastable"),
    "Mul": _elementwise("multiplyBroadcastable"),
    "Normalizer": _normalizer,
    "OneHotEncoder": _one_hot,
    "ReduceSum": _sum,
    "Relu": _activation("ReLU"),
    "Reshape": _alias,
    "Scaler": _scaler,
    "Sigmoid": _activation("sigmoid"),
    "Softmax": _softmax,
    "Sqrt": _unary("SQRT"),
    "Sub": _elementwise("subtractBroadcastable"),
    "Sum": _elementwise("addBroadcastable"),
    "Tanh": _activation("tanh"),
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsembleRegressor": _tree_regressor,
}
