"""What a person can act on: the verdict, what it rests on, and what must be mended."""

from dataclasses import dataclass

from ..digits import digits, pair
from ..judging.paired import Compared, Verdict
from ..paths import LOCK
from ..printable import shown
from .change import Change

# Characters of a reason in the title; all of it is in the list.
LENGTH = 90
# Words and signs: colours tell nothing to those who do not see them.
STOP, CAREFUL, NEUTRAL, GOOD = "❌", "⚠️", "⚪", "✅"
MARKS: dict[Verdict | None, str] = {
    "better": GOOD,
    "same": NEUTRAL,
    "worse": CAREFUL,
    None: NEUTRAL,
}


@dataclass(frozen=True)
class Headline:
    """Plain text in which backticks mark what is code.

    Attributes:
        mark: a sign for the verdict.
        title: the verdict with its numbers, without a full stop.
        rest: sentences that belong to it.
        stop: what must be mended before a merge.
    """

    mark: str
    title: str
    rest: str
    stop: list[str]

    def plain(self) -> str:
        """For the terminal and for the message of a commit."""
        return "\n".join(
            [f"{self.title}. {self.rest}".strip(), *(f"- {line}" for line in self.stop)]
        )


def headline(change: Change) -> Headline:
    """The verdict on a change."""
    verdict, stop = change.comparison.verdict, change.stop
    title, beside = _verdict(change), _beside(change)
    if stop:
        if verdict == "worse":
            return Headline(STOP, f"Do not merge: {_moved(change, 'worse')}", beside, stop)
        more = f", and {len(stop) - 1} more" if len(stop) > 1 else ""
        first = shown(stop[0].partition(". ")[0].rstrip("."), LENGTH)
        return Headline(STOP, f"Do not merge: {first}{more}", f"{title}.{_after(beside)}", stop)
    if change.only_documentation:
        return Headline(NEUTRAL, "Skipped: nothing but documentation changed", "", [])
    if verdict == "worse":
        beside = f"No gate forbids the merge.{_after(beside)}"
    # Of Git's, not the workspace's: `dvc repro`, which ran before, made one in any case.
    if not change.has_lock:
        missing = (
            f"There is no {LOCK} in Git yet, so this run reproduced everything. "
            f"Commit yours: `uv run dvc repro`, then `git add {LOCK} reports`."
        )
        return Headline(CAREFUL, title, f"{beside}{_after(missing)}".strip(), [])
    return Headline(MARKS[verdict], title, beside, [])


def _verdict(change: Change) -> str:
    """The verdict on the model, whatever else is wrong with the change."""
    found = change.comparison
    match found.verdict:
        case "better":
            return f"Better: {_moved(change, 'better')}"
        case "worse":
            return f"Worse: {_moved(change, 'worse')}"
        case "same" if found.reason:
            return f"No difference: {found.reason}"
        case "same":
            return f"No significant difference in {_values(change)}"
    where = f"Not comparable with {change.base}" if change.base_commit else "Nothing to compare"
    return f"{where}: {found.reason}"


def _moved(change: Change, verdict: Verdict) -> str:
    """The deciding metrics with a verdict, from where to where, and by how much at least."""
    metrics = change.comparison.metrics
    chosen = [name for name in change.decide if _is(change, name, verdict)]
    return "; ".join(_movement(name, metrics[name], change.confidence) for name in chosen)


def _movement(name: str, each: Compared, confidence: float) -> str:
    way = "rose" if each.difference > 0 else "fell"
    least = min(abs(each.low), abs(each.high))
    before, after = pair(each.champion, each.challenger)
    surely = f"at least {digits(least)} {each.verdict}, {confidence:.0%}"
    return f"`{name}` {way} {before} → {after} ({surely})"


def _values(change: Change) -> str:
    metrics = change.comparison.metrics
    return ", ".join(
        f"`{name}` ({' → '.join(pair(each.champion, each.challenger))})"
        if (each := metrics.get(name))
        else f"`{name}`"
        for name in change.decide
    )


def _is(change: Change, metric: str, verdict: Verdict) -> bool:
    found = change.comparison.metrics.get(metric)
    return found is not None and found.verdict == verdict


def _beside(change: Change) -> str:
    """What got worse without deciding: nobody is to find that out in the table alone."""
    names = [name for name in change.comparison.metrics if name not in change.decide]
    worse = [f"`{name}`" for name in names if _is(change, name, "worse")]
    return f"Also worse (not gated): {', '.join(worse)}." if worse else ""


def _after(sentence: str) -> str:
    return f" {sentence}" if sentence else ""
