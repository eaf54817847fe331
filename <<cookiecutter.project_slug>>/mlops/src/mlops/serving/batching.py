"""Micro-batching: requests that come in together go through the model together."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from .errors import Busy
from .model import Batch, Job, ServedModel
from .protocol import InferResponse
from .settings import Settings

# From so many rows on a request is worth a call of the model of its own, in a thread, so that the
# loop goes on with other requests meanwhile.
ALONE = 256

# Takes the answer, or what went wrong.
Done = Callable[[InferResponse | Exception], None]


class Batcher:
    """Collects jobs until the event loop has no more at hand, then runs them in one call.

    Without load a request is run at once; under load batches grow by themselves, up to batch_rows.
    """

    def __init__(
        self, model: ServedModel, settings: Settings, ran: Callable[[Batch], None]
    ) -> None:
        """`ran` is called with each batch that was run, in the event loop."""
        self._model = model
        self._settings = settings
        self._ran = ran
        self._pending: list[tuple[Job, Done]] = []
        self._pending_rows = 0
        self._timer: asyncio.Handle | None = None
        self._pool = ThreadPoolExecutor(1, "model")
        self._loop = asyncio.get_running_loop()
        self.waiting_rows = 0

    def submit(self, job: Job, done: Done) -> None:
        """Call `done` with the answer to a job, later. Raises Busy when too many rows wait."""
        if self.waiting_rows and self.waiting_rows + job.rows > self._settings.queue_rows:
            raise Busy(f"{self.waiting_rows} rows are waiting; try again in a second")
        self.waiting_rows += job.rows
        if job.rows >= ALONE:
            future = self._pool.submit(self._run, [job])
            future.add_done_callback(lambda ended: self._ended(ended, job, done))
            return
        self._pending.append((job, done))
        self._pending_rows += job.rows
        if self._pending_rows >= self._settings.batch_rows:
            self._flush()
        elif self._timer is None:
            self._timer = (
                self._loop.call_later(self._settings.batch_ms / 1000, self._flush)
                if self._settings.batch_ms
                else self._loop.call_soon(self._flush)
            )

    def close(self) -> None:
        """End the thread. What it has not begun is given up."""
        self._pool.shutdown(cancel_futures=True)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending, self._pending_rows = self._pending, [], 0
        ended: Future[tuple[Batch, list[InferResponse]]] = Future()
        try:
            ended.set_result(self._run([job for job, _ in pending]))
        except Exception as error:
            ended.set_exception(error)
        self._end(ended, pending)

    def _run(self, jobs: list[Job]) -> tuple[Batch, list[InferResponse]]:
        batch = self._model.run(jobs)
        return batch, list(self._model.answers(batch))

    def _ended(
        self, ended: Future[tuple[Batch, list[InferResponse]]], job: Job, done: Done
    ) -> None:
        if not ended.cancelled():
            self._loop.call_soon_threadsafe(self._end, ended, [(job, done)])

    def _end(
        self,
        ended: Future[tuple[Batch, list[InferResponse]]],
        pending: list[tuple[Job, Done]],
    ) -> None:
        self.waiting_rows -= sum(job.rows for job, _ in pending)
        error = ended.exception()
        if isinstance(error, Exception):
            for _, done in pending:
                done(error)
            return
        batch, answers = ended.result()
        for (_, done), answer in zip(pending, answers, strict=True):
            done(answer)
        self._ran(batch)
