"""Verify: does the ONNX model say what the scikit-learn model says?

On the test rows, and on rows made to find differences: missing values, unknown categories, extremes
and numbers that lie on the thresholds of trees.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import onnx
import pandas as pd

from ..config.params import load_params
from ..contract import Contract, load_contract
from ..errors import CheckError
from ..files import write_json
from ..inference import OnnxModel
from ..inputs import NO_CATEGORY, columns, model_inputs
from ..model import Model, Outputs
from ..paths import ONNX, PARITY, PARTS
from ..trees import follows_numbers, has_trees, on_thresholds, thresholds
from . import stage


@dataclass(frozen=True)
class Parity:
    """How two models agree on some rows.

    Attributes:
        rows: how many were compared.
        difference: the largest difference of a number, relative where the number is above 1.
        labels: rows whose class or cluster differs though it was no tie.
        ties: rows whose class or cluster differs where the best two are nearer than the tolerance.
        worst: up to five rows that break the tolerance, worst first, counted from 0.
    """

    rows: int
    difference: float
    labels: int
    ties: int
    worst: list[int]


def verify() -> None:
    """Write `reports/parity.json`. Raises CheckError when rows are above the tolerance."""
    params, contract, model = load_params(), load_contract(), Model.load()
    served = OnnxModel(ONNX)
    test = model_inputs(pd.read_parquet(PARTS["test"]), contract)
    groups = {
        "test": test,
        **dict(edge_cases(test, model, onnx.load(ONNX), contract, params.verify.edge_rows)),
    }
    tolerance = params.verify.tolerance
    found = {
        name: compare(model.predict(rows), served.predict(columns(rows)), tolerance)
        for name, rows in groups.items()
    }
    broken = [name for name, parity in found.items() if parity.worst]
    write_json(
        PARITY,
        {
            "within_tolerance": not broken,
            "tolerance": tolerance,
            "groups": {name: asdict(parity) for name, parity in found.items()},
        },
    )
    for name, parity in found.items():
        print(f"{name:<12} {parity.rows:>7,} rows  largest difference {parity.difference:.2g}")
    if broken:
        raise CheckError(_explanation(broken, found, groups, tolerance))


def compare(expected: Outputs, actual: Outputs, tolerance: float) -> Parity:
    """Compare outputs of the same rows, as model.Outputs."""
    rows = len(expected["prediction"])
    difference, differs, ties = np.zeros(rows), np.zeros(rows, bool), np.zeros(rows, bool)
    for name, values in expected.items():
        if name == "prediction" and set(expected) & {"probability", "distances"}:
            differs = values.astype(str) != actual[name].astype(str)
        else:
            per_row = _relative(values, actual[name]).reshape(rows, -1).max(axis=1)
            difference = np.maximum(difference, per_row)
    if differs.any():
        of_best = expected.get("probability", -expected.get("distances", np.empty((rows, 0))))
        first, second = np.sort(of_best, axis=1)[:, :-3:-1].T
        ties = differs & (first - second <= tolerance * np.maximum(1, np.abs(first)))
    wrong = differs & ~ties
    broken = np.flatnonzero(wrong | ~(difference <= tolerance))
    order = np.lexsort((-difference[broken], ~wrong[broken]))
    return Parity(
        rows=rows,
        difference=float(np.nan_to_num(difference.max(initial=0), nan=1e30)),
        labels=int(wrong.sum()),
        ties=int(ties.sum()),
        worst=[int(row) for row in broken[order][:5]],
    )


def _relative(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    expected, actual = expected.astype("float64"), actual.astype("float64")
    return np.abs(expected - actual) / np.maximum(1, np.abs(expected))


def edge_cases(
    test: pd.DataFrame, model: Model, converted: onnx.ModelProto, contract: Contract, rows: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Groups of at most `rows` rows by name, each made from test rows with cells replaced.

    Raises CheckError where the model decides by trees and no row can be put on their thresholds.
    """
    rng = np.random.default_rng(0)
    drawn = test.iloc[rng.integers(len(test), size=rows)].reset_index(drop=True)
    features = contract.features
    numbers = [name for name in features if contract.columns[name].kind != "categorical"]
    categories = [name for name in features if name not in numbers]

    missing = drawn.copy()
    for name in features:
        hidden = rng.random(rows) < 0.3
        missing.loc[hidden, name] = np.nan if name in numbers else NO_CATEGORY
    yield "missing", missing

    if categories:
        unknown = drawn.copy()
        for name in categories:
            unknown.loc[rng.random(rows) < 0.5, name] = "never seen in training ✈"
        yield "unknown", unknown

    if numbers:
        extremes = drawn.copy()
        for name in numbers:
            low, high = test[name].min(), test[name].max()
            span = max(float(high - low), 1.0)
            choice = rng.choice([low, high, low - 10 * span, high + 10 * span, 0.0], size=rows)
            extremes[name] = choice.astype("float32")
        yield "extremes", extremes

    if not has_trees(converted, model.pipeline):
        return
    trees, features = thresholds(converted), model.pipeline[:-1]
    if not trees:
        raise CheckError(
            f"{type(model.pipeline[-1]).__name__} grows trees, and the ONNX model has no threshold "
            "of theirs: parity on thresholds cannot be verified; choose another train.estimator, "
            "or one whose converter writes TreeEnsemble nodes"
        )
    if not numbers or not follows_numbers(drawn, features, trees, numbers):
        return  # they split on categories alone, which `unknown` and `missing` try
    on, met = on_thresholds(drawn, features, trees, numbers, rng)
    if not met:
        raise CheckError(
            f"none of the {sum(map(len, trees.values())):,} thresholds of the trees can be reached "
            "from a number of the contract: parity on thresholds cannot be verified; make features "
            "by steps that are continuous"
        )
    yield "thresholds", on


def _explanation(
    broken: list[str], found: dict[str, Parity], groups: dict[str, pd.DataFrame], tolerance: float
) -> str:
    lines = [f"the ONNX model differs from the scikit-learn model (verify.tolerance {tolerance:g})"]
    for name in broken:
        parity = found[name]
        row = parity.worst[0]
        shown = ", ".join(f"{k}={v!s:.20}" for k, v in groups[name].iloc[row].items())
        lines.append(
            f"{name}: {parity.labels} labels differ, largest difference {parity.difference:.3g}; "
            f"rows {', '.join(map(str, parity.worst))}; row {row}: {shown}"
        )
    return "\n".join([*lines, f"all groups are in {PARITY}"])


if __name__ == "__main__":
    stage(verify)
