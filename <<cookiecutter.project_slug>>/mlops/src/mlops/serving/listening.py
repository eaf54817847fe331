"""Where the server listens, and how the next one takes its place without a connection lost.

The next one listens at the very same sockets: what the kernel has let in, and nobody has taken yet,
is there for it when the one before goes. It gets them through Unix sockets in a folder that both
know, one for each worker.
"""

import socket
from contextlib import suppress
from pathlib import Path

from ..errors import InputError
from .settings import Settings

# Connections that may wait to be taken.
BACKLOG = 2048
# How long the one before may take to give a socket; it may have been stopped.
GIVE_SECONDS = 2


class Offer:
    """A worker's listening socket, for the server that comes after this one.

    Attributes:
        given: whether it has come, and listens there, too.
    """

    def __init__(self, listening: socket.socket, folder: Path, number: int) -> None:
        """Offer it. Whoever may write to the folder can take it."""
        path = _path(folder, number)
        path.unlink(missing_ok=True)  # of the one before, which has given its own
        self.given = False
        self._listening = listening
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._door.setblocking(False)

    def fileno(self) -> int:
        """The file that can be read when somebody wants it."""
        return self._door.fileno()

    def give(self) -> None:
        """Give it to who is there."""
        with suppress(OSError):  # it has gone again
            taker, _ = self._door.accept()
            with taker:
                socket.send_fds(taker, [b"1"], [self._listening.fileno()])
                self.given = True


def listen(settings: Settings, count: int) -> list[socket.socket]:
    """A socket a worker: Linux deals connections out to all that listen at the same address.

    One that they shared would give most connections to whoever wakes up first.

    Raises InputError: the address is taken, or not to be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        address = settings.host, settings.port
        found = _taken_over(settings, count)
        if not settings.handover or not settings.port:
            # Alone at first: another server of ours would not be told from a further worker.
            with socket.create_server(address, family=family) as first:
                address = first.getsockname()[:2]
        while len(found) < count:
            found.append(
                socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=True)
            )
        return found
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # with the address once more
        raise InputError(
            f"{settings.host}:{settings.port}: {why}; choose another port with --port"
        ) from None


def _taken_over(settings: Settings, count: int) -> list[socket.socket]:
    """The sockets that the server before gives, as many as are needed."""
    found: list[socket.socket] = []
    if not settings.handover:
        return found
    kind = socket.SOCK_STREAM
    ((*_, wanted), *_) = socket.getaddrinfo(settings.host, settings.port, type=kind)
    for number in range(count):
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(GIVE_SECONDS)
            try:
                door.connect(str(_path(Path(settings.handover), number)))
                _, files, _, _ = socket.recv_fds(door, 1, 1)
            except OSError:  # there is none before, or it has ended
                continue
        for each in map(_socket, files):
            if each.getsockname()[:2] == wanted[:2]:
                found.append(each)
            else:
                each.close()
    return found


def _socket(file: int) -> socket.socket:
    return socket.socket(fileno=file)


def _path(folder: Path, number: int) -> Path:
    return folder / f"listening-{number}.sock"
