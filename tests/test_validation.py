"""SHACL: what breaks a shape is found, named as the source wrote it, and quickly."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import OntologyError
from kg.snapshot import line_of
from kg.terms import RDF, RDFS, STROMA, XSD, mint
from kg.validation import Violation, validate

GRAPH = mint("graph", "literature")
SHAPES = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix stroma: <https://w3id.org/stroma/ontology/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
stroma:ObservationShape a sh:NodeShape ;
  sh:targetClass stroma:Observation ;
  sh:property
    [ sh:path stroma:aboutGroup ; sh:minCount 1 ; sh:message "says not whom it is about"@en ] ,
    [ sh:path stroma:percentage ; sh:maxInclusive 100.0 ; sh:message "is above 100 %"@en ] ,
    [ sh:path stroma:numberAffected ; sh:lessThanOrEquals stroma:sampleSize ;
      sh:severity sh:Warning ; sh:message "counts more than the group"@en ] .
"""


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "observation.ttl").write_text(SHAPES, encoding="utf-8")
    return folder


def observation(number: int, group: bool = True, **values: str) -> list[Quad]:
    """One observation; `values` are data-model properties with their lexical form."""
    subject = mint("observation", number)
    quads = [Quad(subject, RDF.type, STROMA.Observation, GRAPH)]
    if group:
        quads.append(Quad(subject, STROMA.aboutGroup, mint("arm", "NCT1", 1), GRAPH))
    for name, value in values.items():
        kind = XSD.decimal if name == "percentage" else XSD.integer
        quads.append(Quad(subject, STROMA(name), Literal(value, datatype=kind), GRAPH))
    return quads


def test_data_that_keep_the_shapes_give_no_violation(shapes: Path) -> None:
    data = observation(1, percentage="44.9", numberAffected="31", sampleSize="69")

    assert validate(data, shapes) == []


def test_a_violation_names_thing_property_value_as_written_and_what_to_do(shapes: Path) -> None:
    data = observation(1, group=False) + observation(2, percentage="140.50")

    assert validate(data, shapes) == [
        Violation(
            "Violation",
            "stroma:ObservationShape",
            mint("observation", 1).value,
            "stroma:aboutGroup",
            "",
            "says not whom it is about",
        ),
        Violation(
            "Violation",
            "stroma:ObservationShape",
            mint("observation", 2).value,
            "stroma:percentage",
            f'"140.50"^^{XSD.decimal}',  # the store would say 140.5
            "is above 100 %",
        ),
    ]


def test_a_warning_keeps_its_severity(shapes: Path) -> None:
    found = validate(observation(1, numberAffected="70", sampleSize="69"), shapes)

    assert [violation.severity for violation in found] == ["Warning"]


def test_a_shape_of_a_class_reaches_instances_of_its_subclasses(shapes: Path) -> None:
    ontology = [
        Quad(STROMA.OutcomeObservation, RDFS.subClassOf, STROMA.Observation, mint("graph", "ontology"))
    ]
    data = [Quad(mint("observation", 1), RDF.type, STROMA.OutcomeObservation, GRAPH)]

    assert len(validate([*ontology, *data], shapes)) == 1


def test_lines_are_read_like_quads(shapes: Path) -> None:
    data = observation(1, group=False) + observation(2, percentage="101")

    assert validate(map(line_of, data), shapes) == validate(data, shapes)


INVERSE = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix stroma: <https://w3id.org/stroma/ontology/> .
stroma:ArmShape a sh:NodeShape ; sh:targetClass stroma:TrialArm ;
  sh:property [ sh:path [ sh:inversePath stroma:hasArm ] ; sh:minCount 1 ; sh:message "is of no trial"@en ] .
"""
NEIGHBOUR = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix stroma: <https://w3id.org/stroma/ontology/> .
stroma:GroupShape a sh:NodeShape ; sh:targetClass stroma:Observation ;
  sh:property [ sh:path stroma:aboutGroup ; sh:class stroma:TrialArm ; sh:message "is of no arm"@en ] .
"""


@pytest.mark.parametrize("more", ["", INVERSE, NEIGHBOUR], ids=["own", "incoming", "neighbours"])
def test_the_number_of_quads_read_at_once_changes_nothing(shapes: Path, more: str) -> None:
    (shapes / "more.ttl").write_text(more or SHAPES, encoding="utf-8")
    arm, lost = mint("arm", "NCT1", 1), mint("arm", "NCT2", 1)
    data = [Quad(arm, RDF.type, STROMA.TrialArm, GRAPH), Quad(lost, RDF.type, STROMA.TrialArm, GRAPH)]
    data.append(Quad(mint("trial", "NCT1"), STROMA.hasArm, arm, GRAPH))
    data.append(Quad(STROMA.TrialArm, RDFS.subClassOf, STROMA.Group, mint("graph", "ontology")))
    for n in range(200):
        data += observation(n, group=n % 50 != 0, percentage="12.0" if n % 20 else "112")
    found = validate(data, shapes)

    assert len(found) == 14 + (more == INVERSE)  # 4 without a group, 10 above 100 %; one arm without trial
    assert [found] * 2 == [validate(data[::-1], shapes, at_once=size) for size in (1, 100)]
    assert found == validate(data[::-1], shapes, at_once=20, processes=2)


def test_every_planted_error_among_many_observations_is_found(shapes: Path) -> None:
    data = [quad for n in range(5_000) for quad in observation(n, group=n % 500 != 0, percentage="12.0")]

    assert len(validate(data, shapes)) == 10  # 0, 500, ... 4,500


def test_shapes_that_do_not_parse_are_named(shapes: Path) -> None:
    (shapes / "arm.ttl").write_text("stroma:ArmShape a sh:NodeShape .", encoding="utf-8")

    with pytest.raises(OntologyError, match=r"arm\.ttl: .*line 1"):
        validate([], shapes)


def test_a_shape_whose_query_is_wrong_is_refused(shapes: Path) -> None:
    (shapes / "arm.ttl").write_text(
        "@prefix sh: <http://www.w3.org/ns/shacl#> .\n"
        '<urn:s> a sh:NodeShape ; sh:targetClass <urn:c> ; sh:sparql [ sh:select "SELEC ?x" ] .',
        encoding="utf-8",
    )

    with pytest.raises(OntologyError, match=r"do not compile.*arm\.ttl"):
        validate([], shapes)


def test_a_folder_without_shapes_is_refused_not_called_valid(tmp_path: Path) -> None:
    with pytest.raises(OntologyError, match="holds no shapes"):
        validate([Quad(NamedNode("urn:a"), RDF.type, NamedNode("urn:b"), GRAPH)], tmp_path)
