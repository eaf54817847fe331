"""Score a file with a model, batch by batch, so that memory does not grow with the file."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from ..data import tables
from ..data.checks import FINITE, LARGEST, NOT_MISSING, broken, unknown
from ..data.columns import frame
from ..data.contract import Contract, Violation, conform
from ..data.dialect import Dialect
from ..data.inputs import columns, model_inputs
from ..errors import InputError
from ..files import explain, replacing
from ..inference import OnnxModel, Runnable
from ..progress import progress
from .reasons import Reasons

# Large enough to keep onnxruntime busy, small enough to fit any machine.
BATCH_ROWS = 65_536
EXPLAINED_ROWS = 500


@dataclass
class Tally:
    """Rows that were scored, and how many of them are not as the contract or training has them.

    Attributes:
        rows: how many were scored.
        broken: rows by column and rule of the contract.
        unknown: rows by column, of categories that training never saw.
    """

    rows: int = 0
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count the rows of another, too."""
        self.rows += other.rows
        self.broken += other.broken
        self.unknown += other.unknown

    def lines(self) -> list[str]:
        """What is not as it must be, for people, a line each."""
        of = f"of {self.rows:,} rows"
        return [
            *(f"{n:,} {of} break: {column}: {rule}" for (column, rule), n in self.broken.items()),
            *(f"{n:,} {of} hold a `{c}` that training never saw" for c, n in self.unknown.items()),
        ]


def predict(
    source: Path,
    target: Path,
    model: Runnable,
    with_inputs: bool = False,
    lenient: bool = False,
    written: dict[str, str] | None = None,
    explained: int = 0,
) -> Tally:
    """Write the predictions for every row of `source` to `target`, in the same order.

    Args:
        source: a table with the columns of the model's contract; others are ignored.
        target: a .csv or .parquet file; it appears when it is complete.
        model: what predicts; its own contract says how the columns are read and what they may hold.
        with_inputs: copy every column of `source` in front of the predictions; otherwise the
            columns with role id, or the row's number (from 1) where there are none.
        lenient: count rows that break the contract instead of refusing them.
        written: keys of the contract's dialect that are otherwise for this file.
        explained: how many reasons to give for each answer, the strongest first.
    Returns:
        How many rows there are, and how many of them are not as they must be.
    Raises:
        InputError: a column is missing, or a value breaks the contract; it names column, row, value
            and rule.
    """
    if not target.name.endswith((".csv", *tables.PARQUET)):
        raise InputError(f"{target}: predictions are written to .csv or .parquet")
    scorer = Scorer(source, model, with_inputs, lenient, written, explained)
    scored = _scored(source, scorer)
    first = next(scored, None)
    if first is None:
        raise InputError(f"{source}: no rows")
    with (
        replacing(target) as temporary,
        progress() as report,
        tables.writing(temporary, first[0].schema) as write,
    ):
        for batch, share in chain([first], scored):
            write(batch)
            report(scorer.tally.rows, share)
    return scorer.tally


class Scorer:
    """Predicts rows of a file; see `predict` for what is written of them, and what is refused.

    Attributes:
        tally: of the rows so far.
    """

    def __init__(
        self,
        source: Path,
        model: Runnable,
        with_inputs: bool = False,
        lenient: bool = False,
        written: dict[str, str] | None = None,
        explained: int = 0,
    ) -> None:
        """Look at the columns of `source`."""
        self._source, self._model, self._lenient = source, model, lenient
        self._explained = explained
        self._reasons_of: Reasons | None = None
        if explained:
            if not isinstance(model, OnnxModel):
                raise InputError("--explain: asks the ONNX model; leave it out, or --model")
            self._reasons_of = Reasons(model)
        self._contract = contract = read_as(Contract.parse(model.metadata["contract"]), written)
        self._needed = contract.only(contract.features)
        self._known: dict[str, list[str]] = model.metadata.get("categories", {})
        # Ids are for those who read the predictions: the model does without them.
        self._present = present = tables.column_names(source, contract.dialect)
        self._kept = (
            present if with_inputs else [n for n in contract.with_role("id") if n in present]
        )
        self.tally = Tally()

    @property
    def contract(self) -> Contract:
        """The model's, with what is otherwise for this file."""
        return self._contract

    def score(self, batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
        """What is written of some rows, which come after so many others."""
        needed = self._needed
        raw = frame(batch.select([n for n in self._present if n in needed.columns]))
        raw.index = pd.RangeIndex(before, before + len(raw))
        typed = conform(raw, needed, str(self._source))
        for violation in broken(raw, typed, needed):
            column = violation.column
            if not self._lenient:
                raise InputError(f"{self._source}: {_refusal(violation, needed)}")
            self.tally.broken[column, violation.rule] += violation.count
            if violation.rule == FINITE:  # there is no such float32
                typed[column] = typed[column].where(typed[column].abs() <= LARGEST)
        for category in unknown(typed, needed, self._known):
            self.tally.unknown[category.column] += category.count
        self.tally.rows += len(raw)
        kept = {name: batch[name] for name in self._kept} or {"row": pa.array(raw.index + 1)}
        answered = answers(self._model, self._contract, typed) | self._reasons(typed)
        twice = ", ".join(kept.keys() & answered.keys())
        if twice:
            raise InputError(
                f"{self._source}: has a column {twice}, as the predictions have; rename it"
            )
        return pa.RecordBatch.from_pydict(kept | answered)

    def _reasons(self, typed: pd.DataFrame) -> dict[str, Any]:
        """A column a reason, the strongest first."""
        if self._reasons_of is None:
            return {}
        count = self._explained
        reasons = self._reasons_of.of(columns(model_inputs(typed, self._contract)), count)
        filled = [[*texts, *[None] * (count - len(texts))] for texts in reasons]
        ranks = enumerate(zip(*filled, strict=True), 1)
        return {f"reason_{rank}": pa.array(texts, pa.string()) for rank, texts in ranks}

    @property
    def batch_rows(self) -> int:
        """Rows that are scored together: fewer where each takes its time."""
        return EXPLAINED_ROWS if self._explained else BATCH_ROWS


def read_as(contract: Contract, written: dict[str, str] | None) -> Contract:
    """The contract, for a file that is written otherwise than the source. Raises InputError."""
    if not written:
        return contract
    kept = {
        name: column.model_copy(update={key: None for key in written if hasattr(column, key)})
        for name, column in contract.columns.items()
    }
    try:
        dialect = Dialect.model_validate({**contract.dialect.model_dump(), **written})
        return Contract(dialect=dialect, columns=kept)
    except ValidationError as error:
        raise InputError("; ".join(explain(error))) from None


def _scored(source: Path, scorer: Scorer) -> Iterator[tuple[pa.RecordBatch, float]]:
    before = 0
    for batch, share in tables.batches(source, scorer.batch_rows, scorer.contract.dialect):
        yield scorer.score(batch, before), share
        before += batch.num_rows


def answers(model: Runnable, contract: Contract, typed: pd.DataFrame) -> dict[str, Any]:
    """What the model says of conformed rows: Arrow arrays, named as in the prediction log."""
    outputs = model.predict(columns(model_inputs(typed, contract)))
    prediction = outputs["prediction"]
    if contract.target and contract.columns[contract.target].kind == "boolean":
        prediction = prediction.astype(bool)
    answered = {"prediction": prediction}
    for i, name in enumerate(model.metadata.get("classes", [])):
        answered[f"probability_{name}"] = outputs["probability"][:, i]
    answered |= {name: outputs[name] for name in ("lower", "upper") if name in outputs}
    return {name: pa.array(values) for name, values in answered.items()}


def _refusal(violation: Violation, contract: Contract) -> str:
    row, value = violation.rows[0]
    where = f"row {row}, column {violation.column}: "
    if violation.rule == NOT_MISSING:
        what = "missing, and the model's contract does not have it nullable"
    elif violation.rule.startswith("kind "):
        what = f"{value!r} cannot be read as {contract.columns[violation.column].kind}"
    else:
        what = f"{value!r} is not {violation.rule}"
    return f"{where}{what} ({violation.count:,} such rows in this batch; --lenient counts them)"
