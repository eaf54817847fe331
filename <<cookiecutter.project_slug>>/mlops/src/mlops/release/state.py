"""The state in Git: what each environment runs, by which rules, and which releases must not return.

Files are read from a commit or from the workspace: see revision.Revision.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from ..config.gates import Gate
from ..config.section import Section
from ..errors import InputError
from ..files import parse
from ..git.revision import Revision
from ..printable import printable
from ..statement import Role
from .governance import Wanted

ENVIRONMENTS = Path("environments")
RELEASES = Path("releases")
QUARANTINE = RELEASES / "quarantine.txt"

ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")
VERSION = re.compile(r"[a-z0-9-]+@v\d+\.\d+\.\d+")
# It is part of names of branches, containers and namespaces.
_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")
_FACTS = {
    "RELEASE_ID": (ID, "a release's id: lower case, digits, dots and hyphens"),
    "GIT_SHA": (re.compile(r"[0-9a-f]{40}"), "a full commit hash"),
    "SERVING_IMAGE": (IMAGE, "an image by its digest: name@sha256:..."),
    "TRAINING_IMAGE": (IMAGE, "an image by its digest: name@sha256:..."),
    "MODEL_VERSION": (VERSION, "name@vX.Y.Z"),
    "MODEL_MD5": (re.compile(r"[0-9a-f]{32}"), "the model's hash in dvc.lock"),
}


@dataclass(frozen=True)
class Release:
    """What `release.env` says: the whole desired state of an environment.

    The images are empty where none were built: then the model is served without one.
    """

    id: str
    git_sha: str
    serving_image: str
    training_image: str
    model_version: str
    model_md5: str

    @staticmethod
    def parse(text: str, path: Path) -> "Release":
        """Read a release.env. Raises InputError with file, line and reason."""
        found: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            where = f"{path} line {number}"
            name, equals, value = line.partition("=")
            if not equals or name not in _FACTS:
                raise InputError(f"{where}: {line!r:.60} is none of {'=, '.join(_FACTS)}=")
            if name in found:
                raise InputError(f"{where}: {name} is listed twice")
            pattern, what = _FACTS[name]
            may_be_empty = name.endswith("_IMAGE")
            if not (pattern.fullmatch(value) or (may_be_empty and not value)):
                raise InputError(f"{where}: {name}={value!r:.60} is not {what}")
            found[name] = value
        missing = [name for name in _FACTS if name not in found]
        if missing:
            raise InputError(f"{path}: {', '.join(missing)} missing")
        release = Release(*(found[name] for name in _FACTS))
        if release.text() != text:
            raise InputError(f"{path}: not as `mlops` writes it; copy the file, do not edit it")
        return release

    def text(self) -> str:
        """The file: a fact a line, in the one order, so that equal releases are equal files."""
        values = (getattr(self, field.name) for field in fields(self))
        return "".join(f"{name}={value}\n" for name, value in zip(_FACTS, values, strict=True))


class Freeze(Section):
    """A time in which nothing is promoted; moments with a zone, or in UTC."""

    model_config = Section.model_config | {"strict": False}

    start: datetime
    end: datetime
    reason: str

    @field_validator("start", "end")
    @classmethod
    def _in_utc(cls, moment: datetime) -> datetime:
        try:
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("is beyond all time") from None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Freeze":
        if self.end <= self.start:
            raise ValueError("`end` must be after `start`")
        return self


_TEN_YEARS = 10 * 366 * 24 * 60


class Policy(Section):
    """What `policy.yaml` says: by which rules an environment changes.

    Attributes:
        requires: the environment in which a release has to have been live; None for the first. It
            has to be said: a file that says nothing must not make an environment the first.
        soak_minutes: for how long.
        hold: why nothing is promoted here at present; None when it is.
        freeze: times in which nothing is promoted.
        gates: bounds on the release's metrics, beside those of params.yaml.
        governance: what model.yaml must say before a release may come.
        approvals: the roles of which somebody has to approve it on GitHub: see sign_off.
    """

    requires: str | None
    soak_minutes: Annotated[int, Field(ge=0, le=_TEN_YEARS)] = 0
    hold: str | None = None
    freeze: Annotated[list[Freeze], Field(default_factory=list)]
    gates: Annotated[dict[str, Gate], Field(default_factory=dict)]
    governance: Annotated[Wanted, Field(default_factory=list)]
    approvals: Annotated[list[Role], Field(default_factory=list)]


# What counts where a policy cannot be read.
_CLOSED = Policy.model_validate({"requires": None, "hold": "its policy.yaml cannot be read"})


@dataclass(frozen=True)
class Environment:
    """An environment at a revision.

    Attributes:
        name: its own.
        policy: its rules; where they cannot be read, nothing may come to it.
        release: what it has; None where nothing was released to it yet, or it cannot be read.
        problems: why its files cannot be read, a line each.
    """

    name: str
    policy: Policy
    release: Release | None
    problems: tuple[str, ...] = ()


def release_path(environment: str) -> Path:
    """Where an environment's release is."""
    return ENVIRONMENTS / environment / "release.env"


def policy_path(environment: str) -> Path:
    """Where an environment's rules are."""
    return ENVIRONMENTS / environment / "policy.yaml"


def environments(at: Revision) -> dict[str, Environment]:
    """The environments in the order of promotion, the first one first.

    Mistakes are told by each environment that has them, so that one does not stop the others: a
    file that cannot be read, a name that is none, or a policy that requires an environment that is
    not there, or each other in a circle.
    """
    found = {name: _environment(name, at) for name in at.folders(ENVIRONMENTS)}
    for each in [*found.values()]:
        if each.policy.requires not in {None, *found}:
            problem = (
                f"{policy_path(each.name)}: requires: there is no environment "
                f"{each.policy.requires}; there are {', '.join(found)}"
            )
            found[each.name] = _with(each, problem)
    order = _in_order(found)
    if circle := sorted(found.keys() - {*order}):
        problem = f"{ENVIRONMENTS}: {', '.join(circle)} require each other in a circle"
        found |= {name: _with(found[name], problem) for name in circle}
    return {name: found[name] for name in [*order, *circle]}


def named(name: str, at: Revision) -> Environment:
    """An environment by its name, whatever is wrong with it. Raises InputError where it is none."""
    known = environments(at)
    if name not in known:
        raise InputError(f"there is no environment {name}; there are {', '.join(known)}")
    return known[name]


def readable(environment: Environment) -> Environment:
    """The same. Raises InputError, one line a mistake, where its files cannot be read."""
    if environment.problems:
        raise InputError("\n".join(environment.problems))
    return environment


def quarantined(at: Revision) -> dict[str, str]:
    """Releases that must never be promoted again, each with the reason.

    What names no release is not among them: see `quarantine_problems`.
    """
    return named_in_quarantine(_quarantine(at))


def named_in_quarantine(text: str) -> dict[str, str]:
    """The same of the text of the list."""
    return {name: reason for _, name, reason in _banned(text) if ID.fullmatch(name)}


def quarantine_problems(at: Revision) -> list[str]:
    """What is wrong with the list of releases in quarantine, a line each."""
    try:
        at.read(QUARANTINE)
    except InputError as error:
        return [str(error)]
    return [
        f"{QUARANTINE} line {number}: {f'{name} {reason}'.strip()!r:.60} begins with no id"
        for number, name, reason in _banned(_quarantine(at))
        if not ID.fullmatch(name)
    ]


def _quarantine(at: Revision) -> str:
    # A reason in another encoding must let no release out.
    return (at.read_bytes(QUARANTINE) or b"").decode("utf-8", "backslashreplace")


def _banned(text: str) -> Iterator[tuple[int, str, str]]:
    """The number, the id and the reason of each line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            release, _, reason = line.partition(" ")
            yield number, release, reason.strip()


def _environment(name: str, at: Revision) -> Environment:
    problems, policy, release = [], _CLOSED, None
    if not _NAME.fullmatch(name):
        which = printable(str(ENVIRONMENTS / name))
        problems.append(f"{which}: the name of an environment is of a-z, 0-9, - and _, 40 at most")
    try:
        policy = _policy(policy_path(name), at)
    except InputError as error:
        problems += str(error).splitlines()
    try:
        text = at.read(release_path(name))
        release = None if text is None else Release.parse(text, release_path(name))
    except InputError as error:
        problems += str(error).splitlines()
    return Environment(name, policy, release, tuple(problems))


def _policy(path: Path, at: Revision) -> Policy:
    text = at.read(path)
    if text is None:
        raise InputError(f"{path}: no such file")
    return _parsed(text, path)


@lru_cache(maxsize=256)
def _parsed(text: str, path: Path) -> Policy:
    """A policy, which is mostly what it was at the commit before."""
    return parse(text, Policy, path)


def _with(environment: Environment, problem: str) -> Environment:
    """An environment whose policy makes no sense."""
    return replace(environment, policy=_CLOSED, problems=(*environment.problems, problem))


def _in_order(found: dict[str, Environment]) -> list[str]:
    """The names of environments after those that they require; without what is in a circle."""
    done: list[str] = []
    while ready := [
        name
        for name, each in found.items()
        if name not in done and each.policy.requires in {None, *done}
    ]:
        done += ready
    return done
