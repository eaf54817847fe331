"""What a model takes of a microcontroller: measured for one, without one at hand."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..config.export import Bounds
from ..errors import CheckError, InputError, ProjectError, needs_group

COMPILER, SIZE = "arm-none-eabi-gcc", "arm-none-eabi-size"
# An Arm Cortex-M4, as small as the compiler makes it.
FLAGS = ("-std=c99", "-mcpu=cortex-m4", "-mthumb", "-Os", "-fstack-usage")
# What microcontrollers have is less.
MOST = 16 * 1024 * 1024
# The smallest arena in which a model answers, to 16 bytes: what the interpreter tells of its use
# leaves out what it takes while it begins.
_SMALLEST = """
import sys
from tflite_micro.python.tflite_micro.runtime import Interpreter

model, most = sys.argv[1], int(sys.argv[2])

def answers(arena):
    try:
        Interpreter.from_file(model, arena_size=arena).invoke()
    except RuntimeError:
        return False
    return True

high = 1024
while not answers(high):
    high *= 2
    if high > most:
        sys.exit(f"not in {most} bytes")
low = high // 2
while high - low > 16:
    middle = (low + high) // 2
    low, high = (low, middle) if answers(middle) else (middle, high)
print(high)
"""


@dataclass(frozen=True)
class Footprint:
    """What a model takes, in bytes.

    Attributes:
        flash: code and constants, without the functions of the library or the interpreter.
        ram: variables, and the stack of a call without that of those functions; of an interpreter
            its arena.
    """

    flash: int
    ram: int


def of_c(code: Path) -> Footprint:
    """Compile a `model.c`, whose header is beside it, for a Cortex-M4.

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


def of_tflite(model: Path) -> Footprint:
    """Load a model into the interpreter for microcontrollers, TensorFlow Lite Micro.

    Raises:
        InputError: it is not installed.
        ProjectError: it does not take the model, or not in that much memory.
    """
    if find_spec("tflite_micro") is None:
        raise needs_group("export: flash_kb or ram_kb of TensorFlow Lite", "tflite-micro")
    arena = _run([sys.executable, "-c", _SMALLEST, str(model), str(MOST)], line=-1)
    return Footprint(flash=model.stat().st_size, ram=int(arena))


def check(
    name: str, measured: Callable[[Path], Footprint], file: Path, bounds: Bounds
) -> Footprint | None:
    """What a target's file takes, where it is bounded; None where it is not.

    Raises CheckError where that is more than a bound, and errors as `measured`.
    """
    limits = {"flash": bounds.flash_kb, "ram": bounds.ram_kb}
    if not any(limits.values()):
        return None
    found = measured(file)
    for what, limit in limits.items():
        taken = getattr(found, what)
        if limit is not None and taken > limit * 1024:
            raise CheckError(
                f"export.targets.{name}: the model takes {taken / 1024:.1f} KiB of a "
                f"microcontroller's {what}, more than {what}_kb: {limit:g}; train a smaller one "
                "(train.prune)"
            )
    return found


def _run(command: list[str], line: int = 0) -> str:
    """What a program prints. Raises ProjectError with that line of what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.splitlines() or ["no reason given"])[line]
        tool = "TensorFlow Lite Micro" if command[0] == sys.executable else command[0]
        raise ProjectError(f"{tool} does not take the model: {told}")
    return done.stdout
