"""From what runs back to the raw data: every hop of the lineage, each checked by its hash."""

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckError, InputError
from ..paths import CANDIDATE_ONNX, LOCK, METRICS, ONNX, PROVENANCE
from ..revision import Revision, git
from ..serving.client import Client
from .evidence import Evidence, evidence_path, load_evidence
from .settings import load
from .state import Release, environments
from .target import LOOK_SECONDS


@dataclass(frozen=True)
class Hop:
    """A step of the way back.

    Attributes:
        what: what is looked at.
        value: what it is.
        problem: why it is not what the step before says; None when it is.
    """

    what: str
    value: str
    problem: str | None = None


def trace(what: str, base: Revision) -> Iterator[Hop]:
    """Yield each hop from an environment, a release's id, or the URL of a server.

    Raises InputError where there is nothing by that name.
    """
    served: str | None = None
    if ":" in what:
        release, served = yield from _served(what)
    elif what in (known := environments(base)):
        found = known[what].release
        if found is None:
            raise InputError(f"{what} has no release yet")
        release = found.id
        yield _running(what, found, base)
        served = yield from _answering(load(what, base).url, release)
    else:
        release = what
    evidence = load_evidence(release, base)
    if evidence is None:
        raise InputError(f"{what}: there is no {evidence_path(release)}")
    yield _unchanged(evidence, base)
    yield _same("model", evidence.model.sha256, served, "the server's")
    for name, image in (
        ("serving", evidence.images.serving),
        ("training", evidence.images.training),
    ):
        yield Hop(f"{name} image", image or "none was built")
    yield from _in_git(evidence, base)


def _running(environment: str, release: Release, base: Revision) -> Hop:
    evidence, hop = load_evidence(release.id, base), f"{environment} runs {release.id}"
    if evidence is None or evidence.release == release:
        return Hop("environment", hop)
    return Hop("environment", hop, f"not as {evidence_path(release.id)} says")


def _answering(url: str, release: str) -> Generator[Hop, None, str | None]:
    """The model of the server that answers for an environment; None where none is reached."""
    try:
        with Client(url, LOOK_SECONDS) as client:
            told = client.model["parameters"]
    except CheckError:
        yield Hop("server", f"none is reached from here at {url}")
        return None
    yield _same("server", release, told["release"], url)
    return told["model_sha256"]


def _served(url: str) -> Generator[Hop, None, tuple[str, str]]:
    """The release and the model that a server says it has."""
    with Client(url) as client:
        told = client.model["parameters"]
        yield Hop("server", f"{client.url} answers with {told['release']}")
        return told["release"], told["model_sha256"]


def _unchanged(evidence: Evidence, base: Revision) -> Hop:
    """The evidence itself, which is written once: what changed it later is named."""
    path = evidence_path(evidence.id).as_posix()
    commits = git("log", "--format=%h", str(base.commit), "--", path).split()
    if len(commits) == 1:
        return Hop("release", evidence.id)
    return Hop("release", evidence.id, f"{path} was changed after it was written, in {commits[0]}")


def _in_git(evidence: Evidence, base: Revision) -> Iterator[Hop]:
    if evidence.git_sha not in git("rev-list", str(base.commit)).split():
        lost = "not in the history of main: it was rewritten, or is not all in this clone"
        yield Hop("commit", evidence.git_sha, lost)
        return
    commit = Revision(evidence.git_sha)
    yield Hop("commit", evidence.git_sha)
    good = ", ".join(f"{name} {value:.4g}" for name, value in evidence.metrics.items())
    told = commit.load(METRICS)
    yield Hop("metrics", good, None if evidence.metrics == told else f"{METRICS} there says {told}")
    lock = commit.read(LOCK)
    found = hashlib.sha256(lock.encode()).hexdigest() if lock is not None else None
    yield _same(str(LOCK), evidence.dvc_lock_sha256, found, "the commit's")
    model = commit.outputs.get(ONNX)
    yield _same(f"{ONNX} (md5)", evidence.model.md5, model.md5 if model else None, "the lock's")
    candidate = commit.outputs.get(CANDIDATE_ONNX)
    if evidence.model.judged_md5 is not None:
        told = candidate.md5 if candidate else None
        yield _same(f"{CANDIDATE_ONNX} (md5)", evidence.model.judged_md5, told, "the lock's")
    provenance = commit.load(PROVENANCE) or {}
    known = commit.outputs.get(PROVENANCE)
    text = commit.read(PROVENANCE) or ""
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    yield _same(f"{PROVENANCE} (md5)", known.md5 if known else "none", digest, "the file's")
    yield _same("data", evidence.snapshot_sha256, provenance.get("snapshot_sha256"), "provenance's")
    for origin in provenance.get("origins", []):
        content = commit.read_bytes(Path(origin["name"]))
        found = hashlib.sha256(content).hexdigest() if content is not None else None
        yield _same(f"source {origin['name']}", origin["sha256"], found, "the commit's")


def _same(what: str, expected: str, found: str | None, whose: str) -> Hop:
    """A hash; where there is nothing to check it with, it is taken as it is told."""
    if found in (None, expected):
        return Hop(what, expected)
    return Hop(what, expected, f"{whose} is {found}")
