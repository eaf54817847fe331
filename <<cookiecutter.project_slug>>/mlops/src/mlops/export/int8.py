"""ONNX with the weights of its layers in eight bits: about a quarter of a network's size."""

import logging
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from ..errors import InputError

# What a network has and nothing else: two layers at least.
LAYERS = 2


def quantised(model: onnx.ModelProto) -> bytes:
    """The model with its layers' weights in eight bits, computed with in eight bits.

    Activations are scaled for each row as it comes ("dynamic"), so that no row is needed here.

    Raises:
        InputError: it is no network, so that there is nothing to make smaller.
    """
    if len(_layers(model)) < LAYERS:
        raise InputError(
            "export.targets.onnx-int8: the model has no layers whose weights could be of eight "
            "bits; only networks have (train.estimator: mlp or network). Trees and linear models "
            "are small as they are: export to c, or leave this target out"
        )
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, before)
        logger = logging.getLogger()
        level = logger.level
        logger.setLevel(logging.ERROR)  # it asks for a preparation that changes nothing here
        try:
            # Behind an operator of ai.onnx.ml no type is inferred: what layers take is float32.
            options = {"DefaultTensorType": TensorProto.FLOAT}
            quantize_dynamic(before, after, weight_type=QuantType.QInt8, extra_options=options)
        finally:
            logger.setLevel(level)
        return after.read_bytes()


def _layers(model: onnx.ModelProto) -> list[str]:
    """The steps that multiply by a matrix of constants in float32."""
    matrices = {
        each.name
        for each in model.graph.initializer
        if len(each.dims) == 2 and each.data_type == TensorProto.FLOAT
    }
    return [
        node.name
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in matrices
    ]
