"""CONSTRUCT rules: what OWL cannot say, one idea a file (`ontology/rules/<name>.rq`).

Hides the store they run in, which is in memory. So rules are given only the statements that one of their
patterns can match, by predicate and, where it is a fixed IRI, object. One with a variable or a path for a
predicate is given everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Quad, QueryTriples, RdfFormat, Store
from rdflib import URIRef
from rdflib.plugins.sparql import prepareQuery

from kg.errors import OntologyError
from kg.terms import mint

Constructed = tuple[NamedNode, NamedNode, NamedNode | Literal]
# By predicate, the objects that patterns fix; None where one of them does not.
Wanted = Mapping[NamedNode, frozenset[NamedNode] | None]


@dataclass(frozen=True)
class Rule:
    """A CONSTRUCT query of `ontology/rules/`; the statements `wanted` by it are None when they may be any."""

    path: Path
    query: str
    summary: str
    wanted: Wanted | None

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
        wanted: dict[NamedNode, frozenset[NamedNode] | None] = {}
        try:
            for _, p, o in _triples(prepareQuery(query).algebra):
                if not isinstance(p, URIRef):  # a variable or a path
                    return Rule(path, query, summary, None)
                objects = frozenset({NamedNode(str(o))}) if isinstance(o, URIRef) else None
                _widen(wanted, NamedNode(str(p)), objects)
        except Exception as problem:  # rdflib raises its parser's own, without a common base
            raise OntologyError(f"{path.name}: does not parse: {problem}. Mend {path}") from problem
        return Rule(path, query, summary, wanted)


def _widen(
    wanted: dict[NamedNode, frozenset[NamedNode] | None], p: NamedNode, objects: frozenset[NamedNode] | None
) -> None:
    before = wanted.get(p, frozenset())
    wanted[p] = None if objects is None or before is None else before | objects


def _triples(algebra: object) -> Iterator[tuple[object, ...]]:
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


def construct(rules: Iterable[Rule], file: Path, quads: Iterable[Quad]) -> Iterator[tuple[str, Constructed]]:
    """What the rules add to an N-Quads file and some quads: rule by rule, each seeing what those before it
    added. Raises OntologyError for a query that is no CONSTRUCT, or makes a blank node."""
    store = Store()
    store.bulk_load(path=file, format=RdfFormat.N_QUADS)
    store.bulk_extend(quads)
    for rule in rules:
        name, graph = rule.path.name, mint("graph", "inferred", rule.path.stem)
        fresh: list[Quad] = []
        try:
            answer = store.query(rule.query, use_default_graph_as_union=True)
        except SyntaxError as problem:
            raise OntologyError(f"{name}: does not parse: {problem}. Mend {rule.path}") from problem
        if not isinstance(answer, QueryTriples):
            raise OntologyError(f"{name}: is no CONSTRUCT; a rule builds triples")
        for s, p, o in sorted(answer, key=str):
            if not isinstance(s, NamedNode) or not isinstance(o, NamedNode | Literal):
                raise OntologyError(f"{name}: makes a blank node; every node of ours has an IRI")
            if next(store.quads_for_pattern(s, p, o, None), None) is None:
                fresh.append(Quad(s, p, o, graph))
                yield rule.path.stem, (s, p, o)
        store.extend(fresh)
