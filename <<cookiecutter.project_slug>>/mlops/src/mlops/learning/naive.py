"""Naive answers: what anybody could say without a model, which a model has to beat to be worth it.

They are given the best chance: constants are those of the very rows that judge, which no other
constant beats, so that nothing has to be fetched for them, nor believed.
"""

import numpy as np
import pandas as pd

from ..config.evaluate import Naive, Value
from ..config.section import Task
from ..data.contract import Contract
from ..data.expressions import parse
from ..errors import InputError
from ..paths import PARAMS
from .metrics import Scored, rounded, score

# By naive answer and metric.
NaiveScores = dict[str, dict[str, float]]
# Of more classes, none is said of every row.
CLASSES = 20
# A constant is calibrated but for how machines add up.
NOTHING = 1e-12


def naive_answers(
    scored: Scored, rows: pd.DataFrame, contract: Contract, how: Naive
) -> dict[str, Scored]:
    """What is said without a model, by name, in the form of a model's answers.

    Args:
        scored: the model's, which tell the truth and the classes; of clusters there are none.
        rows: the same rows, conformed.
        contract: of their columns.
        how: what is said beside constants.
    Raises:
        InputError: the rule makes no sense for the columns, or the target.
    """
    truth = scored.truth
    if truth is None:
        return {}
    if scored.classes is None:
        found = {
            "mean": _numbers(scored, truth.mean()),
            "median": _numbers(scored, np.median(truth)),
        }
    else:
        found = {"constant": _shares(scored)}
        if len(scored.classes) <= CLASSES:
            found |= {f"always {each}": _always(scored, each) for each in _names(scored)}
    if how.last:
        found["last"] = _last(scored, rows, contract)
    if how.rule is not None:
        found["rule"] = _by_rule(scored, rows, contract, how.rule)
    return found


def naive_scores(task: Task, found: dict[str, Scored], worth: Value | None) -> NaiveScores:
    """The metrics of naive answers, as files have them; what is nothing but rounding is nothing."""
    scores = {name: rounded(score(task, each, worth)) for name, each in found.items()}
    return {
        name: {metric: value if abs(value) > NOTHING else 0.0 for metric, value in each.items()}
        for name, each in scores.items()
    }


def _names(scored: Scored) -> list[str]:
    """Classes as people write them."""
    assert scored.classes is not None
    return ["false", "true"] if scored.classes.dtype.kind == "i" else [*map(str, scored.classes)]


def _answers(scored: Scored, **outputs: np.ndarray) -> Scored:
    return Scored(outputs, scored.truth, scored.classes)


def _numbers(scored: Scored, value: float) -> Scored:
    assert scored.truth is not None
    return _answers(scored, prediction=np.full(len(scored.truth), value, dtype="float64"))


def _classified(
    scored: Scored, probability: np.ndarray, places: np.ndarray | None = None
) -> Scored:
    """Answers by the probability of each class; predicted is the likeliest, or that at `places`."""
    assert scored.classes is not None
    chosen = probability.argmax(axis=1) if places is None else places
    return _answers(scored, prediction=scored.classes[chosen], probability=probability)


def _shares(scored: Scored) -> Scored:
    """Each class as likely as it is frequent."""
    hits = scored.hits
    return _classified(scored, np.tile(hits.mean(axis=0), (len(hits), 1)))


def _always(scored: Scored, name: str) -> Scored:
    """One class, for sure."""
    hits = scored.hits
    sure = np.zeros(hits.shape)
    sure[:, _names(scored).index(name)] = 1.0
    return _classified(scored, sure)


def _last(scored: Scored, rows: pd.DataFrame, contract: Contract) -> Scored:
    """What was true of the row before in time: of the same group where there are groups.

    Of the rows of one moment none is before another; the first have the mean, or the shares.
    """
    assert scored.truth is not None
    if contract.time is None:
        raise InputError(f"{PARAMS}: evaluate.naive.last: no column has role time")
    classes = scored.classes
    true = scored.truth if classes is None else scored.hits.argmax(axis=1)
    before = _before(rows, pd.Series(true, dtype="float64"), contract)
    known = ~np.isnan(before)
    if classes is None:
        return _answers(scored, prediction=np.where(known, before, scored.truth.mean()))
    probability = np.tile(scored.hits.mean(axis=0), (len(known), 1))
    probability[known] = np.eye(len(classes))[before[known].astype(int)]
    return _classified(scored, probability)


def _before(rows: pd.DataFrame, true: pd.Series, contract: Contract) -> np.ndarray:
    """The last value of an earlier moment, for each row; NaN for the first."""
    keys = [name for name in (contract.group, contract.time) if name]
    moments = rows[keys].reset_index(drop=True).assign(true=true)
    last = moments.sort_values(str(contract.time), kind="stable").drop_duplicates(keys, keep="last")
    of_group = (
        last.groupby(contract.group, dropna=False)["true"] if contract.group else last["true"]
    )
    known = last.assign(before=of_group.shift())[[*keys, "before"]]
    return moments.merge(known, on=keys, how="left")["before"].to_numpy()


def _by_rule(scored: Scored, rows: pd.DataFrame, contract: Contract, rule: str) -> Scored:
    """What a rule says; where it says nothing, the mean, or as if there were no rule."""
    where = f"{PARAMS}: evaluate.naive.rule"
    kinds = {name: column.kind for name, column in contract.columns.items()}
    kinds.pop(str(contract.target), None)  # what is to be predicted is not known then
    numeric = scored.classes is None
    if not (numeric or scored.is_binary):
        raise InputError(f"{where}: a rule is for two classes, or for numbers")
    try:
        expression = parse(rule, kinds, "numeric" if numeric else "boolean")
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    told = expression.values(rows.reset_index(drop=True))
    if numeric:
        assert scored.truth is not None
        mean = float(scored.truth.mean())
        return _answers(scored, prediction=told.astype("float64").fillna(mean).to_numpy())
    # Rows of which it says the same are as likely true as they are, and as it says.
    positive = scored.positive.astype(float)
    groups = told.astype("object").map({True: 1, False: 0}).fillna(2).astype(int).to_numpy()
    likely = np.array([positive[groups == each].mean() for each in groups])
    majority = positive.mean() > 0.5
    places = np.where(groups == 2, int(majority), groups)
    return _classified(scored, np.column_stack([1 - likely, likely]), places)
