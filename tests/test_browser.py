"""The main paths through the pages in a real browser: in three languages, by keyboard, on a phone, at night.

A reader whose page reports an error of a script, or a breach of its policy, fails its test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from kg.snapshot import Snapshot
from tests.browser import (
    AXE,
    BUNDLE,
    DESKTOP,
    NO_AXE,
    NO_BUNDLE,
    NO_CHROMIUM,
    PHONE,
    Reader,
    chromium,
    reader,
    started,
    write,
    written,
)
from tests.peers import whole_site

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
needs_bundle = pytest.mark.skipif(not BUNDLE.is_file(), reason=NO_BUNDLE)

Come = Callable[..., Reader]
LOCALES = ("en-GB", "zh-CN", "zh-TW")
TYPES = """SELECT ?type (COUNT(?thing) AS ?things) WHERE { ?thing a ?type }
GROUP BY ?type ORDER BY DESC(?things) LIMIT 9"""
COLOURFUL = """# 注释
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
SELECT ?c ?p (1.5 AS ?n) ("x"@en AS ?t) WHERE { ?c rdfs:subClassOf ?p FILTER (isIRI(?p) && true) } LIMIT 12"""
HOSTILE = {
    "label": "<img src=x onerror=document.title='broken'>", "kind_label": "<b>", "curie": "x:y",
    "page": "javascript:document.title='broken'",
}  # fmt: skip
LONG = "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER (?a != ?g) }"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def come(browser: Browser, site: str) -> Iterator[Come]:
    """Readers who come to the site, each with a browser's settings of their own."""
    with ExitStack() as here:
        readers: list[Reader] = []

        def one(**options: object) -> Reader:
            readers.append(here.enter_context(reader(browser, site, **options)))
            return readers[-1]

        yield one
        assert [report for each in readers for report in each.reports] == []


def editor(query: str) -> str:
    return "/editor?" + urlencode({"query": query})


# ------------------------------------------------------------------------------------- the main paths


@pytest.mark.parametrize(
    ("locale", "language", "word", "name"),
    [
        ("zh-TW", "zh-Hant", "干擾素", "干擾素-γ"),
        ("zh-CN", "zh-Hans", "干擾素", "干扰素-γ"),  # searched in traditional characters, read in simplified
        ("en-GB", "en", "干擾素", "interferon gamma"),
    ],
)
def test_from_a_search_in_traditional_chinese_to_the_characters_that_say_it(
    come: Come, locale: str, language: str, word: str, name: str
) -> None:
    page = come(locale=locale).open("/")
    page.locator("#q").fill(word)
    page.locator("#q").press("Enter")
    page.locator(".hits").get_by_role("link", name=name, exact=True).first.click()
    expect(page.locator("h1")).to_have_text(name)
    expect(page.locator("html")).to_have_attribute("lang", language)
    page.locator("a[href*='/why?'][href*='enhances']").first.click()
    page.locator("main a[href^='/claim/']").first.click()
    expect(page.locator("main")).to_contain_text(re.compile(r"document:0\d\d|文獻|document"))
    assert re.search(r"/claim/[A-Z]\d+", page.url)
    said = page.locator("main").inner_text()
    assert re.search(r"\d+\s*[–-]\s*\d+", said), "no characters are named"


@pytest.mark.parametrize("locale", LOCALES)
def test_from_a_ready_question_over_a_changed_parameter_to_its_chart_and_its_csv(
    come: Come, locale: str
) -> None:
    page = come(locale=locale).open("/queries")
    page.locator("a[href='/queries/response-by-arm-and-time']").click()
    field = page.locator("form [name='measure']")
    expect(field).to_have_value("stroma:MeasureACR20")
    before = page.locator("svg.chart desc").text_content()
    if field.evaluate("element => element.tagName") == "SELECT":
        field.select_option("stroma:MeasureDAS28Remission")
    else:
        field.fill("stroma:MeasureDAS28Remission")
    page.locator("form:has([name='measure']) button").first.click()
    expect(page.locator("svg.chart")).to_be_visible()
    told = page.locator("svg.chart desc").text_content()
    assert told != before
    assert told is not None
    assert "89.3" not in told  # of another measure
    address = page.get_by_role("link", name="CSV").first.get_attribute("href")
    assert address is not None
    rows = page.request.get(page.url.partition("/queries")[0] + address).text().splitlines()
    assert rows[0] == "group,months,percent,sources"
    assert any(row.startswith("MSC plus IFN-γ (Yang 2025),60,25,") for row in rows)


@needs_bundle
@pytest.mark.parametrize("locale", LOCALES)
def test_from_a_wrong_query_over_its_line_to_the_result_and_back_by_its_link(come: Come, locale: str) -> None:
    page = come(locale=locale).open("/editor")
    write(page, "SELECT ?type\nWHERE {\n  ?thing a ?type .\n  FILTER (\n} LIMIT 3")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("line 5|第 ?5 ?行"))
    marked = page.locator("#editor .cm-lint-marker-error")
    expect(marked).to_have_count(1)
    number = page.locator("#editor .cm-lineNumbers .cm-activeLineGutter")
    beside, here = marked.bounding_box(), number.bounding_box()
    assert beside is not None
    assert here is not None
    assert abs(beside["y"] + beside["height"] / 2 - here["y"] - here["height"] / 2) < here["height"] / 2
    expect(number).to_have_text("5")
    write(page, TYPES)
    page.locator("#run").click()
    expect(page.locator("#status")).to_contain_text(re.compile("9 (rows|行|列)"))
    expect(page.get_by_role("alert")).to_be_empty()
    expect(marked).to_have_count(0)
    first = page.locator("#view tbody tr").first.inner_text()
    link = page.locator("#permalink").get_attribute("href")
    assert link is not None
    assert parse_qs(urlsplit(page.url).query)["query"] == [TYPES]
    again = come(locale="zh-TW").open(link)
    expect(again.locator("#status")).to_contain_text("9 列")
    assert written(again) == TYPES
    assert again.locator("#view tbody tr").first.inner_text().split("\n")[0] == first.split("\n")[0]


@needs_bundle
@pytest.mark.parametrize(
    ("locale", "stopped", "yes"),
    [("en-GB", "Stopped", "Yes"), ("zh-CN", "停止", "是"), ("zh-TW", "停止", "是")],
)
def test_a_long_query_is_stopped_on_the_server(come: Come, locale: str, stopped: str, yes: str) -> None:
    who = come(locale=locale)
    page = who.open("/editor")
    write(page, LONG)
    with page.expect_request("**/sparql") as asked:
        page.keyboard.press("Control+Enter")
    stop = page.locator("#stop")
    expect(stop).to_be_visible()
    page.wait_for_timeout(300)  # the query is with a worker by then
    id = asked.value.headers["x-stroma-query-id"]
    with page.expect_response(f"**/queries/running/{id}") as told:
        stop.click()
    assert told.value.status == 204
    expect(page.get_by_role("alert")).to_contain_text(stopped)
    expect(stop).to_be_hidden()
    assert page.request.delete(f"{who.site}/queries/running/{id}").status == 404
    write(page, "ASK {}")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_contain_text(yes)


@pytest.mark.parametrize("locale", LOCALES)
def test_from_a_contradiction_to_both_of_its_claims(come: Come, locale: str) -> None:
    page = come(locale=locale).open("/")
    page.locator("nav a[href='/findings']").first.click()
    page.locator("main a[href*='/findings?kind=stroma%3ADiscrepancyOppositeSignificance']").first.click()
    page.locator("main a[href^='/finding/opposite-significance/']").first.click()
    sides = page.locator(".sides section")
    expect(sides.nth(1)).to_be_visible()
    contradiction = page.url
    claims = []
    for side in (0, 1):
        page.goto(contradiction)
        sides.nth(side).locator("a[href^='/claim/']").first.click()
        assert re.search(r"\d+\s*[–-]\s*\d+", page.locator("main").inner_text()), "no characters are named"
        claims.append(page.url)
    assert claims[0] != claims[1]


# ------------------------------------------------------------------------------------------ suggestions


@needs_bundle
@pytest.mark.parametrize(
    ("locale", "word", "label"),
    [
        ("en-GB", "interfron", "interferon gamma"),  # a letter is missing
        ("zh-CN", "脐带", "脐带"),  # two characters
        ("zh-CN", "臍帶", "脐带"),  # of the other script
        ("zh-TW", "脐带", "臍帶"),
    ],
)
def test_what_is_being_written_is_suggested_and_reached_by_keyboard(
    come: Come, locale: str, word: str, label: str
) -> None:
    page = come(locale=locale).open("/")
    field = page.get_by_role("combobox")
    field.press_sequentially(word)
    options = page.locator("#suggestions [role=option]")
    expect(options.first).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".find [role=status]")).to_contain_text(str(options.count()))
    place = next(n for n, each in enumerate(options.all_inner_texts()) if label in each)
    for _ in range(place + 1):
        field.press("ArrowDown")
    named = field.get_attribute("aria-activedescendant")
    assert named is not None
    expect(page.locator(f"#{named}")).to_have_attribute("aria-selected", "true")
    expect(page.locator(f"#{named}")).to_contain_text(label)
    assert field.input_value() == word, "the arrows write nothing"
    field.press("Enter")
    expect(page.locator("h1")).to_contain_text(label)


@needs_bundle
def test_suggestions_close_by_escape_and_leave_the_form_a_form(come: Come) -> None:
    page = come().open("/")
    field = page.get_by_role("combobox")
    field.press_sequentially("interferon")
    shown = page.locator("#suggestions")
    expect(shown).to_be_visible()
    field.press("Escape")
    expect(shown).to_be_hidden()
    expect(field).to_have_value("interferon")
    field.press("ArrowDown")
    expect(shown).to_be_visible()
    field.press("ArrowUp")  # from the text to the last
    expect(page.locator("[role=option]").last).to_have_attribute("aria-selected", "true")
    field.press("ArrowDown")  # and back to the text
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(0)
    field.press("Enter")
    expect(page.locator("h1")).to_contain_text("interferon")
    assert urlsplit(page.url).path == "/search"


@needs_bundle
def test_a_suggestion_is_reached_by_a_click_and_no_name_becomes_markup(come: Come) -> None:
    page = come(**LOOKS["dark, on a phone"]).open("/about")
    page.route("**/suggest?*", lambda route: route.fulfill(json={"hits": [HOSTILE]}))
    field = page.get_by_role("combobox")
    field.press_sequentially("x")
    expect(page.locator("[role=option]")).to_contain_text("<img")
    box = page.locator("#suggestions").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert page.locator("#suggestions img").count() == 0
    page.locator("[role=option]").click()  # a page of no server of ours: it leads nowhere
    assert urlsplit(page.url).path == "/about"
    page.unroute("**/suggest?*")
    field.fill("NCT01547091")
    page.locator("[role=option]", has_text="NCT01547091").first.click()
    expect(page).to_have_url(re.compile("/trial/NCT01547091"))


# ------------------------------------------------------------------------------------------- editor


@needs_bundle
def test_a_word_becomes_a_term_of_this_graph_with_its_prefix(come: Come) -> None:
    page = come(locale="zh-TW").open("/editor")
    write(page, "SELECT * WHERE { ?x a ")
    for word, name, term, prefix in (
        (
            "臍帶",
            "臍帶間質幹細胞製劑",
            "stroma:UCMSCProduct",
            "PREFIX stroma: <https://w3id.org/stroma/ontology/>",
        ),
        (" ; ?p interferon", "干擾素-γ", "PR:000000017", "PREFIX PR: <http://purl.obolibrary.org/obo/PR_>"),
    ):
        page.keyboard.type(word)
        page.locator("#editor .cm-tooltip-autocomplete li", has_text=name).first.click()
        text = written(page)
        assert text.partition("SELECT")[2].count(term) == 1
        assert text.count(prefix) == 1


@needs_bundle
def test_a_prefix_that_is_missing_is_declared_at_one_key(come: Come) -> None:
    page = come().open(editor("SELECT ?l WHERE { stroma:UCMSCProduct rdfs:label ?l }"))
    page.get_by_role("button", name=re.compile("^Declare")).click()
    expect(page.locator("#status")).to_contain_text("rows")
    assert written(page).startswith("PREFIX stroma: <https://w3id.org/stroma/ontology/>\nPREFIX rdfs:")


@needs_bundle
def test_an_example_runs_and_shows_its_table_its_chart_and_its_graph(come: Come) -> None:
    page = come(locale="zh-CN").open("/editor")
    page.locator("#example").select_option("response-by-arm-and-time")
    expect(page.locator("#status")).to_contain_text("行")
    page.get_by_role("button", name="图表").click()
    expect(page.locator("#view svg.chart polyline").first).to_be_visible()
    write(
        page,
        "PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>\nPREFIX stroma: <https://w3id.org/stroma/ontology/>\n"
        "CONSTRUCT WHERE { ?c rdfs:subClassOf stroma:MSCProduct }",
    )
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_contain_text("条陈述")
    page.get_by_role("button", name="关系图").click()
    expect(page.locator("#view svg.graph a", has_text="脐带间充质干细胞制剂")).to_be_visible()
    assert page.locator("#view svg.graph polygon").count() >= 10
    page.get_by_role("link", name="Turtle").wait_for()


@needs_bundle
def test_the_editor_is_left_by_the_tab_key(come: Come) -> None:
    page = come().open("/editor")
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "run"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "editor"


@needs_bundle
def test_nothing_of_an_answer_becomes_markup(come: Come) -> None:
    text = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
    iri = "javascript:document.title='broken'"
    page = come().open(editor(f'SELECT ("{text}" AS ?text) (IRI("{iri}") AS ?iri) WHERE {{}}'))
    expect(page.locator("#view tbody td").first).to_have_text(text)
    href = page.locator("#view tbody a").get_attribute("href")
    assert href is not None
    assert href.startswith("/thing?iri=javascript%3A")
    page.get_by_role("button", name="Chart").click()
    expect(page.locator("#view .picture")).not_to_be_empty()
    page.get_by_role("button", name="Graph").click()
    expect(page.locator("#view .picture")).not_to_be_empty()
    assert page.locator("#view img, #view script").count() == 0
    assert "broken" not in page.title()


@needs_bundle
def test_a_server_that_does_not_answer_is_told_of(come: Come) -> None:
    page = come().open("/editor")

    def refuse(route: Route) -> None:
        route.abort()

    page.route("**/sparql", refuse)
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("Try again")


# ------------------------------------------------------------------------------------- without script


def tabbed_to(page: Page, wanted: str) -> None:
    """Go to what is wanted by the Tab key alone; where the focus is, a reader has to see."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            break
    else:
        pytest.fail(f"no number of tabs leads to {wanted}")
    assert page.evaluate(
        "(look => look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 1)"
        "(getComputedStyle(document.activeElement))"
    ), f"nothing shows that {wanted} has the focus"


@pytest.mark.parametrize("locale", LOCALES)
def test_a_question_is_found_changed_and_asked_by_keyboard_alone(come: Come, locale: str) -> None:
    page = come(locale=locale).open("/")
    page.keyboard.press("Tab")
    skip = page.locator("a.skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    tabbed_to(page, "main a.card[href='/queries']")  # past the header's links, none of which is one
    page.keyboard.press("Enter")
    page.wait_for_url("**/queries")
    tabbed_to(page, "a[href='/queries/response-by-arm-and-time']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/queries/response-by-arm-and-time")
    field = page.locator("form [name='measure']")
    expect(field).to_have_value("stroma:MeasureACR20")
    tabbed_to(page, "form [name='measure']")
    page.keyboard.press("ArrowDown")
    chosen = field.input_value()
    assert chosen != "stroma:MeasureACR20"
    tabbed_to(page, "main form button")
    page.keyboard.press("Enter")
    page.wait_for_url("**measure=*")
    expect(field).to_have_value(chosen)
    tabbed_to(page, "a[href*='format=csv'], a[href*='.csv']")


def test_everything_can_be_asked_without_script(come: Come) -> None:
    page = come(java_script_enabled=False, locale="zh-TW").open("/")
    page.locator("#q").fill("臍帶")
    page.locator("#q").press("Enter")
    page.locator(".hits h2 a").first.click()
    expect(page.locator("h1")).to_contain_text("臍帶")
    page.locator("nav a[href='/editor']").click()
    page.locator("#query").fill("ASK { ?s ?p }")
    page.locator("#run").click()
    expect(page.locator("pre .mark")).to_be_visible()
    page.locator("main a[href^='/editor?']").click()
    expect(page.locator("#query")).to_have_value("ASK { ?s ?p }")
    page.locator("#query").fill(TYPES)
    page.locator("#run").click()
    expect(page.locator("tbody tr")).to_have_count(9)
    page.locator(".languages a[lang='en']").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("tbody tr")).to_have_count(9)


def test_the_figures_of_the_front_page_lead_to_what_they_count(come: Come) -> None:
    page = come().open("/")
    trials = page.locator(".facts li", has_text="trials")
    number = trials.locator("b").inner_text()
    trials.locator("a").click()
    expect(page.locator("main [role=status]")).to_contain_text(f"{number} results")
    page.locator(".hits a[href^='/trial/']").first.wait_for()


def test_the_language_chosen_stays(come: Come) -> None:
    page = come().open("/search?q=synovium")
    page.locator(".languages a[lang='zh-Hant']").click()
    assert urlsplit(page.url).query == "q=synovium"
    page.locator("nav a[href='/queries']").first.click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hant")


# ------------------------------------------------------------------------------------------ for everyone

EVERY_KIND = {
    "home": "/",
    "search": "/search?q=interferon",
    "nothing found": "/search?q=zzqqx",
    "public term": "/thing?iri=PR:000000017&format=html",
    "own term": "/ontology/UCMSCProduct.html",
    "trial": "/trial/NCT01547091.html",
    "claim": "/claim/C047.html",
    "ontology": "/ontology",
    "evidence": "/evidence?about=claim:A255",
    "evidence of a thing": "/evidence?about=stroma:MSCProduct",
    "findings": "/findings",
    "finding": "/findings",  # and the first of them
    "why": "/why?subject=product:prednisone&predicate=rdf:type&object=stroma:CautionedCoMedication",
    "nothing to explain": "/why?subject=stroma:MSCProduct&predicate=rdf:type&object=stroma:ClinicalStudy",
    "questions": "/queries",
    "intervals": "/queries/responders-with-intervals",
    "effects": "/queries/effect-sizes",
    "for and against": "/queries/where-evidence-differs",
    "network": "/queries/mechanisms-and-targets",
    "bars": "/queries/registered-by-phase-and-status",
    "contradictions of a thing": "/findings?about=trial:NCT01873625",
    "lines": "/queries/response-by-arm-and-time",
    "ranges": "/queries/doses-by-study",
    "editor": editor(TYPES),
    "answer": f"/sparql?{urlencode({'query': TYPES})}",
    "error": f"/sparql?{urlencode({'query': 'SELECT ' + '?x ' * 60})}",
    "about": "/about",
    "graphs": "/graphs",
    "graph": "/graphs/publications",
    "changes": "/changes",
    "all of a kind": "/search?kind=trial",
    "reconciliation": "/reconcile",
    "download": "/dump",
    "counts": "/.well-known/void",
    "prefixes": "/.well-known/prefixes",
    "not found": "/nowhere/at-all",
    "unknown thing": "/thing?iri=stroma:UCMSCProdukt&format=html",
    "no such question": "/queries/response-by-arm",
    "no such claim": "/claim/C9999.html",
    "refused": "/queries/doses-for-body-weight?weight=much",
    "version gone": "/queries/sponsors?version=2001-01-01-000000000000",
}
STATUS = {
    "error": 400, "refused": 400, "not found": 404, "unknown thing": 404, "no such question": 404,
    "no such claim": 404, "nothing to explain": 404, "version gone": 410,
}  # fmt: skip
LOOKS = {
    "light": {"viewport": DESKTOP},
    "dark, on a phone": {"viewport": PHONE, "color_scheme": "dark", "locale": "zh-TW"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark", "locale": "zh-CN"},
}
SCRIPT_BYTES = 100_000  # of a page, outside the editor


@pytest.mark.parametrize("look", LOOKS)
def test_every_kind_of_page_is_for_everyone(come: Come, look: str) -> None:
    if not AXE.is_file():
        pytest.skip(NO_AXE)
    who = come(**LOOKS[look])
    wrong = []
    for kind, path in EVERY_KIND.items():
        page = who.open(path)
        assert who.status == STATUS.get(kind, 200), kind
        if kind == "finding":
            page.locator("main a[href^='/finding/']").first.click()
        if kind == "editor" and BUNDLE.is_file():
            page.locator("#view tbody").wait_for()
        wrong += [f"{kind}: {each}" for each in who.violations()]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > LOOKS[look]["viewport"]["width"]:  # type: ignore[index]
            wrong.append(f"{kind}: {wide} pixels wide")
        scripts = page.evaluate(
            "performance.getEntriesByType('resource').filter(each => each.initiatorType === 'script')"
            ".reduce((sum, each) => sum + each.decodedBodySize, 0)"
        )
        if kind != "editor" and scripts > SCRIPT_BYTES:
            wrong.append(f"{kind}: {scripts} bytes of script")
    assert wrong == []


@needs_bundle
@pytest.mark.parametrize("look", LOOKS)
def test_every_view_of_an_answer_and_suggestions_are_for_everyone(come: Come, look: str) -> None:
    if not AXE.is_file():
        pytest.skip(NO_AXE)
    who = come(**LOOKS[look])
    page = who.open("/")
    page.get_by_role("combobox").press_sequentially("interferon")
    page.locator("[role=option]").first.wait_for()
    page.keyboard.press("ArrowDown")
    assert who.violations() == []
    page = who.open(editor(COLOURFUL))
    page.locator("#view tbody").wait_for()
    assert who.violations() == []
    for place in (1, 2):
        page.locator(".views button").nth(place).click()
        page.locator("#view svg").wait_for()
        assert who.violations() == []
    write(page, "SELECT * WHERE {\n  ?s ?p }")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert who.violations() == []
    page.keyboard.press("Control+a")
    page.keyboard.type("interfer")
    page.locator("#editor .cm-tooltip-autocomplete li").first.wait_for()
    assert who.violations() == []


def test_the_page_of_a_busy_server_is_for_everyone(browser: Browser, embedded: Snapshot) -> None:
    if not AXE.is_file():
        pytest.skip(NO_AXE)
    with (
        whole_site(embedded, workers=1, queue=1, query_seconds=8) as address,
        ThreadPoolExecutor(4) as pool,
        reader(browser, address, **LOOKS["dark, on a phone"]) as who,
    ):
        ask = {"query": LONG}
        running = [pool.submit(httpx.get, f"{address}/sparql", params=ask, timeout=60) for _ in range(2)]
        for _ in range(100):
            page = who.open("/trial/NCT01547091.html")
            if who.status == 503:
                break
        assert who.status == 503
        assert who.violations() == []
        again = page.locator("main a.button").first
        expect(again).to_have_attribute("href", "/trial/NCT01547091.html")
        wait([pool.submit(each.result) for each in running])


MOVED = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => {
    for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""


JUMPS = ["/", "/search?q=cell", "/editor", "/queries/response-by-arm-and-time", "/trial/NCT01547091.html"]


@pytest.mark.parametrize("path", [*JUMPS, "/about", "/ontology", "/findings", "/evidence?about=claim:A255"])
def test_nothing_jumps_while_a_page_loads(come: Come, path: str) -> None:
    page = come().open(path)
    assert page.evaluate(MOVED) < 0.02


def test_chinese_is_drawn_with_glyphs_of_its_own_script(come: Come) -> None:
    """骨 differs between the scripts. Without a font every character is the same box."""
    page = come().open("/")
    drawn = page.evaluate(
        """() => [["zh-Hans", "骨"], ["zh-Hant", "骨"], ["zh-Hans", "体"]].map(([lang, letter]) => {
          const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
          canvas.lang = lang; document.body.append(canvas);
          canvas.width = canvas.height = 64;
          pen.font = "48px " + getComputedStyle(canvas).fontFamily;
          pen.fillText(letter, 4, 52);
          const ink = pen.getImageData(0, 0, 64, 64).data.filter((_, n) => n % 4 === 3).join();
          canvas.remove();
          return ink;
        })"""
    )
    if drawn[0] == drawn[2]:
        pytest.skip("needs fonts for Chinese (Debian: apt-get install fonts-noto-cjk)")
    assert drawn[0] != drawn[1]
