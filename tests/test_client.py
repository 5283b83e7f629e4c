"""The Python client and `kg ask`: the same answers from a server and from a snapshot in this process."""

from __future__ import annotations

import asyncio
import csv
import inspect
import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pandas
import polars
import psutil
import pytest
from pyoxigraph import RdfFormat, parse

from kg import client as module
from kg.client import Answer, Client
from kg.errors import EndpointError, ParameterError, QuerySyntaxError, SnapshotError, UsageError, VersionGone
from kg.settings import Settings
from kg.snapshot import Snapshot
from tests.expected import expected
from tests.peers import free_port
from tests.test_cli import kg


@pytest.fixture(scope="module")
def here(embedded: Snapshot) -> Iterator[Client]:
    with Client(embedded) as client:
        yield client


@pytest.fixture(scope="module")
def remote(site: str) -> Iterator[Client]:
    with Client(site) as client:
        yield client


@pytest.fixture(params=["here", "remote"])
def client(request: pytest.FixtureRequest) -> Client:
    either: Client = request.getfixturevalue(request.param)
    return either


def test_every_question_is_a_function_that_gives_its_rows(client: Client) -> None:
    assert len(client.questions) >= 60
    for id in client.questions:
        answer = getattr(client, id.replace("-", "_"))()
        due = expected(id)
        assert answer.total == len(answer) == len(list(answer)) == len(due), id
        assert list(answer.columns) == list(answer[0]) == list(due[0]), id


def test_a_snapshot_is_asked_in_the_engine_of_the_settings(only_in_store: Snapshot, here: Client) -> None:
    with Client(only_in_store, settings=Settings(engine="disk")) as on_disk:
        assert list(on_disk.effect_sizes()) == list(here.effect_sizes())


def test_both_ways_give_the_same_answer(here: Client, remote: Client) -> None:
    assert here.questions == remote.questions
    asked = {"weight": 62.5}
    one, other = here.doses_for_body_weight(**asked), remote.doses_for_body_weight(**asked)
    assert list(one) == list(other)
    assert (one.columns, one.units, one.snapshot) == (other.columns, other.units, other.snapshot)


def test_a_function_tells_its_parameters_types_and_columns(client: Client) -> None:
    function = client.trials_started_since
    parameters = inspect.signature(function).parameters
    assert [(each.name, each.default, each.annotation) for each in parameters.values()] == [
        ("since", "2017-01-01", str),
        ("least", 20, int),
        ("condition", "MONDO:0008383", str),
    ]
    assert inspect.signature(function).return_annotation is Answer
    assert inspect.signature(client.doses_for_body_weight).parameters["weight"].default == 70.0
    assert inspect.signature(client.findings).parameters["severity"].annotation == str | None
    said = inspect.getdoc(function) or ""
    assert said.startswith("Which MSC trials in this condition have started since this day")
    assert "since: First day. It takes a date such as 2024-01-31" in said
    assert "participants: Participants" in said
    assert "trials_started_since" in dir(client)


def test_values_are_python_s(client: Client) -> None:
    assert client.trials_started_since(since=date(2020, 1, 1), least=50).total == 1
    assert client.findings(severity=None).total == client.findings().total
    answer = client.doses_for_body_weight(weight=1e2)
    assert {type(row["cellsLow"]) for row in answer} == {float}
    assert {type(row["doses"]) for row in answer} == {int, type(None)}
    assert answer.units["cellsLow"] == "{cells}"
    assert answer[-1] == list(answer)[-1]
    assert answer[1:3] == [answer[1], answer[2]]


def test_pages_are_fetched_as_they_are_read(remote: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(remote.effects_in_words())
    monkeypatch.setattr(module, "_PAGE", 10)
    answer = remote.effects_in_words()
    fetched = []
    more = answer._more
    monkeypatch.setattr(answer, "_more", lambda following: fetched.append(following) or more(following))
    assert len(answer) == len(whole)
    assert answer[25] == whole[25]
    assert len(fetched) == 2
    assert list(answer) == whole
    assert len(fetched) == (len(whole) - 1) // 10


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_an_answer_is_a_frame(client: Client, library: str) -> None:
    answer = client.effect_sizes()
    frame = answer.frame(library)
    assert isinstance(frame, pandas.DataFrame if library == "pandas" else polars.DataFrame)
    assert list(frame.columns) == list(answer.columns)
    assert len(frame) == answer.total
    assert frame["effect"].mean() == pytest.approx(
        sum(row["effect"] for row in answer if row["effect"] is not None)  # type: ignore[misc]
        / sum(row["effect"] is not None for row in answer)
    )
    # Columns of mixed values, and an answer without a row.
    assert len(client.statements_of_a_finding().frame(library)) == 4
    nothing = client.doses_in_cells(weight=70).frame(library)
    assert list(nothing.columns) == list(client.questions["doses-in-cells"].columns)
    with pytest.raises(UsageError, match="there are: pandas, polars"):
        answer.frame("excel")


def test_labels_come_in_the_language_of_the_client(embedded: Snapshot, site: str) -> None:
    for where in (embedded, site):
        with Client(where, language="zh-Hant") as client:
            assert [row["route"] for row in client.routes()] == ["靜脈給藥", "關節內給藥"]
            assert client.search("umbilical cord")[0]["label"] != "umbilical cord"


def test_a_graph_comes_as_turtle_and_as_triples(client: Client) -> None:
    answer = client.trial_as_a_graph(trial="trial:NCT03691909")
    triples = {quad.triple for quad in parse(answer.graph.encode(), format=RdfFormat.TURTLE)}
    assert len(triples) == answer.total > 100
    assert "@prefix trial:" in answer.graph
    assert {row["subject"] for row in answer} == {triple.subject.value for triple in triples}


def test_sparql_and_search_work_as_the_questions_do(client: Client) -> None:
    answer = client.sparql(
        "PREFIX stroma: <https://w3id.org/stroma/ontology/> "
        "SELECT (COUNT(?c) AS ?claims) { ?c a stroma:Claim }"
    )
    assert answer[0]["claims"] > 900  # type: ignore[operator]
    assert client.search("MSC therpy", limit=3)[0]["label"].startswith("MSC therapy")
    with pytest.raises(UsageError, match="only SELECT"):
        client.sparql("ASK {}")


def test_what_is_wrong_is_an_error_of_its_own_kind(client: Client) -> None:
    with pytest.raises(ParameterError, match="did you mean trial:NCT03691909") as refused:
        client.arms_of_a_trial(trial="trial:NCT0369190")
    assert refused.value.parameter == "trial"
    assert refused.value.near[0].startswith("trial:NCT03691909")
    assert "an instance of stroma:ClinicalStudy" in refused.value.takes
    with pytest.raises(ParameterError, match="did you mean trial"):
        client.arms_of_a_trial(trail="trial:NCT03691909")
    with pytest.raises(QuerySyntaxError) as wrong:
        client.sparql("SELECT * {\n ?s ?p }")
    assert (wrong.value.line, wrong.value.column) == (2, 9)
    with pytest.raises(UsageError, match="did you mean routes"):
        client.ask("route")
    with pytest.raises(AttributeError, match="did you mean routes"):
        client.rotes()
    with pytest.raises(ParameterError, match="a text, a number or a date"):
        client.findings(kind=True)


def test_a_server_that_does_not_answer_is_named(site: str) -> None:
    with pytest.raises(EndpointError, match="is a server running there"):
        Client(f"http://127.0.0.1:{free_port()}")

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        with pytest.raises(EndpointError, match="without saying why; is it a Stroma"):
            Client(f"http://127.0.0.1:{other.server_port}")
        other.shutdown()
        thread.join()


def test_a_page_of_a_graph_that_changed_is_gone(remote: Client) -> None:
    cursor = remote._source._get("/queries/routes?limit=1", None, "application/json").json()["cursor"]  # type: ignore[attr-defined]
    with pytest.raises(VersionGone, match="has changed since") as gone:
        remote._source.more(f"/queries/sponsors?cursor={cursor}")
    assert len(gone.value.kept) == 1


def test_a_client_works_where_a_loop_runs_and_leaves_no_process(embedded: Snapshot) -> None:
    before = set(psutil.Process().children(recursive=True))

    async def notebook() -> int:
        with Client(embedded) as client:
            return client.routes().total

    assert asyncio.run(notebook()) == 2
    assert {each for each in psutil.Process().children(recursive=True) if each.is_running()} <= before


def test_a_folder_without_a_graph_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="build it with `kg build`"):
        Client(tmp_path)


# --------------------------------------------------------------------------------------------- kg ask


def test_kg_ask_takes_parameters_by_their_names(embedded: Snapshot, site: str) -> None:
    var = embedded.folder.parent.parent
    one = kg(var, "ask", "doses-for-body-weight", "--weight", "62.5", "--format", "csv")
    assert (one.returncode, one.stderr) == (0, "")
    assert one.stdout == kg(var, "ask", "doses-for-body-weight", "--weight=62.5").stdout
    assert one.stdout == kg(var, "ask", "doses-for-body-weight", "--param", "weight=62.5").stdout
    assert one.stdout == kg(var, "ask", "doses-for-body-weight", "--weight", "62.5", "--url", site).stdout
    rows = list(csv.DictReader(one.stdout.splitlines()))
    assert {row["cellsHigh"] for row in rows if row["group"] == "MSC monotherapy (Yang 2025)"} == {"62500000"}


def test_kg_ask_gives_each_form_and_says_the_total(embedded: Snapshot) -> None:
    var = embedded.folder.parent.parent
    told = json.loads(kg(var, "ask", "routes", "--format", "json", "--lang", "zh-Hans").stdout)
    assert told["total"] == len(told["rows"]) == 2
    assert told["rows"][0]["route"] == "静脉给药"
    table = kg(var, "ask", "routes", "--format", "table").stdout
    assert "intravenous" in table
    assert table.rstrip().endswith("2 rows")
    assert kg(var, "ask", "trial-as-a-graph", "--format", "turtle").stdout.startswith("@prefix")
    assert "effect-sizes  How large" in kg(var, "ask").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["route"], "did you mean routes"),
        (["routes", "--conditon", "MONDO:0008383"], "did you mean condition"),
        (["routes", "--condition", "rheumatoid arthritis"], "mean MONDO:0008383 (rheumatoid arthritis)"),
        (["routes", "--condition"], "--condition has no value"),
        (["routes", "condition"], "as --NAME VALUE"),
        (["routes", "--format", "pdf"], "there are: table, csv, json, turtle"),
        (["routes", "--lang", "fr"], "there are: en, zh-Hans, zh-Hant"),
        (["routes", "--format", "turtle"], "gives rows"),
    ],
)  # fmt: skip
def test_kg_ask_says_what_is_wrong_and_exits_with_2(embedded: Snapshot, words: list[str], said: str) -> None:
    done = kg(embedded.folder.parent.parent, "ask", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
