"""Requests that arrive together are answered together: a queue in front of one model.

A call of `predict` costs about the same for one row as for ten. What arrives while the model is
busy makes up the next batch; after a batch of several, the queue waits some milliseconds for those
that were just answered and ask again. A request that fails in company is asked once more alone, so
that no request can fail another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from multimodal.serve.exchange import RETRY, Refusal
from multimodal.serve.rows import Request

MOST_ROWS = 64  # in a batch of several requests
WAIT = 0.003  # seconds

Columns = dict[str, list[Any]]  # of predictions, as JSON has them


class Predict(Protocol):
    """Predicts requests of one level together; returns the columns of each."""

    def __call__(self, requests: Sequence[Request], level: float | None) -> list[Columns]: ...


@dataclass
class _Job:
    request: Request
    level: float | None
    answer: asyncio.Future[Columns] = field(repr=False)


class Batcher:
    """A queue of requests for one model, which one thread predicts.

    Args:
        predict: Requests to the columns of their predictions.
        most: Rows that may wait.
        observe: Told the number of rows of each batch.

    Example:
        batcher = Batcher(model.predict, 2000)
        batcher.start()
        columns = await batcher.submit(request, None, 30.0)
    """

    def __init__(
        self, predict: Predict, most: int, observe: Callable[[int], None] = lambda rows: None
    ) -> None:
        self.waiting = 0
        self._predict = predict
        self._most = most
        self._observe = observe
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, "predict")
        self._crowded = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; whoever still waits is told to come again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for job in self._jobs:
            if not job.answer.done():
                job.answer.set_exception(Refusal(503, "the model was unloaded; come again.", RETRY))
        self._pool.shutdown(wait=False)

    async def submit(self, request: Request, level: float | None, deadline: float) -> Columns:
        """Return the predictions of a request.

        Args:
            request: Its rows.
            level: Of intervals.
            deadline: Seconds to wait at most.

        Raises:
            Refusal: The queue is full (503), or the deadline passed (504).
            Exception: What `predict` raised for this request alone.
        """
        rows = len(request.rows)
        if self.waiting and self.waiting + rows > self._most:
            raise Refusal(503, "the queue is full; come again.", RETRY)
        job = _Job(request, level, asyncio.get_running_loop().create_future())
        self.waiting += rows
        self._jobs.append(job)
        self._arrived.set()
        try:
            async with asyncio.timeout(deadline):
                return await job.answer
        except TimeoutError:
            raise Refusal(504, f"no answer within {deadline:g} seconds; come again.") from None
        finally:
            self.waiting -= rows

    async def _run(self) -> None:
        while True:
            batch = await self._gather()
            if batch:
                await self._answer(batch)
                self._crowded = len(batch) > 1

    async def _gather(self) -> list[_Job]:
        """Wait for a request; return it with all that may be answered together with it."""
        while not self._jobs:
            self._arrived.clear()
            await self._arrived.wait()
        if self._crowded:
            await asyncio.sleep(WAIT)
        batch: list[_Job] = []
        kept: list[_Job] = []
        rows = 0
        for job in self._jobs:
            if job.answer.done():  # nobody waits for it any more
                continue
            count = len(job.request.rows)
            alike = not batch or (
                job.level == batch[0].level
                and job.request.shareable
                and batch[0].request.shareable
                and rows + count <= MOST_ROWS
            )
            (batch if alike else kept).append(job)
            rows += count if alike else 0
        self._jobs = deque(kept)
        return batch

    async def _answer(self, batch: Sequence[_Job]) -> None:
        self._observe(sum(len(job.request.rows) for job in batch))
        loop = asyncio.get_running_loop()
        requests = [job.request for job in batch]
        try:
            found = await loop.run_in_executor(self._pool, self._predict, requests, batch[0].level)
        except Exception as error:
            if len(batch) > 1:
                for job in batch:
                    await self._answer([job])
            else:
                _settle(batch[0], error)
            return
        for job, columns in zip(batch, found, strict=True):
            _settle(job, columns)


def _settle(job: _Job, result: Columns | Exception) -> None:
    if job.answer.done():
        return
    if isinstance(result, Exception):
        job.answer.set_exception(result)
    else:
        job.answer.set_result(result)
