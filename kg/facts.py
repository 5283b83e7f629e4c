"""The facts a reasoner reads: taken from quads into files, and divided into parts it can take one by one.

Hides how quads are read without making terms of them, and how facts are divided: by sorting files and dealing
them out, so that memory holds one part and a few bytes for each thing that leads anywhere. Names are N-Quads
tokens (`b"<iri>"`); a fact is a line `subject predicate object` of them, a type when its predicate is
rdf:type, otherwise an edge.

What follows of a thing in OWL EL without inverses and nominals depends on its types, on its edges, and on
what follows of the things they lead to; never on what leads to it. So a part is right when with each thing
it holds all that the thing leads to. Things are joined along edges to things that have edges themselves. A
thing without any is not: a thousand trials lead to one city. Its types go with every edge to it instead.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO
from zlib import crc32

from pyoxigraph import NamedNode, Quad, RdfFormat, parse

from kg.axioms import PROPERTY_AXIOMS, VOCABULARY
from kg.ontology import Ontology
from kg.rules import Wanted
from kg.snapshot import line_of, sorted_unique
from kg.terms import OWL, RDF, RDFS, STROMA
from kg.workers import in_order

CLAIM_WORDS = frozenset(
    {
        STROMA.asserts,
        STROMA.modality,
        STROMA.polarity,
        STROMA.propositionSubject,
        STROMA.propositionPredicate,
        STROMA.propositionObject,
    }
)

Edge = tuple[bytes, bytes, bytes]  # subject, predicate, object


def token(term: NamedNode) -> bytes:
    """A term as it stands in N-Quads."""
    return str(term).encode()


def term(name: bytes) -> NamedNode:
    """The term of a token."""
    return NamedNode(name[1:-1].decode())


TYPE = token(RDF.type)
_BUILT_IN = tuple(token(space(""))[:-1] for space in (OWL, RDF, RDFS))
_VOCABULARY = frozenset(map(token, VOCABULARY))
_PROPERTY_AXIOMS = frozenset(map(token, PROPERTY_AXIOMS))
_CLAIM_WORDS = frozenset(map(token, CLAIM_WORDS))
_ASSERTS, _SUBJECT = token(STROMA.asserts), token(STROMA.propositionSubject)
_Wanted = dict[bytes, frozenset[bytes] | None]  # `Wanted`, of tokens
_NONE: frozenset[bytes] = frozenset()
_UNTYPED = 0  # the profile without types
# The names of one share are in memory together: of 30 million things, about 100 MB.
SHARES = 100
_RUN = 200_000  # lines sorted in memory at once: about 40 MB


class Stated:
    """What reasoning takes from what is stated: axioms in memory; facts and claims in files of a folder.

    The facts about the ontology's own individuals, such as exemplars, are held too (`own`): everything leads
    to some of them. `for_rules` is what rules read (`kg.rules`), None when it may be anything.
    """

    def __init__(self, ontology: Ontology, for_rules: Wanted | None, folder: Path) -> None:
        self.axioms: list[Quad] = []  # of data; the ontology's are in the ontology
        self.class_relations: set[bytes] = set()  # properties that relate classes
        self._class_edges: set[Edge] = set()
        self._classes = frozenset(map(token, ontology.classes))
        self._properties = frozenset(map(token, ontology.object_properties))
        self._own = {
            token(end)
            for q in ontology.quads
            if ontology.is_fact(q)
            for end in ((q.subject,) if q.predicate == RDF.type else (q.subject, q.object))
            if isinstance(end, NamedNode)
        }
        self._own_facts: set[Edge] = set()
        self._for_rules = _tokens(for_rules)
        self._facts, self._aside, self._rules = (folder / name for name in ("facts", "aside", "rules.nq"))
        self._read(map(line_of, ontology.quads), definition=True)

    def read(self, quads: Iterable[Quad | bytes]) -> None:
        """Take what matters from the quads of data, or their lines."""
        self._read((quad if isinstance(quad, bytes) else line_of(quad) for quad in quads), definition=False)

    def _read(self, lines: Iterable[bytes], definition: bool) -> None:
        read = self._properties | _VOCABULARY | _CLAIM_WORDS | {TYPE}
        # By predicate: the objects of which rules read it, None for any; and whether reasoning does.
        kinds: dict[bytes, tuple[frozenset[bytes] | None, bool]] = dict.fromkeys(read, (_NONE, True))
        others: tuple[frozenset[bytes] | None, bool] | None = None
        if self._for_rules is None:
            kinds, others = dict.fromkeys(read, (None, True)), (None, False)
        else:
            kinds |= {p: (objects, p in read) for p, objects in self._for_rules.items()}
        with (
            self._facts.open("ab") as facts,
            self._aside.open("ab") as aside,
            self._rules.open("ab") as rules,
        ):
            for line in lines:
                s, p, o, _ = line.split(b" ", 3)  # of a literal only its beginning
                kind = kinds.get(p, others)
                if kind is None:
                    continue
                objects, reasoned_with = kind
                if objects is None or o in objects:
                    rules.write(line)
                if not reasoned_with:
                    continue
                between_names = s[:1] == b"<" and o[:1] == b"<"
                if between_names and self._is_fact(s, p, o):
                    if s in self._own:
                        self._own_facts.add((s, p, o))
                    else:
                        facts.write(b"%s %s %s\n" % (s, p, o))
                elif p in _VOCABULARY:
                    # What a relation means is for the modules to say: an axiom about one acts on all data.
                    if not definition and p not in _PROPERTY_AXIOMS:
                        self.axioms += parse(line, RdfFormat.N_QUADS)
                    if between_names:
                        self._class_edges.add((s, p, o))
                elif between_names and p in self._properties:
                    self.class_relations.add(p)
                    if s in self._classes:
                        self._class_edges.add((s, p, o))
                    elif p not in _CLAIM_WORDS:
                        aside.write(line)
                if between_names and p in _CLAIM_WORDS:
                    aside.write(line)

    def _is_fact(self, s: bytes, p: bytes, o: bytes) -> bool:
        """`Ontology.is_fact`, of tokens."""
        if s in self._classes:
            return False
        if p == TYPE:
            return not o.startswith(_BUILT_IN)
        return p in self._properties and o not in self._classes

    def claims_about_classes(self) -> list[Quad]:
        """The claims, with their propositions, that speak of classes."""
        propositions = {
            s for s, _, _ in self._set_aside(lambda s, p, o: p == _SUBJECT and o in self._classes)
        }
        claims = {s for s, _, _ in self._set_aside(lambda s, p, o: p == _ASSERTS and o in propositions)}
        told = self._set_aside(lambda s, p, o: p in _CLAIM_WORDS and (s in propositions or s in claims))
        return [Quad(term(s), term(p), term(o)) for s, p, o in told]

    def edges_of(self, classes: Iterable[bytes]) -> set[Edge]:
        """The edges stated between some classes; data may declare classes that the ontology does not."""
        known = frozenset(classes)
        return self._class_edges.union(self._set_aside(lambda s, p, o: s in known))

    def _set_aside(self, wanted: Callable[[bytes, bytes, bytes], bool]) -> Iterator[Edge]:
        with self._aside.open("rb") as lines:
            for line in lines:
                s, p, o, _ = line.split(b" ", 3)
                if wanted(s, p, o):
                    yield s, p, o

    def own(self) -> tuple[dict[bytes, frozenset[bytes]], list[Edge]]:
        """The ontology's own individuals, each with its types; and the edges between them.

        One that leads to a thing of data, or to one that does, is left to `facts`.
        """
        edges = sorted(edge for edge in self._own_facts if edge[1] != TYPE)
        while leading := {s for s, _, o in edges if s in self._own and o not in self._own}:
            self._own -= leading
        types: dict[bytes, set[bytes]] = {name: set() for name in sorted(self._own)}
        for s, p, o in self._own_facts:
            if p == TYPE and s in types:
                types[s].add(o)
        return (
            {name: frozenset(some) for name, some in types.items()},
            [edge for edge in edges if edge[0] in types],
        )

    def facts(self, predicates: frozenset[bytes]) -> Iterator[bytes]:
        """All other facts: types, and edges of some predicates. To be called after `own`."""
        wanted = predicates | {TYPE}
        with self._facts.open("rb") as file:
            yield from (line for line in file if line.split(b" ", 2)[1] in wanted)
        for s, p, o in self._own_facts:
            if s not in self._own and p in wanted:
                yield b"%s %s %s\n" % (s, p, o)

    def add_for_rules(self, lines: Iterable[bytes]) -> None:
        """Keep what rules read of some N-Quads lines that were inferred."""
        with self._rules.open("ab") as rules:
            for line in lines:
                _, p, o, _ = line.split(b" ", 3)
                if _wants(self._for_rules, p, o):
                    rules.write(line)

    def for_rules(self, wanted: Wanted | None) -> Iterator[bytes]:
        """The N-Quads lines, stated and added, of what one rule reads."""
        tokens = _tokens(wanted)
        with self._rules.open("rb") as rules:
            for line in rules:
                _, p, o, _ = line.split(b" ", 3)
                if _wants(tokens, p, o):
                    yield line


def _tokens(wanted: Wanted | None) -> _Wanted | None:
    if wanted is None:
        return None
    return {
        token(p): None if objects is None else frozenset(map(token, objects)) for p, objects in wanted.items()
    }


def _wants(wanted: _Wanted | None, p: bytes, o: bytes) -> bool:
    if wanted is None:
        return True
    objects = wanted.get(p, _NONE)
    return objects is None or o in objects


@dataclass
class Part:
    """Some things with everything they lead to. A profile is a number of `Parts.profiles`."""

    things: dict[bytes, int] = field(default_factory=dict)  # name -> profile
    ends: dict[bytes, int] = field(default_factory=dict)  # things of no part that edges lead to, likewise
    edges: list[Edge] = field(default_factory=list)


class Parts:
    """Facts divided: the things without edges (`alone`), and parts with all others, in `SHARES` shares each.

    A part has at most `at_once` things, unless so many hang together. Files stand in `folder`. Shares may be
    read in any order and by several processes; which fact is in which depends on the facts only.
    """

    def __init__(self, facts: Iterable[bytes], folder: Path, at_once: int, processes: int = 1) -> None:
        self.profiles: list[frozenset[bytes]] = [frozenset()]  # the types that some thing states
        self._profile = {self.profiles[_UNTYPED]: _UNTYPED}
        self._folder = folder
        self._at_once = at_once
        self._parent = array("I")  # number of a thing with edges -> one it is joined with; itself at a root
        self._divide(facts)
        for pairs in in_order(self._join, range(SHARES), processes):
            joined = array("I", pairs)
            for one, other in zip(joined[::2], joined[1::2], strict=True):
                self._parent[self._root(one)] = self._root(other)
        self._deal()

    def alone(self, share: int) -> Iterator[tuple[bytes, int]]:
        """Each thing without edges, with its profile."""
        for line in self._lines("names", share):
            name, profile, number = line.split()
            if number == b"-":
                yield name, int(profile)

    def parts(self, share: int) -> Iterator[Part]:
        """The parts of a share."""
        lines = sorted_unique(self._lines("dealt", share), self._folder, _RUN)
        for _, placed in groupby(lines, key=lambda line: line[:8]):
            part = Part()
            numbered: dict[bytes, bytes] = {}
            for line in placed:
                _, number, *words = line.split()
                if len(words) == 2:  # a thing sorts before the edges: their line goes on
                    name, profile = words
                    numbered[number[1:]] = name
                    part.things[name] = int(profile)
                else:
                    predicate, target, profile = words
                    part.edges.append((numbered[number[1:]], predicate, target))
                    part.ends[target] = int(profile)
            for name in part.things.keys() & part.ends.keys():
                del part.ends[name]
            yield part

    # ------------------------------------------------------------ dividing

    def _divide(self, facts: Iterable[bytes]) -> None:
        """Number the things with edges; what is known of a thing goes to one share with the edges to it."""
        with _Shares(self._folder, "names") as names, _Shares(self._folder, "edges") as edges:
            for name, lines in groupby(sorted_unique(facts, self._folder, _RUN), key=_first):
                types = []
                number = b"-"
                for line in lines:
                    _, predicate, target = line.split()
                    if predicate == TYPE:
                        types.append(target)
                        continue
                    if number == b"-":
                        number = b"%d" % len(self._parent)
                        self._parent.append(len(self._parent))
                    edges[crc32(target) % SHARES].write(b"%s %s %s\n" % (target, number, predicate))
                profile = self._profile_of(frozenset(types))
                names[crc32(name) % SHARES].write(b"%s %d %s\n" % (name, profile, number))

    def _profile_of(self, types: frozenset[bytes]) -> int:
        if types not in self._profile:
            self._profile[types] = len(self.profiles)
            self.profiles.append(types)
        return self._profile[types]

    def _join(self, share: int) -> bytes:
        """Leave each edge of a share with the profile of its end; returns which things with edges it joins:
        pairs of numbers, as the bytes of an array."""
        known: dict[bytes, tuple[bytes, bytes]] = {}
        for line in self._lines("names", share):
            name, profile, number = line.split()
            known[name] = profile, number
        nothing = (b"%d" % _UNTYPED, b"-")
        pairs = array("I")
        with _Shares(self._folder, "joined") as joined:
            for line in self._lines("edges", share):
                target, subject, predicate = line.split()
                profile, other = known.get(target, nothing)
                if other != b"-":
                    pairs.append(int(subject))
                    pairs.append(int(other))
                joined[share].write(b"%s %s %s %s\n" % (subject, predicate, target, profile))
        return pairs.tobytes()

    def _deal(self) -> None:
        """Put things (`part 0number name profile`) and edges (`part 1number predicate end profile`) into the
        shares of their parts."""
        part = self._parts()
        count = max(part, default=0) + 1
        with _Shares(self._folder, "dealt") as dealt:
            for share in range(SHARES):
                for line in self._lines("names", share):
                    name, profile, number = line.split()
                    if number != b"-":
                        place = part[int(number)]
                        file = dealt[place * SHARES // count]
                        file.write(b"%08d 0%s %s %s\n" % (place, number, name, profile))
                for line in self._lines("joined", share):
                    subject, rest = line.split(b" ", 1)
                    place = part[int(subject)]
                    dealt[place * SHARES // count].write(b"%08d 1%s %s" % (place, subject, rest))
                for kind in ("edges", "joined"):
                    (self._folder / f"{kind}-{share}").unlink(missing_ok=True)

    def _lines(self, name: str, share: int) -> Iterator[bytes]:
        path = self._folder / f"{name}-{share}"
        if path.exists():
            with path.open("rb") as file:
                yield from file

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def _parts(self) -> array[int]:
        """The part of each number: what hangs together stays together, in order, while there is room."""
        count = len(self._parent)
        sizes = array("I", bytes(4 * count))
        for number in range(count):
            sizes[self._root(number)] += 1
        placed = array("I", bytes(4 * count))  # of a root: its part, from 1
        part, room = 1, self._at_once
        for number in range(count):
            root = self._root(number)
            if not placed[root]:
                if sizes[root] > room < self._at_once:
                    part, room = part + 1, self._at_once
                placed[root] = part
                room -= min(room, sizes[root])
            placed[number] = placed[root]
        return placed


class _Shares(ExitStack):
    """Files `<name>-<share>` to write, each made when it is first asked for."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self._folder, self._name = folder, name
        self._files: dict[int, IO[bytes]] = {}

    def __getitem__(self, share: int) -> IO[bytes]:
        file = self._files.get(share)
        if file is None:
            path = self._folder / f"{self._name}-{share}"
            file = self._files[share] = self.enter_context(path.open("wb"))
        return file


def _first(line: bytes) -> bytes:
    return line.split(b" ", 1)[0]
