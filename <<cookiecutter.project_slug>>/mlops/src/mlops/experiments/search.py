"""A search: which configuration scores best on validation folds of the training rows.

Its trials are in a file in build/search/, written after each of them: a search that is killed goes
on from there. The test rows have no part in it, nor have the validation rows until it is over: then
they tell how much better the winner is than what takes no search, as a look at the folds would
flatter what was chosen by them.
"""

import fcntl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from ..config.params import Params, load_params
from ..data.contract import load_contract
from ..errors import CheckError, InputError, first_line, own_code
from ..files import digest, read_text, sha256, significant, write_json
from ..git.revision import Revision
from ..judging.paired import Compared, judge
from ..learning.declared import load_declared
from ..learning.metrics import Better, Scored
from ..paths import CONTRACT, FEATURES, PARAMS, PARTS, SEARCH
from ..pipeline import kernels
from ..progress import progress
from ..project import package
from .adopt import Texts
from .space import CURRENT, LINEAR, Choices, Configuration, Space, space
from .study import Study
from .trial import Judge, State, Trial

STUDY = "study.json"
# What the winner is compared with that stands there now.
SET = str(PARAMS)
# Of a study's name.
DIGITS = 6
# Of the owner's code, what can change a score.
OWN = ("features", "estimators", "metrics")


@dataclass(frozen=True)
class Log:
    """What a search keeps, as soon as a trial has ended.

    Attributes:
        begun: the day.
        commit: that was checked out; None where nothing was committed.
        metric, better: what trials are compared by.
        rows, folds: of the training rows, and in how many folds they judge.
        texts: the settings that trials are changes of.
        trials: all that ended.
    """

    begun: date
    commit: str | None
    metric: str
    better: Better
    rows: int
    folds: int
    texts: Texts
    trials: list[Trial]


LOG = TypeAdapter(Log)


@dataclass(frozen=True)
class Advantage:
    """How much better the winner is than something else, on the validation rows.

    Attributes:
        over: what it is compared with.
        compared: the metric of both, and where the difference lies.
    """

    over: str
    compared: Compared


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        name: of the study, by which its trials are called.
        metric, better: what is compared, and whether higher or lower values are better.
        rows, folds: of the training rows, and in how many folds they judge.
        judged: the validation rows, on which advantages are measured.
        seconds: that the trials took.
        resumed: how many of them were there before.
        is_exhausted: whether nothing else was left to try.
        excluded: why estimators have no part in it, a line each.
        naive: the best answer without a model and its mean over the folds; None of clusters.
        trials: all of them.
        winner: the best.
        settings: what the winner's hyperparameters are in whole.
        advantages: over the baselines.
        importance: of choices, among trials of the winner's estimator.
        confidence: of intervals.
    """

    name: str
    metric: str
    better: Better
    rows: int
    folds: int
    judged: int
    seconds: float
    resumed: int
    is_exhausted: bool
    excluded: list[str]
    naive: tuple[str, float] | None
    trials: list[Trial]
    winner: Trial
    settings: dict[str, Any]
    advantages: list[Advantage]
    importance: dict[str, float]
    confidence: float

    def count(self, state: State) -> int:
        """How many trials ended so."""
        return sum(each.state == state for each in self.trials)


def failures(trials: Sequence[Trial]) -> dict[str, int]:
    """Why trials failed, and how many did of each reason."""
    return Counter(
        f"{each.configuration.estimator}: {each.error}" for each in trials if each.error is not None
    )


def search(minutes: float | None = None, trials: int | None = None) -> Found:
    """Search, or go on where a search of the same was left.

    Args:
        minutes, trials: in the place of those of params.yaml.
    Raises:
        InputError: something is not what it must be, or the same search runs already.
        CheckError: no trial has a score.
    """
    params, contract = load_params(), load_contract()
    contract.check_task(params.task)
    if params.task == "clustering":
        kernels.alone()
    given = load_declared(contract)
    rows, look_at = (_part(name) for name in ("train", "validation"))
    judge_ = Judge(params, contract, given, rows)
    where = space(params, contract, given, rows)
    study = Study(where, judge_.metric.better, params.train.seed)
    name = study_name(params, judge_.name)
    file = SEARCH / name / STUDY
    with _alone(file.parent):
        log = read_log(file) or _begun(judge_, rows)
        past = log.trials
        run = _Run(judge_, where, study, file, log)
        asked = params.search
        is_exhausted = run.go_on((minutes or asked.minutes) * 60, trials or asked.trials)
    done = [each for each in run.trials if each.score is not None]
    if not done:
        reasons = "\n".join(failures(run.trials))
        raise CheckError(f"none of {len(run.trials)} trials has a score:\n{reasons}")
    choose = max if judge_.metric.better == "higher" else min
    winner = choose(done, key=lambda each: each.score or 0.0)
    return Found(
        name=name,
        metric=judge_.name,
        better=judge_.metric.better,
        rows=len(rows),
        folds=params.search.folds,
        judged=len(look_at),
        seconds=sum(each.seconds for each in run.trials),
        resumed=len(past),
        is_exhausted=is_exhausted,
        excluded=where.excluded,
        naive=judge_.naive(),
        trials=run.trials,
        winner=winner,
        settings=where.of(
            winner.configuration.estimator, winner.configuration.hyperparameters
        ).model_dump(mode="json"),
        advantages=[*_advantages(judge_, where, run.trials, winner, look_at)],
        importance=study.importance(winner.configuration.estimator),
        confidence=params.compare.confidence,
    )


def _part(name: str) -> pd.DataFrame:
    path = PARTS[name]
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `uv run dvc repro split`, or `dvc pull`")
    return pd.read_parquet(path)


def study_name(params: Params, metric: str) -> str:
    """What a study is called: by all that its scores follow from, and not by its budget."""
    owner = package()
    own = [Path("src") / str(owner) / f"{each}.py" for each in OWN]
    settings = params.model_dump(mode="json", include={"task", "train", "search", "estimators"})
    for each in ("minutes", "trials"):
        settings["search"].pop(each)
    files = [CONTRACT, FEATURES, *own]
    told = {
        "engine": version("mlops-template-engine"),
        "metric": metric,
        "value": params.evaluate.value.model_dump() if params.evaluate.value else None,
        "rows": sha256(PARTS["train"]),
        "params": settings,
        "files": {str(each): read_text(each) for each in files if each.is_file()},
    }
    return f"search-{digest(told)[:DIGITS]}"


def read_log(file: Path) -> Log | None:
    """A study; None where there is none. Raises InputError where it is damaged."""
    if not file.is_file():
        return None
    try:
        return LOG.validate_json(file.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{file}: not as a search writes it ({first_line(error)}); delete it to begin anew"
        ) from None


def _begun(judge_: Judge, rows: pd.DataFrame) -> Log:
    return Log(
        begun=datetime.now(UTC).date(),
        commit=_head(),
        metric=judge_.name,
        better=judge_.metric.better,
        rows=len(rows),
        folds=judge_.params.search.folds,
        texts=Texts.here(),
        trials=[],
    )


def _head() -> str | None:
    try:
        head = Revision.of("HEAD")
    except InputError:  # nothing is committed, or this is no repository
        return None
    return head.commit if head else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one that searches here; the system lets go of what was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: the same search runs already; wait for it") from None
        yield


class _Run:
    """Trial after trial, each kept as soon as it has ended."""

    def __init__(self, judge: Judge, where: Space, study: Study, file: Path, log: Log) -> None:
        self._judge, self._space, self._study = judge, where, study
        self._file, self._log = file, log
        self.trials: list[Trial] = []
        for each in log.trials:
            self._add(each)

    def go_on(self, seconds: float, count: int) -> bool:
        """Try until the budget is used up, baselines in any case; whether nothing was left.

        Args:
            seconds: that trials may take in all.
            count: how many there may be in all.
        """
        spent = sum(each.seconds for each in self.trials)
        begin = self._space.beginnings(self._judge.params.train.estimator)
        with progress("trials") as told:
            while True:
                number = len(self.trials)
                role, configuration = begin[number] if number < len(begin) else (None, None)
                is_over = number >= count or spent >= seconds
                if is_over and role is None:
                    return False
                told(number, min(1.0, max(number / count, spent / seconds)))
                if configuration is not None:
                    choices = self._space.choices(configuration) or {}
                elif drawn := self._study.next():
                    configuration, choices = drawn
                else:
                    return True
                trial = self._try(number, role, configuration, choices)
                spent += trial.seconds
                self._add(trial)
                log = replace(self._log, trials=self.trials)
                write_json(self._file, LOG.dump_python(log, mode="json"))

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._study.remember(trial)

    def _try(
        self, number: int, role: str | None, configuration: Configuration, choices: Choices
    ) -> Trial:
        begun, scores = time.perf_counter(), []
        state: State = "done"
        error: str | None = None
        try:
            settings = self._space.of(configuration.estimator, configuration.hyperparameters)
            for score in self._judge.scores(configuration, settings):
                scores.append(significant(score, 12))
                is_last = len(scores) == len(self._judge.folds)
                if not is_last and role is None and self._study.is_behind(scores):
                    state = "pruned"
                    break
        except Exception as reason:  # of any library: the search goes on, and says so
            state = "failed"
            error = ": ".join(filter(None, (own_code(reason), first_line(reason))))
        took = round(time.perf_counter() - begun, 3)
        return Trial(number, role, configuration, choices, state, scores, took, error)


def _advantages(
    judge_: Judge, where: Space, trials: Sequence[Trial], winner: Trial, look_at: pd.DataFrame
) -> Iterator[Advantage]:
    """Over the best naive answer, the linear model and what is set, unless the winner is that."""

    def answers(trial: Trial) -> Scored:
        chosen = trial.configuration
        settings = where.of(chosen.estimator, chosen.hyperparameters)
        return judge_.answers(chosen, settings, judge_.rows, look_at)

    own = answers(winner)
    best = judge_.best(judge_.naive_scores(look_at))
    others = {f"no model ({best[0]})": judge_.naive_answers(look_at)[best[0]]} if best else {}
    for role, called in ((LINEAR, "linear"), (CURRENT, SET)):
        for each in trials:
            if each.role == role and each is not winner and each.score is not None:
                others[called] = answers(each)
    for called, scored in others.items():
        found = judge(judge_.params, scored, own, names=[judge_.name])
        if judge_.name in found:
            yield Advantage(called, found[judge_.name])
