"""`/graphs`: the read side of the SPARQL 1.1 Graph Store HTTP Protocol.

Hides how a graph is named in an address. A graph is read directly, at `/graphs/<name>` or at the path of its
own IRI, `/graph/<name>`, and indirectly, at `/graphs?graph=<IRI>` or `/graphs?default`; either way the engine
writes it, as it writes the answer of a CONSTRUCT query. Without any of these `/graphs` is the list of graphs.
"""

from __future__ import annotations

import html
import json
from urllib.parse import quote, unquote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kg.engine import Dataset, Engine, guard
from kg.engine.formats import SUFFIXES, Kind, formats_for
from kg.errors import ParameterError
from kg.settings import Settings
from kg.terms import BASE, compress
from kg.web import service
from kg.web.asked import engine_of
from kg.web.documents import address, document
from kg.web.formats import choose, joined, negotiate
from kg.web.language import VARY, language_of, texts
from kg.web.openapi import JSON, described, format_parameter, media_types, parameter
from kg.web.pages import page
from kg.web.responder import Responder

_OWN = BASE + "graph/"
_ALL = "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }"
_IN_PATHS = "/%:@!$&'()*+,;=~"  # an IRI's characters that stand in a path as they are (RFC 3986, 3.3)
_SHOWN = 1000  # statements on a page; every other format has all of them


def router(settings: Settings) -> APIRouter:
    """`/graphs`, `/graphs/<name>` and `/graph/<name>`."""
    routes = APIRouter(tags=["graphs"])
    responder = Responder(settings)

    async def read(request: Request, iri: str | None, format: str | None) -> Response:
        """One graph; the default graph for None."""
        engine = engine_of(request)
        dataset = None if iri is None else Dataset(default=(iri,))
        if dataset is not None:
            guard.check_graphs(dataset, engine.snapshot.graphs)
        shown = negotiate(joined(request, "accept"), format, Kind.GRAPH)[0].key == "html"
        return await responder.respond(
            request,
            f"{_ALL} LIMIT {_SHOWN}" if shown else _ALL,
            dataset=dataset,
            format=format,
            heading=_heading(request, engine, iri) if shown else "",
        )

    @routes.get("/graphs/", include_in_schema=False)
    @routes.get(
        "/graphs",
        summary="The graphs there are, or one of them by its IRI (Graph Store Protocol)",
        description="`/graphs?default`, without `graph`, gives all graphs as one.",
        **described(
            JSON,
            *media_types(Kind.GRAPH),
            parameters=[
                parameter("graph", "The IRI of a graph.", {"type": "string", "format": "uri"}),
                format_parameter(Kind.GRAPH, also=("json",)),
            ],
        ),
    )
    async def indirect(request: Request) -> Response:
        values = request.query_params
        asked = [*values.getlist("graph"), *(["default"] if "default" in values else [])]
        format = _format(values.getlist("format"))
        if len(asked) > 1:
            raise ParameterError("several graphs are named; ask for one: ?graph=<IRI>, or ?default")
        if not asked:
            return _list(request, settings, format)
        return await read(request, None if "default" in values else asked[0], format)

    @routes.get("/graph/{name:path}", include_in_schema=False)
    @routes.get(
        "/graphs/{name:path}",
        summary="A graph by its name, which may end in a format: trials.ttl (Graph Store Protocol)",
        **described(
            *media_types(Kind.GRAPH),
            parameters=[
                parameter("name", "Its IRI after …/graph/", where="path"),
                format_parameter(Kind.GRAPH),
            ],
        ),
    )
    async def direct(request: Request) -> Response:
        iri, suffix = _own(request, engine_of(request))
        return await read(request, iri, _format([suffix, *request.query_params.getlist("format")]))

    return routes


def path_of(iri: str) -> str:
    """Where a graph is read: by its name where its IRI is ours, else by its IRI."""
    if iri.startswith(_OWN):
        return f"/graphs/{quote(iri.removeprefix(_OWN), safe=_IN_PATHS)}"
    return f"/graphs?graph={quote(iri, safe='')}"


def _own(request: Request, engine: Engine) -> tuple[str, str]:
    """The graph that the path names, and the format its end names, or "".

    The request's path is the graph's IRI as it stands (GSP, 4.1), so it is taken before it is decoded; what
    browsers encode and IRIs do not is decoded.
    """
    raw = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").partition("?")[0]
    name = raw.split("/", 2)[2]
    stem, dot, suffix = name.rpartition(".")
    graphs = engine.snapshot.graphs
    spelled = [(name, ""), (unquote(name), "")]
    if dot and suffix in SUFFIXES:
        spelled += [(stem, suffix), (unquote(stem), suffix)]
    for each, format in spelled:
        if _OWN + each in graphs:
            return _OWN + each, format
    each, format = spelled[-1]
    return _OWN + each, format


def _format(names: list[str]) -> str | None:
    return ",".join(name for name in names if name) or None


def _list(request: Request, settings: Settings, format: str | None) -> Response:
    """The graphs as JSON or a page; in RDF they are the service description's default dataset."""
    engine, accept = engine_of(request), joined(request, "accept")
    others = ((each.media_type,) for each in formats_for(Kind.GRAPH))
    found = choose(accept, [("application/json",), *others])
    if format == "json" or (format is None and found is not None and found[0] == 0):
        body = json.dumps(_described(engine), ensure_ascii=False, indent=1).encode()
        return document(request, body, "application/json")
    chosen, _ = negotiate(accept, format, Kind.GRAPH)
    if chosen.key == "html":
        return _listed(request)
    return service.describe(request, settings, accept, format, endpoint=address(request, "/sparql"))


def _described(engine: Engine) -> dict[str, object]:
    return {
        "version": engine.snapshot.version,
        "default": {"quads": engine.snapshot.quads, "address": "/graphs?default"},
        "graphs": [
            {"iri": iri, "quads": quads, "address": path_of(iri)}
            for iri, quads in sorted(engine.snapshot.graphs.items())
            if not iri.startswith("_:")
        ],
    }


def _listed(request: Request) -> Response:
    engine, t = engine_of(request), texts(language_of(request), "lists")
    rows = "".join(
        f'<tr><td><a href="{html.escape(path_of(iri))}">{html.escape(compress(iri))}</a></td>'
        f'<td class="number">{quads:,}</td></tr>'
        for iri, quads in sorted(engine.snapshot.graphs.items())
        if not iri.startswith("_:")
    )
    content = (
        f"<h1>{t['graphs']}</h1><p class=lead>{t['graphs-lead']} "
        f'<a href="/graphs?default">{t["graphs-one"]}</a> {t["graphs-seen"]}</p>'
        f'<div class="wide" tabindex="0"><table><thead><tr><th>{t["graph"]}</th>'
        f"<th>{t['statements']}</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
    body = page(t["graphs"], content, engine.snapshot.version, request)
    return document(request, body, "text/html; charset=utf-8", {"Vary": VARY})


def _heading(request: Request, engine: Engine, iri: str | None) -> str:
    t = texts(language_of(request), "lists")
    quads = engine.snapshot.quads if iri is None else engine.snapshot.graphs[iri]
    name = t["graph-whole"] if iri is None else html.escape(compress(iri))
    base = "/graphs?default" if iri is None else path_of(iri)
    mark = "&amp;" if "?" in base else "?"
    whole = " · ".join(
        f'<a href="{html.escape(base)}{mark}format={each.key}">{each.label}</a>'
        for each in formats_for(Kind.GRAPH)
        if each.key != "html"
    )
    said = t["graph-shown" if quads > _SHOWN else "graph-size"]
    said = said.replace("{n}", f"{quads:,}").replace("{shown}", f"{_SHOWN:,}")
    return f"<h1>{name}</h1><p class=lead>{said} {t['graph-forms']} {whole}</p>"
