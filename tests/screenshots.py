"""`make screenshots [ONLY=name …]`: pictures of the pages for the documentation, in docs/screenshots.

They are taken of the published graph by the browser that the tests use, and have to be looked at. A palette
makes them a third as large.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Page

from kg.settings import Settings
from kg.snapshot import current
from kg.terms import ROOT
from tests.browser import BUNDLE, NO_BUNDLE, NO_CHROMIUM, PHONE, chromium, reader, started
from tests.peers import whole_site

FOLDER = ROOT / "docs" / "screenshots"
COLOURS = 128
WIDE = {"width": 1160, "height": 760}

BY_STATUS = """# Registered trials by status
PREFIX stroma: <https://w3id.org/stroma/ontology/>
SELECT ?status (COUNT(DISTINCT ?trial) AS ?trials)
WHERE {
  ?trial a stroma:MSCTherapyForRAStudy ; stroma:hasStatus ?status .
}
GROUP BY ?status ORDER BY DESC(?trials)"""
KINDS = """# Kinds of MSC products
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX stroma: <https://w3id.org/stroma/ontology/>
CONSTRUCT { ?kind rdfs:subClassOf ?above }
WHERE {
  ?kind rdfs:subClassOf ?above . ?above rdfs:subClassOf* stroma:MSCProduct .
  FILTER (isIRI(?kind) && ?kind != ?above)
}"""


def _editor(query: str) -> str:
    return "/editor?" + urlencode({"query": query})


def _complete(page: Page) -> None:
    page.locator("#view tbody").wait_for()
    page.locator(".views button").nth(1).click()
    page.locator("#view svg").wait_for()
    page.locator("#editor .cm-line").nth(4).click()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("?trial ?p interferon", delay=30)
    page.locator("#editor .cm-tooltip-autocomplete li").first.wait_for()
    page.wait_for_timeout(400)


def _as_graph(page: Page) -> None:
    page.locator("#view tbody").wait_for()
    page.locator(".views button").nth(2).click()
    page.locator("#view svg").wait_for()


def _wrong(page: Page) -> None:
    page.locator("#trouble .notice").wait_for()


def _suggest(page: Page) -> None:
    page.get_by_role("combobox").press_sequentially("脐带", delay=30)
    page.locator("[role=option]").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(300)


def _first_finding(page: Page) -> None:
    page.locator("main a[href^='/finding/']").first.click()
    page.locator(".sides").wait_for()


class Shot(NamedTuple):
    """A picture: where, what to do there, a browser's settings, the medium, and whether of all the page."""

    path: str
    act: Callable[[Page], object] = lambda page: None
    options: Mapping[str, Any] = {}
    medium: str = "screen"
    whole: bool = False


SHOTS: Mapping[str, Shot] = {
    "home": Shot("/"),
    "search": Shot("/search?" + urlencode({"q": "干擾素"}), options={"locale": "zh-TW"}),
    "term": Shot("/thing?iri=PR:000000017&format=html", options={"locale": "zh-CN"}),
    "ontology": Shot("/ontology"),
    "evidence": Shot("/evidence?about=claim:A255"),
    "trial": Shot("/trial/NCT01547091.html"),
    "question": Shot("/queries/response-by-arm-and-time?measure=stroma:MeasureDAS28Remission"),
    "intervals": Shot(
        "/queries/responders-with-intervals", options={"viewport": {"width": 1160, "height": 960}}
    ),
    "effects-dark": Shot(
        "/queries/effect-sizes?by=stroma:MethodRiskRatio",
        options={"color_scheme": "dark", "locale": "zh-TW", "viewport": {"width": 1160, "height": 860}},
    ),
    "suggestions": Shot("/", _suggest, options={"locale": "zh-TW"}),
    "not-found": Shot("/thing?iri=stroma:UCMSCProdukt&format=html"),
    "question-dark": Shot("/queries/doses-by-study", options={"color_scheme": "dark", "locale": "zh-TW"}),
    "finding": Shot("/findings?severity=stroma:SeverityMajor", _first_finding),
    "editor": Shot(_editor(BY_STATUS), _complete, whole=True),
    "editor-graph": Shot(
        _editor(KINDS),
        _as_graph,
        {"viewport": {"width": 1160, "height": 560}, "color_scheme": "dark", "locale": "zh-TW"},
        whole=True,
    ),
    "editor-error": Shot(_editor(BY_STATUS.replace(") AS ?trials)", " AS ?trials)")), _wrong),
    "phone": Shot(
        "/thing?iri=PR:000000017&format=html",
        options={"viewport": PHONE, "color_scheme": "dark", "locale": "zh-CN"},
    ),
    "phone-editor": Shot(
        _editor(BY_STATUS),
        lambda page: page.locator("#view tbody").wait_for(),
        {"viewport": PHONE, "locale": "zh-TW"},
    ),
    "print": Shot(
        "/queries/response-by-arm-and-time?measure=stroma:MeasureDAS28Remission",
        options={"viewport": {"width": 794, "height": 1000}},  # a sheet of A4 at 96 dots an inch
        medium="print",
    ),
}


def take(names: list[str], folder: Path = FOLDER) -> None:
    """Take the pictures of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = current(Settings.from_environ(os.environ).var)
    assert snapshot is not None, "make build first"
    with whole_site(snapshot) as site, started() as browser:
        for name in names:
            shot = SHOTS[name]
            with reader(browser, site, **{"viewport": WIDE, **shot.options}) as who:
                page = who.open(shot.path)
                shot.act(page)
                page.emulate_media(media=shot.medium)  # type: ignore[arg-type]
                picture = Image.open(io.BytesIO(page.screenshot(full_page=shot.whole)))
                small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
                small.save(folder / f"{name}.png", optimize=True)
                print(f"{name}.png: {(folder / f'{name}.png').stat().st_size:,} bytes", who.reports or "")


def main(names: list[str]) -> int:
    """Take all pictures, or some."""
    if chromium() is None or not BUNDLE.is_file():
        print(NO_CHROMIUM if chromium() is None else NO_BUNDLE, file=sys.stderr)
        return 1
    if unknown := set(names) - set(SHOTS):
        print(
            f"No such picture: {', '.join(sorted(unknown))}; there are: {', '.join(SHOTS)}", file=sys.stderr
        )
        return 2
    take(names or list(SHOTS))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
