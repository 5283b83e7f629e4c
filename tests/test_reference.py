"""The ontology's reference: a page a term, all links lead somewhere, and the pages are the ontology's."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pyoxigraph import Quad, RdfFormat, parse

from kg.errors import OntologyError, UsageError
from kg.ontology import GRAPH, Ontology, read
from kg.reference import Written, write_reference
from kg.reference.manchester import Axioms, Piece
from kg.reference.terms import terms_of
from kg.terms import ROOT, STROMA, compress, expand


class Page(HTMLParser):
    """What a test looks at in a page: its links, the ids they may point at, its text by language."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def ontology() -> Ontology:
    return read(ROOT / "ontology")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_reference(ROOT, tmp_path_factory.mktemp("reference") / "pages")


@pytest.fixture(scope="module")
def pages(written: Written) -> dict[str, Page]:
    folder = written.folder
    return {str(path.relative_to(folder)): Page(path) for path in folder.rglob("*.html")}


def test_every_declared_term_has_a_page_by_its_local_name(ontology: Ontology, pages: dict[str, Page]) -> None:
    assert "class/UCMSCProduct.html" in pages
    assert "class/CL_0000134.html" in pages
    assert "property/hasTissueSource.html" in pages
    assert "individual/TissueUmbilicalCord.html" in pages
    own = [path for path in pages if "/" in path]
    assert len(own) == len(ontology.declared)


def test_every_link_leads_to_a_page_and_to_a_place_on_it(written: Written, pages: dict[str, Page]) -> None:
    folder = written.folder
    for name, page in pages.items():
        for link in page.links:
            path, _, place = link.partition("#")
            target = Path(os.path.normpath(folder / Path(name).parent / path)) if path else folder / name
            assert target.is_file(), f"{name} links to {link}"
            if place:
                assert place in pages[str(target.relative_to(folder))].ids, f"{name} links to {link}"


def test_no_page_needs_a_network_and_no_script_runs_but_the_search(written: Written) -> None:
    for path in written.folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", text), path.name
        scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
        hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
        assert re.findall(r"'sha256-([^']+)'", text) == hashes, path.name
        assert bool(scripts) == (path.name == "search.html")


def test_a_term_page_says_what_the_ontology_says(pages: dict[str, Page]) -> None:
    text = pages["class/UCMSCProduct.html"].text
    assert "umbilical cord MSC product" in text
    assert "脐带间充质干细胞制剂" in text
    assert "臍帶間質幹細胞製劑" in text
    assert "Equivalent to MSC product and ( has tissue source some umbilical cord )" in text
    assert "perinatal-tissue MSC product inferred" in text
    assert "Wharton's jelly MSC product inferred" in text  # a child by part of, stated nowhere


def test_a_class_shows_what_its_data_must_have_and_a_property_of_what(pages: dict[str, Page]) -> None:
    assert "administers" in pages["class/InterventionRegimen.html"].text
    assert "intervention regimen" in pages["property/doseAmount.html"].text


def test_a_public_class_shows_its_exemplar(pages: dict[str, Page]) -> None:
    assert "../individual/TissueUmbilicalCord.html" in pages["class/UBERON_0002331.html"].links


def test_a_term_names_the_questions_that_use_it(pages: dict[str, Page]) -> None:
    assert "../questions.html#mechanisms-and-targets" in pages["class/MSCMechanismOfAction.html"].links


def test_every_term_is_in_the_alphabet_of_each_language_it_has_a_label_in(
    ontology: Ontology, pages: dict[str, Page]
) -> None:
    ours = [term for term in ontology.declared if term.value.startswith(STROMA("").value)]
    for language in ("en", "zh-Hans", "zh-Hant"):
        linked = {link.split("/")[-1] for link in pages[f"a-z.{language}.html"].links if "/" in link}
        missing = [t for t in ours if f"{compress(t.value).removeprefix('stroma:')}.html" not in linked]
        assert missing == []


def test_the_pages_are_the_same_whatever_the_hash_seed(written: Written, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from kg.reference import write_reference; "
        "from kg.terms import ROOT; write_reference(ROOT, Path(sys.argv[1]))"
    )
    again = tmp_path / "again"
    subprocess.run(
        [sys.executable, "-c", program, str(again)],
        cwd=ROOT, check=True, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert _digests(again) == _digests(written.folder)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_folder_with_other_files_is_left_alone_and_an_earlier_reference_replaced(tmp_path: Path) -> None:
    foreign = tmp_path / "notes"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match=r"notes: holds something other than a reference"):
        write_reference(ROOT, foreign)
    assert (foreign / "mine.txt").read_text() == "kept"

    before = tmp_path / "reference"
    before.mkdir()
    (before / "index.html").write_text('<meta name="generator" content="stroma-reference">')
    (before / "gone.html").write_text("a term that was renamed")
    write_reference(ROOT, before)
    assert not (before / "gone.html").exists()


def test_two_terms_that_differ_only_in_case_are_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for room in ("ontology", "queries", "docs/diagrams"):
        shutil.copytree(ROOT / room, root / room)
    module = root / "ontology" / "modules" / "cells.ttl"
    module.write_text(
        f'{module.read_text(encoding="utf-8")}\nstroma:ucMSCProduct a owl:Class ; rdfs:label "twin"@en .\n',
        encoding="utf-8",
    )
    with pytest.raises(OntologyError, match=r"ucMSCProduct.*UCMSCProduct|UCMSCProduct.*ucMSCProduct"):
        write_reference(root, tmp_path / "pages")


# --------------------------------------------------------------------------------------- Manchester

Written_ = Callable[[str, str], list[str]]


@pytest.fixture
def manchester() -> Written_:
    """The axioms of a term in some Turtle, as text."""

    def text(turtle: str, term: str) -> list[str]:
        names = ("stroma", "owl", "rdfs", "xsd")
        header = "".join(f"@prefix {name}: <{expand(name + ':').value}> .\n" for name in names)
        quads = [
            Quad(q.subject, q.predicate, q.object, GRAPH) for q in parse(header + turtle, RdfFormat.TURTLE)
        ]
        return [f"{frame}: {_text(pieces)}" for frame, pieces in Axioms(quads).about(expand(term))]

    return text


def _text(pieces: tuple[Piece, ...]) -> str:
    return "".join(p if isinstance(p, str) else compress(p.value).split(":")[1] for p in pieces)


@pytest.mark.parametrize(
    ("turtle", "expected"),
    [
        ("stroma:A rdfs:subClassOf [ a owl:Restriction ; owl:onProperty stroma:p ; "
         "owl:someValuesFrom stroma:B ] .", "Subclass of: p some B"),
        ("stroma:A rdfs:subClassOf [ a owl:Restriction ; owl:onProperty stroma:p ; owl:allValuesFrom "
         "[ owl:unionOf ( stroma:B stroma:C ) ] ] .", "Subclass of: p only (B or C)"),
        ("stroma:A owl:equivalentClass [ owl:intersectionOf ( stroma:B [ owl:complementOf stroma:C ] ) ] .",
         "Equivalent to: B and (not C)"),
        ("stroma:A rdfs:subClassOf [ a owl:Restriction ; owl:onProperty stroma:p ; owl:onClass stroma:B ; "
         "owl:minQualifiedCardinality 2 ] .", "Subclass of: p min 2 B"),
        ("stroma:A owl:equivalentClass [ owl:oneOf ( stroma:x stroma:y ) ] .", "Equivalent to: {x, y}"),
        ("stroma:A owl:propertyChainAxiom ( stroma:p stroma:q ) .", "Follows from the chain: p o q"),
        ("stroma:A a owl:TransitiveProperty .", "Characteristic: transitive"),
        ("stroma:B owl:disjointWith stroma:A .", "Disjoint with: B"),
        ("[] a owl:AllDisjointClasses ; owl:members ( stroma:A stroma:B ) .", "Disjoint with: B"),
        ("stroma:A rdfs:subClassOf [ a owl:Restriction ; owl:onProperty stroma:v ; owl:someValuesFrom "
         "[ owl:onDatatype xsd:decimal ; owl:withRestrictions ( [ xsd:minExclusive 5.1 ] ) ] ] .",
         "Subclass of: v some xsd:decimal[> 5.1]"),
    ],
)  # fmt: skip
def test_an_axiom_reads_as_manchester(manchester: Written_, turtle: str, expected: str) -> None:
    assert manchester(turtle, "stroma:A") == [expected]


def test_the_terms_of_a_query_are_those_in_its_patterns() -> None:
    query = (
        "# not rdfs:comment\nPREFIX s: <https://w3id.org/stroma/ontology/>\nSELECT ?x {\n"
        '?x s:hasArm <https://w3id.org/stroma/ontology/B> . FILTER(?x != "s:nothing") }'
    )
    assert {compress(term.value) for term in terms_of(query)} == {"stroma:hasArm", "stroma:B"}
