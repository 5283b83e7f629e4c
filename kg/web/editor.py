"""`/editor`: where people write SPARQL and look at what it gives.

Hides what the page tells its script (words, prefixes, charts), and the drawing of a chart of rows that the
script has. The page is a plain form first: without its script, or without scripts at all, the form goes to
`/sparql`, which answers with a page.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg.canned import CHARTS
from kg.engine.formats import BY_KEY, FORMATS, Kind, formats_for
from kg.errors import ParameterError
from kg.settings import Settings
from kg.terms import BASE, prefixes
from kg.web.asked import engine_of
from kg.web.charts import draw
from kg.web.documents import document
from kg.web.language import VARY, language_of, texts
from kg.web.openapi import HTML, described, parameter
from kg.web.pages import render, static
from kg.web.problems import LINK_CHARACTERS

_EXAMPLE = """PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>

SELECT ?type ?label (COUNT(DISTINCT ?thing) AS ?things)
WHERE {
  ?thing a ?type .
  OPTIONAL { ?type rdfs:label ?label FILTER (lang(?label) = "en") }
}
GROUP BY ?type ?label
ORDER BY DESC(?things) ?type
LIMIT 25
"""
_PAGE = BY_KEY["html"]
_CHART_BYTES = 4 * 2**20
_CHART_ROWS = 2000  # as many as client/src/chart.ts sends
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TITLE = 300  # characters


def router(settings: Settings) -> APIRouter:
    """`GET /editor?query=…`, and `POST /editor/chart` for its script."""
    routes = APIRouter(tags=["sparql"])

    @routes.get(
        "/editor",
        summary="The SPARQL editor",
        **described(HTML, parameters=[parameter("query", "A query to begin with.")]),
    )
    async def editor(request: Request) -> Response:
        body = editor_page(request, settings, request.query_params.get("query") or None)
        return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})

    @routes.post("/editor/chart", include_in_schema=False)
    async def chart(request: Request) -> Response:
        kind, roles, rows, title = _drawing(await _body(request))
        drawn = await asyncio.to_thread(draw, {"kind": kind, **roles}, rows, title, {})
        if drawn is None:
            raise ParameterError(f"The columns chosen hold nothing that a chart of {kind} can show")
        headers = {"X-Stroma-Left-Out": str(drawn.left_out), "Cache-Control": "no-store"}
        return Response(_NOT_XML.sub("\ufffd", drawn.svg).encode(), 200, headers, "image/svg+xml")

    return routes


def editor_page(request: Request, settings: Settings, query: str | None = None) -> bytes:
    """The page of the editor with a query in it, or with an example."""
    words = texts(language_of(request), "editor")
    told = {
        "words": words,
        "prefixes": dict(prefixes()),
        "charts": {kind: {"must": sorted(must), "may": sorted(may)} for kind, (must, may) in CHARTS.items()},
        "base": BASE,
        "version": request.query_params.get("version", ""),
    }
    return render(
        request,
        "editor.html",
        engine_of(request).snapshot.version,
        title=words["title"],
        w=words,
        query=_EXAMPLE if query is None else query,
        told=json.dumps(told, ensure_ascii=False),
        formats=[_PAGE, *(each for each in FORMATS if each is not _PAGE)],
        seconds=f"{settings.query_seconds:g}",
        script=static("editor.js"),
    )


def above(request: Request, query: str, kind: Kind) -> str:
    """What stands above an answer in a browser, as HTML: the way back to the query, other formats."""
    words = texts(language_of(request), "editor")
    version = request.query_params.get("version")
    more = {"version": version} if version else {}

    def link(path: str, label: str, **parameters: str) -> str:
        return f'<a href="{html.escape(path + "?" + urlencode({**parameters, **more}))}">{label}</a>'

    links = []
    if len(query) <= LINK_CHARACTERS:
        links = [link("/editor", html.escape(words["change"]), query=query)]
        links += [
            link("/sparql", each.label, query=query, format=each.key)
            for each in formats_for(kind)
            if each is not _PAGE
        ]
    return f"<h1>{html.escape(words['result'])}</h1><p>{' · '.join(links)}</p>"


async def _body(request: Request) -> object:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _CHART_BYTES:
            raise ParameterError(f"Rows to draw are at most {_CHART_BYTES:,} bytes; send fewer")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ParameterError("Rows to draw are sent as JSON: kind, roles, rows, title") from None


def _drawing(told: object) -> tuple[str, dict[str, str], list[Mapping[str, str]], str]:
    """Kind, roles, rows and title of a chart out of what was sent; raises ParameterError for what is not."""
    if not isinstance(told, dict):
        raise ParameterError("Rows to draw are sent as a JSON object: kind, roles, rows, title")
    kind, roles, rows, title = (told.get(name) for name in ("kind", "roles", "rows", "title"))
    if not isinstance(kind, str) or kind not in CHARTS:
        raise ParameterError(f"kind: there is no such chart; there are: {', '.join(CHARTS)}")
    must, may = CHARTS[kind]
    if not isinstance(roles, dict) or not must <= set(roles) <= must | may:
        raise ParameterError(f"roles: a chart of {kind} takes {', '.join(sorted(must))}")
    if not all(isinstance(column, str) for column in roles.values()):
        raise ParameterError("roles: each is the name of a column")
    if not isinstance(rows, list) or not all(_is_row(row, roles) for row in rows):
        raise ParameterError("rows: each is an object with a text for each column of `roles`")
    if len(rows) > _CHART_ROWS:
        raise ParameterError(f"rows: {len(rows):,} are too many to draw; send at most {_CHART_ROWS:,}")
    return kind, roles, rows, title[:_TITLE] if isinstance(title, str) else ""


def _is_row(row: object, roles: Mapping[str, str]) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(column), str) for column in roles.values())
