"""The evidence sheet: each step of a trace, for an auditor, as a page or in Markdown."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ..digits import moment
from ..git.revision import Revision
from ..printable import printable
from ..project import PYPROJECT, parsed, table
from ..release.hop import Hop, State
from .layout import layout
from .markdown import tidy

# An address of a repository, to which numbers of pull requests are added.
_ADDRESS = re.compile(r"https://[\w.-]+(:\d+)?/[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Sheet:
    """What a trace found.

    Attributes:
        what: was traced.
        project: whose it is.
        base: the commit that environments were read at.
        repository: where pull requests are; None where that is not told.
        made: when it was checked.
        hops: the steps, from what runs to the raw data.
    """

    what: str
    project: str
    base: str
    repository: str | None
    made: str
    hops: list[Hop]

    @property
    def state(self) -> State:
        """The worst of any step."""
        states = [hop.state for hop in self.hops]
        return "wrong" if "wrong" in states else "not checked" if "not checked" in states else "ok"

    @property
    def verdict(self) -> str:
        """What came of it, in a sentence."""
        states = [hop.state for hop in self.hops]
        wrong, unchecked = states.count("wrong"), states.count("not checked")
        if not wrong and not unchecked:
            return f"All {len(states)} steps were checked, and fit."
        fit = len(states) - wrong - unchecked
        return f"{len(states)} steps: {fit} ok, {wrong} wrong, {unchecked} not checked."

    def when(self, hop: Hop) -> str:
        """When a step was taken, in UTC."""
        if hop.landed is not None:
            return moment(hop.landed.when)
        if hop.taken is None:
            return "–"
        try:
            return moment(datetime.fromisoformat(hop.taken).astimezone(UTC))
        except ValueError:  # as somebody wrote it
            return printable(hop.taken)

    def address(self, pull: int) -> str | None:
        """Where a pull request is."""
        return None if self.repository is None else f"{self.repository}/pull/{pull}"


def sheet(what: str, hops: list[Hop], base: Revision, now: datetime) -> Sheet:
    """The sheet of a trace; `now` is when it was made."""
    declared = parsed(base.read(PYPROJECT) or "")
    named = (table(declared, "project") or {}).get("name")
    address = (table(declared, "project", "urls") or {}).get("Repository")
    is_safe = isinstance(address, str) and _ADDRESS.fullmatch(address)
    return Sheet(
        what=what,
        project=str(named or "this project"),
        base=str(base.commit),
        repository=address if is_safe else None,
        made=moment(now),
        hops=hops,
    )


def markdown(found: Sheet) -> str:
    """For GitHub, and for files."""
    return tidy(layout("evidence.md").render(sheet=found))


def page(found: Sheet) -> str:
    """One page that needs nothing else."""
    return layout("evidence.html", printable=printable).render(sheet=found) + "\n"
