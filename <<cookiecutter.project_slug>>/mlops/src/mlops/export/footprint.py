"""What a model in C takes of a microcontroller: compiled for one, without one at hand."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..config.export import C
from ..errors import CheckError, InputError, ProjectError

COMPILER, SIZE = "arm-none-eabi-gcc", "arm-none-eabi-size"
# An Arm Cortex-M4, as small as the compiler makes it.
FLAGS = ("-std=c99", "-mcpu=cortex-m4", "-mthumb", "-Os", "-fstack-usage")


@dataclass(frozen=True)
class Footprint:
    """What a model takes, in bytes.

    Attributes:
        flash: code and constants, without the functions of the library that it calls.
        ram: variables, and the stack of a call, without that of those functions.
    """

    flash: int
    ram: int


def measured(code: Path) -> Footprint:
    """Compile a `model.c`, whose header is beside it.

    Raises:
        InputError: there is no compiler for it.
        ProjectError: it does not compile.
    """
    for tool in (COMPILER, SIZE):
        if shutil.which(tool) is None:
            raise InputError(
                f"export.targets.c: flash_kb and ram_kb are checked with {tool}, which is not "
                "installed: install gcc-arm-none-eabi (Debian, Ubuntu), or leave both out"
            )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "model.o")
        _run([COMPILER, *FLAGS, "-c", str(code.resolve()), "-o", str(made)])
        text, data, bss = map(int, _run([SIZE, str(made)]).splitlines()[1].split()[:3])
        usage = made.with_suffix(".su").read_text(encoding="utf-8").splitlines()
        stack = max(int(line.split("\t")[1]) for line in usage)
    return Footprint(flash=text + data, ram=data + bss + stack)


def check(code: Path, settings: C) -> Footprint | None:
    """What a `model.c` takes, where it is bounded; None where it is not.

    Raises CheckError where that is more than a bound, and errors as `measured`.
    """
    bounds = {"flash": settings.flash_kb, "ram": settings.ram_kb}
    if not any(bounds.values()):
        return None
    found = measured(code)
    for name, bound in bounds.items():
        taken = getattr(found, name)
        if bound is not None and taken > bound * 1024:
            raise CheckError(
                f"export.targets.c: the model takes {taken / 1024:.1f} KiB of a Cortex-M4's "
                f"{name}, more than {name}_kb: {bound:g}; train a smaller one (train.prune)"
            )
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.splitlines() or ["no reason given"])[0]
        raise ProjectError(f"{command[0]} does not take the model: {told}")
    return done.stdout
