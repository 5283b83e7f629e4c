"""Why a fact follows: every way to derive it, the shortest proof, and the minimal sets of premises.

Hides the saturation that keeps every derivation (OWL 2 EL with chains of two and sub-properties, as in
`kg.model`), the search for the cheapest proof (Knuth's generalisation of Dijkstra), and the hitting-set tree
(Reiter 1987) that walks from one minimal set to the next. Nothing here knows of files, graphs or labels.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyoxigraph import NamedNode

from kg.axioms import THING, And, Axioms, Chain, Expression, Some

_RUNS = 400  # searches for a proof before the list of minimal sets is given as incomplete


@dataclass(frozen=True)
class Any_:
    """Whatever belongs to a class: what is true of it is true of every member."""

    of: Expression


Node = NamedNode | Any_  # an individual, or the typical member of a class


@dataclass(frozen=True)
class Is:
    """*subject is a class expression*; of a typical member, a subclass axiom."""

    subject: Node
    what: Expression


@dataclass(frozen=True)
class Edge:
    """*subject property object*."""

    subject: Node
    property: NamedNode
    object: Node


Fact = Is | Edge


@dataclass(frozen=True)
class Proof:
    """A fact with what it follows from: `axiom` is the number of an axiom; neither axiom nor premises means
    that the fact is stated, or true of any class by itself (`stated` tells which)."""

    fact: Fact
    axiom: int | None = None
    premises: tuple[Proof, ...] = ()
    stated: bool = False


@dataclass(frozen=True)
class Justification:
    """A minimal set of premises: numbers of axioms, and stated facts. Without any one of them the conclusion
    does not follow from the others."""

    axioms: frozenset[int]
    facts: frozenset[Fact]
    proof: Proof = field(compare=False)

    def __len__(self) -> int:
        return len(self.axioms) + len(self.facts)


@dataclass(frozen=True)
class Justifications:
    """The minimal sets found, smallest first; `complete` when there is no other."""

    found: tuple[Justification, ...]
    complete: bool


def justify(
    goal: Fact,
    axioms: Sequence[Axioms],
    stated: Callable[[NamedNode], Iterable[Fact]],
    *,
    limit: int = 3,
) -> Justifications:
    """Up to `limit` minimal justifications of a goal; none when it does not follow.

    `axioms` are the written axioms, each with the one or more EL axioms it states; `stated` gives the facts
    stated of an individual. Without inverses what holds of a thing depends only on what it leads to, so only
    that is ever read.
    """
    derivations = _Saturation(goal, axioms, stated).run()
    return _Search(derivations, goal).minimal(limit)


_Leaf = int | Fact | None  # the axiom's number, a stated fact, or nothing
_Leaves = frozenset[int | Fact]
_Derivation = tuple[_Leaf, tuple[Fact, ...]]


class _Saturation:
    """All facts about the goal's subject and whatever it leads to, each with all its derivations."""

    def __init__(
        self, goal: Fact, axioms: Sequence[Axioms], stated: Callable[[NamedNode], Iterable[Fact]]
    ) -> None:
        self.goal, self.stated = goal, stated
        self.known: dict[Fact, dict[_Derivation, None]] = {}
        # Dictionaries in place of sets: the order of the search, and so the proof among equals, is fixed.
        self.types: dict[Node, dict[Expression, None]] = {}
        self.out: dict[Node, dict[NamedNode, dict[Node, None]]] = {}
        self.into: dict[Node, dict[NamedNode, dict[Node, None]]] = {}
        self.todo: list[Fact] = []
        self.above: dict[Expression, list[tuple[Expression, int]]] = {}
        self.whole: dict[Expression, list[And]] = {}
        self.some: dict[Expression, dict[NamedNode, Some]] = {}
        self.wider: dict[NamedNode, list[tuple[NamedNode, int]]] = {}
        self.starting: dict[NamedNode, list[tuple[Chain, int]]] = {}
        self.ending: dict[NamedNode, list[tuple[Chain, int]]] = {}
        if isinstance(goal, Is):
            self.watch(goal.what)
        for number, written in enumerate(axioms):
            for lower, upper in written.subclasses:
                self.above.setdefault(lower, []).append((upper, number))
                self.watch(lower)
            for sub, sup in written.subproperties:
                self.wider.setdefault(sub, []).append((sup, number))
            for chain in written.chains:
                self.starting.setdefault(chain.first, []).append((chain, number))
                self.ending.setdefault(chain.second, []).append((chain, number))

    def watch(self, expression: Expression) -> None:
        """Compose this expression wherever its parts hold: an axiom, or the goal, asks for it."""
        if isinstance(expression, And):
            for part in expression.parts:
                wholes = self.whole.setdefault(part, [])
                if expression not in wholes:
                    wholes.append(expression)
                self.watch(part)
        elif isinstance(expression, Some):
            self.some.setdefault(expression.filler, {})[expression.property] = expression
            self.watch(expression.filler)

    def run(self) -> Mapping[Fact, Collection[_Derivation]]:
        self.meet(self.goal.subject)
        if isinstance(self.goal, Edge):
            self.meet(self.goal.object)
        while self.todo:
            fact = self.todo.pop()
            if isinstance(fact, Is):
                self.spread_type(fact)
            else:
                self.spread_edge(fact)
        return self.known

    def meet(self, node: Node) -> None:
        if node in self.types:
            return
        self.types[node] = {}
        self.out[node], self.into[node] = {}, {}
        self.add(Is(node, THING), None)
        if isinstance(node, Any_):
            self.add(Is(node, node.of), None)
        else:
            for fact in sorted(self.stated(node), key=str):
                self.add(fact, fact)

    def add(self, fact: Fact, leaf: _Leaf, *premises: Fact) -> None:
        if fact in premises:
            return
        if fact not in self.known:
            self.known[fact] = {}
            self.todo.append(fact)
            if isinstance(fact, Is):
                self.types[fact.subject][fact.what] = None
            else:
                self.meet(fact.object)
                self.out[fact.subject].setdefault(fact.property, {})[fact.object] = None
                self.into[fact.object].setdefault(fact.property, {})[fact.subject] = None
        self.known[fact][leaf, premises] = None
        # What composed the expression is its own witness; only another reason needs a typical one.
        composed = leaf is None and len(premises) == 2
        if isinstance(fact, Is) and isinstance(fact.what, Some) and not composed:
            edge = Edge(fact.subject, fact.what.property, Any_(fact.what.filler))
            if edge not in self.known or (None, (fact,)) not in self.known[edge]:
                self.add(edge, None, fact)

    def spread_type(self, fact: Is) -> None:
        node, what = fact.subject, fact.what
        for upper, number in self.above.get(what, ()):
            self.add(Is(node, upper), number, fact)
        if isinstance(what, And):
            for part in what.parts:
                self.add(Is(node, part), None, fact)
        for whole in self.whole.get(what, ()):
            if all(part in self.types[node] for part in whole.parts):
                self.add(Is(node, whole), None, *(Is(node, part) for part in whole.parts))
        for property_, some in self.some.get(what, {}).items():
            for before in tuple(self.into[node].get(property_, ())):
                self.add(Is(before, some), None, Edge(before, property_, node), fact)

    def spread_edge(self, fact: Edge) -> None:
        node, property_, end = fact.subject, fact.property, fact.object
        for what in tuple(self.types[end]):
            some = self.some.get(what, {}).get(property_)
            if some is not None:
                self.add(Is(node, some), None, fact, Is(end, what))
        for wider, number in self.wider.get(property_, ()):
            self.add(Edge(node, wider, end), number, fact)
        for chain, number in self.starting.get(property_, ()):
            for last in tuple(self.out[end].get(chain.second, ())):
                self.add(Edge(node, chain.result, last), number, fact, Edge(end, chain.second, last))
        for chain, number in self.ending.get(property_, ()):
            for first in tuple(self.into[node].get(chain.first, ())):
                self.add(Edge(first, chain.result, end), number, Edge(first, chain.first, node), fact)


class _Search:
    """Proofs of one goal within the derivations, under any ban on leaves."""

    def __init__(self, derivations: Mapping[Fact, Collection[_Derivation]], goal: Fact) -> None:
        self.goal = goal
        self.conclusions: list[Fact] = []
        self.reasons: list[_Derivation] = []
        self.uses: dict[Fact, list[int]] = {}
        self.free: list[int] = []  # derivations without premises
        for fact, ways in derivations.items():
            for leaf, premises in ways:
                number = len(self.reasons)
                self.conclusions.append(fact)
                self.reasons.append((leaf, premises))
                for premise in dict.fromkeys(premises):
                    self.uses.setdefault(premise, []).append(number)
                if not premises:
                    self.free.append(number)

    def proof(self, banned: _Leaves = frozenset(), only: _Leaves | None = None) -> Proof | None:
        """The proof with the fewest steps, counting a premise as often as it is used; None without one.

        It uses no `banned` leaf, and no other than those of `only` where that is given.
        """

        def usable(leaf: _Leaf) -> bool:
            return leaf is None or (leaf not in banned and (only is None or leaf in only))

        cost: dict[Fact, int] = {}
        way: dict[Fact, int] = {}
        missing: dict[int, int] = {}
        queue = [
            (0 if self.reasons[number][0] is None else 1, number)
            for number in self.free
            if usable(self.reasons[number][0])
        ]
        heapq.heapify(queue)
        while queue:
            price, number = heapq.heappop(queue)
            fact = self.conclusions[number]
            if fact in cost:
                continue
            cost[fact], way[fact] = price, number
            if fact == self.goal:
                return self._tree(fact, way, {})
            for use in self.uses.get(fact, ()):
                leaf, premises = self.reasons[use]
                left = missing.get(use, len(set(premises))) - 1
                missing[use] = left
                if left == 0 and self.conclusions[use] not in cost and usable(leaf):
                    step = (leaf is not None) + sum(cost[premise] for premise in premises)
                    heapq.heappush(queue, (step, use))
        return None

    def _tree(self, fact: Fact, way: Mapping[Fact, int], made: dict[Fact, Proof]) -> Proof:
        if fact not in made:
            leaf, premises = self.reasons[way[fact]]
            made[fact] = Proof(
                fact,
                leaf if isinstance(leaf, int) else None,
                tuple(self._tree(premise, way, made) for premise in premises),
                stated=leaf is not None and not isinstance(leaf, int),
            )
        return made[fact]

    def minimal(self, limit: int) -> Justifications:
        """Minimal sets by a hitting-set tree, breadth first: each node bans one premise of a set more."""
        found: list[_Leaves] = []
        bans: list[_Leaves] = [frozenset()]
        seen = set(bans)
        runs = 0
        while bans and len(found) <= limit and runs < _RUNS:
            ban = bans.pop(0)
            premises = next((each for each in found if not each & ban), None)
            if premises is None:
                runs += 1
                proof = self.proof(banned=ban)
                if proof is None:
                    continue
                premises = self._minimise(frozenset(leaves(proof)))
                found.append(premises)
            for leaf in sorted(premises, key=str):
                more = ban | {leaf}
                if more not in seen:
                    seen.add(more)
                    bans.append(more)
        ordered = sorted(found, key=len)[:limit]
        return Justifications(
            tuple(self._justification(each) for each in ordered), not bans and len(found) <= limit
        )

    def _minimise(self, premises: _Leaves) -> _Leaves:
        for leaf in sorted(premises, key=str):
            fewer = premises - {leaf}
            if self.proof(only=fewer):
                premises = fewer
        return premises

    def _justification(self, premises: _Leaves) -> Justification:
        proof = self.proof(only=premises)
        assert proof is not None
        return Justification(
            frozenset(leaf for leaf in premises if isinstance(leaf, int)),
            frozenset(leaf for leaf in premises if isinstance(leaf, Is | Edge)),
            proof,
        )


def leaves(proof: Proof) -> Iterator[int | Fact]:
    """The axioms and stated facts of a proof, each once, in the order a reader meets them."""
    seen: set[int | Fact] = set()
    todo = [proof]
    while todo:
        each = todo.pop(0)
        leaf = each.fact if each.stated else each.axiom
        if leaf is not None and leaf not in seen:
            seen.add(leaf)
            yield leaf
        todo = [*each.premises, *todo]
