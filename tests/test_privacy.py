"""No person is in the graph: names, telephone numbers and e-mail addresses stay out of every text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import Literal, Quad

from kg.parts import Account
from kg.terms import RDFS, STROMA, mint
from loaders import catalog
from loaders.privacy import clean, is_institution, is_one_of

_MAIL = re.compile(r"[\w.%+-]+@[\w-]+\.\w")
_PHONE = re.compile(r"\+\d{1,3}[ .-]\d[\d .()-]{6,}|(?<![\w.-])[2-9]\d\d-[2-9]\d\d-\d{4}\b|\b0\d{3}-\d{6}\b")
_PLACES_NAMED_AS_PERSONS = (
    "NCT01393977/1", "NCT01489267/1", "NCT01494480/1", "NCT01844063/1", "NCT02291770/1", "NCT02323477/1",
    "NCT02403232/1", "NCT02564328/1", "NCT03068988/1", "NCT03608592/1", "NCT04014166/1", "NCT04448106/1",
    "NCT04889963/1", "NCT05279157/1", "NCT05433298/1", "NCT06070480/1", "NCT04042844/2",
)  # fmt: skip


@pytest.fixture(scope="module")
def everything(shared: Path) -> tuple[list[Quad], Account]:
    """The quads of all registry records and publications, and what became of the records' fields."""
    data = shared / "data"
    trials = data / "clinicaltrials"
    files: dict[str, Sequence[Path]] = {
        "clinicaltrials": [trials / "classic-msc-1241.jsonl.gz", trials / "v2-studies-80.json"],
        "ictrp": sorted((data / "ictrp").glob("*.xml")),
        "publications": [
            data / "publications" / "ctgov_references_from_mapClinical.tsv",
            data / "publications" / "checked_processed_aw_corrections.csv",
        ],
    }
    quads: list[Quad] = []
    account = Account()
    for name, paths in files.items():
        part = catalog.load(name, paths)
        quads += part.quads
        account.left_out.update(part.account.left_out)
        account.unreadable.update(part.account.unreadable)
    return quads, account


def test_a_place_named_as_a_person_has_only_its_town(everything: tuple[list[Quad], Account]) -> None:
    quads, account = everything
    places = {mint("location", *name.split("/")) for name in _PLACES_NAMED_AS_PERSONS}
    towns: dict[object, set[str]] = {}
    for quad in quads:
        if quad.predicate in (STROMA.city, STROMA.country, STROMA.state) and quad.subject in places:
            towns.setdefault(quad.subject, set()).add(quad.object.value)
    labels = {q.subject: q.object.value for q in quads if q.predicate == RDFS.label and q.subject in places}
    assert set(labels) == places
    for place, label in labels.items():
        assert set(label.split(", ")) <= towns[place]
    assert account.left_out["LocationFacility: may name a person"] > 30


def test_no_text_of_any_source_holds_a_number_or_an_address(
    everything: tuple[list[Quad], Account],
) -> None:
    texts = {
        (str(q.subject), q.object.value)
        for q in everything[0]
        if isinstance(q.object, Literal)
        and q.predicate not in (STROMA.secondaryId, STROMA.sourceAddress, STROMA.doi)
    }
    assert len(texts) > 50_000
    assert [text for text in texts if _MAIL.search(text[1])] == []
    assert [text for text in texts if _PHONE.search(text[1])] == []


def test_publications_carry_no_author_lists(everything: tuple[list[Quad], Account]) -> None:
    cited = [q for q in everything[0] if q.graph_name == mint("graph", "publications")]
    assert not [q for q in cited if q.predicate == STROMA.citation]
    titles = [q.object.value for q in cited if q.predicate == STROMA("journal")]
    assert len(titles) > 1_500
    assert everything[1].unreadable["citation: title and journal cannot be told from the authors"] < 150


def test_a_name_the_record_gives_elsewhere_stays_out_of_its_texts(shared: Path, tmp_path: Path) -> None:
    studies = json.loads((shared / "data/clinicaltrials/v2-studies-80.json").read_text(encoding="utf-8"))
    study = next(s for s in studies if s["protocolSection"]["contactsLocationsModule"].get("locations"))
    protocol = study["protocolSection"]
    places = protocol["contactsLocationsModule"]
    places["overallOfficials"] = [{"name": "Ada Byron-Roe, M.D.", "role": "PRINCIPAL_INVESTIGATOR"}]
    places["locations"][0]["facility"] = "Roe Ada Byron"
    protocol["descriptionModule"]["briefSummary"] = "Ask Ada Byron-Roe at the desk."
    path = tmp_path / "study.json"
    path.write_text(json.dumps(study), encoding="utf-8")
    texts = [q.object.value for q in catalog.load("clinicaltrials", [path]).quads if q.object is not None]
    assert "Ask [name removed] at the desk." in texts
    assert not [text for text in texts if "Byron" in text]


def test_a_field_nobody_has_seen_is_unread_in_both_forms(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/clinicaltrials"
    classic = json.loads((folder / "classic-msc-ra/NCT03691909.json").read_text(encoding="utf-8"))
    v2 = json.loads((folder / "v2-studies-80.json").read_text(encoding="utf-8"))[0]
    invented = {"OutcomeNewThing": ["x"], "IsNew": ["x"], "FlowNew": ["x"], "BaselineNew": ["x"]}
    v2.setdefault("resultsSection", {})["outcomeMeasuresModule"] = {"newThing": "x"}
    path = tmp_path / "studies.jsonl"
    path.write_text("\n".join(json.dumps(s) for s in (_fields(classic) | invented, v2)), encoding="utf-8")
    part = catalog.load("clinicaltrials", [path])
    assert len(list(part.quads)) > 100
    assert set(part.account.unread) == {*invented, "resultsSection.outcomeMeasuresModule.newThing"}


def _fields(document: dict[str, dict[str, object]]) -> dict[str, object]:
    """The one study of a classic document, with or without its envelope."""
    studies = document.get("StudyFieldsResponse", {}).get("StudyFields")
    return dict(studies[0]) if isinstance(studies, list) else dict(document)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Phone/Fax Number: 0271-727007", "Phone/Fax Number: [number removed]"),
        ("Mobile Number: +62 811-2632-086.", "Mobile Number: [number removed]."),
        ("call 619-589-6888 now", "call [number removed] now"),
        ("under Dr. Ada Roe and the University", "under Dr. [name removed] and the University"),
        ("delivered to Dr. Roe's lab", "delivered to Dr. [name removed] lab"),
        ("Ada Roe, MD, PhD", "[name removed], MD, PhD"),
        ("the ward of Dr. Shariati hospital", "the ward of Dr. Shariati hospital"),
        ("MD Anderson Cancer Center", "MD Anderson Cancer Center"),
        ("write to ada.roe@example.org.", "write to [e-mail removed]."),
    ],
)  # fmt: skip
def test_what_is_personal_is_cut_out_of_a_text(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


_NUMBERS = st.one_of(
    st.from_regex(r"NCT\d{8}", fullmatch=True),
    st.from_regex(r"ChiCTR(-[A-Z]{3}-)?\d{8,10}", fullmatch=True),
    st.from_regex(r"(EudraCT |EUCTR)20[0-2]\d-00\d{4}-[1-9]\d", fullmatch=True),
    st.from_regex(r"U1111-1[0-9]{3}-[0-9]{4}", fullmatch=True),
    st.dates().map(str),
    st.dates().map(lambda day: f"{day:%d/%m/%Y}"),
    st.dates().map(lambda day: f"{day:%d.%m.%Y}"),
    st.from_regex(r"20[0-2]\d-20[0-2]\d", fullmatch=True),
    st.integers(1, 10**10).map(lambda n: f"{n:,} cells/kg"),
    st.integers(1, 10**10).map(lambda n: f"{n} MSC"),
    st.integers(1, 999).map(lambda n: f"{n} 000 000 cells"),
    st.from_regex(r"[1-9]-[1-9] x 10000{2,5} cells", fullmatch=True),
    st.from_regex(r"[1-9]00-[1-9]\.000 mg", fullmatch=True),
)


@given(st.lists(_NUMBERS, min_size=1, max_size=4).map(", ".join))
def test_numbers_of_trials_dates_and_doses_are_left_alone(text: str) -> None:
    assert clean(f"Given: {text}.") == f"Given: {text}."


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_institutions_are_told_from_persons() -> None:
    for name in ("Hospital Dr. Peset", "UZ Gent", "UCLA", "Istituto Ortopedico Rizzoli", "RSUP Dr. Sardjito"):
        assert is_institution(name)
    for name in ("Ada Roe", "Office of Ada Roe, MD", "Praxis Dr. Ada Roe", "Roe Hospital, Sub-Investigator"):
        assert not is_institution(name)
    assert is_one_of("Roe, Ada, M.D.", {"Ada Roe"})
