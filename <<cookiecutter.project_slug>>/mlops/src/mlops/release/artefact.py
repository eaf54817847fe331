"""The exported model of what an environment runs, for whoever builds a device's program."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckError, InputError
from ..files import replacing, sha256
from ..git.revision import Revision
from ..paths import EXPORT
from .evidence import Evidence, evidence_path, load_evidence
from .target import target as declared


@dataclass(frozen=True)
class Shipped:
    """What an environment's release has for a target.

    Attributes:
        release: its id.
        commit: what it was made from.
        md5: of the files' folder, in dvc.lock.
        files: their hashes by name.
    """

    release: str
    commit: Revision
    md5: str
    files: dict[str, str]

    def are_at(self, folder: Path) -> bool:
        """Whether a folder has these very files."""
        paths = {folder / name: expected for name, expected in self.files.items()}
        return all(path.is_file() and sha256(path) == each for path, each in paths.items())


def shipped(environment: str, target: str, at: Revision) -> Shipped:
    """What the release of an environment has for a target, as environments and evidence say.

    Raises:
        InputError: no release, or one that has no such target.
        CheckError: the release is not what its evidence says.
    """
    release = declared(environment, at).release
    evidence = load_evidence(release.id, at)
    assert evidence is not None  # declared() compares with it
    if target not in evidence.exports:
        known = ", ".join(evidence.exports) or "nothing"
        raise InputError(
            f"{environment} runs {release.id}, which was exported to {known}, not to {target}; "
            f"name it in export.targets and release that"
        )
    return _of(evidence, target)


def _of(evidence: Evidence, target: str) -> Shipped:
    export = evidence.exports[target]
    return Shipped(evidence.id, Revision(evidence.git_sha), export.md5, export.files)


def fetch(environment: str, target: str, folder: Path, at: Revision) -> list[Path]:
    """Write the files of a target into a folder, which has them all or stays as it was.

    They come from DVC's cache or its remote, by the release's commit, and are the very files that
    its evidence names.

    Args:
        environment: whose release it is.
        target: of export.targets.
        folder: for these files alone.
        at: where environments and evidence are read.
    Raises:
        InputError: no release, one that has no such target, files that cannot be had, or a folder
            with something else in it.
        CheckError: a file is not the one of the evidence.
    """
    found = shipped(environment, target, at)
    _require_free(folder, set(found.files))
    _write(found, target, folder)
    return [folder / name for name in found.files]


def collect(evidence: Evidence, folder: Path) -> None:
    """Write the files of every target of a release, each target's into a folder of its own.

    Raises:
        InputError: they cannot be had.
        CheckError: a file is not the one of the evidence.
    """
    for target in evidence.exports:
        _write(_of(evidence, target), target, folder / target)


def _write(found: Shipped, target: str, folder: Path) -> None:
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, expected in found.files.items():
            copy = found.commit.copy(EXPORT / target / name, temporary)
            if sha256(copy) != expected:
                raise CheckError(
                    f"{EXPORT / target / name} of {found.release} is not the file that "
                    f"{evidence_path(found.release)} names: {expected}"
                )


def _require_free(folder: Path, names: set[str]) -> None:
    """Raise InputError where replacing a folder would lose something else than these files."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder")
    others = sorted({path.name for path in folder.iterdir()} - names) if folder.exists() else []
    if others:
        raise InputError(f"{folder}: has {others[0]} in it, which would be lost; give another")
