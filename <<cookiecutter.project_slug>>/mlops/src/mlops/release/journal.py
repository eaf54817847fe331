"""Who brought what to the branch that environments follow, when, and by which pull request.

All of it is Git's word: what a commit says of itself. That the branch takes pull requests alone is
for GitHub's rules (see github.rulesets); trace checks by hashes what a release is made from.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..git.revision import Revision, git, is_shallow
from .history import moment

# How GitHub calls what it merges: a merge of its own, or one commit that was a branch.
_PULL = re.compile(r"^Merge pull request #(\d+) from |\(#(\d+)\)$")


@dataclass(frozen=True)
class Landing:
    """How something came to the branch.

    Attributes:
        commit: the one of the branch that brought it.
        when: it was made.
        who: its author: of a merge, whoever merged.
        pull: the number of the pull request that it names; None where it names none.
    """

    commit: str
    when: datetime
    who: str
    pull: int | None


def last_change(path: Path, base: Revision) -> Landing | None:
    """What brought a file as it is now; None where that is not told."""
    return _told("--max-count=1", str(base.commit), "--", f":(literal){path.as_posix()}")


def first_change(path: Path, base: Revision) -> Landing | None:
    """What brought a file; None where that is not told."""
    found = _log(
        *("--diff-filter=A", "--reverse", "-m"),
        *(str(base.commit), "--", f":(literal){path.as_posix()}"),
    )
    return found[0] if found else None


def arrival(commit: Revision, base: Revision) -> Landing | None:
    """What brought a commit: itself, or the merge that it came with; None where none did."""
    own = str(commit.commit)
    # Of the commits that stand on it, the oldest of the branch itself.
    firsts = git("rev-list", "--first-parent", str(base.commit)).split()
    if own in firsts:
        return _told("--max-count=1", own)
    after = {*git("rev-list", "--ancestry-path", f"{own}..{base.commit}").split()}
    brought = next((each for each in reversed(firsts) if each in after), None)
    return _told("--max-count=1", brought) if brought else None


def authors(commit: Revision, path: Path) -> list[str]:
    """Who wrote what a commit of the branch brought of a file: of a merge, on the other side."""
    own = str(commit.commit)
    parents = commit.parents
    merged = len(parents) > 1
    wanted = [f"{parents[0].commit}..{own}", "--no-merges"] if merged else ["--max-count=1", own]
    form = ("--no-show-signature", "--format=%an", "--reverse")
    told = git("log", *form, *wanted, "--", f":(literal){path.as_posix()}")
    return [*dict.fromkeys(filter(None, told.split("\n")))]


@dataclass(frozen=True)
class Signature:
    """What Git says of a commit's signature.

    Attributes:
        who: signed, where the key is known.
        problem: why it does not count: None where it is good.
        is_forged: whether it is of something else, or by a key that was withdrawn.
    """

    who: str
    problem: str | None
    is_forged: bool


def signature(commit: Revision) -> Signature:
    """By the keys that Git knows here: `gpg.ssh.allowedSignersFile`, or a key ring."""
    form = "--format=%G?%x00%GS"
    told = git("log", "--max-count=1", "--no-show-signature", form, str(commit.commit))
    kind, who = told.split("\0", 1)
    return Signature(who, _SIGNATURES.get(kind, f"Git says {kind} of its signature"), kind in "BR")


# Git's letters of a signature: `%G?` in git-log(1).
_SIGNATURES = {
    "G": None,
    "N": "its commit is not signed, and a name alone proves nothing",
    "U": "it is signed by a key that nobody here vouches for",
    "E": "it is signed by a key that is not known here",
    "X": "its signature has expired",
    "Y": "it is signed by a key that has expired",
    "R": "it is signed by a key that was withdrawn",
    "B": "its signature is of something else",
}


def _told(*arguments: str) -> Landing | None:
    found = _log(*arguments)
    return found[0] if found else None


def _log(*arguments: str) -> list[Landing]:
    """Commits of the branch, each as it tells of itself; none of a history that is cut off."""
    if is_shallow():
        return []
    form = "--format=%H%x00%ct%x00%an%x00%s"
    told = git("log", "--first-parent", "--no-show-signature", form, *arguments)
    found = []
    for line in filter(None, told.split("\n")):  # what people write may hold other ends of lines
        commit, seconds, who, subject = line.split("\0", 3)
        pull = _PULL.search(subject)
        number = next(filter(None, pull.groups()), None) if pull else None
        found.append(Landing(commit, moment(seconds), who, int(number) if number else None))
    return found
