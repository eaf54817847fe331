"""`clean` and `rules` of contract.yaml: which rows go first, and what must hold beyond a column.

What the expressions in it mean, and whether the columns are there, is for `breaches` to say.
"""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..config.section import Positive, Section


def _in_order(bounds: list[Any]) -> list[Any]:
    low, high = bounds
    if low is None and high is None:
        raise ValueError("give a number for one of the two bounds")
    if low is not None and high is not None and low > high:
        raise ValueError(f"the wrong way round: {low} is above {high}")
    return bounds


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


# `[low, high]`, both included; null for no bound.
Bounds = Annotated[list[float | None], Field(min_length=2, max_length=2), AfterValidator(_in_order)]
RowBounds = Annotated[
    list[Annotated[int, Field(ge=0)] | None],
    Field(min_length=2, max_length=2),
    AfterValidator(_in_order),
]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Names = Annotated[list[Text], BeforeValidator(_as_list), Field(min_length=1)]


class Clean(Section):
    """Which rows of the snapshot are not learned from, nor judged on.

    Attributes:
        drop: conditions, in the language of `expressions`; where one is true, a row goes.
        duplicates: true for rows that are like an earlier one in all columns, or the columns that
            tell.
    """

    drop: list[Text] = []
    duplicates: bool | Annotated[list[Text], Field(min_length=1)] = False


class Share(Section):
    """The share of rows for which a condition holds."""

    of: Text
    within: Bounds

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if not all(bound is None or 0 <= bound <= 1 for bound in self.within):
            raise ValueError("`within` of a share is from 0 to 1")
        return self


class Quantile(Section):
    """The value that a share of the rows, `at`, is not above; 0.5 is the median."""

    of: Text
    at: Annotated[float, Field(ge=0, le=1)]
    within: Bounds


class Reference(Section):
    """A file whose `column` has the values that there may be; None for that of the same name."""

    file: Text
    column: Text | None = None


class Rules(Section):
    """What must hold beyond a column.

    Attributes:
        rows: how many there are, at least and at most.
        unique: columns, or groups of them, in which no two rows are the same.
        each_row: conditions, in the language of `expressions`.
        freshness: by column, how many days its newest value may lie before the snapshot.
        shares, quantiles: bounds on numbers of all rows.
        references: by column, where the values stand that it may take.
    """

    rows: RowBounds | None = None
    unique: list[Names] = []
    each_row: list[Text] = []
    freshness: dict[str, Positive] = {}
    shares: list[Share] = []
    quantiles: list[Quantile] = []
    references: dict[str, Reference] = {}
