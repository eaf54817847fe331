"""The pipeline as a whole, by `dvc repro`: every output is there, what changed and only that is run
again, a broken contract stops it, and `dvc.yaml` tells DVC all that a stage depends on."""

import json
from typing import Any

import onnx
import pandas as pd
import pytest
from engine.workspace import Workspace

from mlops import paths
from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.files import read_json
from mlops.learning import metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stages(finished: Workspace) -> dict[str, Any]:
    """The stages as they ran, with every variable of dvc.yaml filled in."""
    found: dict[str, Any] = finished.load("dvc.lock")["stages"]
    return found


def test_every_output_is_there(finished: Workspace, stages: dict[str, Any]) -> None:
    missing = [out["path"] for stage in stages.values() for out in stage["outs"]]
    assert [path for path in missing if not (finished.folder / path).exists()] == []


def test_outputs_fit_one_another(
    finished: Workspace, own_params: Params, own_contract: Contract
) -> None:
    folder = finished.folder
    parts = {name: pd.read_parquet(folder / path) for name, path in paths.PARTS.items()}
    rows = read_json(folder / paths.PROVENANCE)["rows"]
    assert sum(map(len, parts.values())) == rows == read_json(folder / paths.VALIDATION)["rows"]
    assert len(pd.read_parquet(folder / paths.PREDICTIONS)) == len(parts["test"])
    found = read_json(folder / paths.METRICS)
    assert found
    assert found.keys() <= {*metrics.names(own_params.task)}
    assert {*read_json(folder / paths.SLICES)} == {*own_contract.with_role("slice")}
    assert read_json(folder / paths.PARITY)["within_tolerance"]
    model = onnx.load(folder / paths.ONNX)
    assert [each.name for each in model.graph.input] == own_contract.features


def test_nothing_runs_twice(project: Workspace) -> None:
    stages, done = project.repro()
    assert (stages, done.returncode) == ([], 0)


def test_a_changed_gate_runs_nothing(project: Workspace, own_params: Params) -> None:
    bounds = {metrics.names(own_params.task)[0]: {"min": -1.0e9}}
    project.edit("params.yaml", lambda params: params.update(gates=bounds))
    stages, done = project.repro()
    assert (stages, done.returncode) == ([], 0)


def test_a_changed_hyperparameter_runs_train_and_what_follows(
    project: Workspace, own_params: Params
) -> None:
    name = own_params.train.estimator
    given = own_params.hyperparameters(name).model_dump()
    key = next(key for key in ("max_iter", "n_estimators", "alpha") if key in given)

    def change(params: dict[str, Any]) -> None:
        params["estimators"][name][key] = given[key] + 1

    project.edit("params.yaml", change)
    stages, done = project.repro("train")
    assert (stages, done.returncode) == (["train"], 0), done.stderr
    status = project.run("dvc", "status", "--json")
    assert [*json.loads(status.stdout)] == ["convert", "evaluate", "verify"]


def test_a_broken_contract_stops_the_pipeline(project: Workspace, own_contract: Contract) -> None:
    name = own_contract.features[0]
    broken = {"kind": "categorical", "role": "feature", "nullable": True, "allowed": ["no such"]}
    project.edit("contract.yaml", lambda contract: contract["columns"].update({name: broken}))
    stages, done = project.repro()
    assert stages == ["validate"]
    assert done.returncode != 0
    table = done.stderr[done.stderr.index("column ") :].splitlines()
    assert table[0].split()[:3] == ["column", "rule", "rows"]
    assert f"{name} " in table[1]
    assert "allowed values" in table[1]
