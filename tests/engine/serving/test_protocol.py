"""Messages of the protocol: the binary extension brings the values that JSON brings."""

import struct
from typing import Any

import numpy as np
import pytest

from mlops.serving.errors import Refused
from mlops.serving.protocol import (
    DTYPES,
    Tensor,
    binary,
    decode,
    encode,
    flat,
)
from mlops.serving.signature import listed

HEAD = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": '


def _binary_request(datatype: str, shape: list[int], content: bytes, **more: Any) -> Any:
    parameters = {"binary_data_size": len(content), **more}
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "parameters": parameters}
    head = encode({"inputs": [tensor]})
    return decode(head + content, len(head)).inputs[0]


@pytest.mark.parametrize("datatype", [name for name in DTYPES if name != "BOOL"])
def test_binary_numbers_are_read_and_written(datatype: str) -> None:
    content = np.array([1, 0, 3], DTYPES[datatype]).tobytes()
    assert list(flat(_binary_request(datatype, [3], content))) == [1, 0, 3]
    assert binary(datatype, [1, 0, 3]) == content


def test_binary_texts_and_booleans_are_read_and_written() -> None:
    texts = ["ü", "", "long " * 99]
    assert flat(_binary_request("BYTES", [3, 1], binary("BYTES", texts))) == texts
    assert list(flat(_binary_request("BOOL", [2], b"\x01\x00"))) == [True, False]
    assert binary("BOOL", [True, False]) == b"\x01\x00"


def test_what_is_not_a_number_is_missing() -> None:
    content = np.array([np.nan, 1], "<f4").tobytes()
    assert listed(flat(_binary_request("FP32", [2], content))) == [None, 1]


@pytest.mark.parametrize(
    ("datatype", "shape", "content", "more", "told"),
    [
        ("FP32", [2], b"1234", {}, r"4 bytes for FP32 \[2\]"),
        ("FP32", [-1], b"", {}, "0 bytes for FP32"),
        ("FP128", [1], b"1" * 16, {}, "there is no datatype FP128"),
        ("BYTES", [1], struct.pack("<I", 9) + b"short", {}, "is cut off"),
        ("BYTES", [1], b"12", {}, "row 1"),
        ("BYTES", [1], struct.pack("<I", 1) + b"\xff", {}, "row 1: .*utf-8"),
        ("FP32", [1], b"1234", {"binary_data_size": 5}, "binary_data_size 5 is not in the body"),
        ("FP32", [1], b"1234", {"binary_data_size": "4"}, "is not in the body"),
        ("FP32", [1], b"12345678", {"binary_data_size": 4}, "4 bytes after the tensors"),
    ],
)
def test_lengths_that_lie_are_refused(
    datatype: str, shape: list[int], content: bytes, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(Refused, match=told):
        _binary_request(datatype, shape, content, **more)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[" * 100_000, "Expected .object."),
        (HEAD + b"[" * 100_000, "the body is nested too deeply"),
        (b'{"inputs": 1}', "Expected .array., got .int."),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "data": []}]}', "missing .*shape"),
        (b'{"inputs": [{"name": "\xff"}]}', "the body is not JSON"),
        (HEAD + b"[NaN]}]}", "the body is not JSON"),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(Refused, match=told):
        decode(body)


@pytest.mark.parametrize("data", [[1, 2], [[1], [2]]])
def test_data_is_flat_or_nested(data: list[Any]) -> None:
    assert flat(Tensor(name="x", datatype="FP32", shape=[2, 1], data=data)) == [1, 2]


@pytest.mark.parametrize(
    ("shape", "data", "told"),
    [
        ([2], None, "no data"),
        ([], [1], r"shape \[\] is neither"),
        ([1, 2], [1, 2], "is neither"),
        ([3], [1, 2], "2 values for the shape"),
        ([2, 1], [[1, 2], []], "not a row each"),
        ([2, 1], [[1], [2], [3]], "3 values"),
    ],
)
def test_a_shape_must_fit(shape: list[int], data: list[Any] | None, told: str) -> None:
    with pytest.raises(Refused, match=told):
        flat(Tensor(name="x", datatype="FP32", shape=shape, data=data))
