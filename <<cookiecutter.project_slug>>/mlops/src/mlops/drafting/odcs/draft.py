"""A first contract.yaml from a document of the standard."""

import re
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from keyword import iskeyword
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ...data.contract import Column, Contract, Kind
from ...data.expressions import parse as expression
from ...data.rules import Rules
from ...errors import InputError
from ...files import parse
from ...paths import CONTRACT
from ..draft import Draft, contract_text, flow
from . import ENGINE
from .dates import from_java
from .standard import Agreement, Check, Document, Property, Table

KINDS: dict[str, Kind] = {
    "string": "categorical",
    "number": "numeric",
    "integer": "numeric",
    "boolean": "boolean",
    "date": "datetime",
    "timestamp": "datetime",
}
# Where no logical type is given, what databases call theirs.
PHYSICAL: list[tuple[str, Kind]] = [
    (r"(n?var)?char|text|string|uuid|enum", "categorical"),
    (r"((big|small|tiny)?int|number|numeric|decimal|float|double|real)", "numeric"),
    (r"bool", "boolean"),
    (r"date|timestamp", "datetime"),
]
LATENCY = {"latency", "ly", "freshness"}
DAYS = {"d": 1.0, "day": 1.0, "days": 1.0, "h": 1 / 24, "hour": 1 / 24, "hours": 1 / 24}


@dataclass(frozen=True)
class Imported:
    """A contract.yaml, and what of the document is not in it, a line each."""

    text: str
    notes: list[str]


def draft(
    document: Document, path: Path, table: str | None, target: str | None, time: str | None
) -> Imported:
    """A contract of one table of a document.

    Args:
        document: what is read.
        path: where it stands, for messages.
        table: which one, where there are several.
        target: the column to predict; None to go by the document's own words, or to cluster.
        time: the column that orders the rows; None to go by the document's own words, or for none.

    Raises:
        InputError: there is no such table or column, or nothing is left to learn from.
    """
    chosen = document.table(table)
    names = [each.column for each in chosen.properties]
    for name in filter(None, (target, time)):
        if name not in names:
            raise InputError(f"{path}: no column {name}; there are {', '.join(names)}")
    reading = _Reading(chosen, {"target": target, "time": time})
    for agreement in document.sla_properties:
        reading.agreement(agreement)
    custom = {each.property: each.value for each in document.custom_properties}
    dialect = custom.pop("dialect") if isinstance(custom.get("dialect"), dict) else None
    clean = custom.pop("clean") if isinstance(custom.get("clean"), dict) else None
    reading.leave("the document", [*document.others, *custom])
    text = contract_text(reading.columns, str(path), dialect)
    text += f"clean: {flow(clean)}\n" if clean else ""
    text += reading.rules_text()
    parse(text, Contract, CONTRACT)  # a draft that cannot be read helps nobody
    return Imported(text, reading.notes)


class _Reading:
    """What is gathered of a table."""

    def __init__(self, table: Table, wanted: dict[str, str | None]) -> None:
        self._table, self._wanted = table, wanted
        self._rules: dict[str, Any] = {}
        self._kinds: dict[str, Kind] = {}
        self._names = {each.name: each.column for each in table.properties}
        self.columns: list[Draft] = []
        self.notes: list[str] = []
        for each in table.properties:
            self._column(each)
        keys = sorted(
            (each for each in table.properties if each.primary_key and each.column in self._kinds),
            key=lambda each: each.primary_key_position,
        )
        if keys:
            self._unique([each.column for each in keys])
        for check in table.quality:
            self._check_of_table(check)
        self.leave(
            table.name, [*table.others, *(each.property for each in table.custom_properties)]
        )

    def leave(self, where: str, what: list[str]) -> None:
        """Tell what is not taken over."""
        self.notes += [f"{where}: {each}" for each in what]

    def _add(self, key: str, value: Any) -> None:
        known = self._rules.setdefault(key, [])
        if value not in known:
            known.append(value)

    def _unique(self, names: list[str]) -> None:
        self._add("unique", names if len(names) > 1 else names[0])

    def _column(self, given: Property) -> None:
        name = given.column
        kind = KINDS.get(given.logical_type or "") or _physical_kind(given)
        if kind is None:
            what = given.logical_type or given.physical_type or "no type"
            self.leave(name, [f"the column, as a contract has no {what}"])
            return
        self._kinds[name] = kind
        own = {each.property: each.value for each in given.custom_properties}
        keys: dict[str, Any] = {
            "kind": kind,
            "role": self._role(given, kind, own.pop("role", None)),
        }
        if not given.required and keys["role"] not in ("target", "time"):
            keys["nullable"] = True
        if given.description:
            keys["description"] = given.description
        self._options(name, given.logical_type_options, keys)
        for check in given.quality:
            self._check_of_column(name, check, keys)
        if given.unique:
            self._unique([name])
        known = {key: own.pop(key) for key in [*own] if key in Column.model_fields}
        self.leave(name, [*given.others, *own])
        told = given.physical_type or given.logical_type or ""
        self.columns.append(Draft(name, keys | known, told))

    def _role(self, given: Property, kind: Kind, own: Any) -> Any:
        for role, name in self._wanted.items():
            if name == given.column:
                return role
        roles = own if isinstance(own, list) else [own] if own else []
        roles = [each for each in roles if self._wanted.get(each) is None]
        if roles:
            return roles if len(roles) > 1 else roles[0]
        if given.primary_key:
            return "id"
        return "rule" if kind == "datetime" else "feature"

    def _options(self, name: str, options: dict[str, Any], keys: dict[str, Any]) -> None:
        """`logicalTypeOptions`: bounds, how it is written, and what only a condition can say."""
        left, kind, column = dict(options), keys["kind"], _written(name)
        bounds = [_bound(left.get(each), kind) for each in ("minimum", "maximum")]
        if kind in ("numeric", "datetime") and bounds != [None, None]:
            keys["range"] = bounds
            for key, bound in zip(("minimum", "maximum"), bounds, strict=True):
                if bound is not None:
                    del left[key]
        if kind == "datetime" and (how := from_java(str(left.get("format", "")))):
            keys["format"] = how
            del left["format"]
        conditions = {
            "exclusiveMinimum": "{column} > {value}",
            "exclusiveMaximum": "{column} < {value}",
            "multipleOf": "{column} % {value} == 0",
            "minLength": "length({column}) >= {value}",
            "maxLength": "length({column}) <= {value}",
        }
        for key, condition in conditions.items():
            if key in left:
                value = left.pop(key)
                value = f"'{value}'" if isinstance(value, str) else value
                self._condition(name, key, condition.format(column=column, value=value))
        if "pattern" in left:
            self._condition(
                name, "pattern", f"matches({column}, {_pattern(str(left.pop('pattern')))})"
            )
        self.leave(name, [f"logicalTypeOptions.{key}" for key in left])

    def _condition(self, name: str, what: str, text: str, key: str = "each_row") -> None:
        """Add a condition on rows, or tell why it cannot be one."""
        try:
            expression(text, self._kinds, "boolean")
        except InputError as error:
            self.leave(name, [f"{what}, as {error}"])
        else:
            self._add(key, text)

    def _check_of_column(self, name: str, check: Check, keys: dict[str, Any]) -> None:
        low, high = _bounds(check)
        valid = check.arguments.get("validValues")
        none_at_all = high == 0
        match check.metric:
            case "nullValues" | "missingValues" if none_at_all and not check.arguments:
                keys.pop("nullable", None)
            case "nullValues" | "missingValues" if (
                low is None and high is not None and check.unit == "percent" and not check.arguments
            ):
                of = f"{_written(name)} is missing"
                self._add("shares", {"of": of, "within": [None, round(high / 100, 12)]})
            case "invalidValues" if none_at_all and keys["kind"] == "categorical" and valid:
                keys["allowed"] = [str(each) for each in valid]
            case "invalidValues" if none_at_all and valid:
                self._condition(name, "invalidValues", f"{_written(name)} in {valid!r}")
            case "invalidValues" if none_at_all and "pattern" in check.arguments:
                pattern = _pattern(str(check.arguments["pattern"]))
                self._condition(name, "pattern", f"matches({_written(name)}, {pattern})")
            case "duplicateValues" if none_at_all:
                self._unique([name])
            case None if "references" in _own(check):
                self._rules.setdefault("references", {})[name] = _own(check)["references"]
            case _:
                self.leave(name, [f"quality {check.told}"])

    def _check_of_table(self, check: Check) -> None:
        low, high = _bounds(check)
        where, own = self._table.name, _own(check)
        columns = [self._names.get(each, each) for each in check.arguments.get("properties", [])]
        match check.metric:
            case "rowCount" if (low, high) != (None, None):
                before = self._rules.get("rows", [None, None])
                found = zip((low, high), before, strict=True)
                self._rules["rows"] = [old if new is None else int(new) for new, old in found]
            case "duplicateValues" if high == 0 and columns and {*columns} <= self._kinds.keys():
                self._unique(columns)
            case None if own.keys() & {"each_row", "shares", "quantiles"}:
                for key, value in own.items():
                    self._add(key, value)
            case _:
                self.leave(where, [f"quality {check.told}"])

    def agreement(self, given: Agreement) -> None:
        """Take over how old the data may be."""
        name = given.element.removeprefix(f"{self._table.name}.")
        column, days = self._names.get(name, name), DAYS.get(given.unit)
        is_age = given.property.lower() in LATENCY and isinstance(given.value, int | float)
        if is_age and days and self._kinds.get(column) == "datetime":
            self._rules.setdefault("freshness", {})[column] = given.value * days
        else:
            self.leave("slaProperties", [given.property])

    def rules_text(self) -> str:
        """The rules as they stand in contract.yaml; nothing where there are none."""
        if not self._rules:
            return ""
        yaml, stream = YAML(), StringIO()
        yaml.width = 100
        yaml.indent(mapping=2, sequence=4, offset=2)
        in_order = {key: self._rules[key] for key in Rules.model_fields if key in self._rules}
        yaml.dump({"rules": in_order}, stream)
        return stream.getvalue()


def _physical_kind(given: Property) -> Kind | None:
    if given.logical_type is not None:
        return None
    for pattern, kind in PHYSICAL:
        if re.match(pattern, given.physical_type, re.IGNORECASE):
            return kind
    return None


def _own(check: Check) -> dict[str, Any]:
    """What `export` kept of ours."""
    is_ours = check.type == "custom" and check.engine == ENGINE
    return check.implementation if is_ours and isinstance(check.implementation, dict) else {}


def _bounds(check: Check) -> tuple[float | None, float | None]:
    """What a check asks for, both included. Of a count, less than 5 is at most 4."""
    step = 0 if check.unit == "percent" else 1
    if isinstance(check.must_be, int | float):
        return check.must_be, check.must_be
    if check.must_be_between is not None:
        return check.must_be_between
    low, high = check.must_be_greater_or_equal_to, check.must_be_less_or_equal_to
    if check.must_be_greater_than is not None:
        low = check.must_be_greater_than + step
    if check.must_be_less_than is not None:
        high = check.must_be_less_than - step
    return low, high


def _bound(value: Any, kind: Kind) -> Any:
    """A bound of a range; None where it is none for the kind."""
    if kind == "numeric" and isinstance(value, int | float):
        return value
    if kind == "datetime" and value is not None:
        try:
            datetime.fromisoformat(str(value))
        except ValueError:
            return None
        return str(value)
    return None


def _written(name: str) -> str:
    """A column's name in a condition."""
    is_plain = name.isidentifier() and not iskeyword(name) and name not in ("true", "false")
    return name if is_plain else f"`{name}`"


def _pattern(text: str) -> str:
    """A pattern in quotes. The standard's may fit any part of a text, ours fits the whole."""
    whole = text if text.startswith("^") and text.endswith("$") else f".*(?:{text}).*"
    return f'"{whole}"' if "'" in whole else f"'{whole}'"
