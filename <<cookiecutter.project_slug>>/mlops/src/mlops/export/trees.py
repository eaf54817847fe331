"""Trees of a graph as tables: nodes that split, and leaves."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .program import Step

# How a tree compares: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
MODES = {"BRANCH_LEQ": "<=", "BRANCH_LT": "<", "BRANCH_GTE": ">=", "BRANCH_GT": ">"}


@dataclass(frozen=True)
class Trees:
    """All trees of an ensemble.

    A node's number counts those that split, of all trees; a leaf's is ~number, so below zero.

    Attributes:
        comparison: of a column with a threshold, in C.
        columns, thresholds: of each node, shape (nodes,).
        missing: whether a column that is missing goes the way of one that compares, shape (nodes,).
        yes, no: the node or leaf that follows, shape (nodes,).
        roots: the node or leaf that each tree begins with, shape (trees,).
        weights: what each leaf adds to each score, shape (leaves, scores).
        trees: the tree that each leaf is of, shape (leaves,).
        start: what each score begins with, shape (scores,).
    """

    comparison: str
    columns: np.ndarray
    thresholds: np.ndarray
    missing: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    roots: np.ndarray
    weights: np.ndarray
    trees: np.ndarray
    start: np.ndarray

    @staticmethod
    def of(step: Step) -> "Trees":
        """Read TreeEnsembleClassifier or TreeEnsembleRegressor.

        Raises InputError where its trees compare in several ways, or are not summed up.
        """
        told = step.settings
        kind = "class" if step.operator.endswith("Classifier") else "target"
        if told.get("aggregate_function", "SUM") != "SUM":
            raise InputError(
                f"export: trees that are no sum are not written in C ({step.operator})"
            )
        keys = list(zip(told["nodes_treeids"], told["nodes_nodeids"], strict=True))
        is_leaf = [mode == "LEAF" for mode in told["nodes_modes"]]
        modes = {mode for mode in told["nodes_modes"] if mode != "LEAF"} or {"BRANCH_LEQ"}
        if len(modes) > 1 or not modes <= set(MODES):
            raise InputError(f"export: trees that compare by {', '.join(sorted(modes))}")
        inner = [key for key, leaf in zip(keys, is_leaf, strict=True) if not leaf]
        leaves = [key for key, leaf in zip(keys, is_leaf, strict=True) if leaf]
        number = {key: place for place, key in enumerate(inner)}
        number |= {key: ~place for place, key in enumerate(leaves)}
        splits = np.flatnonzero(~np.array(is_leaf))

        def followed(name: str) -> np.ndarray:
            return np.array([number[keys[at][0], told[name][at]] for at in splits], dtype=int)

        missing = told.get("nodes_missing_value_tracks_true") or [0] * len(keys)
        scores = told[f"{kind}_ids"]
        width = max(max(scores) + 1, told.get("n_targets", 1))
        weights = np.zeros((len(leaves), width), dtype="float32")
        places = zip(told[f"{kind}_treeids"], told[f"{kind}_nodeids"], strict=True)
        for key, score, weight in zip(places, scores, told[f"{kind}_weights"], strict=True):
            weights[~number[key], score] += np.float32(weight)
        trees = list(dict.fromkeys(tree for tree, _ in keys))
        return Trees(
            comparison=MODES[modes.pop()],
            columns=np.array(told["nodes_featureids"], dtype=int)[splits],
            thresholds=np.array(told["nodes_values"], dtype="float32")[splits],
            missing=np.array(missing, dtype=bool)[splits],
            yes=followed("nodes_truenodeids"),
            no=followed("nodes_falsenodeids"),
            # The root is the first node of a tree that is written.
            roots=np.array([number[next(k for k in keys if k[0] == tree)] for tree in trees]),
            weights=weights,
            trees=np.array([trees.index(tree) for tree, _ in leaves]),
            start=np.resize(told.get("base_values") or [0.0], width).astype("float32"),
        )

    @property
    def single(self) -> np.ndarray | None:
        """The only score that each tree adds to, shape (trees,); None where one adds to several."""
        found = np.zeros(len(self.roots), dtype=int)
        for tree in range(len(self.roots)):
            added = np.flatnonzero(self.weights[self.trees == tree].any(axis=0))
            if len(added) > 1:
                return None
            found[tree] = added[0] if len(added) else 0
        return found
