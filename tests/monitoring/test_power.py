"""False alarms come as seldom as declared, and drifts of known size are found: simulated weeks."""

from __future__ import annotations

import pytest
from monitoring.power import Asked, simulate
from pipeline.running import Reproduced

DECLARED = 0.05


@pytest.mark.parametrize("weeks", [300, pytest.param(1000, marks=pytest.mark.long)])
def test_quiet_weeks_raise_no_more_alarms_than_declared(small: Reproduced, weeks: int) -> None:
    """By the tests alone: with the least distance that matters there is hardly one."""
    project = small("classification")
    asked = [Asked(weeks, 300, effect=0.0), Asked(weeks // 3, 300)]
    tests, all_together = simulate("python", project.folder, asked, project.environ())
    error = (DECLARED * (1 - DECLARED) / weeks) ** 0.5
    # Were it none at all, nothing would be tested.
    assert 0 < tests["alarmed"] <= DECLARED + 2 * error
    assert all_together["alarmed"] <= 0.01


@pytest.mark.parametrize("weeks", [20, pytest.param(50, marks=pytest.mark.long)])
def test_planted_drifts_are_found_and_named(small: Reproduced, weeks: int) -> None:
    project = small("classification")
    large = {"mean": 0.5, "spread": 1, "share": 0.2, "flag": 0.3, "missing": 0.3, "error": 0.4}
    trifles = {"mean": 0.1, "share": 0.01, "flag": 0.05, "missing": 0.05}
    asked = [Asked(weeks, 1000, drift, size) for drift, size in large.items()]
    asked += [Asked(weeks // 5, 20_000, drift, size) for drift, size in trifles.items()]
    found = simulate("python", project.folder, asked, project.environ())
    for each, drift in zip(found, large, strict=False):
        assert each["named"] >= 0.9, drift
    for each, drift in zip(found[len(large) :], trifles, strict=True):
        assert each["alarmed"] == 0, drift
