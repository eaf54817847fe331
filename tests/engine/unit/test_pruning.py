"""Pruning takes the smallest model that is nearly as good, and says what it tried."""

import pickle
from typing import Any

import numpy as np
import pytest
from engine import made
from sklearn.metrics import f1_score, mean_absolute_error, roc_auc_score

from mlops.config.section import Section
from mlops.data.inputs import model_inputs, target_values
from mlops.errors import InputError
from mlops.learning.conversion import to_onnx
from mlops.learning.estimators import build
from mlops.learning.model import Model
from mlops.learning.pruning import WAYS, Tried, check
from mlops.pipeline.train import made_smaller

LEARN, LOOK = 300, 200


def small(what: str, name: str, **asked: Any) -> tuple[Section, list[Tried]]:
    params = made.params(what, name, prune=asked)
    rows = made.rows(what, LEARN), made.rows(what, LOOK, seed=2)
    return made_smaller(params, params.hyperparameters(name), made.contract(what), *rows)


def trained(what: str, name: str, settings: dict[str, Any]) -> Any:
    """By scikit-learn alone: the pipeline of some hyperparameters."""
    params, contract, rows = made.params(what, name), made.contract(what), made.rows(what, LEARN)
    whole = params.hyperparameters(name).model_dump()
    section = params.hyperparameters(name, whole | settings)
    pipeline = build(params.task, name, section, contract, params.train.seed)
    return pipeline.fit(model_inputs(rows, contract), target_values(rows, contract))


def metric(what: str, pipeline: Any) -> float:
    rows, contract = made.rows(what, LOOK, seed=2), made.contract(what)
    inputs, truth = model_inputs(rows, contract), target_values(rows, contract)
    if what == "binary":
        return float(roc_auc_score(truth, pipeline.predict_proba(inputs)[:, 1]))
    return float(mean_absolute_error(truth, pipeline.predict(inputs)))


NAMES = {"binary": "roc_auc", "regression": "mae"}


@pytest.mark.parametrize(
    ("what", "name", "loss"),
    [("binary", "boosting", 0.02), ("binary", "mlp", 0.02), ("regression", "forest", 2.0)],
)
def test_the_smallest_is_nearly_as_good(what: str, name: str, loss: float) -> None:
    chosen, tried = small(what, name, metric_loss=loss, metric=NAMES[what])
    (kept,) = (each for each in tried if each.kept)
    whole = tried[0]
    assert whole.settings == {}
    assert kept.size < whole.size
    sign = 1 if what == "binary" else -1
    allowed = [each for each in tried if sign * (whole.metric - each.metric) <= loss]
    assert kept.size == min(each.size for each in allowed)
    assert len(allowed) < len(tried), "nothing was too bad: the loss decides nothing"
    for each in (whole, kept):
        pipeline = trained(what, name, each.settings)
        assert each.metric == pytest.approx(metric(what, pipeline))
        assert each.size == pytest.approx(len(pickle.dumps(pipeline[-1])), rel=0.01)
    assert chosen.model_dump().items() >= kept.settings.items()
    before, after = (
        to_onnx(
            Model(made.task(what), trained(what, name, each.settings), {}, LEARN),
            made.contract(what),
        ).ByteSize()
        for each in (whole, kept)
    )
    assert after < before, "what is exported is smaller, too"


def test_a_metric_of_classes_is_that_of_the_threshold() -> None:
    """The same on the rows that choose it: no other threshold has more, by scikit-learn."""
    asked = {"metric_loss": 0, "metric": "f1"}
    params = made.params("binary", "boosting", threshold="f1", prune=asked)
    contract, rows = made.contract("binary"), made.rows("binary", LOOK, seed=2)
    whole = params.hyperparameters("boosting")
    _, (first, *_) = made_smaller(params, whole, contract, made.rows("binary", LEARN), rows)
    pipeline = trained("binary", "boosting", {})
    truth = target_values(rows, contract)
    likely = pipeline.predict_proba(model_inputs(rows, contract))[:, 1]
    best = max(f1_score(truth, likely >= at) for at in np.unique(likely))
    assert first.metric == pytest.approx(best)
    assert best > f1_score(truth, likely >= 0.5)


def test_nothing_is_lost_that_may_not_be() -> None:
    _, tried = small("binary", "boosting", metric_loss=0, metric="roc_auc")
    (kept,) = (each for each in tried if each.kept)
    assert kept.metric >= tried[0].metric


def test_it_is_off_until_it_is_asked_for() -> None:
    params = made.params("binary", "boosting")
    rows = made.rows("binary", LEARN)
    chosen = params.hyperparameters("boosting")
    assert made_smaller(params, chosen, made.contract("binary"), rows, rows) == (chosen, [])


def test_a_metric_that_there_is_none_of_is_one_line() -> None:
    line = r"^params\.yaml: train\.prune\.metric: no r2; there are .*roc_auc"
    with pytest.raises(InputError, match=line):
        small("binary", "boosting", metric_loss=0.1, metric="r2")


@pytest.mark.parametrize("name", sorted({name for _, name in made.PAIRS} - {*WAYS}))
def test_what_has_nothing_to_take_away_is_refused(name: str) -> None:
    line = rf"^params\.yaml: train\.prune: {name} has nothing .* boosting, .* leave prune out$"
    with pytest.raises(InputError, match=line):
        check(name)
