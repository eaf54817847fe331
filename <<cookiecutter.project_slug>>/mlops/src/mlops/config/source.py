"""Where the data comes from."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from .section import Section


class Source(Section):
    """Where `ingest` reads from."""

    path: Annotated[str, Field(min_length=1)]
    database: str | None = None

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        for key, address in (("path", self.path), ("database", self.database or "")):
            if re.search(r"://[^/@:]*:[^/@$]+@", address):
                raise ValueError(f"{key}: a password stands here; write $VARIABLE in its place")
        return self

    @model_validator(mode="after")
    def _database_goes_with_a_query(self) -> Self:
        if self.path.endswith(".sql") != (self.database is not None):
            raise ValueError("`database` goes with a `path` that ends in .sql, and only with one")
        return self
