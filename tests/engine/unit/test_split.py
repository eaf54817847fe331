"""Split: no row is in two parts, nothing of the future is trained on, and the same seed draws the
same rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made

from mlops.config.split import Split
from mlops.contract import Contract, conform
from mlops.errors import InputError
from mlops.files import write_text
from mlops.paths import CONTRACT, PARAMS, PARTS, SNAPSHOT
from mlops.pipeline.split import divide, split

TIME = {"when": {"kind": "datetime", "role": "time"}}
ID = {"who": {"kind": "categorical", "role": "id"}}
SEEDS = range(5)


def _contract(what: str, **columns: dict[str, Any]) -> Contract:
    return made.contract_of(made.COLUMNS | made.TARGETS[what][1] | columns)


def _data(contract: Contract, what: str, count: int = 1000, **columns: Any) -> pd.DataFrame:
    return conform(made.rows(what, count).assign(**columns), contract)


def _how(seed: int = 1, validation: float = 0.15, test: float = 0.2) -> Split:
    return Split(validation=validation, test=test, seed=seed)


def _no_row_is_lost_or_doubled(data: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> bool:
    rows = pd.concat(parts.values()).index
    return rows.is_unique and set(rows) == set(data.index)


def _shared(parts: dict[str, pd.DataFrame], key: Callable[[pd.DataFrame], Any]) -> set[Any]:
    """What `key` makes of the rows of one part and also of another's."""
    found = [set(key(part)) for part in parts.values()]
    return (found[0] & found[1]) | (found[0] & found[2]) | (found[1] & found[2])


def _equal_rows(part: pd.DataFrame) -> Any:
    return pd.util.hash_pandas_object(part, index=False)


@pytest.mark.parametrize("what", made.TARGETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_parts_have_their_shares_and_no_row_in_common(what: str, seed: int) -> None:
    contract = made.contract(what)
    rng = np.random.default_rng(seed)
    data = made.rows(what, int(rng.integers(200, 600)), seed)
    data = data.iloc[rng.integers(len(data), size=len(data))].reset_index(drop=True)
    parts = divide(data, contract, made.task(what), _how(seed))
    assert [*parts] == ["train", "validation", "test"]
    assert _no_row_is_lost_or_doubled(data, parts)
    assert _shared(parts, _equal_rows) == set()
    for name, share in (("train", 0.65), ("validation", 0.15), ("test", 0.2)):
        assert len(parts[name]) / len(data) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_of_one_id_stay_together(seed: int) -> None:
    contract = _contract("binary", **ID)
    who = np.random.default_rng(seed).integers(0, 300, 1000)
    data = _data(contract, "binary", who=who)
    parts = divide(data, contract, "classification", _how(seed))
    assert _no_row_is_lost_or_doubled(data, parts)
    assert _shared(parts, lambda part: part["who"]) == set()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("moments", [1000, 40])
def test_parts_follow_one_another_in_time(seed: int, moments: int) -> None:
    contract = _contract("binary", **TIME)
    rng = np.random.default_rng(seed)
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, moments, 1000), "h")
    data = _data(contract, "binary", when=when)
    parts = divide(data, contract, "classification", _how())
    assert _no_row_is_lost_or_doubled(data, parts)
    assert _shared(parts, lambda part: part["when"]) == set()
    assert parts["train"]["when"].max() < parts["validation"]["when"].min()
    assert parts["validation"]["when"].max() < parts["test"]["when"].min()
    for name, share in (("train", 0.65), ("validation", 0.15), ("test", 0.2)):
        assert len(parts[name]) / len(data) == pytest.approx(share, abs=0.05)


def test_parts_have_the_proportions_of_the_classes() -> None:
    rare = np.arange(1000) < 50
    data = made.rows("binary", 1000).assign(large=pd.array(rare, "boolean"))
    for part in divide(data, made.contract("binary"), "classification", _how()).values():
        assert part["large"].mean() == pytest.approx(0.05, abs=0.005)


def test_parts_have_the_distribution_of_the_target() -> None:
    data = made.rows("regression", 1000)
    for part in divide(data, made.contract("regression"), "regression", _how()).values():
        wanted = data["price"].quantile([0.1, 0.5, 0.9])
        found = part["price"].quantile([0.1, 0.5, 0.9])
        assert (found - wanted).abs().max() < data["price"].std() / 4


def test_the_seed_decides() -> None:
    data, contract = made.rows("binary"), made.contract("binary")
    first, again, other = (
        divide(data, contract, "classification", _how(seed)) for seed in (1, 1, 2)
    )
    for name in PARTS:
        pd.testing.assert_frame_equal(first[name], again[name])
    assert not first["test"].index.equals(other["test"].index)


def test_the_order_of_rows_is_kept() -> None:
    data = made.rows("binary")
    for part in divide(data, made.contract("binary"), "classification", _how()).values():
        assert part.index.is_monotonic_increasing


def _when(*hours: int) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.Timestamp("2020-01-01") + pd.to_timedelta([*hours], "h"))


def _late_class(part: slice) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(data: pd.DataFrame) -> pd.DataFrame:
        grade = data["grade"].astype(object)
        grade.iloc[part] = "late"
        return data.assign(grade=grade.astype("str"))

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda d: d.assign(when=_when(0).repeat(100)), "no rows are left for train"),
        (lambda d: d.assign(when=_when(*[0] * 10, *[1] * 90)), "no rows are left for validation"),
        (lambda d: d.assign(grade="high"), "train holds a single value of grade"),
        (lambda d: d.assign(size=np.nan), "no value to train on in size"),
        (lambda d: d.assign(when=_when(*range(100)).where(d.index > 1)), "when: missing in 2 rows"),
        (lambda d: d.assign(grade=d["grade"].where(d.index != 5)), "grade: missing in 1 rows"),
        (_late_class(slice(80, None)), "test holds a single value of grade"),
        (_late_class(slice(90, None)), "never trained on: late"),
        # Between the rows to train on and those of the test.
        (_late_class(slice(70, 75)), "never trained on: late"),
    ],
)
def test_what_cannot_be_divided_is_told(
    change: Callable[[pd.DataFrame], pd.DataFrame], line: str
) -> None:
    contract = _contract("multiclass", **TIME)
    data = change(_data(contract, "multiclass", 100, when=_when(*range(100))))
    with pytest.raises(InputError, match=line):
        divide(data, contract, "classification", _how())


def test_few_rows_are_told() -> None:
    data = made.rows("regression", 2)
    with pytest.raises(InputError, match="no rows are left"):
        divide(data, made.contract("regression"), "regression", _how())


def test_a_numeric_target_may_have_few_values() -> None:
    data = made.rows("regression").assign(price=0.0)
    parts = divide(data, made.contract("regression"), "regression", _how())
    assert _no_row_is_lost_or_doubled(data, parts)


def test_the_stage_writes_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params, contract = made.params("binary", "linear"), made.contract("binary")
    write_text(PARAMS, params.model_dump_json())
    write_text(CONTRACT, contract.model_dump_json(exclude_defaults=True))
    SNAPSHOT.parent.mkdir(parents=True)
    data = made.rows("binary")
    data.astype("string").assign(extra="not in the contract").to_parquet(SNAPSHOT)
    split()
    parts = divide(data, contract, "classification", params.split)
    for name, path in PARTS.items():
        pd.testing.assert_frame_equal(pd.read_parquet(path), parts[name].reset_index(drop=True))
