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
from ..inference import read_metadata
from .c import Description
from .program import Kind

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
        metadata: what travels with it, as in the ONNX model.
    """

    def __init__(self, code: Path) -> None:
        """Compile it.

        Args:
            code: its `model.c`, which describes itself; the header is beside it.
        Raises:
            InputError: there is no compiler, or it is no model of this project's making.
            ProjectError: it does not compile.
        """
        description = Description.of(code)
        self.metadata = read_metadata(description.metadata)
        compiler = os.environ.get("CC", "cc")
        if shutil.which(compiler) is None:
            raise InputError(
                f"{code.name}: there is no C compiler {compiler!r} to run the model with: "
                "install gcc or clang, or name one in CC"
            )
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder, "model.so")
            command = [compiler, *FLAGS, "-o", str(library), str(code), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.splitlines() or ["no reason given"])[0]
                raise ProjectError(f"{code}: {compiler} does not compile it: {said}")
            self._predict = ctypes.CDLL(os.fspath(library))[f"{description.name}_predict"]
        self._predict.restype = None
        self._inputs, self._outputs = description.inputs, description.outputs
        self._row = _structure("Row", [CTYPES[kind] for kind in self._inputs.values()])
        members = [_member(kind, size) for kind, size in self._outputs.values()]
        self._answer = _structure("Answer", members)

    def predict(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for `columns`, as inference.OnnxModel.predict has them."""
        taken = [_plain(kind, columns[name]) for name, kind in self._inputs.items()]
        answers = []
        for row in zip(*taken, strict=True):
            answer = self._answer()
            self._predict(ctypes.byref(self._row(*row)), ctypes.byref(answer))
            answers.append([_read(getattr(answer, f"m{n}")) for n in range(len(self._outputs))])
        made = zip(*answers, strict=True)
        return {name: np.array(list(each)) for name, each in zip(self._outputs, made, strict=True)}


def _structure(name: str, members: list[Any]) -> Any:
    """The structure of the header, whose members are only counted here."""
    fields = [(f"m{n}", member) for n, member in enumerate(members)]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _member(kind: Kind, size: int | None) -> Any:
    return CTYPES[kind] if size is None else CTYPES[kind] * size


def _plain(kind: Kind, column: np.ndarray) -> list[Any]:
    if kind == "text":
        return [str(text).encode() for text in column]
    found: list[Any] = column.tolist()
    return found


def _read(member: Any) -> Any:
    if isinstance(member, bytes):
        return member.decode()
    return list(member) if isinstance(member, ctypes.Array) else member
