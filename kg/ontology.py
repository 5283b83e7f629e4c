"""The ontology as people wrote it: read the modules, know their terms, refuse what is badly written.

Hides the files, the parser, where in a file a term stands, and how blank nodes get labels that never change.
Callers see quads and declared terms.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
    parse,
)

from kg.errors import OntologyError
from kg.terms import OWL, RDF, RDFS, STROMA, compress, mint

GRAPH = mint("graph", "ontology")

_KINDS = {
    OWL.Class: "class",
    OWL.ObjectProperty: "object property",
    OWL.DatatypeProperty: "data property",
    OWL.AnnotationProperty: "annotation property",
    OWL.NamedIndividual: "individual",
    RDFS.Datatype: "datatype",
}


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


def _block_at(path: Path, line: int, column: int) -> str:
    """Which term's block a place of a Turtle file is in, as a part of a message; blocks begin their line."""
    # What is wrong at the first character of a block is the end of the block before.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[: line - (column == 1)]
    subjects = (
        found[0] for text in reversed(lines) if (found := re.match(r"[\w-]*:[\w./-]+|<[^>\s]+>", text))
    )
    subject = next(subjects, None)
    return f", in the block of {subject}" if subject else ""


def _quads(path: Path) -> Iterator[Quad]:
    """A file's triples in graph:ontology. Blank nodes get their RDFC-1.0 label after the file's name, so
    that no two modules share one and a change of one module renames none of another's."""
    try:
        parsed = Dataset(parse(path=path, format=RdfFormat.TURTLE))
    except SyntaxError as problem:
        place = ""
        if problem.lineno:
            place = f", line {problem.lineno}, column {problem.offset}"
            place += _block_at(path, problem.lineno, problem.offset or 1)
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
