"""Explanations: what the definition says, by another computation; reasons in words."""

import json
from collections.abc import Callable
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from engine import made

from mlops.data.contract import Contract, conform
from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.inference import OnnxModel
from mlops.learning.background import ROWS, background
from mlops.scoring.batch import batch
from mlops.scoring.explaining import FEW, Columns, background_of, explain, model_rows
from mlops.scoring.predict import predict
from mlops.scoring.reasons import Reasons

Ask = Callable[[pd.DataFrame], np.ndarray]


def exported(what: str, name: str, folder: Path, given: Contract | None = None) -> OnnxModel:
    """A small model as ONNX, with the background that `train` makes for it."""
    model = made.trained(what, name)
    given = given or made.contract(what)
    path = folder / f"{what}-{name}.onnx"
    made.export(model, given, path)
    return with_background(OnnxModel(path), model.background)


def with_background(model: OnnxModel, rows: Any) -> OnnxModel:
    model.metadata["background"] = rows
    return model


def by_definition(ask: Ask, row: pd.DataFrame, rows: pd.DataFrame) -> dict[str, float]:
    """The mean, over all orders, of what an input changes when it takes its value after others."""
    names = [*row.columns]
    asked: dict[frozenset[str], float] = {}

    def worth(taken: frozenset[str]) -> float:
        if taken not in asked:
            mixed = rows.copy()
            for name in taken:
                mixed[name] = row[name].iloc[0]
            asked[taken] = float(ask(mixed.astype(row.dtypes.to_dict())).mean())
        return asked[taken]

    shares = dict.fromkeys(names, 0.0)
    for order in permutations(names):
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            shares[name] += worth(before | {name}) - worth(before)
    return {name: share / factorial(len(names)) for name, share in shares.items()}


def frame(model: OnnxModel) -> pd.DataFrame:
    return pd.DataFrame(background_of(model))


@pytest.mark.parametrize(("what", "name"), [each for each in made.PAIRS if each[0] != "clustering"])
def test_shares_are_those_of_the_definition(what: str, name: str, tmp_path: Path) -> None:
    """By scikit-learn's model, for each estimator of the catalogue."""
    fitted, model = made.trained(what, name), exported(what, name, tmp_path)
    one = model_inputs(made.rows(what, 1, seed=9), made.contract(what))
    said = fitted.predict(one)
    of = 1 if what == "binary" else int(said.get("probability", np.zeros((1, 1)))[0].argmax())

    def ask(rows: pd.DataFrame) -> np.ndarray:
        outputs = fitted.predict(rows)
        return outputs["probability"][:, of] if "probability" in outputs else outputs["prediction"]

    expected = by_definition(ask, one, frame(model))
    found = explain(model, columns(one), background_of(model))
    scale = max(map(abs, expected.values()))
    for column, share in expected.items():
        assert found.shares[column] == pytest.approx(share, abs=2e-4 * scale + 1e-6), column
    assert found.error == 0
    assert found.base + sum(found.shares.values()) == pytest.approx(found.answer, abs=1e-4 * scale)
    assert [*map(abs, found.shares.values())] == sorted(map(abs, found.shares.values()))[::-1]


class Linear:
    """A stand-in for a model of many numbers whose shares are known: weights times distances."""

    def __init__(self, weights: np.ndarray, product: float = 0.0) -> None:
        self.weights, self.product = weights, product
        self.inputs = {f"x{i}": "tensor(float)" for i in range(len(weights))}
        self.metadata = {"task": "regression"}

    def predict(self, given: Columns) -> dict[str, np.ndarray]:
        values = np.column_stack([given[name].astype(float) for name in self.inputs])
        return {"prediction": values @ self.weights + self.product * values[:, 0] * values[:, -1]}


def many(count: int, product: float = 0.0) -> tuple[Any, Columns, Columns]:
    rng = np.random.default_rng(3)
    model: Any = Linear(rng.normal(0, 1, count), product)
    row = {name: rng.normal(0, 1, 1) for name in model.inputs}
    rows = {name: rng.normal(0, 1, ROWS) for name in model.inputs}
    return model, row, rows


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 40])
def test_shares_of_a_linear_model_are_weights_times_distances(count: int) -> None:
    model, row, rows = many(count)
    found = explain(model, row, rows)
    for i, name in enumerate(model.inputs):
        expected = model.weights[i] * (row[name][0] - rows[name].mean())
        assert found.shares[name] == pytest.approx(expected, abs=1e-9)


def test_what_is_drawn_is_as_near_as_it_says() -> None:
    """Two inputs that work together among many: each has half of what both do."""
    model, row, rows = many(20, product=5.0)
    found = explain(model, row, rows)
    one, other = row["x0"][0], row["x19"][0]
    first, second = rows["x0"], rows["x19"]
    together = 2.5 * ((one - first) * (second + other)).mean()
    expected = model.weights[0] * (one - first.mean()) + together
    assert 0 < found.error < 1
    assert found.shares["x0"] == pytest.approx(expected, abs=4 * found.error)
    assert found.base + sum(found.shares.values()) == pytest.approx(found.answer)


def test_an_explanation_is_the_same_each_time() -> None:
    assert explain(*many(20, product=5.0)) == explain(*many(20, product=5.0))


# --- the background


def test_the_background_has_each_column_as_it_lies_and_no_row_of_anybody() -> None:
    given = made.contract("binary")
    inputs = model_inputs(made.rows("binary", 1000), given)
    found = pd.DataFrame(background(inputs, given))
    assert len(found) == ROWS
    assert found["noise"].median() == pytest.approx(inputs["noise"].median(), abs=0.1)
    assert found["noise"].std() == pytest.approx(inputs["noise"].std(), rel=0.15)
    assert found["size"].isna().sum() == round(ROWS * inputs["size"].isna().mean())
    shares = found["colour"].value_counts(normalize=True)
    expected = inputs["colour"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx(expected.to_dict(), abs=1 / ROWS)
    both = found[["noise", "rank"]].astype("float32").merge(inputs[["noise", "rank"]])
    assert len(both) < ROWS / 2  # a number is of somebody, what stands beside it is not


def test_what_is_rare_or_redacted_is_not_in_it() -> None:
    given = made.contract_of(
        {
            "name": {"kind": "categorical", "role": "feature"},
            "pay": {"kind": "numeric", "role": "feature", "redact": True},
            "town": {"kind": "categorical", "role": "feature", "redact": True},
            "none": {"kind": "numeric", "role": "feature", "nullable": True},
        }
    )
    data = pd.DataFrame(
        {
            "name": ["usual"] * 990 + [f"rare {i}" for i in range(10)],
            "pay": [*map(float, range(1000))],
            "town": ["a"] * 600 + ["b"] * 400,
            "none": [float("nan")] * 1000,
        }
    )
    found = background(model_inputs(conform(data, given), given), given)
    assert {*found["name"]} == {"usual"}
    assert len({*found["pay"]}) == 1
    assert {*found["town"]} == {"a"}
    assert {*found["none"]} == {None}


def test_a_model_without_one_is_told(tmp_path: Path) -> None:
    model = with_background(exported("binary", "linear", tmp_path), {})
    with pytest.raises(InputError, match="carries no background to explain against: make it again"):
        background_of(model)


def test_clusters_are_not_explained(tmp_path: Path) -> None:
    model = exported("clustering", "kmeans", tmp_path)
    row = columns(model_inputs(made.rows("clustering", 1), made.contract("clustering")))
    with pytest.raises(InputError, match="a cluster is no number"):
        explain(model, row, background_of(model))


# --- in words


def told(what: str, folder: Path, change: dict[str, Any], count: int = 3) -> list[str]:
    """The reasons for a row of which something is changed."""
    described = {"size": made.COLUMNS["size"] | {"description": "the size in metres"}}
    given = made.contract_of(made.COLUMNS | described | made.TARGETS[what][1])
    model = exported(what, "linear", folder, given)
    data = made.rows(what, 1, seed=9).assign(**change)
    (found,) = Reasons(model).of(columns(model_inputs(data, given)), count)
    return found


def test_reasons_are_in_the_contracts_words(tmp_path: Path) -> None:
    first, *_ = told("binary", tmp_path, {"size": 4.5})
    assert first.startswith("the size in metres 4.5 raises the probability of large by ")
    assert first.endswith(" points")
    first, *_ = told("binary", tmp_path, {"size": -4.5})
    assert first.startswith("the size in metres -4.5 lowers the probability of large by ")
    first, *_ = told("multiclass", tmp_path, {"size": 9.0})
    assert "9 raises the probability of grade high by " in first
    first, *_ = told("regression", tmp_path, {"size": 4.5})
    assert first.startswith("the size in metres 4.5 raises price by ")
    assert not first.endswith("points")
    every = told("binary", tmp_path, {"wet": True, "colour": None}, count=9)
    assert len(every) <= 5
    joined = " ".join(every)
    assert "wet true" in joined
    assert "colour missing" in joined


def test_a_batch_has_the_reasons_that_predict_gives(tmp_path: Path) -> None:
    """Rows are explained alike, whichever partition they are in; without reasons it is another."""
    model = exported("binary", "boosting", tmp_path)
    proto = onnx.load(tmp_path / "binary-boosting.onnx")
    told = {prop.key: prop.value for prop in proto.metadata_props}
    told |= {"background": json.dumps(model.metadata["background"]), "project": '"made"'}
    onnx.helper.set_model_props(proto, told)
    onnx.save(proto, tmp_path / "model.onnx")
    made.rows("binary", 7, seed=9).to_parquet(tmp_path / "in.parquet")
    predict(tmp_path / "in.parquet", tmp_path / "one.parquet", model, lenient=True, explained=2)
    expected = pd.read_parquet(tmp_path / "one.parquet")

    def scored(explained: int) -> int:
        source, target, file = (tmp_path / name for name in ("in.parquet", "out", "model.onnx"))
        return batch(source, target, file, None, 4, True, None, explained).scored

    assert (scored(2), scored(2)) == (2, 0)
    found = pd.concat(map(pd.read_parquet, sorted((tmp_path / "out").glob("*/*.parquet"))))
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)
    assert scored(1) == 2, "what has other reasons is made again"


def test_the_cost_of_an_explanation_is_what_it_says(tmp_path: Path) -> None:
    """The server takes memory by it, and bounds time."""
    for count in (1, FEW, FEW + 1, 40):
        model, row, rows = many(count)
        asked: list[int] = []
        answered = model.predict

        def counting(given: Columns, asked: Any = asked, answered: Any = answered) -> Any:
            asked.append(len(given["x0"]))
            return answered(given)

        model.predict = counting
        explain(model, row, rows)
        assert max(asked) == model_rows(count, ROWS)


def test_a_file_is_scored_with_reasons(tmp_path: Path) -> None:
    model = exported("binary", "boosting", tmp_path)
    data = made.rows("binary", 7, seed=9)
    data.to_parquet(tmp_path / "in.parquet")
    for count in (0, 2):
        target = tmp_path / f"{count}.parquet"
        predict(tmp_path / "in.parquet", target, model, lenient=True, explained=count)
        found = pd.read_parquet(target)
        reasons_of = [name for name in map(str, found) if name.startswith("reason_")]
        assert reasons_of == [f"reason_{i + 1}" for i in range(count)]
        if count:
            assert found["reason_1"].str.contains("size").mean() > 0.5
        else:
            without = found
    pd.testing.assert_frame_equal(found[without.columns], without)
