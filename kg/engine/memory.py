"""The memory and the disk engine: queries about a snapshot in worker processes that can be stopped.

Hides the processes. A keeper (`kg.engine.keeper`) loads the snapshot once and forks workers that share it (in
memory) or open it (on disk); this module hands each query to an idle worker, passes its bytes on with
back-pressure, and has a worker killed and replaced that is late, greedy, dead, or whose answer nobody wants
any more. A query that takes long goes on at a low priority (`kg.engine.lanes`). Nothing here parses or
evaluates.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, cast

from kg.engine import Answer, Dataset, Figures, Limits, Status, guard, query_hash, sandbox, worker
from kg.engine.body import Body, Spool
from kg.engine.crashes import Crashes
from kg.engine.disk import BYTES_PER_QUAD
from kg.engine.extensions import unsupported
from kg.engine.federation import Federation
from kg.engine.formats import BY_KEY, Format
from kg.engine.lanes import Lane, Lanes
from kg.errors import (
    QueryError,
    QueryFailed,
    QueryOutOfMemory,
    QueryRefused,
    QuerySyntaxError,
    QueryTimeout,
    QueryTooLarge,
    ServerBusy,
    ServiceFailed,
    SnapshotError,
    StromaError,
)
from kg.snapshot import Snapshot
from kg.terms import ROOT

log = logging.getLogger(__name__)

_TRIES = 3  # times a query is asked again because the keeper died under it
_RECYCLE_SHARE = 4  # a worker that kept more than a quarter of its memory after a query is replaced
_EMPTY: dict[str, list[str]] = {"default": [], "named": []}  # a dataset without graphs
_NAMES_BYTES = 1024**2  # bytes of the names of variables
_LOOKS = 4  # at a query, until it has used the time that makes it a long one
_PATIENT = 5  # times as long for one that does not use its time, because it waits
# Of a long query, on top of its own: a third of a short one's share of a processor. Not lower: a worker that
# is killed frees its memory at its own priority, and what it locks meanwhile keeps the next fork waiting.
_LOW_PRIORITY = 5
_NO_KEEPER = "The process that holds the graph ended; ask again in a moment"
_DOWNLOAD = "Narrow the query (LIMIT, fewer patterns), or download the data and query it locally"


class _KeeperGone(QueryFailed):
    """The keeper died, and its workers with it; a query that has given nothing yet may be asked again."""


class _TooLong(QueryFailed):
    """The query turned out to be a long one, and there is no place for it now."""


class _Query:
    """One query while a worker evaluates it: the head of its answer to come, and its body."""

    def __init__(self, text: str, limits: Limits, body: Body, *, counts: bool) -> None:
        self.text = text
        self.limits = limits
        self.body = body
        self.counts = counts  # among the answers; what is asked on the way to one does not
        self.head: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.deadline: asyncio.TimerHandle | None = None
        self.look: asyncio.TimerHandle | None = None  # the next, at whether it is a long one
        self.problem: QueryError | None = None
        self.settled = False

    @property
    def hash(self) -> str:
        """What names it in logs."""
        return query_hash(self.text)

    def fail(self, problem: QueryError) -> None:
        """End it with an error; the first one counts."""
        if self.problem is None and not self.body.ended:
            self.problem = problem
            if not self.head.done():
                self.head.set_exception(problem)
            self.body.fail(problem)


class _Worker(asyncio.Protocol):
    """One worker as the server sees it: a channel that carries one query at a time."""

    def __init__(
        self, id: int, finished: Callable[[_Worker, _Query, int], None], lost: Callable[[_Worker], None]
    ) -> None:
        self.id = id
        self.pid = 0
        self.thread = 0  # the one that evaluates, as the system numbers threads
        self.lane = Lane.IDLE
        self.waits: asyncio.Task[None] | None = None  # for a place, while it stands still
        self.locks: dict[str, str] = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = 0  # queries so far
        self.dead = False
        self.query: _Query | None = None
        self._finished = finished
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()  # the start of a frame that is not all here
        self._body_left = 0  # bytes of a body frame still to come
        self._paused = False

    # -------------------------------------------------------------------------- what the pool calls

    def ask(self, query: _Query, request: dict[str, Any], bodies: bytes) -> None:
        """Send a query; what comes back goes into it."""
        assert self._transport is not None
        self.query = query
        self.asked += 1
        self._transport.write(worker.request_frame(request, bodies))

    def go_on(self) -> None:
        """Read again what the worker writes, after its query's body was full, or had to wait for a place."""
        if self._paused and not self.dead and self.lane is not Lane.HELD:
            self._paused = False
            cast(asyncio.Transport, self._transport).resume_reading()

    def stand_still(self) -> None:
        """Read no more: the worker stands still as soon as it has something to say."""
        if not self._paused:
            self._paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def go_behind(self) -> None:
        """Go on at a low priority. There is no way back from it, so this is the worker's last query."""
        with contextlib.suppress(OSError, AttributeError):
            own = os.getpriority(os.PRIO_PROCESS, self.thread)
            os.setpriority(os.PRIO_PROCESS, self.thread, own + _LOW_PRIORITY)
        self.go_on()

    @property
    def processor_time(self) -> float:
        """Seconds for which the thread that evaluates had a processor; 0 where the system does not tell."""
        try:
            with open(f"/proc/{self.pid}/task/{self.thread}/stat", "rb") as file:
                told = file.read().rpartition(b")")[2].split()
            return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return 0

    def close(self) -> None:
        """Drop the channel."""
        self.dead = True
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------------ what the channel calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.dead:  # it was given up while it was being connected
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = bytes(self._buffer) + data
            self._buffer.clear()
        at, end, size = 0, len(data), worker.FRAME.size
        while at < end:
            if self._body_left:
                # A body goes on as it comes: no need to have the whole of a frame.
                piece = data[at : at + self._body_left]
                at += len(piece)
                self._body_left -= len(piece)
                self._feed(piece)
                continue
            if end - at < size:
                break
            kind, length = worker.FRAME.unpack_from(data, at)
            if kind == worker.BODY:
                at += size
                self._body_left = length
                continue
            if end - at - size < length:
                break
            at += size + length
            self._take(kind, json.loads(data[at - length : at]))
        self._buffer += data[at:]

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.dead:
            self.dead = True
            self._lost(self)

    def _feed(self, piece: bytes) -> None:
        if self.query is not None:
            self.query.body.feed(piece)
            if self.query.body.full and not self._paused:
                self._paused = True
                cast(asyncio.Transport, self._transport).pause_reading()

    def _take(self, kind: bytes, message: dict[str, Any]) -> None:
        if kind == worker.READY:
            self.pid, self.thread, self.locks = message["pid"], message["thread"], message["locks"]
            if not self.ready.done():
                self.ready.set_result(None)
            return
        query = self.query
        if query is None:
            return
        if kind == worker.HEAD:
            if not query.head.done():
                query.head.set_result(message)
        elif kind == worker.ERROR:
            query.fail(_error_of(message))
        elif kind == worker.END:
            self.query = None
            query.body.end()
            self.go_on()  # it may have been paused with the end already here
            self._finished(self, query, message["grown"])


def _error_of(said: dict[str, Any]) -> QueryError:
    if said["kind"] == "syntax":
        return QuerySyntaxError(said["problem"], said["line"], said["column"])
    if said["kind"] == "function":
        return unsupported(said["iri"], said["problem"])
    if said["kind"] == "service":
        return ServiceFailed(said["problem"])
    if said["kind"] == "memory":
        return QueryOutOfMemory(f"The query needed more memory than one query may use. {_DOWNLOAD}")
    return QueryFailed(f"The evaluator stopped: {said['problem']}")


class MemoryEngine:
    """A snapshot in memory behind `workers` processes; up to `queue` queries wait for one.

    A query that has had a processor for `long_seconds` is long; `long_queries` of them run beside the others.
    A worker is replaced after `worker_queries`. Answers that clients take slowly wait in `spool`; those of at
    most `keep_bytes` can be had whole (`Answer.complete`). `federation`, started, asks other endpoints;
    without, SERVICE is refused. `crashes`, `figures` and `federation` may be shared by engines.
    `why` says in a sentence why it is this engine.
    """

    holds = "memory"  # where the keeper has the store

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        workers: int = 2,
        queue: int = 64,
        long_queries: int = 4,
        long_seconds: float = 0.1,
        worker_queries: int = 10_000,
        keep_bytes: int = 0,
        spool: Spool | None = None,
        crashes: Crashes | None = None,
        figures: Figures | None = None,
        why: str = "",
        federation: Federation | None = None,
        behind: bool = False,
    ) -> None:
        self._why = why
        self._behind = behind
        self._snapshot = snapshot
        self._size = workers
        self._lanes: Lanes[_Worker] = Lanes(size=workers, queue=queue, places=long_queries)
        self._long_seconds = long_seconds
        self._worker_queries = worker_queries
        self._keep_bytes = keep_bytes
        self._spool = spool or Spool(0)
        self._crashes = crashes or Crashes()
        self._figures = figures or Figures()
        self._federation = federation
        self._workers: dict[int, _Worker] = {}
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
            busy=sum(each.query is not None for each in alive),
            waiting=self._lanes.waiting,
            long=self._lanes.long,
            locks=dict(self._locks),
            holds=self.holds,
            why=self._why,
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
            self._refill()
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
                "engine": self.holds,
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
        self._lanes.stop(ServerBusy("The server is stopping; ask again in a moment", 5))
        self._stop_keeper()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def query(
        self, text: str, *, accept: Format, dataset: Dataset | None = None, limits: Limits
    ) -> Answer:
        """See `kg.engine.Engine.query`. QueryRefused also for a query that ended several workers lately."""
        try:
            inspection = guard.inspect(text, limits)
            chosen = dataset or inspection.dataset
            if chosen is not None:
                guard.check_graphs(chosen, self._snapshot.graphs)
            self._crashes.check(text)
            request = {
                "text": text,
                "format": accept.key,
                "dataset": None if chosen is None else {"default": chosen.default, "named": chosen.named},
                "memory_bytes": limits.memory_bytes,
            }
            if inspection.calls:
                return await self._federated(text, inspection, request, accept, limits)
            return await self._tried(text, request, accept, limits)
        except StromaError as problem:
            self._figures.answers[problem.slug] += 1
            raise
        except asyncio.CancelledError:
            self._figures.answers["gone"] += 1
            raise

    async def _federated(
        self,
        text: str,
        inspection: guard.Inspection,
        request: dict[str, Any],
        accept: Format,
        limits: Limits,
    ) -> Answer:
        """Have the SERVICE clauses answered first, then evaluate with what came; one deadline for both."""
        if self._federation is None:
            raise QueryRefused(guard.NO_SERVICE)
        started = time.perf_counter()

        async with self._federation.turn(limits.seconds):
            gathered = await self._federation.gather(
                text, inspection, limits, _Here(self, text, request, limits)
            )
            answer = await self._tried(
                text,
                {**request, **gathered.request},
                accept,
                limits,
                gathered.bodies,
                spent=time.perf_counter() - started,
            )
        answer.milliseconds = {"services": gathered.milliseconds, **answer.milliseconds}
        return answer

    async def ask_aside(self, text: str, request: dict[str, Any], limits: Limits, most: int) -> bytes | None:
        """What has to be known on the way to the answer of `text`; None where it is over `most` bytes."""
        answer = await self._tried(text, request, BY_KEY["json"], limits, counts=False)
        body = b""
        try:
            async for chunk in answer:
                body += chunk
                if len(body) > most:
                    return None
        finally:
            await answer.aclose()
        return body

    async def _tried(
        self,
        text: str,
        request: dict[str, Any],
        accept: Format,
        limits: Limits,
        bodies: bytes = b"",
        *,
        spent: float = 0.0,
        counts: bool = True,
    ) -> Answer:
        """Evaluate a request, again where the keeper died under it or it has to have a place first.

        `text` is the query it belongs to; `spent` are seconds of the query's time that are over already.
        """
        long = False
        for _ in range(_TRIES):
            try:
                return await self._evaluate(text, request, accept, limits, bodies, spent, counts, long)
            except _KeeperGone:
                continue
            except _TooLong:
                long = True
        raise ServerBusy("The process that holds the graph ends again and again; ask again later", 30)

    async def _evaluate(
        self,
        text: str,
        request: dict[str, Any],
        accept: Format,
        limits: Limits,
        bodies: bytes,
        spent: float,
        counts: bool,
        long: bool,
    ) -> Answer:
        loop = asyncio.get_running_loop()
        asked = time.perf_counter()
        if self._stopping:
            raise ServerBusy("The server is stopping; ask again in a moment", 5)
        mine = await self._lanes.worker(limits.seconds, long=long)
        if long:
            mine.go_behind()
            self._refill()
        began = time.perf_counter()
        body = Body(self._spool, keep_bytes=self._keep_bytes, on_room=mine.go_on)
        query = _Query(text, limits, body, counts=counts)
        query.deadline = loop.call_later(limits.seconds - spent, self._late, mine, query)
        if not long:
            query.look = loop.call_later(self._long_seconds / _LOOKS, self._look, mine, query)
        mine.ask(query, request, bodies)
        try:
            head = await query.head
        except BaseException:
            self._give_up(mine, query)
            raise
        milliseconds = {"queue": (began - asked) * 1000, "evaluate": head["evaluate"]}
        silenced = tuple(head.get("silenced", ()))
        whole = body.whole()
        if whole is not None:
            return Answer(accept, _once(whole), whole, milliseconds=milliseconds, silenced=silenced)

        async def close() -> None:
            if not body.ended and query.problem is None:
                self._figures.answers["gone"] += 1
            self._give_up(mine, query)

        return Answer(accept, body.take(), None, body.completed(), milliseconds, close, silenced)

    # ------------------------------------------------------------------------------------ the pool

    def _finished(self, mine: _Worker, query: _Query, grown: int) -> None:
        """A worker has given all of an answer, which a client may still be reading: on to the next query."""
        self._settle(query)
        if mine.lane in (Lane.LONG, Lane.HELD):
            self._replace(mine, "long")
        elif grown > query.limits.memory_bytes // _RECYCLE_SHARE:
            self._replace(mine, "grown")
        elif mine.asked >= self._worker_queries:
            self._replace(mine, "recycled")
        else:
            self._lanes.free(mine)

    def _give_up(self, mine: _Worker, query: _Query) -> None:
        """Nobody wants this answer any more: free what still works on it."""
        query.body.close()
        if mine.query is query:
            self._settle(query)
            self._replace(mine, "gone")

    def _settle(self, query: _Query) -> None:
        """A query is over, for better or worse."""
        if query.settled:
            return
        query.settled = True
        for timer in (query.deadline, query.look):
            if timer is not None:
                timer.cancel()
        # What failed before its head is counted where it is raised.
        if (
            query.counts
            and query.head.done()
            and not query.head.cancelled()
            and query.head.exception() is None
        ):
            if query.problem is not None:
                self._figures.answers[query.problem.slug] += 1
            elif query.body.ended:
                self._figures.answers["complete"] += 1

    def _look(self, mine: _Worker, query: _Query, first: float | None = None, looks: int = 1) -> None:
        """See whether a query that did not end at once is a long one.

        What counts is the time it had a processor, since on a busy machine a short one takes long, too; or
        many looks, for one that waits.
        """
        if mine.query is not query:
            return
        if self._lanes.step_aside(mine):
            self._refill()
        each = self._long_seconds / _LOOKS
        had = mine.processor_time
        first = had - each if first is None else first
        waits = query.body.full or not had  # for its client; or the system does not tell the time
        if had - first >= self._long_seconds or (waits and looks >= _LOOKS * _PATIENT):
            self._is_long(mine, query)
        else:
            loop = asyncio.get_running_loop()
            query.look = loop.call_later(each, self._look, mine, query, first, looks + 1)

    def _is_long(self, mine: _Worker, query: _Query) -> None:
        if self._lanes.take_place(mine):
            mine.go_behind()
        elif not query.head.done():
            self._without_place(mine, query, _TooLong("Many queries that take long are running"))
        elif self._lanes.hold(mine):
            mine.stand_still()
            mine.waits = self._start(self._wait_held(mine, query))
        else:
            busy = "Many queries that take long are running; ask again in a few seconds"
            self._without_place(mine, query, ServerBusy(busy, 10))
        self._refill()

    async def _wait_held(self, mine: _Worker, query: _Query) -> None:
        try:
            await self._lanes.wait_held(mine, query.limits.seconds)
        except ServerBusy as problem:
            self._without_place(mine, query, problem)
        else:
            mine.go_behind()

    def _without_place(self, mine: _Worker, query: _Query, problem: QueryError) -> None:
        query.fail(problem)
        self._settle(query)
        self._replace(mine, "long")

    def _late(self, mine: _Worker, query: _Query) -> None:
        if mine.query is not query:
            return
        query.fail(
            QueryTimeout(
                f"The query ran longer than {query.limits.seconds:g} seconds, which is the limit. {_DOWNLOAD}"
            )
        )
        log.warning("query stopped at its deadline", extra={"query": query.hash, "worker": mine.pid})
        self._settle(query)
        self._replace(mine, "deadline")

    def _replace(self, mine: _Worker, why: str) -> None:
        """Have a worker killed, and another one forked where one is needed."""
        if mine.dead:
            return
        self._figures.replaced[why] += 1
        mine.close()
        self._tell({"kill": mine.id})
        self._forget(mine)
        self._refill()

    def _forget(self, mine: _Worker) -> None:
        self._workers.pop(mine.id, None)
        self._lanes.gone(mine)
        if mine.waits is not None:
            mine.waits.cancel()
        if not mine.ready.done():
            mine.ready.cancel()

    def _lost(self, mine: _Worker) -> None:
        """A worker died by itself: find out of what, and go on with another one."""
        was_ready = mine.ready.done()
        self._forget(mine)
        if self._stopping:
            return
        # Not when `_bury` begins: the keeper may be heard to be gone before that, and tells all who wait.
        exit = self._exits.setdefault(mine.id, asyncio.get_running_loop().create_future())
        self._start(self._bury(mine, exit))
        if was_ready:
            self._refill()
        else:
            # It never came to work: whatever hinders it (memory, processes) needs a moment.
            asyncio.get_running_loop().call_later(0.5, self._refill)

    async def _bury(self, mine: _Worker, exit: asyncio.Future[dict[str, Any]]) -> None:
        try:
            async with asyncio.timeout(1):
                said = await exit
        except TimeoutError:
            said = {"status": None, "words": ""}
        finally:
            self._exits.pop(mine.id, None)
        query = mine.query
        if said.get("keeper"):
            self._figures.replaced["keeper"] += 1
            cause: QueryError = _KeeperGone(_NO_KEEPER)
        else:
            self._figures.replaced["crashed"] += 1
            cause = _cause(said["status"], said["words"])
        if query is None:
            log.warning(
                "idle worker died",
                extra={"worker": mine.pid, "status": said["status"], "words": said["words"][:200]},
            )
            return
        if not said.get("keeper"):
            words = said["words"].strip()[:200] or cause.slug
            self._crashes.record(query.text, said["status"], words, self._snapshot.name)
        query.fail(cause)
        self._settle(query)

    def _refill(self) -> None:
        """Fork workers until there are as many as are needed beside those with long queries."""
        kept = sum(each.lane not in (Lane.LONG, Lane.HELD) for each in self._workers.values())
        for _ in range(self._lanes.needed - kept):
            self._spawn()

    def _spawn(self) -> None:
        """Ask the keeper for one more worker; it joins the pool when it says it is ready."""
        if self._stopping or self._control is None:
            return
        self._next_id += 1
        mine = _Worker(self._next_id, self._finished, self._lost)
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
            self._lanes.free(mine)

    def _drop_workers(self, problem: QueryError, why: str | None = None) -> None:
        for each in list(self._workers.values()):
            each.close()
            self._forget(each)
            if why is not None:
                self._figures.replaced[why] += 1
            if each.query is not None:
                each.query.fail(problem)
                self._settle(each.query)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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
                    self.holds,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        if self._behind:
            sandbox.lower(self._keeper.pid)
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
            if "exited" in message:
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
                    f"is there memory for it? About {BYTES_PER_QUAD} bytes a quad are needed; "
                    "KG_ENGINE=disk needs few"
                )
            )
            return
        if not self._stopping:
            log.error("keeper died; starting another one")
            # Workers that were seen to die before it: now it is known of what.
            for exit in self._exits.values():
                if not exit.done():
                    exit.set_result({"status": None, "words": "", "keeper": True})
            self._drop_workers(_KeeperGone(_NO_KEEPER), "keeper")
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
            self._refill()
            return


class _Here:
    """The graph of an engine, asked on the way to the answer of a query with SERVICE clauses."""

    def __init__(self, engine: MemoryEngine, text: str, request: dict[str, Any], limits: Limits) -> None:
        self._engine = engine
        self._text = text
        self._request = request
        self._limits = limits

    async def variables(self, query: str) -> list[str]:
        """See `kg.engine.federation.Here`."""
        request = {**self._request, "text": query, "format": worker.VARIABLES, "dataset": _EMPTY}
        told = await self._engine.ask_aside(self._text, request, self._limits, _NAMES_BYTES)
        if told is None:
            raise QueryTooLarge(f"The names of its variables are more than {_NAMES_BYTES:,} bytes")
        names: list[str] = json.loads(told)
        return names

    async def rows(
        self, query: str, seconds: float, most_bytes: int
    ) -> list[dict[str, dict[str, str]]] | None:
        """See `kg.engine.federation.Here`."""
        request = {**self._request, "text": query, "format": "json"}
        limits = replace(self._limits, seconds=min(seconds, self._limits.seconds))
        told = await self._engine.ask_aside(self._text, request, limits, most_bytes)
        rows: list[dict[str, dict[str, str]]] = json.loads(told)["results"]["bindings"] if told else []
        return None if told is None else rows


class DiskEngine(MemoryEngine):
    """A snapshot on disk (`kg.engine.disk`) that `workers` processes open; all else is the same."""

    holds = "disk"


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
