"""Texts that people may put into a file: anything at all, any YAML, and what is almost right."""

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st
from ruamel.yaml import YAML

from mlops.errors import InputError
from mlops.git.revision import Revision

# Where YAML and the rules of a file have their corners.
PIECES = (
    *("", " ", "\t", "\r", "\n", "\x0b", "\x7f", "\u2028", "\ufeff", "é", "😀", "\\", "%"),
    *("-", "- ", ":", ": ", "?", "? ", "[", "]", "{", "}", ",", "#", "&a", "*a", "!", "|", ">"),
    *("'", '"', "@", "`", "=", "==", "<<", "~", "null", "true", "yes", "0", "-1", "1e999", "1_0"),
    *(".nan", ".inf", "-.inf", "0x1f", "0b", "0o9", "2013-13-45", "2013-01-01T99:00", "12:30:45"),
    *("!!int x", "!!float x", "!!binary x", "!!set", "!!timestamp x", "!!python/name:os", "---"),
    *("...", "%YAML 1.1", "a" * 300),
)


def plain() -> st.SearchStrategy[Any]:
    """Any value that YAML can tell."""
    leaves: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    )
    leaves |= st.datetimes() | st.dates() | st.sampled_from(PIECES)
    keys = st.text(max_size=8) | st.integers() | st.booleans() | st.none()
    return st.recursive(
        leaves,
        lambda c: st.lists(c, max_size=3) | st.dictionaries(keys, c, max_size=3),
        max_leaves=8,
    )


def dumped(value: Any) -> str:
    """A value as YAML."""
    text, yaml = StringIO(), YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(value, text)
    return text.getvalue()


@st.composite
def damaged(draw: st.DrawFn, good: str) -> str:
    """A good text after some slips of the keyboard: lines and pieces gone, twice, or in between."""
    text = good
    for _ in range(draw(st.integers(1, 3))):
        lines = text.split("\n")
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "twice", "elsewhere", "piece", "cut"])):
            case "drop":
                del lines[at]
            case "twice":
                lines.insert(at, lines[at])
            case "elsewhere":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "piece":
                column = draw(st.integers(0, len(lines[at])))
                end = draw(st.integers(column, len(lines[at])))
                piece = draw(st.sampled_from(PIECES) | st.text(max_size=5))
                lines[at] = lines[at][:column] + piece + lines[at][end:]
            case "cut":
                lines = [*lines[:at], lines[at][: draw(st.integers(0, len(lines[at])))]]
        text = "\n".join(lines)
    return text


@st.composite
def changed(draw: st.DrawFn, good: Any) -> str:
    """Good content with any value in the place of one of its own, as YAML."""

    def within(value: Any) -> Any:
        here = draw(st.integers(0, 3)) == 0
        if here or not isinstance(value, dict | list) or not value:
            return draw(plain())
        if isinstance(value, list):
            at = draw(st.integers(0, len(value) - 1))
            return [*value[:at], within(value[at]), *value[at + 1 :]]
        key = draw(st.sampled_from(sorted(value, key=str)))
        named = draw(st.just(key) | st.text(max_size=5)) if draw(st.booleans()) else key
        return {**{k: v for k, v in value.items() if k != key}, named: within(value[key])}

    return dumped(within(good))


def any_text(good: str) -> st.SearchStrategy[str]:
    """All of these, about a file whose text is good."""
    pieces = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
    return st.one_of(st.text(max_size=60), pieces, plain().map(dumped), damaged(good))


@dataclass(frozen=True)
class Told:
    """A revision that has one file, whatever its name."""

    text: str

    def read_bytes(self, path: Path) -> bytes:
        return self.read(path).encode()

    def read(self, _: Path) -> str:
        return self.text


def at(text: str) -> Revision:
    """A revision whose files all hold this text."""
    return cast(Revision, Told(text))


def read_or_refused(read: Callable[[], Any], path: Path) -> Any:
    """What was read; None where it was refused, as people are told: a mistake a line, each of a
    file."""
    try:
        return read()
    except InputError as error:
        lines = str(error).split("\n")
        assert [line for line in lines if not line.startswith(f"{path}")] == []
        assert [line for line in lines if not line.isprintable()] == []
        return None
