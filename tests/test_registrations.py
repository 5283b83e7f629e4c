"""What a trial registered and what became of it, as a page or `kg trial` gets it."""

from __future__ import annotations

import asyncio
import html
import json
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdflib import Graph

from kg.engine import Limits
from kg.engine.memory import MemoryEngine
from kg.registration_forms import as_data, as_text, as_turtle, shown
from kg.registrations import Found, Registration, find, read
from kg.snapshot import Snapshot
from kg.terms import BASE, STROMA, compress, expand

Run = asyncio.Runner


@pytest.fixture(scope="module")
def running() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(embedded: Snapshot, running: Run) -> Iterator[MemoryEngine]:
    engine = MemoryEngine(embedded, workers=1)
    running.run(engine.__aenter__())
    yield engine
    running.run(engine.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def found(engine: MemoryEngine, running: Run) -> dict[str, Found]:
    names = ("NCT01547091", "nct03691909", "chictr-inr-17012462", "trial:liang-2012", "NCT0366911", "", "x y")
    return {name: running.run(find(engine, name, Limits())) for name in names}


def registration(found: Found) -> Registration:
    assert found.registration is not None
    return found.registration


def test_a_number_is_found_in_any_case_and_with_or_without_hyphens(found: dict[str, Found]) -> None:
    assert registration(found["nct03691909"]).id == "NCT03691909"
    assert registration(found["chictr-inr-17012462"]).id == "ChiCTR-INR-17012462"


def test_a_number_that_is_none_is_met_with_those_like_it(found: dict[str, Found]) -> None:
    assert found["NCT0366911"].registration is None
    assert "NCT03691909" in [id for id, _ in found["NCT0366911"].near]
    assert found[""] == found["x y"] == Found(None)


def test_every_planned_outcome_says_what_became_of_it(found: dict[str, Found]) -> None:
    outcomes = registration(found["NCT01547091"]).outcomes
    assert [(each.role, compress(each.comparison.result)) for each in outcomes if each.comparison] == [
        ("primary", "stroma:ResultReportedWithoutTime"),
        ("secondary", "stroma:ResultReportedAtOtherTime"),
        ("secondary", "stroma:ResultReportedWithoutTime"),
        ("secondary", "stroma:ResultNotFound"),
    ]


def test_a_background_citation_stands_apart_from_the_reports(found: dict[str, Found]) -> None:
    trial = registration(found["NCT01547091"])
    assert [(each.pmid, each.says) for each in trial.publications] == [
        ("23941289", "reports"),
        ("31908418", "reports"),
        ("22138499", "cited"),
        ("23533920", "cited"),
    ]
    (sure, doubtful, *_) = trial.publications
    assert [link.sure for link in sure.links] == [True]
    assert not any(link.sure for link in doubtful.links)


def test_a_study_without_a_number_has_the_publication_that_reports_it(found: dict[str, Found]) -> None:
    (publication,) = registration(found["trial:liang-2012"]).publications
    assert (publication.pmid, publication.says, publication.links) == ("21837432", "reports", ())


def test_a_trial_shows_what_extends_it_and_what_corresponds_to_it(found: dict[str, Found]) -> None:
    related = registration(found["chictr-inr-17012462"]).related
    assert {(compress(each.relation), compress(each.trial), each.inverse) for each in related} == {
        ("stroma:correspondsTo", "trial:gao2025-ifng-trial", True),
        ("stroma:extensionOf", "trial:yang2025-lte", True),
    }


def test_results_and_methods_have_names_in_three_languages(found: dict[str, Found]) -> None:
    trial = registration(found["NCT01547091"])
    names = {trial.name(STROMA.ResultNotFound.value, tag) for tag in ("en", "zh-Hans", "zh-Hant")}
    assert names == {"not found in this graph", "本图谱中未见", "本圖譜中未見"}


def test_every_form_tells_the_same_trial(engine: MemoryEngine, running: Run, found: dict[str, Found]) -> None:
    told = running.run(shown(engine, registration(found["nct03691909"]), Limits()))
    text, data = as_text(told), json.loads(json.dumps(as_data(told)))
    turtle = Graph().parse(running.run(as_turtle(engine, told, Limits())), format="turtle")
    assert data["id"] == "NCT03691909"
    assert [arm["registered"] for arm in data["arms"]] == [True, False]
    for outcome in data["outcomes"]:
        assert f"{outcome['result']['name']}: {outcome['compared']}" in text
        assert (expand(outcome["id"]).value, None) in {(str(s), None) for s in turtle.subjects()}
    for publication in data["publications"]:
        assert publication["pmid"] in text


@given(st.text(max_size=60))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_of_a_reader_breaks_the_query(engine: MemoryEngine, running: Run, text: str) -> None:
    found = running.run(find(engine, text, Limits()))
    assert found.registration is None or text.strip()


def test_an_iri_that_is_no_trial_is_none(engine: MemoryEngine, running: Run) -> None:
    for iri in (f"{BASE}trial/NCT99999999", "https://example.org/nothing"):
        assert running.run(read(engine, iri, Limits())) is None


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ("What became of it", "not found in this graph", "Reported, not registered", "medium confidence"),
        ),
        ("zh-CN", ("结果如何", "本图谱中未见", "已报告而未登记")),
        ("zh-TW", ("結果如何", "本圖譜中未見", "已報告而未登記")),
    ],
)
def test_the_page_sets_what_was_registered_beside_what_is_reported(
    site: str, found: dict[str, Found], language: str, words: tuple[str, ...]
) -> None:
    trial = registration(found["NCT01547091"])
    request = urllib.request.Request(f"{site}/trial/NCT01547091.html", headers={"Accept-Language": language})
    with urllib.request.urlopen(request) as answer:
        page = html.unescape(answer.read().decode())
    for word in words:
        assert word in page
    for comparison in trial.comparisons:  # outcomes, arms, participants: each in so many words
        assert comparison.text in page
    for publication in trial.publications:
        assert publication.label in page
        for link in publication.links:
            assert link.basis in page
