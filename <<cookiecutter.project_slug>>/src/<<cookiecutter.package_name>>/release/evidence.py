"""What a release is made of, and how good it is: `releases/ID.json`, written once for good."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from ..config import Section, load_params
from ..errors import InputError
from ..files import parse
from ..inference import OnnxModel
from ..paths import LOCK, METRICS, ONNX, PROVENANCE
from ..reporting.compare import compare
from ..revision import Revision, git, is_clean
from .state import RELEASES, Release, environments


class Model(Section):
    """The ONNX model: its version, its hash in dvc.lock, and the one that a server tells."""

    version: str
    md5: str
    sha256: str


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


def of_head(base: Revision, images: Images, run: str | None) -> Evidence:
    """The evidence of the commit that is checked out.

    Args:
        base: where earlier releases are, for the version and the champion.
        images: what was built of it.
        run: where that was.
    Raises:
        InputError: the commit has no reproduced pipeline, its model is not here, or files differ.
    """
    if not is_clean():
        raise InputError("there are changes that are not committed: a release is of a commit")
    at = Revision.of("HEAD")
    assert at is not None
    assert at.commit is not None
    lock, metrics, provenance = at.read(LOCK), at.load(METRICS), at.load(PROVENANCE)
    model = at.outputs.get(ONNX)
    if lock is None or metrics is None or provenance is None or model is None:
        raise InputError(
            f"{at.commit[:7]} has no reproduced pipeline: run `uv run dvc repro`, then commit"
        )
    content = ONNX.read_bytes() if ONNX.is_file() else b""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != model.md5:
        raise InputError(f"{ONNX} is not the one of {at.commit[:7]}: run `uv run dvc pull {ONNX}`")
    committed = datetime.fromtimestamp(int(git("show", "-s", "--format=%ct", at.commit)), UTC)
    number = len(base.files(RELEASES, ".json")) + 1
    name = OnnxModel(ONNX).metadata["project"]
    return Evidence(
        id=release_id(at.commit, committed),
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        git_sha=at.commit,
        dvc_lock_sha256=hashlib.sha256(lock.encode()).hexdigest(),
        snapshot_sha256=provenance["snapshot_sha256"],
        model=Model(
            version=f"{name}@v{number}.0.0",
            md5=model.md5,
            sha256=hashlib.sha256(content).hexdigest(),
        ),
        images=images,
        metrics=metrics,
        **_compared(base),
        run=run,
    )


def _compared(base: Revision) -> dict[str, str | None]:
    """What the commit that is checked out is to the release of the last environment."""
    champion = [*environments(base).values()][-1].release
    if champion is None:
        return {}
    found = compare(load_params(), Revision.of(champion.git_sha))
    return {"verdict": found.verdict, "champion": champion.id}
