"""Which estimator is trained, and how."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from .section import Finite, Fraction, Section, Seed


class PredictionInterval(Section):
    """Between which numbers a regression expects the truth.

    Attributes:
        level: the share of rows that it is to hold.
        by: `errors`: as far from each prediction as the validation rows ask for; `quantiles`: wider
            where there is more to be wrong about, as two more models predict it.
    """

    level: Fraction
    by: Literal["errors", "quantiles"] = "errors"


def _of_level(value: Any) -> Any:
    return {"level": value} if isinstance(value, int | float) else value


class Search(Section):
    """A random search over hyperparameters, judged on the validation rows."""

    trials: Annotated[int, Field(ge=0)]
    space: dict[str, dict[str, Annotated[list[Any], Field(min_length=1)]]]


class Prune(Section):
    """The smallest model that is nearly as good.

    Attributes:
        metric_loss: how much worse the metric may be on the validation rows, in its unit.
        metric: its name; None for the task's first.
    """

    metric_loss: Annotated[Finite, Field(ge=0)]
    metric: str | None = None


class Train(Section):
    """Which estimator is trained, and how.

    Attributes:
        estimator: its name in `estimators`.
        seed: of everything that is drawn.
        interval: of a regression, the prediction interval; a number alone is its level.
        calibration: what is done so that a classifier's probabilities are shares that come true.
        threshold: of two classes, the second is predicted from this probability on; or the metric
            by which that is chosen on the validation rows: `value`, `f1`; None for the likelier.
        refit: the final model learns from `all` rows, from the training rows alone (`none`), or
            from all where they have a time (`auto`).
        folds: how often the whole of it, search included, is repeated on other parts of the rows to
            see how much its metrics vary; None for not at all.
        reweigh: whether rows count so much that classes have nothing to do with the groups of
            columns with role sensitive; for classification.
        prune: whether the smallest model is looked for that is nearly as good; None for not.
        search: of hyperparameters.
    """

    estimator: str
    seed: Seed
    interval: Annotated[PredictionInterval | None, BeforeValidator(_of_level)] = None
    calibration: Literal["sigmoid"] | None = None
    threshold: Fraction | Annotated[str, Field(min_length=1)] | None = None
    refit: Literal["auto", "all", "none"] = "auto"
    folds: Annotated[int, Field(ge=2)] | None = None
    reweigh: bool = False
    prune: Prune | None = None
    search: Search

    @field_validator("calibration", mode="before")
    @classmethod
    def _converts(cls, value: Any) -> Any:
        if value == "isotonic":
            raise ValueError("isotonic steps are not the same in ONNX; write sigmoid")
        return value
