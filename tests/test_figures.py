"""The figures page says what the results say."""

from __future__ import annotations

from bench import figures


def test_the_tables_of_the_figures_page_are_those_of_the_newest_results() -> None:
    page = figures.PAGE.read_text(encoding="utf-8")
    assert figures.renewed(page) == page, "run .venv/bin/python -m bench figures"


def test_the_figures_page_hides_no_figure_that_was_missed() -> None:
    page = figures.PAGE.read_text(encoding="utf-8")
    missed = [line for line in figures.asked().splitlines() if "**missed**" in line]
    assert [line for line in missed if line not in page] == []
