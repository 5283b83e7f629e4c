"""Which query gets a worker, and when: short before long, without knowing beforehand which is which.

Hides the queues. As many queries as there are workers run at full speed, and the others wait in order. One
that did not end at once makes room for the next and runs beside it. One that has used much time is a long
one: it needs one of a few places, and the caller gives it a low priority there. One that finds no place waits
for one: where it has begun to answer it stands still, otherwise the caller stops it and begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from kg.errors import ServerBusy

_ASIDE = 6  # queries at most that run at full speed beyond the number of workers, each for a short time


class Lane(Enum):
    """What a worker is doing."""

    IDLE = "idle"
    SHORT = "short"  # one of the queries that run at full speed
    ASIDE = "aside"  # it made room, and is not known to be long
    LONG = "long"
    HELD = "held"  # it stands still until there is a place


class _Seat(Protocol):
    lane: Lane
    dead: bool


_T = TypeVar("_T")
_W = TypeVar("_W", bound=_Seat)


class Lanes(Generic[_W]):
    """The queues of one engine: `size` short queries at once, `places` long ones, `queue` that wait.

    A worker enters with `free` and leaves with `gone`; in between its `lane` is set here and nowhere else.
    """

    def __init__(self, *, size: int, queue: int, places: int) -> None:
        self._size = size
        self._queue = queue
        self._places = places
        self._in: Counter[Lane] = Counter()
        self._idle: list[_W] = []
        self._turns: deque[asyncio.Future[_W]] = deque()
        self._place_turns: deque[asyncio.Future[None]] = deque()
        self._promised = 0  # places given to queries that have no worker yet

    @property
    def waiting(self) -> int:
        """Queries that wait for a worker or a place."""
        return len(self._turns) + len(self._place_turns)

    @property
    def long(self) -> int:
        """Places taken or promised."""
        return self._in[Lane.LONG] + self._promised

    @property
    def needed(self) -> int:
        """How many workers there should be that neither have a long query nor stand still."""
        return self._size + self._in[Lane.ASIDE]

    # ----------------------------------------------------------------------------- getting a worker

    async def worker(self, seconds: float, *, long: bool = False) -> _W:
        """A worker for a query, after waiting in turn for at most so many seconds for each thing.

        `long` is a query that is known to be one: it gets a place first, and its worker is in it. Raises
        ServerBusy where too many wait already, or it waited in vain.
        """
        if not long and not self._turns and self._in[Lane.SHORT] < self._size and self._idle:
            mine = self._idle.pop()
            self._move(mine, Lane.SHORT)
            return mine
        if self.waiting >= self._queue:
            raise ServerBusy(
                f"{self._in.total()} queries are running and {self._queue} are waiting, which is the limit; "
                "ask again in a few seconds",
                5,
            )
        if long:
            await self._place(seconds)
        try:
            mine = await self._turn(seconds)
            while mine.dead:  # it died between its promise and now
                mine = await self._turn(seconds, first=True)
        except BaseException:
            if long:
                self._give_promise_back()
            raise
        if long:
            self._promised -= 1
            self._move(mine, Lane.LONG)
        return mine

    async def _turn(self, seconds: float, *, first: bool = False) -> _W:
        turn: asyncio.Future[_W] = asyncio.get_running_loop().create_future()
        if first:
            self._turns.appendleft(turn)
        else:
            self._turns.append(turn)
        self._serve()
        try:
            return await _patiently(turn, seconds)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None and not turn.result().dead:
                self.free(turn.result())  # it came in the moment we were told to stop
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._turns.remove(turn)

    def _serve(self) -> None:
        """Give idle workers to those who wait, as long as one more may run."""
        while self._turns and self._idle and self._in[Lane.SHORT] < self._size:
            turn = self._turns.popleft()
            if not turn.done():
                mine = self._idle.pop()
                self._move(mine, Lane.SHORT)
                turn.set_result(mine)

    # ------------------------------------------------------------------------- what becomes of a worker

    def free(self, mine: _W) -> None:
        """A worker is ready for its next query."""
        self._move(mine, Lane.IDLE)
        self._idle.append(mine)
        self._serve()

    def gone(self, mine: _W) -> None:
        """A worker is no more."""
        if mine in self._idle:
            self._idle.remove(mine)
        self._move(mine, Lane.IDLE)
        self._serve()

    def step_aside(self, mine: _W) -> bool:
        """Let the next query run beside this one, where one waits; whether this one made room now."""
        if mine.lane is not Lane.SHORT or not self._turns or self._in[Lane.ASIDE] >= _ASIDE:
            return False
        self._move(mine, Lane.ASIDE)
        self._serve()
        return True

    def take_place(self, mine: _W) -> bool:
        """Take a place for a worker whose query is a long one; whether there was one."""
        if self.long >= self._places or self._place_turns:
            return False
        self._move(mine, Lane.LONG)
        self._serve()
        return True

    def hold(self, mine: _W) -> bool:
        """Have a worker stand still until `wait_held` ends; whether one more may wait."""
        if self.waiting >= self._queue:
            return False
        self._move(mine, Lane.HELD)
        self._serve()
        return True

    async def wait_held(self, mine: _W, seconds: float) -> None:
        """Wait until there is a place for a worker that stands still, and take it; raises ServerBusy."""
        await self._place(seconds)
        self._promised -= 1
        self._move(mine, Lane.LONG)

    def _move(self, mine: _W, lane: Lane) -> None:
        if mine.lane is not Lane.IDLE:
            self._in[mine.lane] -= 1
        if lane is not Lane.IDLE:
            self._in[lane] += 1
        was, mine.lane = mine.lane, lane
        if was is Lane.LONG:
            self._serve_places()

    # ------------------------------------------------------------------------------------------ places

    async def _place(self, seconds: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._place_turns.append(turn)
        self._serve_places()
        try:
            await _patiently(turn, seconds)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_promise_back()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._place_turns.remove(turn)

    def _give_promise_back(self) -> None:
        self._promised -= 1
        self._serve_places()

    def _serve_places(self) -> None:
        while self._place_turns and self.long < self._places:
            turn = self._place_turns.popleft()
            if not turn.done():
                self._promised += 1
                turn.set_result(None)

    # --------------------------------------------------------------------------------------------- end

    def stop(self, problem: ServerBusy) -> None:
        """Tell all who wait that they wait in vain."""
        turns: list[asyncio.Future[Any]] = [*self._turns, *self._place_turns]
        for turn in turns:
            if not turn.done():
                turn.set_exception(problem)
        self._turns.clear()
        self._place_turns.clear()


async def _patiently(turn: asyncio.Future[_T], seconds: float) -> _T:
    patience = asyncio.get_running_loop().call_later(seconds, _lose_patience, turn, seconds)
    try:
        return await turn
    finally:
        patience.cancel()


def _lose_patience(turn: asyncio.Future[Any], seconds: float) -> None:
    if not turn.done():
        turn.set_exception(ServerBusy(f"No worker became free in {seconds:g} seconds; ask again later", 10))
