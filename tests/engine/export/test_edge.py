"""`make edge` prints what a model takes on each target, and runs it on a microcontroller."""

import pytest
from bench import edge
from engine.export.machines import needs_compiler, needs_cortex

from mlops.export.targets import TARGETS


@needs_compiler
@needs_cortex
def test_each_target_has_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge, "MODELS", ("linear",))
    edge.main()
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [*TARGETS, "c"]
    last = lines[-1].split()
    assert last[:5] == ["linear", "c", "on", "Cortex-M4", "(QEMU)"]
    assert float(last[5]) < 1e-6
