"""What every section of params.yaml is made of."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

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

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    unsearched: ClassVar[frozenset[str]] = frozenset()
