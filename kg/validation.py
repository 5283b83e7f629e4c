"""SHACL validation: do the data have the shape their class promises.

Hides the engine (`shacl`, Rust), how the shapes' files become one shapes graph, how data reach the engine
(as N-Quads text, never through a Store, which would turn "44.90" into "44.9" before a shape sees it), and
that they reach it in groups of things, which keeps memory flat. Callers see Violations.
"""

from __future__ import annotations

import heapq
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import shacl
from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse

from kg.errors import OntologyError
from kg.snapshot import by_subject, sorted_unique
from kg.terms import RDF, RDFS, compress
from kg.workers import in_order

# One shape that fails everywhere gives a result for each thing; this many are enough to see it.
MOST = 10_000
AT_ONCE = 50_000  # quads the engine reads at once
_RUN = 50_000  # lines sorted in memory at once: about 20 MB


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
    stated: Callable[[], Iterable[bytes]],
    shapes: Path,
    *,
    folder: Path | None = None,
    at_once: int = AT_ONCE,
    processes: int = 1,
) -> list[Violation]:
    """What in some quads breaks the shapes of a folder (`*.ttl`), sorted; graphs are read as their union.

    `stated` gives the quads, as N-Quads lines in canonical order, as often as it is called. They must hold
    the ontology too, for a shape of a class to reach the instances of its subclasses. `at_once` is how many
    the engine reads at a time; it reads all where `looks_beyond` tells of any shape. A group stands in
    `folder` meanwhile. `processes` share the groups, which changes no result. Stops after 10,000 results of
    severity Violation; of others the first 10,000 stay. Raises OntologyError for shapes that do not parse, or
    a folder without any; BuildError when one of the processes dies.
    """
    triples = _read(shapes)
    together = bool(_looking_beyond(triples))
    incoming = frozenset[bytes]() if together else _incoming(triples)
    compiled = _compile(triples if together else _turned(triples), shapes)

    def check(group: Path) -> list[Violation]:
        # Without a limit, which could let warnings hide what stops a build.
        report = compiled.validate_file(str(group))
        group.unlink()
        return _most(map(_violation, report.results))

    with tempfile.TemporaryDirectory(dir=folder) as work:
        whole = _whole(stated(), Path(work))
        groups = whole if together else _groups(stated, incoming, Path(work), at_once)
        found: list[Violation] = []
        # Closed before the folder goes: workers may still read there when enough is found.
        with closing(in_order(check, groups, processes)) as checked:
            for results in checked:
                found = _most([*found, *results])
                if sum(violation.severity == "Violation" for violation in found) >= MOST:
                    break
    return sorted(found)


def looks_beyond(shapes: Path) -> list[str]:
    """What the shapes of a folder say that can only be checked with all quads in memory, for a message."""
    return _looking_beyond(_read(shapes))


def _violation(result: shacl.Result) -> Violation:
    return Violation(
        result.severity,
        compress((result.root_shape or result.source_shape or "").strip("<>")),
        result.focus_node.strip("<>"),
        _curies(_TURNED.sub(r"^\1", result.path or "")),
        result.value or "",
        result.message or f"breaks {result.component}",
    )


def _most(found: Iterable[Violation]) -> list[Violation]:
    """The first of those that stop a build, and the first of the others."""
    ordered = sorted(set(found))
    broken = (violation for violation in ordered if violation.severity == "Violation")
    others = (violation for violation in ordered if violation.severity != "Violation")
    return [*islice(broken, MOST), *islice(others, MOST)]


# ------------------------------------------------------------------------------------- groups of things


def _whole(lines: Iterable[bytes], work: Path) -> Iterator[Path]:
    file = work / "whole.nq"
    with file.open("wb") as target:
        target.writelines(lines)
    yield file


def _groups(
    stated: Callable[[], Iterable[bytes]], incoming: frozenset[bytes], work: Path, at_once: int
) -> Iterator[Path]:
    """The quads in files of `at_once` or few more: what is stated about a thing is in one of them.

    A statement with an `incoming` property is there once more, as one about the thing it leads to; which
    class is below which is in every file.
    """
    hierarchy: list[bytes] = []
    turn = _TURN.encode()

    def turned() -> Iterator[bytes]:
        for line in stated():
            subject, predicate, rest = line.split(b" ", 2)
            if predicate in incoming and rest[:1] != b'"':  # a text is no thing
                value, graph = rest.split(b" ", 1)
                yield b"%b %b%b> %b %b" % (value, predicate[:-1], turn, subject, graph)
            elif predicate == _SUBCLASS:
                hierarchy.append(line)

    # The hierarchy is known when the first of these comes: they are sorted before.
    lines = heapq.merge(sorted_unique(turned(), work, _RUN), stated())
    for number, group in enumerate(by_subject(lines, at_once)):
        file = work / f"group-{number}.nq"
        with file.open("wb") as target:
            target.writelines(hierarchy)
            target.writelines(group)
        del group  # before the next one is made
        yield file


def _sh(name: str) -> NamedNode:
    return NamedNode(f"http://www.w3.org/ns/shacl#{name}")


_TURN = "-turned-round"  # ends a property that leads from an object to a subject
_TURNED = re.compile(f"(<[^<>]*){_TURN}(?=>)")
_SUBCLASS = str(RDFS.subClassOf).encode()
# These look at a thing's neighbours, or at things wherever they are mentioned.
_WIDE = frozenset(
    _sh(name)
    for name in (
        *("class", "node", "qualifiedValueShape", "closed", "targetNode", "targetObjectsOf", "target"),
        *("zeroOrMorePath", "oneOrMorePath", "zeroOrOnePath"),
    )
)
# A pattern of a SPARQL constraint that begins with another variable than $this, or goes backwards.
_ABOUT_ANOTHER = re.compile(r"[.{;]\s*\?(?!this\b)\w+\s|(?<!\^)\^(?!\^)")


def _incoming(triples: Iterable[Triple]) -> frozenset[bytes]:
    """The properties of inverse paths, as N-Quads tokens."""
    return frozenset(str(t.object).encode() for t in triples if t.predicate == _sh("inversePath"))


def _turned(triples: list[Triple]) -> Iterator[Triple]:
    """Shapes with paths along the statements that `_groups` turns round, where they have inverse paths."""
    paths: dict[object, NamedNode] = {
        t.subject: NamedNode(t.object.value + _TURN)
        for t in triples
        if t.predicate == _sh("inversePath") and isinstance(t.object, NamedNode)
    }
    for t in triples:
        if t.subject not in paths:
            yield Triple(t.subject, t.predicate, paths.get(t.object, t.object))


def _looking_beyond(triples: list[Triple]) -> list[str]:
    """What of the shapes needs more than a thing's own statements, one inverse step, and the classes.

    Of a SPARQL constraint only the first term of each pattern is looked at: write them about $this alone.
    """
    about: dict[object, list[Triple]] = {}
    for t in triples:
        about.setdefault(t.subject, []).append(t)
    found = []
    for t in triples:
        if t.predicate in _WIDE or (
            (t.predicate == _sh("inversePath") and not isinstance(t.object, NamedNode))
            or (t.predicate == _sh("targetSubjectsOf") and t.object == RDFS.subClassOf)
        ):
            found.append(f"{_name(t.predicate)} {_name(t.object)}")
        if t.predicate == _sh("select") and (
            not isinstance(t.object, Literal)
            or _ABOUT_ANOTHER.search(re.sub(r"<[^>]*>", "<>", t.object.value))
        ):
            found.append("sh:select with a pattern that is not about $this")
        if t.predicate == _sh("path"):
            if any(step.predicate == RDF.first for step in about.get(t.object, ())):
                found.append("sh:path with a sequence")
            inner = [other.object for other in about[t.subject] if other.predicate != _sh("path")]
            while inner:
                for step in about.get(inner.pop(), ()):
                    if step.predicate in (_sh("property"), _sh("path")):
                        found.append(f"a shape of the values of {_name(t.object)}")
                    elif isinstance(step.object, BlankNode):
                        inner.append(step.object)
    return sorted(set(found))


def _name(term: object) -> str:
    return compress(term.value) if isinstance(term, NamedNode) else "of a path or list"


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
