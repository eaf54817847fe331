"""Commands of a project that begin as forks of a process that has imported the libraries.

Starting Python with pandas and scikit-learn takes longer than what most commands of a test do then.
What is forked knows the libraries and nothing of the project or the engine, so that their code is
imported from the project that the command runs in; signals, exit codes and open files are those of
the command. `server` imports and forks; `client` stands on PATH under the names of commands, and
begins the real one, cold, wherever a fork would differ: other settings of Python or of libraries,
a terminal, further open files, limits of memory.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = ("python", "python3", "dvc", "mlops")
# Of `__main__` nothing is left to what is forked.
PROGRAM = f"import sys; sys.path.insert(0, {str(HERE)!r}); import server; server.main()"


@cache
def folder(venv: Path, **environ: str) -> Path:
    """Return a folder for PATH whose commands are those of the environment, begun warm.

    Args:
        venv: the virtual environment.
        environ: what commands will be given, as far as Python or libraries look at it when they
            begin.
    """
    place = Path(tempfile.mkdtemp(prefix="warm-"))
    python = venv / "bin" / "python"
    known = {"WHERE": str(place), "VENV": str(venv), "UV": str(shutil.which("uv"))}
    client = _filled(HERE / "client.py", f"#!{python.resolve()} -IS", known)
    for name in COMMANDS:
        _executable(place / name, client)
    _executable(place / "uv", _filled(HERE / "uv.sh", "#!/bin/sh", known))
    with (place / ".log").open("wb") as log:
        server = subprocess.Popen(
            [python, "-c", PROGRAM, place],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    atexit.register(_end, server, place)
    return place


def _filled(path: Path, interpreter: str, known: dict[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for name, value in known.items():
        text = text.replace(f'\n{name} = ""', f"\n{name} = {value!r}")
        text = text.replace(f"\n{name}=\n", f"\n{name}='{value}'\n")
    return f"{interpreter}\n{text}"


def _executable(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _end(server: subprocess.Popen[bytes], place: Path) -> None:
    server.kill()
    server.wait()
    shutil.rmtree(place, ignore_errors=True)
