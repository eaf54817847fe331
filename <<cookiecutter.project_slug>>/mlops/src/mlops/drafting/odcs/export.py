"""contract.yaml as a document of the standard."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ...config.source import AnySource, Source
from ...data.contract import Column, Contract, Kind
from ...data.rules import Share
from ...paths import SNAPSHOT
from ...project import About
from . import ENGINE, VERSION
from .dates import to_java

LOGICAL_TYPES: dict[Kind, str] = {
    "numeric": "number",
    "categorical": "string",
    "text": "string",
    "boolean": "boolean",
    "datetime": "timestamp",
}
# Keys of a column for which the standard has words of its own; others are custom properties.
STANDARD = {"kind", "nullable", "range", "allowed", "format", "description"}


@dataclass
class Export:
    """A document of the standard.

    Attributes:
        document: to be written as YAML.
        notes: what other tools cannot read in it, a line each.
    """

    document: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The document as YAML."""
        yaml, stream = YAML(), StringIO()
        yaml.width = 100
        yaml.indent(mapping=2, sequence=4, offset=2)
        yaml.dump(self.document, stream)
        return stream.getvalue()


def export(contract: Contract, source: AnySource, project: About) -> Export:
    """The contract as the standard writes it.

    Args:
        contract: what is written.
        source: where the data is, which is told where it is a file.
        project: whose contract it is.
    """
    path = source.path if isinstance(source, Source) else str(SNAPSHOT)
    table = Path(path).stem or project.name
    made = Export({})
    properties = [
        _property(name, column, contract, made) for name, column in contract.columns.items()
    ]
    made.document = {
        "apiVersion": VERSION,
        "kind": "DataContract",
        "id": project.name,
        "name": project.name,
        "version": project.version,
        "status": "active",
        **_server(path),
        "schema": [
            _filled(
                name=table,
                physicalName=path,
                physicalType="file",
                logicalType="object",
                properties=properties,
                quality=[*_quality(contract, made)],
            )
        ],
        **_filled(
            slaProperties=[
                {
                    "property": "latency",
                    "value": _plain(days),
                    "unit": "d",
                    "element": f"{table}.{name}",
                }
                for name, days in contract.rules.freshness.items()
            ],
            customProperties=_custom(
                contract.model_dump(
                    mode="json", exclude_defaults=True, exclude={"columns", "rules"}
                ),
            ),
        ),
    }
    return made


def _server(path: str) -> dict[str, Any]:
    kind = Path(path).suffix.removeprefix(".")
    if kind not in ("csv", "parquet") or "://" in path:
        return {}
    return {"servers": [{"server": "source", "type": "local", "path": path, "format": kind}]}


def _property(name: str, column: Column, contract: Contract, made: Export) -> dict[str, Any]:
    own = column.model_dump(mode="json", exclude_defaults=True, exclude=STANDARD)
    options = _options(column)
    if column.format is not None and "format" not in options:
        own["format"] = column.format
    if column.kind == "text":  # a string to the standard, as categories are
        own["kind"] = column.kind
    made.notes += [f"columns.{name}.{key}: in customProperties" for key in own if key != "role"]
    return _filled(
        name=name,
        description=column.description,
        logicalType=LOGICAL_TYPES[column.kind],
        logicalTypeOptions=options,
        required=not column.nullable,
        unique=[name] in contract.rules.unique or None,
        quality=[*_quality_of(name, column, contract, made)],
        customProperties=_custom(own),
    )


def _options(column: Column) -> dict[str, Any]:
    low, high = column.range or (None, None)
    return _filled(
        minimum=_plain(low),
        maximum=_plain(high),
        format=to_java(column.format) if column.format else None,
    )


def _quality_of(
    name: str, column: Column, contract: Contract, made: Export
) -> Iterator[dict[str, Any]]:
    if column.allowed is not None:
        valid = {"validValues": column.allowed}
        yield {"metric": "invalidValues", "arguments": valid, "mustBe": 0}
    for share in contract.rules.shares:
        if (most := most_missing(name, share)) is not None:
            percent = _plain(round(most * 100, 9))
            yield {"metric": "nullValues", "unit": "percent", "mustBeLessOrEqualTo": percent}
    if reference := contract.rules.references.get(name):
        made.notes.append(f"rules.references.{name}: as quality that only {ENGINE} checks")
        yield _own("references", reference.model_dump(exclude_defaults=True))


def most_missing(name: str, share: Share) -> float | None:
    """The share of missing values that a rule allows a column; None where it is another rule."""
    low, high = share.within
    is_that = share.of in (f"{name} is missing", f"`{name}` is missing")
    return high if is_that and low is None else None


def _quality(contract: Contract, made: Export) -> Iterator[dict[str, Any]]:
    rules = contract.rules
    low, high = rules.rows or (None, None)
    if low is not None:
        yield {"metric": "rowCount", "mustBeGreaterOrEqualTo": low}
    if high is not None:
        yield {"metric": "rowCount", "mustBeLessOrEqualTo": high}
    for names in rules.unique:
        if len(names) > 1:
            yield {"metric": "duplicateValues", "arguments": {"properties": names}, "mustBe": 0}
    others: dict[str, list[Any]] = {
        "each_row": rules.each_row,
        "shares": [
            each.model_dump()
            for each in rules.shares
            if all(most_missing(name, each) is None for name in contract.columns)
        ],
        "quantiles": [each.model_dump() for each in rules.quantiles],
    }
    for key, values in others.items():
        for value in values:
            of = value if isinstance(value, str) else value["of"]
            made.notes.append(f"rules.{key}: {of}: as quality that only {ENGINE} checks")
            yield _own(key, value)


def _own(key: str, value: object) -> dict[str, Any]:
    return {"type": "custom", "engine": ENGINE, "implementation": {key: value}}


def _custom(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"property": key, "value": value} for key, value in values.items()]


def _filled(**values: Any) -> dict[str, Any]:
    """Those that say something; `false` does."""
    return {key: value for key, value in values.items() if value not in (None, [], {})}


def _plain(value: float | datetime | None) -> Any:
    """A value as YAML has it: 3 for 3.0, and a date as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value
