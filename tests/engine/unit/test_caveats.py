"""Caveats: what is doubtful is named with its numbers, and what is sound is left alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from sklearn.metrics import r2_score
from sklearn.tree import DecisionTreeRegressor

from mlops.data.contract import Contract, conform
from mlops.learning.caveats.answers import caveats_of_answers
from mlops.learning.caveats.data import caveats_of_data, explained
from mlops.learning.metrics import Scored

NUMBER = {"kind": "numeric", "role": "feature"}


def _with(what: str, **columns: Any) -> tuple[pd.DataFrame, Contract]:
    """The rows of `made`, 1,000 of them, with more features."""
    of_columns = {
        name: NUMBER if np.asarray(values).dtype.kind in "if" else made.COLUMNS["colour"]
        for name, values in columns.items()
    }
    contract = made.contract_of(made.COLUMNS | made.TARGETS[what][1] | of_columns)
    return conform(made.rows(what, 1000).assign(**columns), contract), contract


def _kinds(what: str, data: pd.DataFrame, contract: Contract) -> set[tuple[str, str | None]]:
    return {(each.kind, each.column) for each in caveats_of_data(data, contract, made.task(what))}


@pytest.mark.parametrize("what", made.TARGETS)
def test_sound_data_has_none(what: str) -> None:
    assert _kinds(what, *_with(what)) == set()


SAYS_IT: dict[str, Callable[[pd.DataFrame], Any]] = {
    "binary": lambda d: d["large"].map({True: "paid", False: "open"}),
    "multiclass": lambda d: d["grade"].map({"low": 1.0, "middle": 5.0, "high": 2.0}),
    "regression": lambda d: d["price"] * 1.19,
}


@pytest.mark.parametrize("what", SAYS_IT)
def test_a_column_that_says_the_target_is_named_with_its_share(what: str) -> None:
    data, contract = _with(what, settled=SAYS_IT[what](made.rows(what, 1000)))
    (found,) = caveats_of_data(data, contract, made.task(what))
    assert (found.kind, found.column) == ("leak", "settled")
    assert f"of {contract.target} by itself" in str(found)


def test_a_strong_column_is_no_leak() -> None:
    data = made.rows("regression", 1000)
    noisy = data["price"] + np.random.default_rng(7).normal(0, data["price"].std() / 2, 1000)
    assert _kinds("regression", *_with("regression", noisy=noisy)) == set()


def test_many_values_explain_nothing_by_chance() -> None:
    rng = np.random.default_rng(0)
    assert explained(np.arange(1000), rng.normal(size=(1000, 1))) < 0.05
    assert explained(rng.integers(0, 500, 1000), np.eye(2)[rng.integers(0, 2, 1000)]) < 0.05


def test_what_a_column_explains_is_what_a_tree_of_it_does() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, 4000)
    target = np.sin(codes * 2.0) + rng.normal(0, 0.5, 4000)
    tree = DecisionTreeRegressor().fit(codes[:2000, None], target[:2000])
    independent = r2_score(target[2000:], tree.predict(codes[2000:, None]))
    assert explained(codes, target[:, None]) == pytest.approx(independent, abs=0.03)


def test_an_id_of_a_file_that_is_sorted_by_the_target_is_named() -> None:
    rows = made.rows("binary", 1000).sort_values("large", ignore_index=True)
    contract = made.contract_of(made.COLUMNS | made.TARGETS["binary"][1] | {"row": NUMBER})
    data = conform(rows.assign(row=np.arange(1000)), contract)
    assert _kinds("binary", data, contract) == {("leak", "row"), ("order", "row")}
    shuffled = data.sample(frac=1, random_state=0, ignore_index=True)
    assert _kinds("binary", shuffled, contract) == {("leak", "row"), ("id", "row")}


def test_whole_numbers_that_repeat_are_numbers() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 300, 1000)
    assert _kinds("binary", *_with("binary", counts=counts)) == set()


def test_numbers_of_which_one_is_nearly_all_are_looked_at() -> None:
    data = made.rows("binary", 1000)
    mostly = np.where(np.arange(1000) % 10 > 0, 7.0, np.arange(1000) / 7)
    assert _kinds("binary", *_with("binary", mostly=mostly)) == set()
    says = np.where(data["large"], 7.0, np.arange(1000) / 7)
    assert _kinds("binary", *_with("binary", says=says)) == {("leak", "says")}


def test_few_distinct_rows_are_named() -> None:
    contract = made.contract_of(
        {f"q{i}": NUMBER for i in range(3)} | {"yes": {"kind": "boolean", "role": "target"}}
    )
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.integers(1, 6, (2000, 3)), columns=["q0", "q1", "q2"])
    data = conform(data.assign(yes=rng.random(2000) < 0.5), contract)
    (found,) = caveats_of_data(data, contract, "classification")
    assert str(found).startswith(f"{len(data[['q0', 'q1', 'q2']].drop_duplicates())} of 2,000 rows")


@pytest.mark.parametrize(
    ("grade", "kind", "words"),
    [
        (np.arange(1000) % 300, "classes", "300 classes"),
        (
            np.where(np.arange(1000) % 250 == 3, "rare", "usual"),
            "imbalance",
            "rare is 0.40% of the",
        ),
    ],
)
def test_classes_are_named(grade: np.ndarray, kind: str, words: str) -> None:
    data, contract = _with("multiclass")
    data = conform(data.assign(grade=grade), contract)
    found = list(caveats_of_data(data, contract, "classification"))
    assert [(each.kind, each.column) for each in found] == [(kind, "grade")]
    assert words in str(found[0])


def _scored(probability: np.ndarray, truth: np.ndarray) -> Scored:
    outputs = {
        "prediction": (probability > 0.5).astype(int),
        "probability": np.column_stack([1 - probability, probability]),
    }
    return Scored(outputs, truth, np.arange(2))


def test_a_model_that_is_better_has_none() -> None:
    truth = np.arange(100) % 2
    assert caveats_of_answers(_scored(0.3 + 0.4 * truth, truth)) == []
    number = np.arange(100.0)
    assert caveats_of_answers(Scored({"prediction": number + 20}, number)) == []
    assert caveats_of_answers(Scored({"prediction": np.zeros(5)})) == []


def test_a_class_that_is_never_predicted_is_named() -> None:
    truth = (np.arange(100) % 4 == 0).astype(int)
    (found,) = caveats_of_answers(_scored(0.1 + 0.3 * truth, truth))
    assert str(found) == "no row is predicted to be true; 25 are"


def test_a_model_that_a_constant_equals_is_named() -> None:
    truth = np.arange(100) % 2
    (found,) = caveats_of_answers(_scored(np.tile([0.4, 0.4, 0.6, 0.6], 25), truth))
    assert found.kind == "constant"
    number = np.arange(100.0)
    (found,) = caveats_of_answers(Scored({"prediction": number[::-1]}, number))
    assert f"that of their mean {number.std():.4g}" in str(found)
