"""Every term of the ontology is fit to be read: labels in three languages, a definition, a source."""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph
import pytest
from rdflib import OWL, RDF, RDFS, SKOS, Graph, Literal, URIRef

from kg.terms import ROOT, STROMA, compress

FILES = [ROOT / "ontology" / "stroma.ttl", *sorted((ROOT / "ontology" / "modules").glob("*.ttl"))]
OURS = STROMA("").value
OBO = "http://purl.obolibrary.org/obo/"
DEFINITION = URIRef(OBO + "IAO_0000115")
DEFINITION_SOURCE = URIRef(OBO + "IAO_0000119")
IMPORTED_FROM = URIRef(OURS + "importedFrom")
OBO_IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
SYNONYMS = (
    URIRef(OURS + "abbreviation"),
    *(URIRef(f"{OBO_IN_OWL}has{scope}Synonym") for scope in ("Exact", "Narrow", "Broad", "Related")),
)
LANGUAGES = ["en", "zh-Hans", "zh-Hant"]
TERM_TYPES = (
    OWL.Class,
    OWL.ObjectProperty,
    OWL.DatatypeProperty,
    OWL.AnnotationProperty,
    OWL.NamedIndividual,
)
# A mapping names a term of another vocabulary without declaring it.
MAPPINGS = {SKOS.exactMatch, SKOS.closeMatch, SKOS.broadMatch, SKOS.narrowMatch, SKOS.relatedMatch}


@pytest.fixture(scope="module")
def ontology() -> Graph:
    graph = Graph()
    for file in FILES:
        graph.parse(file)
    return graph


def declared(graph: Graph) -> set[URIRef]:
    return {s for t in TERM_TYPES for s in graph.subjects(RDF.type, t) if isinstance(s, URIRef)}


def own(graph: Graph) -> list[URIRef]:
    return sorted(t for t in declared(graph) if t.startswith(OURS))


def stubs(graph: Graph) -> list[URIRef]:
    return sorted(t for t in declared(graph) if not t.startswith(OURS))


def texts(graph: Graph, term: URIRef, predicate: URIRef) -> list[Literal]:
    return [o for o in graph.objects(term, predicate) if isinstance(o, Literal)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_both_parsers_read_the_same_number_of_statements(file: Path) -> None:
    with file.open("rb") as stream:
        by_oxigraph = sum(1 for _ in pyoxigraph.parse(stream, format=pyoxigraph.RdfFormat.TURTLE))
    assert by_oxigraph == len(Graph().parse(file)) > 0


def test_the_header_imports_every_module(ontology: Graph) -> None:
    header = URIRef(OURS.rstrip("/"))
    modules = {f"{OURS}module/{file.stem}" for file in FILES[1:]}
    assert {str(o) for o in ontology.objects(header, OWL.imports)} == modules
    assert {str(s) for s in ontology.subjects(RDF.type, OWL.Ontology)} == modules | {str(header)}


def test_every_own_term_has_one_english_label(ontology: Graph) -> None:
    wrong = [t for t in own(ontology) if [o.language for o in texts(ontology, t, RDFS.label)] != ["en"]]
    assert wrong == []


def test_every_own_term_has_a_preferred_label_in_each_language(ontology: Graph) -> None:
    found = {t: sorted(o.language or "" for o in texts(ontology, t, SKOS.prefLabel)) for t in own(ontology)}
    assert {t: languages for t, languages in found.items() if languages != LANGUAGES} == {}


def test_the_english_preferred_label_is_the_label(ontology: Graph) -> None:
    for term in own(ontology):
        english = [o for o in texts(ontology, term, SKOS.prefLabel) if o.language == "en"]
        assert english == texts(ontology, term, RDFS.label), term


def test_every_own_term_has_one_definition_with_a_source(ontology: Graph) -> None:
    without = [t for t in own(ontology) if len(texts(ontology, t, DEFINITION)) != 1]
    assert without == []
    unsourced = [t for t in own(ontology) if not any(texts(ontology, t, DEFINITION_SOURCE))]
    assert unsourced == []


def test_a_definition_is_an_english_sentence_that_does_not_start_with_the_term(ontology: Graph) -> None:
    for term in own(ontology):
        (definition,) = texts(ontology, term, DEFINITION)
        (label,) = texts(ontology, term, RDFS.label)
        words = definition.lower().removeprefix("a ").removeprefix("an ").removeprefix("the ")
        assert re.match(re.escape(label.lower()) + r"\b", words) is None, term
        assert definition.language == "en", term
        assert definition.endswith("."), term


@pytest.mark.parametrize("predicate", [RDFS.label, SKOS.prefLabel], ids=["label", "prefLabel"])
def test_no_two_terms_share_a_label_in_a_language(ontology: Graph, predicate: URIRef) -> None:
    terms = defaultdict(set)
    for term in declared(ontology):
        for label in texts(ontology, term, predicate):
            terms[label.lower(), label.language].add(compress(str(term)))
    assert {label: sorted(shared) for label, shared in terms.items() if len(shared) > 1} == {}


def test_labels_carry_no_stray_space(ontology: Graph) -> None:
    for predicate in (RDFS.label, SKOS.prefLabel, *SYNONYMS, SKOS.hiddenLabel, DEFINITION):
        for term, text in ontology.subject_objects(predicate):
            assert str(text) == " ".join(str(text).split()), term


def test_a_chinese_label_is_a_name_and_not_a_sentence(ontology: Graph) -> None:
    # The wording of the source documents is not ours to publish; a term's name is.
    for predicate in (SKOS.prefLabel, *SYNONYMS, SKOS.hiddenLabel):
        for term, text in ontology.subject_objects(predicate):
            if isinstance(text, Literal) and (text.language or "").startswith("zh"):
                assert len(text) <= 40, (term, text)
                assert not set(text) & set("。;?!"), (term, text)


def test_every_own_individual_is_typed_and_every_own_class_hangs_somewhere(ontology: Graph) -> None:
    for term in own(ontology):
        types = set(ontology.objects(term, RDF.type))
        if OWL.NamedIndividual in types:
            assert types - {OWL.NamedIndividual}, term
        if OWL.Class in types and not any(ontology.objects(term, RDFS.subClassOf | OWL.equivalentClass)):
            assert any(ontology.subjects(RDFS.subClassOf, term)) or term in ROOTS, term


# Classes that stand at the top because no public term is their parent.
ROOTS = {URIRef(OURS + "DailyLife")}


def test_every_public_term_is_a_stub_with_label_and_origin(ontology: Graph) -> None:
    unlabelled = [t for t in stubs(ontology) if len(texts(ontology, t, RDFS.label)) != 1]
    assert unlabelled == []
    without_origin = [t for t in stubs(ontology) if len(texts(ontology, t, IMPORTED_FROM)) != 1]
    assert without_origin == []


def test_every_term_that_an_axiom_uses_is_declared(ontology: Graph) -> None:
    known = declared(ontology)
    built_in = (str(RDF), str(RDFS), str(OWL), "http://www.w3.org/2001/XMLSchema#")
    loose = {
        str(node)
        for s, p, o in ontology
        for node in ((s, p) if p in MAPPINGS or (s, RDF.type, OWL.Ontology) in ontology else (s, p, o))
        if isinstance(node, URIRef) and node not in known and not str(node).startswith(built_in)
        if (node, RDF.type, OWL.Ontology) not in ontology
    }
    assert loose == set()


def test_no_axiom_uses_a_datatype_that_hermit_rejects(ontology: Graph) -> None:
    rejected = {"date", "gYear", "gYearMonth", "duration", "boolean", "double", "float"}
    for term, _, value in ontology:
        if isinstance(value, Literal) and value.datatype is not None:
            assert value.datatype.removeprefix("http://www.w3.org/2001/XMLSchema#") not in rejected, term


def obo_terms(file: Path) -> Iterator[tuple[str, str, bool]]:
    """(id, name, obsolete) of each term of an OBO file, plain or gzipped."""
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    for stanza in text.decode(errors="replace").split("\n[Term]\n")[1:]:
        fields = dict(line.partition(": ")[::2] for line in reversed(stanza.split("\n\n")[0].splitlines()))
        yield fields["id"], fields.get("name", ""), fields.get("is_obsolete") == "true"


def owl_terms(file: Path) -> Iterator[tuple[str, str, bool]]:
    """(CURIE, label, obsolete) of each labelled term of an RDF/XML or Turtle file."""
    kind = pyoxigraph.RdfFormat.TURTLE if file.suffix == ".ttl" else pyoxigraph.RdfFormat.RDF_XML
    labels, deprecated = [], set()
    with file.open("rb") as stream:
        for quad in pyoxigraph.parse(stream, format=kind, lenient=True):
            if quad.predicate.value == str(RDFS.label) and isinstance(quad.subject, pyoxigraph.NamedNode):
                labels.append((compress(quad.subject.value), quad.object.value))
            elif quad.predicate.value == str(OWL.deprecated):
                deprecated.add(compress(quad.subject.value))
    for curie, label in labels:
        yield curie, label, curie in deprecated


def test_stubs_carry_the_label_of_the_file_they_name(ontology: Graph, shared: Path) -> None:
    folder = shared / "data" / "ontologies"
    origins = {t: str(texts(ontology, t, IMPORTED_FROM)[0]) for t in stubs(ontology)}
    files = {o for o in origins.values() if (folder / o).is_file()}
    read = {f: (obo_terms if ".obo" in f else owl_terms)(folder / f) for f in files}
    labels = {
        f: {(curie, name) for curie, name, obsolete in found if not obsolete} for f, found in read.items()
    }
    with (shared / "design" / "ontology" / "terms.tsv").open(encoding="utf-8") as table:
        seen = {(row["CURIE"], row["official_label"]) for row in csv.DictReader(table, delimiter="\t")}
    checked = 0
    for term, origin in origins.items():
        key = (compress(str(term)), str(texts(ontology, term, RDFS.label)[0]))
        if ":" not in key[0] or key[0].startswith(("http", "dcterms:", "skos:", "foaf:", "prov:")):
            continue  # vocabularies of the web, not in this folder
        assert key in labels.get(origin, seen), (key, origin)
        checked += 1
    assert checked > 150


def test_no_stub_is_obsolete_in_any_file_we_hold(ontology: Graph, shared: Path) -> None:
    # OBI:0000011 and OBI:0000047 were: OBI 2026 replaced them by terms of COB (2026-11).
    mine = {compress(str(t)) for t in stubs(ontology)}
    files = sorted((shared / "data" / "ontologies").glob("*.obo*"))
    obsolete = {curie for file in files for curie, _, gone in obo_terms(file) if gone}
    assert mine & obsolete == set()
    assert "OBI:0000011" in obsolete
