"""Queries that ask other endpoints by SERVICE: what they answer is fetched first, then put in their place.

Hides the broker's process (`kg.engine.broker`), and how a query with SERVICE clauses becomes one without.
Each clause is asked as a query of its own, for the variables that are in scope after it, and with the values
that the patterns beside it give them here, where those are few; a worker then reads the answers and evaluates
the query with VALUES in the place of the clauses (`kg.engine.answers`). No worker waits for another endpoint,
and nothing here parses: what a pattern's variables are, a worker says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyoxigraph import Literal, NamedNode

from kg.engine import Figures, Limits, query_hash
from kg.engine.beside import beside
from kg.engine.broker import LENGTHS, MOST_BODY, MOST_HEAD, Order, message, order_message
from kg.engine.guard import Call, Inspection
from kg.errors import QueryError, QueryFailed, QueryTimeout, ServerBusy, ServiceFailed
from kg.services import networks
from kg.terms import BASE, ROOT

log = logging.getLogger(__name__)

_GRACE_SECONDS = 2.0  # over its time, until a broker that says nothing is taken for dead
_START_SECONDS = 30.0
_COUNTED = "stroma"  # the column asked for where a pattern has no variable, so that its rows can be counted

_VALUES_SECONDS = 5.0  # that finding values to send may take; without them more is asked for
_VALUES_BYTES = 4 * 1024**2  # of them as JSON
_STRING = "http://www.w3.org/2001/XMLSchema#string"


class Here(Protocol):
    """This graph, for what has to be known of it before another endpoint is asked."""

    async def variables(self, query: str) -> list[str]:
        """The columns of a query, which is read and not evaluated."""
        ...

    async def rows(
        self, query: str, seconds: float, most_bytes: int
    ) -> list[dict[str, dict[str, str]]] | None:
        """A query's rows as SPARQL JSON has them; None where they are too many bytes."""
        ...


@dataclass(frozen=True)
class _Values:
    """Values of variables that are sent along: rows of terms as SPARQL has them; None: any."""

    names: Sequence[str] = ()
    rows: Sequence[tuple[str, ...]] | None = None
    too_many: bool = False  # there are some, and more than are sent


@dataclass(frozen=True)
class Gathered:
    """What a worker needs to evaluate a query whose clauses are answered: parts of its request, and bytes."""

    request: Mapping[str, Any]
    bodies: bytes
    milliseconds: float


class Federation:
    """Asks other endpoints for the queries of a server. Used as `async with federation:`.

    `services` are entries of the list (`kg.services`); at most `queries` queries ask at once.
    """

    def __init__(self, services: Sequence[str], *, queries: int = 8, figures: Figures | None = None) -> None:
        self._networks = networks(services)
        self._figures = figures or Figures()
        self._queries = queries
        self._turns = asyncio.Semaphore(queries)
        self._broker = _Broker()

    @property
    def broker_pid(self) -> int | None:
        """The process id of the broker, where there is one; for operators and tests."""
        return self._broker.pid

    @property
    def lock(self) -> str:
        """What keeps the broker from starting programs: "seccomp", or "none (…)" with the reason."""
        return self._broker.lock

    async def __aenter__(self) -> Federation:
        """Start the broker; raises QueryFailed where it does not start."""
        await self._broker.start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        """Stop it; requests in progress fail."""
        self._broker.stop()

    @contextlib.asynccontextmanager
    async def turn(self, seconds: float) -> AsyncIterator[None]:
        """Wait until one query more may ask; raises ServerBusy after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise ServerBusy(
                f"{self._queries} queries are asking other endpoints, which is the limit; ask again later", 10
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    async def gather(self, text: str, inspection: Inspection, limits: Limits, here: Here) -> Gathered:
        """Ask the endpoints of a query's clauses, all at once.

        `here` asks this graph. Raises ServiceFailed for a clause that is not SILENT and has no answer,
        QueryTimeout where the query's own time is over, and what `here` raises.
        """
        started = time.perf_counter()
        calls = inspection.calls
        columns = [await here.variables(_pattern_in_place(text, inspection, call)) for call in calls]
        # The whole query is read before anybody is asked: an error in it must not cost a request.
        await here.variables(_filled_with_nothing(text, calls, columns))
        sent = await self._values(text, inspection, columns, limits, here)
        left = limits.seconds - (time.perf_counter() - started)
        room = _Room(limits.service_bytes)
        asked: list[asyncio.Task[_Answered]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for call, names, values in zip(calls, columns, sent, strict=True):
                    query = _query_for(text, inspection, call, names, values)
                    asked.append(
                        group.create_task(self._asked(call, query, values, limits, left, room, text))
                    )
        except BaseExceptionGroup as problems:
            raise problems.exceptions[0] from None
        answered = [task.result() for task in asked]
        told = [
            {
                "endpoint": call.endpoint,
                "variables": names,
                "silent": call.silent,
                "format": answer.format,
                "bytes": len(answer.body),
            }
            for call, names, answer in zip(calls, columns, answered, strict=True)
        ]
        milliseconds = (time.perf_counter() - started) * 1000
        bodies = b"".join(answer.body for answer in answered)
        return Gathered({"text": _pieces(text, calls), "calls": told}, bodies, milliseconds)

    async def _values(
        self,
        text: str,
        inspection: Inspection,
        columns: Sequence[Sequence[str]],
        limits: Limits,
        here: Here,
    ) -> list[_Values]:
        """For each clause the values of its variables that fit something here, where they are few."""
        if not limits.service_values:
            return [_Values() for _ in columns]
        prologue = f"{text[: inspection.prologue].strip()}\n"
        found = []
        for pattern, names in zip(beside(text, inspection.calls), columns, strict=True):
            values = _Values()
            if pattern and names:
                # Whatever is wrong with it alone, without it only more is asked for.
                with contextlib.suppress(QueryError):
                    known = await here.variables(f"{prologue}SELECT * {{ {pattern} }}")
                    shared = [name for name in names if name in known]
                    if shared:
                        head = " ".join(f"?{name}" for name in shared)
                        query = f"{prologue}SELECT DISTINCT {head} {{ {pattern} }}"
                        most = limits.service_values
                        rows = await here.rows(f"{query} LIMIT {most + 1}", _VALUES_SECONDS, _VALUES_BYTES)
                        values = _Values(shared, too_many=True) if rows is None else _some(shared, rows, most)
            found.append(values)
        return found

    async def _asked(
        self,
        call: Call,
        query: str,
        values: _Values,
        limits: Limits,
        left: float,
        room: _Room,
        text: str,
    ) -> _Answered:
        """One clause's answer; counted and logged, whatever comes of it."""
        if values.rows is not None and not values.rows:
            return _NOTHING  # whatever it said, nothing here would fit it
        started = time.perf_counter()
        seconds = max(0.001, min(limits.service_seconds, left))
        outcome, answer = "gone", _Answered(None, b"")  # unless something else comes of it
        try:
            answer = await self._broker.ask(
                call.endpoint, self._networks[call.endpoint], query, seconds, room
            )
            outcome = "answered"
        except _Failed as problem:
            outcome = problem.kind
            if outcome == "late" and left <= limits.service_seconds:
                raise QueryTimeout(
                    f"The query ran longer than {limits.seconds:g} seconds, which is the limit, waiting for "
                    f"<{call.endpoint}>. {_NARROW}"
                ) from None
            if not call.silent:
                advice = _ADVICE[outcome]
                if outcome == "too-large" and values.too_many:
                    named = " and ".join(f"?{name}" for name in values.names)
                    advice = (
                        f"There are more than {limits.service_values:,} values of {named} here, so none was "
                        f"sent along. {advice}"
                    )
                raise ServiceFailed(f"<{call.endpoint}>: {problem}. {advice}") from None
        except QueryFailed:
            outcome = "failed"
            raise
        finally:
            took = time.perf_counter() - started
            self._figures.calls[call.endpoint, outcome] += 1
            self._figures.call_bytes[call.endpoint] += len(answer.body)
            before = self._figures.call_seconds.get(call.endpoint, 0.0)
            self._figures.call_seconds[call.endpoint] = before + took
            log.info(
                "endpoint asked",
                extra={
                    "endpoint": call.endpoint,
                    "outcome": outcome,
                    "milliseconds": round(took * 1000, 2),
                    "bytes": len(answer.body),
                    "query": query_hash(text),
                },
            )
        return answer


_NARROW = (
    "Narrow what the SERVICE clause asks for: name there what you look for, by VALUES or by more patterns; a "
    "SELECT with LIMIT in it takes a part"
)
_ADVICE = {
    "late": _NARROW,
    "too-large": _NARROW,
    "failed": "Ask again later; with SERVICE SILENT the query goes on without it",
    "refused": "Whoever runs this server may change that",
}


# ------------------------------------------------------------------------------------- text for text


def _pattern_in_place(text: str, inspection: Inspection, call: Call) -> str:
    """`SELECT *` of a clause's pattern, each character where it stands in the whole query: so are errors."""
    before = _blank(text[inspection.prologue : call.start])
    word = "SELECT*"  # as long as SERVICE
    between = _blank(text[call.start + len(word) : call.group])
    return f"{text[: inspection.prologue]}{before}{word}{between}{text[call.group : call.end]}"


def _blank(text: str) -> str:
    return "".join(each if each in "\r\n" else " " for each in text)


def _pieces(text: str, calls: Sequence[Call]) -> list[str]:
    """What stands around the clauses."""
    starts, ends = [call.start for call in calls], [call.end for call in calls]
    return [text[end:start] for end, start in zip([0, *ends], [*starts, len(text)], strict=True)]


def _filled_with_nothing(text: str, calls: Sequence[Call], columns: Sequence[Sequence[str]]) -> str:
    """The query with an empty table for each clause: what comes after one stands in the line it stood in."""
    first, *others = _pieces(text, calls)
    filled = first
    for call, names, piece in zip(calls, columns, others, strict=True):
        table = f" VALUES ({' '.join(f'?{name}' for name in names)}) {{}} "
        *lines, last = text[call.start : call.end].split("\n")
        filled += table + "\n" * len(lines) + " " * (len(last) - (0 if lines else len(table))) + piece
    return filled


def _query_for(text: str, inspection: Inspection, call: Call, names: Sequence[str], values: _Values) -> str:
    """The query that asks an endpoint for a clause's pattern, where it fits the values."""
    columns = " ".join(f"?{name}" for name in names) or f"(1 AS ?{_COUNTED})"
    # A relative IRI of the query is one below our base, if the query has none of its own.
    prologue = text[: inspection.prologue].strip()
    pattern = text[call.group : call.end]
    if values.rows:
        head = " ".join(f"?{name}" for name in values.names)
        rows = " ".join(f"({' '.join(row)})" for row in values.rows)
        # A group of its own: what it means does not change by the values around it.
        pattern = f"{{ VALUES ({head}) {{ {rows} }} {pattern} }}"
    return f"BASE <{BASE}>\n{prologue}\nSELECT {columns} WHERE {pattern}"


def _some(names: Sequence[str], rows: Sequence[Mapping[str, Mapping[str, str]]], most: int) -> _Values:
    """The values to send of rows as SPARQL JSON has them: of the columns that are IRIs or strings in each.

    A blank node is another one elsewhere; a number or a language may be written otherwise there.
    """
    fit = [name for name in names if all(_written(row.get(name)) for row in rows)]
    if len(rows) > most or not fit:
        return _Values(names, too_many=len(rows) > most)
    # As keys of a dictionary they stay in order, each once.
    return _Values(fit, list(dict.fromkeys(tuple(_written(row[name]) for name in fit) for row in rows)))


def _written(term: Mapping[str, str] | None) -> str:
    """A term as SPARQL has it, "" for one that is not sent."""
    if term is None:
        return ""
    if term["type"] == "uri":
        return str(NamedNode(term["value"]))
    if term["type"] == "literal" and "xml:lang" not in term and term.get("datatype", _STRING) == _STRING:
        return str(Literal(term["value"]))
    return ""


# -------------------------------------------------------------------------------- the broker's process


@dataclass(frozen=True)
class _Answered:
    """An endpoint's answer as it came: "json" or "xml"; None where a SILENT clause has none."""

    format: str | None
    body: bytes


_NOTHING = _Answered("json", b'{"head": {"vars": []}, "results": {"bindings": []}}')


class _Failed(Exception):
    """No answer; `kind` is the outcome for the figures."""

    def __init__(self, problem: str, kind: str) -> None:
        super().__init__(problem)
        self.kind = kind


@dataclass
class _Room:
    """Bytes that the answers to one query may have together."""

    limit: int
    used: int = 0


@dataclass
class _Waiting:
    """A request on its way."""

    room: _Room
    done: asyncio.Future[None]
    format: str = ""
    pieces: list[bytes] = field(default_factory=list)


class _Broker:
    """The broker as the server sees it: started when it is needed, and again when it died."""

    def __init__(self) -> None:
        self.lock = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._next_id = 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start it, unless it runs."""
        async with self._starting:
            if self._writer is not None:
                return
            ours, theirs = socket.socketpair()
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            }
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "kg.engine.broker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=environment,
                )
            ours.setblocking(False)
            try:
                reader, self._writer = await asyncio.open_unix_connection(sock=ours)
                async with asyncio.timeout(_START_SECONDS):
                    said, _ = await _read(reader)
                self.lock = said["ready"]
            except (OSError, EOFError, TimeoutError) as problem:
                self.stop()
                raise QueryFailed("The process that asks other endpoints does not start") from problem
            except BaseException:
                self.stop()
                raise
            self._reading = asyncio.get_running_loop().create_task(self._read_all(reader))

    def stop(self) -> None:
        """End it; whoever waits is told. No await here: a task that is being cancelled may call this."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            if not each.done.done():
                each.done.set_exception(QueryFailed(_BROKER_GONE))

    async def ask(
        self, endpoint: str, networks: Sequence[str], query: str, seconds: float, room: _Room
    ) -> _Answered:
        """What an endpoint answers to a query. Raises _Failed, or QueryFailed where the broker died."""
        await self.start()
        writer = self._writer
        if writer is None:
            raise QueryFailed(_BROKER_GONE)
        self._next_id += 1
        id = self._next_id
        mine = self._waiting[id] = _Waiting(room, asyncio.get_running_loop().create_future())
        order = Order(id, endpoint, tuple(networks), seconds, room.limit)
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                writer.write(order_message(order, query))
                await mine.done
        except TimeoutError:
            log.error("the broker does not answer; it is started again")
            self.stop()
            raise _Failed(f"it did not answer within {seconds:g} seconds", "late") from None
        finally:
            if self._waiting.pop(id, None) is not None and not writer.is_closing():
                # Nobody waits any more: end the request, wherever it is.
                writer.write(message({"drop": id}))
        return _Answered(mine.format, b"".join(mine.pieces))

    async def _read_all(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._take(*await _read(reader))
        except (EOFError, OSError):
            log.error("the broker died; it is started when it is needed")
        except Exception:  # it says what no broker of ours says
            log.exception("the broker is not understood; it is ended")
        self._reading = None  # it is this task that ends
        self.stop()

    def _take(self, said: Mapping[str, Any], body: bytes) -> None:
        mine = self._waiting.get(said["id"])
        if mine is None or mine.done.done():
            return  # dropped meanwhile
        mine.room.used += len(body)
        if mine.room.used > mine.room.limit:
            limit = f"{mine.room.limit:,} bytes, which is the limit for all answers to one query"
            mine.done.set_exception(_Failed(f"its answer has more than {limit}", "too-large"))
        elif "failed" in said:
            self._waiting.pop(said["id"])
            mine.done.set_exception(_Failed(said["failed"], said["kind"]))
        elif "end" in said:
            self._waiting.pop(said["id"])
            mine.done.set_result(None)
        elif "format" in said:
            mine.format = said["format"]
        else:
            mine.pieces.append(body)


_BROKER_GONE = "The process that asks other endpoints ended before it was done. Ask again"


async def _read(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    """The broker's next message; raises EOFError where there is none, ValueError for what is no message."""
    head, body = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
    if head > MOST_HEAD or body > MOST_BODY:
        raise ValueError(f"a message of {head} and {body} bytes")
    said: dict[str, Any] = json.loads(await reader.readexactly(head))
    return said, await reader.readexactly(body)
