"""What the servers are asked: the published questions, queries of many shapes, look-ups of single things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyoxigraph import NamedNode, QuerySolutions, Store

from kg.canned import Catalogue
from kg.terms import BASE, ROOT

JSON = "application/sparql-results+json"
CSV = "text/csv"
TRIPLES = "application/n-triples, text/plain;q=0.5"  # the second is the older name of the same


@dataclass(frozen=True)
class Query:
    """A query with a name, and the media type it is asked in."""

    name: str
    text: str
    accept: str = JSON


def questions() -> list[Query]:
    """Every published question with its parameters as they stand."""
    catalogue = Catalogue.read(ROOT / "queries")
    return [
        Query(id, question.text, TRIPLES if "\nCONSTRUCT" in question.text else JSON)
        for id, question in catalogue.items()
    ]


def shapes() -> list[Query]:
    """Queries nobody has prepared for, one of each shape."""
    return [Query(name, _PREFIXES + text, accept) for name, text, accept in _SHAPES]


def look_ups(store: Store, most: int) -> list[Query]:
    """What a linked-data client asks of one thing, for `most` things at most."""
    found = store.query(
        f"SELECT DISTINCT ?s {{ ?s a [] FILTER(ISIRI(?s) && STRSTARTS(STR(?s), '{BASE}')) }} "
        f"ORDER BY MD5(STR(?s)) LIMIT {most}",
        use_default_graph_as_union=True,
    )
    assert isinstance(found, QuerySolutions)
    things: Sequence[NamedNode] = [row["s"] for row in found]  # type: ignore[misc]
    return [Query(thing.value, f"SELECT ?p ?o WHERE {{ {thing} ?p ?o }}") for thing in things]


LARGE = Query("large CSV", "SELECT ?s ?p ?o WHERE { ?s ?p ?o }", CSV)

_PREFIXES = """PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX prov: <http://www.w3.org/ns/prov#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX stroma: <https://w3id.org/stroma/ontology/>
PREFIX trial: <https://w3id.org/stroma/trial/>
"""

_SHAPES: tuple[tuple[str, str, str], ...] = (
    (
        "star",
        """SELECT * WHERE {
  ?claim stroma:asserts ?proposition ; stroma:evidenceType ?evidence ; stroma:confidence ?confidence ;
         stroma:statedAt ?place ; dcterms:identifier ?id
}""",
        JSON,
    ),
    (
        "chain",
        """SELECT ?trial ?product ?label WHERE {
  ?trial stroma:hasArm ?arm . ?arm stroma:hasIntervention ?regimen . ?regimen stroma:administers ?product .
  ?product rdfs:label ?label
}""",
        JSON,
    ),
    (
        "optional",
        """SELECT * WHERE {
  ?observation stroma:forMeasure ?measure
  OPTIONAL { ?observation stroma:aboutArm ?arm }
  OPTIONAL { ?observation stroma:unit ?unit }
  OPTIONAL { ?observation stroma:timepointMonths ?months }
}""",
        JSON,
    ),
    (
        "negation",
        """SELECT ?claim WHERE {
  ?claim stroma:asserts ?proposition FILTER NOT EXISTS { ?claim stroma:hasEvidence ?observation }
}""",
        JSON,
    ),
    (
        "minus",
        "SELECT ?term WHERE { ?term skos:prefLabel ?name MINUS { ?term skos:altLabel ?other } }",
        JSON,
    ),
    (
        "path",
        """SELECT ?class ?above WHERE {
  ?class rdfs:subClassOf+ ?above . ?above rdfs:subClassOf* stroma:MSCProduct FILTER(ISIRI(?class))
}""",
        JSON,
    ),
    (
        "aggregate",
        """SELECT ?type ?evidence (COUNT(DISTINCT ?claim) AS ?claims) (AVG(?confidence) AS ?mean) WHERE {
  ?claim a ?type ; stroma:evidenceType ?evidence ; stroma:confidence ?confidence
} GROUP BY ?type ?evidence HAVING (COUNT(?claim) > 2) ORDER BY DESC(?claims) ?type ?evidence""",
        JSON,
    ),
    (
        "text filter",
        """SELECT ?thing ?label WHERE {
  ?thing rdfs:label ?label FILTER(CONTAINS(LCASE(STR(?label)), "arthritis"))
}""",
        JSON,
    ),
    (
        "regular expression",
        'SELECT ?s ?label WHERE { ?s rdfs:label ?label FILTER(REGEX(?label, "^(bone|umb).* cells?$", "i")) }',
        JSON,
    ),
    (
        "union",
        """SELECT DISTINCT ?name WHERE {
  { ?s skos:prefLabel ?name } UNION { ?s skos:altLabel ?name } UNION { ?s rdfs:label ?name }
}""",
        JSON,
    ),
    (
        "graphs",
        "SELECT ?g (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ORDER BY DESC(?n) ?g",
        JSON,
    ),
    (
        "top of an order",
        """SELECT ?claim ?text WHERE {
  ?claim stroma:claimText ?text
} ORDER BY DESC(STRLEN(?text)) ?claim LIMIT 20""",
        JSON,
    ),
    (
        "subquery",
        """SELECT ?study ?n ?label WHERE {
  { SELECT ?study (COUNT(?o) AS ?n) WHERE { ?o stroma:producedByStudy ?study } GROUP BY ?study }
  ?study rdfs:label ?label
} ORDER BY DESC(?n) ?label""",
        JSON,
    ),
    ("ASK", "ASK { ?claim stroma:claimText ?text . ?claim stroma:hasEvidence/stroma:aboutArm ?arm }", JSON),
    (
        "CONSTRUCT",
        """CONSTRUCT { ?subject ?predicate ?object } WHERE {
  ?p stroma:propositionSubject ?subject ; stroma:propositionPredicate ?predicate ;
     stroma:propositionObject ?object
}""",
        TRIPLES,
    ),
    ("DESCRIBE", "DESCRIBE trial:NCT01547091", TRIPLES),
)
