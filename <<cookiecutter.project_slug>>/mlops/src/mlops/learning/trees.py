"""Thresholds of tree models, and rows that lie on them: there two implementations part most easily.

Thresholds are read from the ONNX model, so that any estimator which becomes trees has them.
"""

from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import helper, numpy_helper
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

# How far beyond what was seen a number is looked for that a step turns into a threshold.
REACH = 10.0
# How near to a threshold a row is brought behind a step that computes, as a share of the column's
# largest value: some hundred steps of float32, by which two ways to compute it may differ.
NEAR = 2.0**-16
# So near, some eight steps of float32 of that value, either side of a threshold is right. That is
# far less than NEAR: rows that are put there to tell the sides apart must not be excused.
EITHER = NEAR / 16
# Halvings that lead from any float32 to its neighbour.
HALVINGS = 33
# Irrational, so that steps which add up numbers, or subtract them, do not take back what moved.
GOLDEN = 0.6180339887
# The attributes by which estimators of scikit-learn and its like show that they grow trees.
GROWN = ("tree_", "_predictors", "booster_", "get_booster", "_Booster")

Thresholds = dict[int, np.ndarray]


def thresholds(converted: onnx.ModelProto) -> Thresholds:
    """The thresholds of a model's trees by column of what the trees take; empty without trees.

    See TreeEnsembleClassifier, TreeEnsembleRegressor (nodes_values) and TreeEnsemble (nodes_splits)
    in https://onnx.ai/onnx/operators/index.html#ai-onnx-ml; each array is sorted and unique.
    """
    found: dict[int, list[np.ndarray]] = {}
    for node in converted.graph.node:
        if not _is_ensemble(node):
            continue
        told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        columns = np.array(told["nodes_featureids"])
        values, modes = _values(told), told["nodes_modes"]
        if isinstance(modes, list):
            inner = np.array([mode != b"LEAF" for mode in modes])
        else:  # TreeEnsemble keeps leaves apart
            inner = np.ones(len(columns), bool)
        for column in np.unique(columns[inner]):
            found.setdefault(int(column), []).append(values[inner & (columns == column)])
    return {column: np.unique(np.concatenate(values)) for column, values in found.items()}


def _values(told: dict[str, object]) -> np.ndarray:
    for name in ("nodes_splits", "nodes_values_as_tensor"):
        if isinstance(tensor := told.get(name), onnx.TensorProto):
            return numpy_helper.to_array(tensor)
    return np.array(told["nodes_values"], dtype="float32")


def are_leaves(converted: onnx.ModelProto) -> bool:
    """Whether the model has trees, and none of them splits: what it says is the same for all."""
    return not thresholds(converted) and any(map(_is_ensemble, converted.graph.node))


def _is_ensemble(node: onnx.NodeProto) -> bool:
    return node.op_type.startswith("TreeEnsemble")


def has_trees(converted: onnx.ModelProto, pipeline: Pipeline) -> bool:
    """Whether the model decides by trees, as the ONNX graph or the estimator shows."""
    return any(map(_is_ensemble, converted.graph.node)) or _grown(pipeline[-1])


def _grown(model: object) -> bool:
    members = getattr(model, "estimators_", [])
    within = members.ravel() if isinstance(members, np.ndarray) else members
    return any(hasattr(model, name) for name in GROWN) or any(map(_grown, within))


def on_thresholds(
    drawn: pd.DataFrame,
    features: Pipeline,
    trees: Thresholds,
    numbers: list[str],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, set[int]]:
    """Rows whose numbers lie on a threshold, or one step of float32 beside one.

    Behind a step that computes, which two runtimes do not do bit by bit alike, they lie as near to
    one as tells its place and side.

    Args:
        drawn: rows of inputs, as inputs.model_inputs.
        features: the trained steps before the estimator.
        trees: as `thresholds`.
        numbers: the inputs that are numbers.
        rng: draws thresholds and sides.

    Returns:
        The rows, and the columns of `trees` of which a threshold was met.
    """
    rows, matrix = drawn.copy(), _matrix(features, drawn)
    names = _names(features, matrix.shape[1])
    met: set[int] = set()
    others: list[int] = []
    for column, values in trees.items():
        source = _source(names[column], numbers)
        if source and _is_unchanged(matrix[:, column], drawn[source].to_numpy()):
            on = rng.choice(values, size=len(rows)).astype("float32")
            step = rng.choice([-np.inf, np.inf], size=len(rows)).astype("float32")
            rows[source] = np.where(rng.random(len(rows)) < 0.5, on, np.nextafter(on, step))
            met.add(column)
        else:
            others.append(column)
    movers = _movers(drawn, features, others, numbers) if others else {}
    if movers:
        met |= _search(rows, features, {column: trees[column] for column in movers}, movers, rng)
    return rows, met


def near_thresholds(
    rows: pd.DataFrame,
    usual: pd.DataFrame,
    features: Pipeline,
    trees: Thresholds,
    numbers: list[str],
) -> np.ndarray:
    """Which rows lie so near a threshold, behind a step that computes, that either side is right.

    What a step computes of numbers, two runtimes do not do bit by bit alike. Rows that were learned
    from lie there: trees put their thresholds between neighbours. What does not move with the
    numbers is exact, as the 0 of a category, of a bin, or of what is cut off, however near to it a
    threshold is: LightGBM's are at 1e-35.

    Args:
        rows: of inputs, as inputs.model_inputs.
        usual: rows as they come, which tell how large the numbers behind a step are.
        features: the trained steps before the estimator.
        trees: as `thresholds`.
        numbers: the inputs that are numbers.
    """
    near = np.zeros(len(rows), bool)
    if not trees:
        return near
    matrix = _matrix(features, rows)
    names = _names(features, matrix.shape[1])
    largest = np.nanmax(np.abs(_matrix(features, usual)), axis=0, initial=0)
    moves = _moves(rows, usual, features, numbers)
    for column, values in trees.items():
        made, source = matrix[:, column].astype("float64"), _source(names[column], numbers)
        if source and _is_unchanged(matrix[:, column], rows[source].to_numpy()):
            continue
        after = np.clip(np.searchsorted(values, made), 1, max(len(values) - 1, 1))
        around = np.array([values[after - 1], values[np.minimum(after, len(values) - 1)]])
        distance = np.abs(around - made).min(axis=0)
        near |= moves[:, column] & (distance <= EITHER * largest[column])
    return near


def _moves(
    rows: pd.DataFrame, usual: pd.DataFrame, features: Pipeline, numbers: list[str]
) -> np.ndarray:
    """Whether what the steps make of each row moves with its numbers, shape (rows, columns).

    They move by some steps of float32; one that is missing counts as the usual one.
    """
    known = rows.fillna(usual[numbers].median().astype("float32"))
    beside = {
        name: known[name] + EITHER * np.fmax(known[name].abs(), usual[name].abs().max())
        for name in numbers
    }
    before, after = _matrix(features, known), _matrix(features, known.assign(**beside))
    return (before != after) & ~(np.isnan(before) & np.isnan(after))


def follows_numbers(
    drawn: pd.DataFrame, features: Pipeline, trees: Thresholds, numbers: list[str]
) -> bool:
    """Whether a column on which the trees split changes when the numbers do."""
    before, after = _matrix(features, drawn), _matrix(features, _moved(drawn, numbers))
    return any(not np.array_equal(before[:, i], after[:, i], equal_nan=True) for i in trees)


def _moved(drawn: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    """Rows with other numbers, none moved as far as another: what steps subtract moves, too."""
    far = {name: np.float32(1 + i * GOLDEN) for i, name in enumerate(numbers)}
    return drawn.assign(**{name: drawn[name].to_numpy()[::-1] + far[name] for name in numbers})


def _movers(
    drawn: pd.DataFrame, features: Pipeline, columns: list[int], numbers: list[str]
) -> dict[int, list[str]]:
    """The numbers that each of some columns follows; no column that follows none."""
    found: dict[int, list[str]] = {}
    before = _matrix(features, drawn)[:, columns]
    if np.array_equal(
        before, _matrix(features, _moved(drawn, numbers))[:, columns], equal_nan=True
    ):
        return found  # as of categories: what follows none of them when all move, follows none
    for name in numbers:
        after = _matrix(features, _moved(drawn, [name]))[:, columns]
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        for i in np.flatnonzero(~same.all(axis=0)):
            found.setdefault(columns[i], []).append(name)
    return found


def _search(
    rows: pd.DataFrame,
    features: Pipeline,
    trees: Thresholds,
    sources: dict[int, list[str]],
    rng: np.random.Generator,
) -> set[int]:
    """Move a number of each row until the steps bring it near a threshold, in place; what was met.

    Between where it is and an end at which the row is on the other side, the distance is halved
    until both are neighbours: the steps need only be continuous.
    """
    ends = {name: _reach(rows[name].to_numpy()) for each in sources.values() for name in each}
    column = rng.choice([*trees], size=len(rows))
    source = np.array([rng.choice(sources[i]) for i in column])
    largest = np.abs(_matrix(features, rows)).max(axis=0, initial=0)
    beside = rng.choice([-NEAR, NEAR], size=len(rows)) * largest[column]
    aim = np.array([rng.choice(trees[i]) for i in column]) + beside

    def above(keys: np.ndarray) -> np.ndarray:
        """Whether the rows with these numbers are above what they aim at."""
        moved = _with(rows, source, _float(keys))
        made: np.ndarray = _matrix(features, moved)[np.arange(len(rows)), column]
        return made > aim

    given = np.array([rows[name].to_numpy()[i] for i, name in enumerate(source)])
    low, high = (np.array([ends[name][end] for name in source], dtype="float32") for end in (0, 1))
    near = _key(np.where(np.isfinite(given), given, low + (high - low) / 2))
    starts_above = above(near)
    far = np.where(above(_key(low)) != starts_above, _key(low), _key(high))
    between = above(far) != starts_above
    for _ in range(HALVINGS):
        middle = (near + far) // 2
        beyond = above(middle) != starts_above
        near, far = np.where(beyond, near, middle), np.where(beyond, middle, far)
    found = _float(np.where(rng.random(len(rows)) < 0.5, near, far))
    for name in np.unique(source[between]):
        chosen = between & (source == name)
        rows.loc[chosen, name] = found[chosen]
    return {int(each) for each in column[between]}


def _reach(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    span = max(float(high - low), 1.0)
    return float(low) - REACH * span, float(high) + REACH * span


def _with(rows: pd.DataFrame, source: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    moved = rows.copy()
    for name in np.unique(source):
        chosen = source == name
        moved.loc[chosen, name] = values[chosen]
    return moved


def _key(values: np.ndarray) -> np.ndarray:
    """float32 as int64 in the same order, where neighbours are one apart."""
    bits = values.view("int32").astype("int64")
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _float(keys: np.ndarray) -> np.ndarray:
    bits = np.where(keys < 0, -keys | 0x80000000, keys)
    return bits.astype("uint32").view("float32")


def _matrix(features: Pipeline, rows: pd.DataFrame) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # scikit-learn adds up the largest numbers, of either sign
        made: Any = features.transform(rows) if len(features) else rows
    dense: np.ndarray = made.toarray() if issparse(made) else np.asarray(made)
    return dense


def _names(features: Pipeline, width: int) -> list[str]:
    """What the steps call their columns; nothing where one of them has no names."""
    try:
        return [*map(str, features.get_feature_names_out())]
    except (AttributeError, ValueError):
        return [""] * width


def _source(name: str, numbers: list[str]) -> str | None:
    """The number that a column is called by, with or without the name of a step before it."""
    fitting = [each for each in numbers if name == each or name.endswith(f"__{each}")]
    return max(fitting, key=len, default=None)


def _is_unchanged(made: np.ndarray, given: np.ndarray) -> bool:
    known = ~np.isnan(given)
    return bool(known.any()) and np.array_equal(made[known].astype("float32"), given[known])
