"""The server's process: what reaches it while it starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine.served import write

# A signal that comes while a process makes what it answers with, before its loop has turned.
SIGNALLED = """
import os, sys
from mlops.errors import run
from mlops.serving import server
from mlops.serving.settings import load_settings

class App(server.App):
    def __init__(self, *parts):
        super().__init__(*parts)
        os.kill(os.getpid(), int(sys.argv[1]))

server.App = App
run(lambda: server.serve(load_settings()))
"""


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_stops_it_in_order(tmp_path: Path, sig: signal.Signals) -> None:
    model = write("binary", tmp_path / "model.onnx")
    settings = {"MLOPS_MODEL": str(model), "MLOPS_PORT": "0", "MLOPS_WORKERS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(int(sig))],
        env=os.environ | settings | {"MLOPS_DRAIN_SECONDS": "0"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
