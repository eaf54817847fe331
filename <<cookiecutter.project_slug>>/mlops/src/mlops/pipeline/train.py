"""Train: fit the estimator of params.yaml and log the run with DVCLive."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from dvclive.live import Live
from scmrepo.exceptions import SCMError
from sklearn.callback import ProgressBar
from sklearn.metrics import log_loss, mean_absolute_error, silhouette_score
from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from ..config.params import Params, load_params
from ..config.section import Section, Task
from ..contract import Contract, load_contract
from ..estimators import build, finish
from ..inputs import model_inputs, seen_categories, target_values
from ..metrics import Scored, negative_log_loss, score
from ..model import Model
from ..paths import PARTS, TRAINING_LOG
from . import stage

SCORING: dict[Task, Any] = {
    "classification": negative_log_loss,
    "regression": "neg_mean_absolute_error",
    "clustering": lambda pipeline, inputs, _=None: silhouette_score(
        pipeline[:-1].transform(inputs), pipeline.predict(inputs), sample_size=2000, random_state=0
    ),
}


class RunLog(Live):
    """DVCLive, also where nothing has been committed yet: 3.49 stops there with Git's error."""

    def _init_dvc(self) -> None:
        with suppress(SCMError):
            super()._init_dvc()


def train() -> None:
    """Fit on the training rows, look at the validation rows, save the model and its log."""
    params, contract = load_params(), load_contract()
    contract.check_task(params.task)
    fit_on, look_at = (pd.read_parquet(PARTS[name]) for name in ("train", "validation"))
    chosen = choose(params, contract, fit_on, look_at)
    pipeline = build(params.task, params.train.estimator, chosen, contract, params.train.seed)
    pipeline.fit(model_inputs(fit_on, contract), target_values(fit_on, contract))
    finish(params.task, params.train.estimator, pipeline)
    model = described(pipeline, params, contract, look_at)
    model = replace(model, categories=seen_categories(fit_on, contract))
    log(model, chosen, params, contract, look_at)
    model.save()


def choose(
    params: Params, contract: Contract, fit_on: pd.DataFrame, look_at: pd.DataFrame
) -> Section:
    """The hyperparameters of params.yaml or, with `search.trials`, the best of a random search.

    Each trial is fitted on the training rows and judged on the validation rows.
    """
    name, search = params.train.estimator, params.train.search
    given = params.hyperparameters(name)
    space = search.space.get(name, {})
    if not search.trials or not space:
        return given
    both = pd.concat([fit_on, look_at], ignore_index=True)
    fold = np.repeat([-1, 0], [len(fit_on), len(look_at)])
    tried = RandomizedSearchCV(
        build(params.task, name, given, contract, params.train.seed),
        {f"model__{key}": values for key, values in space.items()},
        n_iter=min(search.trials, int(np.prod([len(values) for values in space.values()]))),
        scoring=SCORING[params.task],
        cv=PredefinedSplit(fold),
        refit=False,
        random_state=params.train.seed,
        error_score="raise",
    )
    tried.set_callbacks(ProgressBar(max_propagation_depth=0))
    tried.fit(model_inputs(both, contract), target_values(both, contract))
    best = {key.removeprefix("model__"): value for key, value in tried.best_params_.items()}
    print(f"best of {len(tried.cv_results_['params'])} trials: {best}")
    return params.hyperparameters(name, best)


def described(
    pipeline: Pipeline, params: Params, contract: Contract, look_at: pd.DataFrame
) -> Model:
    """The trained model with its classes and, where asked for, its prediction interval."""
    classes = None
    if params.task == "classification":
        is_boolean = contract.columns[contract.target or ""].kind == "boolean"
        names = ["false", "true"] if is_boolean else pipeline.classes_
        classes = [str(name) for name in names]
    interval = None
    if params.train.interval is not None:
        predicted = pipeline.predict(model_inputs(look_at, contract))
        errors = np.abs(target_values(look_at, contract) - predicted)
        interval = half_width(errors, params.train.interval)
    return Model(params.task, pipeline, classes, interval)


def half_width(errors: np.ndarray, coverage: float) -> float:
    """Half the width of an interval that holds `coverage` of new rows, from absolute errors.

    Split conformal prediction: Lei et al., "Distribution-free predictive inference for regression",
    JASA 2018, algorithm 2. It holds while new rows are like the validation rows.
    """
    rank = min(int(np.ceil((len(errors) + 1) * coverage)), len(errors))
    return float(np.sort(errors)[rank - 1])


def log(
    model: Model, chosen: Section, params: Params, contract: Contract, look_at: pd.DataFrame
) -> None:
    """Log the hyperparameters, the learning curve and the validation metrics."""
    inputs, truth = model_inputs(look_at, contract), target_values(look_at, contract)
    pipeline = model.pipeline
    scored = Scored(
        model.predict(inputs),
        truth,
        getattr(pipeline, "classes_", None),
        pipeline[:-1].transform(inputs) if params.task == "clustering" else None,
    )
    # Declared in dvc.yaml, so it is there for estimators without a learning curve too.
    (TRAINING_LOG / "plots").mkdir(parents=True, exist_ok=True)
    with RunLog(str(TRAINING_LOG), dvcyaml=None, save_dvc_exp=False, monitor_system=False) as live:
        live.log_params({"estimator": params.train.estimator, **chosen.model_dump()})
        for loss in learning_curve(pipeline, inputs, truth):
            live.log_metric("loss", loss)
            live.next_step()
        for name, value in score(params.task, scored).items():
            live.log_metric(name, value, plot=False)


def learning_curve(
    pipeline: Pipeline, inputs: pd.DataFrame, truth: np.ndarray | None
) -> Iterator[float]:
    """The loss after each step, where the estimator learns in steps.

    Boosting: log loss or mean absolute error on the validation rows. Neural network: its training
    loss. Others: nothing.
    """
    model = pipeline[-1]
    if hasattr(model, "staged_predict_proba"):
        for probability in model.staged_predict_proba(pipeline[:-1].transform(inputs)):
            yield float(log_loss(truth, probability, labels=model.classes_))
    elif hasattr(model, "staged_predict"):
        for predicted in model.staged_predict(pipeline[:-1].transform(inputs)):
            yield float(mean_absolute_error(truth, predicted))
    else:
        yield from map(float, getattr(model, "loss_curve_", []))


if __name__ == "__main__":
    stage(train)
