"""An environment on a Docker Engine: a proxy that stays, and servers that take each other's place.

New servers are started beside those that serve, and get no request before they are healthy and have
answered rightly. Then they join the network on which the proxy looks for servers by name, and once
it answers with them, the old ones are told to go, which first answer what they were asked. Whatever
fails before that leaves the old ones serving. All that is known is the engine's: its networks,
containers and their labels, so that nothing is lost with the machine that ran `mlops apply`.

The engine is the one that `docker` takes: this machine's, or that of DOCKER_HOST=ssh://...
"""

import hashlib
import io
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digits import counted
from ..errors import CheckError, InputError
from .docker import docker, failure, program
from .target import STOP_SECONDS, WITHIN, Running, Target

WHERE = "on a Docker Engine"
FILES = Path("deploy")
# Seconds in which the proxy has to find new servers: it looks for names and health each second.
FOUND_SECONDS = 30
# The name by which the proxy looks for servers.
ALIAS = "servers"
_RUN_ARCHIVE = """
import runpy, sys
with open("/tmp/smoke.pyz", "wb") as archive:
    archive.write(sys.stdin.buffer.read())
runpy.run_path(archive.name, run_name="__main__")
"""


@dataclass(frozen=True)
class Generation:
    """Servers that were started together, which is a project of Compose.

    Attributes:
        name: of that project.
        release: what they serve.
        containers: their ids.
        serving: whether one of them is where the proxy looks for servers.
    """

    name: str
    release: str
    containers: tuple[str, ...]
    serving: bool


def apply(target: Target) -> Iterator[str]:
    """Have the engine run what Git says, without losing a request; a line a step.

    Raises:
        InputError: there is no Docker, or a file that it needs is not in Git.
        CheckError: no engine answers, the new servers are not as they should be, or another apply
            is under way.
    """
    with _files(target) as files, _alone(files):
        before = generations(target.stack)
        serving = [each for each in before if each.serving]
        try:
            yield from _bring(target, files)
        except CheckError as error:
            if files.generation not in (each.name for each in serving):
                _down(files.generation)
            old = ", ".join(sorted({each.release for each in serving}))
            still = f"{old} still serves" if old else "nothing serves"
            raise CheckError(f"{target.environment}: {error}; {still}") from None
        for each in before:
            if each.name != files.generation:
                _down(each.name)
                yield f"stopped {each.release} after draining its requests"


def stop(stack: str) -> bool:
    """Take an environment off the engine, but for its log, and say whether anything was there."""
    there = [each.name for each in generations(stack)]
    there += [each for each in docker("compose", "ls", "--all", "--quiet").split() if each == stack]
    for name in there:
        _down(name)
    if _has_network(stack) and not _is_joined(stack):
        docker("network", "rm", stack)
    return bool(there)


def serves(stack: str) -> list[Generation]:
    """What runs on the engine; nothing where there is none to ask."""
    try:
        return generations(stack)
    except (InputError, CheckError):
        return []


def running(target: Target) -> list[Running]:
    """What runs on the engine, compared with what Git says."""
    found = serves(target.stack)
    if not found:
        return []
    with _files(target) as files:
        return [
            Running(each.release, each.serving, each.name == files.generation) for each in found
        ]


def generations(stack: str) -> list[Generation]:
    """The servers of an environment that are there, whether or not they run."""
    ids = docker("ps", "--all", "--quiet", "--filter", f"label=mlops.stack={stack}").split()
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(docker("inspect", *ids)) if ids else []:
        found.setdefault(each["Config"]["Labels"]["com.docker.compose.project"], []).append(each)
    return [
        Generation(
            name=name,
            release=each[0]["Config"]["Labels"]["mlops.release"],
            containers=tuple(sorted(one["Id"] for one in each)),
            serving=any(stack in one["NetworkSettings"]["Networks"] for one in each),
        )
        for name, each in found.items()
    ]


@dataclass(frozen=True)
class _Files:
    """What Compose is given: files as they are in Git, in a folder of their own.

    Attributes:
        folder: where they are.
        stack: the Compose project of the proxy.
        generation: that of the servers: another one when anything about them is another.
        ready_seconds: how long servers may take.
        variables: what the files name that is in no file.
    """

    folder: Path
    stack: str
    generation: str
    ready_seconds: int
    variables: Mapping[str, str]

    def compose(self, file: str, project: str, *arguments: str) -> str:
        """Run `docker compose` on one of them."""
        told = [f"--env-file={self.folder / name}" for name in ("release.env", "config.env")]
        about = [f"--project-name={project}", f"--file={self.folder / file}", *told]
        return docker("compose", *about, *arguments, variables=self.variables)

    def up(self, file: str, project: str) -> None:
        """Start what a file says, and wait until it is healthy."""
        wait = ("--wait", f"--wait-timeout={self.ready_seconds}")
        self.compose(file, project, "up", "--detach", "--quiet-pull", *wait)


@contextmanager
def _files(target: Target) -> Iterator[_Files]:
    texts = {"release.env": target.release.text(), "config.env": target.settings.text}
    for name in ("compose.server.yaml", "compose.proxy.yaml"):
        text = target.at.read(FILES / name)
        if text is None:
            raise InputError(f"{FILES / name}: no such file in Git")
        texts[name] = text
    servers = _digest(texts[name] for name in ("release.env", "config.env", "compose.server.yaml"))
    asked = sorted(target.settings.proxy.items())
    proxy = _digest([texts["compose.proxy.yaml"], *(f"{name}={value}" for name, value in asked)])
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        yield _Files(
            folder=Path(folder),
            stack=target.stack,
            generation=f"{target.stack}-{servers}",
            ready_seconds=target.settings.ready_seconds,
            variables={"STACK": target.stack, "SETTINGS": proxy},
        )


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _bring(target: Target, files: _Files) -> Iterator[str]:
    """Start the servers, try them, and let requests come to them."""
    if not _has_network(files.stack):
        docker("network", "create", files.stack)
    docker("volume", "create", f"{files.stack}-log")
    files.up("compose.proxy.yaml", files.stack)
    try:
        files.up("compose.server.yaml", files.generation)
    except CheckError as error:
        said = _last_words(files.generation)
        raise CheckError(f"{target.release.id} does not become healthy: {error}{said}") from None
    (new,) = (each for each in generations(files.stack) if each.name == files.generation)
    for container in new.containers:
        _smoke(target, container, "http://127.0.0.1:8080")
    replicas = counted(len(new.containers), "replica")
    are = "is" if len(new.containers) == 1 else "are"
    yield f"{replicas} of {target.release.id} {are} healthy"
    for container in new.containers:
        if files.stack not in _networks(container):
            docker("network", "connect", f"--alias={ALIAS}", files.stack, container)
    # New and old ones answer in turn until the old ones are gone: it asks until a new one does.
    _smoke(target, new.containers[0], "http://proxy:8080", wait=FOUND_SECONDS)
    yield f"serving: {target.release.id} at {target.settings.listen}"


def _smoke(target: Target, container: str, url: str, wait: int = 0) -> None:
    """Run the smoke test from within a container, where nothing is open to the outside yet.

    The test is the one that is installed here, whatever the image brings: a release that is gone
    back to may be older than it.
    """
    wanted = [f"--release={target.release.id}", f"--model={target.model_sha256}"]
    limits = [f"--within={WITHIN}", f"--wait={wait}"]
    command = ["python", "-c", _RUN_ARCHIVE, url, *wanted, *limits]
    docker("exec", "--interactive", container, *command, stdin=_smoke_archive())


def _smoke_archive() -> bytes:
    """The smoke test with the modules that it takes, as an archive that Python runs."""
    root, content = Path(__file__).parents[1], io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("__main__.py", "from check.serving.smoke import main\n\nmain()\n")
        for package in ("check", "check/serving"):
            archive.writestr(f"{package}/__init__.py", "")
        for name in ("errors.py", "serving/client.py", "serving/smoke.py"):
            archive.write(root / name, f"check/{name}")
    return content.getvalue()


def _has_network(name: str) -> bool:
    return name in docker("network", "ls", "--format", "{{.Name}}").split()


def _is_joined(network: str) -> bool:
    """Whether somebody else is in an environment's network: Prometheus, which stays."""
    return docker("network", "inspect", "--format", "{{len .Containers}}", network) != "0"


def _networks(container: str) -> dict[str, Any]:
    found = docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    return dict(json.loads(found))


def _last_words(project: str) -> str:
    """The last line that servers printed, if any."""
    with suppress(CheckError):
        lines = docker(
            "compose", f"--project-name={project}", "logs", "--no-log-prefix", "--tail=1"
        )
        if lines:
            return f" ({lines.splitlines()[-1]:.200})"
    return ""


def _down(project: str) -> None:
    docker("compose", f"--project-name={project}", "down", f"--timeout={STOP_SECONDS}")


@contextmanager
def _alone(files: _Files) -> Iterator[None]:
    """Let nobody else apply the same environment on the engine, from whichever machine.

    The lock is a container: its name can be had once, and it ends with the pipe to this process,
    however that ends. Raises CheckError where somebody has it.
    """
    image = files.compose("compose.proxy.yaml", files.stack, "config", "--images")
    how = ("--rm", "--interactive", "--network=none", "--memory=32m", "--entrypoint=cat")
    command = [program(), "run", *how, f"--name={files.stack}-apply", image]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as holding:
        said = _echo(holding)
        if said is not None:
            if "already in use" in said:
                raise CheckError(f"{files.stack}: another apply is under way; wait for it")
            raise CheckError(failure(said))
        try:
            yield
        finally:
            holding.communicate()


def _echo(holding: "subprocess.Popen[str]") -> str | None:
    """Wait for a line to come back. Returns what was said instead; None when it came."""
    assert holding.stdin
    assert holding.stdout
    with suppress(BrokenPipeError):
        holding.stdin.write("mine\n")
        holding.stdin.flush()
        if holding.stdout.readline():
            return None
    return holding.communicate()[1]
