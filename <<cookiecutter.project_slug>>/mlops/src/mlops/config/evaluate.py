"""How the model is examined, and what its predictions are worth."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from .section import Count, Fraction, Section, Task


def _class_name(key: object) -> object:
    """A class as its name: unquoted in YAML, `true` and `1` are none."""
    return str(key).lower() if isinstance(key, bool) else str(key) if isinstance(key, int) else key


ClassName = Annotated[str, BeforeValidator(_class_name)]
# Of one unit that a prediction is off.
Loss = Annotated[float, Field(le=0)]


class Value(Section):
    """What a prediction is worth to those who act on it; costs are negative.

    Attributes:
        currency: what is counted: EUR, minutes.
        per: for classification: of each class that is true, the value of each that is predicted.
        threshold: for two classes: act as if the second were predicted from this probability on;
            None to go by the prediction.
        over, under: for regression: of each unit that a prediction is too high, too low.
    """

    currency: Annotated[str, Field(min_length=1)]
    per: dict[ClassName, dict[ClassName, float]] | None = None
    threshold: Fraction | None = None
    over: Loss | None = None
    under: Loss | None = None

    @model_validator(mode="after")
    def _each_outcome_has_a_value(self) -> Self:
        per = self.per or {}
        for truth, predicted in per.items():
            if predicted.keys() != per.keys():
                raise ValueError(
                    f"per.{truth}: must hold a value for each class that `per` has: "
                    f"{', '.join(per)}"
                )
        if self.threshold is not None and len(per) != 2:
            raise ValueError("`threshold` is for two classes")
        return self

    def misfit(self, task: Task) -> str | None:
        """How this is not what the task takes; None when it is."""
        wanted = {"classification": {"per"}, "regression": {"over", "under"}}.get(task)
        if wanted is None:
            return f"there is none for {task}"
        given = {name for name in ("per", "over", "under") if getattr(self, name) is not None}
        if given != wanted:
            return f"{task} takes {' and '.join(f'`{name}`' for name in sorted(wanted))}"
        return None


class Naive(Section):
    """What is said without a model, beside constants, and has to be beaten.

    Attributes:
        last: what was true of the row before in time.
        rule: what people go by, in the language of the contract's rules: a condition for two
            classes, the prediction itself for numbers.
    """

    last: bool = False
    rule: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class Evaluate(Section):
    """How the model is examined.

    Attributes:
        importance_rows: rows, at most, on which columns are shuffled.
        importance_columns: columns, at most, that are shuffled.
        importance_repeats: how often each of them is.
        slice_rows: smaller slices are not judged.
        value: what predictions are worth.
        naive: what is said without a model.
        group_rows: smaller groups of people are shown, and not judged: see fairness.
        group_columns: how many columns with role sensitive make a group together, at most.
        group_confidence: of the intervals of groups.
    """

    importance_rows: Count
    importance_columns: Count = 50
    importance_repeats: Count = 5
    slice_rows: Count
    value: Value | None = None
    naive: Naive = Naive()
    group_rows: Count = 50
    group_columns: Annotated[int, Field(ge=1, le=3)] = 1
    group_confidence: Fraction = 0.95
