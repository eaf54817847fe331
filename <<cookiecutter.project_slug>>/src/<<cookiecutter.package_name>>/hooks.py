"""Steps before and after the served model: see mlops/docs/extend.md.

They see the arrays of a whole batch, rows of several requests together, so that they cost little.
The serving image has numpy and nothing that trains. What belongs to the model itself goes into
features.py: it is exported with the model, so that training and serving cannot differ.
"""

import numpy as np


def before(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The checked inputs, an array of shape (rows,) a column, as the model gets them."""
    return inputs


def after(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's outputs, arrays of shape (rows,) or (rows, width), as clients get them."""
    return outputs
