"""Clients of an HTTP server as cheap as can be had: raw, kept alive, as many at once as are asked for.

Hides the wire. What a client costs is taken from the server's share of the same machine, so there is no
library between the socket and the parser of HTTP. A closed loop is a client that sends its next request when
it has the whole answer to the last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import httptools
import uvloop


@dataclass(frozen=True)
class Reply:
    """An answer: its status, the bytes of its body, seconds until the first and the last of them."""

    status: int
    size: int
    first: float
    seconds: float
    body: bytes  # empty unless it was to be kept


@dataclass
class Load:
    """What a closed loop did: which request took how long, which went wrong and how, how long in all."""

    times: list[tuple[int, float]] = field(default_factory=list)  # number of the request -> seconds
    wrong: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def pace(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds

    def percentile(self, percent: float) -> float:
        """The time in seconds that so many of a hundred answers took at most."""
        ordered = sorted(seconds for _, seconds in self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Client(asyncio.Protocol):
    """One connection, opened again where the server closed it; one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[None] | None = None
        self._forget()

    def _forget(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status = self._size = 0
        self._first = 0.0
        self._kept: list[bytes] | None = None

    async def ask(self, request: bytes, *, patience: float = 60, keep: bool = False) -> Reply:
        """Send a request and read its answer; raises TimeoutError, or ConnectionError for a broken one."""
        if self._transport is None or self._transport.is_closing():
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, self._host, self._port)
        assert self._transport is not None
        self._forget()
        self._kept = [] if keep else None
        self._answered = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._transport.write(request)
        late = asyncio.get_running_loop().call_later(patience, self._late)
        try:
            await self._answered
        finally:
            late.cancel()
        return Reply(
            self._status, self._size, self._first - began, time.perf_counter() - began,
            b"".join(self._kept or ()),
        )  # fmt: skip

    def close(self) -> None:
        """Leave, also in the middle of an answer."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _late(self) -> None:
        self._fail(TimeoutError())

    def _fail(self, problem: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(problem)
        self.close()

    # ---------------------------------------------------------- what the connection and the parser call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as problem:
            self._fail(ConnectionError(f"no HTTP: {problem}"))

    def connection_lost(self, problem: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionError("the server closed the connection before the end of its answer"))

    def on_body(self, piece: bytes) -> None:
        if not self._size:
            self._first = time.perf_counter()
        self._size += len(piece)
        if self._kept is not None:
            self._kept.append(piece)

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._first = time.perf_counter()

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)


def post(path: str, query: str, accept: str, *, form: bool = False) -> bytes:
    """A query as the SPARQL Protocol posts it: directly, or as a field of a form."""
    kind = "x-www-form-urlencoded" if form else "sparql-query"
    body = (urlencode({"query": query}) if form else query).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}\r\n"
        f"Accept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def closed_loop(
    url: str, requests: Sequence[bytes], *, clients: int, seconds: float, patience: float = 60
) -> Load:
    """So many clients share whole rounds of the requests, in their order, for at least so many seconds."""
    load = Load()
    turn = 0
    began = time.perf_counter()

    async def client() -> None:
        nonlocal turn
        mine = Client(url)
        # A round that was begun is finished, so each request was sent equally often.
        while turn % len(requests) or time.perf_counter() - began < seconds:
            number = turn % len(requests)
            turn += 1
            try:
                reply = await mine.ask(requests[number], patience=patience)
            except (TimeoutError, OSError) as problem:
                load.wrong.append((number, type(problem).__name__))
            else:
                if reply.status == 200:
                    load.times.append((number, reply.seconds))
                else:
                    load.wrong.append((number, str(reply.status)))
        mine.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    return load


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in a fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())
