"""What an environment is to run as Git says it, and what it is seen to run."""

from contextlib import closing
from dataclasses import dataclass

from ..errors import CheckError, InputError
from ..git.revision import Revision
from ..serving.client import Client
from .evidence import evidence_path, load_evidence
from .settings import Settings, load
from .state import Release, named, readable, release_path

# How long a server that answers at all may take to say what it has.
LOOK_SECONDS = 3
# Milliseconds that a request to a new server may take, at the median: a machine may be busy.
WITHIN = 1000
# The most that servers take to answer what they were asked, and go: see serving.settings.
STOP_SECONDS = 30


@dataclass(frozen=True)
class Target:
    """An environment as it is to be.

    Attributes:
        environment: its name.
        release: what it is to run.
        model_sha256: the model's hash, which each server must tell.
        settings: its own.
        at: where all this was read.
    """

    environment: str
    release: Release
    model_sha256: str
    settings: Settings
    at: Revision

    @property
    def stack(self) -> str:
        """What it is called where it runs."""
        return stack_name(self.environment, self.release)


@dataclass(frozen=True)
class Running:
    """Servers of an environment that were started here.

    Attributes:
        release: what they serve.
        serving: whether they get requests.
        current: whether all about them is as Git says, the environment's settings, too.
    """

    release: str
    serving: bool
    current: bool


def stack_name(environment: str, release: Release) -> str:
    """The project's name, which is its model's, and the environment's."""
    return f"{release.model_version.partition('@')[0]}-{environment}"


def target(environment: str, at: Revision) -> Target:
    """What an environment is to run at a revision.

    Raises:
        InputError: no such environment, nothing released to it, or settings that cannot be read.
        CheckError: its release is not what the evidence says.
    """
    found = named(environment, at)
    if found.release is None:
        readable(found)
        raise InputError(f"{environment} has no release yet: `mlops promote` brings one")
    release, evidence = found.release, load_evidence(found.release.id, at)
    if evidence is None or evidence.release != release:
        raise CheckError(
            f"{release_path(environment)}: not what {evidence_path(release.id)} says: nothing is "
            "applied; `git log` tells who changed it"
        )
    return Target(environment, release, evidence.model.sha256, load(environment, at), at)


def answering(url: str) -> str | None:
    """The release that answers at an address; None where none does."""
    try:
        with closing(Client(url, LOOK_SECONDS)) as client:
            return str(client.get("/v2")["version"])
    except (CheckError, KeyError):
        return None
