"""A memory limit that the kernel enforces: a control group, of version 1 or 2."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Cage:
    """A control group.

    Attributes:
        folder: where the kernel shows it.
        first: whether it is of version 1.
    """

    folder: Path
    first: bool

    @property
    def within(self) -> tuple[str, ...]:
        """A command before another one, which then runs in here."""
        return "sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"

    @property
    def peak(self) -> int:
        """Bytes that there were at most."""
        name = "memory.max_usage_in_bytes" if self.first else "memory.peak"
        return int((self.folder / name).read_text(encoding="ascii"))

    @property
    def killed(self) -> int:
        """Processes that the kernel has killed for want of memory."""
        name = "memory.oom_control" if self.first else "memory.events"
        lines = (self.folder / name).read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@contextmanager
def cage(megabytes: int) -> Iterator[Cage]:
    """Make one of so much memory, without swap. Needs root."""
    first = (ROOT / "memory").is_dir()
    folder = (ROOT / "memory" if first else ROOT) / f"mlops-{time.monotonic_ns()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    limits = (
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        if first
        else ("memory.max", "memory.swap.max")
    )
    for name in limits:
        amount = 0 if name == "memory.swap.max" else megabytes * 2**20
        if (folder / name).exists():
            (folder / name).write_text(str(amount), encoding="ascii")
    try:
        yield Cage(folder, first)
    finally:
        deadline = time.monotonic() + 10
        while (folder / "cgroup.procs").read_text(encoding="ascii"):
            assert time.monotonic() < deadline, "processes are left in the cage"
            time.sleep(0.05)
        folder.rmdir()
