"""The questions as a web API: asked of a real server on the embedded graph."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pyoxigraph import QueryResultsFormat, QuerySolutions, RdfFormat, parse, parse_query_results

from kg.canned import Catalogue
from kg.engine import Limits, guard
from kg.engine.formats import Kind
from kg.terms import ROOT, compress
from tests.expected import expected

CATALOGUE = Catalogue.read(ROOT / "queries")
GRAPHS = [
    id for id, question in CATALOGUE.items() if guard.inspect(question.text, Limits()).kind is Kind.GRAPH
]
ROWS = [id for id in CATALOGUE if id not in GRAPHS]
TRIAL = "https://w3id.org/stroma/trial/NCT03691909"


@pytest.fixture(scope="module")
def web(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, timeout=30) as client:
        yield client


def shown(row: dict[str, Any]) -> dict[str, str]:
    """A row of JSON as the expected tables write it, numbers apart."""
    return {name: compress(value) if isinstance(value, str) else value for name, value in row.items()}


@pytest.mark.parametrize("id", ROWS)
def test_every_question_answers_with_all_its_rows(web: httpx.Client, id: str) -> None:
    answer = web.get(f"/queries/{id}").json()
    rows = expected(id)
    assert answer["total"] == len(answer["rows"]) == len(rows)
    assert answer["next"] is answer["cursor"] is None
    assert [column["name"] for column in answer["columns"]] == list(rows[0])
    for row, wanted in zip(answer["rows"], rows, strict=True):
        for name, value in shown(row).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert value == float(wanted[name])
            elif isinstance(value, bool):
                assert str(value).lower() == wanted[name]
            else:
                assert (value or "") == wanted[name]


@pytest.mark.parametrize("id", GRAPHS)
@pytest.mark.parametrize(
    ("format", "media_type"),
    [("turtle", "text/turtle"), ("jsonld", "application/ld+json"), ("ntriples", "application/n-triples"),
     ("rdfxml", "application/rdf+xml")],
)  # fmt: skip
def test_a_graph_comes_whole_in_every_form(web: httpx.Client, id: str, format: str, media_type: str) -> None:
    answer = web.get(f"/queries/{id}", headers={"Accept": media_type})
    assert answer.headers["content-type"].startswith(media_type)
    kinds = {"turtle": RdfFormat.TURTLE, "jsonld": RdfFormat.JSON_LD, "rdfxml": RdfFormat.RDF_XML}
    triples = {q.triple for q in parse(answer.content, format=kinds.get(format, RdfFormat.N_TRIPLES))}
    assert len(triples) == len(expected(id)) == int(answer.headers["x-total-count"])
    assert web.get(f"/queries/{id}?format={format}").content == answer.content
    assert web.get(f"/queries/{id}?limit=5").status_code == 400


@pytest.mark.parametrize(
    ("accept", "suffix", "form"),
    [
        ("application/sparql-results+json", "srj", QueryResultsFormat.JSON),
        ("application/sparql-results+xml", "xml", QueryResultsFormat.XML),
        ("text/tab-separated-values", "tsv", QueryResultsFormat.TSV),
    ],
)
def test_rows_come_as_the_formats_of_sparql(
    web: httpx.Client, accept: str, suffix: str, form: QueryResultsFormat
) -> None:
    answer = web.get("/queries/routes", headers={"Accept": accept})
    solutions = parse_query_results(answer.content, format=form)
    assert isinstance(solutions, QuerySolutions)
    assert [row["route"].value for row in solutions] == [row["route"] for row in expected("routes")]
    assert web.get(f"/queries/routes.{suffix}").content == answer.content


def test_csv_is_what_the_endpoint_writes_for_the_same_query(web: httpx.Client) -> None:
    csv_of_question = web.get("/queries/arms-of-a-trial.csv").text
    query = web.get("/queries/arms-of-a-trial.rq").text
    assert web.get("/sparql", params={"query": query, "format": "csv"}).text == csv_of_question


# --------------------------------------------------------------------------------------------- paging


@pytest.mark.parametrize("limit", [1, 7, 48, 1000])
def test_pages_join_to_the_whole(web: httpx.Client, limit: int) -> None:
    whole = web.get("/queries/measures-never-observed").json()["rows"]
    rows: list[Any] = []
    address = f"/queries/measures-never-observed?limit={limit}"
    while address:
        page = web.get(address).json()
        assert (page["total"], page["offset"]) == (len(whole), len(rows))
        assert len(page["rows"]) <= limit
        rows += page["rows"]
        address = page["next"]
    assert rows == whole


@pytest.mark.parametrize("format", ["csv", "tsv", "srj", "xml"])
def test_the_link_header_leads_to_the_next_page_in_the_same_form(web: httpx.Client, format: str) -> None:
    first = web.get(f"/queries/routes-by-tissue.{format}?limit=2&lang=zh-Hant")
    assert first.headers["x-total-count"] == str(len(expected("routes-by-tissue")))
    second = web.get(first.links["next"]["url"])
    assert second.status_code == 200
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["content-language"] == "zh-Hant"
    assert second.content != first.content


def test_a_cursor_is_good_for_its_question_its_values_and_its_snapshot_only(web: httpx.Client) -> None:
    cursor = web.get("/queries/routes?limit=1").json()["cursor"]
    assert web.get("/queries/routes", params={"cursor": cursor}).json()["offset"] == 1
    last = "A" if cursor[-2] != "A" else "B"
    for wrong, path in (
        (cursor[:-2] + last + cursor[-1], "/queries/routes"),  # tampered with
        (cursor[:-1], "/queries/routes"),
        ("1", "/queries/routes"),
        ("é", "/queries/routes"),
        (cursor, "/queries/routes?condition=MONDO:0007179"),  # of other values
    ):
        answer = web.get(path, params={**dict(httpx.URL(path).params), "cursor": wrong})
        assert answer.status_code == 400
        assert "leave the cursor out to start again" in answer.json()["detail"]
        assert answer.json()["parameter"] == "cursor"
    gone = web.get("/queries/sponsors", params={"cursor": cursor})
    assert gone.status_code == 410
    assert "has changed since" in gone.json()["detail"]


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5", "1e3", "9" * 30, "٧"])
def test_a_limit_that_is_no_number_of_rows_is_refused(web: httpx.Client, limit: str) -> None:
    answer = web.get("/queries/routes", params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["parameter"] == "limit"


# ----------------------------------------------------------------------------------------- languages


def test_labels_come_in_the_language_that_is_asked(web: httpx.Client) -> None:
    for headers, params in (({"Accept-Language": "zh-TW"}, {}), ({}, {"lang": "zh-Hant"})):
        answer = web.get("/queries/routes", headers=headers, params=params)
        assert answer.headers["content-language"] == answer.json()["language"] == "zh-Hant"
        assert [row["route"] for row in answer.json()["rows"]] == ["靜脈給藥", "關節內給藥"]
        assert "Accept-Language" in answer.headers["vary"]
    simplified = web.get("/queries/routes.csv?lang=zh-Hans").text
    assert "静脉给药" in simplified
    assert web.get("/queries/routes?lang=fr").json()["parameter"] == "lang"


def test_every_column_of_labels_has_chinese_in_it(web: httpx.Client) -> None:
    for id, question in CATALOGUE.items():
        if question.labels:
            rows = web.get(f"/queries/{id}?lang=zh-Hans").json()["rows"]
            for name in question.labels:
                said = {row[name] for row in rows if row[name] is not None}
                assert any(re.search(r"[\u4e00-\u9fff]", word) for word in said), (id, name)


# ------------------------------------------------------------------------------------ wrong parameters


@pytest.mark.parametrize(
    ("path", "name", "near"),
    [
        ("routes?condition=rheumatoid arthritis", "condition", "MONDO:0008383 (rheumatoid arthritis)"),
        ("routes?condition=類風濕關節炎", "condition", "MONDO:0008383 (rheumatoid arthritis)"),
        ("arms-of-a-trial?trial=NCT0369190", "trial", "trial:NCT03691909"),
        ("arms-of-a-trial?trial=MONDO:0008383", "trial", ""),
        ("response-by-arm-and-time?measure=stroma:MeasureACR2", "measure", "stroma:MeasureACR20"),
        ("findings?severity=stroma:SeverityMajr", "severity", "stroma:SeverityMajor (major discrepancy)"),
        ("products-of-a-tissue?tissueClass=bone+marrow", "tissueClass", "UBERON:0002371 (bone marrow)"),
        ("doses-in-cells?weight=65", "weight", ""),
        ("terms-called?language=fr", "language", ""),
        ("trials-started-since?since=yesterday", "since", ""),
        ("trials-started-since?least=few", "least", ""),
        ("findings-about?thing=https://example.org/nothing", "thing", ""),
    ],
)
def test_a_wrong_value_is_named_with_what_is_taken_and_near_matches(
    web: httpx.Client, path: str, name: str, near: str
) -> None:
    answer = web.get(f"/queries/{path}")
    assert answer.status_code == 400
    told = answer.json()
    assert told["parameter"] == name
    assert told["takes"]
    assert any(each.startswith(near) for each in told.get("near", [""]))
    assert near in told["detail"]


def test_a_value_that_the_graph_knows_is_taken_however_it_is_written(web: httpx.Client) -> None:
    answers = [
        web.get("/queries/arms-of-a-trial", params={"trial": trial}).json()["rows"]
        for trial in ("trial:NCT03691909", TRIAL)
    ]
    assert answers[0] == answers[1] != []
    assert web.get("/queries/doses-in-cells?weight=70.0").json()["total"] > 0


# ------------------------------------------------------------------------------- versions, list, pages


def test_a_version_of_a_question_has_an_address_of_its_own(web: httpx.Client) -> None:
    question = CATALOGUE["routes"]
    here = f"/queries/routes/versions/{question.hash}"
    answer = web.get(here)
    assert answer.json() == web.get("/queries/routes").json()
    assert answer.links["latest-version"]["url"] == "/queries/routes"
    snapshot = answer.headers["x-stroma-snapshot"]
    assert "immutable" in web.get(f"{here}?version={snapshot}").headers["cache-control"]
    gone = web.get("/queries/routes/versions/0123456789abcdef")
    assert gone.status_code == 410
    assert question.hash in gone.json()["kept"]


def test_the_list_draws_the_values_of_a_parameter_from_the_graph(web: httpx.Client) -> None:
    listed = {each["id"]: each for each in web.get("/queries").json()["questions"]}
    severities = {each["value"]: each for each in listed["findings"]["parameters"][1]["values"]}
    assert severities["stroma:SeverityMajor"]["zh-Hans"] == "重大"
    assert set(severities) == {"stroma:SeverityMajor", "stroma:SeverityMinor"}
    conditions = {each["value"] for each in listed["routes"]["parameters"][0]["values"]}
    assert {"MONDO:0008383", "MONDO:0005100"} <= conditions
    assert "owl:NamedIndividual" not in conditions


def test_every_example_of_a_parameter_is_taken(web: httpx.Client) -> None:
    for id, question in CATALOGUE.items():
        for name, parameter in question.parameters.items():
            assert parameter.default is not None or parameter.examples, f"{id}: {name} has no example"
            for example in parameter.examples:
                answer = web.get(f"/queries/{id}", params={name: example})
                assert answer.status_code == 200, answer.text
                assert answer.headers["x-total-count"] != "0", f"{id}: {name}={example} gives no row"


def test_the_list_tells_parameters_and_columns(web: httpx.Client) -> None:
    listed = {each["id"]: each for each in web.get("/queries").json()["questions"]}
    assert set(listed) == set(CATALOGUE)
    weight, condition = listed["doses-for-body-weight"]["parameters"]
    assert (condition["name"], condition["default"]) == ("condition", "MONDO:0008383")
    assert (weight["name"], weight["type"], weight["default"]) == ("weight", "decimal", "70.0")
    assert set(listed["routes"]["question"]) == {"en", "zh-Hans", "zh-Hant"}


def test_the_ways_to_take_an_answer_away_work(web: httpx.Client) -> None:
    browser = {"Accept": "text/html", "Accept-Language": "zh-TW"}
    page = web.get("/queries/arms-of-a-trial", params={"trial": "trial:NCT01547091"}, headers=browser).text
    (command,) = re.findall(r"<code>(curl .*?)</code>", page)
    done = subprocess.run(
        shlex.split(command.replace("&#39;", "'").replace("&amp;", "&")), capture_output=True
    )
    assert done.stdout == web.get("/queries/arms-of-a-trial.csv?trial=trial:NCT01547091").content
    (program,) = re.findall(r"<code>(from kg.client.*?)</code>", page, re.DOTALL)
    assert "client.ask" in program
    (link,) = re.findall(r'href="([^"]*)" rel="bookmark"', page)
    assert web.get(link.replace("&amp;", "&")).json()["parameters"] == {"trial": "trial:NCT01547091"}


def test_script_in_a_field_is_text_on_the_page(web: httpx.Client) -> None:
    hostile = "<script>alert(1)</script>"
    page = web.get("/queries/terms-called", params={"word": hostile}, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert hostile not in page.text
    assert "&lt;script&gt;" in page.text
    refused = web.get("/queries/routes", params={"condition": hostile}, headers={"Accept": "text/html"})
    assert refused.status_code == 400
    assert hostile not in refused.text


def test_a_browser_gets_pages(web: httpx.Client) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert CATALOGUE["routes"].summary in web.get("/queries", headers=browser).text
    page = web.get("/queries/doses-for-body-weight", params={"weight": "35"}, headers=browser)
    assert page.headers["content-type"].startswith("text/html")
    assert 'value="35"' in page.text
    assert "35000000" in page.text


def test_the_sparql_of_a_question_is_served_as_it_stands(web: httpx.Client) -> None:
    assert web.get("/queries/routes.rq").text == CATALOGUE["routes"].text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/queries/doses-for-body-weight?weight=heavy", 400, "weight"),
        ("/queries/doses-for-body-weight?wieght=70", 400, "did you mean weight"),
        ("/queries/doses-for-body-weight?weight=1&weight=2", 400, "given twice"),
        ("/queries/sources-by-trial?condition=%3E%20%7D", 400, "condition"),
        ("/queries/route", 404, "did you mean routes"),
        ("/queries/routes?format=pdf", 406, "pdf"),
        ("/queries/routes?format=turtle", 406, "turtle"),
        ("/queries/trial-as-a-graph?format=csv", 406, "csv"),
    ],
)
def test_a_wrong_request_is_told_what_to_send(web: httpx.Client, path: str, status: int, said: str) -> None:
    answer = web.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/health", "/queries", "/queries/routes"])
def test_head_and_options_work_everywhere(web: httpx.Client, path: str) -> None:
    got, head = web.get(path), web.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    options = web.options(path, headers={"Origin": "https://example.org"})
    assert options.status_code == 204
    assert "GET" in options.headers["access-control-allow-methods"]
