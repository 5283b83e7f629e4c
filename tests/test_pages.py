"""The pages of a real server: in three languages, for any thing, without script, and no way to inject."""

from __future__ import annotations

import hashlib
import html
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse

from kg.snapshot import Snapshot, write_snapshot
from kg.terms import BASE, DCTERMS, OBO, OWL, RDF, RDFS, ROOT, STROMA, XSD
from kg.web.language import LANGUAGES, accepted
from kg.web.links import home_of, path_of_thing
from tests.peers import whole_site

HTML = {"Accept": "text/html"}
WEB = ROOT / "kg" / "web"


@pytest.fixture(scope="module")
def site(embedded: Snapshot) -> Iterator[httpx.Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "kg", "serve"],
        env={"KG_VAR": str(embedded.folder.parent.parent), "PORT": str(port), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert server.stdout is not None
    assert server.stdout.readline().startswith("Serving")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=HTML, timeout=30) as client:
        yield client
    server.terminate()
    with server:
        assert server.wait(20) == 0


# ----------------------------------------------------------------------------------------- either engine


def test_pages_and_search_from_disk_are_those_from_memory(
    site: httpx.Client, only_in_store: Snapshot
) -> None:
    paths = ["/findings?about=CL:0000134", "/trial/NCT01547091.html", "/claim/C047.html", "/ontology",
             "/ontology/UCMSCProduct.html", "/search?q=幹細胞", "/search?q=umbilcal cord&format=json",
             "/suggest?q=macroph", "/thing?iri=MONDO:0008383&format=html", "/queries/effect-sizes",
             "/trial/NCT01547091.html?values=stroma:hasArm"]  # fmt: skip
    with (
        whole_site(only_in_store, engine="disk") as address,
        httpx.Client(base_url=address, headers=HTML, timeout=30) as on_disk,
    ):
        assert "disk" in on_disk.get("/about").text
        for path in paths:
            here, there = site.get(path), on_disk.get(path)
            assert (here.status_code, there.status_code) == (200, 200), path
            # Pages name the address that was asked.
            bodies = [each.text.replace(str(each.url.port), "PORT") for each in (here, there)]
            assert bodies[0] == bodies[1], path


# ----------------------------------------------------------------------------------------- language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "en"),
        ("zh", "zh-Hans"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("zh-Hant-HK", "zh-Hant"),
        ("en;q=0.5, zh-TW;q=0.9", "zh-Hant"),
        ("zh-TW;q=0, en", "en"),
        ("fr, zh-Hant;q=0.1", "zh-Hant"),
        (";;;,q=x", "en"),
    ],
)
def test_the_browser_s_languages_decide_the_page_s(header: str, language: str) -> None:
    assert accepted(header) == language


def test_every_word_of_the_pages_is_there_in_each_language_and_used() -> None:
    texts = tomllib.loads((WEB / "texts.toml").read_text(encoding="utf-8"))
    keys = {language: set(texts[language]) for language in LANGUAGES}
    assert keys["en"] == keys["zh-Hans"] == keys["zh-Hant"]
    parts = [part for part, own in texts.items() if part not in LANGUAGES and set(own) == set(LANGUAGES)]
    assert {"advice", "frames", "kinds", "limits", "problems", "sources", "units", "vocabulary"} <= set(parts)
    for part in parts:
        keys_of = {language: set(texts[part][language]) for language in LANGUAGES}
        assert keys_of["en"] == keys_of["zh-Hans"] == keys_of["zh-Hant"], part
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in [*WEB.glob("templates/*.html"), *WEB.glob("*.py")]
    )
    used = set(re.findall(r"""\bt\(["']([\w-]+)["']\)""", code))
    assert used <= keys["en"]


def test_the_switch_of_languages_stays(site: httpx.Client) -> None:
    chosen = site.get("/language", params={"to": "zh-Hant", "back": "/about"})
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/about")
    page = site.get("/", headers={"Cookie": "language=zh-Hant", "Accept-Language": "en"})
    site.cookies.clear()
    assert '<html lang="zh-Hant">' in page.text
    assert "Cookie" in page.headers["vary"]


@pytest.mark.parametrize(
    "path",
    ["/", "/about", "/search?q=x", "/editor", "/queries", "/reconcile", "/ontology", "/findings", "/changes",
     "/graphs", "/graphs?default", "/dump", "/.well-known/void", "/.well-known/prefixes", "/nowhere"],
)  # fmt: skip
def test_every_page_speaks_the_reader_s_language_and_says_that_it_does(site: httpx.Client, path: str) -> None:
    for tag in LANGUAGES:
        page = site.get(path, headers={"Accept": "text/html", "Accept-Language": tag})
        assert {"Accept", "Accept-Language", "Cookie"} <= set(page.headers["vary"].split(", "))
        assert f'<html lang="{tag}">' in page.text
        head = re.search(r"<h1[^>]*>(.*?)</h1>", page.text, re.DOTALL)
        assert head is not None
        assert bool(re.search("[\u4e00-\u9fff]", head[1])) == (tag != "en"), head[1]


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x=1", ""]
)
def test_the_switch_leads_nowhere_else(site: httpx.Client, back: str) -> None:
    response = site.get("/language", params={"to": "en", "back": back})
    site.cookies.clear()
    assert response.headers["location"] == "/"


def test_the_switch_comes_back_to_any_page(site: httpx.Client) -> None:
    for back in ("/search?q=MSC%20x&kind=trial", "/trial/NCT01547091.html#results", "/thing/é中"):
        response = site.get("/language", params={"to": "en", "back": back})
        site.cookies.clear()
        assert response.headers["location"] == quote(back, safe="/?=&%#.")


@pytest.mark.parametrize(
    "path", [b"/\\evil.example/", b"/\\/evil.example/", b"//evil.example/", b"/%5Cevil.example/"]
)
def test_no_redirect_leads_to_another_host(site: httpx.Client, path: bytes) -> None:
    request = site.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path)
    response = site.send(request)
    assert response.status_code in (308, 404)
    assert not response.headers.get("location", "/").startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "path",
    ["/", "/about", "/search?q=cell", "/editor", "/queries", "/evidence?about=claim:A255", "/reconcile",
     "/trial/NCT01547091.html", "/ontology", "/graphs", "/findings"],
)  # fmt: skip
def test_what_is_packed_says_that_it_varies(site: httpx.Client, path: str) -> None:
    answer = site.get(path, headers={"Accept": "text/html", "Accept-Encoding": "gzip"}, follow_redirects=True)
    assert answer.headers.get("content-encoding") == "gzip" or len(answer.content) < 1024
    assert {"Accept", "Accept-Encoding"} <= {each.strip() for each in answer.headers["vary"].split(",")}


@pytest.mark.parametrize(
    "path",
    ["/queries/routes?limit={}", "/findings?page={}", "/reconcile/properties?limit={}",
     "/why?subject=product:prednisone&predicate=a&object=stroma:MSCProduct&limit={}",
     "/trial/NCT01547091.html?values=stroma:hasArm&page={}"],
)  # fmt: skip
@pytest.mark.parametrize("number", ["00000000000000000009999999", "1" + "0" * 5000, "٣", "1e2", "-1", "1_0"])
def test_a_number_that_is_none_or_out_of_reach_is_refused(site: httpx.Client, path: str, number: str) -> None:
    assert site.get(path.replace("{}", number)).status_code == 400


# ------------------------------------------------------------------------------------------- things


def test_a_thing_s_iri_leads_to_the_form_that_is_asked_for(site: httpx.Client) -> None:
    for accept, suffix in (("text/html", "html"), ("text/turtle", "ttl"), ("application/ld+json", "jsonld")):
        response = site.get("/trial/NCT01547091", headers={"Accept": accept})
        assert response.status_code == 303
        assert response.headers["location"] == f"/trial/NCT01547091.{suffix}"
        assert "Accept" in response.headers["vary"]
        document = site.get(response.headers["location"], headers={"Accept": "*/*"})
        assert document.status_code == 200
        assert document.headers["content-type"].startswith(accept)


def test_a_document_in_turtle_says_what_the_graph_says(site: httpx.Client) -> None:
    triples = list(parse(site.get("/trial/NCT01547091.ttl").content, format=RdfFormat.TURTLE))
    assert len(triples) > 30
    assert {quad.subject.value for quad in triples} == {f"{BASE}trial/NCT01547091"}  # type: ignore[union-attr]


def test_a_page_says_who_says_each_statement_and_why_an_inferred_one_holds(site: httpx.Client) -> None:
    page = site.get("/thing", params={"iri": "PR:000000017", "format": "html"}).text
    assert "interferon gamma" in page
    assert "/claim/C047" in page
    assert "document 002, line 17, characters" in page
    why = re.search(r'href="(/why\?[^"]+)"', page)
    assert why is not None
    reason = site.get(why[1].replace("&amp;", "&"))
    assert reason.status_code == 200


def test_a_page_is_in_the_reader_s_language(site: httpx.Client) -> None:
    page = site.get("/ontology/UCMSCProduct.html", headers={"Accept-Language": "zh-TW"}).text
    assert '<html lang="zh-Hant">' in page
    assert "間質幹細胞" in page


def test_a_page_carries_what_it_says_as_data_and_says_where_the_documents_are(site: httpx.Client) -> None:
    response = site.get("/trial/NCT01547091.html")
    block = re.search(r'<script type="application/ld\+json">(.*?)</script>', response.text, re.DOTALL)
    assert block is not None
    said = {
        (quad.predicate.value, quad.object.value)  # type: ignore[union-attr]
        for quad in parse(block[1].encode(), format=RdfFormat.JSON_LD)
        if quad.subject.value == f"{BASE}trial/NCT01547091"  # type: ignore[union-attr]
    }
    triples = parse(site.get("/trial/NCT01547091.ttl").content, format=RdfFormat.TURTLE)
    assert said == {(quad.predicate.value, quad.object.value) for quad in triples}  # type: ignore[union-attr]
    links = response.headers["link"]
    assert f'<{BASE}trial/NCT01547091>; rel="cite-as"' in links
    for type, path in re.findall(r'<link rel="alternate" type="([^"]+)" href="([^"]+)">', response.text):
        assert f'<{path}>; rel="alternate"; type="{type}"' in links
        assert site.get(path).headers["content-type"].startswith(type)


def test_no_text_of_the_graph_ends_the_block_of_data_or_becomes_markup(tmp_path: Path) -> None:
    hostile = '</script><script>alert(1)</script><img src=x onerror=\\"alert(1)\\">'
    lines = [
        f'<{BASE}trial/x> <{predicate}> "{hostile}" <{BASE}graph/clinicaltrials> .'
        for predicate in (RDFS.label.value, DCTERMS.title.value, STROMA.officialTitle.value)
    ]
    lines.append(f"<{BASE}trial/x> <{STROMA.hasArm.value}> <javascript:alert(1)> <{BASE}graph/g> .")
    lines.append(f"<javascript:alert(1)> <{STROMA.hasArm.value}> <{BASE}trial/x> <{BASE}graph/g> .")
    quads = parse("\n".join(lines), format=RdfFormat.N_QUADS)
    with whole_site(write_snapshot(quads, tmp_path, version="2026-11-22")) as address:
        for path in ("/trial/x.html", "/trial/x.html?values=stroma:officialTitle", "/search?q=alert"):
            page = httpx.get(address + path, headers=HTML).text
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert 'href="javascript:' not in page
            assert page.count("</script>") == page.count("<script")


def test_a_page_leads_to_the_questions_that_take_its_thing(site: httpx.Client) -> None:
    page = site.get("/thing", params={"iri": "MONDO:0008383", "format": "html"}).text
    asked = re.search(r'href="(/queries/trials-of-a-condition\?[^"]+)"', page)
    assert asked is not None
    assert site.get(asked[1]).status_code == 200
    assert "/queries/trials-of-a-condition" not in site.get("/trial/NCT01547091.html").text


def test_all_values_of_a_relation_and_all_that_lead_here_have_pages(site: httpx.Client) -> None:
    path = "/thing?iri=owl:Class&format=html&referring=rdf:type"
    first, second = (site.get(f"{path}&page={page}").text for page in (1, 2))
    assert re.search(r"1–100 of \d+", first)
    assert re.search(r"101–200 of \d+", second)
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
    values = site.get("/trial/NCT01547091.html?values=stroma:hasArm", headers={"Accept-Language": "zh-TW"})
    assert "UC-MSCs Treatment" in values.text


@pytest.mark.parametrize(
    "query",
    ["values=nope:x", "values=stroma:hasArm&referring=rdf:type", "referring=rdf:type&page=0",
     "referring=rdf:type&page=99999", "referring=rdf:type&page=x"],
)  # fmt: skip
def test_a_list_that_cannot_be_is_refused_with_what_can(site: httpx.Client, query: str) -> None:
    assert site.get(f"/thing?iri=owl:Class&format=html&{query}").status_code == 400


# ------------------------------------------------------------------------------- claims and findings


def test_a_claim_s_page_points_at_characters_and_holds_none_of_the_document_s_words(
    site: httpx.Client, shared: Path
) -> None:
    page = site.get("/claim/C047.html").text
    place = re.search(r"line (\d+), characters (\d+)–(\d+)", page)
    assert place is not None
    line, start, end = map(int, place.groups())
    (document,) = (shared / "seeds").glob("002_*.txt")
    text = document.read_text(encoding="utf-8")
    assert hashlib.sha256(text[start:end].encode()).hexdigest() in page
    assert text[:start].count("\n") == line - 1
    assert text[start:end] not in page


def test_a_claim_that_stays_text_says_why(site: httpx.Client) -> None:
    (claim, *_) = site.get(
        "/sparql",
        params={
            "query": "PREFIX stroma: <https://w3id.org/stroma/ontology/> "
            "SELECT ?c ?why { ?c stroma:notFormalisedBecause ?why } LIMIT 1",
            "format": "json",
        },
    ).json()["results"]["bindings"]
    page = site.get(claim["c"]["value"].removeprefix(BASE.rstrip("/")) + ".html").text
    assert html.escape(claim["why"]["value"], quote=True).replace("&#x27;", "&#39;") in page
    assert "It stays text" in page


def test_a_contradiction_s_page_has_both_sides_the_sum_and_what_was_decided(site: httpx.Client) -> None:
    page = site.get("/finding/different-values/2f8413c8cef00ff2a919.html").text
    assert "|13 - 10| = 3; percentage: |46 - 36| = 10." in page
    cited = re.findall(r'href="/claim/(B\d+)"', page)
    assert cited[:4] == ["B195", "B196", "B331", "B332"]
    assert "explained finding" in page
    assert "curator, rheumatology evidence" in page


def test_findings_are_filtered_and_the_filters_tell_how_many_there_are(site: httpx.Client) -> None:
    every = site.get("/findings", params={"format": "json"}).json()
    found = site.get("/findings", params={"format": "json", "status": "stroma:FindingOpen"}).json()
    assert found["total"] == len(found["findings"]) < every["total"]
    assert {each["status"]["curie"] for each in found["findings"]} == {"stroma:FindingOpen"}
    page = site.get("/findings", params={"status": "stroma:FindingOpen"})
    for each in found["findings"]:
        assert f'href="{each["page"]}"' in page.text
    for path, number in re.findall(r'href="(/findings\?[^"]+)">[^<]*? (\d+)</a>', page.text):
        told = site.get(path.replace("&amp;", "&") + "&format=json").json()
        assert told["total"] == int(number), path


def test_findings_about_a_thing_are_those_that_its_claims_and_trials_are_in(site: httpx.Client) -> None:
    about = site.get("/findings", params={"about": "trial:NCT01873625", "format": "json"}).json()
    summaries = [each["summary"] for each in about["findings"]]
    assert "NCT01873625: enrollment count 60 in the registry, 30 as reported" in summaries
    assert all("trial:NCT01873625" in {one["curie"] for one in each["about"]} for each in about["findings"])
    none = site.get("/findings", params={"about": "CL:0000134"})
    assert none.status_code == 200
    assert "silence proves nothing" in none.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("kind=stroma:NoSuchKind", 404),
        ("page=99", 404),
        ("status=x", 400),
        ("about=%3C", 400),
        ("page=0", 400),
        ("format=xml", 400),
        ("kinds=x", 400),
        ("page=1&page=2", 400),
    ],
)
def test_a_filter_that_no_finding_can_have_is_refused(site: httpx.Client, query: str, status: int) -> None:
    response = site.get(f"/findings?{query}")
    assert response.status_code == status
    if "NoSuchKind" in query:
        assert "stroma:DiscrepancyDifferentValues" in response.text


# ---------------------------------------------------------------------------------- why, home, about


def test_a_reason_is_told_in_the_names_of_the_reader_s_language(site: httpx.Client) -> None:
    asked = {"subject": "product:prednisone", "predicate": "a", "object": "stroma:CautionedCoMedication"}
    page = site.get("/why", params=asked, headers={"Accept-Language": "zh-CN"}).text
    for said in ("为什么图谱中有这条陈述？", "慎用合并用药", "因为", "document 000, line 80"):
        assert said in page
    assert "/claim/" in page


def test_the_front_page_says_what_is_here_how_fresh_it_is_and_where_to_go(site: httpx.Client) -> None:
    page = site.get("/").text
    for path in ("/search", "/queries", "/editor", "/ontology", "/findings", "/dump", "/changes"):
        assert f'href="{path}"' in page
    assert re.search(r"ClinicalTrials.gov</th><td>\d{4}-\d\d-\d\d</td>", page)
    starts = re.findall(r'<a class="chip" href="([^"]+)">', page)
    assert len(starts) >= 5
    for path in starts:
        assert site.get(path, follow_redirects=True).status_code == 200


@pytest.mark.parametrize(
    ("language", "said"), [("en", "How to cite"), ("zh-CN", "如何引用"), ("zh-TW", "一個查詢最多執行")]
)
def test_about_is_in_the_reader_s_language(site: httpx.Client, language: str, said: str) -> None:
    assert said in site.get("/about", headers={"Accept-Language": language}).text


# ------------------------------------------------------------------------------------------- terms


def test_the_trees_hold_every_class_once_with_its_branch_and_open_without_script(site: httpx.Client) -> None:
    page = site.get("/ontology").text
    assert page.count("<details") == page.count("</details>") > 50
    for path in ("/ontology/UCMSCProduct", "/thing?iri=CL%3A0000134", "/ontology/MSCImmunomodulation"):
        assert f'href="{path}"' in page
    (total,) = re.findall(r'href="/ontology\?of=classes">[^<]*?([\d,]+)</a>', page)
    linked = set(re.findall(r'<li>\s*<a (?:class="go" )?href="(/ontology/[^"]+|/thing\?iri=[^"]+)"', page))
    assert len(linked) == int(total.replace(",", ""))


def test_a_branch_shows_what_each_term_means_and_where_it_stands(site: httpx.Client) -> None:
    page = site.get("/ontology", params={"root": "stroma:MSCProduct"}, headers={"Accept-Language": "zh-TW"})
    assert "臍帶間質幹細胞製劑" in page.text
    assert "MSC product procured from adipose tissue." in page.text
    assert "/ontology?root=stroma%3ACellTherapyProduct" in page.text


def test_a_class_s_page_has_its_definition_in_logic_and_its_place_in_the_tree(site: httpx.Client) -> None:
    page = site.get("/ontology/UCMSCProduct.html").text
    assert re.search(r'has tissue source</a><span class="keyword"> some </span>', page)
    assert "/ontology?root=stroma:UCMSCProduct" in page
    assert "Wharton&#39;s jelly MSC product" in page


def test_the_ontology_s_own_name_leads_programs_to_its_graph(site: httpx.Client) -> None:
    response = site.get("/ontology", headers={"Accept": "text/turtle"})
    assert (response.status_code, response.headers["location"]) == (303, "/graph/ontology")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("of=things", 400),
        ("root=stroma:NoSuchTerm", 404),
        ("root=%3C", 400),
        ("x=1", 400),
        ("of=values&of=x", 400),
    ],
)
def test_a_tree_that_is_not_there_is_refused(site: httpx.Client, query: str, status: int) -> None:
    assert site.get(f"/ontology?{query}").status_code == status


# ------------------------------------------------------------------------------------------- trials


def test_a_trial_s_page_has_its_design_arms_doses_dates_results_and_effects(site: httpx.Client) -> None:
    page = site.get("/trial/NCT01663116.html").text
    for part in ("design", "arms", "timeline", "results", "effects"):
        assert f'id="{part}"' in page
    for said in ("2,000,000 cells/kg", "45 % (N = 20)", "risk ratio", "completed study"):
        assert said in page
    pictures = re.findall(r'<svg [^>]*class="chart".*?</svg>', page, re.DOTALL)
    assert len(pictures) >= 5
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert all(root.findtext("{http://www.w3.org/2000/svg}" + name) for name in ("title", "desc"))


def test_a_trial_without_numbers_or_arms_has_a_page_without_empty_parts(site: httpx.Client) -> None:
    page = site.get("/trial/ra-2011.html").text
    assert 'id="effects"' not in page
    assert 'id="planned"' not in page


def test_a_trial_s_page_is_in_the_reader_s_language(site: httpx.Client) -> None:
    page = site.get("/trial/NCT01663116.html", headers={"Accept-Language": "zh-TW"}).text
    for said in ("試驗組", "時間線", "第 3 個月", "已完成"):
        assert said in page


# ------------------------------------------------------------------------------------- what is not there


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/ontology/UCMSCProdukt", "stroma:UCMSCProduct"),
        ("/trial/NCT0154709", "trial:NCT01547091"),
        ("/thing?iri=CL:9999999", "The graph says nothing of"),
    ],
)
def test_what_the_graph_does_not_know_is_told_with_what_was_meant(
    site: httpx.Client, path: str, named: str
) -> None:
    response = site.get(path)
    assert response.status_code == 404
    assert named in response.text


@pytest.mark.parametrize(
    ("language", "title", "advice", "near"),
    [
        ("en", "The graph says nothing of this", "The name may be misspelt.", "umbilical cord MSC product"),
        ("zh-CN", "图谱中没有关于它的陈述", "名称可能有误。", "脐带间充质干细胞制剂"),
        ("zh-TW", "圖譜中沒有關於它的陳述", "名稱可能有誤。", "臍帶間質幹細胞製劑"),
    ],
)
def test_a_page_of_an_error_says_what_happened_what_to_do_and_what_may_have_been_meant(
    site: httpx.Client, language: str, title: str, advice: str, near: str
) -> None:
    page = site.get("/ontology/UCMSCProdukt", headers={"Accept-Language": language})
    assert page.status_code == 404
    for said in (f"<h1>{title}</h1>", advice, near, 'value="UCMSCProdukt"'):
        assert said in page.text
    assert "Accept-Language" in page.headers["vary"]
    assert page.headers["content-type"].startswith("text/html")


def test_an_address_with_nothing_leads_to_what_is_called_like_it(site: httpx.Client) -> None:
    page = site.get("/nowhere/interferon-gamma").text
    assert 'href="/thing?iri=PR%3A000000017"' in page
    told = site.get("/nowhere/interferon-gamma", headers={"Accept": "application/json"}).json()
    assert (told["title"], told["status"]) == ("There is nothing here", 404)
    assert "/thing?iri=PR%3A000000017" in told["near"]


def test_an_obsolete_term_is_gone_and_says_what_replaces_it(tmp_path: Path) -> None:
    graph, gone = f"<{BASE}graph/ontology>", STROMA.OldName.value
    lines = [
        f"<{gone}> <{RDF.type.value}> <{OWL.Class.value}> {graph} .",
        f'<{gone}> <{OWL.deprecated.value}> "true"^^<{XSD.boolean.value}> {graph} .',
        f"<{gone}> <{OBO('IAO_0100001').value}> <{STROMA.NewName.value}> {graph} .",
        f'<{STROMA.NewName.value}> <{RDFS.label.value}> "new name"@en {graph} .',
    ]
    quads = parse("\n".join(lines), format=RdfFormat.N_QUADS)
    with whole_site(write_snapshot(quads, tmp_path, version="2026-11-22")) as address:
        page = httpx.get(f"{address}/ontology/OldName", headers=HTML)
        assert page.status_code == 410
        assert "<h1>This term is obsolete</h1>" in page.text
        assert '<a href="/ontology/NewName">new name (stroma:NewName)</a>' in page.text
        told = httpx.get(f"{address}/ontology/OldName", headers={"Accept": "application/json"}).json()
        assert (told["status"], told["near"]) == (410, ["/ontology/NewName"])


SLOW = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(?c != ?f && ?f != ?i) }"


def test_a_page_of_a_busy_server_says_to_wait_and_leads_back(embedded: Snapshot) -> None:
    with whole_site(embedded, workers=1, queue=1, query_seconds=6) as address, ThreadPoolExecutor(8) as pool:
        ask = {"query": SLOW}
        running = [pool.submit(httpx.get, f"{address}/sparql", params=ask, timeout=60) for _ in range(2)]
        page = httpx.Response(200)
        for _ in range(200):
            page = httpx.get(f"{address}/trial/NCT01547091.html", headers=HTML, timeout=60)
            if page.status_code == 503:
                break
        wait([pool.submit(each.result) for each in running])
    assert page.status_code == 503
    assert "<h1>The server is busy</h1>" in page.text
    assert f"Wait {page.headers['retry-after']} seconds and try again." in page.text
    assert '<a class="button" href="/trial/NCT01547091.html">Try again</a>' in page.text


@pytest.mark.parametrize("path", ["/thing?iri=nope:1", "/thing?iri=", "/thing?iri=%3Cx%3E"])
def test_what_is_no_iri_is_refused_by_name(site: httpx.Client, path: str) -> None:
    response = site.get(path)
    assert response.status_code == 400
    assert "iri" in response.text


def test_an_iri_that_is_no_web_address_is_no_link() -> None:
    assert home_of("javascript:alert(1)") is None
    assert path_of_thing("javascript:alert(1)").startswith("/thing?iri=javascript%3A")
    assert path_of_thing(f"{BASE}publication/doi-10.1186%2Fs13287") == "/publication/doi-10.1186%2Fs13287"


# ------------------------------------------------------------------------------------------- search


def test_a_search_finds_by_either_script_and_says_what_kinds_there_are(site: httpx.Client) -> None:
    found = site.get("/search", params={"q": "幹細胞", "format": "json", "lang": "zh-Hant"}).json()
    assert found["hits"][0]["curie"] == "CL:0000034"
    assert found["total"] == sum(found["kinds"].values())
    page = site.get("/search", params={"q": "幹細胞"})
    assert "CL:0000034" in page.text


def test_a_suggestion_completes_and_speaks_opensearch(site: httpx.Client) -> None:
    assert "macrophage" in [
        hit["label"] for hit in site.get("/suggest", params={"q": "macroph"}).json()["hits"]
    ]
    word, labels = site.get("/suggest", params={"q": "macroph", "format": "opensearch"}).json()
    assert word == "macroph"
    assert "macrophage" in labels
    described = ElementTree.fromstring(site.get("/opensearch.xml").content)
    assert described.tag.endswith("OpenSearchDescription")


@pytest.mark.parametrize(
    "query", ["kind=trail&q=x", "lang=fr&q=x", "limit=0&q=x", "format=xml&q=x", "offset=-1&q=x"]
)
def test_a_search_that_cannot_be_is_refused_with_what_can(site: httpx.Client, query: str) -> None:
    response = site.get(f"/search?{query}")
    assert response.status_code == 400


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{7*191}}",
    "'; DROP",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_reader_becomes_markup(site: httpx.Client, text: str) -> None:
    for path in ("/search", "/thing", "/queries/routes", "/why"):
        name = {"/search": "q", "/thing": "iri", "/queries/routes": "condition", "/why": "subject"}[path]
        page = site.get(path, params={name: text}).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "1337" not in page or text != "{{7*191}}"


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60))
def test_any_search_gets_a_page(site: httpx.Client, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert site.get("/search", params={"q": text}).status_code == 200


# ---------------------------------------------------------------------------------------- the frame


def test_nothing_of_a_page_comes_from_elsewhere_or_runs_inline(site: httpx.Client) -> None:
    for path in (
        "/", "/search?q=cell", "/thing?iri=CL:0000134&format=html", "/about", "/queries", "/sparql",
        "/findings", "/claim/C047.html", "/trial/NCT01547091.html", "/ontology",
    ):  # fmt: skip
        response = site.get(path)
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|<script(?![^>]*\b(?:src=|ld\+json))", response.text
        ), path
        for address in re.findall(r'(?:src|<link[^>]+href)="([^"]+)"', response.text):
            assert address.startswith("/"), address


def test_a_static_file_is_kept_for_ever_and_named_by_its_content(site: httpx.Client) -> None:
    address = re.search(r'href="(/static/style\.[0-9a-f]{12}\.css)"', site.get("/").text)
    assert address is not None
    response = site.get(address[1])
    assert response.headers["content-type"].startswith("text/css")
    assert "immutable" in response.headers["cache-control"]
    assert site.get("/static/../pages.py").status_code == 404
    assert site.get("/static/style.css").status_code == 404
