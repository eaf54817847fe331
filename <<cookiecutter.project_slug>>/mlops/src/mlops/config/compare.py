"""How champion and challenger are compared."""

from typing import Annotated

from pydantic import Field

from .section import Count, Fraction, Section


class Compare(Section):
    """How champion and challenger are compared: see comparison."""

    resamples: Annotated[int, Field(ge=20)]
    confidence: Fraction
    rows: Count
