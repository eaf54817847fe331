"""Commands that begin warm do what cold ones do, and where they could not, they begin cold."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from pipeline.running import Project, Reproduced
from serving.running import alive, wait_for

# Says whether libraries were there before anything was imported.
WARM = "import sys; print('sklearn' in sys.modules)"


@pytest.fixture
def project(started: Reproduced, tmp_path: Path) -> Project:
    project = started("classification").copy(tmp_path / "project")
    # Commands begin cold until the libraries are there, and each test here would pass with that.
    wait_for(lambda: project.run("python", "-c", WARM).stdout == "True\n", "a warm command")
    return project


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-c", "import sys; print(sys.argv, __name__); sys.exit(3)", "a", "b"],
        ["python", "-c", "import sys; sys.exit('no')"],
        ["python", "-c", "raise ValueError"],
        ["python", "-c", "import sys; print(sys.stdin.read(), __file__)"],
        ["python", "-c", "import os; os.kill(os.getpid(), 9)"],
        ["python", "-c", "import os; os.kill(os.getpid(), 15)"],
        ["python", "-c", "import os; os.kill(os.getpid(), 2)"],
        ["python", "-c", "import atexit, os; atexit.register(print, os.getcwd())"],
        ["python", "-c", "import threading as t; t.Timer(0.2, print, ['late']).start()"],
        ["python", "-c", "import mlops, flight_delays as f; print(mlops.__file__, f.__file__)"],
        ["python", "-m", "mlops.pipeline.nothing"],
        ["python", "-m", "json.tool"],
        ["python", "--version"],
        ["mlops", "promote", "nowhere"],
        ["mlops", "--help"],
        ["dvc", "stage", "list"],
        ["dvc", "nothing"],
    ],
)
def test_a_command_does_the_same(project: Project, command: list[str]) -> None:
    warm, begun_cold = (
        subprocess.run(
            command, cwd=project.folder, env=env, input='{"a": 1}', capture_output=True, text=True
        )
        for env in (project.environ(), project.cold())
    )
    assert warm.returncode == begun_cold.returncode
    assert warm.stdout == begun_cold.stdout
    assert warm.stderr == begun_cold.stderr


def test_it_is_warm_where_nothing_differs(project: Project, tmp_path: Path) -> None:
    assert project.run("python", "-c", WARM).stdout == "True\n"
    of_venv = {"UV_PROJECT_ENVIRONMENT": str(project.venv)}
    by_uv = project.run("uv", "run", "--no-sync", "python", "-c", WARM, env=of_venv)
    assert by_uv.stdout == "True\n"
    for differs in ({"OMP_NUM_THREADS": "2"}, {"PYTHONHASHSEED": "0"}, {"LC_ALL": "C"}):
        assert project.run("python", "-c", WARM, env=differs).stdout == "False\n"
    (tmp_path / "sitecustomize.py").write_text("print('first')")
    customised = {"PYTHONPATH": str(tmp_path)}
    assert project.run("python", "-c", WARM, env=customised).stdout == "first\nFalse\n"
    for before in ("ulimit -n 200", "exec 3< /dev/null"):
        assert project.run("bash", "-c", f'{before}; python -c "{WARM}"').stdout == "False\n"
    for apart in (("unshare", "--mount"), ("unshare", "--net")):
        assert project.run(*apart, "python", "-c", WARM).stdout == "False\n"
    assert project.run("setsid", "--wait", "python", "-c", WARM).stdout == "True\n"


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_who_ends_the_command_ends_what_was_begun_for_it(
    project: Project, number: signal.Signals, own_session: bool
) -> None:
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with subprocess.Popen(
        ["python", "-c", program],
        cwd=project.folder,
        env=project.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=own_session,
    ) as command:
        assert command.stdout is not None
        process = int(command.stdout.readline())
        assert process != command.pid
        command.send_signal(number)
        assert command.wait(timeout=20) == -number
    wait_for(lambda: not alive(process), "the end of what was begun")
