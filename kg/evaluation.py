"""What is computed from the evidence of all sources: findings, derived numbers, links, evidence lines.

Hides that no more is in memory than what documents, curators and the ontology say, and one group of trials
beside it. Most trials are told of by their own record alone: nothing that is computed of one depends on
another. Those are divided into groups, and each is evaluated by itself, by one process or another; what
hangs together with more than a record is evaluated at once (`_CORE`). What compares all trials with each
other takes little of each: numbers of a measure, what might be pooled, what rules could know a trial by.

Which trials hang together is told by the names of their things: a record's number is part of the name of
each (`arm/NCT01547091/1`), and a thing with another's number among its objects joins both.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from zlib import crc32

from pyoxigraph import NamedNode, Quad

from kg.evidence import derivation, derived, findings, lines, links, registered, reported, statistics
from kg.evidence.findings import Found
from kg.evidence.likeness import Description
from kg.evidence.lines import speaks_by_itself
from kg.evidence.links import Articles, Links
from kg.evidence.reported import Reported
from kg.evidence.rules import RULES
from kg.snapshot import by_subject, line_of
from kg.terms import BASE, STROMA
from kg.workers import in_order

# 560,000 trials in so many groups are 2,200 in each: with the objects of Python some 150 MB.
GROUPS = 256
AT_ONCE = 250_000  # lines dealt at once: some 100 MB of a process
_CORE = -1  # the group of all that hangs together with documents, curators or the ontology

_BASE = f"<{BASE}".encode()
# The part of the name, after the kind of a thing, that is the number of the record it is of.
_NUMBERED = {
    **dict.fromkeys(
        (b"trial", b"arm", b"group", b"regimen", b"product", b"outcome", b"observation", b"comparison"), 1
    ),
    b"reference": 1,
    b"record": 2,
    b"claim": 2,
}
_PROPOSITION, _PUBLICATION, _REFERENCE = (
    _BASE + kind for kind in (b"proposition/", b"publication/", b"reference/")
)
_ABOUT, _OF = (str(term).encode() for term in (STROMA.propositionSubject, STROMA.propositionPredicate))
_HAS_REFERENCE, _OPPOSITE, _OF_RA = (
    str(term).encode() for term in (STROMA.hasReference, STROMA.oppositeOf, STROMA.MSCTherapyForRAStudy)
)

Line = tuple[bytes, bytes, bytes, bytes, bytes]  # subject, predicate, object, graph, and all as a line


def evaluate(
    stated: Callable[[], Iterator[bytes]],
    work: Path,
    *,
    strict: bool,
    processes: int = 1,
    groups: int = GROUPS,
    at_once: int = AT_ONCE,
) -> Iterator[Quad | bytes]:
    """What follows from the lines that are `stated`, as quads and N-Quads lines; some may come twice.

    The lines of each source are sorted. `work` is a folder for what stands on disk meanwhile. Neither
    `groups`, nor `processes`, nor how many lines are dealt `at_once` change what comes out. With `strict`, a
    review that points at no finding raises SourceError: records that are added can settle a finding, so only
    the embedded graph must have every one reviewed.
    """
    statistics.load()
    with tempfile.TemporaryDirectory(dir=work) as folder:
        yield from _evaluated(
            _Divided(stated, Path(folder), groups, processes, at_once), Path(folder), strict, processes
        )


def _evaluated(divided: _Divided, work: Path, strict: bool, processes: int) -> Iterator[Quad | bytes]:
    core = reported.read(divided.lines(_CORE))
    articles = Articles(core)

    def of_group(group: int) -> _Told:
        return _of_group(divided, group, core, articles, work, strict)

    told = list(in_order(of_group, [_CORE, *divided.groups], processes))
    for group in (_CORE, *divided.groups):
        with _computed(work, group).open("rb") as file:
            yield from file
        _computed(work, group).unlink()

    compared = {rule: sum(each.compared.get(rule.name, 0) for each in told) for rule in RULES}
    across: list[Found] = []
    for rule in RULES:
        if rule.across is not None:
            parts = [each.gathered[rule.name] for each in told]
            found = findings.collect(rule, rule.across.judge(parts))
            across.append(found)
            compared[rule] = found.compared
    for rule, count in compared.items():
        yield from findings.rule_quads(rule, count)
    if strict:
        findings.check_reviews(core.reviews, [*across, *(found for each in told for found in each.found)])

    described: dict[NamedNode, Description] = {}
    for each in told:
        described |= each.described
    linked = frozenset[NamedNode]().union(*(each.linked for each in told))
    diseases = frozenset[str]().union(*(each.diseases for each in told))
    ruled = links.by_rules(articles, linked, described, diseases)

    # The trials of groups that something of the core meets after all.
    met = {trial for each in told for trial in each.met}
    met |= {link.trial for link in ruled if articles.is_of_a_study(link.publication)}
    met |= {used.subject for found in across for finding in found.findings for used in finding.uses}
    more = divided.lines_of(met)
    known = reported.read(chain(divided.lines(_CORE), more)) if more else core
    for found in across:
        yield from findings.finding_quads(known, found)
    all_links = Links(links.merged((*links.of_trials(known, articles).links, *ruled)), articles.same)
    yield from links.quads(all_links)
    yield from registered.quads(registered.compare(known, all_links))
    yield from derived.quads(*derivation.pool(core, (each.candidates for each in told)))


@dataclass(frozen=True)
class _Told:
    """What a group tells that is more than its own quads."""

    compared: Mapping[str, int]  # by rule
    gathered: Mapping[str, object]  # by rule that compares across groups
    found: tuple[Found, ...]  # where reviews are checked
    candidates: derivation.Candidates
    linked: frozenset[NamedNode]  # articles that are surely linked
    described: Mapping[NamedNode, Description]
    diseases: frozenset[str]
    met: frozenset[NamedNode]  # trials that an article reports of which others know a study


def _of_group(
    divided: _Divided, group: int, core: Reported, articles: Articles, work: Path, strict: bool
) -> _Told:
    known = core if group == _CORE else reported.read(divided.lines(group), beside=core)
    found = findings.find(known, [rule for rule in RULES if rule.across is None])
    numbers, candidates = derivation.of_studies(known)
    told = links.of_trials(known, articles)
    reports = [link for link in told.links if link.reports]
    with _computed(work, group).open("wb") as file:
        quads = chain(
            (quad for each in found for quad in findings.finding_quads(known, each)),
            derived.quads(numbers, ()),
            () if group == _CORE else links.quads(Links(told.links, {})),
            lines.quads(known, numbers, divided.lines(group)),
        )
        file.writelines(sorted({line_of(quad) for quad in quads}))
    return _Told(
        {each.rule.name: each.compared for each in found},
        {rule.name: rule.across.gather(known) for rule in RULES if rule.across is not None},
        tuple(found) if strict else (),
        candidates,
        frozenset(link.publication for link in reports if link.asserted),
        told.described,
        told.diseases,
        frozenset(link.trial for link in reports if articles.is_of_a_study(link.publication)),
    )


def _computed(work: Path, group: int) -> Path:
    return work / f"evidence-{group}.nq"


@dataclass(frozen=True)
class _Dealt:
    """A file with what groups have of a stretch, one group after the other; `starts` has where each begins,
    the core first, and where the last ends. It is runs of lines of one number, which stands before them."""

    file: Path
    starts: array[int]

    @classmethod
    def write(cls, file: Path, runs: Mapping[int, Iterable[tuple[bytes, bytes]]], groups: int) -> _Dealt:
        """Write the runs of each group to a file."""
        starts = array("Q", [0])
        with file.open("wb") as target:
            for group in range(_CORE, groups):
                for number, text in runs.get(group, ()):
                    target.write(b"%b %d\n%b" % (number, len(text), text))
                starts.append(target.tell())
        return cls(file, starts)

    def has(self, group: int) -> bool:
        """Whether there is anything of a group."""
        return self.starts[group + 1] < self.starts[group + 2]

    def runs(self, group: int) -> Iterator[tuple[bytes, bytes]]:
        """Number and lines, as one text, of each run of a group."""
        if self.has(group):
            with self.file.open("rb") as file:
                file.seek(self.starts[group + 1])
                while file.tell() < self.starts[group + 2]:
                    number, size = file.readline().split(b" ")
                    yield number, file.read(int(size))


@dataclass
class _Seen:
    """What a stretch of lines tells of numbers: which hang together, and which with the core."""

    dealt: _Dealt = field(init=False)
    joined: set[tuple[bytes, bytes]] = field(default_factory=set)
    bound: set[bytes] = field(default_factory=set)
    # A publication of which something is claimed, and the number of who refers to it.
    cited: set[tuple[bytes, bytes]] = field(default_factory=set)
    met: set[bytes] = field(default_factory=set)  # publications of which a registry says what is claimed


class _Divided:
    """The lines that evidence is computed from, in files: those of the core, and of groups of trials.

    A trial is of the core where more than its records tells of it: documents, curators, inference (what is a
    trial of MSCs in rheumatoid arthritis is compared with all such), or a claim of what its record says of a
    publication. So is what hangs together with such a trial.

    Hides that stretches of lines are dealt by several processes, before it is known what hangs together; what
    has to go to another group, or to the core, is then put into one more file by each group that has some.
    """

    def __init__(
        self,
        stated: Callable[[], Iterator[bytes]],
        folder: Path,
        groups: int,
        processes: int = 1,
        at_once: int = AT_ONCE,
    ) -> None:
        self._folder, self._count = folder, groups
        self._claims = _Claims.read(stated())
        self._parent: dict[bytes, bytes] = {}  # a number -> one it hangs together with
        self._dealt: list[_Dealt] = []
        bound, met = set[bytes](), set[bytes]()
        cited = defaultdict[bytes, set[bytes]](set)
        stretches = _stretches(stated(), folder, at_once)
        with closing(in_order(self._deal, stretches, processes)) as dealt:
            for seen in dealt:
                self._dealt.append(seen.dealt)
                for one, other in seen.joined:
                    self._join(one, other)
                for publication, number in seen.cited:
                    cited[publication].add(number)
                bound |= seen.bound
                met |= seen.met
        bound = bound.union(*(cited[publication] for publication in met))
        self._bound = {self._root(number) for number in bound}
        # Numbers whose lines were dealt to another place than where they belong.
        self._moved = {
            number: place
            for number in {*bound, *self._parent}
            if (place := self._place(number)) != self._first_place(number)
        }
        self._more: list[_Dealt] = []
        with closing(
            in_order(self._move, sorted(set(map(self._first_place, self._moved))), processes)
        ) as moved:
            self._more += moved
        files = [*self._dealt, *self._more]
        self.groups = tuple(group for group in range(groups) if any(file.has(group) for file in files))

    def lines(self, group: int) -> Iterator[bytes]:
        """The lines of a group."""
        for _, text in self._runs(group):
            yield from text.splitlines(keepends=True)

    def lines_of(self, things: Iterable[NamedNode]) -> list[bytes]:
        """The lines of all that hangs together with things, where that is not of the core."""
        numbers = {number for thing in things if (number := _number(str(thing).encode())) is not None}
        roots = {self._root(number) for number in numbers} - self._bound
        return [
            line
            for group in sorted(set(map(self._first_place, roots)))
            for number, text in self._runs(group)
            if self._root(number) in roots
            for line in text.splitlines(keepends=True)
        ]

    def _runs(self, group: int) -> Iterator[tuple[bytes, bytes]]:
        """What belongs to a group, by number."""
        for dealt in self._dealt:
            yield from (run for run in dealt.runs(group) if run[0] not in self._moved)
        for more in self._more:
            yield from more.runs(group)

    def _deal(self, stretch: Path) -> _Seen:
        """Put what a stretch says of a thing to others of its number, or to the core; note what it tells."""
        seen = _Seen()
        runs = defaultdict[int, list[tuple[bytes, bytes]]](list)
        with stretch.open("rb") as file:
            for subject, picked in groupby(self._picked(file), key=itemgetter(0)):
                told = list(picked)
                about = subject
                if subject.startswith(_PROPOSITION):
                    about = next((o for _, p, o, _, _ in told if p == _ABOUT), b"")
                number = _number(about)
                if number is None:
                    self._see_core(told, seen)
                else:
                    self._see_record(number, told, seen)
                place = _CORE if number is None else self._first_place(number)
                runs[place].append((number or b"-", b"".join([line for *_, line in told])))
        seen.dealt = _Dealt.write(stretch.with_suffix(".dealt"), runs, self._count)
        stretch.unlink()
        return seen

    def _picked(self, lines: Iterable[bytes]) -> Iterator[Line]:
        """The lines that `reported` reads, and those that can be evidence of a claim."""
        before, read = b"", frozenset[bytes]()
        for line in lines:
            s, p, rest = line.split(b" ", 2)
            if s != before:
                before, read = s, reported.predicates_of(s)
            claimed = self._claims.has(s, p)
            if not claimed and p not in read:
                continue
            o, g, _ = rest.rsplit(b" ", 2)
            if (p in read and reported.wanted(s, p, o, g)) or (claimed and speaks_by_itself(g)):
                yield s, p, o, g, line

    def _see_core(self, told: Iterable[Line], seen: _Seen) -> None:
        for s, p, o, g, _ in told:
            if (other := _number(o)) is not None:
                seen.bound.add(other)
            elif (s, p) in self._claims.of_publications and speaks_by_itself(g):
                seen.met.add(s)

    def _see_record(self, number: bytes, told: Iterable[Line], seen: _Seen) -> None:
        for s, p, o, g, _ in told:
            other = _number(o)
            if other is not None and other != number:
                seen.joined.add((number, other))
            # That a list of publications has a reference too says nothing of the trial.
            of_more = not speaks_by_itself(g) and p != _HAS_REFERENCE and not s.startswith(_REFERENCE)
            if of_more or o == _OF_RA:
                seen.bound.add(number)
            if o in self._claims.publications:
                seen.cited.add((o, number))

    def _move(self, group: int) -> _Dealt:
        """Write what was dealt to a group and belongs elsewhere to a file, by where it belongs."""
        runs = defaultdict[int, list[tuple[bytes, bytes]]](list)
        for dealt in self._dealt:
            for number, text in dealt.runs(group):
                if (place := self._moved.get(number)) is not None:
                    runs[place].append((number, text))
        return _Dealt.write(self._folder / f"moved-{group}", runs, self._count)

    def _first_place(self, number: bytes) -> int:
        return crc32(number) % self._count

    def _place(self, number: bytes) -> int:
        root = self._root(number)
        return _CORE if root in self._bound else self._first_place(root)

    def _join(self, one: bytes, other: bytes) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        if first != second:
            self._parent[second] = first

    def _root(self, number: bytes) -> bytes:
        while (above := self._parent.get(number)) is not None:
            number = above
        return number


@dataclass(frozen=True)
class _Claims:
    """Which edges are claimed, or opposite to what is: of a predicate the subjects, None for many of them.

    `of_publications` are what is claimed of `publications`, by publication and predicate.
    """

    subjects: Mapping[bytes, set[bytes] | None]
    publications: frozenset[bytes]
    of_publications: frozenset[tuple[bytes, bytes]]

    @classmethod
    def read(cls, stated: Iterable[bytes], most: int = 5_000) -> _Claims:
        """Read them from lines; subjects of a predicate that has more than `most` are not kept."""
        subjects: dict[bytes, set[bytes] | None] = {}
        of_publications, opposites = set[tuple[bytes, bytes]](), list[tuple[bytes, bytes]]()
        predicate = b""
        for line in stated:
            if line.startswith(_PROPOSITION):
                _, p, o, _ = line.split(b" ", 3)
                if p == _OF:  # before what it is of, in the order of predicates
                    predicate = o
                elif p == _ABOUT:
                    if o.startswith(_PUBLICATION):
                        of_publications.add((o, predicate))
                    if (known := subjects.setdefault(predicate, set())) is not None:
                        known.add(o)
                        if len(known) > most:
                            subjects[predicate] = None
            elif _OPPOSITE in line:
                s, p, o, _ = line.split(b" ", 3)
                if p == _OPPOSITE:
                    opposites += [(s, o), (o, s)]
        more = dict(subjects)
        for one, other in opposites:
            theirs, known = subjects.get(one, set()), more.get(other, set())
            more[other] = None if theirs is None or known is None else theirs | known
        publications = frozenset(publication for publication, _ in of_publications)
        return cls(more, publications, frozenset(of_publications))

    def has(self, subject: bytes, predicate: bytes) -> bool:
        """Whether an edge of these can speak for or against a claim."""
        if predicate not in self.subjects:
            return False
        known = self.subjects[predicate]
        return known is None or subject in known


def _stretches(stated: Iterable[bytes], folder: Path, at_once: int) -> Iterator[Path]:
    """The lines in files of `at_once` or few more, each made when the one before was taken."""
    for number, stretch in enumerate(by_subject(stated, at_once)):
        file = folder / f"stretch-{number:06d}"
        with file.open("wb") as target:
            target.writelines(stretch)
        del stretch  # before the next one is made
        yield file


def _number(token: bytes) -> bytes | None:
    """The number of the record that a thing is of; None for any other."""
    if not token.startswith(_BASE):
        return None
    parts = token[len(_BASE) : -1].split(b"/")
    place = _NUMBERED.get(parts[0], len(parts))
    # A curated claim names what it is about in one part: "NCT01547091%2Farm-1".
    return parts[place].split(b"%2F")[0] if place < len(parts) else None
