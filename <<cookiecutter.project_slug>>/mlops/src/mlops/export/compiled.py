"""A model in C, compiled for this machine and asked for rows."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, ProjectError
from .program import Kind, Program, Value

CTYPES: dict[Kind, Any] = {
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "integer": ctypes.c_int64,
    "truth": ctypes.c_bool,
    "text": ctypes.c_char_p,
}
# Warnings are errors: the code has to pass other people's compilers, too.
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-shared", "-fPIC")


class Compiled:
    """A model in C as a library of this process.

    Attributes:
        metadata: that of the ONNX model which it was made from.
    """

    def __init__(self, code: Path, program: Program, name: str, metadata: dict[str, Any]) -> None:
        """Compile it.

        Args:
            code: its `model.c`; the header is beside it.
            program: tells what its row and its answer hold.
            name: what its names begin with.
            metadata: as the attribute.
        Raises:
            InputError: there is no compiler.
            ProjectError: it does not compile.
        """
        self.metadata, self._program = metadata, program
        compiler = os.environ.get("CC", "cc")
        if shutil.which(compiler) is None:
            raise InputError(
                f"export.targets.c: there is no C compiler {compiler!r} to prove the model with: "
                "install gcc or clang, or name one in CC"
            )
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "model.so")
            command = [compiler, *FLAGS, "-o", str(library), str(code), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.splitlines() or ["no reason given"])[0]
                raise ProjectError(f"{code}: {compiler} does not compile it: {said}")
            self._predict = ctypes.CDLL(os.fspath(library))[f"{name}_predict"]
        self._predict.restype = None
        self._row = _structure("Row", [CTYPES[value.kind] for value in program.inputs])
        self._answer = _structure("Answer", [_member(value) for value in program.outputs])

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for `columns`, as inference.OnnxModel.predict has them."""
        taken = [_plain(value, columns[value.name]) for value in self._program.inputs]
        answers = []
        for row in zip(*taken, strict=True):
            answer = self._answer()
            self._predict(ctypes.byref(self._row(*row)), ctypes.byref(answer))
            answers.append([_read(getattr(answer, f"m{n}")) for n in self._places])
        made = zip(*answers, strict=True)
        return {
            value.name: np.array(list(each))
            for value, each in zip(self._program.outputs, made, strict=True)
        }

    @property
    def _places(self) -> range:
        return range(len(self._program.outputs))


def _structure(name: str, members: list[Any]) -> Any:
    """The structure of the header, whose members are only counted here."""
    fields = [(f"m{n}", member) for n, member in enumerate(members)]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _member(value: Value) -> Any:
    return CTYPES[value.kind] * value.size if len(value.shape) > 1 else CTYPES[value.kind]


def _plain(value: Value, column: np.ndarray) -> list[Any]:
    if value.kind == "text":
        return [str(text).encode() for text in column]
    found: list[Any] = column.tolist()
    return found


def _read(member: Any) -> Any:
    if isinstance(member, bytes):
        return member.decode()
    return list(member) if isinstance(member, ctypes.Array) else member
