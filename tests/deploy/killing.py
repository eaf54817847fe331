"""Kill a command of `mlops` at each of its steps: before whatever it changes outside of itself.

Steps are programs that it starts, but such as only look, signals that it sends, and files of
`build` that it removes or renames. Python tells of them before they happen: a hook in the command
counts, and kills it at the n-th. Between two steps nothing changes, so n = 1 to the last is all.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.site import Site

HOOK = '''
import os
import signal
import sys

LOOKS = {
    "git": "cat-file diff for-each-ref log ls-files ls-remote ls-tree merge-base remote rev-list "
    "rev-parse show status",
    "docker": "inspect ps version",
}
LOOKS_FURTHER = ({"network", "ls"}, {"network", "inspect"}, {"compose", "ls"}, {"config"}, {"logs"})


def changes(event, arguments):
    """What is changed, for people; None where nothing is."""
    if event == "subprocess.Popen":
        program, command = os.path.basename(os.fsdecode(arguments[0])), arguments[1]
        words = [program, *map(os.fsdecode, command[1:])]
        while program == "git" and words[1:2] == ["-c"]:
            del words[1:3]  # settings, before what Git is to do
        looks = words[1:2] and words[1] in LOOKS.get(program, "").split()
        further = program == "docker" and any(each <= {*words} for each in LOOKS_FURTHER)
        return None if looks or further else " ".join(words)
    if event == "os.kill":
        return f"signal {arguments[1]}"
    if event in ("os.remove", "os.rename") and "/build/" in "/" + os.fsdecode(arguments[0]):
        return f"{event} {arguments[0]}"
    return None


def begin():
    # Not those that it starts: they are not to be killed.
    at, path, steps = int(os.environ.pop("KILL_AT")), os.environ.pop("KILL_LOG"), []

    def hook(event, arguments):
        told = changes(event, arguments)
        if told is not None and len(steps) < at:
            steps.append(told)
            if len(steps) == at:
                with open(path, "w", encoding="utf-8") as log:
                    log.write(told)
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if "KILL_AT" in os.environ:
    begin()
'''


@dataclass(frozen=True)
class Killer:
    """Who kills commands, from a folder of its own."""

    folder: Path

    @staticmethod
    def begin(folder: Path) -> Killer:
        """Make one."""
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        return Killer(folder)

    def run(self, site: Site, number: int, *command: str) -> str | None:
        """Run `mlops` up to its step of that number, and return what that would have been.

        None when the command came to its end before.
        """
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        known = site.project.environ() | site.environ
        path = os.pathsep.join([str(self.folder), *filter(None, [known.get("PYTHONPATH")])])
        done = subprocess.run(
            ["mlops", *command],
            cwd=site.project.folder,
            env=known | {"PYTHONPATH": path, "KILL_AT": str(number), "KILL_LOG": str(log)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
        )
        told = log.read_text(encoding="utf-8") if log.exists() else None
        assert done.returncode == (0 if told is None else -9), done.stderr
        return told

    def each(self, site: Site, *command: str) -> Iterator[str | None]:
        """Run it up to each of its steps, and at last to its end."""
        number = 0
        told: str | None = ""
        while told is not None:
            number += 1
            told = self.run(site, number, *command)
            yield told
