"""From a query's text to its response.

Hides negotiation, conditional requests, caching, compression, streaming, how an answer ends that fails
after its first byte, and what becomes of a query whose client goes away or cancels it. `/sparql`, the graphs
and the questions answer through `Responder.respond`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Coroutine
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kg.engine import Answer, Dataset, Engine, Limits, guard, query_hash
from kg.engine.formats import Format
from kg.engine.running import Running, new_id
from kg.errors import QueryCancelled, QueryError, StromaError
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.web.asked import Asked, asked_of
from kg.web.documents import matches
from kg.web.editor import above
from kg.web.encoding import IDENTITY, SMALL, Encoder, choose_coding, encoded
from kg.web.formats import joined, negotiate
from kg.web.incomplete import last_words
from kg.web.pages import closing, opening
from kg.web.problems import HttpTooOld, answer_to
from kg.web.watching import seen_of

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.02  # most answers are there by then, and need no watch over their client
_LINK_BYTES = 2000  # a longer link does not go through every proxy
_WITHOUT_CHUNKS = 16 * 1024**2  # bytes of an answer in HTTP/1.0, held in memory
_NOT_IN_A_LINK = re.compile(rb"[^!#-;=?-~]")  # <, >, quotes, white space and what is not ASCII
_FOREVER = b"public, max-age=31536000, immutable"

Headers = list[tuple[bytes, bytes]]
_T = TypeVar("_T")


class Whole(NamedTuple):
    """A whole answer: its bytes, and the headers that hold for every document made of it."""

    body: bytes
    headers: dict[str, str]


class Responder:
    """From a query's text to a response, by the engine that the request asks."""

    def __init__(self, settings: Settings) -> None:
        self._limits = Limits.of(settings)
        self._client_seconds = settings.client_seconds
        self._current = f"public, max-age={settings.fresh_seconds}, must-revalidate".encode()

    async def respond(
        self,
        request: Request,
        text: str,
        *,
        dataset: Dataset | None = None,
        format: str | None = None,
        heading: str | None = None,
    ) -> Response:
        """Answer a query in the format named, or else the one that the Accept header asks for.

        The body of the request must have been read. `heading` is HTML, above the table that a browser
        gets; without one the way back to the editor stands there. Errors become responses, never
        exceptions. Every response tells the query's id.
        """
        accept = joined(request, "accept")
        seen_of(request.scope).query = text
        id = ""
        try:
            id = new_id(request.headers.get("x-stroma-query-id"))
            response = await self._respond(request, id, text, dataset, format, accept, heading)
        except StromaError as error:
            response = answer_to(error, request, asked_of(request).engine.snapshot.version, text)
        if id:
            response.raw_headers.append((b"x-stroma-query-id", id.encode()))
        return response

    async def whole(self, request: Request, text: str, format: Format) -> Whole | None:
        """The whole answer to a query, for a document that is made of it; None where the client has left.

        Kept, shared and stopped as any answer; raises what a query raises.
        """
        asked = asked_of(request)
        engine, cache, snapshot = asked.engine, asked.served.cache, asked.engine.snapshot
        seen_of(request.scope).query = text
        id = new_id(request.headers.get("x-stroma-query-id"))
        key = _key(asked.engine, format, None, text)
        body = cache.get(key)
        timing = 'cache;desc="hit"'
        if body is None:

            async def evaluated() -> tuple[bytes, str]:
                answer = await cache.answer(
                    key, lambda: engine.query(text, accept=format, limits=self._limits)
                )
                return await answer.read(), _timing(answer)

            running = Running(id, query_hash(text), snapshot.name)
            asked.served.running.add(running)
            try:
                found = await _unless_gone(request.receive, evaluated(), running)
            finally:
                asked.served.running.remove(running)
            if found is None:
                return None
            body, timing = found
        link = b'</sparql>; rel="describedby"' + _permalink(request, snapshot, text, None, None)
        headers = {
            "Cache-Control": (_FOREVER if asked.permanent else self._current).decode(),
            "Link": link.decode("latin-1"),
            "Server-Timing": timing,
            "X-Stroma-Query-Id": id,
        }
        return Whole(body, headers)

    async def _respond(
        self,
        request: Request,
        id: str,
        text: str,
        dataset: Dataset | None,
        name: str | None,
        accept: str | None,
        heading: str | None,
    ) -> Response:
        asked = asked_of(request)
        engine, cache, snapshot = asked.engine, asked.served.cache, asked.engine.snapshot
        inspection = await guard.inspect_aside(text, self._limits)
        seen_of(request.scope).calls = len(inspection.calls)
        format, content_type = negotiate(accept, name, inspection.kind)
        coding = choose_coding(joined(request, "accept-encoding"))
        if heading is None and format.key == "html":
            heading = above(request, text, inspection.kind)
        before, after = _frame(request, format, heading or "", snapshot.version)
        vary = b"Accept, Accept-Encoding" + (b", Accept-Language, Cookie" if before else b"")
        # Another endpoint may say something else tomorrow, so what it said has no permanent address.
        permalink = b"" if inspection.calls else _permalink(request, snapshot, text, dataset, name)
        headers: Headers = [
            (b"content-type", content_type.encode()),
            (b"vary", vary),
            (b"link", b'</sparql>; rel="describedby"' + permalink),
        ]
        answer: Answer | None = None
        tag = b""

        def evaluate() -> Coroutine[Any, Any, Answer]:
            return engine.query(text, accept=format, dataset=dataset, limits=self._limits)

        ask = evaluate
        if not inspection.repeatable:
            headers.append((b"cache-control", b"no-store"))
        else:
            key = _key(engine, format, dataset, text)
            weak = not inspection.exact or bool(engine.status.spelling)
            tag = _tag(key, content_type, before + after, coding, weak=weak)
            headers += [(b"etag", tag), (b"cache-control", _FOREVER if asked.permanent else self._current)]
            if request.method != "POST" and matches(joined(request, "if-none-match"), tag.decode()):
                return _reply(304, headers[1:], b"")
            kept = cache.get(key)
            if kept is not None:
                answer = Answer(format, _nothing(), kept)
            ask = partial(cache.answer, key, evaluate)
        if answer is None:
            running = Running(id, query_hash(text), snapshot.name)
            asked.served.running.add(running)
            try:
                answer = await _unless_gone(request.receive, ask(), running)
            finally:
                if answer is None or answer.whole is not None:
                    asked.served.running.remove(running)
            if answer is None:
                return _reply(499, [], b"")
            if answer.whole is None:
                return await self._stream(request, asked, running, answer, headers, coding, (before, after))
        headers += _silenced(answer)
        headers.append((b"server-timing", (_timing(answer) or 'cache;desc="hit"').encode()))
        body = before + cast(bytes, answer.whole) + after
        if coding != IDENTITY and len(body) >= SMALL:
            headers.append((b"content-encoding", coding.encode()))
            coded = cache.find(tag) if tag else None
            if coded is None:
                coded = await encoded(body, coding)
                if tag:
                    cache.put(tag, coded)
            body = coded
        return _reply(200, headers, body)

    async def _stream(
        self,
        request: Request,
        asked: Asked,
        running: Running,
        answer: Answer,
        headers: Headers,
        coding: str,
        frame: tuple[bytes, bytes],
    ) -> Response:
        """The response for an answer whose end is not here yet."""
        headers += _silenced(answer)
        headers.append((b"server-timing", _timing(answer).encode()))
        if coding != IDENTITY:
            headers.append((b"content-encoding", coding.encode()))
        stream = _Stream(asked, running, answer, headers, coding, frame, self._client_seconds)
        if request.scope["http_version"] != "1.0":
            return stream
        # HTTP/1.0 has no chunks: without a length, its clients cannot tell an end from a break.
        body = bytearray()
        try:
            async for piece in stream.pieces():
                body += piece
                if len(body) > _WITHOUT_CHUNKS:
                    raise HttpTooOld(f"An answer of more than {_WITHOUT_CHUNKS:,} bytes needs HTTP/1.1")
        finally:
            await stream.close()
        return _reply(200, headers, bytes(body))


class _Stream(Response):
    """An answer whose end is not here yet: its bytes as they come, for as long as the client takes them."""

    def __init__(
        self,
        asked: Asked,
        running: Running,
        answer: Answer,
        headers: Headers,
        coding: str,
        frame: tuple[bytes, bytes],
        client_seconds: float,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = headers
        self._asked = asked
        self._running = running
        self._answer = answer
        self._encoder = None if coding == IDENTITY else Encoder(coding)
        self._frame = frame
        self._client_seconds = client_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await self._send_all(receive, send)
        except QueryError as error:
            # The status is long sent. We return without the last chunk, so the server cuts the
            # connection and every HTTP client knows that the body is not complete.
            log.warning("answer cut short", extra={"slug": error.slug, "query": self._running.hash})
            await self.close()  # before the last words, which a slow client may keep waiting
            last = last_words(self._answer.format, str(error))
            with contextlib.suppress(TimeoutError):
                await self._send(send, last if self._encoder is None else self._encoder.break_off(last))
        except TimeoutError:
            log.warning("client takes nothing of its answer", extra={"query": self._running.hash})
        finally:
            await self.close()

    async def close(self) -> None:
        """Free what works on the answer."""
        self._asked.served.running.remove(self._running)
        await self._answer.aclose()

    async def _send_all(self, receive: Receive, send: Send) -> None:
        pump = asyncio.ensure_future(self._pump(send))
        gone = asyncio.ensure_future(_gone(receive))
        self._running.sending, self._running.stop = True, pump.cancel
        try:
            await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
            if pump.cancelled() and self._running.cancelled:
                raise QueryCancelled("The query was stopped by its id")
            if pump.done():
                pump.result()
        finally:
            pump.cancel()
            gone.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        async for piece in self.pieces():
            await self._send(send, piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, piece: bytes) -> None:
        async with asyncio.timeout(self._client_seconds):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as the client gets it."""
        before, after = self._frame
        if self._encoder is None:
            if before:
                yield before
            async for piece in self._answer:
                self._running.sent += len(piece)
                yield piece
            if after:
                yield after
            return
        held = await self._encoder.encode(before)
        async for piece in self._answer:
            self._running.sent += len(piece)
            held += await self._encoder.encode(piece)
            if held:
                yield held
                held = b""
        yield held + await self._encoder.encode(after) + self._encoder.finish()


def _frame(request: Request, format: Format, heading: str, version: str) -> tuple[bytes, bytes]:
    """What stands before and after the engine's answer: a page's frame, or nothing."""
    if format.key != "html":
        return b"", b""
    before = opening("Result", version, request) + heading.encode() + b"\n"
    return before, closing("Result", version, request)


def _silenced(answer: Answer) -> Headers:
    """What tells a client that SERVICE SILENT hid a failure, and of whom: nothing is left out unsaid."""
    if not answer.silenced:
        return []
    return [(b"x-stroma-silenced", ", ".join(f"<{iri}>" for iri in dict.fromkeys(answer.silenced)).encode())]


def _key(engine: Engine, format: Format, dataset: Dataset | None, text: str) -> bytes:
    """Under which an answer is kept."""
    named = f"{engine.snapshot.hash} {engine.status.spelling} {format.key} {dataset!r} {text}"
    return hashlib.sha256(named.encode()).digest()


def _timing(answer: Answer) -> str:
    return ", ".join(f"{step};dur={ms:.2f}" for step, ms in answer.milliseconds.items())


def _tag(key: bytes, content_type: str, frame: bytes, coding: str, *, weak: bool) -> bytes:
    """The ETag of an answer in one coding; `key` names snapshot, spelling, query, dataset and format.

    Strong: a snapshot gives the same bytes for a query each time, and an encoder for those bytes. Weak for
    a query that makes blank nodes, whose labels differ each time in an equal graph (RFC 9110, 8.8.1), and
    where another server answers: the order of its rows and the forms of its numbers are its own.
    """
    opaque = hashlib.sha256(key + content_type.encode() + b"\0" + frame).hexdigest()[:32]
    coded = opaque if coding == IDENTITY else f"{opaque}-{coding}"
    return f'{"W/" if weak else ""}"{coded}"'.encode()


def _permalink(
    request: Request, snapshot: Snapshot, text: str, dataset: Dataset | None, format: str | None
) -> bytes:
    """The link to this answer from this snapshot, as a further value of the Link header.

    The relation for permanent links is `bookmark` (RFC 8288, IANA). Left out where it would be too long; then
    the same request to `?version=` with the name in X-Stroma-Snapshot gives the same.
    """
    version = f"version={snapshot.name}".encode()
    if request.method == "POST":
        graphs = () if dataset is None else (*dataset.default, *dataset.named)
        size = len(text) + len(format or "") + sum(map(len, graphs))
        query = _as_parameters(text, dataset, format) if size <= _LINK_BYTES else b" " * _LINK_BYTES
    else:
        query = b"&".join(
            each for each in request.scope["query_string"].split(b"&") if not each.startswith(b"version=")
        )
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    target = path.partition(b"?")[0] + b"?" + query + (b"&" if query else b"") + version
    if len(target) > _LINK_BYTES:
        return b""
    target = _NOT_IN_A_LINK.sub(lambda found: b"%%%02X" % found[0][0], target)
    return b", <" + target + b'>; rel="bookmark"'


# The same few texts come again and again, and to quote one takes longer than the rest of its link.
@lru_cache(maxsize=1024)
def _as_parameters(text: str, dataset: Dataset | None, format: str | None) -> bytes:
    """What was posted, as the query string of the same request by GET."""
    parameters = [("query", text)]
    if dataset is not None:
        parameters += [("default-graph-uri", iri) for iri in dataset.default]
        parameters += [("named-graph-uri", iri) for iri in dataset.named]
    if format:
        parameters.append(("format", format))
    return urlencode(parameters).encode()


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, _T], running: Running) -> _T | None:
    """The answer, or None when the client left while we worked on it; the work is stopped then.

    Raises QueryCancelled where somebody stopped it by its id.
    """
    loop = asyncio.get_running_loop()
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    watch = _Watch(receive, task)
    running.stop = task.cancel
    # No task for each request: most are answered before the watch begins.
    begins = loop.call_later(_PATIENCE_SECONDS, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if running.cancelled:
            task.uncancel()
            raise QueryCancelled("The query was stopped by its id") from None
        if not watch.saw_it_leave:
            raise
        task.uncancel()
        return None
    finally:
        running.stop = _not_now
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


def _not_now() -> None:
    pass


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


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
