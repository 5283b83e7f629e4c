"""Every entity of the claims ledger has a term that bears its names, or a stated reason why it has none."""

from __future__ import annotations

import csv
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg import checks, ontology
from kg.check import Finding, check
from kg.errors import OntologyError
from kg.snapshot import Snapshot, read_lines
from kg.terms import OBO, ROOT, expand

TABLE = ROOT / "ontology" / "coverage.tsv"
ROWS = list(checks.coverage(TABLE))
# What the ledger writes among the synonyms without its being a name.
REMARK = re.compile(
    r"^\[|^in document as|expansion not given|^probable reading|^printed as|^likely |^role given|^used as "
    r"|^document says|\(class\)$|\(phase II/III\)$|^DAS28 [<≤]|^standard zh-Hant 炎症$"
)
PAREN = re.compile(
    r" \((undefined antioxidant|probable|sic|doc 002|tumorigenesis|non-responder imputation|from .*)\)?$"
)


def entities(shared: Path) -> Iterator[dict[str, str]]:
    for file in sorted((shared / "claims").glob("entities_*.tsv")):
        with file.open(encoding="utf-8", newline="") as table:
            yield from csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)


def names(entity: dict[str, str]) -> set[str]:
    """The labels and synonyms of a ledger row, without its remarks."""
    listed = [entity[column] for column in ("label_en", "zh_hans", "zh_hant")]
    listed += (part.strip() for part in (entity["synonyms_abbreviations"] or "").split(";"))
    kept = (name.removeprefix("standard zh-Hant ") for name in listed if name and not REMARK.search(name))
    return {PAREN.sub("", name).lower() for name in kept}


def test_every_entity_of_the_ledger_has_a_row_and_every_row_an_entity(shared: Path) -> None:
    rows = {(entity, kind) for _, entity, kind, _, _ in ROWS}
    assert {(e["label_en"], e["entity_kind"]) for e in entities(shared)} == rows


def test_the_table_says_which_entities_the_ledger_has(shared: Path) -> None:
    ledger = {(e["label_en"], e["entity_kind"]) for e in entities(shared)}
    assert checks.ledger(entity for entity, _ in ledger) in TABLE.read_text("utf-8").splitlines()


@pytest.mark.parametrize("instead", ["", "anti-CCP\tbiomarker\tstroma:AntiCCPAntibody\t\n"])
def test_a_row_that_is_removed_or_renamed_fails_the_check(tmp_path: Path, instead: str) -> None:
    shutil.copytree(ROOT / "ontology", tmp_path / "ontology")
    table = tmp_path / "ontology" / "coverage.tsv"
    lines = table.read_text("utf-8").splitlines(keepends=True)
    (row,) = (line for line in lines if line.startswith("anti-CCP antibody\t"))
    table.write_text("".join(lines).replace(row, instead), "utf-8")
    finding = coverage(tmp_path)
    assert not finding.holds
    assert f"its {241 + bool(instead)} rows are not the ledger's entities" in finding.detail


def test_every_term_of_the_table_is_declared() -> None:
    declared = ontology.read(ROOT / "ontology").declared
    terms = [term for _, _, _, row, _ in ROWS for term in row]
    assert len(terms) > 200
    assert [term for term in terms if expand(term) not in declared] == []


def test_every_name_of_an_entity_is_findable_on_its_terms(shared: Path) -> None:
    scopes = [expand(f"oboInOwl:has{scope}Synonym") for scope in ("Exact", "Narrow", "Broad", "Related")]
    labels = [expand(name) for name in ("rdfs:label", "skos:prefLabel", "skos:hiddenLabel")]
    naming = {*scopes, *labels, expand("stroma:abbreviation")}
    found = defaultdict(set)
    for quad in ontology.read(ROOT / "ontology").quads:
        if quad.predicate in naming:
            found[quad.subject].add(quad.object.value.lower())
    terms = {(entity, kind): row for _, entity, kind, row, _ in ROWS}
    lost = {}
    for entity in entities(shared):
        row = terms[entity["label_en"], entity["entity_kind"]]
        missing = names(entity) - set().union(*(found[expand(term)] for term in row))
        if row and missing:
            lost[entity["label_en"]] = missing
    assert lost == {}


def test_only_what_is_no_concept_goes_without_a_term() -> None:
    without = {kind for _, _, kind, terms, _ in ROWS if not terms}
    data = {"registry_id", "publication", "journal", "report", "standard"}
    agents = {"person", "institution", "organisation", "guideline_body"}
    assert without == data | agents | {"route"}  # the route is a misprint that the document leaves open


def test_the_table_holds_no_chinese_and_no_definition() -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert not re.search("[一-龥]", text)
    assert OBO("").value not in text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("hypoxia\tparameter\t\t", "line 2: hypoxia needs either terms"),
        ("hypoxia\tparameter\tstroma:Hypoxia\tand a reason", "line 2: hypoxia needs either terms"),
        ("hypoxia\tparameter\tstroma:Hypoxia", "line 2: write entity, kind, terms and reason"),
        ("a\tb\tstroma:Hypoxia\t\na\tb\tstroma:Hypoxia\t", "line 3: a \\(b\\) has a row above"),
    ],
)
def test_a_row_that_says_nothing_or_two_things_is_refused(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "coverage.tsv").write_text(f"entity\tkind\tterms\treason\n{row}\n", "utf-8")
    with pytest.raises(OntologyError, match=message):
        list(checks.coverage(tmp_path / "coverage.tsv"))


def coverage(root: Path) -> Finding:
    return next(finding for finding in check(root, None) if finding.check == "coverage")


def test_the_check_prints_coverage_by_kind() -> None:
    finding = coverage(ROOT)
    assert finding.holds
    assert "disease 13/0/13" in finding.detail  # 13 have terms, none a reason, 13 in all
    assert "person 0/2/2" in finding.detail


def test_a_term_nobody_declares_is_told_with_the_line_and_the_nearest(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ontology", tmp_path / "ontology")
    table = tmp_path / "ontology" / "coverage.tsv"
    table.write_text(table.read_text("utf-8") + "numbness\tsymptom\tstroma:MorningStifness\t\n", "utf-8")
    finding = coverage(tmp_path)
    assert not finding.holds
    assert f"coverage.tsv, line {len(table.read_text('utf-8').splitlines())}: " in finding.detail
    assert "declared: stroma:MorningStiffness" in finding.detail


def test_every_synonym_of_a_module_is_an_alternative_label_of_the_graph(embedded: Snapshot) -> None:
    graph = b"<https://w3id.org/stroma/graph/inferred/alternative-label> ."
    alternative = [line for line in read_lines(embedded) if line.rstrip().endswith(graph)]
    text = b"".join(alternative).decode()
    assert '/UCMSCProduct> <http://www.w3.org/2004/02/skos/core#altLabel> "UC-MSC"@en' in text  # related
    assert '/CL_0000134> <http://www.w3.org/2004/02/skos/core#altLabel> "MSCs"@en' in text  # abbreviation
    assert "干細" not in text  # hidden labels stay hidden
