"""SHACL: what breaks a shape is found, named as the source wrote it, and quickly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Quad

from kg import validation
from kg.errors import OntologyError
from kg.snapshot import line_of
from kg.terms import RDF, RDFS, ROOT, STROMA, XSD, mint
from kg.validation import Violation, looks_beyond
from kg.validation import validate as validate_lines

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


def validate(
    quads: list[Quad], shapes: Path, *, at_once: int = 100_000, processes: int = 1
) -> list[Violation]:
    lines = sorted(map(line_of, quads))
    return validate_lines(lambda: lines, shapes, at_once=at_once, processes=processes)


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


INVERSE = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix stroma: <https://w3id.org/stroma/ontology/> .
stroma:ArmShape a sh:NodeShape ; sh:targetClass stroma:TrialArm ;
  sh:property [ sh:path [ sh:inversePath stroma:hasArm ] ; sh:minCount 1 ; sh:message "is of no trial"@en ] .
stroma:TrialShape a sh:NodeShape ; sh:targetSubjectsOf stroma:hasArm ;
  sh:property [ sh:path stroma:acronym ; sh:minCount 1 ; sh:message "has no acronym"@en ] .
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
    trial = mint("trial", "NCT1")
    data.append(Quad(trial, STROMA.hasArm, arm, GRAPH))
    data.append(Quad(trial, STROMA.acronym, Literal("MSC-RA"), GRAPH))
    data.append(Quad(STROMA.TrialArm, RDFS.subClassOf, STROMA.Group, mint("graph", "ontology")))
    for n in range(200):
        data += observation(n, group=n % 50 != 0, percentage="12.0" if n % 20 else "112")
    found = validate(data, shapes)

    assert len(found) == 14 + (more == INVERSE)  # 4 without a group, 10 above 100 %; one arm without trial
    assert [found] * 3 == [validate(data, shapes, at_once=size) for size in (1, 20, 100)]
    assert found == validate(data, shapes, at_once=20, processes=2)
    assert bool(looks_beyond(shapes)) == (more == NEIGHBOUR)


def test_what_an_inverse_path_misses_is_told_with_that_path(shapes: Path) -> None:
    (shapes / "more.ttl").write_text(INVERSE, encoding="utf-8")

    (found,) = validate([Quad(mint("arm", "NCT2", 1), RDF.type, STROMA.TrialArm, GRAPH)], shapes)

    assert found.path == "^stroma:hasArm"


def test_no_shape_of_ours_needs_the_whole_graph_in_memory() -> None:
    # One that does has every build read all quads at once: 20 GB at the size of the registry.
    assert looks_beyond(ROOT / "ontology" / "shapes") == []


def test_warnings_never_hide_what_stops_a_build(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MOST", 3)
    data = [q for n in range(20) for q in observation(n, numberAffected="70", sampleSize="69")]
    data += observation(99, group=False)

    found = [validate(data, shapes, at_once=size) for size in (5, 10_000)]

    assert found[0] == found[1]
    assert [violation.severity for violation in found[0]] == ["Violation", "Warning", "Warning", "Warning"]


PEAK = """
import resource, sys
from pathlib import Path
from kg import validation
validation._RUN = 1_000
line = b"<https://w3id.org/stroma/%s/%07d> <%s> %s <https://w3id.org/stroma/graph/x> .\\n"
word = b"https://w3id.org/stroma/ontology/"
kind = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
def lines():
    for n in range(int(sys.argv[2])):
        yield line % (b"arm", n, word + b"size", b'"%d"' % n)
        yield line % (b"arm", n, kind, b"<" + word + b"TrialArm>")
    for n in range(int(sys.argv[2])):
        if n % 1_000:
            yield line % (b"trial", n, word + b"acronym", b'"MSC-RA"')
        yield line % (b"trial", n, word + b"hasArm", b"<https://w3id.org/stroma/arm/%07d>" % n)
found = validation.validate(lines, Path(sys.argv[1]), at_once=5_000)
print(len(found), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_four_times_the_quads_need_no_more_memory(shapes: Path) -> None:
    (shapes / "more.ttl").write_text(INVERSE, encoding="utf-8")

    def peak(trials: int) -> int:
        command = [sys.executable, "-c", PEAK, str(shapes), str(trials)]
        ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found, kilobytes = map(int, ran.stdout.split())
        assert found == trials // 1_000  # a trial in a thousand has no acronym
        return kilobytes

    few, many = peak(20_000), peak(80_000)
    assert many < few + 6_000, (few, many)


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
