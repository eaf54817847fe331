"""Your pipeline as a whole, on a sample of your source: every output is there and fits the others,
and DVC knows which of your modules a stage needs."""

import ast
from pathlib import Path

import onnx
import pandas as pd
from conftest import ROOT, Workspace

from mlops import paths
from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.files import read_json
from mlops.learning import metrics


def test_every_output_is_there(workspace: Workspace) -> None:
    outputs = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in workspace.stages().values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    assert [path for path in outputs if not (workspace.folder / path).exists()] == []


def test_outputs_fit_one_another(workspace: Workspace, params: Params, contract: Contract) -> None:
    folder = workspace.folder
    parts = {name: pd.read_parquet(folder / path) for name, path in paths.PARTS.items()}
    rows = read_json(folder / paths.PROVENANCE)["rows"]
    assert sum(map(len, parts.values())) == rows == read_json(folder / paths.VALIDATION)["rows"]
    assert len(pd.read_parquet(folder / paths.PREDICTIONS)) == len(parts["test"])
    found = read_json(folder / paths.METRICS)
    assert found
    assert found.keys() <= {*metrics.names(params.task, params.evaluate.value)}
    assert read_json(folder / paths.PARITY)["within_tolerance"]
    model = onnx.load(folder / paths.ONNX)
    assert [each.name for each in model.graph.input] == contract.features


def test_stages_depend_on_your_modules_that_theirs_import(workspace: Workspace) -> None:
    """Otherwise a change of a helper beside features.py would train nothing anew."""
    pipeline = workspace.load("dvc.yaml")
    source = next(each["src"] for each in pipeline["vars"] if "src" in each)
    missing = {}
    for name, stage in pipeline["stages"].items():
        deps = stage.get("do", stage)["deps"]
        known = {Path(dep.replace("${src}", source)) for dep in deps}
        if unknown := _imported(known) - known:
            missing[name] = sorted(map(str, unknown))
    assert missing == {}, "add them to these stages' deps in dvc.yaml"


def _imported(known: set[Path]) -> set[Path]:
    """Your modules that modules among a stage's dependencies import, directly or not."""
    waiting = {path for path in known if path.parts[0] == "src" and path.suffix == ".py"}
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        package = Path(*path.parts[:2])
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level:
                base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            elif (node.module or "").split(".")[0] == package.name:
                base = Path("src", *(node.module or "").split("."))
            else:
                continue
            names = [base, *(base / alias.name for alias in node.names)]
            modules = {each.with_suffix(".py") for each in names}
            waiting |= {each for each in modules if (ROOT / each).is_file()} - found
    return found
