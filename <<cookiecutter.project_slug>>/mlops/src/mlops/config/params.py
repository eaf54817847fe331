"""The whole of params.yaml."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from ..files import explain, load
from ..paths import PARAMS
from .export import Export
from .hyperparameters import hyperparameters
from .monitoring import Monitoring
from .retraining import Retraining
from .search import Search
from .section import Domain, Range, Section
from .source import AnySource
from .terms import Terms
from .train import Train
from .verify import Verify


class Params(Terms):
    """The whole of params.yaml."""

    source: AnySource
    train: Train
    search: Search = Search()
    estimators: dict[str, dict[str, Any]]
    verify: Verify
    export: Export = Export()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()

    @model_validator(mode="after")
    def _estimators_fit_the_task(self) -> Self:
        mistakes = [*self._unknown_estimators()] or [*self._wrong_hyperparameters()]
        if self.train.interval is not None and self.task != "regression":
            mistakes.append("train.interval: prediction intervals are for regression only")
        if self.train.calibration is not None and self.task != "classification":
            mistakes.append("train.calibration: probabilities are of a classification only")
        if self.train.reweigh and self.task != "classification":
            mistakes.append("train.reweigh: rows are weighed by classes, for classification only")
        mistakes += self._threshold_mistakes()
        if self.evaluate.value and (misfit := self.evaluate.value.misfit(self.task)):
            mistakes.append(f"evaluate.value: {misfit}")
        if mistakes:
            raise ValueError("\n".join(dict.fromkeys(mistakes)))  # a key: once, not for each value
        return self

    def _threshold_mistakes(self) -> list[str]:
        threshold, value = self.train.threshold, self.evaluate.value
        if threshold is None:
            return []
        if self.task != "classification":
            return ["train.threshold: classes are predicted in a classification only"]
        if threshold == "value" and value is None:
            return ["train.threshold: evaluate.value says of no prediction what it is worth"]
        if value and value.threshold is not None:
            return ["evaluate.value.threshold: train.threshold decides; leave one of them out"]
        return []

    @cached_property
    def _known(self) -> dict[str, type[Section]]:
        named = {self.train.estimator, *self.estimators, *self.train.search.space}
        named |= {*self.search.space, *(self.search.estimators or [])}
        return hyperparameters(self.task, named)

    def _unknown_estimators(self) -> Iterator[str]:
        known = self._known
        for where, names in (
            ("train.estimator", [self.train.estimator]),
            ("estimators", self.estimators),
            ("train.search.space", self.train.search.space),
            ("search.estimators", self.search.estimators or []),
            ("search.space", self.search.space),
        ):
            for name in names:
                if name not in known:
                    yield (
                        f"{where}: {name!r} is no estimator for {self.task}; "
                        f"choose from {', '.join(known)}"
                    )
        if self.train.estimator not in self.estimators:
            yield f"estimators.{self.train.estimator}: this key is missing"

    def _wrong_hyperparameters(self) -> Iterator[str]:
        for name in self.estimators:
            yield from _mistakes(f"estimators.{name}", partial(self.hyperparameters, name))
        for name, space in self.train.search.space.items():
            # Alone, so that a mistake in `estimators` is not told once more for each value.
            check = self._known[name].model_validate
            for key, values in space.items():
                if key in self._known[name].unsearched:
                    yield f"train.search.space.{name}.{key}: it decides what columns there are"
                for value in values:
                    yield from _mistakes(f"train.search.space.{name}", partial(check, {key: value}))
        for name, domains in self.search.space.items():
            check = self._known[name].model_validate
            for key, domain in domains.items():
                for value in _ends(domain):
                    yield from _mistakes(f"search.space.{name}", partial(check, {key: value}))

    def hyperparameters(self, name: str, changed: dict[str, Any] | None = None) -> Section:
        """The typed hyperparameters of the estimator `name`, with `changed` ones in their place.

        Raises pydantic.ValidationError where one is unknown or out of bounds.
        """
        model = self._known[name]
        return model.model_validate(self.estimators.get(name, {}) | (changed or {}))


def _ends(domain: Domain) -> list[Any]:
    """Values that tell whether a hyperparameter takes what it may be."""
    if not isinstance(domain, Range):
        return domain
    ends = domain.low, domain.high
    return [int(end) if end.is_integer() else end for end in ends]


def _mistakes(where: str, check: Callable[[], object]) -> list[str]:
    try:
        check()
    except ValidationError as error:
        return [f"{where}.{line}" for line in explain(error)]
    return []


def load_params(path: Path = PARAMS) -> Params:
    """Read and check params.yaml. Raises InputError, one line a mistake."""
    return load(path, Params)
