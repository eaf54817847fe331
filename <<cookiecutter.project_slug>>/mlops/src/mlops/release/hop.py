"""A step of what `mlops trace` and `mlops audit` look at, and what came of it.

A hop is ok where two things were compared and fit, wrong where they do not, and else not checked,
with the reason: what is only told is never ok.
"""

from dataclasses import dataclass
from typing import Literal

from .journal import Landing

State = Literal["ok", "wrong", "not checked"]


@dataclass(frozen=True)
class Hop:
    """A step of the way back.

    Attributes:
        what: what is looked at.
        value: what it is.
        state: what came of it.
        why: why it is wrong, or was not checked; None where it is ok.
        landed: how it came to the branch that environments follow, as Git tells; None where it did
            not come by a commit of its own.
        taken: when data were, as provenance tells.
    """

    what: str
    value: str
    state: State
    why: str | None = None
    landed: Landing | None = None
    taken: str | None = None
