"""What must follow and what must not: by the everyday reasoner, and by HermiT as the referee."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pyoxigraph import NamedNode, Quad, RdfFormat, parse

from kg.errors import OntologyError
from kg.ontology import Classification, Ontology, classify_with_hermit, read
from kg.reasoning import CLAIMS_DERIVED, METADATA, Inferences, claims_derived, infer
from kg.terms import OWL, RDF, RDFS, ROOT, STROMA, expand, mint

HERE = Path(__file__).parent
RULES = ROOT / "ontology" / "rules"
GRAPH = mint("graph", "literature")


@dataclass(frozen=True)
class Row:
    """One line of entailments.tsv."""

    subject: str
    relation: str
    object: str
    expected: str
    by: str
    why: str

    def triple(self) -> tuple[NamedNode, NamedNode, NamedNode]:
        relation = {"subClassOf": RDFS.subClassOf, "type": RDF.type}.get(self.relation) or expand(
            self.relation
        )
        return expand(self.subject), relation, expand(self.object)

    def __str__(self) -> str:
        return f"{self.subject} {'' if self.expected == 'yes' else 'not '}{self.relation} {self.object}"


with (HERE / "entailments.tsv").open(encoding="utf-8") as table:
    ROWS = [Row(**line) for line in csv.DictReader(table, delimiter="\t")]


def quads_of(turtle: str) -> list[Quad]:
    names = ("stroma", "regimen", "owl", "rdfs")
    header = "".join(f"@prefix {name}: <{expand(name + ':').value}> .\n" for name in names)
    parsed = parse(header + turtle, RdfFormat.TURTLE)
    return [Quad(q.subject, q.predicate, q.object, GRAPH) for q in parsed]


def triples(quads: Iterable[Quad]) -> set[tuple[object, ...]]:
    return {(q.subject, q.predicate, q.object) for q in quads}


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return read(ROOT / "ontology")


@pytest.fixture(scope="module")
def abox() -> list[Quad]:
    parsed = parse(path=HERE / "entailments.ttl")
    return [Quad(q.subject, q.predicate, q.object, GRAPH) for q in parsed]


@pytest.fixture(scope="module")
def inferences(ontology: Ontology, abox: list[Quad]) -> Inferences:
    return infer(ontology, abox, RULES)


@pytest.fixture(scope="module")
def everything(ontology: Ontology, abox: list[Quad], inferences: Inferences) -> set[tuple[object, ...]]:
    return triples([*ontology.quads, *abox, *inferences.quads])


@pytest.fixture(scope="module")
def referee(ontology: Ontology, abox: list[Quad]) -> Classification:
    return classify_with_hermit(ontology, [*abox, *claims_derived(ontology, abox)])


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("row", [row for row in ROWS if row.by in ("both", "EL")], ids=str)
def test_the_everyday_reasoner_agrees_with_the_table(row: Row, everything: set[tuple[object, ...]]) -> None:
    assert (row.triple() in everything) == (row.expected == "yes"), row.why


@pytest.mark.parametrize("row", [row for row in ROWS if row.by in ("both", "HermiT")], ids=str)
def test_hermit_agrees_with_the_table(row: Row, referee: Classification) -> None:
    subject, relation, object_ = row.triple()
    known = referee.types if relation == RDF.type else referee.subsumptions

    assert ((subject, object_) in known) == (row.expected == "yes"), row.why


def test_hermit_finds_the_ontology_consistent_and_every_class_satisfiable(referee: Classification) -> None:
    assert referee.consistent
    assert referee.unsatisfiable == ()


def test_the_everyday_reasoner_finds_what_hermit_finds_but_for_data_facets(
    ontology: Ontology, abox: list[Quad], everything: set[tuple[object, ...]], referee: Classification
) -> None:
    facets = {expand(row.object) for row in ROWS if row.by == "HermiT"}
    stated = [q for q in [*ontology.quads, *abox] if ontology.is_fact(q) and q.predicate == RDF.type]
    individuals = {q.subject for q in stated}

    def pairs(relation: NamedNode) -> set[tuple[object, object]]:
        return {
            (s, o)
            for s, p, o in everything
            if p == relation and isinstance(o, NamedNode) and s != o and o != OWL.NamedIndividual
        }

    assert {pair for pair in referee.subsumptions if pair[1] not in facets} == pairs(RDFS.subClassOf)
    assert {pair for pair in referee.types if pair[1] not in facets} == {
        pair for pair in pairs(RDF.type) if pair[0] in individuals
    }


# ---------------------------------------------------------------- contradictions

BOTH_DONORS = """regimen:x a stroma:InterventionRegimen ;
  stroma:hasDonorRelation stroma:DonorAutologous , stroma:DonorAllogeneic ."""
TWO_KINDS = "regimen:x a stroma:DrugProduct , stroma:CellTherapyProduct ."


@pytest.mark.parametrize("turtle", [BOTH_DONORS, TWO_KINDS], ids=["both donors", "two disjoint classes"])
def test_a_contradiction_in_the_data_stops_with_the_statements_it_follows_from(
    turtle: str, ontology: Ontology
) -> None:
    planted = quads_of(turtle)

    with pytest.raises(OntologyError, match="regimen:x") as caught:
        infer(ontology, planted, RULES)

    said = set(re.findall(r"stroma:\w+", turtle))
    assert {word for word in said if word not in str(caught.value)} == set()
    assert not classify_with_hermit(ontology, planted).consistent


def test_an_unsatisfiable_class_stops_with_the_axioms_it_follows_from(ontology: Ontology) -> None:
    planted = quads_of(
        "stroma:Chimera a owl:Class ; rdfs:subClassOf stroma:UCMSCProduct , stroma:DrugProduct ."
    )
    broken = replace(
        ontology,
        quads=(*ontology.quads, *planted),
        declared={**ontology.declared, STROMA.Chimera: frozenset({"class"})},
    )

    with pytest.raises(OntologyError, match=r"1 class.*stroma:Chimera.*nothing is .*DrugProduct"):
        infer(broken, [], RULES)
    assert classify_with_hermit(broken).unsatisfiable == (STROMA.Chimera,)


def test_without_its_chain_an_entailment_is_gone(ontology: Ontology, abox: list[Quad]) -> None:
    chainless = tuple(
        q
        for q in ontology.quads
        if (q.subject, q.predicate) != (STROMA.hasTissueSource, OWL.propertyChainAxiom)
    )
    found = triples(infer(replace(ontology, quads=chainless), abox, RULES).quads)

    assert len(chainless) == len(ontology.quads) - 1
    assert (expand("product:wj"), RDF.type, STROMA.MSCProduct) in found
    assert (expand("product:wj"), RDF.type, STROMA.UCMSCProduct) not in found


# ---------------------------------------------------------------- claims


def test_an_accepted_claim_becomes_an_axiom_annotated_with_every_claim_that_makes_it(
    ontology: Ontology, abox: list[Quad]
) -> None:
    derived = claims_derived(ontology, abox)
    claims = {(q.subject, q.object) for q in derived if q.predicate == STROMA.derivedFromClaim}

    # four accepted propositions: ifng (twice), ros, steroid, dhz; a hedged and a denied one derive nothing
    assert len({axiom for axiom, _ in claims}) == 4
    assert {expand(f"claim:{c}") for c in "abcdg"} == {claim for _, claim in claims}
    assert {CLAIMS_DERIVED} == {q.graph_name for q in derived}


def test_a_claim_that_falls_takes_its_inferences_with_it(ontology: Ontology, abox: list[Quad]) -> None:
    without = [q for q in abox if q.object != expand("proposition:steroid")]
    found = triples(infer(ontology, without, RULES).quads)

    assert (expand("product:prednisone"), RDF.type, STROMA.CautionedCoMedication) not in found


# ---------------------------------------------------------------- the graphs


def inferred(inferences: Inferences) -> list[Quad]:
    return [q for q in inferences.quads if "/inferred/" in str(q.graph_name)]


def test_nothing_is_inferred_that_is_stated(
    ontology: Ontology, abox: list[Quad], inferences: Inferences
) -> None:
    stated = triples([*ontology.quads, *abox])

    assert inferred(inferences)
    assert not stated & triples(inferred(inferences))


def test_no_inference_is_trivial(inferences: Inferences) -> None:
    quads = inferred(inferences)

    assert all(isinstance(q.subject, NamedNode) and isinstance(q.object, NamedNode) for q in quads)
    assert not [q for q in quads if q.object in (OWL.Thing, OWL.Nothing) or q.subject == q.object]


def test_every_inferred_graph_says_which_axiom_or_rule_gave_it(inferences: Inferences) -> None:
    graphs = {q.graph_name for q in inferred(inferences)}
    described = {q.subject for q in inferences.quads if q.predicate == STROMA.fromAxiom}

    assert graphs == described
    assert graphs == {mint("graph", "inferred", rule) for rule in inferences.counts}
    assert "chain-hasArm-hasIntervention-testsIntervention" in inferences.counts
    assert {METADATA} == {q.graph_name for q in inferences.quads if q.subject in described}


def test_the_order_of_statements_changes_nothing(
    ontology: Ontology, abox: list[Quad], inferences: Inferences
) -> None:
    assert infer(ontology, reversed(abox), RULES).quads == inferences.quads


def test_no_class_answers_a_question_about_regimens(inferences: Inferences) -> None:
    relation = mint("graph", "inferred", "relation")
    between_classes = {q.predicate for q in inferences.quads if q.graph_name == relation}

    assert STROMA.enhances in between_classes
    assert not between_classes & {STROMA.administers, STROMA.hasTissueSource, STROMA.testsProduct}


# ---------------------------------------------------------------- rules

RULE = """#+ summary: A regimen of more than one dose is a repeated one
PREFIX stroma: <https://w3id.org/stroma/ontology/>
CONSTRUCT { ?regimen stroma:hasSchedule stroma:ScheduleRepeated }
WHERE {
  ?regimen a stroma:MSCTherapyRegimen .
  ?regimen stroma:numberOfDoses ?doses .
  FILTER(?doses > 1)
}
"""


def test_a_rule_sees_numbers_and_what_the_reasoner_found(
    ontology: Ontology, abox: list[Quad], tmp_path: Path
) -> None:
    (tmp_path / "repeated-dosing.rq").write_text(RULE, encoding="utf-8")
    doses = quads_of(
        "regimen:msc stroma:numberOfDoses 4 . regimen:bm stroma:numberOfDoses 1 ."
        "regimen:ifng stroma:numberOfDoses 6 ."  # but not of MSCs
    )
    inferences = infer(ontology, [*abox, *doses], tmp_path)
    graph = mint("graph", "inferred", "repeated-dosing")

    assert [expand("regimen:msc")] == [q.subject for q in inferences.quads if q.graph_name == graph]
    assert inferences.counts["repeated-dosing"] == 1


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (RULE.replace("CONSTRUCT", "CONSTRUC"), "does not parse"),
        (RULE.replace("#+ summary", "# summary"), "says not what it adds"),
        (RULE.replace("?regimen stroma:hasSchedule", "[] stroma:hasSchedule"), "makes a blank node"),
        ("#+ summary: x\nSELECT ?s WHERE { ?s ?p ?o }", "is no CONSTRUCT"),
    ],
    ids=["syntax", "no summary", "blank node", "select"],
)
def test_a_faulty_rule_is_named(
    rule: str, problem: str, ontology: Ontology, abox: list[Quad], tmp_path: Path
) -> None:
    (tmp_path / "faulty.rq").write_text(rule, encoding="utf-8")
    doses = quads_of("regimen:msc stroma:numberOfDoses 4 .")

    with pytest.raises(OntologyError, match=rf"faulty\.rq: {problem}"):
        infer(ontology, [*abox, *doses], tmp_path)
