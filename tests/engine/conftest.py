"""What the tests share: the project's own source, and one run of its pipeline on a sample of it.

Beside it, `made.py` makes small contracts, data and models, `stored.py` small projects in Git and
DVC, and `workspace.py` copies the project.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine.stored import Stored
from engine.workspace import Workspace, root
from threadpoolctl import threadpool_limits

from mlops.config.params import Params, load_params
from mlops.data.contract import Contract, conform, load_contract
from mlops.files import read_json
from mlops.paths import CONTRACT, PARAMS, PROVENANCE, SNAPSHOT
from mlops.pipeline import ingest

ROWS = 1500

# XLA takes longer to compile a small network than it takes to train: it keeps what it compiled.
COMPILED = tempfile.mkdtemp(prefix="engine-jax-")
atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": COMPILED,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have warnings fail the tests of the engine; those with the pipeline or DVC are slow."""
    ours = (item for item in items if Path(__file__).parent in item.path.parents)
    for item in ours:
        for rule in ("error", "default::DeprecationWarning", "default::FutureWarning"):
            item.add_marker(pytest.mark.filterwarnings(rule))
        if _uses(item, "finished") or _uses(item, "begin"):
            item.add_marker("slow")


def _uses(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small models are trained: threads would wait for one another longer than they work."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def own_params() -> Params:
    """The project's params.yaml."""
    return load_params(root() / PARAMS)


@pytest.fixture(scope="session")
def own_contract() -> Contract:
    """The project's contract.yaml."""
    return load_contract(root() / CONTRACT)


@pytest.fixture(scope="session")
def sample(own_params: Params, own_contract: Contract) -> pa.Table:
    """Rows of the project's source, evenly spread over time (or the file).

    A few of every class and a few with a value in each feature are among them, however rare.
    """
    table = _source(own_params)
    data = conform(table.to_pandas(), own_contract)
    if own_contract.time:
        data = data.sort_values(own_contract.time, kind="stable")
    chosen = {*_spread(data.index, ROWS)}
    for name in own_contract.features:
        chosen.update(_spread(data.index[data[name].notna()], 10))
    if own_params.task == "classification":
        for _, of_class in data.groupby(own_contract.target):
            chosen.update(_spread(of_class.index, 10))
    return table.take(sorted(chosen))


def _source(params: Params) -> pa.Table:
    """What `ingest` reads; its snapshot of this source saves fetching from afar again."""
    for file in params.source.files.values():
        if (root() / f"{file}.dvc").exists() and not (root() / file).exists():
            pytest.skip(f"{file} is not here: run `uv run dvc pull`")
    if params.source.is_afar:
        provenance = root() / PROVENANCE
        has_snapshot = provenance.exists() and (root() / SNAPSHOT).exists()
        if has_snapshot and read_json(provenance)["source"] == params.source.name:
            return pq.read_table(root() / SNAPSHOT)
    with chdir(root()):
        return ingest.read(params.source)[0]


def _spread(index: pd.Index, count: int) -> Iterable[int]:
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]


@pytest.fixture(scope="session")
def finished(sample: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the project after `dvc repro`. A test that changes something takes `project`."""
    workspace = Workspace.make(tmp_path_factory.mktemp("run") / "project", sample)
    stages, done = workspace.repro()
    assert done.returncode == 0, done.stdout + done.stderr
    declared = workspace.load("dvc.yaml")["stages"]
    assert stages == [name for name, stage in declared.items() if "foreach" not in stage]
    return workspace


@pytest.fixture
def project(finished: Workspace, tmp_path: Path) -> Workspace:
    """The same, for one test to change."""
    return finished.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def _planted(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A project with two commits, `poor` and `good`, called by what their models are."""
    shared = tmp_path_factory.getbasetemp()
    project = Stored.begin(shared / "planted" / "project", "binary", shared / "cache")
    with chdir(project.folder):
        for how in ("poor", "good"):
            project.made(how)
            project.git("tag", how)
    return project


@pytest.fixture
def planted(_planted: Stored, stored: Stored) -> Stored:
    """The same, for one test to change, in place of `stored`."""
    shutil.rmtree(stored.folder)
    shutil.copytree(_planted.folder, stored.folder, symlinks=True)
    config = stored.folder / ".dvc/config"
    config.write_text(config.read_text().replace(str(_planted.remote), str(stored.remote)))
    os.chdir(stored.folder)
    return stored


@pytest.fixture
def begin(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Stored]:
    """Begins a small project of what is to be predicted, and goes there: see stored.py."""
    shared = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(shared / "site"))
    for name in [*filter(lambda each: each.startswith("GIT_"), os.environ)]:
        monkeypatch.delenv(name)
    # Its parts are put in place, and split of nothing.
    monkeypatch.setattr("mlops.judging.recount.strangers", lambda *_: None)

    def go(what: str) -> Stored:
        stored = Stored.begin(tmp_path / "project", what, shared / "cache")
        monkeypatch.chdir(stored.folder)
        return stored

    return go


@pytest.fixture
def stored(begin: Callable[[str], Stored]) -> Stored:
    """A small project that tells two classes apart."""
    return begin("binary")
