"""Validate: does the snapshot keep the contract? The pipeline stops here when it does not."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ..config.params import load_params
from ..data import breaches
from ..data.checks import FINITE, LARGEST, NOT_MISSING, bound
from ..data.clean import clean
from ..data.contract import (
    Column,
    Contract,
    Violation,
    conform,
    is_missing,
    load_contract,
    snapshot,
    unreadable,
    violation,
)
from ..data.profile import profile
from ..errors import CheckError, InputError
from ..files import read_json, write_json
from ..judging.representation import as_file, caveats_of_groups, representation
from ..learning.caveats.data import caveats_of_data
from ..learning.declared import Declared, load_declared
from ..paths import CONTRACT, FEATURES, PIPELINE, PROFILE, PROVENANCE, VALIDATION
from . import stage, watched

# The steps of float32 may move numbers by this share of how far most of them spread.
COARSEST = 1e-3
# So much of a value is shown in the terminal.
WIDTH = 24


def validate() -> None:
    """Check the snapshot and write `reports/validation.json` and `reports/profile.json`.

    Raises CheckError with a table of column, rule, count and first rows when a rule is broken.
    """
    contract, task = load_contract(), load_params().task
    contract.check_task(task)
    declared = load_declared(contract)
    declared.check_task(task)
    if contract.rules.references or declared.file.include:
        check_watched(contract, declared)
    provenance = read_json(PROVENANCE)
    if as_of := provenance.get("as_of"):
        check_as_of(contract, as_of)
    found = clean(snapshot(), contract)
    # Today must not change what a stage says, so data is as old as it was when it was taken.
    taken = datetime.fromisoformat(provenance["retrieved_at"])
    raw, typed = found.raw, found.typed
    violations = [_in_snapshot(each, found.places) for each in broken(raw, typed, contract, taken)]
    caveats = [*caveats_of_data(typed, contract, task), *caveats_of_groups(typed, contract)]
    write_json(
        VALIDATION,
        {
            "valid": not violations,
            "rows": len(raw),
            "columns": list(contract.columns),
            "not_in_contract": [name for name in raw.columns if name not in contract.columns],
            "clean": [asdict(each) for each in found.steps],
            "violations": [asdict(each) for each in violations],
            "caveats": [asdict(each) for each in caveats],
            "groups": as_file(representation(typed, contract)),
        },
    )
    for step in found.steps:
        print(f"clean: {step}")
    if violations:
        what = "1 rule is" if len(violations) == 1 else f"{len(violations)} rules are"
        told = f"contract.yaml: {what} broken; see {VALIDATION}"
        raise CheckError(f"{told}\n{table(violations)}")
    write_json(PROFILE, profile(typed, contract))
    for each in caveats:
        print(f"caveat: {each}")
    print(f"{len(raw):,} rows keep the contract of {len(contract.columns)} columns")


def _in_snapshot(each: Violation, places: np.ndarray) -> Violation:
    """A violation whose rows are counted as the snapshot has them, with those that went."""
    return replace(each, rows=[(int(places[row - 1]) + 1, value) for row, value in each.rows])


def check(raw: pd.DataFrame, contract: Contract, taken: datetime | None = None) -> list[Violation]:
    """What in `raw` breaks the contract: the keys of each column first, then the rules.

    Args:
        raw: rows as they are in the snapshot.
        contract: what must hold for them.
        taken: when the snapshot was; None where `raw` is only a part of one, of which the rules on
            all rows together say nothing.
    """
    raw = raw.reset_index(drop=True)
    return broken(raw, conform(raw, contract), contract, taken)


def broken(
    raw: pd.DataFrame, typed: pd.DataFrame, contract: Contract, taken: datetime | None
) -> list[Violation]:
    """The same of rows that were conformed already, whose index counts from 0."""
    unread = list(unreadable(raw, typed, contract))
    # An unreadable value is missing in `typed`; it is reported once, as unreadable.
    hidden = {
        each.column: ~is_missing(raw[each.column], contract.columns[each.column]) for each in unread
    }
    return [
        *unread,
        *_broken_keys(typed, contract, hidden),
        *collapsed(typed, contract),
        *breaches.of_rows(typed, contract),
        *(breaches.of_all(typed, contract, taken) if taken else []),
    ]


def collapsed(typed: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    """Columns of numbers that float32, in which models compute, makes other columns of.

    What matters is how much its steps move numbers beside how far most of them spread: cents of
    large amounts may go, seconds of a time stamp may not.
    """
    for name in [*contract.features, *filter(None, [contract.target])]:
        if contract.columns[name].kind != "numeric":
            continue
        values = typed[name].dropna()
        values = values[values.abs() <= LARGEST]
        if values.empty:
            continue
        lost, spread = (values - values.astype("float32")).abs(), _spread(values.to_numpy())
        if _root_mean_square(lost.to_numpy()) <= COARSEST * spread:
            continue
        before, after = (each.nunique() for each in (values, values.astype("float32")))
        if after < before:
            rule = (
                f"apart in float32, which makes {after:,} of its {before:,} values: subtract an "
                f"offset in the data, such as {np.floor(values.min()):.12g}"
            )
            yield violation(name, rule, values[lost > COARSEST * spread])


def _spread(values: np.ndarray) -> float:
    """The standard deviation without the twentieth at each end, of all where that is nothing."""
    low, high = np.quantile(values, [0.05, 0.95])
    return float(np.clip(values, low, high).std() or values.std())


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def check_watched(contract: Contract, declared: Declared) -> None:
    """Raise InputError unless DVC watches the files that the contract and features.yaml name.

    Without, a stage would stand as done after such a file has changed.
    """
    named = [
        ("validate", f"{CONTRACT}: rules.references.{name}", reference.file)
        for name, reference in contract.rules.references.items()
    ]
    named += [
        (reader, f"{FEATURES}: include", file)
        for file in declared.file.include
        for reader in ("validate", "train")
    ]
    for reader, where, file in named:
        if not any(Path(file).is_relative_to(each) for each in watched(reader)):
            raise InputError(
                f"{where}: DVC does not watch {file}; add it to `deps` of `{reader}` in {PIPELINE}"
            )


def check_as_of(contract: Contract, seen: dict[str, Any]) -> None:
    """Raise InputError unless `ingest` looked for leaks from the future by this contract.

    Args:
        contract: what holds now.
        seen: `as_of` of the provenance: the column of time, and the columns that were compared.
    """
    new = [name for name in contract.of_their_time if name not in seen["columns"]]
    if contract.time != seen["time"]:
        new.insert(0, f"the time, which was {seen['time']}")
    if new:
        raise InputError(
            f"{CONTRACT}: {', '.join(new)}: new since the snapshot was taken, so not looked at for "
            "what was known only later; run `uv run dvc repro --force ingest`"
        )


def schema(contract: Contract) -> pa.DataFrameSchema:
    """The contract as pandera understands it, on data that `conform` returned."""
    return pa.DataFrameSchema(
        {
            name: pa.Column(nullable=column.nullable, checks=_checks(column), required=True)
            for name, column in contract.columns.items()
        }
    )


def _checks(column: Column) -> list[pa.Check]:
    checks = []
    if column.kind == "numeric":
        finite = pa.Check(lambda s: s.abs() <= LARGEST, name=FINITE, error=FINITE)
        checks.append(finite)
    if column.range is not None:
        low, high = column.range
        if low is not None:
            checks.append(pa.Check.ge(low, error=f"at least {bound(low)}"))
        if high is not None:
            checks.append(pa.Check.le(high, error=f"at most {bound(high)}"))
    if column.allowed is not None:
        checks.append(pa.Check.isin(column.allowed, error="allowed values"))
    return checks


def _broken_keys(
    typed: pd.DataFrame, contract: Contract, hidden: dict[str, pd.Series]
) -> Iterator[Violation]:
    try:
        schema(contract).validate(typed, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        for (column, rule), rows in cases.groupby(["column", "check"], sort=False):
            index = pd.Index(rows["index"].astype("int64"))
            values = pd.Series(rows["failure_case"].array, index=index)
            if rule == "not_nullable" and column in hidden:
                values = values[~hidden[column].loc[values.index].to_numpy()]
            if len(values):
                name = NOT_MISSING if rule == "not_nullable" else str(rule)
                yield violation(str(column), name, values.sort_index())


def table(violations: list[Violation]) -> str:
    """The violations as a table for the terminal, one row each."""
    rows = [("column", "rule", "rows", "first of them (row: value)")]
    for each in violations:
        width = WIDTH * len(each.column.split(", "))
        first = ", ".join(f"{row}: {value[:width]}" for row, value in each.rows)
        rows.append((each.column, each.rule, f"{each.count:,}", each.found or first))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows
    )


if __name__ == "__main__":
    stage(validate)
