"""However many alarms there are, only so many retrainings start."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from mlops.config.retraining import Retraining
from mlops.retrain.storm import Past, refusal

NOW = datetime(2030, 6, 15, 12, tzinfo=UTC)
HOW = Retraining(cool_down_days=1, weekly=2)


def started(*days: float) -> Past:
    """Nothing is open, and trainings were started so many days ago."""
    return Past([], [NOW - timedelta(days=each) for each in days])


@pytest.mark.parametrize(
    ("past", "why"),
    [
        (Past([], []), None),
        (Past(["https://x/1"], []), "a retraining waits to be merged or closed: https://x/1"),
        (
            started(0.5),
            "the last one started at 2030-06-15 00:00 UTC, and the next may at 2030-06-16 00:00 "
            "(retraining.cool_down_days)",
        ),
        (started(1), None),
        (started(1.1, 2.5), "2 were started within seven days, and 2 may (retraining.weekly)"),
        (started(1.1, 7), None),
        (started(20, 30), None),
    ],
)
def test_one_may_start_or_why_not(past: Past, why: str | None) -> None:
    assert refusal(past, HOW, NOW) == why


def test_none_starts_where_none_may() -> None:
    none = Retraining(weekly=0)
    assert refusal(started(), none, NOW) == (
        "0 were started within seven days, and 0 may (retraining.weekly)"
    )


def test_a_storm_of_alarms_starts_a_few() -> None:
    """An alarm each hour for four weeks, and every pull request is merged at once."""
    begun: list[datetime] = []
    for hour in range(4 * 7 * 24):
        now = NOW + timedelta(hours=hour)
        if refusal(Past([], begun), HOW, now) is None:
            begun.append(now)
    assert len(begun) == 8
    assert min(b - a for a, b in pairwise(begun)) >= timedelta(days=1)
