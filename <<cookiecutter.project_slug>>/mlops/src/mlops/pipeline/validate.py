"""Validate: does the snapshot keep the contract? The pipeline stops here when it does not."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ..config.params import load_params
from ..contract import (
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
from ..errors import CheckError
from ..files import write_json
from ..paths import PROFILE, VALIDATION
from ..profile import profile
from . import stage


def validate() -> None:
    """Check the snapshot and write `reports/validation.json` and `reports/profile.json`.

    Raises CheckError with a table of column, rule, count and first rows when a rule is broken.
    """
    contract = load_contract()
    contract.check_task(load_params().task)
    raw = snapshot()
    violations = check(raw, contract)
    write_json(
        VALIDATION,
        {
            "valid": not violations,
            "rows": len(raw),
            "columns": list(contract.columns),
            "not_in_contract": [name for name in raw.columns if name not in contract.columns],
            "violations": [asdict(each) for each in violations],
        },
    )
    if violations:
        raise CheckError(
            f"{len(violations)} rules of contract.yaml are broken; see {VALIDATION}\n"
            + table(violations)
        )
    write_json(PROFILE, profile(conform(raw, contract), contract))
    print(f"{len(raw):,} rows keep the contract of {len(contract.columns)} columns")


def check(raw: pd.DataFrame, contract: Contract) -> list[Violation]:
    """What in `raw` breaks the contract: values unreadable, missing, out of range, not allowed."""
    raw = raw.reset_index(drop=True)
    typed = conform(raw, contract)
    unread = list(unreadable(raw, typed, contract))
    # An unreadable value is missing in `typed`; it is reported once, as unreadable.
    hidden = {
        each.column: ~is_missing(raw[each.column], contract.columns[each.column]) for each in unread
    }
    return [*unread, *_broken_rules(typed, contract, hidden)]


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
        # Models see float32.
        largest = float(np.finfo("float32").max)
        finite = pa.Check(lambda s: s.abs() <= largest, name="finite", error="finite")
        checks.append(finite)
    if column.range is not None:
        low, high = column.range
        if low is not None:
            checks.append(pa.Check.ge(low, error=f"at least {_bound(low)}"))
        if high is not None:
            checks.append(pa.Check.le(high, error=f"at most {_bound(high)}"))
    if column.allowed is not None:
        checks.append(pa.Check.isin(column.allowed, error="allowed values"))
    return checks


def _bound(value: float | datetime) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _broken_rules(
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
                name = "not missing" if rule == "not_nullable" else str(rule)
                yield violation(str(column), name, values.sort_index())


def table(violations: list[Violation]) -> str:
    """The violations as a table for the terminal, one row each."""
    rows = [("column", "rule", "rows", "first of them (row: value)")]
    for each in violations:
        first = ", ".join(f"{row}: {value[:24]}" for row, value in each.rows)
        rows.append((each.column, each.rule, f"{each.count:,}", first))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows
    )


if __name__ == "__main__":
    stage(validate)
