"""The lock gate: does dvc.lock fit its inputs, and is all that it names stored for others?"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError, first_line
from .paths import LOCK


@dataclass(frozen=True)
class LockState:
    """What is wrong with dvc.lock.

    Attributes:
        exists: whether there is one.
        stale: stages that would run again, each with what changed.
        missing: outputs and data that the remote does not have.
        unreachable: why the remote could not be asked; None where it was.
    """

    exists: bool
    stale: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unreachable: str | None = None

    def problems(self) -> list[str]:
        """One line for each thing that must be mended, with the command that does it."""
        lines = []
        if self.stale:
            why = ", ".join(
                f"{name} ({', '.join(causes)})" if causes else name
                for name, causes in self.stale.items()
            )
            lines.append(
                f"{LOCK} is stale: {why}. Run `uv run dvc repro` and `uv run dvc push`, "
                f"and commit {LOCK} with the reports"
            )
        if self.missing:
            lines.append(
                f"not in the remote: {', '.join(self.missing)}. "
                "Whoever made them runs `uv run dvc push`"
            )
        return lines


def check() -> LockState:
    """Look at the workspace. Nothing is run, nothing is fetched.

    Raises InputError where DVC cannot read a file of the pipeline's.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo(os.curdir) as repo:
        if not LOCK.exists():
            return LockState(exists=False)
        # What `dvc repro --dry --allow-missing` says is not to be trusted:
        # https://github.com/treeverse/dvc/issues/9818
        try:
            with repo.lock:
                stale = {
                    stage.addressing: _causes(stage)
                    for stage in repo.index.stages
                    if stage.changed(allow_missing=True)
                }
        except DvcException as error:
            raise InputError(first_line(error)) from error
        try:
            missing = _not_in_remote(repo)
        except Exception as error:  # every store has exceptions of its own
            return LockState(True, stale, unreachable=first_line(error))
    return LockState(True, stale, missing)


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
