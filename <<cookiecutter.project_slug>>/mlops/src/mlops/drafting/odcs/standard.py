"""What is read of a document of the standard. Whatever else it holds is kept by its name."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ...errors import InputError
from ...files import load


class Part(BaseModel):
    """A part of a document; keys that are not read are in `model_extra`."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)

    @property
    def others(self) -> list[str]:
        """The keys that are not read."""
        return [*(self.model_extra or {})]


class Custom(Part):
    """What a tool keeps for itself."""

    property: str
    value: Any = None


class Check(Part):
    """A check of quality: of the library, or in a tool's own words."""

    type: str = "library"
    metric: str | None = None
    arguments: dict[str, Any] = {}
    unit: str = "rows"
    engine: str | None = None
    implementation: Any = None
    must_be: Any = None
    must_be_greater_than: float | None = None
    must_be_greater_or_equal_to: float | None = None
    must_be_less_than: float | None = None
    must_be_less_or_equal_to: float | None = None
    must_be_between: tuple[float, float] | None = None

    @property
    def told(self) -> str:
        """What it is, in a word."""
        return self.metric or self.type


class Property(Part):
    """A column."""

    name: str
    physical_name: str | None = None
    physical_type: str = ""
    logical_type: str | None = None
    logical_type_options: dict[str, Any] = {}
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    primary_key_position: int = -1
    description: str | None = None
    quality: list[Check] = []
    custom_properties: list[Custom] = []

    @property
    def column(self) -> str:
        """What it is called in the data."""
        return self.physical_name or self.name


class Table(Part):
    """A table, or a file."""

    name: str
    physical_name: str | None = None
    physical_type: str | None = None
    logical_type: str | None = None
    custom_properties: list[Custom] = []
    properties: list[Property] = []
    quality: list[Check] = []


class Agreement(Part):
    """A property of the service level."""

    property: str
    value: Any = None
    unit: str = ""
    element: str = ""


class Document(Part):
    """A contract of the standard."""

    api_version: str
    kind: Literal["DataContract"]
    id: str
    name: str | None = None
    version: str = ""
    status: str = ""
    tables: list[Table] = Field(default=[], alias="schema")
    sla_properties: list[Agreement] = []
    custom_properties: list[Custom] = []

    def table(self, name: str | None) -> Table:
        """The table of a name, or the only one. Raises InputError where there is no such."""
        known = ", ".join(each.name for each in self.tables) or "none"
        found = [each for each in self.tables if name in (None, each.name)]
        if len(found) == 1:
            return found[0]
        if name is None and found:
            raise InputError(f"it describes several tables: give --table, one of {known}")
        raise InputError(f"it describes no table {name or ''}".rstrip() + f"; there is {known}")


def read(path: Path) -> Document:
    """Read a document. Raises InputError, one line a mistake, also for another version."""
    document = load(path, Document)
    if not document.api_version.startswith("v3."):
        raise InputError(
            f"{path}: apiVersion {document.api_version} cannot be read; only v3 of the Open Data "
            "Contract Standard can"
        )
    return document
