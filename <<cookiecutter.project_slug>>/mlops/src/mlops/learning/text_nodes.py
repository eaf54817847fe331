"""Words of texts as ONNX: what `texts` computes, which skl2onnx puts among the features."""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType

from .network_nodes import ML, Graph
from .texts import NOTHING, WORD, TextEncoder

RUNTIME = "com.microsoft"


def _words(scope: Any, operator: Any, container: Any) -> None:
    """The words of each text, how often each column's is there, and numbers of length 1."""
    graph, encoder = Graph(scope, container), operator.raw_operator
    flat = graph.add(
        "Reshape", operator.inputs[0].full_name, graph.constant(np.array([-1])), version=14
    )
    lower = graph.add(
        "StringNormalizer",
        flat,
        version=10,
        case_change_action="LOWER",
        is_case_sensitive=1,
        locale="C",
    )
    words = graph.add(
        "Tokenizer",
        lower,
        domain=RUNTIME,
        version=1,
        mark=0,
        mincharnum=1,
        pad_value="",
        tokenexp=WORD,
    )
    count = (
        _hashed(graph, words, encoder)
        if len(encoder.words_) == 0
        else _known(graph, words, encoder)
    )
    exact = graph.add("Cast", count, to=TensorProto.DOUBLE)
    if (encoder.weights_ != 1).any():
        exact = graph.add("Mul", exact, graph.constant(encoder.weights_), version=14)
    square = graph.add("Mul", exact, exact, version=14)
    length = graph.add("Sqrt", graph.add("ReduceSum", square, graph.constant(np.array([1]))))
    some = graph.add("Max", length, graph.constant(np.array([NOTHING])))
    unit = graph.add("Div", exact, some, version=14)
    graph.add("Cast", unit, output=operator.output_full_names[0], to=TensorProto.FLOAT)


def _known(graph: Graph, words: str, encoder: TextEncoder) -> str:
    """How often each word of the vocabulary is there."""
    places, written = zip(*encoder.written(), strict=True)
    return graph.add(
        "TfIdfVectorizer",
        words,
        version=9,
        mode="TF",
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        ngram_counts=[0],
        ngram_indexes=[*places],
        pool_strings=[each.encode() for each in written],
    )


def _hashed(graph: Graph, words: str, encoder: TextEncoder) -> str:
    """How many words are in each column; what fills a row up is none."""
    count = graph.constant(np.array([len(encoder.weights_)]))
    code = graph.add("MurmurHash3", words, domain=RUNTIME, version=1, positive=1, seed=0)
    place = graph.add("Mod", graph.add("Cast", code, to=TensorProto.INT64), count)
    one = graph.add(
        "LabelEncoder",
        words,
        domain=ML,
        version=2,
        keys_strings=[b""],
        values_floats=[0.0],
        default_float=1.0,
    )
    rows = graph.add("Shape", words, version=15, start=0, end=1)
    nothing = graph.add("ConstantOfShape", graph.add("Concat", rows, count, axis=0), version=9)
    return graph.add("ScatterElements", nothing, place, one, version=18, axis=1, reduction="add")


def _type(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, len(operator.raw_operator.weights_)])


def register() -> None:
    """Tell skl2onnx what becomes of words."""
    update_registered_converter(TextEncoder, "TextEncoder", _type, _words, overwrite=True)
