"""Train: fit the estimator of params.yaml and log the run with DVCLive.

The candidate learns from the training rows, so that the test rows can judge it. The final model,
which is served, is the candidate, or the same configuration trained on all rows: what was judged is
then how it is made.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import count
from typing import Any
from warnings import catch_warnings

import numpy as np
import pandas as pd
from dvclive.live import Live
from scmrepo.exceptions import SCMError
from sklearn.metrics import get_scorer, log_loss, mean_absolute_error, silhouette_score
from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from ..config.params import Params, load_params
from ..config.section import Section, Task
from ..data.contract import Contract, load_contract
from ..data.inputs import model_inputs, seen_categories, target_values
from ..errors import InputError
from ..files import write_json
from ..learning import memory
from ..learning.background import background
from ..learning.conversion import to_onnx
from ..learning.declared import Declared
from ..learning.estimators import build, check_target, finish, of_quantile
from ..learning.folds import Fold, folds
from ..learning.interval import Interval, beyond, margin, quantiles, tails
from ..learning.metrics import Scored, catalogue, negative_log_loss, rounded, score
from ..learning.model import Model, Threshold, explained, outputs, scales
from ..learning.pruning import Tried, check, prune
from ..learning.reweighing import reweighed
from ..learning.threshold import choose as choose_threshold
from ..learning.threshold import deciding_metric
from ..paths import CANDIDATE, FOLDS, MODEL, PARAMS, PARTS, PRUNING, TRAINING_LOG
from ..progress import progress, waiting
from . import kernels, stage

# In each fold, one of so many parts of the rows to learn from is where a search looks.
INNER = 4
# Models whose mean is a calibrated one.
CALIBRATORS = 5

# So many rows show whether what learns from them can be converted.
FEW = 200

SCORING: dict[Task, Any] = {
    "classification": negative_log_loss,
    "regression": get_scorer("neg_mean_absolute_error"),
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
    """Fit on the training rows, look at the validation rows, save both models and the log."""
    params, contract = load_params(), load_contract()
    contract.check_task(params.task)
    if params.task == "clustering":
        kernels.alone()
    fit_on, look_at = (pd.read_parquet(PARTS[name]) for name in ("train", "validation"))
    refits = params.train.refit == "all" or (
        # The last rows are most like those to come.
        params.train.refit == "auto" and contract.time is not None
    )
    learned = every_row() if refits else fit_on
    check_memory(params, contract, model_inputs(learned, contract))
    name = params.train.estimator
    if params.train.prune is not None:
        check(name)
    check_target(name, params.hyperparameters(name), target_values(learned, contract))
    check_conversion(params, contract, fit_on)
    check_threshold(params, contract, learned)
    check_interval(params)
    chosen, tried = made_smaller(
        params, choose(params, contract, fit_on, look_at), contract, fit_on, look_at
    )
    pipeline = fit(params, chosen, contract, fit_on)
    interval = measured_interval(params, chosen, contract, pipeline, fit_on, look_at)
    candidate = described(pipeline, params, contract, fit_on, look_at, interval)
    log(candidate, chosen, params, contract, look_at)
    write_json(PRUNING, [asdict(each) for each in tried])
    final = candidate
    if refits:
        final = final_model(candidate, params, chosen, contract, learned)
        print(f"final model: trained on all {len(learned):,} rows")
    write_json(FOLDS, [*measured(params, contract)])
    candidate.save(CANDIDATE)
    final.save(MODEL)


def every_row() -> pd.DataFrame:
    """The rows of all parts."""
    return pd.concat([pd.read_parquet(path) for path in PARTS.values()], ignore_index=True)


def fit(params: Params, chosen: Section, contract: Contract, rows: pd.DataFrame) -> Pipeline:
    """The estimator of params.yaml with the chosen hyperparameters, trained on some rows."""
    with waiting(f"fitting {params.train.estimator}"):
        return fitted(params, chosen, contract, rows)


def fitted(
    params: Params,
    chosen: Section,
    contract: Contract,
    rows: pd.DataFrame,
    declared: Declared | None = None,
) -> Pipeline:
    """The same without a word of how long it takes, and with features given where there are some.

    Args:
        params: names the estimator.
        chosen: its hyperparameters.
        contract: of the rows.
        rows: conformed.
        declared: features, in the place of those of features.yaml.
    """
    name = params.train.estimator
    parted = calibrators(params, contract, rows) if params.train.calibration else None
    pipeline = build(params.task, name, chosen, contract, params.train.seed, parted, declared)
    inputs = model_inputs(rows, contract)
    with explained(pipeline[:-1], inputs, fitted=False):
        pipeline.fit(inputs, target_values(rows, contract), **weights(params, contract, rows))
    finish(params.task, name, pipeline)
    return pipeline


def calibrators(params: Params, contract: Contract, rows: pd.DataFrame) -> list[Fold]:
    """On which rows models learn and by which each is calibrated; what belongs together stays so.

    Without their time: the newest rows teach, too, and a sigmoid of two numbers cannot learn ahead.
    Raises InputError where there are too few rows.
    """
    timeless = contract.only([name for name in contract.columns if name != contract.time])
    try:
        return folds(rows, timeless, params.task, CALIBRATORS, params.train.seed)
    except InputError:
        raise InputError(
            f"{PARAMS}: train.calibration: there are too few rows of a class to learn from and to "
            f"calibrate by {CALIBRATORS} times"
        ) from None


def weights(params: Params, contract: Contract, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """What `fit` takes beside rows and target: how much each row counts, where that is asked for.

    Raises InputError where there is nothing to weigh by.
    """
    if not params.train.reweigh:
        return {}
    if not contract.with_role("sensitive"):
        raise InputError("params.yaml: train.reweigh: no column has role sensitive")
    target = target_values(rows, contract)
    assert target is not None  # as the task is classification
    return {"model__sample_weight": reweighed(rows, contract, target)}


def final_model(
    candidate: Model, params: Params, chosen: Section, contract: Contract, rows: pd.DataFrame
) -> Model:
    """The candidate's configuration trained on all rows.

    Its threshold and the margin of its interval are the candidate's, from rows that were not
    learned from.
    """
    pipeline, interval = fit(params, chosen, contract, rows), candidate.interval
    if interval is not None:
        lower, upper = quantile_models(params, chosen, contract, rows)
        interval = replace(interval, lower=lower, upper=upper)
    inputs = model_inputs(rows, contract)
    said = outputs(candidate.task, pipeline, interval, inputs, candidate.threshold)
    return replace(
        candidate,
        pipeline=pipeline,
        interval=interval,
        scales=scales(candidate.task, said),
        rows=len(rows),
        categories=seen_categories(rows, contract),
    )


def measured(params: Params, contract: Contract) -> Iterator[dict[str, Any]]:
    """How good models are that are made like this one, on each fold of all rows; see `folds`.

    Nested cross-validation: each fold searches on its own rows to learn from (Varma and Simon,
    "Bias in error estimation when using cross-validation for model selection", 2006).
    """
    if params.train.folds is None:
        return
    data = every_row()
    parted = folds(data, contract, params.task, params.train.folds, params.train.seed)
    for learn, judge in parted:
        fit_on, asked = (data.iloc[rows].reset_index(drop=True) for rows in (learn, judge))
        *_, (inner, look_at) = folds(fit_on, contract, params.task, INNER, params.train.seed)
        parts = fit_on.iloc[inner], fit_on.iloc[look_at]
        chosen, _ = made_smaller(params, choose(params, contract, *parts), contract, *parts)
        pipeline = asked_of = fit(params, chosen, contract, fit_on)
        if isinstance(params.train.threshold, str):
            # What chooses a threshold has not learned from the rows that it looks at.
            asked_of = fit(params, chosen, contract, parts[0])
        decided = decide(params, contract, asked_of, parts[1])
        scored = scored_by(params.task, pipeline, None, contract, asked, decided)
        yield {
            "learned": len(fit_on),
            "judged": len(asked),
            "metrics": rounded(score(params.task, scored, params.evaluate.value)),
        }


def decide(
    params: Params, contract: Contract, pipeline: Pipeline, look_at: pd.DataFrame
) -> Threshold | None:
    """The threshold of params.yaml, or the best by its metric on rows that nobody learned from.

    Raises InputError where the metric cannot decide.
    """
    wanted, worth = params.train.threshold, params.evaluate.value
    if wanted is None:
        return None
    if not isinstance(wanted, str):
        return Threshold(float(np.float32(wanted)))
    metric = deciding_metric(wanted, params.task, worth)
    scored = scored_by(params.task, pipeline, None, contract, look_at)
    return choose_threshold(wanted, metric, scored, worth)


def check_threshold(params: Params, contract: Contract, rows: pd.DataFrame) -> None:
    """Raise InputError where params.yaml asks for a threshold that there cannot be."""
    wanted = params.train.threshold
    if wanted is None:
        return
    if (count := rows[contract.target].nunique()) != 2:
        raise InputError(f"{PARAMS}: train.threshold: is for two classes; the rows have {count}")
    if isinstance(wanted, str):
        deciding_metric(wanted, params.task, params.evaluate.value)


def check_interval(params: Params) -> None:
    """Raise InputError where the estimator cannot predict the ends of the interval."""
    wanted = params.train.interval
    if wanted is not None and wanted.by == "quantiles":
        of_quantile(params.task, params.train.estimator, wanted.level)


def quantile_models(
    params: Params, chosen: Section, contract: Contract, rows: pd.DataFrame
) -> tuple[Pipeline | None, Pipeline | None]:
    """What predicts the ends of an interval; two None where they are the prediction itself."""
    wanted, name = params.train.interval, params.train.estimator
    if wanted is None or wanted.by == "errors":
        return None, None
    low, high = (
        params.hyperparameters(name, chosen.model_dump() | of_quantile(params.task, name, share))
        for share in tails(wanted.level)
    )
    return fit(params, low, contract, rows), fit(params, high, contract, rows)


def measured_interval(
    params: Params,
    chosen: Section,
    contract: Contract,
    pipeline: Pipeline,
    fit_on: pd.DataFrame,
    look_at: pd.DataFrame,
) -> Interval | None:
    """The interval of params.yaml; rows that were not learned from tell how wide it has to be."""
    wanted = params.train.interval
    if wanted is None:
        return None
    lower, upper = quantile_models(params, chosen, contract, fit_on)
    inputs, truth = model_inputs(look_at, contract), target_values(look_at, contract)
    assert truth is not None  # as the task is regression
    predicted = pipeline.predict(inputs)
    missed = beyond(truth, predicted, *quantiles(lower, upper, inputs, predicted))
    return Interval(wanted.level, margin(missed, wanted.level), lower, upper)


def scored_by(
    task: Task,
    pipeline: Pipeline,
    interval: Interval | None,
    contract: Contract,
    rows: pd.DataFrame,
    threshold: Threshold | None = None,
) -> Scored:
    """What scikit-learn says of rows beside what is true of them."""
    inputs = model_inputs(rows, contract)
    return Scored(
        outputs(task, pipeline, interval, inputs, threshold),
        target_values(rows, contract),
        getattr(pipeline, "classes_", None),
        pipeline[:-1].transform(inputs) if task == "clustering" else None,
    )


def check_memory(params: Params, contract: Contract, inputs: pd.DataFrame) -> None:
    """Say what fitting takes; raise InputError where it is more than there is."""
    name = params.train.estimator
    pipeline = build(params.task, name, params.hyperparameters(name), contract, params.train.seed)
    memory.check(memory.need(pipeline, inputs, name), memory.available())


def check_conversion(params: Params, contract: Contract, rows: pd.DataFrame) -> None:
    """Fit what is to be trained on a few rows, and convert it: what cannot be is known at once.

    Raises CheckError, which names the step that ONNX does not know.
    """
    few = few_rows(rows, contract, params.task)
    name, inputs = params.train.estimator, model_inputs(few, contract)
    pipeline = build(params.task, name, params.hyperparameters(name), contract, params.train.seed)
    with catch_warnings(action="ignore"):  # of few rows
        try:
            pipeline.fit(inputs, target_values(few, contract))
            sound = len(pipeline.predict(inputs)) == len(inputs)
        except Exception:  # too few rows, or a mistake, which training tells
            return
        if not sound:
            return
        to_onnx(Model(params.task, pipeline, {}, len(few)), contract)


def few_rows(rows: pd.DataFrame, contract: Contract, task: Task) -> pd.DataFrame:
    """Some rows, evenly spread, and some of each class."""
    some = {*np.linspace(0, len(rows) - 1, min(FEW, len(rows))).astype(int)}
    if task == "classification":
        for places in rows.groupby(contract.target).indices.values():
            some.update(places[: FEW // 10])
    return rows.iloc[sorted(some)].reset_index(drop=True)


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
    trials = min(search.trials, int(np.prod([len(values) for values in space.values()])))
    pipeline = build(params.task, name, given, contract, params.train.seed)
    inputs = model_inputs(both, contract)
    with progress("trials") as told:
        done = count(1)

        def scored(*arguments: Any) -> float:
            value: float = SCORING[params.task](*arguments)
            told(number := next(done), number / trials)
            return value

        tried = RandomizedSearchCV(
            pipeline,
            {f"model__{key}": values for key, values in space.items()},
            n_iter=trials,
            scoring=scored,
            cv=PredefinedSplit(fold),
            refit=False,
            random_state=params.train.seed,
            error_score="raise",
        )
        with explained(pipeline[:-1], inputs, fitted=False):
            tried.fit(inputs, target_values(both, contract), **weights(params, contract, both))
    best = {key.removeprefix("model__"): value for key, value in tried.best_params_.items()}
    print(f"best of {len(tried.cv_results_['params'])} trials: {best}")
    return params.hyperparameters(name, best)


def made_smaller(
    params: Params, chosen: Section, contract: Contract, fit_on: pd.DataFrame, look_at: pd.DataFrame
) -> tuple[Section, list[Tried]]:
    """The hyperparameters of the smallest model that is nearly as good, and all that were tried.

    Without `train.prune` they are those that were chosen, and nothing is tried.
    """
    name, asked = params.train.estimator, params.train.prune
    if asked is None:
        return chosen, []
    known = catalogue(params.task, params.evaluate.value)
    metric = asked.metric or next(iter(known))
    if metric not in known:
        raise InputError(f"{PARAMS}: train.prune.metric: no {metric}; there are {', '.join(known)}")
    whole = chosen.model_dump()

    def trained(settings: dict[str, Any]) -> tuple[Any, float]:
        section = params.hyperparameters(name, whole | settings)
        pipeline = fit(params, section, contract, fit_on)
        decided = decide(params, contract, pipeline, look_at)
        scored = scored_by(params.task, pipeline, None, contract, look_at, decided)
        found = score(params.task, scored, params.evaluate.value).get(metric)
        if found is None:
            raise InputError(f"{PARAMS}: train.prune: {metric} has no value on the validation rows")
        return pipeline[-1], found

    is_higher_better = known[metric].better == "higher"
    tried = prune(name, whole, trained, asked.metric_loss, is_higher_better)
    (kept,) = (each for each in tried if each.kept)
    print(
        f"pruned: {kept.settings or 'nothing'}, {kept.size:,} of {tried[0].size:,} bytes, "
        f"{metric} {kept.metric:g} of {tried[0].metric:g}"
    )
    return params.hyperparameters(name, whole | kept.settings), tried


def described(
    pipeline: Pipeline,
    params: Params,
    contract: Contract,
    fit_on: pd.DataFrame,
    look_at: pd.DataFrame,
    interval: Interval | None = None,
) -> Model:
    """The trained model with its classes and scales and, if asked for, interval or threshold."""
    classes = None
    if params.task == "classification":
        is_boolean = contract.columns[contract.target or ""].kind == "boolean"
        names = ["false", "true"] if is_boolean else pipeline.classes_
        classes = [str(name) for name in names]
    threshold = decide(params, contract, pipeline, look_at)
    inputs = model_inputs(fit_on, contract)
    said = outputs(params.task, pipeline, interval, inputs, threshold)
    return Model(
        params.task,
        pipeline,
        scales(params.task, said),
        len(fit_on),
        classes,
        interval,
        seen_categories(fit_on, contract),
        background(inputs, contract),
        threshold,
    )


def log(
    model: Model, chosen: Section, params: Params, contract: Contract, look_at: pd.DataFrame
) -> None:
    """Log the hyperparameters, the learning curve and the validation metrics."""
    scored = scored_by(
        model.task, model.pipeline, model.interval, contract, look_at, model.threshold
    )
    # Declared in dvc.yaml, so it is there for estimators without a learning curve too.
    (TRAINING_LOG / "plots").mkdir(parents=True, exist_ok=True)
    with RunLog(str(TRAINING_LOG), dvcyaml=None, save_dvc_exp=False, monitor_system=False) as live:
        decided = {"threshold": model.threshold.at} if model.threshold else {}
        live.log_params({"estimator": params.train.estimator, **decided, **chosen.model_dump()})
        inputs = model_inputs(look_at, contract)
        for losses in learning_curve(model.pipeline, inputs, scored.truth):
            for name, loss in losses.items():
                live.log_metric(name, loss)
            live.next_step()
        for name, value in score(params.task, scored).items():
            live.log_metric(name, value, plot=False)


def learning_curve(
    pipeline: Pipeline, inputs: pd.DataFrame, truth: np.ndarray | None
) -> Iterator[dict[str, float]]:
    """The loss after each step, by name, where the estimator learns in steps.

    `validation_loss` of boosting is the log loss or mean absolute error on the validation rows.
    `loss` of neural networks is what they learn by; beside it is the `validation_loss` of the rows
    by which a declared one stops. Others: nothing.
    """
    model = pipeline[-1]
    if hasattr(model, "staged_predict_proba"):
        for probability in model.staged_predict_proba(pipeline[:-1].transform(inputs)):
            yield {"validation_loss": float(log_loss(truth, probability, labels=model.classes_))}
    elif hasattr(model, "staged_predict"):
        for predicted in model.staged_predict(pipeline[:-1].transform(inputs)):
            yield {"validation_loss": float(mean_absolute_error(truth, predicted))}
    else:
        stops = getattr(model, "validation_loss_curve_", [])
        for step, loss in enumerate(getattr(model, "loss_curve_", [])):
            beside = {"validation_loss": float(stops[step])} if stops else {}
            yield {"loss": float(loss)} | beside


if __name__ == "__main__":
    stage(train)
