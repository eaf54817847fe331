"""Fairness: numbers as fairlearn's, intervals that hold, gates that fail, a planted bias found."""

from typing import Any

import fairlearn.metrics as fl
import numpy as np
import pandas as pd
import pytest
from engine import loans, made
from engine.stored import Stored, fitted
from engine.stored import rows as stored_rows
from scipy.stats import binomtest, ttest_ind
from sklearn import metrics as sk
from sklearn.metrics import accuracy_score

from mlops import paths
from mlops.config.evaluate import Evaluate, Value
from mlops.config.fairness import Parity
from mlops.config.params import Params
from mlops.data.contract import Contract
from mlops.data.inputs import model_inputs, target_values
from mlops.errors import InputError
from mlops.files import read_json, write_json
from mlops.git.revision import Revision
from mlops.judging.comparison import Comparison, compare
from mlops.judging.fairness import Groups, as_file, fairness
from mlops.judging.gate import broken
from mlops.judging.paired import Compared
from mlops.judging.proportions import difference, mean, ratio, share
from mlops.judging.recount import judged_by
from mlops.learning.metrics import Scored
from mlops.learning.model import outputs
from mlops.learning.reweighing import reweighed
from mlops.pipeline.train import fit


def ask(**groups: Any) -> Evaluate:
    """How groups are judged, with changes."""
    return Evaluate.model_validate({"importance_rows": 1, "slice_rows": 1, **groups})


ASK = ask()
RATES = ["selection_rate", "true_positive_rate", "false_positive_rate", "error"]


def said(what: str, data: pd.DataFrame) -> Scored:
    """What the small model of a target says."""
    model = fitted(what)
    return Scored(
        model.predict(model_inputs(data, made.contract(what))),
        target_values(data, made.contract(what)),
        getattr(model.pipeline, "classes_", None),
    )


def sensitive(what: str, *columns: str) -> Contract:
    """The contract of `made`, with some columns that are sensitive and no features."""
    changed = {name: made.COLUMNS[name] | {"role": "sensitive"} for name in columns}
    return made.contract_of(made.COLUMNS | changed | made.TARGETS[what][1])


def found(what: str, how: Evaluate, *columns: str) -> dict[str, Groups]:
    data = stored_rows(what, 600)
    return fairness(made.task(what), said(what, data), data, sensitive(what, *columns), how)


def frame(what: str, metrics: dict[str, Any], by: str) -> fl.MetricFrame:
    """The same by fairlearn."""
    data = stored_rows(what, 600)
    scored = said(what, data)
    return fl.MetricFrame(
        metrics=metrics,
        y_true=scored.truth,
        y_pred=scored.outputs["prediction"],
        sensitive_features=data[by].fillna("(missing)"),
    )


def test_numbers_of_classes_are_those_of_fairlearn() -> None:
    groups = found("binary", ask(group_rows=1), "colour")["colour"]
    same = frame(
        "binary",
        {
            "selection_rate": fl.selection_rate,
            "true_positive_rate": fl.true_positive_rate,
            "false_positive_rate": fl.false_positive_rate,
            "error": sk.zero_one_loss,
            "rows": fl.count,
        },
        "colour",
    )
    assert len(groups.groups) == 5
    for name, group in groups.groups.items():
        assert group.rows == same.by_group.loc[name, "rows"]
        for metric in RATES:
            expected = same.by_group.loc[name, metric]
            assert group.metrics[metric].value == pytest.approx(expected), (name, metric)
    for metric in RATES:
        apart = groups.disparities[metric]
        assert apart.difference.value == pytest.approx(same.difference()[metric]), metric
        assert apart.ratio is not None
        assert apart.ratio.value == pytest.approx(same.ratio()[metric]), metric
    odds = max(groups.disparities[name].difference.value for name in RATES[1:3])
    data = stored_rows("binary", 600)
    scored = said("binary", data)
    assert odds == pytest.approx(
        fl.equalized_odds_difference(
            scored.truth,
            scored.outputs["prediction"],
            sensitive_features=data["colour"].fillna("(missing)"),
        )
    )


def test_numbers_of_numbers_are_those_of_fairlearn() -> None:
    groups = found("regression", ask(group_rows=1), "colour")["colour"]
    of_error = {"mae": sk.mean_absolute_error, "mean_error": lambda y, said: (said - y).mean()}
    same = frame("regression", of_error, "colour")
    for name, group in groups.groups.items():
        for metric in of_error:
            assert group.metrics[metric].value == pytest.approx(same.by_group.loc[name, metric])
    assert groups.disparities["mae"].ratio is not None
    assert groups.disparities["mae"].ratio.value == pytest.approx(same.ratio()["mae"])
    for metric in of_error:
        apart = groups.disparities[metric].difference.value
        assert apart == pytest.approx(same.difference()[metric])
    assert groups.disparities["mean_error"].ratio is None  # which may be on either side of zero


def test_calibration_is_what_is_said_less_what_happened() -> None:
    group = found("binary", ASK, "colour")["colour"].groups["red"]
    data = stored_rows("binary", 600)
    red = (data["colour"] == "red").to_numpy()
    probability = said("binary", data).outputs["probability"][:, 1]
    expected = probability[red].mean() - data["large"][red].mean()
    assert group.metrics["calibration"].value == pytest.approx(expected, abs=1e-6)


def test_who_is_selected_is_said_by_the_threshold_that_people_act_on() -> None:
    data, contract = stored_rows("binary", 600), sensitive("binary", "colour")
    scored = said("binary", data)
    per = {"true": {"true": 1.0, "false": 0.0}, "false": {"true": -1.0, "false": 0.0}}
    value = Value.model_validate({"currency": "EUR", "per": per, "threshold": 0.9})
    chosen = ask(value=value)
    groups = fairness("classification", scored, data, contract, chosen)["colour"].groups
    red = (data["colour"] == "red").to_numpy()
    expected = (scored.outputs["probability"][red, 1] >= 0.9).mean()
    assert groups["red"].metrics["selection_rate"].value == expected
    assert groups["red"].metrics["error"].value == sk.zero_one_loss(
        scored.truth[red] if scored.truth is not None else [], scored.outputs["prediction"][red]
    )


def test_groups_that_are_small_are_shown_and_not_judged() -> None:
    every = found("binary", ask(group_rows=1), "colour")["colour"]
    sizes = {name: group.rows for name, group in every.groups.items()}
    few = min(sizes, key=lambda name: sizes[name])
    some = found("binary", ask(group_rows=sizes[few] + 1), "colour")["colour"]
    assert some.groups.keys() == every.groups.keys()
    assert few not in {some.disparities["error"].lowest, some.disparities["error"].highest}
    # Of a rate among some rows these have to be enough.
    positives = some.groups["red"].counted["true_positive_rate"]
    assert positives < some.groups["red"].rows
    assert found("binary", ask(group_rows=600), "colour")["colour"].disparities == {}


def test_columns_make_groups_together_up_to_as_many_as_asked_for() -> None:
    groups = found("binary", ask(group_rows=10, group_columns=2), "colour", "wet", "rank")
    assert [*groups] == [
        *("rank", "wet", "colour"),
        *("rank & wet", "rank & colour", "wet & colour"),
    ]
    assert not groups["wet"].combined
    assert groups["wet & colour"].combined
    data = stored_rows("binary", 600)
    both = ((data["wet"] == True) & (data["colour"] == "red")).fillna(False)  # noqa: E712
    assert groups["wet & colour"].groups["True & red"].rows == both.sum()
    assert sum(group.rows for group in groups["rank & wet"].groups.values()) == 600


def test_a_model_of_more_classes_is_judged_by_its_errors() -> None:
    groups = found("multiclass", ASK, "colour")["colour"]
    assert {*groups.disparities} == {"error"}


def test_clusters_are_judged_by_what_they_are_composed_of() -> None:
    data = stored_rows("clustering", 600)
    prediction = np.where(data["size"] > 0, 1, 0)
    data = data.assign(colour=np.where(data["size"] > 3, "red", "blue"))
    scored = Scored({"prediction": prediction})
    contract = sensitive("clustering", "colour")
    groups = fairness("clustering", scored, data, contract, ASK)["colour"]
    assert groups.groups["red"].metrics["cluster_1"].value == 1
    in_one = (data["size"] > 0)[data["size"] <= 3].mean()
    assert groups.disparities["composition"].difference.value == pytest.approx(1 - in_one)


# --- intervals


@pytest.mark.parametrize(("hits", "rows"), [(0, 7), (7, 7), (3, 10), (480, 1000)])
def test_the_interval_of_a_share_is_wilsons(hits: int, rows: int) -> None:
    expected = binomtest(hits, rows).proportion_ci(0.9, method="wilson")
    found = share(hits, rows, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_of_a_difference_of_shares_is_newcombes() -> None:
    """The examples (a) and (d) of his table II, by method 10."""
    found = difference(share(56, 70, 0.95), share(48, 80, 0.95))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    found = difference(share(5, 56, 0.95), share(0, 29, 0.95))
    assert (found.low, found.high) == pytest.approx((-0.0381, 0.1926), abs=5e-5)


def test_the_interval_of_a_difference_of_means_is_welchs() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 2, 900), rng.normal(0, 1, 1200)
    found = difference(mean(one, 0.95), mean(other, 0.95))
    expected = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=2e-3)


@pytest.mark.parametrize("rates", [(0.2, 0.5), (0.45, 0.5), (0.03, 0.3)])
def test_intervals_hold_as_often_as_they_say(rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    held = {"difference": 0, "ratio": 0}
    drawn = rng.binomial((60, 200), rates, (2000, 2))
    for hits in drawn:
        one, other = (share(int(h), n, 0.9) for h, n in zip(hits, (60, 200), strict=True))
        apart, by = difference(one, other), ratio(one, other)
        held["difference"] += apart.low <= rates[0] - rates[1] <= apart.high
        assert by is not None
        held["ratio"] += by.low <= rates[0] / rates[1] <= by.high
    assert {name: count / 2000 for name, count in held.items()} == pytest.approx(
        {"difference": 0.9, "ratio": 0.9}, abs=0.035
    )


def test_a_ratio_to_nothing_means_nothing() -> None:
    assert ratio(share(3, 9, 0.95), share(0, 9, 0.95)) is None
    bound = ratio(share(3, 9, 0.95), share(1, 9, 0.95))
    assert bound is not None
    assert bound.high >= 3


def test_equal_groups_are_surely_apart_no_more_often_than_they_say() -> None:
    """However many groups there are: pairs are many, and the largest difference is chosen."""
    rng = np.random.default_rng(2)
    contract = made.contract_of(
        {
            "x": {"kind": "numeric", "role": "feature"},
            "who": {"kind": "categorical", "role": "sensitive"},
            "y": {"kind": "boolean", "role": "target"},
        }
    )
    sure, classes = 0, np.arange(2)
    for _ in range(200):
        data = pd.DataFrame({"who": rng.choice([*"abcdef"], 900)})
        prediction = rng.integers(0, 2, 900)
        likely = np.column_stack([1 - prediction, prediction]).astype(float)
        scored = Scored({"prediction": prediction, "probability": likely}, prediction, classes)
        groups = fairness("classification", scored, data, contract, ASK)["who"]
        sure += groups.disparities["selection_rate"].difference.low > 0
    assert sure <= 0.05 * 200 + 8


# --- gates


def terms(**gates: Any) -> Any:
    how = {name: Parity.model_validate(parity) for name, parity in gates.items()}
    return made.params("binary", "linear").model_copy(update={"fairness": how})


def groups_of(values: dict[str, tuple[int, int]]) -> dict[str, Groups]:
    """The groups of a column, by hits and rows, as selection rates."""
    scored, who = [], []
    for name, (hits, count) in values.items():
        scored += [1] * hits + [0] * (count - hits)
        who += [name] * count
    prediction = np.array(scored)
    likely = np.column_stack([1 - prediction, prediction]).astype(float)
    told = Scored({"prediction": prediction, "probability": likely}, prediction, np.arange(2))
    columns = {"x": made.COLUMNS["noise"], "sex": {"kind": "categorical", "role": "sensitive"}}
    contract = made.contract_of(columns | made.TARGETS["binary"][1])
    data = pd.DataFrame({"sex": who})
    return fairness("classification", told, data, contract, ASK)


FAR = groups_of({"F": (300, 1000), "M": (500, 1000)})
UNSURE = groups_of({"F": (18, 60), "M": (30, 60)})


@pytest.mark.parametrize(
    ("parity", "told"),
    [
        ({"ratio": 0.8}, "the ratio is 0.6 (0.536 to 0.672), at least 0.8 required"),
        ({"difference": 0.1}, "0.2 (0.158 to 0.241) apart, 0.1 allowed"),
    ],
)
def test_groups_that_are_surely_too_far_apart_break_a_gate(
    parity: dict[str, float], told: str
) -> None:
    (breach,) = broken(terms(selection_rate=parity), {}, {}, groups=FAR)
    assert str(breach) == f"selection_rate by sex: F 0.3, M 0.5: {told}"
    assert (breach.rule, breach.column) == ("fairness", "sex")
    assert broken(terms(selection_rate=parity), {}, {}, groups=UNSURE) == []


@pytest.mark.parametrize("parity", [{"ratio": 0.6}, {"difference": 0.2}, {"regression": 0}])
def test_what_may_be_is_kept(parity: dict[str, float]) -> None:
    assert broken(terms(selection_rate=parity), {}, {}, groups=FAR) == []


def test_where_nobody_can_tell_a_bound_is_broken() -> None:
    few = groups_of({"F": (3, 10), "M": (500, 1000)})
    (breach,) = broken(terms(selection_rate={"ratio": 0.8}), {}, {}, groups=few)
    assert "fewer than two groups have 50 rows that count: nobody knows" in str(breach)


@pytest.mark.parametrize(
    ("gates", "groups", "told"),
    [
        ({"selection_rate": {"ratio": 0.8}}, {}, "no column has role sensitive"),
        ({"mae": {"difference": 1}}, FAR, "fairness.mae: no metric of groups here; choose"),
    ],
)
def test_a_gate_that_makes_no_sense_is_told(gates: Any, groups: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        broken(terms(**gates), {}, {}, groups=groups)


def test_clusters_have_nothing_to_regress_from() -> None:
    how = {"composition": Parity(regression=0)}
    chosen = made.params("clustering", "kmeans").model_copy(update={"fairness": how})
    with pytest.raises(InputError, match="composition.regression: clusters are numbered anew"):
        broken(chosen, {}, {}, groups=FAR)


@pytest.mark.parametrize(
    ("text", "told"),
    [({}, "give at least one of"), ({"ratio": 0}, "ratio"), ({"ratio": 1.1}, "ratio")],
)
def test_a_parity_that_bounds_nothing_is_refused(text: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Parity.model_validate(text)


@pytest.mark.parametrize(("limit", "is_broken"), [(0, True), (0.019, True), (0.02, False)])
def test_less_fair_than_the_champion_breaks_a_gate(limit: float, is_broken: bool) -> None:
    apart = Compared(0.05, 0.12, 0.02, 0.12, "worse")
    against = Comparison("same", fairness={"sex": {"selection_rate": apart}})
    lines = broken(terms(selection_rate={"regression": limit}), {}, {}, against)
    assert len(lines) == is_broken
    if is_broken:
        told = "selection_rate by sex: groups are 0.12 apart, with the champion 0.05: at least 0.02"
        assert str(lines[0]).startswith(told)


def test_a_champion_that_cannot_be_had_breaks_it_too() -> None:
    against = Comparison(None, "it is gone", undecided=True)
    (breach,) = broken(terms(selection_rate={"regression": 0}), {}, {}, against)
    assert str(breach) == "champion: not comparable: it is gone"


# --- from the model, not from the files


def protect(stored: Stored, **gates: Any) -> Params:
    """Have a column be sensitive, and gates on its groups."""
    columns = made.COLUMNS | {"colour": made.COLUMNS["colour"] | {"role": "sensitive"}}
    chosen = made.contract_of(columns | made.TARGETS["binary"][1])
    (stored.folder / paths.CONTRACT).write_text(chosen.model_dump_json())
    how = {name: Parity.model_validate(parity) for name, parity in gates.items()}
    given = stored.params()
    evaluate = given.evaluate.model_copy(update={"group_rows": 20})
    params = given.model_copy(update={"fairness": how, "evaluate": evaluate})
    stored.write("params.yaml", params.model_dump(mode="json", exclude_none=True))
    return params


def test_what_somebody_wrote_of_groups_does_not_decide(stored: Stored) -> None:
    base = Revision.of(stored.made("poor"))
    chosen = protect(stored, error={"difference": 0.9})
    judged = judged_by(chosen, base)
    assert judged.fairness is not None
    assert judged.contradictions  # nothing was written of groups yet
    write_json(paths.FAIRNESS, as_file(judged.fairness))
    assert judged_by(chosen, base).contradictions == []
    said = read_json(paths.FAIRNESS)
    said["colour"]["disparities"]["error"]["difference"]["value"] = 0.0
    write_json(paths.FAIRNESS, said)
    (breach,) = judged_by(chosen, base).contradictions
    assert "colour.disparities.error.difference.value: reports/fairness.json says 0" in str(breach)


# --- the planted bias


def answers(chosen: Any, data: pd.DataFrame, test: pd.DataFrame) -> Scored:
    """What a model that learned from loans says of others."""
    name = chosen.train.estimator
    pipeline = fit(chosen, chosen.hyperparameters(name), loans.contract(), data)
    inputs = model_inputs(test, loans.contract())
    said = outputs("classification", pipeline, None, inputs)
    return Scored(said, target_values(test, loans.contract()), pipeline.classes_)


def of_loans(scored: Scored, test: pd.DataFrame) -> dict[str, Groups]:
    return fairness("classification", scored, test, loans.contract(), ASK)


def test_the_planted_bias_is_of_the_size_that_is_known() -> None:
    """The intervals of a perfect memory of the labels hold the rates by which they were made."""
    test = loans.rows(4000, seed=3)
    truth = target_values(test, loans.contract())
    assert truth is not None
    likely = np.column_stack([1 - truth, truth]).astype(float)
    scored = Scored({"prediction": truth, "probability": likely}, truth, np.arange(2))
    apart = of_loans(scored, test)["group"].disparities["selection_rate"].difference
    assert apart.low < loans.rate("A") - loans.rate("B") < apart.high
    assert loans.rate("A") - loans.rate("B") == pytest.approx(0.267, abs=1e-3)


def test_a_planted_bias_is_found_refused_mitigated_and_let_through() -> None:
    data, test = loans.rows(4000, seed=1), loans.rows(3000, seed=2)
    gates = {"selection_rate": {"ratio": 0.8, "difference": 0.1}}
    biased = loans.params(fairness=gates)
    before = answers(biased, data, test)
    lines = broken(biased, {}, {}, groups=of_loans(before, test))
    assert [breach.rule for breach in lines] == ["fairness", "fairness"]
    assert "selection_rate by group: B 0." in str(lines[0])
    mended = loans.params(fairness=gates, train={"reweigh": True})
    after = answers(mended, data, test)
    assert broken(mended, {}, {}, groups=of_loans(after, test)) == []
    # It costs some of what the biased labels call right, and makes nothing up.
    right = [accuracy_score(each.truth, each.outputs["prediction"]) for each in (before, after)]
    assert right[0] > right[1] > 0.7


@pytest.mark.parametrize("estimator", ["boosting", "forest", "mlp"])
def test_weighing_brings_groups_together_by_every_estimator(estimator: str) -> None:
    """How far depends on it: weights make the labels alike, not what is made of them."""
    data, test = loans.rows(3000, seed=1), loans.rows(3000, seed=2)
    apart = []
    for reweigh in (False, True):
        chosen = loans.params(estimator, train={"reweigh": reweigh})
        groups = of_loans(answers(chosen, data, test), test)["group"]
        apart.append(groups.disparities["selection_rate"].difference)
    assert apart[1].value < 0.75 * apart[0].value


def test_weights_make_group_and_class_independent_and_keep_the_rows() -> None:
    data = loans.rows(2000, seed=5)
    target = target_values(data, loans.contract())
    assert target is not None
    weights: np.ndarray = reweighed(data, loans.contract(), target)
    assert float(weights.mean()) == pytest.approx(1)
    table = pd.crosstab(data["group"], target, weights, aggfunc="sum", normalize="all")
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    np.testing.assert_allclose(table, expected)


@pytest.mark.parametrize(
    ("task", "told"), [("regression", "for classification only"), ("clustering", "classification")]
)
def test_only_classes_are_weighed_by(task: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"train.reweigh: .*{told}"):
        made.params(task, "kmeans" if task == "clustering" else "linear", reweigh=True)


def test_weighing_needs_a_group() -> None:
    chosen = made.params("binary", "linear", reweigh=True)
    with pytest.raises(InputError, match="train.reweigh: no column has role sensitive"):
        fit(chosen, chosen.hyperparameters("linear"), made.contract("binary"), made.rows("binary"))


def test_a_champion_is_compared_on_the_same_groups(stored: Stored) -> None:
    """The poor model never saw what decides: its errors differ by chance, the good one's less."""
    chosen = protect(stored)
    base = Revision.of(stored.made("poor"))
    stored.made("good")
    apart = compare(chosen, base).fairness["colour"]["error"]
    assert apart.low < apart.challenger - apart.champion < apart.high
    test = stored_rows("binary")
    for how, value in (("poor", apart.champion), ("good", apart.challenger)):
        model = fitted("binary", how)
        wrong = model.pipeline.predict(model_inputs(test, made.contract("binary")))
        rates = (wrong != test["large"].astype(int)).groupby(test["colour"].fillna("?")).mean()
        assert value == pytest.approx(rates.max() - rates.min())
