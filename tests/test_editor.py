"""The editor's page on a real server: a form that works without its script, charts, what it is made of."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.canned import CHARTS
from kg.terms import ROOT
from kg.web.language import LANGUAGES
from kg.web.pages import STATIC, static

HTML = {"Accept": "text/html"}
CLIENT = ROOT / "client"
BUNDLE = STATIC / "editor.js"
TSC = CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
ROWS = [{"name": "A", "n": "3"}, {"name": "B", "n": "5"}, {"name": "C", "n": "none"}]


def fields(page: str) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def told(page: str) -> dict[str, object]:
    found = re.search(r'data-page="([^"]*)"', page)
    assert found is not None
    value: dict[str, object] = json.loads(html.unescape(found[1]))
    return value


def test_a_link_brings_its_query_back(site: str) -> None:
    query = 'SELECT * WHERE { ?s ?p "幹細胞 </textarea><script>alert(1)</script>" } # &amp;'
    page = httpx.get(f"{site}/editor", params={"query": query}, headers=HTML).text
    assert fields(page) == query
    assert "<script>alert" not in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_editor_speaks_the_reader_s_language(site: str, language: str) -> None:
    page = httpx.get(f"{site}/editor", headers={**HTML, "Accept-Language": language}).text
    words = tomllib.loads((ROOT / "kg/web/texts.toml").read_text(encoding="utf-8"))["editor"][language]
    assert f"<h1>{words['title']}</h1>" in page
    assert told(page)["words"] == words


def test_every_word_of_the_editor_is_there_in_each_language_and_used() -> None:
    texts = tomllib.loads((ROOT / "kg/web/texts.toml").read_text(encoding="utf-8"))["editor"]
    assert set(texts) == set(LANGUAGES)
    assert set(texts["en"]) == set(texts["zh-Hans"]) == set(texts["zh-Hant"])
    for key in texts["en"]:
        marks = {language: sorted(re.findall(r"\{\w+\}", texts[language][key])) for language in LANGUAGES}
        assert marks["en"] == marks["zh-Hans"] == marks["zh-Hant"], key
    sources = [*CLIENT.glob("src/*.ts"), ROOT / "kg/web/editor.py", ROOT / "kg/web/templates/editor.html"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    made = {f"chart-{kind}" for kind in CHARTS} | {f"graph-{end}" for end in ("from", "by", "to")}
    made |= {f"role-{role}" for must, may in CHARTS.values() for role in must | may}
    assert {key for key in texts["en"] if f'"{key}"' not in code} <= made <= set(texts["en"])


def test_the_form_works_without_script_and_its_answer_leads_back(site: str) -> None:
    page = httpx.get(f"{site}/editor", headers=HTML).text
    assert '<form action="/sparql" method="get"' in page
    query = fields(page)
    answer = httpx.get(f"{site}/sparql", params={"query": query, "format": "html"}, headers=HTML).text
    assert "<table" in answer
    links = [html.unescape(link) for link in re.findall(r'href="(/(?:editor|sparql)\?[^"]+)"', answer)]
    assert fields(httpx.get(site + links[0], headers=HTML).text) == query
    assert httpx.get(site + links[3], headers=HTML).headers["content-type"].startswith("text/csv")


def test_a_query_that_does_not_parse_leads_back_to_itself(site: str) -> None:
    query = "SELECT * WHERE {\n  ?s ?p }"
    page = httpx.get(f"{site}/sparql", params={"query": query}, headers=HTML)
    assert page.status_code == 400
    back = re.search(r'href="(/editor\?[^"]+)"', page.text)
    assert back is not None
    assert fields(httpx.get(site + html.unescape(back[1]), headers=HTML).text) == query


def test_the_endpoint_s_own_page_is_the_editor(site: str) -> None:
    assert fields(httpx.get(f"{site}/sparql", headers=HTML).text).startswith("PREFIX rdfs:")


def test_the_page_says_so_where_its_script_was_not_built(site: str) -> None:
    page = httpx.get(f"{site}/editor", headers=HTML).text
    assert ("/static/editor." in page and ".js" in page) is BUNDLE.is_file()
    assert ("make bundles" in re.sub(r'data-page="[^"]*"', "", page)) is not BUNDLE.is_file()
    assert static("no-such-bundle.js") is None


# ------------------------------------------------------------------------------------------- charts


def test_a_chart_is_drawn_of_the_rows_that_are_sent(site: str) -> None:
    sent = {"kind": "bars", "roles": {"label": "name", "value": "n"}, "rows": ROWS, "title": "<b>&"}
    response = httpx.post(f"{site}/editor/chart", json=sent)
    assert response.headers["content-type"] == "image/svg+xml"
    assert response.headers["x-stroma-left-out"] == "1"
    svg = ElementTree.fromstring(response.text)
    assert svg[0].text == "<b>&"
    assert svg[1].text == "A: 3; B: 5"


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("{", "JSON"),
        ("[" * 1_000_000, "JSON"),
        ("[]", "object"),
        ('{"kind": "pie"}', "bars, lines"),
        ('{"kind": ["bars"]}', "bars, lines"),
        ('{"kind": "bars", "roles": {"label": "a"}, "rows": []}', "label, value"),
        ('{"kind": "bars", "roles": {"label": "a", "value": 1}, "rows": []}', "roles"),
        ('{"kind": "bars", "roles": {"label": "a", "value": "b"}, "rows": [{"a": "x"}]}', "rows"),
        ('{"kind": "bars", "roles": {"label": "a", "value": "b"}, "rows": [{"a": "x", "b": 1}]}', "rows"),
        ('{"kind": "bars", "roles": {"label": "a", "value": "b"}, "rows": []}', "nothing"),
    ],
)
def test_a_chart_that_cannot_be_is_refused_with_what_can(site: str, sent: str, named: str) -> None:
    response = httpx.post(f"{site}/editor/chart", content=sent.encode())
    assert response.status_code == 400
    assert named in response.json()["detail"]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([{"l": "a", "v": "1", "s": str(n)} for n in range(2000)], 200),
        ([{"l": "a" * 1_000_000, "v": "1", "s": "b" * 1_000_000}] * 2, 200),
        ([{"l": "a", "v": "1", "s": str(n)} for n in range(100_000)], 400),
    ],
    ids=["as many as may be", "long names", "too many"],
)
def test_no_rows_take_long_to_draw(site: str, rows: list[dict[str, str]], status: int) -> None:
    # Work that grows with the square of their number or length would take minutes.
    roles = {"label": "l", "value": "v", "series": "s"}
    response = httpx.post(
        f"{site}/editor/chart", json={"kind": "bars", "roles": roles, "rows": rows}, timeout=10
    )
    assert response.status_code == status, response.text[:200]


_text = st.text(max_size=12) | st.sampled_from(["1", "-2.5", "1e308", "NaN", "inf", "0", "<", "\x00"])


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(CHARTS)), data=st.data())
def test_any_rows_give_a_chart_or_a_reason(site: str, kind: str, data: st.DataObject) -> None:
    must, may = CHARTS[kind]
    roles = {role: role for role in must} | {role: role for role in may if data.draw(st.booleans())}
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(roles, _text)), max_size=8))
    body = json.dumps({"kind": kind, "roles": roles, "rows": rows, "title": data.draw(_text)})
    response = httpx.post(f"{site}/editor/chart", content=body)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        svg = ElementTree.fromstring(response.content)
        assert not any("nan" in value for each in svg.iter() for value in each.attrib.values())


# ------------------------------------------------------------------------------------ what it is of


def test_the_lock_file_pins_every_package_and_names_no_host() -> None:
    lock = json.loads((CLIENT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert all("integrity" in each and "resolved" not in each for each in packages.values())
    wanted = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_the_scripts_have_types_that_hold() -> None:
    if not TSC.is_file() or shutil.which("node") is None:
        pytest.skip("needs TypeScript from npm: make test installs it")
    done = subprocess.run(["node", str(TSC), "-p", str(CLIENT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_bundle_carries_the_licences_of_what_is_in_it() -> None:
    if not BUNDLE.is_file():
        pytest.skip("needs the bundle: make bundles")
    text = BUNDLE.read_text(encoding="utf-8")
    notice = text[: text.index("*/")]
    for each in ("@codemirror/view", "@lezer/highlight", "style-mod", "crelt", "w3c-keyname"):
        assert each in notice
    assert notice.count("Permission is hereby granted") >= 2
    assert len(text) < 600_000


def test_the_wheel_ships_templates_texts_and_bundles(tmp_path: Path) -> None:
    for name in ("kg", "loaders"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "records"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-DATA"):
        shutil.copy(ROOT / name, tmp_path)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"kg/web/templates/editor.html", "kg/web/texts.toml", "kg/web/static/editor.css"} <= names
    assert ("kg/web/static/editor.js" in names) is BUNDLE.is_file()
