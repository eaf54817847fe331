"""params.yaml: what is right is read, what is wrong is told in a line that names file and key."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml
from engine import made
from ruamel.yaml import YAML

from mlops.config.hyperparameters import HYPERPARAMETERS
from mlops.config.params import Params, load_params
from mlops.errors import InputError
from mlops.learning.estimators import CATALOGUE


def _written(folder: Path, changes: dict[str, Any], what: str = "binary") -> Path:
    """A params.yaml with changes by dotted key; a change to `...` takes the key away."""
    first = next(iter(made.HYPERPARAMETERS[made.task(what)]))
    content: dict[str, Any] = made.params(what, first).model_dump()
    for key, value in changes.items():
        *sections, name = key.split(".")
        at = content
        for section in sections:
            at = at[section]
        at[name] = value
        if value is ...:
            del at[name]
    path = folder / "params.yaml"
    YAML(typ="safe", pure=True).dump(content, path)
    return path


@pytest.mark.parametrize("what", made.TARGETS)
def test_what_is_right_is_read(tmp_path: Path, what: str) -> None:
    params = load_params(_written(tmp_path, {}, what))
    assert params == made.params(what, params.train.estimator)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"sourse": 1}, ["sourse: unknown key"]),
        ({"split.sead": 1}, ["split.sead: unknown key"]),
        ({"split": ...}, ["split: this key is missing"]),
        ({"split.test": "0.2"}, ["split.test: input should be a valid number, not '0.2'"]),
        ({"split.test": 0}, ["split.test: input should be greater than 0, not 0"]),
        ({"split.test": 0.9}, ["split: `validation` and `test` must leave rows"]),
        ({"split.seed": -1}, ["split.seed: input should be greater than or equal to 0"]),
        ({"task": "ranking"}, ["task: input should be 'classification', 'regression'"]),
        ({"source.path": ""}, ["source.path: "]),
        ({"source.path": "a.sql"}, ["source: `database` goes with a `path` that ends in .sql"]),
        ({"source.database": "sqlite://"}, ["source: `database` goes with a `path`"]),
        ({"train.estimator": "tree"}, ["train.estimator: 'tree' is no estimator for cl", "estim"]),
        ({"train.estimator": "kmeans"}, ["train.estimator: 'kmeans' is no estimator", "estim"]),
        ({"estimators.linear": ...}, ["estimators.linear: this key is missing"]),
        ({"estimators.svm": {}}, ["estimators: 'svm' is no estimator for classification; choose"]),
        ({"estimators.linear.C": 0}, ["estimators.linear.C: input should be greater than 0"]),
        ({"estimators.linear.c": 1}, ["estimators.linear.c: unknown key"]),
        ({"estimators.forest.max_features": 2.0}, ["estimators.forest.max_features.", "estim"]),
        ({"train.interval": 0.9}, ["train.interval: prediction intervals are for regression"]),
        ({"train.search.trials": -1}, ["train.search.trials: "]),
        ({"train.search.space": {"linear": {"C": []}}}, ["train.search.space.linear.C: "]),
        ({"train.search.space": {"linear": {"C": 1}}}, ["train.search.space.linear.C: "]),
        ({"train.search.space": {"linear": {"C": [1, 0]}}}, ["train.search.space.linear.C: "]),
        ({"train.search.space": {"linear": {"c": [1]}}}, ["train.search.space.linear.c: unk"]),
        ({"train.search.space": {"svm": {"C": [1]}}}, ["train.search.space: 'svm' is no est"]),
        ({"search": {"trials": 0}}, ["search.trials: input should be greater than or equal to 1"]),
        ({"search": {"minutes": 0}}, ["search.minutes: input should be greater than 0, not 0"]),
        ({"search": {"estimators": []}}, ["search.estimators: list should have at least 1 item"]),
        ({"search": {"estimators": ["svm"]}}, ["search.estimators: 'svm' is no estimator for cl"]),
        ({"search": {"space": {"svm": {}}}}, ["search.space: 'svm' is no estimator for classif"]),
        ({"search": {"space": {"linear": {"c": [1]}}}}, ["search.space.linear.c: unknown key"]),
        ({"search": {"encodings": ["ordinal"]}}, ["search.encodings.0: input should be 'one_hot'"]),
        (
            {"search": {"space": {"linear": {"C": {"low": 0, "high": 9}}}}},
            ["search.space.linear.C: input should be greater than 0"],
        ),
        (
            {"gates": {"f1": {}}},
            ["gates.f1: give at least one of min, max, regression, naive"],
        ),
        ({"gates": {"f1": {"low": 1}}}, ["gates.f1.low: unknown key"]),
        ({"gates": {"f1": {"min": 0.6, "max": 0.5}}}, ["gates.f1: `min` is above `max`: 0.6, 0.5"]),
        ({"gates": {"f1": {"regression": -1}}}, ["gates.f1.regression: input should be greater"]),
        ({"gates": {"f1": {"slices": {"a": {}}}}}, ["gates.f1.slices.a: give at least one of min"]),
        ({"gates": {"f1": {"slices": {"a": {"regression": 0}}}}}, ["gates.f1.slices.a.regression"]),
        ({"compare": ...}, ["compare: this key is missing"]),
        ({"compare.resamples": 19}, ["compare.resamples: input should be greater than or equal"]),
        ({"compare.confidence": 1}, ["compare.confidence: input should be less than 1"]),
        ({"compare.rows": 0}, ["compare.rows: "]),
        ({"verify.tolerance": 0}, ["verify.tolerance: "]),
        ({"verify.edge_rows": 1.5, "evaluate.slice_rows": 0}, ["evaluate.sl", "verify.edge_rows"]),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, changes: dict[str, Any], lines: list[str]) -> None:
    path = _written(tmp_path, changes)
    with pytest.raises(InputError) as refused:
        load_params(path)
    found = str(refused.value).splitlines()
    assert len(found) == len(lines), found
    for line, wanted in zip(found, lines, strict=True):
        assert line.startswith(f"{path}: {wanted}")


def test_a_search_space_may_stand_without_hyperparameters(tmp_path: Path) -> None:
    changes = {"estimators.forest": ..., "train.search.space": {"forest": {"n_estimators": [9]}}}
    params = load_params(_written(tmp_path, changes))
    assert params.hyperparameters("forest", {"n_estimators": 9}).model_dump()["n_estimators"] == 9


def test_hyperparameters_are_typed_and_can_be_changed() -> None:
    params = made.params("binary", "linear")
    usual = {"C": 1.0, "max_iter": 1000, "class_weight": None}
    assert params.hyperparameters("linear").model_dump() == usual
    assert params.hyperparameters("linear", {"C": 2}).model_dump()["C"] == 2.0
    assert params.hyperparameters("linear").model_dump()["C"] == 1.0


def test_hyperparameters_left_out_have_defaults(tmp_path: Path) -> None:
    params = load_params(_written(tmp_path, {"estimators.linear": {"C": 3.0}}))
    assert params.hyperparameters("linear").model_dump() == {
        "C": 3.0,
        "max_iter": 1000,
        "class_weight": None,
    }


def test_parameters_cannot_be_changed_by_accident() -> None:
    params: Any = made.params("binary", "linear")
    with pytest.raises(ValueError, match="frozen"):
        params.task = "regression"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"train.calibration": "isotonic"},
            "train.calibration: isotonic steps are not the same in",
        ),
        ({"train.calibration": "platt"}, "train.calibration: "),
        ({"estimators.linear": {"class_weight": "all"}}, "estimators.linear.class_weight: "),
        ({"estimators.elasticnet": {"l1_ratio": 1.1}}, "estimators.elasticnet.l1_ratio: "),
    ],
)
def test_what_a_classifier_cannot_be_is_told(
    changes: dict[str, Any], line: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=line) as refused:
        load_params(_written(tmp_path, changes))
    assert len(str(refused.value).splitlines()) == 1


def test_what_a_regression_cannot_be_is_told() -> None:
    content = made.params("regression", "boosting").model_dump()
    for settings in ({"loss": "quantile"}, {"quantile": 0.9}):
        changed = {"estimators": content["estimators"] | {"boosting": settings}}
        with pytest.raises(ValueError, match="`quantile` goes with `loss: quantile`"):
            Params.model_validate(content | changed)
    train = content["train"] | {"calibration": "sigmoid"}
    with pytest.raises(ValueError, match="probabilities are of a classification only"):
        Params.model_validate(content | {"train": train})


def test_every_estimator_has_hyperparameters_and_the_other_way_round() -> None:
    assert {task: {*entries} for task, entries in CATALOGUE.items()} == {
        task: {*entries} for task, entries in HYPERPARAMETERS.items()
    }


def test_unknown_keys_are_refused_in_every_section() -> None:
    content = made.params("regression", "linear").model_dump()
    for section in ("source", "split", "train", "evaluate", "compare", "verify"):
        with pytest.raises(ValueError, match="Extra inputs"):
            Params.model_validate(content | {section: content[section] | {"extra": 1}})


def test_dvc_reads_an_address_between_braces() -> None:
    """libyaml, which ruamel.yaml takes where it is installed, would refuse its colon."""
    text = "source: {path: https://example.com:8080/flights.csv}"
    address = "https://example.com:8080/flights.csv"
    assert parse_yaml(text, "params.yaml") == {"source": {"path": address}}
