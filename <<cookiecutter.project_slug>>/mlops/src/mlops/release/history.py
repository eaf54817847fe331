"""What was live where, and since when: from the history of the branch that environments follow.

Only first parents count: a file is live from the moment at which its change reached the branch, not
from when somebody wrote it.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import InputError
from ..revision import Revision, git, is_shallow
from .state import Release, release_path


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


def lived(environment: str, at: Revision) -> list[Live]:
    """The releases that an environment had up to a commit, the newest first.

    A release.env that cannot be read, or that was taken away, counts for nothing. Raises InputError
    where the history is not all there.
    """
    if is_shallow():
        raise InputError("this clone has not the whole history: run `git fetch --unshallow`")
    path = release_path(environment)
    lines = git(
        "log", "--first-parent", "--format=%H %ct", str(at.commit), "--", path.as_posix()
    ).splitlines()
    found: list[Live] = []
    until: datetime | None = None
    for line in lines:
        commit, _, seconds = line.partition(" ")
        since = datetime.fromtimestamp(int(seconds), UTC)
        text = Revision(commit).read(path)
        if text is not None:
            with suppress(InputError):
                found.append(Live(Release.parse(text, path), since, until))
        until = since
    return found


def ways_back(environment: str, at: Revision) -> list[Release]:
    """The releases that an environment had before it first had the one it has now, newest first.

    Going to one of these is always allowed. The way forth again is not among them: else a hold
    would not keep a bad release out that was rolled back from.
    """
    had = lived(environment, at)
    current = next((each.release for each in had if each.until is None), None)
    first = list(dict.fromkeys(each.release for each in reversed(had)))
    return first[: first.index(current)][::-1] if current is not None else []
