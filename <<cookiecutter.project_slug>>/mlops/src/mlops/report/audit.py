"""What an audit found, for people, in Markdown."""

from datetime import datetime

from ..git.revision import Revision
from ..release.audit import Audit
from .evidence import sheet
from .layout import layout
from .markdown import tidy


def markdown(found: Audit, asked: str, base: Revision, now: datetime) -> str:
    """The sheet of an audit.

    Args:
        found: what is told.
        asked: the time, as people write it.
        base: the commit that it was read at.
        now: when it was made.
    """
    steps = sheet(f"{found.environment} on {asked}", found.hops, base, now)
    return tidy(layout("audit.md", minute=_minute).render(audit=found, sheet=steps))


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"
