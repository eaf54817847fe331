"""An environment by its name: what its log says, and labels for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..config.params import load_params
from ..errors import InputError
from ..git.revision import Revision
from ..paths import STATEMENT
from ..release.evidence import load_evidence
from ..release.governance import reviews_due
from ..release.state import named
from ..release.target import target
from ..statement import parse_statement
from .alarms import of_callers, of_reviews
from .feedback import Imported, store
from .log import Period
from .monitor import Monitor
from .place import place
from .reference import contract_of, reference
from .result import Alarm, Kind, Result

# Windows that are shown where nobody says from when.
WINDOWS = 8


def run(
    environment: str,
    at: Revision,
    start: datetime | None,
    end: datetime | None,
    log: str | None,
    release: str | None,
) -> Result:
    """Monitor an environment.

    Args:
        environment: its name.
        at: where its state is read.
        start, end: the period, in UTC; None for the last windows until now.
        log: where the log is, if not where the environment has it.
        release: which one, if not the one that it is to run.
    Raises:
        InputError: something that it takes cannot be had.
    """
    params, wanted = load_params(), target(environment, at)
    period = _period(start, end, params.monitoring.window_days)
    watched = wanted.release
    if release is not None:
        evidence = load_evidence(release, at)
        if evidence is None:
            raise InputError(f"{release}: there is no such release")
        watched = evidence.release
    with place(wanted, log) as found:
        known = Monitor(reference(watched, params), params)
        result = replace(known.run(environment, found.storage, period), log=found.name)
    return _with_callers(_with_reviews(result, environment, at), at)


def _with_reviews(result: Result, environment: str, at: Revision) -> Result:
    """The same with the reviews that are due, which take what was found."""
    governance = named(environment, at).policy.governance
    try:
        alarms = [*of_reviews(reviews_due(governance, at, datetime.now(UTC).date()))]
    except InputError as error:  # which hides no other alarm
        alarms = [Alarm(Kind.REVIEW, str(STATEMENT), line) for line in str(error).splitlines()]
    last = replace(result.last, alarms=[*result.last.alarms, *alarms])
    return replace(result, windows=[*result.windows[:-1], last])


def _with_callers(result: Result, at: Revision) -> Result:
    """The same with who asked and was not declared; a statement of none is told, where any ask."""
    asked = result.account.callers
    if not asked:
        return result
    try:
        declared = parse_statement(at.read(STATEMENT)).callers
    except InputError:  # which the alarms of reviews tell, where an environment asks for it
        return result
    if declared is None:
        note = f"{STATEMENT} declares no `callers`, and the log has some: {', '.join(asked)}"
        return replace(result, notes=[*result.notes, note])
    last = result.last
    found = [*last.alarms, *of_callers(asked, declared)]
    return replace(result, windows=[*result.windows[:-1], replace(last, alarms=found)])


def import_feedback(environment: str, at: Revision, file: Path, log: str | None) -> Imported:
    """Import the labels of a file. Raises InputError where the file is not what it must be."""
    wanted = target(environment, at)
    with place(wanted, log) as found:
        done = store(file, contract_of(wanted.release), found.storage)
        if done.name is not None:
            found.keep()
    return done


def _period(start: datetime | None, end: datetime | None, days: int) -> Period:
    last = (end or datetime.now(UTC).replace(microsecond=0)).replace(tzinfo=UTC)
    first = (start or last - timedelta(days=days * WINDOWS)).replace(tzinfo=UTC)
    if first >= last:
        raise InputError(f"--from {first:%Y-%m-%d %H:%M} is not before --to {last:%Y-%m-%d %H:%M}")
    return Period.of(first, last, days)
