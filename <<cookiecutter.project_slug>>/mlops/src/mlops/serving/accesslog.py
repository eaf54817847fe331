"""The access log: a line of JSON for a share of the requests, without anything that they held."""

import json
import random
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

# Lines that may wait to be printed; beyond it the oldest go.
WAITING = 10_000
PRINT_SECONDS = 0.2


class AccessLog:
    """Prints in a thread of its own: who reads the lines may be slower than requests come."""

    def __init__(self, share: float) -> None:
        """Begin to print for a share of the requests."""
        self._share = share
        self._lines: deque[dict[str, Any]] = deque(maxlen=WAITING)
        self._random = random.Random()  # noqa: S311 (draws a sample, keeps no secret)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._print_all, name="access-log", daemon=True)
        if share:
            self._thread.start()

    def add(self, path: str, status: int, seconds: float, caller: str, size: int) -> None:
        """Take down a request, or not, as the draw falls.

        Args:
            path: the address; `none` where there was no whole request.
            status: of the answer.
            seconds: from its head to its answer.
            caller: who asked; "" where that is not known.
            size: bytes of its body.
        """
        if self._share and self._random.random() < self._share:
            self._lines.append(
                {
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "path": path,
                    "status": status,
                    "seconds": round(seconds, 6),
                    "caller": caller,
                    "bytes": size,
                }
            )

    def close(self) -> None:
        """Print what is waiting."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _print_all(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(PRINT_SECONDS)
            text = ""
            while self._lines:
                text += json.dumps(self._lines.popleft()) + "\n"
            if text:
                sys.stdout.write(text)
                sys.stdout.flush()
