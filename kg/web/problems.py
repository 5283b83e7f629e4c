"""Errors as answers: RFC 9457 problem details, or a page or plain text for people.

Hides how an error's class becomes a status, a stable type and headers. A client never sees a stack trace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from kg.errors import ParameterError, QuerySyntaxError, ServerBusy, StromaError, VersionGone
from kg.search import as_words
from kg.terms import BASE
from kg.web.formats import choose, joined
from kg.web.language import VARY, language_of, texts
from kg.web.links import location
from kg.web.pages import render

_OFFERED = (("application/problem+json", "application/json"), ("text/html",), ("text/plain",))

LINK_CHARACTERS = 10_000  # a longer query does not fit in a link


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
    """No resource has this address; `others` may have been meant: what each is called, and its path."""

    status = 404
    slug = "not-found"
    others: Sequence[tuple[str, str]] = ()


class Unknown(NotFound):
    """The graph says nothing of this IRI."""

    slug = "unknown-thing"


class Obsolete(NotFound):
    """The term is obsolete; `others` replace it."""

    status = 410
    slug = "obsolete"


def answer_to(
    error: StromaError, request: Request | None, version: str, query: str | None = None
) -> Response:
    """The response that tells a client of an error, in the form that its Accept header prefers.

    `query` is the text the error is about: where the error has a place in it, the line is shown. `version` is
    the snapshot's.
    """
    details = _details(error, query)
    accept = None if request is None else joined(request, "accept")
    found = choose(accept, _OFFERED)
    headers = {"Vary": "Accept", "Cache-Control": "no-store", "X-Stroma-Problem": error.slug}
    if isinstance(error, ServerBusy | TooManyRequests):
        headers["Retry-After"] = str(error.retry_after)
    form = 0 if found is None else found[0]
    if form == 1:
        headers["Vary"] = VARY
        return Response(_page(error, details, request, version, query), error.status, headers, "text/html")
    if form == 2:
        return Response(_text(details), error.status, headers, "text/plain")
    body = json.dumps(details, ensure_ascii=False).encode()
    return Response(body, error.status, headers, "application/problem+json")


def _details(error: StromaError, query: str | None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "type": f"{BASE}error/{error.slug}",
        "title": _told("en", "problems", error.slug),
        "status": error.status,
        "detail": str(error),
    }
    if isinstance(error, ParameterError):
        told = {"parameter": error.parameter, "takes": error.takes, "near": list(error.near)}
        details |= {name: value for name, value in told.items() if value}
    if isinstance(error, NotFound) and error.others:
        details["near"] = [path for _, path in error.others]
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


def _told(language: str, part: str, slug: str) -> str:
    """What a kind of error is called ("problems"), or what to do about it ("advice")."""
    said = texts(language, part)
    return said.get(slug) or said["error"]


def _page(
    error: StromaError, details: dict[str, Any], request: Request | None, version: str, query: str | None
) -> bytes:
    language = "en" if request is None else language_of(request)
    wait = str(error.retry_after) if isinstance(error, ServerBusy | TooManyRequests) else ""
    again = ""
    if request is not None and request.method in ("GET", "HEAD") and error.status in (429, 500, 503):
        again = location(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
    editor = ""
    if query is not None:
        editor = "/editor"
        if len(query) <= LINK_CHARACTERS:
            editor += f"?{urlencode({'query': query})}"
    return render(
        request,
        "problem.html",
        version,
        title=_told(language, "problems", error.slug),
        advice=_told(language, "advice", error.slug).replace("{n}", wait),
        details=details,
        status=error.status,
        others=error.others if isinstance(error, NotFound) else (),
        guess=_guess(request) if error.status in (404, 410) else "",
        near=error.near if isinstance(error, ParameterError) else (),
        again=again,
        editor=editor,
    )


def _guess(request: Request | None) -> str:
    """Words to search for, out of an address: those of its last part, or of the thing it asks for."""
    if request is None:
        return ""
    asked = request.query_params.get("iri") or request.url.path.rstrip("/").rpartition("/")[2]
    local = re.split(r"[:/#]", asked)[-1].partition(".")[0]
    return as_words(local)[:100].strip()
