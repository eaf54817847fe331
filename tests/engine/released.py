"""Repositories with environments and releases: made ones with their own clock, and a real one."""

import os
import socket
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.workspace import SAMPLE, Workspace

from mlops.release.evidence import (
    Evidence,
    Images,
    Model,
    evidence_path,
)
from mlops.release.guard import refusals
from mlops.release.state import (
    Release,
    policy_path,
    release_path,
)
from mlops.revision import Revision

POLICIES = {
    "dev": "requires: null\n",
    "staging": "requires: dev # what comes before\n",
    "prod": "requires: staging\nsoak_minutes: 60\nhold: null # not now\n",
}


@dataclass
class Repository:
    """Git in the current folder, on branch main.

    Attributes:
        now: the time, which each commit moves on by a minute.
    """

    now: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    made: int = field(default=0)

    @staticmethod
    def begin() -> "Repository":
        """Make the repository, with policies and nothing released."""
        repository = Repository()
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.git("config", "user.name", "Ada")
        repository.git("config", "user.email", "ada@example.com")
        repository.git("config", "core.fsync", "none")
        repository.commit({str(policy_path(k)): text for k, text in POLICIES.items()})
        return repository

    def git(self, *arguments: str) -> str:
        """Run Git at the repository's time."""
        when = {"GIT_COMMITTER_DATE": self.now.isoformat(), "GIT_AUTHOR_DATE": self.now.isoformat()}
        done = subprocess.run(
            ["git", *arguments], env=os.environ | when, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None], wait: int = 1) -> str:
        """Write files (None takes one away), commit them after so many minutes, say the commit."""
        self.now += timedelta(minutes=wait)
        for name, text in files.items():
            path = Path(name)
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def evidence(self, **changes: object) -> Evidence:
        """The evidence of a release of a commit made for it."""
        self.made += 1
        found = Evidence(
            id=f"r{self.made}",
            created="2030-01-01T00:00:00Z",
            git_sha=self.commit({"code": str(self.made)}),
            dvc_lock_sha256="0" * 64,
            snapshot_sha256="1" * 64,
            model=Model(version=f"made@v{self.made}.0.0", md5=f"{self.made:032x}", sha256="2" * 64),
            images=Images(serving="", training=""),
            metrics={"roc_auc": 0.7},
        )
        return found.model_copy(update=changes)

    def files(self, evidence: Evidence, *environments: str) -> dict[str, str | None]:
        """What gives environments a release, and the evidence of it."""
        files: dict[str, str | None] = {
            str(evidence_path(evidence.id)): evidence.model_dump_json() + "\n"
        }
        return files | {str(release_path(e)): evidence.release.text() for e in environments}

    def live(self, *environments: str, **changes: object) -> Release:
        """A release that went through environments, as it should but for the time."""
        evidence = self.evidence(**changes)
        for name in environments:
            self.commit(self.files(evidence, name))
        return evidence.release

    def refused(self, files: dict[str, str | None], keep: bool = False) -> list[str]:
        """What the guard says of a change to what is on main; it stays on main if `keep`."""
        base = self.git("rev-parse", "HEAD")
        head = self.commit(files, wait=0)
        found = refusals(Revision(base), Revision(head), self.now)
        if not keep or found:
            self.git("reset", "--quiet", "--hard", base)
        return found

    def branch(self, *changes: dict[str, str | None]) -> str:
        """Commit changes on a branch of what is checked out, go back there, and say the last."""
        here = self.git("rev-parse", "HEAD")
        self.git("checkout", "--quiet", "--detach")
        for files in changes:
            self.commit(files)
        head = self.git("rev-parse", "HEAD")
        self.git("checkout", "--quiet", "main")
        assert self.git("rev-parse", "HEAD") == here
        return head

    def merged(self, head: str, base: str = "main") -> str:
        """The commit by which GitHub merges a branch into another one on trial."""
        self.now += timedelta(minutes=1)
        self.git("checkout", "--quiet", "--detach", base)
        self.git("merge", "--quiet", "--no-ff", "--no-edit", head)
        merge = self.git("rev-parse", "HEAD")
        self.git("checkout", "--quiet", "main")
        return merge

    def judged(self, head: str, base: str = "main", merged: bool = False) -> list[str]:
        """What the guard says of a change from `base` to `head`."""
        before = Revision(self.git("rev-parse", base))
        return refusals(before, Revision(head), self.now, merged)

    def policy(self, name: str, text: str) -> None:
        """Give an environment another policy."""
        self.commit({str(policy_path(name)): text})


def copy(release: Release, *environments: str) -> dict[str, str | None]:
    """What gives environments a release whose evidence is there."""
    return {str(release_path(name)): release.text() for name in environments}


Run = subprocess.CompletedProcess[str]


class Released:
    """A copy of the project whose model was released to dev, which answers on a port of its own."""

    def __init__(self, project: Workspace) -> None:
        self.project = project
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.settings("MLOPS_WORKERS=1")
        self.git("checkout", "--quiet", "-B", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.com")
        self.commit()
        told = self.mlops("release").stdout
        self.git("merge", "--quiet", "--ff-only", told.split()[-1])
        (self.evidence,) = (project.folder / "releases").glob("*.json")

    def settings(self, *further: str) -> None:
        """Write what dev is told."""
        lines = [f"LISTEN=127.0.0.1:{self.port}", "REPLICAS=1", "CPUS=1", "MEMORY=512M", *further]
        file = self.project.folder / "environments/dev/config.env"
        file.write_text("".join(f"{line}\n" for line in lines))

    def git(self, *arguments: str) -> str:
        """Run Git."""
        done = self.project.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> None:
        """Commit everything, and the data."""
        self.git("add", "--all", "--force", SAMPLE)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")

    def mlops(self, *arguments: str, code: int = 0) -> Run:
        """Run `mlops`, and require its exit code."""
        done = self.project.run("mlops", *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done
