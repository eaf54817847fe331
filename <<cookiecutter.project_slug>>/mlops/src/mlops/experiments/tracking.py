"""A run on an MLflow server that a team already has, by its REST API alone.

https://mlflow.org/docs/latest/rest-api.html. What is sent are the facts that the commit holds: the
server is a place to look at them, and nothing is read back.
"""

import base64
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from ..errors import InputError, ProjectError
from ..files import digest, flat
from ..git.revision import WORKSPACE
from ..paths import CHOSEN, LOCK, METRICS, PARAMS, TRAINING_LOG
from ..project import about
from .record import CURVE

# As MLflow's own clients call them.
SERVER, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
USER, PASSWORD, TOKEN = (f"MLFLOW_TRACKING_{each}" for each in ("USERNAME", "PASSWORD", "TOKEN"))
# A server that says nothing for so long is down.
SECONDS = 10
# What one request may hold: https://mlflow.org/docs/latest/rest-api.html#log-batch.
METRICS_AT_ONCE, PARAMS_AT_ONCE, LONGEST = 1000, 100, 6000
# By which a run is found again: the same facts make no second one.
IDENTITY = "mlops.facts_sha256"


class Unreachable(ProjectError):
    """The server is down, or refuses: no reason for anything else to fail."""


class Unknown(Unreachable):
    """The server has nothing of that name."""


@dataclass(frozen=True)
class Metric:
    """A number, and after which step it was so."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class Run:
    """What is told of a model.

    Attributes:
        name: of the run.
        params, tags: by name, as texts.
        metrics: of the test rows, of the validation rows as `validation.NAME`, and losses by step.
    """

    name: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[Metric]

    @property
    def identity(self) -> str:
        """A hash of all of it."""
        metrics = [[each.key, each.value, each.step] for each in self.metrics]
        return digest([self.name, self.params, self.tags, metrics])


def run_of(commit: str | None, releases: list[str]) -> Run:
    """What is told of the model in the workspace.

    Args:
        commit: it is in; None where the files are in none.
        releases: that were made of that commit.
    Raises:
        InputError: there is no model.
    """
    at = WORKSPACE
    metrics, params = at.load(METRICS), at.load(PARAMS) or {}
    if not metrics:
        raise InputError("there is no model to tell of yet: `uv run dvc repro` makes one")
    chosen = at.load(CHOSEN) or {}
    declared = {"split": params.get("split") or {}}
    tags = {
        "mlflow.source.name": about().name,
        "mlops.task": str(params.get("task")),
        "mlops.dvc_lock": digest(at.read(LOCK)),
    }
    if commit is not None:
        tags["mlflow.source.git.commit"] = commit
    if releases:
        tags["mlops.releases"] = ", ".join(releases)
    return Run(
        name=commit[:7] if commit else "workspace",
        params={key: str(value) for key, value in flat(declared | chosen).items()},
        tags=tags,
        metrics=[
            *_metrics(metrics),
            *_metrics(at.load(TRAINING_LOG / "metrics.json") or {}, "validation."),
            *_curves(),
        ],
    )


def _metrics(found: Mapping[str, Any], prefix: str = "") -> Iterator[Metric]:
    for key, value in found.items():
        if isinstance(value, int | float) and math.isfinite(value) and key not in CURVE:
            yield Metric(f"{prefix}{key}", float(value))


def _curves() -> Iterator[Metric]:
    """Losses by step, as DVCLive logged them."""
    for file in sorted((TRAINING_LOG / "plots" / "metrics").glob("*.tsv")):
        names, *lines = file.read_text(encoding="utf-8").splitlines()
        place = names.split("\t").index("step")
        for line in lines:
            cells = line.split("\t")
            yield Metric(f"train.{file.stem}", float(cells[-1]), int(cells[place]))


def track(run: Run, environ: Mapping[str, str] = os.environ) -> str:
    """Tell the server of a run, unless it knows it already, and return the address to look at.

    Raises InputError where no server is named, Unreachable where it cannot be told.
    """
    server = Server.named(environ)
    experiment = server.experiment(environ.get(EXPERIMENT) or about().name)
    known = server.ask(
        "runs/search",
        {
            "experiment_ids": [experiment],
            "filter": f"tags.`{IDENTITY}` = '{run.identity}' and attributes.status = 'FINISHED'",
            "max_results": 1,
        },
    )
    if found := known.get("runs"):
        return server.page(experiment, str(found[0]["info"]["run_id"]))
    now = int(time.time() * 1000)
    tags = {"mlflow.runName": run.name, **run.tags, IDENTITY: run.identity}
    begun = server.ask(
        "runs/create",
        {
            "experiment_id": experiment,
            "run_name": run.name,
            "start_time": now,
            "tags": [{"key": key, "value": value[:LONGEST]} for key, value in tags.items()],
        },
    )
    identifier = str(begun["run"]["info"]["run_id"])
    for batch in _batches(run, now):
        server.ask("runs/log-batch", {"run_id": identifier, **batch})
    ended = {"run_id": identifier, "status": "FINISHED", "end_time": now}
    server.ask("runs/update", ended)
    return server.page(experiment, identifier)


def _batches(run: Run, now: int) -> Iterator[dict[str, Any]]:
    params = [{"key": key, "value": value[:LONGEST]} for key, value in run.params.items()]
    metrics = [
        {"key": each.key, "value": each.value, "step": each.step, "timestamp": now}
        for each in run.metrics
    ]
    for i in range(0, len(params), PARAMS_AT_ONCE):
        yield {"params": params[i : i + PARAMS_AT_ONCE]}
    for i in range(0, len(metrics), METRICS_AT_ONCE):
        yield {"metrics": metrics[i : i + METRICS_AT_ONCE]}


@dataclass(frozen=True)
class Server:
    """An MLflow server.

    Attributes:
        address: without a slash at its end.
        headers: of each request.
    """

    address: str
    headers: dict[str, str]

    @staticmethod
    def named(environ: Mapping[str, str]) -> "Server":
        """That of the environment. Raises InputError where there is none."""
        address = environ.get(SERVER, "").rstrip("/")
        if urlsplit(address).scheme not in ("http", "https"):
            told = f"{address!r} is no address of a server" if address else "is not set"
            raise InputError(f"{SERVER}: {told}; it must begin with http:// or https://")
        headers = {"Content-Type": "application/json"}
        if token := environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token}"
        elif user := environ.get(USER):
            both = f"{user}:{environ.get(PASSWORD, '')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(both).decode()}"
        return Server(address, headers)

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made where there is none of the name."""
        with suppress(Unknown):
            found = self.ask(f"experiments/get-by-name?experiment_name={quote(name, safe='')}")
            return str(found["experiment"]["experiment_id"])
        return str(self.ask("experiments/create", {"name": name})["experiment_id"])

    def page(self, experiment: str, run: str) -> str:
        """Where people see a run."""
        return f"{self.address}/#/experiments/{experiment}/runs/{run}"

    def ask(self, what: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """Post to the API, or get where nothing is told, and return its answer.

        Raises Unreachable; Unknown where there is nothing of that name.
        """
        sent = None if content is None else json.dumps(content).encode()
        request = Request(f"{self.address}/api/2.0/mlflow/{what}", sent, self.headers)  # noqa: S310
        called = what.partition("?")[0]
        try:
            with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 # http: see `named`
                found = json.load(answer)
        except HTTPError as error:
            kind = Unknown if error.code == HTTPStatus.NOT_FOUND else Unreachable
            told = f"{self.address} refuses {called}: {error.code} {error.reason}"
            raise kind(told) from None
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "reason", error)  # of URLError, whose own text is no sentence
            raise Unreachable(f"{self.address} does not answer: {why}") from None
        if not isinstance(found, dict):
            raise Unreachable(f"{self.address} answers {called} with what is no object")
        return found
