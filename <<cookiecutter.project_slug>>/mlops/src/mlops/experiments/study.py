"""What to try next: Optuna, told what was tried before.

It keeps nothing. Trials are in a file of ours, from which a study is made anew in memory; what is
chosen next depends on the seed and on the trials before alone, so that a search which was killed
goes on as if it had not been.
"""

from collections.abc import Sequence
from statistics import median
from types import ModuleType
from typing import Any
from warnings import catch_warnings

import numpy as np

from ..errors import InputError
from ..learning.metrics import Better
from .space import Choices, Configuration, Space
from .trial import Trial, mean

# So many trials are drawn at random, and none is given up, before anything follows from them.
BEGINNING = 10
# How often something is drawn that was not tried before, until there seems to be nothing else.
DRAWS = 20
# Trials of an estimator from which importance is told.
FEWEST = 8


class Study:
    """A search's past, and what follows from it."""

    def __init__(self, space: Space, better: Better, seed: int) -> None:
        """Begin with nothing tried.

        Args:
            space: what may be chosen.
            better: whether higher or lower scores are.
            seed: of all that is drawn.
        Raises:
            InputError: Optuna is not installed.
        """
        self._optuna = _optuna()
        self._space, self._better, self._seed = space, better, seed
        self._trials: list[Trial] = []
        direction = "maximize" if better == "higher" else "minimize"
        self._study = self._optuna.create_study(direction=direction)

    def remember(self, trial: Trial) -> None:
        """Take into account what came of a trial."""
        self._trials.append(trial)
        if not trial.choices:
            return  # outside of the space
        state = self._optuna.trial.TrialState
        self._study.enqueue_trial(trial.choices)
        asked = self._ask(0)
        self._space.choose(asked)
        for fold in range(len(trial.scores)):
            asked.report(mean(trial.scores[: fold + 1]), fold)
        if trial.state == "done":
            self._study.tell(asked, trial.score)
        else:
            told = state.PRUNED if trial.state == "pruned" else state.FAIL
            self._study.tell(asked, state=told)

    def next(self) -> tuple[Configuration, Choices] | None:
        """What to try that was not tried before; None where nothing else is drawn."""
        known = [each.choices for each in self._trials]
        for draw in range(DRAWS):
            asked = self._ask(draw)
            chosen = self._space.choose(asked)
            self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
            if asked.params not in known:
                return chosen, asked.params
        return None

    def _ask(self, draw: int) -> Any:
        seed = np.random.SeedSequence([self._seed, len(self._trials), draw]).generate_state(1)[0]
        with catch_warnings(action="ignore"):  # of what is experimental: `group`
            self._study.sampler = self._optuna.samplers.TPESampler(
                seed=int(seed), multivariate=True, group=True, n_startup_trials=BEGINNING
            )
        return self._study.ask()

    def is_behind(self, scores: Sequence[float]) -> bool:
        """Whether a trial is given up after these folds.

        It is when its mean is worse than the median of others on the same folds: Golovin et al.,
        "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.2.
        """
        others = [mean(each.scores[: len(scores)]) for each in self._trials if each.state == "done"]
        if len(others) < BEGINNING:
            return False
        own, middle = mean([*scores]), median(others)
        return own < middle if self._better == "higher" else own > middle

    def importance(self, estimator: str) -> dict[str, float]:
        """How much of the variance of scores each choice explains, most important first.

        Of the trials of one estimator: others have other hyperparameters. Shares of fANOVA: Hutter
        et al., "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014. Nothing
        where there are too few trials to tell.
        """
        done = self._optuna.trial.TrialState.COMPLETE
        some = [
            each
            for each in self._study.get_trials(states=(done,))
            if each.params.get("estimator") == estimator
        ]
        if len(some) < FEWEST or len({each.value for each in some}) < 2:
            return {}
        alone = self._optuna.create_study(direction=self._study.direction)
        alone.add_trials(some)
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        with catch_warnings(action="ignore"):
            found = self._optuna.importance.get_param_importances(alone, evaluator=evaluator)
        return {
            name.removeprefix(f"{estimator}."): float(share)
            for name, share in found.items()
            if name != "estimator"
        }


def _optuna() -> ModuleType:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise InputError(
            "mlops search needs the dependency group `search`: run `uv sync --group search`"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: ModuleType = optuna
    return found
