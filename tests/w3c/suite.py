"""The W3C SPARQL 1.1 test suite as cases: what to ask, of which data, and what has to come of it.

Hides the manifest vocabulary and where the files lie. A file is named by the IRI it has at the W3C, so that
the relative IRIs in data, queries and results mean what their authors meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pyoxigraph import NamedNode, Quad, RdfFormat, parse
from rdflib import RDF, Graph, Namespace, URIRef
from rdflib.collection import Collection
from rdflib.term import Node

W3C = "http://www.w3.org/2009/sparql/docs/tests/data-sparql11/"
_MF = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
_QT = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-query#")
_UT = Namespace("http://www.w3.org/2009/sparql/tests/test-update#")

# The manifests that the W3C lists together, and what each list is about.
QUERY = "Query, syntax and evaluation"
RESULTS = "Query results: JSON, CSV, TSV"
FEDERATION = "Federated query"
UPDATE = "Update"
ENTAILMENT = "Entailment regimes"
_LISTS = {
    QUERY: "manifest-sparql11-query.ttl",
    RESULTS: "manifest-sparql11-results.ttl",
    FEDERATION: "manifest-sparql11-fed.ttl",
    UPDATE: "manifest-sparql11-update.ttl",
}


class Kind(Enum):
    """What a case asks for."""

    EVALUATION = "evaluation"
    POSITIVE_SYNTAX = "positive syntax"
    NEGATIVE_SYNTAX = "negative syntax"
    UPDATE = "update"


_KINDS = {
    _MF.QueryEvaluationTest: Kind.EVALUATION,
    _MF.CSVResultFormatTest: Kind.EVALUATION,
    _MF.PositiveSyntaxTest11: Kind.POSITIVE_SYNTAX,
    _MF.NegativeSyntaxTest11: Kind.NEGATIVE_SYNTAX,
    _MF.UpdateEvaluationTest: Kind.UPDATE,
    _MF.PositiveUpdateSyntaxTest11: Kind.UPDATE,
    _MF.NegativeUpdateSyntaxTest11: Kind.UPDATE,
}


@dataclass(frozen=True)
class Test:
    """A test of the W3C: its IRI, and how the lists and reports call it."""

    __test__ = False  # not one of pytest's

    iri: str
    area: str  # QUERY, RESULTS, …
    suite: str  # the folder: "aggregates"
    name: str  # "agg01"

    @property
    def id(self) -> str:
        """`aggregates/agg01`."""
        return f"{self.suite}/{self.name}"


@dataclass(frozen=True)
class Case(Test):
    """A test of a query. `data` and `named` are the IRIs of the files its default and named graphs are,
    `services` the endpoints it asks, each with the IRI of the file it holds."""

    kind: Kind
    base: str  # the IRI of the query's file
    text: str
    data: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    result: Path | None = None
    services: tuple[tuple[str, str], ...] = ()

    @property
    def query(self) -> str:
        """The query as it is sent: over HTTP nothing else can say its base."""
        return f"BASE <{self.base}>\n{self.text}"


def cases(folder: Path) -> list[Case]:
    """Every case below a copy of the suite's folder `sparql11`, in the order of the manifests."""
    found = []
    for area, manifest in _LISTS.items():
        listed = _graph(folder, manifest)
        for include in _members(listed, None, _MF.include):
            found += _cases(folder, area, str(include).removeprefix(W3C))
    return found + list(_cases(folder, ENTAILMENT, "entailment/manifest.ttl"))


def quads(folder: Path, cases: list[Case]) -> Iterator[Quad]:
    """The data of all cases, each file as the graph of its name; blank nodes are not shared by files."""
    named = {iri for case in cases for iri in (*case.data, *case.named, *(file for _, file in case.services))}
    for iri in sorted(named):
        path = path_of(folder, iri)
        format = RdfFormat.from_extension(path.suffix[1:])
        read = parse(
            path=path, format=format, base_iri=iri, without_named_graphs=True, rename_blank_nodes=True
        )
        graph = NamedNode(iri)
        yield from (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in read)


def path_of(folder: Path, iri: str) -> Path:
    """Where the file of a W3C IRI lies."""
    return folder / iri.removeprefix(W3C)


def _graph(folder: Path, name: str) -> Graph:
    return Graph().parse(folder / name, format="turtle", publicID=W3C + name)


def _members(graph: Graph, subject: Node | None, predicate: URIRef) -> list[Node]:
    return [each for head in graph.objects(subject, predicate) for each in Collection(graph, head)]


def _cases(folder: Path, area: str, manifest: str) -> Iterator[Case]:
    graph = _graph(folder, manifest)
    suite = manifest.partition("/")[0]
    for entry in _members(graph, None, _MF.entries):
        kind = _KINDS[graph.value(entry, RDF.type)]
        action = graph.value(entry, _MF.action)
        assert action is not None
        file = action if isinstance(action, URIRef) else graph.value(action, _QT.query | _UT.request)
        result = graph.value(entry, _MF.result)
        yield Case(
            str(entry),
            area,
            suite,
            str(entry).partition("#")[2],
            kind=Kind.UPDATE if area == UPDATE else kind,
            base=str(file),
            text=path_of(folder, str(file)).read_bytes().decode(),
            data=tuple(sorted(map(str, graph.objects(action, _QT.data)))),
            named=tuple(sorted(map(str, graph.objects(action, _QT.graphData)))),
            result=path_of(folder, str(result)) if isinstance(result, URIRef) else None,
            services=tuple(
                (str(graph.value(each, _QT.endpoint)), str(graph.value(each, _QT.data)))
                for each in graph.objects(action, _QT.serviceData)
            ),
        )
