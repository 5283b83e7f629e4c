"""The axioms of an ontology, read off its triples by OWL 2's own mapping, and written in functional syntax.

Hides how OWL is spelt in triples. An axiom is a nested tuple whose first member names it, as functional
syntax does: `("SubClassOf", A, ("ObjectSomeValuesFrom", p, B))`. A triple that is no part of an axiom is an
error, so that what is written is all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from rdflib import OWL, RDF, RDFS, XSD, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from kg.errors import OntologyError
from kg.release.rdf import Names, Tree, curie, namespaces

# URIRef and Literal are str too: a plain str is a word of functional syntax ("SubClassOf", or a number).
Expression = str | tuple["Expression", ...]
Axiom = tuple[Expression, ...]

DECLARATIONS = {
    OWL.Class: "Class",
    RDFS.Datatype: "Datatype",
    OWL.ObjectProperty: "ObjectProperty",
    OWL.DatatypeProperty: "DataProperty",
    OWL.AnnotationProperty: "AnnotationProperty",
    OWL.NamedIndividual: "NamedIndividual",
}
_CHARACTERISTICS = {
    OWL.TransitiveProperty: "Transitive",
    OWL.SymmetricProperty: "Symmetric",
    OWL.AsymmetricProperty: "Asymmetric",
    OWL.ReflexiveProperty: "Reflexive",
    OWL.IrreflexiveProperty: "Irreflexive",
    OWL.FunctionalProperty: "Functional",
    OWL.InverseFunctionalProperty: "InverseFunctional",
}
_BUILT_IN_ANNOTATIONS = frozenset(
    {RDFS.label, RDFS.comment, RDFS.seeAlso, RDFS.isDefinedBy, OWL.deprecated, OWL.versionInfo}
    | {OWL.priorVersion, OWL.backwardCompatibleWith, OWL.incompatibleWith}
)
_CARDINALITIES: dict[Node, str] = {
    OWL.minCardinality: "Min",
    OWL.minQualifiedCardinality: "Min",
    OWL.maxCardinality: "Max",
    OWL.maxQualifiedCardinality: "Max",
    OWL.cardinality: "Exact",
    OWL.qualifiedCardinality: "Exact",
}
_HEADER = frozenset({RDF.type, OWL.versionIRI, OWL.imports})
_REIFIED = frozenset({RDF.type, OWL.annotatedSource, OWL.annotatedProperty, OWL.annotatedTarget})
_TOP = {OWL.Thing: "Class", OWL.Nothing: "Class", RDFS.Literal: "Datatype"}
# The order of an ontology's sections: first what is declared, then what is said.
_ORDER = ["Declaration", "SubClassOf", "EquivalentClasses", "DisjointClasses", "DisjointUnion"]


class Axioms:
    """The axioms of a graph that holds one ontology header at most.

    Iterating gives them in a fixed order. Raises OntologyError naming the term of a triple that OWL 2 has no
    place for.
    """

    def __init__(self, graph: Graph) -> None:
        self._tree = Tree(graph)
        self.graph = graph
        self.kinds: dict[URIRef, set[str]] = {}
        for kind, name in DECLARATIONS.items():
            for term in graph.subjects(RDF.type, kind):
                if isinstance(term, URIRef):
                    self.kinds.setdefault(term, set()).add(name)
        self.header = next((s for s in graph.subjects(RDF.type, OWL.Ontology) if isinstance(s, URIRef)), None)
        self._notes: dict[tuple[Node, Node, str], list[Expression]] = {}
        self._read_notes()
        self.axioms: tuple[Axiom, ...] = tuple(
            sorted({a for s in self._tree.roots for a in self._about(s)}, key=_place)
        )
        if self._notes:
            (source, predicate, _), _ = sorted(self._notes.items(), key=str)[0]
            raise OntologyError(
                f"{_name(source)}: an owl:Axiom annotates a {_name(predicate)} statement that is not there. "
                "State the triple too"
            )

    def __iter__(self) -> Iterator[Axiom]:
        return iter(self.axioms)

    # --- subjects

    def _read_notes(self) -> None:
        for node in self.graph.subjects(RDF.type, OWL.Axiom):
            said = dict(self.graph.predicate_objects(node))
            try:
                source, predicate = said[OWL.annotatedSource], said[OWL.annotatedProperty]
                target = self._tree.key(said[OWL.annotatedTarget])
            except KeyError as problem:
                raise OntologyError(
                    f"an owl:Axiom lacks its {_name(problem.args[0])}. Give it source, property and target"
                ) from None
            notes = self._notes.setdefault((source, predicate, target), [])
            notes += [
                ("Annotation", self._annotation_property(node, p), self._value(o))
                for p, values in self._tree.statements(node)
                if p not in _REIFIED
                for o in values
            ]

    def _about(self, subject: Node) -> Iterator[Axiom]:
        types = set(self.graph.objects(subject, RDF.type))
        if OWL.Ontology in types or OWL.Axiom in types:
            return
        if isinstance(subject, BNode):
            yield self._group(subject, types)
            return
        for predicate, values in self._tree.statements(subject):
            for value in values:
                found = self._axiom(subject, predicate, value)
                notes = self._notes.pop((subject, predicate, self._tree.key(value)), [])
                yield (found[0], *sorted(notes, key=render), *found[1:])

    def _group(self, node: Node, types: set[Node]) -> Axiom:
        """An axiom about several terms, which stands on a blank node of its own."""
        names = {
            OWL.AllDisjointClasses: ("DisjointClasses", OWL.members, self._class),
            OWL.AllDifferent: ("DifferentIndividuals", OWL.distinctMembers, self._value),
            OWL.AllDisjointProperties: ("DisjointObjectProperties", OWL.members, self._value),
        }
        for kind, (name, predicate, read) in names.items():
            if kind in types:
                members = self.graph.value(node, predicate) or self.graph.value(node, OWL.members)
                return (name, *(read(item) for item in self._list(node, members)))
        raise _foreign(node, "a blank node that nothing refers to", self._tree.key(node)[:120])

    def _axiom(self, s: Node, p: URIRef, o: Node) -> Axiom:
        if p == RDF.type:
            return self._typing(s, o)
        kind = self._kind(s)
        simple: dict[URIRef, Callable[[], Axiom]] = {
            RDFS.subClassOf: lambda: ("SubClassOf", self._class(s), self._class(o)),
            OWL.equivalentClass: lambda: (
                ("DatatypeDefinition", str_iri(s), self._range(o))
                if kind == "Datatype"
                else ("EquivalentClasses", self._class(s), self._class(o))
            ),
            OWL.disjointWith: lambda: ("DisjointClasses", self._class(s), self._class(o)),
            OWL.disjointUnionOf: lambda: ("DisjointUnion", str_iri(s), *map(self._class, self._list(s, o))),
            RDFS.subPropertyOf: lambda: (f"Sub{self._sort(s)}Of", str_iri(s), self._property(o)),
            OWL.propertyChainAxiom: lambda: (
                "SubObjectPropertyOf",
                ("ObjectPropertyChain", *map(self._property, self._list(s, o))),
                str_iri(s),
            ),
            OWL.equivalentProperty: lambda: (
                f"Equivalent{_plural(self._sort(s))}",
                str_iri(s),
                self._property(o),
            ),
            OWL.propertyDisjointWith: lambda: (
                f"Disjoint{_plural(self._sort(s))}",
                str_iri(s),
                self._property(o),
            ),
            OWL.inverseOf: lambda: ("InverseObjectProperties", str_iri(s), str_iri(o)),
            RDFS.domain: lambda: (
                f"{self._sort(s)}Domain",
                str_iri(s),
                str_iri(o) if kind == "AnnotationProperty" else self._class(o),
            ),
            RDFS.range: lambda: (
                f"{self._sort(s)}Range",
                str_iri(s),
                {"ObjectProperty": self._class, "DataProperty": self._range}.get(kind, str_iri)(o),
            ),
            OWL.sameAs: lambda: ("SameIndividual", str_iri(s), str_iri(o)),
            OWL.differentFrom: lambda: ("DifferentIndividuals", str_iri(s), str_iri(o)),
        }
        if p in simple:
            return simple[p]()
        if p == OWL.hasKey:
            keys = [str_iri(key) for key in self._list(s, o)]
            objects = tuple(k for k in keys if "ObjectProperty" in self.kinds.get(URIRef(str(k)), ()))
            return ("HasKey", self._class(s), ("", *objects), ("", *(k for k in keys if k not in objects)))
        said = self.kinds.get(p, set())
        if p in _BUILT_IN_ANNOTATIONS or "AnnotationProperty" in said:
            return ("AnnotationAssertion", p, str_iri(s), self._value(o))
        if "ObjectProperty" in said and isinstance(o, URIRef):
            return ("ObjectPropertyAssertion", p, str_iri(s), o)
        if "DataProperty" in said and isinstance(o, Literal):
            return ("DataPropertyAssertion", p, str_iri(s), o)
        if not said:
            raise OntologyError(
                f"{_name(s)}: uses the property {_name(p)}, which no module declares. "
                "Correct its name, or declare it in a module of ontology/modules/"
            )
        raise _foreign(s, _name(p), _name(o))

    def _typing(self, s: Node, o: Node) -> Axiom:
        if o in DECLARATIONS:
            return ("Declaration", (DECLARATIONS[URIRef(str(o))], str_iri(s)))
        if o in _CHARACTERISTICS:
            return (f"{_CHARACTERISTICS[URIRef(str(o))]}{self._sort(s)}", str_iri(s))
        return ("ClassAssertion", self._class(o), str_iri(s))

    # --- expressions

    def _list(self, subject: Node, node: Node | None) -> list[Node]:
        items = self._tree.items(node) if node is not None else None
        if items is None:
            raise _foreign(subject, "a list", str(node))
        return items

    def _kind(self, term: Node) -> str:
        kinds = self.kinds.get(URIRef(str(term)), set())
        return next(
            (
                k
                for k in ("ObjectProperty", "DataProperty", "AnnotationProperty", "Datatype", "Class")
                if k in kinds
            ),
            "",
        )

    def _sort(self, term: Node) -> str:
        kind = self._kind(term)
        if kind not in ("ObjectProperty", "DataProperty", "AnnotationProperty"):
            raise OntologyError(
                f"{_name(term)}: is used as a property and declared as none. Declare it as "
                "owl:ObjectProperty, owl:DatatypeProperty or owl:AnnotationProperty"
            )
        return kind

    def _property(self, node: Node) -> Expression:
        if isinstance(node, BNode):
            inverse = self.graph.value(node, OWL.inverseOf)
            if inverse is None:
                raise _foreign(node, "a property", self._tree.key(node)[:120])
            return ("ObjectInverseOf", str_iri(inverse))
        self._sort(node)
        return str_iri(node)

    def _annotation_property(self, node: Node, p: URIRef) -> Expression:
        if p not in _BUILT_IN_ANNOTATIONS and "AnnotationProperty" not in self.kinds.get(p, ()):
            raise _foreign(node, _name(p), "an annotation by a property that is not declared as one")
        return p

    def _value(self, node: Node) -> Expression:
        if isinstance(node, BNode):
            raise _foreign(node, "a value", self._tree.key(node)[:120])
        assert isinstance(node, str)
        return node

    def _class(self, node: Node) -> Expression:
        if isinstance(node, URIRef):
            if "Class" not in self.kinds.get(node, ()) and node not in _TOP:
                raise OntologyError(
                    f"{_name(node)}: is used as a class and no module declares it. "
                    "Correct its name, or declare it (a public term in an imports module)"
                )
            return node
        said = dict(self.graph.predicate_objects(node))
        said.pop(RDF.type, None)
        for predicate, name in (
            (OWL.intersectionOf, "ObjectIntersectionOf"),
            (OWL.unionOf, "ObjectUnionOf"),
            (OWL.oneOf, "ObjectOneOf"),
        ):
            if set(said) == {predicate}:
                read = self._value if predicate == OWL.oneOf else self._class
                return (name, *(read(item) for item in self._list(node, said[predicate])))
        if set(said) == {OWL.complementOf}:
            return ("ObjectComplementOf", self._class(said[OWL.complementOf]))
        if OWL.onProperty in said:
            return self._restriction(node, said)
        raise _foreign(node, "a class expression", self._tree.key(node)[:120])

    def _restriction(self, node: Node, said: dict[Node, Node]) -> Expression:
        p = self._property(said.pop(OWL.onProperty))
        data = isinstance(p, str) and self._kind(URIRef(p)) == "DataProperty"
        sort, filler = ("Data", self._range) if data else ("Object", self._class)
        for predicate, name in ((OWL.someValuesFrom, "SomeValuesFrom"), (OWL.allValuesFrom, "AllValuesFrom")):
            if set(said) == {predicate}:
                return (f"{sort}{name}", p, filler(said[predicate]))
        if set(said) == {OWL.hasValue}:
            return (f"{sort}HasValue", p, self._value(said[OWL.hasValue]))
        if set(said) == {OWL.hasSelf}:
            return ("ObjectHasSelf", p)
        qualifier = said.pop(OWL.onDataRange if data else OWL.onClass, None)
        if len(said) == 1:
            cardinality, number = next(iter(said.items()))
            if cardinality in _CARDINALITIES:
                rest = () if qualifier is None else (filler(qualifier),)
                return (f"{sort}{_CARDINALITIES[cardinality]}Cardinality", str(number), p, *rest)
        raise _foreign(node, "a restriction", self._tree.key(node)[:120])

    def _range(self, node: Node) -> Expression:
        if isinstance(node, URIRef):
            return node
        said = dict(self.graph.predicate_objects(node))
        said.pop(RDF.type, None)
        if set(said) == {OWL.onDatatype, OWL.withRestrictions}:
            facets: list[Expression] = []
            for facet in self._list(node, said[OWL.withRestrictions]):
                for p, o in self.graph.predicate_objects(facet):
                    facets += [str_iri(p), self._value(o)]
            return ("DatatypeRestriction", str_iri(said[OWL.onDatatype]), *facets)
        for predicate, name, read in (
            (OWL.oneOf, "DataOneOf", self._value),
            (OWL.unionOf, "DataUnionOf", self._range),
            (OWL.intersectionOf, "DataIntersectionOf", self._range),
        ):
            if set(said) == {predicate}:
                return (name, *(read(item) for item in self._list(node, said[predicate])))
        raise _foreign(node, "a data range", self._tree.key(node)[:120])


def str_iri(node: Node) -> Expression:
    """A node that must be an IRI; raises OntologyError for another."""
    if not isinstance(node, URIRef):
        raise _foreign(node, "a term", "a blank node or a literal where OWL wants an IRI")
    return node


def notes(axiom: Axiom) -> list[tuple[Expression, ...]]:
    """The annotations an axiom itself carries."""
    return [part for part in axiom if isinstance(part, tuple) and part[:1] == ("Annotation",)]


def bare(axiom: Axiom) -> Axiom:
    """An axiom without its own annotations."""
    own = notes(axiom)
    return tuple(part for part in axiom if part not in own)


def terms(expression: Expression) -> Iterator[URIRef]:
    """Every IRI in an axiom or expression."""
    if isinstance(expression, URIRef):
        yield expression
    elif isinstance(expression, tuple):
        for part in expression:
            yield from terms(part)


def _plural(sort: str) -> str:
    return sort.removesuffix("y") + "ies"


def _name(node: Node) -> str:
    return curie(str(node)) if isinstance(node, URIRef) else str(node)


def _foreign(subject: Node, what: str, value: str) -> OntologyError:
    where = _name(subject) if isinstance(subject, URIRef) else "a blank node"
    return OntologyError(
        f"{where}: {what} {value} is no OWL 2 axiom. Compare with the pattern of a term like it in "
        "ontology/modules/"
    )


def _place(axiom: Axiom) -> tuple[int, str, str]:
    head = str(axiom[0])
    rank = _ORDER.index(head) if head in _ORDER else len(_ORDER) + (head == "AnnotationAssertion")
    return rank, head, render(axiom)


# --- functional syntax


def render(expression: Expression, short: Callable[[str], str] = lambda iri: f"<{iri}>") -> str:
    """An axiom or expression in functional syntax; `short` writes an IRI."""
    if isinstance(expression, Literal):
        text = str(expression).replace("\\", "\\\\").replace('"', '\\"')
        if expression.language:
            return f'"{text}"@{expression.language}'
        if expression.datatype is None or expression.datatype == XSD.string:
            return f'"{text}"'
        return f'"{text}"^^{short(expression.datatype)}'
    if isinstance(expression, URIRef):
        return short(expression)
    if isinstance(expression, str):
        return expression
    head, *parts = expression
    return f"{head}({' '.join(render(part, short) for part in parts)})"


def functional(axioms: Axioms) -> str:
    """An ontology in functional syntax, axioms by kind and term, the same text for the same axioms."""
    names = Names()
    blocks = []
    for _, group in groupby(axioms, key=lambda axiom: axiom[0]):
        lines = [render(axiom, names.short) for axiom in group]
        blocks.append("\n".join(lines))
    header = []
    if axioms.header is not None:
        version = axioms.graph.value(axioms.header, OWL.versionIRI)
        header.append(f"Ontology(<{axioms.header}>" + (f" <{version}>" if version else ""))
        for predicate, values in Tree(axioms.graph).statements(axioms.header):
            if predicate == OWL.imports:
                header += [f"Import(<{value}>)" for value in values]
            if predicate not in _HEADER:
                header += [
                    render(("Annotation", predicate, str(v) if not isinstance(v, str) else v), names.short)
                    for v in values
                ]
    else:
        header.append("Ontology(")
    spaces = namespaces()
    prefixes = "".join(f"Prefix({p}:=<{spaces[p]}>)\n" for p in spaces if p in names.used)
    return prefixes + "\n" + "\n".join(header) + "\n\n" + "\n\n".join(blocks) + "\n\n)\n"
