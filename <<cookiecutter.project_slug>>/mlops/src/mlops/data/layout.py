"""How the text of a CSV file lies: encoding, delimiter, names; told from the file itself.

Only what decides where a cell begins and ends. What its text means is the contract's: see reading.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .dialect import AUTO, Dialect

CANDIDATES = ",;\t|"
# Of the first of them the delimiter is told.
ROWS = 100

# A byte order mark says it all.
MARKS = {
    codecs.BOM_UTF8: "utf-8",  # which Arrow skips the mark of
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

Chunks = Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Layout:
    """What must be known to cut a file into cells.

    Attributes:
        encoding, delimiter: of the file.
        names: of its columns.
        lines_before: lines before the first row, the one with names among them.
        rows: the first rows, as they are written, without the one with names.
    """

    encoding: str
    delimiter: str
    names: list[str]
    lines_before: int
    rows: list[list[str]]


def layout(chunks: Chunks, dialect: Dialect) -> Layout:
    """How a file lies whose bytes `chunks` yields, from its beginning each time it is called.

    What the dialect says is so; the rest is told from the file.
    """
    encoding = dialect.encoding if dialect.encoding != AUTO else encoding_of(chunks())
    head = next(chunks(), b"")[: 2**20]
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    text = text.removeprefix("\ufeff")
    skipped, delimiter = 0, dialect.delimiter
    if text[:4].lower() == "sep=":  # as Excel writes for itself
        first, _, text = text.partition("\n")
        skipped, delimiter = 1, first.strip()[4:] or delimiter
    if delimiter == AUTO:
        delimiter = delimiter_of(text)
    rows, lines = _rows(text, delimiter)
    if not rows:
        return Layout(encoding, delimiter, [], skipped, [])
    names = rows[0]
    if dialect.header is True or names == dialect.names(len(names)):
        return Layout(encoding, delimiter, named(names), skipped + lines, rows[1:])
    return Layout(encoding, delimiter, named(dialect.names(len(names))), skipped, rows)


def named(names: list[str]) -> list[str]:
    """The names of columns, in which one that has none is called after its place, from 1."""
    return [name.strip() or f"unnamed_{i}" for i, name in enumerate(names, 1)]


def encoding_of(chunks: Iterator[bytes]) -> str:
    """UTF-8 where all bytes are, UTF-16 by its marks or zeros, else what Windows writes."""
    first = next(chunks, b"")
    for mark, encoding in MARKS.items():
        if first.startswith(mark):
            return encoding
    even, odd = first[:2000:2].count(0), first[1:2000:2].count(0)
    if even + odd > len(first[:2000]) / 5:
        return "utf-16-be" if even > odd else "utf-16-le"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        pending = False
        while first:
            if pending or not first.isascii():
                decoder.decode(first)
                pending = bool(decoder.getstate()[0])
            first = next(chunks, b"")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def delimiter_of(text: str) -> str:
    """The mark that cuts the most rows into as many cells as the first, and into the most."""

    def merit(mark: str) -> tuple[float, int]:
        widths = [len(row) for row in _rows(text, mark)[0]]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return round(Counter(widths)[widths[0]] / len(widths), 1), widths[0]

    return max(CANDIDATES, key=merit)


def _rows(text: str, delimiter: str) -> tuple[list[list[str]], int]:
    """The first rows, and how many lines the first of them ends at."""
    rows: list[list[str]] = []
    lines = 0
    # The last line may be cut off.
    whole = text if len(text) < 2**19 else text[: text.rfind("\n") + 1]
    reader = csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0]):
                rows.append(row)
                lines = lines or reader.line_num
            if len(rows) > ROWS:
                break
    except csv.Error:  # a cell beyond any measure
        pass
    return rows, lines
