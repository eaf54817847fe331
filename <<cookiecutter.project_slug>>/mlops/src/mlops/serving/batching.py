"""Micro-batching: requests that come in together go through the model together."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from .errors import Busy
from .http import Response
from .model import Answer, Batch, Job, ServedModel
from .settings import Settings

# From so many rows on a request is worth a call of the model of its own, in a thread, so that the
# loop goes on with other requests meanwhile.
ALONE = 256

# Makes the answer of the model to what answers the request.
Form = Callable[[Answer], Response]
# Takes what answers the request, or what went wrong.
Done = Callable[[Response | Exception], None]
T = TypeVar("T")


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
        self._pending: list[tuple[Job, Form, Done]] = []
        self._pending_rows = 0
        self._timer: asyncio.Handle | None = None
        self._pool = ThreadPoolExecutor(1, "model")
        self._loop = asyncio.get_running_loop()
        self.waiting_rows = 0
        self._explained_rows = 0

    def submit(self, job: Job, form: Form, done: Done) -> None:
        """Call `done` with the answer to a job, later. Raises Busy when too many rows wait."""
        if job.explain:
            self._submit_explained(job, form, done)
            return
        if self.waiting_rows and self.waiting_rows + job.rows > self._settings.queue_rows:
            raise Busy(f"{self.waiting_rows} rows are waiting; try again in a second")
        self.waiting_rows += job.rows
        if job.rows >= ALONE:
            self._submit_alone(job, form, done)
            return
        self._pending.append((job, form, done))
        self._pending_rows += job.rows
        if self._pending_rows >= self._settings.batch_rows:
            self._flush()
        elif self._timer is None:
            self._timer = (
                self._loop.call_later(self._settings.batch_ms / 1000, self._flush)
                if self._settings.batch_ms
                else self._loop.call_soon(self._flush)
            )

    def apart(self, work: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Do long work in a thread; call `then`, in the event loop, with what came of it."""

        def ended(future: Future[T]) -> None:
            if not future.cancelled():
                error = future.exception()
                came = error if isinstance(error, Exception) else future.result()
                self._loop.call_soon_threadsafe(then, came)

        self._pool.submit(work).add_done_callback(ended)

    def close(self) -> None:
        """End the thread. What it has not begun is given up."""
        self._pool.shutdown(cancel_futures=True)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending, self._pending_rows = self._pending, [], 0
        jobs = [job for job, _, _ in pending]
        self.waiting_rows -= sum(job.rows for job in jobs)
        try:
            batch = self._model.run(jobs)
            answers = list(self._model.answers(batch))
        except Exception as error:
            for _, _, done in pending:
                done(error)
            return
        for (_, form, done), answer in zip(pending, answers, strict=True):
            try:
                response = form(answer)
            except Exception as error:
                done(error)
            else:
                done(response)
        self._ran(batch)

    def _submit_explained(self, job: Job, form: Form, done: Done) -> None:
        """As any other that is alone, but as few at once as take an end."""
        if self._explained_rows + job.rows > self._settings.explain_rows:
            raise Busy(f"{self._explained_rows} rows wait to be explained; try again in a second")
        self._explained_rows += job.rows

        def end(came: Response | Exception) -> None:
            self._explained_rows -= job.rows
            done(came)

        self.waiting_rows += job.rows
        self._submit_alone(job, form, end)

    def _submit_alone(self, job: Job, form: Form, done: Done) -> None:
        def run() -> tuple[Batch, Response]:
            batch = self._model.run([job])
            (answer,) = self._model.answers(batch)
            if job.explain:
                reasons = self._model.explained(batch, job.explain)
                answer = replace(answer, outputs=[*answer.outputs, reasons])
            return batch, form(answer)

        def end(came: tuple[Batch, Response] | Exception) -> None:
            self.waiting_rows -= job.rows
            if isinstance(came, Exception):
                done(came)
                return
            batch, response = came
            done(response)
            self._ran(batch)

        self.apart(run, end)
