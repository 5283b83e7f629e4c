"""The trees of terms: each term under the nearest above it, all of them reached, and no cycle without end."""

from __future__ import annotations

import asyncio

import pytest
from pyoxigraph import NamedNode, RdfFormat, parse

from kg import ontology as ontologies
from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.hierarchy import CLASSES, RELATIONS, TREES, VALUES, Hierarchy, hierarchy
from kg.snapshot import Snapshot, write_snapshot
from kg.terms import BASE, OWL, RDF, RDFS, ROOT, STROMA

EX = "https://example.org/"


def asked(snapshot: Snapshot) -> Hierarchy:
    async def ask() -> Hierarchy:
        async with MemoryEngine(snapshot, workers=1) as engine:
            return await hierarchy(engine, Limits())

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def trees(embedded: Snapshot) -> Hierarchy:
    return asked(embedded)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Hierarchy:
    """a < b < c with a < c inferred; d and e are each below the other; f is a value of a; g is obsolete."""

    def line(s: str, p: NamedNode, o: str, graph: str = "graph/ontology") -> str:
        return f"<{EX}{s}> <{p.value}> {o} <{BASE}{graph}> ."

    named = [line(each, RDF.type, f"<{OWL.Class.value}>") for each in "abcdeg"]
    below = [line(s, RDFS.subClassOf, f"<{EX}{o}>") for s, o in ("ab", "bc", "de", "ed")]
    below.append(line("a", RDFS.subClassOf, f"<{EX}c>", "graph/inferred/subclass"))
    below.append(line("b", RDFS.subClassOf, f"<{EX}b>", "graph/inferred/subclass"))
    values = [
        line("f", RDF.type, f"<{OWL.NamedIndividual.value}>"),
        line("f", RDF.type, f"<{EX}a>"),
        line("f", RDF.type, f"<{EX}c>", "graph/inferred/type"),
        line("g", OWL.deprecated, '"true"^^<http://www.w3.org/2001/XMLSchema#boolean>'),
    ]
    quads = parse("\n".join([*named, *below, *values]), format=RdfFormat.N_QUADS)
    return asked(write_snapshot(quads, tmp_path_factory.mktemp("small"), version="2026-11-22"))


def test_a_term_stands_below_the_nearest_and_not_below_all_above_it(small: Hierarchy) -> None:
    assert small.terms[f"{EX}a"].parents == (f"{EX}b",)
    assert small.terms[f"{EX}c"].children == (f"{EX}b",)
    assert small.terms[f"{EX}c"].below == 2
    assert small.trail(f"{EX}a") == [f"{EX}c", f"{EX}b"]
    assert small.terms[f"{EX}f"].parents == (f"{EX}a",), "a value is below its narrowest class"
    assert small.roots(VALUES) == [f"{EX}a"]


def test_terms_that_are_each_below_the_other_do_not_go_round(small: Hierarchy) -> None:
    assert small.terms[f"{EX}d"].parents == (f"{EX}e",)
    assert len(small.trail(f"{EX}d")) <= 2
    assert f"{EX}d" not in small.roots(CLASSES)


def test_an_obsolete_term_is_in_no_tree(small: Hierarchy) -> None:
    assert f"{EX}g" not in small.terms


def test_every_term_of_the_ontology_is_reached_from_a_root(trees: Hierarchy) -> None:
    declared = ontologies.read(ROOT / "ontology")
    reached: set[str] = set()
    for tree in (CLASSES, RELATIONS):
        waiting = trees.roots(tree)
        while waiting:
            iri = waiting.pop()
            if iri not in reached:
                reached.add(iri)
                waiting.extend(trees.children(iri, tree))
    assert {each.value for each in declared.classes} <= reached
    assert {each.value for each in declared.object_properties} <= reached
    values = {iri for iri, term in trees.terms.items() if term.tree == VALUES and term.parents}
    assert values == {each for root in trees.roots(VALUES) for each in trees.children(root, VALUES)}


def test_a_parent_is_stated_or_follows_and_the_tree_says_which(trees: Hierarchy) -> None:
    cord = trees.terms[STROMA.UCMSCProduct.value]
    assert cord.parents == (STROMA.PerinatalTissueMSCProduct.value,)
    assert cord.parents[0] not in cord.stated, "the reasoner places it: the module defines it"
    therapeutic = trees.terms[STROMA.CellTherapyProduct.value]
    assert STROMA.TherapeuticProduct.value in therapeutic.stated


def test_a_definition_is_written_as_people_read_it(trees: Hierarchy) -> None:
    ((frame, statement),) = trees.axioms_of(STROMA.UCMSCProduct.value)
    said = "".join(piece if isinstance(piece, str) else trees.name(piece.value) for piece in statement)
    assert (frame, said) == ("Equivalent to", "MSC product and (has tissue source some umbilical cord)")


def test_names_and_definitions_come_in_the_language_asked_else_in_english(trees: Hierarchy) -> None:
    iri = STROMA.UCMSCProduct.value
    assert trees.name(iri, "zh-Hant") == "臍帶間質幹細胞製劑"
    assert trees.definition(iri, "zh-Hant") == trees.definition(iri) != ""
    assert trees.definition(f"{EX}unknown") == ""


def test_every_tree_has_terms(trees: Hierarchy) -> None:
    assert {term.tree for term in trees.terms.values()} == set(TREES)
    assert trees.terms[STROMA.enhances.value].tree == RELATIONS
