"""What a request says that would cost, mislead or be left aside."""

from typing import Any

import pytest
from serving.running import Server, encode


def asked(server: Server, **changes: Any) -> dict[str, Any]:
    """A request of one row; `changes` to its first number."""
    inputs = server.tensors([server.example()])
    first = next(i for i, each in enumerate(inputs) if each["datatype"] == "FP32")
    inputs[first] |= changes
    return {"inputs": inputs}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": [2**53 - 1] * 800_000}, "send 1 to 10000 at a time"),
        ({"shape": [1] * 800_000}, "800000 dimensions"),
        ({"shape": [1, 2**53 - 1]}, "is neither"),
        (
            {"shape": [2**53 - 1] * 800_000, "parameters": {"binary_data_size": 4}},
            "800000 dimensions",
        ),
        ({"shape": [2**70]}, "shape"),
        ({"datatype": "INT64", "data": [1.5]}, "1.5 is no INT64"),
        ({"datatype": "UINT8", "data": [256]}, "256 is no UINT8"),
        ({"datatype": "INT8", "data": [-129]}, "-129 is no INT8"),
        ({"datatype": "INT32", "data": [True]}, "True is no INT32"),
        ({"parameters": {"content_type": "base64"}}, "base64"),
        ({"parameters": {"shared_memory_region": "x"}}, "shares no memory"),
    ],
)
def test_a_tensor_that_is_not_as_it_says_is_refused(
    server: Server, changes: dict[str, Any], told: str
) -> None:
    content, headers = encode(asked(server, **changes)), {}
    if "binary_data_size" in (changes.get("parameters") or {}):
        headers["inference-header-content-length"] = str(len(content))
        content += b"1234"
    answer = server.ask(server.infer, content, headers=headers)
    assert answer.status in (400, 413)
    assert told in answer.json["error"]
    assert len(answer.body) < 1100


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"id": "x" * 257}, "id"),
        ({"outputs": [{"name": "prediction", "parameters": {"classification": 2}}]}, "extension"),
        (
            {"outputs": [{"name": "prediction", "parameters": {"shared_memory_region": "x"}}]},
            "shares no memory",
        ),
        ({"parameters": {"binary_data_output": 1}}, "binary_data_output is neither true nor"),
        (
            {"outputs": [{"name": "prediction", "parameters": {"binary_data": "yes"}}]},
            "output prediction: binary_data is neither true nor",
        ),
    ],
)
def test_what_would_be_left_aside_is_refused(
    server: Server, more: dict[str, Any], told: str
) -> None:
    answer = server.ask(server.infer, asked(server) | more)
    assert answer.status == 400
    assert told in answer.json["error"]


def test_null_stands_for_what_is_not_there(server: Server) -> None:
    """As MLServer's clients write it."""
    content = asked(server, parameters=None) | {"id": None, "parameters": None, "outputs": None}
    assert server.ask(server.infer, content).status == 200
    outputs = [{"name": "prediction", "parameters": None}]
    assert server.ask(server.infer, asked(server) | {"outputs": outputs}).status == 200


def test_null_is_no_flag(server: Server) -> None:
    content = asked(server) | {"parameters": {"binary_data_output": None}}
    content["outputs"] = [{"name": "prediction", "parameters": {"binary_data": None}}]
    assert "data" in server.ask(server.infer, content).json["outputs"][0]


def test_integers_of_json_may_have_a_point(server: Server) -> None:
    assert server.ask(server.infer, asked(server, datatype="INT16", data=[2.0])).status == 200


@pytest.mark.parametrize("literal", [b"NaN", b"-Infinity"])
def test_a_literal_that_json_has_not_is_told(server: Server, literal: bytes) -> None:
    answer = server.ask("/predict", b'{"size": ' + literal + b"}")
    assert answer.status == 400
    assert "send null where a value is missing" in answer.json["error"]


def test_a_category_has_an_end(server: Server) -> None:
    row = server.example()
    name = next(each for each, value in row.items() if isinstance(value, str))
    assert server.ask("/predict", row | {name: "é" * 1000}).status == 200
    answer = server.ask("/predict", row | {name: "é" * 1001})
    assert answer.status == 400
    assert "more than 1000 characters" in answer.json["error"]
    assert len(answer.body) < 300


def test_the_id_of_tests_hides_no_other_row(server: Server) -> None:
    """Monitoring leaves it out: under it there is the model's example, and nothing else."""
    row = server.example()
    content = {"id": "mlops-example", "inputs": server.tensors([row, row])}
    assert server.ask(server.infer, content).status == 200
    number = next(each for each, value in row.items() if isinstance(value, float))
    for rows in ([row | {number: 0.25}], [row, row | {number: 0.25}]):
        content["inputs"] = server.tensors(rows)
        answer = server.ask(server.infer, content)
        assert answer.status == 400
        assert "for requests of the model's example alone" in answer.json["error"]
