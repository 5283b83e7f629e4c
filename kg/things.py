"""Everything the graph says about one thing, and who says it.

Hides the queries behind a page of a thing: its statements with their claims, what is only hedged or denied of
it, what leads to it, and the names of all that is mentioned. Asked of an engine: the limits of a query hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyoxigraph import NamedNode

from kg.engine import Engine, Limits
from kg.names import Names, named, names
from kg.rows import Node, Row, listed, rows, text_of, whole_of
from kg.terms import BASE

_WHOLE = 400  # statements that are read at once; of a thing with more, the first of each predicate
FIRST = 60
_ONLY_SAID = 1_000
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
    "stroma:propositionSubject, stroma:propositionPredicate, stroma:propositionObject, owl:annotatedSource, "
    "owl:annotatedProperty, owl:annotatedTarget, void:class, void:property, void:vocabulary"
)


@dataclass(frozen=True)
class Support:
    """A claim that states something: its identifier, how it puts it, and the characters where it stands."""

    claim: str  # IRI
    id: str  # as the ledger of claims has it, or ""
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
    """What the graph says of a thing; nothing at all of one that is not `known`.

    Of a thing with very many statements, or that very much leads to, `statements` and `incoming` hold the
    first `FIRST` of each predicate. `counts` and `incoming_counts` are over all of them, by predicate.
    """

    iri: str
    statements: Sequence[Statement]
    incoming: Sequence[Incoming]
    counts: Mapping[str, int]
    incoming_counts: Mapping[str, int]
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


@dataclass(frozen=True)
class Listing:
    """A page of all values of one predicate, or of all things that lead here by it.

    Either `statements` or `incoming` is filled; `total` counts all, of which these begin at `offset`.
    """

    iri: str
    predicate: str
    statements: Sequence[Statement]
    incoming: Sequence[Incoming]
    total: int
    offset: int
    names: Names

    def name(self, iri: str, language: str = "en") -> str:
        """A thing's name in a language, else in English, else its CURIE."""
        return named(self.names, iri, language)


@dataclass(frozen=True)
class Standing:
    """Whether the graph says anything of an IRI, and whether it says that it is obsolete."""

    known: bool
    obsolete: bool


async def standing(engine: Engine, iri: str, limits: Limits) -> Standing:
    """How an IRI stands in the engine's snapshot: one small query."""
    thing = str(NamedNode(iri))
    query = f"""SELECT
      (IF(EXISTS {{ {{ {thing} ?p ?o }} UNION {{ ?s ?q {thing} }} }}, "yes", "no") AS ?known)
      (IF(EXISTS {{ {thing} owl:deprecated true }}, "yes", "no") AS ?obsolete) WHERE {{}}"""
    (row,) = await rows(engine, query, limits)
    return Standing(text_of(row, "known") == "yes", text_of(row, "obsolete") == "yes")


async def describe(engine: Engine, iri: str, limits: Limits) -> Description:
    """All that the engine's snapshot says of an IRI.

    Raises what a query raises. An IRI the graph does not know gives a Description that is not `known`.
    """
    thing = str(NamedNode(iri))
    own, others, only_said = await asyncio.gather(
        rows(
            engine,
            f"""SELECT ?p (COUNT(DISTINCT ?o) AS ?n) WHERE {{ {thing} ?p ?o FILTER(!isBlank(?o)) }}
                GROUP BY ?p ORDER BY DESC(?n) ?p""",
            limits,
        ),
        rows(
            engine,
            f"""SELECT ?p (COUNT(DISTINCT ?s) AS ?n) WHERE {{
              ?s ?p {thing} . FILTER(?p NOT IN ({_MACHINERY}) && isIRI(?s))
            }} GROUP BY ?p ORDER BY DESC(?n) ?p""",
            limits,
        ),
        rows(
            engine,
            f"""SELECT ?p ?o ?polarity ?c ?id ?modality ?document ?line ?start ?end WHERE {{
              VALUES ?s {{ {thing} }}
              ?proposition stroma:propositionSubject ?s ; stroma:propositionPredicate ?p ;
                           stroma:propositionObject ?o ; stroma:polarity ?polarity .
              FILTER(?polarity != stroma:PolarityPositive || NOT EXISTS {{ ?s ?p ?o }})
              {_CLAIM}
            }} ORDER BY ?p ?o ?polarity ?document ?line ?id ?c ?start LIMIT {_ONLY_SAID}""",
            limits,
        ),
    )
    counts = {row["p"].value: int(row["n"].value) for row in own}
    incoming_counts = {row["p"].value: int(row["n"].value) for row in others}
    held, coming = await asyncio.gather(
        _held(engine, thing, _all_or_first(thing, counts), limits),
        _coming(engine, thing, _all_or_first(thing, incoming_counts, coming=True), limits),
    )
    statements = [*held, *_statements(only_said)]
    mentioned = {iri, *counts, *incoming_counts, *_mentioned(statements, coming)}
    return Description(
        iri, statements, coming, counts, incoming_counts, await names(engine, mentioned, limits)
    )


async def values_of(
    engine: Engine, iri: str, predicate: str, limits: Limits, *, offset: int, limit: int
) -> Listing:
    """A page of the values of one predicate, with who says each."""
    thing, of = str(NamedNode(iri)), str(NamedNode(predicate))
    pick = f"SELECT DISTINCT ?p ?o WHERE {{ VALUES ?p {{ {of} }} {thing} ?p ?o FILTER(!isBlank(?o)) }}"
    query = f"SELECT (COUNT(DISTINCT ?o) AS ?n) WHERE {{ {thing} {of} ?o FILTER(!isBlank(?o)) }}"
    statements, counted = await asyncio.gather(
        _held(engine, thing, f"{{ {pick} ORDER BY ?o LIMIT {limit} OFFSET {offset} }}", limits),
        rows(engine, query, limits),
    )
    known = await names(engine, {iri, predicate, *_mentioned(statements, ())}, limits)
    return Listing(iri, predicate, statements, (), int(counted[0]["n"].value), offset, known)


async def referring_to(
    engine: Engine, iri: str, predicate: str, limits: Limits, *, offset: int, limit: int
) -> Listing:
    """A page of the things that lead to one by a predicate."""
    thing, of = str(NamedNode(iri)), str(NamedNode(predicate))
    pick = f"SELECT DISTINCT ?p ?s WHERE {{ VALUES ?p {{ {of} }} ?s ?p {thing} FILTER(isIRI(?s)) }}"
    query = f"SELECT (COUNT(DISTINCT ?s) AS ?n) WHERE {{ ?s {of} {thing} FILTER(isIRI(?s)) }}"
    coming, counted = await asyncio.gather(
        _coming(engine, thing, f"{{ {pick} ORDER BY ?s LIMIT {limit} OFFSET {offset} }}", limits),
        rows(engine, query, limits),
    )
    known = await names(engine, {iri, predicate, *_mentioned((), coming)}, limits)
    return Listing(iri, predicate, (), coming, int(counted[0]["n"].value), offset, known)


def _all_or_first(thing: str, counts: Mapping[str, int], *, coming: bool = False) -> str:
    """A pattern that gives the edges to read: all of them, or the first of each predicate; "" for none."""
    if not counts:
        return ""
    edge, other = (f"?s ?p {thing}", "?s") if coming else (f"{thing} ?p ?o", "?o")
    if sum(counts.values()) <= _WHOLE:
        return edge + (f" FILTER(?p IN ({listed(counts, ', ')}))" if coming else "")
    only = " FILTER(isIRI(?s))" if coming else ""
    return " UNION ".join(
        f"{{ SELECT DISTINCT ?p {other} WHERE {{ VALUES ?p {{ {NamedNode(each)} }} {edge} .{only} }} "
        f"ORDER BY {other} LIMIT {FIRST} }}"
        for each in counts
    )


async def _held(engine: Engine, thing: str, edges: str, limits: Limits) -> list[Statement]:
    if not edges:
        return []
    found = await rows(
        engine,
        f"""SELECT ?g ?p ?o ?c ?id ?modality ?document ?line ?start ?end WHERE {{
          {{ {edges} }}
          GRAPH ?g {{ {thing} ?p ?o }}
          OPTIONAL {{
            ?proposition stroma:propositionSubject {thing} ; stroma:propositionPredicate ?p ;
                         stroma:propositionObject ?o ; stroma:polarity stroma:PolarityPositive .
            {_CLAIM}
          }}
        }} ORDER BY ?p ?o ?g ?document ?line ?id ?c ?start""",
        limits,
    )
    return _statements(found)


async def _coming(engine: Engine, thing: str, edges: str, limits: Limits) -> list[Incoming]:
    if not edges:
        return []
    found = await rows(
        engine,
        f"""SELECT DISTINCT ?g ?p ?s WHERE {{
          {{ {edges} }} GRAPH ?g {{ ?s ?p {thing} }} FILTER(isIRI(?s))
        }} ORDER BY ?p ?s ?g""",
        limits,
    )
    return _incoming(found)


def _mentioned(statements: Iterable[Statement], coming: Iterable[Incoming]) -> set[str]:
    found = {edge.subject for edge in coming}
    for statement in statements:
        found |= {statement.predicate, *statement.graphs, *(each.modality for each in statement.support)}
        if isinstance(statement.object, NamedNode):
            found.add(statement.object.value)
    return found


def _statements(found: Sequence[Row]) -> list[Statement]:
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


def _support(row: Row) -> Support:
    return Support(
        row["c"].value,
        text_of(row, "id"),
        text_of(row, "modality"),
        text_of(row, "document"),
        whole_of(row, "line"),
        whole_of(row, "start"),
        whole_of(row, "end"),
    )


def _incoming(found: Sequence[Row]) -> list[Incoming]:
    graphs: dict[tuple[str, str], dict[str, None]] = {}
    for row in found:
        graphs.setdefault((row["s"].value, row["p"].value), {})[row["g"].value] = None
    return [Incoming(subject, predicate, tuple(of)) for (subject, predicate), of in graphs.items()]
