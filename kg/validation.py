"""SHACL validation: do the data have the shape their class promises.

Hides the engine (`shacl`, Rust), how the shapes' files become one shapes graph, how data reach the engine
(as N-Quads text, never through a Store, which would turn "44.90" into "44.9" before a shape sees it), and
that they reach it in groups of things, which keeps memory flat. Callers see Violations.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import shacl
from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat, Triple, parse

from kg.errors import OntologyError
from kg.snapshot import line_of
from kg.terms import RDF, RDFS, compress
from kg.workers import in_order

# One shape that fails everywhere gives a result for each thing; this many are enough to see it.
MOST = 10_000
# Quads the engine reads at once. No more groups than buckets: they grow beyond 300 million quads.
# A worker's peak was 225 MB at 3 million quads and 487 MB at 9 million; equal groups, one after another, are
# flat (125 MB for 150,000 quads each), so what grows is not known yet.
AT_ONCE = 300_000
_BUCKETS = 1_000
_HELD = 32_000  # bytes of a bucket before they are written: so many files may not be open at once


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


def validate(
    quads: Iterable[Quad | bytes],
    shapes: Path,
    *,
    folder: Path | None = None,
    at_once: int = AT_ONCE,
    processes: int = 1,
) -> list[Violation]:
    """What in some quads breaks the shapes of a folder (`*.ttl`), sorted; graphs are read as their union.

    `quads` may hold N-Quads lines (`line_of`). They must hold the ontology too, for a shape of a class to
    reach the instances of its subclasses. `folder` is where they stand meanwhile; `at_once` how many the
    engine reads at a time, where every shape looks at one thing and its own statements only: otherwise it
    reads all. `processes` share the groups, which changes no result. Stops after 10,000 results of severity
    Violation. Raises OntologyError for shapes that do not parse, or a folder without any; BuildError when one
    of the processes dies.
    """
    triples = _read(shapes)
    compiled = _compile(triples, shapes)
    incoming = _incoming(triples)
    buckets = _BUCKETS if _looks_at_single_things(triples, incoming) else 1
    found: set[Violation] = set()

    def check(group: Path) -> list[Violation]:
        report = compiled.validate_file(str(group), max_results=MOST)
        group.unlink()
        return [_violation(result) for result in report.results]

    with tempfile.TemporaryDirectory(dir=folder) as work:
        groups = _groups(quads, incoming, Path(work), buckets, at_once)
        # Closed before the folder goes: workers may still read there when enough is found.
        with closing(in_order(check, groups, processes)) as checked:
            for results in checked:
                found.update(results)
                if sum(violation.severity == "Violation" for violation in found) >= MOST:
                    break
    return sorted(found)


def _violation(result: shacl.Result) -> Violation:
    return Violation(
        result.severity,
        compress((result.root_shape or result.source_shape or "").strip("<>")),
        result.focus_node.strip("<>"),
        _curies(result.path or ""),
        result.value or "",
        result.message or f"breaks {result.component}",
    )


# ------------------------------------------------------------------------------------- groups of things


def _groups(
    quads: Iterable[Quad | bytes], incoming: frozenset[bytes], work: Path, buckets: int, at_once: int
) -> Iterator[Path]:
    """The quads in files: a thing's statements in one, and with them those that an inverse path follows."""
    hierarchy: list[bytes] = []  # which class is below which goes with every group
    paths = [work / f"bucket-{number}.nq" for number in range(buckets)]
    held = [bytearray() for _ in paths]
    sizes = [0] * buckets

    def put(number: int, line: bytes) -> None:
        sizes[number] += 1
        held[number] += line
        if len(held[number]) > _HELD:
            write(number)

    def write(number: int) -> None:
        with paths[number].open("ab") as file:
            file.write(held[number])
        held[number].clear()

    last, home = b"", 0
    for quad in quads:
        line = quad if isinstance(quad, bytes) else line_of(quad)
        subject, predicate, rest = line.split(b" ", 2)
        if predicate == _SUBCLASS:
            hierarchy.append(line)
            continue
        if subject != last:
            last, home = subject, crc32(subject) % buckets
        put(home, line)
        if predicate in incoming:
            put(crc32(rest.split(b" ", 1)[0]) % buckets, line)
    start = 0
    while start < buckets:
        end, size = start + 1, sizes[start]
        while end < buckets and size + sizes[end] <= at_once:
            size += sizes[end]
            end += 1
        group = work / f"group-{start}.nq"
        with group.open("wb") as target:
            target.writelines(hierarchy)
            for path, rest_of_it in zip(paths[start:end], held[start:end], strict=True):
                if path.exists():
                    with path.open("rb") as lines:
                        shutil.copyfileobj(lines, target)
                    path.unlink()
                target.write(rest_of_it)
                rest_of_it.clear()
        yield group
        start = end


def _sh(name: str) -> NamedNode:
    return NamedNode(f"http://www.w3.org/ns/shacl#{name}")


_SUBCLASS = str(RDFS.subClassOf).encode()
# These look at a thing's neighbours, or at things wherever they are mentioned.
_WIDE = frozenset(
    _sh(name)
    for name in (
        *("class", "node", "qualifiedValueShape", "closed", "targetNode", "targetObjectsOf", "target"),
        *("zeroOrMorePath", "oneOrMorePath", "zeroOrOnePath"),
    )
)
# A pattern of a SPARQL constraint that begins with another variable than $this.
_ABOUT_ANOTHER = re.compile(r"[.{;]\s*\?(?!this\b)\w+\s")


def _incoming(triples: Iterable[Triple]) -> frozenset[bytes]:
    """The properties of inverse paths."""
    return frozenset(str(t.object).encode() for t in triples if t.predicate == _sh("inversePath"))


def _looks_at_single_things(triples: list[Triple], incoming: frozenset[bytes]) -> bool:
    """Whether each shape needs no more than a thing's own statements, one inverse step, and the classes.

    Of a SPARQL constraint only the first term of each pattern is looked at: write them about $this alone.
    """
    about: dict[object, list[Triple]] = {}
    for t in triples:
        about.setdefault(t.subject, []).append(t)
    everywhere = {*incoming, _SUBCLASS}
    if str(RDF.type).encode() in incoming:
        return False
    for t in triples:
        if t.predicate in _WIDE:
            return False
        if t.predicate == _sh("targetSubjectsOf") and str(t.object).encode() in everywhere:
            return False
        if t.predicate == _sh("select") and (
            not isinstance(t.object, Literal)
            or _ABOUT_ANOTHER.search(re.sub(r"<[^>]*>", "<>", t.object.value))
        ):
            return False
        if t.predicate == _sh("path"):
            if any(step.predicate == RDF.first for step in about.get(t.object, ())):
                return False  # a sequence
            inner = [other.object for other in about[t.subject] if other.predicate != _sh("path")]
            while inner:
                for step in about.get(inner.pop(), ()):
                    if step.predicate in (_sh("property"), _sh("path")):
                        return False  # a shape of the values
                    if isinstance(step.object, BlankNode):
                        inner.append(step.object)
    return True


# ------------------------------------------------------------------------------------------ shapes


def _read(folder: Path) -> list[Triple]:
    """The shapes of every file as one graph: a shape may name one of another file."""
    triples: list[Triple] = []
    for path in sorted(folder.glob("*.ttl")):
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
    return triples


def _compile(triples: Iterable[Triple], folder: Path) -> shacl.Shapes:
    text = "".join(f"{triple} .\n" for triple in triples)
    try:
        return shacl.Shapes.from_text(text, format="ntriples")
    except ValueError as problem:
        names = ", ".join(path.name for path in sorted(folder.glob("*.ttl")))
        raise OntologyError(f"the shapes do not compile: {problem}. Look in {names}") from problem


def _curies(path: str) -> str:
    """A property path with its IRIs as CURIEs."""
    pieces = path.split("<")
    return pieces[0] + "".join(
        compress(iri) + rest for iri, _, rest in (piece.partition(">") for piece in pieces[1:])
    )
