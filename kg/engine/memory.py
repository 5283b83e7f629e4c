"""The memory engine: a snapshot in memory, queries in worker processes that can be stopped.

Hides the processes. A keeper (`kg.engine.keeper`) loads the snapshot once and forks workers that share it;
this module hands each query to an idle worker, passes its bytes on with back-pressure, and has a worker
killed and replaced that is late, greedy, dead, or whose answer nobody wants any more. Nothing here parses or
evaluates.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from kg.engine import Answer, Dataset, Figures, Limits, Status, guard, worker
from kg.engine.formats import Format
from kg.errors import (
    QueryError,
    QueryFailed,
    QueryOutOfMemory,
    QuerySyntaxError,
    QueryTimeout,
    ServerBusy,
    SnapshotError,
)
from kg.snapshot import Snapshot
from kg.terms import ROOT

log = logging.getLogger(__name__)

_AHEAD_BYTES = 512 * 1024  # of one answer, read from a worker and not yet taken by the client
_RECYCLE_SHARE = 4  # a worker that kept more than a quarter of its memory after a query is replaced
_DOWNLOAD = "Narrow the query (LIMIT, fewer patterns), or download the data and query it locally"


class _Worker(asyncio.Protocol):
    """One worker as the server sees it: a channel that carries one query at a time."""

    def __init__(self, id: int, lost: Callable[[_Worker], None]) -> None:
        self.id = id
        self.pid = 0
        self.locks: dict[str, str] = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.grown = 0
        self.dead = False
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._clear()

    def _clear(self) -> None:
        self.busy = False
        self.query_hash = ""
        self._head: asyncio.Future[dict[str, Any]] | None = None
        self._pieces: deque[bytes] = deque()
        self._ahead = 0
        self._paused = False
        self._ended = False
        self._problem: QueryError | None = None
        self._more: asyncio.Future[None] | None = None

    # -------------------------------------------------------------------------- what the pool calls

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request; give the head of its answer, or raise what went wrong before it."""
        assert self._transport is not None
        self._clear()
        self.busy = True
        self.query_hash = hashlib.sha256(request["text"].encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._head = asyncio.get_running_loop().create_future()
        self._transport.write(worker.request_frame(request))
        return await self._head

    @property
    def ended(self) -> bool:
        """Whether all of the answer has arrived."""
        return self._ended

    def whole(self) -> bytes | None:
        """The complete body, if all of it is here already."""
        if not self._ended or self._problem is not None:
            return None
        return b"".join(self._pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; reading pauses while the consumer is slow."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._ahead -= len(piece)
                if self._paused and self._ahead < _AHEAD_BYTES // 2 and not self.dead:
                    self._paused = False
                    cast(asyncio.Transport, self._transport).resume_reading()
                yield piece
            if self._problem is not None:
                raise self._problem
            if self._ended:
                return
            self._more = asyncio.get_running_loop().create_future()
            await self._more

    def fail(self, problem: QueryError) -> None:
        """End the answer in progress with an error."""
        if self._ended or self._problem is not None:
            return
        self._problem = problem
        if self._head is not None and not self._head.done():
            self._head.set_exception(problem)
        self._wake()

    def close(self) -> None:
        """Drop the channel."""
        self.dead = True
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------------ what the channel calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        size = worker.FRAME.size
        while len(self._buffer) - at >= size:
            kind, length = worker.FRAME.unpack_from(self._buffer, at)
            if len(self._buffer) - at - size < length:
                break
            at += size
            self._take(kind, bytes(self._buffer[at : at + length]))
            at += length
        del self._buffer[:at]
        self._wake()

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.dead:
            self.dead = True
            self._lost(self)

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == worker.BODY:
            if payload:
                self._pieces.append(payload)
                self._ahead += len(payload)
                if self._ahead > _AHEAD_BYTES and not self._paused:
                    self._paused = True
                    cast(asyncio.Transport, self._transport).pause_reading()
        elif kind == worker.HEAD:
            if self._head is not None and not self._head.done():
                self._head.set_result(json.loads(payload))
        elif kind == worker.ERROR:
            self.fail(_error_of(json.loads(payload)))
        elif kind == worker.END:
            self.grown = json.loads(payload)["grown"]
            self._ended = True
        elif kind == worker.READY:
            self.locks = json.loads(payload)
            if not self.ready.done():
                self.ready.set_result(None)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


def _error_of(said: dict[str, Any]) -> QueryError:
    if said["kind"] == "syntax":
        return QuerySyntaxError(said["problem"], said["line"], said["column"])
    if said["kind"] == "memory":
        return QueryOutOfMemory(f"The query needed more memory than one query may use. {_DOWNLOAD}")
    return QueryFailed(f"The evaluator stopped: {said['problem']}")


class MemoryEngine:
    """A snapshot in memory behind `workers` processes; up to `queue` queries wait for one."""

    def __init__(
        self, snapshot: Snapshot, *, workers: int = 2, queue: int = 64, figures: Figures | None = None
    ) -> None:
        self._snapshot = snapshot
        self.figures = figures or Figures()
        self._size = workers
        self._queue = queue
        self._workers: dict[int, _Worker] = {}
        self._idle: list[_Worker] = []
        self._waiting: deque[asyncio.Future[_Worker]] = deque()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._incoming = b""
        self._started: asyncio.Future[None] | None = None  # the keeper's load
        self._exits: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_id = 0
        self._stopping = False
        self._locks: dict[str, str] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is asked."""
        return self._snapshot

    @property
    def status(self) -> Status:
        """Ready when at least one worker is; the locks are those of the newest worker."""
        alive = [each for each in self._workers.values() if not each.dead and each.ready.done()]
        return Status(
            ready=bool(alive),
            workers=len(alive),
            busy=sum(each.busy for each in alive),
            waiting=len(self._waiting),
            locks=dict(self._locks),
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers; for operators and tests."""
        return tuple(each.pid for each in self._workers.values() if not each.dead and each.pid)

    @property
    def keeper_pid(self) -> int | None:
        """The process id of the keeper."""
        return None if self._keeper is None else self._keeper.pid

    async def __aenter__(self) -> MemoryEngine:
        """Load the snapshot and fork the workers; raises SnapshotError if it cannot be loaded."""
        started = time.perf_counter()
        self._stopping = False
        try:
            await self._start_keeper()
            for _ in range(self._size):
                self._spawn()
            await asyncio.gather(*(each.ready for each in self._workers.values()), return_exceptions=True)
            if not self.status.ready:
                raise SnapshotError("No worker process could be started; the log says why")
        except BaseException:
            await self.__aexit__()
            raise
        log.info(
            "engine ready",
            extra={
                "snapshot": self._snapshot.version,
                "quads": self._snapshot.quads,
                "workers": self._size,
                "seconds": round(time.perf_counter() - started, 2),
                **{f"lock_{name}": lock for name, lock in self._locks.items()},
            },
        )
        return self

    async def __aexit__(self, *problem: object) -> None:
        """Stop all processes; answers in progress fail."""
        self._stopping = True
        self._drop_workers(QueryFailed("The server is stopping"))
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(ServerBusy("The server is stopping; ask again in a moment", 5))
        self._waiting.clear()
        self._stop_keeper()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def query(
        self, text: str, *, accept: Format, dataset: Dataset | None = None, limits: Limits
    ) -> Answer:
        """See `kg.engine.Engine.query`."""
        inspection = guard.inspect(text, limits)
        chosen = dataset or inspection.dataset
        if chosen is not None:
            guard.check_graphs(chosen, self._snapshot.graphs)
        asked = time.perf_counter()
        mine = await self._acquire(limits)
        began = time.perf_counter()
        late = asyncio.get_running_loop().call_later(limits.seconds, self._late, mine, limits)

        async def close() -> None:
            late.cancel()
            self._release(mine, limits)

        try:
            head = await mine.ask(
                {
                    "text": text,
                    "format": accept.key,
                    "dataset": None if chosen is None else {"default": chosen.default, "named": chosen.named},
                    "memory_bytes": limits.memory_bytes,
                }
            )
        except BaseException:
            await close()
            raise
        milliseconds = {"queue": (began - asked) * 1000, "evaluate": head["evaluate"]}
        whole = mine.whole()
        if whole is not None:
            await close()
            return Answer(accept, _once(whole), whole, milliseconds)
        closed = False

        async def close_once() -> None:
            nonlocal closed
            if not closed:
                closed = True
                await close()

        return Answer(accept, mine.chunks(), None, milliseconds, close_once)

    # ------------------------------------------------------------------------------------ the pool

    async def _acquire(self, limits: Limits) -> _Worker:
        while self._idle:
            mine = self._idle.pop()
            if not mine.dead:
                return mine
        if self._stopping:
            raise ServerBusy("The server is stopping; ask again in a moment", 5)
        if len(self._waiting) >= self._queue:
            raise ServerBusy(
                f"{self._size} queries are running and {self._queue} are waiting, which is the limit; "
                "ask again in a few seconds",
                5,
            )
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[_Worker] = loop.create_future()
        self._waiting.append(turn)
        patience = loop.call_later(limits.seconds, _lose_patience, turn, limits.seconds)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._hand_on(turn.result())  # it came in the moment we were told to stop
            raise
        finally:
            patience.cancel()
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)

    def _release(self, mine: _Worker, limits: Limits) -> None:
        """Take a worker back: to the next query if its answer is complete, else it is killed."""
        if mine.dead:
            return
        if not mine.ended or mine.grown > limits.memory_bytes // _RECYCLE_SHARE:
            self._replace(mine)
            return
        mine.busy = False
        self._hand_on(mine)

    def _hand_on(self, mine: _Worker) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(mine)
                return
        self._idle.append(mine)

    def _late(self, mine: _Worker, limits: Limits) -> None:
        mine.fail(
            QueryTimeout(
                f"The query ran longer than {limits.seconds:g} seconds, which is the limit. {_DOWNLOAD}"
            )
        )
        if not mine.ended:
            log.warning("query stopped at its deadline", extra={"query": mine.query_hash, "worker": mine.pid})
            self._replace(mine)

    def _replace(self, mine: _Worker) -> None:
        """Have a worker killed and another one forked."""
        if mine.dead:
            return
        mine.close()
        self._tell({"kill": mine.id})
        self._forget(mine)
        self._spawn()

    def _forget(self, mine: _Worker) -> None:
        self._workers.pop(mine.id, None)
        if mine in self._idle:
            self._idle.remove(mine)
        if not mine.ready.done():
            mine.ready.cancel()

    def _lost(self, mine: _Worker) -> None:
        """A worker died by itself: find out of what, and go on with another one."""
        was_ready = mine.ready.done()
        self._forget(mine)
        if self._stopping:
            return
        self._start(self._bury(mine))
        if was_ready:
            self._spawn()
        else:
            # It never came to work: whatever hinders it (memory, processes) needs a moment.
            asyncio.get_running_loop().call_later(0.5, self._spawn)

    async def _bury(self, mine: _Worker) -> None:
        exit = self._exits.setdefault(mine.id, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(1):
                said = await exit
        except TimeoutError:
            said = {"status": None, "words": ""}
        finally:
            self._exits.pop(mine.id, None)
        log.warning(
            "worker died",
            extra={
                "worker": mine.pid,
                "status": said["status"],
                "query": mine.query_hash if mine.busy else None,
                "words": said["words"][:200],
            },
        )
        mine.fail(_cause(said["status"], said["words"]))

    def _spawn(self) -> None:
        """Ask the keeper for one more worker; it joins the pool when it says it is ready."""
        if self._stopping or self._control is None:
            return
        self._next_id += 1
        mine = _Worker(self._next_id, self._lost)
        self._workers[mine.id] = mine
        self._start(self._connect(mine))

    async def _connect(self, mine: _Worker) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: mine, sock=ours)
            self._tell({"fork": mine.id}, theirs)
        with contextlib.suppress(asyncio.CancelledError):
            await mine.ready
            self._locks = mine.locks
            self._hand_on(mine)

    def _drop_workers(self, problem: QueryError) -> None:
        for each in list(self._workers.values()):
            each.fail(problem)
            each.close()
            self._forget(each)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---------------------------------------------------------------------------------- the keeper

    async def _start_keeper(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "RUST_BACKTRACE": "0",  # the last words of a worker are one line, not a page
        }
        with theirs:
            self._keeper = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "kg.engine.keeper",
                    str(theirs.fileno()),
                    str(self._snapshot.folder),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        ours.setblocking(False)
        self._control, self._incoming = ours, b""
        self._started = loop.create_future()
        loop.add_reader(ours.fileno(), self._heard)
        await self._started

    def _stop_keeper(self) -> None:
        self._hang_up()
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            # No await here: this must happen also while the task that stops us is being cancelled.
            keeper.kill()
            keeper.wait()

    def _hang_up(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None

    def _tell(self, message: dict[str, Any], passed: socket.socket | None = None) -> None:
        if self._control is None:
            return
        line = json.dumps(message).encode() + b"\n"
        # The messages are tiny and few, so the socket's buffer always has room; a keeper that is gone is
        # noticed by `_heard`.
        with contextlib.suppress(OSError):
            socket.send_fds(self._control, [line], [] if passed is None else [passed.fileno()])

    def _heard(self) -> None:
        try:
            received = cast(socket.socket, self._control).recv(65536)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._keeper_lost()
            return
        *lines, self._incoming = (self._incoming + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "forked" in message:
                if message["forked"] in self._workers:
                    self._workers[message["forked"]].pid = message["pid"]
            elif "exited" in message:
                exit = self._exits.setdefault(message["exited"], asyncio.get_running_loop().create_future())
                if not exit.done():
                    exit.set_result(message)
                if message["exited"] not in self._workers:
                    asyncio.get_running_loop().call_later(2, self._exits.pop, message["exited"], None)
            elif self._started is not None and not self._started.done():
                if "ready" in message:
                    self._started.set_result(None)
                else:
                    self._started.set_exception(SnapshotError(message["failed"]))

    def _keeper_lost(self) -> None:
        """The keeper is gone, its workers with it: fail what they had, and start again."""
        self._hang_up()
        if self._started is not None and not self._started.done():
            self._started.set_exception(
                SnapshotError(
                    f"{self._snapshot.folder}: the process that loads the snapshot ended before it was done; "
                    "is there memory for it? About 400 bytes a quad are needed"
                )
            )
            return
        if not self._stopping:
            log.error("keeper died; starting another one")
            self._drop_workers(QueryFailed("The process that holds the graph ended; ask again in a moment"))
            self._start(self._restart())

    async def _restart(self) -> None:
        pause = 0.1
        while True:
            try:
                self._stop_keeper()
                await self._start_keeper()
            except SnapshotError as problem:
                log.error("keeper does not start", extra={"problem": str(problem)})
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10)
                continue
            for _ in range(self._size):
                self._spawn()
            return


def _lose_patience(turn: asyncio.Future[_Worker], seconds: float) -> None:
    if not turn.done():
        turn.set_exception(ServerBusy(f"No worker became free in {seconds:g} seconds; ask again later", 10))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _cause(status: int | None, words: str) -> QueryError:
    """What a worker's exit tells about its query. A negative status is the signal that ended it."""
    if "memory allocation" in words or "MemoryError" in words or "unable to allocate" in words:
        return _error_of({"kind": "memory"})
    if status == -signal.SIGSEGV:
        return QueryFailed("The query is nested or chained too deeply for the evaluator. Split it")
    return QueryFailed(
        "The process that evaluated the query ended before it was done. Ask again; others go on"
    )
