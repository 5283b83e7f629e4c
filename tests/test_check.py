"""`kg check` sees each fault it is there for, and one that fails does not stop the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kg import ontology as ontologies
from kg import reasoning
from kg.check import Finding, check
from kg.errors import OntologyError
from kg.terms import ROOT

PREFIXES = (
    "@prefix stroma: <https://w3id.org/stroma/ontology/> . @prefix owl: <http://www.w3.org/2002/07/owl#> . "
    "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . "
)
IMPOSSIBLE = """
    stroma:PlantedClass a owl:Class ; rdfs:subClassOf stroma:CellTherapyProduct, stroma:TrialArm .
    stroma:CellTherapyProduct owl:disjointWith stroma:TrialArm .
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the ontology, to be spoilt."""
    shutil.copytree(ROOT / "ontology", tmp_path / "ontology")
    return tmp_path


def failed(root: Path) -> dict[str, str]:
    return {finding.check: finding.detail for finding in check(root, None) if not finding.holds}


def test_the_ontology_as_it_is_holds(root: Path) -> None:
    findings = list(check(root, None))
    assert [finding.check for finding in findings] == [
        "syntax",
        "coverage",
        "source checks",
        "consistency",
        "shapes",
    ]
    assert [finding for finding in findings if not finding.holds] == []
    assert "not checked" in findings[-1].detail


def test_a_syntax_error_is_told_with_file_and_line(root: Path) -> None:
    (root / "ontology" / "modules" / "planted.ttl").write_text(PREFIXES + "\nstroma:A a owl:Class", "utf-8")
    (finding,) = check(root, None)
    assert not finding.holds
    assert "planted.ttl, line 2" in finding.detail


def test_an_impossible_class_without_a_definition_fails_several_checks(root: Path) -> None:
    (root / "ontology" / "modules" / "planted.ttl").write_text(PREFIXES + IMPOSSIBLE, "utf-8")
    found = failed(root)
    assert "consistency" in found
    assert "planted.ttl, line 2: stroma:PlantedClass" in found["source missing-definition"]
    assert "stroma:PlantedClass (zh-Hant)" in found["source missing-preferred-label"]
    assert "stroma:PlantedClass" in found["consistency"]


# kind of the list -> what is planted on line 2; check that fails; file and line, term, way out.
# The seventh, a mapping to an obsolete or unknown id, is in test_mappings.py (`FALSE`).
BAD = {
    "syntax error": (
        "stroma:Planted a owl:Class rdfs:label 'no semicolon' .",
        "syntax",
        ("planted.ttl, line 2", "column", "A dot is expected"),
    ),
    "undeclared term": (
        "stroma:UCMSCProduct rdfs:subClassOf stroma:NoSuchClass .",
        "source undeclared-term",
        ("planted.ttl, line 2", "stroma:NoSuchClass", "Correct the spelling, or declare it"),
    ),
    "cycle": (
        "stroma:Claim rdfs:subClassOf stroma:CuratedStatement .",
        "source subclass-cycle",
        (
            "evidence.ttl, line ",
            "stroma:CuratedStatement",
            "Take one of the subclass axioms of the cycle out",
        ),
    ),
    "unsatisfiable class": (
        "stroma:Planted a owl:Class ; rdfs:subClassOf stroma:CellTherapyProduct , stroma:CellFreeProduct .",
        "consistency",
        ("planted.ttl, line 2", "stroma:Planted", "Correct one of these axioms"),
    ),
    "duplicate IRI": (
        "stroma:Claim a owl:Class .",
        "source declared-twice",
        ("planted.ttl, line 2", "stroma:Claim", "Keep the declaration in the module of its subject"),
    ),
    "wrong language tag": (
        'stroma:Planted a owl:Class ; rdfs:label "planted"@zh-CN .',
        "source language-tag",
        ("planted.ttl, line 2", "stroma:Planted", "zh-Hans"),
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_with_file_and_line_term_and_the_way_out(root: Path, kind: str) -> None:
    text, name, said = BAD[kind]
    (root / "ontology" / "modules" / "planted.ttl").write_text(f"{PREFIXES}\n{text}\n", "utf-8")
    found = failed(root)[name]
    for part in said:
        assert part in found, f"{part!r} is not in: {found}"


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("stroma:UCMSCProduct", "stroma:WhartonJellyMSCProduct"),
        ("stroma:MSCProduct", "stroma:UCMSCProduct"),
    ],
)
def test_a_cycle_of_subclasses_through_definitions_fails_with_both_terms_and_their_places(
    root: Path, lower: str, upper: str
) -> None:
    modules = root / "ontology" / "modules"
    (modules / "planted.ttl").write_text(f"{PREFIXES}\n{lower} rdfs:subClassOf {upper} .\n", "utf-8")
    found = failed(root)["consistency"]
    declared = (modules / "cells.ttl").read_text("utf-8").splitlines()
    for term in (lower, upper):
        assert f"cells.ttl, line {declared.index(f'{term} a owl:Class ;') + 1}: {term}" in found
    assert f"every {lower} is {upper}" in found
    assert "Take one of these axioms out" in found
    with pytest.raises(OntologyError, match="subclasses of each other"):  # what the build calls
        reasoning.inferred_quads(ontologies.read(root / "ontology"), (), root / "ontology" / "rules")


def test_two_names_stated_equivalent_are_no_cycle(root: Path) -> None:
    planted = "\nstroma:UCMSCProduct owl:equivalentClass stroma:WhartonJellyMSCProduct .\n"
    (root / "ontology" / "modules" / "planted.ttl").write_text(PREFIXES + planted, "utf-8")
    assert "consistency" not in failed(root)


def test_axioms_beyond_el_are_named_with_their_places(root: Path) -> None:
    (consistency,) = (finding for finding in check(root, None) if finding.check == "consistency")
    assert "set aside as beyond EL: 2 (dl.ttl, line " in consistency.detail
    assert ": stroma:HighMeanDiseaseActivityBaseline owl:equivalentClass" in consistency.detail


def test_hermit_is_asked_when_wanted(root: Path) -> None:
    referee = next(finding for finding in check(root, None, hermit=True) if finding.check == "HermiT")
    assert isinstance(referee, Finding)
    assert referee.holds, referee.detail
    assert "no unsatisfiable class" in referee.detail
