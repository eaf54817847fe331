"""Have the server fork a process that does what this command says, or be that process.

Begun for each command of each test, so that it imports nothing that it can do without.
"""

import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

# Written when it is put on PATH: where the server is, and whose commands they are.
WHERE = ""
VENV = ""
NAME = sys.argv[0].rpartition("/")[2]
SETTINGS = ("LANG", "LC_", "LD_", "MALLOC", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "TZ")


def command() -> tuple[str, str, list[str]] | None:
    """Return how Python is to run what, with which arguments; None for what is not forked."""
    if not NAME.startswith("python"):
        return "script", f"{VENV}/bin/{NAME}", sys.argv[1:]
    if sys.argv[1:2] in (["-m"], ["-c"]) and len(sys.argv) > 2:
        return sys.argv[1].strip("-"), sys.argv[2], sys.argv[3:]
    return None


def circumstances(environ: dict[str, str]) -> bytes:
    """Write what a fork has from the server, and a process begun here from whoever begins it."""
    import resource
    import signal

    kept = {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(SETTINGS) and name != "PYTHONPATH"
    }
    limited = (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
    limits = [resource.getrlimit(each) for each in limited]
    ignored = [each for each in range(1, 32) if signal.getsignal(each) == signal.SIG_IGN]
    spaces = [posix.readlink(f"/proc/self/ns/{each}") for each in ("mnt", "net", "pid", "user")]
    return repr([kept, limits, ignored, spaces, posix.geteuid()]).encode()


def customised(environ: dict[str, str]) -> bool:
    """Tell whether something is to run before the command."""
    for folder in environ.get("PYTHONPATH", "").split(":"):
        try:
            posix.stat(f"{folder}/sitecustomize.py")
        except OSError:
            continue
        return True
    return False


def forked(environ: dict[str, str]) -> int | None:
    """Return how the forked process ended; None where none is to be had."""
    import _socket
    import array

    wanted = command()
    if wanted is None or customised(environ) or any(posix.isatty(file) for file in range(3)):
        return None
    # The three, and that of the list itself: a fork lacks others that were left open for it.
    if len(posix.listdir("/proc/self/fd")) > 4:
        return None
    with open(f"{WHERE}/.server", "rb") as file:  # noqa: PTH123 - pathlib takes longer than the rest
        if file.read() != circumstances(environ):
            return None
    umask = posix.umask(0)
    posix.umask(umask)
    # First again, where `uv run` has put the environment's own.
    path = f"{WHERE}:{environ['PATH'].replace(f'{WHERE}:', '')}"
    asked = [*wanted, posix.getcwd(), environ | {"PATH": path}, posix.getpgrp(), umask]
    content = marshal.dumps(asked)
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    server.connect(f"{WHERE}/.socket")
    files = array.array("i", [0, 1, 2])
    size = len(content).to_bytes(4, "big")
    server.sendmsg([size], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    server.sendall(content)
    return awaited(server)


def awaited(server: "_socket.socket") -> int:
    """Hand signals on until the process has ended, and return how."""
    import signal

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
    content = b""
    while len(content) < 4:
        read = server.recv(4 - len(content))
        if not read:
            return 70
        content += read
    return int.from_bytes(content, "big", signed=True)


def main() -> None:
    """Do what the command says, in a fork or here."""
    environ = {
        name.decode(errors="surrogateescape"): value.decode(errors="surrogateescape")
        for name, value in posix.environ.items()
    }
    try:
        status = forked(environ)
    except OSError:  # no server, or none yet
        status = None
    if status is None:
        target = f"{VENV}/bin/{NAME}"
        posix.execv(target, [target, *sys.argv[1:]])
    if status < 0:
        import signal

        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        posix.kill(posix.getpid(), -status)
    posix._exit(status)


if __name__ == "__main__":
    main()
