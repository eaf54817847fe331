"""Reweighing: rows count so much in training that groups and target have nothing in common."""

import numpy as np
import pandas as pd

from ..data.contract import Contract
from ..data.membership import memberships


def reweighed(rows: pd.DataFrame, contract: Contract, target: np.ndarray) -> np.ndarray:
    """Weights of rows by which group and target have nothing to do with one another, mean 1.

    A row counts as often as its group and class would meet by chance, by how often they do:
    Kamiran and Calders, "Data preprocessing techniques for classification without discrimination",
    Knowledge and Information Systems 33, 2012.

    Args:
        rows: conformed.
        contract: names the columns with role sensitive, whose values make a group together.
        target: the class of each row, shape (rows,).
    """
    several = len(contract.with_role("sensitive"))
    *_, (_, _, membership) = memberships(rows, contract, several)
    group, _ = pd.factorize(membership)
    label, _ = pd.factorize(target)
    both, _ = pd.factorize(group * (label.max() + 1) + label)
    size = [np.bincount(each)[each] for each in (group, label, both)]
    weights: np.ndarray = size[0] * size[1] / (len(rows) * size[2])
    return weights
