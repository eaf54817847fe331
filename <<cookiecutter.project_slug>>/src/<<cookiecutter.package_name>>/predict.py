"""Score a file with the ONNX model, batch by batch, so that memory does not grow with the file."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from . import tables
from .contract import Contract, conform, unreadable
from .errors import InputError
from .files import replacing
from .inference import OnnxModel
from .inputs import columns, model_inputs

# Large enough to keep onnxruntime busy, small enough to fit any machine.
BATCH_ROWS = 65_536


def predict(source: Path, target: Path, model: OnnxModel, with_inputs: bool = False) -> int:
    """Write the predictions for every row of `source` to `target`, in the same order.

    Args:
        source: a CSV or Parquet file with the columns of the model's contract; others are ignored.
        target: a .csv or .parquet file; it appears when it is complete.
        model: what predicts; its own contract says how the columns are read.
        with_inputs: copy every column of `source` in front of the predictions; otherwise the
            columns with role id, or the row's number (from 1) where there are none.
    Returns:
        The number of rows.
    Raises:
        InputError: a column is missing, a value cannot be read as its kind, or one is missing that
            the contract does not allow to be; it names column, row and value.
    """
    if not target.name.endswith((".csv", *tables.PARQUET)):
        raise InputError(f"{target}: predictions are written to .csv or .parquet")
    contract = Contract.parse(model.metadata["contract"])
    rows, scored = 0, _scored(source, model, contract, with_inputs)
    first = next(scored, None)
    if first is None:
        raise InputError(f"{source}: no rows")
    with replacing(target) as temporary, _progress() as progress:
        task = progress.add_task("", total=1.0, rows="")
        with tables.writing(temporary, first[0].schema) as write:
            for batch, share in chain([first], scored):
                write(batch)
                rows += batch.num_rows
                progress.update(task, completed=share, rows=f"{rows:,} rows")
    return rows


def _scored(
    source: Path, model: OnnxModel, contract: Contract, with_inputs: bool
) -> Iterator[tuple[pa.RecordBatch, float]]:
    # Ids are for those who read the predictions: the model does without them.
    present = tables.column_names(source)
    kept = present if with_inputs else [n for n in contract.with_role("id") if n in present]
    needed = contract.only(contract.features)
    seen = 0
    for batch, share in tables.batches(source, BATCH_ROWS):
        raw = batch.select([n for n in present if n in needed.columns]).to_pandas()
        raw.index = pd.RangeIndex(seen, seen + len(raw))
        typed = conform(raw, needed, str(source))
        _check(raw, typed, needed, source)
        told = {name: batch[name] for name in kept} or {"row": pa.array(raw.index + 1)}
        answers = _answers(model, contract, typed)
        twice = ", ".join(told.keys() & answers.keys())
        if twice:
            raise InputError(f"{source}: has a column {twice}, as the predictions have; rename it")
        yield pa.RecordBatch.from_pydict(told | answers), share
        seen += len(raw)


def _answers(model: OnnxModel, contract: Contract, typed: pd.DataFrame) -> dict[str, Any]:
    outputs = model.predict(columns(model_inputs(typed, contract)))
    prediction = outputs["prediction"]
    if contract.target and contract.columns[contract.target].kind == "boolean":
        prediction = prediction.astype(bool)
    found = {"prediction": prediction}
    for i, name in enumerate(model.metadata.get("classes", [])):
        found[f"probability_{name}"] = outputs["probability"][:, i]
    found |= {name: outputs[name] for name in ("lower", "upper") if name in outputs}
    return {name: pa.array(values) for name, values in found.items()}


def _check(raw: pd.DataFrame, typed: pd.DataFrame, needed: Contract, source: Path) -> None:
    for each in unreadable(raw, typed, needed):
        row, value = each.rows[0]
        raise InputError(
            f"{source}: row {row}, column {each.column}: {value!r} cannot be read as "
            f"{needed.columns[each.column].kind} ({each.count:,} such rows in this batch)"
        )
    for name in needed.features:
        gone = np.flatnonzero(typed[name].isna())
        if len(gone) and not needed.columns[name].nullable:
            raise InputError(
                f"{source}: row {raw.index[gone[0]] + 1}, column {name}: missing, and the model's "
                "contract does not have it nullable"
            )


def _progress() -> Progress:
    return Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rows]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
