"""The service description: what `GET /sparql` without a query gives.

Hides the SPARQL 1.1 Service Description vocabulary. Programs get RDF in the format they ask for, browsers the
editor. It is made of what the engine and the settings say, so it asks no worker and is always fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, serialize
from starlette.requests import Request
from starlette.responses import Response

from kg.engine import Engine, extensions
from kg.engine.formats import FORMATS, Kind
from kg.services import networks
from kg.settings import Settings, is_remote
from kg.terms import BASE, DCTERMS, RDF, RDFS, VOID, XSD, Namespace, expand, mint, prefixes
from kg.web.asked import engine_of
from kg.web.documents import address, document
from kg.web.editor import editor_page
from kg.web.formats import negotiate
from kg.web.language import VARY

_SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
_SCHEMA = Namespace("https://schema.org/")
_SIMPLE = NamedNode("http://www.w3.org/ns/entailment/Simple")
_INFERRED = BASE + "graph/inferred/"


class Limit(NamedTuple):
    """What one query may use: the setting's name, what it bounds, a number, and its unit."""

    setting: str
    bounds: str
    most: float
    unit: str

    @property
    def parts(self) -> tuple[str, str]:
        """The number and its unit, for a page."""
        if self.unit == "bytes" and self.most >= 2**20:
            return f"{self.most / 2**20:,.0f}", "MiB"
        return f"{self.most:,.12g}", self.unit


def limits(settings: Settings) -> tuple[Limit, ...]:
    """The limits that a client may meet; of memory and of long queries none where another server answers."""
    here = not is_remote(settings.engine)
    memory = Limit(
        "worker_memory_bytes", "and use, over the shared graph", settings.worker_memory_bytes, "bytes"
    )
    beside = Limit(
        "long_queries",
        f"beside them, of those that take longer than {settings.long_seconds:g} seconds",
        settings.long_queries,
        "queries",
    )
    return (
        Limit("query_seconds", "one query may run", settings.query_seconds, "seconds"),
        *((memory,) if here else ()),
        Limit("query_bytes", "its text", settings.query_bytes, "bytes"),
        Limit("query_tokens", "its text", settings.query_tokens, "tokens"),
        Limit("query_nesting", "its brackets", settings.query_nesting, "levels"),
        Limit("workers", "queries at once", settings.workers, "queries"),
        *((beside,) if here else ()),
        Limit("queue", "queries that may wait", settings.queue, "queries"),
        *(_limits_of_services(settings) if settings.services else ()),
    )


def _limits_of_services(settings: Settings) -> Iterator[Limit]:
    yield Limit("service_seconds", "another endpoint may take", settings.service_seconds, "seconds")
    yield Limit("service_bytes", "and answer, to all of a query", settings.service_bytes, "bytes")
    yield Limit("service_queries", "queries at once that ask others", settings.service_queries, "queries")


def describe(
    request: Request,
    settings: Settings,
    accept: str | None,
    format: str | None,
    *,
    endpoint: str,
) -> Response:
    """The service description of `endpoint` in the format asked for, or the editor for browsers.

    Raises NotAcceptable listing the representations.
    """
    engine = engine_of(request)
    chosen, content_type = negotiate(accept, format, Kind.GRAPH)
    if chosen.key == "html":
        return document(request, editor_page(request, settings), content_type, {"Vary": VARY})
    body = serialize(
        chain(
            _description(NamedNode(endpoint), engine, settings),
            _more(NamedNode(endpoint), address(request, ""), engine),
        ),
        format=RdfFormat.from_media_type(chosen.media_type),
        prefixes={
            name: prefixes()[name]
            for name in ("sd", "void", "dcat", "dcterms", "foaf", "rdfs", "schema", "xsd")
        },
    )
    assert body is not None  # None where it writes to a file
    return document(request, body, content_type)


def _description(endpoint: NamedNode, engine: Engine, settings: Settings) -> Iterator[Triple]:
    snapshot = engine.snapshot
    dataset, union = BlankNode("dataset"), BlankNode("union")
    yield Triple(endpoint, RDF.type, _SD.Service)
    yield Triple(endpoint, _SD.endpoint, endpoint)
    yield Triple(endpoint, RDFS.label, _en("Stroma: MSC therapy for rheumatoid arthritis, SPARQL endpoint"))
    yield Triple(endpoint, _SD.supportedLanguage, _SD.SPARQL11Query)
    yield Triple(endpoint, _SD.feature, _SD.UnionDefaultGraph)
    if settings.services:
        yield Triple(endpoint, _SD.feature, _SD.BasicFederatedQuery)
    yield Triple(endpoint, _SD.defaultEntailmentRegime, _SIMPLE)
    yield Triple(endpoint, RDFS.comment, _en(_entailment(engine)))
    if settings.services:
        yield Triple(endpoint, RDFS.comment, _en(_federation(settings)))
    for each in FORMATS:
        if each.iri is not None:
            yield Triple(endpoint, _SD.resultFormat, NamedNode(each.iri))
    for iri, label in extensions.LANGUAGE.items():
        yield Triple(endpoint, _SD.languageExtension, NamedNode(iri))
        yield Triple(NamedNode(iri), RDF.type, _SD.Feature)
        yield Triple(NamedNode(iri), RDFS.label, _en(label))
    for iri in extensions.FUNCTIONS:
        yield Triple(endpoint, _SD.extensionFunction, NamedNode(iri))
        yield Triple(NamedNode(iri), RDF.type, _SD.Function)
    for limit in limits(settings):
        value = BlankNode(limit.setting.replace("_", "-"))
        yield Triple(endpoint, _SCHEMA.additionalProperty, value)
        yield Triple(value, RDF.type, _SCHEMA.PropertyValue)
        yield Triple(value, _SCHEMA.propertyID, Literal(limit.setting))
        yield Triple(value, _SCHEMA.name, _en(f"limit: {limit.bounds}"))
        yield Triple(value, _SCHEMA.maxValue, _number(limit.most))
        yield Triple(value, _SCHEMA.unitText, Literal(limit.unit))
    yield Triple(endpoint, _SD.defaultDataset, dataset)
    yield Triple(dataset, RDF.type, _SD.Dataset)
    yield Triple(dataset, DCTERMS.title, _en("Stroma: MSC therapy for rheumatoid arthritis"))
    yield Triple(dataset, DCTERMS.hasVersion, Literal(snapshot.version))
    yield Triple(dataset, DCTERMS.identifier, Literal(snapshot.hash))
    yield Triple(dataset, _SD.defaultGraph, union)
    yield Triple(union, RDF.type, _SD.Graph)
    yield Triple(union, RDFS.comment, _en("The union of all named graphs."))
    for number, (iri, quads) in enumerate(sorted(snapshot.graphs.items())):
        if iri.startswith("_:"):
            continue
        named, graph = BlankNode(f"named{number}"), BlankNode(f"graph{number}")
        yield Triple(dataset, _SD.namedGraph, named)
        yield Triple(named, RDF.type, _SD.NamedGraph)
        yield Triple(named, _SD.name, NamedNode(iri))
        yield Triple(named, _SD.graph, graph)
        yield Triple(graph, RDF.type, _SD.Graph)
        yield Triple(graph, VOID.triples, _number(quads))


def _more(endpoint: NamedNode, base: str, engine: Engine) -> Iterator[Triple]:
    """Where more is said: what is in the graph (VoID, DCAT), examples, prefixes."""
    snapshot = mint("snapshot", engine.snapshot.version)
    void = NamedNode(f"{base}/.well-known/void")
    yield Triple(endpoint, RDF.type, expand("dcat:DataService"))
    yield Triple(endpoint, expand("dcat:servesDataset"), snapshot)
    for kind in (VOID.Dataset, expand("dcat:Dataset")):
        yield Triple(snapshot, RDF.type, kind)
    yield Triple(snapshot, VOID.sparqlEndpoint, endpoint)
    yield Triple(snapshot, RDFS.seeAlso, void)
    yield Triple(void, RDF.type, VOID.DatasetDescription)
    yield Triple(void, expand("foaf:primaryTopic"), snapshot)
    for name in ("sparql-examples", "prefixes"):
        yield Triple(endpoint, RDFS.seeAlso, NamedNode(f"{base}/.well-known/{name}"))


def _entailment(engine: Engine) -> str:
    inferred = any(iri.startswith(_INFERRED) for iri in engine.snapshot.graphs)
    added = (
        f"What follows from the ontology was worked out before and stands as ordinary triples in the graphs "
        f"{_INFERRED}…, one for each rule; a query that names other graphs leaves it out. "
        if inferred
        else ""
    )
    return (
        f"Queries are answered by simple entailment. {added}There are no updates. "
        f"A relative IRI in a query is one below {BASE}"
    )


def _federation(settings: Settings) -> str:
    listed = ", ".join(f"<{endpoint}>" for endpoint in networks(settings.services))
    return f"SERVICE may ask {listed}; no other endpoint is asked, whatever a query says"


def _en(text: str) -> Literal:
    return Literal(text, language="en")


def _number(value: float) -> Literal:
    if isinstance(value, int) or value.is_integer():
        return Literal(str(int(value)), datatype=XSD.integer)
    return Literal(f"{value:f}".rstrip("0"), datatype=XSD.decimal)
