"""What a snapshot says about itself is true: its counts are those that queries give, its examples run."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import NamedNode, Quad, RdfFormat, Store, parse

from kg import describe
from kg.canned import Catalogue
from kg.census import Census, Counts, Slice, count
from kg.snapshot import Snapshot, line_of, load_store, read_lines
from kg.terms import ROOT, mint, prefixes

E = "https://example.org/"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
PREFIXES = "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes().items())


def counted(rows: list[tuple[str, str, str, str]], folder: Path) -> Census:
    """Census of (subject, predicate, object, graph), each a local name, or a whole IRI for a graph."""
    quads = [
        Quad(
            NamedNode(E + s),
            NamedNode(RDF_TYPE if p == "a" else E + p),
            NamedNode(E + o),
            NamedNode(g if g.startswith("http") else E + g),
        )
        for s, p, o, g in rows
    ]
    return count(sorted({line_of(quad) for quad in quads}), folder)


def test_slices_count_triples_subjects_and_objects(tmp_path: Path) -> None:
    found = counted(
        [
            ("t1", "a", "Trial", "g1"),
            ("t1", "arm", "x", "g1"),
            ("t1", "arm", "y", "g1"),
            ("t2", "a", "Trial", "g2"),
            ("t2", "arm", "x", "g1"),
            ("t2", "arm", "x", "g2"),  # the same triple in two graphs: two triples, one object
        ],
        tmp_path,
    ).slices
    trial, arm, g1, g2 = f"{E}Trial", f"{E}arm", f"{E}g1", f"{E}g2"
    assert found[Slice()] == Counts(6, 2, 3)  # objects: Trial, x, y
    assert found[Slice(g1)] == Counts(4, 2, 3)
    assert found[Slice(property=arm)] == Counts(4, 2, 2)
    assert found[Slice(g2, property=arm)] == Counts(1, 1, 1)
    assert found[Slice(type=trial)] == Counts(6, 2, 3)
    assert found[Slice(type=trial, property=arm)] == Counts(4, 2, 2)
    assert found[Slice(g1, trial)] == Counts(3, 1, 3)  # g1 does not say what t2 is
    assert found[Slice(g2, trial)] == Counts(2, 1, 2)


def test_a_class_that_only_inference_states_has_no_partition_by_property(tmp_path: Path) -> None:
    inferred = mint("graph", "inferred", "type").value
    found = counted([("t", "a", "Trial", "g"), ("t", "a", "Process", inferred)], tmp_path).slices
    assert found[Slice(type=f"{E}Process")].subjects == 1
    assert {slice.type for slice in found if slice.type and slice.property} == {f"{E}Trial"}


NAMES = st.sampled_from(["a", "b", "c"])
QUADS = st.lists(st.tuples(NAMES, st.sampled_from(["a", "p", "q"]), NAMES, st.sampled_from(["g", "h"])))


@given(QUADS)
def test_counts_are_those_of_the_definition(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    quads = {(row[0], row[1], row[2], row[3]) for row in rows}
    types = {(s, o) for s, p, o, _ in quads if p == "a"}
    typed_here = {(s, o, g) for s, p, o, g in quads if p == "a"}
    found = counted(list(quads), tmp_path_factory.getbasetemp()).slices

    def local(iri: str) -> str:
        return "a" if iri == RDF_TYPE else iri.removeprefix(E)

    for (graph, type, name), counts in found.items():
        mine = [
            (s, o)
            for s, p, o, g in quads
            if graph in ("", E + g)
            and name in ("", RDF_TYPE if p == "a" else E + p)
            and (not type or ((s, local(type), g) in typed_here if graph else (s, local(type)) in types))
        ]
        assert counts == (len(mine), len({s for s, _ in mine}), len({o for _, o in mine}))
    assert (Slice() in found) == bool(quads)


# ------------------------------------------------------------------------- the graph of all embedded data


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    return load_store(embedded)


def rows(store: Store, query: str) -> list[tuple[str, ...]]:
    found = store.query(PREFIXES + query, use_default_graph_as_union=True)
    return [tuple("" if term is None else term.value for term in row) for row in found]  # type: ignore[union-attr]


OTHERS = "FILTER(?g != graph:metadata)"


@pytest.mark.parametrize(
    ("described", "counted"),
    [
        (
            "?all void:propertyPartition ?part . ?part void:property ?name",
            "SELECT ?name (COUNT(*) AS ?n) (COUNT(DISTINCT ?s) AS ?m) { "
            f"GRAPH ?g {{ ?s ?name ?o }} {OTHERS} }} GROUP BY ?name",
        ),
        (
            "?all void:classPartition ?part . ?part void:class ?name",
            "SELECT ?name (COUNT(*) AS ?n) (COUNT(DISTINCT ?s) AS ?m) { "
            f"{{ SELECT DISTINCT ?s ?name {{ GRAPH ?g {{ ?s a ?name }} {OTHERS} FILTER(ISIRI(?name)) }} }} "
            f"GRAPH ?g {{ ?s ?p ?o }} {OTHERS} }} GROUP BY ?name",
        ),
    ],
    ids=["property", "class"],
)  # fmt: skip
def test_void_partitions_count_what_a_query_counts(
    store: Store, embedded: Snapshot, described: str, counted: str
) -> None:
    snapshot = mint("snapshot", embedded.version)
    said = rows(
        store,
        f"SELECT ?name ?n ?m {{ VALUES ?all {{ {snapshot} }} {described} ; "
        "void:triples ?n ; void:distinctSubjects ?m }",
    )
    assert len(said) > 200
    assert sorted(said) == sorted(rows(store, counted))


def test_void_counts_each_graph(store: Store) -> None:
    said = rows(
        store,
        "SELECT ?g ?n ?m { ?g a void:Dataset ; void:triples ?n ; void:distinctSubjects ?m "
        "FILTER EXISTS { GRAPH ?g {} } }",
    )
    asked = rows(
        store,
        "SELECT ?g (COUNT(*) AS ?n) (COUNT(DISTINCT ?s) AS ?m) "
        f"{{ GRAPH ?g {{ ?s ?p ?o }} {OTHERS} }} GROUP BY ?g",
    )
    assert sorted(said) == sorted(asked)


def test_void_counts_distinct_objects_as_they_were_built(embedded: Snapshot, tmp_path: Path) -> None:
    # Not by a query: a store makes "20.0" and "20" one object, the N-Quads file does not.
    objects: dict[str, set[object]] = {}
    lines = [line for line in read_lines(embedded) if not line.endswith(f"{describe.METADATA} .\n".encode())]
    for quad in parse(b"".join(lines), format=RdfFormat.N_QUADS):
        objects.setdefault(quad.predicate.value, set()).add(str(quad.object))
    found = count(lines, tmp_path).slices
    by_property = {one.property: n.objects for one, n in found.items() if one == Slice(property=one.property)}
    assert by_property.pop("") == len(set().union(*objects.values()))
    assert by_property == {name: len(values) for name, values in objects.items()}


def test_groups_and_processes_change_no_count(embedded: Snapshot, tmp_path: Path) -> None:
    lines = list(islice(read_lines(embedded), 0, 120_000, 3))
    whole = count(lines, tmp_path)
    assert whole == count(lines, tmp_path, at_once=700) == count(lines, tmp_path, at_once=3_000, processes=2)

    graph = mint("graph", "literature").value
    without = count(lines, tmp_path, without=graph, at_once=3_000)
    assert without.left_out == whole.slices[Slice(graph)].triples
    end = f"<{graph}> .\n".encode()
    rest = count([line for line in lines if not line.endswith(end)], tmp_path)
    assert without.slices == rest.slices
    assert without.digests == rest.digests
    assert list(tmp_path.iterdir()) == []


def test_a_graphs_checksum_is_that_of_its_sorted_triples(store: Store, embedded: Snapshot) -> None:
    ((stated,),) = rows(store, "SELECT ?sum { graph:literature spdx:checksum/spdx:checksumValue ?sum }")
    end = f" {mint('graph', 'literature')} .\n".encode()
    lines = (line.removesuffix(end) + b" .\n" for line in read_lines(embedded) if line.endswith(end))
    assert stated == hashlib.sha256(b"".join(lines)).hexdigest()


def test_a_linkset_for_each_vocabulary_and_relation_counts_its_links(store: Store) -> None:
    said = rows(
        store,
        "SELECT ?relation (SUM(?n) AS ?all) { ?set a void:Linkset ; void:linkPredicate ?relation ; "
        "void:triples ?n ; void:objectsTarget/void:uriSpace ?space } GROUP BY ?relation ORDER BY ?relation",
    )
    asked = rows(
        store,
        "SELECT ?relation (COUNT(*) AS ?all) { { SELECT DISTINCT ?s ?relation ?o { VALUES ?relation { "
        "skos:exactMatch skos:closeMatch skos:broadMatch skos:narrowMatch skos:relatedMatch } "
        "?s ?relation ?o FILTER(!STRSTARTS(STR(?o), STR(stroma:))) } } } "
        "GROUP BY ?relation ORDER BY ?relation",
    )
    assert said == asked
    ((mesh,),) = rows(store, "SELECT ?t { ?t void:uriSpace 'http://id.nlm.nih.gov/mesh/' }")
    assert mesh == "https://bioregistry.io/mesh"


@pytest.mark.parametrize(
    "pattern",
    [
        "?it dcterms:title ?x FILTER(LANGMATCHES(LANG(?x), 'zh-Hant'))",
        "?it dcterms:license <https://creativecommons.org/licenses/by/4.0/>",
        "?it dcterms:publisher/foaf:name ?x",
        "?it dcterms:modified ?x FILTER(DATATYPE(?x) = xsd:date)",
        "?it dcat:distribution [ dcat:downloadURL ?x ; dcat:mediaType ?y ]",
        "?it ^dcat:servesDataset [ a dcat:DataService ; dcat:endpointURL ?x ]",
        "?it void:sparqlEndpoint ?x ; void:dataDump ?y ; void:uriSpace ?z ; void:exampleResource ?e",
        "?it prov:wasDerivedFrom [ dcat:distribution/spdx:checksum/spdx:checksumValue ?x ]",
        "?it void:vocabulary <http://www.w3.org/2004/02/skos/core#>",
    ],
)
def test_the_dataset_is_described_for_catalogues(store: Store, pattern: str) -> None:
    assert store.query(
        PREFIXES + f"ASK {{ ?it a dcat:Dataset, void:Dataset ; dcat:version ?v . {pattern} }}",
        use_default_graph_as_union=True,
    )


def test_every_graph_says_its_licence(store: Store) -> None:
    without = rows(
        store,
        "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } "
        "FILTER NOT EXISTS { ?g dcterms:license|dcterms:rights ?licence } }",
    )
    assert without == []


def test_every_question_is_an_example_that_runs_and_answers_as_the_question_does(store: Store) -> None:
    found = store.query(
        PREFIXES + "SELECT ?id ?text { GRAPH graph:examples { ?it a sh:SPARQLExecutable ; "
        "dcterms:identifier ?id ; sh:select|sh:ask|sh:construct ?text ; sh:prefixes graph:prefixes } }"
    )
    texts = {row["id"].value: row["text"].value for row in found}  # type: ignore[union-attr, index]
    questions = Catalogue.read(ROOT / "queries")
    assert set(texts) == set(questions)
    for id, text in texts.items():
        assert "#+" not in text
        assert answer(store, text) == answer(store, questions[id].text), id


def answer(store: Store, text: str) -> bytes:
    result = store.query(text, use_default_graph_as_union=True)
    return b"\n".join(sorted(str(row).encode() for row in result))  # type: ignore[union-attr, arg-type]


def test_an_example_has_a_comment_in_three_languages(store: Store) -> None:
    found = rows(
        store,
        "SELECT ?it (COUNT(DISTINCT LANG(?said)) AS ?n) { ?it a sh:SPARQLExecutable ; rdfs:comment ?said } "
        "GROUP BY ?it",
    )
    assert {n for _, n in found} == {"3"}


def test_the_prefixes_are_those_of_the_prefix_map(store: Store) -> None:
    found = rows(store, "SELECT ?p ?n { GRAPH graph:prefixes { [] sh:prefix ?p ; sh:namespace ?n } }")
    assert dict(found) == dict(prefixes())
