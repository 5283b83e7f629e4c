"""docs/examples.md and the diagrams are true: what they state the graph states, what they ask it answers."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pyoxigraph import Quad, QueryResultsFormat, RdfFormat, Store, parse

from kg.errors import OntologyError
from kg.reference import draw_all, read_pictures
from kg.reference.pictures import Picture
from kg.snapshot import Snapshot, load_store
from kg.terms import ROOT, mint

PAGE = ROOT / "docs" / "examples.md"
DIAGRAMS = ROOT / "docs" / "diagrams"
SECTIONS = {
    text.partition("\n")[0]: text
    for text in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
}
PICTURES = read_pictures(DIAGRAMS)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    return load_store(embedded)


@pytest.fixture(scope="module")
def quads(store: Store) -> list[Quad]:
    return list(store)


def _block(section: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.S | re.M)
    assert len(found) == 1, f"{section} needs one {language} block"
    return str(found[0])


@pytest.mark.parametrize("section", SECTIONS)
def test_every_statement_of_an_example_stands_in_the_graph(section: str, store: Store) -> None:
    lines = _block(section, "turtle")
    for triple in parse(lines, format=RdfFormat.TURTLE):
        found = list(store.quads_for_pattern(triple.subject, triple.predicate, triple.object))
        assert found, f"{section}: {triple}"


@pytest.mark.parametrize("section", SECTIONS)
def test_what_an_example_marks_as_inferred_is_inferred_and_nothing_else(section: str, store: Store) -> None:
    parsed = parse(_block(section, "turtle"), format=RdfFormat.TURTLE)
    inferred = {
        triple.predicate.value.rpartition("/")[2]
        for triple in parsed
        if all(
            quad.graph_name.value.startswith(mint("graph", "inferred").value)  # type: ignore[union-attr]
            for quad in store.quads_for_pattern(triple.subject, triple.predicate, triple.object)
        )
    }
    marked = re.findall(r"# (?:inferred|read off)", _block(section, "turtle"))
    assert bool(inferred) == bool(marked), f"{section}: {inferred}"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_question_gets_the_answer_shown(section: str, store: Store) -> None:
    results = store.query(_block(section, "sparql"), use_default_graph_as_union=True)
    text = results.serialize(format=QueryResultsFormat.CSV)  # type: ignore[union-attr]
    assert text is not None
    given = list(csv.reader(io.StringIO(text.decode())))
    shown = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in SECTIONS[section].splitlines()
        if line.startswith("| ")
    ]
    assert [[cell.strip() for cell in row] for row in given] == shown


def test_every_pattern_has_a_diagram_and_every_diagram_an_example() -> None:
    embedded = re.findall(r"\]\(diagrams/([\w-]+)\.svg\)", PAGE.read_text(encoding="utf-8"))
    assert sorted(embedded) == [picture.name for picture in PICTURES]
    assert len(embedded) == len(SECTIONS)


# ----------------------------------------------------------------------------------------- diagrams


def test_drawing_again_gives_the_same_bytes(quads: list[Quad]) -> None:
    for file, text in draw_all(PICTURES, quads).items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: run `kg ontology diagrams`"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_diagram_says_in_words_what_it_shows(picture: Picture) -> None:
    root = ElementTree.parse(picture.file).getroot()
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text == picture.title
    assert description is not None
    assert description.text is not None
    assert description.text.startswith(picture.description)
    assert description.text.count(" – ") >= 2 * len(picture.edges)
    assert root.get("role") == "img"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_no_two_boxes_of_a_diagram_overlap(picture: Picture) -> None:
    root = ElementTree.parse(picture.file).getroot()
    boxes = [
        tuple(float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class", "").startswith("box")
    ]
    for number, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[number + 1 :]:
            apart = x + width < x2 or x2 + width2 < x or y + height < y2 or y2 + height2 < y
            assert apart, f"{picture.name}: boxes at {x},{y} and {x2},{y2}"


def test_an_edge_that_no_graph_states_is_refused_by_name(tmp_path: Path, quads: list[Quad]) -> None:
    (tmp_path / "wrong.toml").write_text(
        'title = "Wrong"\ndescription = "Cord blood is of the cord."\n'
        'edges = ["product stroma:hasTissueSource tissue"]\n[boxes]\n'
        'product = {term = "product:ucb-msc", at = [0, 0]}\n'
        'tissue = {term = "stroma:TissueUmbilicalCord", at = [300, 0]}\n'
    )
    with pytest.raises(OntologyError, match=r"wrong.toml: no graph states <product:ucb-msc stroma:hasTissue"):
        draw_all(read_pictures(tmp_path), quads)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "wrong.toml: does not read as a picture"),
        ('title = "T"\n', "wrong.toml: does not read as a picture: 'edges'|'boxes'"),
        (
            'title = "T"\ndescription = ""\nedges = ["a stroma:hasArm b"]\n[boxes]\n',
            "the box 'a', which is not in",
        ),
    ],
)
def test_a_faulty_declaration_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(OntologyError, match=message):
        read_pictures(tmp_path)
