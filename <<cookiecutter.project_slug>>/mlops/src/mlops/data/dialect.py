"""`dialect` of contract.yaml: how the source is written."""

import codecs
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .reading import APOSTROPHES, BLANKS, MINUS, MISSING, Negative

# Told from each file.
AUTO = "auto"

DELIMITERS = {"tab": "\t", "space": " "}


def _encoding(name: str) -> str:
    if name != AUTO:
        try:
            codecs.lookup(name)
        except LookupError:
            raise ValueError(f"there is no encoding {name}; try utf-8, cp1252 or utf-16") from None
    return name


def _delimiter(mark: str) -> str:
    mark = DELIMITERS.get(mark, mark)
    if mark != AUTO and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n'):
        raise ValueError("one sign, such as ; or tab, or auto")
    return mark


def _mark(mark: str) -> str:
    if len(mark) > 1 or mark.isalnum() or mark in ("-", MINUS, "+", "(", ")", '"'):
        raise ValueError("one sign that is no digit, or nothing")
    return next((alike[0] for alike in (BLANKS, APOSTROPHES) if mark and mark in alike), mark)


def _unit(sign: str) -> str:
    if any(each.isdecimal() or each in f"+-{MINUS}()" for each in sign):
        raise ValueError("a sign or word such as % or EUR, without digits")
    return sign.strip()


def _names(value: Any) -> Any:
    if isinstance(value, list) and len(set(map(str, value))) < len(value):
        raise ValueError("a name occurs twice")
    return value


Decimal = Annotated[str, Field(pattern="^[.,]$")]
Thousands = Annotated[str, AfterValidator(_mark)]
Unit = Annotated[str, AfterValidator(_unit)]
Texts = list[str]


class Dialect(BaseModel):
    """How the files of the source are written, and the values in them.

    Attributes:
        encoding: of text files; `auto` tells UTF-8, UTF-16 and Windows-1252 apart.
        delimiter: between the cells; `auto` tells it from the first lines.
        header: whether names stand in the first line; false calls the columns c1, c2 and so on; a
            list gives all of their names.
        decimal, thousands, unit, negative, strip, missing: of values; see reading.Reader. A column
            may have its own.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    encoding: Annotated[str, AfterValidator(_encoding)] = AUTO
    delimiter: Annotated[str, AfterValidator(_delimiter)] = AUTO
    header: Annotated[bool | list[str], BeforeValidator(_names)] = True
    decimal: Decimal = "."
    thousands: Thousands = ""
    unit: Unit = ""
    negative: Negative | None = None
    strip: bool = False
    missing: Texts = MISSING

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` are the same mark")
        return self

    def names(self, columns: int) -> list[str]:
        """Names for the columns of a file that has none itself."""
        if isinstance(self.header, list):
            return self.header
        return [f"c{i}" for i in range(1, columns + 1)]
