"""Errors as people meet them: one line (what, where, how to mend it) and an exit code."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

DEBUG_VARIABLE = "MLOPS_DEBUG"


class ProjectError(Exception):
    """An error with a message for people. Exit code 1: the machine, or a defect in this project."""

    exit_code = 1


class InputError(ProjectError):
    """The data, a file or an option is not what it must be. Exit code 2."""

    exit_code = 2


class CheckError(ProjectError):
    """The data or the model failed a check: contract, parity, gate. Exit code 3."""

    exit_code = 3


class RowsError(ProjectError):
    """All was done, but some rows are not as they must be. Exit code 4."""

    exit_code = 4


def needs_group(what: str, group: str) -> InputError:
    """That something needs a dependency group which is not installed."""
    return InputError(
        f"{what} needs the dependency group `{group}`: run `uv sync --group {group}`, "
        f'and add "{group}" to default-groups in pyproject.toml so that CI has it, too'
    )


def first_line(error: Exception) -> str:
    """What `error` says, in a line: every store of data has exceptions of its own."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def run(main: Callable[[], None]) -> None:
    """Run `main` and exit: 0 when it returns, otherwise with the error's line and exit code.

    The stack trace is shown when the environment variable MLOPS_DEBUG is set.
    """
    try:
        main()
    except Exception as error:
        report(error)
        sys.exit(error.exit_code if isinstance(error, ProjectError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def own_code(error: Exception) -> str | None:
    """The last line of the owner's code, below src/, that an error came through; None without."""
    root = Path.cwd()
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    for file, line in reversed(frames):
        parts = Path(file).relative_to(root).parts if Path(file).is_relative_to(root) else ()
        if parts[:1] == ("src",) and parts[1:2] != ("mlops",):  # the engine, in the serving image
            return f"{Path(*parts)} line {line}"
    return None


def report(error: Exception) -> None:
    """Print `error` to standard error: its own words if it has some, else its kind and text."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
        return
    if isinstance(error, ProjectError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        text = f"{error.strerror}{where}"
    else:
        first = (str(error).splitlines() or [""])[0]
        what = f"{type(error).__name__}: {first[:300]}"
        own = own_code(error)
        text = (
            f"{own}: {what}"
            if own
            else f"unexpected {what} (set {DEBUG_VARIABLE}=1 to see where it comes from)"
        )
    print("error: " + text.replace("\n", "\n       "), file=sys.stderr)
