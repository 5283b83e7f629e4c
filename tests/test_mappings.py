"""Mappings: sound as tables, true to the vocabularies we hold, and askable from either side."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sssom_pydantic
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyoxigraph import NamedNode, Quad, QuerySolutions, RdfFormat, parse

from kg.canned import Catalogue
from kg.errors import SourceError
from kg.snapshot import Snapshot, load_store
from kg.terms import OWL, RDF, ROOT, SKOS, compress, expand, mint
from loaders import catalog
from loaders.mappings.loader import JUSTIFICATIONS, MOST_UNVERIFIED, PREDICATES, declared
from loaders.mappings.review import TABLES, find, review, verify
from loaders.tables import rows

FILES = sorted((ROOT / "ontology" / "mappings").glob("*.sssom.tsv"))
MODULES = [ROOT / "ontology" / "stroma.ttl", *sorted((ROOT / "ontology" / "modules").glob("*.ttl"))]
HEADER = """#curie_map:
#  bioregistry: https://bioregistry.io/
#  CL: http://purl.obolibrary.org/obo/CL_
#  OBI: http://purl.obolibrary.org/obo/OBI_
#  semapv: https://w3id.org/semapv/vocab/
#  skos: http://www.w3.org/2004/02/skos/core#
#  stroma: https://w3id.org/stroma/ontology/
#license: https://creativecommons.org/licenses/by/4.0/
#mapping_set_id: https://w3id.org/stroma/mappings/cl.sssom.tsv
#mapping_set_title: A table to try
#mapping_set_version: '2026-11-22'
#object_source: bioregistry:cl
"""
GOOD = {
    "subject_id": "stroma:MSCProduct",
    "subject_label": "MSC product",
    "predicate_id": "skos:relatedMatch",
    "object_id": "CL:0000134",
    "object_label": "mesenchymal stem cell",
    "mapping_justification": "semapv:ManualMappingCuration",
    "confidence": "0.8",
    "object_source_version": "cl-general_cell_types_upper_slim_2026-06-08.owl",
    "comment": "the product is not the cell",
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes cl.sssom.tsv, each row the good one with what is said of it changed; gives its path."""

    def table(*changes: dict[str, str], header: str = HEADER) -> Path:
        lines = ["\t".join(GOOD), *("\t".join({**GOOD, **change}.values()) for change in changes)]
        path = tmp_path / "cl.sssom.tsv"
        path.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
        return path

    return table


def load(path: Path) -> list[Quad]:
    return list(catalog.load("mappings", [path]).quads)


# --- our own tables


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".sssom.tsv"))
def test_a_table_is_sssom(file: Path) -> None:
    mappings, _, found, errors = sssom_pydantic.read(file, return_errors=True)

    assert errors == []
    assert len(mappings) == len(list(rows(file, source="mappings")))
    assert str(found.id) == f"https://w3id.org/stroma/mappings/{file.name}"
    assert {mapping.justification.curie for mapping in mappings} <= JUSTIFICATIONS


def test_form_labels_and_verified_ids_of_our_mappings_hold() -> None:
    # Form, verified objects, declared subjects with their labels, no pair twice, no product a cell, no two
    # terms of one vocabulary exact matches of each other.
    assert review() == []


def test_every_object_is_in_its_vocabulary_with_its_label_and_not_obsolete(shared: Path) -> None:
    assert review(shared) == []


def test_most_objects_are_verified_and_the_others_say_that_they_are_not() -> None:
    every = [row.fields for file in FILES for row in rows(file, source="mappings")]
    unverified = [row for row in every if not row["object_source_version"]]

    assert len(every) > 400
    assert len(unverified) < len(every) / 4
    assert all(row["comment"].startswith("unverified: ") for row in unverified)
    assert all(float(row["confidence"]) <= MOST_UNVERIFIED for row in unverified)


def test_every_vocabulary_the_issue_names_is_mapped_to() -> None:
    named = {"cl", "uberon", "go", "chebi", "pr", "mondo", "hp", "obi", "oae", "stato", "uo", "eco", "sepio"}
    named |= {"cto", "osci", "mesh", "ncit", "atc"}
    assert named <= {file.name.removesuffix(".sssom.tsv") for file in FILES}


def test_a_match_that_a_module_states_is_one_of_the_tables() -> None:
    mapped = {
        (row.fields["subject_id"], row.fields["predicate_id"], row.fields["object_id"])
        for file in FILES
        for row in rows(file, source="mappings")
    }
    matches = set(PREDICATES.values())
    stated = {
        tuple(compress(term.value) for term in (quad.subject, quad.predicate, quad.object))
        for module in MODULES
        for quad in parse(path=module, format=RdfFormat.TURTLE)
        if quad.predicate in matches
    }
    assert len(stated) >= 40
    assert stated - mapped == set()


# --- in the graph


def test_a_mapping_is_a_plain_triple_and_an_axiom_about_it(write: Write) -> None:
    quads = load(write({}))
    (node,) = (quad.subject for quad in quads if (quad.predicate, quad.object) == (RDF.type, OWL.Axiom))
    said = {compress(quad.predicate.value): quad.object for quad in quads if quad.subject == node}

    assert {quad.graph_name for quad in quads} == {mint("graph", "mappings")}
    triple = (expand("stroma:MSCProduct"), SKOS.relatedMatch, expand("CL:0000134"))
    assert triple in {(quad.subject, quad.predicate, quad.object) for quad in quads}
    assert triple == tuple(said[f"owl:annotated{part}"] for part in ("Source", "Property", "Target"))
    assert said["sssom:mapping_justification"] == expand("semapv:ManualMappingCuration")
    assert said["sssom:confidence"].value == "0.8"
    (of,) = (quad.subject for quad in quads if quad.predicate == expand("sssom:mappings"))
    assert of == NamedNode("https://w3id.org/stroma/mappings/cl.sssom.tsv")


# --- bad input: each message names file, line, term and the way out

UNSURE = {"object_source_version": "", "comment": "unverified: not seen", "confidence": "0.4"}
REFUSED = {
    "unknown subject": (
        {"subject_id": "stroma:MSCProdukt"}, r"nearest: stroma:MSCProduct.*declare the term",
    ),
    "unknown predicate": (
        {"predicate_id": "skos:sameMatch"}, r"skos:sameMatch.*one of skos:broadMatch.*Correct",
    ),
    "missing justification": ({"mapping_justification": ""}, r"mapping_justification.*missing or empty"),
    "unknown justification": (
        {"mapping_justification": "semapv:Guess"}, r"semapv:Guess.*ManualMappingCuration",
    ),
    "prefix of another table": (
        {"object_id": "MESH:D059630"}, r"MESH:D059630.*not in the curie_map.*Add MESH",
    ),
    "prefix nobody knows": ({"object_id": "XYZ:1"}, r"XYZ:1.*not in the curie_map.*ontology/prefixes\.json"),
    "a term of our own": ({"object_id": "stroma:ImmuneCell"}, r"stroma:ImmuneCell.*our own.*write an axiom"),
    "missing label": ({"object_label": ""}, r"object_label.*missing or empty"),
    "confidence beyond one": ({"confidence": "8"}, r"confidence.*'8'.*between 0 and 1"),
    "confidence in words": ({"confidence": "high"}, r"confidence.*'high'.*decimal number"),
    "unverified and sure": (
        {**UNSURE, "confidence": "0.9"}, r"confidence.*'0\.9'.*unverified mapping is at most 0\.5",
    ),
    "nowhere seen": ({**UNSURE, "comment": ""}, r"object_source_version.*\"unverified:\""),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_faulty_row_is_refused_with_file_line_term_and_way_out(write: Write, case: str) -> None:
    change, message = REFUSED[case]
    path = write({"object_id": "CL:0000235"}, change)

    with pytest.raises(SourceError, match=rf"(?s)cl\.sssom\.tsv:15.*{message}"):
        load(path)
    assert any("cl.sssom.tsv:15" in fault for fault in faults(path))


def test_a_row_of_another_width_is_refused(write: Write) -> None:
    path = write({})
    path.write_text(path.read_text(encoding="utf-8") + "stroma:MSCProduct\tMSC product\n", encoding="utf-8")

    with pytest.raises(
        SourceError, match=r"cl\.sssom\.tsv:15, record stroma:MSCProduct: the row has 2 columns"
    ):
        load(path)


def test_a_pair_that_is_mapped_twice_is_refused_with_both_places(write: Write) -> None:
    path = write({}, {"predicate_id": "skos:broadMatch"})

    with pytest.raises(SourceError, match=r"cl\.sssom\.tsv:15.*mapped in cl\.sssom\.tsv:14.*Keep one"):
        load(path)


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("#license: https://creativecommons.org/licenses/by/4.0/\n", "", "the header has no license"),
        ("mappings/cl.sssom", "mappings/go.sssom", r"mapping_set_id is .*go\.sssom.*Write .*/cl\.sssom\.tsv"),
        ("obo/CL_", "obo/cl#", r"prefix CL of curie_map.*prefixes\.json has http.*obo/CL_"),
        ("#curie_map:", "#curie_map: [", "the header is not YAML"),
        (HEADER.partition("#license")[0], "#curie_map: CL\n", "curie_map is no list of prefixes"),
        ("bioregistry:cl", "elsewhere:cl", "object_source of the header is 'elsewhere:cl'"),
        (
            "https://creativecommons.org/licenses/by/4.0/",
            "http://by 4",
            "license of the header is 'http://by 4'",
        ),
        (HEADER, "", "the header has no curie_map"),
    ],
)
def test_a_faulty_header_is_refused(write: Write, line: str, instead: str, message: str) -> None:
    with pytest.raises(SourceError, match=rf"(?s)cl\.sssom\.tsv: {message}"):
        load(write({}, header=HEADER.replace(line, instead)))


def test_a_column_nobody_reads_is_refused(write: Write) -> None:
    path = write({})
    path.write_text(path.read_text(encoding="utf-8").replace("comment\n", "remark\n"), encoding="utf-8")

    with pytest.raises(SourceError, match=r"cl\.sssom\.tsv: the column comment is missing. The columns are"):
        load(path)


PIECES = st.sampled_from(
    [*GOOD.values(), *GOOD, "\t", "\n", "#", ": ", "CL:", "http://", " ", "\x00", "{", "é"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join), st.booleans())
def test_whatever_a_table_holds_it_loads_or_is_refused_by_name(
    tmp_path: Path, body: str, headed: bool
) -> None:
    path = tmp_path / "cl.sssom.tsv"
    path.write_text((HEADER if headed else "") + body, encoding="utf-8", errors="replace")
    refusals = []
    try:
        load(path)
    except SourceError as problem:
        refusals.append(str(problem))
    assert all("cl.sssom.tsv" in refusal for refusal in refusals)


def faults(path: Path, folder: Path | None = None) -> list[str]:
    return [str(problem) for problem in review(folder, [path])]


def test_an_outdated_label_of_ours_is_found(write: Write) -> None:
    (fault,) = faults(write({"subject_label": "MSC drug"}))
    assert "cl.sssom.tsv:14" in fault
    assert "'MSC drug': is not the term's label, 'MSC product'" in fault


LEUKOCYTE = {
    "object_id": "CL:0000738", "object_label": "leukocyte",
    "object_source_version": "cl-blood_and_immune_upper_slim_2026-06-08.obo",
}  # fmt: skip
UNLISTED = {
    "unknown id": {"object_id": "CL:9999999"},
    "obsolete id": {"object_id": "OBI:0000011", "object_source_version": "obi_2026.obo"},
    "another label": {"object_label": "MSC"},
    "another file": {"object_source_version": "cl.obo"},
}


@pytest.mark.parametrize("case", UNLISTED)
def test_an_object_that_nobody_verified_is_found_without_the_vocabularies(write: Write, case: str) -> None:
    path = write(UNLISTED[case])
    (fault,) = faults(path)
    row = {**GOOD, **UNLISTED[case]}
    assert "cl.sssom.tsv:14, record stroma:MSCProduct" in fault
    assert f"{row['object_id']}': is not in verified.tsv as '{row['object_label']}'" in fault
    assert 'start the comment with "unverified:"' in fault
    assert faults(write({**UNLISTED[case], **UNSURE})) == []


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES[0].parent, tmp_path / "mappings"))


def test_the_list_of_verified_objects_is_what_the_vocabularies_show(tables: Path, shared: Path) -> None:
    # Of a package only lists of some terms are beside the checkout: those lines have to stand already.
    listed = (tables / "verified.tsv").read_text("utf-8").splitlines(keepends=True)
    packages = [line for line in listed[1:] if "\tPyPI " in line]
    assert 0 < len(packages) < len(listed) / 8
    (tables / "verified.tsv").write_text("".join([listed[0], *packages]), "utf-8")
    assert verify(shared, tables) == []
    assert (tables / "verified.tsv").read_bytes() == (FILES[0].parent / "verified.tsv").read_bytes()


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("object_id\t", "id\t", "the columns are id, object_label.*The columns are object_id"),
        ("CL:0000134\t", "CL:0000133\tx\tcl.obo\nCL:0000134\t", r"verified\.tsv:9.*CL:0000133.*Remove"),
        ("CL:0000134\t", "CL:0000134", r"verified\.tsv:9.*the row has 2 columns"),
    ],
)
def test_a_faulty_list_of_verified_objects_is_found(
    tables: Path, line: str, instead: str, message: str
) -> None:
    listed = tables / "verified.tsv"
    listed.write_text(listed.read_text("utf-8").replace(line, instead, 1), "utf-8")
    assert any(re.search(message, str(problem)) for problem in review(tables=tables))
    listed.unlink()
    (problem,) = review(tables=tables)
    assert "verified.tsv: is missing. Take it from the repository" in str(problem)


def test_lines_out_of_order_are_found(tables: Path) -> None:
    listed = tables / "verified.tsv"
    head, first, *others = listed.read_text("utf-8").splitlines(keepends=True)
    listed.write_text("".join([head, *others, first]), "utf-8")
    (problem,) = review(tables=tables)
    assert "verified.tsv: the lines are not in order. Sort them" in str(problem)


def test_a_product_is_never_exactly_a_cell(write: Write) -> None:
    (fault,) = faults(write({"predicate_id": "skos:exactMatch"}))
    assert "cl.sssom.tsv:14" in fault
    assert fault.endswith("Write skos:relatedMatch")


def test_exact_matches_never_join_two_terms_of_one_vocabulary(write: Write) -> None:
    # Two of our terms with one exact match are, over it, exact matches of each other.
    both = {**LEUKOCYTE, "predicate_id": "skos:exactMatch"}
    first = {**both, "subject_id": "stroma:ImmuneCell", "subject_label": declared()["stroma:ImmuneCell"]}
    second = {**both, "subject_id": "stroma:TargetCell", "subject_label": declared()["stroma:TargetCell"]}
    (fault,) = faults(write(first, second))
    assert "cl.sssom.tsv:15" in fault
    assert "stroma:ImmuneCell and stroma:TargetCell" in fault


FALSE = {
    "unknown id": (
        {"object_id": "CL:9999999"},
        "slim_2026-06-08.owl; there, CL:0000134 is called 'mesenchymal stem cell'. Correct the id",
    ),
    "wrong label": ({"object_label": "MSC"}, "'MSC': is not the label of CL:0000134 in cl-general"),
    "unknown file": (
        {"object_source_version": "cl.obo"},
        "no file below",
    ),
    # OBI 2026 replaced it by a term of COB (2026-11).
    "obsolete id": (
        {"object_id": "OBI:0000011", "object_source_version": "obi_2026.obo"},
        "value 'OBI:0000011': is obsolete in obi_2026.obo. Map to the term that replaces it",
    ),
    "needlessly unverified": (UNSURE, "says unverified, but "),
}


@pytest.mark.parametrize("case", FALSE)
def test_an_object_that_its_vocabulary_does_not_have_is_found(write: Write, shared: Path, case: str) -> None:
    change, message = FALSE[case]
    # The first row names the file, so that it is read whatever the second says.
    first = {"subject_id": "stroma:ADMSCProduct", "subject_label": declared()["stroma:ADMSCProduct"]}
    fault = faults(write(first, change), shared)[-1]
    assert "cl.sssom.tsv:15" in fault
    assert message in fault


def test_files_that_cannot_be_read_hide_no_term_of_the_others(tmp_path: Path) -> None:
    text = "format-version: 1.2\n\n[Term]\nid: CL:0000134\nname: mesenchymal stem cell\n"
    (tmp_path / "cl.obo").write_text(text, encoding="utf-8")
    (tmp_path / "cut.obo.gz").write_bytes(gzip.compress(text.encode() * 1000)[:-30])
    (tmp_path / "latin.obo").write_bytes(text.replace("mese", "mése").encode("latin-1"))
    (tmp_path / "cut.owl").write_text("<rdf:RDF", encoding="utf-8")
    assert find("mesenchymal", tmp_path) == [("CL:0000134", "mesenchymal stem cell", "cl.obo")]


def test_a_term_is_found_by_words_of_its_label_and_by_its_id(shared: Path) -> None:
    folder = shared / "data" / "ontologies"
    cell = ("CL:0002569", "mesenchymal stem cell of umbilical cord")
    line = (*cell, "cl-basic_2022-12-15.obo")
    assert line in find("cord Mesenchymal", folder)
    assert {found[:2] for found in find("CL:0002569", folder)} == {cell}
    # Who asks for a tendon means UBERON's, not the first file's cell, sheath or reflex.
    tendons = [label for _, label, _ in find("Tendon", folder)]
    assert tendons[0] == "tendon"
    assert all(label.startswith("tendon") for label in tendons[: tendons.index("tendon cell") + 1])
    # OBI 2026 replaced it by a term of COB (2026-11).
    assert "OBI:0000011" not in {id for id, _, _ in find("OBI:0000011", folder)}


def test_a_row_cut_short_is_told_alone(write: Write, tmp_path: Path) -> None:
    # What stands below it is not read: no line of verified.tsv is called idle for that.
    tables = tmp_path / "tables"
    shutil.copytree(TABLES, tables)
    path = tables / "cl.sssom.tsv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("stroma:"))
    lines[first] = lines[first].rpartition("\t")[0] + "\n"
    path.write_text("".join(lines), encoding="utf-8")
    (problem,) = review(tables=tables)
    assert "the row has 8 columns, the header 9" in str(problem)


@pytest.fixture(scope="module")
def ask(embedded: Snapshot) -> Callable[[str], list[tuple[str, str]]]:
    """The relation to and the name of each term that a term is mapped to, by the question that says so."""
    store = load_store(embedded)
    question = Catalogue.read(ROOT / "queries")["mappings-of-a-term"]

    def rows_of(term: str) -> list[tuple[str, str]]:
        solutions = store.query(question.bind({"term": term}), use_default_graph_as_union=True)
        assert isinstance(solutions, QuerySolutions)
        return [(compress(row["relation"].value), compress(row["other"].value)) for row in solutions]

    return rows_of


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("MESH:D001172", ("skos:exactMatch", "MONDO:0008383")),
        ("MONDO:0008383", ("skos:exactMatch", "NCIT:C2884")),
        ("CL:0000134", ("skos:relatedMatch", "stroma:MSCProduct")),
        ("stroma:MSCProduct", ("skos:relatedMatch", "CL:0000134")),
        # Stated as: a planned outcome is wider than a primary outcome measure.
        ("NCIT:C98772", ("skos:broadMatch", "stroma:PlannedOutcome")),
        ("stroma:PlannedOutcome", ("skos:narrowMatch", "NCIT:C98772")),
        ("ATC:L04AX03", ("skos:exactMatch", "CHEBI:44185")),
    ],
)
def test_a_question_can_start_from_either_side(
    ask: Callable[[str], list[tuple[str, str]]], term: str, expected: tuple[str, str]
) -> None:
    assert expected in ask(term)


def test_a_plain_query_follows_a_match_from_mesh_to_the_trials(embedded: Snapshot) -> None:
    # The 17 registered trials study rheumatoid arthritis, which MeSH calls D001172.
    found = load_store(embedded).query(
        f"""SELECT (COUNT(DISTINCT ?trial) AS ?trials) WHERE {{
          ?disease {SKOS.exactMatch} {expand("MESH:D001172")} .
          ?condition a ?disease .
          ?trial {expand("stroma:studiesCondition")} ?condition ; a {expand("stroma:ClinicalStudy")} ;
            {expand("prov:wasDerivedFrom")} ?record .
        }}""",
        use_default_graph_as_union=True,
    )
    assert isinstance(found, QuerySolutions)
    assert [row["trials"].value for row in found] == ["17"]


PACKAGE = "PyPI some-terms 1.0: cells.json.zst"


def terms_list(folder: Path, label: str, deprecated: bool = False) -> None:
    """A list of terms as packages hold it: CURIE -> label and whether it is deprecated."""
    text = json.dumps({"CL:0000134": {"label": label, "deprecated": deprecated}}).encode()
    (folder / "cells.json.zst").write_bytes(zstandard.ZstdCompressor().compress(text))


def test_an_object_is_looked_up_in_a_compressed_list_of_a_package(write: Write, tmp_path: Path) -> None:
    table = write({"object_source_version": PACKAGE})
    folder = tmp_path / "lists"
    folder.mkdir()

    terms_list(folder, GOOD["object_label"])
    assert all("verified.tsv" in fault for fault in faults(table, folder))  # found, only not listed yet
    terms_list(folder, "another name")
    assert any(
        "is not the label of CL:0000134 in PyPI some-terms 1.0" in fault for fault in faults(table, folder)
    )
    terms_list(folder, GOOD["object_label"], deprecated=True)
    assert any("is obsolete in cells.json.zst" in fault for fault in faults(table, folder))


def test_what_was_verified_in_a_file_that_is_not_at_hand_stands_and_nothing_else(
    write: Write, tmp_path: Path
) -> None:
    mine = tmp_path / "tables"
    mine.mkdir()
    listed = "object_id\tobject_label\tobject_source_version\n"
    before = f"CL:0000134\t{GOOD['object_label']}\t{PACKAGE}\n"
    shutil.copy(write({"object_source_version": PACKAGE}), mine / "cl.sssom.tsv")
    (tmp_path / "empty").mkdir()

    (mine / "verified.tsv").write_text(listed + before, "utf-8")
    assert review(tmp_path / "empty", tables=mine) == []
    (mine / "verified.tsv").write_text(listed, "utf-8")
    found = [str(fault) for fault in review(tmp_path / "empty", tables=mine)]
    assert any("is called cells.json.zst" in fault for fault in found)
