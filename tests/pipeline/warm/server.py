"""Import libraries once, then fork for each command that a client asks for.

    python -c 'import server; server.main()' FOLDER

A client sends its command, folder, environment and open files, and gets how the process ended; what
it sends in between are signals for it. A client that is killed takes the process with it.
"""

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import runpy
import select
import signal
import site
import socket
import struct
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from client import circumstances  # type: ignore[import-not-found] # beside this file

# What commands of a project import; all but the project and the engine.
LIBRARIES = (
    "dvc.api",
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.dirs",
    "dvc.repo.index",
    "dvc.repo.reproduce",
    "dvc.repo.stage",
    "dvc.repo.worktree",
    "dvc.stage.cache",
    "dvc.stage.run",
    "dvc.utils.strictyaml",
    "dvc_data.fs",
    "dvc_data.hashfile.db.local",
    "dvc_data.index",
    "dvclive",
    "fsspec.implementations.memory",
    "jinja2",
    "onnx.reference",
    "pandas",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pydantic.dataclasses",
    "pydantic.type_adapter",
    "pyparsing",
    "rich.console",
    "ruamel.yaml",
    "scipy.stats",
    "skl2onnx",
    "sklearn.calibration",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.inspection",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.mixture",
    "sklearn.model_selection",
    "sklearn.neural_network",
    "sklearn.pipeline",
    "typer",
    "yaml",
)

# Where Python's own modules are.
STANDARD = [each for each in sys.path if each.startswith(sys.base_prefix)]


@dataclass(frozen=True)
class Asked:
    """What a client asks for.

    Attributes:
        kind: what `target` is: `m`, a module; `c`, a program; `script`, a file.
        arguments: of the command, its own name left out.
        files: its standard input, output and error.
        folder: where it runs.
        group: its process group.
    """

    kind: str
    target: str
    arguments: list[str]
    folder: str
    environ: dict[str, str]
    group: int
    umask: int
    files: list[int]

    @staticmethod
    def of(client: socket.socket) -> "Asked":
        """Receive it."""
        head, files, _, _ = socket.recv_fds(client, 4, 3)
        (size,) = struct.unpack("!I", head)
        content = client.recv(size, socket.MSG_WAITALL)  # less where the client is gone: no marshal
        return Asked(*[*marshal.loads(content), files])  # noqa: S302 - our own client's


def become(asked: Asked) -> None:
    """Be the process that the client asks for, to the end of its program."""
    for number, file in enumerate(asked.files):
        os.dup2(file, number)
        os.close(file)
    os.umask(asked.umask)
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.environ)
    script = asked.kind == "script"
    if script:  # what it begins by its own interpreter begins warm, too
        sys.executable = str(Path(sys.argv[1], "python"))
    sys.argv = [asked.target if script else f"-{asked.kind}", *asked.arguments]
    first = {"m": asked.folder, "c": "", "script": str(Path(asked.target).parent)}[asked.kind]
    given = filter(None, asked.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [first, *given, *STANDARD]
    for folder in site.getsitepackages():
        site.addsitedir(folder)  # where another project may have been installed since
    for name in ("client", "server"):
        del sys.modules[name]
    space = sys.modules["__main__"].__dict__
    for name in [name for name in space if not name.startswith("__")]:
        del space[name]
    space.pop("__file__", None)
    run: Any = runpy
    if asked.kind == "m":
        run._run_module_as_main(asked.target)  # what `python -m` does
        return
    program = asked.target
    if script:
        space["__file__"] = asked.target
        program = Path(asked.target).read_text(encoding="utf-8")
    code = compile(program, asked.target if script else "<string>", "exec")
    exec(code, space)  # noqa: S102 - as `python` does


def live(asked: Asked) -> NoReturn:
    """Become it, and end as Python ends, but for taking down what others still share."""
    code: object = 0
    try:
        become(asked)
    except SystemExit as error:
        code = error.code
    except BaseException as error:
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        code = 1
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    ending: list[Any] = [threading, atexit]
    ending[0]._shutdown()
    ending[1]._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(int(code or 0) & 255)


def attend(client: socket.socket) -> NoReturn:
    """Fork the process, hand signals on to it, and tell the client how it ended."""
    asked = Asked.of(client)
    try:
        os.setpgid(0, asked.group)
        alone = False
    except OSError:  # of another session
        os.setpgid(0, 0)
        alone = True
    process = os.fork()
    if process == 0:
        client.close()
        live(asked)
    for file in asked.files:
        os.close(file)
    ended: Any = os.pidfd_open(process)
    while ended not in select.select([ended, client], [], [])[0]:
        told = client.recv(1)
        if not told and alone:  # whoever ended the client's group meant all of it
            os.killpg(0, signal.SIGKILL)
        os.kill(process, told[0] if told else signal.SIGKILL)
        if not told:
            break
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(OSError):  # the client is gone
        client.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
    os._exit(0)


def main() -> None:
    """Import, listen, and fork whoever attends to a client."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    where = Path(sys.argv[1])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(where / ".socket"))
    listener.listen(64)
    # Of what the forks are: clients compare it, and find it when they may come.
    new = where / ".server.new"
    new.write_bytes(circumstances(dict(os.environ)))
    new.rename(where / ".server")
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            attend(client)
        client.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
