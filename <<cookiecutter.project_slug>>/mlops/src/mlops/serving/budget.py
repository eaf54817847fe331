"""What memory a worker may use, and how it is shared out. The arithmetic: docs/serve.md, "Memory".

Nothing that a client sends is decoded, kept or answered before the memory for it is taken from
here, at the most that it could come to. What is not to be had is refused.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .errors import Busy, Refused

# What a container may take: control groups, version 2 and 1.
LIMITS = [
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
]
MEMINFO, STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
MIB = 2**20

# A worker's own: what its heap grows by and its allocator keeps, whatever is asked of it.
WORKER = 24 * MIB
# The least that is worth serving with.
LEAST = 16 * MIB
# A connection's own: objects, and an answer's rest that its client has not read yet.
CONNECTION = 32 * 1024
# Requests up to here may take what larger ones have to leave: a few uploads keep nobody else out.
SMALL = 16 * 1024


@dataclass(frozen=True)
class Budget:
    """The shares of a worker, in bytes.

    Attributes:
        requests: what came in and is not answered, what it is decoded to, answers not yet read.
        log: rows that wait to be logged.
    """

    requests: int
    log: int

    @classmethod
    def of(cls, limit: int, used: int, workers: int, own: int = 0) -> "Budget":
        """Share out what is left: half for requests, a quarter for the log; a quarter stays free.

        Args:
            limit: bytes that all workers may use together.
            used: bytes that this process has with its model, which workers share.
            workers: how many there are.
            own: bytes of those used that each worker has to itself all the same.
        Raises:
            InputError: too little is left to serve with.
        """
        free = (limit - used) // workers - WORKER - own
        if free < LEAST:
            least = used + workers * (WORKER + own + LEAST)
            raise InputError(
                f"{limit // MIB} MB of memory are too little for the model and {workers} "
                f"worker{'s' if workers > 1 else ''}, which need {-(-least // MIB)} MB: set MEMORY "
                "or MLOPS_MEMORY higher, or MLOPS_WORKERS lower"
            )
        return cls(requests=free // 2, log=free // 4)


class Held:
    """What a worker's requests hold of their share. For the event loop alone."""

    def __init__(self, share: int) -> None:
        self.share = share
        self._large = share * 3 // 4
        self.bytes = 0

    def fits(self, amount: int, large: bool) -> bool:
        """Whether that much more may be taken."""
        return self.bytes + amount <= (self._large if large else self.share)

    def take(self, amount: int, large: bool) -> None:
        """Take it. Raises Refused where it is never to be had, Busy where it is not now."""
        if amount > self._large:
            raise Refused(
                f"the request may take {-(-amount // MIB)} MB of memory, and there are "
                f"{self._large // MIB} MB: send fewer values at a time",
                413,
            )
        if not self.fits(amount, large):
            raise Busy("other requests have taken the memory; try again in a second")
        self.bytes += amount


def limit(setting: int) -> int:
    """Bytes of memory that the server may use: as set, else what its container may, else half.

    Args:
        setting: megabytes; 0 where none is set.
    """
    if setting:
        return setting * MIB
    machine = _number(MEMINFO, r"MemTotal: *(\d+)", 1024) or 1024 * MIB
    contained = [found for path in LIMITS if (found := _number(path, r"^(\d+)", 1))]
    least = min(contained, default=machine)
    # Version 1 says "no limit" by a number that no machine has.
    return least if least < machine else machine // 2


def used() -> int:
    """Bytes of memory that this process has."""
    return _number(STATUS, r"VmRSS:\s*(\d+)", 1024)


def _number(path: Path, pattern: str, unit: int) -> int:
    try:
        found = re.search(pattern, path.read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) * unit if found else 0
