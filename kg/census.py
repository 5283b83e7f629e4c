"""What is in a graph, counted: triples, subjects, objects, by graph, class and property; links to elsewhere.

Hides the one pass over the sorted lines and the sort on disk that counts distinct objects in flat memory.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kg.snapshot import sorted_unique
from kg.terms import BASE, RDF, SKOS, prefixes

_TYPE = str(RDF.type).encode()
_MATCHES = {
    str(SKOS(f"{kind}Match")).encode(): SKOS(f"{kind}Match").value
    for kind in ("exact", "close", "broad", "narrow", "related")
}
_OURS = f"<{BASE}".encode()
_INFERRED = f"<{BASE}graph/inferred/".encode()


class Slice(NamedTuple):
    """A part of the data, by the IRIs of a graph, a class of the subjects, a property; "" stands for all."""

    graph: str = ""
    type: str = ""
    property: str = ""


class Counts(NamedTuple):
    """Triples, distinct subjects and distinct objects of a slice.

    A triple that stands in two graphs counts as two, as it does in an answer from the union of all graphs.
    """

    triples: int
    subjects: int
    objects: int


@dataclass(frozen=True)
class Census:
    """What `count` found; a class of `slices` has IRI, not blank, and counts what it has as instances.

    `entities` are the subjects below https://w3id.org/stroma/ of each graph, "" for all; `examples` names
    one of them; `links` counts the triples of the SKOS mapping relations, by relation and namespace;
    `digests` is the SHA-256 of each graph's sorted N-Triples lines.
    """

    slices: Mapping[Slice, Counts]
    entities: Mapping[str, int]
    examples: Mapping[str, str]
    links: Mapping[tuple[str, str], int]
    digests: Mapping[str, str]


def count(lines: Iterable[bytes], work: Path) -> Census:
    """Count canonical N-Quads lines that come sorted, each once; objects are sorted in the folder `work`.

    Slices: all, each graph, each property and class, both in each graph where they occur (a class where a
    type is stated in that graph), and each property of the instances of a class that some graph states,
    inferred graphs aside.
    """
    places = _Places()
    for line in sorted_unique(places.read(lines), work):
        places.read_object(line)
    return places.counted()


class _Place(NamedTuple):
    """What decides in which slices a quad is; there are few of them, whatever the number of quads."""

    property: bytes
    graph: bytes
    classes: frozenset[bytes]  # of the subject, whichever graph says so
    classes_here: frozenset[bytes]  # of the subject, by this graph


class _Places:
    """Counts by place, in two passes: over the quads by subject, then over their objects.

    A subject or object counts once in a slice, in however many of its places it is; so what is kept is how
    many subjects have the same set of places.
    """

    def __init__(self) -> None:
        self._numbers: dict[_Place, int] = {}
        self._quads: dict[int, int] = defaultdict(int)  # place -> quads
        self._subjects: dict[tuple[int, ...], int] = defaultdict(int)  # places -> subjects that have these
        self._objects: dict[tuple[int, ...], int] = defaultdict(int)
        self._links: dict[tuple[str, str], int] = defaultdict(int)
        self._entities: dict[bytes, int] = defaultdict(int)
        self._examples: dict[bytes, bytes] = {}
        self._digests: dict[bytes, Any] = defaultdict(hashlib.sha256)
        self._object, self._object_places = b"", list[int]()

    def read(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Count all but objects; gives a line for each quad, of its object and its place."""
        before, rows = b"", list[tuple[bytes, bytes, bytes]]()
        for line in lines:
            subject, property, rest = line.split(b" ", 2)
            value, graph, _ = rest.rsplit(b" ", 2)
            self._digests[graph].update(line[: -len(graph) - 3] + b".\n")
            if subject != before:
                if rows:
                    yield from self._read_subject(before, rows)
                before, rows = subject, []
            rows.append((property, value, graph))
        if rows:
            yield from self._read_subject(before, rows)

    def _read_subject(self, subject: bytes, rows: list[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        types: dict[bytes, set[bytes]] = {}  # graph -> classes
        for property, value, graph in rows:
            if property == _TYPE and value.startswith(b"<"):
                types.setdefault(graph, set()).add(value)
        classes = frozenset[bytes]().union(*types.values())
        by_edge: dict[tuple[bytes, bytes], int] = {}  # (property, graph) -> place
        found: list[bytes] = []
        for property, value, graph in rows:
            number = by_edge.get((property, graph))
            if number is None:
                place = _Place(property, graph, classes, frozenset(types.get(graph, ())))
                number = self._numbers.setdefault(place, len(self._numbers))
                by_edge[property, graph] = number
            self._quads[number] += 1
            found.append(b"%b\t%d\n" % (value, number))
        self._subjects[tuple(by_edge.values())] += 1
        for property, value in {(p, v) for p, v, _ in rows if p in _MATCHES}:
            if value.startswith(b"<") and not value.startswith(_OURS):
                self._links[_MATCHES[property], _namespace(_text(value))] += 1
        if subject.startswith(_OURS):
            for name in {b"", *(graph for _, graph in by_edge)}:
                self._entities[name] += 1
                self._examples.setdefault(name, subject)
        return found

    def read_object(self, line: bytes) -> None:
        """Count a line of `read`; they come sorted, each once."""
        value, _, number = line.rpartition(b"\t")
        if value != self._object:
            self._objects[tuple(self._object_places)] += 1
            self._object, self._object_places = value, []
        self._object_places.append(int(number))

    def counted(self) -> Census:
        """Everything by slice, when both passes are over."""
        self._objects[tuple(self._object_places)] += 1
        stated = frozenset[bytes]().union(
            *(place.classes_here for place in self._numbers if not place.graph.startswith(_INFERRED))
        )
        tallies: dict[Slice, list[int]] = defaultdict(lambda: [0, 0, 0])
        slices: list[frozenset[Slice]] = []
        for place, number in self._numbers.items():
            slices.append(_slices(place, stated))
            for slice in slices[-1]:
                tallies[slice][0] += self._quads[number]
        for column, found in ((1, self._subjects), (2, self._objects)):
            for places, times in found.items():
                for slice in frozenset[Slice]().union(*(slices[number] for number in places)):
                    tallies[slice][column] += times
        return Census(
            {slice: Counts(*tally) for slice, tally in sorted(tallies.items())},
            {_text(graph): entities for graph, entities in sorted(self._entities.items())},
            {_text(graph): _text(subject) for graph, subject in sorted(self._examples.items())},
            dict(sorted(self._links.items())),
            {_text(graph): digest.hexdigest() for graph, digest in sorted(self._digests.items())},
        )


def _slices(place: _Place, stated: frozenset[bytes]) -> frozenset[Slice]:
    """The slices that a quad at a place is in."""
    graph, name = _text(place.graph), _text(place.property)
    return frozenset(
        {
            Slice(),
            Slice(graph),
            Slice(property=name),
            Slice(graph, property=name),
            *(Slice(type=_text(type)) for type in place.classes),
            *(Slice(type=_text(type), property=name) for type in place.classes & stated),
            *(Slice(graph, _text(type)) for type in place.classes_here),
        }
    )


def _text(term: bytes) -> str:
    """The IRI of a term, or its text where it has none."""
    return term.strip(b"<>").decode()


def _namespace(iri: str) -> str:
    """The longest namespace of the prefix map that an IRI is in; else the IRI up to its last / or #."""
    known = max((each for each in prefixes().values() if iri.startswith(each)), key=len, default="")
    return known or iri[: max(iri.rfind("/"), iri.rfind("#")) + 1]
