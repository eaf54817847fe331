"""An environment on this machine without Docker: a server as a process, for want of an image.

A new server is tried on a port of its own. Then it listens beside the old one on the environment's
port, and the old one is told to go, which first answers what it was asked. Each server holds a lock
on a file of its own as long as it lives, so that no other process is ever mistaken for it.

The model is the release's, from DVC; the code of the server is what is checked out.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import CheckError, InputError
from ..files import replacing, sha256
from ..git.revision import Revision
from ..paths import ONNX
from ..serving.client import own_token
from ..serving.smoke import smoke
from .target import STOP_SECONDS, WITHIN, Running, Target, answering

WHERE = "as a process"
FOLDER = Path("build/environments")
# How long a server that was killed may take to be gone.
KILLED_SECONDS = 10
_SERVER = ".server"
_TRIAL = "-trial"
# The shell writes its number, which is the server's, even when whoever started it was killed.
_START = 'echo $$ > "$0"; exec "$@"'


@dataclass(frozen=True)
class Server:
    """A server that was started here.

    Attributes:
        file: holds the number of the process, and is locked as long as that lives. It is named
            after the release and a hash of all that the server was told.
    """

    file: Path

    @property
    def release(self) -> str:
        """What it serves."""
        return self.file.name.partition("@")[0]

    @property
    def on_trial(self) -> bool:
        """Whether it was started to be tried, and gets no requests."""
        return self.file.name.endswith(f"{_TRIAL}{_SERVER}")

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.file.with_suffix(".log")

    @property
    def lives(self) -> bool:
        """Whether it runs, be it told to go or not."""
        if not self.file.exists():
            return False
        with self.file.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def start(self, variables: dict[str, str], port: IO[str] | None = None) -> None:
        """Start it.

        Args:
            variables: beside those of the environment.
            port: what `_port` yields; the server has it as long as it lives.
        """
        module = f"{__name__.partition('.')[0]}.serving"
        # What the file says is lost with the lock alone: it is how a server that lives is reached.
        with self.file.open("a") as held, self.log.open("wb") as log:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.truncate(0)
            subprocess.Popen(
                ["/bin/sh", "-c", _START, str(self.file), sys.executable, "-m", module],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[each.fileno() for each in (held, port) if each is not None],
                start_new_session=True,
            )

    def url(self, seconds: float) -> str:
        """Where it listens, which it says. Raises CheckError when it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            alive, said = self.lives, self.log.read_text(encoding="utf-8")
            for line in said.splitlines():
                if " http://" in line:
                    return line.split()[-1]
            if not alive or time.monotonic() > deadline:
                last = (said.splitlines() or ["it said nothing"])[-1].removeprefix("error: ")
                raise CheckError(f"{self.release} does not start: {last}")
            time.sleep(0.02)

    def end(self) -> None:
        """Tell it to go, and wait until it has; kill it when its time is over, or it cannot go.

        Raises CheckError when it lives all the same.
        """
        deadline, told = time.monotonic() + STOP_SECONDS, False
        while self.lives:
            number = self.file.read_text(encoding="utf-8").strip()
            if number and not told:
                _signal(int(number), signal.SIGTERM)
                told = True
            if number and (_stopped(int(number)) or time.monotonic() > deadline):
                _signal(int(number), signal.SIGKILL)
            if time.monotonic() > deadline + KILLED_SECONDS:
                raise CheckError(
                    f"{self.release}: its process {number} does not end; see {self.log}"
                )
            time.sleep(0.02)
        self.file.unlink(missing_ok=True)


def _signal(process: int, number: signal.Signals) -> None:
    """Send a signal: to the server, and where it is to be killed to its workers, too."""
    with suppress(ProcessLookupError):
        if number is signal.SIGKILL:
            os.killpg(process, number)  # it is the first of its session
        else:
            os.kill(process, number)


def _stopped(process: int) -> bool:
    """Whether it was stopped, as by SIGSTOP: it answers nobody, nor hears that it is to go."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "T"


def apply(target: Target) -> Iterator[str]:
    """Have this machine run what Git says, without losing a request; a line a step.

    Raises:
        InputError: the model is not to be had.
        CheckError: the new server is not as it should be, or another apply is under way.
    """
    with _alone(target.environment):
        wanted, there = _wanted(target), _servers(target.environment)
        old = [each for each in there if each != wanted]
        served = wanted.lives
        try:
            if not served:
                variables = _variables(target)
                _try(target, variables)
                yield f"tried: {target.release.id} answers as expected"
                variables["MLOPS_HANDOVER"] = str(_folder(target.environment))
                with _port(target) as port:
                    wanted.start(variables, port)
            wanted.url(target.settings.ready_seconds)
            _await(target)
        except CheckError as error:
            if not served:
                wanted.end()
            living = ", ".join(each.release for each in old if each.lives)
            still = f"{living} still serves" if living else "nothing serves"
            raise CheckError(f"{target.environment}: {error}; {still}") from None
        yield f"serving: {target.release.id} at {target.settings.listen}"
        for each in old:
            each.end()
            yield f"stopped {each.release} after draining its requests"


def stop(environment: str) -> bool:
    """Stop an environment's servers, and say whether there were any."""
    with _alone(environment):
        found = _servers(environment)
        for each in found:
            each.end()
    return bool(found)


def running(target: Target) -> list[Running]:
    """What runs on this machine."""
    wanted = _wanted(target)
    return [
        Running(each.release, not each.on_trial, each == wanted)
        for each in _servers(target.environment)
        if each.lives
    ]


def log_folder(environment: str) -> Path:
    """Where servers put the prediction log that in a container is a folder."""
    return _folder(environment) / "log"


def _folder(environment: str) -> Path:
    return FOLDER / environment


def _servers(environment: str) -> list[Server]:
    return [Server(file) for file in sorted(_folder(environment).glob(f"*{_SERVER}"))]


def _wanted(target: Target, suffix: str = "") -> Server:
    """The server that is to run: another one when anything that it is told is another."""
    told = hashlib.sha256((target.release.text() + target.settings.text).encode()).hexdigest()
    name = f"{target.release.id}@{told[:12]}{suffix}{_SERVER}"
    return Server(_folder(target.environment) / name)


def _try(target: Target, variables: dict[str, str]) -> None:
    """Run the server on a port of its own, and ask it. Raises CheckError when it is not right."""
    server = _wanted(target, _TRIAL)
    server.end()  # one that a killed apply left
    server.start(variables | {"MLOPS_PORT": "0", "MLOPS_LOG": "", "MLOPS_DRAIN_SECONDS": "0"})
    try:
        url = server.url(target.settings.ready_seconds)
        # One of its own: MLOPS_TOKEN may be for another environment.
        token = own_token(os.environ | variables | {"MLOPS_TOKEN": ""})
        list(smoke(url, target.release.id, WITHIN, target.model_sha256, token=token))
    finally:
        server.end()


def _variables(target: Target) -> dict[str, str]:
    """What the server is told: the environment's settings, and what an image would bring."""
    host, _, port = target.settings.listen.rpartition(":")
    log = target.settings.server.get("MLOPS_LOG", "")
    if log and "://" not in log:  # a folder within a container; here it lies beside the server
        log = str(log_folder(target.environment))
    return {
        "MLOPS_MEMORY": str(target.settings.memory),
        **target.settings.server,
        "MLOPS_LOG": log,
        "MLOPS_HOST": host,
        "MLOPS_PORT": port,
        "MLOPS_RELEASE": target.release.id,
        "MLOPS_MODEL": str(model_of(target)),
    }


def model_of(target: Target, may_remake: bool = True) -> Path:
    """The release's model, from DVC's cache or remote, or else made again from its commit.

    Args:
        target: what has it.
        may_remake: whether this machine may run the pipeline for it.
    Raises:
        InputError: it is not to be had.
        CheckError: it is another one than the evidence names.
    """
    kept = FOLDER / "models" / f"{target.model_sha256}.onnx"
    # What lost power while it was written may have its name, and not all of its bytes.
    if not kept.is_file() or sha256(kept) != target.model_sha256:
        commit = Revision(target.release.git_sha)
        with replacing(kept) as temporary:
            try:
                model = commit.fetch(ONNX, temporary.parent)
            except InputError:
                if not may_remake:
                    raise
                model = commit.remake([ONNX])[ONNX]
            shutil.copyfile(model, temporary)
            if sha256(temporary) != target.model_sha256:
                raise CheckError(f"the model of {target.release.id} is not the one of its evidence")
    return kept


def _await(target: Target) -> None:
    """Wait until the environment's port answers with the release."""
    deadline = time.monotonic() + target.settings.ready_seconds
    while (found := answering(f"http://{target.settings.listen}")) != target.release.id:
        if time.monotonic() > deadline:
            raise CheckError(f"{target.settings.listen} answers with {found or 'nothing'}")
        time.sleep(0.02)


@contextmanager
def _port(target: Target) -> Iterator[IO[str]]:
    """Hold the environment's port for it among all projects and clones on this machine.

    Raises CheckError where another one is served there: two of them would share its requests.
    """
    folder = Path(tempfile.gettempdir()) / f"mlops-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    listen, whose = target.settings.listen, str(_folder(target.environment).resolve())
    with (folder / f"port-{listen.rpartition(':')[2]}").open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            other = held.read()
            if other != whose:
                raise CheckError(
                    f"{listen} is served from {other}; stop that, or set another LISTEN"
                ) from None
        else:
            held.truncate(0)
            held.write(whose)
            held.flush()
        fcntl.flock(held, fcntl.LOCK_SH)
        yield held


@contextmanager
def _alone(environment: str) -> Iterator[None]:
    """Let nobody else apply the same environment. Raises CheckError where somebody does."""
    folder = _folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckError(f"{environment}: another apply is under way; wait for it") from None
        yield
