"""What a person can act on: the verdict, what it rests on, and what must be mended."""

from dataclasses import dataclass

from ..paths import LOCK
from .change import Change

# GitHub's alerts, by verdict.
KINDS = {"better": "TIP", "same": "NOTE", "worse": "WARNING", None: "NOTE"}


@dataclass(frozen=True)
class Headline:
    """Plain text in which backticks mark what is code.

    Attributes:
        kind: of GitHub's alert.
        title, rest: the verdict, and what it rests on.
        stop: what must be mended before a merge.
    """

    kind: str
    title: str
    rest: str
    stop: list[str]

    def plain(self) -> str:
        """For the terminal."""
        return "\n".join(
            [f"{self.title} {self.rest}".strip(), *(f"- {line}" for line in self.stop)]
        )


def headline(change: Change) -> Headline:
    """The verdict on a change."""
    found = change.comparison
    title, rest = {
        "better": (f"Better than {change.base}.", _told(change, "better")),
        "same": (
            f"As good as {change.base}.",
            _sentence(found.reason) or _no_difference(change),
        ),
        "worse": (f"Worse than {change.base}.", _told(change, "worse")),
        None: (f"Not comparable with {change.base}.", _sentence(found.reason)),
    }[found.verdict]
    if change.base_commit is None:
        title = "Nothing to compare with."
    if change.stop:
        return Headline("CAUTION", title, rest, change.stop)
    # Of Git's, not the workspace's: `dvc repro`, which ran before, made one in any case.
    if not change.has_lock:
        rest += (
            f" There is no {LOCK} in Git yet, so this run reproduced everything. "
            f"Commit yours: `uv run dvc repro`, then `git add {LOCK} reports`."
        )
        return Headline("WARNING", title, rest, [])
    return Headline(KINDS[found.verdict], title, rest, [])


def _sentence(reason: str | None) -> str:
    return f"{reason[0].upper()}{reason[1:]}." if reason else ""


def _told(change: Change, verdict: str) -> str:
    metrics = change.comparison.metrics
    chosen = [name for name in change.decide if _is(change, name, verdict)]
    return (
        "; ".join(
            f"`{n}` {metrics[n].champion:.4g} → {metrics[n].challenger:.4g} "
            f"({metrics[n].low:+.3g} to {metrics[n].high:+.3g})"
            for n in chosen
        )
        + "."
        + _beside(change)
    )


def _is(change: Change, metric: str, verdict: str) -> bool:
    found = change.comparison.metrics.get(metric)
    return found is not None and found.verdict == verdict


def _beside(change: Change) -> str:
    """What got worse without deciding: nobody is to find that out in the table alone."""
    names = [name for name in change.comparison.metrics if name not in change.decide]
    worse = [f"`{name}`" for name in names if _is(change, name, "worse")]
    return f" Worse, though it does not decide: {', '.join(worse)}." if worse else ""


def _no_difference(change: Change) -> str:
    names = ", ".join(f"`{name}`" for name in change.decide)
    return f"What differs in {names} may be chance.{_beside(change)}"
