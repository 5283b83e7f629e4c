"""The competency questions, asked of the embedded graph: the rows they must give.

`tests/expected.py` has the whole answer of each question at its defaults: a table read against the sources
or, of a question about the tables of the ontology, what those say by another path. The tests below say the
same of single facts, with where they stand in the sources.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pyoxigraph import BlankNode, Literal, NamedNode, QuerySolutions, QueryTriples, Store
from rdflib import RDF, RDFS, SKOS
from statsmodels.stats.proportion import proportion_confint

from kg.canned import Catalogue
from kg.snapshot import Snapshot, load_store, read_lines
from kg.terms import ROOT, compress, expand
from kg.web.charts import draw
from tests.expected import FOLDER, RECOMPUTED, difference, expected, modules, path, table, written

CATALOGUE = Catalogue.read(ROOT / "queries")


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    return load_store(embedded)


def ask(store: Store, id: str, **parameters: str) -> list[dict[str, str]]:
    """The rows of a question, as text: CURIEs for IRIs, the lexical form of literals, "" for unbound.

    Of a graph, its triples in order.
    """
    solutions = store.query(CATALOGUE[id].bind(parameters), use_default_graph_as_union=True)
    if isinstance(solutions, QueryTriples):
        shown = sorted({tuple(_shown(term) for term in triple) for triple in solutions})
        return [dict(zip(("subject", "predicate", "object"), triple, strict=True)) for triple in shown]
    assert isinstance(solutions, QuerySolutions)
    names = [variable.value for variable in solutions.variables]
    return [{name: _shown(solution[name]) for name in names} for solution in solutions]


def _shown(term: object) -> str:
    if term is None:
        return ""
    if isinstance(term, NamedNode):
        return compress(term.value)
    assert isinstance(term, Literal), "an answer shows no blank node"
    return term.value


@pytest.mark.parametrize("id", CATALOGUE)
def test_a_question_gives_its_expected_rows(store: Store, id: str, renew: bool) -> None:
    given = ask(store, id)
    due = expected(id) if id in RECOMPUTED or path(id).is_file() else []
    if id in RECOMPUTED:
        assert given == due, difference(due, given)
    if given == due:
        return
    changed = f"tests/queries/{id}.tsv:\n{difference(due, given)}"
    if renew:
        path(id).write_text(written(given), encoding="utf-8")
        pytest.skip(f"wrote {changed}\nRead each row against its source before you commit it")
    pytest.fail(
        f"{changed}\nWhere the rows given are right, write them: "
        ".venv/bin/python -m pytest tests/test_queries.py --renew -rs",
        pytrace=False,
    )


def test_the_expected_medication_rows_are_those_of_the_ledger(shared: Path) -> None:
    # An independent path: the counts of both tables, straight from the columns of the ledger.
    ledger = table(shared / "claims" / "claims_001.tsv")
    months = {"baseline": "0", "year 1": "12", "year 3": "36", "year 5": "60"}
    drugs = {
        "csDMARDs use": "csDMARD use",
        "tsDMARDs use": "tsDMARD use",
        "biologics use": "bDMARD use",
        "biologics history": "bDMARD use",
        "prednisone use": "prednisone use",
        "prednisone history": "prednisone use",
        "NSAID history": "NSAID use",
        "DMARD history": "DMARD use",
    }
    groups = {"MSC": "MSC monotherapy (Yang 2025)", "MSC+IFN-γ": "MSC plus IFN-γ (Yang 2025)"}
    stated = {
        (drugs[row["subject"]], groups[row["population"]], months[row["timepoint"]], row["value"])
        for row in ledger
        if row["subject"] in drugs and row["statistic"] == "n"
    }
    rows = [row for row in expected("drug-use-by-arm-and-time") if row["drug"] != "drug-free remission"]
    assert {(row["drug"], row["group"], row["months"], row["users"]) for row in rows} == stated


@pytest.mark.parametrize("id", CATALOGUE)
def test_a_question_says_what_each_of_its_columns_means(store: Store, id: str) -> None:
    rows = ask(store, id)
    assert rows, "a question without an answer is no use as an example"
    assert list(rows[0]) == list(CATALOGUE[id].columns)


@pytest.mark.parametrize("id", CATALOGUE)
def test_the_order_of_a_question_s_rows_leaves_nothing_open(id: str) -> None:
    # Pages of an answer join only where every evaluation gives the rows in one order.
    ordered = re.search(r"\nORDER BY ([^\n]+)\s*$", CATALOGUE[id].text)
    if ordered is None:
        assert "CONSTRUCT" in CATALOGUE[id].text
        return
    keys = re.findall(r"\?(\w+)", ordered[1])
    if set(keys) <= set(CATALOGUE[id].columns):
        rows = [tuple(row[key] for key in keys) for row in expected(id)]
        assert [row for row, times in Counter(rows).items() if times > 1] == []


def test_every_question_has_its_rows_in_a_table_or_from_the_files() -> None:
    tables = {file.stem for file in FOLDER.glob("*.tsv")}
    assert tables | set(RECOMPUTED) == set(CATALOGUE)
    assert tables & set(RECOMPUTED) == set()


def test_doses_follow_the_body_weight(store: Store) -> None:
    # Document 001, line 14: 1 × 10⁶ cells/kg in both arms; half the weight, half the cells.
    def cells(weight: str) -> set[str]:
        rows = ask(store, "doses-for-body-weight", weight=weight)
        return {row["cellsHigh"] for row in rows if row["group"] == "MSC monotherapy (Yang 2025)"}

    assert cells("70") == {"70000000"}
    assert cells("35") == {"35000000"}


def test_a_fixed_dose_does_not_follow_the_body_weight(store: Store) -> None:
    # NCT03691909: 2 × 10⁸ cells, whatever the weight.
    rows = ask(store, "doses-for-body-weight", weight="35")
    assert {row["cellsLow"] for row in rows if row["study"] == "NCT03691909"} == {"200000000"}


def test_the_registered_trials_count_seventeen(store: Store) -> None:
    rows = ask(store, "registered-by-phase-and-status")
    ids = {id for row in rows for id in row["ids"].split()}
    assert len(ids) == 17
    assert sum(int(row["trials"]) for row in rows) == 17


def test_no_registered_trial_is_in_a_disease_nobody_studies(store: Store) -> None:
    assert ask(store, "registered-by-phase-and-status", condition="MONDO:0007915") == []


def test_remission_at_five_years_is_asked_with_another_measure(store: Store) -> None:
    # Document 001, line 52: 25 % against 2.9 % at year five.
    rows = ask(store, "response-by-arm-and-time", measure="stroma:MeasureDAS28Remission")
    at_five = {(row["group"], row["percent"]) for row in rows if row["months"] == "60"}
    assert at_five == {("MSC plus IFN-γ (Yang 2025)", "25"), ("MSC monotherapy (Yang 2025)", "2.9")}


def test_the_two_tables_of_document_001_differ_on_prednisone_and_biologics(store: Store) -> None:
    rows = ask(store, "statements-that-differ")
    counts = {
        (row["group"], row["measure"], row["value1"], row["place1"], row["value2"], row["place2"])
        for row in rows
        if row["property"] == "number affected"
    }
    assert counts == {
        ("MSC monotherapy (Yang 2025)", "prednisone use", "59", "001:38", "57", "001:64"),
        ("MSC plus IFN-γ (Yang 2025)", "prednisone use", "25", "001:38", "24", "001:64"),
        ("MSC plus IFN-γ (Yang 2025)", "bDMARD use", "13", "001:36", "10", "001:63"),
    }


def test_steroids_are_cautioned_and_methotrexate_is_not(store: Store) -> None:
    drugs = {row["drug"] for row in ask(store, "co-medications-to-avoid")}
    assert "prednisone product" in drugs
    assert not any("methotrexate" in drug for drug in drugs)


def test_the_evidence_of_one_edge_is_found_by_its_three_parts(store: Store) -> None:
    rows = ask(
        store,
        "evidence-of-a-statement",
        subject="PR:000000017",
        predicate="stroma:enhances",
        object="stroma:MSCActivation",
    )
    # Document 002, line 17.
    assert [(row["claim"], row["document"], row["line"]) for row in rows] == [("C047", "002", "17")]


# ------------------------------------------------------------- independent paths to the expected rows


CLAIMS = table(ROOT / "loaders" / "literature" / "records" / "claims.tsv")


@pytest.mark.parametrize(
    ("id", "topic"), [("what-is-claimed-about-safety", "Safety"), ("what-is-said-of-a-source", "MscSource")]
)
def test_the_claims_on_a_topic_are_those_of_the_curators_table(id: str, topic: str) -> None:
    stated = {(row["id"], row["document"], row["line"]) for row in CLAIMS if row["topic"] == topic}
    assert {(row["claim"], row["document"], row["line"]) for row in expected(id)} == stated


def test_the_text_claims_and_their_reasons_are_those_of_the_curators_table() -> None:
    stated = Counter(row["reason"] for row in CLAIMS if row["reason"])
    shown: Counter[str] = Counter()
    for row in expected("claims-without-a-statement"):
        shown[row["reason"]] += int(row["claims"])
        assert len(row["ids"].split()) == int(row["claims"])
    assert shown == stated


def test_the_registered_trials_are_those_of_the_compiled_list(shared: Path) -> None:
    # An independent path: the list of 17, compiled from the registry records by somebody else.
    listed = table(shared / "data" / "publications" / "registered_msc_ra_trials_17.tsv")
    wanted = {row["nct_id"]: row for row in listed if row["nct_id"].startswith("NCT")}
    rows = {row["trial"]: row for row in expected("trials-of-a-condition")}
    assert len(rows) == 17
    assert set(rows) <= set(wanted)
    for id, row in rows.items():
        size = re.match(r"\d+", wanted[id]["enrollment"])
        assert size is None or size[0] in (row["participants"], row["participantsElsewhere"]), id
        phase = wanted[id]["phase"].replace("/", "").replace(" ", "").lower()
        assert phase in (row["phase"].replace("/", "").replace(" ", "").lower(), "n/a", "na", ""), id


def test_trials_by_year_country_and_sponsor_agree_with_the_list_of_trials() -> None:
    trials = {row["trial"]: row for row in expected("trials-of-a-condition")}
    by_year = {id: row["year"] for row in expected("trials-by-start-year") for id in row["ids"].split()}
    assert by_year == {id: row["start"][:4] for id, row in trials.items() if row["start"]}
    for question in ("trials-by-country", "sponsors"):
        for row in expected(question):
            assert set(row["ids"].split()) <= set(trials)
            assert len(row["ids"].split()) == int(row["trials"])
    assert {row["trial"] for row in expected("who-may-take-part")} <= set(trials)


def test_drug_doses_and_repeats_agree_with_each_other() -> None:
    doses = {(row["study"], row["regimen"]): row for row in expected("doses-by-study")}
    for row in expected("repeated-doses"):
        assert int(row["doses"]) >= 2
        same = doses.get((row["study"], row["regimen"]))
        assert same is None or same["doses"] == row["doses"]


def test_the_trials_since_a_day_are_those_of_the_list_that_began_then() -> None:
    # An independent path: the list of trials, whose sizes and starts are checked above.
    listed = {
        row["trial"]
        for row in expected("trials-of-a-condition")
        if row["start"] >= "2017-01-01"[: len(row["start"])] and int(row["participantsElsewhere"]) >= 20
    }
    assert {row["trial"] for row in expected("trials-started-since")} == listed


def test_the_terms_called_something_are_those_of_the_modules() -> None:
    called = {
        (compress(str(term)), str(label))
        for term, label in modules().subject_objects(SKOS.prefLabel)
        if label.language == "en" and "das28" in label.lower()  # type: ignore[attr-defined]
    }
    assert {(row["term"], row["label"]) for row in expected("terms-called")} == called


def test_the_graph_of_a_trial_holds_all_that_is_said_of_it_and_of_its_arms(store: Store) -> None:
    rows = expected("trial-as-a-graph")
    arms = {row["object"] for row in rows if row["predicate"] == "stroma:hasArm"}
    trial = "trial:NCT03691909"
    assert len(arms) == len({row["arm"] for row in ask(store, "arms-of-a-trial", trial=trial)}) > 0
    for part in (trial, *arms):
        said = {
            (compress(quad.predicate.value), _shown(quad.object))
            for quad in store.quads_for_pattern(expand(part), None, None)
            if not isinstance(quad.object, BlankNode)
        }
        assert {(row["predicate"], row["object"]) for row in rows if row["subject"] == part} == said


def test_the_papers_of_one_trial_are_its_rows_of_the_papers_of_all(store: Store) -> None:
    of_all = expected("papers-of-trials")
    for trial in ("NCT01547091", "NCT03333681"):
        its = [{**row, "id": trial} for row in ask(store, "papers-of-a-trial", trial=f"trial:{trial}")]
        assert its == [row for row in of_all if row["id"] == trial] != []


@pytest.mark.parametrize(
    "id",
    [
        "adverse-events-reported",
        "doses-by-study",
        "doses-for-body-weight",
        "doses-in-cells",
        "identifiers-of-trials",
        "papers-of-trials",
        "products-of-a-tissue",
        "routes-by-tissue",
        "trials-started-since",
    ],
)
def test_a_question_about_a_condition_tells_of_its_studies_alone(store: Store, id: str) -> None:
    # Rheumatoid arthritis is an autoimmune disease; no study here that gives a product is about lupus.
    assert ask(store, id, condition="MONDO:0007179") == expected(id)
    assert ask(store, id, condition="MONDO:0007915") == []


def test_a_part_of_a_tissue_counts_for_the_whole(store: Store) -> None:
    # Wharton's jelly is part of the cord: its products are among those of the cord, never the other way.
    whole = {row["productIri"] for row in ask(store, "products-of-a-tissue")}
    part = {row["productIri"] for row in ask(store, "products-of-a-tissue", tissueClass="UBERON:0003422")}
    assert part < whole


def test_findings_are_asked_by_severity_and_status(store: Store) -> None:
    rows = ask(store, "findings", severity="stroma:SeverityMajor", status="stroma:FindingSourceError")
    kinds = {row["kindLabel"] for row in rows}
    assert {"measure mix-up", "significant and not significant", "population against group"} <= kinds
    assert "threshold boundary" not in kinds  # minor


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        ("claim:B264", "significant and not significant"),  # document 001, line 52
        ("claim:A262", "implausible magnitude"),  # document 000, line 69: four thousand cells
        ("stroma:MeasurePrednisoneUse", "different values for one key"),
        ("trial:NCT01873625", "registry against report"),
        ("group:yang2025-msc-ifng", "statement against data"),
    ],
)
def test_what_contradicts_a_thing_is_found_by_its_name(store: Store, thing: str, kind: str) -> None:
    assert kind in {row["kindLabel"] for row in ask(store, "findings-about", thing=thing)}


def test_a_fact_of_a_registry_leads_to_its_record(store: Store) -> None:
    (finding,) = [
        row["finding"]
        for row in ask(store, "findings-about", thing="trial:NCT01873625")
        if "enrollment" in row["summary"]
    ]
    rows = ask(store, "statements-of-a-finding", finding=finding)
    assert {(row["value"], row["record"]) for row in rows} == {("60", "NCT01873625"), ("30", "")}


def test_the_intervals_of_responders_are_those_that_statsmodels_computes() -> None:
    # An independent path: statsmodels on the counts of each row, which give the printed percentages.
    rows = expected("responders-with-intervals")
    for row in rows:
        events, total = map(int, row["numbers"].split(" of "))
        low, high = proportion_confint(events, total, alpha=0.05, method="wilson")
        for column, share in (("percent", events / total), ("ciLow", low), ("ciHigh", high)):
            assert float(row[column]) == pytest.approx(100 * share, abs=0.0051), row
    # Álvaro-Gracia 2017: 45, 20, 33 and 29 % of 20, 20, 6 and 7 at month 1.
    first = {row["group"].rpartition(": ")[2]: row["numbers"] for row in rows if row["months"] == "1"}
    assert first == {
        "Cx611 1 million cells/kg": "9 of 20",
        "Cx611 2 million cells/kg": "4 of 20",
        "Cx611 4 million cells/kg": "2 of 6",
        "placebo": "2 of 7",
    }
    # Every share stands, as it is printed, in the answer about percentages, wherever one is printed there.
    printed = {
        (row["group"], row["months"]): float(row["percent"]) for row in expected("response-by-arm-and-time")
    }
    shared = [row for row in rows if (row["group"], row["months"]) in printed]
    assert len(shared) == len(rows)
    for row in shared:
        assert float(row["percent"]) == pytest.approx(printed[row["group"], row["months"]], abs=1), row


def test_an_effect_says_which_value_means_none() -> None:
    ratios = {"odds ratio", "risk ratio", "rate ratio"}
    for row in expected("effect-sizes"):
        assert row["nothing"] == ("1" if row["method"] in ratios else "0")


def test_what_the_evidence_does_not_agree_on_is_counted_as_its_pieces_are_listed(store: Store) -> None:
    # An independent path: each statement asked for its lines one by one. Findings are no pieces.
    rows = expected("where-evidence-differs")
    words = {"supports", "disputes", "inconclusive"}
    for proposition in {row["proposition"] for row in rows}:
        lines = ask(store, "evidence-for-and-against", about=proposition)
        pieces = {(line["direction"], line["evidence"]) for line in lines if line["direction"] in words}
        counted = {row["direction"]: int(row["pieces"]) for row in rows if row["proposition"] == proposition}
        assert counted == Counter(direction for direction, _ in pieces), proposition
        assert set(counted) & {"disputes", "inconclusive"}


def test_effects_are_asked_by_the_way_they_are_measured(store: Store) -> None:
    asked = ask(store, "effect-sizes", by="stroma:MethodRiskDifference")
    assert asked == [row for row in expected("effect-sizes") if row["method"] == "risk difference"]
    events = "stroma:MeasureSeriousAdverseEvents"
    rates = ask(store, "effect-sizes", by="stroma:MethodRateRatio", measure=events)
    # Document 001, lines 41 and 45: 2.31 events in 100 patient-years against 2.47.
    assert [(row["nothing"], row["effect"][:3]) for row in rates] == [("1", "0.9")]


PICTURES = {
    "responses by arm with intervals": ("responders-with-intervals", "forest"),
    "effects": ("effect-sizes", "forest"),
    "outcomes over time": ("response-by-arm-and-time", "lines"),
    "adverse event rates": ("adverse-event-rates-by-arm", "forest"),
    "evidence for and against": ("where-evidence-differs", "bars"),
    "doses by trial on a log scale": ("doses-by-study", "ranges"),
    "trials by phase and status": ("registered-by-phase-and-status", "bars"),
    "trials by year": ("trials-by-start-year", "bars"),
    "mechanisms and what they act on": ("mechanisms-and-targets", "network"),
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("language", ["en", "zh-Hans", "zh-Hant"])
def test_a_question_has_its_picture_and_its_words(store: Store, picture: str, language: str) -> None:
    id, kind = PICTURES[picture]
    question = CATALOGUE[id]
    assert question.chart["kind"] == kind
    title = question.summaries.get(language, question.summary)
    rows = ask(store, id)
    chart = draw(question.chart, rows, title, question.units)
    assert chart is not None
    root = ElementTree.fromstring(chart.svg)
    svg = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{svg}title") == title
    label = rows[0][question.chart.get("label") or question.chart.get("series") or question.chart["source"]]
    assert label in (root.findtext(f"{svg}desc") or "")


# ------------------------------------------------------------ registered beside reported, recomputed


RECORDS = ROOT / "loaders" / "clinicaltrials" / "records"
PAPERS = ROOT / "loaders" / "publications" / "records"


def papers_of_trials() -> dict[str, set[str]]:
    """The studies of papers that curators' tables and the kind of reference give to each trial."""
    found: dict[str, set[str]] = {}
    by_publication: dict[str, set[str]] = {}
    for row in table(PAPERS / "studies.tsv"):
        by_publication.setdefault(row["publication"], set()).add(row["study"])
    derived = {
        (row["nct"], f"publication:pmid-{row['pmid']}")
        for row in table(RECORDS / "registered_ra_references.tsv")
        if row["reference_type"] == "derived"
    }
    for row in table(PAPERS / "studies.tsv"):
        nct = row["study"].removeprefix("trial:")
        if nct.startswith("NCT") and (row["method"] or (nct, row["publication"]) in derived):
            found.setdefault(nct, set()).update(by_publication[row["publication"]])
    return found


def test_the_papers_of_trials_are_those_of_the_tables() -> None:
    rows = expected("papers-of-trials")
    cited = {
        (row["nct"], row["pmid"])
        for row in table(RECORDS / "registered_ra_references.tsv")
        if row["reference_type"] == "background"
    }
    assert {(row["id"], row["pubmed"]) for row in rows if row["says"] == "cited"} == cited
    sure = {
        (row["study"].removeprefix("trial:"), row["publication"])
        for row in table(PAPERS / "studies.tsv")
        if row["method"]
    } | {("NCT01663116", "publication:pmid-27269294"), ("NCT01873625", "publication:pmid-29428486"),
         ("NCT03691909", "publication:pmid-35241141")}  # fmt: skip
    label = {row["id"]: row["label"] for row in table(PAPERS / "publications.tsv")}
    by_rule = {"study description", "study acronym", "equal title"}
    found = {
        (row["id"], row["publication"])
        for row in rows
        if row["says"] == "reports" and row["methodLabel"] not in by_rule
    }
    assert found == {(trial, label[publication]) for trial, publication in sure}


def test_what_became_of_registered_outcomes_follows_from_the_tables() -> None:
    """Independent of kg.evidence: from the curators' tables alone, in other words."""
    counts_as = {
        (row["reported"], row["registered"])
        for row in table(ROOT / "loaders" / "reviews" / "records" / "measures.tsv")
        if row["status"] == "accepted"
    }
    told: dict[str, list[tuple[str, str]]] = {}
    for row in [*table(PAPERS / "observations.tsv"), *table(PAPERS / "comparisons.tsv")]:
        told.setdefault(row["study"], []).append((row["measure"][len("stroma:") :], row.get("months", "")))
    counted: dict[str, Counter[str]] = {}
    papers = papers_of_trials()
    for row in table(RECORDS / "registered_ra_outcomes.tsv"):
        results = [result for study in papers.get(row["nct"], ()) for result in told.get(study, ())]
        measures = [name.strip() for name in row["measures"].split(";") if name.strip()]
        planned = [float(month) for month in row["months"].split(";") if month.strip() not in ("", "0")]
        if row["results_posted"]:
            kind = "reported"
        elif results:
            kind = what_became(measures, planned, results, counts_as)
        else:
            kind = "notFound" if row["nct"] in OVERDUE else "notDue"
        counted.setdefault(row["nct"], Counter())[kind] += 1
    kinds = ("reported", "inPart", "otherwise", "notFound", "notDue")
    assert {
        row["id"]: Counter({kind: int(row[kind]) for kind in kinds if row[kind] != "0"})
        for row in expected("registered-and-reported")
    } == counted


# Read off the records: ended, or of unknown status with an end more than a year before the record of 2022-10.
OVERDUE = {"NCT01851070", "NCT01985464", "NCT02643823", "NCT03618784", "NCT03798028"}


def what_became(
    measures: list[str], planned: list[float], results: list[tuple[str, str]], counts_as: set[tuple[str, str]]
) -> str:
    times = [
        [month for name, month in results if name == measure or (name, measure) in counts_as]
        for measure in measures
    ]
    if not any(times):
        return "notFound"
    if not all(times):
        return "inPart"
    timely = all(
        any(month and abs(float(month) - at) <= max(0.23, 0.1 * at) for month in found for at in planned)
        for found in times
    )
    return "reported" if timely else "otherwise"


def test_the_numbers_of_participants_are_those_of_the_tables() -> None:
    rows = expected("enrolment-planned-and-actual")
    planned, actual = (
        {
            (row["nct"], row["enrollment"])
            for row in table(RECORDS / "registered_ra_trials.tsv")
            if row["enrollment_type"] == kind
        }
        for kind in ("Estimated", "Actual")
    )
    assert {(row["id"], row["planned"]) for row in rows if row["planned"]} == planned
    assert {(row["id"], row["actual"]) for row in rows if row["actual"]} == actual
    sizes = {
        (trial, row["enrollment"])
        for trial, studies in papers_of_trials().items()
        for row in table(PAPERS / "studies.tsv")
        if row["study"] in studies and row["enrollment"]
    }
    assert {(row["id"], row["reported"]) for row in rows if row["reported"]} == sizes
    for row in rows:
        given = [int(row[name]) for name in ("planned", "actual", "reported") if row[name]]
        if len(given) == 2:
            alike = {"as planned", "agrees with the registry"}
            assert (row["resultLabel"] in alike) is (given[0] == given[1])
            assert (row["resultLabel"] == "fewer than planned") is (
                row["planned"] != "" and given[1] < given[0]
            )


def test_outcomes_not_found_are_among_the_planned_and_not_among_the_differences() -> None:
    not_found, differences = (
        expected("promised-outcomes-not-found"),
        expected("differences-from-the-registry"),
    )
    planned = {(row["trial"], row["outcome"]) for row in expected("planned-outcomes")}
    assert {(row["id"], row["outcome"]) for row in not_found} <= planned
    whole = {row["compared"] for row in not_found if "in part" not in row["resultLabel"]}
    assert whole.isdisjoint(row["compared"] for row in differences)
    renamed = {row["compared"] for row in expected("arms-renamed") if row["group"]}
    assert {row["compared"] for row in differences if row["aspect"] == "arm"} == renamed


def test_claims_by_evidence_type_are_those_counted_line_by_line(embedded: Snapshot) -> None:
    # An independent path: the snapshot's lines in Python, without SPARQL.
    of: dict[str, dict[str, list[str]]] = {}
    for line in read_lines(embedded):
        subject, predicate, rest = line.decode().split(" ", 2)
        of.setdefault(predicate.strip("<>"), {}).setdefault(subject, []).append(rest.rsplit(" ", 2)[0])
    ours = expand("stroma:").value
    claims = [thing for thing, types in of[str(RDF.type)].items() if f"<{ours}Claim>" in types]
    english = {
        thing: next(text for text in texts if text.endswith("@en"))[1:-4]
        for thing, texts in of[str(RDFS.label)].items()
        if any(text.endswith("@en") for text in texts)
    }
    hedged = f"<{ours}ModalityHedged>"
    counted: Counter[tuple[str, str]] = Counter()
    soft: Counter[tuple[str, str]] = Counter()
    for claim in claims:
        for evidence in set(of[f"{ours}evidenceType"].get(claim, [])):
            for study in set(of[f"{ours}evidenceStudyType"].get(claim, [""])):
                kind = (english[evidence], english[study] if study else "")
                counted[kind] += 1
                soft[kind] += hedged in of[f"{ours}modality"].get(claim, [])
    rows = expected("claims-by-evidence-type")
    assert {(row["evidence"], row["study"]): (row["claims"], row["hedged"]) for row in rows} == {
        kind: (str(number), str(soft[kind])) for kind, number in counted.items()
    }
