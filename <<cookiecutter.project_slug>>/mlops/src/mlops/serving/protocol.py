"""Messages of the Open Inference Protocol v2, and the binary extension of their tensors.

The protocol: https://github.com/kserve/open-inference-protocol
The extension: docs/protocol/extension_binary_data.md of
https://github.com/triton-inference-server/server
"""

import struct
from typing import Annotated, Any, cast

import msgspec
import numpy as np

from .budget import SMALL
from .errors import Refused

# How numbers lie in binary tensors; BYTES is read by `_texts`.
DTYPES = {
    "BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip

Values = list[Any] | np.ndarray
Parameters = dict[str, Any]
# Null where a client means none: MLServer's does.
Optional = Parameters | None
# What the log repeats for each row, and a page of it shows.
ID_CHARACTERS = 256

# Parameters of extensions that the server has not: whoever uses one must not be answered as if.
UNSUPPORTED = {
    "classification": "the server has no classification extension: ask for the outputs themselves",
    "shared_memory_region": "the server shares no memory: send the values",
}


class Tensor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An input or output: values row by row, `data` flat or nested as `shape` says.

    After `decode`, `data` of a binary tensor of numbers is an array, a view of the request's body.
    """

    name: str
    datatype: str
    shape: list[Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]]
    data: list[Any] | None = None
    parameters: Optional = None


class Wanted(msgspec.Struct):
    """An output that a request asks for."""

    name: str
    parameters: Optional = None


class InferRequest(msgspec.Struct):
    """What is asked."""

    inputs: list[Tensor]
    id: Annotated[str, msgspec.Meta(max_length=ID_CHARACTERS)] | None = None
    parameters: Optional = None
    outputs: list[Wanted] | None = None


class InferResponse(msgspec.Struct, omit_defaults=True):
    """What is answered. Of `parameters` there are those that model.UNKNOWN begins."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Tensor]
    parameters: Parameters = {}


# Bytes that are counted at a time.
STRIDE = 2**20
# Dimensions of a wrong shape that are shown.
SHOWN = 8

_length = struct.Struct("<I").unpack_from
_request = msgspec.json.Decoder(InferRequest)
encode = msgspec.json.Encoder().encode


def error(message: str) -> bytes:
    """The protocol's error object; not all of a name or shape that a client made long."""
    return encode({"error": f"{message:.1000}"})


def cost(body: bytes | bytearray, json_bytes: int | None = None) -> int:
    """Bytes of memory that decoding a request takes at most, beside the body's own.

    As CPython 3.11 allocates, rounded up: a number takes 40 with its place in a list, a text 64, a
    list 80, a dictionary 240, each of its entries 110. A text's characters are there twice while it
    is read, and have four bytes each once one of them needs as many.

    Args:
        body, json_bytes: see decode.
    """
    if len(body) <= SMALL:
        return 32 * len(body)  # of which all but `{"":0},` over and over again stays clear
    text = body if json_bytes is None else body[:json_bytes]
    wide = 2 if text.isascii() and b"\\u" not in text else 7
    taken = wide * len(text) + sum(each * count(text, mark) for mark, each in _TAKES.items())
    # A text in a binary tensor has at least the four bytes of its length.
    return taken + (16 if b"BYTES" in text else 2) * (len(body) - len(text))


# What comes with each of these marks: see cost.
_TAKES = {b",": 40, b'"': 12, b"[": 80, b"{": 240, b":": 110}


def count(text: bytes | bytearray, mark: bytes) -> int:
    """How often a byte stands in a text: as its method, but as fast where it often does."""
    if len(text) <= SMALL:
        return text.count(mark)
    array, code = np.frombuffer(text, np.uint8), mark[0]
    parts = (array[at : at + STRIDE] for at in range(0, len(array), STRIDE))
    return sum(int(np.count_nonzero(part == code)) for part in parts)


def decode(body: bytes | bytearray, json_bytes: int | None = None) -> InferRequest:
    """Read a request.

    Args:
        body: JSON in UTF-8; with the binary extension the tensors' bytes follow it.
        json_bytes: where the JSON ends: the header Inference-Header-Content-Length.
    Raises:
        Refused: it is no such request.
    """
    if json_bytes is None:
        request = read(_request, body)
        _supported(request)
        return cast(InferRequest, request)
    if json_bytes > len(body):
        raise Refused(
            f"Inference-Header-Content-Length is {json_bytes}, the body has {len(body)} bytes"
        )
    view = memoryview(body)
    request = read(_request, view[:json_bytes])
    _supported(request)
    rest = view[json_bytes:]
    for tensor in request.inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= len(rest):
            raise Refused(f"input {tensor.name}: binary_data_size {size} is not in the body")
        tensor.data = cast("list[Any]", _values(tensor, rest[:size]))
        rest = rest[size:]
    if len(rest):
        raise Refused(f"{len(rest)} bytes after the tensors belong to none of them")
    return cast(InferRequest, request)


def _supported(request: InferRequest) -> None:
    """Raise Refused where a request means what would be left aside."""
    if request.parameters:
        _is_flag("parameters", request.parameters, "binary_data_output")
    for tensor in request.inputs:
        if tensor.parameters:
            _known(f"input {tensor.name}", tensor.parameters)
            if tensor.parameters.get("content_type") == "base64":
                raise Refused(f"input {tensor.name}: send texts as they are, not in base64")
    for wanted in request.outputs or ():
        if wanted.parameters:
            _known(f"output {wanted.name}", wanted.parameters)
            _is_flag(f"output {wanted.name}", wanted.parameters, "binary_data")


def _known(whose: str, parameters: Parameters) -> None:
    for name, why in UNSUPPORTED.items():
        if name in parameters:
            raise Refused(f"{whose}: {why}")


def _is_flag(whose: str, parameters: Parameters, name: str) -> None:
    if not isinstance(parameters.get(name), bool | None):
        raise Refused(f"{whose}: {name} is neither true nor false")


def read(decoder: msgspec.json.Decoder[Any], text: bytes | bytearray | memoryview) -> Any:
    """Decode JSON. Raises Refused with the place of the mistake."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as wrong:
        raise Refused(str(wrong)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        hint = ""
        if any(name in bytes(text) for name in (b"NaN", b"Infinity")):
            hint = "; JSON has no NaN and no Infinity: send null where a value is missing"
        raise Refused(f"the body is not JSON: {wrong}{hint}") from None
    except RecursionError:
        raise Refused("the body is nested too deeply") from None


def flat(tensor: Tensor) -> Values:
    """The values of a tensor of shape [rows] or [rows, 1], one a row. Raises Refused."""
    shape, values = tensor.shape, cast("Values | None", tensor.data)
    if values is None:
        raise Refused(f"input {tensor.name}: no data")
    rows = _rows(tensor)
    if len(shape) == 2 and isinstance(values, list) and values and type(values[0]) is list:
        if any(type(row) is not list or len(row) != 1 for row in values):
            raise Refused(f"input {tensor.name}: nested data is not a row each, of one value")
        values = [row[0] for row in values]
    if len(values) != rows:
        raise Refused(f"input {tensor.name}: {len(values)} values for the shape {shape}")
    return values


def _rows(tensor: Tensor) -> int:
    """How many rows a shape says. Raises Refused where it is no column's."""
    shape = tensor.shape
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        told = str(shape) if len(shape) <= SHOWN else f"of {len(shape)} dimensions"
        raise Refused(f"input {tensor.name}: shape {told} is neither [rows] nor [rows, 1]")
    return shape[0]


def _values(tensor: Tensor, content: memoryview) -> Values:
    """The values in a binary tensor: a view of numbers, a list of texts."""
    rows = _rows(tensor)
    if tensor.datatype == "BYTES":
        return _texts(tensor, content, rows)
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        raise Refused(f"input {tensor.name}: there is no datatype {tensor.datatype}")
    if len(content) != rows * np.dtype(dtype).itemsize:
        raise Refused(
            f"input {tensor.name}: {len(content)} bytes for {tensor.datatype} {tensor.shape}"
        )
    return np.frombuffer(content, dtype)


def _texts(tensor: Tensor, content: memoryview, rows: int) -> list[str]:
    """Texts, each after its length in four bytes."""
    texts: list[str] = []
    at, end, whole = 0, len(content), bytes(content)
    try:
        while at < end:
            if len(texts) == rows:
                raise Refused(f"input {tensor.name}: more than {rows} texts")
            (size,) = _length(whole, at)
            at += 4
            if size > end - at:
                raise Refused(f"input {tensor.name}: a text is cut off")
            texts.append(whole[at : at + size].decode())
            at += size
    except (struct.error, UnicodeDecodeError) as wrong:
        raise Refused(f"input {tensor.name}, row {len(texts) + 1}: {wrong}") from None
    return texts


def binary(datatype: str, values: Values) -> bytes:
    """The values of an output as a binary tensor."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values, DTYPES[datatype]).tobytes()
