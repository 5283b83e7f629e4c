"""A real browser for tests and screenshots: Debian's Chromium, driven by Playwright.

Hides where Chromium is and how it is started. Nothing is downloaded: a machine without it skips.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from kg.terms import ROOT
from kg.web.pages import STATIC

AXE = ROOT / "client" / "node_modules" / "axe-core" / "axe.min.js"
BUNDLE = STATIC / "editor.js"
DESKTOP = {"width": 1200, "height": 900}
PHONE = {"width": 390, "height": 844}

NO_CHROMIUM = "needs Chromium (Debian: apt-get install chromium fonts-noto-cjk)"
NO_BUNDLE = "needs the editor's script: make bundles"
NO_AXE = "needs axe-core from npm: make test installs it"


def chromium() -> str | None:
    """The path of Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def started() -> Iterator[Browser]:
    """A Chromium without a window or sandbox, which needs rights that containers lack; it sees only us."""
    path = chromium()
    assert path is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Reader:
    """Somebody at a browser: one page, and what it reported that must not be."""

    page: Page
    site: str
    reports: list[str] = field(default_factory=list)
    status: int = 0  # of the page that was opened last

    def open(self, path: str) -> Page:
        """Go to a path of the site, and wait until it is there."""
        response = self.page.goto(self.site + path)
        self.status = response.status if response is not None else 0
        return self.page

    def violations(self) -> list[str]:
        """What axe finds wrong on the page: rule, element, what to do."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        run = "() => axe.run({ resultTypes: ['violations'] }).then(run => run.violations)"
        found: list[dict[str, Any]] = self.page.evaluate(run)
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in found
            for node in each["nodes"]
        ]


@contextmanager
def reader(browser: Browser, site: str, **options: Any) -> Iterator[Reader]:
    """A reader with browser settings of their own, such as `locale` or `color_scheme`.

    Errors of scripts and reports of the Content-Security-Policy gather in `reports`.
    """
    context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
    context.set_default_timeout(15_000)
    try:
        who = Reader(context.new_page(), site)

        def heard(message: ConsoleMessage) -> None:
            if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
                who.reports.append(message.text)

        who.page.on("console", heard)
        who.page.on("pageerror", lambda error: who.reports.append(str(error)))
        yield who
    finally:
        context.close()


def written(page: Page) -> str:
    """The text in the editor."""
    return page.locator("#query").input_value()


def write(page: Page, text: str) -> None:
    """Put a text into the editor as a person would who pastes it over what is there."""
    content = page.locator("#editor .cm-content")
    content.click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(text)
