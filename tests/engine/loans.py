"""Made loans with a planted bias: two groups that pay back alike, of which one was granted less.

`merit` decides who pays back, and is drawn alike for both. Those who decided before asked more of
group B, so the label, `granted`, has a bias of a known size. The group is no feature, but
`district` nearly is it: a model that learns from the labels takes it for a reason.
"""

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from mlops.config.params import Params
from mlops.data.contract import Contract, conform

# How much merit was asked of each group, and how far decisions were off it.
ASKED = {"A": -0.3, "B": 0.5}
NOISE = 0.6
# How often somebody lives where most of their group do.
APART = 0.9

COLUMNS: dict[str, dict[str, Any]] = {
    "merit": {"kind": "numeric", "role": "feature"},
    "district": {"kind": "categorical", "role": "feature"},
    "group": {"kind": "categorical", "role": "sensitive"},
    "granted": {"kind": "boolean", "role": "target"},
}


def contract() -> Contract:
    """Their contract: the group is no feature."""
    return Contract.model_validate({"columns": COLUMNS})


def rate(group: str) -> float:
    """The share of a group that was granted a loan, by which it was made."""
    return 1 - NormalDist(0, (1 + NOISE**2) ** 0.5).cdf(ASKED[group])


def rows(count: int, seed: int, share: float = 0.4) -> pd.DataFrame:
    """Loans, of which this share is of group B."""
    rng = np.random.default_rng(seed)
    group = np.where(rng.random(count) < share, "B", "A")
    merit = rng.normal(0, 1, count)
    own = rng.random(count) < APART
    asked = pd.Series(group).map(ASKED).to_numpy()
    data = pd.DataFrame(
        {
            "merit": merit,
            "district": np.where(own == (group == "B"), "north", "south"),
            "group": group,
            "granted": merit + rng.normal(0, NOISE, count) > asked,
        }
    )
    return conform(data, contract())


def params(estimator: str = "linear", **changes: Any) -> Params:
    """What params.yaml says, with changes to its sections `train` and `fairness`."""
    from engine import made

    given = made.params("binary", estimator, **changes.pop("train", {})).model_dump()
    return Params.model_validate(given | changes)
