"""`mlops search`: scores, what follows from them, and what is written."""

import difflib
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engine import featured, made
from engine.workspace import root
from helpers import PROJECT
from ruamel.yaml import YAML
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops import paths
from mlops.config.params import load_params
from mlops.data.contract import Contract, load_contract
from mlops.errors import CheckError, InputError
from mlops.experiments import search as searching
from mlops.experiments.adopt import Texts, adopted
from mlops.experiments.search import Found, search
from mlops.experiments.space import Configuration, space
from mlops.experiments.study import BEGINNING, Study
from mlops.experiments.trial import Judge, Trial
from mlops.files import write_text
from mlops.learning.declared import load_declared
from mlops.learning.estimators import CATALOGUE, build
from mlops.learning.features import preprocessing
from mlops.learning.folds import folds
from mlops.report import search as face

Begin = Callable[..., Path]
SMALL = {"estimators": ["linear", "forest"], "space": {"forest": {"max_depth": [2, 4, 6]}}}


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begins a project with training and validation rows, and none to test on."""

    def go(
        what: str = "binary",
        estimator: str = "forest",
        features: dict[str, Any] | None = None,
        contract: Contract | None = None,
        parts: tuple[pd.DataFrame, pd.DataFrame] | None = None,
        **search: Any,
    ) -> Path:
        monkeypatch.chdir(tmp_path)
        write_text(Path("pyproject.toml"), "[tool.mlops]\n")
        paths.PLOT_TEMPLATES.parent.mkdir(exist_ok=True)
        if not paths.PLOT_TEMPLATES.exists():
            paths.PLOT_TEMPLATES.symlink_to(root() / paths.PLOT_TEMPLATES)
        content = made.params(what, estimator).model_dump(mode="json", exclude_none=True)
        _write(paths.PARAMS, content | {"search": search})
        if features is not None:
            _write(paths.FEATURES, features)
        given = contract or made.contract(what)
        write_text(paths.CONTRACT, given.model_dump_json(exclude_defaults=True))
        rows = parts or (made.rows(what), made.rows(what, 200, seed=2))
        for name, part in zip(("train", "validation"), rows, strict=True):
            paths.PARTS[name].parent.mkdir(parents=True, exist_ok=True)
            part.to_parquet(paths.PARTS[name])
        return tmp_path

    return go


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(content, stream)


def _model(configuration: Configuration) -> Any:
    """The same model as scikit-learn alone makes it."""
    settings, scaled = configuration.hyperparameters, configuration.estimator == "linear"
    usual: dict[str, Any]
    if scaled:
        usual = {"max_iter": 1000}
        model = LogisticRegression(**(usual | settings))
    else:
        usual = {"max_depth": 6, "min_samples_leaf": 2, "max_features": "sqrt"}
        model = RandomForestClassifier(8, random_state=1, **(usual | settings))
    fill = SimpleImputer(strategy="median")
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(fill, StandardScaler()) if scaled else fill, NUMBERS),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["colour"]),
        ),
        model,
    )


NUMBERS = ["size", "rank", "wet", "noise"]


def _inputs(rows: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: rows[name].astype("float32") for name in NUMBERS}
    return pd.DataFrame(numbers | {"colour": rows["colour"].astype(object).fillna("")})


@pytest.fixture
def found(begin: Begin, _kept: list[Found]) -> Found:
    """What a small search finds; it searches once."""
    begin(**SMALL, trials=5)
    if not _kept:
        _kept.append(search())
    (paths.SEARCH / _kept[0].name).mkdir(parents=True, exist_ok=True)
    return _kept[0]


@pytest.fixture(scope="module")
def _kept() -> list[Found]:
    return []


def test_scores_are_those_of_plain_cross_validation(found: Found) -> None:
    rows = made.rows("binary")
    parted = folds(rows, made.contract("binary"), "classification", 3, 1)
    truth = rows["large"].astype(int)
    assert {each.configuration.estimator for each in found.trials} == {"linear", "forest"}
    for trial in found.trials:
        plain = _model(trial.configuration)
        scores = cross_val_score(plain, _inputs(rows), truth, cv=parted, scoring="roc_auc")
        assert trial.scores == pytest.approx([*scores], abs=1e-9)
        assert trial.score == pytest.approx(scores.mean(), abs=1e-9)


def test_the_advantage_is_that_on_rows_which_nothing_was_chosen_by(found: Found) -> None:
    rows, look_at = made.rows("binary"), made.rows("binary", 200, seed=2)
    said = {}
    truth, asked = (each["large"].astype(int) for each in (rows, look_at))
    for name, model in (
        ("winner", _model(found.winner.configuration)),
        ("params.yaml", _model(Configuration("forest"))),
    ):
        model.fit(_inputs(rows), truth)
        said[name] = roc_auc_score(asked, model.predict_proba(_inputs(look_at))[:, 1])
    told = {each.over: each.compared for each in found.advantages}
    known = told["params.yaml"]
    assert known.difference == pytest.approx(said["winner"] - said["params.yaml"], abs=1e-9)
    assert known.low <= known.difference <= known.high
    assert told["no model (constant)"].champion == 0.5
    assert found.judged == 200


@pytest.mark.parametrize("threshold", [0.8, "f1"])
def test_predictions_are_judged_by_the_threshold_of_training(threshold: Any, begin: Begin) -> None:
    begin()
    content = YAML(typ="safe").load(paths.PARAMS)
    content["gates"] = {"f1": {"regression": 0}}
    content["train"]["threshold"] = threshold
    _write(paths.PARAMS, content)
    given, params, rows = load_contract(), load_params(), made.rows("binary")
    judge = Judge(params, given, load_declared(given), rows)
    truth, parted = rows["large"].astype(int), [*judge.folds]
    plain, inputs = _model(Configuration("linear")), _inputs(rows)
    expected = []
    for learn, asked in parted:
        at = threshold
        if threshold == "f1":
            part = rows.iloc[learn].reset_index(drop=True)
            inner, look_at = folds(part, given, "classification", 4, 1)[-1]
            plain.fit(inputs.iloc[learn[inner]], truth.iloc[learn[inner]])
            said = plain.predict_proba(inputs.iloc[learn[look_at]])[:, 1]
            known = truth.iloc[learn[look_at]]
            at = max(np.unique(said), key=lambda each: f1_score(known, said >= each))
        plain.fit(inputs.iloc[learn], truth.iloc[learn])
        said = plain.predict_proba(inputs.iloc[asked])[:, 1]
        expected.append(f1_score(truth.iloc[asked], said >= at))
    assert judge.name == "f1"
    scores = [*judge.scores(Configuration("linear"), params.hyperparameters("linear"))]
    # A threshold that is chosen lies between two rows, and may be either's.
    assert scores == pytest.approx(expected, abs=1e-9 if threshold == 0.8 else 0.02)


def test_baselines_are_tried_whatever_the_budget_is(begin: Begin) -> None:
    begin(estimators=["forest"], trials=1)
    found = search(minutes=1e-6)
    assert [(each.role, each.configuration) for each in found.trials] == [
        ("current", Configuration("forest")),
        ("linear", Configuration("linear")),
    ]
    assert found.naive == ("constant", 0.5)
    assert found.winner.role == "linear"


class Killed(BaseException):
    """What no search can catch."""


def _without_times(trials: list[Trial]) -> list[Trial]:
    return [replace(each, seconds=0) for each in trials]


def test_a_killed_search_goes_on_as_if_it_had_not_been(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.experiments.study.BEGINNING", 3)  # after which others follow
    count = 9
    begin(**SMALL, trials=count)
    whole = search()
    assert len(whole.trials) == count
    assert {each.state for each in whole.trials} == {"done", "pruned"}
    shutil.rmtree(paths.SEARCH)
    scores = Judge.scores
    left = iter(range(5))

    def killed(self: Judge, *arguments: Any) -> Iterator[float]:
        if next(left, None) is None:
            raise Killed
        yield from scores(self, *arguments)

    with monkeypatch.context() as context:
        context.setattr(Judge, "scores", killed)
        with pytest.raises(Killed):
            search()
    resumed = search()
    assert resumed.resumed == 5
    assert _without_times(resumed.trials) == _without_times(whole.trials)
    assert search(trials=3).trials == resumed.trials  # nothing is left to do


def test_other_rows_are_another_search(begin: Begin) -> None:
    begin(**SMALL, trials=3)
    first = search()
    made.rows("binary", seed=5).to_parquet(paths.PARTS["train"])
    second = search()
    assert second.name != first.name
    assert second.resumed == 0
    assert {each.name for each in paths.SEARCH.iterdir()} == {first.name, second.name}


def test_validation_rows_choose_nothing(begin: Begin) -> None:
    begin(**SMALL, trials=3)
    first = search()
    made.rows("binary", 150, seed=9).to_parquet(paths.PARTS["validation"])
    second = search()
    assert (second.name, second.resumed, second.trials) == (first.name, 3, first.trials)
    assert (first.judged, second.judged) == (200, 150)


def test_what_fails_is_told_and_the_search_goes_on(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(**SMALL, trials=5)
    answers = Judge.answers

    def failing(self: Judge, configuration: Configuration, *arguments: Any) -> Any:
        if configuration.estimator == "forest":
            raise ValueError("no wood\nat all")
        return answers(self, configuration, *arguments)

    monkeypatch.setattr(Judge, "answers", failing)
    found = search()
    failed = found.count("failed")
    assert found.winner.configuration.estimator == "linear"
    assert searching.failures(found.trials) == {"forest: no wood": failed}
    assert "params.yaml" not in {each.over for each in found.advantages}
    assert f"{failed} trials failed: forest: no wood" in face.lines(found)


def test_a_search_without_a_score_fails(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(**SMALL, trials=2)
    monkeypatch.setattr(Judge, "answers", lambda *_: 1 / 0)
    with pytest.raises(CheckError, match=r"none of 2 trials has a score:\nforest: division by"):
        search()


def test_more_memory_than_there_is_is_a_failed_trial(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(**SMALL, trials=2)
    monkeypatch.setattr("mlops.learning.memory.available", lambda: 1)
    with pytest.raises(CheckError, match="forest: training takes about .* of memory"):
        search()


def test_a_search_of_the_same_is_alone(begin: Begin) -> None:
    begin(**SMALL, trials=2)
    name = searching.study_name(load_params(), "roc_auc")
    with (
        searching._alone(paths.SEARCH / name),
        pytest.raises(InputError, match=r"search-\w{6}: the same search runs already"),
    ):
        search()


def test_a_damaged_study_is_a_line(begin: Begin) -> None:
    begin(**SMALL, trials=2)
    name = searching.study_name(load_params(), "roc_auc")
    write_text(paths.SEARCH / name / searching.STUDY, '{"trials": [')
    with pytest.raises(InputError, match=r"study.json: not as a search writes it .*delete it"):
        search()


def test_without_optuna_the_group_is_named(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(**SMALL)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="run `uv sync --group search`"):
        search()


def test_rows_that_are_not_there_are_a_line(begin: Begin) -> None:
    begin()
    paths.PARTS["train"].unlink()
    with pytest.raises(InputError, match="train.parquet: no such file; run `uv run dvc repro spl"):
        search()


def test_too_many_folds_name_their_key(begin: Begin) -> None:
    begin(**SMALL, folds=300)
    with pytest.raises(CheckError, match=r"search.folds: 300 folds leave one without rows"):
        search(trials=1)


def test_a_small_space_is_exhausted(begin: Begin) -> None:
    clusters = {"n_clusters": [2, 4, 5]}
    begin("clustering", "kmeans", estimators=["kmeans"], space={"kmeans": clusters}, trials=20)
    found = search()
    assert found.is_exhausted
    assert "nothing else is left to try" in face.lines(found)
    tried = [each.configuration.hyperparameters for each in found.trials]
    assert tried[0] == {}  # what params.yaml sets, which is 4
    assert sorted(each["n_clusters"] for each in tried[1:]) == [2, 5]
    assert found.naive is None
    assert [each.over for each in found.advantages] in ([], ["params.yaml"])


def test_what_a_target_does_not_suit_is_left_out(begin: Begin) -> None:
    begin("regression", "linear", trials=1)
    given = load_contract()
    chosen = space(load_params(), given, load_declared(given), made.rows("regression"))
    assert chosen.hyperparameters.keys() == CATALOGUE["regression"].keys() - {
        *made.LOGARITHMIC,
    }
    assert [each.partition(": ")[2][:24] for each in chosen.excluded] == [
        "train.estimator poisson:",
        "train.estimator gamma: g",
        "train.estimator tweedie:",
    ]
    begin("regression", "linear", estimators=["gamma"])
    with pytest.raises(InputError, match="gamma takes a target above 0"):
        search()


class Drawn:
    """Chooses at random, as Optuna does at first."""

    def __init__(self, seed: int) -> None:
        """Seed the draws."""
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one."""
        return self._random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw an end, or what lies between."""
        return self._random.choice([low, high, self._random.randint(low, high)])

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw an end, or what lies between."""
        return self._random.choice([low, high, self._random.uniform(low, high)])


@pytest.mark.parametrize("task", [*CATALOGUE])
def test_all_that_may_be_chosen_of_the_catalogue_can_be_made(task: Any, begin: Begin) -> None:
    what = {"classification": "binary"}.get(task, task)
    begin(what, next(iter(CATALOGUE[task])))
    given, params = load_contract(), load_params()
    chosen = space(params, given, load_declared(given), made.rows(what))
    for seed in range(60):
        configuration = chosen.choose(Drawn(seed))
        name = configuration.estimator
        hyperparameters = chosen.of(name, configuration.hyperparameters)
        build(task, name, hyperparameters, given, 1)
        assert chosen.choices(configuration) is not None


FEATURES: dict[str, Any] = {
    "features": {
        "where": {"expr": "cross(colour, rank)"},
        "ratio": {"expr": "size / (rank + 1)"},
        "month": {"expr": "month(at)"},
    },
    "columns": {"colour": {"encode": "frequency"}},
}


def test_encodings_and_features_are_tried_and_adopted(begin: Begin) -> None:
    parts = featured.rows("binary"), featured.rows("binary", 200, seed=2)
    begin(
        features=FEATURES,
        contract=featured.contract("binary"),
        parts=parts,
        estimators=["linear"],
        trials=8,
    )
    given, params = load_contract(), load_params()
    declared = load_declared(given)
    chosen = space(params, given, declared, parts[0])
    assert chosen.encodings == {"where": ["one_hot", "target", "frequency"]}  # colour has 5
    assert chosen.features == ["ratio", "where"]  # without `month`, nothing reads `at`
    found = search()
    tried = [each.configuration for each in found.trials]
    assert {each.encodings.get("where") for each in tried} > {"target", "frequency"}
    assert {len(each.without) for each in tried} > {0, 1}
    different = next(each for each in tried if each.encodings.get("where") == "target")
    taken = adopted(different, Texts.here())
    taken.write()
    assert load_declared(given).learned == different.declared(declared).learned
    features = YAML(typ="safe").load(paths.FEATURES)
    assert features["features"]["where"]["encode"] == "target"
    assert features["columns"] == FEATURES["columns"]
    trained = Judge(load_params(), given, load_declared(given), parts[0])
    settings = load_params().hyperparameters("linear")
    scores = [*trained.scores(Configuration("linear"), settings)]
    at = tried.index(different)
    assert found.trials[at].scores[: len(scores)] == pytest.approx(scores)


def test_encodings_are_tried_where_features_go_by_them(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(features={"features": {"where": {"expr": "cross(colour, rank)"}}})
    given, params = load_contract(), load_params()

    def tried(own: Any) -> list[str]:
        monkeypatch.setattr("mlops.learning.estimators.own_preprocessing", lambda: own)
        return [*space(params, given, load_declared(given), made.rows("binary")).encodings]

    assert tried(None) == tried(preprocessing) == ["where"]
    assert tried(lambda *_: make_column_transformer(("passthrough", NUMBERS))) == []


def _baked(task: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    write_text(Path("pyproject.toml"), "[tool.mlops]\n")
    for name in ("params.yaml", "contract.yaml"):
        shutil.copy(PROJECT / f"<<'{name}' if cookiecutter.task == '{task}' else ''>>", name)
    shutil.copy(PROJECT / "features.yaml", "features.yaml")


@pytest.mark.parametrize(
    ("task", "configuration", "params", "features"),
    [
        (
            "classification",
            Configuration("linear", {"C": 0.5}, {"dest": "target", "carrier": "one_hot"}),
            [
                "  estimator: linear # linear, boosting, forest, mlp,",
                "  linear: {C: 0.5, max_iter:",
            ],
            ["", "columns:", "  dest:", "    encode: target"],
        ),
        (
            "regression",
            Configuration("mlp", {"hidden_layer_sizes": [128, 64], "alpha": 1e-05}),
            ["  estimator: mlp # ", "    hidden_layer_sizes: [128, 64]", "    alpha: 1e-05"],
            [],
        ),
        (
            "clustering",
            Configuration("mixture", {"n_components": 3}),
            ["  estimator: mixture # or mixture", "  mixture:", "    n_components: 3"],
            [],
        ),
    ],
)
def test_what_is_adopted_leaves_the_rest_as_it_was_written(
    task: str,
    configuration: Configuration,
    params: list[str],
    features: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _baked(task, monkeypatch, tmp_path)
    before = Texts.here()
    adopted(configuration, before).write()
    after = Texts.here()
    for old, new, lines in (
        (before.params, after.params, params),
        (before.features, after.features, features),
    ):
        told = [*difflib.ndiff(old.splitlines(), new.splitlines())]
        # Comments stay in their column.
        added = [re.sub(" +#", " #", each[2:]) for each in told if each.startswith("+ ")]
        assert [each[: len(line)] for each, line in zip(added, lines, strict=True)] == lines
        gone = [each[2:].partition(":")[0] for each in told if each.startswith("- ")]
        assert {*gone} <= {each.partition(":")[0] for each in added}
    assert load_params().train.estimator == configuration.estimator
    assert adopted(configuration, after).texts == after
    assert after.settings().fingerprint() != before.settings().fingerprint()
    settings, changes = before.settings().changed(configuration)
    assert settings == after.settings()
    assert changes == adopted(configuration, before).changes


def test_a_random_search_would_choose_otherwise_and_is_switched_off(begin: Begin) -> None:
    begin()
    content = YAML(typ="safe").load(paths.PARAMS)
    content["train"]["search"] = {"trials": 5, "space": {"forest": {"max_depth": [1, 2]}}}
    _write(paths.PARAMS, content)
    taken = adopted(Configuration("forest", {"max_depth": 3}), Texts.here())
    assert taken.changes == {
        "train.search.trials": (5, 0),
        "estimators.forest.max_depth": (6, 3),
    }


def test_a_trial_is_given_up_when_others_did_better_on_the_same_folds() -> None:
    study = _study("higher")
    assert study.is_behind([0.4])
    assert not study.is_behind([0.5])
    assert not study.is_behind([0.4, 0.9])
    assert _study("lower").is_behind([0.6])
    assert not _study("higher", BEGINNING - 1).is_behind([0.0])


def _study(better: Any, count: int = BEGINNING) -> Study:
    study = Study.__new__(Study)
    study._better = better
    scores = [[0.5, 0.7, 0.9]] * count
    study._trials = [
        Trial(i, None, Configuration("linear"), {}, "done", each, 1.0)
        for i, each in enumerate(scores)
    ]
    return study


def test_pictures_show_the_trials(found: Found) -> None:
    history, *others = face.draw(found)
    assert history.read_bytes().startswith(b"\x89PNG")
    assert not others  # five trials tell no importance
    values = face._history(found)["layer"][1]["data"]["values"]
    assert [each["score"] for each in values] == [each.score for each in found.trials]
    best = [each["score"] for each in face._history(found)["layer"][0]["data"]["values"]]
    assert best == [*np.maximum.accumulate([each["score"] for each in values])]


def test_importance_tells_what_scores_follow(begin: Begin) -> None:
    """One hyperparameter decides, another has no effect."""
    begin(estimators=["forest"], space={"forest": {"max_depth": [2, 3], "max_features": ["sqrt"]}})
    given, params = load_contract(), load_params()
    study = Study(space(params, given, load_declared(given), made.rows("binary")), "higher", 1)
    for number in range(24):
        drawn = study.next()
        if drawn is None:
            break
        configuration, choices = drawn
        decides = configuration.hyperparameters["min_samples_leaf"] / 100
        study.remember(Trial(number, None, configuration, choices, "done", [decides], 1.0))
    found = study.importance("forest")
    assert next(iter(found)) == "min_samples_leaf"
    assert found["min_samples_leaf"] > 0.9
    assert sum(found.values()) == pytest.approx(1)
    assert study.importance("linear") == {}


@pytest.mark.parametrize(
    ("role", "verdicts", "told"),
    [
        ("current", {"no model": "better", "linear": "same"}, "Nothing that was tried is better"),
        (None, {"no model": "better", "params.yaml": "better"}, "Next: mlops search --apply"),
        (None, {"no model": "better", "params.yaml": "worse"}, "The winner is no better than what"),
        (None, {"no model": "better", "params.yaml": "same"}, "The winner is no better than what"),
        ("current", {"linear": "worse"}, "The validation rows contradict the folds: linear is"),
        (None, {"linear": "worse", "params.yaml": "better"}, "The validation rows contradict"),
    ],
)
def test_the_advice_fits_what_the_validation_rows_say(
    role: str | None, verdicts: dict[str, str], told: str
) -> None:
    """What folds chose may be worse there than a baseline: nobody is told to keep it then."""
    advantages = [
        SimpleNamespace(over=over, compared=SimpleNamespace(verdict=verdict))
        for over, verdict in verdicts.items()
    ]
    found: Any = SimpleNamespace(winner=SimpleNamespace(role=role), advantages=advantages)
    assert face.advice(found).startswith(told)
