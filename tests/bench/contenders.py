"""The servers that are held against each other: a bare one, this project's, and its peers."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measuring import run
from bench.servers import (
    PEERS,
    Request,
    Row,
    Server,
    UnavailableError,
    infer,
    install,
    output,
    reason,
    tensors,
    version_of,
)

from mlops.git.revision import sources

HELLO = "bare ASGI hello"
OURS = "this project"
UNLOGGED = f"{OURS}, without log"
PLAIN = f"{OURS}, /predict"
MLSERVER = "MLServer, ONNX runtime class"
MLSERVER_SKLEARN = "MLServer, scikit-learn runtime"
LITSERVE = "LitServe, ONNX"
BENTOML = "BentoML, ONNX"
MLFLOW = "MLflow, pyfunc"
WHOLE = "nothing"

FLIGHTS = "/v2/models/flights/infer"  # what the model is called in MLServer


@dataclass(frozen=True)
class Materials:
    """What servers are made from.

    Attributes:
        folder: takes a folder for each of them.
        venvs: keeps the virtual environments of peers from run to run.
        project: a bake with a model, and `python`, which has what its serving needs.
        pipeline: the scikit-learn pipeline that the model was converted from.
        sklearn: the version of scikit-learn that it was trained with.
    """

    folder: Path
    venvs: Path
    project: Path
    python: Path
    pipeline: Path
    sklearn: str

    def place(self, name: str) -> Path:
        """A new folder with the model in both forms."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copy2(self.project / "models" / "model.onnx", folder)
        shutil.copy2(self.pipeline, folder / "pipeline.joblib")
        return folder


Make = Callable[[Materials], Server]


def hello(materials: Materials) -> Server:
    """The floor: uvicorn at its quickest, which does nothing."""
    venv = install(materials.venvs / "hello", ["uvicorn", "uvloop", "httptools"])
    return Server(
        name=HELLO,
        version=version_of(venv, "uvicorn"),
        folder=materials.place("hello"),
        venv=venv,
        command=["python", PEERS / "hello.py", "PORT"],
        ready="/",
        ask=lambda _: Request("/"),
        told=None,
    )


def ours(materials: Materials, name: str = OURS, log: bool = True, without: str = "") -> Server:
    """This project's server, one worker, as its image runs it; or without a part of it."""
    folder = materials.place(re.sub(r"\W+", "-", name))
    command: list[str | Path] = ["python", "-m", "mlops.serving"]
    if without:
        command = ["python", PEERS / "without.py", without]
    project = tomllib.loads((materials.project / "pyproject.toml").read_text(encoding="utf-8"))
    model = project["project"]["name"]
    return Server(
        name=name,
        folder=folder,
        venv=materials.python.parent.parent,
        command=command,
        ready="/v2/health/ready",
        ask=lambda row: infer(f"/v2/models/{model}/infer", [row]),
        told=output("probability"),
        env={
            "PYTHONPATH": sources(materials.project),
            "MLOPS_MODEL": "model.onnx",
            "MLOPS_PORT": "PORT",
            "MLOPS_WORKERS": "1",
            "MLOPS_DRAIN_SECONDS": "0",
            "MLOPS_LOG": "log" if log else "",
        },
    )


def plain(materials: Materials) -> Server:
    """This project's server, asked with a plain row."""

    def told(answer: Any) -> list[float]:
        return list(answer["predictions"][0]["probability"].values())

    server = ours(materials, PLAIN)
    return replace(server, ask=lambda row: _json("/predict", row), told=told)


def mlserver(materials: Materials) -> Server:
    """MLServer at its best."""
    settings = {"name": "flights", "implementation": "mlserver_onnx.Onnx"}
    packages = ["mlserver", "onnxruntime"]
    return _mlserver(
        materials,
        MLSERVER,
        packages,
        settings,
        lambda row: infer(FLIGHTS, [row]),
        output("probability"),
    )


def mlserver_sklearn(materials: Materials) -> Server:
    """MLServer with the runtime that it has for scikit-learn."""
    settings = {
        "name": "flights",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./pipeline.joblib"},
    }
    packages = ["mlserver-sklearn", f"scikit-learn=={materials.sklearn}"]
    return _mlserver(
        materials, MLSERVER_SKLEARN, packages, settings, _data_frame, output("predict_proba")
    )


def _mlserver(
    materials: Materials,
    name: str,
    packages: Sequence[str],
    model: dict[str, Any],
    ask: Callable[[Row], Request],
    told: Callable[[Any], Sequence[float]],
) -> Server:
    venv = install(materials.venvs / packages[0], packages)
    folder = materials.place(packages[0])
    # No pool of processes, and nothing that a request could do without.
    settings: dict[str, Any] = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    settings |= {"gzip_enabled": False, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    ports = {"MLSERVER_HTTP_PORT": "PORT", "MLSERVER_GRPC_PORT": "OTHER"}
    return Server(
        name=name,
        version=version_of(venv, packages[0]),
        folder=folder,
        venv=venv,
        command=["mlserver", "start", "."],
        ready="/v2/models/flights/ready",
        ask=ask,
        told=told,
        env=ports | {"PYTHONPATH": str(PEERS)},
    )


def _data_frame(row: Row) -> Request:
    """A request of the protocol that MLServer turns into a data frame."""
    inputs = tensors([_numbers(row)])
    for each in inputs:
        if each["datatype"] == "BYTES":
            each["parameters"] = {"content_type": "str"}
    wanted = [{"name": "predict_proba"}]
    content = {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": wanted}
    return _json(FLIGHTS, content)


def litserve(materials: Materials) -> Server:
    """LitServe around onnxruntime."""
    venv = install(materials.venvs / "litserve", ["litserve", "onnxruntime"])
    return Server(
        name=LITSERVE,
        version=version_of(venv, "litserve"),
        folder=materials.place("litserve"),
        venv=venv,
        command=["python", PEERS / "litserve_onnx.py", "PORT"],
        ready="/health",
        ask=lambda row: _json("/predict", row),
        told=_first,
    )


def bentoml(materials: Materials) -> Server:
    """BentoML around onnxruntime."""
    venv = install(materials.venvs / "bentoml", ["bentoml", "onnxruntime"])
    folder = materials.place("bentoml")
    return Server(
        name=BENTOML,
        version=version_of(venv, "bentoml"),
        folder=folder,
        venv=venv,
        command=["bentoml", "serve", "bentoml_onnx:Onnx", "--host", "127.0.0.1", "--port", "PORT"],
        ready="/readyz",
        ask=lambda row: _json("/predict", {"row": row}),
        told=_first,
        env={"PYTHONPATH": str(PEERS), "BENTOML_HOME": str(folder / "home")},
    )


def mlflow(materials: Materials) -> Server:
    """MLflow's server of the same scikit-learn pipeline."""
    packages = ["mlflow", f"scikit-learn=={materials.sklearn}"]
    venv = install(materials.venvs / "mlflow", packages)
    folder = materials.place("mlflow")
    save = [venv / "bin" / "python", PEERS / "mlflow_save.py"]
    try:
        run(*save, folder / "pipeline.joblib", folder / "model")
    except SystemExit as failed:
        raise UnavailableError(reason(f"cannot keep the pipeline: {failed}")) from None

    def ask(row: Row) -> Request:
        frame = {"columns": list(row), "data": [list(_numbers(row).values())]}
        return _json("/invocations", {"dataframe_split": frame})

    local = "--env-manager local --model-uri model --host 127.0.0.1 --port PORT"
    return Server(
        name=MLFLOW,
        version=version_of(venv, "mlflow"),
        folder=folder,
        venv=venv,
        command=["mlflow", "models", "serve", *local.split()],
        ready="/ping",
        ask=ask,
        told=lambda answer: list(answer["predictions"][0]),
    )


def grpc(materials: Materials) -> Server:
    """A bare gRPC server, which does nothing."""
    venv = install(materials.venvs / "grpc", ["grpcio", "protobuf"])
    return Server(
        name="bare gRPC hello",
        folder=materials.place("grpc"),
        venv=venv,
        command=["python", PEERS / "grpc_hello.py", "PORT"],
        ready="",
        ask=lambda _: Request("/"),
        told=None,
    )


def _json(path: str, content: Any) -> Request:
    return Request(path, json.dumps(content).encode())


def _numbers(row: Row) -> Row:
    """A row as the pipeline was trained on it: booleans are numbers."""
    return {name: float(value) if isinstance(value, bool) else value for name, value in row.items()}


def _first(answer: Any) -> Sequence[float]:
    return list(answer["probability"][0])


# All that are measured side by side, by the name that they have where they cannot be had.
CONTENDERS: dict[str, Make] = {
    HELLO: hello,
    OURS: ours,
    UNLOGGED: lambda materials: ours(materials, UNLOGGED, log=False),
    PLAIN: plain,
    MLSERVER: mlserver,
    MLSERVER_SKLEARN: mlserver_sklearn,
    LITSERVE: litserve,
    BENTOML: bentoml,
    MLFLOW: mlflow,
}
SLOW_TO_INSTALL = (MLSERVER, MLSERVER_SKLEARN, LITSERVE, BENTOML, MLFLOW)
# This project's server with all its parts, and without one of them.
PARTS: dict[str, Make] = {
    WHOLE: lambda materials: ours(materials, "all", without="nothing"),
    "prediction log": lambda materials: ours(materials, "log", log=False, without="nothing"),
    "metrics": lambda materials: ours(materials, "metrics", without="metrics"),
    "validation of values": lambda materials: ours(materials, "checks", without="validation"),
}
