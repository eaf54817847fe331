"""What became of the rows of a log."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Broken:
    """A file that cannot be read, or not to its end; `rows` are those read before."""

    name: str
    why: str
    rows: int


@dataclass
class Account:
    """What became of every row: `rows` is the sum of what stands below it.

    Attributes:
        files: how many were read, broken ones, too.
        rows: how many they hold, as far as they can be read.
        counted: rows of the period and the release, by window.
        examples: rows that smoke and load tests asked for.
        duplicates: rows whose request and row were there before.
        others: rows of other releases, by release.
        elsewhere: rows of other times.
        misdated: of all, rows more than a day off the time of their file, which counts in place of
            theirs.
        broken: files that cannot be read.
        callers: of the counted rows, those of whom it is known who asked, by that.
        unknown: columns that neither the contract nor the model names, by the rows that have them.
    """

    counted: list[int]
    files: int = 0
    rows: int = 0
    examples: int = 0
    duplicates: int = 0
    others: dict[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    misdated: int = 0
    broken: list[Broken] = field(default_factory=list)
    callers: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
