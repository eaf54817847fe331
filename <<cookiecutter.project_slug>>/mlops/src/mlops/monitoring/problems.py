"""What is wrong in an environment, kind by kind, and whether that is a reason to retrain."""

from ..config.retraining import Retraining
from .result import Alarm, Kind, Result


def problems(result: Result) -> dict[Kind, list[Alarm]]:
    """The alarms of each kind that was looked for: none where it is not there.

    A kind is left out where nobody can tell: drift of few rows, say.
    """
    looked_for = {
        Kind.DRIFT: not result.last.too_few,
        Kind.MISSING: not result.last.too_few,
        Kind.PERFORMANCE: result.measured is not None,
        Kind.FAIRNESS: result.measured is not None and bool(result.measured.fairness),
        Kind.CONTRACT: result.last.rows > 0,
        Kind.LOG: True,
        Kind.FEEDBACK: True,
        Kind.REVIEW: True,
        Kind.CALLER: sum(result.account.counted) > 0,
    }
    found: dict[Kind, list[Alarm]] = {kind: [] for kind, yes in looked_for.items() if yes}
    for alarm in result.alarms:
        found[alarm.kind].append(alarm)
    return found


def reasons(result: Result, retraining: Retraining) -> list[str]:
    """The kinds of alarms that start a retraining; none where it is not due."""
    if result.environment != retraining.environment:
        return []
    found = problems(result)
    return [kind for kind in retraining.alarms if found.get(Kind(kind))]
