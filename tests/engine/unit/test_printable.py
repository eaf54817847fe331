"""What others wrote is shown printable, short, and starts nothing."""

import re

import pytest

from mlops.printable import all_shown, printable, shown

# As the runner looks for commands, of both forms: src/Runner.Common/ActionCommand.cs, TryParseV2
# and TryParse.
NEW = re.compile(r"^\s*::[^:]+::")
OLD = re.compile(r"##\[[^\]]+\]")


@pytest.mark.parametrize(
    "text",
    [
        "::error::gone",
        "  ::set-output name=x::y",
        "::::",
        "##[error]gone",
        "a ##[add-mask]b",
        "###[group]x",
        "\t::warning file=x::y",
    ],
)
def test_no_value_is_a_command_of_the_runner(text: str) -> None:
    assert NEW.search(text) or OLD.search(text) or text == "::::"
    line = printable(text)
    assert not line.lstrip().startswith("::")
    assert not OLD.search(line)


@pytest.mark.parametrize("text", ["carrier", "Zürich", "北京", "a: b", "a::b", "# 1", "50 %", ""])
def test_what_can_be_shown_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "a\ufffe", "a\nb", "\u202egpj.exe", "\ud800", "\x00"]
)
def test_what_cannot_be_seen_is_escaped(text: str) -> None:
    assert shown(text).isprintable()
    assert "\\" in shown(text)


def test_a_long_value_is_short() -> None:
    assert shown("x" * 2_000_000) == f"{'x' * 120}…"
    assert len(shown("\x1b" * 2_000_000)) <= 4 * 120 + 1


def test_values_are_shown_wherever_they_are() -> None:
    content = {"a\n": ["\x1b", {"b": "::x::"}, 1.5, None]}
    assert all_shown(content) == {"a\n": ["\\x1b", {"b": "\\x3a:x::"}, 1.5, None]}
