"""The lock gate: does dvc.lock fit its inputs, and is all that it names stored for others?"""

import os
from collections.abc import Iterable
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import InputError, first_line
from ..packages import PACKAGES, UV_LOCK, differing
from ..paths import LOCK
from .revision import Revision, git


@dataclass(frozen=True)
class LockState:
    """What is wrong with dvc.lock.

    Attributes:
        exists: whether there is one.
        stale: stages that would run again, each with what changed.
        missing: outputs and data that the remote does not have.
        unreachable: why the remote could not be asked; None where it was.
        packages: what packages.txt, which stages depend on, has otherwise than uv.lock.
        lost: inputs that are missing, and that nothing makes.
    """

    exists: bool
    stale: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unreachable: str | None = None
    packages: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """One line for each thing that must be mended, with the command that does it."""
        lines = []
        if self.packages:
            shown = ", ".join(self.packages[:3]) + (", …" if self.packages[3:] else "")
            lines.append(
                f"{PACKAGES} does not fit {UV_LOCK}: {shown}. Run `uv run mlops packages`, then "
                "`uv run dvc repro`"
            )
        if self.stale:
            why = ", ".join(
                f"{name} ({', '.join(causes)})" if causes else name
                for name, causes in self.stale.items()
            )
            lines.append(
                f"{LOCK} is stale: {why}. Run `uv run dvc repro` and `uv run dvc push`, "
                f"and commit {LOCK} with the reports"
            )
        if self.lost:
            lines.append(
                f"neither Git nor DVC has {', '.join(self.lost)}, which its stages read: "
                "`git add` what is small, `uv run dvc add` data, and commit"
            )
        if self.missing:
            lines.append(
                f"not in the remote: {', '.join(self.missing)}. "
                "Whoever made them runs `uv run dvc push`"
            )
        return lines


def check(remote: bool = True) -> LockState:
    """Look at the workspace. Nothing is run, nothing is fetched.

    Args:
        remote: whether to ask the remote what it lacks; not where that is still to be pushed.
    Raises:
        InputError: DVC cannot read a file of the pipeline's, or uv.lock is none.
    """
    from dvc.repo import Repo

    packages = differing()
    with Repo(os.curdir) as repo:
        if not LOCK.exists():
            return LockState(exists=False, packages=packages)
        state = LockState(True, _stale(repo), packages=packages, lost=_lost(repo))
        if not remote:
            return state
        try:
            return replace(state, missing=_not_in_remote(repo))
        except Exception as error:  # every store has exceptions of its own
            return replace(state, unreachable=first_line(error))


def require_fresh(at: Revision) -> None:
    """Raise InputError unless a commit's dvc.lock fits what is committed, whatever lies beside.

    What its stages read must be in Git, or be what DVC keeps or makes.
    """
    from dvc.repo import Repo

    commit = str(at.commit)[:7]
    with TemporaryDirectory() as folder:
        project = at.clone(Path(folder, "clone"))
        with chdir(project), Repo(os.curdir) as repo:
            state = LockState(
                LOCK.exists(), _stale(repo), packages=differing(), lost=_nowhere(repo)
            )
    if problems := state.problems():
        raise InputError(f"{commit}: {problems[0]}")


def _stale(repo: Any) -> dict[str, list[str]]:
    """Stages that would run again, each with what changed."""
    from dvc.exceptions import DvcException

    # What `dvc repro --dry --allow-missing` says is not to be trusted:
    # https://github.com/treeverse/dvc/issues/9818
    found = {}
    try:
        with repo.lock:
            for stage in repo.index.stages:
                astray = _astray(stage, repo.index.outs)
                if astray or stage.changed(allow_missing=True):
                    found[stage.addressing] = [*_causes(stage), *astray]
    except DvcException as error:
        raise InputError(first_line(error)) from error
    return found


def _astray(stage: Any, outs: Iterable[Any]) -> list[str]:
    """Files of a stage that are not here, and are not those that nobody fetched yet.

    DVC takes all that are missing for such. But what Git keeps must be there, and an input must
    have the hash of what makes it: another stage, or a .dvc file.
    """
    if stage.frozen:
        return []
    lost = [str(out) for out in stage.outs if not out.use_cache and not out.exists]
    other = [
        str(dep)
        for dep in stage.deps
        if not dep.exists
        for out in outs
        if dep.fs_path == out.fs_path and dep.hash_info != out.hash_info
    ]
    return lost + other


def _nowhere(repo: Any) -> list[str]:
    """Inputs that are missing, and that nothing makes."""
    made = [out.fs_path for out in repo.index.outs]
    return sorted(
        {
            str(dep)
            for stage in repo.index.stages
            for dep in stage.deps
            if dep.is_in_repo and not dep.exists
            if not any(f"{dep.fs_path}{os.sep}".startswith(f"{out}{os.sep}") for out in made)
        }
    )


def _lost(repo: Any) -> list[str]:
    """The same, but for what Git ignores and never had: a file of one's own machine.

    DVC takes what is missing for unchanged, and would say nothing of a features.yaml or a
    packages.txt that somebody deleted, nor of one that Git is to ignore from then on.
    """
    nowhere = _nowhere(repo)
    ignored = git("check-ignore", "--", *nowhere, success=(0, 1)).splitlines() if nowhere else []
    return [path for path in nowhere if path not in ignored or _was_in_git(path)]


def _was_in_git(path: str) -> bool:
    """Whether a commit of the history of HEAD touched a file."""
    options = ("--max-count=1", "HEAD", "--", f":(literal){path}")
    return bool(git("rev-list", *options, success=(0, 128)))


def _causes(stage: Any) -> list[str]:
    """What differs from when a stage ran: its command, paths in and out, parameters."""
    causes: list[str] = []
    for entry in stage.status().get(stage.addressing, []):
        if entry == "changed command":
            causes.append("its command")
        elif isinstance(entry, dict):
            for paths in entry.values():
                for path, how in paths.items():
                    if how not in ("deleted", "not in cache"):  # not fetched is not changed
                        causes += how if isinstance(how, dict) else [path]
    return causes


def _not_in_remote(repo: Any) -> list[str]:
    """Paths that dvc.lock and .dvc files name and the remote lacks."""
    remote = repo.cloud.get_remote()
    if remote.fs.protocol == "local" and not Path(remote.path).is_dir():
        raise FileNotFoundError(f"the remote is the folder {remote.path}, which is not here")
    found = repo.data_status(not_in_remote=True, remote_refresh=True, untracked_files="no")
    return sorted(found["not_in_remote"])
