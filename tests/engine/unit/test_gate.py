"""Gates: a metric out of its bounds is told, overall and in a slice, as is a model that is worse
than the champion by more than is allowed, and a gate that bounds nothing."""

from typing import Any

import pytest
from engine import made
from pydantic import ValidationError

from mlops.config.gates import Gate
from mlops.config.params import Params
from mlops.errors import InputError
from mlops.judging.comparison import Comparison
from mlops.judging.gate import Breach, broken
from mlops.judging.paired import Compared
from mlops.judging.slices import Slices

SLICES: Slices = {"colour": {"red": {"rows": 30, "f1": 0.5}, "blue": {"rows": 30}}}


def _params(**gates: dict[str, Any]) -> Params:
    bounds = {name: Gate.model_validate(bound) for name, bound in gates.items()}
    return made.params("binary", "linear").model_copy(update={"gates": bounds})


@pytest.mark.parametrize(
    ("gates", "lines"),
    [
        ({}, []),
        ({"f1": {"min": 0.5}}, []),
        ({"f1": {"min": 0.4, "max": 0.5}}, []),
        ({"f1": {"min": 0.51}}, ["f1: 0.5 is below 0.51"]),
        ({"log_loss": {"max": 1.0}, "f1": {"max": 0.1}}, ["log_loss: ", "f1: 0.5 is above 0.1"]),
        ({"roc_auc": {"min": 0.0}}, ["roc_auc: has no value on the test rows"]),
        ({"roc_auc": {"regression": 0}}, []),  # without a champion
    ],
)
def test_metrics_are_held_against_their_bounds(
    gates: dict[str, dict[str, Any]], lines: list[str]
) -> None:
    found = broken(_params(**gates), {"f1": 0.5, "log_loss": 2.0}, SLICES)
    assert len(found) == len(lines)
    for each, wanted in zip(found, lines, strict=True):
        assert each.told.startswith(wanted)


def test_slices_are_held_against_bounds_of_their_own() -> None:
    bound = {"min": 0.1, "slices": {"colour": {"min": 0.6}}}
    assert broken(_params(f1=bound), {"f1": 0.5}, SLICES) == [
        Breach("f1", "bounds", "f1 of colour red: 0.5 is below 0.6", "colour", "red", 0.5),
        Breach(
            "f1", "bounds", "f1 of colour blue: has no value on the test rows", "colour", "blue"
        ),
    ]
    kept = {"colour": {"red": {"rows": 30, "f1": 0.6}}}
    assert broken(_params(f1=bound), {"f1": 0.5}, kept) == []


def test_a_gate_on_slices_alone_bounds_no_metric() -> None:
    gate = {"slices": {"colour": {"max": 0.9}}}
    assert broken(_params(f1=gate), {}, {"colour": {"red": {"rows": 3, "f1": 0.9}}}) == []


def _against(low: float, high: float, name: str = "f1") -> Comparison:
    middle = (low + high) / 2
    compared = {name: Compared(0.5, 0.5 + middle, low, high, "same")}
    return Comparison("same", metrics=compared, rows=100)


@pytest.mark.parametrize(
    ("name", "low", "high", "allowed", "is_broken"),
    [
        ("f1", -0.25, -0.125, 0.125, False),  # at the limit
        ("f1", -0.25, -0.126, 0.125, True),
        ("f1", -0.25, 0.0, 0, False),
        ("f1", -0.25, -0.001, 0, True),
        ("f1", 0.1, 0.2, 0, False),
        ("log_loss", 0.125, 0.25, 0.125, False),
        ("log_loss", 0.126, 0.25, 0.125, True),
        ("log_loss", 0.0, 0.25, 0, False),
        ("log_loss", 0.001, 0.25, 0, True),
        ("log_loss", -0.2, -0.1, 0, False),
    ],
)
def test_a_worse_model_is_told_when_chance_does_not_explain_it(
    name: str, low: float, high: float, allowed: float, is_broken: bool
) -> None:
    lines = broken(_params(**{name: {"regression": allowed}}), {}, {}, _against(low, high, name))
    assert len(lines) == is_broken
    for line in map(str, lines):
        assert line.startswith(f"{name}: {0.5 + (low + high) / 2:.4g} is worse than the champion's")
        assert line.endswith(f" ({allowed:g} allowed)") == (allowed > 0)


def test_what_could_not_be_compared_here_is_broken() -> None:
    undecided = Comparison(None, "it is not stored", undecided=True)
    gates: dict[str, dict[str, Any]] = {"f1": {"min": 0.1, "regression": 0.5}}
    (breach,) = broken(_params(**gates), {"f1": 0.5}, {}, undecided)
    assert breach.told == "champion: not comparable: it is not stored"
    # Where no gate is on regression, nobody asked.
    assert broken(_params(f1={"min": 0.1}), {"f1": 0.5}, {}, undecided) == []


@pytest.mark.parametrize(
    "against",
    [
        Comparison(None, "no champion yet: this is the first model"),
        Comparison(None, "different task: the champion's is regression"),
        Comparison("same", "the model is the same file"),
    ],
)
def test_a_sound_reason_for_no_comparison_is_not_broken(against: Comparison) -> None:
    assert broken(_params(f1={"regression": 0}), {"f1": 0.5}, {}, against) == []


def test_a_metric_without_a_value_to_compare_is_broken() -> None:
    (breach,) = broken(_params(roc_auc={"regression": 9}), {}, {}, _against(0, 1))
    assert breach.told == "roc_auc: has no value to compare on the test rows"
    alone = Comparison(None, "roc_auc: no value on these test rows", rows=100)
    assert broken(_params(roc_auc={"regression": 9}), {}, {}, alone) == [breach]


@pytest.mark.parametrize(
    ("what", "gates", "line"),
    [
        ("binary", {"mae": {"max": 1}}, "gates: mae: no metric of classification; choose from"),
        ("binary", {"f1": {"slices": {"size": {"min": 0}}}}, r"gates\.f1\.slices\.size: no column"),
        ("clustering", {"stability": {"regression": 0}}, r"gates\.stability\.regression: stabilit"),
    ],
)
def test_a_gate_that_bounds_nothing_is_told(what: str, gates: dict[str, Any], line: str) -> None:
    estimator = "kmeans" if what == "clustering" else "linear"
    bounds = _params(**gates).gates
    params = made.params(what, estimator).model_copy(update={"gates": bounds})
    with pytest.raises(InputError, match=line):
        broken(params, {"f1": 0.5}, SLICES, _against(0, 1))


def test_what_is_no_number_is_within_no_bounds() -> None:
    """It is neither below nor above any."""
    for bound in ({"min": 0.5}, {"max": 0.5}):
        gate = Gate.model_validate(bound)
        assert gate.outside("f1", float("nan")) == "f1: has no value on the test rows"


@pytest.mark.parametrize("key", ["min", "max", "regression"])
@pytest.mark.parametrize("bound", [float("nan"), float("inf")])
def test_a_bound_that_bounds_nothing_is_refused(key: str, bound: float) -> None:
    with pytest.raises(ValidationError):
        Gate.model_validate({key: bound})
