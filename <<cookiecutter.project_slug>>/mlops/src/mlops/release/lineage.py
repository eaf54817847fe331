"""What a commit tells of its release: each field of evidence that Git alone can say again.

It is computed by the same functions when evidence is written, when it is guarded, and when a
release is traced back, so that none of them believes the file.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import flat
from ..git.revision import Revision, git
from ..paths import (
    CANDIDATE_ONNX,
    EXPORT,
    EXPORT_REPORTS,
    LOCK,
    METRICS,
    ONNX,
    PARAMS,
    PROVENANCE,
)
from ..project import PYPROJECT
from .declared import project_name
from .evidence import Evidence, release_id
from .history import moment

# Fields that no file in Git can prove, each with what does. The name of an image, what `champion`
# may be, and the verdict on the very same model are checked all the same: see guard.
BELIEVED = {
    "created": "a clock's word; nothing follows from it",
    "model.sha256": "needs the model: `mlops trace` fetches and hashes it, servers compare it",
    "images.serving": "its digest needs the registry: `mlops trace` asks it, `deploy` attests it",
    "images.training": "its digest needs the registry: `mlops trace` asks it, `deploy` attests it",
    "verdict": "needs both models: `mlops gate` compares them when the change is merged",
    "run": "an address for people; nothing follows from it",
}
# Whose word each field is; `metrics` and `exports` stand for each of them.
_WHERE = {
    "id": "its commit",
    "dvc_lock_sha256": LOCK.as_posix(),
    "snapshot_sha256": PROVENANCE.as_posix(),
    "model.version": f"{PYPROJECT} and the count of commits",
    "model.md5": LOCK.as_posix(),
    "model.judged_md5": LOCK.as_posix(),
    "exports": f"{LOCK} with {EXPORT_REPORTS}",
    "metrics": METRICS.as_posix(),
}


@dataclass(frozen=True)
class Fact:
    """A field of evidence beside what the commit says.

    Attributes:
        field: its name, `model.md5`.
        said, found: the evidence's value, and the commit's; None for none.
        where: whose word `found` is.
    """

    field: str
    said: object
    found: object
    where: str

    @property
    def problem(self) -> str | None:
        """How they differ, with both values; None where they do not."""
        alike = type(self.said) is type(self.found) or all(
            isinstance(each, int | float) and not isinstance(each, bool)
            for each in (self.said, self.found)
        )
        if alike and self.said == self.found:
            return None
        return f"it says {_shown(self.said)}, {self.where} says {_shown(self.found)}"


def of_commit(at: Revision) -> dict[str, Any]:
    """What evidence of a commit must say, by field. Raises InputError where a file is broken."""
    return {name: value for read in _READERS for name, value in read(at).items()}


def facts(evidence: Evidence) -> Iterator[Fact]:
    """Yield each field that the evidence's commit, which must be there, tells of."""
    at = Revision(evidence.git_sha)
    found: dict[str, object] = {}
    broken: dict[str, str] = {}
    for read, fields in _READERS.items():
        try:
            found |= read(at)
        except InputError as error:
            broken |= dict.fromkeys(fields, str(error))
    said = flat(evidence.model_dump())
    for name in dict.fromkeys([*said, *found]):
        known = name if name in _WHERE else name.partition(".")[0]
        if known in _WHERE:
            where = broken.get(known, f"{_WHERE[known]} of {evidence.git_sha[:7]}")
            yield Fact(name, said.get(name), found.get(name), where)
    yield from _reports(at)


def exports(at: Revision) -> dict[str, dict[str, Any]]:
    """What a commit's model was exported to, by target: see evidence.Export.

    The folder's hash is the lock's, and hashes of files are in the target's report, whose own hash
    is there, too.
    """
    outputs, found = at.outputs, {}
    for name in _targets(at):
        folder = outputs.get(EXPORT / name)
        files = _mapping(at, EXPORT_REPORTS / f"{name}.json").get("files")
        found[name] = {
            "md5": folder.md5 if folder else None,
            "files": {
                file: told.get("sha256") if isinstance(told, dict) else None
                for file, told in (files.items() if isinstance(files, dict) else ())
            },
        }
    return found


def _targets(at: Revision) -> list[str]:
    """What params.yaml exports to: dvc.lock keeps what it exported to before."""
    wanted = _mapping(at, PARAMS).get("export")
    targets = wanted.get("targets") if isinstance(wanted, dict) else None
    return [str(name) for name in targets] if isinstance(targets, dict) else []


def committed(commit: str) -> datetime:
    """When a commit was made."""
    return moment(git("show", "-s", "--format=%ct", commit))


def md5(content: bytes) -> str:
    """The MD5 of a file's content, as DVC has it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _named(at: Revision) -> dict[str, object]:
    commit = str(at.commit)
    # What was merged so far is counted, not what was released: two that wait side by side differ.
    number = git("rev-list", "--count", "--first-parent", commit)
    return {
        "id": release_id(commit, committed(commit)),
        "model.version": f"{project_name(at)}@v{number}.0.0",
    }


def _locked(at: Revision) -> dict[str, object]:
    lock = at.read_bytes(LOCK)
    outputs = at.outputs
    candidate, model = outputs.get(CANDIDATE_ONNX), outputs.get(ONNX)
    return {
        "dvc_lock_sha256": None if lock is None else hashlib.sha256(lock).hexdigest(),
        "model.md5": model.md5 if model else None,
        "model.judged_md5": candidate.md5 if candidate and candidate != model else None,
    }


def _data(at: Revision) -> dict[str, object]:
    return {"snapshot_sha256": _mapping(at, PROVENANCE).get("snapshot_sha256")}


def _measured(at: Revision) -> dict[str, object]:
    return {f"metrics.{name}": value for name, value in _mapping(at, METRICS).items()}


def _exported(at: Revision) -> dict[str, object]:
    return flat({"exports": exports(at)})


_READERS = {
    _named: ("id", "model.version"),
    _locked: ("dvc_lock_sha256", "model.md5", "model.judged_md5"),
    _data: ("snapshot_sha256",),
    _measured: ("metrics",),
    _exported: ("exports",),
}


def _reports(at: Revision) -> Iterator[Fact]:
    """The files that evidence is taken from, as the commit's own lock names them."""
    paths = [METRICS, PROVENANCE]
    try:
        outputs, where = at.outputs, f"{LOCK} of {str(at.commit)[:7]}"
    except InputError as error:
        outputs, where = {}, str(error)
    with suppress(InputError):  # told of `exports` already
        paths += [EXPORT_REPORTS / f"{name}.json" for name in _targets(at)]
    for path in paths:
        content, known = at.read_bytes(path), outputs.get(path)
        there = None if content is None else md5(content)
        named = known.md5 if known else None
        # Every pipeline makes them: nothing and nothing would be compared, and fit.
        found = "no hash of it" if there is None and named is None else named
        yield Fact(f"{path} (md5)", there, found, where)


def _mapping(at: Revision, path: Path) -> dict[str, Any]:
    content = at.load(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path} of {str(at.commit)[:7]}: not an object")
    return content


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{value!s:.200}"
