"""`/graphs` over real HTTP: the read side of the Graph Store Protocol, direct and indirect."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pyoxigraph import RdfFormat, parse
from rdflib import Graph
from rdflib.compare import isomorphic

from kg.engine.formats import BY_KEY, Kind, formats_for
from kg.snapshot import Snapshot, write_snapshot
from kg.terms import BASE

TRIALS = BASE + "graph/trials"
LABELS = BASE + "graph/source/labels"
ODD = BASE + "graph/file/a%20b.ttl"
FOREIGN = "https://example.org/foreign?a=b"
QUADS = f"""
<https://example.org/t1> <https://example.org/phase> "2" <{TRIALS}> .
<https://example.org/t1> <https://example.org/arm> _:arm <{TRIALS}> .
_:arm <https://example.org/size> "30" <{TRIALS}> .
<https://example.org/t1> <https://example.org/label> "类风湿关节炎"@zh-hans <{LABELS}> .
<https://example.org/t2> <https://example.org/phase> "3" <{ODD}> .
<https://example.org/t3> <https://example.org/phase> "1" <{FOREIGN}> .
"""
SIZES = {TRIALS: 3, LABELS: 1, ODD: 1, FOREIGN: 1}
RDF = [each.key for each in formats_for(Kind.GRAPH) if each.key != "html"]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    quads = parse(QUADS, format=RdfFormat.N_QUADS)
    return write_snapshot(quads, tmp_path_factory.mktemp("graphs"), version="2026-11-22")


@pytest.fixture(scope="module")
def url(serve: Any, snapshot: Snapshot) -> str:
    address: str = serve(snapshot)
    return address


def statements(graph: str | None) -> Graph:
    """The statements of one graph, or of all, as the snapshot's text has them."""
    lines = [line.rpartition(" <") for line in QUADS.strip().splitlines()]
    chosen = [head + " ." for head, _, name in lines if graph in (None, name.removesuffix("> ."))]
    return Graph().parse(data="\n".join(chosen), format="nt")


@pytest.mark.parametrize("key", RDF)
@pytest.mark.parametrize(
    ("path", "graph"),
    [
        ("/graphs/trials", TRIALS),
        ("/graph/trials", TRIALS),
        ("/graphs/source/labels", LABELS),
        ("/graphs/file/a%20b.ttl", ODD),
        (f"/graphs?graph={TRIALS}", TRIALS),
        ("/graphs?graph=https%3A%2F%2Fexample.org%2Fforeign%3Fa%3Db", FOREIGN),
        ("/graphs?default", None),
        ("/graphs?default=", None),
    ],
)
def test_a_graph_is_read_directly_and_indirectly_in_every_format(
    url: str, path: str, graph: str | None, key: str
) -> None:
    format = BY_KEY[key]
    response = httpx.get(url + path, headers={"Accept": format.media_type})
    assert (response.status_code, response.headers["content-type"]) == (200, format.content_type)
    rdflib_name = {"turtle": "turtle", "ntriples": "nt", "rdfxml": "xml"}.get(key)
    if rdflib_name is None:  # rdflib reads these into datasets only
        quads = parse(response.content, format=RdfFormat.from_media_type(format.media_type))
        lines = "\n".join(f"{quad.triple} ." for quad in quads)
        assert isomorphic(statements(graph), Graph().parse(data=lines, format="nt"))
    else:
        assert isomorphic(statements(graph), Graph().parse(data=response.text, format=rdflib_name))


@pytest.mark.parametrize("path", ["/graphs/trials", f"/graphs?graph={TRIALS}", "/graphs?default", "/graphs"])
def test_head_gives_the_headers_of_get_and_a_client_that_has_it_gets_304(url: str, path: str) -> None:
    got, head = httpx.get(url + path), httpx.head(url + path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "vary", "cache-control"):
        assert head.headers[name] == got.headers[name]
    again = httpx.get(url + path, headers={"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_end_of_an_address_names_a_format_unless_it_is_the_graphs(url: str) -> None:
    assert httpx.get(f"{url}/graphs/trials.nt").headers["content-type"] == "application/n-triples"
    assert httpx.get(f"{url}/graphs/trials.rdfxml").headers["content-type"] == "application/rdf+xml"
    assert httpx.get(f"{url}/graphs/file/a%20b.ttl.nq").headers["content-type"] == "application/n-quads"
    assert httpx.get(f"{url}/graphs/trials?format=trig").headers["content-type"] == "application/trig"
    both = httpx.get(f"{url}/graphs/trials.nt?format=trig")
    assert (both.status_code, both.json()["detail"]) == (
        400,
        "Several formats are named, ntriples and trig; name one",
    )


@pytest.mark.parametrize(
    "path", ["/graphs/trails", "/graph/trails.ttl", f"/graphs?graph={BASE}graph/trails", "/graphs?graph="]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unknown_graph_is_404_with_the_nearest_names(url: str, path: str, method: str) -> None:
    response = httpx.request(method, url + path)
    assert response.status_code == 404
    if method == "GET":
        assert f"<{TRIALS}>" in response.json()["detail"]


@pytest.mark.parametrize("query", ["graph=a&graph=b", "graph=a&default", "graph=a&default="])
def test_two_graphs_at_once_are_refused(url: str, query: str) -> None:
    assert httpx.get(f"{url}/graphs?{query}").status_code == 400


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/graphs/trials", "/graph/trials", "/graphs?default", "/graphs/new"])
def test_a_write_is_405_and_told_how_knowledge_enters(url: str, path: str, method: str) -> None:
    content = b"<https://a> <https://b> <https://c> ."
    response = httpx.request(method, url + path, content=content, headers={"Content-Type": "text/turtle"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert "kg build" in response.json()["detail"]


def test_the_list_names_every_graph_and_where_it_is_read(url: str) -> None:
    listed = httpx.get(f"{url}/graphs").json()
    assert listed["default"]["quads"] == 6
    assert {each["iri"]: each["quads"] for each in listed["graphs"]} == SIZES
    for each in listed["graphs"]:
        response = httpx.get(url + each["address"], headers={"Accept": "application/n-triples"})
        assert response.text.count("\n") == each["quads"]
    turtle = httpx.get(f"{url}/graphs/", headers={"Accept": "text/turtle"}).text
    assert turtle == httpx.get(f"{url}/sparql.ttl").text


def test_browsers_get_a_page_that_says_how_much_it_shows(url: str, tiny: Snapshot, serve: Any) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    assert 'href="/graphs/source/labels"' in httpx.get(f"{url}/graphs", headers=browser).text
    page = httpx.get(f"{url}/graphs/trials", headers=browser).text
    assert "<p class=lead>3 statements. Whole: " in page
    assert 'href="/graphs/trials?format=turtle"' in page
    many = httpx.get(f"{serve()}/graphs?graph=https://example.org/many", headers=browser).text
    assert "2,000 statements; this page shows 1,000 of them" in many
    assert many.count("<tr>") == 1 + 1000


def test_nothing_fits_an_accept_header_of_images(url: str) -> None:
    for path in ("/graphs", "/graphs/trials"):
        response = httpx.get(url + path, headers={"Accept": "image/png"})
        assert response.status_code == 406
        assert "application/ld+json" in response.json()["detail"]
