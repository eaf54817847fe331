"""What the remote has: asked for and fetched with nobody there, over a network that may be lost."""

from pathlib import Path

from ..errors import InputError, ProjectError
from .revision import Revision, git

REMOTE = "origin"
# Seconds that a question may take, and that objects may take to come.
ASK_SECONDS, FETCH_SECONDS = 60, 900
# What Git says was done is on the disk, whatever happens to the machine then.
_DURABLE = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsync", "GIT_CONFIG_VALUE_0": "all"}


class Unreachable(ProjectError):
    """The remote does not answer, or not to the end."""


def newest(branch: str) -> Revision:
    """The newest commit of a branch of `origin`, fetched with all that it stands on.

    No ref changes, so that a process that is killed leaves no lock behind.

    Raises:
        InputError: there is no such branch.
        Unreachable: the remote does not answer, in Git's words.
    """
    name = f"refs/heads/{branch}"
    commit = _asked(ASK_SECONDS, "ls-remote", REMOTE, name).partition("\t")[0]
    if not commit:
        raise InputError(f"{REMOTE} has no branch {branch}")
    how = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
    _asked(FETCH_SECONDS, "fetch", *how, REMOTE, name)
    if found := Revision.of(commit):
        return found
    raise Unreachable(f"{REMOTE} answers with no commit")


def kept(ref: str) -> Revision | None:
    """The commit that a ref names; None where there is no such ref."""
    commit = git("for-each-ref", "--format=%(objectname)", ref)
    return Revision(commit) if commit else None


def keep(ref: str, commit: Revision) -> None:
    """Have a ref name a commit, so that Git keeps all of it. Nobody else may write it meanwhile."""
    # Git leaves it where it was killed, and would take it for another process's for ever.
    Path(git("rev-parse", "--git-path", f"{ref}.lock")).unlink(missing_ok=True)
    git("update-ref", ref, str(commit.commit), env=_DURABLE)


def _asked(seconds: float, *arguments: str) -> str:
    """What Git prints. Raises Unreachable in its words."""
    try:
        return git(*arguments, env=_DURABLE | {"GIT_TERMINAL_PROMPT": "0"}, seconds=seconds)
    except InputError as error:
        raise Unreachable(str(error)) from None
