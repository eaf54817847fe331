"""Clients of other makers, as they are on PyPI, talk to the server as to any other of its kind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pipeline.running import Project, shell
from serving.conftest import Environment
from serving.running import Server
from serving.truth import Truth

CLIENTS = {"tritonclient": "tritonclient[http]==2.73.0", "kserve": "kserve==0.21.0"}
SCRIPT = Path(__file__).with_name("clients.py")
ROWS = 12

Client = Callable[[str, Any], dict[str, Any]]
each_client = pytest.mark.parametrize("name", CLIENTS)


@pytest.fixture(scope="session")
def client(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """What asks a server with a client, in an environment of the client's own."""
    folder = tmp_path_factory.mktemp("clients")

    def ask(name: str, asked: Any) -> dict[str, Any]:
        done = subprocess.run(
            [environment(CLIENTS[name]) / "bin" / "python", SCRIPT, name],
            env=shell(folder) | {"NO_PROXY": "*", "no_proxy": "*"},
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        answers: dict[str, Any] = json.loads(done.stdout)
        return answers

    return ask


@pytest.fixture(scope="session")
def truth(project: Project) -> Truth:
    """Test rows, the first of which have something missing, and what is right for them."""
    return Truth.of(project)


@pytest.fixture(scope="session")
def answers(client: Client, server: Server, truth: Truth) -> Callable[[str], dict[str, Any]]:
    """What a client took the server's answers for."""

    @cache
    def ask(name: str) -> dict[str, Any]:
        inputs = server.tensors(truth.rows[:ROWS])
        kinds = {"hour": "INT64", "day_of_week": "INT8", "month": "UINT16", "distance": "FP64"}
        for each in inputs:
            each["datatype"] = kinds.get(each["name"], each["datatype"])
        return client(name, {"url": server.url, "model": server.name, "inputs": inputs})

    return ask


@each_client
def test_values_are_scikit_learns(
    answers: Callable[[str], dict[str, Any]], truth: Truth, name: str
) -> None:
    """Numbers of many types, booleans, texts, missing values; as JSON and as bytes."""
    assert any(value is None for row in truth.rows[:ROWS] for value in row.values())
    found = answers(name)
    for what, id_ in {"json": "r-1", "binary": "r-2", "mixed": "ü✈"}.items():
        assert found[what]["id"] == id_
        assert len(found[what]["outputs"]["prediction"]) == ROWS
        truth.is_told(found[what]["outputs"], 0)
    assert list(found["json"]["outputs"]) == ["prediction", "probability"]
    assert list(found["mixed"]["outputs"]) == ["probability", "prediction"]


@each_client
def test_health(answers: Callable[[str], dict[str, Any]], name: str) -> None:
    about = answers(name)["about"]
    assert [about["live"], about["ready"], about["model ready"]] == [True] * 3


@each_client
def test_errors_say_what_is_wrong(answers: Callable[[str], dict[str, Any]], name: str) -> None:
    kind, text = answers(name)["error"]
    expected = {
        "tritonclient": ("InferenceServerException", "[400] inputs missing: carrier"),
        "kserve": ("HTTPStatusError", "0 rows: send 1 to 10000 at a time, '400 Bad Request'"),
    }
    assert kind == expected[name][0]
    assert expected[name][1] in text


def test_triton_has_more_to_ask(
    answers: Callable[[str], dict[str, Any]], truth: Truth, server: Server
) -> None:
    found = answers("tritonclient")
    assert found["about"]["version ready"]
    assert not found["about"]["other model ready"]
    assert found["about"]["server"]["name"] == server.name
    assert found["about"]["server"]["extensions"] == ["binary_tensor_data"]
    assert found["about"]["model"] == server.metadata
    assert found["version"]["version"] == server.release
    truth.is_told(found["version"]["outputs"], 0)
    assert [each["id"] for each in found["async"]] == [f"a-{i}" for i in range(5)]
    for each in found["async"]:
        truth.is_told(each["outputs"], 0)
