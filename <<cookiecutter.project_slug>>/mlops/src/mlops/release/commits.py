"""What each commit of a change would leave in the history of main, whichever way it is merged.

A merge leaves the whole change there, a rebase or a fast-forward each of its commits. So none may
have a release, or evidence, that is neither what was before nor what the whole change proposes: it
would stay a way back for ever, and count as time that a release was live.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from ..errors import InputError
from ..git.revision import Entry, Revision, git
from .history import moment
from .state import ENVIRONMENTS, RELEASES, release_path

# By how much clocks may differ.
AHEAD = timedelta(minutes=10)
_AGAIN = "set the clock, then `git rebase --force-rebase main`"


@dataclass(frozen=True)
class _Commit:
    """A commit: whether the change brings it, when it was made, and what it stands on."""

    name: str
    is_new: bool
    made: datetime
    parents: list[str]

    def __str__(self) -> str:
        return self.name[:7]

    @cached_property
    def kept(self) -> dict[Path, Entry]:
        return _kept(Revision(self.name))


def fork(base: Revision, head: Revision) -> Revision:
    """Where a change left what it is to be merged into. Raises InputError where it never did."""
    found = git("merge-base", str(base.commit), str(head.commit), success=(0, 1))
    if not found:
        raise InputError(
            f"{str(head.commit)[:7]} has no commit in common with {str(base.commit)[:7]}: make the "
            "change on a branch of main"
        )
    return Revision(found)


def remembered(base: Revision, head: Revision, now: datetime) -> Iterator[str]:
    """What history would keep of a change and must not, a line each.

    Args:
        base: what it would be merged into.
        head: the change.
        now: the time.
    """
    known = _commits(base, head)
    if str(head.commit) not in known:  # main has it already
        return
    final, latest = _tip(head, known), max([now, *(c.made for c in known.values() if not c.is_new)])
    for commit in known.values():
        if not commit.is_new:
            continue
        if commit.made > latest + AHEAD:
            yield f"commit {commit} is of {commit.made:%Y-%m-%d %H:%M}, which is to come; {_AGAIN}"
        before = [known[each] for each in commit.parents]
        if commit.kept == (before[0].kept if before else {}):
            continue
        # Machines that merge have clocks of their own, and what they merged is told by its commits.
        if len(before) == 1 and commit.made < before[0].made:
            yield f"commit {commit} is older than {before[0]}, which it stands on; {_AGAIN}"
        if commit.name != head.commit:
            yield from _passing(commit, base, final.kept)


def lost(base: Revision, head: Revision) -> Iterator[str]:
    """Why `head` may not be what main is after `base`: the way of main led elsewhere before."""
    if str(base.commit) not in git("rev-list", "--first-parent", str(head.commit)).split():
        yield (
            f"{str(base.commit)[:7]}, which main was, is not among the first parents of "
            f"{str(head.commit)[:7]}: what environments had would be lost to `mlops rollback`; "
            "merge the branch into main, not main into the branch"
        )


def _tip(head: Revision, known: dict[str, _Commit]) -> _Commit:
    """The last commit of a branch: of one that is merged on trial what main is merged with."""
    last = known[str(head.commit)]
    if len(last.parents) > 1 and not known[last.parents[0]].is_new:
        return known[last.parents[1]]
    return last


def _passing(commit: _Commit, base: Revision, final: dict[Path, Entry]) -> Iterator[str]:
    """Files that at a commit are neither as main had them nor as the whole change has them."""
    forks = git("merge-base", "--all", str(base.commit), commit.name, success=(0, 1)).split()
    before = [_kept(Revision(each)) for each in forks] or [{}]
    for path in sorted({*commit.kept, *final}.union(*before)):
        may_be = [each.get(path) for each in (final, *before)]
        if commit.kept.get(path) not in may_be:
            yield (
                f"{path}: commit {commit} has there what neither main nor the whole change has, "
                "and history would keep it; make one commit of the branch: `git merge main`, "
                "`git reset --soft main`, `git commit`"
            )


def _kept(at: Revision) -> dict[Path, Entry]:
    """What a commit has of the files whose history is asked: releases there, and evidence."""
    return {
        path: entry
        for path, entry in at.entries(ENVIRONMENTS, RELEASES).items()
        if path == release_path(path.parent.name)
        or (path.parent == RELEASES and path.suffix == ".json")
    }


def _commits(base: Revision, head: Revision) -> dict[str, _Commit]:
    """The commits that a change brings and, not new, those that they stand on; the oldest first."""
    options = ("--topo-order", "--reverse", "--parents", "--timestamp", "--boundary")
    found = {}
    for line in git("rev-list", *options, str(head.commit), f"^{base.commit}").splitlines():
        seconds, name, *parents = line.split()
        is_new = not name.startswith("-")
        name = name.removeprefix("-")
        found[name] = _Commit(name, is_new, moment(seconds), parents)
    return found
