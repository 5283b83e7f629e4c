"""Registered beside reported: what the real tables give, and what planted changes of them give or do not."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode

from kg.errors import BadValue, UnknownValue
from kg.evidence.links import find
from kg.evidence.registered import Compared, compare, results_due, same_time
from kg.evidence.reported import Reported, Thing, Value, read
from kg.snapshot import Snapshot
from kg.terms import ROOT, STROMA, compress, expand, mint
from loaders import catalog
from tests.edits import Edit, cell, row, with_edits

Told = dict[tuple[str, ...], Compared]
Plant = Callable[..., tuple[Told, Told]]


@pytest.fixture(scope="module")
def lines(embedded: Snapshot) -> list[bytes]:
    with gzip.open(embedded.data) as file:
        return file.readlines()


def told(reported: Reported) -> Told:
    """Comparisons by trial, result and what was compared."""
    return {
        (
            compress(each.trial.value).removeprefix("trial:"),
            compress(each.result.value).removeprefix("stroma:Result"),
            each.text,
        ): each
        for each in compare(reported, find(reported))
    }


@pytest.fixture(scope="module")
def real(lines: list[bytes]) -> Told:
    return told(read(lines))


@pytest.fixture(scope="module")
def plant(lines: list[bytes], real: Told, tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Comparisons that come, and that go, when the tables of a source are edited so."""

    def run(source: str, *edits: Edit) -> tuple[Told, Told]:
        now = told(with_edits(lines, source, edits, tmp_path_factory.mktemp("planted") / "records"))
        come = {key: each for key, each in now.items() if key not in real}
        return come, {key: each for key, each in real.items() if key not in now}

    return run


def results(compared: Told, trial: str) -> list[str]:
    return sorted(result for found, result, _ in compared if found == trial)


# ------------------------------------------------------------------------------------- the real tables


def test_what_the_tables_say_of_one_trial(real: Told) -> None:
    # NCT01663116: 53 of 53; one registered arm in three doses; ACR20 of ACR20, 50 and 70 in the abstract.
    assert results(real, "NCT01663116") == [
        "Agrees", "PartlyReported", "PlanNotHeld", "ReportedWithoutTime", "SameName", "Split",
    ]  # fmt: skip


def test_results_posted_in_the_registry_are_reported(real: Told) -> None:
    # NCT03691909 posted results of all six outcomes; the abstract does not tell of C-reactive protein.
    reported = [each for each in real.values() if each.trial == expand("trial:NCT03691909")]
    outcomes = [each for each in reported if each.kind == STROMA.OutcomeComparison]
    assert {each.result for each in outcomes} == {STROMA.ResultReported}
    assert len(outcomes) == 6


def test_a_trial_of_which_nothing_is_held_is_not_said_to_have_withheld(real: Told) -> None:
    for nct in ("NCT01851070", "NCT01985464", "NCT02643823", "NCT03618784", "NCT03798028"):
        assert {"NotFound", "PartlyReported"}.isdisjoint(results(real, nct))
        assert "NoReportHeld" in results(real, nct)
    assert not any("not reported" in text or "withheld" in text for _, _, text in real)


def test_a_trial_that_had_not_ended_owes_nothing(real: Told) -> None:
    for nct in ("NCT03186417", "NCT03828344", "NCT04170426", "NCT04971980", "NCT05003934"):
        outcomes = set(results(real, nct)) - {"ActualUnknown", "FewerThanPlanned"}
        assert outcomes == {"NotDue"}


def test_a_comparison_that_rests_on_a_doubtful_link_says_so(real: Told) -> None:
    doubtful = "linked to the trial with medium confidence only"
    for (trial, _, text), each in real.items():
        if trial == "NCT03333681" and each.reported:
            assert doubtful in text
        if trial in ("NCT01663116", "NCT01873625", "NCT03691909"):
            assert doubtful not in text


def test_a_paper_that_a_description_alone_links_is_not_compared(real: Told) -> None:
    assert not any("Ghoryani 2020" in text for _, _, text in real)


# ----------------------------------------------------------------------------------- planted: outcomes


def test_an_outcome_that_a_paper_tells_at_a_registered_time_is_reported(plant: Plant) -> None:
    come, gone = plant(
        "publications",
        cell("observations", "months", "6", id="observation:ghoryani-2019/3"),
    )
    assert results(come, "NCT03333681") == ["Reported"]
    assert results(gone, "NCT03333681") == ["ReportedAtOtherTime"]


def test_week_26_and_month_6_are_one_time(plant: Plant) -> None:
    come, _ = plant("publications", cell("observations", "months", "5.98", id="observation:ghoryani-2019/3"))
    assert results(come, "NCT03333681") == ["Reported"]


def test_a_baseline_value_reports_no_outcome(plant: Plant) -> None:
    come, _ = plant("publications", cell("observations", "months", "0", id="observation:ghoryani-2019/3"))
    assert "NotFound" in results(come, "NCT03333681")


def test_an_outcome_of_which_nothing_is_told_any_more_is_not_found(plant: Plant) -> None:
    come, gone = plant(
        "publications",
        cell("observations", "measure", "stroma:MeasureFever", id="observation:shadmanfar-2018/4"),
    )
    # Fever is an event of safety, of which the record names no outcome.
    assert results(come, "NCT01873625") == ["NotFound", "NotRegistered"]
    assert results(gone, "NCT01873625") == ["ReportedWithoutTime"]


@pytest.mark.parametrize(
    ("measure", "reports"),
    [
        ("stroma:MeasureDAS28ESR", True),  # counts as DAS28
        ("stroma:MeasureDAS28Remission", False),  # a share of patients
        ("stroma:MeasureDAS28", True),
    ],
)
def test_the_table_of_measures_says_what_counts(plant: Plant, measure: str, reports: bool) -> None:
    paper = {"study": "trial:NCT02221258", "measure": "stroma:MeasureDAS28Change"}
    _, gone = plant(
        "publications",
        *(cell("observations", "measure", measure, id=f"observation:wang-l-2019/{n}") for n in (5, 10)),
        cell("observations", "measure", measure, id="observation:wang-l-2013/5"),
        cell("observations", "sample", "9", **paper),
    )
    outcome = [text for trial, _, text in gone if trial == "NCT01547091" and "Reported: DAS28 " in text]
    assert (outcome == []) is (measure == "stroma:MeasureDAS28")
    come, _ = plant(
        "publications",
        *(cell("observations", "measure", measure, id=f"observation:wang-l-2019/{n}") for n in (5, 10)),
        cell("observations", "measure", measure, id="observation:wang-l-2013/5"),
    )
    assert any("Not found" in text and "DAS28" in text for _, _, text in come) is not reports


def test_a_role_that_changes_between_record_and_results_is_told(plant: Plant) -> None:
    outcome = "The Effect of Single Injection of HB-adMSCs on TNF-a in Patients With Acute RA"
    planned = {"nct": "NCT03691909", "outcome": outcome, "time_frame": "12 months", "months": "12"}
    same = {**planned, "measures": "MeasureTNFalpha", "status": "checked", "basis": "planted"}
    come, _ = plant(
        "clinicaltrials",
        row(
            "registered_ra_outcomes",
            record="NCT03691909/outcome/primary/2",
            role="primary",
            number="2",
            **same,
        ),
    )
    assert "RoleChanged" in results(come, "NCT03691909")
    other = {**same, "time_frame": "1 month", "months": "1"}
    come, _ = plant(
        "clinicaltrials",
        row(
            "registered_ra_outcomes",
            record="NCT03691909/outcome/primary/2",
            role="primary",
            number="2",
            **other,
        ),
    )
    assert "RoleChanged" not in results(come, "NCT03691909")


# ------------------------------------------------------------------------------ planted: participants


def test_a_plan_beside_an_actual_number_is_compared(plant: Plant) -> None:
    come, _ = plant(
        "clinicaltrials", cell("registered_ra_trials", "enrollment", "20", record="NCT03186417/2023-07-03")
    )
    assert results(come, "NCT03186417") == ["AsPlanned"]
    come, _ = plant(
        "clinicaltrials", cell("registered_ra_trials", "enrollment", "24", record="NCT03186417/2023-07-03")
    )
    assert results(come, "NCT03186417") == ["MoreThanPlanned"]


def test_two_plans_are_no_difference(plant: Plant) -> None:
    come, _ = plant(
        "clinicaltrials",
        cell("registered_ra_trials", "enrollment_type", "Estimated", record="NCT03186417/2023-07-03"),
    )
    assert results(come, "NCT03186417") == ["ActualUnknown"]


# -------------------------------------------------------------------------------------- planted: arms


def test_a_renamed_arm_of_the_same_dose_is_matched(plant: Plant) -> None:
    come, gone = plant(
        "publications",
        cell("groups", "label", "Vij 2022: Treatment Arm", id="arm:vij-2022/1"),
    )
    assert results(come, "NCT03691909") == ["SameName"]
    assert results(gone, "NCT03691909") == ["Renamed"]


def test_an_arm_with_a_dose_that_nobody_registered_is_told(plant: Plant) -> None:
    come, gone = plant("publications", cell("regimens", "dose", "100000000", arm="arm:vij-2022/1"))
    assert results(come, "NCT03691909") == ["NotFound", "NotRegistered"]
    assert results(gone, "NCT03691909") == ["Renamed"]


def test_a_rounded_dose_is_no_difference(plant: Plant) -> None:
    come, gone = plant("publications", cell("regimens", "dose", "199600000", arm="arm:vij-2022/1"))
    assert (results(come, "NCT03691909"), results(gone, "NCT03691909")) == ([], [])


def test_a_dose_in_a_registered_range_is_no_difference(plant: Plant) -> None:
    come, gone = plant("publications", cell("regimens", "dose", "2000000", arm="arm:ghoryani-2019/1"))
    assert (results(come, "NCT03333681"), results(gone, "NCT03333681")) == ([], [])


def test_placebo_is_matched_with_placebo_whatever_it_is_called(plant: Plant) -> None:
    come, _ = plant(
        "publications", cell("groups", "label", "Shadmanfar 2018: saline", id="arm:shadmanfar-2018/2")
    )
    assert results(come, "NCT01873625") == ["Renamed"]


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("status", "probably", UnknownValue),
        ("role", "tertiary", UnknownValue),
        ("months", "soon", BadValue),
    ],
)
def test_an_outcome_that_cannot_be_read_is_named(
    tmp_path: Path, column: str, value: str, error: type[Exception]
) -> None:
    table = "registered_ra_outcomes"
    shutil.copy(ROOT / "loaders" / "clinicaltrials" / "records" / f"{table}.tsv", tmp_path)
    cell(table, column, value, record="NCT01547091/outcome/primary/1")(tmp_path)
    with pytest.raises(error) as caught:
        list(catalog.load("clinicaltrials", [tmp_path / f"{table}.tsv"]).quads)
    assert "NCT01547091/outcome/primary/1" in str(caught.value)
    assert column in str(caught.value)


def test_a_measure_that_counts_as_another_without_a_known_status_is_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "loaders" / "reviews" / "records" / "measures.tsv", tmp_path)
    cell("measures", "status", "maybe", reported="MeasureHAQDI")(tmp_path)
    with pytest.raises(UnknownValue, match="accepted, rejected, open"):
        list(catalog.load("reviews", [tmp_path / "measures.tsv"]).quads)


# --------------------------------------------------------------------------------------------- parts


@given(st.decimals(0, 240, places=2), st.decimals(0, 240, places=2))
def test_times_are_one_in_either_order(one: Decimal, other: Decimal) -> None:
    assert same_time(one, other) == same_time(other, one)
    assert same_time(one, one)


@pytest.mark.parametrize(
    ("status", "end", "as_of", "due"),
    [
        ("StatusCompleted", "2020-01", "2022-10-10", True),
        ("StatusCompleted", "2022-01", "2022-10-10", False),  # within a year
        ("StatusRecruiting", "2020-01", "2022-10-10", False),  # late, and not ended
        ("StatusUnknown", "2014-10", "2022-10-10", True),
        ("StatusTerminated", "2021", "2022-10-10", True),
    ],
)
def test_results_are_due_a_year_after_the_end(status: str, end: str, as_of: str, due: bool) -> None:
    graph = mint("graph", "clinicaltrials")

    def value(name: str, term: NamedNode | Literal) -> tuple[NamedNode, tuple[Value, ...]]:
        return STROMA(name), (Value(STROMA(name), term, graph),)

    facts = dict(
        (
            value("hasStatus", STROMA(status)),
            value("primaryCompletionDate", Literal(end)),
            value("statusAsOf", Literal(as_of)),
        )
    )
    assert results_due(Thing(mint("trial", "NCT00000001"), facts))[0] is due
