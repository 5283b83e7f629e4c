"""The questions as a web API: asked of a real server on the embedded graph."""

from __future__ import annotations

import csv
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kg.canned import Catalogue
from kg.snapshot import Snapshot
from kg.terms import ROOT

CATALOGUE = Catalogue.read(ROOT / "queries")
EXPECTED = Path(__file__).parent / "queries"


@pytest.fixture(scope="module")
def web(embedded: Snapshot) -> Iterator[httpx.Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "import os; from pathlib import Path; from kg import cli; from kg.settings import Settings\n"
        "from kg.snapshot import open_snapshot\n"
        f"cli._serve(open_snapshot(Path({str(embedded.folder)!r})), Settings(port={port}))"
    )
    server = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert str(port) in server.stdout.readline()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.terminate()
    server.communicate(timeout=20)


@pytest.mark.parametrize("id", CATALOGUE)
def test_every_question_answers_as_the_catalogue_says(web: httpx.Client, id: str) -> None:
    answer = web.get(f"/queries/{id}", params={"format": "csv"})
    assert answer.status_code == 200
    rows = list(csv.reader(answer.text.splitlines()))
    with (EXPECTED / f"{id}.tsv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.reader(file, delimiter="\t"))
    assert rows[0] == expected[0]
    assert len(rows) == len(expected)


def test_the_list_tells_parameters_and_columns(web: httpx.Client) -> None:
    listed = {each["id"]: each for each in web.get("/queries").json()["questions"]}
    assert set(listed) == set(CATALOGUE)
    (weight,) = listed["doses-for-body-weight"]["parameters"]
    assert (weight["name"], weight["type"], weight["default"]) == ("weight", "decimal", "70.0")
    assert set(listed["routes"]["question"]) == {"en", "zh-Hans", "zh-Hant"}


def test_a_browser_gets_pages(web: httpx.Client) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert CATALOGUE["routes"].summary in web.get("/queries", headers=browser).text
    page = web.get("/queries/doses-for-body-weight", params={"weight": "35"}, headers=browser)
    assert page.headers["content-type"].startswith("text/html")
    assert 'value="35"' in page.text
    assert "35000000" in page.text


def test_the_sparql_of_a_question_is_served_as_it_stands(web: httpx.Client) -> None:
    assert web.get("/queries/routes.rq").text == CATALOGUE["routes"].text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/queries/doses-for-body-weight?weight=heavy", 400, "weight"),
        ("/queries/doses-for-body-weight?wieght=70", 400, "did you mean weight"),
        ("/queries/doses-for-body-weight?weight=1&weight=2", 400, "given twice"),
        ("/queries/sources-by-trial?condition=%3E%20%7D", 400, "condition"),
        ("/queries/route", 404, "did you mean routes"),
        ("/queries/routes?format=pdf", 406, "pdf"),
    ],
)
def test_a_wrong_request_is_told_what_to_send(web: httpx.Client, path: str, status: int, said: str) -> None:
    answer = web.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/health", "/queries", "/queries/routes"])
def test_head_and_options_work_everywhere(web: httpx.Client, path: str) -> None:
    got, head = web.get(path), web.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    options = web.options(path, headers={"Origin": "https://example.org"})
    assert options.status_code == 204
    assert "GET" in options.headers["access-control-allow-methods"]
