"""Answers that were given before, and answers that several clients want at the same time.

Hides what is kept and what is thrown away for it, and how one evaluation serves all who ask for the same
while it runs. A snapshot never changes, so what is kept under a key that names the snapshot is true for ever.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from kg.engine import Answer
from kg.errors import QueryFailed

_T = TypeVar("_T")

_LARGE = 1024  # keys remembered of answers too large to keep


@dataclass
class CacheFigures:
    """Counts since the server started; `shared` are answers from an evaluation that another client began."""

    hits: int = 0
    misses: int = 0
    shared: int = 0
    evicted: int = 0


class AnswerCache:
    """Whole answers by key, `limit` bytes of them, the least recently used thrown out first.

    An answer of more than `largest` bytes is not kept. A limit of 0 keeps and shares nothing.
    """

    def __init__(self, limit: int, largest: int) -> None:
        self.limit = limit
        self.largest = min(largest, limit)
        self.bytes = 0
        self.figures = CacheFigures()
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}
        self._large: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> bytes | None:
        """The answer kept under a key, if there is one; counted as a hit or a miss."""
        body = self._kept.get(key)
        if body is None:
            self.figures.misses += 1
        else:
            self.figures.hits += 1
            self._kept.move_to_end(key)
        return body

    def find(self, key: bytes) -> bytes | None:
        """As `get`, for another form of an answer that is counted already."""
        body = self._kept.get(key)
        if body is not None:
            self._kept.move_to_end(key)
        return body

    def put(self, key: bytes, body: bytes) -> None:
        """Keep a whole answer, where it is not too large."""
        if len(body) > self.largest or not self.limit or key in self._kept:
            return
        self._kept[key] = body
        self.bytes += _weight(key, body)
        while self.bytes > self.limit:
            self.bytes -= _weight(*self._kept.popitem(last=False))
            self.figures.evicted += 1

    async def answer(self, key: bytes, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The answer that `ask` gives, kept under the key; asked once for all who want it at the same time.

        Who comes later waits until the answer is whole, and asks for himself where it is too large for that,
        or where the evaluator died of it: that error is for one client only. The evaluation goes on as long
        as anybody waits for it.
        """
        if not self.limit:
            return await ask()
        while key not in self._large:
            flight = self._flights.get(key)
            if flight is None or flight.left:
                flight = self._flights[key] = _Flight(asyncio.ensure_future(ask()))
                flight.task.add_done_callback(partial(self._landed, key, flight))
            answer = await flight.share()
            if answer is not None:
                self.figures.shared += flight.served
                flight.served = True
                return answer
        return await ask()

    def _landed(self, key: bytes, flight: _Flight, task: asyncio.Task[Answer]) -> None:
        """The evaluation of a flight gave an answer, whose body may be still to come, or an error."""
        if task.cancelled() or task.exception() is not None or task.result().complete is None:
            whole = None if task.cancelled() or task.exception() is not None else task.result().whole
            self._over(key, flight, whole)
            return

        def complete(body: asyncio.Future[bytes | None]) -> None:
            whole = None if body.cancelled() or body.exception() is not None else body.result()
            self._over(key, flight, whole)
            if whole is None and body.exception() is None and not flight.left:
                self._large[key] = None
                if len(self._large) > _LARGE:
                    self._large.popitem(last=False)

        task.result().complete.add_done_callback(complete)  # type: ignore[union-attr]

    def _over(self, key: bytes, flight: _Flight, whole: bytes | None) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if whole is not None:
            self.put(key, whole)


class _Flight:
    """One evaluation and all who wait for it. The first to see its answer reads it as it comes."""

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.served = False  # somebody has its answer
        self.left = False  # it was given up, since nobody waited
        self._waiting = 0
        self._taken = False  # somebody reads it, or was told of its failure
        self._reading = False

    async def share(self) -> Answer | None:
        """The answer, or its error; None for one who had better ask for himself."""
        self._waiting += 1
        try:
            await asyncio.wait((self.task,))
            if self.task.cancelled():
                return None
            answer = self._of(self.task)
            if answer is None:
                return None
            if answer.whole is not None:
                return Answer(
                    answer.format, _once(answer.whole), answer.whole, milliseconds=answer.milliseconds
                )
            if not self._taken:
                self._taken = self._reading = True
                return Answer(
                    answer.format, answer.chunks, milliseconds=answer.milliseconds, close=self._reader_left
                )
            if answer.complete is None:
                return None
            await asyncio.wait((answer.complete,))
            body = self._of(answer.complete)
            return None if body is None else Answer(answer.format, _once(body), body)
        finally:
            self._waiting -= 1
            await self._give_up_if_alone()

    def _of(self, future: asyncio.Future[_T]) -> _T | None:
        """What a future came to; an evaluator's death is told to the first only, the others get None."""
        try:
            return future.result()
        except QueryFailed:
            if self._taken:
                return None
            self._taken = True
            raise

    async def _reader_left(self) -> None:
        self._reading = False
        await self._give_up_if_alone()

    async def _give_up_if_alone(self) -> None:
        if self._waiting or self._reading:
            return
        if not self.task.done():
            self.left = True
            self.task.cancel()
        elif not self.task.cancelled() and self.task.exception() is None:
            answer = self.task.result()
            self.left = answer.complete is not None and not answer.complete.done()
            await answer.aclose()


def _weight(key: bytes, body: bytes) -> int:
    return len(body) + len(key) + 200  # and what Python needs to hold them


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
