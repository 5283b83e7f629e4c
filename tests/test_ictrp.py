"""The WHO ICTRP loader: what the real export says, and how damage is refused."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyoxigraph import Literal, NamedNode, Quad

from kg import loading
from kg.errors import BadValue, SourceError, UnknownValue
from kg.parts import Part
from kg.report import Quiet
from kg.terms import DCTERMS, RDF, STROMA, XSD, compress, expand, mint
from loaders import catalog
from loaders.tables import MAX_FIELD

# Fields of a real record (ChiCTR2000030088), texts shortened.
REAL: Mapping[str, str] = {
    "TrialID": "ChiCTR2000030088",
    "Last_Refreshed_on": "2 March 2020",
    "Public_title": "Umbilical cord Wharton's Jelly derived mesenchymal stem cells in severe pneumonia",
    "Primary_sponsor": "The Sixth Medical Center of PLA General Hospital",
    "Date_registration": "2020-02-22",
    "Export_date": "3/18/2020 6:53:35 PM",
    "Source_Register": "ChiCTR",
    "Recruitment_Status": "Not Recruiting",
    "Inclusion_agemin": "18",
    "Inclusion_agemax": "80",
    "Inclusion_gender": "Both",
    "Date_enrollement": "2020-03-01",
    "Target_size": "Experimental group:20;Control group:20;",
    "Study_type": "Interventional study",
    "Study_design": "Parallel",
    "Phase": "0",
    "Countries": "Chian",
    "Condition": "novel coronavirus pneumonia (COVID-19)",
    "Intervention": "Experimental group:Iv injection of Wharton's Jelly mesenchymal stem cells (1×10^6/kg);"
    "Control group:Iv 40ml saline;",
    "Primary_outcome": "The nucleic acid of the novel coronavirus is negative;ground-glass shadow;",
    "Retrospective_flag": "No",
    "Contact_Email": "nobody@example.org",
}


def xml(*trials: Mapping[str, str]) -> str:
    def field(tag: str, text: str) -> str:
        return f"    <{tag}>{text.replace('&', '&amp;').replace('<', '&lt;')}</{tag}>\n"

    body = "".join(
        "  <Trial>\n" + "".join(field(tag, text) for tag, text in trial.items()) + "  </Trial>\n"
        for trial in trials
    )
    start = "<?xml version='1.0' encoding='UTF-8' ?>"
    return f"{start}<Trials_downloaded_from_ICTRP>\n{body}</Trials_downloaded_from_ICTRP>\n"


def load(folder: Path, content: str | bytes) -> tuple[list[Quad], Part]:
    path = folder / "export.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    part = catalog.load("ictrp", [path])
    return list(part.quads), part


@pytest.fixture(scope="module")
def export(shared: Path) -> tuple[list[Quad], Part]:
    part = catalog.load("ictrp", [shared / "data" / "ictrp" / "ICTRP-Results_18Mar2020.xml"])
    return list(part.quads), part


def said(quads: list[Quad], subject: str, predicate: str) -> list[str]:
    """What is said of a thing, as CURIEs or plain text, sorted."""
    objects = [
        quad.object
        for quad in quads
        if quad.subject == expand(subject) and quad.predicate == expand(predicate)
    ]
    texts = [thing.value for thing in objects if isinstance(thing, Literal)]
    return sorted(texts + [compress(thing.value) for thing in objects if isinstance(thing, NamedNode)])


def named(quads: list[Quad], predicate: NamedNode) -> Counter[str]:
    """How often each thing is an object of a predicate, by CURIE."""
    objects = [quad.object for quad in quads if quad.predicate == predicate]
    return Counter(compress(thing.value) for thing in objects if isinstance(thing, NamedNode))


def test_every_field_of_the_real_export_is_taken_or_ignored_with_a_reason(
    export: tuple[list[Quad], Part],
) -> None:
    _, part = export
    assert part.account.records == 578
    assert part.account.unread == Counter()
    assert "personal data" in part.source.ignored["Contact_Affiliation"]


def test_the_real_export_gives_every_trial_arm_and_outcome(export: tuple[list[Quad], Part]) -> None:
    quads, _ = export
    types = named(quads, RDF.type)
    assert types["stroma:ClinicalStudy"] == types["stroma:RegistryRecord"] == 578
    assert types["OBI:0003699"] == 330  # 260 + 68 interventional, 2 "treatment study"
    assert types["stroma:ObservationalStudy"] == 200  # 168 + 31, 1 patient registry
    assert types["stroma:TrialArm"] == 815
    statuses = named(quads, STROMA.hasStatus)
    assert statuses == {"stroma:StatusRecruiting": 299, "stroma:StatusNotRecruiting": 270}


def test_no_person_is_in_the_graph(export: tuple[list[Quad], Part]) -> None:
    quads, _ = export
    # Nine trials give a person ("Cancelled" and "NA" are no organisations either) as primary sponsor.
    sponsors = {q.object for q in quads if q.predicate == STROMA.hasSponsor}
    assert sum(q.predicate == STROMA.hasSponsor for q in quads) == 578 - 9
    names = {q.object.value for q in quads if q.subject in sponsors and isinstance(q.object, Literal)}
    assert "Tongji Hospital" in names
    assert not {name for name in names if len(name.split()) < 2 or name in ("Cancelled", "NA")}


def test_an_msc_product_is_stated_with_the_words_it_was_read_from(tmp_path: Path) -> None:
    quads, _ = load(tmp_path, xml(REAL))
    assert said(quads, "arm:ChiCTR2000030088/1", "stroma:hasIntervention") == ["regimen:ChiCTR2000030088/1"]
    assert said(quads, "arm:ChiCTR2000030088/1", "stroma:enrollmentCount") == ["20"]
    assert said(quads, "regimen:ChiCTR2000030088/1", "stroma:administers") == [
        "product:ChiCTR2000030088/1/msc"
    ]
    assert said(quads, "regimen:ChiCTR2000030088/1", "stroma:hasRoute") == ["stroma:RouteIntravenous"]
    assert said(quads, "product:ChiCTR2000030088/1/msc", "RO:0002248") == ["stroma:CellMesenchymalStem"]
    assert said(quads, "product:ChiCTR2000030088/1/msc", "stroma:hasTissueSource") == [
        "stroma:TissueWhartonJelly"
    ]
    claim = "claim:ictrp/ChiCTR2000030088/1-msc/tissue-named"
    assert said(quads, claim, "stroma:matchedText") == ["Wharton's Jelly"]
    # Saline is a regimen too, but no rule knows it as a product.
    assert said(quads, "regimen:ChiCTR2000030088/2", "stroma:administers") == []


def test_conditioned_medium_and_the_solution_of_mscs_are_not_cells(tmp_path: Path) -> None:
    text = (
        "Experimental group:mesenchymal stem cell conditioned medium;Control group:saline (solution of MSC);"
    )
    quads, _ = load(tmp_path, xml({**REAL, "Intervention": text}))
    assert not [q for q in quads if q.predicate == STROMA.administers]


def test_harmonised_values_stand_beside_the_printed_text(tmp_path: Path) -> None:
    quads, _ = load(tmp_path, xml(REAL))
    trial = "trial:ChiCTR2000030088"
    assert said(quads, trial, "stroma:hasPhase") == ["stroma:PhaseEarly1"]
    assert said(quads, trial, "stroma:phaseText") == ["0"]
    assert said(quads, trial, "stroma:inCountry") == ["China"]
    assert said(quads, trial, "stroma:countryText") == ["Chian"]
    assert said(quads, trial, "stroma:enrollmentCount") == ["40"]
    assert said(quads, trial, "stroma:enrollmentText") == ["Experimental group:20;Control group:20;"]


def test_a_clinicaltrials_design_is_read_into_its_parts(tmp_path: Path) -> None:
    design = (
        "Allocation: Randomized. Intervention model: Parallel Assignment. Primary purpose: Treatment. "
        "Masking: Triple (Participant, Care Provider, Outcomes Assessor)."
    )
    trial = {**REAL, "TrialID": "NCT04288102", "Study_type": "Interventional", "Study_design": design}
    quads, _ = load(tmp_path, xml(trial))
    subject = "trial:NCT04288102"
    assert said(quads, subject, "stroma:hasMasking") == ["stroma:MaskingTriple"]
    assert said(quads, subject, "stroma:masksRole") == ["Care Provider", "Outcomes Assessor", "Participant"]
    assert said(quads, subject, "rdf:type") == ["OBI:0003699", "OBI:0004001", "stroma:ClinicalStudy"]


def test_only_rheumatoid_arthritis_itself_is_typed_as_the_disease(tmp_path: Path) -> None:
    text = "Refractory Rheumatoid Arthritis (RA);rheumatoid arthritis-like pain;No"
    quads, _ = load(tmp_path, xml({**REAL, "Condition": text}))
    refractory, pain = (
        "condition:refractory-rheumatoid-arthritis-ra",
        "condition:rheumatoid-arthritis-like-pain",
    )
    assert said(quads, "trial:ChiCTR2000030088", "stroma:studiesCondition") == [refractory, pain]
    assert said(quads, refractory, "rdf:type") == ["MONDO:0008383"]
    assert said(quads, pain, "rdf:type") == []


def test_dates_of_a_trial_keep_their_precision_and_order_of_day_and_month(tmp_path: Path) -> None:
    trial = {**REAL, "Date_registration": "06/02/2020", "Date_enrollement": "January 1996"}
    quads, _ = load(tmp_path, xml(trial))
    objects = {q.predicate: q.object for q in quads if q.subject == mint("trial", "ChiCTR2000030088")}
    assert objects[STROMA.firstPostedDate] == Literal("2020-02-06", datatype=XSD.date)
    assert objects[STROMA.startDate] == Literal("1996-01", datatype=XSD.gYearMonth)
    record = {q.predicate: q.object for q in quads if q.subject == mint("record", "ictrp", REAL["TrialID"])}
    assert record[STROMA.retrievedDate] == Literal("2020-03-18", datatype=XSD.date)
    assert record[DCTERMS.identifier] == Literal("ChiCTR2000030088")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("Phase", "Phase 7", UnknownValue),
        ("Recruitment_Status", "Paused", UnknownValue),
        ("Study_type", "Interpretive", UnknownValue),
        ("Study_design", "Triangular", UnknownValue),
        ("Study_design", "Allocation: By moonlight.", UnknownValue),
        ("Inclusion_gender", "Either", UnknownValue),
        ("Retrospective_flag", "Perhaps", UnknownValue),
        ("Date_registration", "31 February 2020", BadValue),
        ("Date_enrollement", "2020-02-31", BadValue),
        ("Export_date", "18.3.2020", BadValue),
        ("Inclusion_agemin", "eighteen", BadValue),
    ],
)
def test_a_value_we_cannot_read_stops_with_its_place(
    tmp_path: Path, field: str, value: str, error: type[SourceError]
) -> None:
    with pytest.raises(error) as caught:
        load(tmp_path, xml({**REAL, field: value}))
    assert caught.value.source == "ictrp"
    assert caught.value.file == "export.xml:2"
    assert caught.value.record == "ChiCTR2000030088"
    assert caught.value.field == field
    assert str(caught.value.value) in value


def test_a_truncated_file_is_refused_after_the_last_whole_trial(tmp_path: Path) -> None:
    text = xml(REAL, {**REAL, "TrialID": "ChiCTR2000030089"})
    with pytest.raises(SourceError, match=r"export\.xml:\d+.*does not parse.*cut off"):
        load(tmp_path, text[: text.rindex("<Condition>") + 20])


def test_a_wrong_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"export\.xml:10, record ChiCTR2000030088.*encoding"):
        load(tmp_path, xml({**REAL, "Recruitment_Status": "Zürich"}).encode("latin-1"))


def test_a_document_type_declaration_is_refused(tmp_path: Path) -> None:
    bomb = xml(REAL).replace("?><", '?>\n<!DOCTYPE Trials [<!ENTITY a "aaaaaaaaaa">]>\n<')
    with pytest.raises(SourceError, match=r"export\.xml:2, field DOCTYPE"):
        load(tmp_path, bomb)


def test_a_trial_that_comes_twice_and_differs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"record ChiCTR2000030088.*also stands in"):
        load(tmp_path, xml(REAL, {**REAL, "Phase": "1"}))


def test_an_exact_repeat_of_a_trial_comes_once(tmp_path: Path) -> None:
    quads, part = load(tmp_path, xml(REAL, REAL))
    assert part.account.records == 1
    assert quads == load(tmp_path, xml(REAL))[0]


def test_a_field_that_comes_twice_is_refused(tmp_path: Path) -> None:
    doubled = xml(REAL).replace("</Phase>", "</Phase><Phase>1</Phase>")
    with pytest.raises(SourceError, match=r"record ChiCTR2000030088, field Phase.*twice"):
        load(tmp_path, doubled)


def test_another_kind_of_xml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"<rss> is not expected inside <the document>.*ICTRP"):
        load(tmp_path, "<rss><channel/></rss>")


def test_a_field_of_a_hundred_megabytes_is_refused_without_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "export.xml"
    before, after = xml({**REAL, "Condition": "HERE"}).split("HERE")
    with path.open("w") as handle:
        handle.write(before)
        for _ in range(100):
            handle.write("pneumonia " * 100_000)
        handle.write(after)
    tracemalloc.start()
    with pytest.raises(BadValue, match=f"record ChiCTR2000030088, field Condition: .*{MAX_FIELD:,}"):
        list(catalog.load("ictrp", [path]).quads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MAX_FIELD


def test_without_an_export_the_source_is_empty() -> None:
    part = catalog.load("ictrp")
    assert list(part.quads) == []
    assert part.account.records == part.source.expected.records == 0


# ------------------------------------------------------------------------------------ in partitions


def loaded(path: Path, var: Path, on: str = "processes:1") -> tuple[list[bytes], set[str]]:
    """The lines of a build that loads an export, and the names of the partitions that are kept then."""
    work = var / "work"
    work.mkdir(parents=True, exist_ok=True)
    with loading.workers(on) as them:
        source = loading.load(catalog.describe("ictrp"), [path], var, work, them, Quiet())
    with source.file.open("rb") as file:
        lines = list(loading.read_lines(file))
    return lines, {each.name for each in (var / loading.FOLDER / "ictrp").glob("*.json")}


def test_the_real_export_loads_in_partitions_by_processes_to_the_same_lines(
    export: tuple[list[Quad], Part], shared: Path, tmp_path: Path
) -> None:
    quads, _ = export
    path = shared / "data" / "ictrp" / "ICTRP-Results_18Mar2020.xml"
    lines, partitions = loaded(path, tmp_path, "processes:2")
    assert lines == sorted({str(quad).encode() + b" .\n" for quad in quads})
    assert len(partitions) > 10


def test_a_trial_that_is_corrected_costs_its_own_partition_alone(shared: Path, tmp_path: Path) -> None:
    text = (shared / "data" / "ictrp" / "ICTRP-Results_18Mar2020.xml").read_text("utf-8")
    path, var = tmp_path / "export.xml", tmp_path / "var"
    path.write_text(text, "utf-8")
    before, kept = loaded(path, var)
    # The trial has a line more, so that all behind it stand elsewhere.
    path.write_text(text.replace("<Phase>0</Phase>", "\n<Phase>1</Phase>", 1), "utf-8")
    after, now = loaded(path, var)
    assert len(now - kept) == 1
    number = f"<{STROMA.recordLine.value}>".encode()
    gone, come = set(before) - set(after), set(after) - set(before)
    assert sum(number in line for line in come) > 100, "the lines of those behind it are told anew"
    assert sum(number not in line for line in (*gone, *come)) < 10
