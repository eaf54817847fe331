"""Which model answered in an environment at a time: from when, of what, by whom, how good, and what
went wrong then.

All of it is read from the first parents of the branch that environments follow, as it is now. What
one file says is held against another: a commit's time against those that it stands on and against
its evidence, a change against the guard, a release against everything that `trace` looks at.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ..config.compare import Compare
from ..digits import counted, digits, moment
from ..errors import InputError
from ..files import parse
from ..git.revision import Revision, git
from ..paths import INTERVALS, LOCK, PARAMS
from .commits import AHEAD
from .evidence import Evidence, load_evidence
from .governance import lacking
from .guard import refusals
from .history import Stretch, as_of, stretches
from .hop import Hop, State
from .journal import Landing, arrival, authors, signature
from .lineage import md5
from .proposal import hosted
from .sign_off import signed
from .state import QUARANTINE, Policy, Release, named, policy_path, quarantined, release_path
from .trace import trace
from .watched import alarms

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SHAPE = "give a day or a moment: 2027-03-01, 2027-03-01T12:00 or 2027-03-01T12:00+01:00"


@dataclass(frozen=True)
class Period:
    """The time that is asked about: a day in UTC, of which `end` is no part, or a moment."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        day = self.end - self.start > timedelta(seconds=1)
        return f"{self.start:%Y-%m-%d}" if day else moment(self.start)

    def meets(self, since: datetime, until: datetime | None) -> bool:
        """Whether something that lasted so long was so at any of that time."""
        return since < self.end and (until is None or until > self.start)


@dataclass(frozen=True)
class Answering:
    """A release that answered at that time.

    Attributes:
        release: its id.
        since, until: when it came to the environment and was replaced; None for still there.
        came: how it came and went, and who approved it.
        measured: its metrics with intervals, as its commit has them.
        incidents: what went wrong at that time, as far as anybody here knows.
        lineage: the steps back to the raw data: see trace.
    """

    release: str
    since: datetime
    until: datetime | None
    came: list[Hop]
    measured: list[Hop]
    incidents: list[Hop]
    lineage: list[Hop]

    @property
    def hops(self) -> list[Hop]:
        """All of its steps."""
        return [*self.came, *self.measured, *self.incidents, *self.lineage]


@dataclass(frozen=True)
class Audit:
    """What is known of an environment at a time.

    Attributes:
        environment: its name.
        start, end: of the time that is asked about.
        history: whether the history that this is read from fits itself.
        answering: the releases that answered, the first one first.
        log: what the prediction log says of that time: see monitoring.answered.
    """

    environment: str
    start: datetime
    end: datetime
    history: list[Hop]
    answering: list[Answering]
    log: list[Hop] = field(default_factory=list)

    @property
    def hops(self) -> list[Hop]:
        """All steps."""
        return [*self.history, *self.log, *(hop for each in self.answering for hop in each.hops)]


def period(text: str, now: datetime) -> Period:
    """The time that somebody writes; without a zone it is in UTC.

    Raises InputError where it is none, or is to come.
    """
    try:
        if _DAY.fullmatch(text):
            start = datetime.combine(date.fromisoformat(text), time(), UTC)
            end = start + timedelta(days=1)
        else:
            # Python reads a date without a time, or a week, as a midnight that nobody means.
            start = datetime.fromisoformat(text if "T" in text else "")
            start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
            end = start + timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise InputError(f"--at {text:.40}: {_SHAPE}") from None
    if start > now:
        raise InputError(f"--at {text}: that is to come; it is {moment(now)}")
    return Period(start, end)


def had(environment: str, asked: Period, base: Revision) -> list[Stretch]:
    """What an environment's release.env was at a time, the first one first.

    Raises InputError where it was never there, or was not then.
    """
    path = release_path(environment)
    known = stretches(path, base)
    if not known:
        named(environment, base)  # which says which there are
        raise InputError(f"{environment} has no release yet: nothing ever answered there")
    met = [each for each in reversed(known) if asked.meets(each.since, each.until)]
    if not met:
        raise InputError(
            f"{environment} had no release before {moment(known[-1].since)}: nothing answered "
            f"there on {asked}"
        )
    there = [each for each in met if each.at.read_bytes(path) is not None]
    if not there:
        gone = met[-1]
        raise InputError(
            f"{environment} had no release on {asked}: {str(gone.at.commit)[:7]} took it away on "
            f"{moment(gone.since)}"
        )
    return there


def audit(environment: str, asked: Period, base: Revision, now: datetime) -> Audit:
    """Find out which releases answered, and look at each of them.

    Args:
        environment: its name; it may have been retired since.
        asked: the time.
        base: the branch that environments follow.
        now: the time at which this is asked.
    Raises:
        InputError: there never was such an environment, or it had nothing then.
    """
    there, path = had(environment, asked, base), release_path(environment)
    history, answering = [_one_line(environment, base)], []
    for each in there:
        try:
            text = (each.at.read_bytes(path) or b"").decode("utf-8", "backslashreplace")
            release = Release.parse(text, path)
        except InputError as error:
            what = f"{environment} from {moment(each.since)}"
            history.append(Hop(what, "nobody can read what it had", "wrong", str(error)))
        else:
            answering.append(_answering(environment, release, each, asked, base, now))
    return Audit(environment, asked.start, asked.end, history, answering)


def _answering(
    environment: str,
    release: Release,
    stretch: Stretch,
    asked: Period,
    base: Revision,
    now: datetime,
) -> Answering:
    landed = arrival(stretch.at, base)
    try:
        evidence = load_evidence(release.id, base)
        lineage = [*trace(release.id, base)]
    except InputError as error:
        evidence, lineage = None, [Hop("release", release.id, "wrong", str(error))]
    came = [
        _came(environment, release, evidence, stretch, landed, now),
        _by_the_rules(stretch),
        _approved(environment, stretch, landed),
        *signed(environment, stretch.at, base, hosted()),
        _went(environment, stretch, base, now),
    ]
    return Answering(
        release=release.id,
        since=stretch.since,
        until=stretch.until,
        came=came,
        measured=[] if evidence is None else [*_measured(evidence, base)],
        incidents=[*_incidents(environment, release, asked, base)],
        lineage=lineage,
    )


def _one_line(environment: str, base: Revision) -> Hop:
    """Whether all that was ever merged for an environment is on the way of the branch itself.

    A branch that took the place of `main` has what `main` had on its other side, where no first
    parent leads. The guard lets nothing else be there: see commits.
    """
    path = release_path(environment)
    told = git(
        *("log", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames"),
        *("--no-show-signature", "--format=commit %H", str(base.commit), "--", path.as_posix()),
    )
    commit, blobs = "", dict[str, str]()
    for line in told.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        else:
            after = line.split()[3:4] if line.startswith(":") else []
            blobs |= {blob: commit for blob in after if set(blob) != {"0"}}
    own = {
        entry.content for each in stretches(path, base) for entry in each.at.entries(path).values()
    }
    aside = [commit for blob, commit in blobs.items() if blob not in own]
    value = f"{counted(len(own), 'version')} of {path}"
    if not aside:
        return Hop("history", value, "ok")
    why = (
        f"{aside[0][:7]} has another one, which is on no first parent of {str(base.commit)[:7]}: "
        "it was another branch's, or main once was another one"
    )
    return Hop("history", value, "wrong", why)


def _came(
    environment: str,
    release: Release,
    evidence: Evidence | None,
    stretch: Stretch,
    landed: Landing | None,
    now: datetime,
) -> Hop:
    """When it came, by the clock of the commit, of those before it, and of its evidence."""
    what, value = f"{environment} had {release.id}", f"from {moment(stretch.since)}"
    why = _of_another_time(stretch, landed, now)
    if why is None and evidence is not None:
        if evidence.release != release:
            why = f"it is not what its evidence says, {evidence.release.text()!r:.200}"
        elif datetime.fromisoformat(evidence.created) > stretch.since + AHEAD:
            why = f"its evidence was made on {evidence.created}, after it came"
    return Hop(what, value, "wrong" if why else "ok", why, landed)


def _of_another_time(stretch: Stretch, landed: Landing | None, now: datetime) -> str | None:
    """Why the time of a change is not to be believed; None where it is."""
    commit = str(stretch.at.commit)[:7]
    if stretch.since > now + AHEAD:
        return f"commit {commit}, or one before it, is of {moment(stretch.since)}: that is to come"
    if landed is not None and landed.when < stretch.since - AHEAD:
        return (
            f"commit {commit} says it is of {moment(landed.when)}, and stands on one of "
            f"{moment(stretch.since)}: one of both was given another time"
        )
    return None


def _by_the_rules(stretch: Stretch) -> Hop:
    """Whether the guard lets it come, by the rules and the history that it came to."""
    what, value = "guard", f"commit {str(stretch.at.commit)[:12]}"
    before = stretch.at.parents
    if not before:
        return Hop(what, value, "not checked", "it is the first commit, which stands on no rules")
    try:
        told = refusals(before[0], stretch.at, stretch.since, merged=True)
    except InputError as error:
        told = [str(error)]
    return Hop(what, value, "wrong" if told else "ok", "; ".join(told) or None)


def _approved(environment: str, stretch: Stretch, landed: Landing | None) -> Hop:
    """Who wrote it and who merged it: proved by a signature, else only told."""
    written = authors(stretch.at, release_path(environment))
    merged = landed.who if landed else "nobody that Git tells"
    pull = f", pull request {landed.pull}" if landed and landed.pull else ""
    value = f"written by {', '.join(written) or 'nobody that Git tells'}, merged by {merged}{pull}"
    signed = signature(stretch.at)
    if signed.problem is None:
        return Hop("approved", f"{value}, signed by {signed.who}", "ok", landed=landed)
    state: State = "wrong" if signed.is_forged else "not checked"
    return Hop("approved", value, state, signed.problem, landed)


def _went(environment: str, stretch: Stretch, base: Revision, now: datetime) -> Hop:
    """What took its place, if anything did."""
    path = release_path(environment)
    known = stretches(path, base)
    place = known.index(stretch)
    if place == 0:
        return Hop("until", f"still there in {str(base.commit)[:12]}", "ok")
    after = known[place - 1]
    landed = arrival(after.at, base)
    earlier = [_id(each, path) for each in known[place + 1 :]]
    name = _id(after, path)
    how = "taken away" if name is None else f"replaced by {name}"
    if name in earlier:
        how = f"rolled back to {name}"
        if reason := _hold(after.at, environment):
            how += f": {reason}"
    why = _of_another_time(after, landed, now)
    value = f"{moment(after.since)}, {how}"
    return Hop("until", value, "wrong" if why else "ok", why, landed)


def _id(stretch: Stretch, path: Path) -> str | None:
    with suppress(InputError):
        text = stretch.at.read(path)
        return None if text is None else Release.parse(text, path).id
    return "what nobody can read"


def _measured(evidence: Evidence, base: Revision) -> Iterator[Hop]:
    """Each metric with its interval, which are the commit's own where its lock names the file."""
    commit = Revision(evidence.git_sha)
    if arrival(commit, base) is None:  # which the lineage tells
        return
    try:
        content, known = commit.read_bytes(INTERVALS), commit.outputs.get(INTERVALS)
        found = commit.load(INTERVALS) if content is not None else {}
        confidence = Compare.model_validate(commit.load(PARAMS)["compare"]).confidence
        ends = {name: (float(each["low"]), float(each["high"])) for name, each in found.items()}
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        yield Hop("intervals", str(INTERVALS), "wrong", f"{str(commit.commit)[:7]}: not readable")
        return
    why = None
    if content is None or known is None:
        why = f"{str(commit.commit)[:7]} has no {INTERVALS}"
    elif md5(content) != known.md5:
        why = f"{INTERVALS} has the MD5 {md5(content)}, {LOCK} says {known.md5}"
    for name, value in evidence.metrics.items():
        if name in ends:
            low, high = ends[name]
            told = f"{digits(value)}, {confidence:.0%} interval {digits(low)} to {digits(high)}"
            off = None if low <= value <= high else "the metric is not in its own interval"
            yield Hop(name, told, "wrong" if why or off else "ok", why or off)
        else:
            yield Hop(name, digits(value), "not checked", why or f"{INTERVALS} has none of it")


def _incidents(environment: str, release: Release, asked: Period, base: Revision) -> Iterator[Hop]:
    yield from _quarantine(release.id, base)
    yield from _holds(environment, asked, base)
    yield from _unsaid(environment, release, asked, base)
    known = alarms(environment, release.id, asked.start, asked.end)
    if known is None:
        why = "no result of `mlops monitor` for that release and time is on this machine"
        yield Hop("alarms", "not known", "not checked", why)
        return
    why = "a file of this machine says so, which Git does not keep"
    yield Hop("alarms", ", ".join(known) or "none", "not checked", why)


def _quarantine(release: str, base: Revision) -> Iterator[Hop]:
    """The line that bars it, whenever that came: it is about the model."""
    came: Stretch | None = None
    for each in reversed(stretches(QUARANTINE, base)):
        listed = quarantined(each.at)
        if came is None and release in listed:
            came = each
        elif came is not None and release not in listed:
            why = f"{str(each.at.commit)[:7]} took the line out, which has to stay"
            yield Hop("quarantine", f"from {moment(came.since)}", "wrong", why)
            return
    if came is not None:
        reason = quarantined(came.at)[release] or "no reason given"
        value = f"from {moment(came.since)}: {reason}"
        yield Hop("quarantine", value, "ok", landed=arrival(came.at, base))


def _holds(environment: str, asked: Period, base: Revision) -> Iterator[Hop]:
    for each in reversed(stretches(policy_path(environment), base)):
        reason = _hold(each.at, environment)
        if reason is not None and asked.meets(each.since, each.until):
            value = f"from {moment(each.since)}: {reason}"
            yield Hop("hold", value, "ok", landed=arrival(each.at, base))


def _hold(at: Revision, environment: str) -> str | None:
    policy = _policy(at, environment)
    return policy.hold if policy else None


def _policy(at: Revision, environment: str) -> Policy | None:
    with suppress(InputError):
        text = at.read(policy_path(environment))
        return None if text is None else parse(text, Policy, policy_path(environment))
    return None


def _unsaid(environment: str, release: Release, asked: Period, base: Revision) -> Iterator[Hop]:
    """What model.yaml lacked then of what the environment asked for: reviews that were overdue."""
    at = as_of(base, asked.end)
    policy = _policy(at, environment)
    wanted = policy.governance if policy else []
    for line in lacking(wanted, at, Revision(release.git_sha), asked.start.date()):
        yield Hop("governance", line, "ok")
