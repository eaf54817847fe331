"""How much groups of people may differ in what the model does to them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from .section import Finite, Section


class Parity(Section):
    """What a metric of groups must keep, between any two of them.

    Attributes:
        difference: the largest minus the smallest may be so much.
        ratio: the smallest by the largest must be so much; 0.8 is the four-fifths rule of the US
            Equal Employment Opportunity Commission (29 CFR 1607.4 D).
        regression: how much larger the difference may be than the champion's.
    """

    difference: Annotated[Finite, Field(ge=0)] | None = None
    ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    regression: Annotated[Finite, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if all(value is None for value in self.__dict__.values()):
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        return self
