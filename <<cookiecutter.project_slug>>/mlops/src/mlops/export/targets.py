"""The targets: what each makes of the ONNX model, and how it is asked for rows.

An owner's target is another entry of TARGETS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from ..config.export import C, Coreml, Int8, Tflite
from ..errors import CheckError
from ..inference import OnnxModel, Runnable, read_metadata
from . import c, coreml, int8, tflite
from .compiled import Compiled
from .program import Program
from .specification import Specification


@dataclass(frozen=True)
class Target:
    """What a model can be exported to.

    Attributes:
        make: writes the files of a model into a folder: the model, the project's name, and what
            params.yaml says of the target.
        run: makes what is in the folder answer rows.
        is_exact: whether its numbers are the model's, within verify.tolerance; else the deciding
            metrics say how good it is.
    """

    make: Callable[[onnx.ModelProto, str, Path, Any], None]
    run: Callable[[onnx.ModelProto, str, Path], Runnable]
    is_exact: bool


def _make_c(model: onnx.ModelProto, name: str, folder: Path, settings: C) -> None:
    source = c.write(model, name, f"{name}, made from its ONNX model: change that, not this")
    if settings.table_kb is not None and source.table_bytes > settings.table_kb * 1024:
        raise CheckError(
            f"export.targets.c: the tables take {source.table_bytes / 1024:.1f} KiB, more than "
            f"table_kb: {settings.table_kb:g}; train a smaller model (fewer trees, leaves or units)"
        )
    (folder / "model.h").write_text(source.header, encoding="utf-8")
    (folder / "model.c").write_text(source.code, encoding="utf-8")


def _run_c(model: onnx.ModelProto, name: str, folder: Path) -> Runnable:
    code = folder / "model.c"
    return Compiled(code, Program.of(model), c.identifier(name), _metadata(model))


def _make_int8(model: onnx.ModelProto, name: str, folder: Path, settings: Int8) -> None:
    (folder / "model.onnx").write_bytes(int8.quantised(model))


def _run_int8(model: onnx.ModelProto, name: str, folder: Path) -> Runnable:
    return OnnxModel(folder / "model.onnx", threads=1)


def _make_tflite(model: onnx.ModelProto, name: str, folder: Path, settings: Tflite | Int8) -> None:
    tflite.write(model, folder, isinstance(settings, Int8))


def _run_tflite(model: onnx.ModelProto, name: str, folder: Path) -> Runnable:
    return tflite.Interpreted.of(folder, _metadata(model))


def _make_coreml(model: onnx.ModelProto, name: str, folder: Path, settings: Coreml) -> None:
    coreml.write(model, folder / coreml.MODEL)


def _run_coreml(model: onnx.ModelProto, name: str, folder: Path) -> Runnable:
    return Specification.of(folder / coreml.MODEL)


def _metadata(model: onnx.ModelProto) -> dict[str, Any]:
    return read_metadata({each.key: each.value for each in model.metadata_props})


TARGETS: dict[str, Target] = {
    "c": Target(_make_c, _run_c, is_exact=True),
    "coreml": Target(_make_coreml, _run_coreml, is_exact=True),
    "onnx-int8": Target(_make_int8, _run_int8, is_exact=False),
    "tflite": Target(_make_tflite, _run_tflite, is_exact=True),
    "tflite-int8": Target(_make_tflite, _run_tflite, is_exact=False),
}
