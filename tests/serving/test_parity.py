"""What is served is what scikit-learn says of the test rows, in every form of request."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from pipeline.running import Reproduced, each_task
from serving.running import Row, Server, encode, serving
from serving.truth import Truth, of_tensors

# Around the bounds of batches, and many.
SIZES = [1, 1, 2, 3, 10, 33, 100, 255, 256, 257, 1000]
FORMATS = {"FP32": "f", "BOOL": "?", "INT64": "q"}


def in_json(server: Server, rows: list[Row]) -> dict[str, list[Any]]:
    answer = server.ask(server.infer, {"inputs": server.tensors(rows)})
    assert answer.status == 200, answer
    return of_tensors(answer.json["outputs"])


def in_binary(server: Server, rows: list[Row]) -> dict[str, list[Any]]:
    """All tensors of request and response as bytes, but texts that are missing: as JSON."""
    inputs, blobs = [], []
    for each in server.tensors(rows):
        if None not in each["data"] or each["datatype"] == "FP32":
            blob = packed(each["datatype"], each.pop("data"))
            each["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        inputs.append(each)
    head = encode({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {"inference-header-content-length": str(len(head))}
    answer = server.ask(server.infer, b"".join([head, *blobs]), headers=headers)
    assert answer.status == 200, answer
    size = int(answer.headers["inference-header-content-length"])
    found = type(answer)(200, {}, answer.body[:size]).json
    rest = answer.body[size:]
    for each in found["outputs"]:
        size = each["parameters"]["binary_data_size"]
        kind = FORMATS[each["datatype"]]
        each["data"] = struct.unpack(f"<{size // struct.calcsize(kind)}{kind}", rest[:size])
        rest = rest[size:]
    assert rest == b""
    return of_tensors(found["outputs"])


def packed(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    known = [float("nan") if value is None else value for value in values]
    return struct.pack(f"<{len(known)}{FORMATS[datatype]}", *known)


def in_plain_rows(server: Server, rows: list[Row]) -> dict[str, list[Any]]:
    found = server.predict(*rows)
    return {
        name: [
            list(row[name].values()) if isinstance(row[name], dict) else row[name] for row in found
        ]
        for name in found[0]
    }


@each_task
def test_answers_are_those_of_scikit_learn(small: Reproduced, task: str, tmp_path: Path) -> None:
    truth = Truth.of(small(task))
    missing = {name for row in truth.rows for name, value in row.items() if value is None}
    assert missing >= {"temp"}, "rows in which something is missing are among them"
    with serving(small(task), tmp_path, "--workers", "2") as server:
        if truth.classes is not None:
            said = server.predict(truth.rows[0])[0]["probability"]
            assert list(said) == truth.classes
        for ask in (in_json, in_binary, in_plain_rows):
            start = 0
            for size in SIZES:
                rows = [truth.rows[(start + i) % len(truth.rows)] for i in range(size)]
                truth.is_told(ask(server, rows), start)
                start += size
            assert start > len(truth.rows)


def test_another_answer_would_be_noticed(small: Reproduced, tmp_path: Path) -> None:
    truth = Truth.of(small("classification"))
    with serving(small("classification"), tmp_path) as server:
        answered = in_json(server, truth.rows[:20])
    truth.is_told(answered, 0)
    with pytest.raises(AssertionError):
        truth.is_told(answered, 1)
    answered["probability"][7][0] += 0.001
    with pytest.raises(AssertionError):
        truth.is_told(answered, 0)
