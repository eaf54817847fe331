"""What every section of params.yaml is made of."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["classification", "regression", "clustering"]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A part of params.yaml. Unknown keys are refused, and `"1"` is not a number.

    Attributes:
        unsearched: of hyperparameters, the keys that no search may try.
    """

    # A section is read as part of the whole: it needs no validator of its own until it is alone.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    unsearched: ClassVar[frozenset[str]] = frozenset()


class Range(Section):
    """Numbers that a search chooses from; whole ones where the hyperparameter takes no others.

    Attributes:
        low, high: both are among them.
        log: whether each order of magnitude is as likely as another.
    """

    low: Finite
    high: Finite
    log: bool = False

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"`low` must be below `high`: {self.low:g}, {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"`log` takes numbers above 0, not {self.low:g}")
        return self


# What a hyperparameter may be: one of a range, or one of some values.
Domain = Range | list[Any]


@dataclass(frozen=True)
class Searched:
    """What a search chooses a hyperparameter from; stands in its annotation."""

    domain: Domain


def searched(low: float, high: float, *, log: bool = False) -> Searched:
    """That of numbers from `low` to `high`."""
    return Searched(Range(low=low, high=high, log=log))


def domains(hyperparameters: type[Section]) -> dict[str, Domain]:
    """What a search chooses from, by hyperparameter; others stay as they are set."""
    return {
        name: mark.domain
        for name, field in hyperparameters.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Searched)
    }
