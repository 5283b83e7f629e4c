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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import IO
from zlib import crc32

from pyoxigraph import NamedNode, Quad

from kg.evidence import derivation, derived, findings, lines, links, registered, reported, statistics
from kg.evidence.findings import Found
from kg.evidence.likeness import Description
from kg.evidence.links import Articles, Links
from kg.evidence.reported import Reported
from kg.evidence.rules import RULES
from kg.snapshot import line_of
from kg.terms import BASE, STROMA
from kg.workers import in_order

# 560,000 trials in so many groups are 2,200 in each: with the objects of Python some 150 MB.
GROUPS = 256
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
_PROPOSITION, _PUBLICATION = _BASE + b"proposition/", _BASE + b"publication/"
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
) -> Iterator[Quad | bytes]:
    """What follows from the lines that are `stated`, as quads and N-Quads lines; some may come twice.

    The lines of each source are sorted. `work` is a folder for what stands on disk meanwhile. Neither
    `groups` nor `processes` change what comes out. With `strict`, a review that points at no finding raises
    SourceError: records that are added can settle a finding, so only the embedded graph must have every one
    reviewed.
    """
    statistics.load()
    with tempfile.TemporaryDirectory(dir=work) as folder:
        yield from _evaluated(_Divided(stated, Path(folder), groups), Path(folder), strict, processes)


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


class _Divided:
    """The lines that evidence is computed from, in files: those of the core, and of groups of trials.

    A trial is of the core where more than its records tells of it: documents, curators, inference (what is a
    trial of MSCs in rheumatoid arthritis is compared with all such), or a claim of what its record says of a
    publication. So is what hangs together with such a trial.
    """

    def __init__(self, stated: Callable[[], Iterator[bytes]], folder: Path, groups: int) -> None:
        self._folder, self._count = folder, groups
        self._parent: dict[bytes, bytes] = {}  # a number -> one it hangs together with
        self._bound: set[bytes] = set()  # numbers of the core
        self._claimed: set[bytes] = set()  # predicates of what is claimed, and their opposites
        # What is claimed of publications (subject, predicate), and the numbers of what refers to these.
        self._told_of: set[tuple[bytes, bytes]] = set()
        self._cited: dict[bytes, set[bytes]] = {}
        self._look(stated())
        self._deal(self._picked(stated()))
        self._bound = {self._root(number) for number in self._bound}
        self._settle()
        self.groups = tuple(group for group in range(groups) if self._path("group", group).exists())

    def lines(self, group: int) -> Iterator[bytes]:
        """The lines of a group."""
        with self._path("group", group).open("rb") as file:
            if group == _CORE:
                yield from file
            else:
                yield from (line.split(b" ", 1)[1] for line in file)

    def lines_of(self, things: Iterable[NamedNode]) -> list[bytes]:
        """The lines of all that hangs together with things, where that is not of the core."""
        numbers = {number for thing in things if (number := _number(str(thing).encode())) is not None}
        roots = {self._root(number) for number in numbers} - self._bound
        found = []
        for group in sorted({crc32(root) % self._count for root in roots}):
            with self._path("group", group).open("rb") as file:
                found += [rest for line in file for root, rest in [line.split(b" ", 1)] if root in roots]
        return found

    def _path(self, name: str, group: int) -> Path:
        return self._folder / f"{name}-{'core' if group == _CORE else group}"

    def _look(self, stated: Iterable[bytes]) -> None:
        """Which predicates are claimed, and what of publications."""
        predicate = b""
        for line in stated:
            if line.startswith(_PROPOSITION):
                _, p, o, _ = line.split(b" ", 3)
                if p == _OF:  # before what it is of, in the order of predicates
                    predicate = o
                    self._claimed.add(o)
                elif p == _ABOUT and o.startswith(_PUBLICATION):
                    self._told_of.add((o, predicate))
                    self._cited[o] = set()
            elif _OPPOSITE in line:
                s, p, o, _ = line.split(b" ", 3)
                if p == _OPPOSITE:
                    self._claimed |= {s, o}

    def _picked(self, stated: Iterable[bytes]) -> Iterator[Line]:
        """The lines that `reported` reads, and those that can be evidence of a claim."""
        for line in stated:
            s, p, rest = line.split(b" ", 2)
            claimed = p in self._claimed
            if not claimed and p not in reported.PREDICATES:
                continue
            o, g, _ = rest.rsplit(b" ", 2)
            if reported.wanted(s, p, o, g) or (claimed and lines.speaks_by_itself(g)):
                yield s, p, o, g, line

    def _deal(self, picked: Iterable[Line]) -> None:
        """Put each line to others of its number, or to the core; note which numbers hang together."""
        with _Files(lambda group: self._path("dealt", group)) as dealt:
            core = dealt[_CORE]
            met: set[bytes] = set()  # publications of which a registry says what is claimed
            for subject, run in groupby(picked, key=itemgetter(0)):
                number = _number(subject)
                if subject.startswith(_PROPOSITION):
                    run = iter(told := list(run))
                    number = next((_number(o) for _, p, o, _, _ in told if p == _ABOUT), None)
                cited = subject.startswith(_BASE + b"reference/")
                for s, p, o, g, line in run:
                    other = _number(o)
                    if number is None:
                        core.write(line)
                        if other is not None:
                            self._bound.add(other)
                        elif (s, p) in self._told_of and lines.speaks_by_itself(g):
                            met.add(s)
                        continue
                    if other is not None and other != number:
                        self._join(number, other)
                    # That a list of publications has a reference too says nothing of the trial.
                    of_more = not lines.speaks_by_itself(g)
                    if (of_more and not cited and p != _HAS_REFERENCE) or o == _OF_RA:
                        self._bound.add(number)
                    if o in self._cited:
                        self._cited[o].add(number)
                    dealt[crc32(number) % self._count].write(b"%s %s" % (number, line))
        for publication in met:
            self._bound |= self._cited[publication]

    def _settle(self) -> None:
        """Put what hangs together to one group, and what hangs together with the core to the core."""
        with _Files(lambda group: self._path("group", group)) as groups:
            core = groups[_CORE]
            with self._path("dealt", _CORE).open("rb") as file:
                core.writelines(file)
            for group in range(self._count):
                path = self._path("dealt", group)
                if not path.exists():
                    continue
                with path.open("rb") as file:
                    for line in file:
                        number, rest = line.split(b" ", 1)
                        root = self._root(number)
                        if root in self._bound:
                            core.write(rest)
                        else:
                            groups[crc32(root) % self._count].write(b"%s %s" % (root, rest))
                path.unlink()

    def _join(self, one: bytes, other: bytes) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        if first != second:
            self._parent[second] = first

    def _root(self, number: bytes) -> bytes:
        while (above := self._parent.get(number)) is not None:
            number = above
        return number


class _Files(ExitStack):
    """Files by group to write, each made when it is first asked for."""

    def __init__(self, path: Callable[[int], Path]) -> None:
        super().__init__()
        self._path = path
        self._files: dict[int, IO[bytes]] = {}

    def __getitem__(self, group: int) -> IO[bytes]:
        file = self._files.get(group)
        if file is None:
            file = self._files[group] = self.enter_context(self._path(group).open("wb"))
        return file


def _number(token: bytes) -> bytes | None:
    """The number of the record that a thing is of; None for any other."""
    if not token.startswith(_BASE):
        return None
    parts = token[len(_BASE) : -1].split(b"/")
    place = _NUMBERED.get(parts[0], len(parts))
    # A curated claim names what it is about in one part: "NCT01547091%2Farm-1".
    return parts[place].split(b"%2F")[0] if place < len(parts) else None
