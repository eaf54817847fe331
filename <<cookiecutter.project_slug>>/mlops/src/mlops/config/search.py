"""What `mlops search` tries, and for how long."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .section import Count, Positive, Range, Section

How = Literal["one_hot", "target", "frequency", "hash", "rare"]


class Search(Section):
    """A search across estimators, hyperparameters, encodings and features.

    Attributes:
        minutes: of the whole of it, however often it was killed; the trial that runs is finished.
        trials: of the whole of it; whichever of both is used up first ends it.
        folds: of the training rows, which judge each trial.
        estimators: which are tried; None for all that are there.
        encodings: which are tried of a text with many categories; one or none leaves all as it is.
        features: whether features of features.yaml are left out by turns.
        space: what is tried of an estimator's hyperparameters, in the place of what its class says.
    """

    minutes: Positive = 10.0
    trials: Count = 60
    folds: Annotated[int, Field(ge=2)] = 3
    estimators: Annotated[list[str], Field(min_length=1)] | None = None
    encodings: list[How] = ["one_hot", "target", "frequency"]
    features: bool = True
    space: dict[str, dict[str, Range | Annotated[list[Any], Field(min_length=1)]]] = {}
