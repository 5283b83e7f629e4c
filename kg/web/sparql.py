"""`/sparql`: the query side of the SPARQL 1.1 Protocol.

Hides the three forms of request. `kg.web.responder` answers what comes out of them.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kg.engine import Dataset, guard
from kg.errors import QueryRefused, QueryTooLarge, StromaError
from kg.settings import Settings
from kg.web import about
from kg.web.asked import engine_of
from kg.web.problems import BadRequest, MethodNotAllowed, UnsupportedMediaType, answer_to
from kg.web.responder import Responder, joined

_METHODS = "GET, HEAD, POST, OPTIONS"
_FORM = "application/x-www-form-urlencoded"
_QUERY = "application/sparql-query"
_UPDATE = "application/sparql-update"


class SparqlEndpoint:
    """The resource `/sparql`, as an ASGI application: all methods, all forms of request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._responder = Responder(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        try:
            response = await self._handle(request)
        except StromaError as error:
            response = answer_to(error, joined(request, "accept"), engine_of(request).snapshot.version)
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
        if "version" in by_name and b"version=" not in request.scope["query_string"]:
            raise BadRequest("Say the version in the address: POST /sparql?version=…")
        formats = by_name.get("format") or by_name.get("output") or [""]
        if not queries:
            if request.method == "POST":
                raise BadRequest("There is no query: send it as the form field `query`, or as the body")
            return about.service(request, self._settings, joined(request, "accept"), formats[0] or None)
        default, named = by_name.get("default-graph-uri", ()), by_name.get("named-graph-uri", ())
        dataset = Dataset(tuple(default), tuple(named)) if default or named else None
        text = queries[0].removeprefix("\ufeff")
        return await self._responder.respond(request, text, dataset=dataset, format=formats[0] or None)


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
