"""`kg mcp`: the tools, called by the SDK's own client over stdin and stdout of the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import CallToolResult
from pyoxigraph import RdfFormat, parse

from kg.canned import Catalogue
from kg.snapshot import Snapshot
from kg.terms import ROOT
from tests.expected import expected

Call = Callable[..., CallToolResult]


def environment(snapshot: Snapshot) -> dict[str, str]:
    return {"KG_VAR": str(snapshot.folder.parent.parent), "PATH": os.environ["PATH"]}


@contextmanager
def connected(snapshot: Snapshot, **environ: str) -> Iterator[tuple[Any, Client]]:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "kg", "mcp"], cwd=ROOT, env={**environment(snapshot), **environ}
    )
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(stdio_client(command))) as client,
    ):
        yield portal, client


@pytest.fixture(scope="module")
def session(embedded: Snapshot) -> Iterator[tuple[Any, Client]]:
    with connected(embedded) as both:
        yield both


@pytest.fixture(scope="module")
def call(session: tuple[Any, Client]) -> Call:
    portal, client = session
    return lambda name, **arguments: portal.call(client.call_tool, name, arguments)


def told(result: CallToolResult) -> dict[str, Any]:
    """What a tool gave; its text says the same as its structure."""
    assert not result.is_error, result.content
    given: dict[str, Any] = result.structured_content
    assert json.loads(result.content[0].text) == given  # type: ignore[union-attr]
    return given


def refused(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error
    error: dict[str, Any] = result.structured_content["error"]
    assert json.loads(result.content[0].text)["error"] == error  # type: ignore[union-attr]
    return error


def test_every_tool_says_what_it_takes_gives_and_that_it_only_reads(session: tuple[Any, Client]) -> None:
    portal, client = session
    tools = {tool.name: tool for tool in portal.call(client.list_tools).tools}
    assert set(tools) == {
        "list_questions", "describe_question", "ask_question", "search", "describe_thing", "sparql",
    }  # fmt: skip
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert all("description" in each for each in tool.input_schema["properties"].values())
        assert "total" in tool.output_schema["properties"] or tool.name == "describe_question"


def test_every_question_is_listed_and_answers(call: Call) -> None:
    catalogue = Catalogue.read(ROOT / "queries")
    listed = told(call("list_questions"))
    assert listed["total"] == len(listed["questions"]) == len(catalogue)
    assert {each["id"] for each in told(call("list_questions", topic="dosing"))["questions"]} == {
        id for id, question in catalogue.items() if question.topic == "dosing"
    }
    for id in catalogue:
        due = expected(id)
        answer = told(call("ask_question", id=id, limit=1000))
        assert answer["total"] == len(due), id
        if answer["turtle"] is None:
            assert len(answer["rows"]) == len(due)
            assert list(answer["columns"]) == list(answer["rows"][0]) == list(due[0])


def test_pages_join_by_their_cursor(call: Call) -> None:
    whole = told(call("ask_question", id="effects-in-words", limit=1000))["rows"]
    rows: list[Any] = []
    cursor = ""
    while True:
        page = told(call("ask_question", id="effects-in-words", limit=90, cursor=cursor))
        assert (page["total"], page["offset"]) == (len(whole), len(rows))
        rows += page["rows"]
        if page["cursor"] is None:
            break
        cursor = page["cursor"]
    assert rows == whole


def test_a_question_tells_its_parameters_with_the_values_there_are(call: Call) -> None:
    question = told(call("describe_question", id="findings"))
    severity = question["parameters"][1]
    assert severity["values"] == {
        "stroma:SeverityMajor": "major discrepancy",
        "stroma:SeverityMinor": "minor discrepancy",
    }
    for value in severity["values"]:
        answer = told(call("ask_question", id="findings", parameters={"severity": value}))
        assert answer["total"] > 0
    assert "SELECT ?finding" in question["sparql"]


def test_numbers_and_labels_come_as_asked(call: Call) -> None:
    half = told(call("ask_question", id="doses-for-body-weight", parameters={"weight": 35.0}))
    (row,) = [row for row in half["rows"] if row["group"] == "MSC monotherapy (Yang 2025)"]
    assert row["cellsHigh"] == 35_000_000
    assert half["units"]["cellsHigh"] == "{cells}"
    routes = told(call("ask_question", id="routes", language="zh-Hant"))
    assert [each["route"] for each in routes["rows"]] == ["靜脈給藥", "關節內給藥"]


def test_a_graph_comes_as_turtle_with_its_total(call: Call) -> None:
    part = told(call("ask_question", id="trial-as-a-graph", limit=5))
    assert part["total"] > 100
    assert len(list(parse(part["turtle"].encode(), format=RdfFormat.TURTLE))) == 5


def test_a_thing_is_found_and_described_with_who_says_it(call: Call) -> None:
    found = told(call("search", text="MSC activaton", kinds=["class"], limit=3))
    assert found["corrected"]
    assert found["hits"][0]["curie"] == "stroma:MSCActivation"
    thing = told(call("describe_thing", iri="PR:000000017", language="zh-Hans"))
    assert thing["curie"] == "PR:000000017"
    claims = {
        (claim["claim"], claim["document"], claim["line"])
        for each in thing["statements"]
        if each["predicate"] == "stroma:enhances" and each["value"] == "stroma:MSCActivation"
        for claim in each["claims"]
    }
    assert claims == {("C047", "002", 17)}
    assert any(each["inferred"] for each in thing["statements"])


def test_sparql_gives_rows_a_graph_or_yes_with_the_total(call: Call) -> None:
    classes = "WHERE { ?s a <http://www.w3.org/2002/07/owl#Class> }"
    rows = told(call("sparql", query=f"SELECT DISTINCT ?s {classes}", limit=3))
    assert len(rows["rows"]) == 3 < rows["total"]
    assert told(call("sparql", query="ASK { ?s ?p ?o }"))["boolean"] is True
    graph = told(call("sparql", query=f"CONSTRUCT {classes}"))
    assert graph["total"] == rows["total"]
    assert graph["turtle"].count("owl:Class") == 50


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "said"),
    [
        ("ask_question", {"id": "route"}, "usage", "did you mean routes"),
        ("describe_question", {"id": "route"}, "usage", "did you mean routes"),
        ("list_questions", {"topic": "doses"}, "parameter", "there are: curation"),
        ("ask_question", {"id": "routes", "language": "fr"}, "parameter", "one of en, zh-Hans, zh-Hant"),
        ("ask_question", {"id": "routes", "limit": 0}, "parameter", "limit"),
        ("ask_question", {"id": "routes", "cursor": "x"}, "parameter", "leave the cursor out"),
        ("ask_question", {"id": "routes", "parameters": {"conditon": "x"}}, "parameter", "mean condition"),
        ("ask_question", {}, "parameter", "id"),
        ("search", {"text": "x", "kinds": ["gene"]}, "parameter", "there are: trial"),
        ("describe_thing", {"iri": "macrophge"}, "parameter", "did you mean CL:0000235 (macrophage)"),
        ("describe_thing", {"iri": "trial:NCT00000000"}, "parameter", "the graph knows nothing of"),
        ("sparql", {"query": "SELECT * { ?s ?p }"}, "query-syntax", "line 1, column"),
        ("sparql", {"query": "DELETE WHERE { ?s ?p ?o }"}, "query-refused", "Updates are not allowed"),
        ("sparql", {"query": "SELECT * { SERVICE <http://a/> { ?s ?p ?o } }"}, "query-refused", "SERVICE"),
        ("sparql", {"query": "SELECT * FROM <http://a/> { ?s ?p ?o }"}, "usage", "graph"),
        ("update", {}, "usage", "there are: list_questions"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_kind_with_the_way_out(
    call: Call, name: str, arguments: dict[str, Any], kind: str, said: str
) -> None:
    error = refused(call(name, **arguments))
    assert error["type"] == kind
    assert said in error["detail"]


def test_a_wrong_value_has_near_matches_in_its_structure(call: Call) -> None:
    error = refused(call("ask_question", id="arms-of-a-trial", parameters={"trial": "NCT0369190"}))
    assert error["parameter"] == "trial"
    assert "an instance of stroma:ClinicalStudy" in error["takes"]
    assert error["near"][0].startswith("trial:NCT03691909")
    syntax = refused(call("sparql", query="SELECT * {\n ?s ?p }"))
    assert (syntax["line"], syntax["column"]) == (2, 9)


def test_it_ends_with_its_client_and_writes_nothing_but_the_protocol(embedded: Snapshot) -> None:
    before = set(psutil.Process().children(recursive=True))
    done = subprocess.run(
        [sys.executable, "-m", "kg", "mcp"],
        cwd=ROOT, env=environment(embedded), stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")
    assert {each for each in psutil.Process().children(recursive=True) if each.is_running()} <= before


def test_without_a_graph_it_says_how_to_build_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kg", "mcp"],
        cwd=ROOT, env={"KG_VAR": str(tmp_path), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 5
    assert "kg build" in done.stderr


def test_the_tools_ask_the_engine_of_the_settings(only_in_store: Snapshot) -> None:
    with connected(only_in_store, KG_ENGINE="disk") as (portal, client):
        count = "SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }"
        given = told(portal.call(client.call_tool, "sparql", {"query": count}))
    assert str(only_in_store.quads) in json.dumps(given)
