"""What Prometheus scrapes at /metrics; over all workers when there are several."""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .budget import Held

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

# Workers share their counts through files in this folder, which prometheus_client asks the
# environment for when it is first imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
# In the place of a column's name; Prometheus takes an empty label for none.
NO_COLUMN = "not in the contract"


@contextmanager
def shared() -> Iterator[Path]:
    """Have the processes that are forked within add up their metrics, in a folder for that time.

    To be entered before any `Metrics` is made.
    """
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        os.environ[SHARED] = folder
        yield Path(folder)


class Metrics:
    """The server's metrics, in the units of Prometheus: seconds, and counts that only grow."""

    def __init__(self, release: str) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "mlops_requests_total", "Requests by path and HTTP status", ["path", "status"],
            registry=registry,
        )  # fmt: skip
        seconds = Histogram(
            "mlops_request_seconds", "From a request's head to its answer", ["path"],
            buckets=[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
            registry=registry,
        )  # fmt: skip
        self._seconds = seconds
        self.batch_rows = Histogram(
            "mlops_batch_rows", "Rows in a call of the model",
            buckets=[1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384],
            registry=registry,
        )  # fmt: skip
        self._waiting_rows = Gauge(
            "mlops_waiting_rows", "Rows that wait for the model",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._held = Gauge(
            "mlops_request_memory_bytes", "Memory that requests hold, at most",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._share = Gauge(
            "mlops_request_memory_limit_bytes", "Memory that requests may hold",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._violations = Counter(
            "mlops_contract_violations_total", "Requests refused for an input's sake", ["input"],
            registry=registry,
        )  # fmt: skip
        self._unknown = Counter(
            "mlops_unknown_categories_total", "Rows with a category that training never saw",
            ["input"], registry=registry,
        )  # fmt: skip
        self._explained = Counter(
            "mlops_explained_rows_total", "Rows whose answer was explained", registry=registry
        )
        self._callers = Counter(
            "mlops_caller_rows_total", "Rows by who asked, where that is known", ["caller"],
            registry=registry,
        )  # fmt: skip
        self.log_rows = Counter("mlops_log_rows_total", "Rows logged", registry=registry)
        self.log_dropped = Counter(
            "mlops_log_dropped_rows_total", "Rows that the log had no room for", registry=registry
        )
        self.log_failures = Counter(
            "mlops_log_failures_total", "Failed writes of the log", registry=registry
        )
        self.log_pass = Gauge(
            "mlops_log_pass_seconds",
            "When the log last looked for rows to write, in seconds since 1970; 0 without one",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        Gauge(
            "mlops_release", "1 for the release that is served", ["release"],
            registry=registry, multiprocess_mode="max",
        ).labels(release).set(1)  # fmt: skip
        Gauge(
            "mlops_started_seconds", "When the newest worker started, in seconds since 1970",
            registry=registry, multiprocess_mode="max",
        ).set_to_current_time()  # fmt: skip
        Gauge(
            "mlops_workers", "Processes that answer", registry=registry, multiprocess_mode="livesum"
        ).set(1)
        self._processor = Counter(
            "mlops_cpu_seconds_total", "Processor time of all workers", registry=registry
        )
        self._processor_seconds = 0.0
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def expect(
        self, paths: Iterable[str], inputs: Iterable[str], categories: Iterable[str]
    ) -> None:
        """Count what is to come from 0: Prometheus sees no rise in what was not there before."""
        for path in paths:
            for status in (200, 400, 500, 503):
                self._of(path, status)
        for name in (NO_COLUMN, *inputs):
            self._violations.labels(name)
        for name in categories:
            self._unknown.labels(name)

    def violation(self, column: str) -> None:
        """Count a request that the contract refuses."""
        self._violations.labels(column or NO_COLUMN).inc()

    def unknown(self, column: str, rows: int) -> None:
        """Count rows of a category that training never saw."""
        self._unknown.labels(column).inc(rows)

    def explained(self, rows: int) -> None:
        """Count rows whose answer is explained."""
        self._explained.inc(rows)

    def asked(self, caller: str, rows: int) -> None:
        """Count rows that a caller asked for."""
        self._callers.labels(caller).inc(rows)

    def look(self, waiting_rows: int, held: Held) -> None:
        """Take down what is so at the moment: what waits and is held, processor time until now."""
        self._waiting_rows.set(waiting_rows)
        self._held.set(held.bytes)
        self._share.set(held.share)
        used = time.process_time()
        self._processor.inc(used - self._processor_seconds)
        self._processor_seconds = used

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        counter, histogram = self._children.get((path, status)) or self._of(path, status)
        counter.inc()
        histogram.observe(seconds)

    def turned(self, status: int) -> None:
        """Count an answer to what was no whole request, and so took no time to be answered."""
        self._requests.labels("none", str(status)).inc()

    def _of(self, path: str, status: int) -> "tuple[Counter, Histogram]":
        found = self._requests.labels(path, str(status)), self._seconds.labels(path)
        self._children[path, status] = found
        return found

    def text(self) -> bytes:
        """The metrics in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        if SHARED not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


def forget(folder: Path, process: int) -> None:
    """Take a process that has ended out of the gauges; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(process, str(folder))
