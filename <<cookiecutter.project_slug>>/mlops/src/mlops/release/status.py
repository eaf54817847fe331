"""What each environment has, how good it is, what waits for it, and whether it runs as Git says."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import CheckError, InputError
from ..git.revision import Revision
from .apply import drift
from .changes import promote, propose
from .evidence import load_evidence
from .governance import lacking
from .history import lived
from .state import Environment, Release, environments, quarantined
from .target import target
from .watched import Watched, watched


@dataclass(frozen=True)
class Trouble:
    """Something that somebody has to look at.

    Attributes:
        state: what it is, in a word or two.
        told: the same with the reason.
        command: what helps; None where that depends.
    """

    state: str
    told: str
    command: str | None = None


@dataclass(frozen=True)
class Status:
    """An environment.

    Attributes:
        environment: what it has.
        age: for how long; None where it has nothing.
        metrics: of its release.
        waiting: the release that could come next; None when there is none.
        reasons: why that may not come yet; empty when it may.
        unsaid: what its policy wants of model.yaml, and is not there.
        quarantined: why its release must not run; None where it may.
        drift: where what runs is not what Git says, as far as it is seen from here.
        live: what monitoring last said of the release; None where it was not run from here.
    """

    environment: Environment
    age: timedelta | None
    metrics: dict[str, float]
    waiting: str | None
    reasons: list[str]
    unsaid: list[str]
    quarantined: str | None
    drift: list[str]
    live: Watched | None = None

    @property
    def troubles(self) -> list[Trouble]:
        """What is wrong, the most urgent first."""
        return [*self._troubles()]

    @property
    def needs_somebody(self) -> bool:
        """Whether something is wrong."""
        return bool(self.troubles)

    def _troubles(self) -> Iterator[Trouble]:
        name, release = self.environment.name, self.environment.release
        if self.quarantined is not None and release is not None:
            told = f"{release.id} is in quarantine: {self.quarantined}"
            yield Trouble("quarantined", told, f"mlops rollback {name}")
        for line in self.environment.problems:
            yield Trouble("unreadable", line)
        for line in self.drift:
            yield Trouble("differs from Git", line, f"mlops apply {name}")
        if self.live is not None and self.live.alarms:
            told = f"alarms until {self.live.until}: {', '.join(self.live.alarms)}"
            yield Trouble("alarms", told, f"look at {self.live.page}")
        hold = self.environment.policy.hold
        if hold is not None and not self.environment.problems:  # which close it
            yield Trouble("on hold", f"on hold: {hold}", f"mlops unhold {name}")
        if release is not None:
            for line in self.unsaid:
                yield Trouble("model.yaml incomplete", line)

    @property
    def state(self) -> str:
        """All of that in a few words; "ok" where nothing is wrong."""
        if found := dict.fromkeys(each.state for each in self.troubles):
            return ", ".join(found)
        return "ok" if self.environment.release else "no release yet"


def status(base: Revision, now: datetime) -> list[Status]:
    """The environments in the order of promotion."""
    known, banned = environments(base), quarantined(base)
    found = []
    for name, each in known.items():
        live = next(iter(lived(name, base)), None) if each.release else None
        reason = banned.get(each.release.id) if each.release else None
        upstream = known.get(each.policy.requires or "")
        waiting = upstream.release if upstream else None
        waits = waiting is not None and waiting != each.release
        found.append(
            Status(
                environment=each,
                age=max(timedelta(), now - live.since) if live else None,
                metrics=_metrics(each, base),
                waiting=waiting.id if waiting and waits else None,
                reasons=_refused(name, base, now) if waits else [],
                unsaid=_unsaid(each, waiting, base, now),
                quarantined="no reason given" if reason == "" else reason,
                drift=_drift(name, base) if each.release else [],
                live=watched(name, each.release.id) if each.release else None,
            )
        )
    return found


def _unsaid(
    environment: Environment, waiting: Release | None, base: Revision, now: datetime
) -> list[str]:
    """What would stop the release that comes next, or the one after, of what is on the branch."""
    made = Revision(waiting.git_sha) if waiting else base
    return lacking(environment.policy.governance, base, made, now.date())


def _metrics(environment: Environment, base: Revision) -> dict[str, float]:
    """Of the release; none where it has no evidence that can be read, which `_drift` tells."""
    with suppress(InputError):
        evidence = load_evidence(environment.release.id, base) if environment.release else None
        return evidence.metrics if evidence else {}
    return {}


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
