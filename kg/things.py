"""Everything the graph says about one thing, and who says it.

Hides the queries behind a page of a thing: its statements with their claims, what is only hedged or denied of
it, what leads to it, and the names of all that is mentioned. Asked of an engine: the limits of a query hold.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pyoxigraph import BlankNode, Literal, NamedNode

from kg.engine import Engine, Limits
from kg.engine.formats import BY_KEY
from kg.terms import BASE, compress

Node = NamedNode | Literal | BlankNode
Names = Mapping[str, Mapping[str, str]]  # IRI -> language -> name

_STATEMENTS = 5_000  # of one thing
_INCOMING = 400
_NAMED_AT_ONCE = 500
_PREFIXES = """
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX owl: <http://www.w3.org/2002/07/owl#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX stroma: <https://w3id.org/stroma/ontology/>
"""
_CLAIM = """
    ?c stroma:asserts ?proposition .
    OPTIONAL { ?c dcterms:identifier ?id }
    OPTIONAL { ?c stroma:modality ?modality }
    OPTIONAL {
      ?c stroma:statedAt ?span .
      ?span stroma:inDocument/dcterms:identifier ?document ; stroma:lineNumber ?line ;
            stroma:startOffset ?start ; stroma:endOffset ?end .
    }
"""
# What the machinery of claims says of a thing is shown with the statement it belongs to, not beside it.
_MACHINERY = (
    "stroma:propositionSubject, stroma:propositionPredicate, stroma:propositionObject, owl:annotatedSource"
)


@dataclass(frozen=True)
class Support:
    """A claim that states something: its identifier, how it puts it, and the characters where it stands."""

    claim: str  # IRI
    id: str
    modality: str  # IRI, or ""
    document: str = ""
    line: int | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Statement:
    """One edge of the thing: the graphs it stands in, and the claims that state it.

    `held` is False for an edge that is only hedged, recommended or denied; `positive` tells which.
    """

    predicate: str
    object: Node
    graphs: tuple[str, ...]
    support: tuple[Support, ...]
    held: bool = True
    positive: bool = True

    @property
    def inferred(self) -> bool:
        """Whether nothing but inference gives it."""
        return bool(self.graphs) and all(graph.startswith(f"{BASE}graph/inferred/") for graph in self.graphs)


@dataclass(frozen=True)
class Incoming:
    """An edge that leads to the thing."""

    subject: str
    predicate: str
    graphs: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What the graph says of a thing; nothing at all of one that is not `known`."""

    iri: str
    statements: Sequence[Statement]
    incoming: Sequence[Incoming]
    incoming_counts: Mapping[str, int]  # by predicate, over all of them
    names: Names

    @property
    def known(self) -> bool:
        """Whether the graph says anything of it."""
        return bool(self.statements or self.incoming)

    def name(self, iri: str, language: str = "en") -> str:
        """A thing's name in a language, else in English, else its CURIE."""
        return named(self.names, iri, language)

    def values(self, *predicates: str) -> list[Node]:
        """The objects of some predicates, in order of the predicates."""
        return [
            statement.object
            for predicate in predicates
            for statement in self.statements
            if statement.predicate == predicate and statement.held
        ]


def named(names: Names, iri: str, language: str = "en") -> str:
    """A name in a language, else in English, else any, else the CURIE."""
    own = names.get(iri, {})
    return own.get(language) or own.get("en") or next(iter(own.values()), compress(iri))


async def describe(engine: Engine, iri: str, limits: Limits) -> Description:
    """All that the engine's snapshot says of an IRI.

    Raises what a query raises. An IRI the graph does not know gives a Description that is not `known`.
    """
    subject = str(NamedNode(iri))
    held, only_said, incoming, counts = await asyncio.gather(
        rows(
            engine,
            f"""SELECT ?g ?p ?o ?c ?id ?modality ?document ?line ?start ?end WHERE {{
              VALUES ?s {{ {subject} }}
              GRAPH ?g {{ ?s ?p ?o }}
              OPTIONAL {{
                ?proposition stroma:propositionSubject ?s ; stroma:propositionPredicate ?p ;
                             stroma:propositionObject ?o ; stroma:polarity stroma:PolarityPositive .
                {_CLAIM}
              }}
            }} ORDER BY ?p ?o ?g ?document ?line ?id LIMIT {_STATEMENTS}""",
            limits,
        ),
        rows(
            engine,
            f"""SELECT ?p ?o ?polarity ?c ?id ?modality ?document ?line ?start ?end WHERE {{
              VALUES ?s {{ {subject} }}
              ?proposition stroma:propositionSubject ?s ; stroma:propositionPredicate ?p ;
                           stroma:propositionObject ?o ; stroma:polarity ?polarity .
              FILTER(?polarity != stroma:PolarityPositive || NOT EXISTS {{ ?s ?p ?o }})
              {_CLAIM}
            }} ORDER BY ?p ?o ?polarity ?document ?line ?id LIMIT {_STATEMENTS}""",
            limits,
        ),
        rows(
            engine,
            f"""SELECT ?g ?p ?s WHERE {{
              VALUES ?o {{ {subject} }}
              GRAPH ?g {{ ?s ?p ?o }}
              FILTER(?p NOT IN ({_MACHINERY}) && isIRI(?s))
            }} ORDER BY ?p ?s ?g LIMIT {_INCOMING}""",
            limits,
        ),
        rows(
            engine,
            f"""SELECT ?p (COUNT(DISTINCT ?s) AS ?n) WHERE {{
              VALUES ?o {{ {subject} }}
              ?s ?p ?o .
              FILTER(?p NOT IN ({_MACHINERY}) && isIRI(?s))
            }} GROUP BY ?p ORDER BY DESC(?n) ?p""",
            limits,
        ),
    )
    statements = [*_statements(held), *_statements(only_said)]
    coming = _incoming(incoming)
    mentioned = {iri, *(edge.subject for edge in coming), *(row["p"].value for row in counts)}
    for statement in statements:
        mentioned |= {statement.predicate, *statement.graphs, *(each.modality for each in statement.support)}
        if isinstance(statement.object, NamedNode):
            mentioned.add(statement.object.value)
    return Description(
        iri,
        statements,
        coming,
        {row["p"].value: int(row["n"].value) for row in counts},
        await names(engine, mentioned, limits),
    )


async def names(engine: Engine, iris: Iterable[str], limits: Limits) -> dict[str, dict[str, str]]:
    """The names of things by language: preferred labels, else labels, else titles."""
    found: dict[str, dict[str, str]] = {}
    wanted = sorted(iri for iri in set(iris) if iri)
    for at in range(0, len(wanted), _NAMED_AT_ONCE):
        values = " ".join(str(NamedNode(iri)) for iri in wanted[at : at + _NAMED_AT_ONCE])
        for row in await rows(
            engine,
            f"""SELECT ?s ?l ?rank WHERE {{
              VALUES ?s {{ {values} }}
              VALUES (?p ?rank) {{ (skos:prefLabel 0) (rdfs:label 1) (dcterms:title 2) (stroma:claimText 3) }}
              ?s ?p ?l .
            }} ORDER BY ?s ?rank ?l""",
            limits,
        ):
            label = cast(Literal, row["l"])
            found.setdefault(row["s"].value, {}).setdefault(language_of(label), label.value)
    return found


def language_of(label: Literal) -> str:
    """The language of a label as people write it ("zh-Hans"): the store lower-cases it; none is English."""
    tag = label.language or "en"
    return {"zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}.get(tag, tag)


async def rows(engine: Engine, query: str, limits: Limits) -> list[dict[str, Node]]:
    """The solutions of a query, as terms by variable; unbound variables are absent."""
    answer = await engine.query(_PREFIXES + query, accept=BY_KEY["json"], limits=limits)
    found = json.loads(await answer.read())
    return [{name: _node(cell) for name, cell in binding.items()} for binding in found["results"]["bindings"]]


def _node(cell: Mapping[str, Any]) -> Node:
    if cell["type"] == "uri":
        return NamedNode(cell["value"])
    if cell["type"] == "bnode":
        return BlankNode(cell["value"])
    if "xml:lang" in cell:
        return Literal(cell["value"], language=cell["xml:lang"])
    datatype = cell.get("datatype")
    return Literal(cell["value"], datatype=NamedNode(datatype) if datatype else None)


def _statements(found: Sequence[Mapping[str, Node]]) -> list[Statement]:
    graphs: dict[tuple[str, Node, bool], dict[str, None]] = {}
    support: dict[tuple[str, Node, bool], dict[Support, None]] = {}
    held = not any("polarity" in row for row in found)
    for row in found:
        polarity = row.get("polarity")
        positive = polarity is None or polarity.value.endswith("PolarityPositive")
        key = (row["p"].value, row["o"], positive)
        graphs.setdefault(key, {})
        support.setdefault(key, {})
        if "g" in row:
            graphs[key][row["g"].value] = None
        if "c" in row:
            support[key][_support(row)] = None
    return [
        Statement(predicate, value, tuple(graphs[key]), tuple(support[key]), held, positive)
        for key in graphs
        for predicate, value, positive in [key]
    ]


def _support(row: Mapping[str, Node]) -> Support:
    def text(name: str) -> str:
        return row[name].value if name in row else ""

    def number(name: str) -> int | None:
        return int(row[name].value) if name in row else None

    return Support(
        row["c"].value,
        text("id") or compress(row["c"].value),
        text("modality"),
        text("document"),
        number("line"),
        number("start"),
        number("end"),
    )


def _incoming(found: Sequence[Mapping[str, Node]]) -> list[Incoming]:
    graphs: dict[tuple[str, str], dict[str, None]] = {}
    for row in found:
        graphs.setdefault((row["s"].value, row["p"].value), {})[row["g"].value] = None
    return [Incoming(subject, predicate, tuple(of)) for (subject, predicate), of in graphs.items()]
