"""The service description, as RDF that says what is true of the endpoint."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pyoxigraph import Store
from rdflib import Graph, Literal, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import RDF, SDO, XSD, Namespace

from kg.engine import extensions
from kg.engine.formats import FORMATS, Kind, formats_for

SD = Namespace("http://www.w3.org/ns/sparql-service-description#")
VOID = Namespace("http://rdfs.org/ns/void#")


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    return f"{serve(query_seconds=7.5)}/sparql"


@pytest.fixture(scope="module")
def described(url: str) -> Graph:
    return Graph().parse(data=httpx.get(url).text, format="turtle")


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # by rdflib 7's JSON-LD parser
def test_the_description_is_the_same_in_every_format(url: str, described: Graph) -> None:
    names = {"turtle": "turtle", "ntriples": "nt", "rdfxml": "xml", "jsonld": "json-ld"}
    for format in formats_for(Kind.GRAPH):
        if format.key in names:
            response = httpx.get(url, headers={"Accept": format.media_type})
            assert response.headers["content-type"] == format.content_type
            assert isomorphic(described, Graph().parse(data=response.text, format=names[format.key]))
            assert response.text == httpx.get(f"{url}.{format.suffix}").text
    assert httpx.get(url, headers={"Accept": "image/png"}).status_code == 406


def test_every_object_of_the_vocabulary_is_of_the_class_the_vocabulary_wants(described: Graph) -> None:
    """The ranges of https://www.w3.org/ns/sparql-service-description, for what we say."""
    ranges = {
        SD.defaultDataset: SD.Dataset,
        SD.defaultGraph: SD.Graph,
        SD.namedGraph: SD.NamedGraph,
        SD.graph: SD.Graph,
        SD.languageExtension: SD.Feature,
        SD.extensionFunction: SD.Function,
    }
    for property, wanted in ranges.items():
        objects = set(described.objects(None, property))
        assert objects
        assert all((each, RDF.type, wanted) in described for each in objects)
    terms = {term for triple in described for term in triple if str(term).startswith(str(SD))}
    known = {
        "Service", "Dataset", "Graph", "NamedGraph", "Feature", "Function", "endpoint", "supportedLanguage",
        "SPARQL11Query", "feature", "UnionDefaultGraph", "defaultEntailmentRegime", "resultFormat",
        "languageExtension", "extensionFunction", "defaultDataset", "defaultGraph", "namedGraph", "name",
        "graph",
    }  # fmt: skip
    assert known == {str(term).removeprefix(str(SD)) for term in terms}


@pytest.mark.parametrize("path", ["", "/", "?default-graph-uri="])
def test_the_endpoint_is_the_address_that_was_asked(url: str, path: str) -> None:
    text = httpx.get(url + path).text
    (endpoint,) = Graph().parse(data=text, format="turtle").objects(None, SD.endpoint)
    assert str(endpoint) == (url + path).partition("?")[0]


def test_each_format_it_names_is_one_that_is_given(url: str, described: Graph) -> None:
    named = {str(iri).rpartition("/")[2] for iri in described.objects(None, SD.resultFormat)}
    assert named == {
        "SPARQL_Results_JSON", "SPARQL_Results_XML", "SPARQL_Results_CSV", "SPARQL_Results_TSV",
        "Turtle", "N-Triples", "N-Quads", "TriG", "RDF_XML", "JSON-LD",
    }  # fmt: skip
    for format in FORMATS:
        query = "SELECT * {}" if Kind.SOLUTIONS in format.kinds else "CONSTRUCT {} WHERE {}"
        got = httpx.get(url, params={"query": query}, headers={"Accept": format.media_type})
        assert got.headers["content-type"] == format.content_type


def test_the_default_dataset_names_every_graph_with_its_size(described: Graph) -> None:
    sizes = {
        str(name): int(str(described.value(described.value(graph, SD.graph), VOID.triples)))
        for graph, name in described.subject_objects(SD.name)
    }
    assert sizes == {
        "https://example.org/trials": 2,
        "https://example.org/labels": 1,
        "https://example.org/many": 2000,
    }
    assert (None, SD.feature, SD.UnionDefaultGraph) in described


def test_the_limits_are_those_of_the_settings(described: Graph) -> None:
    most = {
        str(described.value(limit, SDO.propertyID)): described.value(limit, SDO.maxValue)
        for limit in described.objects(None, SDO.additionalProperty)
    }
    assert most["query_seconds"] == Literal("7.5", datatype=XSD.decimal)
    assert most["query_bytes"] == Literal(256 * 1024)
    assert set(most) == {
        "query_seconds", "worker_memory_bytes", "query_bytes", "query_tokens", "query_nesting", "workers",
        "long_queries", "queue",
    }  # fmt: skip


def is_known(store: Store, function: str) -> bool:
    """Whether the evaluator has a function, whatever it says of being called without arguments."""
    try:
        store.query(f"SELECT (<{function}>() AS ?x) {{}}")
    except RuntimeError as problem:
        return "not supported" not in str(problem)
    return True


def test_the_evaluator_has_every_function_and_extension_named(described: Graph) -> None:
    store = Store()
    named = {str(iri) for iri in described.objects(None, SD.extensionFunction)}
    assert named == set(extensions.FUNCTIONS)
    unknown = {iri for iri in [*extensions.FUNCTIONS, "https://example.org/f"] if not is_known(store, iri)}
    assert unknown == {"https://example.org/f"}
    xsd = "http://www.w3.org/2001/XMLSchema#"
    for query in (
        f"ASK {{ FILTER (ADJUST('2026-11-22T00:00:00Z'^^<{xsd}dateTime>, 'PT1H'^^<{xsd}dayTimeDuration>)"
        f" = '2026-11-22T01:00:00+01:00'^^<{xsd}dateTime>) }}",
        f"ASK {{ FILTER ('2026-11-22'^^<{xsd}date> - '2026-11-20'^^<{xsd}date>"
        f" = 'P2D'^^<{xsd}dayTimeDuration>) }}",
        "ASK { VALUES ?x { 1 } LATERAL { BIND (?x + 1 AS ?y) } FILTER (?y = 2) }",
        "ASK { FILTER (isTRIPLE(TRIPLE(<a:a>, <a:b>, <a:c>)) && hasLANG('a'@en)) }",
        "ASK { FILTER (SUBJECT(<<( <a:a> <a:b> <a:c> )>>) = <a:a>) }",
        "ASK { FILTER (LANGDIR(STRLANGDIR('a', 'en', 'ltr')) = 'ltr') }",
    ):
        assert bool(store.query(query)), query
    assert len(set(described.objects(None, SD.languageExtension))) == len(extensions.LANGUAGE)


def test_it_says_how_it_answers_what_was_inferred(described: Graph) -> None:
    simple = URIRef("http://www.w3.org/ns/entailment/Simple")
    assert (None, SD.defaultEntailmentRegime, simple) in described
    assert (None, SD.supportedLanguage, SD.SPARQL11Query) in described


@pytest.mark.parametrize("host", ["a b", 'x"><script>', "<a>", "a/b", "a@b"])
def test_a_host_that_is_no_host_never_gets_into_the_description(url: str, host: str) -> None:
    assert httpx.get(url, headers={"Host": host}).status_code == 400
