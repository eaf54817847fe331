"""Naive answers, against scikit-learn's; a model that is no better than one of them is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from engine.stored import Stored, fitted, rows
from sklearn import metrics as sk
from sklearn.dummy import DummyClassifier, DummyRegressor

from mlops import paths
from mlops.config.evaluate import Naive
from mlops.config.gates import Gate
from mlops.data.inputs import model_inputs, target_values
from mlops.errors import InputError
from mlops.files import read_json, write_json
from mlops.git.revision import Revision
from mlops.judging.gate import broken
from mlops.judging.recount import judged_by, recount
from mlops.judging.worth import Worth, worth
from mlops.learning.metrics import Scored
from mlops.learning.naive import naive_answers, naive_scores

NONE = Naive()


def scored(what: str, how: str = "good", test: pd.DataFrame | None = None) -> Scored:
    """What a model says of the test rows; see stored.fitted."""
    data, model = rows(what) if test is None else test, fitted(what, how)
    return Scored(
        model.predict(model_inputs(data, made.contract(what))),
        target_values(data, made.contract(what)),
        getattr(model.pipeline, "classes_", None),
    )


def naive(what: str, how: Naive = NONE, test: pd.DataFrame | None = None) -> dict[str, Scored]:
    data = rows(what) if test is None else test
    return naive_answers(scored(what, test=data), data, made.contract(what), how)


def scores(what: str, found: dict[str, Scored]) -> dict[str, dict[str, float]]:
    return naive_scores(made.task(what), found, None)


@pytest.mark.parametrize("what", ["binary", "multiclass"])
def test_constants_are_scikit_learns_dummies(what: str) -> None:
    found = scores(what, naive(what))
    truth, inputs = target_values(rows(what), made.contract(what)), np.zeros((300, 1))
    prior = DummyClassifier(strategy="prior").fit(inputs, truth)
    assert found["constant"]["log_loss"] == pytest.approx(
        sk.log_loss(truth, prior.predict_proba(inputs)), rel=1e-5
    )
    assert found["constant"]["roc_auc"] == 0.5
    assert found["constant"]["accuracy"] == pytest.approx(prior.score(inputs, truth), rel=1e-5)
    names = ["false", "true"] if what == "binary" else ["high", "low", "middle"]
    assert [*found] == ["constant", *(f"always {name}" for name in names)]
    for name, value in zip(names, prior.classes_, strict=True):
        same = DummyClassifier(strategy="constant", constant=value).fit(inputs, truth)
        said = found[f"always {name}"]
        assert said["accuracy"] == pytest.approx(same.score(inputs, truth), rel=1e-5)
    if what == "binary":
        everything = sk.f1_score(truth, np.ones(300))
        assert found["always true"]["f1"] == pytest.approx(everything, rel=1e-5)


@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_constant_numbers_are_scikit_learns_dummies(strategy: str) -> None:
    found = scores("regression", naive("regression"))[strategy]
    truth, inputs = rows("regression")["price"], np.zeros((300, 1))
    said = DummyRegressor(strategy=strategy).fit(inputs, truth).predict(inputs)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, said), rel=1e-5)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, said), rel=1e-5)


def test_clusters_have_no_naive_answer() -> None:
    assert naive("clustering") == {}


def test_a_rule_for_numbers_is_the_answer() -> None:
    found = naive("regression", Naive(rule="100 + 20 * size"))["rule"].outputs["prediction"]
    data = rows("regression")
    expected = (100 + 20 * data["size"]).fillna(data["price"].mean())
    np.testing.assert_allclose(found, expected)


def test_a_rule_for_two_classes_is_the_answer_and_as_likely_as_it_is_right() -> None:
    said = naive("binary", Naive(rule="size > 1"))["rule"]
    data = rows("binary")
    truth = data["large"].astype(int)
    unknown = data["size"].isna()
    rule = data["size"] > 1
    majority = int(truth.mean() > 0.5)
    expected = np.where(unknown, majority, rule.astype(int))
    np.testing.assert_array_equal(said.outputs["prediction"], expected)
    for some in (rule, ~rule & ~unknown, unknown):
        (likely,) = {*said.outputs["probability"][some, 1]}
        assert likely == pytest.approx(truth[some].mean())


def _timed(moments: list[int], prices: list[float], stations: list[str] | None = None) -> Any:
    """What `last` says of rows in time, given in any order."""
    columns: dict[str, Any] = {
        "x": {"kind": "numeric", "role": "feature"},
        "at": {"kind": "datetime", "role": "time"},
        "price": {"kind": "numeric", "role": "target"},
    }
    data = pd.DataFrame({"at": pd.to_datetime(moments, unit="D"), "x": 0.0, "price": prices})
    if stations:
        columns["station"] = {"kind": "categorical", "role": "group"}
        data["station"] = stations
    outputs = {"prediction": np.zeros(len(data))}
    said = Scored(outputs, np.array(prices))
    found = naive_answers(said, data, made.contract_of(columns), Naive(last=True))
    return [*found["last"].outputs["prediction"]]


def test_the_last_value_is_that_of_the_moment_before() -> None:
    assert _timed([1, 2, 3], [4.0, 5.0, 9.0]) == [6.0, 4.0, 5.0]  # the mean for the first
    assert _timed([3, 1, 2], [9.0, 4.0, 5.0]) == [5.0, 6.0, 4.0]
    assert _timed([1, 2, 2, 3], [4.0, 5.0, 6.0, 9.0]) == [6.0, 4.0, 4.0, 6.0]


def test_the_last_value_is_that_of_the_same_group() -> None:
    found = _timed([1, 1, 2, 2], [1.0, 10.0, 2.0, 20.0], ["a", "b", "a", "b"])
    assert found == [8.25, 8.25, 1.0, 10.0]


def test_the_last_class_is_said_for_sure() -> None:
    data = rows("multiclass").head(5).assign(at=pd.to_datetime(range(5), unit="D"))
    columns = made.COLUMNS | made.TARGETS["multiclass"][1]
    contract = made.contract_of(columns | {"at": {"kind": "datetime", "role": "time"}})
    told = scored("multiclass", test=data)
    assert told.truth is not None
    last = naive_answers(told, data, contract, Naive(last=True))["last"]
    np.testing.assert_array_equal(last.outputs["prediction"][1:], told.truth[:-1])
    assert (last.outputs["probability"][1:].max(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("what", "how", "told"),
    [
        ("binary", {"last": True}, "evaluate.naive.last: no column has role time"),
        ("binary", {"rule": "size"}, "evaluate.naive.rule: `size`: is a number, and must be true"),
        ("binary", {"rule": "large"}, "evaluate.naive.rule: `large`: .*large"),
        ("regression", {"rule": "size > 1"}, "is true or false, and must be a number"),
        ("regression", {"rule": "sise + 1"}, "evaluate.naive.rule: `sise . 1`: .*sise"),
        ("multiclass", {"rule": "size > 1"}, "a rule is for two classes, or for numbers"),
    ],
)
def test_what_makes_no_sense_is_told(what: str, how: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=f"params.yaml: .*{told}"):
        naive(what, Naive(**how))


def _terms(what: str, gates: dict[str, float], resamples: int = 100) -> Any:
    params = made.params(what, "linear")
    known = {name: Gate(naive=least) for name, least in gates.items()}
    compare = params.compare.model_copy(update={"resamples": resamples})
    return params.model_copy(update={"gates": known, "compare": compare})


def test_the_interval_is_that_of_the_difference() -> None:
    """Of mean errors the standard error is known: that of the mean of the rows' differences."""
    terms = _terms("regression", {"mae": 0}, resamples=400)
    told = scored("regression")
    assert told.truth is not None
    found = worth(terms, told, naive("regression"))["mae"]
    truth = told.truth
    gains = np.abs(truth - np.median(truth)) - np.abs(truth - told.outputs["prediction"])
    assert found.answer == "median"
    assert found.model == pytest.approx(np.abs(truth - told.outputs["prediction"]).mean())
    assert (found.low + found.high) / 2 == pytest.approx(gains.mean())
    half = 1.96 * gains.std(ddof=1) / len(gains) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)


@pytest.mark.parametrize(
    ("what", "metric", "answer"),
    [
        ("binary", "roc_auc", "constant"),
        ("binary", "log_loss", "constant"),
        ("binary", "f1", "always true"),
        ("multiclass", "roc_auc", "constant"),
        ("regression", "mae", "median"),
        ("regression", "rmse", "mean"),
    ],
)
def test_a_model_that_learned_is_worth_it_and_one_that_did_not_is_refused(
    what: str, metric: str, answer: str
) -> None:
    terms = _terms(what, {metric: 0})
    good, poor = (worth(terms, scored(what, how), naive(what)) for how in ("good", "poor"))
    assert good[metric].answer == answer
    assert broken(terms, {}, {}, naive=good) == []
    (breach,) = broken(terms, {}, {}, naive=poor)
    assert (breach.metric, breach.rule) == (metric, "naive")
    assert (
        f"is not significantly better than {poor[metric].naive:.4g}, the best answer without"
        in str(breach)
    )
    assert f"({answer})" in str(breach)


def test_a_rule_that_knows_as_much_takes_the_models_place() -> None:
    terms = _terms("regression", {"mae": 0})
    found = naive("regression", Naive(rule="100 + 20 * size"))
    (breach,) = broken(terms, {}, {}, naive=worth(terms, scored("regression"), found))
    assert "the best answer without a model (rule)" in str(breach)


def test_how_much_better_may_be_asked_for() -> None:
    terms = _terms("regression", {"mae": 5})
    found = {"mae": Worth("median", naive=40, model=34, low=4, high=8)}
    (breach,) = broken(terms, {}, {}, naive=found)
    assert str(breach) == (
        "mae: 34 is not significantly better than 40, the best answer without a model "
        "(median, 5 more required): by 4 to 8"
    )
    assert broken(_terms("regression", {"mae": 3.9}), {}, {}, naive=found) == []


def test_exactly_as_good_is_not_better() -> None:
    found = {"mae": Worth("median", naive=40, model=40, low=0, high=0)}
    assert len(broken(_terms("regression", {"mae": 0}), {}, {}, naive=found)) == 1


def test_no_value_is_no_better() -> None:
    (breach,) = broken(_terms("regression", {"mae": 0}), {}, {}, naive={})
    assert str(breach) == "mae: has no value to compare with naive answers"


@pytest.mark.parametrize(
    ("what", "name"), [("clustering", "silhouette"), ("clustering", "stability")]
)
def test_a_gate_where_nothing_naive_can_be_said_is_told(what: str, name: str) -> None:
    terms = made.params(what, "kmeans").model_copy(update={"gates": {name: Gate(naive=0)}})
    with pytest.raises(InputError, match=f"gates.{name}.naive: no naive answer has a {name}"):
        broken(terms, {}, {})


def test_naive_scores_that_somebody_wrote_do_not_decide(stored: Stored) -> None:
    base = stored.made("poor")
    wanted = {"roc_auc": {"naive": 0.0}}
    stored.params(gates=wanted)
    said = read_json(paths.NAIVE)
    said["constant"]["roc_auc"] = 0.2
    said["made up"] = {"roc_auc": 0.1}
    write_json(paths.NAIVE, said)
    stored.ran()
    stored.commit()
    judged = judged_by(stored.params(gates=wanted), Revision.of(base))
    first, second = map(str, judged.contradictions)
    assert "of constant: reports/naive.json says 0.2, a naive answer says 0.5 of the test" in first
    assert "of made up: reports/naive.json says 0.1, a naive answer says nothing of the" in second
    assert judged.worth is not None
    assert judged.worth["roc_auc"].naive == 0.5


def test_a_gate_that_is_new_is_judged_of_a_model_that_is_not(stored: Stored) -> None:
    """What is all the base's was judged there, by the gates that were there."""
    stored.params(gates={"roc_auc": {"min": 0.1}})
    base = Revision.of(stored.made("poor"))
    assert recount(stored.params(gates={"roc_auc": {"min": 0.1}}), base) is None
    terms = stored.params(gates={"roc_auc": {"naive": 0.0}})
    stored.commit()
    judged = judged_by(terms, base)
    (breach,) = broken(terms, judged.metrics, judged.slices, naive=judged.worth)
    assert breach.rule == "naive"
