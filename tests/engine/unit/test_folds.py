"""Folds: nothing of the future is learned from, what belongs together stays together, and what they
say of a model is what cross-validation says."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, cross_val_score

from mlops.data.contract import Contract, conform
from mlops.errors import InputError
from mlops.files import read_json, write_text
from mlops.learning.folds import folds
from mlops.paths import CONTRACT, FOLDS, PARAMS, PARTS
from mlops.pipeline.train import train

TIME = {"when": {"kind": "datetime", "role": "time"}}
GROUP = {"household": {"kind": "categorical", "role": "group"}}


def _with(**columns: Any) -> tuple[pd.DataFrame, Contract]:
    described = {name: (TIME | GROUP)[name] for name in columns}
    contract = made.contract_of(made.COLUMNS | made.TARGETS["multiclass"][1] | described)
    return conform(made.rows("multiclass", 1000).assign(**columns), contract), contract


def _hours(hours: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.Timestamp("2030-01-01") + pd.to_timedelta(hours, "h"))


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("moments", [60, 100_000])
def test_folds_walk_forward_in_time(count: int, moments: int) -> None:
    when = _hours(np.random.default_rng(0).integers(0, moments, 1000))
    data, contract = _with(when=when)
    found = [*folds(data, contract, "classification", count, 1)]
    assert len(found) == count
    for learn, judge in found:
        assert data["when"].iloc[learn].max() < data["when"].iloc[judge].min()
        assert len(judge) == pytest.approx(1000 / (count + 1), rel=0.2)
    for (before, _), (after, _) in zip(found, found[1:], strict=False):
        assert {*before} < {*after}, "the window expands"
    assert {*found[-1][0], *found[-1][1]} == {*range(1000)}


def test_a_group_is_on_one_side_of_each_fold() -> None:
    household = np.random.default_rng(0).integers(0, 150, 1000)
    for columns in ({}, {"when": _hours(np.random.default_rng(1).integers(0, 500, 1000))}):
        data, contract = _with(household=household, **columns)
        for learn, judge in folds(data, contract, "classification", 4, 1):
            assert not {*data["household"].iloc[learn]} & {*data["household"].iloc[judge]}


def test_without_a_time_each_row_is_judged_once_in_the_proportions_of_the_classes() -> None:
    data, contract = _with()
    found = [*folds(data, contract, "classification", 5, 1)]
    assert sorted(np.concatenate([judge for _, judge in found])) == [*range(1000)]
    shares = data["grade"].value_counts(normalize=True)
    for _, judge in found:
        assert (data["grade"].iloc[judge].value_counts(normalize=True) - shares).abs().max() < 0.01


@pytest.mark.parametrize("count", [2, 7])
def test_folds_without_rows_are_refused(count: int) -> None:
    few, contract = _with(when=_hours(np.zeros(1000)))
    with pytest.raises(InputError, match=f"train.folds: {count} folds leave one without rows"):
        folds(few, contract, "classification", count, 1)
    one, contract = _with(household=np.zeros(1000))
    with pytest.raises(InputError, match="set fewer in params.yaml"):
        folds(one, contract, "classification", count, 1)
    rare, contract = _with()
    with pytest.raises(InputError, match="or bring more data"):
        folds(rare[:1], contract, "classification", count, 1)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the stage `train` can run."""
    monkeypatch.chdir(tmp_path)
    contract = made.contract("regression").model_dump_json(exclude_defaults=True)
    write_text(CONTRACT, contract)
    PARTS["train"].parent.mkdir(parents=True)
    for seed, path in enumerate(PARTS.values()):
        made.rows("regression", 300, seed).to_parquet(path)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_what_the_stage_measures_is_what_cross_validation_says() -> None:
    search = {"trials": 2, "space": {"linear": {"alpha": [1.0, 1000.0]}}}
    params = made.params("regression", "linear", folds=5, search=search)
    write_text(PARAMS, params.model_dump_json())
    train()
    found = read_json(FOLDS)
    assert [each["learned"] + each["judged"] for each in found] == [900] * 5
    ours = np.mean([each["metrics"]["mae"] for each in found])
    rows = pd.concat([made.rows("regression", 300, seed) for seed in range(3)])
    features = pd.get_dummies(rows.drop(columns="price"), dtype=float, dummy_na=True)
    plain = features.astype(float).fillna(features.astype(float).median())
    how = KFold(5, shuffle=True, random_state=3)
    scores = -cross_val_score(
        Ridge(1.0), plain, rows["price"], cv=how, scoring="neg_mean_absolute_error"
    )
    assert ours == pytest.approx(scores.mean(), rel=0.1)
    constant = mean_absolute_error(rows["price"], np.full(len(rows), rows["price"].median()))
    assert ours < constant / 2, "the search never took an alpha of 1,000"


@pytest.mark.usefixtures("project")
def test_without_folds_nothing_is_measured() -> None:
    write_text(PARAMS, made.params("regression", "linear").model_dump_json())
    train()
    assert read_json(FOLDS) == []
