"""The service as clients see it: what is served is what scikit-learn says."""

import time
from collections.abc import Callable
from typing import Any

import jsonschema
import numpy as np
import pytest
from engine import made
from engine.served import ESTIMATORS, INFER, Served

from mlops.data.inputs import model_inputs

Start = Callable[[str], Served]

DATATYPES = {"numeric": "FP64", "boolean": "BOOL", "categorical": "BYTES"}


def _rows(what: str, count: int) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    inputs = model_inputs(made.rows(what, count, seed=3), made.contract(what))
    rows = inputs.astype(object).where(inputs.notna(), None).to_dict("records")
    return [
        {str(k): bool(v) if k == "wet" and v is not None else v for k, v in r.items()} for r in rows
    ]


def _tensors(what: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    contract = made.contract(what)
    return [
        {
            "name": name,
            "datatype": DATATYPES[contract.columns[name].kind],
            "shape": [len(rows)],
            "data": [row[name] for row in rows],
        }
        for name in contract.features
    ]


@pytest.mark.parametrize("what", list(ESTIMATORS))
@pytest.mark.parametrize("count", [1, 40, 300])  # 300 go to the model on their own
def test_answers_are_those_of_scikit_learn(served: Start, what: str, count: int) -> None:
    rows = _rows(what, count)
    status, answer = served(what).infer(*_tensors(what, rows), id="mine")
    assert (status, answer["id"], answer["model_name"]) == (200, "mine", "made")
    model, contract = made.trained(what, ESTIMATORS[what]), made.contract(what)
    expected = model.predict(model_inputs(made.rows(what, count, seed=3), contract))
    found = {
        each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in answer["outputs"]
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)
        else:
            np.testing.assert_array_equal(found[name], values)
    plain = served(what).ask("POST", "/predict", rows)[1]["predictions"]
    assert [each["prediction"] for each in plain] == found["prediction"].tolist()


def test_probabilities_of_plain_rows_are_by_class(served: Start) -> None:
    _, answer = served("multiclass").ask("POST", "/predict", _rows("multiclass", 1)[0])
    (prediction,) = answer["predictions"]
    assert set(prediction["probability"]) == {"low", "middle", "high"}
    assert (
        max(prediction["probability"], key=prediction["probability"].get)
        == (prediction["prediction"])
    )


def test_metadata_names_inputs_outputs_and_lineage(served: Start) -> None:
    server = served("binary")
    _, about = server.ask("GET", "/v2")
    _, model = server.ask("GET", f"/v2/models/{about['name']}")
    assert server.ask("GET", f"/v2/models/made/versions/{about['version']}")[1] == model
    assert [each["name"] for each in model["inputs"]] == made.contract("binary").features
    assert model["outputs"] == [
        {"name": "prediction", "datatype": "BOOL", "shape": [-1]},
        {"name": "probability", "datatype": "FP32", "shape": [-1, 2]},
    ]
    assert model["parameters"]["model_sha256"].startswith(about["version"])
    assert "binary_tensor_data" in about["extensions"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/made/ready", 200),
        ("GET", "/v2/", 200),
        ("HEAD", "/v2", 200),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/made/versions/0", 404),
        ("GET", "/nowhere", 404),
        ("GET", INFER, 405),
        ("DELETE", "/v2", 405),
    ],
)
def test_addresses(served: Start, method: str, path: str, status: int) -> None:
    response, answer = served("binary").ask(method, path)
    assert response.status == status
    if status != 200:
        assert list(answer) == ["error"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensors: tensors.pop(), "inputs missing: noise"),
        (lambda tensors: tensors.clear(), "0 rows"),
        (lambda tensors: tensors.append(tensors[0]), "input size: given twice"),
        (lambda tensors: tensors[0].update(name="siez"), "input siez: there is none"),
        (lambda tensors: tensors[0].update(datatype="BYTES"), "input size: datatype BYTES, not"),
        (
            lambda tensors: tensors[1].update(shape=[1], data=[1]),
            "input rank: 1 rows, others have 2",
        ),
        (lambda tensors: tensors[1].update(data=[1, None]), "input rank, row 2: missing"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    served: Start, change: Callable[[list[dict[str, Any]]], Any], told: str
) -> None:
    tensors = _tensors("binary", _rows("binary", 2))
    change(tensors)
    status, answer = served("binary").infer(*tensors)
    assert status == 400
    assert answer["error"].startswith(told)


def test_outputs_can_be_chosen_and_be_binary(served: Start) -> None:
    tensors = _tensors("regression", _rows("regression", 3))
    chosen = [{"name": "upper"}, {"name": "prediction", "parameters": {"binary_data": True}}]
    request = {"inputs": tensors, "outputs": chosen}
    response, answer = served("regression").ask("POST", INFER, request)
    size = int(response.headers["inference-header-content-length"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert b'"upper"' in answer[:size]
    assert b'"lower"' not in answer[:size]
    plain = served("regression").infer(*tensors)[1]["outputs"]
    (expected,) = (each["data"] for each in plain if each["name"] == "prediction")
    np.testing.assert_array_equal(np.frombuffer(answer[size:], "<f4"), np.float32(expected))
    status, answer = served("regression").infer(*tensors, outputs=[{"name": "none"}])
    assert (status, answer["error"]) == (
        400,
        "output none: there is none; there are prediction, lower, upper",
    )


def test_a_plain_row_needs_every_input(served: Start) -> None:
    (row,) = _rows("binary", 1)
    server = served("binary")
    assert server.ask("POST", "/predict", row | {"of no use": 1})[0].status == 200
    del row["colour"]
    response, answer = server.ask("POST", "/predict", [row])
    assert response.status == 400
    assert answer["error"] == "row 1: there is no colour; send null where it is missing"


def _metrics(server: Served) -> dict[str, float]:
    lines = server.ask("GET", "/metrics")[1].decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_metrics_count_requests_and_rows_from_zero(served: Start) -> None:
    server, of = served("clustering"), 'mlops_requests_total{path="%s",status="%d"}'
    before = _metrics(server)
    assert {before[of % (path, 503)] for path in (INFER, "/predict")} == {0}
    server.infer(*_tensors("clustering", _rows("clustering", 5)))
    after = _metrics(server)
    rises = {name: value - before.get(name, 0) for name, value in after.items() if INFER in name}
    assert rises[of % (INFER, 200)] == 1
    assert rises[of % (INFER, 400)] == 0
    assert after["mlops_batch_rows_sum"] == before["mlops_batch_rows_sum"] + 5


def test_metrics_tell_of_the_process(served: Start) -> None:
    server = served("binary")
    began = _metrics(server)
    assert began["mlops_workers"] == 1
    assert 0 < began["mlops_started_seconds"] <= time.time()
    for _ in range(20):
        server.ask("POST", "/predict", _rows("binary", 200))
    now = _metrics(server)
    assert now["mlops_cpu_seconds_total"] > began["mlops_cpu_seconds_total"] > 0
    assert now["mlops_started_seconds"] == began["mlops_started_seconds"]


def _broken(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (row | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"colour": [3]}, "colour"),
        ({"wet": "yes"}, "wet"),
        ({"colour": ...}, "colour"),
        ({"size": 1e300}, "size"),
    ],
)
def test_metrics_count_what_the_contract_refuses(
    served: Start, changes: dict[str, Any], column: str
) -> None:
    server, (row,) = served("binary"), _rows("binary", 1)
    before = _metrics(server)
    assert server.ask("POST", "/predict", [_broken(row, **changes)])[0].status == 400
    assert server.ask("POST", "/predict", b"no JSON")[0].status == 400
    after = _metrics(server)
    rises = {name: value - before[name] for name, value in after.items() if "violations_t" in name}
    assert {name: rise for name, rise in rises.items() if rise} == {
        f'mlops_contract_violations_total{{input="{column}"}}': 1
    }


def test_metrics_count_tensors_that_the_contract_refuses(served: Start) -> None:
    server, tensors = served("binary"), _tensors("binary", _rows("binary", 1))
    of = 'mlops_contract_violations_total{input="%s"}'
    before = _metrics(server)
    assert server.infer(*tensors[1:])[0] == 400
    assert server.infer(tensors[0] | {"name": "renamed"}, *tensors[1:])[0] == 400
    assert server.infer(tensors[0] | {"datatype": "JSON"}, *tensors[1:])[0] == 400
    after = _metrics(server)
    assert after[of % tensors[0]["name"]] == before[of % tensors[0]["name"]] + 2
    assert after[of % "not in the contract"] == before[of % "not in the contract"] + 1


# One reading: see test_carriers.


def test_categories_that_training_never_saw_are_told_and_counted(served: Start) -> None:
    server, rows = served("binary"), _rows("binary", 3)
    for row, colour in zip(rows, ["red", "mauve", "MAUVE"], strict=True):
        row["colour"] = colour
    before = _metrics(server)
    _, plain = server.ask("POST", "/predict", rows)
    assert plain["unknown_categories"] == {"colour": 2}
    _, answer = server.infer(*_tensors("binary", rows))
    assert answer["parameters"] == {"unknown_categories.colour": 2}
    name = 'mlops_unknown_categories_total{input="colour"}'
    assert _metrics(server)[name] - before[name] == 4
    rows[1]["colour"] = rows[2]["colour"] = None
    assert "unknown_categories" not in server.ask("POST", "/predict", rows)[1]
    assert "parameters" not in server.infer(*_tensors("binary", rows))[1]


def test_requests_that_go_through_the_model_together_have_their_own_counts(served: Start) -> None:
    server, (row,) = served("binary"), _rows("binary", 1)
    many = [row | {"colour": "mauve"}] * 300
    assert server.ask("POST", "/predict", many)[1]["unknown_categories"] == {"colour": 300}
    assert "unknown_categories" not in server.ask("POST", "/predict", row | {"colour": "red"})[1]


def test_what_the_contract_calls_missing_is_missing(served: Start) -> None:
    server, (row,) = served("binary"), _rows("binary", 1)
    known = server.ask("POST", "/predict", row | {"colour": None})[1]["predictions"]
    for text in ("NA", "null", "", "#N/A", "n/a"):
        told = server.ask("POST", "/predict", row | {"colour": text})[1]
        assert told["predictions"] == known
        assert "unknown_categories" not in told


def test_a_tensor_of_numbers_holds_no_text(served: Start) -> None:
    tensors = _tensors("binary", _rows("binary", 2))
    colour = next(each for each in tensors if each["name"] == "colour")
    colour.update(datatype="FP32", data=[1, "red"])
    status, answer = served("binary").infer(*tensors)
    assert (status, answer["error"]) == (
        400, "input colour: datatype FP32, and row 2 is text: 'red'",
    )  # fmt: skip


def test_the_schema_of_a_category_takes_what_the_server_takes(served: Start) -> None:
    document = served("binary").ask("GET", "/openapi.json")[1]
    schema = document["components"]["schemas"]["Row"]["properties"]["colour"]
    for taken in ("red", 7, 7.5, True, None):
        jsonschema.validate(taken, schema)
    for refused in ([1], {"a": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(refused, schema)
