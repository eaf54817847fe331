"""A Docker Engine for tests, the base images that no registry gives here, and a registry.

No image is pulled: what the Dockerfiles take from registries has stand-ins, made from Debian's
packages, which are fetched once, and from this machine's uv. `Engine.build` puts them in by the
Dockerfiles' arguments.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import helpers

# Debian 12 has Python 3.11, which is what a bake asks for by default.
SUITE = "bookworm"
# A shell with its tools, Python and what wheels link to, HAProxy for the proxy, runc for BuildKit.
PACKAGES = (
    *("base-files", "base-passwd", "coreutils", "dash", "findutils", "grep", "sed"),
    *("haproxy", "libstdc++6", "python3", "runc", "usr-is-merged"),
)
# Folders that are links since Debian 12.
MERGED = """
for name in bin sbin lib lib64; do
  mkdir -p "$1/usr/$name"
  ln -s "usr/$name" "$1/$name"
done
"""
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
CACHE = helpers.ROOT / "build" / "images" / "base.tar"
# Of an engine. Not below pytest's folders: the path of a socket has 107 characters at most.
FOLDER = Path(
    tempfile.gettempdir(), f"engine-{hashlib.sha256(bytes(helpers.ROOT)).hexdigest()[:8]}"
)
PYTHON = "python:stand-in"
UV = "uv:stand-in"
HAPROXY = "haproxy:stand-in"
BUILDKIT = "buildkit:stand-in"
# How every container is run that is ours.
RESTRICTED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108 (the container's)
    *("--security-opt", "no-new-privileges"),
)

Run = subprocess.CompletedProcess[str]


class Missing(Exception):
    """What this machine lacks."""


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something is ready, and fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def proxies() -> list[str]:
    """Return how a build is told the proxies that this machine needs to reach package indexes."""
    names = [f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "NO")]
    return [
        f"--build-arg={name}"
        for each in names
        for name in (each, each.lower())
        if name in os.environ
    ]


def kept(name: str) -> str:
    """Return how a build is told to keep an image in the engine: compressed by what is fastest."""
    return f"--output=type=image,name={name},oci-mediatypes=true,compression=zstd"


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port on loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def log_tail(file: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(file.read_text(encoding="utf-8").splitlines()[-20:])


@contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server as long as it is needed."""
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=60)


@dataclass(frozen=True)
class Engine:
    """A Docker Engine that answers.

    Attributes:
        host: its address, as in DOCKER_HOST; None for what the `docker` command takes by itself.
    """

    host: str | None = None

    def docker(
        self,
        *arguments: str | Path,
        code: int = 0,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run `docker` with these arguments, require its exit code, and return what it prints."""
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            env=os.environ | ({"DOCKER_HOST": self.host} if self.host else {}) | dict(env or {}),
            input=stdin,
            capture_output=True,
            timeout=600,
        )
        out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
        told = f"docker {' '.join(map(str, arguments))}\n--- stdout\n{out}\n--- stderr\n{err}"
        assert done.returncode == code, f"exit {done.returncode}, not {code}: {told}"
        return (out if code == 0 else out + err).strip()

    def answers(self) -> bool:
        """Tell whether there is such an engine."""
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        env = os.environ | ({"DOCKER_HOST": self.host} if self.host else {})
        return subprocess.run(command, env=env, capture_output=True).returncode == 0

    def keeps_manifests(self) -> bool:
        """Tell whether it has containerd's image store: only that exports images as OCI says."""
        status = self.docker("info", "--format", "{{json .DriverStatus}}")
        return "io.containerd.snapshotter" in status

    def build(
        self,
        project: Path,
        image: str,
        *options: str,
        arguments: Mapping[str, str] | None = None,
        code: int = 0,
    ) -> str:
        """Build one of a project's images upon the stand-ins."""
        known = {"BASE": PYTHON, "UV": UV} | dict(arguments or {})
        return self.docker(
            *("buildx", "build", "--provenance", "false", *proxies(), *options),
            *("--file", project / "deploy" / "images" / f"{image}.Dockerfile", project),
            *(f"--build-arg={name}={value}" for name, value in known.items()),
            code=code,
        )

    @contextmanager
    def container(self, *arguments: str) -> Iterator[str]:
        """Run a container in the background, and remove it with its volumes."""
        name = self.docker("run", "--detach", *arguments)
        try:
            yield name
        finally:
            self.docker("rm", "--force", "--volumes", name)

    def inspect(self, container: str, what: str) -> str:
        """Return a value of a container, named by a Go template."""
        return self.docker("inspect", "--format", "{{" + what + "}}", container)

    def health(self, container: str) -> str:
        """Return what a container's health check says."""
        return self.inspect(container, ".State.Health.Status")


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Yield an engine with the stand-ins: the machine's own, or one for all who test this clone.

    Raises Missing where there can be none.
    """
    if shutil.which("docker") is None:
        raise Missing("the docker command is not installed")
    own = Engine()
    if own.answers():
        bring_stand_ins(own)
        yield own
        return
    if os.getuid() or shutil.which("dockerd") is None:
        raise Missing("none answers, and only root with dockerd can start one")
    # Who comes first starts it, who goes last ends it: each has a lock as long as it is needed, and
    # another one to come or to go.
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with (
        CACHE.with_name("engine.users").open("a") as users,
        CACHE.with_name("engine.turn").open("a") as turn,
    ):
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            engine = Engine(_address(FOLDER))
            if _is_only(users):
                if not engine.answers():  # one that was left, by a run that was killed
                    _start_engine(FOLDER)
                bring_stand_ins(engine)
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield engine
        finally:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if _is_only(users):
                _end_engine(FOLDER)


def _is_only(users: TextIO) -> bool:
    """Tell whether nobody else has a lock of a file, and have it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _address(folder: Path) -> str:
    return f"unix://{folder}/docker.sock"


def _start_engine(folder: Path) -> None:
    """Start an engine in a folder of its own."""
    engine = Engine(_address(folder))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # containerd's image store exports an image with the digest that a registry gives it. The
    # network is Docker's own: its bridge and its rules for iptables stay behind, and do no harm.
    settings = folder / "daemon.json"
    settings.write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    options = {
        "config-file": settings,
        "data-root": folder / "data",
        "exec-root": folder / "run",
        "pidfile": _pid(folder),
        "host": engine.host,
    }
    with (folder / "log").open("wb") as log:
        # Of no worker's: it goes on when that ends.
        it = subprocess.Popen(
            ["dockerd", *(f"--{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_for(lambda: it.poll() is not None or engine.answers(), "dockerd")
    assert it.poll() is None, log_tail(folder / "log")


def _end_engine(folder: Path) -> None:
    """End it, with its containers, and take its folder away."""
    if not _pid(folder).exists():  # it did not start
        return
    engine = Engine(_address(folder))
    for container in engine.docker("ps", "--all", "--quiet").split():
        engine.docker("rm", "--force", container)
    os.kill(int(_pid(folder).read_text()), signal.SIGTERM)
    wait_for(lambda: not _pid(folder).exists(), "the end of dockerd")
    # dockerd leaves its network's namespace there.
    subprocess.run(["umount", folder / "run" / "netns" / "default"], capture_output=True)
    # Gigabytes, for which nobody needs to wait: the shell ends at once and leaves it to itself.
    gone = folder.rename(f"{folder}-{os.getpid()}")
    subprocess.run(["sh", "-c", 'rm -rf "$1" &', "sh", gone], check=True)


def _pid(folder: Path) -> Path:
    return folder / "docker.pid"


def _debian(target: Path) -> None:
    """Write a small Debian with this machine's certificates as a tarball.

    Raises Missing where it cannot be made.
    """
    as_root = ["sudo", "--non-interactive"] if os.getuid() else []
    can = subprocess.run([*as_root, "mmdebstrap", "--version"], capture_output=True, check=False)
    if can.returncode:
        raise Missing("a base image is made by root with mmdebstrap")
    certificates = os.environ.get("SSL_CERT_FILE", f"/{CERTIFICATES}")
    hooks = [
        # Of Debian's own slim images, too.
        *(f'rm -r "$1/usr/share/{each}"' for each in ("doc", "locale", "man")),
        f'mkdir -p "$1/{Path(CERTIFICATES).parent}" "$1/usr/local/bin"',
        f'cp {certificates} "$1/{CERTIFICATES}"',
        # Where the official images have it.
        'ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
        # What packages do when they are configured, as far as it matters here.
        'cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"',
        'cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"',
        'chroot "$1" python3 -m compileall -q /usr/lib/python3.11',
    ]
    # Only unpacked: to configure each package takes longer than all else.
    done = subprocess.run(
        [
            *(*as_root, "mmdebstrap", "--quiet", "--variant=extract"),
            f"--include={','.join(PACKAGES)}",
            f"--setup-hook={MERGED}",
            *(f"--extract-hook={hook}" for hook in hooks),
            *(SUITE, target),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def bring_stand_ins(engine: Engine) -> None:
    """Import what the Dockerfiles are built upon; the Debian is made once, and kept in build/."""
    uv = shutil.which("uv")
    assert uv is not None, "uv runs these tests"
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with CACHE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not CACHE.is_file():
            unfinished = CACHE.with_suffix(".part.tar")
            _debian(unfinished)
            unfinished.replace(CACHE)
    engine.docker("import", CACHE, PYTHON)
    engine.docker("tag", PYTHON, HAPROXY)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as packed:
        packed.add(Path(uv).resolve(), arcname="uv")
    engine.docker("import", "-", UV, stdin=archive.getvalue())


def bring_buildkit(engine: Engine) -> None:
    """Build a stand-in for BuildKit's image from its real programs, which `.ci/run` installs.

    Raises Missing where it did not.
    """
    dockerfile = [
        f"FROM {PYTHON}",
        "COPY buildkitd buildctl /usr/local/bin/",
        'ENTRYPOINT ["buildkitd"]',
    ]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as packed:
        content = "\n".join(dockerfile).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(content)
        packed.addfile(entry, io.BytesIO(content))
        for name in ("buildkitd", "buildctl"):
            program = helpers.ROOT / "build" / "tools" / name
            if not program.is_file():
                raise Missing(f"{name} is not installed")
            packed.add(program, arcname=name)
    command = ("buildx", "build", "--builder", "default", kept(BUILDKIT), "-")
    engine.docker(*command, stdin=archive.getvalue())


@dataclass(frozen=True)
class Builder:
    """A BuildKit in a container, as docker/setup-buildx-action starts it, and what it builds upon.

    Attributes:
        name: by which buildx knows it.
        arguments: of the Dockerfiles, as NAME=value.
    """

    name: str
    arguments: tuple[str, ...]

    @property
    def options(self) -> list[str]:
        """What `mlops build` is told."""
        return [word for each in self.arguments for word in ("--build-arg", each)]


@contextmanager
def running_builder(engine: Engine, registry: str) -> Iterator[Builder]:
    """Yield a builder for the current user's `docker buildx`.

    It sees no image of the engine: the stand-ins are in the registry for it.
    """
    bring_buildkit(engine)
    for image in (PYTHON, UV):
        engine.docker("tag", image, f"{registry}/{image}")
        engine.docker("push", "--quiet", f"{registry}/{image}")
    name = f"builder-{registry.rpartition(':')[2]}"
    how = ("--driver-opt", f"image={BUILDKIT}", "--driver-opt", "network=host")
    engine.docker("buildx", "create", "--name", name, "--driver", "docker-container", *how)
    given = [each.removeprefix("--build-arg=") for each in proxies()]
    passed = [f"{each}={os.environ[each]}" for each in given]
    try:
        yield Builder(name, (f"BASE={registry}/{PYTHON}", f"UV={registry}/{UV}", *passed))
    finally:
        engine.docker("buildx", "rm", "--force", name)


@contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """Yield the address of a registry on loopback, which an engine trusts without TLS.

    Raises Missing where it is not installed.
    """
    if shutil.which("docker-registry") is None:
        raise Missing("docker-registry is not installed")
    port = free_port()
    address = f"127.0.0.1:{port}"
    settings = folder / "registry.yml"
    settings.write_text(
        json.dumps(  # which is YAML, too
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": address},
            }
        )
    )
    with process(["docker-registry", "serve", str(settings)], folder / "registry.log"):
        wait_for(lambda: listens(port), "docker-registry")
        yield address
