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
    rows, scored = 0, _scored(source, Scorer(source, model, with_inputs))
    first = next(scored, None)
    if first is None:
        raise InputError(f"{source}: no rows")
    with replacing(target) as temporary, progress_bar() as progress:
        task = progress.add_task("", total=1.0, rows="")
        with tables.writing(temporary, first[0].schema) as write:
            for batch, share in chain([first], scored):
                write(batch)
                rows += batch.num_rows
                progress.update(task, completed=share, rows=f"{rows:,} rows")
    return rows


class Scorer:
    """Predicts rows of a file; see `predict` for what is written of them, and what is refused."""

    def __init__(self, source: Path, model: OnnxModel, with_inputs: bool = False) -> None:
        """Look at the columns of `source`."""
        self._source, self._model = source, model
        self._contract = contract = Contract.parse(model.metadata["contract"])
        self._needed = contract.only(contract.features)
        # Ids are for those who read the predictions: the model does without them.
        self._present = present = tables.column_names(source)
        self._kept = (
            present if with_inputs else [n for n in contract.with_role("id") if n in present]
        )

    def score(self, batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
        """What is written of some rows, which come after so many others."""
        needed = self._needed
        raw = batch.select([n for n in self._present if n in needed.columns]).to_pandas()
        raw.index = pd.RangeIndex(before, before + len(raw))
        typed = conform(raw, needed, str(self._source))
        _check(raw, typed, needed, self._source)
        told = {name: batch[name] for name in self._kept} or {"row": pa.array(raw.index + 1)}
        answered = answers(self._model, self._contract, typed)
        twice = ", ".join(told.keys() & answered.keys())
        if twice:
            raise InputError(
                f"{self._source}: has a column {twice}, as the predictions have; rename it"
            )
        return pa.RecordBatch.from_pydict(told | answered)


def _scored(source: Path, scorer: Scorer) -> Iterator[tuple[pa.RecordBatch, float]]:
    before = 0
    for batch, share in tables.batches(source, BATCH_ROWS):
        yield scorer.score(batch, before), share
        before += batch.num_rows


def answers(model: OnnxModel, contract: Contract, typed: pd.DataFrame) -> dict[str, Any]:
    """What the model says of conformed rows: Arrow arrays, named as in the prediction log."""
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


def progress_bar() -> Progress:
    """A bar with the share that is done and the rows so far, on standard error."""
    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rows]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # which leaves an empty line there
    )
