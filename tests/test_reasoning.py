"""What the everyday reasoner adds, where it puts it, how it refuses; what follows is in entailments.tsv."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pyoxigraph import NamedNode, Quad, RdfFormat, parse

from kg.axioms import Hierarchy, read_axioms
from kg.errors import OntologyError
from kg.facts import token
from kg.model import Model
from kg.ontology import Ontology, read, read_files
from kg.reasoning import AT_ONCE, CLAIMS_DERIVED, METADATA, claims_derived, infer
from kg.rules import Reach, Rule, construct
from kg.snapshot import Snapshot, read_lines
from kg.terms import OWL, RDF, RDFS, ROOT, STROMA, expand, mint

HERE = Path(__file__).parent
RULES = ROOT / "ontology" / "rules"
GRAPH = mint("graph", "literature")


def quads_of(turtle: str) -> list[Quad]:
    names = ("stroma", "regimen", "owl", "rdfs")
    header = "".join(f"@prefix {name}: <{expand(name + ':').value}> .\n" for name in names)
    parsed = parse(header + turtle, RdfFormat.TURTLE)
    return [Quad(q.subject, q.predicate, q.object, GRAPH) for q in parsed]


@dataclass(frozen=True)
class Inferred:
    """What `infer` tells, and what it wrote, sorted."""

    counts: Mapping[str, int]
    graphs: Mapping[str, int]
    quads: list[Quad]


def inferred_from(
    ontology: Ontology, quads: Iterable[Quad | bytes], rules: Path = RULES, at_once: int = AT_ONCE
) -> Inferred:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "inferred.nq"
        told = infer(ontology, quads, rules, file, at_once=at_once)
        return Inferred(told.counts, told.graphs, sorted(parse(path=file), key=str))


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
def inferences(ontology: Ontology, abox: list[Quad]) -> Inferred:
    return inferred_from(ontology, abox)


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
        inferred_from(ontology, planted)

    said = set(re.findall(r"stroma:\w+", turtle))
    assert {word for word in said if word not in str(caught.value)} == set()


def test_an_unsatisfiable_class_stops_with_its_place_and_the_axioms_it_follows_from(
    ontology: Ontology, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.ttl"
    broken.write_text(
        f"@prefix stroma: <{STROMA('').value}> .\n"
        f"@prefix owl: <{OWL('').value}> .\n"
        f"@prefix rdfs: <{RDFS('').value}> .\n\n"
        "stroma:Chimera a owl:Class ; rdfs:subClassOf stroma:UCMSCProduct , stroma:DrugProduct .\n",
        encoding="utf-8",
    )

    said = r"broken\.ttl, line 5: 1 class.*stroma:Chimera.*nothing is .*DrugProduct.*Correct one"
    with pytest.raises(OntologyError, match=said):
        inferred_from(read_files([*ontology.files, broken]), [])


def test_without_its_chain_an_entailment_is_gone(ontology: Ontology, abox: list[Quad]) -> None:
    chainless = tuple(
        q
        for q in ontology.quads
        if (q.subject, q.predicate) != (STROMA.hasTissueSource, OWL.propertyChainAxiom)
    )
    found = triples(inferred_from(replace(ontology, quads=chainless), abox).quads)

    assert len(chainless) == len(ontology.quads) - 1
    assert (expand("product:wj"), RDF.type, STROMA.MSCProduct) in found
    assert (expand("product:wj"), RDF.type, STROMA.UCMSCProduct) not in found


# ---------------------------------------------------------------- claims


def test_an_accepted_claim_becomes_an_axiom_annotated_with_every_claim_that_makes_it(
    ontology: Ontology, abox: list[Quad]
) -> None:
    derived = claims_derived(ontology, abox)
    claims = {(q.subject, q.object) for q in derived if q.predicate == STROMA.derivedFromClaim}

    # five accepted propositions: ifng (twice), ros, steroid, dhz, able; hedged and denied ones derive nothing
    assert len({axiom for axiom, _ in claims}) == 5
    assert {expand(f"claim:{c}") for c in "abcdgh"} == {claim for _, claim in claims}
    assert {CLAIMS_DERIVED} == {q.graph_name for q in derived}


def test_a_claim_that_falls_takes_its_inferences_with_it(ontology: Ontology, abox: list[Quad]) -> None:
    without = [q for q in abox if q.object != expand("proposition:steroid")]
    found = triples(inferred_from(ontology, without).quads)

    assert (expand("product:prednisone"), RDF.type, STROMA.CautionedCoMedication) not in found


READINGS = [
    # a claim of a relation that reads as "every", about no therapy, product, arm or study: an axiom
    ("PR:000000017", "stroma:enhances", "stroma:MSCImmunomodulation", True),
    ("CHEBI:81361", "RO:0000087", "CHEBI:22586", True),
    ("CL:0000134", "RO:0002215", "stroma:MSCImmunomodulation", True),
    # one tissue of several; effects and properties of a therapy: what a source reports
    ("CL:0000134", "stroma:isolatedFrom", "UBERON:0002371", False),
    ("stroma:MSCTherapyRegimen", "stroma:improves", "MONDO:0008383", False),
    ("stroma:MSCTherapyRegimen", "stroma:hasProperty", "stroma:MSCSafety", False),
    # a relation that reads as "every", of a class below a regimen, a product or an arm
    ("stroma:UCMSCTherapyRegimen", "stroma:reduces", "PR:000005897", False),
    ("stroma:PrednisoneProduct", "stroma:impairs", "stroma:MSCEfficacy", False),
    ("stroma:MSCPlusInterferonGammaArm", "stroma:increases", "stroma:RegulatoryTToTh17Ratio", False),
]


@pytest.mark.parametrize(("subject", "relation", "object", "implies"), READINGS)
def test_a_claim_implies_something_of_every_member_only_where_the_ontology_says_so(
    subject: str, relation: str, object: str, implies: bool, ontology: Ontology
) -> None:
    claim = (
        "regimen:claim stroma:modality stroma:ModalityAsserted ; stroma:asserts regimen:p ."
        "regimen:p stroma:polarity stroma:PolarityPositive ;"
        f"stroma:propositionSubject <{expand(subject).value}> ;"
        f"stroma:propositionPredicate <{expand(relation).value}> ;"
        f"stroma:propositionObject <{expand(object).value}> ."
    )
    assert bool(claims_derived(ontology, quads_of(claim))) is implies


# ---------------------------------------------------------------- the graphs


def inferred(inferences: Inferred) -> list[Quad]:
    return [q for q in inferences.quads if "/inferred/" in str(q.graph_name)]


def test_nothing_is_inferred_that_is_stated(
    ontology: Ontology, abox: list[Quad], inferences: Inferred
) -> None:
    stated = triples([*ontology.quads, *abox])

    assert inferred(inferences)
    assert not stated & triples(inferred(inferences))


def test_no_inference_is_trivial(inferences: Inferred) -> None:
    rules = {mint("graph", "inferred", path.stem) for path in RULES.glob("*.rq")}  # may give literals
    quads = [q for q in inferred(inferences) if q.graph_name not in rules]

    assert all(isinstance(q.subject, NamedNode) and isinstance(q.object, NamedNode) for q in quads)
    assert not [q for q in quads if q.object in (OWL.Thing, OWL.Nothing) or q.subject == q.object]


def test_every_inferred_graph_says_which_axiom_or_rule_gave_it(inferences: Inferred) -> None:
    graphs = {q.graph_name for q in inferred(inferences)}
    described = {q.subject for q in inferences.quads if q.predicate == STROMA.fromAxiom}

    assert graphs == described
    assert graphs == {mint("graph", "inferred", rule) for rule in inferences.counts}
    assert "chain-hasArm-hasIntervention-testsIntervention" in inferences.counts
    assert {METADATA} == {q.graph_name for q in inferences.quads if q.subject in described}


def test_the_order_of_statements_changes_nothing(
    ontology: Ontology, abox: list[Quad], inferences: Inferred
) -> None:
    assert inferred_from(ontology, reversed(abox)) == inferences


def stated(snapshot: Snapshot) -> list[bytes]:
    added = b"graph/(ontology|claims-derived|metadata|inferred/[^>]*)> .$"
    return [line for line in read_lines(snapshot) if not re.search(added, line)]


@pytest.fixture(scope="module")
def of_real_records(ontology: Ontology, embedded: Snapshot) -> Inferred:
    return inferred_from(ontology, stated(embedded))


def test_no_source_is_made_to_say_that_a_therapy_works_or_where_every_cell_comes_from(
    ontology: Ontology, embedded: Snapshot
) -> None:
    graph = b"<" + mint("graph", "inferred", "relation").value.encode() + b"> ."
    relations = {tuple(line.split()[:3]) for line in read_lines(embedded) if line.strip().endswith(graph)}
    above = {
        (token(q.subject), token(q.object))
        for q in inferred_from(ontology, []).quads
        if q.predicate == RDFS.subClassOf
        and isinstance(q.subject, NamedNode)
        and isinstance(q.object, NamedNode)
    }
    therapy = token(STROMA.InterventionRegimen)
    effects = {
        token(STROMA(name))
        for name in ("affects", "causes", "hasProperty", "improves", "increases", "reduces")
    }

    assert relations
    assert not [r for r in relations if r[1] == token(STROMA.isolatedFrom)]
    assert not [r for r in relations if r[1] in effects and (r[0], therapy) in above]


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("PrednisoneProduct", "CautionedCoMedication"),
        ("InterferonGammaProduct", "MechanismEnhancingProduct"),
        ("DehydrozingeroneProduct", "MechanismEnhancingProduct"),
        ("ApoptosisEfferocytosisMechanism", "MacrophageDependentMechanism"),
    ],
)
def test_what_the_documents_together_imply_is_inferred_of_the_real_claims(
    lower: str, upper: str, of_real_records: Inferred
) -> None:
    assert (STROMA(lower), RDFS.subClassOf, STROMA(upper)) in triples(of_real_records.quads)


@pytest.mark.parametrize("at_once", [40, 700, 10**9])
def test_how_many_things_are_reasoned_over_at_once_changes_nothing(
    at_once: int, ontology: Ontology, embedded: Snapshot, of_real_records: Inferred
) -> None:
    lines = stated(embedded)

    assert inferred_from(ontology, reversed(lines), at_once=at_once) == of_real_records
    assert len(of_real_records.quads) == sum(of_real_records.graphs.values())


IN_PROCESSES = """
import hashlib, sys, threading
from pathlib import Path
from kg.ontology import read
from kg.reasoning import infer
from kg.terms import ROOT
stated, target = Path(sys.argv[1]), Path(sys.argv[2])
ontology, rules = read(ROOT / "ontology"), ROOT / "ontology" / "rules"
assert threading.active_count() == 1  # or it would not fork
for at_once in (1, 10, 10_000):
    for processes in (1, 2):
        with stated.open("rb") as lines:
            infer(ontology, lines, rules, target, at_once=at_once, processes=processes)
        ordered = hashlib.sha256(target.read_bytes()).hexdigest()
        print(at_once, ordered, hashlib.sha256(b"".join(sorted(target.open("rb")))).hexdigest())
"""


def test_parts_of_any_size_in_any_number_of_processes_give_the_same_of_real_records(
    embedded: Snapshot, tmp_path: Path
) -> None:
    lines = stated(embedded)
    trials = [line for line in lines if b"/graph/clinicaltrials> ." in line]
    (tmp_path / "stated.nq").write_bytes(b"".join(trials))
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESSES, str(tmp_path / "stated.nq"), str(tmp_path / "inferred.nq")],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    told = [line.split() for line in done.stdout.splitlines()]

    assert trials
    assert len({content for _, _, content in told}) == 1
    assert all(one == two for one, two in zip(told[::2], told[1::2], strict=True))  # the order of lines too


def test_a_contradiction_found_in_another_process_says_the_same_and_leaves_nothing(
    ontology: Ontology, tmp_path: Path
) -> None:
    planted = quads_of(BOTH_DONORS + TWO_KINDS.replace("regimen:x", "regimen:y"))
    said = []
    for processes in (1, 2):
        with pytest.raises(OntologyError, match="contradict the ontology") as caught:
            infer(ontology, planted, RULES, tmp_path / "inferred.nq", processes=processes)
        said.append(str(caught.value))

    assert said[0] == said[1]
    assert [*tmp_path.iterdir()] == []


def test_one_model_of_all_facts_finds_the_types_that_the_parts_find(
    ontology: Ontology, embedded: Snapshot, of_real_records: Inferred
) -> None:
    data = [*parse(b"".join(stated(embedded)), RdfFormat.N_QUADS)]
    facts = {
        (token(q.subject), token(q.predicate), token(q.object))
        for q in [*ontology.quads, *data]
        if ontology.is_fact(q) and isinstance(q.subject, NamedNode) and isinstance(q.object, NamedNode)
    }
    axioms = [*ontology.quads, *(q for q in data if q.predicate == RDFS.subClassOf)]
    hierarchy = Hierarchy(read_axioms([*axioms, *claims_derived(ontology, data)]))
    assert hierarchy.classify() == []
    number = {token(e): n for e, n in hierarchy.number.items() if isinstance(e, NamedNode)}
    model = Model(hierarchy, hierarchy.above)
    model.add(
        [(s, [number[o]]) for s, p, o in facts if p == token(RDF.type) and o in number],
        [fact for fact in facts if fact[1] != token(RDF.type)],
    )
    names = {n: name for name, n in number.items() if n > 1}
    types = {(s, names[m]) for s, n in model.index.items() for m in model.types[n] if m in names}
    graph = mint("graph", "inferred", "type")

    assert types - {(s, o) for s, p, o in facts if p == token(RDF.type)} == {
        (token(q.subject), token(q.object))
        for q in of_real_records.quads
        if q.graph_name == graph and isinstance(q.subject, NamedNode) and isinstance(q.object, NamedNode)
    }


def test_an_exemplar_that_leads_to_a_thing_of_the_data_is_reasoned_over_with_it(ontology: Ontology) -> None:
    planted = quads_of(
        "stroma:TissueUmbilicalCord stroma:testsIntervention regimen:x ."
        "regimen:x stroma:administers regimen:y ."
    )
    found = inferred_from(ontology, planted, at_once=1)

    edge = (STROMA.TissueUmbilicalCord, STROMA.testsProduct, expand("regimen:y"))
    assert edge in triples(found.quads)


def test_no_class_answers_a_question_about_regimens(inferences: Inferred) -> None:
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
    inferences = inferred_from(ontology, [*abox, *doses], tmp_path)
    graph = mint("graph", "inferred", "repeated-dosing")

    found = {q.subject for q in inferences.quads if q.graph_name == graph}
    assert found == {expand("regimen:msc"), expand("regimen:placenta")}
    assert inferences.counts["repeated-dosing"] == 2


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("?regimen a stroma:MSCTherapyRegimen .", {RDF.type: {STROMA.MSCTherapyRegimen}}),
        ("?regimen a stroma:MSCTherapyRegimen . ?regimen a ?other .", {RDF.type: None}),
        ('?regimen stroma:unit "mg" .', {STROMA.unit: None}),
        ("?regimen ?any stroma:MSCTherapyRegimen .", None),
        ("?regimen a/a stroma:MSCTherapyRegimen .", None),
    ],
)
def test_a_rule_is_given_no_more_than_its_patterns_can_match(
    pattern: str, wanted: dict[NamedNode, set[NamedNode] | None] | None, tmp_path: Path
) -> None:
    rule = tmp_path / "rule.rq"
    head = RULE[: RULE.index("WHERE")].replace("stroma:ScheduleRepeated", "?regimen")
    rule.write_text(f"{head} WHERE {{ {pattern} }}", encoding="utf-8")

    assert Rule.read(rule).wanted == (None if wanted is None else {STROMA.hasSchedule: None, **wanted})


def planted_rule(folder: Path, template: str, where: str) -> Rule:
    path = folder / "planted.rq"
    path.write_text(
        f"#+ summary: planted\nPREFIX stroma: <{STROMA('').value}>\n"
        f"CONSTRUCT {{ {template} }} WHERE {{ {where} }}",
        encoding="utf-8",
    )
    return Rule.read(path)


ARMS = "?trial stroma:hasArm ?arm . ?arm stroma:hasIntervention ?regimen . ?regimen stroma:administers ?p ."


@pytest.mark.parametrize(
    ("template", "where", "reach"),
    [
        ("?trial stroma:tests ?p", ARMS, Reach(2, frozenset({STROMA.hasArm, STROMA.hasIntervention}))),
        ("?arm stroma:tests ?trial", ARMS, Reach(2, frozenset({STROMA.hasArm, STROMA.hasIntervention}))),
        ("?arm stroma:tests ?x", "{ ?arm stroma:hasArm ?x } UNION { ?arm a ?x }", Reach(0, frozenset())),
        ("?a stroma:tests ?b", "?a stroma:of ?b . ?b stroma:of ?a", Reach(1, frozenset({STROMA("of")}))),
        ("?a stroma:tests ?s", "?a a ?b . BIND(str(?b) AS ?s) FILTER(?s > 'x')", Reach(0, frozenset())),
        ("?a stroma:tests ?b", "?a stroma:hasCondition ?c . ?b stroma:hasCondition ?c", "no thing"),
        ("?b stroma:tests ?a", "?a stroma:hasArm ?b", "something none of whose"),
        ("?a stroma:tests ?b", "?a stroma:hasArm ?b FILTER NOT EXISTS { ?a a ?b }", "asks whether"),
        ("?a stroma:tests ?b", "?a stroma:hasArm ?b FILTER(1 = 1 && NOT EXISTS { })", "asks whether"),
        ("?a stroma:tests ?b", "?a stroma:hasArm ?b OPTIONAL { ?a a ?b }", "more than patterns"),
        ("?a stroma:tests ?b", "?a stroma:hasArm ?b MINUS { ?a a ?b }", "more than patterns"),
        ("?a stroma:tests ?b", "GRAPH ?g { ?a stroma:hasArm ?b }", "more than patterns"),
        ("?a stroma:tests ?b", "{ SELECT ?a (MAX(?x) AS ?b) { ?a a ?x } GROUP BY ?a }", "more than patterns"),
        ("?a stroma:tests ?b", "?a stroma:hasArm+ ?b", "a variable or a path"),
        ("?a stroma:tests ?b", "stroma:x stroma:hasArm ?a . ?a a ?b", "one thing that it names"),
    ],
)  # fmt: skip
def test_a_rule_is_run_over_groups_only_where_its_matches_lead_on_from_one_thing(
    template: str, where: str, reach: Reach | str, tmp_path: Path
) -> None:
    rule = planted_rule(tmp_path, template, where)

    if isinstance(reach, str):
        assert rule.reach is None
        assert reach in rule.why_whole
    else:
        assert (rule.reach, rule.why_whole) == (reach, "")


@pytest.mark.parametrize("at_once", [1, 10, 10_000])
def test_a_rule_gives_over_groups_of_real_records_what_it_gives_over_everything(
    at_once: int, embedded: Snapshot, tmp_path: Path
) -> None:
    added = b"graph/inferred/(%s)> .$" % b"|".join(path.stem.encode() for path in RULES.glob("*.rq"))
    lines = [line for line in read_lines(embedded) if not re.search(added, line)]
    rules = [Rule.read(path) for path in sorted(RULES.glob("*.rq"))]
    planted = [
        ("?trial stroma:testsIn ?p", ARMS),
        ("?p stroma:testedBy ?arm", f"{ARMS} ?p a stroma:MSCProduct ."),  # many arms lead to one product
        (
            "?a stroma:plans ?n",
            "?a stroma:hasPlannedOutcome ?b . ?b stroma:timeFrameMonths ?n FILTER(?n > 3)",
        ),
    ]
    rules += [planted_rule(tmp_path, *words) for words in planted]
    gave = []
    for rule in rules:
        assert rule.reach is not None
        tokens = {token(p) for p in rule.wanted or ()}
        given = [line for line in lines if line.split(b" ", 2)[1] in tokens]
        whole = [*construct(replace(rule, reach=None), given, tmp_path, at_once)]
        gave.append(len(whole))

        assert [*construct(rule, given, tmp_path, at_once)] == whole

    assert all(gave), gave


def test_a_rule_that_joins_two_trials_is_run_over_everything_and_named(
    ontology: Ontology, tmp_path: Path
) -> None:
    rules, file = tmp_path / "rules", tmp_path / "inferred.nq"
    rules.mkdir()
    where = "?a stroma:numberOfDoses ?n . ?b stroma:numberOfDoses ?n FILTER(?a != ?b)"
    planted_rule(rules, "?a stroma:dosedLike ?b", where)
    doses = quads_of("".join(f"regimen:{name} stroma:numberOfDoses {n} ." for name, n in DOSES.items()))

    told = infer(ontology, doses, rules, file, at_once=1)

    found = {(q.subject, q.object) for q in parse(path=file) if q.predicate == STROMA.dosedLike}
    assert found == {
        tuple(map(expand, pair)) for pair in (("regimen:a", "regimen:d"), ("regimen:d", "regimen:a"))
    }
    assert told.whole == {"planted": "no thing of a match leads to all others"}


DOSES = {"a": 4, "b": 5, "c": 6, "d": 4}


def test_a_rule_run_over_groups_sees_the_results_of_those_before_it(
    ontology: Ontology, tmp_path: Path
) -> None:
    rules, file = tmp_path / "rules", tmp_path / "inferred.nq"
    rules.mkdir()
    planted_rule(rules, "?a stroma:first ?n", "?a stroma:numberOfDoses ?n").path.rename(rules / "a.rq")
    planted_rule(rules, "?a stroma:second ?n", "?a stroma:first ?n").path.rename(rules / "b.rq")
    doses = quads_of("".join(f"regimen:{name} stroma:numberOfDoses {n} ." for name, n in DOSES.items()))

    told = infer(ontology, doses, rules, file, at_once=3)

    assert told.whole == {}
    assert (told.counts["a"], told.counts["b"]) == (4, 4)


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
        inferred_from(ontology, [*abox, *doses], tmp_path)
