"""Gates: a metric out of its bounds is told, and so is a gate that bounds nothing."""

from typing import Any

import made
import pytest

from <<cookiecutter.package_name>>.config import Gate, Params
from <<cookiecutter.package_name>>.errors import InputError
from <<cookiecutter.package_name>>.gate import broken


def _params(**gates: dict[str, Any]) -> Params:
    bounds = {name: Gate(**bound) for name, bound in gates.items()}
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
    ],
)
def test_metrics_are_held_against_their_bounds(
    gates: dict[str, dict[str, Any]], lines: list[str]
) -> None:
    found = broken(_params(**gates), {"f1": 0.5, "log_loss": 2.0})
    assert len(found) == len(lines)
    for line, wanted in zip(found, lines, strict=True):
        assert line.startswith(wanted)


def test_a_gate_on_no_metric_is_told() -> None:
    with pytest.raises(InputError, match=r"gates: mae: no metric of classification; choose from"):
        broken(_params(mae={"max": 1}), {"f1": 0.5})
