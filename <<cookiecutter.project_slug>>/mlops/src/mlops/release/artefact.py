"""The exported model of what an environment runs, for whoever builds a device's program."""

from pathlib import Path

from ..errors import CheckError, InputError
from ..files import replacing, sha256
from ..git.revision import Revision
from ..paths import EXPORT
from .evidence import evidence_path, load_evidence
from .target import target as declared


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
    release = declared(environment, at).release
    evidence = load_evidence(release.id, at)
    assert evidence is not None  # declared() compares with it
    if target not in evidence.exports:
        known = ", ".join(evidence.exports) or "nothing"
        raise InputError(
            f"{environment} runs {release.id}, which was exported to {known}, not to {target}; "
            f"name it in export.targets and release that"
        )
    files = evidence.exports[target].files
    _require_free(folder, set(files))
    commit = Revision(release.git_sha)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, expected in files.items():
            copy = commit.copy(EXPORT / target / name, temporary)
            if sha256(copy) != expected:
                raise CheckError(
                    f"{EXPORT / target / name} of {release.id} is not the file that "
                    f"{evidence_path(release.id)} names: {expected}"
                )
    return [folder / name for name in files]


def _require_free(folder: Path, names: set[str]) -> None:
    """Raise InputError where replacing a folder would lose something else than these files."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder")
    others = sorted({path.name for path in folder.iterdir()} - names) if folder.exists() else []
    if others:
        raise InputError(f"{folder}: has {others[0]} in it, which would be lost; give another")
