"""`/sparql`: the query side of the SPARQL 1.1 Protocol.

Hides the three forms of request, and what clients send beside a query. `kg.web.responder` answers what comes
out of them. An address may end in a format, `/sparql.csv?query=…`, for clients that can set no header.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kg.engine import Dataset, guard
from kg.engine.formats import SUFFIXES, Kind
from kg.errors import QueryRefused, QueryTooLarge, StromaError
from kg.settings import Settings
from kg.web import service
from kg.web.asked import engine_of
from kg.web.documents import address
from kg.web.formats import joined, media_type
from kg.web.openapi import RESULTS, format_parameter, media_types, parameter
from kg.web.problems import BadRequest, MethodNotAllowed, UnsupportedMediaType, answer_to
from kg.web.responder import Responder

METHODS = "GET, HEAD, POST, OPTIONS"
_FORM = "application/x-www-form-urlencoded"
_QUERY = "application/sparql-query"
_UPDATE = "application/sparql-update"
_READS = f"{_QUERY}, {_FORM}"

# address -> the format it names, if any
PATHS: dict[str, str | None] = {
    "/sparql": None,
    "/sparql/": None,
    **{f"/sparql.{suffix}": suffix for suffix in SUFFIXES},
}

_MOST_PARAMETERS = 2000
_MOST_STRAY = 1000  # percent signs that stand for themselves
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")

# What names a format: our own and Virtuoso's word, Fuseki's, and one more that SPARQLWrapper sends.
_FORMAT_NAMES = ("format", "output", "results")


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
            response = answer_to(error, request, engine_of(request).snapshot.version)
            if isinstance(error, MethodNotAllowed):
                response.headers["Allow"] = METHODS
            elif isinstance(error, UnsupportedMediaType):
                response.headers["Accept"] = _READS  # RFC 9110, 15.5.16
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        method = request.method
        parameters = _parameters(request.scope["query_string"])
        if method == "OPTIONS":
            headers = {"Allow": METHODS, "Accept-Post": _READS, "Access-Control-Allow-Methods": METHODS}
            return Response(None, 204, headers)
        if method == "POST":
            parameters += await self._posted(request)
        elif method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{method} is not for /sparql; use {METHODS}")
        return await self._ask(request, parameters)

    async def _posted(self, request: Request) -> list[tuple[str, str]]:
        sent_as, about = media_type(request.headers.get("content-type", ""))
        if sent_as == _UPDATE:
            raise QueryRefused(guard.NO_UPDATE)
        if sent_as not in (_FORM, _QUERY):
            raise UnsupportedMediaType(
                f"A query is posted as {_QUERY} or {_FORM}, not as {sent_as[:80] or 'an unnamed type'}"
            )
        charset = about.get("charset", "").lower()
        if charset.replace("-", "") not in ("", "utf8", "usascii"):
            raise UnsupportedMediaType(f"A query is UTF-8 text; {charset[:40]!r} is not understood")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Send the request body without Content-Encoding")
        body = await self._body(request, sent_as)
        if sent_as == _FORM:
            return _parameters(body)
        return [("query", _decoded(body))]

    async def _body(self, request: Request, sent_as: str) -> bytes:
        # In a form each byte may be percent-encoded, and the dataset stands beside the query.
        most = self._settings.query_bytes * (3 if sent_as == _FORM else 1) + 65536
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
        named = [PATHS[request.url.path], *(each for name in _FORMAT_NAMES for each in by_name.get(name, ()))]
        format = ",".join(each for each in named if each) or None
        if not queries:
            if request.method == "POST":
                raise BadRequest("There is no query: send it as the form field `query`, or as the body")
            # `/sparql/` is an address of the endpoint as well; `/sparql.ttl` is one of its description.
            endpoint = address(request, request.url.path.partition(".")[0])
            accept = joined(request, "accept")
            return service.describe(request, self._settings, accept, format, endpoint=endpoint)
        text = queries[0].removeprefix("\ufeff")
        return await self._responder.respond(request, text, dataset=_dataset(by_name), format=format)


def operations(settings: Settings) -> dict[str, Any]:
    """The operations on `/sparql` in the words of OpenAPI."""
    query = {"type": "string", "format": "sparql", "minLength": 1}
    graph = {"type": "array", "items": {"type": "string", "format": "uri"}}
    asked = parameter("query", "A SPARQL 1.1 query; without one the service describes itself.", query)
    dataset = [
        parameter("default-graph-uri", "A graph of the default graph, instead of the query's FROM.", graph),
        parameter("named-graph-uri", "A graph for GRAPH, instead of the query's FROM NAMED.", graph),
    ]
    answer: dict[str, Any] = {
        "summary": "Ask a SPARQL query",
        "description": (
            "The query side of the SPARQL 1.1 Protocol. The default graph is the union of all graphs. "
            "`/sparql.csv` and the like name a format, which has to fit the query: rows or a graph. "
            f"A query's text has at most {settings.query_bytes} bytes."
        ),
        "tags": ["sparql"],
        "responses": {
            "200": {
                "description": "The answer",
                "content": {
                    name: {"schema": RESULTS if name == "application/sparql-results+json" else {}}
                    for name in media_types(*Kind)
                },
            },
            "304": {"description": "The client has it: its If-None-Match names the ETag"},
        },
    }
    fields = {"query": query, "default-graph-uri": graph, "named-graph-uri": graph}
    posted = {
        _QUERY: {"schema": query},
        _FORM: {"schema": {"type": "object", "required": ["query"], "properties": fields}},
    }
    return {
        "/sparql": {
            "get": {**answer, "operationId": "ask", "parameters": [asked, *dataset, format_parameter(*Kind)]},
            "post": {
                **answer,
                "operationId": "post",
                "parameters": [*dataset, format_parameter(*Kind)],
                "requestBody": {"required": True, "content": posted},
                "responses": {**answer["responses"], "415": {"$ref": "#/components/responses/Problem"}},
            },
        }
    }


def _dataset(by_name: dict[str, list[str]]) -> Dataset | None:
    """The dataset of the request; an empty value, as forms send for an empty field, names no graph."""
    default = tuple(each for each in by_name.get("default-graph-uri", ()) if each)
    named = tuple(each for each in by_name.get("named-graph-uri", ()) if each)
    return Dataset(default, named) if default or named else None


def _parameters(encoded: bytes) -> list[tuple[str, str]]:
    if not encoded:
        return []
    if encoded.count(b"&") >= _MOST_PARAMETERS:
        raise BadRequest(f"There are more than {_MOST_PARAMETERS} parameters")
    fields = [field.partition(b"=") for field in encoded.split(b"&") if field]
    try:
        return [(_unquoted(name), _unquoted(value)) for name, _, value in fields]
    except UnicodeDecodeError:
        raise BadRequest("The parameters are not UTF-8; percent-encode the query's UTF-8 bytes") from None


def _unquoted(field: bytes) -> str:
    """As `urllib.parse.unquote_plus`, which takes most of a second for the longest body that we read."""
    field = field.replace(b"+", b" ")
    if b"%" in field:
        # A percent sign that stands for itself becomes an escape, then each escape one of quoted-printable.
        field = _STRAY_PERCENT.sub(b"%25", field, count=_MOST_STRAY)
        if _STRAY_PERCENT.search(field):
            raise BadRequest(
                "The parameters are not percent-encoded: `%` stands before other than two digits"
            )
        field = a2b_qp(field.replace(b"=", b"=3D").replace(b"%", b"="))
    return field.decode("utf-8")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise BadRequest(f"The query is not UTF-8: byte {problem.start + 1} does not fit") from None
