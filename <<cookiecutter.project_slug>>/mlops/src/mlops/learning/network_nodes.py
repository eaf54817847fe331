"""A declared network as ONNX: each layer is a few nodes, which skl2onnx puts after the features."""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

from ..config.network import Activation
from .encoders import Places
from .layers import (
    EPSILON,
    GELU,
    LEAK,
    Activated,
    Added,
    Affine,
    Embedded,
    Layer,
    Normalised,
    Scaled,
)
from .network import NetworkClassifier, NetworkRegressor

ML = "ai.onnx.ml"
KINDS = {
    **{"f4": TensorProto.FLOAT, "f8": TensorProto.DOUBLE, "i8": TensorProto.INT64},
    "O8": TensorProto.STRING,
}


class Graph:
    """Nodes in the making, among those that skl2onnx makes.

    Args:
        scope, container: as skl2onnx gives them to a converter.
    """

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def add(
        self,
        operator: str,
        *inputs: str,
        version: int = 13,
        domain: str = "",
        output: str | None = None,
        **settings: Any,
    ) -> str:
        """Add an operator, and return the edge of what it makes."""
        made: str = output or self._scope.get_unique_variable_name(operator.lower())
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(
            operator, [*inputs], made, op_domain=domain, op_version=version, name=name, **settings
        )
        return made

    def constant(self, values: Any) -> str:
        """The edge of a constant: float32, float64, int64 or texts."""
        made: str = self._scope.get_unique_variable_name("constant")
        array = np.asarray(values)
        kind = KINDS.get(array.dtype.str[1:], TensorProto.STRING)
        flat = array.ravel()
        told = [str(each).encode() for each in flat] if kind == TensorProto.STRING else flat
        self._container.add_initializer(made, kind, [*array.shape], told)
        return made

    def layers(self, layers: list[Layer], edge: str) -> str:
        """Layers one after the other, from the edge of what they take."""
        for layer in layers:
            edge = self._layer(layer, edge)
        return edge

    def _layer(self, layer: Layer, edge: str) -> str:
        match layer:
            case Embedded():
                return self._embedded(layer, edge)
            case Affine():
                product = self.add("MatMul", edge, self.constant(layer.weights))
                return self.add("Add", product, self.constant(layer.bias), version=14)
            case Scaled():
                return self._scaled(edge, layer.scale, layer.shift)
            case Normalised():
                return self._normalised(layer, edge)
            case Activated():
                return self._activated(layer.name, edge)
            case Added():
                return self.add("Add", edge, self.layers(layer.layers, edge), version=14)

    def _scaled(self, edge: str, scale: np.ndarray, shift: np.ndarray) -> str:
        product = self.add("Mul", edge, self.constant(scale), version=14)
        return self.add("Add", product, self.constant(shift), version=14)

    def _embedded(self, layer: Embedded, edge: str) -> str:
        flat, chosen = self.constant(np.array([-1])), []
        if layer.numbers:
            numbers = self.constant(np.arange(layer.numbers))
            chosen.append(self.add("Gather", edge, numbers, axis=1))
        for i, table in enumerate(layer.tables):
            column = self.constant(np.array([layer.numbers + i]))
            places = self.add("Gather", edge, column, axis=1)
            whole = self.add("Cast", places, to=TensorProto.INT64)
            rows = self.add("Reshape", whole, flat, version=14)
            chosen.append(self.add("Gather", self.constant(table), rows, axis=0))
        return self.add("Concat", *chosen, axis=1)

    def _normalised(self, layer: Normalised, edge: str) -> str:
        columns, share = self.constant(np.array([1])), self._number(1 / len(layer.scale))

        def mean(of: str) -> str:
            total = self.add("ReduceSum", of, columns, keepdims=1)
            return self.add("Mul", total, share, version=14)

        centred = self.add("Sub", edge, mean(edge), version=14)
        variance = mean(self.add("Mul", centred, centred, version=14))
        spread = self.add("Sqrt", self.add("Add", variance, self._number(EPSILON), version=14))
        return self._scaled(self.add("Div", centred, spread, version=14), layer.scale, layer.shift)

    def _activated(self, name: Activation, edge: str) -> str:
        match name:
            case "relu":
                return self.add("Relu", edge, version=14)
            case "tanh":
                return self.add("Tanh", edge)
            case "sigmoid":
                return self.add("Sigmoid", edge)
            case "silu":
                return self.add("Mul", edge, self.add("Sigmoid", edge), version=14)
            case "leaky_relu":
                small = self.add("Mul", edge, self._number(LEAK), version=14)
                return self.add("Max", edge, small)
            case "elu":
                below = self.add("Exp", self.add("Min", edge, self._number(0)))
                whole = self.add("Add", self.add("Relu", edge, version=14), below, version=14)
                return self.add("Sub", whole, self._number(1), version=14)
            case "gelu":
                return self._gelu(edge)

    def _gelu(self, edge: str) -> str:
        def times(one: str, other: str) -> str:
            return self.add("Mul", one, other, version=14)

        cubed = times(times(times(edge, edge), edge), self._number(GELU[1]))
        inner = times(self.add("Add", edge, cubed, version=14), self._number(GELU[0]))
        share = self.add("Add", self.add("Tanh", inner), self._number(1), version=14)
        return times(times(edge, share), self._number(0.5))

    def _number(self, value: float) -> str:
        return self.constant(np.array([value], dtype="float32"))


def _classifier(scope: Any, operator: Any, container: Any) -> None:
    """Scores as probabilities, and the class of the largest."""
    graph, model = Graph(scope, container), operator.raw_operator
    label, probability = operator.output_full_names
    scores = graph.layers(model.layers_, operator.inputs[0].full_name)
    graph.add("Softmax", scores, output=probability, axis=1)
    place = graph.add("ArgMax", scores, axis=1, keepdims=0)
    graph.add(
        "ArrayFeatureExtractor",
        graph.constant(model.classes_),
        place,
        domain=ML,
        version=1,
        output=(row := scope.get_unique_variable_name("label")),
    )
    graph.add("Reshape", row, graph.constant(np.array([-1])), version=14, output=label)


def _regressor(scope: Any, operator: Any, container: Any) -> None:
    """Scores, or their exponential where they are logarithms."""
    graph, model = Graph(scope, container), operator.raw_operator
    scores = graph.layers(model.layers_, operator.inputs[0].full_name)
    kind = "Exp" if model.loss == "poisson" else "Identity"
    graph.add(kind, scores, output=operator.output_full_names[0])


def _places(scope: Any, operator: Any, container: Any) -> None:
    """The place of a text among the categories, or their number."""
    graph, categories = Graph(scope, container), operator.raw_operator.categories_
    place = graph.add(
        "LabelEncoder",
        operator.inputs[0].full_name,
        domain=ML,
        version=2,
        keys_strings=[str(each).encode() for each in categories],
        values_int64s=[*range(len(categories))],
        default_int64=len(categories),
    )
    graph.add("Cast", place, output=operator.output_full_names[0], to=TensorProto.FLOAT)


def _number_type(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, 1])


def register() -> None:
    """Tell skl2onnx what becomes of networks."""
    update_registered_converter(
        NetworkClassifier,
        "NetworkClassifier",
        calculate_linear_classifier_output_shapes,
        _classifier,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False]},
        overwrite=True,
    )
    for kind, name, convert in (
        (NetworkRegressor, "NetworkRegressor", _regressor),
        (Places, "Places", _places),
    ):
        update_registered_converter(kind, name, _number_type, convert, overwrite=True)
