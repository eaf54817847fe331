"""What the tests share: your files, and one run of your pipeline on a sample of your source."""

import shutil
import subprocess
from contextlib import chdir
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from mlops.config.params import Params, load_params
from mlops.data.contract import Contract, conform, load_contract
from mlops.files import read_json
from mlops.paths import CONTRACT, PARAMS, PROVENANCE, SNAPSHOT
from mlops.pipeline import ingest

ROOT = Path(__file__).resolve().parent.parent
ROWS = 1500
FILES = ("contract.yaml", "features.yaml", "params.yaml", "dvc.yaml", "pyproject.toml")
_yaml = YAML(typ="safe", pure=True)


@dataclass(frozen=True)
class Workspace:
    """A folder with your code, contract and parameters."""

    folder: Path

    def run(self, command: str) -> None:
        """Run a stage's command; a module in this process, which saves what imports take."""
        _, is_module, module = command.partition("python -m ")
        with chdir(self.folder):
            if is_module:
                getattr(import_module(module), module.rpartition(".")[2])()
            else:
                subprocess.run(command, shell=True, check=True)  # as DVC does

    def stages(self) -> dict[str, Any]:
        """The stages of dvc.yaml by name, but for those that there are many of (`foreach`)."""
        found = self.load("dvc.yaml")["stages"]
        return {name: stage for name, stage in found.items() if "cmd" in stage}

    def load(self, name: str) -> dict[str, Any]:
        """The content of a YAML file."""
        content: dict[str, Any] = _yaml.load(self.folder / name)
        return content

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a YAML file."""
        _yaml.dump(content, self.folder / name)


@pytest.fixture(scope="session")
def params() -> Params:
    """Your params.yaml."""
    return load_params(ROOT / PARAMS)


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Your contract.yaml."""
    return load_contract(ROOT / CONTRACT)


@pytest.fixture(scope="session")
def sample(params: Params, contract: Contract) -> pa.Table:
    """Rows of your source, evenly spread over time (or the file).

    A few of every class and a few with a value in each feature are among them, however rare.
    """
    table = _source(params)
    data = conform(table.to_pandas(), contract)
    if contract.time:
        data = data.sort_values(contract.time, kind="stable")
    chosen = {*_spread(data.index.to_numpy(), ROWS)}
    for name in contract.features:
        chosen.update(_spread(data.index[data[name].notna()].to_numpy(), 10))
    if params.task == "classification":
        for _, of_class in data.groupby(contract.target):
            chosen.update(_spread(of_class.index.to_numpy(), 10))
    return table.take(sorted(chosen))


def _source(params: Params) -> pa.Table:
    """What `ingest` reads; its snapshot of this source saves fetching from afar again."""
    for file in params.source.files.values():
        if (ROOT / f"{file}.dvc").exists() and not (ROOT / file).exists():
            pytest.skip(f"{file} is not here: run `uv run dvc pull`")
    if params.source.is_afar:
        known = (ROOT / PROVENANCE).exists() and (ROOT / SNAPSHOT).exists()
        if known and read_json(ROOT / PROVENANCE)["source"] == params.source.name:
            return pq.read_table(ROOT / SNAPSHOT)
    with chdir(ROOT):
        return ingest.read(params.source)[0]


def _spread(index: np.ndarray, count: int) -> list[int]:
    return [
        int(i) for i in index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]
    ]


@pytest.fixture(scope="session")
def workspace(sample: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the project whose stages ran on the sample, with less to examine."""
    folder = tmp_path_factory.mktemp("run") / "project"
    folder.mkdir()
    for name in FILES:
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".dvc").mkdir()
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    (folder / "data").mkdir()
    pq.write_table(sample, folder / "data" / "sample.parquet")
    made = Workspace(folder)
    settings = made.load("params.yaml")
    settings["source"] = {"path": "data/sample.parquet"}
    search, evaluate = settings["train"]["search"], settings["evaluate"]
    search["trials"] = min(search["trials"], 2)
    evaluate["importance_rows"] = min(evaluate["importance_rows"], 100)
    settings["verify"]["edge_rows"] = min(settings["verify"]["edge_rows"], 500)
    made.write("params.yaml", settings)
    for stage in made.stages().values():
        made.run(stage["cmd"])
    return made
