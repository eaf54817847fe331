"""The process: from its start to an orderly stop, and a worker for each processor."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import msgspec
import uvloop

from ..errors import ProjectError
from . import metrics
from .access import Access
from .app import App
from .budget import Budget, limit, used
from .http import TICK_SECONDS, Connection, Limits, Site
from .listening import BACKLOG, Offer, listen
from .log import open_store
from .model import ServedModel
from .settings import Settings

logger = logging.getLogger(__name__)

# How long a connection may be open without a request: longer than the proxies before it keep one.
IDLE_SECONDS = 75
# A worker that ends sooner than this after its start is not started again at once.
SHORT_SECONDS = 1.0

# A process whose loop has not turned for so long is ended by SIGALRM, and replaced.
STALLED_SECONDS = 30
# Files that a worker has open beside its connections: libraries, the log, metrics of all workers.
FILES = 128

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(settings: Settings) -> None:
    """Serve the model until SIGTERM or SIGINT.

    Raises InputError before anything is answered: the model cannot be served, or the port is taken.
    """
    processors = usable_processors()
    workers = settings.workers or processors
    # A model's threads do not outlive a fork, so that workers have one each.
    model = ServedModel(settings, processors if workers == 1 else 1)
    budget = _budget(model, settings, workers)
    settings = msgspec.structs.replace(settings, connections=_connections(settings.connections))
    if settings.log:
        # Each worker does, too; here it is told once, and in a line.
        open_store(settings.log, settings.log_keep)
    access = Access(settings)
    sockets = listen(settings, workers)
    host, port = sockets[0].getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    print(f"{model.name} {model.version}: http://{host}:{port}", flush=True)
    if workers == 1:
        _Server(model, settings, budget, access, sockets[0]).run()
    else:
        _Workers(model, settings, budget, access, sockets).run()


def _budget(model: ServedModel, settings: Settings, workers: int) -> Budget:
    """The memory of each worker. Raises InputError when it is too little."""
    loaded = used()
    model.warm()
    warm = used()
    # Workers share what the model is; what it takes for a call each of them has anew.
    return Budget.of(limit(settings.memory), warm, workers, own=warm - loaded)


def _connections(wanted: int) -> int:
    """How many connections each worker may have: as set, or as many files as it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    possible = max(1, soft - FILES)
    logger.warning(
        "%d connections, not %d: the process may open %d files (ulimit -n)", possible, wanted, soft
    )
    return possible


def usable_processors() -> int:
    """How many processors this process may use: its affinity, and the limit of its container."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        limit = int(quota) / int(period)
    except (OSError, ValueError):  # no such limit, or "max"
        return usable or 1
    return max(1, min(usable or 1, int(limit)))


class _Server:
    """A process that answers until it is told to stop; a worker, until its parent has ended."""

    def __init__(
        self,
        model: ServedModel,
        settings: Settings,
        budget: Budget,
        access: Access,
        listening: socket.socket,
        number: int = 0,
        parent: int | None = None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._budget = budget
        self._access = access
        self._listening = listening
        self._number = number
        self._parent = parent
        self._stopping = asyncio.Event()
        self._app: App
        self._site: Site

    def run(self) -> None:
        """Serve. Threads start in here and not before, where a fork would lose them."""
        for sig in SIGNALS:  # until the loop has its handlers: nobody has been answered
            signal.signal(sig, lambda *_: self._stopping.set())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # Requests leave no cycles behind. What start-up made stays: the collector need not look.
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        # The log's thread gives way to requests ten times sooner than Python would have it.
        sys.setswitchinterval(0.0005)
        settings, loop = self._settings, asyncio.get_running_loop()
        self._app = app = App(self._model, settings, self._budget, self._access)
        limits = Limits(
            settings.max_bytes, settings.receive_seconds, IDLE_SECONDS, settings.connections
        )
        self._site = site = Site(app.handle, app.turned, self._access.admits, limits, app.held)
        for sig in SIGNALS:
            loop.add_signal_handler(sig, self._stop, sig)
        server = await loop.create_server(
            lambda: Connection(site), sock=self._listening, backlog=BACKLOG
        )
        offer = None
        if settings.handover:
            offer = Offer(self._listening, Path(settings.handover), self._number)
            loop.add_reader(offer, offer.give)
        ticker = loop.create_task(self._tick())
        await self._stopping.wait()
        if offer is None or not offer.given:
            # Let no more in, and take those that wait: closed upon, they would be reset.
            self._listening.listen(0)
            await asyncio.sleep(0.05)
        server.close()
        site.close_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.stop_seconds):
                while site.connections:
                    await asyncio.sleep(0.01)
        ticker.cancel()
        await loop.run_in_executor(None, app.close)

    def _stop(self, sig: int) -> None:
        """SIGTERM: be not ready, and stop a little later. Once more, or SIGINT: stop now."""
        if sig == signal.SIGTERM and self._app.ready:
            # Each answer ends its connection: the client's next one goes to another server.
            self._app.ready, self._site.closing = False, True
            asyncio.get_running_loop().call_later(self._settings.drain_seconds, self._stopping.set)
        else:
            self._stopping.set()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # Its default action is the kernel's own, whatever Python is busy with.
            signal.setitimer(signal.ITIMER_REAL, STALLED_SECONDS)
            self._site.tick(loop.time())
            self._app.tick()
            if self._parent is not None and os.getppid() != self._parent:
                self._stopping.set()  # it was killed: whoever starts it anew needs the port
            await asyncio.sleep(TICK_SECONDS)


class _Workers:
    """Processes forked from one that has loaded the model: its memory is shared by all of them."""

    def __init__(
        self,
        model: ServedModel,
        settings: Settings,
        budget: Budget,
        access: Access,
        sockets: list[socket.socket],
    ) -> None:
        """A worker for each of `sockets`, which stay open here: what comes for a worker that has
        ended waits for the one that takes its place.
        """
        self._model = model
        self._settings = settings
        self._budget = budget
        self._access = access
        self._sockets = sockets
        self._started: dict[int, tuple[int, float]] = {}  # which socket, and when
        self._stopping = False
        self._failures = 0

    def run(self) -> None:
        """Keep the workers running until told to stop."""
        for sig in SIGNALS:
            signal.signal(sig, self._stop)
        with metrics.shared() as folder:
            for number in range(len(self._sockets)):
                self._start(number)
            while self._started:
                pid, status = os.waitpid(-1, 0)
                number, since = self._started.pop(pid)
                metrics.forget(folder, pid)
                if not self._stopping:
                    code = os.waitstatus_to_exitcode(status)
                    logger.error("worker %d ended with %d; starting another", pid, code)
                    self._count_failure(time.monotonic() - since)
                    self._start(number)

    def _start(self, number: int) -> None:
        # A signal between these steps would miss the new worker, or have it stop the others.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if self._stopping:
                return
            parent, pid = os.getpid(), os.fork()
            if pid:
                self._started[pid] = number, time.monotonic()
                return
            for sig in SIGNALS:
                signal.signal(sig, signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        code = 1
        try:
            for other in self._sockets:
                if other is not self._sockets[number]:
                    other.close()
            listening = self._sockets[number]
            own = self._model, self._settings, self._budget, self._access, listening
            _Server(*own, number, parent).run()
            code = 0
        except BaseException:
            logger.exception("a worker failed")
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _count_failure(self, lived: float) -> None:
        self._failures = self._failures + 1 if lived < SHORT_SECONDS else 0
        if self._failures >= 2 * len(self._sockets):
            self._stop(signal.SIGTERM, None)
            raise ProjectError("workers end as soon as they start; see the log above")

    def _stop(self, sig: int, frame: FrameType | None) -> None:
        self._stopping = True
        for each in self._sockets:
            each.close()  # so that they end with the workers, who still have them
        for pid in list(self._started):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                continue
