"""A trial: a configuration, and how good it is on validation folds of the training rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from warnings import catch_warnings

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..config.params import Params
from ..config.section import Section
from ..data.contract import Contract
from ..data.inputs import model_inputs, target_values
from ..errors import InputError
from ..judging.paired import judged
from ..learning import memory
from ..learning.declared import Declared
from ..learning.estimators import build
from ..learning.folds import Fold, folds
from ..learning.metrics import Metric, Scored, catalogue, values
from ..learning.model import Threshold
from ..learning.naive import naive_answers
from ..pipeline.train import INNER, decide, fitted, scored_by
from .space import Choices, Configuration

State = Literal["done", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """What was tried.

    Attributes:
        number: from 0 on, in the order in which they ended.
        role: what it is to the search: a baseline's name; None where it was chosen.
        configuration: what was trained.
        choices: what was chosen, by name.
        state: pruned when it was given up early, as it fell behind.
        scores: the metric on each fold that was tried.
        seconds: that it took.
        error: why it failed.
    """

    number: int
    role: str | None
    configuration: Configuration
    choices: Choices
    state: State
    scores: list[float]
    seconds: float
    error: str | None = None

    @property
    def score(self) -> float | None:
        """The mean over the folds, of one that is done."""
        return mean(self.scores) if self.state == "done" else None


def mean(scores: list[float]) -> float:
    """The mean over folds."""
    return sum(scores) / len(scores)


@dataclass(frozen=True)
class Judge:
    """What scores configurations, all on the same folds.

    Attributes:
        params: the task, the metric, seeds, and what training does beside the estimator.
        contract: of the rows.
        declared: features.yaml.
        rows: the training rows, conformed.
    """

    params: Params
    contract: Contract
    declared: Declared
    rows: pd.DataFrame

    @cached_property
    def name(self) -> str:
        """The metric that decides: the first with a gate on regression, else the task's first."""
        return judged(self.params)[0]

    @cached_property
    def metric(self) -> Metric:
        """The metric itself."""
        return catalogue(self.params.task, self.params.evaluate.value)[self.name]

    @cached_property
    def folds(self) -> list[Fold]:
        """On which rows each configuration learns and is judged."""
        params = self.params
        count, seed = params.search.folds, params.train.seed
        try:
            return folds(self.rows, self.contract, params.task, count, seed)
        except InputError as error:
            raise InputError(str(error).replace("train.folds", "search.folds", 1)) from None

    def part(self, rows: Any) -> pd.DataFrame:
        """Some of the rows by their places."""
        return self.rows.iloc[rows].reset_index(drop=True)

    def scores(self, configuration: Configuration, hyperparameters: Section) -> Iterator[float]:
        """The metric on one fold after another.

        Raises InputError where it cannot be trained, or where there is not the memory for it.
        """
        for learn, judge in self.folds:
            asked = self.part(judge)
            scored = self.answers(configuration, hyperparameters, self.part(learn), asked)
            yield self.value(scored)

    def answers(
        self,
        configuration: Configuration,
        hyperparameters: Section,
        learn: pd.DataFrame,
        asked: pd.DataFrame,
    ) -> Scored:
        """What a configuration says of rows when it learned from others."""
        train = self.params.train.model_copy(update={"estimator": configuration.estimator})
        params = self.params.model_copy(update={"train": train})
        declared = configuration.declared(self.declared)
        with catch_warnings(action="ignore"):  # of what converges slowly: its score tells
            self._check_memory(params, hyperparameters, declared, learn)
            pipeline = fitted(params, hyperparameters, self.contract, learn, declared)
            decided = self._threshold(params, hyperparameters, declared, learn, pipeline)
            return scored_by(params.task, pipeline, None, self.contract, asked, decided)

    def _threshold(
        self,
        params: Params,
        hyperparameters: Section,
        declared: Declared,
        learn: pd.DataFrame,
        pipeline: Pipeline,
    ) -> Threshold | None:
        """Where the second of two classes begins; one that is chosen, by rows kept for it."""
        if not isinstance(params.train.threshold, str):
            return decide(params, self.contract, pipeline, learn)
        parted = folds(learn, self.contract, params.task, INNER, params.train.seed)
        inner, look_at = (learn.iloc[rows].reset_index(drop=True) for rows in parted[-1])
        before = fitted(params, hyperparameters, self.contract, inner, declared)
        return decide(params, self.contract, before, look_at)

    def _check_memory(
        self, params: Params, hyperparameters: Section, declared: Declared, learn: pd.DataFrame
    ) -> None:
        name = params.train.estimator
        untrained = build(
            params.task,
            name,
            hyperparameters,
            self.contract,
            params.train.seed,
            declared=declared,
        )
        needed = memory.need(untrained, model_inputs(learn, self.contract), name)
        memory.refuse(needed, memory.available())

    def value(self, scored: Scored) -> float:
        """The metric of some answers. Raises InputError where it has none there."""
        found = values({self.name: self.metric}, scored)
        if self.name not in found:
            raise InputError(f"{self.name} has no value on a fold; set fewer in search.folds")
        return found[self.name]

    def naive(self) -> tuple[str, float] | None:
        """The best answer without a model and its mean over the folds; None where there is none."""
        told: dict[str, list[float]] = {}
        for _, judge in self.folds:
            for answer, score in self.naive_scores(self.part(judge)).items():
                told.setdefault(answer, []).append(score)
        return self.best({answer: mean(each) for answer, each in told.items()})

    def naive_scores(self, rows: pd.DataFrame) -> dict[str, float]:
        """The metric of each naive answer that has one for these rows."""
        metric = {self.name: self.metric}
        found = {name: values(metric, each) for name, each in self.naive_answers(rows).items()}
        return {name: each[self.name] for name, each in found.items() if self.name in each}

    def best(self, scores: Mapping[str, float]) -> tuple[str, float] | None:
        """The best by its name, and its score; None of nothing."""
        if not scores:
            return None
        choose = max if self.metric.better == "higher" else min
        name = choose(scores, key=lambda each: scores[each])
        return name, scores[name]

    def naive_answers(self, rows: pd.DataFrame) -> dict[str, Scored]:
        """What is said of rows without a model, by name; nothing of clusters."""
        truth = target_values(rows, self.contract)
        learned, classes = target_values(self.rows, self.contract), None
        if self.params.task == "classification" and learned is not None:
            classes = np.unique(learned)
        how = self.params.evaluate.naive
        return naive_answers(Scored({}, truth, classes), rows, self.contract, how)
