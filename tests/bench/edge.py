"""A small model for every target, and the one in C on an emulated Cortex-M4: `make edge`."""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from engine import made
from engine.export.machines import CORTEX_M4, MISSING
from engine.export.settings import SETTINGS
from onnx import ModelProto

from mlops.data.inputs import columns, model_inputs
from mlops.errors import InputError
from mlops.export import c
from mlops.export.program import Program
from mlops.export.specification import Specification
from mlops.export.targets import TARGETS
from mlops.judging.comparison import latency
from mlops.learning.conversion import to_onnx
from mlops.learning.model import Model

ROWS = 60
MODELS = ("boosting", "forest", "linear", "mlp")
HEAD = ("estimator", "target", "bytes", "made in", "one row", "from scikit-learn", "flash", "RAM")
FORM = "{:<10} {:<24} {:>8} {:>8} {:>10} {:>17} {:>7} {:>6}"


def main() -> None:
    """Print a line for each model and target."""
    print(FORM.format(*HEAD))
    contract = made.contract("binary")
    rows = model_inputs(made.rows("binary", ROWS, seed=1), contract)
    for name in MODELS:
        model = made.trained("binary", name)
        converted, expected = to_onnx(model, contract), model.predict(rows)["probability"]
        for target, settings in SETTINGS.items():
            with tempfile.TemporaryDirectory() as made_in:
                folder = Path(made_in)
                began = perf_counter()
                try:
                    TARGETS[target].make(converted, "edge", folder, settings)
                    exported = TARGETS[target].run(folder)
                except InputError as error:
                    print(f"{name:<10} {target:<12} {str(error).partition('(')[0]}")
                    continue
                ready = f"{perf_counter() - began:.2f} s"  # to its first answer
                answers = exported.predict(columns(rows))["probability"]
                size = sum(path.stat().st_size for path in folder.iterdir())
                time = ""
                if not isinstance(exported, Specification):  # that one is read, not run
                    time = f"{latency(exported, columns(rows[:1])) * 1000:.3f} ms"
                taken = ("", "")
                measured = TARGETS[target].measured
                if measured is not None and not (target == "c" and MISSING):
                    found = measured(folder / TARGETS[target].file)
                    taken = f"{found.flash:,}", f"{found.ram:,}"
            far = np.abs(answers - expected).max()
            print(FORM.format(name, target, f"{size:,}", ready, time, f"{far:.1e}", *taken))
        on_cortex(name, model, converted)


def on_cortex(name: str, model: Model, converted: ModelProto) -> None:
    """Ask the model in C on the microcontroller that QEMU emulates."""
    if MISSING:
        print(f"{name:<10} c on Cortex-M4: not run, {' and '.join(MISSING)} not installed")
        return
    rows = model_inputs(made.rows("binary", ROWS, seed=1), made.contract("binary"))
    source = c.write(converted, "edge", "made from its ONNX model")
    asked = [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
    with tempfile.TemporaryDirectory() as folder:
        lines = CORTEX_M4.answers(source, Program.of(converted), "edge", asked, Path(folder))
    answers = np.array([line[1:3] for line in lines], dtype=float)
    far = np.abs(answers - model.predict(rows)["probability"]).max()
    print(FORM.format(name, "c on Cortex-M4 (QEMU)", "", "", "", f"{far:.1e}", "", ""))


if __name__ == "__main__":
    main()
