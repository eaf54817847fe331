"""Profiles: columns are described by few numbers and no value that names a row; what changed is
told, with a distance that is that of the distributions."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made

from mlops.data.contract import conform
from mlops.data.profile import (
    CATEGORIES,
    STEPS,
    Profile,
    changes,
    profile,
    shift,
)
from mlops.files import read_json, write_json

FEATURE = {"f": made.COLUMNS["noise"]}


def _described(values: Any, kind: str = "numeric", **keys: Any) -> Profile:
    """The profile of one column."""
    contract = made.contract_of({"x": {"kind": kind, "role": "slice", **keys}, **FEATURE})
    data = pd.DataFrame({"x": values}).assign(f=0)
    found: Profile = profile(conform(data, contract), contract)["columns"]["x"]
    return found


def _whole(**columns: Profile) -> Profile:
    return {"rows": 10, "columns": columns}


def _shift(old: Any, new: Any, kind: str = "numeric") -> float | None:
    return shift(_described(old, kind), _described(new, kind))


def test_each_kind_is_described() -> None:
    numbers = _described([*range(101), None], nullable=True)
    assert numbers == {
        "kind": "numeric",
        "missing": pytest.approx(1 / 102, rel=1e-5),
        "quantiles": [float(5 * step) for step in range(STEPS + 1)],
        "mean": 50.0,
    }
    assert _described(["b", "a", "b", "c"], "categorical") == {
        "kind": "categorical",
        "missing": 0.0,
        "distinct": 3,
        "shares": {"b": 0.5, "a": 0.25, "c": 0.25},
    }
    assert _described(["no", "yes", "no"], "boolean")["shares"] == {
        "False": pytest.approx(2 / 3, rel=1e-5),
        "True": pytest.approx(1 / 3, rel=1e-5),
    }
    moments = _described(["2013-01-02", "2013-01-01 12:00"], "datetime")
    assert moments["range"] == ["2013-01-01T12:00:00", "2013-01-02T00:00:00"]


@pytest.mark.parametrize("what", made.TARGETS)
def test_a_profile_of_all_columns_can_be_written(what: str, tmp_path: Any) -> None:
    found = profile(made.rows(what), made.contract(what))
    assert found["rows"] == made.ROWS
    assert [*found["columns"]] == [*made.contract(what).columns]
    write_json(tmp_path / "profile.json", found)
    assert read_json(tmp_path / "profile.json") == found
    assert changes(found, found) == []


def test_no_value_of_an_id_is_told() -> None:
    contract = made.contract_of(
        {
            "who": {"kind": "categorical", "role": "id"},
            "number": {"kind": "numeric", "role": "id"},
            "when": {"kind": "datetime", "role": "id"},
            "both": {"kind": "categorical", "role": ["id", "slice"]},
            **FEATURE,
        }
    )
    data = pd.DataFrame({"who": ["ann", "bob"], "number": [4711, 4712], "both": ["x", "y"]})
    data = data.assign(when=["2013-01-01", "2014-01-01"], f=0)
    columns = profile(conform(data, contract), contract)["columns"]
    for name, kind in (("who", "categorical"), ("number", "numeric"), ("when", "datetime")):
        assert columns[name] == {"kind": kind, "missing": 0.0, "distinct": 2}
    assert columns["both"]["shares"] == {"x": 0.5, "y": 0.5}


@pytest.mark.parametrize("kind", ["numeric", "categorical", "boolean", "datetime"])
def test_columns_without_a_value_and_without_a_row(kind: str, tmp_path: Any) -> None:
    for values in ([None, None], []):
        found = _described(pd.array(values, "string"), kind, nullable=True)
        assert found["missing"] == 1
        write_json(tmp_path / "x.json", found)
        full = _described({"numeric": ["1"], "datetime": ["2013"]}.get(kind, ["no"]), kind)
        assert shift(found, full) is None
        assert shift(full, found) is None
        assert shift(found, found) is None
        (change,) = changes(_whole(x=found), _whole(x=full | {"missing": 0.5}))
        assert change.shift is None


def test_equal_distributions_are_not_apart() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=500), rng.integers(0, 3, 500), np.zeros(9), [0] * 400 + [7] * 9):
        assert _shift(values, values) == 0
    assert _shift(["a", "b"], ["b", "a"], "categorical") == 0


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ([0, 1, 2], [5, 6, 7], "numeric"),
        ([5, 6, 7], [0, 1, 2], "numeric"),
        ([1, 1, 1], [2, 2, 2], "numeric"),
        ([1, 1, 1], [2, 3, 4], "numeric"),
        (["a", "b"], ["c"], "categorical"),
        (["yes"], ["no"], "boolean"),
    ],
)
def test_distributions_with_nothing_in_common_are_one_apart(old: Any, new: Any, kind: str) -> None:
    assert _shift(old, new, kind) == 1


@pytest.mark.parametrize(("by", "statistic"), [(0.1, 0.0399), (0.5, 0.1974), (1, 0.3829)])
def test_the_shift_of_numbers_is_that_of_kolmogorov_and_smirnov(
    by: float, statistic: float
) -> None:
    # Of two normal distributions `by` apart it is 2Φ(by/2) - 1.
    values = np.random.default_rng(1).normal(size=20_000)
    assert _shift(values, values + by) == pytest.approx(statistic, abs=0.02)
    assert _shift(values + by, values) == pytest.approx(statistic, abs=0.02)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_a_value_that_becomes_frequent_counts_by_its_share(share: float) -> None:
    values = np.random.default_rng(2).uniform(1, 2, 10_000)
    zeros = np.where(np.arange(10_000) < share * 10_000, 0, values)
    assert _shift(values, zeros) == pytest.approx(share, abs=1.5 / STEPS)
    assert _shift((values > 1.2).astype(int), (values > 1.2 + share / 2).astype(int)) == (
        pytest.approx(share / 2, abs=1.5 / STEPS)
    )


def test_the_shift_of_categories_is_half_of_what_shares_differ_by() -> None:
    old, new = ["a"] * 5 + ["b"] * 5, ["a"] * 8 + ["c"] * 2
    assert _shift(old, new, "categorical") == pytest.approx(0.5)  # (0.3 + 0.5 + 0.2) / 2


def test_what_changed_is_told() -> None:
    old = _described([*range(20), None], nullable=True)
    (change,) = changes(_whole(x=old), _whole(x=_described([*range(1, 21)])))
    assert change.told == ["missing 4.76% → 0.00%", "range 0 to 19 → 1 to 20"]
    texts = _described(["0", "1"], "categorical")
    (change,) = changes(_whole(x=old), _whole(x=texts))
    assert change.told[0] == "kind numeric → categorical"
    assert change.shift is None
    moments = [_described([day], "datetime") for day in ("2013-01-01", "2014-01-01")]
    (change,) = changes(_whole(x=moments[0]), _whole(x=moments[1]))
    (told,) = change.told
    assert told.startswith("range 2013-01-01T00:00:00 to 2013-01-01")


def test_new_and_vanished_categories_are_told() -> None:
    old = _described([*"abc"], "categorical")
    new = _described([*"bcdefghij"], "categorical")
    (change,) = changes(_whole(x=old), _whole(x=new))
    assert change.told == ["new: d, e, f, g, h and 2 more", "gone: a"]


def test_a_category_may_be_old_where_not_all_were_told() -> None:
    many = [f"{number:03}" for number in range(CATEGORIES + 10)]
    old, new = _described(many, "categorical"), _described(many[5:], "categorical")
    assert len(old["shares"]) == CATEGORIES
    assert old["distinct"] == CATEGORIES + 10
    (change,) = changes(_whole(x=old), _whole(x=new))
    assert change.told == []


def test_columns_come_by_their_shift_after_those_that_came_and_went() -> None:
    some, other, far = (_described(values) for values in ([1, 2, 3], [1, 2, 9], [7, 8, 9]))
    before = _whole(near=some, far=some, gone=some, same=some)
    found = changes(before, _whole(near=other, far=far, new=some, same=some))
    assert [each.column for each in found] == ["new", "gone", "far", "near"]
    assert [each.told for each in found[:2]] == [["new column"], ["column is gone"]]
