"""Reasons for answers: those of `mlops predict --explain`, within bounds of rows and memory."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from engine import made
from engine.served import ESTIMATORS, INFER, Served, write
from engine.serving.test_app import _metrics, _rows, _tensors

from mlops.data.inputs import columns, model_inputs
from mlops.inference import OnnxModel
from mlops.scoring.reasons import Reasons
from mlops.serving.access import Access
from mlops.serving.app import App
from mlops.serving.batching import Batcher
from mlops.serving.budget import Budget
from mlops.serving.errors import Busy
from mlops.serving.http import Request, Response
from mlops.serving.model import Job, ServedModel
from mlops.serving.settings import Settings

Start = Callable[[str], Served]
EXPLAINED = [what for what in ESTIMATORS if what != "clustering"]


def expected(what: str, rows: int, count: int, folder: Path) -> list[list[str]]:
    """What the command says of the same rows."""
    model = OnnxModel(write(what, folder / "model.onnx"))
    inputs = model_inputs(made.rows(what, rows, seed=3), made.contract(what))
    return Reasons(model).of(columns(inputs), count)


@pytest.mark.parametrize("what", EXPLAINED)
def test_reasons_are_those_of_the_command(served: Start, what: str, tmp_path: Path) -> None:
    server, rows = served(what), _rows(what, 4)
    wanted = expected(what, 4, 3, tmp_path)
    assert all(wanted)
    _, plain = server.ask("POST", "/predict?explain=3", rows)
    assert [each.pop("reasons") for each in plain["predictions"]] == wanted
    assert plain["predictions"] == server.ask("POST", "/predict", rows)[1]["predictions"]
    status, answer = server.infer(*_tensors(what, rows), parameters={"explain": True})
    assert status == 200
    *others, reasons = answer["outputs"]
    assert (reasons["name"], reasons["datatype"], reasons["shape"]) == ("reasons", "BYTES", [4, 3])
    texts = np.array(reasons["data"]).reshape(4, 3).tolist()
    assert [[*filter(None, each)] for each in texts] == wanted
    assert others == server.infer(*_tensors(what, rows))[1]["outputs"]


def test_reasons_come_with_the_outputs_that_are_asked_for_in_either_form(served: Start) -> None:
    tensors = _tensors("binary", _rows("binary", 1))
    asked = {"outputs": [{"name": "prediction"}], "parameters": {"explain": 1}}
    outputs = served("binary").infer(*tensors, **asked)[1]["outputs"]
    assert [each["name"] for each in outputs] == ["prediction", "reasons"]
    asked = {"parameters": {"explain": 1, "binary_data_output": True}}
    response, content = served("binary").ask("POST", INFER, {"inputs": tensors, **asked})
    size = int(response.headers["inference-header-content-length"])
    assert content[size:].endswith(outputs[1]["data"][0].encode())


@pytest.mark.parametrize("query", ["", "?explain=0", "?explain=false", "?other=3", "?"])
def test_who_asks_for_none_gets_none(served: Start, query: str) -> None:
    _, answer = served("binary").ask("POST", f"/predict{query}", _rows("binary", 1)[0])
    assert {*answer["predictions"][0]} == {"prediction", "probability"}


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("explain=many", 400, "explain: many is no number of reasons, from 0 to 5"),
        ("explain=6", 400, "explain: 6 is no number of reasons"),
        ("explain=-1", 400, "explain: -1 is no number of reasons"),
        ("explain=", 400, "explain:  is no number of reasons"),
        ("explain=1&explain=2", 400, "explain: given twice"),
        ("explain=99999999999999999999", 400, "is no number of reasons"),
    ],
)
def test_what_is_no_number_of_reasons_is_refused(
    served: Start, query: str, status: int, told: str
) -> None:
    server, (row,) = served("binary"), _rows("binary", 1)
    response, answer = server.ask("POST", f"/predict?{query}", row)
    assert (response.status, told in answer["error"]) == (status, True), answer


@pytest.mark.parametrize("value", [1.5, "3", None, [1], {"a": 1}, -1, 6])
def test_a_parameter_that_is_none_is_refused(served: Start, value: Any) -> None:
    tensors = _tensors("binary", _rows("binary", 1))
    status, answer = served("binary").infer(*tensors, parameters={"explain": value})
    assert status == 400
    assert "is no number of reasons" in answer["error"]


def test_clusters_and_too_many_rows_are_refused_in_a_line(served: Start) -> None:
    response, answer = served("clustering").ask(
        "POST", "/predict?explain=1", _rows("clustering", 1)
    )
    assert (response.status, "explain: a cluster is no number" in answer["error"]) == (400, True)
    response, answer = served("binary").ask("POST", "/predict?explain=1", _rows("binary", 101))
    assert (response.status, answer["error"]) == (413, "explain: 101 rows: send 1 to 100 at a time")


def test_explained_rows_are_counted_and_described(served: Start) -> None:
    server, rows = served("binary"), _rows("binary", 3)
    before = _metrics(server)["mlops_explained_rows_total"]
    answer = server.ask("POST", "/predict?explain=2", rows)[1]
    server.ask("POST", "/predict", rows)
    assert _metrics(server)["mlops_explained_rows_total"] - before == 3
    document = server.ask("GET", "/openapi.json")[1]
    (parameter,) = document["paths"]["/predict"]["post"]["parameters"]
    assert (parameter["name"], parameter["in"]) == ("explain", "query")
    taken: list[Any] = [0, 5, True]
    refused: list[Any] = [-1, 6, "3"]
    for value in taken:
        jsonschema.validate(value, parameter["schema"])
    for value in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, parameter["schema"])
    schemas = document["components"]["schemas"]
    assert "explain" in schemas["InferRequest"]["properties"]["parameters"]["properties"]
    jsonschema.validate(answer, schemas["Predictions"])


# --- bounds


def asked_of(folder: Path, budget: int, **settings: Any) -> Callable[[str, Any], Response]:
    """A server in this process, with so much memory for requests."""
    given = Settings(model=write("binary", folder / "model.onnx"), **settings)

    def ask(path: str, body: Any) -> Response:
        async def run() -> Response:
            app = App(ServedModel(given), given, Budget(budget, 0), Access(given))
            answer = asyncio.get_running_loop().create_future()
            app.handle(
                Request("POST", "/predict", path.partition("?")[2], {}, msgspec.json.encode(body)),
                answer.set_result,
            )
            try:
                return await asyncio.wait_for(answer, 20)
            finally:
                assert app.held.bytes == 0, "what it took is given back"
                app.close()

        return asyncio.run(run())

    return ask


def test_an_explanation_takes_its_memory_from_the_share_before_it_is_made(tmp_path: Path) -> None:
    row = _rows("binary", 1)
    needed = Reasons(OnnxModel(write("binary", tmp_path / "model.onnx"))).bytes
    for budget, explained in ((needed, 413), (3 * needed, 200)):
        ask = asked_of(tmp_path, budget)
        assert ask("/predict", row).status == 200
        response = ask("/predict?explain=1", row)
        assert response.status == explained, response.body
    assert b"the request may take" in asked_of(tmp_path, needed)("/predict?explain=1", row).body


def test_a_server_may_explain_fewer_rows_or_none(tmp_path: Path) -> None:
    rows = _rows("binary", 3)
    few, none = (asked_of(tmp_path, 2**24, explain_rows=most) for most in (2, 0))
    assert few("/predict?explain=1", rows[:2]).status == 200
    assert b"3 rows: send 1 to 2 at a time" in few("/predict?explain=1", rows).body
    assert b"this server explains nothing" in none("/predict?explain=1", rows[:1]).body
    assert none("/predict", rows).status == 200


def test_explanations_that_wait_have_a_bound_that_plain_requests_do_not_feel(
    tmp_path: Path,
) -> None:
    settings = Settings(model=write("binary", tmp_path / "model.onnx"), explain_rows=2)
    model, rows = ServedModel(settings), _rows("binary", 2)

    def job(explain: int) -> Job:
        found = model.job_of_rows(rows, "x")
        found.explain = explain
        return found

    async def run() -> None:
        batcher, done = Batcher(model, settings, lambda _: None), asyncio.Queue[Any]()
        form: Any = lambda answer: [each.name for each in answer.outputs]  # noqa: E731
        batcher.submit(job(1), form, done.put_nowait)
        with pytest.raises(Busy, match="2 rows wait to be explained"):
            batcher.submit(job(1), form, done.put_nowait)
        batcher.submit(job(0), form, done.put_nowait)
        answers = [await asyncio.wait_for(done.get(), 20) for _ in range(2)]
        assert sorted(map(len, answers)) == [2, 3]
        assert batcher.waiting_rows == 0
        batcher.submit(job(1), form, done.put_nowait)
        assert "reasons" in await asyncio.wait_for(done.get(), 20)
        batcher.close()

    asyncio.run(run())
