"""A caveat: no error, but what whoever knows the data has to decide on."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "leak",
    "order",
    "id",
    "copies",
    "classes",
    "imbalance",
    "groups",
    "unpredicted",
    "constant",
    "interval",
]


@dataclass(frozen=True)
class Caveat:
    """What was seen, and where.

    Attributes:
        kind: what it is about.
        column: the column; None where it is about rows or the model.
        evidence: a sentence with the numbers behind it.
    """

    kind: Kind
    column: str | None
    evidence: str

    def __str__(self) -> str:
        return f"{self.column}: {self.evidence}" if self.column else self.evidence
