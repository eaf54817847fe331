"""Repositories with environments and releases: made ones with their own clock, and a real one."""

import hashlib
import json
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pygit2
from engine.workspace import SAMPLE, Workspace
from pygit2.enums import ConfigLevel, ResetMode

from mlops.git.revision import Revision
from mlops.release.evidence import (
    Evidence,
    Images,
    Model,
    evidence_path,
)
from mlops.release.guard import refusals
from mlops.release.history import route
from mlops.release.state import (
    Release,
    policy_path,
    release_path,
)

# As Git below, libgit2 knows nothing of whoever runs the tests.
for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
    pygit2.settings.search_path[level] = os.devnull

POLICIES = {
    "dev": "requires: null\n",
    "staging": "requires: dev # what comes before\n",
    "prod": "requires: staging\nsoak_minutes: 60\nhold: null # not now\n",
}

REGISTRY = "registry.example.com/team/made"
PYPROJECT = f"""[project]
name = "made"

[tool.mlops]
registry = "{REGISTRY}"
"""


def locked(outs: Mapping[str, str]) -> str:
    """A dvc.lock with these outputs by their MD5."""
    listed = [{"path": path, "hash": "md5", "md5": md5} for path, md5 in outs.items()]
    return json.dumps({"schema": "2.0", "stages": {"all": {"cmd": "true", "outs": listed}}})


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """Git in the current folder, on branch main.

    Attributes:
        now: the time, which each commit moves on by a minute.
        ids: the releases' by the order in which they were made: `r1`, `r2`.
    """

    now: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    ids: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def begin() -> "Repository":
        """Make the repository, with policies and nothing released."""
        repository = Repository()
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.git("config", "user.name", "Ada")
        repository.git("config", "user.email", "ada@example.com")
        repository.git("config", "core.fsync", "none")
        files = {str(policy_path(name)): text for name, text in POLICIES.items()}
        repository.commit({"pyproject.toml": PYPROJECT, **files})
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
        here = pygit2.Repository(os.curdir)
        if "commit.gpgSign" in here.config:  # Git alone signs
            self.git("add", "--all")
            self.git("commit", "--quiet", "--allow-empty", "--message", "x")
            return self.head
        return self._commit(here)

    def _commit(self, here: pygit2.Repository) -> str:
        """Commit all without Git's own commands: tests make thousands, each by five processes."""
        here.index.add_all()
        here.index.write()
        name, email = str(here.config["user.name"]), str(here.config["user.email"])
        name = re.sub("[<>]", "", name)  # as Git does
        who = pygit2.Signature(name, email, int(self.now.timestamp()))
        parents = [] if here.head_is_unborn else [here.head.target]
        tree = here.index.write_tree()
        return str(here.create_commit("HEAD", who, who, "x\n", tree, parents))

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return str(pygit2.Repository(os.curdir).head.target)

    def evidence(self, **changes: Any) -> Evidence:
        """The evidence of a release of a commit made for it, which says the same.

        Of `changes`, `locked` are further files that its lock names, as the lock has them, and
        `files` what is committed beside, or in their place.
        """
        made = len(self.ids) + 1
        metrics = changes.pop("metrics", {"roc_auc": 0.7})
        exports = changes.pop("exports", {})
        champion = route(Revision(self.head))[-1].release
        md5s = {
            "models/model.onnx": changes.pop("md5", f"{made:032x}"),
            "models/candidate.onnx": f"c{made:031x}",
        }
        reports = {
            "data/raw/provenance.json": json.dumps({"snapshot_sha256": "1" * 64}),
            "reports/metrics.json": json.dumps(metrics),
            **changes.pop("locked", {}),
        }
        asked: dict[str, Any] = {"export": {"targets": dict.fromkeys(exports, {})}}
        for target, export in exports.items():
            md5s[f"models/export/{target}"] = export["md5"]
            files = {name: {"sha256": sha256} for name, sha256 in export["files"].items()}
            reports[f"reports/export/{target}.json"] = json.dumps({"files": files})
        commit = self.commit(
            {
                "code": str(made),
                "pyproject.toml": PYPROJECT,
                "dvc.lock": locked(md5s | {name: _md5(text) for name, text in reports.items()}),
                **reports,
                **({"params.yaml": json.dumps(asked)} if exports else {}),
                **changes.pop("files", {}),
            }
        )
        self.ids[f"r{made}"] = f"{self.now:%Y%m%d-%H%M}-{commit[:7]}"
        return Evidence(
            id=self.ids[f"r{made}"],
            created="2030-01-01T00:00:00Z",
            git_sha=commit,
            dvc_lock_sha256=hashlib.sha256(Path("dvc.lock").read_bytes()).hexdigest(),
            snapshot_sha256="1" * 64,
            model=Model(
                version=f"made@v{self.git('rev-list', '--count', '--first-parent', 'HEAD')}.0.0",
                md5=md5s["models/model.onnx"],
                sha256="2" * 64,
                judged_md5=md5s["models/candidate.onnx"],
            ),
            images=changes.pop("images", Images(serving="", training="")),
            exports=exports,
            metrics=metrics,
            champion=changes.pop("champion", champion.id if champion else None),
            **changes,
        )

    def files(self, evidence: Evidence, *environments: str) -> dict[str, str | None]:
        """What gives environments a release, and the evidence of it."""
        files: dict[str, str | None] = {
            str(evidence_path(evidence.id)): evidence.model_dump_json() + "\n"
        }
        return files | {str(release_path(e)): evidence.release.text() for e in environments}

    def live(self, *environments: str, **changes: Any) -> Release:
        """A release that went through environments, as it should but for the time."""
        evidence = self.evidence(**changes)
        for name in environments:
            self.commit(self.files(evidence, name))
        return evidence.release

    def refused(self, files: dict[str, str | None], keep: bool = False) -> list[str]:
        """What the guard says of a change to what is on main; it stays on main if `keep`.

        Releases are called by their short names.
        """
        base = self.head
        head = self.commit(files, wait=0)
        found = refusals(Revision(base), Revision(head), self.now)
        if not keep or found:
            pygit2.Repository(os.curdir).reset(pygit2.Oid(hex=base), ResetMode.HARD)
        return [self.short(line) for line in found]

    def short(self, line: str) -> str:
        """What was said, with the short names of releases."""
        for name, known in self.ids.items():
            line = line.replace(known, name)
        return line

    def branch(self, *changes: dict[str, str | None]) -> str:
        """Commit changes on a branch of what is checked out, go back there, and say the last."""
        here = self.head
        self.git("checkout", "--quiet", "--detach")
        for files in changes:
            self.commit(files)
        head = self.head
        self.git("checkout", "--quiet", "main")
        assert self.head == here
        return head

    def merged(self, head: str, base: str = "main") -> str:
        """The commit by which GitHub merges a branch into another one on trial."""
        self.now += timedelta(minutes=1)
        self.git("checkout", "--quiet", "--detach", base)
        self.git("merge", "--quiet", "--no-ff", "--no-edit", head)
        merge = self.head
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
    """The project with a model that was released to dev, which answers on a port of its own."""

    def __init__(self, project: Workspace) -> None:
        self.project = project
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @staticmethod
    def begin(project: Workspace) -> "Released":
        """Commit the project, and release its model."""
        released = Released(project)
        released.settings("MLOPS_WORKERS=1")
        released.git("checkout", "--quiet", "-B", "main")
        released.git("config", "user.name", "Ada")
        released.git("config", "user.email", "ada@example.com")
        released.commit()
        told = released.mlops("release").stdout
        released.git("merge", "--quiet", "--ff-only", told.split()[-1])
        return released

    def copy(self, folder: Path) -> "Released":
        """The same in another folder, where dev answers on another port."""
        copied = Released(self.project.copy(folder))
        copied.settings("MLOPS_WORKERS=1")
        copied.commit()
        return copied

    @property
    def evidence(self) -> Path:
        """The file with the release's evidence."""
        (file,) = (self.project.folder / "releases").glob("*.json")
        return file

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
