"""OWL 2 EL axioms and the class hierarchy they entail.

Hides how OWL is written in triples (restrictions, lists, blank nodes) and the classifier, pyelk. Callers see
class expressions, axioms as pairs, and a `Hierarchy`: every expression of the ontology with what is above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from pyoxigraph import BlankNode, Literal, NamedNode, Quad

from kg.errors import OntologyError
from kg.terms import OWL, RDF, RDFS, compress

if TYPE_CHECKING:
    from pyelk import Reasoner

THING, NOTHING = OWL.Thing, OWL.Nothing


@dataclass(frozen=True)
class Some:
    """*property some filler*."""

    property: NamedNode
    filler: Expression


@dataclass(frozen=True)
class And:
    """*part and part and ...*, in the order of their texts."""

    parts: tuple[Expression, ...]


Expression = NamedNode | Some | And


def text(expression: Expression) -> str:
    """An expression as people write it: `stroma:DrugProduct and (RO:0002248 some CHEBI:8382)`."""
    if isinstance(expression, Some):
        return f"({compress(expression.property.value)} some {text(expression.filler)})"
    if isinstance(expression, And):
        return " and ".join(map(text, expression.parts))
    return compress(expression.value)


def conjunction(parts: Iterable[Expression]) -> Expression:
    """The conjunction of some expressions, flat and in a fixed order; of none, owl:Thing."""
    flat: set[Expression] = set()
    for part in parts:
        flat.update(part.parts if isinstance(part, And) else (part,))
    flat.discard(THING)
    ordered = sorted(flat, key=text)
    return And(tuple(ordered)) if len(ordered) > 1 else ordered[0] if ordered else THING


@dataclass(frozen=True)
class Chain:
    """*first o second -> result*; a transitive property is a chain of itself."""

    first: NamedNode
    second: NamedNode
    result: NamedNode


@dataclass(frozen=True)
class Axioms:
    """The EL part of an ontology, in a fixed order; `beyond_el` tells as text what was left out."""

    subclasses: tuple[tuple[Expression, Expression], ...]
    disjoint: tuple[tuple[Expression, Expression], ...]
    subproperties: tuple[tuple[NamedNode, NamedNode], ...]
    chains: tuple[Chain, ...]
    classes: frozenset[NamedNode]
    beyond_el: tuple[str, ...]


# What these say is no axiom: declarations, annotations, and the parts of an axiom read from its head.
_HEADS = (
    RDFS.subClassOf,
    OWL.equivalentClass,
    OWL.disjointWith,
    OWL.disjointUnionOf,
    RDFS.subPropertyOf,
    OWL.equivalentProperty,
    OWL.propertyChainAxiom,
    RDFS.domain,
)
_BEYOND = (RDFS.range, OWL.inverseOf, OWL.complementOf, OWL.hasKey, OWL.propertyDisjointWith, OWL.sameAs)
_BEYOND_TYPES = (
    OWL.FunctionalProperty,
    OWL.InverseFunctionalProperty,
    OWL.SymmetricProperty,
    OWL.AsymmetricProperty,
    OWL.ReflexiveProperty,
    OWL.IrreflexiveProperty,
)
PROPERTY_AXIOMS = frozenset({RDFS.subPropertyOf, OWL.equivalentProperty, OWL.propertyChainAxiom, RDFS.domain})
VOCABULARY = frozenset(
    {
        *_HEADS,
        *_BEYOND,
        OWL.onProperty,
        OWL.someValuesFrom,
        OWL.intersectionOf,
        OWL.members,
        RDF.first,
        RDF.rest,
    }
)


def read_axioms(quads: Iterable[Quad]) -> Axioms:
    """The axioms among some quads. A right-hand side keeps its EL parts when one of them is beyond EL."""
    reader = _Reader(quads)
    reader.read()
    return reader.axioms()


def read_each(quads: Iterable[Quad]) -> Iterator[tuple[Quad, Axioms]]:
    """Each head triple with the axioms it states by itself: for those who ask where an axiom is written."""
    reader = _Reader(quads)
    for head in reader.heads:
        each = _Reader(())
        each.heads, each.about, each.object_properties = [head], reader.about, reader.object_properties
        each.read()
        yield head, each.axioms()


class _Reader:
    """Reads axioms from their head triples; follows blank nodes into the expressions they stand for."""

    def __init__(self, quads: Iterable[Quad]) -> None:
        self.heads: list[Quad] = []
        self.about: dict[object, dict[NamedNode, list[object]]] = {}
        self.object_properties: set[NamedNode] = set()
        self.classes: set[NamedNode] = set()
        self.subclasses: set[tuple[Expression, Expression]] = set()
        self.disjoint: set[tuple[Expression, Expression]] = set()
        self.subproperties: set[tuple[NamedNode, NamedNode]] = set()
        self.chains: set[Chain] = set()
        self.beyond: set[str] = set()
        for q in quads:
            if isinstance(q.subject, BlankNode):
                self.about.setdefault(q.subject, {}).setdefault(q.predicate, []).append(q.object)
            if q.predicate == RDF.type and isinstance(q.subject, NamedNode):
                if q.object == OWL.Class:
                    self.classes.add(q.subject)
                elif q.object == OWL.ObjectProperty:
                    self.object_properties.add(q.subject)
            if q.predicate in _HEADS or q.predicate in _BEYOND or q.predicate in (RDF.type, OWL.members):
                self.heads.append(q)

    def axioms(self) -> Axioms:
        return Axioms(
            tuple(sorted(self.subclasses, key=_texts)),
            tuple(sorted(self.disjoint, key=_texts)),
            tuple(sorted(self.subproperties, key=_texts)),
            tuple(sorted(self.chains, key=lambda c: (c.result.value, c.first.value, c.second.value))),
            frozenset(self.classes),
            tuple(sorted(self.beyond)),
        )

    def read(self) -> None:
        for q in self.heads:
            s, p, o = q.subject, q.predicate, q.object
            if p == RDF.type:
                self.read_type(s, o)
            elif p == RDFS.subClassOf:
                self.implies(s, o, q)
            elif p == OWL.equivalentClass:
                self.implies(s, o, q)
                self.implies(o, s, q)
            elif p == OWL.disjointWith:
                self.exclude([s, o], q)
            elif p == OWL.members:
                if OWL.AllDisjointClasses in self.about.get(s, {}).get(RDF.type, []):
                    self.exclude(self.items(o), q)
                else:
                    self.beyond.add(_shown(q))
            elif p == OWL.disjointUnionOf:
                members = self.items(o)
                for member in members:
                    self.implies(member, s, q)
                self.exclude(members, q)
                self.beyond.add(f"{_shown(q)} (its cover; the rest is read)")
            elif p == RDFS.domain:
                whole = self.expression(o)
                if s in self.object_properties and whole is not None and isinstance(s, NamedNode):
                    self.subclasses.add((Some(s, THING), whole))
            elif p in _BEYOND:
                if p != RDFS.range or s in self.object_properties:
                    self.beyond.add(_shown(q))
            else:
                self.read_property(q)

    def read_type(self, subject: object, kind: object) -> None:
        if not isinstance(subject, NamedNode) or not isinstance(kind, NamedNode):
            return
        if kind == OWL.TransitiveProperty:
            self.chains.add(Chain(subject, subject, subject))
        elif kind in _BEYOND_TYPES:
            self.beyond.add(f"{compress(subject.value)} a {compress(kind.value)}")

    def read_property(self, q: Quad) -> None:
        s, o = q.subject, q.object
        if s not in self.object_properties or not isinstance(s, NamedNode):
            return  # sub-properties of annotations and numbers are no business of the class hierarchy
        if q.predicate == OWL.propertyChainAxiom:
            steps = [item for item in self.items(o) if isinstance(item, NamedNode)]
            if len(steps) == 2:
                self.chains.add(Chain(steps[0], steps[1], s))
            else:
                self.beyond.add(f"{_shown(q)} (a chain of {len(steps)}; write it as chains of two)")
        elif isinstance(o, NamedNode):
            self.subproperties.add((s, o))
            if q.predicate == OWL.equivalentProperty:
                self.subproperties.add((o, s))
        else:
            self.beyond.add(_shown(q))

    def implies(self, sub: object, sup: object, q: Quad) -> None:
        lower, upper = self.expression(sub), self.expression(sup, partial=True)
        if lower is None or upper is None:
            self.beyond.add(_shown(q))
        elif upper != THING and lower != upper:
            self.subclasses.add((lower, upper))
        if self.expression(sup) is None:
            self.beyond.add(_shown(q))

    def exclude(self, members: list[object], q: Quad) -> None:
        expressions = [self.expression(member) for member in members]
        if None in expressions:
            self.beyond.add(_shown(q))
        known = sorted((e for e in expressions if e is not None), key=text)
        self.disjoint.update(combinations(known, 2))

    def expression(self, term: object, partial: bool = False) -> Expression | None:
        """The class expression a term stands for, None when it is beyond EL. With `partial`, a conjunction
        leaves such parts out: right for the upper side of an axiom, wrong for the lower."""
        if isinstance(term, NamedNode):
            self.classes.add(term)
            return term
        node = self.about.get(term, {})
        if OWL.intersectionOf in node:
            parts = [self.expression(part, partial) for part in self.items(node[OWL.intersectionOf][0])]
            if None in parts and not partial:
                return None
            return conjunction(part for part in parts if part is not None)
        if OWL.onProperty in node and OWL.someValuesFrom in node:
            property_, filler = node[OWL.onProperty][0], self.expression(node[OWL.someValuesFrom][0], partial)
            if (
                isinstance(property_, NamedNode)
                and property_ in self.object_properties
                and filler is not None
            ):
                return Some(property_, filler)
        return None

    def items(self, head: object) -> list[object]:
        """The members of an RDF list."""
        found: list[object] = []
        while head != RDF.nil and len(found) < 10_000:
            node = self.about.get(head, {})
            found += node.get(RDF.first, [])
            rest = node.get(RDF.rest, [])
            if not rest:
                break
            head = rest[0]
        return found


def _texts(pair: tuple[Expression, Expression]) -> tuple[str, str]:
    return text(pair[0]), text(pair[1])


def _shown(q: Quad) -> str:
    def name(term: object) -> str:
        return compress(term.value) if isinstance(term, NamedNode) else "(an expression)"

    if isinstance(q.object, Literal):
        return f"{name(q.subject)} {name(q.predicate)} {q.object}"
    return f"{name(q.subject)} {name(q.predicate)} {name(q.object)}"


class Hierarchy:
    """Every expression of some axioms by number, and what is above it.

    Number 0 is owl:Thing and 1 is owl:Nothing. `above[n]` holds n itself. Subexpressions have numbers of
    their own, so that what is entailed of *hasTissueSource some umbilical cord* is looked up like a class.
    """

    def __init__(self, axioms: Axioms) -> None:
        self.axioms = axioms
        self.expressions: list[Expression] = []
        self.number: dict[Expression, int] = {}
        for name in (THING, NOTHING, *sorted(axioms.classes, key=text)):
            self._register(name)
        for lower, upper in axioms.subclasses:
            self._register(lower)
            self._register(upper)
        for pair in axioms.disjoint:
            for part in pair:
                self._register(part)
        # A clash is the conjunction of two disjoint classes; pyelk need not name those, they come after.
        self.classified = len(self.expressions)
        self.clashes = frozenset(self._register(conjunction(pair)) for pair in axioms.disjoint)
        self.above: list[tuple[int, ...]] = []

    def _register(self, expression: Expression) -> int:
        if expression in self.number:
            return self.number[expression]
        for inner in expression.parts if isinstance(expression, And) else ():
            self._register(inner)
        if isinstance(expression, Some):
            self._register(expression.filler)
        self.number[expression] = len(self.expressions)
        self.expressions.append(expression)
        return self.number[expression]

    def told(self) -> list[tuple[int, ...]]:
        """What the axioms themselves put above each expression, one step up."""
        above: list[list[int]] = [[n] for n in range(len(self.expressions))]
        for lower, upper in self.axioms.subclasses:
            above[self.number[lower]].append(self.number[upper])
        for n, expression in enumerate(self.expressions):
            if isinstance(expression, And):
                above[n] += [self.number[part] for part in expression.parts]
        for n in self.clashes:
            above[n].append(1)
        return [tuple(dict.fromkeys(row)) for row in above]

    def classify(self) -> list[NamedNode]:
        """Fill `above` by pyelk; give the unsatisfiable named classes."""
        below = _classify("\n".join(self._document()).encode())
        self.above = [(n, 0) for n in range(len(self.expressions))]
        for n in range(self.classified):
            self.above[n] = tuple(sorted({n, 0, *below.get(n, ())}))
        for n in self.clashes:
            self.above[n] = tuple(sorted({1, *self.above[n]}))
        named = (self.expressions[n] for n, up in enumerate(self.above) if 1 in up and n != 1)
        return sorted((e for e in named if isinstance(e, NamedNode)), key=text)

    def same(self) -> list[tuple[NamedNode, NamedNode]]:
        """The pairs of named classes that are subclasses of each other, in the order of their texts."""
        named = {n: e for n, e in enumerate(self.expressions) if isinstance(e, NamedNode)}
        mutual = (
            sorted((one, named[m]), key=text)
            for n, one in named.items()
            for m in self.above[n]
            if n < m and m in named and n in self.above[m]
        )
        return sorted(((one, other) for one, other in mutual), key=_texts)

    def _document(self) -> Iterator[str]:
        """The axioms in OWL functional syntax, with a class `urn:n:<number>` for each expression."""
        yield "Ontology(<urn:stroma:el>"
        for c in self.axioms.chains:
            if c.first == c.second == c.result:
                yield f"TransitiveObjectProperty({c.result})"
            else:
                yield f"SubObjectPropertyOf(ObjectPropertyChain({c.first} {c.second}) {c.result})"
        for sub, sup in self.axioms.subproperties:
            yield f"SubObjectPropertyOf({sub} {sup})"
        for n in range(2, self.classified):
            expression = self.expressions[n]
            if isinstance(expression, NamedNode):
                yield f"Declaration(Class(<urn:n:{n}>))"
            else:
                yield f"EquivalentClasses(<urn:n:{n}> {self._functional(expression)})"
        for lower, upper in self.axioms.subclasses:
            yield f"SubClassOf({self._functional(lower)} {self._functional(upper)})"
        for one, other in self.axioms.disjoint:
            yield f"DisjointClasses({self._functional(one)} {self._functional(other)})"
        yield ")"

    def _functional(self, expression: Expression) -> str:
        if isinstance(expression, Some):
            return f"ObjectSomeValuesFrom({expression.property} {self._functional(expression.filler)})"
        if isinstance(expression, And):
            return f"ObjectIntersectionOf({' '.join(map(self._functional, expression.parts))})"
        if expression in (THING, NOTHING):
            return str(expression)
        return f"<urn:n:{self.number[expression]}>"


def open_reasoner(document: bytes, iri: str) -> Reasoner:
    """pyelk over a document in functional syntax; to be used as a context manager."""
    import pyowl_core
    from pyelk import Reasoner
    from pyowl_core.exceptions import BackendUnavailableError

    def load(backend: pyowl_core.BackendPreference) -> Reasoner:
        # "auto" takes the parser in Python for a document of our size: 1.1 s; the native one takes 0.1 s.
        options = pyowl_core.LoadOptions(
            format=pyowl_core.DocumentFormat.FUNCTIONAL,
            imports=pyowl_core.ImportPolicy.IGNORE,
            backend=backend,
        )
        return Reasoner(document, load_options=options, document_iri=iri)

    try:
        return load(pyowl_core.BackendPreference.NATIVE)
    except BackendUnavailableError:  # no wheel for this platform: slower, and the same answer
        return load(pyowl_core.BackendPreference.PYTHON)


def _classify(document: bytes) -> Mapping[int, set[int]]:
    """By number, everything above each class of a document in functional syntax."""
    with open_reasoner(document, "urn:stroma:el") as reasoner:
        result = reasoner.classify()
        if not result.complete:
            raise OntologyError(
                f"pyelk cannot read part of the axioms: {result.reasons}. This is a defect of ours"
            )
        taxonomy = result.value

    def numbers(members: Iterable[object]) -> set[int]:
        found = set()
        for member in members:
            iri = str(member.iri.value)  # type: ignore[attr-defined]
            found.add({THING.value: 0, NOTHING.value: 1}.get(iri, -1) if ":n:" not in iri else int(iri[6:]))
        return found

    own = {id(node): numbers(node.members) for node in taxonomy.nodes}
    direct: dict[int, list[int]] = {}
    for sub, sup in taxonomy.direct_edges:
        direct.setdefault(id(sub), []).append(id(sup))
    above: dict[int, set[int]] = {}

    def up(node: int) -> set[int]:
        if node not in above:
            above[node] = set(own[node]).union(*(up(parent) for parent in direct.get(node, ())))
        return above[node]

    return {n: up(node) for node, members in own.items() for n in members}
