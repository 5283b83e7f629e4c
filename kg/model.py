"""The smallest model of an ontology and some facts: what every individual and every class expression is.

Hides the saturation (OWL 2 EL with chains of two, transitivity and sub-properties) and how a contradiction is
traced back to what was stated. Linear in the facts in practice. Individuals and properties are named by
their N-Quads tokens (`b"<iri>"`), whose hash Python keeps; pyoxigraph works a NamedNode's out every time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

from pyoxigraph import NamedNode

from kg.axioms import And, Axioms, Chain, Hierarchy, Some, text
from kg.facts import Edge, term, token
from kg.terms import compress


class Model:
    """The smallest model of axioms and facts: one element for each class expression, and the individuals.

    `types[n]` are the numbers of the expressions element n belongs to; `out[n][p]` are its p-successors.
    An expression *p some C* of an element gives it the element of C as successor, and an edge to an element
    of C gives it that expression; chains and sub-properties add edges, until nothing is new. The element of
    an expression has its number. No element of the model changes by what is added later, only what leads to
    it: there are no inverses.
    """

    def __init__(self, hierarchy: Hierarchy, above: list[tuple[int, ...]], explaining: bool = False) -> None:
        self.hierarchy = hierarchy
        self.above = above
        self.first = len(hierarchy.expressions)  # element of the first individual
        self.names: list[bytes] = []
        self.index: dict[bytes, int] = {}
        self.types: list[set[int]] = []
        self.out: list[dict[bytes, set[int]]] = []
        self.into: list[dict[bytes, set[int]]] = []
        self.clashing: set[int] = set()
        self.stated: set[tuple[int, bytes, int]] = set()  # edges of individuals
        self.why_edge: dict[tuple[int, bytes, int], set[str]] = {}  # edge of individuals -> rules
        self.reasons: dict[tuple[object, ...], tuple[tuple[object, ...], ...]] | None = (
            {} if explaining else None
        )
        self._todo: list[tuple[int, int, bool]] = []
        self._edges: list[tuple[int, bytes, int]] = []
        self._index_axioms()
        for _ in hierarchy.expressions:
            self._new()
        for n in range(1, hierarchy.classified):
            self._type(n, n, (), False)
        self._saturate()

    def _index_axioms(self) -> None:
        axioms = self.hierarchy.axioms
        number = self.hierarchy.number
        self.conjunctions: dict[int, list[tuple[int, frozenset[int]]]] = {}
        self.some: dict[int, dict[bytes, int]] = {}  # filler -> property -> expression
        self.successor: dict[int, tuple[bytes, int]] = {}
        self.wanted: dict[bytes, set[int]] = {}  # property -> fillers that matter
        for expression, n in number.items():
            if isinstance(expression, And):
                parts = frozenset(number[part] for part in expression.parts)
                for part in parts:
                    self.conjunctions.setdefault(part, []).append((n, parts))
        fillers = {number[e.filler] for e in number if isinstance(e, Some)}
        for expression, n in number.items():
            if isinstance(expression, Some):
                filler, p = number[expression.filler], token(expression.property)
                self.successor[n] = (p, filler)
                # What stands only on the right of axioms need not be recognised: nothing follows from it.
                if n in fillers or n in self.conjunctions or not {0, n}.issuperset(self.above[n]):
                    self.some.setdefault(filler, {})[p] = n
                    self.wanted.setdefault(p, set()).add(filler)
        self.wider: dict[bytes, list[tuple[bytes, str]]] = {}
        self.starting: dict[bytes, list[tuple[bytes, bytes, str]]] = {}  # first -> second, result, rule
        self.ending: dict[bytes, list[tuple[bytes, bytes, str]]] = {}  # second -> first, result, rule
        for sub, sup in axioms.subproperties:
            self.wider.setdefault(token(sub), []).append((token(sup), rule_of(sub, sup)))
        for chain in axioms.chains:
            first, second, result = map(token, (chain.first, chain.second, chain.result))
            self.starting.setdefault(first, []).append((second, result, rule_of(chain)))
            self.ending.setdefault(second, []).append((first, result, rule_of(chain)))

    def telling(self) -> frozenset[bytes]:
        """The properties whose edges something may follow from, and those such edges may have.

        An edge of another property passes on a contradiction at most; that is found where it arises.
        """
        results = [result for chains in self.starting.values() for _, result, _ in chains]
        wider = [sup for sups in self.wider.values() for sup, _ in sups]
        return frozenset({*self.wanted, *self.wider, *wider, *self.starting, *self.ending, *results})

    def copy(self) -> Model:
        """A model to add to that leaves this one as it is; it explains nothing."""
        other = copy.copy(self)
        other.names, other.index = self.names.copy(), self.index.copy()
        other.types, other.out = self.types.copy(), self.out.copy()  # the sets in them do not change any more
        other.into = [{p: set(predecessors) for p, predecessors in row.items()} for row in self.into]
        other.clashing, other.stated, other.why_edge = set(), set(), {}
        return other

    def add(self, types: Iterable[tuple[bytes, Iterable[int]]], edges: Iterable[Edge]) -> None:
        """Add individuals, each with the numbers of its classes, and edges between individuals; saturate.

        No individual already there may get a type or an edge that was not stated of it before.
        """
        for name, classes in types:
            n = self._individual(name)
            for expression in classes:
                self._type(n, expression, (), False)
        for s, p, o in edges:
            edge = (self._individual(s), p, self._individual(o))
            self.stated.add(edge)
            self._edge(*edge, (), None)
        self._saturate()

    def name(self, n: int) -> bytes:
        """The name of an individual's element."""
        return self.names[n - self.first]

    def _saturate(self) -> None:
        while self._todo or self._edges:
            if self._todo:
                self._spread_type(*self._todo.pop())
            else:
                self._spread_edge(*self._edges.pop())

    def _individual(self, name: bytes) -> int:
        if name not in self.index:
            self.index[name] = self._new()
            self.names.append(name)
        return self.index[name]

    def _new(self) -> int:
        n = len(self.types)
        self.types.append(set())
        self.out.append({})
        self.into.append({})
        self._type(n, 0, (), False)
        return n

    def _type(
        self, n: int, expression: int, because: tuple[tuple[object, ...], ...], witnessed: bool
    ) -> None:
        if expression not in self.types[n]:
            self.types[n].add(expression)
            if self.reasons is not None:
                self.reasons[n, expression] = because
            self._todo.append((n, expression, witnessed))

    def _edge(
        self, n: int, p: bytes, m: int, because: tuple[tuple[object, ...], ...], rule: str | None
    ) -> None:
        successors = self.out[n].setdefault(p, set())
        if m not in successors:
            successors.add(m)
            self.into[m].setdefault(p, set()).add(n)
            if self.reasons is not None:
                self.reasons[n, p, m] = because
            self._edges.append((n, p, m))
        if rule is not None and n >= self.first and m >= self.first:
            self.why_edge.setdefault((n, p, m), set()).add(rule)

    def _spread_type(self, n: int, expression: int, witnessed: bool) -> None:
        mine = self.types[n]
        here = ((n, expression),)
        for wider in self.above[expression]:
            if wider not in mine:
                self._type(n, wider, here, False)
        for whole, parts in self.conjunctions.get(expression, ()):
            if whole not in mine and parts <= mine:
                self._type(n, whole, tuple((n, part) for part in sorted(parts)), False)
        if expression in self.successor and not witnessed:
            p, filler = self.successor[expression]
            self._edge(n, p, filler, here, None)
        wholes = self.some.get(expression)
        for p, predecessors in self.into[n].items() if wholes or expression == 1 else ():
            if wholes and p in wholes:
                for k in predecessors:
                    self._type(k, wholes[p], ((k, p, n), (n, expression)), True)
            if expression == 1:
                for k in predecessors:
                    self._type(k, 1, ((k, p, n), (n, 1)), False)
        if expression == 1 and n >= self.first:
            self.clashing.add(n)

    def _spread_edge(self, n: int, p: bytes, m: int) -> None:
        here = ((n, p, m),)
        theirs = self.types[m]
        for filler in self.wanted.get(p, frozenset()) & theirs:
            self._type(n, self.some[filler][p], (*here, (m, filler)), True)
        if 1 in theirs:
            self._type(n, 1, (*here, (m, 1)), False)
        for wider, rule in self.wider.get(p, ()):
            self._edge(n, wider, m, here, rule)
        for second, result, rule in self.starting.get(p, ()):
            for end in tuple(self.out[m].get(second, ())):
                self._edge(n, result, end, (*here, (m, second, end)), rule)
        for first, result, rule in self.ending.get(p, ()):
            for start in tuple(self.into[n].get(first, ())):
                self._edge(start, result, m, ((start, first, n), *here), rule)

    # ------------------------------------------------------------ explanation

    def explain_individual(self, name: bytes) -> str:
        """The asserted statements and the classes that make an individual impossible."""
        return self._told(self._explain(self.index[name]))

    def explain_class(self, name: NamedNode) -> str:
        """The axioms that make a class impossible."""
        return self._told(self._explain(self.hierarchy.number[name]))

    def explain_same(self, one: NamedNode, other: NamedNode) -> str:
        """The axioms that make two classes subclasses of each other."""
        n, m = self.hierarchy.number[one], self.hierarchy.number[other]
        return self._told([*dict.fromkeys([*self._explain(n, m), *self._explain(m, n)])])

    def _told(self, steps: list[str]) -> str:
        return f"It follows from: {'; '.join(steps[:25])}"

    def _explain(self, n: int, goal: int = 1) -> list[str]:
        assert self.reasons is not None
        axioms = {
            (self.hierarchy.number[a], self.hierarchy.number[b]) for a, b in self.hierarchy.axioms.subclasses
        }
        steps: dict[str, None] = {}
        seen: set[tuple[object, ...]] = set()
        todo: list[tuple[object, ...]] = [(n, goal)]
        while todo:
            fact = todo.pop(0)
            if fact in seen:
                continue
            seen.add(fact)
            because = self.reasons.get(fact, ())
            if not because and self._is_stated(fact):
                steps[self._said(fact)] = None
            if len(fact) == 2 and len(because) == 1 and len(because[0]) == 2 and fact[0] == because[0][0]:
                lower, upper = because[0][1], fact[1]
                if lower in self.hierarchy.clashes and upper == 1:
                    steps[f"nothing is {self._said_class(lower)}"] = None
                elif (lower, upper) in axioms:
                    steps[f"every {self._said_class(lower)} is {self._said_class(upper)}"] = None
            todo += because
        return [*steps]

    def _is_stated(self, fact: tuple[object, ...]) -> bool:
        return fact[1] != 0 and isinstance(fact[0], int) and fact[0] >= self.first

    def _said(self, fact: tuple[object, ...]) -> str:
        if len(fact) == 2:
            return f"{self._name(fact[0])} a {self._said_class(fact[1])}"
        assert isinstance(fact[1], bytes)
        return f"{self._name(fact[0])} {compress(term(fact[1]).value)} {self._name(fact[2])}"

    def _said_class(self, expression: object) -> str:
        assert isinstance(expression, int)
        return text(self.hierarchy.expressions[expression])

    def _name(self, n: object) -> str:
        assert isinstance(n, int)
        return compress(term(self.name(n)).value) if n >= self.first else "some"


def rule_of(*axiom: Chain | NamedNode) -> str:
    """The name of a property axiom's rule: `chain-hasArm-hasIntervention-testsIntervention`."""
    first = axiom[0]
    if isinstance(first, Chain):
        if first.first == first.second == first.result:
            return f"transitive-{_local(first.result)}"
        return f"chain-{_local(first.first)}-{_local(first.second)}-{_local(first.result)}"
    return f"subproperty-{'-'.join(_local(p) for p in axiom if isinstance(p, NamedNode))}"


def _local(term: NamedNode) -> str:
    prefix, _, name = compress(term.value).rpartition(":")
    return name if prefix == "stroma" else f"{prefix}_{name}"


def rule_texts(axioms: Axioms) -> dict[str, tuple[str, str]]:
    """By the name of its rule, the label and the text of each property axiom."""
    texts: dict[str, tuple[str, str]] = {}
    for sub, sup in axioms.subproperties:
        said = f"{compress(sub.value)} -> {compress(sup.value)}"
        texts[rule_of(sub, sup)] = (f"Sub-property: {said}", said)
    for c in axioms.chains:
        said = f"{compress(c.first.value)} o {compress(c.second.value)} -> {compress(c.result.value)}"
        kind = "Transitive property" if c.first == c.second == c.result else "Property chain"
        texts[rule_of(c)] = (f"{kind}: {said}", said)
    return texts
