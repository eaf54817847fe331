"""What breaks the `rules` of contract.yaml in rows that `contract.conform` has read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import InputError
from ..paths import CONTRACT
from . import tables
from .columns import frame
from .contract import Contract, Violation, as_kind, shown
from .expressions import Expression, Kind, parse
from .rules import Reference

# A violation shows so many of the rows that break its rule.
FIRST = 5


@dataclass(frozen=True)
class Broken:
    """A rule and the places of the rows that break it, in ascending order."""

    columns: list[str]
    rule: str
    places: np.ndarray


def of_rows(data: pd.DataFrame, contract: Contract) -> list[Violation]:
    """The rules that rows of `data` break; what a snapshot keeps, each part of it keeps.

    Args:
        data: conformed rows, whose index counts from 0.
        contract: its columns and rules.

    Raises:
        InputError: a rule names a column that the contract lacks, or cannot be understood.
    """
    found = (_unique, _each_row, _references)
    return [_told(each, data) for rules in found for each in rules(data, contract)]


def of_all(data: pd.DataFrame, contract: Contract, taken: datetime) -> list[Violation]:
    """The rules on all rows together that `data` breaks.

    Args:
        data: a whole snapshot, conformed.
        contract: its columns and rules.
        taken: when the snapshot was, with its zone; `freshness` counts from then.

    Raises:
        InputError: as `of_rows` does.
    """
    return [
        *_row_count(data, contract),
        *_freshness(data, contract, taken),
        *_shares(data, contract),
        *_quantiles(data, contract),
    ]


def _told(broken: Broken, data: pd.DataFrame) -> Violation:
    first = data.iloc[broken.places[:FIRST]][broken.columns]
    alone = len(broken.columns) == 1
    rows = [
        (
            int(place) + 1,
            ", ".join(
                shown(value) if alone else f"{name}={shown(value)}"
                for name, value in zip(broken.columns, values, strict=True)
            ),
        )
        for place, values in zip(
            broken.places[:FIRST], first.itertuples(index=False, name=None), strict=True
        )
    ]
    return Violation(", ".join(broken.columns), broken.rule, len(broken.places), rows)


def _on_all(column: str, rule: str, rows: int, found: str) -> Violation:
    return Violation(column, rule, rows, [], found)


def _row_count(data: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    if contract.rules.rows is None:
        return
    low, high = contract.rules.rows
    for bound, word, fails in (
        (low, "at least", low is not None and len(data) < low),
        (high, "at most", high is not None and len(data) > high),
    ):
        if fails:
            yield _on_all("(rows)", f"{word} {bound:,} rows", len(data), f"{len(data):,} rows")


def _unique(data: pd.DataFrame, contract: Contract) -> Iterator[Broken]:
    """Rows like an earlier one. As in SQL, a missing value is like no other."""
    for i, names in enumerate(contract.rules.unique):
        with _at(f"unique.{i}"):
            _check_columns(names, contract)
        keys = data[names].dropna()
        if len(again := np.flatnonzero(keys.duplicated())):
            yield Broken(names, "unique", keys.index[again].to_numpy())


def _each_row(data: pd.DataFrame, contract: Contract) -> Iterator[Broken]:
    for i, text in enumerate(contract.rules.each_row):
        with _at(f"each_row.{i}"):
            rule = parse(text, _kinds(contract), "boolean")
        fails = (~rule.values(data)).fillna(False).to_numpy(dtype=bool)
        if fails.any():
            yield Broken(rule.columns, text, np.flatnonzero(fails))


def _freshness(data: pd.DataFrame, contract: Contract, taken: datetime) -> Iterator[Violation]:
    for name, days in contract.rules.freshness.items():
        with _at("freshness"):
            _check_columns([name], contract)
            if contract.columns[name].kind != "datetime":
                raise InputError(f"{name} is {contract.columns[name].kind}, and must be a datetime")
        newest = data[name].max()
        moment = pd.Timestamp(taken.astimezone(UTC).replace(tzinfo=None))
        if pd.isna(newest) or moment - newest > pd.Timedelta(days=days):
            rule = f"at most {days:g} days older than the snapshot"
            yield _on_all(name, rule, len(data), f"newest {newest}, snapshot of {moment}")


def _shares(data: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    for i, share in enumerate(contract.rules.shares):
        with _at(f"shares.{i}.of"):
            condition = parse(share.of, _kinds(contract), "boolean")
        holds = condition.values(data).fillna(False).to_numpy(dtype=bool)
        value = float(holds.mean()) if len(data) else None
        yield from _outside(
            condition, f"share of {share.of}", value, share.within, int(holds.sum())
        )


def _quantiles(data: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    for i, quantile in enumerate(contract.rules.quantiles):
        with _at(f"quantiles.{i}.of"):
            number = parse(quantile.of, _kinds(contract), "numeric")
        known = number.values(data).dropna().to_numpy()
        value = float(np.quantile(known, quantile.at)) if len(known) else None
        rule = f"quantile {quantile.at:g} of {quantile.of}"
        yield from _outside(number, rule, value, quantile.within, len(known))


def _outside(
    of: Expression, rule: str, value: float | None, within: list[float | None], rows: int
) -> Iterator[Violation]:
    low, high = within
    if value is None or not ((low is None or value >= low) and (high is None or value <= high)):
        bounds = " and ".join(
            f"{word} {bound:.12g}"
            for word, bound in (("at least", low), ("at most", high))
            if bound is not None
        )
        found = "no value" if value is None else f"it is {value:.6g}"
        yield _on_all(", ".join(of.columns), f"{rule} {bounds}", rows, found)


def _references(data: pd.DataFrame, contract: Contract) -> Iterator[Broken]:
    for name, reference in contract.rules.references.items():
        with _at(f"references.{name}"):
            _check_columns([name], contract)
            allowed = _allowed(name, reference, contract)
        fails = (data[name].notna() & ~data[name].isin(allowed)).to_numpy(dtype=bool)
        if fails.any():
            yield Broken([name], f"in {reference.file}", np.flatnonzero(fails))


def _allowed(name: str, reference: Reference, contract: Contract) -> pd.Series:
    """The values in the file, read as those of the column are."""
    table = tables.read(Path(reference.file))
    wanted = reference.column or name
    if wanted not in table.column_names:
        raise InputError(
            f"{reference.file} has no column {wanted}; it has {', '.join(table.column_names)}"
        )
    values = frame(table.select([wanted]))[wanted]
    return as_kind(values, contract.columns[name]).dropna().drop_duplicates()


def _kinds(contract: Contract) -> dict[str, Kind]:
    return {name: column.kind for name, column in contract.columns.items()}


def _check_columns(names: Iterable[str], contract: Contract) -> None:
    for name in names:
        if name not in contract.columns:
            raise InputError(
                f"the contract has no column {name}; it has {', '.join(contract.columns)}"
            )


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Say in which rule a mistake is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{CONTRACT}: rules.{key}: {error}") from None
