"""Which estimator is trained, and how."""

from typing import Annotated, Any

from pydantic import Field

from .section import Fraction, Section, Seed


class Search(Section):
    """A random search over hyperparameters, judged on the validation rows."""

    trials: Annotated[int, Field(ge=0)]
    space: dict[str, dict[str, Annotated[list[Any], Field(min_length=1)]]]


class Train(Section):
    """Which estimator is trained, and how."""

    estimator: str
    seed: Seed
    interval: Fraction | None = None
    search: Search
