"""The W3C's tests of the protocol and of service descriptions, which the copy beside the checkout lacks.

Hides how HTTP is spelled. Names and what is asked are the W3C's (github.com/w3c/rdf-tests, sparql/sparql11).
The update tests that want an update done are left out; those that want one refused are here. The tests of
the Graph Store Protocol each begin with a write, so none is run: tests/test_graph_store.py reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import httpx
from pyoxigraph import NamedNode, Quad
from rdflib import RDF, Graph, Namespace, URIRef

from tests.w3c.results import read
from tests.w3c.suite import W3C, Test

PROTOCOL = "Protocol"
SERVICE = "Service description"

_SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
_DATA = "http://kasei.us/2009/09/sparql/data/data"
_QUERY = "application/sparql-query"
_UPDATE = "application/sparql-update"
_FORM = "application/x-www-form-urlencoded"
_TABLES = {"application/sparql-results+json": "srj", "application/sparql-results+xml": "srx"}
_GRAPHS = {"text/turtle": "ttl", "application/n-triples": "nt", "application/rdf+xml": "xml"}


def quads() -> Iterator[Quad]:
    """The graphs that the requests name: each says that it is a document."""
    type = NamedNode(str(RDF.type))
    for number in range(4):
        graph = NamedNode(f"{_DATA}{number}.rdf")
        yield Quad(graph, type, NamedNode("http://xmlns.com/foaf/0.1/Document"), graph)


def _types(*numbers: int) -> str:
    return " . ".join(f"<{_DATA}{number}.rdf> a ?type{number}" for number in numbers)


def _named(*numbers: int) -> str:
    return " ".join(f"GRAPH ?g{number} {{ {_types(number)} }}" for number in numbers)


def _graphs(parameter: str, *numbers: int) -> list[tuple[str, str]]:
    return [(parameter, f"{_DATA}{number}.rdf") for number in numbers]


@dataclass(frozen=True)
class _Request:
    """A request, and what has to come of it: "true", "table", "graph" or "refused"."""

    name: str
    method: str
    expected: str
    parameters: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | None = None
    media_type: str | None = None


_DEFAULT = _graphs("default-graph-uri", 0)
_TWO_NAMED = f"ASK {{ {_named(1, 2)} }}"
_ALL = f"ASK {{ {_types(3)} {_named(1, 2)} }}"
_FROM = f"ASK FROM <{_DATA}3.rdf> {{ {_named(1, 2)} }}"
_BOTH = f"ASK {{ {_types(1, 2)} }}"
_WITH = "WITH <http://example/a> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }"
_NAMED_12 = _graphs("named-graph-uri", 1, 2)
_DEFAULT_12 = _graphs("default-graph-uri", 1, 2)


def _direct(name: str, expected: str, query: str, parameters: list[tuple[str, str]]) -> _Request:
    return _Request(name, "POST", expected, parameters, query.encode(), _QUERY)


def _posted(name: str, body: str, media_type: str | None, encoding: str = "utf-8") -> _Request:
    return _Request(name, "POST", "refused", [], body.encode(encoding), media_type)


_REQUESTS = (
    _Request("query_post_form", "POST", "true", _DEFAULT, b"query=ASK%20%7B%7D", _FORM),
    _Request("query_dataset_default_graphs_get", "GET", "true", [("query", _BOTH), *_DEFAULT_12]),
    _direct("query_dataset_default_graphs_post", "true", _BOTH, _DEFAULT_12),
    _direct("query_dataset_named_graphs_post", "true", _TWO_NAMED, _NAMED_12),
    _Request("query_dataset_named_graphs_get", "GET", "true", [("query", _TWO_NAMED), *_NAMED_12]),
    _direct("query_dataset_full", "true", _ALL, [*_graphs("default-graph-uri", 3), *_NAMED_12]),
    _direct("query_multiple_dataset", "true", _FROM, _NAMED_12),
    _Request("query_get", "GET", "true", [("query", "ASK {}"), *_DEFAULT]),
    _direct("query_content_type_select", "table", "SELECT (1 AS ?value) {}", _DEFAULT),
    _direct("query_content_type_ask", "true", "ASK {}", _DEFAULT),
    _direct("query_content_type_describe", "graph", "DESCRIBE <http://example.org/>", _DEFAULT),
    _direct("query_content_type_construct", "graph", "CONSTRUCT { <s> <p> 1 } WHERE {}", _DEFAULT),
    _direct("query_post_direct", "true", "ASK {}", []),
    _Request("bad_query_method", "PUT", "refused", [("query", "ASK {}"), *_DEFAULT], b"", _FORM),
    _Request("bad_multiple_queries", "GET", "refused", [("query", "ASK {}"), ("query", "SELECT * {}")]),
    _posted("bad_query_wrong_media_type", "ASK {}", "text/plain"),
    _posted("bad_query_missing_form_type", "query=ASK%20%7B%7D", None),
    _posted("bad_query_missing_direct_type", "ASK {}", None),
    _posted("bad_query_non_utf8", "ASK {}", f"{_QUERY}; charset=UTF-16", "utf-16"),
    _Request("bad_query_syntax", "GET", "refused", [("query", "ASK {")]),
    _Request("bad_update_get", "GET", "refused", [("update", "CLEAR ALL")]),
    _posted("bad_multiple_updates", "update=CLEAR%20NAMED&update=CLEAR%20DEFAULT", _FORM),
    _posted("bad_update_wrong_media_type", "CLEAR NAMED", "text/plain"),
    _posted("bad_update_missing_form_type", "update=CLEAR%20NAMED", None),
    _posted("bad_update_non_utf8", "CLEAR NAMED", f"{_UPDATE}; charset=UTF-16", "utf-16"),
    _posted("bad_update_syntax", "update=CLEAR%20XYZ", _FORM),
    _Request(
        "bad_update_dataset_conflict",
        "POST",
        "refused",
        [("using-named-graph-uri", "http://example/people")],
        _WITH.encode(),
        _UPDATE,
    ),
)


def run(client: httpx.Client, address: str) -> Iterator[tuple[Test, str | None]]:
    """Each test of the two suites with None, or with what is wrong."""
    for request in _REQUESTS:
        iri = f"{W3C}protocol/manifest#{request.name}"
        yield Test(iri, PROTOCOL, "protocol", request.name), _tried(client, address, request)
    for name, check in _DESCRIBED.items():
        iri = f"{W3C}service-description/manifest#{name}"
        response = client.get(f"{address}/sparql", headers={"Accept": "text/turtle"})
        yield Test(iri, SERVICE, "service-description", name), check(response, f"{address}/sparql")


def _tried(client: httpx.Client, address: str, request: _Request) -> str | None:
    # The suite's addresses end in a slash.
    url = f"{address}/sparql/?{urlencode(request.parameters, quote_via=quote)}"
    headers = {"Content-Type": request.media_type} if request.media_type else {}
    response = client.request(request.method, url, content=request.body, headers=headers)
    if request.expected == "refused":
        return None if 400 <= response.status_code < 500 else f"status {response.status_code}, not 4xx"
    if response.status_code != 200:
        return f"status {response.status_code}: {response.text}"
    media_type = response.headers["content-type"].partition(";")[0]
    if request.expected == "graph":
        return None if media_type in _GRAPHS else f"a graph as {media_type}"
    if media_type not in _TABLES:
        return f"a table as {media_type}"
    result = read(response.content, _TABLES[media_type])
    if request.expected == "true":
        return None if result is True else f"{result}, not true"
    return None if not isinstance(result, bool) else "a boolean, not a table"


def _returns_rdf(response: httpx.Response, endpoint: str) -> str | None:
    if response.status_code != 200:
        return f"status {response.status_code}"
    return None if len(Graph().parse(data=response.text, format="turtle")) else "no triples"


def _has_endpoint(response: httpx.Response, endpoint: str) -> str | None:
    graph = Graph().parse(data=response.text, format="turtle")
    found = list(graph.subjects(_SD.endpoint, URIRef(endpoint)))
    return None if len(found) == 1 else f"{len(found)} services at {endpoint}"


# property -> the class of its subject, the class of its object: the vocabulary's domains and ranges
_SCHEMA = {
    _SD.endpoint: (_SD.Service, None),
    _SD.feature: (_SD.Service, _SD.Feature),
    _SD.defaultEntailmentRegime: (_SD.Service, _SD.EntailmentRegime),
    _SD.supportedLanguage: (_SD.Service, _SD.Language),
    _SD.languageExtension: (_SD.Service, _SD.Feature),
    _SD.extensionFunction: (_SD.Service, _SD.Function),
    _SD.resultFormat: (_SD.Service, None),
    _SD.defaultDataset: (_SD.Service, _SD.Dataset),
    _SD.defaultGraph: (_SD.Dataset, _SD.Graph),
    _SD.namedGraph: (_SD.Dataset, _SD.NamedGraph),
    _SD.name: (_SD.NamedGraph, None),
    _SD.graph: (_SD.NamedGraph, _SD.Graph),
}
# The instances that the vocabulary itself names.
_OF_VOCABULARY = {
    _SD.UnionDefaultGraph: _SD.Feature,
    _SD.SPARQL11Query: _SD.Language,
    URIRef("http://www.w3.org/ns/entailment/Simple"): _SD.EntailmentRegime,
}


def _conforms(response: httpx.Response, endpoint: str) -> str | None:
    graph = Graph().parse(data=response.text, format="turtle")
    for instance, type in _OF_VOCABULARY.items():
        graph.add((instance, RDF.type, type))
    for subject, property, object in graph:
        if property in _SCHEMA:
            domain, range = _SCHEMA[property]
            if (subject, RDF.type, domain) not in graph:
                return f"{subject} has {property} and is no {domain}"
            if range is not None and (object, RDF.type, range) not in graph:
                return f"{object} is the value of {property} and no {range}"
        elif str(property).startswith(str(_SD)):
            return f"{property} is not in the vocabulary"
    for dataset in graph.subjects(RDF.type, _SD.Dataset):
        if len(list(graph.objects(dataset, _SD.defaultGraph))) != 1:
            return f"{dataset} has not one default graph"
    return None


_DESCRIBED: dict[str, Callable[[httpx.Response, str], str | None]] = {
    "returns-rdf": _returns_rdf,
    "has-endpoint-triple": _has_endpoint,
    "conforms-to-schema": _conforms,
}

# The ids of all tests here.
REQUESTS = (
    *(f"protocol/{request.name}" for request in _REQUESTS),
    *(f"service-description/{name}" for name in _DESCRIBED),
)
