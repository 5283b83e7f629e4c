"""Errors as answers: RFC 9457 problem details, or a page or plain text for people.

Hides how an error's class becomes a status, a stable type and headers. A client never sees a stack trace.
"""

from __future__ import annotations

import html
import json
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from kg.errors import ParameterError, QuerySyntaxError, ServerBusy, StromaError, VersionGone
from kg.terms import BASE
from kg.web.formats import choose
from kg.web.pages import page

_OFFERED = (("application/problem+json", "application/json"), ("text/html",), ("text/plain",))

LINK_CHARACTERS = 10_000  # a longer query does not fit in a link

_TITLES = {
    "parameter": "A parameter does not fit",
    "query-syntax": "The query does not parse",
    "query-refused": "The query is not allowed here",
    "query-unsupported": "The query calls a function that is not here",
    "query-too-large": "The query is too large",
    "query-timeout": "The query ran too long",
    "query-out-of-memory": "The query needed too much memory",
    "query-cancelled": "The query was stopped by its id",
    "service-failed": "Another endpoint did not answer as it should",
    "query-failed": "The query failed",
    "server-busy": "The server is busy",
    "not-acceptable": "No such representation",
    "unsupported-media-type": "This kind of request body is not understood",
    "method-not-allowed": "This method is not for this address",
    "http-version": "This answer needs HTTP/1.1",
    "bad-request": "The request is not one of the SPARQL protocol",
    "too-many-requests": "Too many requests",
    "not-found": "There is nothing here",
    "usage": "There is no such thing here",
    "version-gone": "This version is not kept any more",
    "snapshot": "The graph cannot be read",
    "error": "Something went wrong on our side",
}


class BadRequest(StromaError):
    """The HTTP request is malformed or asks for two things at once; the message says what to send."""

    exit_code = 2
    status = 400
    slug = "bad-request"


class UnsupportedMediaType(BadRequest):
    """The request body is of a kind we do not read; the message lists those we do."""

    status = 415
    slug = "unsupported-media-type"


class MethodNotAllowed(BadRequest):
    """The method is not one of this resource."""

    status = 405
    slug = "method-not-allowed"


class TooManyRequests(BadRequest):
    """A client asks more often than it may; `retry_after` is in seconds."""

    status = 429
    slug = "too-many-requests"
    retry_after = 1


class HttpTooOld(BadRequest):
    """The answer cannot be given in the client's version of HTTP."""

    status = 505
    slug = "http-version"


class NotFound(BadRequest):
    """No resource has this address."""

    status = 404
    slug = "not-found"


def answer_to(error: StromaError, accept: str | None, version: str, query: str | None = None) -> Response:
    """The response that tells a client of an error, in the form its Accept header prefers.

    `query` is the text the error is about: where the error has a place in it, the line is shown.
    """
    details = _details(error, query)
    found = choose(accept, _OFFERED)
    headers = {"Vary": "Accept", "Cache-Control": "no-store", "X-Stroma-Problem": error.slug}
    if isinstance(error, ServerBusy | TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    form = 0 if found is None else found[0]
    if form == 1:
        return Response(_page(details, version, query), error.status, headers, "text/html")
    if form == 2:
        return Response(_text(details), error.status, headers, "text/plain")
    body = json.dumps(details, ensure_ascii=False).encode()
    return Response(body, error.status, headers, "application/problem+json")


def _details(error: StromaError, query: str | None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "type": f"{BASE}error/{error.slug}",
        "title": _TITLES.get(error.slug, _TITLES["error"]),
        "status": error.status,
        "detail": str(error),
    }
    if isinstance(error, ParameterError):
        told = {"parameter": error.parameter, "takes": error.takes, "near": list(error.near)}
        details |= {name: value for name, value in told.items() if value}
    if isinstance(error, VersionGone):
        details["kept"] = list(error.kept)
    if isinstance(error, QuerySyntaxError) and error.line is not None and error.column is not None:
        details["line"], details["column"] = error.line, error.column
        lines = (query or "").split("\n")
        if error.line <= len(lines):
            # A window of the line: a query can be one line of 100,000 characters.
            start = max(0, error.column - 1 - 80)
            details["source"] = lines[error.line - 1].rstrip("\r")[start : start + 160]
            details["pointer"] = " " * (error.column - 1 - start) + "^"
    return details


def _text(details: dict[str, Any]) -> str:
    lines = [details["detail"]]
    if "source" in details:
        lines += ["", details["source"], details["pointer"]]
    return "\n".join(lines) + "\n"


def _page(details: dict[str, Any], version: str, query: str | None) -> bytes:
    content = f"<h1>{html.escape(details['title'])}</h1><p class=lead>{html.escape(details['detail'])}</p>"
    if "source" in details:
        source, pointer = html.escape(details["source"]), details["pointer"]
        content += f'<pre class="exact" tabindex="0">{source}\n<span class="mark">{pointer}</span></pre>'
    again, said = "/editor", "Ask another query"
    if query and len(query) <= LINK_CHARACTERS:
        again, said = f"/editor?{html.escape(urlencode({'query': query}))}", "Change the query"
    return page(details["title"], f'{content}<p><a href="{again}">{said}</a></p>', version)
