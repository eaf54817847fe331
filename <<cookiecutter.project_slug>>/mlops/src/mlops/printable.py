"""What others wrote, data and clients, wherever it is shown: printable, short, and no command."""

import re
from typing import Any

# Characters of a value that are shown.
LENGTH = 120
# How GitHub's runner finds a command in what a job prints: at a line's start, or the old form
# anywhere. https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\[)")


def printable(text: str) -> str:
    """`text` on one line of a terminal: what cannot be printed is escaped, as Python writes it."""
    line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\x{ord(found[0][-1]):02x}", line)


def shown(value: object, length: int = LENGTH) -> str:
    """A value as `printable`, and not longer than so many characters of it."""
    text = str(value)
    line = printable(text[:length])
    return line if len(text) <= length else f"{line}…"


def all_shown(content: Any) -> Any:
    """Lists and dictionaries with each text in them, but keys, as `shown`."""
    match content:
        case str():
            return shown(content)
        case list():
            return [all_shown(each) for each in content]
        case dict():
            return {key: all_shown(value) for key, value in content.items()}
    return content
