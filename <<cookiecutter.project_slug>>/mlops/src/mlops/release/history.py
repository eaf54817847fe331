"""What was live where, and since when: from the history of the branch that environments follow.

Only first parents count: a file is live from the moment at which its change reached the branch, not
from when somebody wrote it. A commit says itself when it was made; that it was not before the ones
that it stands on, all know.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from ..errors import InputError
from ..files import parse
from ..git.revision import Revision, is_shallow, of_commits
from .state import Environment, Policy, Release, environments, policy_path, readable, release_path

SHALLOW = "this clone has not the whole history: run `git fetch --unshallow`"
# The last second of the year 9999, after which Python knows no time.
_END = 253_402_300_799


@dataclass(frozen=True)
class Live:
    """A release that an environment had.

    Attributes:
        release: what it was.
        since, until: when it reached the branch and was replaced there; None for still live.
    """

    release: Release
    since: datetime
    until: datetime | None


def require_whole() -> None:
    """Raise InputError where the history is not all there."""
    _require_whole(Path.cwd())


@lru_cache(maxsize=16)
def _require_whole(folder: Path) -> None:
    """The same, asked once: what is whole stays so."""
    if is_shallow():
        raise InputError(SHALLOW)


def moment(seconds: str) -> datetime:
    """The time that Git counts in seconds."""
    return datetime.fromtimestamp(min(int(seconds), _END), UTC)


@dataclass(frozen=True)
class Stretch:
    """A time in which a file of the branch stayed as it was.

    Attributes:
        at: the commit that brought it, or took it away.
        since, until: when that reached the branch, and the next change did; None for none.
    """

    at: Revision
    since: datetime
    until: datetime | None


def stretches(path: Path, at: Revision) -> list[Stretch]:
    """What a file was from change to change, up to a commit, the newest first.

    Raises InputError where the history is not all there.
    """
    require_whole()
    arrived = arrivals(at)
    found: list[Stretch] = []
    until: datetime | None = None
    for commit in _changes(path.as_posix(), at):
        found.append(Stretch(Revision(commit), arrived[commit], until))
        until = arrived[commit]
    return found


def lived(environment: str, at: Revision) -> list[Live]:
    """The releases that an environment had up to a commit, the newest first.

    A release.env that cannot be read, or that was taken away, counts for nothing. Raises InputError
    where the history is not all there.
    """
    path = release_path(environment)
    found = []
    for each in stretches(path, at):
        with suppress(InputError):
            text = each.at.read(path)
            if text is not None:
                found.append(Live(Release.parse(text, path), each.since, each.until))
    return found


def _changes(path: str, at: Revision) -> list[str]:
    """The commits of the branch that changed a file, the newest first."""
    options = ("--first-parent", str(at.commit), "--", f":(literal){path}")
    return of_commits("rev-list", *options).split()


def arrivals(at: Revision) -> dict[str, datetime]:
    """When each commit reached the branch: when it was made, or the newest of those before it.

    The oldest first.
    """
    found: dict[str, datetime] = {}
    latest = moment("0")
    lines = of_commits("rev-list", "--first-parent", "--reverse", "--timestamp", str(at.commit))
    for line in lines.splitlines():
        seconds, _, commit = line.partition(" ")
        latest = max(latest, moment(seconds))
        found[commit] = latest
    return found


def as_of(at: Revision, when: datetime) -> Revision:
    """The last commit of the branch that reached it before a time, of which there has to be one."""
    return Revision([commit for commit, arrived in arrivals(at).items() if arrived < when][-1])


def ways_back(environment: str, at: Revision) -> list[Release]:
    """The releases that an environment had before it first had the one it has now, newest first.

    Going to one of these is always allowed. The way forth again is not among them: else a hold
    would not keep a bad release out that was rolled back from. Where a file says now what nobody
    can read, it is any that the environment had.
    """
    had = lived(environment, at)
    current = next((each.release for each in had if each.until is None), None)
    first = list(dict.fromkeys(each.release for each in reversed(had)))
    if current is not None:
        return first[: first.index(current)][::-1]
    return first[::-1] if at.read_bytes(release_path(environment)) is not None else []


def last_policy(environment: str, at: Revision) -> str | None:
    """The text of the newest policy of an environment that can be read; None where none can."""
    path = policy_path(environment)
    for commit in _changes(path.as_posix(), at):
        with suppress(InputError):
            text = Revision(commit).read(path)
            if text is not None:
                parse(text, Policy, path)
                return text
    return None


def route(at: Revision) -> list[Environment]:
    """The way of releases: from the environment they come to first to the last one that has any.

    One that is added does not change it until a release came there, step by step; of two that are
    as far, the one counts that was there first. Raises InputError where a policy cannot be read.
    """
    known = {name: readable(each) for name, each in environments(at).items()}
    if not known:
        raise InputError("there are no environments")
    ways = [_way(each, known) for each in known.values()]
    return max([way for way in ways if way[-1].release] or ways, key=lambda way: _rank(way, at))


def _way(last: Environment, known: dict[str, Environment]) -> list[Environment]:
    upstream = last.policy.requires
    return [*(_way(known[upstream], known) if upstream else []), last]


def _rank(way: list[Environment], at: Revision) -> tuple[int, float]:
    had = lived(way[-1].name, at)
    return len(way), -had[-1].since.timestamp() if had else 0
