"""The prediction log against Git: which release really answered at a time, and whom.

Git says what an environment was to have; the log has, with each row, what its server said of
itself. A release may answer for a while after it was replaced, until its servers are. None answers
before it came, or where it never was.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ..digits import counted, moment
from ..errors import CheckError, InputError, first_line
from ..git.revision import Revision
from ..paths import STATEMENT
from ..printable import printable
from ..release.commits import AHEAD
from ..release.history import Live, as_of, lived
from ..release.hop import Hop
from ..release.target import target
from ..serving.log import RELEASE
from ..statement import parse_statement
from .account import Account
from .log import Log, Period
from .place import place
from .storage import Storage

# In that time servers are to be replaced: what was not is mended each day.
LAG = timedelta(days=1)
# A moment is looked at with so much before and after it.
AROUND = timedelta(minutes=30)
# Files that are named, where not all can be read.
SHOWN = 3


@dataclass(frozen=True)
class Answers:
    """Rows that a release answered.

    Attributes:
        release: its id, as the log has it.
        moments: when, in UTC.
    """

    release: str
    moments: np.ndarray

    def __str__(self) -> str:
        first, last = (_moment(each) for each in (self.moments.min(), self.moments.max()))
        rows = counted(len(self.moments), "row")
        return f"{rows} from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def answered(
    environment: str, start: datetime, end: datetime, base: Revision, log: str | None
) -> list[Hop]:
    """A step for each release that the log of an environment has at a time, and for each caller.

    Args:
        environment: its name; it may have been retired since.
        start, end: the time, of which `end` is no part.
        base: the branch that environments follow.
        log: where the log is, if not where the environment has it.
    Raises:
        InputError: `log` is named, and there is none.
    """
    if end - start < AROUND:
        start, end = start - AROUND, end + AROUND
    try:
        with ExitStack() as opened:
            storage = (
                Storage(log)
                if log
                else opened.enter_context(place(target(environment, base), None)).storage
            )
            account = Account([0])
            found = read(storage, Period([start, end]), account)
    except (CheckError, InputError) as error:
        if log:
            raise
        return [Hop("log", "not at hand", "not checked", first_line(error))]
    return [
        *_broken(account),
        *_releases(found, lived(environment, base), start, end),
        *_callers(account, as_of(base, end)),
    ]


def read(storage: Storage, period: Period, account: Account) -> list[Answers]:
    """What each release answered, by the log. Raises InputError where there is none."""
    moments: dict[str, list[np.ndarray]] = {}
    for part in Log(storage, []).read(period, None, [], account):
        names = part.columns[RELEASE].to_numpy(zero_copy_only=False)
        for name in dict.fromkeys(names.tolist()):
            moments.setdefault(str(name), []).append(part.moments[names == name])
    return [Answers(name, np.concatenate(those)) for name, those in moments.items()]


def _releases(
    found: list[Answers], had: list[Live], start: datetime, end: datetime
) -> Iterator[Hop]:
    """Each release that answered, and each that was to, and did not."""
    for each in found:
        stays = [live for live in had if live.release.id == each.release]
        outside = ~_allowed(each.moments, stays)
        why = None
        if not stays:
            why = "Git never had it there"
        elif outside.any():
            first = _moment(each.moments[outside].min())
            why = (
                f"{counted(int(outside.sum()), 'row')}, the first at {moment(first)}, "
                "when Git had another there: before it came, or more than a day after it went"
            )
        what = f"log, {printable(each.release)}"
        yield Hop(what, str(each), "wrong" if why else "ok", why)
    told = {each.release for each in found}
    for release in dict.fromkeys(
        live.release.id
        for live in reversed(had)
        if live.since < end and (live.until is None or live.until > start)
    ):
        if release not in told:
            why = "nobody asked it, its rows are not kept any more, or it never ran"
            yield Hop(f"log, {release}", "no row of that time", "not checked", why)


def _allowed(moments: np.ndarray, stays: list[Live]) -> np.ndarray:
    """Whether rows are of a time when a release may have answered."""
    allowed = np.zeros(len(moments), bool)
    for live in stays:
        before = live.until is None or moments <= _plain(live.until + LAG)
        allowed |= (moments >= _plain(live.since - AHEAD)) & before
    return allowed


def _callers(account: Account, at: Revision) -> Iterator[Hop]:
    """Whether those who asked are declared, with one of the intended uses, as that was then."""
    if not account.callers:
        if account.counted[0]:
            yield Hop("callers", "not known", "not checked", "the servers asked for no tokens")
        return
    try:
        declared = parse_statement(at.read(STATEMENT)).callers
    except InputError as error:
        yield Hop("callers", f"{STATEMENT}", "wrong", first_line(error))
        return
    for name, rows in sorted(account.callers.items(), key=lambda each: -each[1]):
        what, value = f"caller {name}", counted(rows, "row")
        if declared is None:
            why = f"{STATEMENT} declared no `callers` then"
            yield Hop(what, value, "not checked", why)
        elif name not in declared:
            yield Hop(what, value, "wrong", f"`callers` in {STATEMENT} named no such caller then")
        else:
            yield Hop(what, f"{value}, for: {declared[name]}", "ok")


def _broken(account: Account) -> Iterator[Hop]:
    if account.broken:
        names = ", ".join(printable(each.name) for each in account.broken[:SHOWN])
        value = f"{counted(len(account.broken), 'file')}: {names}"
        yield Hop("log", value, "not checked", f"not readable: {account.broken[0].why}")


def _plain(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _moment(moment: np.datetime64) -> datetime:
    found: datetime = moment.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
