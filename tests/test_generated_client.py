"""A client that a generator makes of `/openapi.json` works: every question, pages, enumerations, errors."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from kg.canned import Catalogue
from kg.terms import ROOT
from tests.expected import expected

CATALOGUE = Catalogue.read(ROOT / "queries")
PACKAGE = "generated_stroma_client"


@pytest.fixture(scope="module")
def made(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the generator prints; the package it made can be imported."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(httpx.get(f"{site}/openapi.json").content)
    (folder / "config.yaml").write_text("post_hooks: []\n", encoding="utf-8")
    done = subprocess.run(
        [
            Path(sys.executable).parent / "openapi-python-client", "generate", "--path", "openapi.json",
            "--meta", "none", "--output-path", PACKAGE, "--config", "config.yaml",
        ],
        cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield done.stdout
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def client(made: str, site: str) -> Iterator[Any]:
    with importlib.import_module(PACKAGE).Client(base_url=site, timeout=httpx.Timeout(60)) as client:
        yield client


def operation(id: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.api.questions.{id.replace('-', '_')}")


def test_the_generator_leaves_out_nothing_but_what_it_cannot_read(made: str) -> None:
    # It knows no media type of SPARQL queries; every operation is there.
    warnings = re.findall(r"^WARNING parsing (.*)$", made, re.M)
    assert {each.split(" within")[0] for each in warnings} <= {"POST /sparql", "GET /queries/{id}.rq"}
    assert "Endpoint will not be generated" not in made


def test_every_question_answers_through_it(client: Any) -> None:
    for id in CATALOGUE:
        due = expected(id)
        answer = operation(id).sync_detailed(client=client)
        assert answer.status_code == 200
        assert int(answer.headers["x-total-count"]) == len(due), id
        if "json" in answer.headers["content-type"]:
            assert answer.parsed.total == len(answer.parsed.rows) == len(due)
            assert list(answer.parsed.rows[0].to_dict()) == list(due[0])


def test_numbers_and_enumerations_are_types_of_the_client(client: Any) -> None:
    models = importlib.import_module(f"{PACKAGE}.models")
    doses = operation("doses-for-body-weight").sync(client=client, weight="35")
    (row,) = [row for row in doses.rows if row.group == "MSC monotherapy (Yang 2025)"]
    assert row.cells_high == 35_000_000
    major = operation("findings").sync(
        client=client, severity=models.FindingsSeverity.STROMASEVERITYMAJOR, lang=models.FindingsLang.ZH_HANT
    )
    assert 0 < major.total < operation("findings").sync(client=client).total
    assert {row.severity_label for row in major.rows} == {"重大"}
    assert {each.value for each in models.FindingsSeverity} == {
        "", "stroma:SeverityMajor", "stroma:SeverityMinor",
    }  # fmt: skip


def test_pages_are_followed_by_their_cursor(client: Any) -> None:
    ask = operation("effects-in-words").sync
    page = ask(client=client, limit=100)
    rows = page.rows
    while page.cursor:
        page = ask(client=client, limit=100, cursor=page.cursor)
        rows += page.rows
    assert len(rows) == page.total > 200


def test_a_refusal_is_the_problem_that_is_described(client: Any) -> None:
    problem = operation("doses-for-body-weight").sync(client=client, weight="heavy")
    assert type(problem).__name__ == "Problem"
    assert (problem.status, problem.parameter) == (400, "weight")
    near = operation("mappings-of-a-term").sync(client=client, term="rheumatoid arthritis").near
    assert any(each.startswith("MONDO:0008383") for each in near)


def test_the_list_and_the_versions_of_questions_have_types(client: Any) -> None:
    listed = operation("questions").sync(client=client)
    assert [each.id for each in listed.questions] == list(CATALOGUE)
    version = operation("question-version").sync("routes", CATALOGUE["routes"].hash, client=client)
    assert version.total == 2
    assert version.rows[0]["route"] == "intravenous administration"
