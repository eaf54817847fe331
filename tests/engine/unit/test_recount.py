"""Recounts: metrics, slices and test rows that somebody wrote are found by what makes them."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import made
from engine.stored import Stored, fitted, rows
from engine.workspace import Workspace
from sklearn.metrics import mean_absolute_error, roc_auc_score

from mlops import paths
from mlops.data.inputs import model_inputs
from mlops.errors import InputError
from mlops.files import read_json, write_json
from mlops.git.revision import Revision
from mlops.judging.recount import Details, Recount, contradictions, judged_by, loss, recount
from mlops.learning.metrics import Scored

Begin = Callable[[str], Stored]


@pytest.mark.parametrize("what", ["binary", "regression", "clustering"])
def test_what_is_counted_is_what_scikit_learn_says_of_the_model(begin: Begin, what: str) -> None:
    stored = begin(what)
    stored.made("good")
    found = recount(stored.params(), None)
    assert found is not None
    assert found.metrics is not None
    test, model = rows(what), fitted(what)
    inputs = model_inputs(test, made.contract(what))
    if what == "binary":
        expected = roc_auc_score(
            test["large"].astype(int), model.pipeline.predict_proba(inputs)[:, 1]
        )
        assert found.metrics["roc_auc"] == pytest.approx(expected, rel=1e-5)
    if what == "regression":
        expected = mean_absolute_error(test["price"], model.pipeline.predict(inputs))
        assert found.metrics["mae"] == pytest.approx(expected, rel=1e-5)
    said = [read_json(path) for path in (paths.METRICS, paths.SLICES, paths.NAIVE, paths.FAIRNESS)]
    metrics, parts, naive, groups = said
    assert [*contradictions(found, metrics, parts, naive, groups, Details.read())] == []


def _widened(told: dict[Path, Any]) -> None:
    told[paths.INTERVALS]["roc_auc"]["low"] = 0.99


def _unnamed(told: dict[Path, Any]) -> None:
    del told[paths.INTERVALS]["roc_auc"]


def _righter(told: dict[Path, Any]) -> None:
    told[paths.OUTCOMES][1]["right"] += 1


def _renamed(told: dict[Path, Any]) -> None:
    told[paths.OUTCOMES][1]["class"] = "false"


def _moved(told: dict[Path, Any]) -> None:
    told[paths.DEPENDENCE][0]["answer"] = 0.5


def _emptied(told: dict[Path, Any]) -> None:
    told[paths.DEPENDENCE].clear()


def _unranked(told: dict[Path, Any]) -> None:
    """With nothing called strong, no dependence could be missed."""
    told[paths.IMPORTANCE].clear()
    told[paths.DEPENDENCE].clear()


def _ranking_strangers(told: dict[Path, Any]) -> None:
    for each in told[paths.IMPORTANCE]:
        each["column"] += " too"
    told[paths.DEPENDENCE].clear()


def _invented(told: dict[Path, Any]) -> None:
    told[paths.DEPENDENCE].append(
        {"column": "income", "value": "1", "class": "true", "answer": 0.5}
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_widened, r"low of roc_auc: reports/intervals.json says 0.99, the model says 0\.\d+ of"),
        (_unnamed, r"low of roc_auc: reports/intervals.json says nothing, the model says 0\.\d+"),
        (_righter, r"right of class true: reports/outcomes.json says \d+, the model says \d+ of"),
        (_renamed, r"rows of class true: reports/outcomes.json says nothing, the model says \d+"),
        (_moved, r"mean true where size is .*: reports/dependence.json says 0.5, the model says 0"),
        (_emptied, r"mean true where size is .*: reports/dependence.json says nothing, the model"),
        (_unranked, r"^reports/importance.json ranks 0 of the model's inputs, evaluate ranks 5: "),
        (_ranking_strangers, r"^reports/importance.json ranks 0 of the model's inputs, evaluate"),
        (_invented, r"mean true where income is 1: .* says 0.5, the model says nothing of the"),
    ],
)
def test_what_somebody_wrote_beside_the_metrics_is_refused_with_both_numbers(
    stored: Stored, change: Callable[[dict[Path, Any]], None], told: str
) -> None:
    base = stored.made("good")
    kinds = (paths.INTERVALS, paths.OUTCOMES, paths.IMPORTANCE, paths.DEPENDENCE)
    files = {path: read_json(path) for path in kinds}
    assert all(files.values())
    assert judged_by(stored.params(), Revision.of(base)).contradictions == []
    change(files)
    for path, content in files.items():
        write_json(path, content)
    found = judged_by(stored.params(), Revision.of(base))
    lines = [*map(str, found.contradictions)]
    assert re.search(told, "\n".join(lines), re.MULTILINE), lines


def test_metrics_that_somebody_wrote_do_not_decide(stored: Stored) -> None:
    base = stored.made("poor")
    true = read_json(paths.METRICS)["roc_auc"]
    write_json(paths.METRICS, read_json(paths.METRICS) | {"roc_auc": 0.99})
    stored.ran()
    stored.commit()
    judged = judged_by(stored.params(), Revision.of(base))
    (breach,) = judged.contradictions
    assert str(breach) == (
        f"roc_auc: reports/metrics.json says 0.99, the model says {true:.6g} of the test rows"
    )
    assert judged.metrics["roc_auc"] == pytest.approx(true, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda parts: parts["colour"]["red"].update(f1=1.0), "f1 of colour red: reports/slices"),
        (lambda parts: parts["colour"].pop("red"), "says nothing, the model says"),
        (lambda parts: parts.pop("rank"), "of rank 0: reports/slices.json says nothing"),
    ],
)
def test_slices_that_somebody_wrote_do_not_decide(
    stored: Stored, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    base = stored.made("good")
    parts = read_json(paths.SLICES)
    change(parts)
    write_json(paths.SLICES, parts)
    lines = [*map(str, judged_by(stored.params(), Revision.of(base)).contradictions)]
    assert any(told in line for line in lines), lines


def test_intervals_of_a_metric_that_nobody_here_can_count_are_left_out(stored: Stored) -> None:
    """One of the owner's own, where the judge is another engine."""
    base = stored.made("good")
    write_json(paths.INTERVALS, read_json(paths.INTERVALS) | {"own": {"low": 0.1, "high": 0.2}})
    terms, at = stored.params(), Revision.of(base)
    assert len(judged_by(terms, at).contradictions) == 2
    assert judged_by(terms, at, left_out=frozenset({"own"})).contradictions == []
    write_json(paths.OUTCOMES, [1])
    with pytest.raises(InputError, match=r"outcomes.json .*: not as the pipeline writes it"):
        judged_by(terms, at)


def test_what_is_all_the_bases_was_judged_there_and_is_not_fetched(stored: Stored) -> None:
    base = stored.made("good")
    stored.push()
    stored.forget(remote=True)
    assert recount(stored.params(), Revision.of(base)) is None
    assert judged_by(stored.params(), Revision.of(base)).metrics == read_json(paths.METRICS)


def test_the_gate_goes_by_what_is_counted(project: Workspace) -> None:
    """The issue's own case: a better number, and its hash in dvc.lock; then other test rows."""
    file, rows_of = project.folder / paths.METRICS, project.folder / paths.PARTS["test"]
    project.run("git", "add", "--all")
    project.run("git", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "x")
    metrics = read_json(file)
    name = next(iter(metrics))
    file.write_text(json.dumps(metrics | {name: 0.99}))
    assert project.run("dvc", "commit", "--force").returncode == 0
    for command in (["gate"], ["gate", "--base", "HEAD"]):
        done = project.run("mlops", *command)
        assert done.returncode == 3, done.stdout
        told = f"{name}: reports/metrics.json says 0.99, the model says {metrics[name]:.6g}"
        assert told in done.stderr
    file.write_text(json.dumps(metrics))
    assert project.run("mlops", "gate").returncode == 0
    test = pd.read_parquet(rows_of)
    rows_of.unlink()
    test.iloc[10:].to_parquet(rows_of)
    assert project.run("dvc", "commit", "--force").returncode == 0
    done = project.run("mlops", "gate")
    assert done.returncode == 3
    assert "data/split/test.parquet: 10 rows differ from those that split makes of" in done.stderr


@pytest.mark.parametrize("what", ["binary", "regression", "clustering"])
def test_what_is_served_must_be_the_model_that_was_judged(begin: Begin, what: str) -> None:
    """Trained on all rows it has other bytes, and is as good on rows that it learned from."""
    stored = begin(what)
    stored.put("poor")
    poor = paths.ONNX.read_bytes()
    stored.put("twin")
    twin = paths.ONNX.read_bytes()
    base = stored.made("good")
    for served, refused in ((twin, False), (poor, True)):
        paths.ONNX.unlink()
        paths.ONNX.write_bytes(served)
        stored.ran()
        stored.commit()
        found = judged_by(stored.params(), Revision.of(base))
        lines = [*map(str, found.contradictions)]
        assert bool(lines) == refused, lines
        assert all("models/model.onnx, which is served, is not its" in line for line in lines)


@pytest.mark.parametrize("error", [0.2, math.nan])
def test_an_error_that_is_large_or_no_number_is_refused(error: float) -> None:
    (breach,) = contradictions(Recount({}, {}, lost=(error, 0.1)), {}, {}, {}, {})
    assert breach.rule == "evidence"
    assert [*contradictions(Recount({}, {}, lost=(0.1, 0.1)), {}, {}, {}, {})] == []


def test_a_model_with_one_cluster_for_all_is_not_its_candidate() -> None:
    """It has no silhouette: nothing could be compared."""
    space = np.random.default_rng(0).normal(size=(40, 2))
    one, two = np.zeros(40, int), (space[:, 0] > 0).astype(int)
    candidate, served = (Scored({"prediction": each}, space=space) for each in (two, one))
    found = Recount({}, {}, lost=loss(candidate, served))
    assert len([*contradictions(found, {}, {}, {}, {})]) == 1
    same = Recount({}, {}, lost=loss(candidate, candidate))
    assert [*contradictions(same, {}, {}, {}, {})] == []
