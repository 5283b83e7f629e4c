"""What the build counts for the questions is what a query finds that reads every claim and every study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Store, parse

from kg import describe
from kg.canned import Catalogue
from kg.census import count
from kg.report import SourceReport
from kg.snapshot import Snapshot, line_of, load_store, read_lines
from kg.terms import OBO, RDF, RDFS, ROOT, STROMA, mint, prefixes
from loaders import catalog

PREFIXES = "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes().items())
METADATA = f"{describe.METADATA} .\n".encode()

# The questions as they were while they counted by themselves.
PLAIN = {
    "claims-by-evidence-type": """
SELECT ?evidence ?study (COUNT(DISTINCT ?claim) AS ?claims) (COUNT(DISTINCT ?soft) AS ?hedged)
WHERE {
  ?claim a stroma:Claim ; stroma:evidenceType ?e .
  ?e rdfs:label ?evidence . FILTER(LANG(?evidence) = "en")
  OPTIONAL { ?claim stroma:evidenceStudyType ?t . ?t rdfs:label ?study . FILTER(LANG(?study) = "en") }
  OPTIONAL { ?claim stroma:modality stroma:ModalityHedged . BIND(?claim AS ?soft) }
}
GROUP BY ?evidence ?study
""",
    "supports-by-level": """
SELECT ?level ?modality ?claims ?propositions
WHERE {
  {
    SELECT ?l ?m (COUNT(DISTINCT ?claim) AS ?claims) (COUNT(DISTINCT ?proposition) AS ?propositions) WHERE {
      ?claim stroma:modality ?m ; stroma:statementLevel ?l .
      OPTIONAL { ?claim stroma:asserts ?proposition }
    } GROUP BY ?l ?m
  }
  ?l rdfs:label ?level . FILTER(LANG(?level) = "en")
  ?m rdfs:label ?modality . FILTER(LANG(?modality) = "en")
}
""",
    "conditions-studied": """
SELECT ?condition ?mesh ?class (COUNT(DISTINCT ?trial) AS ?studies)
WHERE {
  ?trial a stroma:ClinicalStudy ;
         stroma:studiesCondition ?node .
  ?node rdfs:label ?condition .
  OPTIONAL { ?node stroma:meshId ?mesh }
  OPTIONAL {
    ?node a ?class .
    FILTER(STRSTARTS(STR(?class), "http://purl.obolibrary.org/obo/MONDO_0008383"))
  }
}
GROUP BY ?condition ?mesh ?class
""",
}


def planted() -> list[Quad]:
    """Claims and studies of which several graphs speak, in shares; and what several of them name."""
    one, other = mint("graph", "literature"), mint("graph", "publications")
    evidence, review = OBO.ECO_0000305, STROMA.NarrativeReview
    statements: list[tuple[NamedNode, NamedNode, NamedNode, NamedNode]] = []
    for number in range(40):
        claim, twin = mint("claim", f"planted-{number:02}"), mint("claim", f"zz-planted-{number:02}")
        for each, modality in ((claim, STROMA.ModalityAsserted), (twin, STROMA.ModalityHedged)):
            statements += [
                (each, RDF.type, STROMA.Claim, one),
                (each, STROMA.evidenceType, evidence, other),
                (each, STROMA.statementLevel, STROMA.LevelStated, one),
                (each, STROMA.statementLevel, STROMA.LevelStated, other),
                (each, STROMA.modality, modality, other),
                # Asserted by several, far apart, of one modality and of two.
                (each, STROMA.asserts, mint("proposition", f"planted-{number // 3}"), one),
                (each, STROMA.asserts, mint("proposition", f"planted-{number // 3}"), other),
            ]
        if number % 4 == 0:
            statements += [
                (claim, STROMA.evidenceType, OBO.ECO_0006216, one),
                (claim, STROMA.evidenceStudyType, review, one),
                (claim, STROMA.evidenceStudyType, STROMA.AnimalStudy, other),
                (claim, STROMA.modality, STROMA.ModalityHedged, one),
            ]
        study = mint("trial", f"planted-{number:02}")
        statements += [
            (study, STROMA.studiesCondition, mint("condition", "arthritis"), graph) for graph in (one, other)
        ]
        if number % 2:  # the others are no studies
            statements.append((study, RDF.type, STROMA.ClinicalStudy, other))
    label = Quad(mint("condition", "arthritis"), RDFS.label, Literal("arthritis, by another name"), other)
    return [*(Quad(*statement) for statement in statements), label]


@pytest.fixture(scope="module")
def more(embedded: Snapshot, shared: Path) -> list[bytes]:
    """The lines of the embedded graph with those of hundreds of records more, and with what is planted."""
    data = shared / "data"
    files = {
        "clinicaltrials": [data / "clinicaltrials" / "v2-studies-80.json"],
        "ictrp": [data / "ictrp" / "ICTRP-Results_18Mar2020.xml"],
    }
    loaded = (quad for name, some in files.items() for quad in catalog.load(name, some).quads)
    lines = {line for line in read_lines(embedded) if not line.endswith(METADATA)}
    return sorted(lines.union(map(line_of, loaded), map(line_of, planted())))


def described(lines: Iterable[bytes], work: Path, *, at_once: int, processes: int) -> list[Quad]:
    """The graph that describes a graph, as a build makes it."""
    counted = count(lines, work, at_once=at_once, processes=processes)
    loaded = [(info, SourceReport(name, "", "", "")) for name, info in catalog.find_sources().items()]
    return list(describe.metadata("2026-11-22", loaded, counted, 0))


def rows(store: Store, text: str) -> Counter[tuple[str, ...]]:
    found = store.query(PREFIXES + text, use_default_graph_as_union=True)
    return Counter(tuple("" if term is None else str(term) for term in row) for row in found)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("id", PLAIN)
def test_a_question_of_counts_gives_what_reading_all_gives(embedded: Snapshot, id: str) -> None:
    store = load_store(embedded)
    found = rows(store, Catalogue.read(ROOT / "queries")[id].text)
    assert found == rows(store, PLAIN[id])
    assert len(found) > 5


def test_so_it_does_with_more_records_and_graphs_that_share_a_claim(
    more: list[bytes], tmp_path: Path
) -> None:
    about = described(more, tmp_path, at_once=5_000, processes=2)
    store = Store()
    store.bulk_load(b"".join(more), format=RdfFormat.N_QUADS)
    plain = {id: rows(store, text) for id, text in PLAIN.items()}
    store.extend(about)
    questions = Catalogue.read(ROOT / "queries")
    for id, due in plain.items():
        assert rows(store, questions[id].text) == due, id
        # The counts are not among what is counted.
        assert rows(store, PLAIN[id]) == due, id
    assert len(plain["conditions-studied"]) > 100
    assert set(about) == set(described(more, tmp_path, at_once=100_000, processes=1))


def test_no_two_conditions_have_one_name(more: list[bytes]) -> None:
    # A row of conditions-studied is a condition; two of one name, MeSH id and class would be two rows.
    about = STROMA.studiesCondition.value.encode()
    conditions = {
        quad.object
        for quad in parse(b"".join(line for line in more if about in line), format=RdfFormat.N_QUADS)
    }
    label = str(RDFS.label).encode()
    named: dict[object, set[object]] = {}
    for quad in parse(b"".join(line for line in more if label in line), format=RdfFormat.N_QUADS):
        if quad.subject in conditions:
            named.setdefault(quad.object, set()).add(quad.subject)
    assert len(named) > 200
    assert {name: those for name, those in named.items() if len(those) > 1} == {}


def test_a_count_is_of_what_it_names(embedded: Snapshot) -> None:
    store = load_store(embedded)
    found = rows(
        store,
        "SELECT ?count (COUNT(*) AS ?n) { GRAPH graph:metadata { ?count a ?kind "
        "VALUES ?kind { stroma:ClaimCount stroma:StudyCount } "
        "?count stroma:countedEvidenceType|stroma:countedLevel|stroma:countedCondition ?value } } "
        "GROUP BY ?count",
    )
    assert {row[1] for row in found} == {str(Literal(1))}
    start = f"<{mint('snapshot', embedded.version, 'count').value}/"
    assert all(row[0].startswith(start) for row in found)
    assert not rows(store, "SELECT ?x { ?x a stroma:Claim, stroma:ClaimCount }")
