"""Documents that the server makes itself, without a query: lists, descriptions, pages.

Hides conditional requests and where a document says it lives.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from kg.web.encoding import IDENTITY, SMALL, Encoder, choose_coding
from kg.web.formats import joined
from kg.web.problems import BadRequest

_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')  # an entity tag; a comma may stand in it
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{1,45}\])(?::[0-9]{1,5})?")


def document(
    request: Request, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A negotiated document as a response with a strong ETag, or 304 for a client that has it."""
    coding = choose_coding(joined(request, "accept-encoding"))
    if len(body) < SMALL:
        coding = IDENTITY
    suffix = "" if coding == IDENTITY else f"-{coding}"
    tag = f'"{hashlib.sha256(content_type.encode() + body).hexdigest()[:32]}{suffix}"'
    known = {
        "ETag": tag,
        "Vary": "Accept, Accept-Encoding",
        "Cache-Control": "no-cache",
        "Link": '</sparql>; rel="describedby"',
        **(headers or {}),
    }
    if "Accept-Encoding" not in known["Vary"]:
        known["Vary"] += ", Accept-Encoding"
    if matches(request.headers.get("if-none-match"), tag):
        return Response(None, 304, known)
    if coding != IDENTITY:
        encoder = Encoder(coding)
        body = encoder.encode_now(body) + encoder.finish()
        known["Content-Encoding"] = coding
    return Response(body, 200, {**known, "Content-Type": content_type})


def matches(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match names a tag, by weak comparison (RFC 9110, 8.8.3.2)."""
    if header is None:
        return False
    return header.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(header)


def address(request: Request, path: str | None = None) -> str:
    """The absolute address of the resource asked, or of another `path` here; without query.

    Raises BadRequest where the Host header is no host: it would stand in the answer.
    """
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise BadRequest("The Host header is not a host name with an optional port")
    return f"{request.url.scheme}://{host}{request.url.path if path is None else path}"
