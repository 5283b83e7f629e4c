"""Evidence lines: what speaks for and against statements, in the graph and in planted copies of it."""

from __future__ import annotations

import gzip
import random
import shutil
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Quad

from kg.evidence.derivation import derive
from kg.evidence.findings import find
from kg.evidence.lines import GRAPH, Direction, Line, lines
from kg.evidence.reported import read
from kg.evidence.rules import RULES
from kg.snapshot import Snapshot, line_of, load_store
from kg.terms import ROOT, STROMA, XSD, compress, expand, mint, proposition
from loaders import catalog
from tests.test_findings import Edit, cell, said, states

SUPPORTS, DISPUTES, INCONCLUSIVE = Direction.SUPPORTS, Direction.DISPUTES, Direction.INCONCLUSIVE
OXYGEN, SURVIVAL = "stroma:ExcessReactiveOxygenSpecies", "stroma:MSCSurvival"
VERSUS = "observation:001-{}-yang2025-msc-vs-yang2025-msc-ifng-{}"
COMBINED, ALONE = "group:yang2025-msc-ifng", "group:yang2025-msc"
GRAPHS, RECORDS = mint("graph", "x").value[:-1], mint("record", "x").value[:-1]
BIOLOGICS = VERSUS.format(63, "BDMARDUse-60m")  # 12 of 69 against 2 of 28, p = 0.338


@pytest.fixture(scope="module")
def quads(embedded: Snapshot) -> list[bytes]:
    with gzip.open(embedded.data) as file:
        return file.readlines()


@pytest.fixture(scope="module")
def real(quads: list[bytes]) -> tuple[Line, ...]:
    return lines_of(quads)


def lines_of(quads: list[bytes]) -> tuple[Line, ...]:
    known = read(quads)
    return lines(known, derive(known)[0], quads)


def edge(subject: str, predicate: str, value: str, *, positive: bool = True) -> NamedNode:
    """The proposition that relates two things, by CURIEs."""
    parts = (expand(each) for each in (subject, predicate, value))
    return proposition(*parts, positive=positive)


def planted(quads: list[bytes], folder: Path, source: str, *edits: Edit) -> tuple[Line, ...]:
    """The lines when the tables of a source are edited so."""
    shutil.copytree(ROOT / "loaders" / source / "records", folder / "records")
    for edit in edits:
        edit(folder / "records")
    part = catalog.load(source, sorted((folder / "records").glob("*.tsv")))
    graph = f" {part.source.graph} .\n".encode()
    kept = [line for line in quads if not line.endswith(graph)]
    return lines_of([*kept, *map(line_of, part.quads)])


def of(found: tuple[Line, ...], statement: NamedNode) -> set[tuple[Direction, str]]:
    return {
        (each.direction, compress(each.evidence.value)) for each in found if each.proposition == statement
    }


@pytest.fixture(scope="module")
def copy(quads: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[Line, ...]:
    """The lines when the literature's tables hold one opposite of each sort, and harmless variants."""
    return planted(
        quads,
        tmp_path_factory.mktemp("opposites"),
        "literature",
        # The opposite relation between the same two things, and between other two.
        states("A254", OXYGEN, "stroma:enhances", SURVIVAL, "iri", ""),
        states("A254", OXYGEN, "stroma:enhances", "stroma:MSCMigration", "iri", ""),
        # A denial; and the same by a claim of other people.
        states("C047", "PR:000000017", "stroma:enhances", "stroma:MSCEfficacy", "iri", "negative"),
        cell("claims", "population", "healthy people", id="C047"),
        cell("claims", "population", "RA patients", id="A307"),
        states("C050", "CL:0000134", "stroma:secretes", "stroma:Cytokine", "iri", "negative"),
        cell("claims", "population", "", id="C050"),
        # An opposite value of one study, and of another study; what a registry has otherwise.
        states("B390", "trial:yang2025-lte", "stroma:isJudgedAs", "stroma:JudgementLargeSample", "iri", ""),
        states(
            "A270", "trial:NCT01663116", "stroma:hasAllocation", "stroma:AllocationNonRandomized", "iri", ""
        ),
        # Who does better, where the numbers do not tell; and where they tell the opposite.
        states("B346", BIOLOGICS, "stroma:favoursGroup", COMBINED, "iri", ""),
        states("B255", VERSUS.format(49, "ACR20-60m"), "stroma:favoursGroup", ALONE, "iri", ""),
        # Another count beside a percentage.
        said("B359", "numberAffected", "30"),
    )


def test_the_opposite_relation_between_the_same_things_is_against(copy: tuple[Line, ...]) -> None:
    assert of(copy, edge(OXYGEN, "stroma:impairs", SURVIVAL)) == {(DISPUTES, "claim:A254")}
    assert of(copy, edge(OXYGEN, "stroma:enhances", SURVIVAL)) == {(DISPUTES, "claim:A255")}


def test_the_opposite_relation_to_another_thing_is_not(copy: tuple[Line, ...]) -> None:
    assert of(copy, edge(OXYGEN, "stroma:enhances", "stroma:MSCMigration")) == set()


def test_a_denial_is_against_unless_it_is_of_other_people(copy: tuple[Line, ...]) -> None:
    assert of(copy, edge("CL:0000134", "stroma:secretes", "stroma:Cytokine")) == {(DISPUTES, "claim:C050")}
    assert of(copy, edge("PR:000000017", "stroma:enhances", "stroma:MSCEfficacy")) == set()


def test_the_opposite_value_is_against_where_it_is_of_the_same_thing(copy: tuple[Line, ...]) -> None:
    small = edge("trial:yang2025-lte", "stroma:isJudgedAs", "stroma:JudgementSmallSample")
    other = edge("trial:gao2025-ifng-trial", "stroma:isJudgedAs", "stroma:JudgementLargeSample")
    assert of(copy, small) == {(DISPUTES, "claim:B390")}
    assert of(copy, other) == set()


def test_a_registry_that_has_the_opposite_is_against(copy: tuple[Line, ...]) -> None:
    claimed = edge("trial:NCT01663116", "stroma:hasAllocation", "stroma:AllocationNonRandomized")
    assert of(copy, claimed) == {(DISPUTES, "record:clinicaltrials/NCT01663116")}


def test_a_difference_that_is_not_shown_is_inconclusive(copy: tuple[Line, ...]) -> None:
    # 12 of 69 against 2 of 28: the interval reaches 0, and B348 prints p = 0.338.
    found = of(copy, edge(BIOLOGICS, "stroma:favoursGroup", COMBINED))
    assert {direction for direction, _ in found} == {INCONCLUSIVE}
    assert {evidence.partition(":")[0] for _, evidence in found} == {"claim", "derived"}


def test_numbers_speak_against_the_group_that_did_worse(
    real: tuple[Line, ...], copy: tuple[Line, ...]
) -> None:
    better = edge(VERSUS.format(49, "ACR20-60m"), "stroma:favoursGroup", COMBINED)
    worse = edge(VERSUS.format(49, "ACR20-60m"), "stroma:favoursGroup", ALONE)
    effects = {evidence for direction, evidence in of(real, better) if direction is SUPPORTS}
    assert {each.partition(":")[0] for each in effects} == {"derived"}
    assert {(DISPUTES, each) for each in effects} <= of(copy, worse)


def test_a_count_is_held_against_the_percentage_beside_it(
    real: tuple[Line, ...], copy: tuple[Line, ...]
) -> None:
    one = expand("observation:001-64-yang2025-msc-PrednisoneUse-36m")
    known = proposition(one, STROMA.numberAffected, Literal("34", datatype=XSD.integer))
    other = proposition(one, STROMA.numberAffected, Literal("30", datatype=XSD.integer))
    ((direction, number),) = of(real, known)
    assert direction is SUPPORTS
    assert of(copy, other) == {(DISPUTES, number)}


# --------------------------------------------------------------------------------- the embedded graph


def test_not_significant_denies_significance_and_not_the_better_group(real: tuple[Line, ...]) -> None:
    # Document 001, line 52: higher at years three and five (B267); not significant, no year named (B264).
    at_five = VERSUS.format(52, "DAS28Remission-60m")
    favoured = of(real, edge(at_five, "stroma:favoursGroup", COMBINED))
    assert (INCONCLUSIVE, "claim:B264") in favoured
    assert DISPUTES not in {direction for direction, _ in favoured}
    true = Literal("true", datatype=XSD.boolean)
    found = of(real, proposition(expand(at_five), STROMA.isSignificant, true))
    assert (DISPUTES, "claim:B264") in found
    assert {"derived"} == {evidence.partition(":")[0] for way, evidence in found if way is SUPPORTS}


def test_the_graph_has_these_lines(embedded: Snapshot, real: tuple[Line, ...]) -> None:
    store = load_store(embedded)
    held = {(q.subject, q.predicate, q.object) for q in store.quads_for_pattern(None, None, None, GRAPH)}
    assert held == {(each.proposition, each.direction.value, each.evidence) for each in real}


def test_the_order_of_the_graph_makes_no_difference(quads: list[bytes], real: tuple[Line, ...]) -> None:
    shuffled = [*quads]
    random.Random(27).shuffle(shuffled)
    assert lines_of(shuffled) == real


def test_every_edge_that_stands_without_a_claim_supports_its_proposition(
    embedded: Snapshot, real: tuple[Line, ...]
) -> None:
    """An independent path: every proposition of the graph, looked up edge by edge in each graph."""
    store = load_store(embedded)
    by_itself = {"clinicaltrials", "ictrp", "ontology"}
    expected = set()
    for quad in store.quads_for_pattern(None, STROMA.propositionObject, None, None):
        one, value = quad.subject, quad.object
        claims = {q.graph_name for q in store.quads_for_pattern(None, STROMA.asserts, one, None)}
        claims -= {mint("graph", "links")}  # a link says itself which record it rests on
        if not claims:  # a fact of a record that a finding names; its record is said by the finding
            continue
        (subject,) = {q.object for q in store.quads_for_pattern(one, STROMA.propositionSubject, None, None)}
        (predicate,) = {
            q.object for q in store.quads_for_pattern(one, STROMA.propositionPredicate, None, None)
        }
        for edge_ in store.quads_for_pattern(subject, predicate, value, None):
            name = compress(edge_.graph_name.value).removeprefix("graph:")
            if edge_.graph_name not in claims and (name in by_itself or name.startswith("inferred/")):
                expected.add((one, edge_.graph_name if name not in ("clinicaltrials", "ictrp") else None))
    graphs = {
        (each.proposition, each.evidence if each.evidence.value.startswith(GRAPHS) else None)
        for each in real
        if each.evidence.value.startswith((GRAPHS, RECORDS)) and each.direction is SUPPORTS
    }
    assert graphs == expected
    assert len(expected) > 20


def test_a_nanopublication_of_others_can_speak_against_a_document(quads: list[bytes]) -> None:
    """Interferon gamma impairs what the documents say that it enhances."""
    graph, claim = mint("graph", "nanopubs"), mint("claim", "nanopubs", "RAtest")
    opposite = edge("PR:000000017", "stroma:impairs", "stroma:MSCEfficacy")
    facts = [
        (claim, STROMA.asserts, opposite),
        (claim, STROMA.modality, STROMA.ModalityAsserted),
        (opposite, STROMA.propositionSubject, expand("PR:000000017")),
        (opposite, STROMA.propositionPredicate, STROMA.impairs),
        (opposite, STROMA.propositionObject, STROMA.MSCEfficacy),
        (opposite, STROMA.polarity, STROMA.PolarityPositive),
    ]
    told = [*quads, *(line_of(Quad(s, p, o, graph)) for s, p, o in facts)]
    found = lines_of(told)
    ours = edge("PR:000000017", "stroma:enhances", "stroma:MSCEfficacy")
    assert of(found, ours) == {(DISPUTES, "claim:nanopubs/RAtest")}
    assert of(found, opposite) == {(DISPUTES, "claim:A307")}
    rule = next(each for each in RULES if each.name == "opposite-claims")
    (contradiction,) = find(read(told), [rule])[0].findings
    assert (contradiction.kind, contradiction.major) == ("OppositeClaims", True)


def test_opposites_are_read_from_the_ontology_in_both_directions(quads: list[bytes]) -> None:
    opposites = read(quads).opposites
    assert opposites[STROMA.impairs] == {STROMA.enhances}
    assert opposites[STROMA.enhances] == {STROMA.impairs}
    without = read([line for line in quads if str(STROMA.oppositeOf).encode() not in line])
    assert without.opposites == {}
