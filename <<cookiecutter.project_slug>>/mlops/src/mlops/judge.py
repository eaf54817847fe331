"""The judge: whether a change may be merged, by an engine that is not the change's own.

CI checks out the engine of the base beside the change and runs it on the change's files: nothing
of the change's own code takes part, so that no change can loosen what it is judged by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from . import project
from .config.terms import Terms, load_terms
from .errors import CheckError, InputError
from .files import flat
from .git import engine, lock
from .git.revision import WORKSPACE, Revision, git
from .judging import comparison
from .judging.paired import judged
from .judging.recount import judged_by
from .learning.metrics import METRICS as OF_ENGINE
from .learning.metrics import STABILITY, VALUE
from .paths import CARD, CARD_PAGE, METRICS, PARAMS
from .release import guard
from .release.proposal import is_trunk

Part = Callable[[], list[str]]
_CARDS = (CARD, CARD_PAGE)
# The sections of params.yaml that say when a model is good enough, and worse than another one.
_TERMS = ("gates", "fairness", "compare")


@dataclass(frozen=True)
class Judgement:
    """What was found.

    Attributes:
        base: the commit that the change was judged against; None before the first.
        engine: the commit of the engine that judged; None for the change's own.
        changed: files of the engine that the change alters.
        refusals: why it may not be merged, by what was looked at.
        notes: what could not be judged, and why.
        unread: the parts of which this engine cannot read the change's files.
    """

    base: str | None
    engine: str | None
    changed: list[str]
    refusals: dict[str, list[str]]
    notes: list[str]
    unread: frozenset[str]

    @property
    def is_unread(self) -> bool:
        """Whether all there is against it is that this engine cannot read it.

        Another engine may then judge. What this one read and refuses stays refused: else one file
        that it cannot read would open all others to the change's own engine.
        """
        return bool(self.refusals) and self.refusals.keys() == self.unread

    def lines(self) -> list[str]:
        """For people, a line each."""
        who = f"the engine of {self.engine[:7]}" if self.engine else "the change's own engine"
        against = f"against {self.base[:7]}" if self.base else "with nothing before it"
        lines = [f"judged by {who}, {against}"]
        if self.changed and self.engine:
            lines.append(f"the change's engine, which differs in {_few(self.changed)}, had no say")
        elif self.changed:
            lines.append(
                f"the change alters the engine in {_few(self.changed)}, and that judged: whoever "
                "owns it has to approve"
            )
        return [*lines, *self.notes]

    def markdown(self) -> str:
        """For the comment on a pull request."""
        told = [line for lines in self.refusals.values() for line in lines]
        verdict = "The judge refuses" if told else "The judge has no objection"
        kind = "CAUTION" if told else "NOTE"
        body = [f"> **{verdict}**: {'; '.join(self.lines())}.", *(f"> - {line}" for line in told)]
        return "\n".join(["", f"> [!{kind}]", *body, ""])


def judge(name: str, now: datetime, card: Part) -> Judgement:
    """Judge what is checked out: lock, gates, model card, environments and engine's manifest.

    Args:
        name: the base's branch, tag or commit; all zeros for none.
        now: the time, for soaking and freezes.
        card: what is stale of the model card, a line each: it is laid out by what nothing here
            knows.
    Raises:
        InputError: Git knows no such base, or nothing is checked out.
    """
    base, head = Revision.of(name), Revision.of("HEAD")
    if head is None:
        raise InputError("nothing is committed")
    elsewhere = _elsewhere()
    own = elsewhere is None
    if not own and base is not None:
        project.speak_for(base.read(project.PYPROJECT) or "")
    notes: list[str] = []
    refusals: dict[str, list[str]] = {}
    unread: set[str] = set()
    parts: dict[str, Part] = {
        "lock": lambda: _lock(base),
        "gates": lambda: _gates(base, head, own, notes),
        "card": lambda: _card(base, head, own, card, notes),
        "environments": lambda: (
            [] if base is None else guard.refusals(base, head, now, merged=is_trunk(head))
        ),
        "engine": lambda: [] if base is None else _manifest(base),
    }
    for part, look in parts.items():
        try:
            lines = look()
        except InputError as error:
            lines = str(error).splitlines()
            unread.add(part)
        except CheckError as error:
            lines = str(error).splitlines()
        if lines:
            refusals[part] = lines
    return Judgement(
        base=base.commit if base else None,
        engine=elsewhere,
        changed=_changed(base, head, engine.ENGINE),
        refusals=refusals,
        notes=notes,
        unread=frozenset(unread),
    )


def _elsewhere() -> str | None:
    """The commit that this engine is checked out from, unless it is that of the project here."""
    folder = Path(__file__).resolve().parent
    if folder.is_relative_to(Path.cwd().resolve()):
        return None
    try:
        return git("-C", str(folder), "rev-parse", "HEAD")
    except InputError:
        return None


def _changed(base: Revision | None, head: Revision, folder: Path) -> list[str]:
    """Files of a folder that the change alters."""
    if base is None:
        return []
    between = f"{base.commit}...{head.commit}"
    names = git("diff", "--name-only", "--relative", "-z", between, "--", str(folder))
    return [name for name in names.split("\0") if name]


def _few(files: list[str]) -> str:
    shown = ", ".join(files[:3])
    return shown if len(files) <= 3 else f"{shown} and {len(files) - 3:,} more"


def _lock(base: Revision | None) -> list[str]:
    state = lock.check()
    if not state.exists and base is not None and base.outputs:
        return ["dvc.lock is gone: `uv run dvc repro` makes it; commit it"]
    return state.problems()


def _gates(base: Revision | None, head: Revision, own: bool, notes: list[str]) -> list[str]:
    if not WORKSPACE.outputs:
        notes.append("there is no dvc.lock yet, and so no model to judge")
        return []
    terms = load_terms()
    if base is not None and (other := _other_terms(base)):
        notes.append(f"the change is judged by terms of its own: {'; '.join(other)}")
    strange = frozenset() if own or base is None else _strange(terms, base, head)
    if strange & terms.gates.keys():
        notes.append(
            f"not judged: gates on {', '.join(sorted(strange & terms.gates.keys()))}, which code "
            "that this change alters computes"
        )
    known = {name: each for name, each in terms.gates.items() if name not in strange}
    terms = terms.model_copy(update={"gates": known})
    if terms.task == "clustering" and not own:
        notes.append("metrics of clusters are compared, not counted again: that takes own code")
    against = None
    if base is not None:
        against = comparison.compare(terms, base, own, names=judged(terms))
    found = judged_by(terms, base, own, strange)
    return [*map(str, found.breaches(terms, against))]


def _other_terms(base: Revision) -> list[str]:
    """How the change alters what it is held against: params.yaml is its author's."""

    def terms(at: Revision) -> dict[str, object]:
        content = at.load(PARAMS)
        known = content if isinstance(content, dict) else {}
        return flat({name: known.get(name) or {} for name in _TERMS})

    try:
        before, after = terms(base), terms(WORKSPACE)
    except InputError:  # of the base, which somebody has to mend
        return []
    return [
        f"{name} was {before.get(name, 'not there')}, now {after.get(name, 'not there')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _card(
    base: Revision | None, head: Revision, own: bool, stale: Part, notes: list[str]
) -> list[str]:
    """What is wrong with the model card; another engine would write another one."""
    if not WORKSPACE.outputs:
        return []
    if any(WORKSPACE.read_bytes(path) is not None for path in _CARDS):
        if not own and _changed(base, head, engine.ENGINE):
            notes.append("not judged: the model card, which the change's own engine writes")
            return []
        return stale()
    if base is not None and any(base.read_bytes(path) is not None for path in _CARDS):
        return [f"{CARD} and {CARD_PAGE} are gone: `uv run mlops card` writes them; commit them"]
    notes.append("there is no model card yet: `uv run mlops card` writes it")
    return []


def _strange(terms: Terms, base: Revision, head: Revision) -> frozenset[str]:
    """Metrics that only code of the change can compute: its own ones, where that code differs."""
    package = project.package()
    if not package or not _changed(base, head, Path("src", package)):
        return frozenset()
    said = WORKSPACE.load(METRICS) or {}
    return frozenset({*terms.gates, *said} - {*OF_ENGINE[terms.task], VALUE, STABILITY})


def _manifest(base: Revision) -> list[str]:
    if not engine.is_rewritten(base):
        return []
    return [
        f"{engine.MANIFEST}: differs from the base's without an update; it tells your changes from "
        f"the engine's: git checkout {str(base.commit)[:7]} -- {engine.MANIFEST}"
    ]
