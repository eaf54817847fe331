"""Core ML's saved specification, read and computed by NumPy: there is no Core ML but on macOS.

It knows the models and layers that `coreml` writes, and computes what their messages say, which
are explained in https://apple.github.io/coremltools/mlmodel. It never sees the ONNX model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from ..errors import InputError
from ..files import read_bytes
from ..inference import read_metadata
from .coreml import messages

Features = dict[str, np.ndarray]
# Outputs of one number a row; the others have several.
NUMBERS = ("prediction", "lower", "upper")


@dataclass(frozen=True)
class Specification:
    """A model in Core ML that NumPy answers for.

    Attributes:
        metadata: what travels with the model.
    """

    metadata: dict[str, Any]
    model: Any = field(repr=False)

    @staticmethod
    def of(path: Path) -> "Specification":
        """Read a `.mlmodel`. Raises InputError where it is none."""
        model = messages().Model_pb2.Model()
        content = read_bytes(path)
        try:
            model.ParseFromString(content)
        except Exception as error:  # protobuf's own class of error is private
            raise InputError(f"{path}: not a Core ML model: {error}") from error
        return Specification(read_metadata(model.description.metadata.userDefined), model)

    def predict(self, columns: Features) -> Features:
        """The outputs for columns, as inference.OnnxModel.predict has them."""
        known: Features = {}
        for each in self.model.description.input:
            is_text = each.type.WhichOneof("Type") == "stringType"
            known[each.name] = columns[each.name].astype(str if is_text else "float64")
        found = _computed(self.model, known)
        outputs = {each.name: found[each.name] for each in self.model.description.output}
        for each in self.model.description.output:
            array = each.type.multiArrayType
            if array.dataType == array.ArrayDataType.Value("INT32"):
                outputs[each.name] = outputs[each.name].astype("int64")
        return {
            name: values.ravel() if name in NUMBERS else values for name, values in outputs.items()
        }


def _computed(model: Any, known: Features) -> Features:
    """What a model of any kind makes of features, whose first axis are rows."""
    kind = model.WhichOneof("Type")
    parameters = getattr(model, kind)
    if kind in ("pipeline", "pipelineClassifier"):
        pipeline = parameters if kind == "pipeline" else parameters.pipeline
        for each in pipeline.models:
            taken = {name.name: known[name.name] for name in each.description.input}
            known = known | _computed(each, taken)
        return known
    read = KINDS.get(kind)
    if read is None:
        raise InputError(f"Core ML: a model of kind {kind} cannot be computed here")
    return read(model, parameters, known)


def _alone(model: Any, known: Features, values: np.ndarray) -> Features:
    """The only output."""
    (output,) = model.description.output
    return {output.name: values}


def _taken(model: Any, known: Features) -> np.ndarray:
    """The only input."""
    (each,) = model.description.input
    return known[each.name]


def _vectorizer(model: Any, parameters: Any, known: Features) -> Features:
    columns = []
    for each in parameters.inputList:
        values = known[each.inputColumn].reshape(-1, each.inputDimensions)
        columns.append(values.astype("float64"))
    return _alone(model, known, np.hstack(columns))


def _imputer(model: Any, parameters: Any, known: Features) -> Features:
    values = _taken(model, known)
    assert np.isnan(parameters.replaceDoubleValue)
    return _alone(model, known, np.where(np.isnan(values), parameters.imputedDoubleValue, values))


def _scaler(model: Any, parameters: Any, known: Features) -> Features:
    shift, scale = np.array(parameters.shiftValue), np.array(parameters.scaleValue)
    return _alone(model, known, (_taken(model, known) + shift) * scale)


def _one_hot(model: Any, parameters: Any, known: Features) -> Features:
    categories = np.array(parameters.stringCategories.vector)
    values = _taken(model, known)
    return _alone(model, known, (values[:, None] == categories).astype("float64"))


def _labels(parameters: Any) -> np.ndarray:
    named = parameters.WhichOneof("ClassLabels")
    return np.array(getattr(parameters, named).vector)


def _classified(model: Any, parameters: Any, probability: np.ndarray) -> Features:
    about = model.description
    return {
        about.predictedFeatureName: _labels(parameters)[probability.argmax(axis=1)],
        about.predictedProbabilitiesName: probability,
    }


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "BranchOnValueLessThanEqual": np.less_equal,
    "BranchOnValueLessThan": np.less,
    "BranchOnValueGreaterThanEqual": np.greater_equal,
    "BranchOnValueGreaterThan": np.greater,
}


def _grown(ensemble: Any, rows: np.ndarray) -> np.ndarray:
    """What trees add up to, shape (rows, scores)."""
    nodes = {(node.treeId, node.nodeId): node for node in ensemble.nodes}
    total = np.tile(np.array(ensemble.basePredictionValue, "float64"), (len(rows), 1))
    waiting = [(tree, 0, np.arange(len(rows))) for tree in dict.fromkeys(t for t, _ in nodes)]
    while waiting:
        tree, number, here = waiting.pop()
        node = nodes[tree, number]
        behavior = node.TreeNodeBehavior.Name(node.nodeBehavior)
        if behavior == "LeafNode":
            for each in node.evaluationInfo:
                total[here, each.evaluationIndex] += each.evaluationValue
            continue
        values = rows[here, node.branchFeatureIndex]
        is_true = COMPARISONS[behavior](values, node.branchFeatureValue)
        is_true = np.where(np.isnan(values), node.missingValueTracksTrueChild, is_true)
        waiting.append((tree, node.trueChildNodeId, here[is_true]))
        waiting.append((tree, node.falseChildNodeId, here[~is_true]))
    return total


def _tree_regressor(model: Any, parameters: Any, known: Features) -> Features:
    return _alone(model, known, _grown(parameters.treeEnsemble, _taken(model, known)).ravel())


def _tree_classifier(model: Any, parameters: Any, known: Features) -> Features:
    scores = _grown(parameters.treeEnsemble, _taken(model, known))
    match parameters.postEvaluationTransform:
        case 1:  # Classification_SoftMax
            scores = _softmax(scores)
        case 2:  # Regression_Logistic, of the second of two classes
            second = expit(scores)
            scores = np.hstack([1 - second, second])
    return _classified(model, parameters, scores)


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _network(model: Any, parameters: Any, known: Features) -> Features:
    blobs = {
        name: values.reshape(len(values), -1).astype("float32") for name, values in known.items()
    }
    for layer in parameters.layers:
        kind = layer.WhichOneof("layer")
        compute = LAYERS.get(kind)
        if compute is None:
            raise InputError(f"Core ML: a layer of kind {kind} cannot be computed here")
        blobs[layer.output[0]] = compute(
            getattr(layer, kind), [blobs[name] for name in layer.input]
        )
    return blobs


def _network_classifier(model: Any, parameters: Any, known: Features) -> Features:
    blobs = _network(model, parameters, known)
    return _classified(model, parameters, blobs[parameters.labelProbabilityLayerName])


def _weights(message: Any) -> np.ndarray:
    return np.array(message.floatValue, "float32")


def _inner_layer(layer: Any, taken: list[np.ndarray]) -> np.ndarray:
    weights = _weights(layer.weights).reshape(layer.outputChannels, layer.inputChannels)
    made: np.ndarray = taken[0] @ weights.T
    return made + _weights(layer.bias) if layer.hasBias else made


def _constant_layer(layer: Any, taken: list[np.ndarray]) -> np.ndarray:
    return _weights(layer.data).reshape(1, *layer.shape)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ReLU": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
}


def _activation_layer(layer: Any, taken: list[np.ndarray]) -> np.ndarray:
    return ACTIVATIONS[layer.WhichOneof("NonlinearityType")](taken[0])


def _unary_layer(layer: Any, taken: list[np.ndarray]) -> np.ndarray:
    compute = {"SQRT": np.sqrt, "EXP": np.exp}[layer.Operation.Name(layer.type)]
    made: np.ndarray = compute(layer.scale * taken[0] + layer.shift)
    return made


def _of_two(compute: Callable[..., Any]) -> Callable[[Any, list[np.ndarray]], np.ndarray]:
    return lambda layer, taken: compute(*taken)


LAYERS: dict[str, Callable[[Any, list[np.ndarray]], np.ndarray]] = {
    "activation": _activation_layer,
    "addBroadcastable": _of_two(np.add),
    "argMin": lambda layer, taken: taken[0].argmin(axis=layer.axis, keepdims=True),
    "concatND": lambda layer, taken: np.concatenate(taken, axis=layer.axis),
    "divideBroadcastable": _of_two(np.divide),
    "innerProduct": _inner_layer,
    "loadConstantND": _constant_layer,
    "maxBroadcastable": _of_two(np.maximum),
    "minBroadcastable": _of_two(np.minimum),
    "multiplyBroadcastable": _of_two(np.multiply),
    "reduceSum": lambda layer, taken: taken[0].sum(axis=tuple(layer.axes), keepdims=layer.keepDims),
    "softmaxND": lambda layer, taken: _softmax(taken[0]),
    "subtractBroadcastable": _of_two(np.subtract),
    "unary": _unary_layer,
}

KINDS: dict[str, Callable[[Any, Any, Features], Features]] = {
    "featureVectorizer": _vectorizer,
    "imputer": _imputer,
    "neuralNetwork": _network,
    "neuralNetworkClassifier": _network_classifier,
    "oneHotEncoder": _one_hot,
    "scaler": _scaler,
    "treeEnsembleClassifier": _tree_classifier,
    "treeEnsembleRegressor": _tree_regressor,
}
