"""`/sparql`: the query side of the SPARQL 1.1 Protocol.

Hides the three forms of request, negotiation, conditional requests, and what becomes of a query whose client
goes away. `Responder.respond` is the flow from a query's text to its response; canned queries use it too.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kg.engine import Answer, Dataset, Engine, Limits, guard
from kg.errors import QueryError, QueryRefused, QueryTooLarge, StromaError
from kg.settings import Settings
from kg.web import about
from kg.web.formats import negotiate
from kg.web.pages import closing, opening
from kg.web.problems import BadRequest, MethodNotAllowed, UnsupportedMediaType, answer_to

log = logging.getLogger(__name__)

_METHODS = "GET, HEAD, POST, OPTIONS"
_FORM = "application/x-www-form-urlencoded"
_QUERY = "application/sparql-query"
_UPDATE = "application/sparql-update"
_PATIENCE_SECONDS = 0.02  # most answers are there by then, and need no watch over their client


class Responder:
    """From a query's text to a response, over one engine."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
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
        accept = _joined(request, "accept")
        try:
            return await self._respond(request, text, dataset, format, accept, heading)
        except StromaError as error:
            return answer_to(error, accept, self._engine.snapshot.version, text)

    async def _respond(
        self,
        request: Request,
        text: str,
        dataset: Dataset | None,
        name: str | None,
        accept: str | None,
        heading: str,
    ) -> Response:
        inspection = guard.inspect(text, self._limits)
        format, content_type = negotiate(accept, name, inspection.kind)
        headers = [
            (b"content-type", content_type.encode()),
            (b"vary", b"Accept"),
            (b"link", self._link),
        ]
        if inspection.repeatable:
            tag = self._tag(text, dataset, content_type)
            headers += [(b"etag", tag), (b"cache-control", b"no-cache")]
            if _matches(request.headers.get("if-none-match"), tag.decode()):
                return _reply(304, headers[1:], b"")
        else:
            headers.append((b"cache-control", b"no-store"))
        work = self._engine.query(text, accept=format, dataset=dataset, limits=self._limits)
        answer = await _unless_gone(request.receive, work)
        if answer is None:
            return _reply(499, [], b"")
        timing = ", ".join(f"{step};dur={ms:.2f}" for step, ms in answer.milliseconds.items())
        headers.append((b"server-timing", timing.encode()))
        before, after = b"", b""
        if format.key == "html":
            before = f"{opening('Result')}{heading}\n".encode()
            after = closing(self._engine.snapshot.version).encode()
        if answer.whole is not None:
            return _reply(200, headers, before + answer.whole + after)
        return _Stream(answer, headers, before, after, body=request.method != "HEAD")

    def _tag(self, text: str, dataset: Dataset | None, content_type: str) -> bytes:
        named = (self._engine.snapshot.hash, text, content_type, repr(dataset))
        return b'"' + hashlib.sha256("\x1f".join(named).encode()).hexdigest()[:32].encode() + b'"'


class SparqlEndpoint:
    """The resource `/sparql`, as an ASGI application: all methods, all forms of request."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._responder = Responder(engine, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        try:
            response = await self._handle(request)
        except StromaError as error:
            response = answer_to(error, _joined(request, "accept"), self._engine.snapshot.version)
            if isinstance(error, MethodNotAllowed):
                response.headers["Allow"] = _METHODS
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        method = request.method
        parameters = _parameters(request.scope["query_string"])
        if method == "OPTIONS":
            return Response(None, 204, {"Allow": _METHODS, "Access-Control-Allow-Methods": _METHODS})
        if method == "POST":
            parameters += await self._posted(request)
        elif method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{method} is not for /sparql; use {_METHODS}")
        return await self._ask(request, parameters)

    async def _posted(self, request: Request) -> list[tuple[str, str]]:
        media_type, _, rest = request.headers.get("content-type", "").partition(";")
        media_type = media_type.strip().lower()
        if media_type == _UPDATE:
            raise QueryRefused(guard.NO_UPDATE)
        if media_type not in (_FORM, _QUERY):
            raise UnsupportedMediaType(
                f"A query is posted as {_QUERY} or {_FORM}, not as {media_type or 'an unnamed type'}"
            )
        charset = rest.strip().lower().removeprefix("charset=").strip("\"' ")
        if charset.replace("-", "") not in ("", "utf8", "usascii"):
            raise UnsupportedMediaType(f"A query is UTF-8 text; {charset[:40]!r} is not understood")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Send the request body without Content-Encoding")
        body = await self._body(request, media_type)
        if media_type == _FORM:
            return _parameters(body)
        return [("query", _decoded(body))]

    async def _body(self, request: Request, media_type: str) -> bytes:
        # In a form each byte may be percent-encoded, and the dataset stands beside the query.
        most = self._settings.query_bytes * (3 if media_type == _FORM else 1) + 65536
        pieces, size = [], 0
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise QueryTooLarge(
                    f"The request body has more than {most:,} bytes; the limit of a query's text is "
                    f"{self._settings.query_bytes:,}"
                )
            pieces.append(piece)
        return b"".join(pieces)

    async def _ask(self, request: Request, parameters: list[tuple[str, str]]) -> Response:
        by_name: dict[str, list[str]] = {}
        for name, value in parameters:
            by_name.setdefault(name, []).append(value)
        if "update" in by_name or "using-graph-uri" in by_name or "using-named-graph-uri" in by_name:
            raise QueryRefused(guard.NO_UPDATE)
        queries = by_name.get("query", [])
        if len(queries) > 1:
            raise BadRequest(f"{len(queries)} queries were sent; send one at a time")
        formats = by_name.get("format") or by_name.get("output") or [""]
        if not queries:
            if request.method == "POST":
                raise BadRequest("There is no query: send it as the form field `query`, or as the body")
            return about.service(
                request, self._engine, self._settings, _joined(request, "accept"), formats[0] or None
            )
        default, named = by_name.get("default-graph-uri", ()), by_name.get("named-graph-uri", ())
        dataset = Dataset(tuple(default), tuple(named)) if default or named else None
        text = queries[0].removeprefix("\ufeff")
        return await self._responder.respond(request, text, dataset=dataset, format=formats[0] or None)


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


def _joined(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def _matches(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in header.split(","))


def _parameters(encoded: bytes) -> list[tuple[str, str]]:
    if not encoded:
        return []
    try:
        return parse_qsl(
            encoded.decode("utf-8"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=2000,
        )
    except UnicodeDecodeError:
        raise BadRequest("The parameters are not UTF-8; percent-encode the query's UTF-8 bytes") from None
    except ValueError as problem:
        raise BadRequest(f"The parameters cannot be read: {problem}") from None


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise BadRequest(f"The query is not UTF-8: byte {problem.start + 1} does not fit") from None
