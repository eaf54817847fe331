"""Whose a file is, and what an update does with it: see mlops/docs/update.md."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..git.engine import ENGINE, MANIFEST, differences, digest, is_part, parse
from ..git.record import RECORD
from ..packages import PACKAGES, UV_LOCK
from ..paths import CONTRACT, FEATURES, PARAMS, STATEMENT
from .params import with_new_keys
from .trees import Store, Tree

Category = Literal["engine", "platform", "yours"]

# What an update never overwrites.
_YOURS = ("src", "tests", "environments", "releases", "data")
_YOUR_FILES = (CONTRACT, FEATURES, PARAMS, STATEMENT)


@dataclass(frozen=True)
class Sides:
    """The same project three times: as it was baked, as it is, and as it would be baked now."""

    base: Tree
    ours: Tree
    theirs: Tree


@dataclass
class Outcome:
    """What an update makes of a project.

    Attributes:
        tree: its files.
        conflicts: paths in which a person must choose.
        kept: paths that the template no longer has, but somebody changed.
        newer: the owner's paths of which the template has another version; they stay as they are.
        keys: what was added to params.yaml.
        by_hand: further things for a person to do, a line each.
    """

    tree: Tree
    conflicts: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)


def category(path: str) -> Category:
    """Whose a file is."""
    parts = Path(path).parts
    if parts[0] == ENGINE.name:
        return "engine"
    if parts[0] in _YOURS or Path(path) in _YOUR_FILES:
        return "yours"
    return "platform"


def merge(store: Store, sides: Sides) -> Outcome:
    """Merge what the template changed into a project, each file by its category."""
    yours = {path: entry for path, entry in sides.ours.items() if category(path) == "yours"}
    new = {
        path: entry
        for path, entry in sides.theirs.items()
        if category(path) == "yours" and path not in sides.base and path not in sides.ours
    }
    params, keys = _params(store, sides)
    ours = dict(sides.ours)
    if is_shipped(store, ours):  # what differs from `base` then is no change of the owner's
        ours = _without_engine(ours) | _engine(sides.base)
    merged = store.merge(
        _others(sides.base) | yours,
        _others(ours) | yours,
        _others(sides.theirs) | yours | new | params,
    )
    fixed: dict[str, str | None] = {
        str(path): sides.theirs.get(str(path)) for path in (RECORD, MANIFEST)
    }
    # Resolved anew by lock.py: merged here as text, so that versions stay where they can.
    for path in map(str, (UV_LOCK, PACKAGES)):
        if path in merged.conflicts:
            fixed[path] = sides.ours.get(path)
    tree = {path: entry for path, entry in {**merged.tree, **fixed}.items() if entry}
    return Outcome(
        tree=tree,
        conflicts=[path for path in merged.conflicts if path not in fixed],
        kept=[path for path in merged.kept if path not in fixed],
        newer=_newer(sides),
        keys=keys,
    )


def is_shipped(store: Store, tree: Tree) -> bool:
    """Whether a tree's engine is what its manifest says."""
    entry = tree.get(str(MANIFEST))
    if entry is None:
        return False
    files = {path.removeprefix(f"{ENGINE}/"): entry for path, entry in _engine(tree).items()}
    parts = {name: entry for name, entry in files.items() if is_part(name)}
    found = {name: digest(content) for name, content in store.every(parts).items()}
    return not differences(parse(store.read(entry)), found).lines()


def _engine(tree: Tree) -> dict[str, str]:
    return {path: entry for path, entry in tree.items() if category(path) == "engine"}


def _without_engine(tree: Tree) -> dict[str, str]:
    return {path: entry for path, entry in tree.items() if category(path) != "engine"}


def _others(tree: Tree) -> dict[str, str]:
    """All but the owner's, and the record, which is the new one in any case."""
    return {
        path: entry
        for path, entry in tree.items()
        if category(path) != "yours" and path != str(RECORD)
    }


def _newer(sides: Sides) -> list[str]:
    return sorted(
        path
        for path, entry in sides.theirs.items()
        if category(path) == "yours"
        and Path(path) != PARAMS
        and path in sides.ours
        and entry not in (sides.base.get(path), sides.ours[path])
    )


def _params(store: Store, sides: Sides) -> tuple[dict[str, str], list[str]]:
    """params.yaml with the template's new keys, and their names."""
    name = str(PARAMS)
    if not all(name in tree for tree in (sides.base, sides.ours, sides.theirs)):
        return {}, []
    base, ours, theirs = (store.read(t[name]) for t in (sides.base, sides.ours, sides.theirs))
    text, keys = with_new_keys(base, ours, theirs)
    return ({name: store.blob(text)} if keys else {}), keys
