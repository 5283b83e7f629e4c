"""How soon a reader sees a page: the first contentful paint in a browser on this machine."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kg.build import build
from kg.settings import Settings
from tests.browser import reader, started
from tests.peers import whole_site

Row = tuple[str, float | int | str, str]
ASKED = 5
PAGES = {
    "home": "/",
    "search": "/search?q=interferon",
    "term": "/ontology/UCMSCProduct.html",
    "trial": "/trial/NCT01547091.html",
    "ontology": "/ontology",
    "findings": "/findings",
    "question": "/queries/response-by-arm-and-time",
    "evidence": "/evidence?about=claim:A255",
    "editor": "/editor",
}
_PAINTED = """() => new Promise(done => new PerformanceObserver(list => {
  for (const each of list.getEntries()) if (each.name === "first-contentful-paint") done(each.startTime);
}).observe({ type: "paint", buffered: true }))"""


def first_views() -> Iterator[Row]:
    """The first view of each kind of page by a browser that has nothing of ours, some times each."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot = build(Settings(var=Path(folder)))
        with whole_site(snapshot) as site, started() as browser:
            for name, path in PAGES.items():
                times = []
                for _ in range(ASKED):
                    with reader(browser, site) as who:
                        times.append(float(who.open(path).evaluate(_PAINTED)))
                yield f"first view, {name}: median", statistics.median(times), "ms, of 1,000 allowed"
                yield f"first view, {name}: longest", max(times), "ms, of 1,000 allowed"
