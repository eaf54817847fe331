"""The targets: what each makes of the ONNX model, and how what it made is asked for rows.

An owner's target is another entry of TARGETS, and of FORMATS where its file is one of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from ..config.export import C, Coreml, Int8, Tflite
from ..errors import CheckError, InputError
from ..inference import OnnxModel, Runnable
from . import c, coreml, footprint, int8, tflite
from .compiled import Compiled
from .specification import Specification

# What makes a file answer rows, by how its name ends.
FORMATS: dict[str, Callable[[Path], Runnable]] = {
    ".c": Compiled,
    ".mlmodel": Specification.of,
    ".onnx": lambda path: OnnxModel(path, threads=1),
    ".tflite": tflite.Interpreted.of,
}


def opened(path: Path) -> Runnable:
    """A model in any form, ready to answer. Raises InputError where it cannot be run here."""
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: a model ends with one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix](path)


@dataclass(frozen=True)
class Target:
    """What a model can be exported to.

    Attributes:
        make: writes the files of a model into a folder: the model, the project's name, and what
            params.yaml says of the target.
        file: the one of them that `opened` makes answer rows.
        is_exact: whether its numbers are the model's, within verify.tolerance; else the deciding
            metrics say how good it is.
        measured: what that file takes of a microcontroller; None for what is for none.
    """

    make: Callable[[onnx.ModelProto, str, Path, Any], None]
    file: str
    is_exact: bool
    measured: Callable[[Path], footprint.Footprint] | None = None

    def run(self, folder: Path) -> Runnable:
        """What was made, ready to answer."""
        return opened(folder / self.file)


def _make_c(model: onnx.ModelProto, name: str, folder: Path, settings: C) -> None:
    source = c.write(model, name, f"{name}, made from its ONNX model: change that, not this")
    if settings.table_kb is not None and source.table_bytes > settings.table_kb * 1024:
        raise CheckError(
            f"export.targets.c: the tables take {source.table_bytes / 1024:.1f} KiB, more than "
            f"table_kb: {settings.table_kb:g}; train a smaller model (fewer trees, leaves or units)"
        )
    (folder / "model.h").write_text(source.header, encoding="utf-8")
    (folder / "model.c").write_text(source.code, encoding="utf-8")


def _make_int8(model: onnx.ModelProto, name: str, folder: Path, settings: Int8) -> None:
    (folder / "model.onnx").write_bytes(int8.quantised(model))


def _make_tflite(model: onnx.ModelProto, name: str, folder: Path, settings: Tflite | Int8) -> None:
    tflite.write(model, folder, isinstance(settings, Int8))


def _make_coreml(model: onnx.ModelProto, name: str, folder: Path, settings: Coreml) -> None:
    coreml.write(model, folder / coreml.MODEL)


TARGETS: dict[str, Target] = {
    "c": Target(_make_c, "model.c", is_exact=True, measured=footprint.of_c),
    "coreml": Target(_make_coreml, coreml.MODEL, is_exact=True),
    "onnx-int8": Target(_make_int8, "model.onnx", is_exact=False),
    "tflite": Target(_make_tflite, tflite.MODEL, is_exact=True, measured=footprint.of_tflite),
    # Its layers compute in float32 with weights of eight bits, which the interpreter for
    # microcontrollers does not take.
    "tflite-int8": Target(_make_tflite, tflite.MODEL, is_exact=False),
}
