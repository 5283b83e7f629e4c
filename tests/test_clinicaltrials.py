"""ClinicalTrials.gov: real records of both forms become the same statements, and bad input is named."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, Quad

from kg.errors import BadValue, SourceError, UnknownValue
from kg.parts import Account
from kg.terms import DCTERMS, OBO, RDF, RDFS, STROMA, compress, mint
from loaders.catalog import load

MAIN = "classic-msc-1241.jsonl.gz"


class Statements:
    """Quads to ask simple questions of."""

    def __init__(self, quads: Sequence[Quad], account: Account) -> None:
        self.quads, self.account = quads, account
        self._by_subject: dict[NamedNode, list[Quad]] = {}
        for quad in quads:
            assert isinstance(quad.subject, NamedNode)  # no blank nodes in data
            self._by_subject.setdefault(quad.subject, []).append(quad)

    def all(self, subject: NamedNode, name: str | NamedNode) -> list[str]:
        """Values of a property, sorted, terms of ours without their namespace."""
        prop = STROMA(name) if isinstance(name, str) else name
        objects = [quad.object for quad in self._by_subject.get(subject, []) if quad.predicate == prop]
        found = {value.value for value in objects if isinstance(value, NamedNode | Literal)}
        return sorted(value.rpartition("/ontology/")[2] for value in found)

    def one(self, subject: NamedNode, name: str | NamedNode) -> str | None:
        found = self.all(subject, name)
        assert len(found) < 2, (subject, name, found)
        return found[0] if found else None

    def of_class(self, name: str) -> list[NamedNode]:
        return [s for s in self._by_subject if name in self.all(s, RDF.type)]

    def having(self, **values: str) -> list[NamedNode]:
        return [s for s in self._by_subject if all(v in self.all(s, p) for p, v in values.items())]


def read(*files: Path) -> Statements:
    part = load("clinicaltrials", files)
    return Statements(list(part.quads), part.account)


@pytest.fixture(scope="session")
def archive(shared: Path) -> Path:
    return shared / "data/clinicaltrials"


@pytest.fixture(scope="session")
def record(archive: Path) -> Callable[[str], Statements]:
    """The statements of one of the 16 archived RA records."""

    @lru_cache
    def statements(nct: str) -> Statements:
        return read(archive / f"classic-msc-ra/{nct}.json")

    return statements


# ------------------------------------------------------------------------------------------ every field


def test_every_field_of_the_archive_is_taken_or_accounted_for(archive: Path) -> None:
    part = load("clinicaltrials", [archive / MAIN, *sorted((archive / "classic-msc-ra").glob("*.json"))])
    trials = {quad.subject for quad in part.quads if quad.predicate == DCTERMS.title}
    # 1,241 lines and 16 files are 1,240 studies: 16 + 1 are exact repeats.
    assert (part.account.records, len(trials)) == (1240, 1240)
    assert part.account.unread == Counter()


def test_every_field_of_api_v2_is_taken_or_accounted_for(archive: Path) -> None:
    studies = read(archive / "v2-studies-80.json")
    assert studies.account.records == 80
    assert studies.account.unread == Counter()


def test_a_classic_response_with_its_envelope_is_read(archive: Path) -> None:
    page = read(archive / "classic-api-responses/page-1.json")
    assert (page.account.records, page.account.unread) == (18, Counter())
    assert page.all(mint("trial", "NCT01547091"), "hasArm") == [
        mint("arm", "NCT01547091", n).value for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: [s], lambda s: {"studies": [s], "totalCount": 1}])
def test_a_study_a_list_and_a_page_are_the_same(wrap: Any, archive: Path, tmp_path: Path) -> None:
    study = json.loads((archive / "v2-studies-80.json").read_text(encoding="utf-8"))[0]
    file = tmp_path / "page.json"
    file.write_text(json.dumps(wrap(study)), encoding="utf-8")
    assert read(file).one(mint("trial", "NCT03884387"), "hasStatus") == "StatusCompleted"


def test_personal_fields_are_never_taken(archive: Path) -> None:
    file = archive / "v2-studies-80.json"
    account = read(file).account
    personal = [leaf for leaf in account.ignored if "responsibleParty" in leaf or "oldNameTitle" in leaf]
    assert "protocolSection.sponsorCollaboratorsModule.responsibleParty.oldNameTitle" in personal
    assert not any("investigator" in leaf.lower() for leaf in account.taken)


# ----------------------------------------------------------------------------------------- known records


def test_a_trial_has_its_design_dates_and_place(record: Callable[[str], Statements]) -> None:
    graph, trial = record("NCT01663116"), mint("trial", "NCT01663116")
    expected = {
        "hasPhase": "Phase1Phase2",
        "phaseText": "Phase 1/Phase 2",
        "hasStatus": "StatusCompleted",
        "statusAsOf": "2022-10-10",
        "hasAllocation": "AllocationRandomized",
        "hasMasking": "MaskingSingle",
        "enrollmentCount": "53",
        "enrollmentType": "Actual",
        "startDate": "2011-03",
        "inCountry": "Spain",
        "minimumAgeYears": "18",
    }
    assert {name: graph.one(trial, name) for name in expected} == expected
    assert graph.all(trial, RDF.type) == [OBO.OBI_0003699.value, OBO.OBI_0004001.value]
    sponsor = NamedNode(graph.all(trial, "hasSponsor")[0])
    assert graph.one(sponsor, RDFS.label) == "Tigenix S.A.U."


def test_a_month_stays_a_month(record: Callable[[str], Statements]) -> None:
    dates = [quad.object for quad in record("NCT01663116").quads if quad.predicate == STROMA.startDate]
    assert [compress(date.datatype.value) for date in dates if isinstance(date, Literal)] == [
        "xsd:gYearMonth"
    ]


def test_conditions_carry_mesh_ids_and_rheumatoid_arthritis_its_class(
    record: Callable[[str], Statements],
) -> None:
    graph = record("NCT01663116")
    meshed = {graph.one(c, "meshId"): graph.one(c, RDFS.label) for c in graph.having(meshId="D001172")}
    assert meshed == {"D001172": "Arthritis, Rheumatoid"}  # the classic form pads it: D000001172
    typed = {graph.one(c, RDFS.label) for c in graph.of_class(OBO.MONDO_0008383.value)}
    assert typed == {"Arthritis, Rheumatoid", "Rheumatoid Arthritis Aggravated"}


def test_three_cohorts_are_three_regimens(record: Callable[[str], Statements]) -> None:
    graph = record(
        "NCT01663116"
    )  # "1 million stem cells/kg administered at days 1, 8 and 15", then 2, then 4
    regimens = [NamedNode(r) for r in graph.all(mint("arm", "NCT01663116", 1), "hasIntervention")]
    assert [
        [graph.one(r, name) for name in ("doseAmount", "doseUnit", "numberOfDoses", "doseInterval")]
        for r in regimens
    ] == [[f"{n}000000", "{cells}/kg", "3", "7"] for n in (1, 2, 4)]
    # Source, donor and route stand in the titles only.
    assert {graph.one(r, "hasDonorRelation") for r in regimens} == {"DonorAllogeneic"}
    assert {graph.one(r, "hasRoute") for r in regimens} == {"RouteIntravenous"}
    assert graph.one(mint("product", "NCT01663116", 1), "hasTissueSource") == "TissueAdipose"


def test_arms_and_interventions_meet_although_the_lists_are_flat(record: Callable[[str], Statements]) -> None:
    graph = record("NCT01547091")
    arms = [mint("arm", "NCT01547091", n) for n in (1, 2, 3)]
    assert [graph.one(a, RDFS.label) for a in arms] == ["UC-MSCs Treatment", "DMARDS", "UC-MSC+DMARDS"]
    assert [graph.one(a, "hasIntervention") for a in arms] == [
        mint("regimen", "NCT01547091", n).value for n in (1, 2, 3)
    ]
    # "UC-MSC+DMARDS": the drugs are co-medication of the third arm.
    drug = NamedNode(graph.all(arms[2], "hasCoMedication")[0])
    assert graph.all(drug, RDF.type) == ["DMARDProduct"]
    regimen = mint("regimen", "NCT01547091", 1)
    found = [graph.one(regimen, name) for name in ("doseAmount", "doseUnit", "numberOfDoses", "doseInterval")]
    assert found == ["40000000", "{cells}", "4", "91.3125"]  # 4x10^7 cells, 4 times, every 3 months


def test_a_placebo_arm_is_not_given_cells_by_a_contradiction(record: Callable[[str], Statements]) -> None:
    graph = record("NCT01851070")  # the record links the placebo arm to the cells and the cell arm to saline
    products = {
        graph.one(mint("arm", "NCT01851070", n), RDFS.label): {
            graph.one(NamedNode(r), "administers")
            for r in graph.all(mint("arm", "NCT01851070", n), "hasIntervention")
        }
        for n in (1, 2)
    }
    assert products == {
        "Normal Saline Placebo": {mint("product", "NCT01851070", 2).value},
        "Allogeneic Mesenchymal Precursor Cells": {mint("product", "NCT01851070", 1).value},
    }


def test_an_extraction_keeps_rule_words_field_and_confidence(record: Callable[[str], Statements]) -> None:
    graph = record("NCT02643823")  # "a single dose of 2×107 hUC-MSC": the superscript was lost
    (claim,) = graph.having(extractionRule="dose-with-lost-superscript")
    assert graph.one(claim, "matchedText") == "2×107 hUC-MSC"
    assert graph.one(claim, "inField") == "interventions.description"
    assert graph.one(claim, "confidence") == "ConfidenceMediumHigh"
    (amount,) = graph.having(propositionObject="20000000")
    assert amount.value in graph.all(claim, "asserts")
    assert graph.one(mint("regimen", "NCT02643823", 1), "doseAmount") == "20000000"


def test_the_last_known_status_is_a_dated_statement_beside_the_shown_one(
    record: Callable[[str], Statements],
) -> None:
    graph = record("NCT01547091")  # shown: unknown, 2022-10-10; last verified: recruiting, March 2013
    records = [NamedNode(r) for r in graph.all(mint("trial", "NCT01547091"), "hasStatusRecord")]
    assert sorted((graph.one(r, "statusAsOf"), graph.one(r, "hasStatus")) for r in records) == [
        ("2013-03", "StatusRecruiting"),
        ("2022-10-10", "StatusUnknown"),
    ]


def test_a_reference_keeps_its_kind_and_says_no_more(record: Callable[[str], Statements]) -> None:
    # Which of them report the trial is for kg.evidence.links to say.
    for nct, kinds in (
        ("NCT03691909", {"35241141": "derived"}),
        ("NCT03333681", {"27269294": "background", "21837432": "background", "23941289": "background"}),
    ):
        graph, trial = record(nct), mint("trial", nct)
        assert graph.all(trial, "hasPublication") == []
        assert read_references(graph, trial) == set(kinds)
        references = [NamedNode(iri) for iri in graph.all(trial, "hasReference")]
        told = {graph.one(r, DCTERMS.references): graph.one(r, "referenceType") for r in references}
        assert told == {mint("publication", f"pmid-{pmid}").value: kind for pmid, kind in kinds.items()}


def read_references(graph: Statements, trial: NamedNode) -> set[str]:
    return {value.rpartition("pmid-")[2] for value in graph.all(trial, DCTERMS.references)}


# ----------------------------------------------------------------------------------------------- results


def test_results_of_the_classic_form_are_joined_where_they_can_be(
    record: Callable[[str], Statements],
) -> None:
    graph = record("NCT03691909")
    arm = mint("arm", "NCT03691909", 1).value
    numbers = {
        (graph.one(o, RDFS.label), graph.one(o, "isSerious")): o
        for o in graph.of_class("OutcomeObservation")
        if graph.one(o, "aboutArm") == arm
    }
    started = numbers["Overall Study: STARTED", None]
    assert graph.one(started, "countValue") == "15"
    week_52 = numbers["Overall Study: Per Protocol Population Week 52", None]
    assert graph.one(week_52, "countValue") == "13"
    age = numbers["Age, Continuous", None]
    assert [graph.one(age, name) for name in ("medianValue", "unit", "sampleSize")] == ["52", "years", "15"]
    women = numbers["Sex: Female, Male / Female", None]
    assert [graph.one(women, name) for name in ("forMeasure", "numberAffected")] == ["MeasureFemaleSex", "14"]
    infection = numbers["Skin Infection", "true"]
    assert [
        graph.one(infection, name)
        for name in ("numberAffected", "sampleSize", "eventCount", "organSystem")
    ] == ["1", "15", "3", "Skin and subcutaneous tissue disorders"]  # fmt: skip
    # Zero is a value.
    nobody = numbers["Overall Study: NOT COMPLETED", None]
    assert graph.one(nobody, "countValue") == "0"
    # 6 outcomes have 13 rows: which row is whose is lost, so none is taken.
    assert graph.having(forOutcome=mint("outcome", "NCT03691909", "primary", 1).value) == []


def test_results_of_api_v2_keep_statistic_spread_and_denominator(archive: Path) -> None:
    studies = json.loads((archive / "v2-studies-80.json").read_text(encoding="utf-8"))
    (study,) = [s for s in studies if _measures(s) and _measures(s)[0]["title"].startswith("VAS for Lumbar")]
    nct = study["protocolSection"]["identificationModule"]["nctId"]
    graph = read(archive / "v2-studies-80.json")
    measure = _measures(study)[0]
    value = measure["classes"][0]["categories"][0]["measurements"][0]
    (outcome,) = [
        o for o in graph.all(mint("trial", nct), "hasPlannedOutcome")
        if graph.one(NamedNode(o), RDFS.label) == measure["title"]
    ]  # fmt: skip
    found = [
        o for o in graph.having(forOutcome=outcome, meanValue=value["value"])
        if graph.one(o, "sdValue") == value["spread"]
    ]  # fmt: skip
    assert len(found) == 1
    assert graph.one(found[0], "sampleSize") == measure["denoms"][0]["counts"][0]["value"]
    assert graph.one(found[0], "forMeasure") == "MeasurePainVAS"


def _measures(study: dict[str, Any]) -> list[dict[str, Any]]:
    results = study.get("resultsSection", {}).get("outcomeMeasuresModule", {})
    found: list[dict[str, Any]] = results.get("outcomeMeasures", [])
    return found


def test_equal_observation_keys_never_have_different_values(archive: Path) -> None:
    graph = read(archive / "v2-studies-80.json")
    names = ("meanValue", "medianValue", "numericValue", "numberAffected", "countValue", "sampleSize")
    values: dict[str | None, set[tuple[str | None, ...]]] = {}
    for observation in graph.of_class("OutcomeObservation"):
        key = graph.one(observation, "observationKey")
        values.setdefault(key, set()).add(tuple(graph.one(observation, name) for name in names))
    assert len(values) == 937
    assert [key for key, found in values.items() if len(found) > 1] == []


# ---------------------------------------------------------------------------------------------- sponsors


@pytest.mark.parametrize(
    ("name", "category", "party", "kept"),
    [
        ("Royan Institute", "OTHER", "Sponsor", True),
        ("Jane Example", "INDIV", "Sponsor", False),
        ("Jane Example", "OTHER", "Sponsor-Investigator", False),  # registered so in 58 archived records
        ("Example , Jane, M.D. M.Sc.", "OTHER", "Sponsor", False),
        ("Dr. Example Memorial Hospital", "OTHER", "Sponsor-Investigator", True),
    ],
)
def test_a_sponsor_that_is_a_person_stays_out(
    name: str, category: str, party: str, kept: bool, tmp_path: Path
) -> None:
    study = {
        "NCTId": ["NCT00000001"],
        "BriefTitle": ["A study"],
        "LeadSponsorName": [name],
        "LeadSponsorClass": [category],
        "ResponsiblePartyType": [party],
    }
    graph = read(_written(tmp_path / "study.json", study))
    assert any(isinstance(q.object, Literal) and q.object.value == name for q in graph.quads) is kept
    assert bool(graph.all(mint("trial", "NCT00000001"), "hasSponsor")) is kept


def test_an_address_in_prose_stays_out(tmp_path: Path) -> None:
    study = {
        "NCTId": ["NCT00000001"],
        "BriefTitle": ["T"],
        "BriefSummary": ["Ask jane.roe@example.org first"],
    }
    graph = read(_written(tmp_path / "study.json", study))
    assert graph.one(mint("trial", "NCT00000001"), "briefSummary") == "Ask [e-mail removed] first"


# ----------------------------------------------------------------------------------------- embedded data


def test_the_embedded_tables_give_the_expected_counts() -> None:
    part = load("clinicaltrials")
    graph = Statements(list(part.quads), part.account)
    assert part.account.records == part.source.expected.records
    assert part.account.unread == Counter()
    typed = {(q.subject, q.object) for q in graph.quads if q.predicate == RDF.type}
    classes = Counter(compress(kind.value) for _, kind in typed if isinstance(kind, NamedNode))
    assert {name: classes[name] for name in part.source.expected.counts} == dict(part.source.expected.counts)


def test_a_later_status_never_overwrites_the_earlier() -> None:
    part = load("clinicaltrials")
    graph, trial = Statements(list(part.quads), part.account), mint("trial", "NCT03186417")
    records = [NamedNode(r) for r in graph.all(trial, "hasStatusRecord")]
    assert sorted((graph.one(r, "statusAsOf"), graph.one(r, "hasStatus")) for r in records) == [
        ("2022-10-10", "StatusRecruiting"),
        ("2023-07-03", "StatusTerminated"),
    ]
    assert graph.all(trial, "enrollmentCount") == ["10", "20"]


def test_six_of_the_seventeen_are_completed_and_one_is_phase_two_three() -> None:
    part = load("clinicaltrials")
    graph = Statements(list(part.quads), part.account)
    trials = graph.of_class(OBO.OBI_0003699.value)
    assert len(trials) == 17
    # The 16 archived records show five; NCT02221258, read on its page, is the sixth.
    assert sum("StatusCompleted" in graph.all(trial, "hasStatus") for trial in trials) == 6
    late = [trial for trial in trials if "Phase2Phase3" in graph.all(trial, "hasPhase")]
    assert late == [mint("trial", "NCT01873625")]


def test_table_and_record_speak_of_the_same_things(record: Callable[[str], Statements]) -> None:
    part = load("clinicaltrials")
    table = Statements(list(part.quads), part.account)
    for nct in ("NCT01547091", "NCT01663116", "NCT03618784", "NCT04971980"):
        trial, other = mint("trial", nct), record(nct)
        for name in ("hasArm", "hasPhase", "enrollmentCount", "startDate", "hasSponsor", "studiesCondition"):
            assert table.all(trial, name) == other.all(trial, name), (nct, name)
        for arm in table.all(trial, "hasArm"):
            for regimen in table.all(NamedNode(arm), "hasIntervention"):
                for name in ("doseAmount", "numberOfDoses", "doseInterval", "hasRoute", "hasDonorRelation"):
                    node = NamedNode(regimen)
                    assert table.all(node, name) == other.all(node, name), (regimen, name)


# --------------------------------------------------------------------------------------------- bad input


def _written(file: Path, study: object) -> Path:
    file.write_text(json.dumps(study), encoding="utf-8")
    return file


@pytest.fixture
def study(archive: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((archive / "classic-msc-ra/NCT01547091.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("Phase", ["Phase 9"], UnknownValue),
        ("OverallStatus", ["Dormant"], UnknownValue),
        ("StudyType", ["Imaginary"], UnknownValue),
        ("ArmGroupType", ["Experimental", "Comparator", "Other"], UnknownValue),
        ("InterventionType", ["Biological", "Drug", "Spell"], UnknownValue),
        ("DesignAllocation", ["Coin"], UnknownValue),
        ("StartDate", ["February 31, 2013"], BadValue),
        ("StartDate", ["next spring"], BadValue),
        ("EnrollmentCount", ["about 200"], BadValue),
        ("MinimumAge", ["young"], BadValue),
        ("StartDate", ["March 2013", "April 2013"], BadValue),
        ("InterventionType", ["Biological"], BadValue),  # shorter than the names beside it
        ("ArmGroupInterventionName", ["Biological: something else"], BadValue),
        ("ReferencePMID", ["PMC123"], BadValue),
    ],
)
def test_a_bad_value_is_named_with_file_record_and_field(
    field: str, value: object, error: type[SourceError], study: dict[str, Any], tmp_path: Path
) -> None:
    file = _written(tmp_path / "bad.json", study | {field: value})
    with pytest.raises(error) as caught:
        read(file)
    named = caught.value
    assert (named.source, named.file, named.record) == ("clinicaltrials", "bad.json", "NCT01547091")
    assert named.field is not None
    assert named.field.startswith(field[:13]) or field == "InterventionType"
    assert str(tmp_path) not in str(named)


def test_a_truncated_file_is_named_with_the_record(archive: Path, tmp_path: Path) -> None:
    whole = (archive / "classic-msc-ra/NCT01547091.json").read_bytes()
    file = tmp_path / "cut.json"
    file.write_bytes(whole[:9000])
    with pytest.raises(SourceError, match=r"file cut\.json.*does not parse.*line \d+.*Fetch the file again"):
        read(file)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(min_value=0.0, max_value=0.999))
def test_a_record_cut_anywhere_never_gives_statements(
    share: float, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = (archive / "classic-msc-ra/NCT03186417.json").read_bytes().rstrip()
    file = tmp_path_factory.getbasetemp() / "anywhere.json"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError):
        read(file)


def test_a_damaged_line_is_named_by_its_number(archive: Path, tmp_path: Path) -> None:
    with gzip.open(archive / MAIN) as lines:
        first, second = next(lines), next(lines)
    file = tmp_path / "lines.jsonl"
    file.write_bytes(first + second[:500] + b"\n")
    with pytest.raises(SourceError, match=r"file lines\.jsonl:2"):
        read(file)


def test_a_cut_gzip_file_is_named(archive: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.jsonl.gz"
    file.write_bytes((archive / MAIN).read_bytes()[:100_000])
    with pytest.raises(SourceError, match=r"cut\.jsonl\.gz.*damaged.*Fetch the file again"):
        read(file)


def test_a_wrong_encoding_is_named_with_its_byte(tmp_path: Path) -> None:
    file = tmp_path / "latin.json"
    file.write_bytes('{"NCTId": ["NCT00000001"], "BriefTitle": ["Müller"]}'.encode("latin-1"))
    with pytest.raises(SourceError, match=r"latin\.json: is not UTF-8: byte \d+ is 0x"):
        read(file)


def test_two_different_records_of_one_identifier_are_refused(study: dict[str, Any], tmp_path: Path) -> None:
    other = study | {"OverallStatus": ["Completed"]}
    file = _written(tmp_path / "two.json", [study, other])
    with pytest.raises(SourceError, match=r"record NCT01547091.*also stands in two\.json"):
        read(file)


def test_an_exact_repeat_comes_once(study: dict[str, Any], tmp_path: Path) -> None:
    repeat = {name: value for name, value in study.items() if value}  # without the empty fields
    assert read(_written(tmp_path / "two.json", [study, repeat])).account.records == 1


@pytest.mark.parametrize("name", ["monster.json", "monster.jsonl"])
def test_a_hundred_megabyte_field_is_refused_by_name(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    with file.open("wb") as out:
        out.write(b'{"NCTId": ["NCT00000001"], "BriefTitle": ["T"], "DetailedDescription": ["')
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b'"]}\n')
    with pytest.raises(BadValue, match=r"NCT00000001, field DetailedDescription.*longer than 10,000,000"):
        read(file)


@pytest.mark.parametrize("value", [{"hello": 1}, [1, 2], "text", {"studies": {}}])
def test_something_that_is_no_study_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"other\.json: holds no studies"):
        read(_written(tmp_path / "other.json", value))


def test_a_study_without_identifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="no identifier of the form NCT01234567"):
        read(_written(tmp_path / "study.json", {"NCTId": ["12345"], "BriefTitle": ["T"]}))


def test_ages_are_years(tmp_path: Path) -> None:
    study = {"NCTId": ["NCT00000001"], "BriefTitle": ["T"], "MinimumAge": ["6 Months"], "MaximumAge": ["N/A"]}
    graph = read(_written(tmp_path / "study.json", study))
    assert Decimal(graph.one(mint("trial", "NCT00000001"), "minimumAgeYears") or "") == Decimal("0.5")
    assert graph.one(mint("trial", "NCT00000001"), "maximumAgeYears") is None
