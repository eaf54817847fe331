"""Rounds of an agent that do not end by themselves: killed at a step, or on a full disk.

Each is a copy of a process that was started for them: a copy of the tests' own would lack the
threads that libraries have there. Read from standard input: a line of JSON a round, as `Round` has
it. Written: its exit code, a line each.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlops.release.agent import Agent
from mlops.release.swap import Swap

KILLED = 77


@dataclass(frozen=True)
class Round:
    """A round of what keeps the C files of dev at a place.

    Attributes:
        place: where they are.
        command: what is run with them.
        step: it is killed before its change of that number outside of itself; None for never.
        program: it is killed before it starts this one; None for never.
        most: bytes that a file may have; None for any number.
    """

    place: str
    command: tuple[str, ...] = ()
    step: int | None = None
    program: str | None = None
    most: int | None = None


def is_step(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether Python tells of a change outside of itself that is about to be made."""
    if event == "open":
        return isinstance(arguments[1], str) and not {*arguments[1]}.isdisjoint("wxa+")
    if event == "subprocess.Popen":
        return "ls-remote" in arguments[1] or not {"fetch", "update-ref"}.isdisjoint(arguments[1])
    return event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink")


def run(wanted: Round) -> None:
    """Run a round in this process."""
    steps = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal steps
        steps += is_step(event, arguments)
        starts = event == "subprocess.Popen" and arguments[1][0] == wanted.program
        if starts or (steps == wanted.step and is_step(event, arguments)):
            os._exit(KILLED)

    sys.addaudithook(hook)
    if wanted.most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted.most, wanted.most))
    for _ in Agent("dev", Swap("dev", "c", Path(wanted.place), tuple(wanted.command))).once():
        pass


def line(wanted: Round) -> str:
    """Return a round as `main` reads it."""
    return json.dumps(asdict(wanted)) + "\n"


def main() -> None:
    """Run rounds, each in a copy of this process."""
    os.sync = lambda: None  # of all that this machine does
    for text in sys.stdin:
        process = os.fork()
        if process == 0:
            code = 1
            try:
                run(Round(**json.loads(text)))
                code = 0
            finally:
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
