"""Messages of the Open Inference Protocol v2, and the binary extension of their tensors.

The protocol: https://github.com/kserve/open-inference-protocol
The extension: docs/protocol/extension_binary_data.md of
https://github.com/triton-inference-server/server
"""

import struct
from math import prod
from typing import Any

import msgspec
import numpy as np

from .errors import Refused

# How numbers lie in binary tensors; BYTES is read by `_texts`.
DTYPES = {
    "BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip

Parameters = dict[str, Any]


class Tensor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An input or output: values row by row, `data` flat or nested as `shape` says."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: Parameters = {}


class Wanted(msgspec.Struct):
    """An output that a request asks for."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct):
    """What is asked."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[Wanted] = []


class InferResponse(msgspec.Struct, omit_defaults=True):
    """What is answered. Of `parameters` there are those that model.UNKNOWN begins."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Tensor]
    parameters: Parameters = {}


_request = msgspec.json.Decoder(InferRequest)
encode = msgspec.json.Encoder().encode


def error(message: str) -> bytes:
    """The protocol's error object; not all of a name or shape that a client made long."""
    return encode({"error": f"{message:.1000}"})


def decode(body: bytes | bytearray, json_bytes: int | None = None) -> InferRequest:
    """Read a request.

    Args:
        body: JSON in UTF-8; with the binary extension the tensors' bytes follow it.
        json_bytes: where the JSON ends: the header Inference-Header-Content-Length.
    Raises:
        Refused: it is no such request.
    """
    if json_bytes is None:
        return read(_request, body)
    if json_bytes > len(body):
        raise Refused(
            f"Inference-Header-Content-Length is {json_bytes}, the body has {len(body)} bytes"
        )
    view = memoryview(body)
    request = read(_request, view[:json_bytes])
    rest = view[json_bytes:]
    for tensor in request.inputs:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= len(rest):
            raise Refused(f"input {tensor.name}: binary_data_size {size} is not in the body")
        tensor.data = _values(tensor, rest[:size])
        rest = rest[size:]
    if len(rest):
        raise Refused(f"{len(rest)} bytes after the tensors belong to none of them")
    return request


def read(decoder: msgspec.json.Decoder[Any], text: bytes | bytearray | memoryview) -> Any:
    """Decode JSON. Raises Refused with the place of the mistake."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as wrong:
        raise Refused(str(wrong)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise Refused(f"the body is not JSON: {wrong}") from None
    except RecursionError:
        raise Refused("the body is nested too deeply") from None


def flat(tensor: Tensor) -> list[Any]:
    """The values of a tensor of shape [rows] or [rows, 1], one a row. Raises Refused."""
    shape, values = tensor.shape, tensor.data
    if values is None:
        raise Refused(f"input {tensor.name}: no data")
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise Refused(f"input {tensor.name}: shape {shape} is neither [rows] nor [rows, 1]")
    if len(shape) == 2 and values and type(values[0]) is list:
        if any(type(row) is not list or len(row) != 1 for row in values):
            raise Refused(f"input {tensor.name}: nested data is not a row each, of one value")
        values = [row[0] for row in values]
    if len(values) != shape[0]:
        raise Refused(f"input {tensor.name}: {len(values)} values for the shape {shape}")
    return values


def _values(tensor: Tensor, content: memoryview) -> list[Any]:
    """The values in a binary tensor, None for NaN."""
    if tensor.datatype == "BYTES":
        return _texts(tensor, content)
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        raise Refused(f"input {tensor.name}: there is no datatype {tensor.datatype}")
    if len(content) != prod(tensor.shape) * np.dtype(dtype).itemsize:
        raise Refused(
            f"input {tensor.name}: {len(content)} bytes for {tensor.datatype} {tensor.shape}"
        )
    array = np.frombuffer(content, dtype)
    values: list[Any] = array.tolist()
    if array.dtype.kind == "f":
        for row in np.flatnonzero(np.isnan(array)).tolist():
            values[row] = None
    return values


def _texts(tensor: Tensor, content: memoryview) -> list[str]:
    """Texts, each after its length in four bytes."""
    texts, at = [], 0
    try:
        while at < len(content):
            (size,) = struct.unpack_from("<I", content, at)
            if size > len(content) - at - 4:
                raise Refused(f"input {tensor.name}: a text is cut off")
            texts.append(str(content[at + 4 : at + 4 + size], "utf-8"))
            at += 4 + size
    except (struct.error, UnicodeDecodeError) as wrong:
        raise Refused(f"input {tensor.name}, row {len(texts) + 1}: {wrong}") from None
    return texts


def binary(datatype: str, values: list[Any]) -> bytes:
    """The values of an output as a binary tensor."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, DTYPES[datatype]).tobytes()
