"""SHACL validation: do the data have the shape their class promises.

Hides the engine (`shacl`, Rust), how the shapes' files become one shapes graph, and how data reach the
engine: as N-Quads text, never through a Store, which would turn "44.90" into "44.9" before a shape sees it.
Callers see Violations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import shacl
from pyoxigraph import BlankNode, Quad, RdfFormat, Triple, parse, serialize

from kg.errors import OntologyError
from kg.terms import compress

# One shape that fails everywhere gives a result for each thing; this many are enough to see it.
MOST = 10_000


@dataclass(frozen=True, order=True)
class Violation:
    """One statement, or missing statement, that breaks a shape."""

    severity: str  # Violation, Warning or Info
    shape: str  # CURIE or IRI of the shape
    focus: str  # IRI of the thing
    path: str  # property path with CURIEs; "" when the shape is about the thing as a whole
    value: str  # the offending value as N-Triples; "" when none is named
    message: str

    def __str__(self) -> str:
        about = " ".join(part for part in (compress(self.focus), self.path, self.value) if part)
        return f"{self.severity}: {about}: {self.message} ({self.shape})"


def validate(quads: Iterable[Quad] | Path, shapes: Path) -> list[Violation]:
    """What in some quads breaks the shapes of a folder (`*.ttl`), sorted; graphs are read as their union.

    `quads` may be an N-Quads file. They must hold the ontology too, for a shape of a class to reach the
    instances of its subclasses. Stops after 10,000 results of severity Violation. Raises OntologyError
    for shapes that do not parse, or a folder without any.
    """
    compiled = _compile(shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = quads if isinstance(quads, Path) else Path(folder) / "data.nq"
        if not isinstance(quads, Path):
            serialize(quads, path, RdfFormat.N_QUADS)
        report = compiled.validate_file(str(path), max_results=MOST)
    return sorted(
        Violation(
            result.severity,
            compress((result.root_shape or result.source_shape or "").strip("<>")),
            result.focus_node.strip("<>"),
            _curies(result.path or ""),
            result.value or "",
            result.message or f"breaks {result.component}",
        )
        for result in report.results
    )


def _compile(folder: Path) -> shacl.Shapes:
    """The shapes of every file as one: a shape may name one of another file."""
    triples: list[Triple] = []
    files = sorted(folder.glob("*.ttl"))
    for path in files:
        try:
            for q in parse(path=path, format=RdfFormat.TURTLE):
                s, o = q.subject, q.object
                if isinstance(s, BlankNode):
                    s = BlankNode(f"{path.stem}-{s.value}")
                if isinstance(o, BlankNode):
                    o = BlankNode(f"{path.stem}-{o.value}")
                triples.append(Triple(s, q.predicate, o))
        except SyntaxError as problem:
            raise OntologyError(f"{path.name}: {problem.msg}. Mend the Turtle of {path}") from problem
    if not triples:
        raise OntologyError(f"{folder}: holds no shapes (*.ttl); without shapes everything would be valid")
    text = "".join(f"{triple} .\n" for triple in triples)
    try:
        return shacl.Shapes.from_text(text, format="ntriples")
    except ValueError as problem:
        names = ", ".join(path.name for path in files)
        raise OntologyError(f"the shapes do not compile: {problem}. Look in {names}") from problem


def _curies(path: str) -> str:
    """A property path with its IRIs as CURIEs."""
    pieces = path.split("<")
    return pieces[0] + "".join(
        compress(iri) + rest for iri, _, rest in (piece.partition(">") for piece in pieces[1:])
    )
