"""Batches of requests: a queue of accepted rows, one worker, a deadline for each request, a hard limit of rows."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from precisionflow.serving.server.limits import Limits


class Full(Exception):
    """No room for the rows of a request; `seconds` until there may be."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"{seconds} s")
        self.seconds = seconds


class Late(Exception):
    """The deadline of a request passed before it was computed."""


@dataclass(frozen=True)
class Request:
    """Rows that are to be answered together with those of other requests of the same kind."""

    kind: Hashable
    """Requests of one kind may share a batch."""
    rows: int
    value: Any
    deadline: float
    """Longest time until it is computed, in seconds; what has not begun by then is not computed."""
    tolerance: float = 0.0
    """Largest error of a cheaper arithmetic, in units of the stated std."""
    arrived: float = field(default_factory=time.monotonic)

    @property
    def latest(self) -> float:
        """On the monotonic clock."""
        return self.arrived + self.deadline


Compute = Callable[[Hashable, Sequence[Request]], Sequence[Any]]
"""Kind and requests of a batch -> the answer to each, or the exception that is its answer; runs in the worker."""


@dataclass
class _Waiting:
    request: Request
    answer: "asyncio.Future[Any]"


class Batches:
    """The queue before a worker thread. What is accepted is answered: computed, late, or with its mistake."""

    def __init__(self, compute: Compute, limits: Limits, *, queued: Callable[[Request, float], None]) -> None:
        """`queued` is told the time that a request waited, in seconds."""
        self.compute, self.limits, self.queued = compute, limits, queued
        self.rows = 0
        """Rows that are accepted and not answered."""
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._row_seconds = 0.0
        """Smoothed time of a row, from which `Full` says when to come again."""

    async def ask(self, request: Request) -> Any:
        """The answer to a request; Full where there is no room, Late after its deadline, ValueError for its mistake."""
        if self.rows + request.rows > self.limits.waiting:
            raise Full(max(1, math.ceil(self.rows * self._row_seconds)))
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self.rows += request.rows
        try:
            self._waiting.append(waiting)
            self._arrived.set()
            return await waiting.answer
        finally:
            self.rows -= request.rows

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            batch = await self._next()
            if batch:
                await self._answer(batch)

    def close(self) -> None:
        """End the worker."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _next(self) -> list[_Waiting]:
        """The oldest request and those of its kind that fit beside it, oldest first; late ones are told so."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        first = self._waiting[0]
        await self._fill(first)
        batch, others, rows = list[_Waiting](), deque[_Waiting](), 0
        now, open_ = time.monotonic(), True
        for waiting in self._waiting:
            if waiting.answer.done():
                continue
            if now > waiting.request.latest:
                waiting.answer.set_exception(Late())
            elif open_ and waiting.request.kind == first.request.kind:
                open_ = not batch or rows + waiting.request.rows <= self.limits.rows
                (batch if open_ else others).append(waiting)
                rows += waiting.request.rows
            else:
                others.append(waiting)
        self._waiting = others
        return batch

    async def _fill(self, first: _Waiting) -> None:
        """Wait for more rows, until the batch is full, `fill` has passed or the oldest request would be late."""
        until = min(first.request.arrived + self.limits.fill, first.request.latest)
        while (left := until - time.monotonic()) > 0:
            alike = sum(
                each.request.rows for each in self._waiting if each.request.kind == first.request.kind
            )
            if alike >= self.limits.rows:
                return
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    async def _answer(self, batch: list[_Waiting]) -> None:
        start = time.monotonic()
        for waiting in batch:
            self.queued(waiting.request, start - waiting.request.arrived)
        requests = [waiting.request for waiting in batch]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._pool, self.compute, requests[0].kind, requests)
        except Exception as error:
            answers = [error] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        each = (time.monotonic() - start) / max(1, sum(request.rows for request in requests))
        self._row_seconds = each if not self._row_seconds else 0.8 * self._row_seconds + 0.2 * each
