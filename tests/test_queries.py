"""The competency questions, asked of the embedded graph: the rows they must give.

`tests/queries/<id>.tsv` holds the whole answer of each question at its defaults, read against the sources.
The tests below the table say the same of single facts, with where they stand in the sources.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, QuerySolutions, Store

from kg.canned import Catalogue
from kg.snapshot import Snapshot, load_store
from kg.terms import ROOT, compress

EXPECTED = Path(__file__).parent / "queries"
CATALOGUE = Catalogue.read(ROOT / "queries")


@pytest.fixture(scope="module")
def store(embedded: Snapshot) -> Store:
    return load_store(embedded)


def ask(store: Store, id: str, **parameters: str) -> list[dict[str, str]]:
    """The rows of a question, as text: CURIEs for IRIs, the lexical form of literals, "" for unbound."""
    solutions = store.query(CATALOGUE[id].bind(parameters), use_default_graph_as_union=True)
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
def test_a_question_gives_its_expected_rows(store: Store, id: str) -> None:
    with (EXPECTED / f"{id}.tsv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file, delimiter="\t"))
    assert ask(store, id) == expected


def test_the_expected_medication_rows_are_those_of_the_ledger(shared: Path) -> None:
    # An independent path: the counts of both tables, straight from the columns of the ledger.
    with (shared / "claims" / "claims_001.tsv").open(encoding="utf-8", newline="") as file:
        ledger = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
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
    with (EXPECTED / "drug-use-by-arm-and-time.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["drug"] != "drug-free remission"]
    assert {(row["drug"], row["group"], row["months"], row["users"]) for row in rows} == stated


@pytest.mark.parametrize("id", CATALOGUE)
def test_a_question_says_what_each_of_its_columns_means(store: Store, id: str) -> None:
    rows = ask(store, id)
    assert rows, "a question without an answer is no use as an example"
    assert list(rows[0]) == list(CATALOGUE[id].columns)


def test_every_expected_table_belongs_to_a_question() -> None:
    assert {path.stem for path in EXPECTED.glob("*.tsv")} == set(CATALOGUE)


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
