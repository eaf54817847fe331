"""`mlops data init`: what is drafted from a file can be read back and holds for that file; comments
and other settings stay as they were."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from engine.workspace import root
from ruamel.yaml import YAML

from mlops.config.gates import Gate
from mlops.config.params import load_params
from mlops.contract import Contract, load_contract
from mlops.draft import init
from mlops.errors import InputError
from mlops.metrics import METRICS
from mlops.pipeline import ingest, validate
from mlops.plots import PLOTS
from mlops.rules import Rules

ROWS = 60


@pytest.fixture(autouse=True)
def _in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that are written, in a folder of their own."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    for name in ("params.yaml", "contract.yaml", "dvc.yaml"):
        shutil.copy2(root() / name, folder / name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(folder)


def _data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in range(ROWS)],
            "signed up": pd.date_range("2020-01-01", periods=ROWS).strftime("%d.%m.%Y"),
            "plan: no, yes": rng.choice(["NO", "basic", "#1"], ROWS),
            "zip": [f"0{i % 9}501" for i in range(ROWS)],
            "active": rng.choice(["yes", "no"], ROWS),
            "spent (€)": np.where(rng.random(ROWS) < 0.2, np.nan, rng.normal(0, 9, ROWS)),
            "remark": [f"text {i}" for i in range(ROWS)],
            "always": 1,
            "stars": rng.integers(1, 6, ROWS),
            "churned": rng.integers(0, 2, ROWS),
        }
    )


def _init(data: pd.DataFrame, target: str | None, **options: Any) -> Contract:
    path = Path("data/own.csv")
    data.to_csv(path, index=False)
    asked = {"time": None, "task": None, "database": None, "force": False} | options
    init(str(path), target, **asked)
    return load_contract()


def test_a_draft_holds_for_its_data() -> None:
    contract = _init(_data(), "churned", time="signed up")
    params = load_params()
    assert (params.task, params.source.path) == ("classification", "data/own.csv")
    contract.check_task(params.task)
    read = ingest.read(params.source)[0].to_pandas()
    assert validate.check(read, contract) == []
    kinds = {name: column.kind for name, column in contract.columns.items()}
    assert kinds == {
        "customer_id": "categorical",
        "signed up": "datetime",
        "plan: no, yes": "categorical",
        "zip": "categorical",
        "active": "boolean",
        "spent (€)": "numeric",
        "remark": "categorical",
        "stars": "numeric",
        "churned": "boolean",
    }
    assert contract.with_role("id") == ["customer_id"]
    assert contract.rules == Rules(unique=[["customer_id"]])
    assert (contract.time, contract.target) == ("signed up", "churned")
    assert contract.columns["signed up"].format == "%d.%m.%Y"
    assert contract.columns["spent (€)"].nullable
    assert contract.columns["plan: no, yes"].allowed == ["#1", "NO", "basic"]


@pytest.mark.parametrize(
    ("target", "task"),
    [("spent (€)", "regression"), ("zip", "classification"), (None, "clustering")],
)
def test_a_draft_sets_everything_to_the_task(target: str | None, task: Any) -> None:
    contract = _init(_data().dropna(), target)
    params = load_params()
    assert params.task == task
    contract.check_task(task)
    assert params.gates == {next(iter(METRICS[task])): Gate(regression=0)}
    assert f"  {next(iter(params.gates))}: {{regression: 0}}\n" in Path("params.yaml").read_text()
    assert [Path(path).stem for each in _pipeline()["plots"] for path in each] == [*PLOTS[task]]
    for name in params.estimators:
        params.hyperparameters(name)
    # Clusters are judged in a time that grows with the square of the rows.
    assert params.compare.rows == (1000 if task == "clustering" else 20_000)


def _pipeline() -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(Path("dvc.yaml"))
    return content


def test_what_does_not_depend_on_the_data_stays() -> None:
    before, stages = load_params(), _pipeline()["stages"]
    comments = [
        line.strip() for line in Path("params.yaml").read_text().splitlines() if line[:1] == "#"
    ]
    _init(_data().dropna(), None if before.task == "clustering" else "spent (€)", task=None)
    after = load_params()
    assert (after.split, after.evaluate, after.verify) == (
        before.split,
        before.evaluate,
        before.verify,
    )
    assert _pipeline()["stages"] == stages
    text = Path("params.yaml").read_text()
    assert all(comment in text for comment in comments)


def test_a_file_from_elsewhere_is_copied(tmp_path: Path) -> None:
    _data().to_csv(tmp_path / "else.csv", index=False)
    init(str(tmp_path / "else.csv"), "churned", None, None, None, False)
    assert load_params().source.path == "data/else.csv"
    assert Path("data/else.csv").read_bytes() == (tmp_path / "else.csv").read_bytes()


@pytest.mark.parametrize(
    ("target", "options", "line"),
    [
        ("no such", {}, "no column 'no such'; there are customer_id, "),
        ("churned", {"time": "no such"}, "no column 'no such'"),
        ("churned", {"time": "remark"}, "remark: not a date or a time"),
        ("churned", {"task": "clustering"}, "task clustering takes no --target"),
        (None, {"task": "regression"}, "task regression takes a --target"),
    ],
)
def test_what_cannot_be_drafted_is_told_and_changes_nothing(
    target: str | None, options: dict[str, Any], line: str
) -> None:
    names = ("params.yaml", "contract.yaml", "dvc.yaml")
    before = [Path(name).read_bytes() for name in names]
    with pytest.raises(InputError, match=line):
        _init(_data(), target, **options)
    assert [Path(name).read_bytes() for name in names] == before


def test_a_missing_file_is_told() -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file or folder"):
        init("none.csv", None, None, None, None, False)


def test_made_rows_make_their_contract_again() -> None:
    for what in made.TARGETS:
        wanted = made.contract(what)
        drafted = _init(made.rows(what), wanted.target)
        kinds = {name: column.kind for name, column in wanted.columns.items()}
        assert {name: column.kind for name, column in drafted.columns.items()} == kinds
        assert drafted.target == wanted.target
