"""`/sparql` over real HTTP: the protocol's forms, its status codes and headers, and real clients."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Graph, URIRef
from rdflib.plugins.stores.sparqlstore import SPARQLStore
from SPARQLWrapper import CSV, JSON, JSONLD, N3, POST, RDFXML, TSV, TURTLE, XML, SPARQLWrapper

from kg.web.problems import BadRequest
from kg.web.sparql import _parameters

PREFIX = "PREFIX : <https://example.org/>\n"
PHASES = PREFIX + "SELECT ?trial ?phase { ?trial :phase ?phase } ORDER BY ?phase"
ROWS = "trial,phase\r\nhttps://example.org/t1,2\r\nhttps://example.org/t2,3\r\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
QUERY = {"Content-Type": "application/sparql-query"}
ERRORS = "https://w3id.org/stroma/error/"
CSV_PLEASE = {"Accept": "text/csv"}


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    return f"{serve()}/sparql"


def test_the_three_forms_of_request_give_the_same_answer(url: str) -> None:
    for response in (
        httpx.get(url, params={"query": PHASES}, headers=CSV_PLEASE),
        httpx.get(f"{url}/", params={"query": PHASES}, headers=CSV_PLEASE),
        httpx.post(url, data={"query": PHASES}, headers=CSV_PLEASE),
        httpx.post(url, content=PHASES.encode(), headers=QUERY | CSV_PLEASE),
        httpx.post(
            url,
            content=b"\xef\xbb\xbf" + PHASES.encode(),
            headers=CSV_PLEASE | {"Content-Type": "application/sparql-query; charset=UTF-8"},
        ),
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        assert response.text == ROWS


PIECES = [*"a=&+% \r\n;", "%41", "%3D", "%26", "%C3%A9", "%", "%4", "%zz", "=3D", "é"]


@given(st.lists(st.sampled_from(PIECES)))
def test_parameters_are_what_urllib_takes_them_for(pieces: list[str]) -> None:
    sent = "".join(pieces)
    try:
        expected = parse_qsl(sent, keep_blank_values=True, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(BadRequest, match="UTF-8"):
            _parameters(sent.encode())
    else:
        assert _parameters(sent.encode()) == expected


def test_a_form_full_of_percent_signs_is_refused() -> None:
    with pytest.raises(BadRequest, match="percent-encoded"):
        _parameters(b"query=" + b"%" * 100_000)


def test_plus_and_percent_are_decoded_once(url: str) -> None:
    encoded = "SELECT+%28%22a%2Bb+%25%22+AS+%3Fx%29+%7B%7D"
    assert httpx.get(f"{url}?query={encoded}", headers=CSV_PLEASE).text == "x\r\na+b %\r\n"
    assert httpx.post(url, content=f"query={encoded}", headers=FORM | CSV_PLEASE).text == "x\r\na+b %\r\n"


def test_the_requests_dataset_overrides_the_querys(url: str) -> None:
    query = PREFIX + "SELECT (COUNT(*) AS ?n) FROM :many { ?t ?p ?o }"
    graphs = ["https://example.org/trials", "https://example.org/labels"]
    asked = {"params": {"query": query, "default-graph-uri": graphs}, "headers": CSV_PLEASE}
    assert httpx.get(url, **asked).text == "n\r\n3\r\n"  # type: ignore[arg-type]
    posted = httpx.post(
        url, params={"default-graph-uri": graphs[1]}, content=query, headers=QUERY | CSV_PLEASE
    )
    assert posted.text == "n\r\n1\r\n"
    unknown = httpx.get(url, params={"query": query, "named-graph-uri": "https://example.org/nope"})
    assert unknown.status_code == 404
    assert "https://example.org/many" in unknown.json()["detail"]


def test_an_empty_field_of_a_form_names_no_graph(url: str) -> None:
    count = {"query": "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }", "default-graph-uri": "", "named-graph-uri": ""}
    assert httpx.get(url, params=count, headers=CSV_PLEASE).text == "n\r\n2003\r\n"


@pytest.mark.parametrize(
    ("ending", "parameters", "content_type"),
    [
        (".csv", {}, "text/csv; charset=utf-8"),
        (".srx", {}, "application/sparql-results+xml"),
        (".json", {}, "application/sparql-results+json"),
        ("", {"format": "tsv"}, "text/tab-separated-values; charset=utf-8"),
        ("", {"output": "xml"}, "application/sparql-results+xml"),
        (
            "",
            {"format": ["json", ""], "output": "json", "results": "json"},
            "application/sparql-results+json",
        ),
        (".csv", {"format": "csv"}, "text/csv; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_or_a_parameter_names_the_format_over_the_header(
    url: str, method: str, ending: str, parameters: dict[str, Any], content_type: str
) -> None:
    asked = {"query": PHASES, **parameters}
    given: Any = {"params": asked} if method == "GET" else {"data": asked}
    response = httpx.request(method, url + ending, headers={"Accept": "text/html"}, **given)
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/sparql", "GET, HEAD, POST, OPTIONS"),
        ("/sparql/", "GET, HEAD, POST, OPTIONS"),
        ("/sparql.csv", "GET, HEAD, POST, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/graphs", "GET, HEAD, OPTIONS"),
        ("/graphs/any/name", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_every_resource_tells_its_methods(url: str, path: str, allowed: str) -> None:
    base = url.removesuffix("/sparql")
    options = httpx.options(base + path)
    assert (options.status_code, options.content) == (204, b"")
    assert options.headers["allow"] == options.headers["access-control-allow-methods"] == allowed
    assert options.headers["access-control-allow-origin"] == "*"
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        refused = httpx.request(method, base + path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
        assert refused.headers["content-type"] == "application/problem+json"
    assert httpx.head(base + path).content == b""


@pytest.mark.parametrize("path", ["/nothing", "/sparql.docx", "/sparql/csv", "/queries.csv"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT"])
def test_where_there_is_nothing_every_method_says_so(url: str, path: str, method: str) -> None:
    response = httpx.request(method, url.removesuffix("/sparql") + path)
    assert response.status_code == 404
    assert "allow" not in response.headers


def test_a_refused_kind_of_body_is_told_which_kinds_are_read(url: str) -> None:
    refused = httpx.post(url, content="ASK {}", headers={"Content-Type": "text/plain"})
    reads = "application/sparql-query, application/x-www-form-urlencoded"
    assert (refused.status_code, refused.headers["accept"]) == (415, reads)
    assert httpx.options(url).headers["accept-post"] == reads


@pytest.mark.parametrize(
    "content_type",
    [
        "application/sparql-query",
        "APPLICATION/SPARQL-QUERY",
        'application/sparql-query; charset="utf-8"',
        "application/sparql-query;version=1.1;charset=UTF8",
        "application/sparql-query ; charset=us-ascii",
    ],
)
def test_a_querys_type_is_read_as_the_standard_writes_it(url: str, content_type: str) -> None:
    response = httpx.post(url, content=PHASES, headers=CSV_PLEASE | {"Content-Type": content_type})
    assert response.text == ROWS


@pytest.mark.parametrize(
    ("request_", "status", "slug"),
    [
        ({"method": "GET", "params": {"query": "ASK {}", "format": ["xml", "csv"]}}, 400, "parameter"),
        (
            {"method": "GET", "params": {"query": "ASK {}", "format": "xml", "output": "csv"}},
            400,
            "parameter",
        ),
        ({"method": "POST", "params": {"query": "ASK {}"}, "data": {"query": "ASK {}"}}, 400, "bad-request"),
        (
            {"method": "POST", "params": {"query": "ASK {}"}, "content": "ASK {}", "headers": QUERY},
            400,
            "bad-request",
        ),
        ({"method": "POST", "content": b"", "headers": QUERY}, 400, "query-syntax"),
        ({"method": "POST", "content": b"query=", "headers": FORM}, 400, "query-syntax"),
        ({"method": "GET", "params": {"query": "\ufeff"}}, 400, "query-syntax"),
        (
            {
                "method": "POST",
                "content": b"query=ASK{}",
                "headers": {"Content-Type": "application/x-www-form-urlencoded; charset=iso-8859-1"},
            },
            415,
            "unsupported-media-type",
        ),
        (
            {"method": "POST", "content": b"ASK{}", "headers": QUERY | {"Content-Encoding": "gzip"}},
            415,
            "unsupported-media-type",
        ),
        ({"method": "GET", "params": {"using-graph-uri": "http://a"}}, 403, "query-refused"),
        ({"method": "GET", "params": {"query": "ASK {}", "default-graph-uri": "_:b0"}}, 404, "usage"),
        ({"method": "GET", "params": [("query", "ASK {}"), ("query", "ASK {}")]}, 400, "bad-request"),
        ({"method": "POST", "data": {"nothing": "here"}}, 400, "bad-request"),
        ({"method": "POST", "content": b"ASK { ?s ?p '\xff' }", "headers": QUERY}, 400, "bad-request"),
        ({"method": "POST", "content": b"query=%FF", "headers": FORM}, 400, "bad-request"),
        ({"method": "POST", "content": "ASK {}"}, 415, "unsupported-media-type"),
        (
            {"method": "POST", "content": "ASK {}", "headers": {"Content-Type": "text/plain"}},
            415,
            "unsupported-media-type",
        ),
        (
            {
                "method": "POST",
                "content": "ASK {}",
                "headers": {"Content-Type": "application/sparql-query; charset=utf-16"},
            },
            415,
            "unsupported-media-type",
        ),
        ({"method": "POST", "data": {"update": "CLEAR ALL"}}, 403, "query-refused"),
        (
            {
                "method": "POST",
                "content": "CLEAR ALL",
                "headers": {"Content-Type": "application/sparql-update"},
            },
            403,
            "query-refused",
        ),
        ({"method": "GET", "params": {"query": "CLEAR ALL"}}, 403, "query-refused"),
        ({"method": "GET", "params": {"query": "ASK { SERVICE <http://a> {} }"}}, 403, "query-refused"),
        ({"method": "GET", "params": {"query": "ASK { FILTER (<a:f>(1)) }"}}, 400, "query-unsupported"),
        ({"method": "GET", "params": {"query": "ASK {}", "format": "docx"}}, 406, "not-acceptable"),
        (
            {"method": "GET", "params": {"query": "ASK {}"}, "headers": {"Accept": "image/png"}},
            406,
            "not-acceptable",
        ),
        ({"method": "PUT", "content": "ASK {}"}, 405, "method-not-allowed"),
        ({"method": "POST", "content": b"q" * 400_000, "headers": QUERY}, 413, "query-too-large"),
        ({"method": "GET", "params": {"query": ""}}, 400, "query-syntax"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    url: str, request_: dict[str, Any], status: int, slug: str
) -> None:
    response = httpx.request(url=url, **request_)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"{ERRORS}{slug}"
    assert response.json()["status"] == status
    assert "Traceback" not in response.text


@pytest.mark.parametrize("query", ["query=ASK%20%7B%7D%FF", "&".join(["a=b"] * 3000), "query=%ED%A0%80"])
def test_parameters_that_cannot_be_read_are_refused(url: str, query: str) -> None:
    response = httpx.get(f"{url}?{query}")
    assert (response.status_code, response.json()["type"]) == (400, f"{ERRORS}bad-request")


BROKEN = "SELECT * {\n  ?s ?p }"


def test_a_syntax_error_shows_the_line_it_is_in(url: str) -> None:
    problem = httpx.get(url, params={"query": BROKEN}).json()
    assert (problem["line"], problem["source"]) == (2, "  ?s ?p }")
    assert problem["pointer"].index("^") + 1 == problem["column"]


def test_an_error_is_a_page_or_plain_text_for_people(url: str) -> None:
    page = httpx.get(url, params={"query": BROKEN}, headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "?s ?p }" in page.text
    text = httpx.get(url, params={"query": BROKEN}, headers={"Accept": "text/csv, text/plain"})
    line, pointer = text.text.splitlines()[-2:]
    assert (line, pointer.strip()) == ("  ?s ?p }", "^")


def test_get_without_a_query_describes_the_service(url: str) -> None:
    response = httpx.get(url)
    described = Graph().parse(data=response.text, format="turtle")
    sd = "http://www.w3.org/ns/sparql-service-description#"
    assert (None, URIRef(f"{sd}endpoint"), URIRef(url)) in described
    names = {str(name) for name in described.objects(None, URIRef(f"{sd}name"))}
    assert names == {f"https://example.org/{name}" for name in ("trials", "labels", "many")}
    assert httpx.get(url, headers={"Accept": "application/rdf+xml"}).text.startswith("<?xml")


def test_get_without_a_query_shows_browsers_a_form(url: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    assert '<form action="/sparql"' in httpx.get(url, headers=browser).text
    table = httpx.get(url, params={"query": PHASES}, headers=browser)
    assert "<td><a href=" in table.text
    assert table.text.endswith("</html>\n")


def test_every_answer_carries_what_caches_and_people_need(url: str) -> None:
    headers = httpx.get(url, params={"query": PHASES + "# never asked before"}).headers
    assert headers["x-stroma-version"] == "2026-11-22"
    assert headers["vary"] == "Accept, Accept-Encoding"
    assert headers["link"].startswith('</sparql>; rel="describedby", </sparql?query=')
    assert headers["access-control-allow-origin"] == "*"
    assert re.fullmatch(r'"[0-9a-f]{32}(-gzip|-zstd)?"', headers["etag"])
    assert re.fullmatch(r"queue;dur=[\d.]+, evaluate;dur=[\d.]+", headers["server-timing"])


def test_a_client_that_has_the_answer_gets_304(url: str) -> None:
    asked = {"query": PHASES}
    tag = httpx.get(url, params=asked).headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = httpx.get(url, params=asked, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    # Another format, another query, another dataset: another answer.
    others = [
        httpx.get(url, params=asked, headers=CSV_PLEASE),
        httpx.get(url, params={"query": PHASES + " "}),
        httpx.get(url, params=asked | {"default-graph-uri": "https://example.org/trials"}),
    ]
    assert len({tag, *(other.headers["etag"] for other in others)}) == 4


def test_an_answer_by_the_clock_is_never_kept(url: str) -> None:
    headers = httpx.get(url, params={"query": "SELECT (NOW() AS ?x) {}"}).headers
    assert "etag" not in headers
    assert headers["cache-control"] == "no-store"


def test_head_gives_the_headers_of_get(url: str) -> None:
    for query in (PHASES, "SELECT * { ?a ?b ?c . ?d ?e '7' } LIMIT 20000", BROKEN):
        got, head = httpx.get(url, params={"query": query}), httpx.head(url, params={"query": query})
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers.get("etag") == got.headers.get("etag")
        assert head.headers["content-type"] == got.headers["content-type"]


def test_a_browser_elsewhere_may_ask(url: str) -> None:
    preflight = httpx.options(url, headers={"Origin": "https://a", "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Content-Type" in preflight.headers["access-control-allow-headers"]


def test_health_and_the_front_page_say_what_is_served(url: str) -> None:
    base = url.removesuffix("/sparql")
    health = httpx.get(f"{base}/health").json()
    assert (health["ready"], health["quads"], health["version"]) == (True, 2003, "2026-11-22")
    front = httpx.get(base)
    assert "2,003" in front.text
    assert "unsafe" not in front.headers["content-security-policy"]
    assert "default-src 'none'" in front.headers["content-security-policy"]
    assert httpx.get(f"{base}/nothing").json()["type"].endswith("not-found")


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # by rdflib 7; SPARQLWrapper 2 uses it
@pytest.mark.parametrize("method", ["GET", POST])
def test_sparqlwrapper_gets_what_it_asks_for(url: str, method: str) -> None:
    wrapper = SPARQLWrapper(url)
    wrapper.setMethod(method)
    wrapper.setQuery(PHASES)
    wrapper.setReturnFormat(JSON)
    assert [row["phase"]["value"] for row in wrapper.queryAndConvert()["results"]["bindings"]] == ["2", "3"]
    wrapper.setReturnFormat(CSV)
    assert wrapper.queryAndConvert() == ROWS.encode()
    wrapper.setReturnFormat(XML)
    assert len(wrapper.queryAndConvert().getElementsByTagName("result")) == 2
    wrapper.setQuery(PREFIX + "CONSTRUCT { ?t :is ?p } WHERE { ?t :phase ?p }")
    wrapper.setReturnFormat(TURTLE)
    assert b"https://example.org/is" in wrapper.queryAndConvert()
    wrapper.setReturnFormat(XML)
    assert len(wrapper.queryAndConvert()) == 2


@pytest.mark.parametrize("only_conneg", [True, False])
@pytest.mark.parametrize(
    ("query", "format", "content_type"),
    [
        (PHASES, JSON, "application/sparql-results+json"),
        (PHASES, XML, "application/sparql-results+xml"),
        (PHASES, CSV, "text/csv"),
        (PHASES, TSV, "text/tab-separated-values"),
        ("ASK {}", JSON, "application/sparql-results+json"),
        ("DESCRIBE <https://example.org/t1>", TURTLE, "text/turtle"),
        ("DESCRIBE <https://example.org/t1>", N3, "text/turtle"),
        ("DESCRIBE <https://example.org/t1>", RDFXML, "application/rdf+xml"),
        ("DESCRIBE <https://example.org/t1>", JSONLD, "application/ld+json"),
    ],
)
def test_sparqlwrapper_names_formats_by_header_or_by_three_parameters(
    url: str, query: str, format: str, content_type: str, only_conneg: bool
) -> None:
    wrapper = SPARQLWrapper(url)
    wrapper.setOnlyConneg(only_conneg)
    wrapper.setQuery(query)
    wrapper.setReturnFormat(format)
    with wrapper.query().response as response:
        assert response.headers["content-type"].startswith(content_type)


@pytest.mark.parametrize("method", ["GET", "POST", "POST_FORM"])
def test_rdflibs_store_gets_what_it_asks_for(url: str, method: Any) -> None:
    graph = Graph(SPARQLStore(url, method=method))
    assert [str(row[1]) for row in graph.query(PHASES)] == ["2", "3"]
    assert len(list(graph.triples((URIRef("https://example.org/t1"), None, None)))) == 2
