"""The ontology's source files, checked for what a release must not hold, and the products merged from them.

Hides which files there are, which terms are stubs, and how a term's line in its file is found.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rdflib import OWL, RDF, RDFS, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from kg import ontology as ontologies
from kg.errors import OntologyError, UsageError
from kg.release import rdf
from kg.release.owl import DECLARATIONS, Axioms, terms
from kg.release.rdf import OBO, curie
from kg.terms import STROMA

OURS = STROMA("").value
ONTOLOGY = URIRef(OURS.rstrip("/"))
OBO_IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
SHAPES = URIRef("https://w3id.org/stroma/shape")
LABEL, DEFINITION = RDFS.label, URIRef(OBO + "IAO_0000115")
REPLACED_BY = URIRef(OBO + "IAO_0100001")
IMPORTED_FROM = URIRef(OURS + "importedFrom")
LICENCE = URIRef("http://purl.org/dc/terms/license")
TITLE = URIRef("http://purl.org/dc/terms/title")
_SHOWN = 10
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def ours(term: Node) -> bool:
    """Whether a term is in our namespace."""
    return isinstance(term, URIRef) and term.startswith(OURS)


def dated(version: str) -> str:
    """A version as given, if it is a date (2026-11-22); raises UsageError for any other form."""
    try:
        if datetime.date.fromisoformat(version).isoformat() == version:
            return version
    except ValueError:
        pass
    raise UsageError(f"version {version!r}: is no date. Write it as year-month-day, such as 2026-11-22")


@dataclass(frozen=True)
class Module:
    """One Turtle file and its graph."""

    path: Path
    graph: Graph

    def line(self, term: URIRef) -> str:
        """Where a term's block starts, as `cells.ttl:42`; the file alone when it is not at a line's start."""
        names = {f"<{term}>"}
        for prefix, space in self.graph.namespaces():
            if space and term.startswith(space):
                names.add(f"{prefix}:{term[len(space) :]}")
        start = re.compile(rf"^(?:{'|'.join(map(re.escape, sorted(names)))})(?=\s|$)")
        with self.path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, 1):
                if start.match(text):
                    return f"{self.path.name}:{number}"
        return self.path.name


@dataclass(frozen=True)
class Source:
    """The ontology's files: `stroma.ttl` and `modules/*.ttl`, `shapes/*.ttl`, `mappings/*.sssom.tsv`."""

    folder: Path
    modules: tuple[Module, ...]
    shapes: tuple[Module, ...]
    mappings: tuple[Path, ...]

    @cached_property
    def version(self) -> str:
        """The date in the version IRI of `stroma.ttl`; raises UsageError when it has none."""
        versions = [v for m in self.modules for v in m.graph.objects(ONTOLOGY, OWL.versionIRI)]
        if not versions:
            raise UsageError(f"{self.folder}: stroma.ttl has no owl:versionIRI. Give --version, a date")
        return dated(str(versions[0]).rsplit("/", 1)[-1])

    def merged(self, version: str) -> Graph:
        """All modules as one ontology of this version, with the stubs of public terms."""
        return self._product(version, ONTOLOGY, f"{ONTOLOGY}/{version}", None)

    def base(self, version: str) -> Graph:
        """What we say ourselves, of our terms and of public ones; a public term it uses is only declared."""
        base = self._product(
            version, URIRef(OURS + "base"), f"{ONTOLOGY}/{version}/base", " (base: what Stroma itself states)"
        )
        whole = self.merged(version)
        used = {term for triple in base for term in triple if isinstance(term, URIRef) and not ours(term)}
        for term in used:
            for kind in set(whole.objects(term, RDF.type)) & set(DECLARATIONS):
                base.add((term, RDF.type, kind))
        return base

    def merged_shapes(self, version: str) -> Graph:
        """All SHACL shapes as one graph of this version."""
        graph = Graph()
        for module in self.shapes:
            for triple in module.graph:
                graph.add(triple)
        graph.add((SHAPES, RDF.type, OWL.Ontology))
        graph.add((SHAPES, TITLE, Literal("Stroma: SHACL shapes of the knowledge graph", lang="en")))
        _set_version(graph, SHAPES, version, f"{SHAPES}/{version}")
        for licence in self._header().objects(ONTOLOGY, LICENCE):
            graph.add((SHAPES, LICENCE, licence))
        return graph

    def _header(self) -> Graph:
        return next((m.graph for m in self.modules if (ONTOLOGY, RDF.type, OWL.Ontology) in m.graph), Graph())

    def _product(self, version: str, iri: URIRef, version_iri: str, base: str | None) -> Graph:
        graph = Graph()
        for module in self.modules:
            dropped = set(module.graph.subjects(RDF.type, OWL.Ontology))
            if base is not None:
                stubs = {term for term in module.graph.subjects(IMPORTED_FROM) if not ours(term)}
                dropped |= set(_closure(module.graph, stubs))
            for triple in module.graph:
                if triple[0] not in dropped:
                    graph.add(triple)
        for predicate, value in self._header().predicate_objects(ONTOLOGY):
            if predicate == TITLE and base is not None:
                value = Literal(f"{value}{base}", lang="en")
            if predicate not in (OWL.imports, OWL.versionIRI, OWL.versionInfo):
                graph.add((iri, predicate, value))
        _set_version(graph, iri, version, version_iri)
        return graph


def _set_version(graph: Graph, iri: URIRef, version: str, version_iri: str) -> None:
    graph.add((iri, OWL.versionIRI, URIRef(version_iri)))
    graph.add((iri, OWL.versionInfo, Literal(version)))


def _closure(graph: Graph, subjects: set[Node]) -> Iterator[Node]:
    """Subjects, and the blank nodes below them."""
    todo = list(subjects)
    while todo:
        node = todo.pop()
        yield node
        todo += [value for value in graph.objects(node) if isinstance(value, BNode)]


def read(folder: Path) -> Source:
    """The source files of an ontology's folder, checked.

    Raises OntologyError naming file, line and term: a syntax error, a term declared twice or without a
    label, a name no module declares, a deprecated term that names no replacement or is still used.
    """
    ontologies.read(folder)  # that there is one, and that its syntax is right
    files = [p for p in (folder / "stroma.ttl", *sorted((folder / "modules").glob("*.ttl"))) if p.is_file()]
    source = Source(
        folder,
        tuple(Module(path, rdf.parse_file(path)) for path in files),
        tuple(Module(path, rdf.parse_file(path)) for path in sorted((folder / "shapes").glob("*.ttl"))),
        tuple(sorted((folder / "mappings").glob("*.sssom.tsv"))),
    )
    problems = [*_declarations(source), *_control_characters(source), *_deprecations(source)]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise OntologyError("; ".join(problems[:_SHOWN]) + more)
    return source


def _declarations(source: Source) -> Iterator[str]:
    first: dict[URIRef, tuple[Module, str]] = {}
    for module in source.modules:
        for kind, name in DECLARATIONS.items():
            for term in sorted(t for t in module.graph.subjects(RDF.type, kind) if isinstance(t, URIRef)):
                if term in first:
                    where = first[term][0]
                    yield (
                        f"{module.line(term)}: {curie(term)} is declared twice, as {first[term][1]} in "
                        f"{where.line(term)} and as {name} here. Keep one, or give one of them another name"
                    )
                    continue
                first[term] = (module, name)
    labelled = {term for module in source.modules for term in module.graph.subjects(LABEL)}
    for term, (module, _) in sorted(first.items()):
        if term not in labelled:
            yield f'{module.line(term)}: {curie(term)} has no label. Add rdfs:label "…"@en'


def _control_characters(source: Source) -> Iterator[str]:
    """Text that XML cannot hold, so that no file would be the same everywhere."""
    for module in (*source.modules, *source.shapes):
        for term, predicate, value in sorted(module.graph):
            found = _CONTROL.search(value) if isinstance(value, Literal) else None
            if found:
                where = (
                    f"{module.line(term)}: {curie(term)}" if isinstance(term, URIRef) else module.path.name
                )
                yield (
                    f"{where}: the text of {curie(str(predicate))} holds the control character "
                    f"U+{ord(found[0]):04X}. Remove it"
                )


def _deprecations(source: Source) -> Iterator[str]:
    """A deprecated term keeps its name and label, says what to use instead, and is used no more."""
    places = {
        term: module
        for module in source.modules
        for term, value in module.graph.subject_objects(OWL.deprecated)
        if str(value) in ("true", "1") and isinstance(term, URIRef)
    }
    if not places:
        return
    graph = source.merged(source.version)
    declared = {t for kind in DECLARATIONS for t in graph.subjects(RDF.type, kind)}
    for term, module in sorted(places.items()):
        replacements = list(graph.objects(term, REPLACED_BY))
        where = f"{module.line(term)}: {curie(term)} is deprecated"
        if not replacements:
            yield f"{where} and says not by what. Add obo:IAO_0100001, the term to use instead"
        for new in replacements:
            if new not in declared:
                yield f"{where} in favour of {new}, which no module declares. Correct the name"
            elif new in places:
                yield f"{where} in favour of {curie(str(new))}, which is deprecated too. Name the one in use"
    for axiom in Axioms(graph):
        if axiom[0] not in ("Declaration", "AnnotationAssertion"):
            for term in sorted(set(terms(axiom)) & places.keys()):
                yield (
                    f"{places[term].line(term)}: {curie(term)} is deprecated and an axiom ({axiom[0]}) still "
                    "uses it. Use its replacement there"
                )
