"""Whole columns, read as `reading` reads a value, with what Arrow does in C.

A column comes as pandas or Arrow has it, of any type, and goes as pandas has its kind: float64,
nullable boolean, str, or datetime64 in UTC.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from .reading import Reader, Unreadable

# Around values that are no categories; RE2's \s does not know those of Unicode.
_TRIM = pc.utf8_trim_whitespace


# Whole numbers among which some are missing keep all of their digits.
_WHOLE = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(), pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(), pa.uint64(): pd.UInt64Dtype(),
}  # fmt: skip


def frame(table: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """The columns of a table for pandas, nothing of them lost."""
    return table.to_pandas(types_mapper=_WHOLE.get, ignore_metadata=True)


def array(values: pd.Series | pa.Array | pa.ChunkedArray) -> pa.Array | None:
    """Values as an Arrow array without dictionary; None where they are of several types."""
    if isinstance(values, pd.Series):
        try:
            values = pa.array(values, from_pandas=True)
        except (pa.ArrowException, OverflowError):
            return None
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if is_text(values.type) and values.type != pa.string():
        return values.cast(pa.large_string())
    return values


def missing(values: pd.Series, read: Callable[[Any], Any]) -> pd.Series:
    """Which values say that there is none, to what reads one of them."""

    def says_none(value: Any) -> bool:
        try:
            return read(value) is None
        except Unreadable:
            return False

    return values.isna() | _by_value(values, says_none, pa.bool_()).fillna(False).astype(bool)


def numbers(values: pd.Series, reader: Reader) -> pd.Series:
    """Values as float64; NaN where they are missing, or no numbers."""
    found = array(values)
    if found is None:
        return _one_by_one(values, reader.number, "float64")
    if is_text(found.type):
        found = _parsed(found, reader)
    elif types.is_boolean(found.type) or _is_number(found.type) or types.is_null(found.type):
        found = found.cast(pa.float64(), safe=False)
    elif types.is_decimal(found.type):
        found = found.cast(pa.float64())
    else:
        found = pa.nulls(len(found), pa.float64())
    read = found.to_numpy(zero_copy_only=False)
    if reader.missing_numbers:
        read = np.where(np.isin(read, [*reader.missing_numbers]), np.nan, read)
    return pd.Series(read, values.index, dtype="float64")


def booleans(values: pd.Series, reader: Reader) -> pd.Series:
    """Values as nullable booleans; missing where they are neither true nor false."""
    return _by_value(values, reader.boolean, pa.bool_()).astype("boolean")


def categories(values: pd.Series, reader: Reader) -> pd.Series:
    """Values as texts in their one spelling; missing where they are, or no single values."""
    found = array(values)
    if found is not None and types.is_integer(found.type):
        found = found.cast(pa.string())
    if found is None or not is_text(found.type):
        return _by_value(values, reader.category, pa.string()).astype("str")
    distinct = pc.unique(found).drop_null()
    odd = distinct.filter(_odd(distinct, reader))
    if len(odd):
        spelling = pa.array([reader.category(each) for each in odd.to_pylist()], found.type)
        place = pc.index_in(found, odd)
        found = pc.if_else(pc.is_null(place), found, spelling.take(place))
    return pd.Series(found.to_pandas(), dtype="str").set_axis(values.index)


def moments(values: pd.Series, reader: Reader, how: str | None) -> pd.Series:
    """Values as datetime64 in UTC, without zone; missing where they are no moments.

    Args:
        how: strptime's codes; None for ISO 8601.
    """
    found = array(values)
    if found is not None and is_text(found.type):
        text = _TRIM(found)
        text = pc.if_else(_is_missing(text, reader), pa.scalar(None, text.type), text)
        if how is None:
            # Arrow is many times faster with what has no zone; what it refuses, pandas may read.
            with suppress(pa.ArrowInvalid):
                read = text.cast(pa.timestamp("us")).to_pandas()
                return pd.Series(read.set_axis(values.index), dtype="datetime64[us]")
        values = pd.Series(text.to_pandas(), dtype="str").set_axis(values.index)
    elif found is None or not (
        types.is_timestamp(found.type) or types.is_date(found.type) or types.is_null(found.type)
    ):
        values = values.astype("string")
    moment = pd.to_datetime(values, errors="coerce", utc=True, format=how or "ISO8601")
    return moment.dt.tz_localize(None).astype("datetime64[us]")


def _parsed(texts: pa.Array, reader: Reader) -> pa.Array:
    """Texts as float64, null where they are missing or no numbers."""
    if reader.plain:
        # Arrow reads plain numbers several times faster, and all others not at all.
        with suppress(pa.ArrowInvalid):
            gone = _is_missing(texts, reader)
            return pc.if_else(gone, pa.scalar(None, texts.type), texts).cast(pa.float64())
    texts = _TRIM(texts)
    texts = pc.if_else(_is_missing(texts, reader), pa.scalar(None, texts.type), texts)
    right = pc.match_substring_regex(texts, reader.number_pattern)
    texts = pc.if_else(right, texts, pa.scalar(None, texts.type))
    for old, new in reader.replacements:
        texts = pc.replace_substring_regex(texts, old, new)
    return texts.cast(pa.float64())


def _odd(texts: pa.Array, reader: Reader) -> pa.Array:
    """Which texts may be missing, or have another spelling than their own."""
    odd = pc.or_(pc.match_substring_regex(texts, reader.odd_pattern), _is_missing(texts, reader))
    odd = pc.or_(odd, pc.is_in(texts, pa.array(sorted(reader.spellings), texts.type)))
    return pc.or_(odd, pc.not_equal(_TRIM(texts), texts)) if reader.strip else odd


def _is_missing(texts: pa.Array, reader: Reader) -> pa.Array:
    return pc.is_in(texts, pa.array(sorted(reader.missing), texts.type))


def _by_value(values: pd.Series, read: Callable[[Any], Any], kind: pa.DataType) -> pd.Series:
    """Each distinct value read once."""
    found = array(values)
    if found is None or types.is_nested(found.type):
        return _one_by_one(values, read, object)
    coded = found.dictionary_encode()
    if types.is_floating(found.type):  # whose precision decides how it is spelled
        distinct = [*coded.dictionary.to_numpy(zero_copy_only=False)]
    else:
        distinct = coded.dictionary.to_pylist()
    meaning = pa.array([_or_none(read, each) for each in distinct], kind)
    typed = meaning.take(coded.indices).to_pandas()
    return typed.set_axis(values.index)


def _one_by_one(values: pd.Series, read: Callable[[Any], Any], dtype: Any) -> pd.Series:
    read_values = [_or_none(read, None if each is pd.NA else each) for each in values]
    return pd.Series(read_values, values.index, dtype=dtype)


def _or_none(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except Unreadable:
        return None


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are texts."""
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))
