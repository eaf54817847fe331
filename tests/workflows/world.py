"""A project on GitHub, as far as it takes to run its workflows on one machine.

Pushes and fetches reach a bare repository through Git's `insteadOf`; DVC's remote is a folder.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline import warm
from pipeline.running import Project, shell
from serving.running import wait_for
from workflows import events
from workflows.act import Outcome, Workflow, run
from workflows.events import REPOSITORY, Event
from workflows.github import GitHub
from workflows.permissions import UNASKED, unneeded

CML = Path(__file__).with_name("cml_stand_in.py")
PUSH = Path(__file__).with_name("push_stand_in.py")
PERMISSIONS = Path(__file__).with_name("permissions.py")
STORE = "store"


def git(folder: Path, *arguments: str) -> str:
    """Run Git as somebody with a name."""
    done = subprocess.run(
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *arguments],
        cwd=folder,
        env=shell(folder),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def hub(folder: Path) -> Path:
    """Make the bare repository of a world in its folder, and return it."""
    origin = folder / "hub" / f"{REPOSITORY}.git"
    origin.mkdir(parents=True)
    git(origin, "init", "--quiet", "--bare", "--initial-branch=main")
    (origin / "hooks").mkdir(exist_ok=True)
    placed(PUSH, origin / "hooks" / "update")
    return origin


def placed(script: Path, target: Path) -> Path:
    """Place a script where others run it, by an interpreter that looks for no packages.

    They are run for each push and each action, and do little.
    """
    program = script.read_text(encoding="utf-8").removeprefix("#!/usr/bin/env python3\n")
    target.write_text(f"#!{Path(sys.executable).resolve()} -IS\n{program}", encoding="utf-8")
    target.chmod(0o755)
    return target


@cache
def venv_of_jobs() -> Path:
    """Return where jobs have their environment, which `install` makes.

    Not the tests' own: a job's `uv run` has it import the job's checkout.
    """
    folder = Path(tempfile.mkdtemp(prefix="jobs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "venv"


def install(venv: Path, project: Path, shared: Mapping[str, str], own: Mapping[str, str]) -> None:
    """Make the environment of jobs as their first one would, and have their commands begin warm.

    It has the packages of the tests' own, and takes from there what Python has compiled.

    Args:
        venv: where it is made.
        project: whose packages are installed.
        shared: of what a job sees of this machine, that which all jobs do.
        own: the rest.
    """
    settings = {**shared, **own, "UV_PROJECT_ENVIRONMENT": str(venv)}
    subprocess.run(["uv", "sync", "--locked", "--quiet"], cwd=project, env=settings, check=True)
    known = Path(sys.prefix)
    for compiled in known.glob("lib/*/site-packages/**/__pycache__"):
        target = venv / compiled.relative_to(known)
        if target.parent.is_dir():
            shutil.copytree(compiled, target, dirs_exist_ok=True)
    wait_for((warm.folder(venv, **shared) / ".server").exists, "warm commands")


@dataclass(frozen=True)
class World:
    """A repository with its branches, DVC's remote, GitHub, and a machine that runs jobs.

    Attributes:
        folder: of this world.
        project: an author's clone.
        github: what it runs on.
        store: the path by which the project knows DVC's remote.
    """

    folder: Path
    project: Project
    github: GitHub
    store: Path

    @property
    def origin(self) -> Path:
        """The bare repository."""
        return self.github.origin

    @property
    def artifacts(self) -> Path:
        """Where runs keep what they upload."""
        return self.folder / "artifacts"

    @property
    def caches(self) -> Path:
        """Where actions/cache keeps what it saves."""
        return self.folder / "caches"

    def workflow(self, name: str = "ci") -> Workflow:
        """Return a workflow of the project."""
        return Workflow.read(self.project.folder / ".github" / "workflows" / f"{name}.yml")

    def start(self, branch: str) -> None:
        """Let `main` be what another branch is."""
        git(self.origin, "update-ref", "refs/heads/main", f"refs/heads/{branch}")

    def disconnect(self) -> None:
        """Let DVC's remote be out of reach."""
        self.store.unlink()

    def commit(self, branch: str) -> str:
        """Return a branch's commit."""
        return git(self.origin, "rev-parse", branch)

    def branches(self) -> set[str]:
        """Return the names of all branches."""
        return set(
            git(self.origin, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
        )

    def show(self, branch: str, path: str) -> bytes:
        """Return a file of a branch."""
        return subprocess.run(
            ["git", "show", f"{branch}:{path}"], cwd=self.origin, check=True, capture_output=True
        ).stdout

    def pull_request(self, branch: str, number: int = 1, head: str = REPOSITORY) -> Event:
        """Merge a branch into main on trial, as GitHub does, for a run of its pull request."""
        merging = self.folder / f"merge-{branch}"
        git(self.folder, "clone", "--quiet", str(self.origin), str(merging))
        git(merging, "merge", "--quiet", "--no-ff", "--message", "Merge", f"origin/{branch}")
        git(merging, "push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{number}/merge")
        sha = git(merging, "rev-parse", "HEAD")
        shutil.rmtree(merging)
        return events.pull_request(number, sha, head=head)

    def unneeded(self, name: str) -> list[str]:
        """Return the permissions of a workflow's jobs without which nothing would be refused.

        What is asked nowhere, for a reason, is left out.
        """
        jobs, running = self.workflow(name).jobs, self.github.running
        found = [
            f"{name}/{job}: {permission}"
            for job in jobs
            for permission in unneeded(running, f"{name}/{job}", jobs[job]["permissions"])
        ]
        return [each for each in found if each not in UNASKED]

    def adopt(self, root: Path) -> None:
        """Have main be with what another bake has for GitHub."""
        folder = self.project.folder / ".github"
        shutil.rmtree(folder)
        shutil.copytree(root / ".github", folder)
        self.project.commit()
        self.project.git("push", "--quiet", "origin", "HEAD:main")

    def run(
        self,
        event: Event,
        workflow: Workflow | None = None,
        cml: str = "works",
        variables: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a workflow, all of ci by default, for an event."""
        shutil.rmtree(self.artifacts, ignore_errors=True)
        return self.run_on(event, workflow or self.workflow(), cml, variables)

    def run_on(
        self,
        event: Event,
        workflow: Workflow,
        cml: str = "works",
        variables: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a workflow where artifacts of the same run may lie already."""
        return run(
            workflow,
            event,
            folder=self.folder / "act",
            checkout=self.project.folder,
            environ=self.environ() | {"STANDIN_CML": cml},
            server=self.github.url,
            variables=variables,
        )

    def environ(self) -> dict[str, str]:
        """Return all that a job sees of this machine."""
        home = self.folder / "home"
        if not home.exists():
            (home / ".config" / "gh").mkdir(parents=True)
            (home / ".config" / "gh" / "config.yml").write_text(
                f"http_unix_socket: {self.github.socket}\n", encoding="utf-8"
            )
        there = f'[url "file://{self.origin.parents[1]}/"]\n\tinsteadOf = {self.github.url}/\n'
        # What the real checkout says about its folder, and what file:// needs for trial merges.
        there += "[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n"
        (home / ".gitconfig").write_text(there, encoding="utf-8")
        known = shell(self.folder)
        passed = (
            "PATH",
            "LANG",
            "LC_ALL",
            "CML_SOURCE",
            "UV_CACHE_DIR",
            "UV_CONFIG_FILE",
            "OMP_NUM_THREADS",
        )
        network = ("SSL_", "UV_INDEX", "UV_DEFAULT_INDEX")
        kept = {
            name: value
            for name, value in known.items()
            if name in passed or name.startswith(network) or name.lower().endswith("_proxy")
        }
        cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True)
        own = {"HOME": str(home), "UV_CACHE_DIR": cache.stdout.strip()}
        jobs = venv_of_jobs()
        if not jobs.exists():
            install(jobs, self.project.folder, kept, own)
        kept["PATH"] = f"{warm.folder(jobs, **kept)}{os.pathsep}{kept['PATH']}"
        return kept | {
            **own,
            "UV_PROJECT_ENVIRONMENT": str(jobs),
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            # A job's own home may not be where Git looks: the picture must reach `origin` from any.
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "NODE_EXTRA_CA_CERTS": str(self.github.certificate),
            "STANDIN_JOB": str(self.github.running),
            "STANDIN_PERMISSIONS": str(placed(PERMISSIONS, self.folder / "permissions")),
            "STANDIN_ARTIFACTS": str(self.artifacts),
            "STANDIN_CACHE": str(self.caches),
            "STANDIN_CML_SCRIPT": str(placed(CML, self.folder / "cml")),
        }
