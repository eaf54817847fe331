"""Where the data comes from: one source, or several that a query joins."""

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from .section import Section

# What a table says that is known for all rows, whenever they are.
ALWAYS = "always"


class Source(Section):
    """Where `ingest` reads from."""

    path: Annotated[str, Field(min_length=1)]
    database: str | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path

    @property
    def paths(self) -> list[str]:
        """Where data is taken from, by the names that model.yaml has for the same."""
        return [self.path]

    @property
    def is_afar(self) -> bool:
        """Whether its rows are not in the project's folder."""
        return "://" in self.path or self.path.endswith((".url", ".sql"))

    @property
    def files(self) -> dict[str, str]:
        """What of it lies in the project, by the key in params.yaml that names it."""
        return {} if "://" in self.path else {"source.path": self.path}

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        for key, address in (("path", self.path), ("database", self.database or "")):
            if re.search(r"://[^/@:]*:[^/@$]+@", address):
                raise ValueError(f"{key}: contains a password; write $VARIABLE in its place")
        return self

    @model_validator(mode="after")
    def _database_goes_with_a_query(self) -> Self:
        if self.path.endswith(".sql") != (self.database is not None):
            raise ValueError("`database` goes with a `path` that ends in .sql, and only with one")
        return self


class Table(Source):
    """A source that a query joins with others.

    Attributes:
        known_at: the column that says when a row of it was known; `always` for what never changes.
        format: how that is written (strptime's codes) where it is not ISO 8601.
        label: whether it holds the target, which is known later than the row that it belongs to.
    """

    known_at: Annotated[str, Field(min_length=1)]
    format: str | None = None
    label: bool = False

    @property
    def moment(self) -> str | None:
        """The column that says when a row of it was known; None where all always were."""
        return None if self.known_at == ALWAYS else self.known_at


class Join(Section):
    """Sources by name, and the query that makes the snapshot of them.

    Attributes:
        query: a SELECT of DuckDB, or the .sql file that it stands in.
        tables: what it may read, and nothing else.
        memory_gb: how much memory it may take; what is more goes to the disk.
    """

    query: Annotated[str, Field(min_length=1)]
    tables: Annotated[dict[str, Table], Field(min_length=1)]
    memory_gb: Annotated[float, Field(ge=0.05)] = 1.0

    @model_validator(mode="after")
    def _names_are_plain(self) -> Self:
        """DuckDB does not tell large letters from small ones: no two names may be one to it."""
        for name in self.tables:
            if not re.fullmatch("[a-z_][a-z0-9_]*", name):
                raise ValueError(f"tables.{name}: a name is small letters, digits and `_`")
        return self

    @property
    def file(self) -> str | None:
        """The file that the query stands in; None where it stands in params.yaml."""
        return self.query if re.fullmatch(r"\S+\.sql", self.query) else None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.file or 'source.query'} of {', '.join(self.tables)}"

    @property
    def paths(self) -> list[str]:
        """See Source.paths."""
        return [table.path for table in self.tables.values()]

    @property
    def is_afar(self) -> bool:
        """Whether some of its rows are not in the project's folder."""
        return any(table.is_afar for table in self.tables.values())

    @property
    def files(self) -> dict[str, str]:
        """What of it lies in the project, by the key in params.yaml that names it."""
        return ({"source.query": self.file} if self.file else {}) | {
            f"source.tables.{name}.path": table.path
            for name, table in self.tables.items()
            if "://" not in table.path
        }


def _one_or_several(value: Any) -> Any:
    """Told apart by their keys, so that each mistake is told for the one that is meant."""
    if isinstance(value, Source | Join):
        return value
    if not isinstance(value, dict):
        raise ValueError("give `path`, or `query` and `tables`")
    joins = not {"query", "tables"}.isdisjoint(value)
    return (Join if joins else Source).model_validate(value)


AnySource = Annotated[Source | Join, BeforeValidator(_one_or_several)]
