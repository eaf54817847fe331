"""What each environment has, how good it is, what waits for it, and whether it runs as Git says."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import CheckError, InputError
from ..revision import Revision
from .apply import drift
from .changes import promote, propose
from .evidence import load_evidence
from .history import lived
from .state import Environment, environments
from .target import target


@dataclass(frozen=True)
class Status:
    """An environment.

    Attributes:
        environment: what it has.
        age: for how long; None where it has nothing.
        metrics: of its release.
        waiting: the release that could come next; None when there is none.
        reasons: why that may not come yet; empty when it may.
        drift: where what runs is not what Git says, as far as it is seen from here.
    """

    environment: Environment
    age: timedelta | None
    metrics: dict[str, float]
    waiting: str | None
    reasons: list[str]
    drift: list[str]


def status(base: Revision, now: datetime) -> list[Status]:
    """The environments in the order of promotion."""
    known = environments(base)
    found = []
    for name, each in known.items():
        live = next(iter(lived(name, base)), None) if each.release else None
        evidence = load_evidence(each.release.id, base) if each.release else None
        upstream = known.get(each.policy.requires or "")
        waiting = upstream.release if upstream else None
        waits = waiting is not None and waiting != each.release
        found.append(
            Status(
                environment=each,
                age=max(timedelta(), now - live.since) if live else None,
                metrics=evidence.metrics if evidence else {},
                waiting=waiting.id if waiting and waits else None,
                reasons=_refused(name, base, now) if waits else [],
                drift=_drift(name, base) if each.release else [],
            )
        )
    return found


def _drift(name: str, base: Revision) -> list[str]:
    try:
        return drift(target(name, base))
    except (CheckError, InputError) as error:
        return str(error).splitlines()


def _refused(name: str, base: Revision, now: datetime) -> list[str]:
    try:
        propose(promote(name, base), base, now)
    except (CheckError, InputError) as error:
        return str(error).splitlines()
    return []
