"""Comparisons: a better, an equal and a worse model are told apart, chance is not taken for one of
them, and what cannot be compared says why."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from engine.stored import Stored, fitted, rows

from mlops import paths
from mlops.config.compare import Compare
from mlops.config.gates import Gate
from mlops.config.params import Params
from mlops.data.inputs import model_inputs
from mlops.errors import InputError
from mlops.files import write_json, write_text
from mlops.git.revision import Revision
from mlops.judging.comparison import (
    Comparison,
    compare,
    joblib_file,
    learned_from,
    onnx_file,
)
from mlops.judging.paired import Compared, judge, judged
from mlops.learning.metrics import METRICS, Scored
from mlops.report import terminal

Begin = Callable[[str], Stored]


def _compared(stored: Stored, base: str, **gates: Any) -> Comparison:
    return compare(stored.params(gates=gates), Revision.of(base))


@pytest.mark.parametrize("what", ["binary", "regression", "clustering"])
def test_a_planted_difference_is_found(begin: Begin, what: str) -> None:
    stored = begin(what)
    poor = stored.made("poor")
    good = stored.made("good")
    first = next(iter(METRICS[made.task(what)]))
    better = _compared(stored, poor)
    assert (better.verdict, better.reason, better.undecided) == ("better", None, False)
    assert better.metrics.keys() <= METRICS[made.task(what)].keys()
    assert better.metrics[first].verdict == "better"
    stored.back_to(poor)
    worse = _compared(stored, good)
    assert (worse.verdict, worse.metrics[first].verdict) == ("worse", "worse")
    for name, each in worse.metrics.items():
        other = better.metrics[name]
        if what != "clustering":  # there the challenger's features are where both are judged
            assert (each.champion, each.challenger) == (other.challenger, other.champion)
            assert (each.low, each.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize("what", ["multiclass", "regression"])
def test_a_model_from_other_rows_of_the_same_kind_is_as_good(begin: Begin, what: str) -> None:
    stored = begin(what)
    champion = stored.made("good")
    stored.made("twin")
    found = _compared(stored, champion)
    assert found.verdict == "same"
    assert found.answers is not None
    assert found.rows == len(found.answers.test) == len(rows(what))
    for side in (found.answers.champion, found.answers.challenger):
        assert len(side.scored.outputs["prediction"]) == len(rows(what))
        assert side.latency > 0
    if what == "regression":
        assert "interval_coverage" in found.metrics


def test_the_same_model_in_another_file_differs_by_nothing(planted: Stored) -> None:
    planted.made("good", project="renamed")
    found = _compared(planted, "good")
    assert found.verdict == "same"
    assert found.metrics
    for each in found.metrics.values():
        assert (each.low, each.high, each.verdict) == (0, 0, "same")


def test_the_same_file_is_the_same_and_needs_no_fetch(planted: Stored) -> None:
    planted.forget(remote=True)
    found = _compared(planted, "good")
    assert (found.verdict, found.reason) == ("same", "the model is the same file")


def test_the_rows_to_train_on_are_not_asked_for(planted: Stored) -> None:
    paths.PARTS["train"].write_bytes(b"")
    assert _compared(planted, "poor").verdict == "better"


def test_without_a_champion_there_is_nothing_to_compare(stored: Stored) -> None:
    bare = stored.commit()
    assert _compared(stored, bare).undecided
    stored.made("good")
    for base in (bare, "0" * 40):
        found = _compared(stored, base)
        assert (found.verdict, found.undecided) == (None, False)
        assert found.reason == "no champion yet: this is the first model"


@pytest.mark.parametrize(
    ("metadata", "columns", "reason"),
    [
        ({"task": "regression"}, {}, "different task: the champion's is regression, now it is cla"),
        ({"classes": ["no", "yes"]}, {}, "different classes: the champion's is no, yes, now it is"),
        ({}, {"large": ..., "big": made.TARGETS["binary"][1]["large"]}, "different target: the ch"),
        ({}, {"gone": made.COLUMNS["size"]}, "different columns: the champion reads gone, which"),
        ({}, {"size": made.COLUMNS["colour"]}, "different columns: size was categorical, now it"),
    ],
)
def test_models_that_cannot_be_asked_the_same(
    planted: Stored, metadata: dict[str, Any], columns: dict[str, Any], reason: str
) -> None:
    described = made.COLUMNS | made.TARGETS["binary"][1] | columns
    kept = {name: column for name, column in described.items() if column is not ...}
    champion = planted.made("poor", contract=made.contract_of(kept), **metadata)
    planted.back_to("good")
    found = _compared(planted, champion)
    assert (found.verdict, found.undecided, found.metrics) == (None, False, {})
    assert found.reason
    assert found.reason.startswith(reason)


def test_a_new_column_is_no_hindrance(planted: Stored) -> None:
    fewer = {name: column for name, column in made.COLUMNS.items() if name != "noise"}
    contract = made.contract_of(fewer | made.TARGETS["binary"][1])
    champion = planted.made("poor", contract=contract)
    planted.back_to("good")
    # The champion's file does want `noise`: that it is not asked for it shows in the error.
    with pytest.raises(KeyError, match="noise"):
        _compared(planted, champion)


@pytest.mark.usefixtures("planted")
def test_a_model_of_another_task_than_the_parameters_is_undecided() -> None:
    found = compare(made.params("regression", "linear"), Revision.of("poor"))
    assert (found.verdict, found.undecided) == (None, True)
    assert found.reason == (
        "the model is for classification, and params.yaml for regression: run `uv run dvc repro`"
    )


def test_a_contract_ahead_of_the_model_is_no_hindrance(planted: Stored) -> None:
    ahead = made.contract_of(
        made.COLUMNS
        | {"later": {"kind": "numeric", "role": ["feature", "slice"]}}
        | {"other": {"kind": "boolean", "role": "target"}}
    )
    (planted.folder / paths.CONTRACT).write_text(ahead.model_dump_json())
    assert _compared(planted, "poor").verdict == "better"


def test_a_champion_that_cannot_be_had_leaves_it_undecided(stored: Stored) -> None:
    champion = stored.made("poor")
    stored.push()
    stored.made("good")
    stored.forget()
    stored.put("good")
    stored.ran()
    assert _compared(stored, champion).verdict == "better"  # from the remote
    stored.forget(remote=True)
    stored.put("good")
    stored.ran()
    found = _compared(stored, champion)
    assert (found.verdict, found.undecided) == (None, True)
    assert found.reason
    assert f"models/candidate.onnx of {champion} is neither in DVC's cache" in found.reason
    assert "`uv run dvc push`; nor can it be made again: " in found.reason


def test_other_test_rows_that_the_champion_never_saw_judge_as_they_are(stored: Stored) -> None:
    champion = stored.made("poor", train=rows("binary", seed=20))
    stored.made("good", test=rows("binary", 301), train=rows("binary", seed=21))
    found = _compared(stored, champion)
    assert (found.verdict, found.notes, found.rows) == ("better", [], 301)


def test_rows_that_the_champion_learned_from_do_not_judge(stored: Stored) -> None:
    """Its 200 rows are those that neither saw: on the others it would look better than it is."""
    before, after = rows("binary", 400, seed=20), rows("binary", 300, seed=22)
    test = pd.concat([before[:100], after[:200]], ignore_index=True)
    champion = stored.made("poor", train=before)
    stored.made("good", test=test, train=after[200:])
    found = _compared(stored, champion)
    assert (found.verdict, found.rows) == ("better", 200)
    assert found.notes == [
        "The champion learned from 100 of the 300 test rows: the 200 that neither model saw judge."
    ]
    assert found.answers is not None
    pd.testing.assert_frame_equal(found.answers.test, after[:200].reset_index(drop=True))


def test_a_changed_split_that_leaves_too_few_rows_is_not_comparable(stored: Stored) -> None:
    everything = rows("binary", 400, seed=20)
    champion = stored.made("poor", test=everything[300:], train=everything[:300])
    stored.write("params.yaml", stored.load("params.yaml") | {"split": {
        "validation": 0.15, "test": 0.2, "seed": 7}})  # fmt: skip
    stored.made("good", test=everything[50:350], train=everything[:50])
    found = compare(made.params("binary", "linear"), Revision.of(champion))
    assert (found.verdict, found.undecided) == (None, True)
    assert found.reason == (
        "the champion learned from 250 of the 300 test rows (split: seed 1 → 7), too few are left "
        "to judge by"
    )


def test_what_never_saw_the_test_rows_judges_and_not_the_final_model(planted: Stored) -> None:
    """The final model learned from them: here it is the poor one, and the candidate is good."""
    planted.put("poor")
    final = {path: path.read_bytes() for path in (paths.MODEL, paths.ONNX)}
    planted.put("good")
    for path, content in final.items():
        path.write_bytes(content)
    planted.ran()
    assert _compared(planted, "poor").verdict == "better"
    assert _compared(planted, "good").reason == "the model is the same file"


def test_a_champion_of_an_engine_that_made_one_model_is_that_one(stored: Stored) -> None:
    lock = '{"stages": {"train": {"outs": [{"path": "models/model.onnx", "md5": "0"}]}}}'
    write_text(stored.folder / paths.LOCK, lock)
    before = Revision.of(stored.commit())
    assert before is not None
    assert (onnx_file(before), joblib_file(before)) == (paths.ONNX, paths.MODEL)


def test_rows_after_all_that_the_champion_saw_are_not_looked_up(planted: Stored) -> None:
    """Its own split says when they ended: nothing has to be fetched."""
    described = {name: {"rows": 1, "distinct": 1, "time": ["2030-01-01", "2030-01-02"]}
                 for name in ("train", "validation")}  # fmt: skip
    write_json(paths.SPLIT, {"together": "time", "parts": described})
    base = Revision.of(planted.commit())
    assert base is not None
    when = {"when": {"kind": "datetime", "role": "time"}}
    contract = made.contract_of(made.COLUMNS | made.TARGETS["binary"][1] | when)
    test = rows("binary", 301).assign(when=pd.Timestamp("2030-01-03"))
    planted.put("good", test=test)
    planted.ran()
    planted.forget(remote=True)
    folder = planted.folder / "none"
    before = made.contract("binary")
    assert not learned_from(base, test, before, contract, folder).any()
    early = test.assign(when=pd.Timestamp("2030-01-02"))
    with pytest.raises(InputError, match=r"train\.parquet of .* is neither in DVC's cache"):
        learned_from(base, early, before, contract, folder)


def test_a_column_of_another_kind_or_type_hides_no_row_that_was_learned_from(
    stored: Stored,
) -> None:
    """Its hashes are others, so that each row would pass for one that nobody saw."""
    learned = rows("binary", 200, seed=20)
    number = {"who": {"kind": "numeric", "role": "id"}}
    text = {"who": {"kind": "categorical", "role": "id"}}
    before, after = (
        made.contract_of(made.COLUMNS | made.TARGETS["binary"][1] | who) for who in (number, text)
    )
    ids = np.arange(200.0)
    narrow = learned.assign(who=ids, noise=learned["noise"].astype("float32"))
    base = Revision.of(stored.made("poor", train=narrow))
    assert base is not None
    test = pd.concat([narrow[:50], rows("binary", 30, seed=22)], ignore_index=True)
    test = test.assign(who=[f"{i}" for i in range(80)], noise=test["noise"].astype("float64"))
    stored.put("good", test=test)
    stored.ran()
    found = learned_from(base, test, before, after, stored.folder / "learned")
    np.testing.assert_array_equal(found, np.arange(80) < 50)


def test_gates_on_regression_decide_and_worse_goes_before_better() -> None:
    params = made.params("binary", "linear")
    assert judged(params) == ["roc_auc"]
    gates = {"f1": Gate(regression=0), "recall": Gate(min=0.1), "log_loss": Gate(regression=1)}
    assert judged(params.model_copy(update={"gates": gates})) == ["f1", "log_loss"]


def test_a_metric_that_gets_worse_decides_over_one_that_gets_better(stored: Stored) -> None:
    data, contract = rows("binary", 900), made.contract("binary")
    says = fitted("binary", "poor").predict(model_inputs(data, contract))["prediction"]
    flattering = data[~data["large"] | (says == 1)]  # the poor one misses none
    champion = stored.made("poor", test=flattering)
    stored.made("good", test=flattering)
    found = _compared(stored, champion, log_loss={"regression": 0}, recall={"regression": 0})
    assert found.metrics["log_loss"].verdict == "better"
    assert found.metrics["recall"].verdict == "worse"
    assert found.verdict == "worse"
    assert _compared(stored, champion, log_loss={"regression": 0}).verdict == "better"


def test_a_metric_without_a_value_leaves_no_verdict(stored: Stored) -> None:
    test = rows("binary")
    alike = test[test["large"]]
    champion = stored.made("poor", test=alike)
    stored.made("good", test=alike)
    found = _compared(stored, champion)
    assert "roc_auc" not in found.metrics
    assert (found.verdict, found.reason) == (None, "roc_auc: no value on these test rows")
    assert judged(stored.params(gates={"recall": {"regression": 0}})) == ["recall"]


def _params(task: str = "regression", **how: Any) -> Params:
    what = "binary" if task == "classification" else task
    asked = Compare(**({"resamples": 20, "confidence": 0.95, "rows": 100_000} | how))
    estimator = "kmeans" if task == "clustering" else "linear"
    return made.params(what, estimator).model_copy(update={"compare": asked})


def _guesses(rng: np.random.Generator, count: int, *spreads: float) -> list[Scored]:
    truth = rng.normal(10, 3, count)
    return [
        Scored({"prediction": truth + rng.normal(0, spread, count)}, truth) for spread in spreads
    ]


def test_lower_is_better_where_it_is() -> None:
    near, far = _guesses(np.random.default_rng(0), 500, 1, 2)
    found = judge(_params(), far, near)
    assert found["mae"].challenger < found["mae"].champion
    assert found["mae"].high < 0 < found["r2"].low
    assert {found[name].verdict for name in ("mae", "rmse", "r2")} == {"better"}
    assert judge(_params(), near, far)["mae"].verdict == "worse"


def test_the_interval_is_that_of_the_mean_of_paired_differences() -> None:
    one, other = _guesses(np.random.default_rng(1), 2000, 1, 1.05)
    assert one.truth is not None
    errors = [np.abs(each.outputs["prediction"] - one.truth) for each in (one, other)]
    expected = 1.96 * float(np.std(errors[1] - errors[0])) / 2000**0.5
    found = judge(_params(resamples=200), one, other)["mae"]
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.2)
    assert (found.high + found.low) / 2 == pytest.approx(found.challenger - found.champion)


def test_the_interval_shrinks_with_rows_not_with_fewer_resampled() -> None:
    rng = np.random.default_rng(2)

    def width(count: int, **how: Any) -> float:
        found = judge(_params(resamples=100, **how), *_guesses(rng, count, 1, 1))["mae"]
        return found.high - found.low

    whole = width(6400)
    assert width(400) == pytest.approx(4 * whole, rel=0.3)
    assert width(6400, rows=400) == pytest.approx(whole, rel=0.3)
    assert width(6400, confidence=0.5) == pytest.approx(whole * 0.6745 / 1.96, rel=0.3)


def test_the_interval_of_a_metric_that_looks_at_some_rows_is_of_those() -> None:
    most = METRICS["clustering"]["silhouette"].most_rows
    assert most
    rng, count = np.random.default_rng(3), most * 3
    cluster = rng.integers(0, 2, count)
    space = np.column_stack([cluster * 4 + rng.normal(0, 1, count), rng.normal(0, 1, count)])
    moved = np.where(rng.random(count) < 0.2, 1 - cluster, cluster)
    sides = [Scored({"prediction": each}, space=space) for each in (cluster, moved)]
    few = [side.rows(np.arange(most)) for side in sides]
    how = _params("clustering", resamples=40, rows=300)
    widths = [
        found.high - found.low
        for found in (judge(how, *each)["silhouette"] for each in (sides, few))
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


@pytest.mark.slow
def test_equally_good_models_are_called_otherwise_as_often_as_the_confidence_says() -> None:
    rng, verdicts = np.random.default_rng(4), []
    how = _params(resamples=20, confidence=0.5)
    for _ in range(80):
        verdicts.append(judge(how, *_guesses(rng, 60, 1, 1))["mae"].verdict)
    # A half is expected, in half of these the one and in half the other: three deviations around.
    assert 0.33 < 1 - verdicts.count("same") / 80 < 0.67
    assert 0.1 < verdicts.count("worse") / 80 < 0.4


def test_a_metric_without_a_value_on_resamples_is_left_out() -> None:
    truth = (np.arange(100) == 1).astype(int)
    chance = np.random.default_rng(5).random((2, 100))
    sides = [
        Scored(
            {
                "prediction": (each > 0.5).astype(int),
                "probability": np.column_stack([1 - each, each]),
            },
            truth,
            np.arange(2),
        )
        for each in chance
    ]
    how = _params("classification", rows=30)  # evenly spread, the second row is none of them
    assert "roc_auc" not in judge(how, *sides)
    assert "log_loss" in judge(how, *sides)


@pytest.mark.parametrize("verdict", ["better", "same", "worse"])
def test_the_table_in_the_terminal(verdict: Any, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"mae": Compared(2.0, 1.5, -0.75, -0.25, verdict)}
    terminal.show(Comparison(verdict, metrics=metrics, notes=["A note."]))
    text = capsys.readouterr().out
    for wanted in ("mae", "-0.5", "-0.750 to -0.250", "A note."):
        assert wanted in text
    assert text.endswith(f"\n{verdict}\n")


def test_what_a_column_is_called_means_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.show(Comparison(None, "the champion reads [/red] :boom:"))
    assert capsys.readouterr().out == "not comparable: the champion reads [/red] :boom:\n"
