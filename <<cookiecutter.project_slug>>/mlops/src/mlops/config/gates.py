"""What the metrics must keep."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from .section import Finite, Section


class Bounds(Section):
    """The lowest and the highest value allowed. None bounds nothing, nor would .nan or .inf."""

    min: Finite | None = None
    max: Finite | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if all(value is None for value in self.__dict__.values()):
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` is above `max`: {self.min:g}, {self.max:g}")
        return self

    def outside(self, name: str, value: float | None) -> str | None:
        """How `value`, called `name`, is not within the bounds; None when it is."""
        if self.min is None and self.max is None:
            return None
        if value is None or math.isnan(value):
            return f"{name}: has no value on the test rows"
        if self.min is not None and value < self.min:
            return f"{name}: {value:g} is below {self.min:g}"
        if self.max is not None and value > self.max:
            return f"{name}: {value:g} is above {self.max:g}"
        return None


class Gate(Bounds):
    """What a metric of the test rows must keep.

    Attributes:
        regression: how much worse than the champion's it may be, in the metric's unit; 0 for "not
            worse". Chance is allowed for: see comparison.
        naive: how much better than any naive answer it must be, in the metric's unit; 0 for "better
            at all". Chance is allowed for.
        slices: bounds on each value of a column with role slice.
    """

    regression: Annotated[Finite, Field(ge=0)] | None = None
    naive: Annotated[Finite, Field(ge=0)] | None = None
    slices: dict[str, Bounds] | None = None
