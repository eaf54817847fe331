"""What a release is made of, and how good it is: `releases/ID.json`, written once for good.

It is strict JSON: no key twice, no number that is none, no tag. Whoever reads evidence uses this.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..config.section import Finite, Section
from ..errors import InputError
from ..files import parse_json, read_text
from ..git.revision import Revision
from .state import ID, IMAGE, RELEASES, VERSION, Release


def _text(pattern: str, what: str) -> Callable[[str], str]:
    """Refuses what is not `what`; a hash of zeros is Git's word for nothing, and none of a file."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r:.90} is not {what}")
        if re.search("(^|:)0{32,}$", value):
            raise ValueError(f"{value:.200} is a hash of zeros")
        return value

    return check


def _hash(length: int, what: str) -> AfterValidator:
    return AfterValidator(_text(rf"[0-9a-f]{{{length}}}", what))


Commit = Annotated[str, _hash(40, "a full commit hash")]
Md5 = Annotated[str, _hash(32, "an MD5 in hexadecimal")]
Folder = Annotated[
    str, AfterValidator(_text(r"[0-9a-f]{32}\.dir", "an MD5 of a folder, as DVC has it"))
]
Sha256 = Annotated[str, _hash(64, "a SHA-256 in hexadecimal")]
# Names of files that `mlops fetch` writes, and of targets: neither leaves its folder.
Name = Annotated[
    str, AfterValidator(_text(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a name without a folder"))
]
Id = Annotated[str, AfterValidator(_text(ID.pattern, "a release's id"))]
Version = Annotated[str, AfterValidator(_text(VERSION.pattern, "name@vX.Y.Z"))]
Image = Annotated[
    str,
    AfterValidator(_text(rf"({IMAGE.pattern})?", "an image by its digest: name@sha256:...")),
]
Moment = Annotated[
    str,
    AfterValidator(
        _text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "a moment in UTC: 2030-01-07T12:00:00Z")
    ),
]


class Model(Section):
    """The ONNX model.

    Attributes:
        version: its name and number.
        md5: its hash in dvc.lock.
        sha256: the one that a server tells.
        judged_md5: of the candidate, whose metrics the release has, where the model that is served
            was then trained on all rows; None where it was judged itself.
    """

    version: Version
    md5: Md5
    sha256: Sha256
    judged_md5: Md5 | None = None


class Export(Section):
    """The model for a target of `export.targets`.

    Attributes:
        md5: of its folder, in dvc.lock.
        files: their hashes by name.
    """

    md5: Folder
    files: Annotated[dict[Name, Sha256], Field(min_length=1)]


class Images(Section):
    """The images that were built, by digest; empty where none were."""

    serving: Image
    training: Image


class Evidence(Section):
    """The evidence of a release.

    Attributes:
        id: the release's.
        created: when it was made, in UTC.
        git_sha: the commit that it was made from.
        dvc_lock_sha256: of dvc.lock there.
        snapshot_sha256: of the data, as provenance.json has it.
        exports: the model for other machines than a server, by target.
        metrics: of the test rows.
        verdict: against `champion`; None where there was none, or it could not be compared.
        champion: the release in the last environment when this one was made.
        run: where it was built.
    """

    id: Id
    created: Moment
    git_sha: Commit
    dvc_lock_sha256: Sha256
    snapshot_sha256: Sha256
    model: Model
    images: Images
    exports: dict[Name, Export] = {}
    metrics: dict[str, Finite]
    verdict: Literal["better", "same", "worse"] | None = None
    champion: Id | None = None
    run: str | None = None

    @property
    def release(self) -> Release:
        """The release that it is for."""
        return Release(
            id=self.id,
            git_sha=self.git_sha,
            serving_image=self.images.serving,
            training_image=self.images.training,
            model_version=self.model.version,
            model_md5=self.model.md5,
        )


def evidence_path(release: str) -> Path:
    """Where a release's evidence is."""
    return RELEASES / f"{release}.json"


def evidence_text(evidence: Evidence) -> str:
    """The file's content."""
    return evidence.model_dump_json(indent=2) + "\n"


def load_evidence(release: str, at: Revision) -> Evidence | None:
    """A release's evidence; None where there is none. Raises InputError where it is not valid."""
    path = evidence_path(release)
    text = at.read(path)
    if text is None:
        return None
    found = parse_json(text, Evidence, path)
    if found.id != release:
        raise InputError(f"{path}: it is of {found.id}, not of {release}")
    return found


def read_evidence(path: Path) -> Evidence:
    """Evidence that lies outside of Git. Raises InputError where it is not valid."""
    return parse_json(read_text(path), Evidence, path)


def release_id(commit: str, committed: datetime) -> str:
    """A release's id: when its commit was made, and the start of that commit's hash."""
    return f"{committed.astimezone(UTC):%Y%m%d-%H%M}-{commit[:7]}"
