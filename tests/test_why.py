"""Why a statement is in the graph: real statements of the embedded graph, down to line and characters."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Store, parse

from kg.engine.served import Served
from kg.errors import ParameterError, UsageError
from kg.explanation import Explanation, Step, as_json, as_text, as_triples, proposition, rendered
from kg.ontology import read
from kg.provenance import INFERRED, Provenance
from kg.settings import Settings
from kg.snapshot import Snapshot, load_store
from kg.terms import PROV, RDF, ROOT, STROMA, compress, expand, mint
from kg.terms import proposition as claimed
from kg.web.app import create_app
from kg.web.why import router
from kg.why import explain, own_statement, statement

ONTOLOGY = ROOT / "ontology"
PREDNISONE = ("product:prednisone", "a", "stroma:CautionedCoMedication")


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    return load_store(embedded)


def why(store: Store, *curies: str, limit: int = 3) -> Explanation:
    return explain(store, ONTOLOGY, *statement(*curies), limit=limit)


def steps(step: Step) -> Iterator[Step]:
    yield step
    for premise in step.premises:
        yield from steps(premise)


def axioms(explanation: Explanation) -> set[str]:
    return {axiom.manchester for axiom in explanation.reasons[0].axioms}


# ---------------------------------------------------------------- classes


def test_a_product_of_whartons_jelly_is_a_cord_product_because_the_jelly_is_part_of_the_cord(
    store: Store,
) -> None:
    found = why(store, "stroma:WhartonJellyMSCProduct", "rdfs:subClassOf", "stroma:UCMSCProduct")

    assert axioms(found) == {
        "stroma:WhartonJellyMSCProduct EquivalentTo "
        "stroma:MSCProduct and (stroma:hasTissueSource some UBERON:0003422)",
        "stroma:UCMSCProduct EquivalentTo stroma:MSCProduct and (stroma:hasTissueSource some UBERON:0002331)",
        "UBERON:0003422 SubClassOf (BFO:0000050 some UBERON:0002331)",
        "stroma:hasTissueSource o BFO:0000050 SubPropertyOf stroma:hasTissueSource",
    }
    assert (len(found.reasons), found.complete) == (1, True)


def test_an_axiom_names_its_module_and_the_line_of_its_term(store: Store) -> None:
    found = why(store, "stroma:WhartonJellyMSCProduct", "rdfs:subClassOf", "stroma:UCMSCProduct")

    for axiom in found.reasons[0].axioms:
        (source,) = (each for each in axiom.sources if each.kind == "module")
        line = (ROOT / str(source.fields["file"])).read_text().splitlines()[int(source.fields["line"]) - 1]
        subject = axiom.manchester.split()[-1 if " o " in axiom.manchester else 0]
        assert line.startswith(subject.replace("UBERON:", "obo:UBERON_")), axiom


def test_dehydrozingerone_enhances_an_activity_by_reducing_what_impairs_it(store: Store) -> None:
    found = why(store, "stroma:DehydrozingeroneProduct", "stroma:enhances", "stroma:MSCActivity", limit=9)

    assert "stroma:reduces o stroma:impairs SubPropertyOf stroma:enhances" in axioms(found)
    claims = {s.id for axiom in found.reasons[0].axioms for s in axiom.sources if s.kind == "claim"}
    assert {"claim:A255", "claim:A314"} <= claims
    sizes = [len(reason.axioms) for reason in found.reasons]
    assert len(sizes) > 1
    assert sizes == sorted(sizes)


# ---------------------------------------------------------------- things


def test_an_individual_product_of_whartons_jelly_is_a_cord_product() -> None:
    store = Store()
    store.extend(read(ONTOLOGY).quads)
    graph = mint("graph", "literature")
    for quad in parse(path=Path(__file__).with_name("entailments.ttl")):
        store.add(Quad(quad.subject, quad.predicate, quad.object, graph))
    triple = statement("product:wj", "a", "stroma:UCMSCProduct")
    store.add(Quad(*triple, mint("graph", "inferred", "type")))

    (reason,) = explain(store, ONTOLOGY, *triple).reasons

    assert expand("stroma:TissueWhartonJelly") in {fact.triple[2] for fact in reason.facts if fact.triple}
    assert any(" o BFO:0000050" in axiom.manchester for axiom in reason.axioms)


def test_prednisone_is_cautioned_through_a_curated_statement_with_its_basis_and_the_claims_it_rests_on(
    store: Store,
) -> None:
    found = why(store, *PREDNISONE)

    sources = [source for axiom in found.reasons[0].axioms for source in axiom.sources]
    (curated,) = (source for source in sources if source.kind == "claim")
    assert curated.id.startswith("claim:curator/")
    assert curated.fields["confidence"] == "low to medium confidence"
    assert "our generalisation" in str(curated.fields["basis"])
    for place in (
        "claim:A321 (document 000, line 80, characters 5442-5476;",
        "claim:A322 (document 000, line 80,",
    ):
        assert place in str(curated.fields["record"])
        assert place in curated.text
    assert [rule.graph for rule in found.rules] == ["graph:inferred/type"]


def test_every_statement_between_things_that_the_documents_give_leads_to_a_line(store: Store) -> None:
    known = Provenance(store, ONTOLOGY)
    nodes = tuple(mint(kind, "x").value[:-1] for kind in ("claim", "span", "proposition", "document"))
    asked = 0
    for quad in store.quads_for_pattern(None, None, None, mint("graph", "literature")):
        subject, object = quad.subject, quad.object
        if not isinstance(subject, NamedNode) or not isinstance(object, NamedNode):
            continue
        if not subject.value.startswith(nodes):
            asked += 1
            sources = known.sources((subject, quad.predicate, object))
            assert any(s.kind == "claim" and ", line " in s.text for s in sources), quad
    assert asked > 2_000


def test_a_chain_is_unrolled_to_its_two_stated_edges_with_their_claims(store: Store) -> None:
    found = why(store, "collection:yang2025-core-rcts", "stroma:testsProduct", "product:yang2025-msc")

    (reason,) = found.reasons
    assert axioms(found) == {
        "stroma:testsIntervention o stroma:administers SubPropertyOf stroma:testsProduct"
    }
    assert {str(fact.triple[1].value).rsplit("/", 1)[1] for fact in reason.facts if fact.triple} == {
        "testsIntervention",
        "administers",
    }
    assert all(source.kind == "claim" for fact in reason.facts for source in fact.sources)


def test_a_rule_shows_the_statements_it_matched(store: Store) -> None:
    (given, *_) = store.quads_for_pattern(None, RDF.type, STROMA.RepeatedDoseMSCTherapyRegimen, None)
    assert isinstance(given.subject, NamedNode)

    found = explain(store, ONTOLOGY, given.subject, RDF.type, STROMA.RepeatedDoseMSCTherapyRegimen)

    by_rule = [r for r in found.reasons if r.axioms[0].manchester.startswith("ontology/rules/")]
    predicates = {fact.triple[1] for reason in by_rule for fact in reason.facts if fact.triple}
    assert STROMA.numberOfDoses in predicates
    assert not found.complete


# ---------------------------------------------------------------- what is stated


def test_a_stated_edge_gives_every_claim_that_asserts_it(store: Store) -> None:
    found = why(store, "PR:000000017", "stroma:enhances", "stroma:MSCImmunomodulation")

    assert [source.id for source in found.sources] == ["claim:A170", "claim:C046", "claim:C048"]
    assert (found.rules, found.reasons) == ((), ())


def test_what_a_registry_says_gives_its_record(store: Store) -> None:
    (source,) = why(store, "arm:NCT01547091/1", "a", "stroma:TrialArm").sources

    assert (source.kind, source.id) == ("record", "record:clinicaltrials/NCT01547091")
    assert source.fields["line"] == 4


def test_a_number_of_a_registrys_results_gives_the_record_of_its_study() -> None:
    here = mint("graph", "clinicaltrials")
    number, trial, record = mint("observation", "N", 1), mint("trial", "N"), mint("record", "N")
    small = Store()
    for triple in (
        (number, STROMA.sampleSize, Literal(20)),
        (number, STROMA.producedByStudy, trial),
        (trial, PROV.wasDerivedFrom, record),
        (record, STROMA.recordFile, Literal("N.json")),
    ):
        small.add(Quad(*triple, here))
    (source,) = explain(small, ONTOLOGY, *statement("observation:N/1", "stroma:sampleSize", "20")).sources
    assert (source.kind, source.id) == ("record", "record:N")


def test_a_definition_gives_its_module(store: Store) -> None:
    (source,) = why(store, "stroma:UCMSCProduct", "a", "owl:Class").sources

    assert source.fields["file"] == "ontology/modules/cells.ttl"


def test_a_number_gives_the_claims_that_print_it_whatever_its_last_zeros(store: Store) -> None:
    # Claims B258 and C104; the store drops the zero of "5.70" (B170), with which the claim's IRI was made.
    percent = why(store, "observation:001-49-yang2025-msc-ACR20-60m", "stroma:percentage", "44.90")
    assert [source.id for source in percent.sources] == ["claim:B258", "claim:C104"]
    mean = why(store, "observation:001-28-yang2025-msc-ifng-DAS28ESR-0m", "stroma:meanValue", "5.70")
    assert [source.id for source in mean.sources] == ["claim:B170"]
    words = why(
        store, "observation:001-28-yang2025-msc-ifng-DAS28ESR-0m", "stroma:timepointLabel", '"baseline"'
    )
    assert words.sources


# ---------------------------------------------------------------- calculations


def derived(store: Store, method: str, computation: str) -> str:
    """The CURIE of the one number so derived."""
    (node,) = {
        quad.subject
        for quad in store.quads_for_pattern(None, STROMA.derivationMethod, STROMA(method), None)
        for said in store.quads_for_pattern(quad.subject, STROMA.computation, None, None)
        if isinstance(said.object, Literal) and said.object.value == computation
    }
    assert isinstance(node, NamedNode)
    return compress(node.value)


def test_a_derived_number_leads_to_the_characters_of_every_number_in_it(store: Store) -> None:
    # Document 001: 89.3 % and 44.9 % (line 49) of 28 and 69 (lines 22 and 23).
    difference = derived(store, "MethodRiskDifference", "25 of 28 against 31 of 69")
    told = why(store, difference, "stroma:derivedValue", "0.4436")

    assert told.computed
    assert not told.sources
    (reason,) = told.reasons
    assert {axiom.manchester for axiom in reason.axioms} == {
        "25 of 28 against 31 of 69",
        "89.3 % of 28",
        "44.9 % of 69",
    }
    places = {source.text for fact in reason.facts for source in fact.sources}
    assert {
        "claim:B256: document 001, line 49, characters 4374-4410",
        "claim:B258: document 001, line 49, characters 4411-4427",
        "claim:B146: document 001, line 22, characters 2754-2767",
        "claim:B147: document 001, line 22, characters 2768-2786",
    } <= places
    assert all(fact.sources for fact in reason.facts)
    text = as_text(told)
    assert "calculation: risk difference: 25 of 28 against 31 of 69" in text
    assert "by scipy " in text
    assert "justification" not in text
    json_told = as_json(told)
    assert json_told["justifications"][0]["axioms"][0]["kind"] == "calculation"  # type: ignore[index]
    # What it is about is explained by the same calculation.
    other = why(store, difference, "stroma:referenceGroup", "group:yang2025-msc")
    assert other.reasons[0].facts == reason.facts


def test_a_rate_ratio_a_dose_and_a_refusal_to_pool_lead_to_their_sources_too(store: Store) -> None:
    ratio = derived(store, "MethodRateRatio", "4 events in 172.89 person-years against 11 in 445.12")
    facts = why(store, ratio, "stroma:derivedValue", "0.9362").reasons[0].facts
    assert any(
        "characters 3565-3585" in source.text for fact in facts for source in fact.sources
    )  # 223 events
    dose = derived(store, "MethodCellsForBodyWeight", "500000 cells/kg at 70 kg")
    (fact,) = why(store, dose, "stroma:derivedValue", "35000000").reasons[0].facts
    assert fact.sources[0].kind == "claim"
    (assessment,) = (
        quad.subject
        for quad in store.quads_for_pattern(
            None, STROMA.forMeasure, STROMA.MeasureACR20, mint("graph", "derived")
        )
        if any(store.quads_for_pattern(quad.subject, RDF.type, STROMA.PoolingAssessment, None))
    )
    assert isinstance(assessment, NamedNode)
    refused = why(store, compress(assessment.value), "stroma:mayBePooled", "false")
    assert "shared patients" in as_text(refused)
    assert len(refused.reasons[0].facts) > 20


def computed(store: Store, kind: str) -> list[str]:
    """The things of a kind that we compute, as CURIEs in order."""
    found = store.quads_for_pattern(None, RDF.type, STROMA(kind), None)
    return sorted({compress(quad.subject.value) for quad in found if isinstance(quad.subject, NamedNode)})


def places(step: Step) -> set[str]:
    """Where the leaves of a step stand: a document's line and characters, a record's file, a basis."""
    told = [source.fields for each in steps(step) if each.stated for source in each.sources]
    return {
        f"{each['document']}:{each['line']}:{each['start']}-{each['end']}"
        if "span" in each
        else str(each.get("file") or each.get("basis") or each.get("record") or "")
        for each in told
    }


def test_every_finding_leads_to_its_rule_its_computation_and_the_places_of_its_statements(
    store: Store,
) -> None:
    for finding in (findings := computed(store, "Discrepancy")):
        triple = own_statement(store, finding)
        (reason,) = explain(store, ONTOLOGY, *triple).reasons
        (rule,) = reason.proof.axioms
        node = expand(finding)
        (computation,) = (
            q.object.value for q in store.quads_for_pattern(node, STROMA.computation, None, None)
        )
        (method,) = (q.object for q in store.quads_for_pattern(node, STROMA.foundByRule, None, None))
        assert (rule.kind, rule.method, rule.manchester) == ("rule", method, computation)
        involved = {q.object for q in store.quads_for_pattern(node, STROMA.involves, None, None)}
        propositions = {
            each for each in involved if any(store.quads_for_pattern(each, STROMA.polarity, None, None))
        }
        assert len(reason.proof.premises) == len(propositions) >= 1, finding
        assert all(step.sources for step in steps(reason.proof) if step.stated), finding
        assert "" not in places(reason.proof), finding
    assert len(findings) > 15


def test_a_finding_in_words_has_the_test_and_the_characters(store: Store) -> None:
    # Document 001, line 52: not significant (B264), significant at years 3 and 5 (B267); 002, line 40.
    finding = next(each for each in computed(store, "Discrepancy") if "opposite-significance" in each)
    text = as_text(explain(store, ONTOLOGY, *own_statement(store, finding)))
    assert "rule: A difference between two groups that is called significant and not significant: " in text
    assert "month 60: 2 of 69 against 7 of 28, Fisher's exact test p = 0.002099" in text
    assert "claim:B264: document 001, line 52, characters 4473-4499" in text
    assert "claim:C118: document 002, line 40, characters 1772-1811" in text


def test_every_link_leads_to_its_method_and_what_it_rests_on(store: Store) -> None:
    for link in (links := computed(store, "PublicationLink")):
        (reason,) = explain(store, ONTOLOGY, *own_statement(store, link)).reasons
        (rule,) = reason.proof.axioms
        assert rule.method is not None
        assert compress(rule.method.value).startswith("stroma:LinkMethod"), link
        assert rule.manchester, link
        assert places(reason.proof) - {""}, link
    assert len(links) > 20


def test_every_evidence_line_leads_to_both_its_ends(store: Store) -> None:
    graph = mint("graph", "evidence-lines")
    lines = sorted(store.quads_for_pattern(None, None, None, graph), key=str)
    for line in lines[::5]:
        (reason,) = explain(store, ONTOLOGY, line.subject, line.predicate, line.object).reasons
        (axiom,) = reason.proof.axioms
        assert axiom.manchester == compress(line.predicate.value)
        about, *evidence = reason.proof.premises
        assert about.sources
        assert evidence or about.triple is not None
        assert places(reason.proof), line
    assert len(lines) > 100


def test_every_derived_number_leads_to_places(store: Store) -> None:
    numbers = computed(store, "EffectEstimate") + computed(store, "DerivedCount")
    for number in (chosen := numbers[::20]):
        (reason,) = explain(store, ONTOLOGY, *own_statement(store, number)).reasons
        assert reason.proof.axioms[0].kind == "calculation"
        assert places(reason.proof) - {""}, number
    assert len(chosen) > 5


def test_what_is_not_computed_has_no_statement_of_its_own(store: Store) -> None:
    with pytest.raises(ParameterError, match=r"is no finding, link, .*give the predicate and the object"):
        own_statement(store, "stroma:MSCProduct")


def test_the_rdf_of_a_calculation_says_its_method_and_premises_in_declared_words(store: Store) -> None:
    difference = derived(store, "MethodRiskDifference", "25 of 28 against 31 of 69")
    triples = as_triples(why(store, difference, "stroma:derivedValue", "0.4436"))
    methods = {t.object for t in triples if t.predicate == STROMA.derivationMethod}
    assert methods == {STROMA.MethodRiskDifference, STROMA.MethodCountFromPercentage}
    assert not any(t.predicate == STROMA.appliesAxiom for t in triples)
    graph = mint("graph", "file", "why")
    read(ONTOLOGY).require_declared(Quad(*t, graph) for t in triples)  # type: ignore[misc]


def test_a_value_a_derived_number_does_not_have_is_met_with_the_one_it_has(store: Store) -> None:
    difference = derived(store, "MethodRiskDifference", "25 of 28 against 31 of 69")
    with pytest.raises(UsageError, match=r"stroma:derivedValue 0\.4436"):
        why(store, difference, "stroma:derivedValue", "0.5")


def test_a_proposition_has_the_iri_under_which_claims_assert_it() -> None:
    edge = statement("PR:000000017", "stroma:enhances", "stroma:MSCImmunomodulation")

    assert proposition(edge) == claimed(*edge)


# ---------------------------------------------------------------- over the whole graph


def test_every_leaf_is_stated_in_the_snapshot_or_an_axiom_with_its_source(store: Store) -> None:
    inferred = sorted(
        (q for q in store if isinstance(q.graph_name, NamedNode) and q.graph_name.value.startswith(INFERRED)),
        key=str,
    )
    things = [q for q in inferred if isinstance(q.object, NamedNode)]
    for quad in things[:: len(things) // 15]:
        assert isinstance(quad.subject, NamedNode)
        assert isinstance(quad.object, NamedNode)
        found = explain(store, ONTOLOGY, quad.subject, quad.predicate, quad.object, limit=1)
        assert found.reasons, quad
        for step in steps(found.reasons[0].proof):
            for axiom in step.axioms:
                assert axiom.sources, axiom
            if step.stated:
                assert step.triple is not None
                graphs = [q.graph_name for q in store.quads_for_pattern(*step.triple, None)]
                assert any(isinstance(g, NamedNode) and not g.value.startswith(INFERRED) for g in graphs)
                assert step.sources, step


def test_the_same_statement_always_reads_the_same(store: Store, embedded: Snapshot) -> None:
    again = load_store(embedded)

    for format in ("text", "json"):
        assert rendered(why(store, *PREDNISONE), format) == rendered(why(again, *PREDNISONE), format)


# ---------------------------------------------------------------- forms


def test_the_rdf_says_all_in_declared_words_and_every_premise_is_described(store: Store) -> None:
    triples = as_triples(why(store, *PREDNISONE))

    graph = mint("graph", "file", "why")
    read(ONTOLOGY).require_declared(Quad(*t, graph) for t in triples)  # type: ignore[misc]
    described = {t.subject for t in triples if t.predicate == RDF.type}
    premises = {t.object for t in triples if t.predicate in (STROMA.hasPremise, STROMA.hasConclusion)}
    assert premises
    assert premises <= described
    turtle = rendered(why(store, *PREDNISONE), "turtle")
    assert {q.triple for q in parse(turtle, RdfFormat.TURTLE)} == set(triples)


def test_the_text_reads_from_the_conclusion_down_to_the_characters(store: Store) -> None:
    lines = as_text(why(store, *PREDNISONE)).splitlines()

    assert lines[0] == "prednisone is 'cautioned co-medication'"
    said = "claim:A321 (document 000, line 80, characters 5442-5476;"
    assert any(line.strip().startswith("claim:curator/") and said in line for line in lines)


@pytest.mark.parametrize(
    ("triple", "words"),
    [
        # a report says nothing of every cell; a relation marked as reading "every" does
        (
            ("CL:0000134", "stroma:suppresses", "stroma:OsteoclastActivity"),
            "mesenchymal stem cell suppresses (reported) osteoclast activity",
        ),
        (
            ("stroma:IntravenousRoute", "stroma:preferredFor", "stroma:LowInvasiveness"),
            "intravenous route preferred for (reported) low invasiveness",
        ),
        (
            ("PR:000000017", "stroma:enhances", "stroma:MSCImmunomodulation"),
            "every 'interferon gamma' enhances (reported) some 'MSC immunomodulation'",
        ),
    ],
)
def test_a_reported_edge_is_put_as_a_report(store: Store, triple: tuple[str, str, str], words: str) -> None:
    assert as_text(why(store, *triple)).splitlines()[0] == words


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("curies", "said"),
    [
        (('"a text"', "stroma:x", "44.9"), "subject '\"a text\"' is a literal; only the object"),
        (("product:prednisone", "44.9", "44.9"), "predicate '44.9' is a literal; only the object"),
        (("nobody:prednisone", "a", "stroma:X"), "subject: 'nobody:prednisone' is not a CURIE"),
        (("product:prednisone", "is", "stroma:X"), "predicate: 'is' is not a CURIE"),
        (("product:a b<c>", "a", "stroma:X"), "subject 'product:a b<c>' is no IRI"),
        (("product:" + "x" * 5000 + " ", "a", "stroma:X"), "is no IRI"),
        (("--help", "a", "stroma:X"), "subject: '--help' is not a CURIE"),
        (("", "a", "stroma:X"), "subject: '' is not a CURIE"),
    ],
)
def test_what_is_no_statement_is_refused_by_the_part_at_fault(curies: tuple[str, ...], said: str) -> None:
    with pytest.raises(ParameterError) as refused:
        statement(*curies)

    assert said in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "stroma:UCBMSCProduct rdfs:subClassOf stroma:UCMSCProduct",
            "these statements are: stroma:UCBMSCProduct rdfs:subClassOf ",
        ),
        (
            "stroma:UCMSCProduct rdfs:subClassOf stroma:WhartonJellyMSCProduct",
            "stroma:WhartonJellyMSCProduct rdfs:subClassOf stroma:UCMSCProduct",
        ),
        ("product:nothing a stroma:MSCProduct", "says nothing of product:nothing"),
        ("product:prednisone stroma:hasArm stroma:X", "these relations of product:prednisone are:"),
        (
            "stroma:GeneticFactor stroma:contributesTo stroma:NeoepitopeGeneration",
            "it is only claimed: claim:A054 [hedged",
        ),
    ],
)
def test_what_is_not_in_the_graph_is_met_with_what_is(store: Store, asked: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        why(store, *asked.split())

    assert said in str(refused.value)


# ---------------------------------------------------------------- command line and HTTP


def test_the_command_gives_json_and_exit_code_2_for_what_is_not_there(embedded: Snapshot) -> None:
    def kg(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {"KG_VAR": str(embedded.folder.parent.parent), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "kg", "why", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)

    done = kg(*PREDNISONE, "--format", "json", "--limit", "1")
    told = json.loads(done.stdout)
    assert told["version"] == embedded.version
    assert told["statement"] == ["product:prednisone", "rdf:type", "stroma:CautionedCoMedication"]
    assert (done.returncode, done.stderr) == (0, "")
    refused = kg("product:prednisone", "a", "stroma:MSCProduct")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "these statements are: product:prednisone rdf:type" in refused.stderr
    assert kg(*PREDNISONE, "--format", "pdf").returncode == 2


@pytest.fixture(scope="module")
def url(embedded: Snapshot) -> Iterator[str]:
    """A real server over the embedded graph."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {"KG_VAR": str(embedded.folder.parent.parent), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "kg", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "Serving" in server.stdout.readline()
        yield f"http://127.0.0.1:{port}/why"
        server.terminate()


def ask(url: str, accept: str, **values: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(f"{url}?{urlencode(values)}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers["Content-Type"], answer.read()


ASKED = dict(zip(("subject", "predicate", "object"), PREDNISONE, strict=True))


def test_http_gives_json_a_page_and_turtle_by_negotiation(url: str, store: Store) -> None:
    explained = why(store, *PREDNISONE)

    status, kind, body = ask(url, "application/json", **ASKED)
    told = json.loads(body)
    assert (status, kind) == (200, "application/json")
    assert told["justifications"] == as_json(explained)["justifications"]
    status, kind, body = ask(url, "text/html", **ASKED)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert b"document 000, line 80" in body
    status, kind, body = ask(url, "text/turtle", **ASKED)
    assert (status, kind) == (200, "text/turtle; charset=utf-8")
    assert {q.triple for q in parse(body, RdfFormat.TURTLE)} == set(as_triples(explained))


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        ({**ASKED, "object": "stroma:MSCProduct"}, 404, "these statements are"),
        ({**ASKED, "object": "44.9"}, 404, "product:prednisone rdf:type 44.9 is not in the graph"),
        ({**ASKED, "object": "--help"}, 400, "is not a CURIE"),
        ({**ASKED, "predicate": "44.9"}, 400, "is a literal"),
        ({**ASKED, "subject": "--help"}, 400, "is not a CURIE"),
        ({**ASKED, "limit": "0"}, 400, "from 1 to 20"),
        ({**ASKED, "format": "pdf"}, 406, "there is no format 'pdf'"),
        ({**ASKED, "depth": "3"}, 400, "no parameter 'depth'"),
        ({**ASKED, "object": f'"{"a" * 20_000}"'}, 400, "more than 10,000 characters"),
        ({**ASKED, "object": '"a\0b"'}, 400, "a null in it"),
        ({"subject": "stroma:X"}, 400, "predicate, object missing"),
        ({**ASKED, "subject": "stroma:<script>"}, 400, "is no IRI"),
    ],
)
def test_http_refuses_what_it_cannot_explain(
    url: str, values: dict[str, str], status: int, said: str
) -> None:
    answered, kind, body = ask(url, "application/json", **values)

    assert (answered, kind) == (status, "application/problem+json")
    assert said in json.loads(body)["detail"]


def test_http_explains_a_number_below_zero(url: str, store: Store) -> None:
    less = derived(store, "MethodRiskDifference", "2 of 28 against 23 of 69")
    asked = {"subject": less, "predicate": "stroma:derivedValue", "object": "-0.2619"}
    status, _, body = ask(url, "application/json", **asked)
    assert status == 200, body
    assert json.loads(body)["statement"][2] == "-0.2619"
    status, _, body = ask(url, "text/html", **asked)
    assert b"risk difference: 2 of 28 against 23 of 69" in body
    assert b"There is no other" not in body


def test_a_page_shows_what_was_asked_as_text_and_never_as_markup(url: str) -> None:
    _, _, body = ask(url, "text/html", subject='"><script>x</script>')

    assert b"<script>x" not in body


def get_why(snapshot: Snapshot, settings: Settings, **limits: float) -> httpx.Response:
    """What /why answers about prednisone; no engine is started, for it needs only the snapshot."""
    app = create_app(Served(snapshot, settings), settings, routers=[router(settings, **limits)])

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stroma") as client:
            return await client.get("/why", params=ASKED)

    return asyncio.run(get())


def test_an_explanation_has_a_ceiling_of_memory(embedded: Snapshot) -> None:
    settings = Settings(var=embedded.folder.parent.parent, worker_memory_bytes=2**20)
    answer = get_why(replace(embedded, quads=1), settings)  # what the ceiling allows for the graph itself

    assert answer.status_code == 500
    assert "want of memory" in answer.json()["detail"]


def test_a_graph_with_a_store_is_explained_from_disk_and_not_loaded(
    only_in_store: Snapshot, store: Store
) -> None:
    answer = get_why(only_in_store, Settings(var=only_in_store.folder.parent.parent))
    assert answer.status_code == 200, answer.text
    assert answer.json()["justifications"] == as_json(why(store, *PREDNISONE))["justifications"]

    command = [sys.executable, "-m", "kg", "why", *PREDNISONE, "--snapshot", str(only_in_store.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == rendered(why(store, *PREDNISONE), "text")


@pytest.mark.parametrize("engine", ["auto", "disk", "http://127.0.0.1:9/sparql"])
def test_a_graph_that_does_not_fit_is_not_loaded_for_anybody_who_asks(
    embedded: Snapshot, engine: str
) -> None:
    huge = replace(embedded, quads=10**12)
    before = sorted(embedded.folder.iterdir())
    answer = get_why(huge, Settings(var=embedded.folder.parent.parent, engine=engine))
    assert answer.status_code == 503
    assert "its store on disk is not written" in answer.json()["detail"]
    assert sorted(embedded.folder.iterdir()) == before


def test_a_late_explanation_is_given_up_and_says_so(embedded: Snapshot) -> None:
    answer = get_why(embedded, Settings(var=embedded.folder.parent.parent), seconds=0.05)

    assert answer.status_code == 503
    assert "longer than 0.05 seconds" in answer.json()["detail"]
