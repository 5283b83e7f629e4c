"""The loader of public terms: what it reads from four syntaxes, and how damage is refused."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import BadValue, SourceError, UnknownValue
from kg.terms import OWL, RDF, RDFS, ROOT, SKOS, compress, expand
from loaders import catalog
from loaders.obo import embedded
from loaders.obo.formats import iri
from loaders.obo.loader import wanted
from loaders.tables import rows

TERMS = catalog.FOLDER / "obo" / "records" / "terms.tsv"

# Stanzas in the form of cl-basic; the umbilical cord cell hangs on CL:0000134 by a term nobody wants.
OBO = """format-version: 1.2
ontology: cl

[Term]
id: CL:0000134
name: mesenchymal stem cell
def: "A \\"stem\\" cell." [GOC:x]
synonym: "mesenchymal stromal cell" EXACT [] {a="b"}
synonym: "MSC" RELATED []
xref: BTO:0003298
is_a: CL:0000048 ! multi fate stem cell

[Term]
id: CL:9999999
name: a step between
is_a: CL:0000134 ! mesenchymal stem cell

[Term]
id: CL:0002569
name: mesenchymal stem cell of umbilical cord
is_a: CL:9999999 ! a step between
relationship: part_of UBERON:0002331 ! umbilical cord

[Term]
id: CL:0000010
name: obsolete cultured cell
is_obsolete: true
replaced_by: CL:0000578

[Typedef]
id: RO:0002202
name: develops from
"""

RDF_XML = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
         xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
         xmlns:owl="http://www.w3.org/2002/07/owl#"
         xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#">
  <owl:Class rdf:about="http://purl.obolibrary.org/obo/CL_0002569">
    <rdfs:label>mesenchymal stem cell of umbilical cord</rdfs:label>
    <oboInOwl:hasExactSynonym>UC-MSC</oboInOwl:hasExactSynonym>
    <rdfs:subClassOf rdf:resource="http://purl.obolibrary.org/obo/CL_0000134"/>
    <rdfs:subClassOf>
      <owl:Restriction>
        <owl:onProperty rdf:resource="http://purl.obolibrary.org/obo/BFO_0000050"/>
        <owl:someValuesFrom rdf:resource="http://purl.obolibrary.org/obo/UBERON_0002331"/>
      </owl:Restriction>
    </rdfs:subClassOf>
  </owl:Class>
</rdf:RDF>
"""

OWL_XML = """<?xml version="1.0"?>
<Ontology xmlns="http://www.w3.org/2002/07/owl#" ontologyIRI="http://example.org/cto">
  <Prefix name="obo" IRI="http://purl.obolibrary.org/obo/"/>
  <Prefix name="rdfs" IRI="http://www.w3.org/2000/01/rdf-schema#"/>
  <Declaration><Class abbreviatedIRI="obo:CTO_0000220"/></Declaration>
  <Declaration><Class abbreviatedIRI="obo:NCIT_C98388"/></Declaration>
  <SubClassOf><Class abbreviatedIRI="obo:CTO_0000220"/><Class abbreviatedIRI="obo:NCIT_C98388"/></SubClassOf>
  <AnnotationAssertion>
    <AnnotationProperty abbreviatedIRI="rdfs:label"/>
    <AbbreviatedIRI>obo:CTO_0000220</AbbreviatedIRI>
    <Literal>clinical trial</Literal>
  </AnnotationAssertion>
</Ontology>
"""


def load(folder: Path, name: str, content: str | bytes) -> list[Quad]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(catalog.load("obo", [path]).quads)


def said(quads: list[Quad], subject: str, predicate: str) -> list[str]:
    """What is said of a term, as CURIEs or plain text, sorted."""
    objects = [q.object for q in quads if q.subject == expand(subject) and q.predicate == expand(predicate)]
    texts = [thing.value for thing in objects if isinstance(thing, Literal)]
    return sorted(texts + [compress(thing.value) for thing in objects if isinstance(thing, NamedNode)])


def test_an_obo_term_keeps_label_synonyms_definition_and_whole(tmp_path: Path) -> None:
    quads = load(tmp_path, "cl.obo", OBO)
    assert said(quads, "CL:0000134", "rdfs:label") == ["mesenchymal stem cell"]
    assert said(quads, "CL:0000134", "oboInOwl:hasExactSynonym") == ["mesenchymal stromal cell"]
    assert said(quads, "CL:0000134", "oboInOwl:hasRelatedSynonym") == ["MSC"]
    assert said(quads, "CL:0000134", "IAO:0000115") == ['A "stem" cell.']
    assert said(quads, "CL:0002569", "BFO:0000050") == ["UBERON:0002331"]
    assert said(quads, "RO:0002202", "rdf:type") == ["owl:ObjectProperty"]


def test_parents_are_the_nearest_ancestors_that_are_wanted(tmp_path: Path) -> None:
    quads = load(tmp_path, "cl.obo", OBO)
    assert said(quads, "CL:0002569", "rdfs:subClassOf") == ["CL:0000134"]
    assert said(quads, "CL:9999999", "rdfs:label") == []


def test_an_obsolete_term_says_so_and_what_replaced_it(tmp_path: Path) -> None:
    quads = load(tmp_path, "cl.obo", OBO)
    assert said(quads, "CL:0000010", "owl:deprecated") == ["true"]
    assert said(quads, "CL:0000010", "IAO:0100001") == ["CL:0000578"]


@pytest.mark.parametrize("name", ["osci_2018.obo", "clo.obo", "cl2.owl"])
def test_only_its_own_ontology_says_where_a_term_stands(tmp_path: Path, name: str) -> None:
    quads = load(tmp_path, name, OBO if name.endswith("obo") else RDF_XML)
    own = name.startswith("cl2")
    assert said(quads, "CL:0002569", "rdfs:label") == ["mesenchymal stem cell of umbilical cord"]
    assert said(quads, "CL:0002569", "rdfs:subClassOf") == ["CL:0000134"] * own
    assert said(quads, "CL:0002569", "BFO:0000050") == ["UBERON:0002331"] * own
    assert said(quads, "CL:0000010", "owl:deprecated") == []


@pytest.mark.parametrize(("name", "content"), [("cl.obo", OBO), ("cl.owl", RDF_XML)])
def test_obo_and_owl_say_the_same_of_a_term(tmp_path: Path, name: str, content: str) -> None:
    quads = load(tmp_path, name, content)
    term = "CL:0002569"
    assert said(quads, term, "rdfs:label") == ["mesenchymal stem cell of umbilical cord"]
    assert said(quads, term, "rdfs:subClassOf") == ["CL:0000134"]
    assert said(quads, term, "BFO:0000050") == ["UBERON:0002331"]


def test_owl_xml_which_rdf_parsers_cannot_read_is_read(tmp_path: Path) -> None:
    quads = load(tmp_path, "cto.owl", OWL_XML.replace("example.org/cto", "purl.obolibrary.org/obo/cto.owl"))
    assert said(quads, "CTO:0000220", "rdfs:label") == ["clinical trial"]
    assert said(quads, "CTO:0000220", "rdfs:subClassOf") == ["NCIT:C98388"]


def test_a_mapping_table_gives_matches_of_wanted_terms_only(tmp_path: Path) -> None:
    head = "subject_id\tsubject_label\tpredicate_id\tobject_id\tobject_label\tmapping_justification\n"
    row = "MONDO:0008383\trheumatoid arthritis\tskos:exactMatch\tDOID:7148\trheumatoid arthritis\tx\n"
    quads = load(tmp_path, "mondo.sssom.tsv", head + row + row.replace("0008383", "0000001"))
    ra = expand("MONDO:0008383")
    assert [(q.subject, q.predicate) for q in quads] == [(ra, SKOS.exactMatch)]
    with pytest.raises(UnknownValue, match="field predicate_id"):
        load(tmp_path, "mondo.sssom.tsv", head + row.replace("exactMatch", "sortOfMatch"))


def test_the_embedded_table_holds_every_wanted_term_with_a_label() -> None:
    part = catalog.load("obo")
    quads = list(part.quads)
    assert part.account.records == len(wanted())
    assert part.account.unread == Counter()
    types = {q.subject: q.object for q in quads if q.predicate == RDF.type}
    assert len(types) == len(wanted())
    assert set(types.values()) == {OWL.Class, OWL.ObjectProperty, OWL.AnnotationProperty}
    labels = {q.subject for q in quads if q.predicate == RDFS.label}
    assert labels == {q.subject for q in quads}
    assert OWL.deprecated not in {q.predicate for q in quads}


def test_embedded_labels_are_those_of_the_files_they_were_seen_in(shared: Path) -> None:
    files = {path.name: path for path in (shared / "data" / "ontologies").iterdir()}
    shown = {row.fields["id"]: row.fields for row in rows(TERMS, source="obo")}
    used = sorted({fields["seen_in"] for fields in shown.values()} & files.keys())
    assert len(used) >= 15
    checked = 0
    for name in used:
        quads = list(catalog.load("obo", [files[name]]).quads)
        obsolete = {q.subject for q in quads if q.predicate == OWL.deprecated}
        labels = {(q.subject, q.object) for q in quads if q.predicate == RDFS.label}
        for curie, fields in shown.items():
            if fields["seen_in"] == name:
                assert (iri(curie), Literal(fields["name"], language="en")) in labels
                assert iri(curie) not in obsolete
                checked += 1
    assert checked >= 300


def test_the_embedded_table_is_what_its_command_writes(shared: Path) -> None:
    folder = shared / "data" / "ontologies"
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".tsv"]
    assert embedded.table(files) == TERMS.read_text(encoding="utf-8")


def test_a_public_term_of_a_module_gets_its_line_and_its_row(shared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for room in ("kg", "loaders", "ontology"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    folder = tmp_path / "ontologies"
    folder.mkdir()
    file = "uberon-efo-slim_2026-04-01.obo"
    shutil.copy(shared / "data" / "ontologies" / file, folder)

    def imports(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "kg", "imports", *arguments], cwd=copy, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(copy)},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    assert imports() == (0, "every public term is listed and embedded\n")
    module = copy / "ontology" / "modules" / "imports-biology.ttl"
    text = module.read_text(encoding="utf-8")
    stub = f'\nobo:UBERON_0001828 a owl:Class ; rdfs:label "gingiva"@en ; stroma:importedFrom "{file}" .\n'

    module.write_text(text + stub.replace("0001828", "0001829"), encoding="utf-8")
    code, said = imports("--against", str(folder))
    assert code == 3
    assert "UBERON:0001829 called 'gingiva' (there: " in said
    assert "UBERON:0001828 'gingiva'" in said
    module.write_text(text + stub.replace(file, "uberon-efo-slim_2029.obo"), encoding="utf-8")
    code, said = imports("--against", str(folder))
    assert code == 3
    assert "file imports-biology.ttl, record UBERON:0001828, field stroma:importedFrom" in said
    assert f"is called uberon-efo-slim_2029.obo (of uberon: {file})" in said
    module.write_text(text + stub, encoding="utf-8")
    assert "UBERON:0001828 is not listed in ontology/imports/uberon.txt" in imports()[1]
    # One file only: the rows of all other terms stay as they are.
    assert imports("--against", str(folder)) == (
        0,
        f"ontology/imports/uberon.txt: + UBERON:0001828  # gingiva [{file}]\n"
        f"loaders/obo/records/terms.tsv: + UBERON:0001828\tclass\tgingiva\t\t\t{file}\n"
        "every public term is listed and embedded\n",
    )


def test_all_ontology_files_are_read_with_every_field_accounted(shared: Path) -> None:
    files = sorted((shared / "data" / "ontologies").iterdir())
    part = catalog.load("obo", files)
    quads = list(part.quads)
    assert len(files) == 21
    assert part.account.unread == Counter()
    assert "mesenchymal stromal cell" in said(quads, "CL:0000134", "oboInOwl:hasRelatedSynonym")
    assert "UBERON:0002217" in said(quads, "CL:0000214", "BFO:0000050")
    assert "GO:0005575" not in said(quads, "CL:0000000", "rdfs:subClassOf")  # so says OSCI's copy of CL


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("cl.obo", OBO[:-10], SourceError, r"cl\.obo:\d+: the file is cut off"),
        ("cl.owl", RDF_XML[:-40], SourceError, r"cl\.owl: the file is cut off"),
        # Between two elements, where pyoxigraph's parser sees nothing wrong.
        ("cl.owl", RDF_XML[: RDF_XML.index("</rdf:RDF>")], SourceError, r"cl\.owl: the file is cut off"),
        ("cto.owl", OWL_XML[:-40], SourceError, r"cto\.owl: the file is cut off"),
        ("cl.owl", RDF_XML.replace("</rdfs:label>", ""), SourceError, r"cl\.owl.*: does not parse"),
        ("cto.owl", OWL_XML.replace("<Class abb", "<Klass abb"), SourceError, r"cto\.owl: does not parse"),
        ("cl.obo.gz", gzip.compress(OBO.encode())[:-30], SourceError, r"cl\.obo\.gz: the file is cut off"),
        ("cl.obo", OBO.replace("mese", "mése").encode("latin-1"), SourceError, "is not UTF-8: byte 0xe9"),
        ("cl.obo", OBO.replace("name: mesenchymal stem cell\n", ""), SourceError,
         r"cl\.obo:4, record CL:0000134, field name: the term has no label"),
        ("cl.owl", RDF_XML.replace("rdfs:label>", "rdfs:comment>"), SourceError,
         r"cl\.owl, record CL:0002569, field name: the term has no label"),
        ("cl.obo", OBO + OBO[OBO.index("[Term]"):], SourceError,
         r"record CL:0000134 of cl\.obo.*also stands in"),
        ("cl.obo", OBO.replace('" EXACT', '" NEARLY'), UnknownValue,
         r"record CL:0000134 of cl\.obo, field synonym\[\]\.scope, value 'NEARLY'"),
        ("cl.obo", OBO.replace("id: CL:0000134", "name: nameless"), SourceError,
         r"cl\.obo:4: a stanza has no id"),
        ("cl.obo", OBO.replace("xref: BTO:0003298", "what is this"), SourceError,
         r"cl\.obo:10, record CL:0000134, value 'what is this'"),
        ("terms.tsv", "id\tname\nCL:0000134\tx\n", SourceError, "no table known"),
        ("terms.tsv", "id\tkind\tname\tis_a\nCL:0000134\tthing\tx\t\n", UnknownValue,
         r"terms\.tsv:2.*field kind"),
        ("terms.tsv", "id\tkind\tname\tis_a\nCL:0000134\tclass\t\t\n", SourceError,
         r"record CL:0000134, field name"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, error: type[SourceError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        load(tmp_path, name, content)
    assert caught.value.source == "obo"


@pytest.mark.parametrize(
    ("name", "content", "at"),
    [("cl.obo", OBO, "stromal"), ("cl.owl", RDF_XML, "UC-MSC"), ("cto.owl", OWL_XML, "clinical trial")],
)
def test_a_field_of_a_hundred_megabytes_is_refused_by_name(
    tmp_path: Path, name: str, content: str, at: str
) -> None:
    size = 100_000_000 if name.endswith(".obo") else 10_000_001  # the XML parsers hold a text whole
    with pytest.raises(BadValue, match=r"record (CL|CTO):\d+, field .*longer than 10,000,000"):
        load(tmp_path, name, content.replace(at, "x" * size, 1))
