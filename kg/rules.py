"""CONSTRUCT rules: what OWL cannot say, one idea a file (`ontology/rules/<name>.rq`).

Hides the store they run in, which is in memory, and what keeps it small. A rule is given only the statements
that one of its patterns can match, by predicate and, where it is a fixed IRI, object; one with a variable or
a path for a predicate is given everything. And where its patterns all lead on from one thing, it is given
groups of things one by one, each with what its things lead to: every match lies whole in the group of the
thing it begins with, and what a group lacks can only take matches away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

from pyoxigraph import Literal, NamedNode, QueryTriples, RdfFormat, Store
from rdflib import BNode, URIRef, Variable
from rdflib.plugins.sparql import prepareQuery

from kg.errors import OntologyError
from kg.snapshot import sorted_unique

# By predicate, the objects that patterns fix; None where one of them does not.
Wanted = Mapping[NamedNode, frozenset[NamedNode] | None]
_Pattern = tuple[object, ...]  # subject, predicate, object, as rdflib has them


@dataclass(frozen=True)
class Reach:
    """How far a rule looks from the thing that each of its matches begins with."""

    depth: int  # edges from that thing to the farthest one whose statements it reads
    steps: frozenset[NamedNode]  # the properties of those edges


@dataclass(frozen=True)
class Rule:
    """A CONSTRUCT query of `ontology/rules/`.

    The statements `wanted` by it, to match or as already there, are None when they may be any. `reach` is
    None, with the reason in `why_whole`, when it must see everything at once.
    """

    path: Path
    query: str
    summary: str
    wanted: Wanted | None
    reach: Reach | None
    why_whole: str

    @staticmethod
    def read(path: Path) -> Rule:
        """The rule of a file; raises OntologyError for one without summary, or that does not parse."""
        query = path.read_text(encoding="utf-8")
        summary = next(
            (
                line[2:].partition(":")[2].strip()
                for line in query.splitlines()
                if line.startswith("#+ summary:")
            ),
            "",
        )
        if not summary:
            raise OntologyError(f"{path.name}: says not what it adds; begin it with a line `#+ summary: ...`")
        try:
            algebra = prepareQuery(query).algebra
            wanted = _wanted(algebra)
        except Exception as problem:  # rdflib raises its parser's own, without a common base
            raise OntologyError(f"{path.name}: does not parse: {problem}. Mend {path}") from problem
        try:
            return Rule(path, query, summary, wanted, _reach(algebra), "")
        except _LooksFurther as why:
            return Rule(path, query, summary, wanted, None, str(why))


def _wanted(algebra: object) -> Wanted | None:
    wanted: dict[NamedNode, frozenset[NamedNode] | None] = {}
    for _, p, o in _triples(algebra):
        if not isinstance(p, URIRef):  # a variable or a path
            return None
        objects = frozenset({NamedNode(str(o))}) if isinstance(o, URIRef) else None
        _widen(wanted, NamedNode(str(p)), objects)
    return wanted


def _widen(
    wanted: dict[NamedNode, frozenset[NamedNode] | None], p: NamedNode, objects: frozenset[NamedNode] | None
) -> None:
    before = wanted.get(p, frozenset())
    wanted[p] = None if objects is None or before is None else before | objects


def _triples(algebra: object) -> Iterator[_Pattern]:
    """The triple patterns of a query, wherever they stand in its algebra."""
    if isinstance(algebra, Mapping):
        for key, part in algebra.items():
            if key in ("triples", "template") and part:
                yield from part
            else:
                yield from _triples(part)
    elif isinstance(algebra, list):
        for part in algebra:
            yield from _triples(part)


def read_by(rules: Iterable[Rule]) -> Wanted | None:
    """The statements that some rules read or write, None when they may be any."""
    found: dict[NamedNode, frozenset[NamedNode] | None] = {}
    for rule in rules:
        if rule.wanted is None:
            return None
        for p, objects in rule.wanted.items():
            _widen(found, p, objects)
    return found


# ------------------------------------------------------------------------------------- what a rule looks at


class _LooksFurther(Exception):
    """A rule may not be run over groups of things; the message says why."""


def _reach(algebra: Mapping[str, object]) -> Reach | None:
    """How far a query looks from one thing; raises _LooksFurther where the answer is not that plain."""
    if getattr(algebra, "name", "") != "ConstructQuery" or algebra.get("datasetClause"):
        raise _LooksFurther("it names the graphs it reads")
    template = algebra["template"]
    assert isinstance(template, list)
    depth, steps = 0, set[NamedNode]()
    for patterns in _alternatives(algebra["p"]):
        depths = _depths(patterns)
        # What a match gives is new or not by what is stated of its subject: which must be in the group.
        if any(s not in depths for s, _, _ in template):
            raise _LooksFurther("it adds a statement about something none of whose statements it matches")
        depth = max(depth, *depths.values())
        steps |= {NamedNode(str(p)) for _, p, o in patterns if o in depths}
    return Reach(depth, frozenset(steps))


def _alternatives(part: object) -> list[list[_Pattern]]:
    """The sets of triple patterns of which one must match whole."""
    assert isinstance(part, Mapping)
    match getattr(part, "name", ""):
        case "BGP":
            return [list(part["triples"])]
        case "Join":
            lefts, rights = _alternatives(part["p1"]), _alternatives(part["p2"])
            return [[*left, *right] for left in lefts for right in rights]
        case "Union":
            return [*_alternatives(part["p1"]), *_alternatives(part["p2"])]
        case "Project":
            return _alternatives(part["p"])
        case "Filter" | "Extend":
            if _asks_whether_any(part["expr"]):
                raise _LooksFurther("it asks whether something exists")
            return _alternatives(part["p"])
        case other:
            raise _LooksFurther(f"it holds more than patterns, UNION, FILTER and BIND: {other}")


def _asks_whether_any(expression: object) -> bool:
    """Whether EXISTS or NOT EXISTS stands somewhere in an expression."""
    if isinstance(expression, Mapping):
        return "EXISTS" in getattr(expression, "name", "") or any(map(_asks_whether_any, expression.values()))
    return isinstance(expression, list) and any(map(_asks_whether_any, expression))


def _depths(patterns: list[_Pattern]) -> dict[object, int]:
    """Of each subject of some patterns, how many edges lead to it from the one that leads to all."""
    subjects = {s for s, _, _ in patterns}
    if not all(isinstance(s, Variable | BNode) for s in subjects):
        raise _LooksFurther("it matches statements of one thing that it names")
    if not all(isinstance(p, URIRef) for _, p, _ in patterns):
        raise _LooksFurther("one of its predicates is a variable or a path")
    fits = []
    for root in sorted(subjects, key=str):
        depths = {root: 0}
        todo = [root]
        for subject in todo:  # breadth first: it grows
            for s, _, o in patterns:
                if s == subject and o in subjects and o not in depths:
                    depths[o] = depths[subject] + 1
                    todo.append(o)
        if depths.keys() == subjects:
            fits.append(depths)
    if not fits:
        raise _LooksFurther("no thing of a match leads to all others")
    return min(fits, key=lambda depths: max(depths.values()))


# ------------------------------------------------------------------------------------------ running


def construct(rule: Rule, lines: Iterable[bytes], folder: Path, at_once: int) -> Iterator[bytes]:
    """What a rule adds to some N-Quads lines, sorted, as lines `subject predicate object` and a space.

    Meanwhile files stand in `folder`; a rule that may be is run over `at_once` things at a time. Raises
    OntologyError for a query that is no CONSTRUCT, or makes a blank node.
    """
    if rule.reach is None:
        whole = folder / "whole.nq"
        with whole.open("wb") as file:
            file.writelines(lines)
        store = Store()
        store.bulk_load(path=whole, format=RdfFormat.N_QUADS)
        whole.unlink()
        return sorted_unique(_matched(rule, store), folder)
    groups = _groups(rule.reach, lines, folder, at_once)
    # Things that several groups hold may give the same in each.
    return sorted_unique(chain.from_iterable(_matched(rule, _store(group)) for group in groups), folder)


def _store(lines: Iterable[bytes]) -> Store:
    store = Store()
    store.bulk_load(b"".join(lines), format=RdfFormat.N_QUADS)
    return store


def _matched(rule: Rule, store: Store) -> Iterator[bytes]:
    name = rule.path.name
    try:
        answer = store.query(rule.query, use_default_graph_as_union=True)
    except SyntaxError as problem:
        raise OntologyError(f"{name}: does not parse: {problem}. Mend {rule.path}") from problem
    if not isinstance(answer, QueryTriples):
        raise OntologyError(f"{name}: is no CONSTRUCT; a rule builds triples")
    for s, p, o in answer:
        if not isinstance(s, NamedNode) or not isinstance(o, NamedNode | Literal):
            raise OntologyError(f"{name}: makes a blank node; every node of ours has an IRI")
        if next(store.quads_for_pattern(s, p, o, None), None) is None:
            yield f"{s} {p} {o} \n".encode()


def _groups(reach: Reach, lines: Iterable[bytes], folder: Path, at_once: int) -> Iterator[Iterable[bytes]]:
    """The lines in groups: `at_once` things with all their statements, and those of what they lead to."""
    if not reach.depth:
        yield from (list(group) for group in _by_things(sorted_unique(lines, folder), at_once))
        return
    statements = folder / "statements.nq"
    with statements.open("wb") as file:
        file.writelines(sorted_unique(lines, folder))
    placed = sorted_unique(_placed(reach, statements, folder, at_once), folder)
    empty = True
    for _, group in groupby(placed, key=lambda line: line[:8]):
        empty = False
        yield (line[8:] for line in group)
    if empty:
        yield ()
    statements.unlink()


def _by_things(lines: Iterable[bytes], at_once: int) -> Iterator[Iterable[bytes]]:
    """Sorted lines, as many at a time as are about `at_once` subjects; once at least."""
    group: list[bytes] = []
    things = 0
    for _, about in groupby(lines, key=_subject):
        if things == at_once:
            yield group
            group, things = [], 0
        group += about
        things += 1
    yield group


def _placed(reach: Reach, statements: Path, folder: Path, at_once: int) -> Iterator[bytes]:
    """Each statement with each group it belongs to before it, in eight digits."""
    steps = frozenset(str(p).encode() for p in reach.steps)
    # Things that groups lead to, each with the group: in files, as many things may lead to many.
    led_to = folder / "led-to"

    def follow(number: bytes, line: bytes, found: list[bytes]) -> None:
        _, p, rest = line.split(b" ", 2)
        if p in steps and rest[:1] != b'"':
            found.append(b"%s %s\n" % (rest.split(b" ", 1)[0], number))

    with statements.open("rb") as file, led_to.open("wb") as ends:
        for count, group in enumerate(_by_things(file, at_once)):
            number, found = b"%08d" % count, list[bytes]()
            for line in group:
                yield number + line
                follow(number, line, found)
            ends.writelines(sorted(set(found)))
    for _ in range(reach.depth):
        before = led_to.rename(folder / "led-to-before")
        with before.open("rb") as pairs, statements.open("rb") as file, led_to.open("wb") as ends:
            things = groupby(file, key=_subject)
            subject, about = next(things, (b"\xff", iter(())))
            for thing, leading in groupby(sorted_unique(pairs, folder), key=_subject):
                while subject < thing:
                    subject, about = next(things, (b"\xff", iter(())))
                if subject != thing:
                    continue
                told = list(about)
                for pair in leading:
                    number, found = pair[-9:-1], list[bytes]()
                    for line in told:
                        yield number + line
                        follow(number, line, found)
                    ends.writelines(found)
        before.unlink()
    led_to.unlink()


def _subject(line: bytes) -> bytes:
    return line.split(b" ", 1)[0]
