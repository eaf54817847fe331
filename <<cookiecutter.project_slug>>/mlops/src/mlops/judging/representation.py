"""Representation: what the data says of groups of people, before a model learns from it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from ..data.contract import Contract
from ..data.membership import memberships, places
from ..files import significant
from ..learning.caveats.caveat import Caveat
from .proportions import Estimate, difference, share

# Of shares: what is surely further apart is told.
APART = 0.1
CONFIDENCE = 0.95
# Smaller groups are shown, and tell nothing for sure.
FEW = 50
# Shares of more classes are no rate that can be compared.
CLASSES = 20


@dataclass(frozen=True)
class Represented:
    """A group in the data.

    Attributes:
        rows, share: how many there are, and of all rows.
        missing: by feature, the share of its rows without a value; those that have all are left
            out.
        target: the share of each class, or the mean; empty for clustering.
    """

    rows: int
    share: float
    missing: dict[str, float]
    target: dict[str, float]


def representation(data: pd.DataFrame, contract: Contract) -> dict[str, dict[str, Represented]]:
    """The groups of each column with role sensitive, by value, in conformed rows."""
    return {
        label: {
            name: _represented(data.iloc[rows], contract, len(data))
            for name, rows in places(membership).items()
        }
        for label, _, membership in memberships(data, contract, 1)
    }


def as_file(found: dict[str, dict[str, Represented]]) -> dict[str, Any]:
    """The same for JSON."""
    return {
        label: {name: asdict(each) for name, each in groups.items()}
        for label, groups in found.items()
    }


def _represented(some: pd.DataFrame, contract: Contract, every: int) -> Represented:
    missing = {name: significant(some[name].isna().mean()) for name in contract.features}
    return Represented(
        rows=len(some),
        share=significant(len(some) / every),
        missing={name: value for name, value in missing.items() if value},
        target=_target(some, contract),
    )


def _target(some: pd.DataFrame, contract: Contract) -> dict[str, float]:
    known = some[contract.target].dropna() if contract.target else pd.Series(dtype=float)
    if known.empty:
        return {}
    if pd.api.types.is_float_dtype(known):
        return {"mean": significant(known.mean())}
    classes = known.astype("str")
    if pd.api.types.is_bool_dtype(known):
        classes = classes.str.lower()
    counted = classes.value_counts(normalize=True).sort_index()
    return {str(name): significant(value) for name, value in counted.items()}


def caveats_of_groups(data: pd.DataFrame, contract: Contract) -> Iterator[Caveat]:
    """Where groups surely differ in what is missing of them, or in what is true of them."""
    for label, _, membership in memberships(data, contract, 1):
        groups = {name: rows for name, rows in places(membership).items() if len(rows) >= FEW}
        for name in contract.features:
            gone = data[name].isna().to_numpy()
            if name != label and gone.any() and (told := _furthest(gone, groups)):
                yield Caveat("groups", label, f"{name} is missing in {told}")
        for name, hits in _classes(data, contract):
            if told := _furthest(hits, groups):
                yield Caveat(
                    "groups",
                    label,
                    f"{contract.target} is {name} for {told}: a model learns that, whether it is "
                    "so or was only decided so",
                )


def _classes(data: pd.DataFrame, contract: Contract) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each class of the target, of two the second alone, and which rows are of it."""
    if contract.target is None or contract.columns[contract.target].kind == "numeric":
        return
    target = data[contract.target].astype("str")
    names = sorted(target.dropna().unique())
    if len(names) <= CLASSES:
        for name in names[-1:] if len(names) == 2 else names:
            shown = name.lower() if pd.api.types.is_bool_dtype(data[contract.target]) else name
            yield shown, (target == name).to_numpy()


def _furthest(hits: np.ndarray, groups: dict[str, np.ndarray]) -> str | None:
    """The two groups whose shares are the furthest apart, where that is surely far."""
    pairs = len(groups) * (len(groups) - 1) / 2
    if not pairs:
        return None
    confidence = 1 - (1 - CONFIDENCE) / pairs
    shares = {name: _share(hits[rows], confidence) for name, rows in groups.items()}
    apart = max(
        ((difference(shares[a], shares[b]).low, a, b) for a, b in permutations(shares, 2)),
    )
    if apart[0] <= APART:
        return None
    _, high, low = apart
    return f"{shares[high].value:.1%} of {high} and {shares[low].value:.1%} of {low}"


def _share(hits: np.ndarray, confidence: float) -> Estimate:
    return share(int(hits.sum()), len(hits), confidence)
