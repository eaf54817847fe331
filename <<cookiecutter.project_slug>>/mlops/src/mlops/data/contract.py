"""`contract.yaml`, typed: the one place that names the columns, and what must hold for them."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from ..config.section import Task
from ..errors import InputError
from ..files import load
from ..paths import CONTRACT, SNAPSHOT
from ..printable import shown as as_text
from . import columns as whole
from .dialect import Decimal, Dialect, Texts, Thousands, Unit
from .reading import Negative, Reader, reader
from .rules import Clean, Rules

Kind = Literal["numeric", "categorical", "text", "boolean", "datetime"]
Role = Literal["feature", "target", "time", "id", "group", "slice", "sensitive", "rule"]

# Names of the model's outputs, which an input cannot have too: see model.Outputs.
OUTPUTS = {"prediction", "probability", "lower", "upper", "distances"}


def _bound(value: Any) -> Any:
    """YAML reads 2013-01-01 as a date, JSON as text; a bound is a moment in UTC, or a number."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


Bound = Annotated[float | datetime | None, BeforeValidator(_bound)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Column(BaseModel):
    """One column: what it holds, what it is for, and the values it may take.

    `range` is `[low, high]`, both included, either of them null for "no bound". `format` tells how
    a datetime is written (strptime's codes) where it is not ISO 8601. `redact` keeps the values out
    of the prediction log. `decimal`, `thousands`, `unit`, `negative`, `strip` and `missing` tell
    how values are written where that is not as the dialect says; `missing` comes to the dialect's.
    `spellings` are texts and the values that they mean, and `impute` is read where a value is
    missing: both are how values are read, in training and by whoever answers.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Kind
    role: Annotated[list[Role], BeforeValidator(_as_list), Field(min_length=1)]
    nullable: bool = False
    range: Annotated[list[Bound], Field(min_length=2, max_length=2)] | None = None
    allowed: Annotated[list[str], Field(min_length=1)] | None = None
    format: str | None = None
    redact: bool = False
    description: str | None = None
    decimal: Decimal | None = None
    thousands: Thousands | None = None
    unit: Unit | None = None
    negative: Negative | None = None
    strip: bool | None = None
    missing: Texts | None = None
    spellings: Annotated[dict[str, str], Field(min_length=1)] | None = None
    impute: bool | float | str | None = None

    # Set by the contract, which knows the dialect.
    _reader: Reader | None = PrivateAttr(None)

    @property
    def reader(self) -> Reader:
        """What reads its values."""
        return self._reader or reader(self, Dialect())

    def within(self, dialect: Dialect) -> "Column":
        """The same in a source of this dialect, with what it allows in the one spelling."""
        read = reader(self, dialect)
        allowed = None if self.allowed is None else [read.spelling(each) for each in self.allowed]
        fill = read.spelling(self.impute) if isinstance(self.impute, str) else self.impute
        column = self.model_copy(update={"allowed": allowed, "impute": fill})
        column._reader = read
        return column

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Self:
        if self.allowed is not None and self.kind != "categorical":
            raise ValueError("`allowed` is for categorical columns; use `range` for others")
        if self.format is not None and self.kind != "datetime":
            raise ValueError("`format` is for datetime columns")
        if self.kind != "numeric" and (self.thousands, self.unit, self.negative) != (None,) * 3:
            raise ValueError("`thousands`, `unit` and `negative` are for numeric columns")
        if self.range is not None:
            self._check_range(self.range)
        if self.kind == "datetime" and "target" in self.role:
            raise ValueError(
                "a datetime cannot be the target; predict a number, such as days to it"
            )
        if self.kind == "text" and not {"feature", "rule"}.issuperset(self.role):
            raise ValueError("a text has role feature or rule; kind categorical is for others")
        self._check_cleaning()
        if "time" in self.role and self.kind != "datetime":
            raise ValueError("a column with role time must be of kind datetime")
        if {"feature", "target"} <= set(self.role):
            raise ValueError("a column cannot be feature and target at once")
        return self

    def _check_cleaning(self) -> None:
        if self.spellings is not None:
            if self.kind not in ("categorical", "boolean"):
                raise ValueError("`spellings` is for categorical and boolean columns")
            if again := {*self.spellings} & {*self.spellings.values()}:
                raise ValueError(f"`spellings`: {', '.join(sorted(again))} is on both sides")
        if self.impute is None:
            return
        suits = {
            **{"numeric": float | int, "boolean": bool},
            **dict.fromkeys(("categorical", "text"), str),
        }.get(self.kind)
        is_bool = isinstance(self.impute, bool)
        if suits is None or not isinstance(self.impute, suits) or is_bool != (suits is bool):
            raise ValueError("`impute` is a number, a text, or true or false, as the column is")
        if not {"target", "id", "group"}.isdisjoint(self.role):
            raise ValueError("`impute` is not for a target, an id or a group: nobody knows it")
        if self.nullable:
            raise ValueError("with `impute` no value is missing: leave out `nullable`")
        if self.allowed is not None and self.impute not in self.allowed:
            raise ValueError(f"`impute`: {self.impute} is not in `allowed`")
        low, high = self.range or [None, None]
        if isinstance(self.impute, float | int) and not (
            (not isinstance(low, float) or low <= self.impute)
            and (not isinstance(high, float) or self.impute <= high)
        ):
            raise ValueError(f"`impute`: {self.impute} is outside `range`")

    def _check_range(self, bounds: list[Any]) -> None:
        suits = {"numeric": float, "datetime": datetime}.get(self.kind)
        if suits is None or not all(b is None or isinstance(b, suits) for b in bounds):
            raise ValueError(
                "`range` is numbers for numeric, dates for datetime, nothing for others"
            )
        low, high = bounds
        if low is not None and high is not None and low > high:
            raise ValueError(f"`range` is the wrong way round: {low} is above {high}")


class Contract(BaseModel):
    """How the source is written, its columns in the order of the model's inputs, and rules."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dialect: Dialect = Dialect()
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    clean: Clean = Clean()
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _columns_know_the_dialect(self) -> Self:
        for name, column in self.columns.items():
            self.columns[name] = column.within(self.dialect)
            read = self.columns[name].reader
            if read.decimal == read.thousands:
                raise ValueError(f"columns.{name}: `decimal` and `thousands` are the same mark")
        return self

    @model_validator(mode="after")
    def _roles_add_up(self) -> Self:
        for role in ("target", "time", "group"):
            names = self.with_role(role)
            if len(names) > 1:
                raise ValueError(f"columns: only one may have role {role}, not {', '.join(names)}")
        taken = OUTPUTS & set(self.features)
        if taken:
            raise ValueError(
                f"columns: {', '.join(sorted(taken))}: the model's output has this name; rename it "
                "in the source, or leave it out"
            )
        if not self.features:
            raise ValueError("columns: at least one must have role feature")
        return self

    @staticmethod
    def parse(described: dict[str, Any]) -> "Contract":
        """The contract that a model carries in its metadata: see pipeline.convert.metadata."""
        return Contract.model_validate_json(json.dumps(described))

    def with_role(self, role: Role) -> list[str]:
        """Names of the columns that have `role`."""
        return [name for name, column in self.columns.items() if role in column.role]

    def only(self, names: Collection[str]) -> "Contract":
        """The contract of some columns, in this one's order."""
        some = {name: column for name, column in self.columns.items() if name in names}
        return Contract(dialect=self.dialect, columns=some)

    @property
    def features(self) -> list[str]:
        """Names of the model's inputs, in order."""
        return self.with_role("feature")

    @property
    def target(self) -> str | None:
        """Name of what is predicted; None for clustering."""
        return next(iter(self.with_role("target")), None)

    @property
    def time(self) -> str | None:
        """Name of the column that orders the rows in time, where there is one."""
        return next(iter(self.with_role("time")), None)

    @property
    def group(self) -> str | None:
        """Name of the column whose equal values stay in one part, where there is one."""
        return next(iter(self.with_role("group")), None)

    @property
    def of_their_time(self) -> list[str]:
        """Names of the columns in which a row may hold only what was known at its time."""
        later: set[Role] = {"target", "rule"}
        return [name for name, column in self.columns.items() if not later.issuperset(column.role)]

    def check_task(self, task: Task) -> None:
        """Raise InputError when the target does not suit the task."""
        kind = self.columns[self.target].kind if self.target else None
        suits = {
            "classification": ("boolean", "categorical"),
            "regression": ("numeric",),
            "clustering": (None,),
        }[task]
        if kind not in suits:
            wanted = {
                "classification": "a boolean or categorical column with role target",
                "regression": "a numeric column with role target",
                "clustering": "no column with role target",
            }[task]
            has = f"{self.target} is {kind}" if self.target else "there is none"
            raise InputError(f"{CONTRACT}: task {task} of params.yaml needs {wanted}; {has}")


def load_contract(path: Path = CONTRACT) -> Contract:
    """Read and check contract.yaml. Raises InputError, one line a mistake."""
    return load(path, Contract)


def snapshot(columns: Collection[str] | None = None) -> pd.DataFrame:
    """The rows that `ingest` took, as they came; of all columns, or those of some that it has."""
    file = pq.ParquetFile(SNAPSHOT)
    some = None if columns is None else [n for n in file.schema_arrow.names if n in columns]
    return whole.frame(file.read(some))


@dataclass(frozen=True)
class Violation:
    """A rule of the contract that rows break.

    `rows` are the first few, counted from 1 as in the snapshot, each with its value as text. Where
    a rule is of all rows together there are none, and `found` says what they come to.
    """

    column: str
    rule: str
    count: int
    rows: list[tuple[int, str]]
    found: str | None = None


def conform(data: pd.DataFrame, contract: Contract, name: str = "the data") -> pd.DataFrame:
    """The contract's columns of `data` (errors call it `name`), each in the type of its kind.

    numeric: float64; boolean: nullable boolean; categorical: str; datetime: datetime64 in UTC,
    without zone. What cannot be read as its kind becomes missing: `unreadable` finds those.
    Rows that the contract drops are still there: see `clean.clean`.
    Raises InputError when a column is not there at all.
    """
    missing = [column for column in contract.columns if column not in data.columns]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}, which the contract names; it has "
            f"{', '.join(map(str, data.columns))}"
        )
    return pd.DataFrame(
        {key: as_kind(data[key], column) for key, column in contract.columns.items()},
        index=data.index,
    )


def as_kind(values: pd.Series, column: Column) -> pd.Series:
    """The values of a column in the type of its kind, as in `conform`; missing ones are imputed."""
    found = _read(values, column)
    if column.impute is None or not (gone := found.isna()).any():
        return found
    return found.where(~(gone & is_missing(values, column)), column.impute)


def _read(values: pd.Series, column: Column) -> pd.Series:
    match column.kind:
        case "numeric":
            return whole.numbers(values, column.reader)
        case "boolean":
            return whole.booleans(values, column.reader)
        case "datetime":
            return whole.moments(values, column.reader, column.format)
        case "categorical" | "text":
            return whole.categories(values, column.reader)


def is_missing(values: pd.Series, column: Column) -> pd.Series:
    """Which values say that there is none, as the contract has it."""
    read: dict[Kind, Callable[[Any], Any]] = {
        "numeric": column.reader.number,
        "boolean": column.reader.boolean,
        "categorical": column.reader.category,
        "text": column.reader.category,
        "datetime": column.reader.says_none,
    }
    return whole.missing(values, read[column.kind])


def unreadable(raw: pd.DataFrame, typed: pd.DataFrame, contract: Contract) -> Iterator[Violation]:
    """The values of `raw` that `conform` could not read as their column's kind."""
    for name, column in contract.columns.items():
        gone = typed[name].isna()
        broken = gone & ~is_missing(raw[name], column) if gone.any() else gone
        if broken.any():
            yield violation(name, f"kind {column.kind}", raw.loc[broken, name])


def violation(column: str, rule: str, values: pd.Series) -> Violation:
    """A violation by `values`, whose index counts the rows from 0."""
    first = values.head(5)
    rows = [(int(row) + 1, shown(value)) for row, value in zip(first.index, first, strict=True)]
    return Violation(column, rule, len(values), rows)


def shown(value: object) -> str:
    """A value as it stands in a violation."""
    return f"{value:.12g}" if isinstance(value, float) else as_text(value)
