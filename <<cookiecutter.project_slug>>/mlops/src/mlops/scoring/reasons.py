"""Reasons: what moved an answer most, in words that the contract has for its columns."""

from typing import Any

import numpy as np
import pandas as pd

from ..data.contract import Contract
from ..data.inputs import columns, model_inputs
from ..inference import OnnxModel
from ..printable import shown
from .explaining import Columns, background_of, explain, explained_class

# What moves an answer by less, as a share of the strongest, is no reason.
LEAST = 0.01


def reasons(
    model: OnnxModel, contract: Contract, typed: pd.DataFrame, count: int
) -> list[list[str]]:
    """The strongest reasons for the answer to each of some conformed rows, at most `count`.

    Raises InputError where the model carries no background, or says what is no number.
    """
    background, asked = background_of(model), columns(model_inputs(typed, contract))
    found = []
    for i in range(len(typed)):
        row = {name: values[i : i + 1] for name, values in asked.items()}
        shares = explain(model, row, background).shares
        least = LEAST * max(map(abs, shares.values()), default=0.0)
        strong = [(name, share) for name, share in shares.items() if abs(share) > least]
        what = _what(model, contract, row)
        found.append([_reason(contract, row, *each, *what) for each in strong[:count]])
    return found


def _what(model: OnnxModel, contract: Contract, row: Columns) -> tuple[str, bool]:
    """What is explained, in words, and whether it is a probability."""
    classes, target = model.metadata.get("classes"), str(contract.target)
    if not classes:
        return target, False
    of_boolean = contract.columns[target].kind == "boolean"
    name = target if of_boolean else f"{target} {shown(classes[explained_class(model, row)])}"
    return f"the probability of {name}", True


def _reason(
    contract: Contract, row: Columns, name: str, share: float, what: str, is_share: bool
) -> str:
    verb = "raises" if share > 0 else "lowers"
    by = f"{abs(share) * 100:.1f} points" if is_share else f"{abs(share):.4g}"
    called = contract.columns[name].description or name
    return f"{shown(called)} {_value(contract, name, row[name][0])} {verb} {what} by {by}"


def _value(contract: Contract, name: str, value: Any) -> str:
    kind = contract.columns[name].kind
    if kind == "categorical":
        return shown(str(value)) if value else "missing"
    if np.isnan(value):
        return "missing"
    return str(bool(value)).lower() if kind == "boolean" else f"{float(value):.6g}"
