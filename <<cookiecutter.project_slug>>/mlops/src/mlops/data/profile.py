"""What a data set looks like, in numbers small enough for Git, and how far two are apart."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ..files import significant
from .contract import Contract

# Numbers are described by this many equal steps between the lowest and the highest.
STEPS = 20
# Of categories, this many are told with their share, most frequent first.
CATEGORIES = 50

Profile = dict[str, Any]


def profile(data: pd.DataFrame, contract: Contract) -> Profile:
    """Rows, and for each column its kind, share of missing values and distribution.

    Args:
        data: conformed rows.
        contract: its columns. Of one whose only role is id, and of texts, no value is told.
    """
    columns = {}
    for name, column in contract.columns.items():
        values = data[name].dropna()
        found: dict[str, Any] = {
            "kind": column.kind,
            "missing": significant(1 - len(values) / max(len(data), 1)),
        }
        if column.role == ["id"] or column.kind == "text":
            found["distinct"] = int(values.nunique())
        elif column.kind == "numeric" and len(values):
            found["quantiles"] = [
                significant(each) for each in np.quantile(values, np.linspace(0, 1, STEPS + 1))
            ]
            found["mean"] = significant(float(values.mean()))
        elif column.kind == "datetime" and len(values):
            found["range"] = [values.min().isoformat(), values.max().isoformat()]
        elif column.kind in ("categorical", "boolean"):
            counts = values.astype(str).value_counts()
            counts = counts.sort_index().sort_values(ascending=False, kind="stable")
            found["distinct"] = len(counts)
            found["shares"] = {
                str(value): significant(count / len(values))
                for value, count in counts.head(CATEGORIES).items()
            }
        columns[name] = found
    return {"rows": len(data), "columns": columns}


@dataclass(frozen=True)
class Change:
    """How a column differs between two profiles.

    Attributes:
        column: its name.
        told: what changed, a phrase each: kind, missing values, range, categories.
        shift: distance of the distributions from 0 (the same) to 1; None where there is none.
    """

    column: str
    told: list[str]
    shift: float | None


def changes(before: Profile, after: Profile) -> list[Change]:
    """The columns that differ, largest shift first."""
    old, new = before["columns"], after["columns"]
    found = [Change(name, ["new column"], None) for name in new if name not in old]
    found += [Change(name, ["column is gone"], None) for name in old if name not in new]
    for name in new:
        if name in old and old[name] != new[name]:
            found.append(Change(name, [*_told(old[name], new[name])], shift(old[name], new[name])))
    return sorted(found, key=lambda each: -1.0 if each.shift is None else -each.shift)


def shift(old: Profile, new: Profile) -> float | None:
    """How far two distributions of a column are apart, from 0 to 1.

    Numbers: the largest difference of the two distribution functions (Kolmogorov-Smirnov), as far
    as the quantiles tell. Categories: half the sum of absolute differences of shares (total
    variation), rare ones left out.
    """
    if "quantiles" in old and "quantiles" in new:
        grid = np.unique([*old["quantiles"], *new["quantiles"]])
        below = [_below(each["quantiles"], grid) for each in (old, new)]
        return round(float(np.abs(below[0] - below[1]).max()), 4)
    if old.get("shares") and new.get("shares"):
        values = {*old["shares"], *new["shares"]}
        apart = sum(abs(old["shares"].get(v, 0) - new["shares"].get(v, 0)) for v in values)
        return round(apart / 2, 4)
    return None


def _below(quantiles: list[float], grid: np.ndarray) -> np.ndarray:
    """Share of values at most each of `grid`, linear between quantiles, which may be equal."""
    level = np.linspace(0, 1, len(quantiles))
    at = np.searchsorted(quantiles, grid, side="right") - 1
    share = np.where(at < 0, 0.0, level[np.maximum(at, 0)])
    for i, (low, high) in enumerate(pairwise(quantiles)):
        inside = (grid > low) & (grid < high)
        share[inside] = level[i] + (grid[inside] - low) / (high - low) * (level[i + 1] - level[i])
    return share


def _told(old: Profile, new: Profile) -> list[str]:
    told = []
    if old["kind"] != new["kind"]:
        told.append(f"kind {old['kind']} → {new['kind']}")
    if old["missing"] != new["missing"]:
        told.append(f"missing {old['missing']:.2%} → {new['missing']:.2%}")
    before, after = _ends(old), _ends(new)
    if before and after and before != after:
        told.append(f"range {' to '.join(before)} → {' to '.join(after)}")
    # Beyond the first CATEGORIES a value may be old and only not told.
    if len(old.get("shares", {})) < CATEGORIES:
        gained = [value for value in new.get("shares", {}) if value not in old.get("shares", {})]
        if gained and "shares" in old:
            told.append(f"new: {_listed(gained)}")
    if len(new.get("shares", {})) < CATEGORIES:
        lost = [value for value in old.get("shares", {}) if value not in new.get("shares", {})]
        if lost and "shares" in new:
            told.append(f"gone: {_listed(lost)}")
    return told


def _ends(described: Profile) -> list[str] | None:
    if "quantiles" in described:
        return [f"{described['quantiles'][i]:g}" for i in (0, -1)]
    return described.get("range")


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(values[:5]) + more
