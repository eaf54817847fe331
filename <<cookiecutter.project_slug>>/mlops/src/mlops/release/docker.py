"""The `docker` command: what it is asked, and what it says when it fails."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from ..errors import CheckError, InputError


def program() -> str:
    """The command. Raises InputError where there is none."""
    found = shutil.which("docker")
    if found is None:
        raise InputError("docker: not found; a release with an image is run by Docker: install it")
    return found


def docker(*arguments: str, variables: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
    """Run `docker` with further variables of its environment, and return what it prints.

    Raises CheckError with the last line that it says when it fails.
    """
    done = subprocess.run(
        [program(), *arguments],
        env=os.environ | dict(variables or {}),
        input=stdin,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise CheckError(failure(done.stderr.decode(errors="replace")))
    return done.stdout.decode(errors="replace").strip()


def failure(said: str) -> str:
    """What went wrong, from what `docker` said: its last line says it best."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = (lines or ["no reason given"])[-1].removeprefix("error: ")
    return last if "docker" in last.lower() else f"docker: {last}"
