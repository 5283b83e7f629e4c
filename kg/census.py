"""What is in a graph, counted: triples, subjects, objects, by graph, class and property; links to elsewhere.

`kg.totals` says what is counted by its values besides.
Hides how the count is shared: groups of subjects are counted by several processes, and so are distinct
objects afterwards, in shares, each sorted on disk. Memory holds a group, and what is counted.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from kg.snapshot import by_subject, merge_runs
from kg.terms import BASE, RDF, SKOS, prefixes
from kg.totals import ASSERTS, READ, Pair, Totals
from kg.workers import in_order

AT_ONCE = 100_000  # quads of one group: a process takes about 100 MB for them
_SHARES = 8  # of objects, counted beside each other
_KNOWN = 20_000  # sets of types whose places are kept

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
    `digests` is the SHA-256 of each graph's sorted N-Triples lines; `left_out` how many quads were.
    `totals` are of all graphs that were not left out.
    """

    slices: Mapping[Slice, Counts]
    entities: Mapping[str, int]
    examples: Mapping[str, str]
    links: Mapping[tuple[str, str], int]
    digests: Mapping[str, str]
    left_out: int
    totals: Totals


def count(
    lines: Iterable[bytes],
    work: Path,
    *,
    without: str = "",
    at_once: int = AT_ONCE,
    processes: int = 1,
) -> Census:
    """Count canonical N-Quads lines that come sorted, each once; groups and objects stand in a folder `work`.

    Slices: all, each graph, each property and class, both in each graph where they occur (a class where a
    type is stated in that graph), and each property of the instances of a class that some graph states,
    inferred graphs aside. A graph `without` is left out. `processes` share the work, which changes nothing.
    Raises BuildError when one of them dies.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        counter = _Counter(Path(folder), f"<{without}>".encode())
        groups = _groups(by_subject(lines, at_once), Path(folder))
        first = list(islice(groups, 2))
        processes = processes if first[1:] else 1  # not worth a fork
        with closing(in_order(counter.read, chain(first, groups), processes)) as read:
            for tally in read:
                counter.add(tally)
        with closing(in_order(counter.read_objects, range(_SHARES), processes)) as objects:
            for found in objects:
                counter.objects.update(found)
    return counter.counted()


def _groups(groups: Iterable[list[bytes]], work: Path) -> Iterator[Path]:
    for number, group in enumerate(groups):
        file = work / f"{number:08d}"
        with file.open("wb") as lines:
            lines.writelines(group)
        del group  # before the next one is made
        yield file


class _Place(NamedTuple):
    """What decides in which slices a quad is; there are few of them, whatever the number of quads."""

    property: bytes
    graph: bytes
    classes: frozenset[bytes]  # of the subject, whichever graph says so
    classes_here: frozenset[bytes]  # of the subject, by this graph

    def name(self) -> bytes:
        return _name(self.property, self.graph, *sorted(self.classes), b"", *sorted(self.classes_here))


Places = tuple[bytes, ...]  # names of places


@dataclass
class _Tally:
    """What is counted of a group, or of all groups; by names of places."""

    places: dict[bytes, _Place] = field(default_factory=dict)
    quads: Counter[bytes] = field(default_factory=Counter)
    # How many subjects have the same set of places: a subject counts once in a slice, whatever its places.
    subjects: Counter[Places] = field(default_factory=Counter)
    links: Counter[tuple[str, str]] = field(default_factory=Counter)
    entities: Counter[bytes] = field(default_factory=Counter)
    examples: dict[bytes, bytes] = field(default_factory=dict)
    left_out: int = 0
    totals: Totals = field(default_factory=Totals)
    kinds: dict[bytes, Pair] = field(default_factory=dict)  # of what asserts propositions: their names
    triples: list[tuple[bytes, int]] = field(default_factory=list)  # graph, bytes: as they stand in `file`
    file: Path = Path()


class _Counter:
    """Counts by place, in two passes: over the quads by subject, then over their objects."""

    def __init__(self, work: Path, without: bytes) -> None:
        self._work, self._without = work, without
        self._all = _Tally()
        self._digests: dict[bytes, Any] = defaultdict(hashlib.sha256)
        self.objects: Counter[Places] = Counter()
        # By what is stated of a subject's types: its places, by property and graph.
        self._known: dict[tuple[tuple[bytes, bytes], ...], dict[tuple[bytes, bytes], bytes]] = {}
        self._places: dict[bytes, _Place] = {}

    # ------------------------------------------------------------ a group, in any process

    def read(self, file: Path) -> _Tally:
        """Count a group's quads. Its N-Triples, and its objects with their places, go to files."""
        tally = _Tally(file=file)
        triples: dict[bytes, list[bytes]] = defaultdict(list)
        objects: dict[bytes, set[bytes]] = defaultdict(set)  # by place
        before, rows = b"", list[tuple[bytes, bytes, bytes]]()
        with file.open("rb") as lines:
            for line in lines:
                subject, property, rest = line.split(b" ", 2)
                value, graph, _ = rest.rsplit(b" ", 2)
                if graph == self._without:
                    tally.left_out += 1
                    continue
                triples[graph].append(line)
                if subject != before:
                    if rows:
                        self._read_subject(before, rows, tally, objects)
                    before, rows = subject, []
                rows.append((property, value, graph))
        if rows:
            self._read_subject(before, rows, tally, objects)
        tally.places = {name: self._places[name] for name in tally.quads}
        with file.open("wb") as out:
            for graph, some in triples.items():
                # Only at the end of a line, for no other newline is in it.
                text = b"".join(some).replace(b" %b .\n" % graph, b" .\n")
                tally.triples.append((graph, out.write(text)))
        shares: list[list[bytes]] = [[] for _ in range(_SHARES)]
        for place, values in objects.items():
            end = b"\t%b\n" % place
            for value in values:
                shares[crc32(value) % _SHARES].append(value + end)
        for share, found in enumerate(shares):
            with self._run(file, share).open("wb") as run:
                run.writelines(sorted(found))
        return tally

    def _run(self, group: Path, share: int) -> Path:
        return self._work / f"objects-{share}-{group.name}"

    def _read_subject(
        self,
        subject: bytes,
        rows: list[tuple[bytes, bytes, bytes]],
        tally: _Tally,
        objects: dict[bytes, set[bytes]],
    ) -> None:
        types = tuple((v, g) for p, v, g in rows if p == _TYPE and v[:1] == b"<")
        known = self._known.get(types)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[types] = {}
        places: dict[bytes, None] = {}
        graphs: dict[bytes, None] = {b"": None}
        links: set[tuple[bytes, bytes]] = set()
        read: dict[bytes, set[bytes]] = {}
        quads = tally.quads
        for property, value, graph in rows:
            place = known.get((property, graph))
            if place is None:
                place = known[property, graph] = self._place(property, graph, types)
            quads[place] += 1
            places[place] = graphs[graph] = None
            objects[place].add(value)
            if property in _MATCHES and value[:1] == b"<" and not value.startswith(_OURS):
                links.add((property, value))
            if property in READ and value[:1] == b"<":
                read.setdefault(property, set()).add(value)
        tally.subjects[tuple(places)] += 1
        if read:
            for kind in tally.totals.read({type for type, _ in types}, read):
                # Beside the places of these objects: they come together in the second pass.
                name = _name(*(iri.encode() for iri in kind))
                tally.kinds[name] = kind
                objects[name] |= read.get(ASSERTS, set())
        for property, value in links:
            tally.links[_MATCHES[property], _namespace(_text(value))] += 1
        if subject.startswith(_OURS):
            for name in graphs:
                tally.entities[name] += 1
                tally.examples.setdefault(name, subject)

    def _place(self, property: bytes, graph: bytes, types: Iterable[tuple[bytes, bytes]]) -> bytes:
        here = frozenset(type for type, by in types if by == graph)
        place = _Place(property, graph, frozenset(type for type, _ in types), here)
        name = place.name()
        self._places[name] = place
        return name

    def read_objects(self, share: int) -> Counter[Places]:
        """How many objects of a share have the same set of places."""
        found: Counter[Places] = Counter()
        lines = merge_runs(sorted(self._work.glob(f"objects-{share}-*")))
        for _, some in groupby((line.rsplit(b"\t", 1) for line in lines), key=lambda pair: pair[0]):
            found[tuple(place[:-1] for _, place in some)] += 1
        return found

    # ------------------------------------------------------------ all of them, in this process

    def add(self, tally: _Tally) -> None:
        """Take what was counted of the next group in order."""
        all = self._all
        all.places |= tally.places
        all.quads.update(tally.quads)
        all.subjects.update(tally.subjects)
        all.links.update(tally.links)
        all.entities.update(tally.entities)
        all.examples = tally.examples | all.examples
        all.left_out += tally.left_out
        all.totals.add(tally.totals)
        all.kinds |= tally.kinds
        with tally.file.open("rb") as triples:
            for graph, size in tally.triples:
                self._digests[graph].update(triples.read(size))
        tally.file.unlink()

    def counted(self) -> Census:
        """Everything by slice, when both passes are over."""
        all = self._all
        stated = frozenset[bytes]().union(
            *(place.classes_here for place in all.places.values() if not place.graph.startswith(_INFERRED))
        )
        tallies: dict[Slice, list[int]] = defaultdict(lambda: [0, 0, 0])
        slices: dict[bytes, frozenset[Slice]] = dict.fromkeys(all.kinds, frozenset())
        for name, place in all.places.items():
            slices[name] = _slices(place, stated)
            for slice in slices[name]:
                tallies[slice][0] += all.quads[name]
        for column, found in ((1, all.subjects), (2, self.objects)):
            for places, times in found.items():
                for slice in frozenset[Slice]().union(*(slices[place] for place in places)):
                    tallies[slice][column] += times
        for places, times in self.objects.items():
            for name in places:
                if name in all.kinds:
                    all.totals.propositions[all.kinds[name]] += times
        return Census(
            {slice: Counts(*tally) for slice, tally in sorted(tallies.items())},
            {_text(graph): entities for graph, entities in sorted(all.entities.items())},
            {_text(graph): _text(subject) for graph, subject in sorted(all.examples.items())},
            dict(sorted(all.links.items())),
            {_text(graph): digest.hexdigest() for graph, digest in sorted(self._digests.items())},
            all.left_out,
            all.totals,
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


def _name(*parts: bytes) -> bytes:
    """The same in every process: 16 hex digits."""
    return hashlib.blake2b(b" ".join(parts), digest_size=8).hexdigest().encode()


def _text(term: bytes) -> str:
    """The IRI of a term, or its text where it has none."""
    return term.strip(b"<>").decode()


def _namespace(iri: str) -> str:
    """The longest namespace of the prefix map that an IRI is in; else the IRI up to its last / or #."""
    known = max((each for each in prefixes().values() if iri.startswith(each)), key=len, default="")
    return known or iri[: max(iri.rfind("/"), iri.rfind("#")) + 1]
