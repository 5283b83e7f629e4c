"""The literature source: what the documents say is in the graph, and each word of it can be found again."""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, Quad, QuerySolutions, RdfFormat, Store, parse

from kg.check import check
from kg.errors import SourceError
from kg.snapshot import Snapshot, read_lines
from kg.terms import RDF, ROOT, STROMA, expand, mint
from loaders import catalog, tables
from loaders.literature import wording
from loaders.literature.ledger import account
from loaders.literature.loader import verify
from loaders.literature.verify import RECORDS

PREFIXES = """
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX group: <https://w3id.org/stroma/group/>
PREFIX prov: <http://www.w3.org/ns/prov#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX stroma: <https://w3id.org/stroma/ontology/>
"""
MODULES = sorted((ROOT / "ontology" / "modules").glob("*.ttl"))
CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
# Eight statements of the ledger quote a Chinese word or name a person; ours do not.
REWORDED = {"A169", "A221", "A243", "A290", "A315", "A350", "B417", "C183"}


@pytest.fixture(scope="module")
def quads() -> list[Quad]:
    return list(catalog.load("literature").quads)


@pytest.fixture(scope="module")
def store(quads: list[Quad]) -> Store:
    store = Store()
    store.extend(quads)
    return store


def ask(store: Store, query: str) -> list[tuple[str, ...]]:
    found = store.query(PREFIXES + query, use_default_graph_as_union=True)
    assert isinstance(found, QuerySolutions)
    return [tuple("" if term is None else term.value for term in row) for row in found]


def table(name: str, folder: Path = RECORDS) -> list[dict[str, str]]:
    return [row.fields for row in tables.rows(folder / f"{name}.tsv", source="literature")]


def ledger(shared: Path) -> Iterator[dict[str, str]]:
    for path in sorted((shared / "claims").glob("claims_*.tsv")):
        for row in tables.rows(path, source="ledger"):
            yield row.fields


# ------------------------------------------------------------------ completeness


def test_every_claim_of_the_ledger_is_committed_as_it_stands_there(shared: Path) -> None:
    ours = {row["id"]: row for row in table("claims")}
    theirs = {row["claim_id"]: row for row in ledger(shared)}
    assert len(theirs) == 974
    assert set(ours) == set(theirs)
    for identifier, row in theirs.items():
        claim = ours[identifier]
        assert claim["document"] == row["doc"][:3]
        assert claim["line"] == row["line"]
        assert claim["sha256"] == hashlib.sha256(row["span"].encode()).hexdigest(), identifier
        assert (claim["statement"] == row["claim_en"]) is (identifier not in REWORDED), identifier


def test_every_quantity_mechanism_and_microenvironment_row_asserts_a_proposition(shared: Path) -> None:
    asserting = {row["claim"] for row in table("statements")}
    rows = list(ledger(shared))
    quantities = {r["claim_id"] for r in rows if r["value"] and r["unit"] not in ("figure", "table")}
    biology = {r["claim_id"] for r in rows if r["kind"] in ("mechanism", "microenvironment")}
    assert len(quantities) == 334  # 347 rows have a value; 13 are the number of a figure or table
    assert len(biology) == 68 + 21
    assert quantities | biology <= asserting


# kind of the ledger -> rows formalised, rows kept as text with the reason
KINDS = {
    "Arm": (13, 0),
    "Baseline": (54, 0),
    "Bibliographic": (38, 19),  # figures and tables, earlier papers without a name, persons
    "Disease": (47, 0),
    "Dosing": (17, 0),
    "Drug": (34, 0),
    "Efficacy": (123, 0),
    "Eligibility": (11, 3),
    "Epidemiology": (12, 0),
    "Limitation": (37, 0),
    "Manufacturing": (19, 0),
    "Mechanism": (68, 0),
    "MedicationChange": (118, 0),
    "Microenvironment": (21, 0),
    "MscSource": (36, 0),
    "Other": (30, 18),  # notices of the page, praise, what a figure shows
    "Recommendation": (45, 9),
    "Route": (13, 0),
    "Safety": (92, 0),
    "TrialDesign": (86, 0),
    "TrialRegistry": (11, 0),
}


def test_every_row_of_a_domain_kind_is_formalised_and_the_rest_say_why_not() -> None:
    assert account() == KINDS
    assert sum(formal for formal, _ in KINDS.values()) == 925
    assert sum(text for _, text in KINDS.values()) == 49


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A copy of the tables, to be spoilt."""
    return Path(shutil.copytree(RECORDS, tmp_path / "records"))


def test_kg_check_prints_the_counts_by_kind() -> None:
    (finding,) = [found for found in check(ROOT, None, claims=account) if found.check == "claims"]
    assert finding.holds
    assert finding.detail.startswith(
        "974 claims of the ledger: 925 formalised, 49 kept as text with the reason (by kind, "
    )
    for kind, (formal, text) in KINDS.items():
        assert f"{kind} {formal}/{text}/{formal + text}" in finding.detail


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("id", "", "its 973 rows are not the ledger's"),  # the row is taken out
        ("id", "A999", "its 974 rows are not the ledger's"),
        ("start", "131", "its 974 rows are not the ledger's"),  # the span moved
        ("reason", "Kept as text.", "record A019, field reason: the claim has both statements and a reason"),
    ],
)
def test_kg_check_fails_when_a_row_of_the_ledger_is_lost(
    records: Path, column: str, value: str, said: str
) -> None:
    if value:
        edit(records / "claims.tsv", "A019", column, value)
    else:
        table = records / "claims.tsv"
        kept = [line for line in table.read_text("utf-8").split("\n") if not line.startswith("A019")]
        table.write_text("\n".join(kept), "utf-8")
    found = {finding.check: finding for finding in check(ROOT, None, claims=lambda: account(records))}
    assert not found["claims"].holds
    assert "file claims.tsv" in found["claims"].detail
    assert said in found["claims"].detail


def test_kg_check_fails_when_a_statement_is_lost(records: Path) -> None:
    table = records / "statements.tsv"
    kept = [line for line in table.read_text("utf-8").split("\n") if not line.startswith("A019")]
    table.write_text("\n".join(kept), "utf-8")
    with pytest.raises(SourceError, match="record A019, field reason: the claim has neither a statement nor"):
        account(records)


# ------------------------------------------------------------------ the ledger's wording


@pytest.mark.parametrize("name", wording.COLUMNS)
def test_the_wording_tables_say_what_the_claims_in_fact_became(shared: Path, name: str) -> None:
    computed = wording.computed(shared / "claims")[name]
    written = wording.written(name)
    assert set(written) == set(computed), "run python -m loaders.literature.wording ../shared/claims"
    for text, (rows, kept, terms) in computed.items():
        row = written[text]
        assert (row["rows"], row["text"], row["terms"]) == (str(rows), str(kept), terms), text


def test_all_365_predicates_of_the_ledger_are_mapped_or_explained(shared: Path) -> None:
    written = wording.written("predicates")
    assert set(written) == {row["predicate"] for row in ledger(shared)}
    assert len(written) == 365
    assert sum(int(row["rows"]) for row in written.values()) == 974
    assert sum(int(row["text"]) for row in written.values()) == 49
    for predicate, row in written.items():
        # A wording that became several things, or nothing, says by which rule.
        counts = [int(term.rpartition(" ")[2]) for term in row["terms"].split(", ") if term]
        if max(counts, default=0) < int(row["rows"]):
            assert row["note"], predicate


def test_every_term_of_the_wording_tables_is_declared() -> None:
    known = {expand(row["id"]) for row in table("entities")}
    known |= {quad.subject for path in MODULES for quad in parse(path=path)}
    for name in ("predicates", "subjects", "objects", "populations", "statistics"):
        for row in wording.written(name).values():
            for term in row["terms"].split(", ") if row["terms"] else []:
                for curie in term.removeprefix("not ").rpartition(" ")[0].split(" + "):
                    standard = curie.partition(":")[0] in ("dcterms", "rdf", "rdfs", "skos")
                    assert standard or expand(curie) in known, (name, row["wording"], curie)


def test_every_field_is_taken_or_accounted_for() -> None:
    part = catalog.load("literature")
    counts = Counter(quad.object for quad in part.quads if quad.predicate == RDF.type)
    assert not part.account.unread
    assert part.account.records == part.source.expected.records
    assert counts[STROMA.Claim] == part.source.expected.counts["stroma:Claim"]
    # Nothing is said twice of a claim: each has one span and one text.
    assert counts[STROMA.TextSpan] == 974


def test_the_same_tables_give_the_same_quads(quads: list[Quad]) -> None:
    assert quads == list(catalog.load("literature").quads)


# ------------------------------------------------------------------ facts checked by hand in the documents

FACTS = [
    ("001:14", "the dose of MSCs", "regimen:yang2025-msc", "stroma:doseAmount", "1000000"),
    ("001:14", "the dose of IFN-γ", "regimen:yang2025-ifng", "stroma:doseAmount", "1000000"),
    (
        "001:14",
        "IFN-γ into the muscle",
        "regimen:yang2025-ifng",
        "stroma:hasRoute",
        "stroma:RouteIntramuscular",
    ),
    ("001:10", "double-blind", "trial:ChiCTR-INR-17012462", "stroma:hasMasking", "stroma:MaskingDouble"),
    ("001:16", "remission", "stroma:MeasureDAS28Remission", "stroma:threshold", "2.6"),
    ("000:31", "osteoclasts", "CL:0000134", "stroma:suppresses", "stroma:OsteoclastActivity"),
    ("000:27", "paracrine factors", "CL:0000134", "stroma:secretes", "stroma:AngiogenicFactor"),
    ("000:29", "efferocytosis", "stroma:ApoptoticMSC", "stroma:clearedBy", "CL:0000235"),
    ("000:80", "dexamethasone", "CHEBI:41879", "stroma:suppresses", "stroma:IDOExpression"),
    ("000:66", "first pass", "stroma:InfusedMSC", "stroma:accumulatesIn", "UBERON:0002048"),
    ("000:69", "most cells given", "regimen:trials-fixed", "stroma:doseHigh", "500000000"),
    ("002:17", "deeper effect", "PR:000000017", "stroma:enhances", "stroma:MSCEfficacyDepth"),
    (
        "002:72",
        "doi",
        "publication:doi-10.1186%2Fs13287-025-04772-x",
        "stroma:doi",
        "10.1186/s13287-025-04772-x",
    ),
]


@pytest.mark.parametrize(("place", "what", "subject", "predicate", "value"), FACTS)
def test_a_fact_stands_where_it_was_read(
    store: Store, place: str, what: str, subject: str, predicate: str, value: str
) -> None:
    document, line = place.split(":")
    expected = expand(value).value if re.fullmatch(r"[A-Za-z]+:\w+", value) else value
    found = ask(
        store,
        f"""SELECT ?object ?document ?line WHERE {{
            <{expand(subject).value}> <{expand(predicate).value}> ?object .
            ?proposition stroma:propositionSubject <{expand(subject).value}> ;
                         stroma:propositionPredicate <{expand(predicate).value}> ;
                         stroma:propositionObject ?object .
            ?claim stroma:asserts ?proposition ;
                   stroma:statedAt ?span .
            ?span stroma:inDocument/dcterms:identifier ?document ; stroma:lineNumber ?line .
        }}""",
    )
    assert (expected, document, line) in found, what


OBSERVED = [
    # group, measure, months -> property, value: read off tables 1 and 4 and lines 41 to 52 of document 001
    ("yang2025-msc", "Age", "0", "meanValue", "46.7"),
    ("yang2025-msc-ifng", "DAS28ESR", "0", "sdValue", "0.47"),
    ("yang2025-msc-ifng", "FemaleSex", "0", "numberAffected", "24"),
    ("yang2025-msc", "ACR20", "60", "percentage", "44.9"),
    ("yang2025-msc-ifng", "DAS28LowDiseaseActivity", "12", "percentage", "39.3"),
    ("yang2025-msc", "TsDMARDUse", "60", "numberAffected", "13"),
    ("yang2025-msc", "TsDMARDUse", "0", "numberAffected", "0"),  # zero is a value
    ("yang2025-msc-ifng", "PrednisoneUse", "36", "sampleSize", "28"),
]


@pytest.mark.parametrize(("group", "measure", "months", "value", "expected"), OBSERVED)
def test_an_observation_has_the_number_of_its_table(
    store: Store, group: str, measure: str, months: str, value: str, expected: str
) -> None:
    found = ask(
        store,
        f"""SELECT DISTINCT ?value WHERE {{
            ?o stroma:aboutArm group:{group} ; stroma:forMeasure stroma:Measure{measure} ;
               stroma:timepointMonths {months}.0 ; stroma:{value} ?value }}""",
    )
    assert found == [(expected,)]


def test_a_p_value_belongs_to_a_comparison_of_two_groups(store: Store) -> None:
    found = ask(
        store,
        """SELECT ?operator ?p (COUNT(?group) AS ?groups) WHERE {
            ?c a stroma:GroupComparison ; stroma:forMeasure stroma:MeasurePrednisoneUse ;
               stroma:timepointMonths 12.0 ; stroma:comparesGroup ?group ;
               stroma:pOperator ?operator ; stroma:pValue ?p } GROUP BY ?operator ?p""",
    )
    assert found == [("<", "0.001", "2")]
    assert ask(store, "SELECT ?o WHERE { ?o stroma:pValue ?p ; stroma:aboutArm ?arm }") == []


# ------------------------------------------------------------------ evidence


def test_every_quantity_leads_to_characters_of_a_document(store: Store, shared: Path) -> None:
    traced = {
        row[0]: row[1:]
        for row in ask(
            store,
            """SELECT DISTINCT ?id ?file ?line ?start ?end ?hash WHERE {
                ?claim stroma:asserts [ stroma:propositionSubject ?s ] ;
                       dcterms:identifier ?id ; stroma:statedAt ?span .
                ?span stroma:inDocument/stroma:recordFile ?file ; stroma:lineNumber ?line ;
                      stroma:startOffset ?start ; stroma:endOffset ?end ; stroma:sha256 ?hash }""",
        )
    }
    texts = {path.name: path.read_bytes().decode() for path in (shared / "seeds").iterdir()}
    for row in ledger(shared):
        if row["value"] and row["unit"] not in ("figure", "table"):
            file, line, start, end, _ = traced[row["claim_id"]]
            assert (file, line) == (row["doc"], row["line"])
            assert texts[file][int(start) : int(end)] == row["span"]


DIGITS = {"一": 1, "单": 1, "两": 2, "三": 3, "四": 4, "五": 5, "九": 9, "十": 10}
NONE = re.compile("无|未|沒有")
PLACE = re.compile(r"^observation:\d+-\d+-|(yang|gao)2025")  # digits that are no value
POWER = re.compile(r"([\d.]+)\s*×\s*10([⁰¹²³⁴-⁹]+)")
SCALE = {
    "years": 12,
    "time point": 12,
    "week; month": 7,
    "schedule": 7,
    "万 IU (10^4 IU)": 10_000,
    "tenths": 10,
    "cells/kg": 1_000_000,
}
UNSTATED = {
    "A110": "two points, each a statement",
    "A120": "I/II: a phase, read as 1/2",
    "A210": "four obstacles, as a word",
    "A262": "four thousand, as a word; the statement gives 4000",
    "A276": "once every two weeks: the interval of 14 days says so",
    "B040": "ten years: the time in which the studies appeared, kept in the wording",
    "B052": "I/II: a phase, read as 1/2",
    "B118": "the number of a group",
    "B119": "the number of a group",
    "B264": "the threshold, which the measure has (claim B110)",
}  # fmt: skip


def numbers(text: str) -> set[Decimal]:
    """The numbers of a ledger's value or of a statement, however they are printed."""
    found = {
        Decimal(factor).scaleb(int(unicodedata.normalize("NFKC", power)))
        for factor, power in POWER.findall(text)
    }
    text = POWER.sub(" ", text)
    found |= {Decimal(digits) for digits in re.findall(r"\d+(?:\.\d+)?", text)}
    found |= {Decimal(DIGITS[sign]) for sign in text if sign in DIGITS}
    return found or ({Decimal(0)} if NONE.search(text) else set())


def test_every_quantity_of_the_ledger_is_a_number_its_statements_give(shared: Path) -> None:
    said: dict[str, set[Decimal]] = {}
    for row in table("statements"):
        given = said.setdefault(row["claim"], set())
        given |= numbers(f"{PLACE.sub('', row['subject'])} {row['object']}")
    missing = set()
    for row in ledger(shared):
        if row["value"] and row["unit"] not in ("figure", "table"):
            wanted = numbers(row["value"])
            scale = SCALE.get(row["unit"], 1)
            given = said[row["claim_id"]]
            if not wanted or not all({n, n * scale} & given for n in wanted):
                missing.add(row["claim_id"])
    assert missing == set(UNSTATED)


def test_no_table_says_of_a_therapy_as_such_that_it_works_or_is_safe() -> None:
    modality = {row["id"]: row["modality"] for row in table("claims")}
    effects = {f"stroma:{name}" for name in ("improves", "reduces", "increases", "hasProperty", "causes")}
    assert not [
        row
        for row in table("statements")
        if row["subject"].startswith("stroma:MSC")
        and row["subject"].endswith(("Regimen", "Arm"))
        and row["predicate"] in effects
        and modality[row["claim"]] == "Asserted"
    ]


def test_a_claim_that_holds_of_some_says_so_in_a_note() -> None:
    notes = {row["id"]: row["note"] for row in table("claims")}
    some = "A021 A052 A088 A098 A108 A248 B026 B032 C002 C009 C021 C027"
    assert [claim for claim in some.split() if not notes[claim]] == []


def test_documents_that_agree_meet_in_one_proposition(store: Store) -> None:
    claims = ask(
        store,
        """SELECT DISTINCT ?id WHERE {
            ?claim stroma:asserts ?p ; dcterms:identifier ?id .
            ?p stroma:propositionSubject <http://purl.obolibrary.org/obo/PR_000000017> ;
               stroma:propositionPredicate stroma:enhances ;
               stroma:propositionObject stroma:MSCImmunomodulation } ORDER BY ?id""",
    )
    assert claims == [("A170",), ("C046",), ("C048",)]


# The same fact in two places, in other words or with another scope printed: one proposition, two claims.
AGREEING = [
    ("A011", "C001", "an autoimmune disease; a chronic one"),
    ("A126", "A180", "twelve published articles, in lines 37 and 55"),
    ("A170", "C048", "interferon gamma enhances immunomodulation"),
    ("B054", "B070", "double-blind, in lines 10 and 11"),
    ("B130", "C054", "110 randomised"),
    ("B132", "C057", "97 completed"),
    ("B132", "B392", "97 completed, in lines 22 and 68"),
    ("B149", "C065", "mean follow-up of six years"),
    ("B150", "C016", "follow-up from five to seven years"),
    ("B211", "C067", "223 adverse events, in follow-up; in five years of it"),
    ("B213", "C070", "35.86 adverse events in 100 patient-years"),
    ("B221", "C077", "falls of lymphocytes did not affect later treatment"),
    ("B227", "C085", "7.3 % had a serious event"),
    ("B229", "C087", "2.31 serious events in 100 patient-years"),
    ("B249", "C101", "50.7 % reached ACR20, in the core trial; after one year"),
    ("B255", "C095", "the combination is favoured for ACR20 at year five"),
    ("B256", "C102", "89.3 % reached ACR20 at year five"),
    ("B257", "C111", "42.9 %: low disease activity by DAS28; by no named score"),
    ("B267", "C118", "the remission rates differ significantly"),
    ("B268", "C119", "1.4 % in DAS28 remission; in clinical remission"),
    ("B280", "C137", "fewer on biologics in both groups"),
    ("B380", "C141", "one patient in drug-free remission at year five"),
    ("B387", "C090", "no graft-versus-host disease, at any time; in the whole extension"),
]


@pytest.mark.parametrize(("one", "other", "what"), AGREEING, ids=lambda text: text[:4])
def test_a_fact_of_two_places_is_one_proposition_with_two_claims(
    store: Store, one: str, other: str, what: str
) -> None:
    shared = ask(
        store,
        f"""SELECT DISTINCT ?proposition WHERE {{
            ?one dcterms:identifier "{one}" ; stroma:asserts ?proposition .
            ?other dcterms:identifier "{other}" ; stroma:asserts ?proposition }}""",
    )
    assert shared, what


def test_the_registry_number_of_a_trial_joins_documents_and_publications(embedded: Snapshot) -> None:
    graph = Store()
    graph.bulk_load(b"".join(read_lines(embedded)), format=RdfFormat.N_QUADS)
    found = ask(
        graph,
        """SELECT DISTINCT ?level WHERE {
            ?p stroma:propositionSubject <https://w3id.org/stroma/trial/ChiCTR-INR-17012462> ;
               stroma:propositionPredicate stroma:hasPhase ;
               stroma:propositionObject stroma:Phase1Phase2 .
            ?claim stroma:asserts ?p ; stroma:statementLevel ?level } ORDER BY ?level""",
    )
    assert found == [(STROMA.LevelCurated.value,), (STROMA.LevelStated.value,)]


def test_what_several_places_report_of_one_scope_is_one_observation() -> None:
    values: dict[str, set[tuple[str, str]]] = {}
    for row in table("statements"):
        values.setdefault(row["subject"], set()).add((row["predicate"], row["object"]))
    scope = ("kind", "group", "measure", "months", "label", "set", "unit", "study", "note")
    seen: dict[object, str] = {}
    for row in table("observations"):
        key = (*(row[name] for name in scope), frozenset(values["observation:" + row["id"]]))
        assert seen.setdefault(key, row["id"]) == row["id"]


def test_two_documents_that_report_a_number_are_both_its_source(store: Store) -> None:
    found = ask(
        store,
        """SELECT ?o ?document WHERE {
            ?o stroma:forMeasure stroma:MeasureACR20 ; stroma:aboutArm group:yang2025-msc ;
               stroma:timepointMonths 60.0 ; prov:wasDerivedFrom/dcterms:identifier ?document }
           ORDER BY ?document""",
    )
    assert [document for _, document in found] == ["001", "002"]
    assert len({observation for observation, _ in found}) == 1


def test_each_cell_of_the_tables_is_typed_as_it_is_printed(store: Store, shared: Path) -> None:
    """Document 001, lines 25 to 38 and 61 to 64, cell by cell: n, percent, mean, SD, p and group size."""
    lines = next((shared / "seeds").glob("001_*")).read_text(encoding="utf-8").split("\n")
    printed = []
    for number in (*range(25, 34), *range(35, 39), *range(61, 65)):
        cells = [cell.strip() for cell in lines[number - 1].strip().strip("|").split("|")][1:]
        groups = ("yang2025-msc", "yang2025-msc-ifng", "both")
        for at, cell in enumerate(cells[: 2 if number < 40 else 12]):
            group, months = groups[at % 3], (0, 12, 36, 60)[at // 3]
            printed.append((number, group, str(months), _numbers_of_cell(number, group, cell)))
    assert len(printed) == 13 * 2 + 4 * 12
    for number, group, months, values in printed:
        about = (
            "stroma:comparesGroup group:yang2025-msc , group:yang2025-msc-ifng"
            if group == "both"
            else f"stroma:aboutArm group:{group}"
        )
        found = ask(
            store,
            f"""SELECT DISTINCT ?predicate ?value WHERE {{
                ?o {about} ; stroma:timepointMonths {months}.0 ; ?predicate ?value .
                ?claim stroma:hasEvidence ?o ; stroma:statedAt ?span ; stroma:asserts [
                    stroma:propositionSubject ?o ; stroma:propositionPredicate ?predicate ;
                    stroma:propositionObject ?value ] .
                ?span stroma:lineNumber {number} ; stroma:inDocument/dcterms:identifier "001" }}""",
        )
        said = {(predicate.removeprefix(STROMA("").value), value) for predicate, value in found}
        assert plain(said) == plain(values), f"line {number}, {group}, month {months}"


def plain(values: set[tuple[str, str]]) -> set[tuple[str, str | Decimal]]:
    """Numbers as numbers: a store writes 5.70 as 5.7."""
    return {(name, Decimal(text) if text[0].isdigit() else text) for name, text in values}


def _numbers_of_cell(line: int, group: str, cell: str) -> set[tuple[str, str]]:
    if group == "both":
        sign, value = (cell[0], cell[1:]) if cell[0] in "<>" else ("=", cell)
        return {("pOperator", sign), ("pValue", value)}
    if "±" in cell:
        mean, sd = (part.strip() for part in cell.split("±"))
        return {("meanValue", mean), ("sdValue", sd)}
    if 32 <= line <= 33:
        return {("percentage", cell)}
    found = re.fullmatch(r"(\d+)\s*(?:\(([\d.]+)\))?", cell)
    assert found, cell
    share = {("percentage", found[2])} if found[2] else set()
    return {("numberAffected", found[1])} | share


def test_two_tables_that_disagree_keep_both_values_under_one_key(store: Store) -> None:
    found = ask(
        store,
        """SELECT ?n ?key WHERE {
            ?o stroma:aboutArm group:yang2025-msc ; stroma:forMeasure stroma:MeasurePrednisoneUse ;
               stroma:timepointMonths 0.0 ; stroma:numberAffected ?n ; stroma:observationKey ?key }
           ORDER BY ?n""",
    )
    assert [n for n, _ in found] == ["57", "59"]  # table 4 and table 1
    assert len({key for _, key in found}) == 1


def test_hedged_recommended_and_denied_edges_are_not_facts(quads: list[Quad]) -> None:
    graph = {(quad.subject, quad.predicate, quad.object) for quad in quads}
    hedged = (STROMA.ImmunosuppressantProduct, STROMA.impairs, STROMA.MSCImmunomodulatoryPlasticity)  # A319
    advised = (
        STROMA.MSCTherapyRegimen,
        STROMA.shouldNotBeCombinedWith,
        STROMA.ImmunosuppressantProduct,
    )  # A325
    denied = (STROMA.MSCProduct, STROMA.actsThrough, STROMA.NonSpecificImmunosuppression)  # C032
    for edge in (hedged, advised, denied):
        assert edge not in graph
        assert any(q.predicate == STROMA.propositionObject and q.object == edge[2] for q in quads)
    assert (expand("CHEBI:41879"), STROMA.suppresses, STROMA.INOSExpression) in graph  # A323 is asserted


def test_an_inference_of_ours_says_so(store: Store) -> None:
    found = ask(
        store,
        """SELECT ?tissue ?confidence WHERE {
            <https://w3id.org/stroma/product/yang2025-msc> stroma:hasTissueSource ?tissue .
            ?claim a stroma:CuratedStatement ; stroma:basis ?basis ; stroma:confidence ?confidence ;
                   stroma:asserts [ stroma:propositionSubject <https://w3id.org/stroma/product/yang2025-msc> ;
                                    stroma:propositionObject ?tissue ] }""",
    )
    assert found == [(STROMA.TissueUmbilicalCord.value, STROMA.ConfidenceHigh.value)]


def test_the_mice_of_document_000_are_kept_beside_the_species_of_the_trial(store: Store) -> None:
    found = ask(
        store,
        """SELECT ?id ?said ?of WHERE {
            ?claim stroma:sourceSpecies ?said ; dcterms:identifier ?id ;
                   stroma:hasEvidence/(stroma:comparesGroup|stroma:aboutGroup|stroma:aboutArm) ?group .
            ?group stroma:ofSpecies ?of . FILTER(?said != ?of) } GROUP BY ?id ?said ?of ORDER BY ?id""",
    )
    mouse, human = (expand(f"NCBITaxon:{taxon}").value for taxon in ("10090", "9606"))
    # Line 75 prints mice of a trial in patients; the rest of the documents keeps species and group together.
    assert found == [(f"A{number}", mouse, human) for number in range(297, 303)]
    query = """SELECT ?population ?basis ?confidence WHERE { ?claim dcterms:identifier "A298" ;
        stroma:claimPopulation ?population ; stroma:confidenceBasis ?basis ;
        stroma:confidence ?confidence }"""
    [(population, basis, confidence)] = ask(store, query)
    assert population == "mice (as printed)"
    assert "patients" in basis
    assert confidence == STROMA.ConfidenceMedium.value


# ------------------------------------------------------------------ kinds of evidence

REFERENCE, CLINICAL, INFERENCE, UNTRACED = "ECO:0000304", "ECO:0006017", "ECO:0006216", "ECO:0000303"


def test_evidence_types_are_those_of_the_evidence_ontology(shared: Path) -> None:
    text = (shared / "data" / "ontologies" / "eco_2024-07.obo").read_text(encoding="utf-8")
    used = {row["evidence"] for row in table("claims")}
    assert used == {REFERENCE, CLINICAL, INFERENCE, UNTRACED}
    labels = {
        quad.subject: quad.object.value
        for quad in parse(path=ROOT / "ontology" / "modules" / "imports-evidence.ttl")
        if quad.predicate.value.endswith("rdf-schema#label") and isinstance(quad.object, Literal)
    }
    for term, label in labels.items():
        curie = str(term).strip("<>").rpartition("/")[2].replace("_", ":")
        if curie.startswith("ECO:"):
            assert f"id: {curie}\nname: {label}\n" in text


def test_the_kind_of_evidence_follows_from_what_a_claim_speaks_of() -> None:
    said: dict[str, list[dict[str, str]]] = {}
    for row in table("statements"):
        said.setdefault(row["claim"], []).append(row)
    observations = {f"observation:{row['id']}": row for row in table("observations")}
    for claim in table("claims"):
        rows = said.get(claim["id"], [])
        studies = {observations[r["subject"]]["study"] for r in rows if r["subject"] in observations} - {""}
        if not rows or (claim["topic"] == "Bibliographic" and not studies):  # of no thing, or of the paper
            assert claim["evidence"] == UNTRACED, claim["id"]
        elif claim["modality"] == "Recommended":
            assert claim["evidence"] in (INFERENCE, REFERENCE), claim["id"]
        if studies:  # a number of a study, or words on its patients
            assert claim["evidence"] == CLINICAL, claim["id"]
            assert claim["study_type"], claim["id"]
    counts = Counter(row["evidence"] for row in table("claims"))
    assert counts == {CLINICAL: 519, REFERENCE: 266, INFERENCE: 93, UNTRACED: 96}


# claim -> kind of study it draws on, as read in the documents
STUDIES = {
    "A116": "stroma:NarrativeReview",  # what the review says of MSCs
    "A159": "stroma:NarrativeReview",  # its summary of twelve trials
    "A175": "OBI:0004001",  # the randomised trial with interferon gamma
    "A277": "stroma:AnimalStudy",
    "B249": "OBI:0004001",  # a rate at the end of the core trials
    "B258": "stroma:LongTermExtensionStudy",  # a rate at year five
    "B085": "OBI:0004001",  # a dose of the core trials
    "C099": "OBI:0004001",  # document 002: year one is the end of the core trials
    "B026": "",  # background
    "B424": "",
}


def test_a_claim_says_on_which_kind_of_study_it_draws(store: Store) -> None:
    for identifier, expected in STUDIES.items():
        query = f"""SELECT ?type WHERE {{
            ?claim dcterms:identifier "{identifier}" ; stroma:evidenceStudyType ?type }}"""
        assert ask(store, query) == ([(expand(expected).value,)] if expected else []), identifier


def test_every_formalised_claim_says_how_sure_its_reading_is_and_why(store: Store) -> None:
    lacking = ask(
        store,
        """SELECT ?claim WHERE { ?claim a stroma:Claim ; stroma:asserts ?p .
            FILTER NOT EXISTS { ?claim stroma:confidence ?c ; stroma:confidenceBasis ?b } }""",
    )
    assert lacking == []
    unsure = {row["id"] for row in table("claims") if row["confidence"] != "High"}
    assert {"A295", "A315", "A243", "A297"} <= unsure
    assert all(row["basis"] for row in table("claims") if row["id"] in unsure)


def test_every_claim_has_a_source_an_activity_and_a_time(store: Store) -> None:
    assert ask(
        store,
        """SELECT (COUNT(DISTINCT ?claim) AS ?n) WHERE {
            ?claim a stroma:Claim ; prov:wasDerivedFrom ?document ; prov:generatedAtTime ?time ;
                   prov:wasGeneratedBy <https://w3id.org/stroma/activity/literature> ;
                   stroma:statementLevel stroma:LevelStated ;
                   stroma:statedAt/prov:wasQuotedFrom ?document }""",
    ) == [("974",)]


# ------------------------------------------------------------------ what must not be committed


def test_the_tables_hold_no_chinese_wording_and_no_person() -> None:
    for path in (*RECORDS.glob("*.tsv"), *wording.FOLDER.glob("*.tsv")):
        text = path.read_text(encoding="utf-8")
        assert not CHINESE.search(text), path.name
        assert not re.search(r"\b(Xu Jianjun|Gao,? Y|Zhao N|Hu,? CH|Yang,? Y|He,? X|Yao M)\b", text), (
            path.name
        )


# ------------------------------------------------------------------ verify


@pytest.fixture(scope="session")
def documents(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the documents that a test may spoil."""
    return Path(shutil.copytree(shared / "seeds", tmp_path_factory.mktemp("documents") / "seeds"))


def test_the_documents_as_they_are_verify(shared: Path) -> None:
    assert verify(shared / "seeds") == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 973))
def test_one_changed_character_of_a_span_is_found(shared: Path, documents: Path, which: int) -> None:
    claim = table("claims")[which]
    original = next((shared / "seeds").glob(f"{claim['document']}_*"))
    text, at = original.read_bytes().decode(), int(claim["start"])
    spoilt = documents / original.name
    spoilt.chmod(0o644)
    spoilt.write_bytes((text[:at] + "¿" + text[at + 1 :]).encode())
    messages = [str(problem) for problem in verify(documents)]
    spoilt.write_bytes(original.read_bytes())
    assert any("the document has changed" in message for message in messages)
    [message] = [m for m in messages if f"claim {claim['id']}," in m]
    assert f"{original.name}:{claim['line']}" in message
    assert f"characters {at} to {claim['end']}" in message
    assert claim["sha256"] in message
    assert "restore the document" in message


def test_a_missing_or_misencoded_document_is_named(shared: Path, tmp_path: Path) -> None:
    first, second, third = sorted((shared / "seeds").iterdir())
    shutil.copy(first, tmp_path)
    (tmp_path / second.name).write_bytes(second.read_bytes().decode().encode("utf-16"))
    problems = [str(problem) for problem in verify(tmp_path)]
    assert len(problems) == 2
    assert second.name in problems[0]
    assert "is not UTF-8" in problems[0]
    assert third.name in problems[1]
    assert "cannot be read" in problems[1]


def test_a_span_beyond_the_end_is_named(shared: Path, tmp_path: Path) -> None:
    records = Path(shutil.copytree(RECORDS, tmp_path / "records"))
    edit(records / "claims.tsv", "A001", "end", "999999")
    [problem] = verify(shared / "seeds", records)
    assert "the span lies outside the document" in str(problem)
    assert "claim A001" in str(problem)


# ------------------------------------------------------------------ bad input


def edit(path: Path, key: str, column: str, value: str, *, where: str = "") -> None:
    """Change one field of the first row whose first column is `key` and whose text holds `where`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    top = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    header = lines[top].split("\t")
    at = next(n for n, line in enumerate(lines) if n > top and line.split("\t")[0] == key and where in line)
    fields = lines[at].split("\t")
    fields[header.index(column)] = value
    lines[at] = "\t".join(fields)
    path.write_text("\n".join(lines), encoding="utf-8")


OBS = "001-64-yang2025-msc-PrednisoneUse-0m"
# table, row, column, what is written there, words of the message; where a row's key is not enough, its words
Case = tuple[str, str, str, str, list[str]] | tuple[str, str, str, str, list[str], str]
BAD: list[Case] = [
    ("statements", "B157", "object", "abc", ["B157", "object", "'abc'", "decimal number"]),
    ("statements", "B157", "object", "185.5", ["'185.5'", "between 0 and 100"]),
    ("statements", "B156", "object", "590", ["590", "n is over N: 69"]),
    ("statements", "B156", "object", "59.5", ["'59.5'", "whole number"]),
    ("statements", "A001", "object", "31 February 2025", ["A001", "does not exist"]),
    ("statements", "A001", "datatype", "number", ["'number'", "not a datatype"]),
    ("statements", "A001", "claim", "Z999", ["'Z999'", "no claim has this id", "claims.tsv"]),
    ("statements", "A001", "predicate", "stroma:publishedOn", ["publishedOn", "nor a term of the ontology"]),
    ("statements", "B157", "subject", "observation:nope", ["observation:nope", "no observation has this id"]),
    ("statements", "C032", "polarity", "maybe", ["'maybe'", "not a polarity"]),
    ("observations", OBS, "group", "group:nobody", ["'group:nobody'", "no entity has this CURIE"]),
    ("observations", OBS, "group", "group:ra-patients", ["for an arm or pooled group"]),
    ("observations", OBS, "measure", "stroma:MeasurePrednison", ["stroma:MeasurePrednison", "nor a term"]),
    ("observations", OBS, "kind", "Guess", ["'Guess'", "not a kind of observation"]),
    ("observations", OBS, "months", "soon", ["'soon'", "decimal number"]),
    ("observations", OBS, "months", "600", ["'600'", "no time of timepoints.tsv has month 600"]),
    ("observations", OBS, "label", "year 50", ["no time of timepoints.tsv has month 0", "'year 50'"]),
    ("observations", OBS, "line", "63", ["'63'", "no claim at line 63 of document 001"]),
    ("observations", OBS, "document", "001 002", ["one line for each document"]),
    ("statements", "B157", "datatype", "text", ["'text'", "stroma:percentage is of datatype decimal"]),
    ("statements", "B156", "datatype", "decimal", ["stroma:numberAffected is of datatype integer"]),
    ("statements", "B156", "object", "-59", ["a count cannot be negative"]),
    ("statements", "B161", "object", "-10.2", ["a spread cannot be negative"]),
    ("statements", "A030", "object", "250", ["'250'", "between 0 and 100"]),
    ("statements", "A132", "object", "0.5", ["'0.5'", "no number of {doses}"]),
    ("statements", "B150", "object", "50", ["the range ends before it starts: 50 to 7"], "rangeLow"),
    ("statements", "B302", "object", "81", ["'81'", "a p-value lies between 0 and 1"], "pValue"),
    ("claims", "A019", "start", "131", ["claims/A019", "the span moved: line 8 starts before", "kg verify"]),
    ("claims", "A019", "line", "80", ["the span moved", "kg verify"]),
    ("claims", "A001", "sha256", "63032df0", ["is no SHA-256"]),
    ("claims", "A001", "evidence", "ECO:0000001", ["'ECO:0000001'", "nor a term of the ontology"]),
    ("claims", "A001", "confidence", "Total", ["stroma:ConfidenceTotal", "nor a term"]),
    ("claims", "A001", "confidence", "Medium", ["a reading that is not certain needs its reason"]),
    ("claims", "A001", "species", "mouse", ["'mouse'"]),
    ("claims", "A001", "document", "009", ["'009'", "no document has this id", "000, 001, 002"]),
    ("claims", "A001", "document", "", ["A001", "document", "required field"]),
    ("claims", "A001", "end", "1", ["A001", "the span is empty"]),
    ("claims", "A001", "modality", "Shouted", ["'Shouted'", "not a modality"]),
    ("claims", "A001", "topic", "Weather", ["stroma:TopicWeather", "nor a term"]),
    ("claims", "A013", "reason", "", ["A013", "asserts nothing and gives no reason"]),
    ("claims", "A001", "reason", "None.", ["A001", "not a text claim"]),
    ("claims", "A002", "id", "A001", ["'A001'", "the id also stands in line 4"]),
    ("entities", "group:ra-patients", "types", "stroma:Folk", ["'stroma:Folk'", "nor a term"]),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: "-".join(case[:4]))
def test_a_bad_row_stops_the_load_and_is_named(tmp_path: Path, case: Case) -> None:
    name, key, column, value, parts, *where = case
    folder = Path(shutil.copytree(RECORDS, tmp_path / "records"))
    edit(folder / f"{name}.tsv", key, column, value, where=where[0] if where else "")
    message = refused(folder)
    for part in ["source literature", f"file {name}.tsv:", *parts]:
        assert part in message


def test_a_unit_that_does_not_fit_the_number_is_refused_at_the_number(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RECORDS, tmp_path / "records"))
    edit(folder / "observations.tsv", "000-41-published-msc-ra-DoseInterval", "unit", "{doses}")
    message = refused(folder)
    assert "file statements.tsv:" in message
    assert (
        "record statements/A133/1, field statements.object, value '91.3': is no number of {doses}" in message
    )
    assert "mend the unit of the observation" in message


def refused(folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        list(catalog.load("literature", sorted(folder.glob("*.tsv"))).quads)
    return str(caught.value)


def _spoil(change: Callable[[bytes], bytes], name: str, tmp_path: Path) -> str:
    folder = Path(shutil.copytree(RECORDS, tmp_path / "records"))
    path = folder / name
    path.write_bytes(change(path.read_bytes()))
    return refused(folder)


def test_a_truncated_row_is_named(tmp_path: Path) -> None:
    message = _spoil(lambda data: data[:-20], "statements.tsv", tmp_path)
    assert "file statements.tsv:" in message
    assert "columns" in message


def test_a_table_in_the_wrong_encoding_is_named(tmp_path: Path) -> None:
    message = _spoil(lambda data: data.decode().encode("gb18030"), "claims.tsv", tmp_path)
    assert "file claims.tsv" in message
    assert "is not utf-8" in message


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RECORDS, tmp_path / "records"))
    (folder / "observations.tsv").unlink()
    assert "file observations.tsv: the table is missing" in refused(folder)


def test_an_observation_without_a_value_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RECORDS, tmp_path / "records"))
    path = folder / "statements.tsv"
    kept = [line for line in path.read_text(encoding="utf-8").split("\n") if "C142" not in line]
    path.write_text("\n".join(kept), encoding="utf-8")
    edit(folder / "claims.tsv", "C142", "reason", "Left out.")
    assert "no statement gives the observation a value" in refused(folder)


@settings(max_examples=8, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), min_size=1).filter(str.strip))
def test_any_text_survives_as_a_claim(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = Path(shutil.copytree(RECORDS, tmp_path_factory.mktemp("any") / "records"))
    edit(folder / "claims.tsv", "A001", "statement", text)
    part = catalog.load("literature", sorted(folder.glob("*.tsv")))
    expected = Quad(
        mint("claim", "A001"), STROMA.claimText, Literal(text.strip(), language="en"), part.source.graph
    )
    assert expected in set(part.quads)
    assert isinstance(expected.subject, NamedNode)
