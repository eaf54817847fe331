"""Where an environment's prediction log is, by how it runs: a folder, a volume, or a store."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckError, InputError
from ..release import compose, process
from ..release.docker import docker
from ..release.settings import settings_path
from ..release.target import Target
from .feedback import FOLDER
from .storage import Storage


@dataclass(frozen=True)
class Place:
    """The log, at hand as long as it is needed.

    Attributes:
        name: what people know it by.
        storage: where it can be read.
        keep: brings feedback that was written there to where the log really is.
    """

    name: str
    storage: Storage
    keep: Callable[[], None]


@contextmanager
def place(target: Target, log: str | None) -> Iterator[Place]:
    """The log of an environment, or the one at `log`.

    Raises InputError where the environment keeps none, or none that can be reached from here.
    """
    address = log or target.settings.server.get("MLOPS_LOG", "")
    if not address:
        raise InputError(
            f"{settings_path(target.environment)}: no MLOPS_LOG, so that nothing is logged"
        )
    if log or "://" in address:
        yield Place(address, Storage(address), lambda: None)
    elif not target.release.serving_image:
        folder = str(process.log_folder(target.environment))
        yield Place(folder, Storage(folder), lambda: None)
    else:
        with _volume(target, address) as found:
            yield found


@contextmanager
def _volume(target: Target, path: str) -> Iterator[Place]:
    """A copy of the volume, by way of a container that has it: the engine may be far away."""
    try:
        containers = [c for each in compose.generations(target.stack) for c in each.containers]
    except (CheckError, InputError) as error:
        raise InputError(
            f"{target.environment}: its log cannot be reached, unless --log names it: {error}"
        ) from None
    if not containers:
        raise InputError(
            f"{target.environment}: no server is on this engine that has the log; --log names it"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            docker("cp", f"{containers[0]}:{path}/.", folder)
        except CheckError as error:
            raise InputError(f"{target.environment}: its log cannot be reached: {error}") from None

        def keep() -> None:
            docker("cp", f"{Path(folder, FOLDER)}", f"{containers[0]}:{path}")

        yield Place(f"the volume {target.stack}-log", Storage(folder), keep)
