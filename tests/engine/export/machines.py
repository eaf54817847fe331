"""A model in C on a machine: this one, with every check that the compiler has, or a Cortex-M4.

The Cortex-M is emulated by QEMU and has no operating system: what it prints leaves it by
semihosting. See the board's memory in https://www.qemu.org/docs/master/system/arm/mps2.html.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlops.export.c import Source, identifier, literal
from mlops.export.program import Program

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="not installed: gcc")
CORTEX_TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")
MISSING = [tool for tool in CORTEX_TOOLS if shutil.which(tool) is None]
needs_cortex = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wdouble-promotion")
CHECKED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CORTEX = ("-mcpu=cortex-m4", "-mthumb", "-Os")
BOARD = ("-M", "mps2-an386", "-cpu", "cortex-m4", "-nographic")
SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")
LINKED = """\
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.ARM.exidx*) *(.init) *(.fini)
            *(.init_array*) *(.fini_array*) } > FLASH
  .data : { *(.data*) } > RAM
  .bss : { __bss_start__ = .; *(.bss*) *(COMMON) __bss_end__ = .; } > RAM
  end = .; __end__ = .;
  __stack = ORIGIN(RAM) + LENGTH(RAM);
}
"""
VECTORS = """\
#include <stdint.h>
extern void _start(void);
typedef struct { uint32_t top; void (*start)(void); } vectors;
__attribute__((section(".vectors"), used)) static const vectors first = {0x20400000, _start};
"""
PRINTED = {"text": "%s", "integer": "%ld", "truth": "%d", "float": "%.9g", "double": "%.17g"}


@dataclass(frozen=True)
class Machine:
    """Where a program runs.

    Attributes:
        compiler, options: make it.
        command: runs it, before its path.
        support: further files that it is made from, by name.
    """

    compiler: str
    options: tuple[str, ...]
    command: tuple[str, ...] = ()
    support: tuple[tuple[str, str], ...] = ()

    def answers(
        self,
        source: Source,
        program: Program,
        name: str,
        rows: Sequence[Mapping[str, object]],
        folder: Path,
    ) -> list[list[str]]:
        """What a model in C says of rows, printed: every number of every output, in their order."""
        files = {
            "model.h": source.header,
            "model.c": source.code,
            "main.c": _main(program, name, rows),
            **dict(self.support),
        }
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        made = [str(folder / file) for file in files if file.endswith(".c")]
        command = [self.compiler, *STRICT, *self.options, *made, "-o", "program", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        done = subprocess.run(
            [*self.command, "./program"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return [line.split("\t") for line in done.stdout.splitlines()]


HOST = Machine("gcc", CHECKED)
CORTEX_M4 = Machine(
    "arm-none-eabi-gcc",
    (*CORTEX, "--specs=rdimon.specs", "-T", "board.ld", "-Wno-double-promotion"),
    ("qemu-system-arm", *BOARD, *SEMIHOSTING, "-kernel"),
    (("board.ld", LINKED), ("vectors.c", VECTORS)),
)


def flash(source: Source, folder: Path) -> int:
    """What a model takes of a Cortex-M4's flash, in bytes: code and constants."""
    for file, text in (("model.h", source.header), ("model.c", source.code)):
        (folder / file).write_text(text, encoding="utf-8")
    command = ["arm-none-eabi-gcc", *STRICT, *CORTEX, "-fstack-usage", "-c", "model.c"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(
        ["arm-none-eabi-size", "model.o"], cwd=folder, check=True, capture_output=True, text=True
    )
    code, data, _ = map(int, done.stdout.splitlines()[1].split()[:3])
    return code + data


def stack(folder: Path) -> int:
    """What `predict` takes of the stack, in bytes, once `flash` has compiled it."""
    return max(int(line.split("\t")[1]) for line in (folder / "model.su").read_text().splitlines())


def _main(program: Program, name: str, rows: Sequence[Mapping[str, object]]) -> str:
    start = identifier(name)
    written = [
        ", ".join(_cell(value.kind, row[value.name]) for value in program.inputs) for row in rows
    ]
    parts = [
        f'printf("{PRINTED[value.kind]}\\t", {_cast(value.kind)}answer.{value.name}{place});'
        for value in program.outputs
        for place in ([f"[{n}]" for n in range(value.size)] if len(value.shape) > 1 else [""])
    ]
    return "\n".join(
        [
            "#include <stdio.h>",
            '#include "model.h"',
            "#define MISSING (0.0f / 0.0f)",
            f"static const {start}_row rows[{len(rows)}] = {{",
            *(f"    {{{row}}}," for row in written),
            "};",
            "int main(void)",
            "{",
            f"    for (int i = 0; i < {len(rows)}; i++) {{",
            f"        {start}_answer answer;",
            f"        {start}_predict(&rows[i], &answer);",
            *(f"        {part}" for part in parts),
            '        printf("\\n");',
            "    }",
            "    return 0;",
            "}",
            "",
        ]
    )


def _cell(kind: str, value: object) -> str:
    return literal(kind, np.asarray(value).item() if kind != "text" else value)  # type: ignore[arg-type]


def _cast(kind: str) -> str:
    return {"float": "(double)", "integer": "(long)"}.get(kind, "")
