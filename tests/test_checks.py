"""Each check of `ontology/checks/` finds the fault planted for it; what it tells names place and way out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kg import checks
from kg.check import check
from kg.errors import OntologyError
from kg.snapshot import Snapshot, read_lines
from kg.terms import ROOT

FOLDER = ROOT / "ontology" / "checks"
MODULES = [ROOT / "ontology" / "stroma.ttl", *sorted((ROOT / "ontology" / "modules").glob("*.ttl"))]
HEAD = """@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix obo: <http://purl.obolibrary.org/obo/> .
@prefix oboInOwl: <http://www.geneontology.org/formats/oboInOwl#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix stroma: <https://w3id.org/stroma/ontology/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
MODULE = "<https://w3id.org/stroma/ontology/module/planted>"
# check -> (what is planted, the term it finds). A term of ours unless the check is about others.
PLANTED = {
    "chinese-in-english": 'stroma:Planted oboInOwl:hasExactSynonym "淋巴球"@en .',
    "datatype-beyond-owl": 'stroma:Planted stroma:since "2026-11-22"^^xsd:date .',
    "declared-twice": "stroma:Planted a owl:Class .",
    "definition-form": 'stroma:Planted a owl:Class ; obo:IAO_0000115 "cell without a capital"@en .',
    "definition-starts-with-term": 'stroma:Planted a owl:Class ; rdfs:label "stem cell"@en ; '
    'obo:IAO_0000115 "A stem cell that is planted."@en .',
    "deprecated-in-use": "stroma:Planted owl:deprecated true . stroma:A rdfs:subClassOf stroma:Planted .",
    "deprecated-without-way-out": "stroma:Planted owl:deprecated true .",
    "domain-or-range": "stroma:Planted rdfs:domain stroma:Claim .",
    "duplicate-definition": 'stroma:Before a owl:Class ; obo:IAO_0000115 "Same."@en . '
    'stroma:Planted a owl:Class ; obo:IAO_0000115 "Same."@en .',
    "duplicate-label": 'stroma:Before rdfs:label "Same"@en . stroma:Planted skos:prefLabel "same"@en .',
    "equivalent-names": "stroma:Planted owl:equivalentClass stroma:Other .",
    "header": f'{MODULE} a owl:Ontology ; dcterms:title "no licence"@en .',
    "labels-differ": 'stroma:Planted a owl:Class ; rdfs:label "one"@en ; skos:prefLabel "other"@en .',
    "language-tag": 'stroma:Planted skos:prefLabel "细胞"@zh-CN .',
    "measure-without-unit": "stroma:LaboratoryMeasure rdfs:subClassOf stroma:OutcomeMeasure . "
    "stroma:Planted a owl:NamedIndividual, stroma:LaboratoryMeasure .",
    "missing-definition": 'stroma:Planted a owl:Class ; rdfs:label "planted"@en .',
    "missing-definition-source": 'stroma:Planted a owl:Class ; obo:IAO_0000115 "Planted."@en .',
    "missing-label": 'stroma:Planted a owl:Class ; rdfs:label "细胞"@zh-Hans .',
    "missing-origin": 'obo:CL_0000001 a owl:Class ; rdfs:label "a cell"@en .',
    "missing-preferred-label": 'stroma:Planted a owl:Class ; skos:prefLabel "a"@en, "细"@zh-Hans .',
    "module-not-imported": f"{MODULE} a owl:Ontology .",
    "name-form": "stroma:planted_class a owl:Class .",
    "orphan-class": "stroma:Planted a owl:Class .",
    "product-as-cell": "stroma:Planted rdfs:subClassOf obo:CL_0000000, stroma:TherapeuticProduct .",
    "redundant-parent": "stroma:Planted a owl:Class ; rdfs:subClassOf stroma:Near, stroma:Far . "
    "stroma:Near rdfs:subClassOf stroma:Far .",
    "replaced-but-alive": "stroma:Planted obo:IAO_0100001 stroma:Claim .",
    "self-reference": "stroma:Planted owl:equivalentClass [ owl:intersectionOf ( stroma:Claim "
    "[ owl:onProperty stroma:asserts ; owl:someValuesFrom stroma:Planted ] ) ] .",
    "several-labels": 'stroma:Planted rdfs:label "one"@en, "two"@en .',
    "shared-abbreviation": 'stroma:Before stroma:abbreviation "RF"@en . '
    'stroma:Planted stroma:abbreviation "RF"@en .',
    "shared-exact-synonym": 'stroma:Before oboInOwl:hasExactSynonym "same"@en . '
    'stroma:Planted oboInOwl:hasExactSynonym "same"@en .',
    "simplified-in-traditional": 'stroma:Planted skos:prefLabel "脐带"@zh-Hant .',
    "stem-cell-misform": 'stroma:Planted skos:prefLabel "干細胞"@zh-Hant .',
    "subclass-cycle": "stroma:Planted rdfs:subClassOf stroma:B . stroma:B rdfs:subClassOf stroma:Planted .",
    "subproperty-cycle": "stroma:Planted rdfs:subPropertyOf stroma:b . "
    "stroma:b rdfs:subPropertyOf stroma:Planted .",
    "synonym-names-another-term": 'stroma:Other rdfs:label "homing"@en . '
    'stroma:Planted oboInOwl:hasExactSynonym "homing"@en .',
    "synonym-of-two-types": 'stroma:Planted oboInOwl:hasExactSynonym "x"@en ; '
    'oboInOwl:hasBroadSynonym "x"@en .',
    "synonym-repeats-label": 'stroma:Planted rdfs:label "x"@en ; oboInOwl:hasExactSynonym "x"@en .',
    "threshold-without-operator": "stroma:Planted stroma:threshold 2.6 .",
    "traditional-in-simplified": 'stroma:Planted skos:prefLabel "臍帶"@zh-Hans .',
    "two-kinds": "stroma:Planted a owl:Class, owl:NamedIndividual .",
    "undeclared-term": "stroma:Known a owl:Class ; rdfs:subClassOf stroma:Planted .",
    "unnamed-genus": "stroma:Planted a owl:Class ; rdfs:subClassOf [ owl:onProperty stroma:asserts ] .",
    "untyped-individual": "stroma:Planted a owl:NamedIndividual .",
    "untyped-synonym": 'stroma:Planted skos:altLabel "x"@en .',
    "wrong-kind": "stroma:of a owl:ObjectProperty . stroma:Planted rdfs:subClassOf stroma:of .",
    "whitespace": 'stroma:Planted obo:IAO_0000115 "Two  spaces."@en .',
}
FOUND = {
    "header": "stroma:module/planted",
    "missing-origin": "CL:0000001",
    "module-not-imported": "stroma:module/planted",
    "name-form": "stroma:planted_class",
}
EVERY = checks.read(FOLDER)

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Write a module beside a copy of the ontology, on one line after the prefixes; gives the folder."""
    shutil.copytree(ROOT / "ontology", tmp_path / "ontology")

    def write(text: str, name: str = "planted") -> Path:
        (tmp_path / "ontology" / "modules" / f"{name}.ttl").write_text(HEAD + text + "\n", "utf-8")
        return tmp_path

    return write


def failed(root: Path) -> dict[str, str]:
    return {finding.check: finding.detail for finding in check(root, None) if not finding.holds}


def test_every_check_has_a_planted_fault() -> None:
    assert {one.name for one in EVERY} == set(PLANTED)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_a_check_finds_the_fault_planted_for_it(one: checks.Check, tmp_path: Path) -> None:
    files = [tmp_path / "modules" / "planted.ttl"]
    if one.name == "declared-twice":
        files.append(tmp_path / "modules" / "elsewhere.ttl")
    files[0].parent.mkdir()
    for file in files:
        file.write_text(HEAD + PLANTED[one.name], "utf-8")
    found = checks.run(one, checks.store_of_modules(files))
    assert FOUND.get(one.name, "stroma:Planted") in {fault.term for fault in found}


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_the_ontology_passes_every_check_or_says_why_not(one: checks.Check) -> None:
    found = {fault.term for fault in checks.run(one, checks.store_of_modules(MODULES))}
    why = {term for name, term in checks.explained(FOLDER / "explained.tsv") if name == one.name}
    assert one.severity == "info" or found == why


def test_the_published_ontology_passes_too(embedded: Snapshot) -> None:
    store = checks.store_of_graph(read_lines(embedded))
    assert len(store) > 10_000
    result = checks.report(EVERY, store, checks.explained(FOLDER / "explained.tsv"), source=False)
    assert result.failed == {}
    assert result.explained > 0


def test_an_undeclared_term_is_told_with_file_line_and_way_out(plant: Plant) -> None:
    found = failed(plant("stroma:ClinicalStudy rdfs:subClassOf stroma:Clinical_Study ."))
    assert "planted.ttl, line 10: stroma:Clinical_Study" in found["source undeclared-term"]
    assert "Correct the spelling, or declare it" in found["source undeclared-term"]


def test_a_term_declared_in_two_modules_is_told_with_both_places(plant: Plant) -> None:
    told = failed(plant("stroma:Claim a owl:Class ."))["source declared-twice"]
    assert "evidence.ttl, line " in told
    assert "planted.ttl, line 10" in told
    assert "Keep the declaration in the module of its subject" in told


def test_a_name_used_for_two_terms_of_one_module_is_told_with_both_lines(plant: Plant) -> None:
    twice = 'stroma:Planted a owl:Class ; rdfs:label "one thing"@en .\n'
    told = failed(plant(twice + twice.replace("one", "another")))["source several-labels"]
    assert "planted.ttl, line 10 and planted.ttl, line 11: stroma:Planted (another thing / one thing)" in told


def test_a_wrong_language_tag_is_told_with_file_line_and_the_tags_to_use(plant: Plant) -> None:
    text = 'stroma:Planted a owl:Class ;\n    rdfs:subClassOf stroma:Claim ; skos:prefLabel "细胞"@zh-CN .'
    told = failed(plant(text))["source language-tag"]
    assert 'planted.ttl, line 10: stroma:Planted ("细胞"@zh-cn)' in told
    assert "Use en, zh-Hans or zh-Hant" in told


def test_a_cycle_is_told_with_its_terms(plant: Plant) -> None:
    told = failed(plant("stroma:Claim rdfs:subClassOf stroma:CuratedStatement ."))
    assert "stroma:Claim" in told["source subclass-cycle"]
    assert "stroma:CuratedStatement" in told["source subclass-cycle"]


@pytest.mark.parametrize(
    ("axiom", "said"),
    [
        (
            "stroma:Planted a owl:Class ; rdfs:subClassOf stroma:hasTissueSource .",
            "hasTissueSource is declared ObjectProperty",
        ),
        (
            "stroma:Planted rdfs:subClassOf [ a owl:Restriction ; owl:onProperty stroma:hasTissueSource ; "
            "owl:someValuesFrom stroma:TissueUmbilicalCord ] .",
            "TissueUmbilicalCord is declared NamedIndividual and stands where a class belongs",
        ),
        (
            "stroma:Planted owl:equivalentClass [ owl:intersectionOf ( stroma:MSCProduct "
            "[ a owl:Restriction ; owl:onProperty stroma:MSCProduct ; owl:hasValue stroma:TissueSkin ] ) ] .",
            "MSCProduct is declared Class and stands where a property belongs",
        ),
        (
            "stroma:Planted rdfs:subClassOf [ a owl:Restriction ; owl:onProperty stroma:hasTissueSource ; "
            "owl:hasValue obo:UBERON_0002331 ] .",
            "UBERON_0002331 is declared Class and stands where an individual belongs",
        ),
        ("stroma:Planted a owl:NamedIndividual , stroma:TissueSkin .", "stands where a class belongs"),
    ],
)
def test_a_term_of_the_wrong_kind_is_told_with_the_term_that_uses_it(
    plant: Plant, axiom: str, said: str
) -> None:
    found = failed(plant(axiom))["source wrong-kind"]
    assert "planted.ttl, line 10: stroma:Planted (" in found
    assert said in found
    assert "the exemplar of a class is in exemplars.ttl" in found


def test_a_public_term_needs_what_a_term_of_ours_needs(plant: Plant) -> None:
    told = failed(
        plant('obo:CL_0000001 a owl:Class ; rdfs:label "primary cell"@en ; rdfs:subClassOf obo:CL_0000000 .')
    )
    for name in ("missing-definition", "missing-definition-source", "missing-preferred-label"):
        assert "planted.ttl, line " in told[f"source {name}"]
        assert "CL:0000001" in told[f"source {name}"]


def test_an_unexplained_warning_fails_and_an_explanation_of_nothing_too(plant: Plant) -> None:
    root = plant("")
    table = root / "ontology" / "checks" / "explained.tsv"
    lines = [line for line in table.read_text("utf-8").splitlines() if "stroma:DailyLife" not in line]
    table.write_text("\n".join([*lines, "orphan-class\tstroma:Claim\tit is not one"]) + "\n", "utf-8")
    found = failed(root)
    assert "conditions.ttl, line " in found["source orphan-class"]
    assert "no longer occur: orphan-class stroma:Claim" in found["source checks"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT ?term WHERE { ?term a ?kind }", "no line `#\\+ problem"),
        (
            "#+ problem: p\n#+ solution: s\n#+ severity: grave\nSELECT ?term {}",
            "none of error, warning, info",
        ),
        ("#+ problem: p\n#+ solution: s\n#+ severity: error\nSELECT ?term WHERE {", "does not parse"),
        ("#+ problem: p\n#+ solution: s\n#+ severity: error\nASK { ?s ?p ?o }", "no SELECT of \\?term"),
    ],
)
def test_a_check_that_cannot_run_says_what_is_wrong_with_it(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "planted.rq").write_text(text, "utf-8")
    with pytest.raises(OntologyError, match=message):
        checks.run(checks.read(tmp_path)[0], checks.store_of_modules([]))


def test_a_folder_without_checks_and_an_explanation_without_a_reason_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OntologyError, match="holds no check"):
        checks.read(tmp_path)
    (tmp_path / "explained.tsv").write_text("check\tterm\twhy\norphan-class\tstroma:Claim\t\n", "utf-8")
    with pytest.raises(OntologyError, match="line 2: write check, term and why"):
        checks.explained(tmp_path / "explained.tsv")
