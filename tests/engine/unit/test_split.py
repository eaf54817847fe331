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
from mlops.data.contract import Contract, conform
from mlops.data.parts import divide, represent
from mlops.errors import CheckError, InputError
from mlops.files import read_json, write_text
from mlops.paths import CONTRACT, PARAMS, PARTS, SNAPSHOT, SPLIT
from mlops.pipeline.split import split

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
def test_parts_have_their_shares_and_few_copies_stay_together(what: str, seed: int) -> None:
    contract = made.contract(what)
    rng = np.random.default_rng(seed)
    data = made.rows(what, int(rng.integers(200, 600)), seed)
    copied = rng.integers(len(data), size=len(data) // 15)
    data = pd.concat([data, data.iloc[copied]], ignore_index=True)
    parts = divide(data, contract, made.task(what), _how(seed))
    assert [*parts] == ["train", "validation", "test"]
    assert _no_row_is_lost_or_doubled(data, parts)
    assert _shared(parts, lambda part: _equal_rows(part[contract.features])) == set()
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
def test_a_group_stays_together_and_its_rows_are_drawn_by_their_number(seed: int) -> None:
    """Ids within it may be in several; households of 1 to 40 rows still make the shares."""
    contract = _contract("binary", **ID, household={"kind": "categorical", "role": "group"})
    rng = np.random.default_rng(seed)
    household = np.repeat(np.arange(100), rng.integers(1, 40, 100))
    data = _data(contract, "binary", len(household), who=rng.integers(0, 300, len(household)),
                 household=household)  # fmt: skip
    parts = divide(data, contract, "classification", _how(seed))
    assert _no_row_is_lost_or_doubled(data, parts)
    assert _shared(parts, lambda part: part["household"]) == set()
    for name, share in (("train", 0.65), ("validation", 0.15), ("test", 0.2)):
        assert len(parts[name]) / len(data) == pytest.approx(share, abs=0.05)


def test_nothing_of_a_group_is_trained_on_after_the_test_began() -> None:
    contract = _contract("binary", **TIME, household={"kind": "categorical", "role": "group"})
    rng = np.random.default_rng(0)
    data = _data(contract, "binary", household=rng.integers(0, 200, 1000),
                 when=_when(*rng.integers(0, 500, 1000)))  # fmt: skip
    parts = divide(data, contract, "classification", _how())
    last = {name: part.groupby("household")["when"].max() for name, part in parts.items()}
    assert _no_row_is_lost_or_doubled(data, parts)
    assert _shared(parts, lambda part: part["household"]) == set()
    assert parts["train"]["when"].max() < last["validation"].min()
    assert last["validation"].max() < last["test"].min()


@pytest.mark.parametrize("answers", [2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_target_never_decides_on_what_stays_together(answers: int, seed: int) -> None:
    """A survey: few answers, so that rows are alike by chance, with either target."""
    rng = np.random.default_rng(seed)
    contract = made.contract_of(
        {f"q{i}": {"kind": "numeric", "role": "feature"} for i in range(4)}
        | {"yes": {"kind": "boolean", "role": "target"}}
    )
    data = pd.DataFrame(
        rng.integers(1, answers + 1, (3000, 4)), columns=[f"q{i}" for i in range(4)]
    )
    data["yes"] = rng.random(3000) < data["q0"] / (answers + 2)
    data = conform(data, contract)
    for part in divide(data, contract, "classification", _how(seed)).values():
        assert part["yes"].mean() == pytest.approx(data["yes"].mean(), abs=0.01)
        of_answer = part.groupby("q0")["yes"].mean() - data.groupby("q0")["yes"].mean()
        assert of_answer.abs().max() < 5 * (0.25 * answers / len(part)) ** 0.5


@pytest.mark.parametrize(
    ("what", "change", "line"),
    [
        (
            "binary",
            {"large": lambda d, who: who == 0},
            r"train .*: 100\.0% of large false there, 51\.0% of all",
        ),
        ("multiclass", {"grade": lambda d, who: np.where(who == 0, "low", "high")}, "of grade "),
        ("regression", {"price": lambda d, who: who * 100.0 + d["price"] % 1}, "of price up to"),
    ],
)
def test_a_part_that_cannot_stand_for_the_whole_is_a_failed_check(
    what: str, change: dict[str, Any], line: str
) -> None:
    contract = _contract(what, **ID)
    who = np.repeat([0, 1, 2], [490, 260, 250])
    data = made.rows(what, 1000)
    data = _data(contract, what, who=who, **{k: make(data, who) for k, make in change.items()})
    parts = {"train": data[who == 1], "validation": data[who == 2], "test": data[who == 0]}
    with pytest.raises(CheckError, match=f"{line}.*kept together by who"):
        represent(parts, contract)
    represent({name: data.sample(300, random_state=1) for name in PARTS}, contract)


def test_parts_in_time_may_differ_as_the_world_does() -> None:
    contract = _contract("binary", **TIME)
    data = _data(contract, "binary", 900, when=_when(*range(900)), large=np.arange(900) > 300)
    parts = {name: data[i * 300 : (i + 1) * 300] for i, name in enumerate(PARTS)}
    represent(parts, contract)


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
    told = read_json(SPLIT)
    assert told["together"] == "nothing"
    for name, part in parts.items():
        described = told["parts"][name]
        assert described["rows"] == len(part)
        assert described["distinct"] == len(part[contract.features].drop_duplicates())
        assert described["shares"]["true"] == pytest.approx(part["large"].mean(), abs=1e-6)
