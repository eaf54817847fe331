"""Keys that a newer template has in params.yaml, added to the owner's with their comments.

By lines: what the owner wrote stays as it was written, byte by byte.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from ..errors import InputError
from ..paths import PARAMS

Key = tuple[str, ...]


@dataclass(frozen=True)
class _Block:
    """The lines of a key: from its comments to before `end`, without empty lines at its end."""

    start: int
    end: int


@dataclass(frozen=True)
class _Mapping:
    """A mapping that is written line by line.

    Attributes:
        lines: of the whole file.
        column: where its keys begin.
        blocks: where each key is, in their order.
    """

    lines: list[str]
    column: int
    blocks: dict[str, _Block]


def with_new_keys(base: str, ours: str, theirs: str) -> tuple[str, list[str]]:
    """`ours` with the keys that `theirs` has and `base` had not, and their names.

    A key is left out where the owner has it already, or has no longer what it is a part of. Raises
    InputError where one of them is not valid YAML.
    """
    text, names = ours, []
    for key in _new(_load(base), _load(theirs)):
        parent = _at(_load(text), key[:-1])
        if isinstance(parent, CommentedMap) and key[-1] not in parent:
            text = _inserted(text, theirs, key) or _written(text, theirs, key)
            names.append(".".join(key))
    return text, names


def _new(old: Any, new: Any, above: Key = ()) -> Iterator[Key]:
    """The keys of `new` that `old` has not, outermost first, in their order."""
    for name, value in new.items():
        key = (*above, name)
        if name not in old:
            yield key
        elif isinstance(value, Mapping) and isinstance(old[name], Mapping):
            yield from _new(old[name], value, key)


def _written(ours: str, theirs: str, key: Key) -> str:
    """`ours` with one key of `theirs`, written anew: where there are no lines to insert."""
    content = _load(ours)
    _at(content, key[:-1])[key[-1]] = _at(_load(theirs), key)
    stream = StringIO()
    _yaml().dump(content, stream)
    return stream.getvalue()


def _inserted(ours: str, theirs: str, key: Key) -> str | None:
    """`ours` with the lines of one key of `theirs`; None where lines do not do."""
    source, target = _mapping(theirs, key[:-1]), _mapping(ours, key[:-1])
    if source is None or target is None:
        return None
    block, names = source.blocks[key[-1]], list(source.blocks)
    shift = " " * target.column
    lines = [
        (shift + line[source.column :] if line.strip() else line).rstrip("\n") + "\n"
        for line in source.lines[block.start : block.end]
    ]
    before = [name for name in names[: names.index(key[-1])] if name in target.blocks]
    if before:
        at = target.blocks[before[-1]].end
        apart = block.start > 0 and not source.lines[block.start - 1].strip()
        lines = ["\n", *lines] if apart else lines
    else:
        at = min(each.start for each in target.blocks.values())
    above = "".join(target.lines[:at])
    if above and not above.endswith("\n"):
        above += "\n"
    text = above + "".join(lines) + "".join(target.lines[at:])
    wanted = _load(ours)
    _at(wanted, key[:-1])[key[-1]] = _at(_load(theirs), key)
    return text if _is_valid(text) and _load(text) == wanted else None


def _mapping(text: str, key: Key) -> _Mapping | None:
    """Where the keys of a mapping are; None where it is in braces, or has none."""
    found = _at(_load(text), key)
    if not isinstance(found, CommentedMap) or not found or found.fa.flow_style():
        return None
    lines = text.splitlines(keepends=True)
    rows = {name: found.lc.key(name)[0] for name in found}
    column = found.lc.key(next(iter(found)))[1]
    starts = {name: _first(lines, row, column) for name, row in rows.items()}
    ends = [*[*starts.values()][1:], _last(lines, max(rows.values()), column)]
    blocks = {
        name: _Block(start, _without_blanks(lines, start, end))
        for (name, start), end in zip(starts.items(), ends, strict=True)
    }
    return _Mapping(lines, column, blocks)


def _first(lines: list[str], row: int, column: int) -> int:
    """The first line of a key: comments of its indentation right above it are its own."""
    while row and lines[row - 1].startswith(" " * column + "#"):
        row -= 1
    return row


def _last(lines: list[str], row: int, column: int) -> int:
    """The line after the last key of a mapping, which begins in `row`."""
    for number in range(row + 1, len(lines)):
        line = lines[number].strip()
        indent = len(lines[number]) - len(lines[number].lstrip())
        if line and (indent < column or (indent == column and not line.startswith("-"))):
            return number
    return len(lines)


def _without_blanks(lines: list[str], start: int, end: int) -> int:
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    return end


def _at(content: Any, key: Key) -> Any:
    """What is at a key; None where there is nothing."""
    for name in key:
        if not isinstance(content, Mapping) or name not in content:
            return None
        content = content[name]
    return content


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    return yaml


def _load(text: str) -> Any:
    try:
        return _yaml().load(text) or CommentedMap()
    except YAMLError as error:
        raise InputError(f"{PARAMS}: not valid YAML: {' '.join(str(error).split())}") from None


def _is_valid(text: str) -> bool:
    try:
        return bool(_load(text))
    except InputError:
        return False
