"""`/openapi.json`: whether it is a description, and whether the server is as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from kg.canned import Catalogue
from kg.snapshot import Snapshot
from kg.terms import ROOT
from tests.peers import whole_site

CONFIGURATION = Path(__file__).parent / "openapi" / "schemathesis.toml"


@pytest.fixture(scope="module")
def url(embedded: Snapshot) -> Iterator[str]:
    with whole_site(embedded) as address:
        yield address


@pytest.fixture(scope="module")
def described(url: str) -> dict[str, Any]:
    response = httpx.get(f"{url}/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: dict[str, Any] = response.json()
    return document


def alike() -> Iterator[str]:
    """Questions that take what another one takes: one of each sort is asked."""
    seen = set()
    for id, question in Catalogue.read(ROOT / "queries").items():
        takes = {(each.type, each.minimum, bool(each.values)) for each in question.parameters.values()}
        if frozenset(takes) in seen:
            yield id
        seen.add(frozenset(takes))


def test_the_server_is_as_its_description_says(url: str, tmp_path: Path) -> None:
    """schemathesis asks what fits the description and what does not, and every method it does not name."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    leave_out = [word for id in alike() for word in ("--exclude-path", f"/queries/{id}")]
    done = subprocess.run(
        [*command, "run", f"{url}/openapi.json", *leave_out],
        cwd=tmp_path,  # it keeps what failed in the folder it runs in
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert int(generated[1]) > 500


def test_every_resource_has_head_and_options_and_may_be_read_from_elsewhere(
    url: str, described: dict[str, Any]
) -> None:
    asked = 0
    for path, operations in described["paths"].items():
        if "get" not in operations or "{" in path:
            continue
        required = [each for each in operations["get"].get("parameters", ()) if each.get("required")]
        values = {each["name"]: each["example"] for each in required}
        got, head = (
            httpx.request(method, url + path, params=values, timeout=60) for method in ("GET", "HEAD")
        )
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.get("content-type") == got.headers.get("content-type"), path
        options = httpx.options(url + path)
        assert (options.status_code, options.content) == (204, b""), path
        assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["allow"].split(", ")), path
        assert got.headers["access-control-allow-origin"] == "*", path
        asked += 1
    assert asked > 50


def test_every_question_has_an_operation_with_its_parameters(described: dict[str, Any]) -> None:
    catalogue = Catalogue.read(ROOT / "queries")
    for id, question in catalogue.items():
        operation = described["paths"][f"/queries/{id}"]["get"]
        assert operation["summary"] == question.summary
        named = [each["name"] for each in operation["parameters"] if "name" in each]
        rows = "text/csv" in operation["responses"]["200"]["content"]
        common = ["lang", "limit", "cursor", "format"] if rows else ["lang", "format"]
        assert named == [*question.parameters, *common]
    weight = described["paths"]["/queries/doses-for-body-weight"]["get"]["parameters"][0]
    pattern = re.compile(weight["schema"]["pattern"])
    assert all(pattern.search(text) for text in ("70", "62.5", "", ".5", "+1."))
    assert not any(pattern.search(text) for text in ("0", "-1", "0.0", "heavy", "1e3", "7 0"))


def test_a_snapshot_completes_the_description_with_its_values_and_a_real_answer(
    url: str, described: dict[str, Any]
) -> None:
    findings = described["paths"]["/queries/findings"]["get"]
    severity = findings["parameters"][1]
    assert severity["schema"]["enum"] == ["", "stroma:SeverityMajor", "stroma:SeverityMinor"]
    assert "stroma:SeverityMajor (major discrepancy)" in severity["description"]
    for path, operations in described["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if path.startswith("/queries/") and "example" in content.get("application/json", {}):
            example = content["application/json"]["example"]
            jsonschema.validate(example, content["application/json"]["schema"])
            answer = httpx.get(url + path, params={"limit": 2}).json()
            assert answer == example
            if example["next"]:
                assert httpx.get(url + example["next"]).json()["offset"] == 2


def test_what_is_described_is_named_once_and_can_be_resolved(described: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(described["components"]["schemas"]["Problem"])
    ids = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))
    assert {"/sparql", "/graphs", "/graphs/{name}", "/queries", "/why", "/dump", "/health"} <= set(
        described["paths"]
    )
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described))):
        found: Any = described
        for part in reference.split("/"):
            found = found[part]
    assert '"422":' not in json.dumps(described)


def test_the_versions_named_are_those_that_answer(url: str, described: dict[str, Any]) -> None:
    for version in described["components"]["parameters"]["version"]["schema"]["enum"]:
        assert httpx.get(f"{url}/health", params={"version": version}).status_code == 200


@pytest.mark.parametrize(
    ("path", "type"),
    [
        ("/queries/routes?format=", "usual"),
        ("/queries/routes.csv", "text/csv; charset=utf-8"),
        ("/queries/routes.srx?format=xml", "application/sparql-results+xml"),
        ("/queries/routes.rq", "application/sparql-query"),
    ],
)
def test_a_questions_address_may_end_in_a_format(url: str, path: str, type: str) -> None:
    usual = "application/json"
    assert httpx.get(url + path).headers["content-type"] == (usual if type == "usual" else type)


def test_a_question_by_two_formats_is_refused(url: str) -> None:
    assert httpx.get(f"{url}/queries/routes.csv?format=json").status_code == 400
    assert httpx.get(f"{url}/queries/nothing.csv").status_code == 404
