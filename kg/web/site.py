"""What belongs to the site and not to the graph: static files, the switch of languages, OpenSearch.

Hides which files exist: an address carries the digest of its file, so it never changes what it gives.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg.errors import ParameterError
from kg.web.documents import address, document
from kg.web.encoding import IDENTITY, choose_coding, encoded
from kg.web.formats import joined
from kg.web.language import COOKIE, LANGUAGES
from kg.web.links import location
from kg.web.pages import STATIC, static
from kg.web.problems import NotFound

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_YEAR = 31_536_000


def router() -> APIRouter:
    """`/static/<name>.<digest>.<suffix>`, `/language?to=…&back=…` and `/opensearch.xml`."""
    routes = APIRouter(include_in_schema=False)
    files = {static(path.name): path for path in STATIC.iterdir() if path.suffix in _TYPES}
    packed: dict[tuple[Path, str], bytes] = {}

    @routes.get("/static/{name}")
    async def file(name: str, request: Request) -> Response:
        found: Path | None = files.get(f"/static/{name}")
        if found is None:
            raise NotFound(f"There is no file /static/{name[:80]}; load the page again")
        headers = {"Cache-Control": f"public, max-age={_YEAR}, immutable", "Vary": "Accept-Encoding"}
        coding = choose_coding(joined(request, "accept-encoding"))
        if coding == IDENTITY:
            return Response(found.read_bytes(), 200, headers, _TYPES[found.suffix])
        if (found, coding) not in packed:
            packed[found, coding] = await encoded(found.read_bytes(), coding)
        headers["Content-Encoding"] = coding
        return Response(packed[found, coding], 200, headers, _TYPES[found.suffix])

    @routes.get("/language")
    async def switch(request: Request, to: str = "", back: str = "/") -> Response:
        if to not in LANGUAGES:
            raise ParameterError(f"to={to[:20]!r} is no language of ours; there are: {', '.join(LANGUAGES)}")
        # Only a path of ours: `//host` and `/\host` would lead away.
        if not back.startswith("/") or back[1:2] in ("/", "\\") or any(ord(c) < 0x21 for c in back):
            back = "/"
        response = Response(None, 303, {"Location": location(back), "Cache-Control": "no-store"})
        response.set_cookie(COOKIE, to, max_age=_YEAR, samesite="lax", httponly=True)
        return response

    @routes.get("/opensearch.xml")
    async def opensearch(request: Request) -> Response:
        here = address(request, "")
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">'
            "<ShortName>Stroma</ShortName><InputEncoding>UTF-8</InputEncoding>"
            "<Description>MSC therapy for rheumatoid arthritis</Description>"
            f'<Url type="text/html" template="{here}/search?q={{searchTerms}}"/>'
            '<Url type="application/x-suggestions+json" '
            f'template="{here}/suggest?q={{searchTerms}}&amp;format=opensearch"/>'
            "</OpenSearchDescription>"
        )
        return document(request, body.encode(), "application/opensearchdescription+xml")

    return routes
