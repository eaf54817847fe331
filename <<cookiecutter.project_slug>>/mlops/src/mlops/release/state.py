"""The state in Git: what each environment runs, by which rules, and which releases must not return.

Files are read from a commit or from the workspace: see revision.Revision.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from ..config.gates import Gate
from ..config.section import Section
from ..errors import InputError
from ..files import parse
from ..revision import Revision

ENVIRONMENTS = Path("environments")
RELEASES = Path("releases")
QUARANTINE = RELEASES / "quarantine.txt"

ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")
VERSION = re.compile(r"[a-z0-9-]+@v\d+\.\d+\.\d+")
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
                raise InputError(f"{where}: {name} stands here twice")
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
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Freeze":
        if self.end <= self.start:
            raise ValueError("`end` must be after `start`")
        return self


class Policy(Section):
    """What `policy.yaml` says: by which rules an environment changes.

    Attributes:
        requires: the environment in which a release has to have been live; None for the first.
        soak_minutes: for how long.
        hold: why nothing is promoted here at present; None when it is.
        freeze: times in which nothing is promoted.
        gates: bounds on the release's metrics, beside those of params.yaml.
    """

    requires: str | None = None
    soak_minutes: Annotated[int, Field(ge=0)] = 0
    hold: str | None = None
    freeze: Annotated[list[Freeze], Field(default_factory=list)]
    gates: Annotated[dict[str, Gate], Field(default_factory=dict)]


@dataclass(frozen=True)
class Environment:
    """An environment at a revision; `release` is None where nothing was released to it yet."""

    name: str
    policy: Policy
    release: Release | None


def release_path(environment: str) -> Path:
    """Where an environment's release is."""
    return ENVIRONMENTS / environment / "release.env"


def policy_path(environment: str) -> Path:
    """Where an environment's rules are."""
    return ENVIRONMENTS / environment / "policy.yaml"


def environments(at: Revision) -> dict[str, Environment]:
    """The environments in the order of promotion, the first one first.

    Raises InputError, one line a mistake: a file that cannot be read, or a policy that requires an
    environment that is not there, or each other in a circle.
    """
    found = {name: _environment(name, at) for name in at.folders(ENVIRONMENTS)}
    for each in found.values():
        if each.policy.requires not in {None, *found}:
            raise InputError(
                f"{policy_path(each.name)}: requires: there is no environment "
                f"{each.policy.requires}; there are {', '.join(found)}"
            )
    return {name: found[name] for name in _in_order(found)}


def named(name: str, at: Revision) -> Environment:
    """An environment by its name. Raises InputError where there is none."""
    known = environments(at)
    if name not in known:
        raise InputError(f"there is no environment {name}; there are {', '.join(known)}")
    return known[name]


def quarantined(at: Revision) -> dict[str, str]:
    """Releases that must never be promoted again, each with the reason."""
    lines = (at.read(QUARANTINE) or "").splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            release, _, reason = line.partition(" ")
            if not ID.fullmatch(release):
                raise InputError(f"{QUARANTINE} line {number}: {line!r:.60} begins with no id")
            found[release] = reason.strip()
    return found


def _environment(name: str, at: Revision) -> Environment:
    policy = at.read(policy_path(name))
    if policy is None:
        raise InputError(f"{policy_path(name)}: no such file")
    text = at.read(release_path(name))
    return Environment(
        name,
        parse(policy, Policy, policy_path(name)),
        None if text is None else Release.parse(text, release_path(name)),
    )


def _in_order(found: dict[str, Environment]) -> Iterator[str]:
    done: set[str | None] = {None}
    while len(done) <= len(found):
        ready = [n for n, each in found.items() if n not in done and each.policy.requires in done]
        if not ready:
            circle = ", ".join(name for name in found if name not in done)
            raise InputError(f"{ENVIRONMENTS}: {circle} require each other in a circle")
        yield from ready
        done.update(ready)
