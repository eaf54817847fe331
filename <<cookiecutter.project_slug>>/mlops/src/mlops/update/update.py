"""A newer template, merged into the project on a branch of its own: see mlops/docs/update.md.

The project is baked twice, as it was and as it would be now. What differs is merged by Git into
what the project became since; workspace and index stay as they are.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import InputError
from ..git.record import RECORD, Record, load_record
from ..git.revision import Revision, root
from ..release.proposal import Proposal, write_tree
from . import changelog, lock
from .merge import Outcome, Sides, category, merge
from .migrations import between
from .template import Template, clone
from .trees import Store, Tree, store

# How the names of its branches begin.
BRANCHES = "update/"
# GitHub refuses bodies of 65,536 characters.
_LONGEST = 40_000
_MIGRATIONS = "mlops/src/mlops/update/migrations/"
_CATEGORIES = {"engine": "the engine", "platform": "platform files", "yours": "yours"}


@dataclass(frozen=True)
class Update:
    """A newer template as a commit that no branch names yet.

    Attributes:
        proposal: the branch it is for, and what a person is told.
        commit: its name; None where the project is up to date.
        said: in a line, what it is.
        conflicts: paths in which a person must choose.
    """

    proposal: Proposal
    commit: str | None
    said: str
    conflicts: list[str]


@dataclass(frozen=True)
class _Step:
    """From one commit of the template to another."""

    template: Template
    old: str
    new: str
    record: Record

    @property
    def version(self) -> str:
        return self.template.version(self.new)

    @property
    def name(self) -> str:
        """The new version, with its commit where it is none of its own."""
        same = self.version == self.template.version(self.old)
        return f"{self.version}-{self.new[:7]}" if same else self.version


def update(base: Revision, to: str | None, address: str | None, since: str | None) -> Update:
    """Merge a newer template into `base`.

    Args:
        base: a commit of the project.
        to: a version, branch or commit of the template; the newest version if not given.
        address: where the template is; the recorded one if not given.
        since: what the project is from; the recorded commit if not given.
    Raises:
        InputError: there is no record, the template or a commit of it is not to be had, or an
            answer is no longer valid.
    """
    record = load_record(base)
    with TemporaryDirectory() as name, store() as objects:
        folder = Path(name)
        template = clone(address or record.template, folder / "clone")
        step = _step(template, record, since, to)
        if step.old == step.new:
            return _nothing(f"up to date: {step.version} ({step.new[:7]}) of {template.address}")
        old = template.bake(step.old, record.answers, folder / "old")
        new = template.bake(step.new, record.answers, folder / "new")
        _record(step, new)
        mine = objects.tree(f"{base.commit}:{root()}")
        sides = Sides(objects.of_folder(old), mine, objects.of_folder(new))
        outcome = merge(objects, sides)
        _migrate(objects, sides, outcome, step, folder)
        lock.resolve(objects, sides, outcome, folder / "locked")
        if _is_nothing(sides.ours, outcome.tree) and record.commit:
            return _nothing(f"up to date: {step.name} of {template.address} changes nothing here")
        return _proposed(base, step, sides, outcome, objects)


def _step(template: Template, record: Record, since: str | None, to: str | None) -> _Step:
    if since or record.commit:
        old = template.commit(str(since or record.commit))
    elif f"v{record.version}" in template.versions():
        old = template.commit(record.version)
    else:
        raise InputError(
            f"{RECORD}: names no commit of the template, which held changes of no commit when "
            f"this was baked, or was {record.version} before it was recorded; "
            "say which it was: mlops update --from COMMIT"
        )
    return _Step(template, old, template.commit(to) if to else template.newest(old), record)


def _record(step: _Step, new: Path) -> None:
    """Write where the project is from now: not the clone that it was baked from."""
    made = Record.model_validate_json((new / RECORD).read_text(encoding="utf-8"))
    where = {"template": step.template.address, "commit": step.new}
    (new / RECORD).write_text(made.model_copy(update=where).text(), encoding="utf-8")


def _migrate(objects: Store, sides: Sides, outcome: Outcome, step: _Step, folder: Path) -> None:
    """Run what the new version declares for projects of older ones, by its own engine."""
    trees = {"was": sides.base, "mine": sides.ours, "merged": outcome.tree, "is": sides.theirs}
    engine = folder / "migration/is/mlops/src"
    declared = {
        path.removeprefix(_MIGRATIONS).partition("/")[0].removesuffix(".py")
        for path in sides.theirs
        if path.startswith(_MIGRATIONS)
    }
    if not between(step.record.version, step.version, declared):
        return
    for name, tree in trees.items():
        objects.checkout(tree, folder / "migration" / name)
    paths = [str(folder / "migration" / name) for name in trees]
    versions = [step.record.version, step.version]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "mlops.update.migrations", *versions, *paths],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(engine)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"the migration to {step.version} fails: {why}")
    told = json.loads(done.stdout)
    if told["ran"]:
        outcome.tree = objects.of_folder(folder / "migration/merged")
        outcome.conflicts = _with_marks(objects, outcome)
        outcome.by_hand += told["by_hand"]


def _with_marks(objects: Store, outcome: Outcome) -> list[str]:
    """The paths that still have conflicts: a migration may settle some, and leave others."""
    marked = re.compile(rb"^<{7} ", re.MULTILINE)
    asked = {
        path: entry
        for path, entry in sorted(outcome.tree.items())
        if path in outcome.conflicts or path.endswith(".py")
    }
    return [path for path, content in objects.every(asked).items() if marked.search(content)]


def _is_nothing(ours: Tree, merged: Tree) -> bool:
    differing = {p for p in ours.keys() | merged.keys() if ours.get(p) != merged.get(p)}
    return differing <= {str(RECORD)}


def _nothing(said: str) -> Update:
    return Update(Proposal("", said, {}), None, said, [])


def _proposed(
    base: Revision, step: _Step, sides: Sides, outcome: Outcome, objects: Store
) -> Update:
    proposal = Proposal(
        branch=f"{BRANCHES}{step.name}",
        title=f"Update the template from {step.record.version} to {step.name}",
        files={},
        trailers={"Template": step.template.address, "Template-commit": step.new},
        body=_body(step, sides, outcome),
        replaces=BRANCHES,
    )
    tree = objects.write(_within(objects.tree(str(base.commit)), root(), outcome.tree))
    commit = write_tree(proposal, base, tree)
    said = f"{proposal.title}: {_told(len(outcome.conflicts), 'conflict')}"
    return Update(proposal, commit, said, outcome.conflicts)


def _within(repository: Tree, root: str, project: Tree) -> Tree:
    """The repository's tree with the project's in its place: the whole of it, or a folder."""
    others = {path: entry for path, entry in repository.items() if not path.startswith(root)}
    return others | {f"{root}{path}": entry for path, entry in project.items()}


def _body(step: _Step, sides: Sides, outcome: Outcome) -> str:
    """What a person reads: what is to be done, what changed, and why."""
    template = step.template
    news = changelog.since(
        *(template.read(commit, "CHANGELOG.md") for commit in (step.old, step.new))
    )
    parts = [
        _counts(sides.ours, outcome.tree),
        _listed("Conflicts to settle on this branch, then commit", outcome.conflicts),
        _listed("To be done by hand", outcome.by_hand, code=False),
        _listed("Added to params.yaml", outcome.keys),
        _listed("No longer of the template, kept as you changed them", outcome.kept),
        _listed("Yours, which stay as they are, though the template's changed", outcome.newer),
        f"## What is new\n\n{news}" if news else "",
    ]
    text = "\n\n".join(filter(None, parts))
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rpartition("\n")[0] + "\n\nMore is in the template's CHANGELOG.md."
    return text


def _counts(before: Tree, after: Tree) -> str:
    """How many files of each category are added, changed and removed, as a table."""
    found: Counter[tuple[str, str]] = Counter()
    for path in before.keys() | after.keys():
        if before.get(path) != after.get(path):
            how = "added" if path not in before else "removed" if path not in after else "changed"
            found[category(path), how] += 1
    kinds = ("added", "changed", "removed")
    rows = [
        [_CATEGORIES[whose], *(str(found[whose, how]) for how in kinds)] for whose in _CATEGORIES
    ]
    lines = [["files", *kinds], ["---"] * 4, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _listed(title: str, items: list[str], code: bool = True) -> str:
    if not items:
        return ""
    return f"## {title}\n\n" + "\n".join(f"- `{each}`" if code else f"- {each}" for each in items)


def _told(count: int, what: str) -> str:
    return f"no {what}" if not count else f"{count} {what}{'s' if count > 1 else ''}"
