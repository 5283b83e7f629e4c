"""Machines find what is served: descriptions at well-known addresses, typed links, robots, sitemap."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pyoxigraph import RdfFormat, Store

from kg.canned import Catalogue
from kg.dump import dump_of
from kg.engine.formats import Kind, formats_for
from kg.snapshot import Snapshot, read_lines, write_snapshot
from kg.terms import ROOT, mint, prefixes
from tests.peers import whole_site

PREFIXES = "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes().items())
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def web(site: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site, timeout=30) as client:
        yield client


def store(web: httpx.Client, path: str, accept: str = "text/turtle") -> Store:
    response = web.get(path, headers={"Accept": accept})
    assert response.status_code == 200
    media_type = response.headers["content-type"].partition(";")[0]
    loaded = Store()
    loaded.load(response.content, format=RdfFormat.from_media_type(media_type))
    return loaded


@pytest.mark.parametrize(
    "path", ["/.well-known/void", "/.well-known/sparql-examples", "/.well-known/prefixes"]
)
@pytest.mark.parametrize("format", [each for each in formats_for(Kind.GRAPH) if each.key != "html"])
def test_a_well_known_document_says_the_same_in_every_format(
    web: httpx.Client, path: str, format: object
) -> None:
    assert len(store(web, path, format.media_type)) == len(store(web, path))  # type: ignore[attr-defined]


def test_void_says_what_the_graph_says_and_where_this_server_is(
    web: httpx.Client, embedded: Snapshot
) -> None:
    loaded = store(web, "/.well-known/void")
    assert len(loaded) > embedded.graphs["https://w3id.org/stroma/graph/metadata"]
    endpoint = f"{str(web.base_url).rstrip('/')}/sparql"
    asked = f"ASK {{ {mint('snapshot', embedded.version)} void:sparqlEndpoint <{endpoint}> }}"
    assert loaded.query(PREFIXES + asked)
    assert loaded.query(
        PREFIXES + f"ASK {{ <{endpoint}> dcat:endpointURL <{endpoint}> ; dcat:servesDataset ?it }}"
    )


def test_the_service_description_leads_to_void_examples_and_prefixes(web: httpx.Client) -> None:
    loaded = store(web, "/sparql")
    asked = (
        "SELECT ?more { { ?it a sd:Service ; dcat:servesDataset/rdfs:seeAlso ?more } "
        "UNION { ?it a sd:Service ; rdfs:seeAlso ?more } }"
    )
    found = {row["more"].value for row in loaded.query(PREFIXES + asked)}  # type: ignore[index, union-attr]
    base = str(web.base_url).rstrip("/")
    assert found == {f"{base}/.well-known/{name}" for name in ("void", "sparql-examples", "prefixes")}
    for address in found:
        assert len(store(web, address)) > 0


def test_every_download_that_void_names_is_there_with_the_stated_checksum(
    web: httpx.Client, embedded: Snapshot
) -> None:
    found = store(web, "/.well-known/void").query(
        PREFIXES + "SELECT ?url ?sum ?size { [] dcat:downloadURL ?url ; dcat:byteSize ?size ; "
        "spdx:checksum/spdx:checksumValue ?sum }"
    )
    files = {file.sha256: file for file in dump_of(embedded).files.values()}
    named = {row["url"].value: (row["sum"].value, int(row["size"].value)) for row in found}  # type: ignore[index, union-attr]
    assert len(named) == len(files)
    for url, (sha256, size) in named.items():
        head = web.head(url)
        assert head.headers["etag"] == f'"{sha256}"'
        assert int(head.headers["content-length"]) == size == files[sha256].bytes


def test_the_examples_run_on_the_endpoint_they_name(web: httpx.Client) -> None:
    found = store(web, "/.well-known/sparql-examples").query(
        PREFIXES + "SELECT ?text ?target { ?it sh:select|sh:construct ?text ; schema:target ?target "
        f"FILTER(STRSTARTS(STR(?target), '{web.base_url}')) }}"
    )
    rows = [(row["text"].value, row["target"].value) for row in found]  # type: ignore[index, union-attr]
    assert len(rows) == len(Catalogue.read(ROOT / "queries"))
    for text, target in rows:
        assert web.post(target, data={"query": text}).status_code == 200


def test_the_prefixes_fit_a_query(web: httpx.Client) -> None:
    found = store(web, "/.well-known/prefixes").query(
        PREFIXES + "SELECT ?p ?n { [] sh:prefix ?p ; sh:namespace ?n }"
    )
    head = "".join(f"PREFIX {row['p'].value}: <{row['n'].value}> " for row in found)  # type: ignore[index, union-attr]
    assert web.get("/sparql", params={"query": f"{head} ASK {{ ?s a stroma:Claim }}"}).json()["boolean"]


def test_a_browser_gets_pages_of_what_machines_read(web: httpx.Client) -> None:
    page = web.get("/.well-known/void", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.search(r"stroma:SourceDocument</td><td class=\"number\">3<", page.text)
    assert "stroma:" in web.get("/.well-known/prefixes", headers=BROWSER).text
    assert web.get("/.well-known/sparql-examples", headers=BROWSER).headers["location"] == "/queries"


def test_a_document_that_a_client_has_is_not_sent_again(web: httpx.Client) -> None:
    for path in ("/.well-known/void", "/dump", "/", "/about", "/sitemap.xml", "/linkset"):
        tag = web.get(path).headers["etag"]
        again = web.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


def test_an_unknown_format_is_refused_with_what_there_is(web: httpx.Client) -> None:
    assert web.get("/.well-known/void", params={"format": "parquet"}).status_code == 406
    refused = web.get("/.well-known/void", headers={"Accept": "image/png"})
    assert refused.status_code == 406
    assert "text/turtle" in refused.text


# ------------------------------------------------------------------------------- signposting, robots


def links(response: httpx.Response) -> dict[str, set[str]]:
    """Relation -> targets of a Link header."""
    found: dict[str, set[str]] = {}
    for target, relation in re.findall(r'<([^>]*)>; rel="([^"]*)"', response.headers["link"]):
        found.setdefault(relation, set()).add(target)
    return found


@pytest.mark.parametrize("path", ["/", "/dump", "/about"])
def test_a_landing_page_leads_to_data_description_licence_and_name(
    web: httpx.Client, embedded: Snapshot, path: str
) -> None:
    found = links(web.head(path))
    assert found["cite-as"] == {mint("snapshot", embedded.version).value}
    assert found["license"] == {"https://creativecommons.org/licenses/by/4.0/"}
    assert "https://schema.org/Dataset" in found["type"]
    assert {"cite-as", "license", "type", "item", "describedby", "author", "linkset"} <= set(found)
    for target in found["item"] | found["linkset"] | found["describedby"]:
        assert web.head(target, headers={"Accept": "*/*"}).status_code == 200


def test_a_file_leads_back_to_the_landing_page(web: httpx.Client) -> None:
    (item, *_) = links(web.head("/"))["item"]
    assert links(web.head(item))["collection"] == {"/"}
    assert links(web.head("/.well-known/void"))["describes"] == {"/"}


def test_the_link_set_says_what_the_headers_say(web: httpx.Client) -> None:
    told = web.get("/linkset")
    assert told.headers["content-type"] == "application/linkset+json"
    base = str(web.base_url).rstrip("/")
    for context in told.json()["linkset"]:
        anchor = context.pop("anchor")
        stated = links(web.head(anchor, headers={"Accept": "*/*"}))
        for relation, targets in context.items():
            assert {each["href"].removeprefix(base) for each in targets} <= stated[relation]


def test_the_front_page_describes_the_dataset_for_search_engines(
    web: httpx.Client, embedded: Snapshot
) -> None:
    (data,) = re.findall(
        r'<script type="application/ld\+json">(.*?)</script>', web.get("/", headers=BROWSER).text
    )
    told = json.loads(data)
    assert (told["@type"], told["version"]) == ("Dataset", embedded.version)
    assert told["license"].startswith("https://creativecommons.org/")
    for distribution in told["distribution"]:
        assert web.head(distribution["contentUrl"]).headers["etag"] == f'"{distribution["sha256"]}"'
    assert web.get("/", headers={"Accept": "application/ld+json"}).json() == told


def test_robots_are_led_to_the_sitemap_and_away_from_queries(web: httpx.Client) -> None:
    lines = web.get("/robots.txt").text.splitlines()
    assert lines[-1] == f"Sitemap: {str(web.base_url).rstrip('/')}/sitemap.xml"
    assert "Disallow: /sparql?*query=" in lines


def test_every_page_of_the_sitemap_is_there(web: httpx.Client, embedded: Snapshot) -> None:
    found = ElementTree.fromstring(web.get("/sitemap.xml").text)
    pages = [each.text or "" for each in found.iterfind("{*}url/{*}loc")]
    assert len(pages) == len(set(pages)) == 9 + len(Catalogue.read(ROOT / "queries"))
    assert {each.text for each in found.iterfind("{*}url/{*}lastmod")} == {embedded.version}
    for url in pages:
        assert web.get(url, headers=BROWSER).status_code == 200


# ------------------------------------------------------------------------------------- about, health


def test_about_says_version_licence_citation_limits_and_locks(web: httpx.Client, embedded: Snapshot) -> None:
    told = web.get("/about", headers={"Accept": "application/json"}).json()
    assert told["snapshot"]["hash"] == embedded.hash
    assert embedded.name in told["citation"]
    assert {"query_seconds", "worker_memory_bytes"} <= {each["setting"] for each in told["limits"]}
    assert told["locks"]["network"] == "seccomp"
    page = web.get("/about", headers=BROWSER).text
    for word in (embedded.hash, "CC BY 4.0", "@misc{stroma-", "60 seconds", "seccomp"):
        assert word in page


def test_health_tells_life_and_readiness_apart(web: httpx.Client, embedded: Snapshot) -> None:
    assert web.get("/health/live").json() == {"live": True}
    assert web.get("/health/ready").json() == {"ready": True}
    assert web.get("/health").json()["snapshot"] == embedded.name
    assert web.get("/health").headers["cache-control"] == "no-store"


def test_rdf_files_as_they_are_are_described_by_what_is_known_of_them(tiny: Snapshot, tmp_path: Path) -> None:
    own = write_snapshot(read_lines(tiny), tmp_path, version=tiny.version)  # to which no test added a dump
    with whole_site(own) as files, httpx.Client(base_url=files) as client:
        assert [each["name"] for each in client.get("/dump").json()["files"]] == ["stroma.nq.gz"]
        assert client.get("/", headers=BROWSER).status_code == 200
        loaded = store(client, "/.well-known/void")
        asked = (
            f"ASK {{ ?it a dcat:Dataset ; void:triples 2003 ; void:sparqlEndpoint <{files}/sparql> ; "
            "void:subset <https://example.org/trials> . <https://example.org/trials> void:triples 2 }"
        )
        assert loaded.query(PREFIXES + asked)
        assert len(store(client, "/.well-known/sparql-examples")) == 0
