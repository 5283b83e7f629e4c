"""Contradictions found by rule: each kind planted in a copy of the real tables, and a harmless variant.

A planted edit changes one cell or adds a row; what counts is which findings come beside those of the real
tables. The real findings that the sources themselves give are asserted at the end, with their places.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
from pyoxigraph import Quad
from scipy import stats

from kg.errors import SourceError
from kg.evidence import page
from kg.evidence.findings import Finding, Found, Rule, check_reviews, find, quads
from kg.evidence.reported import Reported, Review, read
from kg.evidence.rules import RULES
from kg.snapshot import Snapshot, line_of
from kg.terms import ROOT, STROMA, expand, mint
from loaders import catalog
from tests.edits import Edit, cell, with_edits

MOUSE, HUMAN = expand("NCBITaxon:10090"), expand("NCBITaxon:9606")


@pytest.fixture(scope="module")
def lines(embedded: Snapshot) -> list[bytes]:
    with gzip.open(embedded.data) as file:
        return file.readlines()


@pytest.fixture(scope="module")
def reported(lines: list[bytes]) -> Reported:
    return read(lines)


@pytest.fixture(scope="module")
def real(reported: Reported) -> tuple[Found, ...]:
    return find(reported, RULES)


def listed(found: Iterable[Found]) -> dict[str, Finding]:
    return {finding.iri.value: finding for each in found for finding in each.findings}


# ------------------------------------------------------------------------- edits of the real tables

Differences = tuple[dict[str, Finding], dict[str, Finding]]  # the findings that come, and those that go
Plant = Callable[..., Differences]


def said(claim: str, predicate: str, value: str) -> Edit:
    """Another object in a statement of a claim."""
    return cell("statements", "object", value, claim=claim, predicate=f"stroma:{predicate}")


def states(*row: str) -> Edit:
    """One statement more."""
    return added("statements", *row)


def member(trial: str) -> tuple[Edit, ...]:
    """Claim A274 counts a trial more among the completed ones of repeated doses."""
    return (
        added("entities", trial, "stroma:ClinicalStudy", trial.removeprefix("trial:"), "A274", ""),
        states("A274", "collection:completed-repeat-dose-trials", "stroma:hasMember", trial, "iri", ""),
    )


def added(table: str, *row: str) -> Edit:
    """One row more."""

    def edit(folder: Path) -> None:
        path = folder / f"{table}.tsv"
        path.write_text(path.read_text("utf-8").rstrip("\n") + "\n" + "\t".join(row) + "\n", "utf-8")

    return edit


@pytest.fixture(scope="module")
def plant(plant_for_rules: Callable[..., dict[str, Differences]]) -> Plant:
    """Findings that come, and findings that go, when the tables of a source are edited so."""

    def run(source: str, *edits: Edit) -> Differences:
        each = plant_for_rules(source, *edits).values()
        return {i: f for come, _ in each for i, f in come.items()}, {
            i: f for _, gone in each for i, f in gone.items()
        }

    return run


@pytest.fixture(scope="module")
def plant_for_rules(
    lines: list[bytes], real: tuple[Found, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Differences]]:
    """As `plant`, by the name of the rule. The same edits are made once: several tests look at some."""

    @cache
    def run(source: str, *edits: Edit) -> dict[str, Differences]:
        edited = with_edits(lines, source, edits, tmp_path_factory.mktemp("planted") / "records")
        found = find(edited, RULES)
        before, after = listed(real), listed(found)
        return {
            now.rule.name: (
                {iri: each for iri, each in listed([now]).items() if iri not in before},
                {iri: each for iri, each in listed([then]).items() if iri not in after},
            )
            for then, now in zip(real, found, strict=True)
        }

    return run


def kinds(found: dict[str, Finding]) -> list[str]:
    return sorted(finding.kind for finding in found.values())


# Comparisons of the two groups: the shares of line 49, and what line 52 calls not significant.
AGAINST = "observation:001-49-yang2025-msc-vs-yang2025-msc-ifng"
DENIED = "001-52-yang2025-msc-vs-yang2025-msc-ifng"
BIOLOGICS = "001-36-yang2025-msc-BDMARDUse-0m"  # 27 of 69, which line 63 gives too

PLANTED: list[tuple[str, str, tuple[Edit, ...], str]] = [
    (
        "literature",
        "another count in the other table",
        (said("B193", "numberAffected", "29"),),
        "DifferentValues",
    ),
    (
        "literature",
        "a second value for one observation",
        (said("C086", "ratePer100PatientYears", "4.27"),),
        "DifferentValues",
    ),
    (
        "literature",
        "a percentage that n and N do not give",
        (said("B157", "percentage", "88.5"),),
        "PercentAgainstCount",
    ),
    ("literature", "a percentage no n gives", (said("B184", "percentage", "95.9"),), "PercentAgainstCount"),
    (
        "literature",
        "a group too small for the pooled one",
        (said("B146", "numberAffected", "67"), said("C062", "numberAffected", "67")),
        "PartsAgainstTotal",
    ),
    (
        "literature",
        "more who left than there were",
        (said("B136", "numberAffected", "15"), said("B137", "percentage", "13.6")),
        "PartsAgainstTotal",
    ),
    (
        "literature",
        "more reasons than who left",
        (said("B138", "numberAffected", "9"), said("B139", "percentage", "8.2")),
        "PartsAgainstTotal",
    ),
    (
        "literature",
        "a rate no whole number of events gives",
        (said("B228", "ratePer100PatientYears", "2.97"), said("C086", "ratePer100PatientYears", "2.97")),
        "RateAgainstCount",
    ),
    ("literature", "a p-value of other counts", (said("B302", "pValue", "0.018"),), "PValueAgainstNumbers"),
    (
        "literature",
        "a bound the counts do not keep",
        (said("B368", "pOperator", "<"), said("B368", "pValue", "0.001")),
        "PValueAgainstNumbers",
    ),
    (
        "literature",
        "a limit drawn on the other side",
        (said("B251", "thresholdOperator", "<"),),
        "ThresholdBoundary",
    ),
    (
        "literature",
        "another upper end of the dose",
        (said("A263", "doseHigh", "6000000"),),
        "ThresholdBoundary",
    ),
    (
        "literature",
        "a dose a thousandfold too small",
        (said("A134", "doseLow", "1000"),),
        "ImplausibleMagnitude",
    ),
    (
        "literature",
        "significant beside not significant",
        (
            states("B255", f"{AGAINST}-ACR20-60m", "stroma:isSignificant", "true", "boolean", ""),
            cell("observations", "measure", "stroma:MeasureACR20", id=f"{DENIED}-ACR50"),
        ),
        "OppositeSignificance",
    ),
    (
        "literature",
        "all patients, of whom some did not",
        (said("B248", "percentage", "96.4"), said("C099", "percentage", "96.4")),
        "StatementAgainstData",
    ),
    (
        "literature",
        "users fell, and they did not",
        (
            said("B364", "numberAffected", "60"),
            said("B365", "percentage", "87"),
            said("B368", "pValue", "1.0"),
        ),
        "StatementAgainstData",
    ),
    (
        "literature",
        "one edge enhanced and impaired",
        (
            states(
                "A255",
                "stroma:ExcessReactiveOxygenSpecies",
                "stroma:enhances",
                "stroma:MSCSurvival",
                "iri",
                "",
            ),
        ),
        "OppositeClaims",
    ),
    (
        "literature",
        "one edge affirmed and denied",
        (
            states(
                "A255",
                "stroma:ExcessReactiveOxygenSpecies",
                "stroma:impairs",
                "stroma:MSCSurvival",
                "iri",
                "negative",
            ),
        ),
        "OppositeClaims",
    ),
    (
        "literature",
        "a route that is none",
        (states("B083", "regimen:yang2025-msc", "stroma:routeText", "in-body infusion", "text", ""),),
        "Translation",
    ),
    (
        "clinicaltrials",
        "another number enrolled",
        (cell("registered_ra_trials", "enrollment", "25", nct="NCT03691909"),),
        "RegistryAgainstReport",
    ),
    (
        "clinicaltrials",
        "another phase",
        (cell("registered_ra_trials", "phase", "Phase 3", nct="NCT03691909"),),
        "RegistryAgainstReport",
    ),
    (
        "clinicaltrials",
        "another dose",
        (cell("registered_ra_arms", "dose_amount", "20000000", nct="NCT03691909"),),
        "RegistryAgainstReport",
    ),
    (
        "clinicaltrials",
        "another route",
        (cell("registered_ra_arms", "routes", "IntraArticular", nct="NCT03691909"),),
        "RegistryAgainstReport",
    ),
    (
        "literature",
        "another number of trials of a phase",
        (said("A121", "countValue", "3"),),
        "RegistryStatus",
    ),
    (
        "literature",
        "a trial that is terminated among the completed",
        member("trial:NCT03186417"),
        "RegistryStatus",
    ),
    (
        "literature",
        "a response of one group given as another measure of the other",
        (said("A174", "percentage", "46.7"), said("A295", "percentage", "46.7")),
        "MeasureMixUp",
    ),
    (
        "literature",
        "mice in a trial of patients",
        (cell("claims", "species", "NCBITaxon:10090", id="A294"),),
        "PopulationAgainstGroup",
    ),
    (
        "publications",
        "methotrexate in another study that reports a response",
        (cell("groups", "comedication", "product:methotrexate", id="arm:he-2020/1"),),
        "RecommendationAgainstPractice",
    ),
]


@pytest.mark.parametrize(
    ("source", "edits", "kind"), [row[:1] + row[2:] for row in PLANTED], ids=[r[1] for r in PLANTED]
)
def test_a_planted_contradiction_is_found(
    plant: Plant, source: str, edits: tuple[Edit, ...], kind: str
) -> None:
    come, _ = plant(source, *edits)
    assert kind in kinds(come)


HARMLESS: list[tuple[str, str, tuple[Edit, ...]]] = [
    ("literature", "the same percentage with one more digit", (said("B194", "percentage", "39.1"),)),
    ("literature", "the same percentage with fewer digits", (said("B157", "percentage", "86"),)),
    (
        "literature",
        "another count at another time",
        (
            said("B193", "numberAffected", "25"),
            said("B194", "percentage", "36"),
            cell("observations", "months", "84", id=BIOLOGICS),
            cell("observations", "label", "year 7", id=BIOLOGICS),
        ),
    ),
    (
        "literature",
        "another count in another analysis set",
        (
            said("B193", "numberAffected", "29"),
            said("B194", "percentage", "42"),
            cell("observations", "set", "stroma:SetSafety", id=BIOLOGICS),
        ),
    ),
    (
        "literature",
        "fewer reasons than who left",
        (said("B138", "numberAffected", "6"), said("B139", "percentage", "5.5")),
    ),
    (
        "literature",
        "a rate with one digit less",
        (said("B228", "ratePer100PatientYears", "2.5"), said("C086", "ratePer100PatientYears", "2.5")),
    ),
    ("literature", "a p-value with one digit less", (said("B302", "pValue", "0.08"),)),
    ("literature", "a wider bound", (said("B358", "pValue", "0.01"),)),
    ("literature", "a p-value of another test, the chi-square", (said("B302", "pValue", "0.025"),)),
    ("literature", "a stricter limit", (said("B110", "threshold", "2.4"),)),
    (
        "literature",
        "a dose of half the size",
        (said("A134", "doseLow", "500000"), said("A263", "doseLow", "500000")),
    ),
    (
        "literature",
        "all patients, at another time",
        (said("B256", "percentage", "96.4"), said("C102", "percentage", "96.4")),
    ),
    (
        "literature",
        "users fell, by two less",
        (
            said("B364", "numberAffected", "25"),
            said("B365", "percentage", "36"),
            said("B368", "pValue", "0.005"),
        ),
    ),
    (
        "literature",
        "another thing enhanced",
        (
            states(
                "A255",
                "stroma:ExcessReactiveOxygenSpecies",
                "stroma:enhances",
                "stroma:MSCMigration",
                "iri",
                "",
            ),
        ),
    ),
    (
        "literature",
        "a route by another of its names",
        (states("B083", "regimen:yang2025-msc", "stroma:routeText", "intravenous drip", "text", ""),),
    ),
    (
        "clinicaltrials",
        "a planned enrolment",
        (
            cell("registered_ra_trials", "enrollment", "25", nct="NCT03691909"),
            cell("registered_ra_trials", "enrollment_type", "Estimated", nct="NCT03691909"),
        ),
    ),
    (
        "clinicaltrials",
        "a dose in another unit",
        (
            cell("registered_ra_arms", "dose_amount", "2000000", nct="NCT03691909"),
            cell("registered_ra_arms", "dose_unit", "{cells}/kg", nct="NCT03691909"),
        ),
    ),
    (
        "clinicaltrials",
        "more blinding",
        (cell("registered_ra_trials", "masking", "Quadruple", nct="NCT01663116"),),
    ),
    ("literature", "fewer trials by a narrower search", (said("A119", "countValue", "16"),)),
    (
        "literature",
        "another completed trial among the completed",
        member("trial:NCT03691909"),
    ),
    (
        "literature",
        "a number of two digits that recurs",
        (said("A174", "percentage", "53"), said("A295", "percentage", "53")),
    ),
    (
        "literature",
        "people in a trial of patients",
        (cell("claims", "species", "NCBITaxon:9606", id="A294"),),
    ),
    (
        "publications",
        "another medicine in a study that reports a response",
        (cell("groups", "comedication", "product:lugua-peptides", id="arm:he-2020/1"),),
    ),
    (
        "literature",
        "not significant, of another measure",
        (states("B255", f"{AGAINST}-ACR20-60m", "stroma:isSignificant", "true", "boolean", ""),),
    ),
    (
        "literature",
        "a higher dose at both ends",
        (said("A263", "doseLow", "2000000"), said("A263", "doseHigh", "8000000")),
    ),
]
# The rule that each of them is about.
RULE_OF = {
    "different-values": (
        "another count in the other table", "a second value for one observation",
        "the same percentage with fewer digits", "another count at another time",
        "another count in another analysis set",
    ),
    "percent-against-count": (
        "a percentage that n and N do not give", "a percentage no n gives",
        "the same percentage with one more digit",
    ),
    "parts-against-total": (
        "a group too small for the pooled one", "more who left than there were",
        "more reasons than who left", "fewer reasons than who left",
    ),
    "rates-against-counts": ("a rate no whole number of events gives", "a rate with one digit less"),
    "p-value-against-numbers": (
        "a p-value of other counts", "a bound the counts do not keep", "a p-value with one digit less",
        "a wider bound", "a p-value of another test, the chi-square",
    ),
    "threshold-stated-two-ways": ("a limit drawn on the other side", "a stricter limit"),
    "range-stated-two-ways": ("another upper end of the dose", "a higher dose at both ends"),
    "implausible-magnitude": ("a dose a thousandfold too small", "a dose of half the size"),
    "significance-stated-two-ways": (
        "significant beside not significant", "not significant, of another measure",
    ),
    "quantity-word-against-number": ("all patients, of whom some did not", "all patients, at another time"),
    "course-word-against-numbers": ("users fell, and they did not", "users fell, by two less"),
    "opposite-claims": (
        "one edge enhanced and impaired", "one edge affirmed and denied", "another thing enhanced",
    ),
    "route-text-against-route": ("a route that is none", "a route by another of its names"),
    "trial-fact-against-record": (
        "another number enrolled", "another phase", "a planned enrolment", "more blinding",
    ),
    "regimen-against-record": ("another dose", "another route", "a dose in another unit"),
    "count-of-trials-against-records": (
        "another number of trials of a phase", "fewer trials by a narrower search",
    ),
    "status-against-record": (
        "a trial that is terminated among the completed", "another completed trial among the completed",
    ),
    "value-moved-to-another-measure": (
        "a response of one group given as another measure of the other",
        "a number of two digits that recurs",
    ),
    "population-against-group": ("mice in a trial of patients", "people in a trial of patients"),
    "recommendation-against-practice": (
        "methotrexate in another study that reports a response",
        "another medicine in a study that reports a response",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_each_rule_has_a_contradiction_that_it_finds_and_a_harmless_variant(
    plant_for_rules: Callable[..., dict[str, Differences]], rule: Rule
) -> None:
    planted = [(source, edits) for source, name, edits, _ in PLANTED if name in RULE_OF[rule.name]]
    harmless = [(source, edits) for source, name, edits in HARMLESS if name in RULE_OF[rule.name]]
    assert len(planted) + len(harmless) == len(RULE_OF[rule.name])
    assert harmless
    for source, edits in planted[:1]:  # the others are planted one by one above
        come, _ = plant_for_rules(source, *edits)[rule.name]
        assert come
    assert planted
    for source, edits in harmless:
        come, gone = plant_for_rules(source, *edits)[rule.name]
        assert len(come) <= len(gone)  # of an edited value, a real finding has another name


@pytest.mark.parametrize(
    ("source", "edits"), [row[:1] + row[2:] for row in HARMLESS], ids=[r[1] for r in HARMLESS]
)
def test_a_harmless_variant_is_not_found(plant: Plant, source: str, edits: tuple[Edit, ...]) -> None:
    come, _ = plant(source, *edits)
    # An edit may change a value that a real finding rests on, which then has another name: same kind, gone.
    assert kinds(come) == [] or kinds(come) == kinds(plant(source, *edits)[1])


def test_a_word_that_fits_its_number_is_not_found(plant: Plant) -> None:
    # 44.9 % of monotherapy at year 5 is what "most patients" meets; with 55.1 % it holds of both groups.
    come, gone = plant("literature", said("B258", "percentage", "55.1"), said("C104", "percentage", "55.1"))
    assert kinds(come) == []
    assert kinds(gone) == ["StatementAgainstData"]


def test_a_course_within_ten_points_is_stable(plant: Plant) -> None:
    # 100 % to 92.9 %: 26 of 28.
    come, gone = plant("literature", said("B256", "percentage", "92.9"), said("C102", "percentage", "92.9"))
    assert (kinds(come), kinds(gone)) == ([], ["StatementAgainstData"])


def test_a_judgement_of_another_time_is_not_found(plant: Plant) -> None:
    # "Not significant" said of year 1 denies nothing of years 3 and 5.
    denied = {"id": f"{DENIED}-DAS28Remission"}
    come, gone = plant(
        "literature",
        cell("observations", "months", "12", **denied),
        cell("observations", "label", "year 1", **denied),
    )
    assert (kinds(come), kinds(gone)) == ([], ["OppositeSignificance"])


def test_a_limit_of_another_number_is_not_found(plant: Plant) -> None:
    come, gone = plant("literature", said("B095", "numericValue", "2.8"))
    assert (kinds(come), kinds(gone)) == ([], ["ThresholdBoundary"])


def test_ranges_that_differ_at_both_ends_are_not_found(plant: Plant) -> None:
    come, gone = plant("literature", said("A135", "doseLow", "50000000"))
    assert (kinds(come), kinds(gone)) == ([], ["ThresholdBoundary"])


def test_a_number_that_recurs_for_its_own_group_is_not_moved(plant: Plant) -> None:
    # Said of the monotherapy arm, 53.3 % of ACR20 beside 53.3 % effective is no contradiction.
    come, gone = plant(
        "literature",
        cell("observations", "group", "group:ifng-trial-msc", id="000-75-ifng-trial-combination-ACR20-3m"),
    )
    assert (kinds(come), kinds(gone)) == ([], ["MeasureMixUp"])


def test_a_plausible_dose_is_not_found(plant: Plant) -> None:
    # Four thousand ten-thousands, 4e7 cells.
    come, gone = plant("literature", said("A262", "rangeLow", "40000000"))
    assert (kinds(come), kinds(gone)) == ([], ["ImplausibleMagnitude"])


def test_a_co_medication_of_another_class_is_not_found(plant: Plant) -> None:
    drugs = ("product:prednisone", "product:dmard", "product:conventional-synthetic-dmard")
    edits = [cell("statements", "object", "product:nsaid", object=drug) for drug in drugs]
    come, gone = plant("literature", *edits)
    assert (kinds(come), kinds(gone)) == ([], ["RecommendationAgainstPractice"])


def test_a_trial_whose_record_shows_the_status_is_not_found(plant: Plant) -> None:
    come, gone = plant(
        "clinicaltrials",
        cell("registered_ra_trials", "status", "Completed", nct="NCT01547091"),
        cell("registered_ra_arms", "doses", "1", nct="NCT01663116", doses="3"),
    )
    assert kinds(gone) == ["RegistryStatus", "RegistryStatus"]  # counted as completed; not the only one
    assert kinds(come) == []


def test_trials_of_known_sizes_that_add_up_are_not_found(plant: Plant) -> None:
    come, gone = plant(
        "publications", cell("studies", "enrollment", "47", study="trial:ChiCTR-ONC-16008770")
    )  # 63 + 47 = 110
    assert (kinds(come), kinds(gone)) == ([], ["PartsAgainstTotal"])


# ------------------------------------------------------------------- what tables cannot hold as such


def with_species(lines: list[bytes], claim: str, species: object) -> Reported:
    graph = mint("graph", "literature")
    said_of = Quad(mint("claim", claim), STROMA.sourceSpecies, species, graph)  # type: ignore[arg-type]
    kept = [line for line in lines if STROMA.sourceSpecies.value.encode() not in line]
    return read([*kept, line_of(said_of)])


def test_mice_in_a_trial_of_patients_are_found_and_people_are_not(lines: list[bytes]) -> None:
    for species, found in ((MOUSE, ["PopulationAgainstGroup"]), (HUMAN, [])):
        those = listed(find(with_species(lines, "A299", species), RULES))
        assert [f.kind for f in those.values() if f.kind == "PopulationAgainstGroup"] == found


def test_mice_among_animals_are_not_found(lines: list[bytes]) -> None:
    those = listed(find(with_species(lines, "A280", MOUSE), RULES))
    assert "PopulationAgainstGroup" not in {finding.kind for finding in those.values()}


# ---------------------------------------------------------------------------------- numbers by scipy

# Document 001, lines 61 to 64: both groups' users of 69 and 28, and the printed p-value (baseline counts of
# biologics and prednisone by that table).
TABLE = [
    (69, 28, ">0.999"), (69, 26, "0.081"), (0, 0, ">0.999"), (2, 1, ">0.999"), (13, 1, "0.061"),
    (27, 10, "0.820"), (13, 1, "0.061"), (11, 1, "0.170"), (12, 2, "0.338"),
    (57, 24, ">0.999"), (36, 2, "<0.001"), (34, 2, "<0.001"), (23, 2, "0.009"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "printed"), TABLE)
def test_the_printed_p_values_are_those_of_fishers_test(one: int, other: int, printed: str) -> None:
    p = stats.fisher_exact([[one, 69 - one], [other, 28 - other]]).pvalue
    if printed.startswith("<"):
        assert p < float(printed[1:])
    elif printed.startswith(">"):
        assert p > float(printed[1:])
    else:
        assert f"{p:.3f}" == printed


def test_every_p_value_of_the_table_is_compared_and_none_is_called_wrong(real: tuple[Found, ...]) -> None:
    (found,) = [each for each in real if each.rule.name == "p-value-against-numbers"]
    assert (found.compared, found.findings) == (16, ())


def test_a_recomputed_p_value_is_that_of_scipy(real: tuple[Found, ...]) -> None:
    (finding,) = [f for f in listed(real).values() if f.kind == "OppositeSignificance"]
    for affected, months in ((1, 36), (2, 60)):  # 1.4 % and 2.9 % of 69, against 25 % of 28
        p = stats.fisher_exact([[affected, 69 - affected], [7, 21]]).pvalue
        assert f"month {months}: {affected} of 69 against 7 of 28, Fisher's exact test p = {p:.4g}" in (
            finding.computation
        )


# ------------------------------------------------------------------------------- names and reviews


def test_the_order_of_lines_changes_no_finding(lines: list[bytes], real: tuple[Found, ...]) -> None:
    shuffled = lines.copy()
    random.Random(1).shuffle(shuffled)
    again = read(shuffled)
    found = find(again, RULES)
    assert list(quads(again, found)) == list(quads(read(lines), real))


def test_a_renamed_row_keeps_the_names_of_its_findings(plant: Plant) -> None:
    row = "001-38-yang2025-msc-PrednisoneUse-0m"  # 59 of 69; line 64 has 57
    rename = [
        cell("observations", "id", "001-38-renamed", id=row),
        cell("statements", "subject", "observation:001-38-renamed", subject=f"observation:{row}"),
    ]
    assert plant("literature", *rename) == ({}, {})


def test_every_review_points_at_a_finding(reported: Reported, real: tuple[Found, ...]) -> None:
    check_reviews(reported.reviews, real)
    assert reported.reviews


def test_a_review_of_no_finding_stops_the_build_and_names_the_nearest(real: tuple[Found, ...]) -> None:
    judged = "prednisone use, MSC monotherapy (Yang 2025), baseline: two values (number affected 59 and 58)"
    lost = mint("finding", "different-values", "0" * 20)
    review = Review(lost, STROMA.FindingExplained, "note", "curator", "2026-11-24", judged)
    with pytest.raises(SourceError) as caught:
        check_reviews({lost: review}, real)
    message = str(caught.value)
    assert (
        "source reviews, file findings.tsv, record finding:different-values/00000000000000000000" in message
    )
    assert "number affected 59 and 57" in message


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("status", "done", "should be one of open, explained, source error"),
        ("finding", "claim:B349", "names no finding"),
        ("finding", "nothing:x", "is not a name"),
        ("date", "2026-11", "should be a day"),
        ("date", "31 February 2026", "does not exist"),
        ("note", "", "missing"),
    ],
)
def test_a_review_that_cannot_be_is_refused_by_row_and_field(
    tmp_path: Path, column: str, value: str, said: str
) -> None:
    row = {
        "finding": "finding:x/1", "summary": "two values", "status": "open", "note": "seen",
        "role": "curator", "date": "2026-11-24", column: value,
    }  # fmt: skip
    table = tmp_path / "findings.tsv"
    table.write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n", "utf-8")
    with pytest.raises(SourceError, match=said) as caught:
        list(catalog.load("reviews", [table]).quads)
    assert f"field {column}" in str(caught.value)


# ------------------------------------------------------------------------------------ graph and page


def test_the_findings_of_the_sources_are_in_the_graph(lines: list[bytes]) -> None:
    found = page.read(lines).findings
    expected = {
        ("different values for one key", "001:36", "001:63"),  # biologics 13 and 10
        ("different values for one key", "001:38", "001:64"),  # prednisone 59 and 57, 25 and 24
        ("significant and not significant", "001:52", "002:40"),
        ("statement against data", "001:49", "001:69"),  # "most patients" and 44.9 %
        ("threshold boundary", "001:14", "001:16"),  # below 3.2, at most 3.2
        ("threshold boundary", "000:41", "000:69"),  # 3e8 and 5e8
        ("threshold boundary", "000:41", "000:70"),  # 2 to 4 and 2 to 5 doses
        ("measure mix-up", "000:54", "000:75"),
    }
    places = {(finding.kind, *_lines(finding)) for finding in found}
    for kind, *wanted in expected:
        assert any(kind == got[0] and set(wanted) <= set(got[1:]) for got in places), (kind, wanted)


def _lines(finding: page.Shown) -> set[str]:
    """ "001:36" of "document 001, line 36, characters …"."""
    pieces = [
        place.split(", ") for s in finding.statements for place in s.places if place.startswith("document")
    ]
    return {f"{piece[0].removeprefix('document ')}:{piece[1].removeprefix('line ')}" for piece in pieces}


def test_every_statement_of_a_finding_leads_to_a_place(lines: list[bytes]) -> None:
    for finding in page.read(lines).findings:
        assert len(finding.statements) > 1, finding.name
        for statement in finding.statements:
            assert statement.places, (finding.name, statement)


def test_the_page_is_that_of_the_graph(lines: list[bytes]) -> None:
    written = (ROOT / "docs" / "contradictions.md").read_text("utf-8")
    assert page.as_page(page.read(lines)) == written, "run kg findings --page > docs/contradictions.md"


def test_the_page_has_no_wording_of_the_documents(lines: list[bytes]) -> None:
    text = page.as_page(page.read(lines))
    assert not [character for character in text if "\u3400" <= character <= "\u9fff"]


def test_every_rule_says_what_it_leaves_alone_and_how_severe_it_is() -> None:
    for rule in RULES:
        assert "Left alone: " in rule.doc, rule.name
        assert "Major" in rule.doc or "Minor" in rule.doc, rule.name
