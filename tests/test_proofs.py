"""A justification proves what it is for and nothing of it can be spared: pyelk, another reasoner, says so."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from pyoxigraph import NamedNode, parse

from kg.axioms import Axioms, Expression, Hierarchy, Some, read_each
from kg.ontology import read
from kg.proofs import Any_, Edge, Fact, Is, justify, leaves
from kg.reasoning import claims_derived
from kg.terms import RDF, ROOT, STROMA, expand

HERE = Path(__file__).parent
PROBE = STROMA("Probe")

with (HERE / "entailments.tsv").open(encoding="utf-8") as table:
    ROWS = [
        row
        for row in csv.DictReader(table, delimiter="\t")
        if not row["given"] and "pyelk" not in (row["differs"] or "")
    ]
ENTAILED = [row for row in ROWS if row["expected"] == "yes"]
NOT_ENTAILED = [row for row in ROWS if row["expected"] == "no"]


@cache
def written() -> tuple[Axioms, ...]:
    """The axioms of the modules and of entailments.ttl's claims, each as it is written."""
    ontology = read(ROOT / "ontology")
    derived = claims_derived(ontology, parse(path=HERE / "entailments.ttl"))
    each = [axioms for _, axioms in read_each([*ontology.quads, *derived])]
    return tuple(one for one in each if one.subclasses or one.subproperties or one.chains)


@cache
def stated() -> dict[NamedNode, list[Fact]]:
    """The facts of exemplars and of entailments.ttl, by their subject."""
    ontology = read(ROOT / "ontology")
    found: dict[NamedNode, list[Fact]] = {}
    for quad in [*ontology.quads, *parse(path=HERE / "entailments.ttl")]:
        s, p, o = quad.subject, quad.predicate, quad.object
        if ontology.is_fact(quad) and isinstance(s, NamedNode) and isinstance(o, NamedNode):
            found.setdefault(s, []).append(Is(s, o) if p == RDF.type else Edge(s, p, o))
    return found


def term(curie: str) -> NamedNode:
    return NamedNode(f"https://example.org/{curie[8:]}") if curie.startswith("example:") else expand(curie)


def goal_of(row: dict[str, str]) -> Fact:
    subject, object = term(row["subject"]), term(row["object"])
    if row["relation"] == "type":
        return Is(subject, object)
    if row["relation"] == "subClassOf":
        return Is(Any_(subject), object)
    relation = expand(row["relation"])
    if any(object in one.classes for one in written()):
        return Is(Any_(subject), Some(relation, object))
    return Edge(subject, relation, object)


def pyelk_derives(goal: Fact, axioms: Iterable[Axioms], facts: Iterable[Fact]) -> bool:
    """Whether pyelk derives a goal. An individual goes in as a class of its own: without inverses and
    nominals that changes nothing about what is above it."""

    def class_of(node: object) -> Expression:
        return node.of if isinstance(node, Any_) else node  # type: ignore[return-value]

    def above(fact: Fact) -> Expression:
        return fact.what if isinstance(fact, Is) else Some(fact.property, class_of(fact.object))

    premises = tuple(axioms)
    subclasses = [pair for one in premises for pair in one.subclasses]
    subclasses += [(class_of(fact.subject), above(fact)) for fact in facts]
    subclasses.append((above(goal), PROBE))
    hierarchy = Hierarchy(
        Axioms(
            tuple(subclasses),
            (),
            tuple(pair for one in premises for pair in one.subproperties),
            tuple(chain for one in premises for chain in one.chains),
            frozenset({class_of(goal.subject), PROBE}),  # type: ignore[arg-type]
            (),
        )
    )
    hierarchy.classify()
    return hierarchy.number[PROBE] in hierarchy.above[hierarchy.number[class_of(goal.subject)]]


def name(row: dict[str, str]) -> str:
    return f"{row['subject']} {row['relation']} {row['object']}"


def stated_of(individual: NamedNode) -> list[Fact]:
    return stated().get(individual, [])


@pytest.mark.parametrize("row", ENTAILED[::3], ids=name)
def test_a_justification_suffices_and_none_of_it_can_be_spared(row: dict[str, str]) -> None:
    goal = goal_of(row)
    found = justify(goal, written(), stated_of, limit=2).found
    assert found

    for each in found:
        axioms = [written()[number] for number in each.axioms]
        assert pyelk_derives(goal, axioms, each.facts)
        for spared in axioms:
            assert not pyelk_derives(goal, [one for one in axioms if one is not spared], each.facts)
        for fact in each.facts:
            assert not pyelk_derives(goal, axioms, each.facts - {fact})


@pytest.mark.parametrize("row", NOT_ENTAILED, ids=name)
def test_what_does_not_follow_has_no_justification(row: dict[str, str]) -> None:
    found = justify(goal_of(row), written(), stated_of)

    assert (found.found, found.complete) == ((), True)


@pytest.mark.parametrize("row", ENTAILED[:12], ids=name)
def test_a_proof_uses_just_what_its_justification_holds(row: dict[str, str]) -> None:
    for each in justify(goal_of(row), written(), stated_of).found:
        assert set(leaves(each.proof)) == each.axioms | each.facts


def tiny(*pairs: tuple[str, str]) -> list[Axioms]:
    """Axioms `A SubClassOf B` by local names."""
    return [Axioms(((STROMA(sub), STROMA(sup)),), (), (), (), frozenset(), ()) for sub, sup in pairs]


def test_every_way_is_found_the_shortest_first_and_that_there_is_no_other() -> None:
    axioms = tiny(("A", "B"), ("B", "D"), ("A", "C"), ("C", "C2"), ("C2", "D"), ("D", "A"), ("X", "D"))

    found = justify(Is(Any_(STROMA.A), STROMA.D), axioms, lambda _: ())

    assert [sorted(each.axioms) for each in found.found] == [[0, 1], [2, 3, 4]]
    assert found.complete


def test_a_list_that_was_cut_says_so() -> None:
    axioms = tiny(*((a, b) for way in "PQRS" for a, b in (("A", way), (way, "D"))))

    found = justify(Is(Any_(STROMA.A), STROMA.D), axioms, lambda _: (), limit=2)

    assert (len(found.found), found.complete) == (2, False)


def test_a_cycle_of_subclasses_ends() -> None:
    axioms = tiny(("A", "B"), ("B", "C"), ("C", "A"))

    (only,) = justify(Is(Any_(STROMA.C), STROMA.B), axioms, lambda _: ()).found

    assert only.axioms == {0, 2}


def test_one_axiom_with_two_directions_counts_once() -> None:
    both = Axioms(((STROMA.A, STROMA.B), (STROMA.B, STROMA.A)), (), (), (), frozenset(), ())
    axioms = [both, *tiny(("B", "C"), ("C", "D"))]

    (only,) = justify(Is(Any_(STROMA.A), STROMA.D), axioms, lambda _: ()).found

    assert only.axioms == {0, 1, 2}
