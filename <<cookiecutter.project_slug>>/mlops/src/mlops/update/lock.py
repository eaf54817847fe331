"""uv.lock after an update: the template's where that fits, else resolved anew by uv; and what
stages depend on of it."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from ..packages import PACKAGES, UV_LOCK, text
from ..project import parsed
from .merge import Outcome, Sides
from .trees import Store

# The project's, and the engine's.
_PROJECTS = ("pyproject.toml", "mlops/pyproject.toml")


def resolve(store: Store, sides: Sides, outcome: Outcome, folder: Path) -> None:
    """Have `outcome` hold a uv.lock that fits its pyproject.toml; say so where that is not to be.

    Args:
        store: of the project's objects.
        sides: before the merge.
        outcome: is changed.
        folder: an empty one, to lay the project out in.
    """
    lock = str(UV_LOCK)
    if lock not in outcome.tree or lock not in sides.ours:  # the owner keeps none
        return
    tree = dict(outcome.tree)
    outcome.tree = tree
    tree[lock] = _resolved(store, sides, outcome, folder)
    if str(PACKAGES) in tree:
        tree[str(PACKAGES)] = store.blob(text(store.read(tree[lock])))


def _resolved(store: Store, sides: Sides, outcome: Outcome, folder: Path) -> str:
    """The entry of a uv.lock that fits, or of the project's own, which is left to do by hand."""
    lock = str(UV_LOCK)
    own = sides.ours[lock]
    if held := [path for path in _PROJECTS if path in outcome.conflicts]:
        outcome.by_hand.append(f"`uv lock`, once {held[0]} has no conflict any more")
        return own
    if own == sides.base.get(lock) and _asks_for_the_same(store, sides, outcome):
        return sides.theirs[lock]
    store.checkout(outcome.tree, folder)
    problem = _locked(folder)
    if problem and outcome.tree[lock] != own:  # merged as text, into what uv cannot read
        (folder / lock).write_bytes(store.content(own))
        problem = _locked(folder)
    if problem:
        outcome.by_hand.append(f"`uv lock`, which was not to be done here: {problem}")
        return own
    return store.blob((folder / lock).read_text(encoding="utf-8"))


def _asks_for_the_same(store: Store, sides: Sides, outcome: Outcome) -> bool:
    """Whether the merged project asks for the packages that the template's own does."""
    files = [(path, outcome.tree.get(path), sides.theirs.get(path)) for path in _PROJECTS]
    return all(
        mine == new
        or bool(mine and new and _asked(store.read(mine), path) == _asked(store.read(new), path))
        for path, mine, new in files
    )


def _asked(text: str, path: str) -> Any:
    """What uv reads of a pyproject.toml when it locks. Raises InputError where it is no TOML."""
    content = parsed(text, Path(path))
    project = content.get("project", {})
    names = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
    return (
        {name: project.get(name) for name in names},
        content.get("dependency-groups"),
        content.get("tool", {}).get("uv"),
    )


def _locked(folder: Path) -> str | None:
    """Run `uv lock` in a folder: None, or why that was not to be."""
    uv = shutil.which("uv")
    if uv is None:
        return "there is no uv on this machine"
    done = subprocess.run(
        [uv, "lock", "--project", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1].strip(" ×╰─▶:")
