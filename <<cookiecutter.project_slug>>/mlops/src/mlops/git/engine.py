"""The engine, `mlops/`, held against the manifest of its version: a SHA-256 for each file.

A changed engine is allowed when it is meant. It is told, and `mlops update` then merges it instead
of replacing it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import read_text
from ..project import parsed, table
from .record import RECORD, load_record
from .revision import Revision

ENGINE = Path("mlops")
MANIFEST = ENGINE / "manifest"

# A line of `sha256sum`.
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
# What tools leave beside the files.
_LEFT = re.compile(r"(^|/)(\.[^/]*|__pycache__|[^/]*\.egg-info)(/|$)|\.pyc$")


@dataclass(frozen=True)
class Differences:
    """Files of the engine, from its folder, that are not what the manifest says."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def lines(self) -> list[str]:
        """One for each file: what it is, and its path from the project's root."""
        return [
            f"{how}: {ENGINE}/{name}"
            for how, names in (
                ("added", self.added),
                ("changed", self.changed),
                ("removed", self.removed),
            )
            for name in names
        ]


@dataclass(frozen=True)
class Engine:
    """What this project runs on.

    Attributes:
        version: that mlops/pyproject.toml names.
        template, commit: where it is from; None where that is not recorded.
        differences: from what that version shipped.
    """

    version: str
    template: str | None
    commit: str | None
    differences: Differences

    def summary(self) -> list[str]:
        """For people, a line each."""
        lines = self.differences.lines()
        return [
            f"engine {self.version}",
            f"template {self.template or 'not recorded'}",
            f"commit {self.commit or 'not recorded'}",
            *(lines or ["no file differs from this version"]),
        ]


def digest(content: bytes) -> str:
    """The SHA-256 of a file's content, whatever ends its lines on this machine."""
    if b"\0" not in content:
        content = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(content).hexdigest()


def manifest(digests: Mapping[str, str]) -> str:
    """The manifest's text, as `sha256sum` would write it, sorted by path."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def parse(text: str) -> dict[str, str]:
    """The digests in a manifest's text. Raises InputError where a line is none of `sha256sum`."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found:
            raise InputError(
                f"{MANIFEST} line {number}: not a line of a manifest; "
                f"take the file of your last update: `git log --oneline {MANIFEST}`"
            )
        found[match[2]] = match[1]
    return found


def differences(shipped: Mapping[str, str], found: Mapping[str, str]) -> Differences:
    """What was found, held against what was shipped: digests by path."""
    return Differences(
        added=sorted(found.keys() - shipped.keys()),
        changed=sorted(n for n in found.keys() & shipped.keys() if found[n] != shipped[n]),
        removed=sorted(shipped.keys() - found.keys()),
    )


def is_part(name: str) -> bool:
    """Whether a path below `mlops/` is of the engine: not the manifest, nor what tools leave."""
    return name != MANIFEST.name and not _LEFT.search(name)


def engine() -> Engine:
    """The engine of the workspace. Raises InputError where there is no manifest or a broken one."""
    shipped = _manifest(Revision(None))
    found = {name: digest((ENGINE / name).read_bytes()) for name in _files()}
    record = load_record(Revision(None)) if RECORD.is_file() else None
    return Engine(
        version=_version(),
        template=record.template if record else None,
        commit=record.commit if record else None,
        differences=differences(shipped, found),
    )


def is_rewritten(base: Revision) -> bool:
    """Whether the manifest is another than that of `base`, though no update came between.

    Only an update may bring another manifest: it is what tells a change of yours from the engine's.
    """
    before = base.read(MANIFEST)
    if before is None or base.read(RECORD) != Revision(None).read(RECORD):
        return False
    return parse(before) != _manifest(Revision(None))


def _manifest(at: Revision) -> dict[str, str]:
    text = at.read(MANIFEST)
    if text is None:
        raise InputError(f"{MANIFEST}: no such file; run this at the root of the project")
    return parse(text)


def _files() -> Iterator[str]:
    for path in ENGINE.rglob("*"):
        name = path.relative_to(ENGINE).as_posix()
        if path.is_file() and is_part(name):
            yield name


def _version() -> str:
    file = ENGINE / "pyproject.toml"
    if not file.is_file():
        raise InputError(f"{file}: no such file; take it from your last commit")
    said = table(parsed(read_text(file), file), "project", file=file) or {}
    if not isinstance(said.get("version"), str):
        raise InputError(f"{file}: project.version is missing; take it from your last commit")
    return str(said["version"])
