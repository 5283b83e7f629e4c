"""What the endpoint says of itself: the front page, `/health`, and the service description.

Hides the SPARQL Service Description vocabulary and the markup of these pages.
"""

from __future__ import annotations

import html
from typing import Any

from fastapi import APIRouter
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, serialize
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kg.engine import Engine
from kg.engine.formats import FORMATS, Kind, formats_for, named_format
from kg.errors import UsageError
from kg.settings import Settings
from kg.terms import DCTERMS, RDF, VOID, XSD, Namespace, compress
from kg.web.asked import engine_of
from kg.web.formats import NotAcceptable, choose
from kg.web.pages import page

_SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
_RDF_FORMATS = {
    "turtle": RdfFormat.TURTLE,
    "ntriples": RdfFormat.N_TRIPLES,
    "nquads": RdfFormat.N_QUADS,
    "trig": RdfFormat.TRIG,
    "rdfxml": RdfFormat.RDF_XML,
    "jsonld": RdfFormat.JSON_LD,
}
_W3C_FORMAT = Namespace("http://www.w3.org/ns/formats/")
_W3C_FORMATS = {
    "json": "SPARQL_Results_JSON",
    "xml": "SPARQL_Results_XML",
    "csv": "SPARQL_Results_CSV",
    "tsv": "SPARQL_Results_TSV",
    "turtle": "Turtle",
    "ntriples": "N-Triples",
    "nquads": "N-Quads",
    "trig": "TriG",
    "rdfxml": "RDF_XML",
    "jsonld": "JSON-LD",
}

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


def router(settings: Settings) -> APIRouter:
    """`/` and `/health`."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        engine = engine_of(request)
        content = _home(engine, settings)
        body = page("MSC therapy for rheumatoid arthritis", content, engine.snapshot.version)
        return Response(body, media_type="text/html")

    @routes.get("/health", tags=["about"], summary="Is the service up, and does it answer?")
    async def health(request: Request) -> Response:
        engine = engine_of(request)
        status = engine.status
        state: dict[str, Any] = {
            "live": True,
            "ready": status.ready,
            "version": engine.snapshot.version,
            "hash": engine.snapshot.hash,
            "quads": engine.snapshot.quads,
            "workers": {"alive": status.workers, "busy": status.busy, "waiting": status.waiting},
            "locks": dict(status.locks),
        }
        return JSONResponse(state, 200 if status.ready else 503, {"Cache-Control": "no-store"})

    return routes


def service(request: Request, settings: Settings, accept: str | None, format: str | None) -> Response:
    """What `GET /sparql` without a query gives: the service description, or a form for browsers.

    Raises NotAcceptable listing the representations.
    """
    engine = engine_of(request)
    offered = [each for each in formats_for(Kind.GRAPH) if each.key != "html"]
    names = [(each.media_type, *each.aliases) for each in offered]
    headers = {"Vary": "Accept", "Cache-Control": "no-cache", "Link": '</sparql>; rel="describedby"'}
    if format:
        try:
            chosen = named_format(format, Kind.GRAPH)
        except UsageError as problem:
            raise NotAcceptable(str(problem)) from None
        index = offered.index(chosen) if chosen in offered else len(offered)
    else:
        found = choose(accept, [*names, ("text/html", "application/xhtml+xml")])
        if found is None:
            listed = ", ".join(["text/html", *(each.media_type for each in offered)])
            raise NotAcceptable(f"Nothing on offer fits the Accept header. There are: {listed}")
        index = found[0]
    if index == len(offered):
        content = _form(settings)
        return Response(page("SPARQL", content, engine.snapshot.version), 200, headers, "text/html")
    body = serialize(
        _description(str(request.url.replace(query="", fragment="")), engine),
        format=_RDF_FORMATS[offered[index].key],
        prefixes={
            "sd": "http://www.w3.org/ns/sparql-service-description#",
            "void": "http://rdfs.org/ns/void#",
            "dcterms": "http://purl.org/dc/terms/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
    )
    return Response(body, 200, headers, offered[index].content_type)


def _description(address: str, engine: Engine) -> list[Triple]:
    endpoint = NamedNode(address)
    snapshot = engine.snapshot
    dataset, union = BlankNode("dataset"), BlankNode("union")
    triples = [
        Triple(endpoint, RDF.type, _SD.Service),
        Triple(endpoint, _SD.endpoint, endpoint),
        Triple(endpoint, _SD.supportedLanguage, _SD.SPARQL11Query),
        Triple(endpoint, _SD.feature, _SD.UnionDefaultGraph),
        Triple(endpoint, _SD.defaultDataset, dataset),
        Triple(dataset, RDF.type, _SD.Dataset),
        Triple(
            dataset, DCTERMS.title, Literal("Stroma: MSC therapy for rheumatoid arthritis", language="en")
        ),
        Triple(dataset, DCTERMS.hasVersion, Literal(snapshot.version)),
        Triple(dataset, DCTERMS.identifier, Literal(snapshot.hash)),
        Triple(dataset, _SD.defaultGraph, union),
        Triple(union, RDF.type, _SD.Graph),
        Triple(union, VOID.triples, Literal(str(snapshot.quads), datatype=XSD.integer)),
    ]
    triples += [
        Triple(endpoint, _SD.resultFormat, _W3C_FORMAT(_W3C_FORMATS[each.key]))
        for each in FORMATS
        if each.key in _W3C_FORMATS
    ]
    for number, (iri, quads) in enumerate(sorted(snapshot.graphs.items())):
        if iri.startswith("_:"):
            continue
        named, graph = BlankNode(f"named{number}"), BlankNode(f"graph{number}")
        triples += [
            Triple(dataset, _SD.namedGraph, named),
            Triple(named, RDF.type, _SD.NamedGraph),
            Triple(named, _SD.name, NamedNode(iri)),
            Triple(named, _SD.graph, graph),
            Triple(graph, RDF.type, _SD.Graph),
            Triple(graph, VOID.triples, Literal(str(quads), datatype=XSD.integer)),
        ]
    return triples


def _home(engine: Engine, settings: Settings) -> str:
    snapshot = engine.snapshot
    graphs = "".join(
        f'<tr><td>{html.escape(compress(iri))}</td><td class="number">{quads:,}</td></tr>'
        for iri, quads in sorted(snapshot.graphs.items(), key=lambda graph: (-graph[1], graph[0]))
    )
    limits = "".join(
        f"<tr><td>{name}</td><td>{value}</td></tr>"
        for name, value in (
            ("one query may run", f"{settings.query_seconds:g} seconds"),
            ("and use, over the shared graph", f"{settings.worker_memory_bytes / 1024**2:,.0f} MiB"),
            ("its text", f"{settings.query_bytes:,} bytes, {settings.query_tokens:,} tokens"),
            ("its brackets", f"{settings.query_nesting} deep"),
            ("queries at once", f"{settings.workers}; {settings.queue} more may wait"),
        )
    )
    locks = ", ".join(f"{name}: {lock}" for name, lock in engine.status.locks.items())
    return f"""<h1>What is known of mesenchymal stromal cells in rheumatoid arthritis</h1>
<p class="lead">A knowledge graph of cell therapy for rheumatoid arthritis: mechanisms, the joint's
microenvironment, trials, doses and routes, outcomes and safety, each statement with where it was said.</p>
<div class="facts"><div><b>{snapshot.quads:,}</b>statements</div>
<div><b>{len(snapshot.graphs)}</b>named graphs</div>
<div><b>{html.escape(snapshot.version)}</b>snapshot</div></div>
<p><a href="/queries">Answered questions</a> are the quickest way in. To ask your own,
use the <a href="/sparql">SPARQL form</a>, or any client at <code>/sparql</code>.</p>
<h2>Graphs</h2><div class="wide"><table><thead><tr><th>graph</th><th>statements</th></tr></thead>
<tbody>{graphs}</tbody></table></div>
<h2 id="limits">Limits</h2><div class="wide"><table><tbody>{limits}</tbody></table></div>
<p class="soft">A query that reaches a limit is told which. Locks on its process: {html.escape(locks)}.</p>
<h2>From a terminal</h2>
<pre>curl -H 'Accept: text/csv' --data-urlencode 'query=SELECT * {{ ?s ?p ?o }} LIMIT 5' …/sparql</pre>"""


def _form(settings: Settings) -> str:
    options = "".join(
        f'<option value="{each.key}"{" selected" if each.key == "html" else ""}>{each.label}</option>'
        for each in (FORMATS[-1], *FORMATS[:-1])
    )
    return f"""<h1>Ask the graph</h1>
<form action="/sparql" method="get">
<label for="query" class="soft">A SPARQL query. The default graph is the union of all graphs.</label>
<textarea id="query" name="query" rows="16" spellcheck="false">{html.escape(_EXAMPLE)}</textarea>
<div class="row"><label>Answer as <select name="format">{options}</select></label>
<button type="submit">Run</button></div></form>
<p class="soft">At most {settings.query_seconds:g} seconds a query. Programs get the service description here:
ask for <code>text/turtle</code>.</p>"""
