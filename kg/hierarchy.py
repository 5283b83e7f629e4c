"""The terms of a snapshot as trees: classes, relations and values, with what defines each.

Hides the queries, and how direct parents are found among all that reasoning gives: those above a term that
are not above another of them. It is asked of an engine once for a snapshot; callers keep the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, parse

from kg.engine import Engine, Limits
from kg.engine.formats import BY_KEY
from kg.names import Names, named, names
from kg.reference.manchester import Axioms, Statement
from kg.rows import language_of, rows
from kg.terms import BASE, OWL, RDF, RDFS

CLASSES, RELATIONS, VALUES = "classes", "relations", "values"
TREES = (CLASSES, RELATIONS, VALUES)
_TREES = {
    OWL.Class.value: CLASSES,
    OWL.ObjectProperty.value: RELATIONS,
    OWL.DatatypeProperty.value: RELATIONS,
    OWL.AnnotationProperty.value: RELATIONS,
    OWL.NamedIndividual.value: VALUES,
}
_ONTOLOGY = f"<{BASE}graph/ontology>"
_INFERRED = f"{BASE}graph/inferred/"
_OWL, _RDFS = OWL("").value, RDFS("").value


@dataclass(frozen=True)
class Term:
    """A term: which tree it is in, its definition by language, what stands directly above and below it.

    `kind` is the IRI of its OWL type. `stated` are the parents that a module or a source states; the others
    follow. `below` counts all descendants in its tree. Of a value the parents are its classes.
    """

    iri: str
    kind: str
    tree: str
    definitions: Mapping[str, str]
    parents: tuple[str, ...]
    children: tuple[str, ...]
    stated: frozenset[str]
    below: int


@dataclass(frozen=True)
class Hierarchy:
    """All terms by IRI, what each is called, and the logical axioms about each."""

    terms: Mapping[str, Term]
    names: Names
    axioms: Axioms = field(repr=False)

    def name(self, iri: str, language: str = "en") -> str:
        """A term's name in a language, else in English, else its CURIE."""
        return named(self.names, iri, language)

    def roots(self, tree: str) -> list[str]:
        """The terms of a tree that stand below no other, those with most below them first.

        Of the tree of values: the classes that have some.
        """
        if tree == VALUES:
            with_some = {each for term in self.terms.values() if term.tree == VALUES for each in term.parents}
            found = [self.terms[iri] for iri in with_some]
        else:
            found = [term for term in self.terms.values() if term.tree == tree and not term.parents]
        return [term.iri for term in sorted(found, key=lambda term: (-term.below, self.name(term.iri)))]

    def children(self, iri: str, tree: str) -> list[str]:
        """What stands directly below a term in a tree; below a class also its values."""
        return [each for each in self.terms[iri].children if self.terms[each].tree == tree]

    def trail(self, iri: str) -> list[str]:
        """The way down to a term from a root by its first parents; a cycle ends where it closes."""
        trail: list[str] = []
        while (term := self.terms.get(iri)) is not None and term.parents and term.parents[0] not in trail:
            iri = term.parents[0]
            trail.append(iri)
        return trail[::-1]

    def definition(self, iri: str, language: str = "en") -> str:
        """What a term means, in a language or else in English; "" where nothing says."""
        term = self.terms.get(iri)
        said: Mapping[str, str] = term.definitions if term is not None else {}
        return said.get(language) or said.get("en") or next(iter(said.values()), "")

    def axioms_of(self, iri: str) -> list[tuple[str, Statement]]:
        """The axioms about a term as (frame, statement), without those that only name a parent."""
        return [
            (frame, statement)
            for frame, statement in self.axioms.about(NamedNode(iri))
            if len(statement) > 1 or not isinstance(statement[0], NamedNode) or not frame.startswith("Sub")
        ]


async def hierarchy(engine: Engine, limits: Limits) -> Hierarchy:
    """The trees of the engine's snapshot."""
    among = ", ".join(f"<{kind}>" for kind in _TREES)
    typed, above, values, defined, obsolete, axioms = await asyncio.gather(
        rows(engine, f"SELECT ?s ?o WHERE {{ ?s a ?o FILTER(?o IN ({among}) && isIRI(?s)) }}", limits),
        rows(
            engine,
            """SELECT DISTINCT ?s ?o ?g WHERE {
              { GRAPH ?g { ?s rdfs:subClassOf ?o } } UNION { GRAPH ?g { ?s rdfs:subPropertyOf ?o } }
              FILTER(isIRI(?s) && isIRI(?o) && ?s != ?o)
            }""",
            limits,
        ),
        rows(
            engine,
            """SELECT DISTINCT ?s ?o ?g WHERE {
              ?s a owl:NamedIndividual . GRAPH ?g { ?s a ?o } FILTER(isIRI(?s) && ?o != owl:NamedIndividual)
            }""",
            limits,
        ),
        rows(engine, "SELECT ?s ?o WHERE { ?s obo:IAO_0000115 ?o }", limits),
        rows(engine, "SELECT DISTINCT ?s WHERE { ?s owl:deprecated true }", limits),
        _axioms(engine, limits),
    )
    gone = {row["s"].value for row in obsolete}
    kinds = {row["s"].value: row["o"].value for row in typed if row["s"].value not in gone}
    trees = {iri: _TREES[kind] for iri, kind in kinds.items()}
    parents: dict[str, set[str]] = {iri: set() for iri in trees}
    stated: dict[str, set[str]] = {iri: set() for iri in trees}
    for row in (*above, *values):
        s, o = row["s"].value, row["o"].value
        if s in trees and o in trees and (trees[o] == trees[s] or trees[s] == VALUES):
            parents[s].add(o)
            if not row["g"].value.startswith(_INFERRED):
                stated[s].add(o)
    definitions: dict[str, dict[str, str]] = {}
    for row in defined:
        said = row["o"]
        if isinstance(said, Literal):
            definitions.setdefault(row["s"].value, {})[language_of(said)] = said.value
    called = await names(engine, trees, limits)

    def by_name(iri: str) -> tuple[str, str]:
        return named(called, iri).lower(), iri

    return Hierarchy(_placed(kinds, trees, parents, stated, definitions, by_name), called, axioms)


def _placed(
    kinds: Mapping[str, str],
    trees: Mapping[str, str],
    parents: Mapping[str, set[str]],
    stated: Mapping[str, set[str]],
    definitions: Mapping[str, Mapping[str, str]],
    by_name: Callable[[str], tuple[str, str]],
) -> dict[str, Term]:
    every = {iri: _above(iri, parents) for iri in trees}
    direct = {iri: sorted(_nearest(parents[iri], every), key=by_name) for iri in trees}
    children: dict[str, list[str]] = {iri: [] for iri in trees}
    below: dict[str, int] = dict.fromkeys(trees, 0)
    for iri in sorted(trees, key=by_name):
        for parent in direct[iri]:
            children[parent].append(iri)
        for ancestor in every[iri] - {iri}:
            if trees[iri] == trees[ancestor]:
                below[ancestor] += 1
    return {
        iri: Term(
            iri,
            kinds[iri],
            trees[iri],
            definitions.get(iri, {}),
            # What a source states comes first: it is the way down that people know.
            tuple(sorted(direct[iri], key=lambda parent: parent not in stated[iri])),
            tuple(children[iri]),
            frozenset(stated[iri]),
            below[iri],
        )
        for iri in trees
    }


def _above(iri: str, parents: Mapping[str, set[str]]) -> set[str]:
    """All that stands above a term; the term itself only where a cycle leads back to it."""
    found: set[str] = set()
    waiting = list(parents.get(iri, ()))
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(parents.get(each, ()))
    return found


def _nearest(parents: Iterable[str], every: Mapping[str, set[str]]) -> set[str]:
    """Of some parents those that are not above another of them; of equivalent ones all."""
    those = set(parents)
    return {
        one
        for one in those
        if not any(one in every[other] and other not in every[one] for other in those if other != one)
    }


async def _axioms(engine: Engine, limits: Limits) -> Axioms:
    """The logical axioms of the ontology's graph, which are few enough to hold."""
    answer = await engine.query(
        f"""CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH {_ONTOLOGY} {{ ?s ?p ?o }}
          FILTER(isBlank(?s) || isBlank(?o)
            || STRSTARTS(STR(?p), "{_OWL}") || STRSTARTS(STR(?p), "{_RDFS}")
            || (?p = <{RDF.type.value}> && STRSTARTS(STR(?o), "{_OWL}"))) }}""",
        accept=BY_KEY["ntriples"],
        limits=limits,
    )
    triples = await answer.read()
    return await asyncio.to_thread(
        lambda: Axioms(q for q in parse(triples, RdfFormat.N_TRIPLES) if isinstance(q, Quad))
    )
