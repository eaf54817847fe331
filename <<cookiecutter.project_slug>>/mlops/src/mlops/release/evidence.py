"""What a release is made of, and how good it is: `releases/ID.json`, written once for good."""

from datetime import UTC, datetime
from pathlib import Path

from ..config.section import Section
from ..errors import InputError
from ..files import parse
from ..revision import Revision
from .state import RELEASES, Release


class Model(Section):
    """The ONNX model.

    Attributes:
        version: its name and number.
        md5: its hash in dvc.lock.
        sha256: the one that a server tells.
        judged_md5: of the candidate, whose metrics the release has, where the model that is served
            was then trained on all rows; None where it was judged itself.
    """

    version: str
    md5: str
    sha256: str
    judged_md5: str | None = None


class Images(Section):
    """The images that were built, by digest; empty where none were."""

    serving: str
    training: str


class Evidence(Section):
    """The evidence of a release.

    Attributes:
        id: the release's.
        created: when it was made, in UTC.
        git_sha: the commit that it was made from.
        dvc_lock_sha256: of dvc.lock there.
        snapshot_sha256: of the data, as provenance.json has it.
        metrics: of the test rows.
        verdict: against `champion`; None where there was none, or it could not be compared.
        champion: the release in the last environment when this one was made.
        run: where it was built.
    """

    id: str
    created: str
    git_sha: str
    dvc_lock_sha256: str
    snapshot_sha256: str
    model: Model
    images: Images
    metrics: dict[str, float]
    verdict: str | None = None
    champion: str | None = None
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
    found = parse(text, Evidence, path)
    if found.id != release:
        raise InputError(f"{path}: it is of {found.id}, not of {release}")
    return found


def release_id(commit: str, committed: datetime) -> str:
    """A release's id: when its commit was made, and the start of that commit's hash."""
    return f"{committed.astimezone(UTC):%Y%m%d-%H%M}-{commit[:7]}"
