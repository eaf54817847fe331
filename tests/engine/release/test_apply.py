"""An environment without images is served by a process; what is not as Git says is told."""

import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.released import Released
from engine.workspace import Workspace
from serving.running import alive, request, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def dev(released: Released) -> Iterator[Released]:
    """A repository whose dev is served."""
    released.mlops("apply", "dev")
    yield released
    released.mlops("stop", "dev")


def _drift(dev: Released) -> list[str]:
    lines = dev.mlops("status").stdout.splitlines()
    return [line for line in lines if "mlops apply" in line]


def test_what_git_says_answers(dev: Released) -> None:
    release, url = dev.evidence.stem, f"http://127.0.0.1:{dev.port}"
    assert f"release {release}" in dev.mlops("smoke", url).stdout
    assert f"ok  server: {release}" in dev.mlops("trace", "dev").stdout
    assert _drift(dev) == []
    # Once more changes nothing.
    assert dev.mlops("apply", "dev").stdout == f"serving: {release} at 127.0.0.1:{dev.port}\n"


def test_other_settings_are_told_and_applied(dev: Released) -> None:
    dev.settings("MLOPS_WORKERS=1", "MLOPS_MAX_ROWS=7")
    dev.commit()
    release = dev.evidence.stem
    assert _drift(dev) == [f"✗ dev: runs {release} with other settings → mlops apply dev"]
    assert "with other settings" in dev.mlops("apply", "dev", "--dry-run").stdout
    assert f"stopped {release} after draining its requests" in dev.mlops("apply", "dev").stdout
    assert _drift(dev) == []


def test_a_server_that_does_not_start_leaves_the_old_one(dev: Released) -> None:
    dev.settings("MLOPS_WORKERS=1", "MLOPS_LOG=nothing://here")
    dev.commit()
    done = dev.mlops("apply", "dev", code=3)
    assert done.stderr.startswith("error: dev: ")
    assert done.stderr.endswith(f"; {dev.evidence.stem} still serves\n")
    assert len(_drift(dev)) == 1
    dev.mlops("smoke", f"127.0.0.1:{dev.port}", "--release", dev.evidence.stem)


def _process(dev: Released) -> int:
    (file,) = (dev.project.folder / "build/environments/dev").glob("*.server")
    return int(file.read_text())


def _answer(wire: socket.socket) -> bytes:
    """The first line that comes; none where the connection ends."""
    with wire.makefile("rb") as stream:
        return stream.readline()


def test_no_connection_is_lost_while_servers_take_turns(dev: Released) -> None:
    """Not one that is made just then, nor one on which half a request has come."""
    body = request("/predict", b"[]")
    stop, failures, asked = threading.Event(), list[str](), list[int]()

    def ask() -> None:
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", dev.port), timeout=20) as wire:
                    wire.sendall(body)
                    if not _answer(wire).startswith(b"HTTP/1.1 400"):  # no rows, which it says
                        failures.append("no answer")
            except OSError as error:
                failures.append(repr(error))
            asked.append(1)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for rows in (11, 12, 13):
            with socket.create_connection(("127.0.0.1", dev.port), timeout=20) as slow:
                slow.sendall(body[:-1])
                old = _process(dev)
                dev.settings("MLOPS_WORKERS=1", f"MLOPS_MAX_ROWS={rows}", "MLOPS_DRAIN_SECONDS=0.5")
                dev.commit()
                rest = threading.Timer(5, slow.sendall, [body[-1:]])
                rest.start()
                dev.mlops("apply", "dev")
                assert not alive(old)
                assert _answer(slow).startswith(b"HTTP/1.1 400")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(asked) > 300


def test_a_server_that_was_stopped_is_no_hindrance(dev: Released) -> None:
    old = _process(dev)
    os.kill(old, signal.SIGSTOP)
    dev.settings("MLOPS_WORKERS=1", "MLOPS_MAX_ROWS=7")
    dev.commit()
    assert "stopped " in dev.mlops("apply", "dev").stdout
    wait_for(lambda: not alive(old), "gone")
    for _ in range(20):
        dev.mlops("smoke", f"127.0.0.1:{dev.port}", "--release", dev.evidence.stem)


def test_two_clones_do_not_serve_at_one_port(dev: Released, tmp_path: Path) -> None:
    first, second = dev.project.folder, Workspace(tmp_path / "second")
    dev.git("clone", "--quiet", str(first), str(second.folder))
    shutil.copytree(first / ".dvc/cache", second.folder / ".dvc/cache")
    done = second.run("mlops", "apply", "dev")
    assert done.returncode == 3
    assert f"127.0.0.1:{dev.port} is served from {first}/build/environments/dev" in done.stderr
    assert "another LISTEN" in done.stderr
    dev.mlops("smoke", f"127.0.0.1:{dev.port}", "--release", dev.evidence.stem)


def test_stop_ends_it(dev: Released) -> None:
    assert dev.mlops("stop", "dev").stdout == "dev: stopped\n"
    assert dev.mlops("stop", "dev").stdout == "dev: nothing runs\n"
    dev.mlops("smoke", f"127.0.0.1:{dev.port}", code=3)


@pytest.mark.parametrize(
    ("environment", "code", "told"),
    [("prod", 2, "prod has no release yet"), ("qa", 2, "there is no environment qa")],
)
def test_nothing_to_apply_is_told(
    released: Released, environment: str, code: int, told: str
) -> None:
    assert told in released.mlops("apply", environment, code=code).stderr


def test_a_release_that_was_edited_is_not_applied(released: Released) -> None:
    file = released.project.folder / "environments/dev/release.env"
    file.write_text(file.read_text().replace("MODEL_MD5=", "MODEL_MD5=00")[:-3] + "\n")
    released.commit()
    assert "nothing is applied" in released.mlops("apply", "dev", code=3).stderr
