"""Verify: does the ONNX model say what the scikit-learn model says?

On the test rows, and on rows made to find differences: missing values, unknown categories, extremes
and numbers that lie on the thresholds of trees. A difference of an output is measured by how far
that output spreads on the training rows: 0.1 is nothing of a price and all of a probability.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np
import onnx
import pandas as pd

from ..config.params import load_params
from ..config.verify import Verify
from ..data.contract import Contract, load_contract
from ..data.inputs import NO_CATEGORY, columns, model_inputs
from ..errors import CheckError
from ..files import sha256, write_json
from ..inference import OnnxModel, Runnable
from ..learning.answers import answers
from ..learning.metrics import Scored, rounded, score
from ..learning.model import Model, Outputs, Scale, is_refitted
from ..learning.trees import (
    are_leaves,
    follows_numbers,
    has_trees,
    near_thresholds,
    on_thresholds,
    thresholds,
)
from ..paths import CANDIDATE, CANDIDATE_ONNX, MODEL, ONNX, PARITY, PARTS
from . import stage

# What float32 does to a number on its way through a model, as a share of it: eight of its steps.
RESOLUTION = 8 * float(np.finfo("float32").eps)
# It may cost no more than this share of the spread of an output that varies.
COARSEST = 0.01
# An output whose spread is less than this share of its mean varies by float64's rounding alone.
CONSTANT = 1e-14
# A metric of both models may differ by this share, and by this much where it is next to nothing.
METRIC = 1e-3
NOTHING = 1e-6
# The kinds of columns that a model takes as float32.
FLOATS = ("numeric", "boolean")
# So many of the worst rows are named.
WORST = 5


@dataclass(frozen=True)
class Difference:
    """Where two models part.

    Attributes:
        row: counted from 0.
        output: its name, with the place in it where it has several columns.
        scikit_learn, onnx: what each says there.
    """

    row: int
    output: str
    scikit_learn: float | str
    onnx: float | str


@dataclass(frozen=True)
class Parity:
    """How two models agree on some rows.

    Attributes:
        rows: how many were compared.
        difference: the largest difference of a number, as a share of its output's spread, or of
            its distance from that output's mean where it is farther out.
        labels: rows whose class or cluster differs though it was no tie.
        ties: rows whose class or cluster differs where the best two are as near as numbers may be,
            and rows that differ so near a threshold that either side of it is right.
        worst: up to five rows that break the tolerance, worst first.
    """

    rows: int
    difference: float
    labels: int
    ties: int
    worst: list[Difference]


@dataclass(frozen=True)
class Pair:
    """A metric of both models on the test rows; None where it has no value."""

    scikit_learn: float | None
    onnx: float | None

    def differs(self, ties: float) -> bool:
        """Whether that is more than numbers which agree can make of it.

        Args:
            ties: the share of rows whose class is another and may be.
        """
        if self.scikit_learn is None or self.onnx is None:
            return self.scikit_learn != self.onnx
        allowed = METRIC * max(abs(self.scikit_learn), abs(self.onnx)) + NOTHING + ties
        return abs(self.scikit_learn - self.onnx) > allowed


@dataclass(frozen=True)
class Cases:
    """Groups of rows by name, and those that a model has none of, with the reason."""

    groups: dict[str, pd.DataFrame]
    without: dict[str, str] = field(default_factory=dict)


def verify() -> None:
    """Write `reports/parity.json`. Raises CheckError when rows are above the tolerance."""
    params, contract, model = load_params(), load_contract(), Model.load(CANDIDATE)
    rows = pd.read_parquet(PARTS["test"])
    test = model_inputs(rows, contract)
    groups, found, without = agreement(
        model, OnnxModel(CANDIDATE_ONNX), onnx.load(CANDIDATE_ONNX), contract, test, params.verify
    )
    pairs = metrics(model, OnnxModel(CANDIDATE_ONNX), contract, rows, test)
    apart = [name for name, pair in pairs.items() if pair.differs(found["test"].ties / len(test))]
    if is_refitted():
        final = agreement(
            Model.load(MODEL), OnnxModel(ONNX), onnx.load(ONNX), contract, test, params.verify
        )
        groups |= {f"final {name}": some for name, some in final[0].items()}
        found |= {f"final {name}": parity for name, parity in final[1].items()}
        without |= {f"final {name}": reason for name, reason in final[2].items()}
    tolerance = params.verify.tolerance
    broken = [name for name, parity in found.items() if parity.worst]
    write_json(
        PARITY,
        {
            "within_tolerance": not broken and not apart,
            "tolerance": tolerance,
            "sha256": {path.as_posix(): sha256(path) for path in (CANDIDATE_ONNX, ONNX)},
            "groups": {name: asdict(parity) for name, parity in found.items()},
            "without": without,
            "metrics": {name: asdict(pair) for name, pair in pairs.items()},
        },
    )
    for name, parity in found.items():
        print(f"{name:<16} {parity.rows:>7,} rows  largest difference {parity.difference:.2g}")
    for name, reason in without.items():
        print(f"{name:<16} none: {reason}")
    if broken:
        raise CheckError(
            explanation("ONNX", broken, found, groups, tolerance) + f"\nall groups are in {PARITY}"
        )
    if apart:
        pair = pairs[apart[0]]
        raise CheckError(
            f"{apart[0]} of the test rows is {pair.scikit_learn} for the scikit-learn model and "
            f"{pair.onnx} for the ONNX model, which is served; both are in {PARITY}"
        )


def agreement(
    model: Model,
    served: Runnable,
    converted: onnx.ModelProto,
    contract: Contract,
    test: pd.DataFrame,
    how: Verify,
) -> tuple[dict[str, pd.DataFrame], dict[str, Parity], dict[str, str]]:
    """Groups of rows, how a model and what it became agree on each, and which have no rows.

    Args:
        model: as scikit-learn has it.
        served: what it became, which answers rows.
        converted: its ONNX graph, whose trees have thresholds.
        contract, test: of its columns; the test rows, as inputs.model_inputs has them.
        how: the tolerance, and how many rows are made for each group.
    """
    features = model.pipeline[:-1]
    cases = edge_cases(test, model, converted, contract, how.edge_rows)
    groups, trees = {"test": test, **cases.groups}, thresholds(converted)
    numbers = [n for n in contract.features if contract.columns[n].kind in FLOATS]
    found = {
        name: compare(
            model.predict(some),
            served.predict(columns(some)),
            model.scales,
            how.tolerance,
            partial(near_thresholds, some, test, features, trees, numbers),
            model.threshold.at if model.threshold else None,
        )
        for name, some in groups.items()
    }
    return groups, found, cases.without


def metrics(
    model: Model, served: OnnxModel, contract: Contract, rows: pd.DataFrame, inputs: pd.DataFrame
) -> dict[str, Pair]:
    """Each metric of the test rows, as scikit-learn's answers and as the ONNX model's make it."""
    space = model.pipeline[:-1].transform(inputs) if model.task == "clustering" else None
    of_onnx = answers(served, contract, rows, space)
    of_sklearn = Scored(model.predict(inputs), of_onnx.truth, of_onnx.classes, space)
    first, second = (rounded(score(model.task, each)) for each in (of_sklearn, of_onnx))
    return {
        name: Pair(first.get(name), second.get(name)) for name in dict.fromkeys([*first, *second])
    }


def compare(
    expected: Outputs,
    actual: Outputs,
    scales: dict[str, Scale],
    tolerance: float,
    near: Callable[[], np.ndarray] | None = None,
    threshold: float | None = None,
) -> Parity:
    """Compare outputs of the same rows, as model.Outputs.

    Args:
        expected, actual: of scikit-learn and of ONNX.
        scales: where each output that is a number lies on the training rows.
        tolerance: the difference that is allowed, as a share of the spread there.
        near: finds the rows that may fall on either side of a threshold of trees, shape (rows,):
            see trees. Asked only where a number is farther apart than it may be.
        threshold: the probability from which on the second class is predicted; None for the
            likelier class.
    """
    rows = len(expected["prediction"])
    shares = {
        name: _shares(expected[name], actual[name], scale, tolerance)
        for name, scale in scales.items()
    }
    largest = np.max([each.reshape(rows, -1).max(axis=1) for each in shares.values()], axis=0)
    either = largest > tolerance
    if either.any():
        either &= near() if near else False
    largest = np.where(either, 0, largest)
    differs, ties = np.zeros(rows, bool), np.zeros(rows, bool)
    if "prediction" not in scales:
        differs = expected["prediction"].astype(str) != actual["prediction"].astype(str)
    if differs.any():
        name = next(iter(scales))
        ties = differs & (
            _are_tied(expected[name], scales[name], tolerance, name == "distances")
            if threshold is None
            else _are_on(expected[name][:, 1], scales[name].spread[1], tolerance, threshold)
        )
    ties |= either
    wrong = differs & ~ties
    broken = np.flatnonzero(wrong | (largest > tolerance))
    order = broken[np.lexsort((-largest[broken], ~wrong[broken]))][:WORST]
    return Parity(
        rows=rows,
        difference=float(largest.max(initial=0)),
        labels=int(wrong.sum()),
        ties=int(ties.sum()),
        worst=[
            _difference(row, expected, actual, shares, is_label=bool(wrong[row]))
            for row in map(int, order)
        ],
    )


def _shares(expected: np.ndarray, actual: np.ndarray, scale: Scale, tolerance: float) -> np.ndarray:
    """How far numbers are apart, as a share of their scale, in their shape.

    That is the output's spread in training, the distance from its mean of what lies farther out,
    or that of which the tolerance is what float32 cannot tell.
    """
    exact, other = expected.astype("float64"), actual.astype("float64")
    unit = np.maximum(scale.spread, np.abs(exact - scale.center))
    untold = RESOLUTION * np.abs(exact) / tolerance
    varies = scale.spread > CONSTANT * np.abs(scale.center)
    unit = np.maximum(
        unit, np.where(varies, np.minimum(untold, COARSEST / tolerance * unit), untold)
    )
    unit += np.finfo("float64").tiny
    return np.nan_to_num(np.abs(exact - other) / unit, nan=1e30, posinf=1e30)


def _are_tied(values: np.ndarray, scale: Scale, tolerance: float, smallest: bool) -> np.ndarray:
    """Whether the best two of each row are nearer than two numbers there may be apart."""
    order = np.argsort(values if smallest else -values, axis=1)[:, :2]
    first, second = np.take_along_axis(values, order, axis=1).T
    spread = np.maximum(*np.broadcast_to(scale.spread, values.shape[1])[order].T)
    return np.abs(first - second) <= 2 * np.maximum(
        tolerance * spread, RESOLUTION * np.maximum(np.abs(first), np.abs(second))
    )


def _are_on(
    values: np.ndarray, spread: np.ndarray, tolerance: float, threshold: float
) -> np.ndarray:
    """Whether numbers are nearer to a threshold than two of the same row there may be apart."""
    apart = np.maximum(tolerance * spread, RESOLUTION * np.abs(values))
    is_on: np.ndarray = np.abs(values - threshold) <= apart
    return is_on


def _difference(
    row: int, expected: Outputs, actual: Outputs, shares: dict[str, np.ndarray], is_label: bool
) -> Difference:
    """What is worst in a row."""
    if is_label:
        first, second = (str(each["prediction"][row]) for each in (expected, actual))
        return Difference(row, "prediction", first, second)
    name = max(shares, key=lambda each: float(shares[each][row].max()))
    place = () if shares[name].ndim == 1 else (int(shares[name][row].argmax()),)
    one, other = (float(each[name][(row, *place)]) for each in (expected, actual))
    return Difference(row, " ".join(map(str, (name, *place))), one, other)


def edge_cases(
    test: pd.DataFrame, model: Model, converted: onnx.ModelProto, contract: Contract, rows: int
) -> Cases:
    """Groups of so many rows by name, each made from test rows with cells replaced.

    Raises CheckError where the model decides by trees and no row can be put on their thresholds.
    """
    rng = np.random.default_rng(0)
    drawn = test.iloc[rng.integers(len(test), size=rows)].reset_index(drop=True)
    features = contract.features
    texts = [name for name in features if contract.columns[name].kind == "text"]
    categories = [name for name in features if contract.columns[name].kind == "categorical"]
    categories += texts
    numbers = [name for name in features if contract.columns[name].kind in FLOATS]
    ordered = [name for name in features if name not in categories]

    cases = Cases({"missing": _missing(drawn, categories, rng)})
    if categories:
        cases.groups["unknown"] = _unknown(drawn, categories, rng)
    else:
        cases.without["unknown"] = "no feature is a category"
    if texts:
        cases.groups["texts"] = _respelled(drawn, texts, rng)
    if ordered:
        cases.groups["extremes"] = _extremes(drawn, test, ordered, rng)
    else:
        cases.without["extremes"] = "no feature is a number"
    if not has_trees(converted, model.pipeline):
        cases.without["thresholds"] = "the model grows no trees"
        return cases
    trees, features = thresholds(converted), model.pipeline[:-1]
    if are_leaves(converted):
        cases.without["thresholds"] = "no tree splits"
        return cases
    if not trees:
        raise CheckError(
            f"{type(model.pipeline[-1]).__name__} grows trees, and the ONNX model has no threshold "
            "of theirs: parity on thresholds cannot be verified; choose another train.estimator, "
            "or one whose converter writes TreeEnsemble nodes"
        )
    if not numbers or not follows_numbers(drawn, features, trees, numbers):
        cases.without["thresholds"] = "the trees split on categories alone"
        return cases
    cases.groups["thresholds"], met = on_thresholds(drawn, features, trees, numbers, rng)
    if not met:
        raise CheckError(
            f"none of the {sum(map(len, trees.values())):,} thresholds of the trees can be reached "
            "from a number of the contract: parity on thresholds cannot be verified; make features "
            "by steps that are continuous"
        )
    return cases


def _missing(drawn: pd.DataFrame, categories: list[str], rng: np.random.Generator) -> pd.DataFrame:
    made = drawn.copy()
    for name in made:
        hidden = rng.random(len(made)) < 0.3
        made.loc[hidden, name] = NO_CATEGORY if name in categories else np.nan
    return made


def _unknown(drawn: pd.DataFrame, categories: list[str], rng: np.random.Generator) -> pd.DataFrame:
    made = drawn.copy()
    for name in categories:
        made.loc[rng.random(len(made)) < 0.5, name] = "never seen in training ✈"
    return made


def _respelled(drawn: pd.DataFrame, texts: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Texts in other cases, scripts and signs, without words, and longer than any other."""
    ways: list[Callable[[str], str]] = [
        str.upper,
        str.title,
        str.swapcase,
        lambda text: "\t".join(text.split()) + "\n\N{NO-BREAK SPACE}" + text,
        lambda text: f"«{text}»—{text}!! 🛫 42",
        lambda text: (
            f"Ünïcödé İstanbul ΣΊΣΥΦΟΣ Привет 日本語 नमस्ते e\N{COMBINING ACUTE ACCENT} {text}"
        ),
        lambda text: " ".join([text] * 50),
        lambda text: " … ",
    ]
    made = drawn.copy()
    for name in texts:
        chosen = rng.integers(len(ways), size=len(made))
        made[name] = [ways[i](text) for i, text in zip(chosen, made[name], strict=True)]
    return made


def _extremes(
    drawn: pd.DataFrame, test: pd.DataFrame, ordered: list[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Numbers and moments at the ends of what was seen, ten times its span beyond, or zero."""
    made = drawn.copy()
    for name in ordered:
        low, high = float(test[name].min()), float(test[name].max())
        span = high - low or abs(high) or 1.0
        ends = [low, high, low - 10 * span, high + 10 * span, 0.0]
        made[name] = rng.choice(ends, size=len(made)).astype(drawn[name].to_numpy().dtype)
    return made


def explanation(
    target: str,
    broken: list[str],
    found: dict[str, Parity],
    groups: dict[str, pd.DataFrame],
    tolerance: float,
) -> str:
    """Which groups of rows a model in another form answers otherwise, with the worst row of each.

    Args:
        target: the form, as people call it.
        broken: the groups.
        found, groups: as of `agreement`.
        tolerance: that they break.
    """
    lines = [
        f"the {target} model differs from the scikit-learn model (verify.tolerance {tolerance:g})"
    ]
    for name in broken:
        parity, worst = found[name], found[name].worst[0]
        shown = ", ".join(f"{k}={v!s:.20}" for k, v in groups[name].iloc[worst.row].items())
        labels = f"{parity.labels} labels differ, " if parity.labels else ""
        lines.append(
            f"{name}: {labels}largest difference {parity.difference:.3g} of the spread; row "
            f"{worst.row}, {worst.output}: {worst.scikit_learn} from scikit-learn, {worst.onnx} "
            f"from {target}; {shown}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    stage(verify)
