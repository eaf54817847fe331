"""From what runs back to the raw data: every hop of the lineage, each checked by its hash.

Nothing is made again; what is fetched is hashed. See hop for what the states of a step say.
"""

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import CheckError, InputError, ProjectError, first_line
from ..git.revision import Output, Revision, git, is_shallow
from ..paths import EXPORT, LOCK, ONNX, PARAMS, PROVENANCE, SNAPSHOT
from ..project import PYPROJECT
from ..serving.client import Client
from .declared import image_names, registry
from .docker import docker
from .evidence import Evidence, evidence_path, load_evidence
from .history import SHALLOW, stretches
from .hop import Hop
from .journal import arrival, first_change, last_change
from .lineage import facts, md5
from .proposal import hosted
from .settings import load
from .sign_off import signed
from .state import Release, environments, release_path
from .target import LOOK_SECONDS


def trace(what: str, base: Revision) -> Iterator[Hop]:
    """Yield each hop from an environment, a release's id, or the URL of a server.

    Raises InputError where there is nothing by that name.
    """
    served: str | None = None
    if ":" in what:
        release, served = _served(what)
    elif what in (known := environments(base)):
        found = known[what].release
        if found is None:
            raise InputError(f"{what} has no release yet")
        release = found.id
        yield _running(what, found, base)
        if known[what].policy.approvals:
            yield from _signed(what, base)
        served = yield from _answering(load(what, base).url, release)
    else:
        release = what
    evidence = load_evidence(release, base)
    if evidence is None:
        raise InputError(f"{what}: there is no {evidence_path(release)}")
    yield _unchanged(evidence, base)
    if served is not None:
        yield _same("model of the server", served, evidence.model.sha256, "the evidence")
    yield from _images(evidence, base)
    yield from _in_git(evidence, base)


def _running(environment: str, release: Release, base: Revision) -> Hop:
    evidence, value = load_evidence(release.id, base), f"{environment} runs {release.id}"
    why = None
    if evidence is not None and evidence.release != release:
        why = f"not as {evidence_path(release.id)} says"
    landed = last_change(release_path(environment), base)
    return Hop("environment", value, "wrong" if why else "ok", why, landed)


def _signed(environment: str, base: Revision) -> Iterator[Hop]:
    """Who signed for what an environment has."""
    if is_shallow():
        yield Hop("signed", "not known", "not checked", SHALLOW)
        return
    brought = stretches(release_path(environment), base)[0].at
    yield from signed(environment, brought, base, hosted())


def _answering(url: str, release: str) -> Generator[Hop, None, str | None]:
    """The model of the server that answers for an environment; None where none is reached."""
    try:
        found, model = _served(url, LOOK_SECONDS)
    except CheckError as error:
        yield Hop("server", url, "not checked", f"none is reached from here: {error}")
        return None
    yield _same("server", found, release, "the environment")
    return model


def _served(url: str, seconds: float = 10) -> tuple[str, str]:
    """The release and the model that a server says it has. Raises CheckError where it does not."""
    with Client(url, seconds) as client:
        told = client.model.get("parameters", {})
        try:
            return str(told["release"]), str(told["model_sha256"])
        except KeyError:
            raise CheckError(f"{url}: does not say which release it has") from None


def _unchanged(evidence: Evidence, base: Revision) -> Hop:
    """The evidence itself, which is written once: what changed it on any branch is named."""
    path = evidence_path(evidence.id).as_posix()
    if is_shallow():
        return Hop("release", evidence.id, "not checked", SHALLOW)
    # Merges are held against each of their parents: else what one side did is passed over.
    told = git(
        *("log", "--full-history", "-m", "--raw", "--no-abbrev", "--no-renames"),
        *("--no-show-signature", "--format=commit %H", str(base.commit), "--", path),
    )
    commit, blobs = "", dict[str, str]()
    for line in told.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith(":"):
            for blob in line.split()[2:4]:
                if set(blob) != {"0"}:
                    blobs.setdefault(blob, commit)
    landed = first_change(evidence_path(evidence.id), base)
    if len(blobs) == 1:
        return Hop("release", evidence.id, "ok", landed=landed)
    last = next(iter(blobs.values()))[:7]
    why = f"{path} was changed after it was written, in {last}"
    return Hop("release", evidence.id, "wrong", why, landed)


def _images(evidence: Evidence, base: Revision) -> Iterator[Hop]:
    """Each image by what its registry has under its digest."""
    for kind, image in evidence.images.model_dump().items():
        if not image:
            continue
        what = f"{kind} image"
        try:
            name = image_names(registry(base))[kind]
        except InputError as error:
            yield Hop(what, image, "wrong", str(error))
            continue
        if image.partition("@")[0] != name:
            yield Hop(what, image, "wrong", f"{PYPROJECT} (tool.mlops: registry) says {name}")
            continue
        wanted = {"org.opencontainers.image.revision": evidence.git_sha}
        if kind == "serving":
            wanted["mlops.model.sha256"] = evidence.model.sha256
        yield from _labelled(what, image, wanted)


def _labelled(what: str, image: str, wanted: dict[str, str]) -> Iterator[Hop]:
    """What an image says of itself, asked by its digest, which no other content has."""
    try:
        told = json.loads(
            docker("buildx", "imagetools", "inspect", "--format={{json .Image}}", image)
        )
        # An index has an image for each platform.
        images = {what: told} if "config" in told else {f"{what} {at}": told[at] for at in told}
        labels = {name: each["config"].get("Labels") or {} for name, each in images.items()}
        if not labels:
            raise ValueError("an index of nothing")
    except ProjectError as error:
        yield Hop(what, image, "not checked", f"its registry was not asked: {first_line(error)}")
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Hop(what, image, "not checked", "its registry does not list its contents")
        return
    for name, known in labels.items():
        for label, value in wanted.items():
            if not known.get(label):
                yield Hop(name, image, "not checked", f"it was built without the label {label}")
            else:
                yield _same(f"{name}, {label}", known[label], value, "the evidence")


def _in_git(evidence: Evidence, base: Revision) -> Iterator[Hop]:
    if evidence.git_sha not in git("rev-list", str(base.commit)).split():
        if is_shallow():
            yield Hop("commit", evidence.git_sha, "not checked", SHALLOW)
        else:
            lost = "not in the history of main: it was rewritten"
            yield Hop("commit", evidence.git_sha, "wrong", lost)
        return
    commit = Revision(evidence.git_sha)
    yield Hop("commit", evidence.git_sha, "ok", landed=arrival(commit, base))
    for fact in facts(evidence):
        said = "nothing" if fact.said is None else str(fact.said)
        yield Hop(fact.field, said, "wrong" if fact.problem else "ok", fact.problem)
    try:
        yield _output(ONNX, evidence.model.sha256, "the evidence", commit)
        for target, export in evidence.exports.items():
            for name, expected in export.files.items():
                path = EXPORT / target / name
                yield _bytes(path.as_posix(), path, None, expected, "the evidence", commit)
        yield from _data(commit)
    except InputError as error:  # a file of the commit that is not what it must be
        yield Hop("data", evidence.snapshot_sha256, "wrong", str(error))


def _data(commit: Revision) -> Iterator[Hop]:
    """The snapshot, and what provenance says that it was made of."""
    provenance = commit.load(PROVENANCE)
    try:
        digest = str(provenance["snapshot_sha256"])
        origins = [(str(each["name"]), str(each["sha256"])) for each in provenance["origins"]]
        query = provenance.get("query")
        joined = query and (str(query["name"]), str(query["sha256"]))
    except (KeyError, TypeError, AttributeError):
        origins, digest, joined = [], "nothing", None
    taken = provenance.get("retrieved_at") if isinstance(provenance, dict) else None
    hop = _output(SNAPSHOT, digest, f"{PROVENANCE}", commit)
    yield replace(hop, taken=str(taken) if taken else None)
    if not origins:
        yield Hop("source", f"{PROVENANCE}", "wrong", "it names no source")
    for name, expected in origins:
        yield from _source(name, expected, commit)
    if joined:
        yield _joined(*joined, commit)


def _joined(where: str, expected: str, commit: Revision) -> Hop:
    """The text of the query that joins the sources: in a file, or in params.yaml."""
    if where.endswith(".sql"):
        text = _text(commit.read_bytes(Path(where)))
    else:
        source = (commit.load(PARAMS) or {}).get("source")
        text = str(source.get("query", "")) if isinstance(source, dict) else ""
    return _same(f"text of {where}", expected, _sha256(text), "the commit's")


def _text(content: bytes | None) -> str:
    """What is written in a file, as Python reads it; nothing where there is none."""
    return (content or b"").decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _output(path: Path, expected: str, whose: str, commit: Revision) -> Hop:
    """An output of the commit, by its bytes."""
    known = commit.outputs.get(path)
    if known is None:
        why = f"{LOCK} of {str(commit.commit)[:7]} does not name it"
        return Hop(path.as_posix(), expected, "wrong", why)
    return _bytes(path.as_posix(), path, known, expected, whose, commit)


def _bytes(
    what: str, path: Path, known: Output | None, expected: str, whose: str, commit: Revision
) -> Hop:
    """The bytes of what DVC keeps: they have the MD5 that is known and the SHA-256 that is told."""
    with TemporaryDirectory() as folder:
        try:
            content = commit.copy(path, Path(folder))
        except InputError as error:
            return Hop(what, expected, "not checked", str(error))
        md5, sha256 = _digests(content)
    if known is not None and md5 != known.md5:
        why = f"DVC keeps a file with the MD5 {md5} in the place of {known.md5}"
        return Hop(what, expected, "wrong", why)
    if sha256 != expected:
        return Hop(
            what, expected, "wrong", f"{whose} says so, the file with the MD5 {md5} {sha256}"
        )
    return Hop(what, expected, "ok")


def _digests(path: Path) -> tuple[str, str]:
    """MD5 and SHA-256 of the same bytes."""
    digests = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            for each in digests:
                each.update(block)
    md5, sha256 = (each.hexdigest() for each in digests)
    return md5, sha256


def _source(name: str, expected: str, commit: Revision) -> Iterator[Hop]:
    """A file, or the text of a query, that the snapshot was taken of."""
    what = f"source {name}"
    query, is_query, _ = name.partition(".sql on ")
    path = Path(f"{query}.sql" if is_query else name)
    if "://" in name and not is_query:
        yield Hop(what, expected, "not checked", "it is at an address, which may say otherwise now")
        return
    if path.is_absolute() or ".." in path.parts:
        yield Hop(what, expected, "not checked", "it lies outside of the project")
        return
    content = commit.read_bytes(path)
    if is_query:
        yield Hop(what, expected, "not checked", "what a database said then is the snapshot alone")
        yield _same(f"text of {path}", expected, _sha256(_text(content)), "the commit's")
    elif content is not None:
        if read := commit.inputs.get(path):
            yield _same(f"{what} (md5)", md5(content), read.md5, f"{LOCK}")
        found = hashlib.sha256(content).hexdigest()
        yield _same(what, expected, found, "the commit's")
    else:
        yield from _kept(what, path, expected, commit)


def _kept(what: str, path: Path, expected: str, commit: Revision) -> Iterator[Hop]:
    """A source that DVC keeps: by its bytes, and by what dvc.lock says that was read."""
    kept = commit.outputs.get(path) or commit.tracked(path)
    if kept is None:
        yield Hop(what, expected, "not checked", "neither the commit nor DVC has it")
        return
    for each in (path, *path.parents[:-1]):
        pointer, read = commit.tracked(each), commit.inputs.get(each)
        if pointer and read:
            yield _same(f"{each}.dvc (md5)", pointer.md5, read.md5, f"{LOCK}")
    whole = None if kept.md5.endswith(".dir") else kept
    yield _bytes(what, path, whole, expected, f"{PROVENANCE}", commit)


def _same(what: str, value: str, other: str, whose: str) -> Hop:
    if value == other:
        return Hop(what, value, "ok")
    return Hop(what, value, "wrong", f"{whose} says {other}")
