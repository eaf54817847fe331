#!/usr/bin/env python3
"""What the token of a running job may do, and what it was used for. act knows no permissions.

A job begins by writing its name and its permissions to a file, and jobs run one at a time. The
stand-ins for GitHub's API, for actions and for Git's server ask here, the latter two by running
this file with the permissions of which one is enough. What was asked is noted beside the file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

LEVELS = {"none": 0, "read": 1, "write": 2}
REFUSAL = "Resource not accessible by integration"

# Permissions that GitHub asks for and no stand-in here, with the reason. Each other one of a job
# takes a test that fails without it.
UNASKED = {
    "cd/build: packages: write": "the registry of the tests lets anybody push",
    "deploy/apply: packages: read": "and pull",
    "template-update/propose: pull-requests: write": "the newer template of the tests changes "
    "workflows, which takes an app, whose token it is then",
}


def covers(has: Mapping[str, str], enough: Iterable[str]) -> bool:
    """Tell whether permissions have one of those of which one is enough."""
    wanted = (each.split(": ") for each in enough)
    every = {"metadata": "read", **has}
    return any(LEVELS[every.get(name, "none")] >= LEVELS[level] for name, level in wanted)


def may(running: Path, enough: Iterable[str]) -> bool:
    """Tell whether the running job's token may do something, and note that it was asked."""
    job = json.loads(running.read_text(encoding="utf-8"))
    with notes(running).open("a", encoding="utf-8") as file:
        file.write(json.dumps([job["name"], [*enough]]) + "\n")
    return covers(job["permissions"], enough)


def notes(running: Path) -> Path:
    """Return where it is noted what was asked."""
    return running.with_suffix(".asked")


def unneeded(running: Path, job: str, has: Mapping[str, str]) -> list[str]:
    """Return the permissions of a job without which nothing that it asked would be refused.

    Of those to write also what is left when the job could only read.
    """
    lines = notes(running).read_text(encoding="utf-8").splitlines()
    asked = [enough for name, enough in map(json.loads, lines) if name == job]
    found = []
    for name, level in has.items():
        less = {**has, name: "read" if level == "write" else "none"}
        if level != "none" and all(covers(less, enough) for enough in asked):
            found.append(f"{name}: {level}")
    return found


if __name__ == "__main__":
    if not may(Path(os.environ["STANDIN_JOB"]), sys.argv[1:]):
        sys.exit(f"{REFUSAL}: {' or '.join(sys.argv[1:])}")
