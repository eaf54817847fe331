"""What a model, as it is served or exported, says of rows whose truth is known."""

import numpy as np
import pandas as pd

from ..data.contract import Contract
from ..data.inputs import columns, model_inputs, target_values
from ..inference import Runnable
from .metrics import Scored


def answers(
    model: Runnable, contract: Contract, rows: pd.DataFrame, space: np.ndarray | None = None
) -> Scored:
    """The model's outputs for some rows beside what is true of them.

    Args:
        model: is asked for the columns of its own contract.
        contract: names the target of the rows.
        rows: conformed; their order is kept.
        space: as Scored.space, for clustering.
    """
    outputs = model.predict(columns(model_inputs(rows, Contract.parse(model.metadata["contract"]))))
    truth = target_values(rows, contract)
    names, classes = model.metadata.get("classes"), None
    if names and truth is not None:
        classes = np.arange(2) if truth.dtype.kind == "i" else np.asarray(names)
        outputs["prediction"] = outputs["prediction"].astype(classes.dtype)
    return Scored(outputs, truth, classes, space)
