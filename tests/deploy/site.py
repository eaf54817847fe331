"""A project with releases, and a machine that serves them: what `mlops` does is really done."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images.engine import HAPROXY, Engine, free_port
from pipeline.running import Project, Run

from mlops.release.evidence import release_id

ENVIRONMENTS = ("dev", "staging", "prod")

# The evidence of a release with these images, as `mlops build` writes it.
EVIDENCE = """
import sys
from mlops.release.evidence import Images, evidence_text
from mlops.release.source import of_source, source
from mlops.git.revision import Revision
with source() as found:
    images = Images(serving=sys.argv[1], training="")
    print(evidence_text(of_source(found, Revision.of("main"), images, None)))
"""


@dataclass
class Site:
    """A repository whose environments are served on this machine.

    Attributes:
        project: the repository, on branch main.
        engine: where images are run; None for processes.
        registry: where images are pushed.
        ports: where each environment answers.
    """

    project: Project
    engine: Engine | None = None
    registry: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    made: int = 0

    @staticmethod
    def begin(project: Project, engine: Engine | None = None, registry: str = "") -> Site:
        """Release the project's model to dev; nothing has to soak."""
        project.git("checkout", "--quiet", "-B", "main")
        if engine:
            _rename(project)
        project.run("dvc", "repro")
        for environment in ENVIRONMENTS:
            project.set(f"environments/{environment}/policy.yaml", soak_minutes=0)
        if registry:
            project.declare(f"{registry}/flights")
        site = Site(project, engine, registry)
        site.change()
        site.release()
        return site

    def copy(self, folder: Path) -> Site:
        """Return the same, to be changed, with ports of its own."""
        copied = Site(self.project.copy(folder), self.engine, self.registry, made=self.made)
        for environment in ENVIRONMENTS:
            copied.ports[environment] = free_port()
            copied.settings(environment)
        copied.project.commit()
        return copied

    def settings(self, environment: str, **changes: str) -> None:
        """Write an environment's settings."""
        known = {
            "LISTEN": f"127.0.0.1:{self.ports[environment]}",
            "REPLICAS": "1",
            "CPUS": "1",
            "MEMORY": "512M",
            "READY_SECONDS": "60",
            "PROXY_IMAGE": HAPROXY,
            "MLOPS_LOG": "/log",
            "MLOPS_WORKERS": "1",
        } | changes
        text = "".join(f"{name}={value}\n" for name, value in known.items())
        self.project.write(f"environments/{environment}/config.env", text)

    @property
    def environ(self) -> dict[str, str]:
        """What commands are told beside: processes are looked for on no engine of this machine."""
        host = self.engine.host if self.engine else "unix:///nowhere"
        return {"DOCKER_HOST": host} if host else {}

    def mlops(self, *arguments: str, code: int = 0) -> Run:
        """Run `mlops` with these arguments."""
        return self.project.run("mlops", *arguments, code=code, env=self.environ)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `mlops`, to be killed."""
        return subprocess.Popen(
            ["mlops", *arguments],
            cwd=self.project.folder,
            env=self.project.environ() | self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def change(self, **params: Any) -> None:
        """Commit a change: of parameters, with what the pipeline makes of it, or of nothing."""
        self.made += 1
        self.project.write("note.txt", f"{self.made}\n")
        if params:
            self.project.set("params.yaml", **params)
            self.project.run("dvc", "repro")
        self.project.commit()

    def release(self, image: Callable[[str], str] | None = None) -> str:
        """Release the newest commit to dev, and return the release's id.

        Args:
            image: makes an image for that id instead of the one that is built of the commit.
        """
        if not self.engine:
            self.merge("release")
            return self.named("dev")
        served = (image or self.build)(self.identity())
        evidence = self.project.run("python", "-c", EVIDENCE, served).stdout
        # Outside: a new file would be committed with the next change.
        file = self.project.folder.with_suffix(".json")
        file.write_text(evidence, encoding="utf-8")
        self.merge("release", "--evidence", str(file))
        return str(json.loads(evidence)["id"])

    def identity(self) -> str:
        """Return what a release of the commit is called, which its image is told before it is."""
        seconds, commit = self.project.git("show", "--no-patch", "--format=%ct %H").split()
        return release_id(commit, datetime.fromtimestamp(int(seconds), UTC))

    def build(self, identity: str) -> str:
        """Build and push the image of the commit, and return its name with its digest."""
        assert self.engine is not None
        name = f"{self.registry}/flights/serving"
        told = self.project.folder.with_suffix(".image")
        self.engine.build(
            self.project.folder,
            "serving",
            f"--metadata-file={told}",
            # As `mlops build` pushes it.
            f"--output=type=image,name={name}:{identity},push=true,oci-mediatypes=true,compression=zstd",
            arguments={"RELEASE": identity},
        )
        digest = json.loads(told.read_text(encoding="utf-8"))["containerimage.digest"]
        return f"{name}@{digest}"

    def merge(self, *command: str) -> None:
        """Propose something, and merge it, as somebody does who agrees."""
        done = self.mlops(*command)
        found = re.search(r"git merge --ff-only (\S+)", done.stdout)
        assert found is not None, done.stdout
        self.project.git("merge", "--quiet", "--ff-only", found[1])

    def promote(self, *environments: str) -> None:
        """Promote what the environment before has, to one after the other."""
        for environment in environments:
            self.merge("promote", environment)

    def named(self, environment: str) -> str:
        """Return the release that Git says an environment is to run."""
        text = self.project.git("show", f"main:environments/{environment}/release.env")
        return text.partition("\n")[0].removeprefix("RELEASE_ID=")

    def drift(self) -> list[str]:
        """Return what `status` says of differences between Git and what runs."""
        lines = self.mlops("status").stdout.splitlines()
        return [line for line in lines if "mlops apply" in line]

    def stop(self) -> None:
        """Stop whatever is served."""
        for environment in ENVIRONMENTS:
            file = Path("environments", environment, "release.env")
            if self.project.run("git", "ls-files", str(file)).stdout:
                self.mlops("stop", environment)


def _rename(project: Project) -> None:
    """Give a project a name of its own: the engine may serve others of this one."""
    name = f"flights-{uuid.uuid4().hex[:8]}"
    for file in ("pyproject.toml", "uv.lock"):
        text = (project.folder / file).read_text(encoding="utf-8")
        project.write(file, text.replace('"flight-delays"', f'"{name}"'))
    project.run("dvc", "repro", "--force", "--single-item", "convert")
