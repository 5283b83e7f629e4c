"""Levels: every statement says who speaks, by its own node, its claim or its graph, and what made it."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
from pyoxigraph import NamedNode, QuerySolutions, RdfFormat, Store, parse

from kg.describe import METADATA
from kg.snapshot import Snapshot, read_lines
from kg.terms import ROOT, compress, expand, prefixes


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    store = Store()
    store.bulk_load(b"".join(read_lines(embedded)), format=RdfFormat.N_QUADS)
    return store


def test_every_graph_says_its_level_and_what_made_it(embedded: Snapshot) -> None:
    found: dict[str, dict[str, set[str]]] = {}
    for quad in parse(b"".join(read_lines(embedded)), format=RdfFormat.N_QUADS):
        if quad.graph_name == METADATA and isinstance(quad.object, NamedNode):
            told = found.setdefault(compress(quad.subject.value), {})
            told.setdefault(compress(quad.predicate.value), set()).add(compress(quad.object.value))
    graphs = {compress(graph): found[compress(graph)] for graph in embedded.graphs}
    levels = {name.removeprefix("graph:"): told["stroma:statementLevel"] for name, told in graphs.items()}
    assert {name: levels[name] for name in sorted(levels) if not name.startswith("inferred/")} == {
        "claims-derived": {"stroma:LevelInferred"},
        "clinicaltrials": {"stroma:LevelRecorded"},
        "derived": {"stroma:LevelRecomputed"},
        "evidence-lines": {"stroma:LevelRecomputed"},
        "examples": {"stroma:LevelDescribed"},
        "findings": {"stroma:LevelRecomputed"},
        "links": {"stroma:LevelRecomputed"},
        "literature": {"stroma:LevelStated"},
        "mappings": {"stroma:LevelCurated"},
        "metadata": {"stroma:LevelDescribed"},
        "obo": {"stroma:LevelDefined"},
        "ontology": {"stroma:LevelDefined"},
        "prefixes": {"stroma:LevelDescribed"},
        "publications": {"stroma:LevelCurated"},
        "reviews": {"stroma:LevelCurated"},
    }
    assert all(levels[name] == {"stroma:LevelInferred"} for name in levels if name.startswith("inferred/"))
    for told in graphs.values():
        (activity,) = told["prov:wasGeneratedBy"]
        assert found[activity]["rdf:type"] == {"prov:Activity"}
        assert found[activity]["prov:wasAssociatedWith"] == {f"agent:stroma-kg/{version('stroma-kg')}"}
    assert found["activity:literature"]["prov:used"] == {"source:literature"}


def _documented_query() -> str:
    """The query of docs/data-model.md that finds the level of a triple."""
    text = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")
    found = re.search(r"```sparql\n(SELECT DISTINCT \?graph \?level .*?)```", text, re.DOTALL)
    assert found
    return found[1]


# subject, predicate, object -> {graph: levels}
TRIPLES = [
    # document 000, line 31, says so
    ("CL:0000134", "stroma:suppresses", "stroma:OsteoclastActivity", {"literature": {"Stated"}}),
    # a curator's inference stands in the graph of the documents
    (
        "product:yang2025-msc",
        "stroma:hasTissueSource",
        "stroma:TissueUmbilicalCord",
        {"literature": {"Curated"}},
    ),
    # no claim asserts of which group an observation is; the observation has its level
    (
        "observation:001-64-yang2025-msc-PrednisoneUse-0m",
        "stroma:aboutArm",
        "group:yang2025-msc",
        {"literature": {"Stated"}},
    ),
    # a registry's own field, a compiled table of it, a definition, an inference
    ("trial:NCT01547091", "stroma:hasStatus", "stroma:StatusUnknown", {"clinicaltrials": {"Recorded"}}),
    ("stroma:UCMSCProduct", "rdf:type", "owl:Class", {"ontology": {"Defined"}}),
    (
        "stroma:WhartonJellyMSCProduct",
        "rdfs:subClassOf",
        "stroma:UCMSCProduct",
        {"inferred/subclass": {"Inferred"}},
    ),
]


@pytest.mark.parametrize(("subject", "predicate", "value", "expected"), TRIPLES)
def test_a_query_finds_the_level_of_a_triple(
    store: Store, subject: str, predicate: str, value: str, expected: dict[str, set[str]]
) -> None:
    header = "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes().items())
    triple = " ".join(f"<{expand(term).value}>" for term in (subject, predicate, value))
    query = header + _documented_query().replace("WHERE {", f"WHERE {{ VALUES (?s ?p ?o) {{ ({triple}) }}", 1)
    rows = store.query(query)
    assert isinstance(rows, QuerySolutions)
    found: dict[str, set[str]] = {}
    for graph, level in rows:
        assert isinstance(graph, NamedNode)
        assert isinstance(level, NamedNode)
        name = compress(graph.value).removeprefix("graph:")
        found.setdefault(name, set()).add(compress(level.value).removeprefix("stroma:Level"))
    assert found == expected
