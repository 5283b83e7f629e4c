"""Every command of the README and the docs runs, and the README's answer is the graph's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kg.terms import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


def test_every_make_target_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        for target in re.findall(r"\bmake ([a-z]+)\b", _code(page)):
            assert target in targets, f"{page.name} names make {target}"


def _code(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))


def test_every_glossary_word_is_told_once() -> None:
    words = re.findall(
        r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M
    )
    assert len(words) == len(set(words))
    assert words == sorted(words, key=str.lower)


def test_make_without_a_target_tells_what_there_is() -> None:
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make serve" in done.stdout
