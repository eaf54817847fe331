"""Release notes: what a promotion changes in an environment, for the people who approve it.

Made of Git, evidence and model.yaml alone, by whoever proposes: nothing is fetched or computed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import flat
from ..git.revision import Revision, git
from ..paths import FAIRNESS, INTERVALS, ONNX, PARAMS, STATEMENT
from ..release.evidence import Evidence, load_evidence
from ..release.state import Environment
from ..statement import Statement, parse_statement
from .layout import layout
from .markdown import tidy

# Lines of commits, and of parameters.
LINES = 20


@dataclass(frozen=True)
class Pair:
    """A fact of the release that is there and of the one that comes; None where one has none.

    Attributes:
        what: its name.
        before, after: its values.
        was_within, is_within: the ends of their intervals, where there are any.
    """

    what: str
    before: Any
    after: Any
    was_within: tuple[float, float] | None = None
    is_within: tuple[float, float] | None = None


def notes(environment: Environment, to: Evidence, base: Revision, now: datetime) -> str:
    """The notes of a release, in Markdown, against what an environment has now.

    Args:
        environment: where it is to go.
        to: the release's evidence.
        base: what environments follow: what is said of the model is read there.
        now: the day by which reviews are due or not.
    """
    there = environment.release
    old = load_evidence(there.id, base) if there else None
    before, after = Revision(old.git_sha) if old else None, Revision(to.git_sha)
    said = _said(base)
    risks = sorted(dict(said.risks or {}).items(), key=lambda each: -each[1].weight)
    text = layout("notes.md").render(
        environment=environment,
        old=old,
        to=to,
        metrics=_metrics(old, to),
        sizes=[_size(each) for each in (before, after)],
        groups=_pairs(*(_groups(each) for each in (before, after))),
        parameters=[each for each in _parameters(before, after) if each.before != each.after],
        commits=[*_commits(before, after)] if before else [],
        is_same_data=old is not None and old.snapshot_sha256 == to.snapshot_sha256,
        risks=risks,
        said=said,
        today=now.date(),
        LINES=LINES,
    )
    return tidy(text)


def _said(base: Revision) -> Statement:
    try:
        return parse_statement(base.read(STATEMENT))
    except InputError:  # the guard tells it where it matters
        return Statement()


def _pairs(before: dict[str, Any], after: dict[str, Any]) -> list[Pair]:
    return [
        Pair(name, before.get(name), after.get(name)) for name in dict.fromkeys([*after, *before])
    ]


def _metrics(old: Evidence | None, to: Evidence) -> list[Pair]:
    """The metrics that the evidence has, with the intervals that its commit has."""
    was, now = (_intervals(Revision(each.git_sha)) if each else {} for each in (old, to))
    return [
        replace(pair, was_within=was.get(pair.what), is_within=now.get(pair.what))
        for pair in _pairs(old.metrics if old else {}, to.metrics)
    ]


def _intervals(at: Revision) -> dict[str, tuple[float, float]]:
    try:
        found = (_loaded(at, INTERVALS) or {}).items()
        return {name: (float(ends["low"]), float(ends["high"])) for name, ends in found}
    except (KeyError, TypeError, ValueError):  # the audit tells it
        return {}


def _size(at: Revision | None) -> int | None:
    """Bytes of the ONNX model, as the commit's lock has them."""
    try:
        known = at.outputs.get(ONNX) if at else None
    except InputError:  # the guard tells it
        return None
    return known.size or None if known else None


def _groups(at: Revision | None) -> dict[str, float]:
    """How far groups of people are apart, by metric and column."""
    found = (_loaded(at, FAIRNESS) or {}).items()
    return {
        f"{name} by {label}": apart["difference"]["value"]
        for label, each in found
        for name, apart in each["disparities"].items()
    }


def _parameters(before: Revision | None, after: Revision) -> list[Pair]:
    if before is None:
        return []
    return _pairs(*(flat(_loaded(each, PARAMS) or {}) for each in (before, after)))


def _loaded(at: Revision | None, path: Path) -> Any:
    try:
        found = at.load(path) if at else None
    except InputError:
        return None
    return found if isinstance(found, dict) else None


def _commits(before: Revision, after: Revision) -> Iterator[tuple[str, str, str]]:
    """Yield the hash, the author and the subject of what came to main between two releases."""
    between = f"{before.commit}..{after.commit}"
    told = git("log", "--first-parent", "--format=%h%x00%an%x00%s", between)
    for line in told.splitlines():
        short, who, what = line.split("\0")
        yield short, who, what
