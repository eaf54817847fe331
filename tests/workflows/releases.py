"""A project on GitHub with a registry and a Docker Engine, which its workflows release to."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.engine import BUILDKIT, HAPROXY, Builder, Engine, free_port
from pipeline.running import Project
from workflows import act, events
from workflows.act import Outcome, Workflow
from workflows.events import Event
from workflows.hosting import Hosting
from workflows.world import World, placed

GH = Path(__file__).with_name("gh_stand_in.py")
ENVIRONMENTS = ("dev", "staging", "prod")
APP = {"APP_ID": "Iv1.made-up"}
KEY = {"APP_PRIVATE_KEY": "made-up-key"}


@dataclass(frozen=True)
class Machines:
    """Where images are built, kept and run."""

    engine: Engine
    registry: str
    builder: Builder

    def environ(self, home: Path) -> dict[str, str]:
        """Return what a job sees of them; the engine is the one that `docker` takes by itself."""
        if self.engine.host is not None:
            settings = {"HOME": str(home)}
            there = f"host={self.engine.host}"
            if "tests" not in self.engine.docker(
                "context", "ls", "--format", "{{.Name}}", env=settings | {"DOCKER_HOST": ""}
            ):
                how = settings | {"DOCKER_HOST": ""}
                self.engine.docker("context", "create", "tests", "--docker", there, env=how)
                self.engine.docker("context", "use", "tests", env=how)
        return {"STANDIN_BUILDER": self.builder.name, "STANDIN_BUILDKIT": BUILDKIT}

    @property
    def variables(self) -> dict[str, str]:
        """Return what the repository's variables say of them."""
        return {"REGISTRY": self.registry, "BUILD_ARGS": " ".join(self.builder.arguments)}


@dataclass(frozen=True)
class Releases(World):
    """A repository whose workflows release, deploy, promote and roll back.

    Attributes:
        github: with its pull requests and issues.
        machines: for its images; None where it has none.
    """

    github: Hosting
    machines: Machines | None = None

    @property
    def attestations(self) -> Path:
        """Where what was attested is kept."""
        return self.folder / "attestations"

    def environ(self) -> dict[str, str]:
        """Return all that a job sees of this machine."""
        found = super().environ()
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        placed(GH, programs / "gh")
        if self.machines is not None:
            found |= self.machines.environ(Path(found["HOME"]))
        return found | {
            "PATH": f"{programs}:{found['PATH']}",
            "STANDIN_ATTESTATIONS": str(self.attestations),
        }

    def go(
        self,
        name: str,
        event: Event | None = None,
        workflow: Workflow | None = None,
        app: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a workflow on what is on main, as a push or for another event.

        Args:
            name: the workflow's.
            event: what starts it; none for a push of the newest commit.
            workflow: another one in its place.
            app: whether the repository has an app of its own.
            variables: of the repository, beside those that say where the machines are.
        """
        shutil.rmtree(self.artifacts, ignore_errors=True)
        self.update()
        own = self.machines.variables if self.machines else {}
        return act.run(
            workflow or self.workflow(name),
            event or self.pushed(),
            folder=self.folder / "act",
            checkout=self.project.folder,
            environ=self.environ(),
            server=self.github.url,
            variables=own | (APP if app else {}) | dict(variables or {}),
            secrets=KEY if app else {},
        )

    def update(self) -> None:
        """Have the clone be what main is."""
        self.project.git("fetch", "--quiet", "--prune", "origin")
        self.project.git("checkout", "--quiet", "--force", "-B", "main", "origin/main")

    def pushed(self, before: str = events.ZEROS) -> Event:
        """Return the event of a push to main that was `before`."""
        return events.push(self.commit("main"), before)

    def change(self, files: Mapping[str, str | None]) -> str:
        """Push a change of files to main, None taking one away, and return the commit."""
        self.update()
        for name, text in files.items():
            if text is None:
                (self.project.folder / name).unlink()
            else:
                self.project.write(name, text)
        self.project.commit()
        self.project.git("push", "--quiet", "origin", "HEAD:main")
        return self.commit("main")

    def merge(self, branch: str) -> Event:
        """Merge a pull request that the guard lets through, and return the event of that."""
        self.update()
        self.project.git("checkout", "--quiet", "--detach", f"origin/{branch}")
        self.project.run("mlops", "guard", "--base", "origin/main")
        return self.pushed(self.github.merge(branch))

    def facts(self, environment: str, file: str = "release", ref: str = "main") -> dict[str, str]:
        """Return what a file of an environment says in Git."""
        text = self.show(ref, f"environments/{environment}/{file}.env").decode()
        pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
        return {name: value for name, _, value in pairs}

    def answers(self, environment: str) -> str | None:
        """Return the release that answers where the environment listens; None where none does."""
        return answering(self.facts(environment, "config")["LISTEN"])

    def stop(self) -> None:
        """Take away what runs."""
        self.update()
        for environment in ENVIRONMENTS:
            if (self.project.folder / f"environments/{environment}/release.env").is_file():
                self.project.run("mlops", "stop", environment, env=self.docker())

    def docker(self) -> dict[str, str]:
        """Return by which a command of the clone finds the engine."""
        host = self.machines.engine.host if self.machines else None
        return {"DOCKER_HOST": host} if host else {}


def answering(address: str) -> str | None:
    """Return the release that answers at an address; None where none does."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/v2")
        name = json.load(connection.getresponse())["name"]
        connection.request("GET", f"/v2/models/{name}")
        told: dict[str, Any] = json.load(connection.getresponse())
        return str(told["parameters"]["release"])
    except (OSError, KeyError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def settle(project: Project) -> None:
    """Give the environments ports of their own, little of the machine, and little time."""
    for environment in ENVIRONMENTS:
        name = f"environments/{environment}/config.env"
        port = free_port()
        lines = [
            line
            for line in (project.folder / name).read_text(encoding="utf-8").splitlines()
            if not line.startswith(("LISTEN=", "REPLICAS=", "MLOPS_WORKERS="))
        ]
        lines += [f"LISTEN=127.0.0.1:{port}", "REPLICAS=1", "MLOPS_WORKERS=1", "READY_SECONDS=30"]
        lines += [f"PROXY_IMAGE={HAPROXY}"]
        project.write(name, "\n".join(lines) + "\n")
