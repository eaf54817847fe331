"""A writer of Parquet files, small because the serving image must be: pyarrow has half its size.

One gzipped page a column in a group of rows, every column nullable. The format:
https://github.com/apache/parquet-format (README.md, Encodings.md and parquet.thrift), its footer in
Thrift's compact protocol:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

MAGIC = b"PAR1"
Kind = Literal["boolean", "integer", "float", "text", "moment"]

# Parquet's physical type, numpy's, and the converted type or None.
_TYPES: dict[Kind, tuple[int, str, int | None]] = {
    "boolean": (0, "?", None),
    "integer": (2, "<i8", None),
    "float": (4, "<f4", None),
    "text": (6, "", 0),  # UTF8
    "moment": (2, "<i8", 10),  # microseconds since 1970 in UTC
}
_OPTIONAL, _PLAIN, _RLE, _GZIP, _DATA_PAGE = 1, 0, 3, 2, 0


@dataclass(frozen=True)
class Field:
    """A column: its kind, and its values, None or NaN where one is missing."""

    kind: Kind
    values: Sequence[Any] | np.ndarray


class File:
    """A Parquet file in memory, to which groups of rows are added.

    Attributes:
        rows: how many there are.
    """

    def __init__(self, metadata: Mapping[str, str]) -> None:
        """`metadata` are key-value pairs for the footer."""
        self.rows = 0
        self._metadata = metadata
        self._parts = [MAGIC]
        self._at = len(MAGIC)
        self._groups: list[Struct] = []
        self._schema: list[Struct] = []

    def add(self, fields: Mapping[str, Field]) -> None:
        """Add rows: columns of one length, of the same names and kinds each time."""
        rows = len(next(iter(fields.values())).values)
        self._schema = [_struct((4, "schema"), (5, len(fields)))]
        self._schema += [_element(name, column.kind) for name, column in fields.items()]
        began = self._at
        chunks = [self._add_column(name, column, rows) for name, column in fields.items()]
        size = self._at - began
        self._groups.append(_struct((1, chunks), (2, Long(size)), (3, Long(rows))))
        self.rows += rows

    @property
    def size(self) -> int:
        """Bytes that it has until now."""
        return self._at

    def content(self) -> bytes:
        """The whole file."""
        footer = _struct(
            (1, 2),
            (2, self._schema),
            (3, Long(self.rows)),
            (4, self._groups),
            (5, [_struct((1, key), (2, value)) for key, value in self._metadata.items()]),
        )
        return b"".join([*self._parts, footer, len(footer).to_bytes(4, "little"), MAGIC])

    def _add_column(self, name: str, column: Field, rows: int) -> "Struct":
        content = _page(column)
        packed = zlib.compress(content, 1, wbits=31)  # 31: with the header of gzip
        header = _struct(
            (1, _DATA_PAGE),
            (2, len(content)),
            (3, len(packed)),
            (5, _struct((1, rows), (2, _PLAIN), (3, _RLE), (4, _RLE))),
        )
        about = _struct(
            (1, _TYPES[column.kind][0]),
            (2, [_PLAIN, _RLE]),
            (3, [name]),
            (4, _GZIP),
            (5, Long(rows)),
            (6, Long(len(header) + len(content))),
            (7, Long(len(header) + len(packed))),
            (9, Long(self._at)),
        )
        chunk = _struct((2, Long(self._at)), (3, about))
        self._parts += [header, packed]
        self._at += len(header) + len(packed)
        return chunk


def _element(name: str, kind: Kind) -> "Struct":
    physical, _, converted = _TYPES[kind]
    given = [] if converted is None else [(6, converted)]
    return _struct((1, physical), (3, _OPTIONAL), (4, name), *given)


def _page(column: Field) -> bytes:
    """The definition levels (1 where there is a value), then the values that there are."""
    present, values = (_texts if column.kind == "text" else _numbers)(column)
    levels = np.packbits(present, bitorder="little").tobytes()
    run = _varint(len(levels) * 2 + 1) + levels  # one bit-packed run, of groups of eight
    return len(run).to_bytes(4, "little") + run + values


def _numbers(column: Field) -> tuple[np.ndarray, bytes]:
    array = np.asarray(column.values)
    if array.dtype == object:  # with None
        array = np.array(array, "float64")
    present = ~np.isnan(array) if array.dtype.kind == "f" else np.ones(len(array), bool)
    array = array[present].astype(_TYPES[column.kind][1])
    bits = column.kind == "boolean"
    return present, (np.packbits(array, bitorder="little") if bits else array).tobytes()


def _texts(column: Field) -> tuple[np.ndarray, bytes]:
    # Each text that there is once, since most columns have few of them.
    packed = {}
    for text in set(column.values):
        content = text.encode() if text is not None else b""
        packed[text] = len(content).to_bytes(4, "little") + content if text is not None else b""
    missing = None in packed
    present = np.array([text is not None for text in column.values] if missing else True)
    present = np.broadcast_to(present, len(column.values))
    return present, b"".join(map(packed.__getitem__, column.values))


class Long(int):
    """An i64 of Thrift; other integers are i32."""


class Struct(bytes):
    """An encoded struct of Thrift."""


def _struct(*fields: tuple[int, Any]) -> Struct:
    """Fields by id, ascending by less than 16."""
    parts, last = [], 0
    for number, value in fields:
        kind, content = _value(value)
        parts += [bytes([(number - last) * 16 + kind]), content]
        last = number
    return Struct(b"".join([*parts, b"\0"]))


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case Struct():
            return 12, value
        case str():
            text = value.encode()
            return 8, _varint(len(text)) + text
        case Long():
            return 6, _varint(_zigzag(value))
        case int():
            return 5, _varint(_zigzag(value))
        case list():
            items = [_value(item) for item in value]
            kind = items[0][0] if items else 12
            head = (
                bytes([len(items) * 16 + kind])
                if len(items) < 15
                else bytes([0xF0 + kind]) + _varint(len(items))
            )
            return 9, head + b"".join(content for _, content in items)
    raise TypeError(f"{type(value).__name__} has no place in a footer")


def _zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    parts = bytearray()
    while value > 127:
        parts.append(value % 128 + 128)
        value //= 128
    parts.append(value)
    return bytes(parts)
