"""From a query's text to its response.

Hides negotiation, conditional requests, streaming, and what becomes of a query whose client goes away.
`/sparql` and the questions answer through `Responder.respond`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kg.engine import Answer, Dataset, Limits, guard
from kg.errors import QueryError, StromaError
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.web.asked import engine_of
from kg.web.documents import matches
from kg.web.formats import negotiate
from kg.web.pages import closing, opening
from kg.web.problems import answer_to
from kg.web.watching import seen_of

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.02  # most answers are there by then, and need no watch over their client


class Responder:
    """From a query's text to a response, by the engine that the request asks."""

    def __init__(self, settings: Settings) -> None:
        self._limits = Limits.of(settings)
        self._link = b'</sparql>; rel="describedby"'

    async def respond(
        self,
        request: Request,
        text: str,
        *,
        dataset: Dataset | None = None,
        format: str | None = None,
        heading: str = "<h1>Result</h1>",
    ) -> Response:
        """Answer a query in the format named, or else the one that the Accept header asks for.

        The body of the request must have been read. `heading` is HTML, above the table that a browser
        gets. Errors become responses, never exceptions.
        """
        accept = joined(request, "accept")
        seen_of(request.scope).query = text
        try:
            return await self._respond(request, text, dataset, format, accept, heading)
        except StromaError as error:
            return answer_to(error, accept, engine_of(request).snapshot.version, text)

    async def _respond(
        self,
        request: Request,
        text: str,
        dataset: Dataset | None,
        name: str | None,
        accept: str | None,
        heading: str,
    ) -> Response:
        engine = engine_of(request)
        inspection = guard.inspect(text, self._limits)
        format, content_type = negotiate(accept, name, inspection.kind)
        headers = [
            (b"content-type", content_type.encode()),
            (b"vary", b"Accept"),
            (b"link", self._link),
        ]
        if inspection.repeatable:
            tag = _tag(engine.snapshot, text, dataset, content_type)
            headers += [(b"etag", tag), (b"cache-control", b"no-cache")]
            if matches(request.headers.get("if-none-match"), tag.decode()):
                return _reply(304, headers[1:], b"")
        else:
            headers.append((b"cache-control", b"no-store"))
        work = engine.query(text, accept=format, dataset=dataset, limits=self._limits)
        answer = await _unless_gone(request.receive, work)
        if answer is None:
            return _reply(499, [], b"")
        timing = ", ".join(f"{step};dur={ms:.2f}" for step, ms in answer.milliseconds.items())
        headers.append((b"server-timing", timing.encode()))
        before, after = b"", b""
        if format.key == "html":
            version = engine.snapshot.version
            before = opening("Result", version, request) + heading.encode() + b"\n"
            after = closing("Result", version, request)
        if answer.whole is not None:
            return _reply(200, headers, before + answer.whole + after)
        return _Stream(answer, headers, before, after, body=request.method != "HEAD")


def _tag(snapshot: Snapshot, text: str, dataset: Dataset | None, content_type: str) -> bytes:
    named = (snapshot.hash, text, content_type, repr(dataset))
    return b'"' + hashlib.sha256("\x1f".join(named).encode()).hexdigest()[:32].encode() + b'"'


class _Stream(Response):
    """An answer too large for one piece: chunks as they come, for as long as the client is there."""

    def __init__(
        self,
        answer: Answer,
        headers: list[tuple[bytes, bytes]],
        before: bytes,
        after: bytes,
        body: bool,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = headers
        self._answer = answer
        self._before = before
        self._after = after
        self._has_body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if not self._has_body:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            pump = asyncio.ensure_future(self._pump(send))
            gone = asyncio.ensure_future(_gone(receive))
            try:
                await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
                if pump.done():
                    pump.result()
            finally:
                pump.cancel()
                gone.cancel()
                await asyncio.gather(pump, gone, return_exceptions=True)
        except QueryError as error:
            # The status is long sent. We return without the last chunk, so the server cuts the
            # connection and every HTTP client knows that the body is not complete.
            log.warning("answer cut short", extra={"slug": error.slug, "reason": str(error)})
        finally:
            await self._answer.aclose()

    async def _pump(self, send: Send) -> None:
        async for piece in self._pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self._before:
            yield self._before
        async for chunk in self._answer:
            yield chunk
        if self._after:
            yield self._after


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """The answer, or None when the client left while we worked on it; the work is stopped then."""
    loop = asyncio.get_running_loop()
    watch = _Watch(receive, cast("asyncio.Task[Any]", asyncio.current_task()))
    # No task for each request: most are answered before the watch begins.
    begins = loop.call_later(_PATIENCE_SECONDS, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.saw_it_leave:
            raise
        watch.task.uncancel()
        return None
    finally:
        begins.cancel()
        await watch.end()


class _Watch:
    """Cancels a task when the client of its request goes away."""

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.saw_it_leave = False
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        await _gone(self._receive)
        self.saw_it_leave = True
        self.task.cancel()

    async def end(self) -> None:
        if self._watching is not None and not self._watching.done():
            self._watching.cancel()
            await asyncio.wait((self._watching,))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reply(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Response:
    """A response with these headers and no others: the hot path, without Starlette's header handling."""
    response = Response.__new__(Response)
    response.status_code = status
    response.body = body
    response.background = None
    response.raw_headers = headers
    if status not in (204, 304):
        response.raw_headers = [*headers, (b"content-length", str(len(body)).encode())]
    return response


def joined(request: Request, name: str) -> str | None:
    """A header that may come several times, as one; None where it is absent."""
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None
