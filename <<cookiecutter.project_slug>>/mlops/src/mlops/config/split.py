"""Which rows train, and which judge."""

from typing import Self

from pydantic import model_validator

from .section import Fraction, Section, Seed


class Split(Section):
    """Shares of rows kept for validation and for the test."""

    validation: Fraction
    test: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("`validation` and `test` must leave rows to train on (sum below 1)")
        return self
