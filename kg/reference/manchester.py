"""Axioms as people read them, in the Manchester syntax of OWL 2.

Hides how OWL is written in triples: restrictions, lists, blank nodes. Callers see statements made of words
and terms, so that a page can link the terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, Triple

from kg.terms import OWL, RDF, RDFS, XSD, compress

Piece = str | NamedNode  # a keyword or value as text, or a term to be linked
Statement = tuple[Piece, ...]
Node = NamedNode | BlankNode | Literal | Triple

_QUANTIFIERS = {
    OWL.someValuesFrom: "some",
    OWL.allValuesFrom: "only",
    OWL.hasValue: "value",
    OWL.minCardinality: "min",
    OWL.maxCardinality: "max",
    OWL.cardinality: "exactly",
    OWL.minQualifiedCardinality: "min",
    OWL.maxQualifiedCardinality: "max",
    OWL.qualifiedCardinality: "exactly",
}
_FACETS = {XSD.minInclusive: ">=", XSD.minExclusive: ">", XSD.maxInclusive: "<=", XSD.maxExclusive: "<"}
_FRAMES = {
    OWL.equivalentClass: "Equivalent to",
    RDFS.subClassOf: "Subclass of",
    OWL.disjointWith: "Disjoint with",
    OWL.disjointUnionOf: "Disjoint union of",
    OWL.equivalentProperty: "Equivalent to",
    RDFS.subPropertyOf: "Subproperty of",
    OWL.propertyDisjointWith: "Disjoint with",
    OWL.inverseOf: "Inverse of",
    OWL.propertyChainAxiom: "Follows from the chain",
    RDFS.domain: "Domain",
    RDFS.range: "Range",
}
_CHARACTERISTICS = {
    OWL.TransitiveProperty: "transitive",
    OWL.SymmetricProperty: "symmetric",
    OWL.AsymmetricProperty: "asymmetric",
    OWL.ReflexiveProperty: "reflexive",
    OWL.IrreflexiveProperty: "irreflexive",
    OWL.FunctionalProperty: "functional",
    OWL.InverseFunctionalProperty: "inverse functional",
}
_SYMMETRIC = frozenset({OWL.equivalentClass, OWL.disjointWith, OWL.inverseOf, OWL.propertyDisjointWith})


class Axioms:
    """The logical axioms of some quads, each under the terms it is about."""

    def __init__(self, quads: Iterable[Quad]) -> None:
        self._of: dict[object, list[tuple[NamedNode, Node]]] = {}
        self._about: dict[NamedNode, dict[tuple[str, str], Statement]] = {}
        ordered = tuple(quads)
        for q in ordered:
            self._of.setdefault(q.subject, []).append((q.predicate, q.object))
        for q in ordered:
            for term, frame, statement in self._read(q):
                self._about.setdefault(term, {})[frame, _key(statement)] = statement

    def about(self, term: NamedNode) -> list[tuple[str, Statement]]:
        """The axioms of a term as (frame, statement): ("Subclass of", …), in a fixed order."""
        found = self._about.get(term, {})
        return [(frame, found[frame, key]) for frame, key in sorted(found, key=_by_frame)]

    def mentions(self) -> Mapping[NamedNode, frozenset[NamedNode]]:
        """For each term, the other terms whose axioms mention it."""
        seen: dict[NamedNode, set[NamedNode]] = {}
        for term, statements in self._about.items():
            for statement in statements.values():
                for piece in statement:
                    if isinstance(piece, NamedNode) and piece != term:
                        seen.setdefault(piece, set()).add(term)
        return {term: frozenset(others) for term, others in seen.items()}

    def genus(self, term: NamedNode) -> Iterator[NamedNode]:
        """The named classes a class is stated below: its parents, and the named parts of its definition."""
        for predicate, value in self._of.get(term, ()):
            if predicate not in (RDFS.subClassOf, OWL.equivalentClass):
                continue
            if isinstance(value, NamedNode):
                yield value
            else:
                parts = self._list(self._one(value, OWL.intersectionOf))
                yield from (part for part in parts if isinstance(part, NamedNode))

    # ------------------------------------------------------------------------------ axioms of a term

    def _read(self, q: Quad) -> Iterator[tuple[NamedNode, str, Statement]]:
        s, p, o = q.subject, q.predicate, q.object
        if p == RDF.type and o in (OWL.AllDisjointClasses, OWL.AllDifferent, OWL.AllDisjointProperties):
            members = self._list(self._one(s, OWL.members) or self._one(s, OWL.distinctMembers))
            for member in members:
                others = [other for other in members if other != member]
                if isinstance(member, NamedNode):
                    frame = "Different from" if o == OWL.AllDifferent else "Disjoint with"
                    for other in others:
                        yield member, frame, self.expression(other)
        elif not isinstance(s, NamedNode) or isinstance(o, Literal):
            return
        elif p == RDF.type and isinstance(o, NamedNode) and o in _CHARACTERISTICS:
            yield s, "Characteristic", (_CHARACTERISTICS[o],)
        elif p in (OWL.propertyChainAxiom, OWL.disjointUnionOf):
            joint = " o " if p == OWL.propertyChainAxiom else ", "
            yield s, _FRAMES[p], _joined(map(self.expression, self._list(o)), joint)
        elif p in _FRAMES:
            yield s, _FRAMES[p], self.expression(o)
            if p in _SYMMETRIC and isinstance(o, NamedNode):
                yield o, _FRAMES[p], (s,)

    def expression(self, node: Node | None, *, nested: bool = False) -> Statement:
        """A class, property or data range expression; `nested` puts compound ones in brackets."""
        if node is None:
            return ("nothing",)
        if isinstance(node, NamedNode):
            return (node,)
        if isinstance(node, Literal):
            return (_value(node),)
        if isinstance(node, Triple):
            return (str(node),)
        found = dict(self._of.get(node, ()))
        compound: Statement
        if OWL.intersectionOf in found or OWL.unionOf in found:
            word, parts = (
                (" and ", found[OWL.intersectionOf])
                if OWL.intersectionOf in found
                else (" or ", found[OWL.unionOf])
            )
            compound = _joined((self.expression(p, nested=True) for p in self._list(parts)), word)
        elif OWL.oneOf in found:
            return ("{", *_joined(map(self.expression, self._list(found[OWL.oneOf])), ", "), "}")
        elif OWL.complementOf in found:
            compound = ("not ", *self.expression(found[OWL.complementOf], nested=True))
        elif OWL.inverseOf in found:
            compound = ("inverse ", *self.expression(found[OWL.inverseOf]))
        elif OWL.onDatatype in found:
            facets = [
                f"{_FACETS.get(facet, compress(facet.value))} {_value(value)}"
                for part in self._list(found.get(OWL.withRestrictions))
                for facet, value in self._of.get(part, ())
                if isinstance(value, Literal)
            ]
            return (compress(str(getattr(found[OWL.onDatatype], "value", ""))), f"[{', '.join(facets)}]")
        else:
            compound = self._restriction(found)
        return ("(", *compound, ")") if nested else compound

    def _restriction(self, found: Mapping[NamedNode, Node]) -> Statement:
        role = self.expression(found.get(OWL.onProperty))
        for predicate, word in _QUANTIFIERS.items():
            if predicate in found:
                filler = self.expression(found[predicate], nested=True)
                on = found.get(OWL.onClass) or found.get(OWL.onDataRange)
                qualified = (" ", *self.expression(on, nested=True)) if on is not None else ()
                return (*role, f" {word} ", *filler, *qualified)
        if OWL.hasSelf in found:
            return (*role, " Self")
        return ("an unnamed class",)

    def _one(self, node: object, predicate: NamedNode) -> Node | None:
        return next((o for p, o in self._of.get(node, ()) if p == predicate), None)

    def _list(self, node: Node | None) -> list[Node]:
        members: list[Node] = []
        while node is not None and node != RDF.nil:
            first = self._one(node, RDF.first)
            if first is not None:
                members.append(first)
            node = self._one(node, RDF.rest)
        return members


def _joined(statements: Iterable[Statement], word: str) -> Statement:
    pieces: list[Piece] = []
    for statement in statements:
        pieces.extend((word, *statement) if pieces else statement)
    return tuple(pieces)


def _value(literal: Literal) -> str:
    text = literal.value
    plain = literal.datatype in (XSD.integer, XSD.decimal, XSD.boolean)
    return text if plain else f'"{text}"'


def _key(statement: Statement) -> str:
    return "".join(piece if isinstance(piece, str) else piece.value for piece in statement)


def _by_frame(entry: tuple[str, str]) -> tuple[int, str, str]:
    order = list(_FRAMES.values())
    frame, key = entry
    return (order.index(frame) if frame in order else len(order), frame, key)
