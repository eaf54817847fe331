"""Tracking: what an MLflow server is told, once, and that nothing fails where it is down. The
server answers as MLflow 3 does where it was tried."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import yaml
from engine.stored import Stored
from typer.testing import CliRunner

from mlops import paths
from mlops.cli import app
from mlops.errors import InputError
from mlops.experiments import tracking
from mlops.files import read_json, write_text


class Mlflow(HTTPServer):
    """An MLflow server of a few calls: https://mlflow.org/docs/latest/rest-api.html."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.headers: list[Any] = []
        self.batches = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def said(self, call: str, told: dict[str, Any], query: str) -> Any:
        match call:
            case "experiments/get-by-name":
                name = query.removeprefix("experiment_name=")
                found = self.experiments.get(name)
                return {"experiment": {"experiment_id": found}} if found else None
            case "experiments/create":
                self.experiments[told["name"]] = "7"
                return {"experiment_id": "7"}
            case "runs/search":
                wanted = told["filter"].split("'")[1]
                done = [
                    k for k, run in self.runs.items() if run["tags"][tracking.IDENTITY] == wanted
                ]
                finished = [k for k in done if self.runs[k]["status"] == "FINISHED"]
                return {"runs": [{"info": {"run_id": each}} for each in finished]}
            case "runs/create":
                name = f"run{len(self.runs)}"
                tags = {each["key"]: each["value"] for each in told["tags"]}
                self.runs[name] = {"tags": tags, "params": {}, "metrics": {}, "status": "RUNNING"}
                return {"run": {"info": {"run_id": name}}}
            case "runs/log-batch":
                self.batches += 1
                assert len(told.get("metrics", [])) <= 1000
                assert len(told.get("params", [])) <= 100
                run = self.runs[told["run_id"]]
                run["params"] |= {each["key"]: each["value"] for each in told.get("params", [])}
                for each in told.get("metrics", []):
                    run["metrics"].setdefault(each["key"], []).append((each["step"], each["value"]))
                return {}
            case "runs/update":
                self.runs[told["run_id"]]["status"] = told["status"]
                return {}
        return None


class Handler(BaseHTTPRequestHandler):
    server: Mlflow

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, told: dict[str, Any]) -> None:
        self.server.headers.append(self.headers.get("Authorization"))
        path, _, query = self.path.removeprefix("/api/2.0/mlflow/").partition("?")
        found = self.server.said(path, told, query)
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found or {}).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def mlflow() -> Iterator[Mlflow]:
    server = Mlflow()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def trained(stored: Stored) -> Stored:
    """A project with a model and what training logged of it."""
    stored.put("good")
    curves = paths.TRAINING_LOG / "plots" / "metrics"
    curves.mkdir(parents=True)
    write_text(paths.CHOSEN, yaml.safe_dump({"estimator": "linear", "C": 0.5}))
    (paths.TRAINING_LOG / "metrics.json").write_text('{"log_loss": 0.4, "step": 3, "loss": 0.1}')
    lines = "".join(f"{step}\t{1 / (step + 1)}\n" for step in range(1500))
    write_text(curves / "loss.tsv", f"step\tloss\n{lines}")
    return stored


def _track(address: str, **more: str) -> Any:
    return CliRunner().invoke(app, ["experiments", "track"], env={tracking.SERVER: address, **more})


@pytest.mark.usefixtures("trained")
def test_a_run_has_the_facts_and_is_told_once(mlflow: Mlflow) -> None:
    for _ in range(2):
        told = _track(mlflow.address + "/", MLFLOW_EXPERIMENT_NAME="flights")
        assert told.exit_code == 0, told.output
        assert told.output.strip() == f"{mlflow.address}/#/experiments/7/runs/run0"
    (run,) = mlflow.runs.values()
    assert mlflow.experiments == {"flights": "7"}
    assert run["status"] == "FINISHED"
    assert run["params"]["C"] == "0.5"
    assert run["params"]["split.test"]
    metrics = read_json(paths.METRICS)
    assert {n: v[0][1] for n, v in run["metrics"].items() if "." not in n} == pytest.approx(metrics)
    assert run["metrics"]["validation.log_loss"] == [(0, 0.4)]
    assert len(run["metrics"]["train.loss"]) == 1500
    assert "validation.loss" not in run["metrics"]
    write_text(paths.CHOSEN, yaml.safe_dump({"estimator": "linear", "C": 0.7}))
    assert _track(mlflow.address, MLFLOW_EXPERIMENT_NAME="flights").output.endswith("run1\n")


@pytest.mark.usefixtures("trained")
def test_a_run_that_was_not_told_to_its_end_is_told_anew(mlflow: Mlflow) -> None:
    _track(mlflow.address)
    mlflow.runs["run0"]["status"] = "RUNNING"
    assert _track(mlflow.address).output.endswith("run1\n")


@pytest.mark.usefixtures("trained")
def test_it_says_who_asks(mlflow: Mlflow) -> None:
    _track(mlflow.address, MLFLOW_TRACKING_USERNAME="ada", MLFLOW_TRACKING_PASSWORD="x")  # noqa: S106
    assert set(mlflow.headers) == {"Basic YWRhOng="}
    mlflow.headers.clear()
    _track(mlflow.address, MLFLOW_TRACKING_TOKEN="secret")  # noqa: S106
    assert set(mlflow.headers) == {"Bearer secret"}


@pytest.mark.usefixtures("trained")
def test_a_server_that_is_down_or_another_one_is_one_warning(mlflow: Mlflow) -> None:
    mlflow.said = lambda *_: ["no object"]  # type: ignore[method-assign]
    for address in (mlflow.address, "http://127.0.0.1:9"):
        told = _track(address)
        assert told.exit_code == 0
        assert told.stdout == ""
        assert told.stderr.startswith(f"warning: not tracked: {address} ")
        assert told.stderr.count("\n") == 1


def test_what_is_no_server_and_no_model_is_an_error(stored: Stored) -> None:
    for address in ("", "file:///etc", "mlflow.example.com"):
        with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI: .* must begin with http"):
            tracking.Server.named({tracking.SERVER: address})
    with pytest.raises(InputError, match="there is no model to tell of yet"):
        tracking.run_of(None, [])


@pytest.mark.usefixtures("trained")
def test_a_commit_and_its_releases_are_tags() -> None:
    run = tracking.run_of("a" * 40, ["v1", "v2"])
    assert run.name == "aaaaaaa"
    assert run.tags["mlflow.source.git.commit"] == "a" * 40
    assert run.tags["mlops.releases"] == "v1, v2"
