"""What follows from the ontology and the facts, each inference in a graph named after the rule that gave it.

Hides the classifier, the model of individuals, and the store the rules run in. The everyday path: no Java.

pyelk classifies the axioms; individuals are realised here. pyelk could realise them too, but takes 78 s for
48,100 individuals (8.5 s for 11,100: it grows faster than their number), this 1.8 s (measured 2026-11-22).
The two steps lose nothing: without inverses, nominals and ranges, which the reader of axioms sets aside as
beyond EL, what is above a class never depends on an individual, so individuals need only the hierarchy.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, QueryTriples, Store
from rdflib import URIRef
from rdflib.plugins.sparql import prepareQuery

from kg.axioms import NOTHING, THING, VOCABULARY, Hierarchy, read_axioms
from kg.errors import OntologyError
from kg.model import Model, rule_texts
from kg.ontology import Ontology
from kg.terms import OBO, OWL, RDF, RDFS, STROMA, compress, digest, mint

CLAIMS_DERIVED = mint("graph", "claims-derived")
METADATA = mint("graph", "metadata")

# Relations that textbooks state between classes. Of our own, those that data state between classes join
# them; `administers` between two classes would answer questions about regimens with a class.
_TEXTBOOK = (
    OBO("BFO_0000050"),  # part of
    OBO("BFO_0000051"),  # has part
    OBO("RO_0000056"),  # participates in
    OBO("RO_0000057"),  # has participant
    OBO("RO_0000087"),  # has role
    OBO("RO_0002215"),  # capable of
    OBO("RO_0002304"),  # causally upstream of, positive effect
    OBO("RO_0002305"),  # causally upstream of, negative effect
    OBO("RO_0002411"),  # causally upstream of
)
_UPPER = (OBO("BFO_").value, OBO("COB_").value)
_CLAIM_WORDS = frozenset(
    {
        STROMA.asserts,
        STROMA.modality,
        STROMA.polarity,
        STROMA.propositionSubject,
        STROMA.propositionPredicate,
        STROMA.propositionObject,
    }
)


@dataclass(frozen=True)
class Inferences:
    """What the build adds: inferred quads, derived axioms and their description, in a fixed order."""

    quads: tuple[Quad, ...]
    counts: Mapping[str, int]  # rule -> quads in its graph
    seconds: Mapping[str, float]  # step -> wall clock
    beyond_el: tuple[str, ...]  # axioms only the referee (HermiT) reads


def infer(ontology: Ontology, quads: Iterable[Quad], rules: Path) -> Inferences:
    """Everything entailed and not asserted: subclasses, types, class relations, edges, and rules' results.

    `quads` are all sources' quads, read once; `rules` a folder of CONSTRUCT rules `<name>.rq`, run after the
    reasoner, in the order of their names, each seeing the results of those before it. Raises OntologyError
    for an unsatisfiable class or an inconsistent individual, with the statements it follows from.
    """
    clock = _Clock()
    constructs = [_Rule.read(path) for path in sorted(rules.glob("*.rq"))]
    data = _Data(ontology, constructs)
    for quad in quads:
        data.take(quad)
    derived = claims_derived(ontology, data.claims)
    data.class_relations |= {q.object for q in derived if q.predicate == OWL.onProperty}
    clock.lap("read")

    hierarchy = Hierarchy(read_axioms([*ontology.quads, *data.axioms, *derived]))
    unsatisfiable = hierarchy.classify()
    clock.lap("classify")
    if unsatisfiable:
        model = Model(hierarchy, hierarchy.told(), explaining=True)
        model.saturate((), ())
        raise OntologyError(
            f"{len(unsatisfiable)} class(es) can have no instance: {_listed(unsatisfiable)}. "
            f"{model.explain_class(unsatisfiable[0])}. Correct one of these axioms in ontology/modules/"
        )

    model = Model(hierarchy, hierarchy.above)
    model.saturate(data.types, data.edges)
    clock.lap("realise")
    if model.clashing:
        explained = Model(hierarchy, hierarchy.told(), explaining=True)
        explained.saturate(data.types, data.edges)
        named = [model.individuals[n] for n in sorted(model.clashing)]
        raise OntologyError(
            f"{len(named)} thing(s) contradict the ontology: {_listed(named)}. "
            f"{explained.explain_individual(named[0])}. Correct the source's statement, or the axiom"
        )

    found: dict[Quad, str] = {}  # inferred quad -> rule
    descriptions: dict[str, tuple[str, str]] = {}
    for name, label, axiom, triple in _results(model, hierarchy, data):
        found[Quad(*triple, mint("graph", "inferred", name))] = name
        descriptions[name] = (label, axiom)
    clock.lap("write")
    for name, label, axiom, triple in _construct(constructs, [*data.for_rules, *found, *derived]):
        found[Quad(*triple, mint("graph", "inferred", name))] = name
        descriptions[name] = (label, axiom)
    clock.lap("rules")

    ordered = [
        quad for quad, _ in sorted(found.items(), key=lambda pair: (pair[1], *map(str, pair[0].triple)))
    ]
    clock.lap("sort")
    return Inferences(
        (*ordered, *derived, *_describe(descriptions)),
        dict(sorted(Counter(found.values()).items())),
        clock.laps,
        hierarchy.axioms.beyond_el,
    )


def claims_derived(ontology: Ontology, quads: Iterable[Quad]) -> tuple[Quad, ...]:
    """The axioms *every X p some Y* that accepted claims give, each annotated with its claims.

    A claim is accepted here when it is asserted (not hedged, not recommended) and its proposition positive;
    a proposition is about classes when subject and object are declared classes, its predicate an object
    property.
    """
    asserted: set[NamedNode] = set()
    claims: dict[NamedNode, list[NamedNode]] = {}
    says: dict[NamedNode, dict[NamedNode, NamedNode]] = {}
    for q in quads:
        if q.predicate not in _CLAIM_WORDS or not isinstance(q.subject, NamedNode):
            continue
        if not isinstance(q.object, NamedNode):
            continue
        if q.predicate == STROMA.asserts:
            claims.setdefault(q.object, []).append(q.subject)
        elif q.predicate == STROMA.modality:
            if q.object == STROMA.ModalityAsserted:
                asserted.add(q.subject)
        else:
            says.setdefault(q.subject, {})[q.predicate] = q.object
    found: list[Quad] = []
    for proposition, words in sorted(says.items(), key=lambda pair: pair[0].value):
        accepted = sorted({c for c in claims.get(proposition, ()) if c in asserted}, key=lambda c: c.value)
        edge = [words.get(STROMA(f"proposition{part}")) for part in ("Subject", "Predicate", "Object")]
        if (
            accepted
            and words.get(STROMA.polarity) == STROMA.PolarityPositive
            and edge[0] in ontology.classes
            and edge[1] in ontology.object_properties
            and edge[2] in ontology.classes
        ):
            found += _axiom(edge[0], edge[1], edge[2], accepted)
    return tuple(found)


def _axiom(
    sub: NamedNode, relation: NamedNode, sup: NamedNode, claims: Iterable[NamedNode]
) -> Iterator[Quad]:
    key = digest(sub.value, relation.value, sup.value)
    restriction, axiom = BlankNode(f"claims-some-{key}"), BlankNode(f"claims-axiom-{key}")
    g = CLAIMS_DERIVED
    yield Quad(sub, RDFS.subClassOf, restriction, g)
    yield Quad(restriction, RDF.type, OWL.Restriction, g)
    yield Quad(restriction, OWL.onProperty, relation, g)
    yield Quad(restriction, OWL.someValuesFrom, sup, g)
    yield Quad(axiom, RDF.type, OWL.Axiom, g)
    yield Quad(axiom, OWL.annotatedSource, sub, g)
    yield Quad(axiom, OWL.annotatedProperty, RDFS.subClassOf, g)
    yield Quad(axiom, OWL.annotatedTarget, restriction, g)
    for claim in claims:
        yield Quad(axiom, STROMA.derivedFromClaim, claim, g)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.laps[step], self._last = now - self._last, now


class _Data:
    """What reasoning keeps of the quads: facts, class edges, claims, axioms, and the rules' matter."""

    def __init__(self, ontology: Ontology, rules: Iterable[_Rule]) -> None:
        self.ontology = ontology
        self.types: dict[tuple[NamedNode, NamedNode], None] = {}
        self.edges: dict[tuple[NamedNode, NamedNode, NamedNode], None] = {}
        self.class_edges: set[tuple[NamedNode, NamedNode, NamedNode]] = set()
        self.class_relations: set[object] = set()  # properties that data state between classes
        self.claims: list[Quad] = []
        self.axioms: list[Quad] = []
        self.for_rules: list[Quad] = []
        predicates = [rule.predicates for rule in rules]
        self._everything = None in predicates
        self._wanted = frozenset(p for some in predicates if some is not None for p in some)
        for q in ontology.quads:  # exemplars and vocabulary individuals are facts too
            self.take(q, definition=True)

    def take(self, q: Quad, definition: bool = False) -> None:
        s, p, o = q.subject, q.predicate, q.object
        if self._everything or p in self._wanted:
            self.for_rules.append(q)
        if p in _CLAIM_WORDS:
            self.claims.append(q)
        if not isinstance(s, NamedNode) or not isinstance(o, NamedNode):
            if p in VOCABULARY and not definition:
                self.axioms.append(q)
            return
        if self.ontology.is_fact(q):
            if p == RDF.type:
                self.types[s, o] = None
            else:
                self.edges[s, p, o] = None
        elif p in VOCABULARY:
            if not definition:
                self.axioms.append(q)
            if p == RDFS.subClassOf:
                self.class_edges.add((s, p, o))
        elif p in self.ontology.object_properties:
            self.class_edges.add((s, p, o))
            self.class_relations.add(p)


# ---------------------------------------------------------------- results

_Triple = tuple[NamedNode, NamedNode, NamedNode | Literal]
_Result = tuple[str, str, str, _Triple]  # rule, label, axiom, triple
_SUBCLASS = (
    "Subclasses the EL reasoner found",
    "OWL 2 EL classification of graph:ontology and graph:claims-derived",
)
_TYPE = ("Types the EL reasoner found", "OWL 2 EL realisation of the individuals")
_RELATION = ("Relations between classes", "an entailed axiom: every X ... some Y")


def _results(model: Model, hierarchy: Hierarchy, data: _Data) -> Iterator[_Result]:
    named = {
        n: e
        for n, e in enumerate(hierarchy.expressions)
        if isinstance(e, NamedNode) and e not in (THING, NOTHING)
    }
    for n, lower in named.items():
        for m in hierarchy.above[n]:
            if m != n and m in named and (lower, RDFS.subClassOf, named[m]) not in data.class_edges:
                yield ("subclass", *_SUBCLASS, (lower, RDFS.subClassOf, named[m]))
    for n, individual in enumerate(model.individuals):
        for m in sorted(model.types[n]):
            if m in named and (individual, named[m]) not in data.types:
                yield ("type", *_TYPE, (individual, RDF.type, named[m]))
    relations, telling = _class_relations(data, hierarchy), _telling(named, hierarchy)
    for n, lower in named.items():
        for p, successors in model.out[model.classes[n]].items():
            if p in relations:
                fillers = {m for successor in successors for m in model.types[successor]} & telling.keys()
                for m in sorted(fillers):
                    if (lower, p, named[m]) not in data.class_edges:
                        yield ("relation", *_RELATION, (lower, p, named[m]))
    texts = rule_texts(hierarchy.axioms)
    for edge in model.why_edge.keys() - model.asserted_edges:
        n, p, m = edge
        for rule in model.why_edge[edge]:
            yield (rule, *texts[rule], (model.individuals[n], p, model.individuals[m]))


def _class_relations(data: _Data, hierarchy: Hierarchy) -> set[object]:
    """The properties whose edges between classes are read off: textbook ones, stated ones, and wider ones."""
    found = {*_TEXTBOOK, *data.class_relations}
    todo = list(found)
    while todo:
        p = todo.pop()
        wider = {sup for sub, sup in hierarchy.axioms.subproperties if sub == p} - found
        found |= wider
        todo += wider
    return found


def _telling(named: Mapping[int, NamedNode], hierarchy: Hierarchy) -> dict[int, NamedNode]:
    """The classes worth naming as the other end of a relation: "promotes some biological process" is true and
    says nothing, so upper ontologies and the roots public ontologies hang below them are left out."""
    upper = {n for n, name in named.items() if name.value.startswith(_UPPER)}
    ours = STROMA("").value
    return {
        n: name
        for n, name in named.items()
        if n not in upper
        and (
            name.value.startswith(ours)
            or any(m in named and m not in upper and m != n for m in hierarchy.above[n])
        )
    }


def _listed(names: list[NamedNode]) -> str:
    shown = ", ".join(compress(name.value) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _describe(descriptions: Mapping[str, tuple[str, str]]) -> Iterator[Quad]:
    for name, (label, axiom) in sorted(descriptions.items()):
        graph = mint("graph", "inferred", name)
        yield Quad(graph, RDF.type, STROMA.InferenceRule, METADATA)
        yield Quad(graph, RDFS.label, Literal(label, language="en"), METADATA)
        yield Quad(graph, STROMA.fromAxiom, Literal(axiom), METADATA)


# ---------------------------------------------------------------- rules


@dataclass(frozen=True)
class _Rule:
    """A CONSTRUCT query of `ontology/rules/`; `predicates` it reads or writes, None when it may read any."""

    path: Path
    query: str
    summary: str
    predicates: frozenset[NamedNode] | None

    @staticmethod
    def read(path: Path) -> _Rule:
        query = path.read_text(encoding="utf-8")
        summary = next(
            (
                line[2:].partition(":")[2].strip()
                for line in query.splitlines()
                if line.startswith("#+ summary:")
            ),
            "",
        )
        if not summary:
            raise OntologyError(f"{path.name}: says not what it adds; begin it with a line `#+ summary: ...`")
        try:
            predicates: set[NamedNode] = set()
            for triple in _triples(prepareQuery(query).algebra):
                if not isinstance(triple[1], URIRef):  # a variable or a path
                    return _Rule(path, query, summary, None)
                predicates.add(NamedNode(str(triple[1])))
        except Exception as problem:  # rdflib raises its parser's own, without a common base
            raise OntologyError(f"{path.name}: does not parse: {problem}. Mend {path}") from problem
        return _Rule(path, query, summary, frozenset(predicates))


def _triples(algebra: object) -> Iterator[tuple[object, ...]]:
    """The triple patterns of a query, wherever they stand in its algebra."""
    if isinstance(algebra, Mapping):
        for key, part in algebra.items():
            if key in ("triples", "template") and part:
                yield from part
            else:
                yield from _triples(part)
    elif isinstance(algebra, list):
        for part in algebra:
            yield from _triples(part)


def _construct(rules: list[_Rule], quads: list[Quad]) -> Iterator[_Result]:
    """What the rules add to some quads, rule after rule."""
    if not rules:
        return
    store = Store()
    store.bulk_extend(quads)
    for rule in rules:
        fresh: list[Quad] = []
        try:
            answer = store.query(rule.query, use_default_graph_as_union=True)
        except SyntaxError as problem:
            raise OntologyError(f"{rule.path.name}: does not parse: {problem}. Mend {rule.path}") from problem
        if not isinstance(answer, QueryTriples):
            raise OntologyError(f"{rule.path.name}: is no CONSTRUCT; a rule builds triples")
        for s, p, o in sorted(answer, key=str):
            if not isinstance(s, NamedNode) or not isinstance(o, NamedNode | Literal):
                raise OntologyError(f"{rule.path.name}: makes a blank node; every node of ours has an IRI")
            if next(store.quads_for_pattern(s, p, o, None), None) is None:
                fresh.append(Quad(s, p, o, CLAIMS_DERIVED))
                yield (rule.path.stem, rule.summary, f"ontology/rules/{rule.path.name}", (s, p, o))
        store.extend(fresh)
