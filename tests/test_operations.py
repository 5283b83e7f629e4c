"""What operators have: figures, a log, health, a polite limit for clients that ask too often."""

from __future__ import annotations

import json
import logging
import queue
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kg.engine import query_hash
from kg.errors import UsageError
from kg.settings import Settings
from kg.snapshot import Snapshot
from kg.terms import ROOT
from kg.web.logs import JsonLines, _Queue, written_to
from kg.web.rates import Rates
from kg.web.watching import coarse
from tests.peers import free_port, whole_site

SMALL = "SELECT ?x { <https://example.org/n7> ?p ?x }"
SECRET = "SELECT ?x { ?x ?p 'a name that nobody should read' }"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.jsonl"


@pytest.fixture(scope="module")
def url(tiny: Snapshot, log: Path) -> Iterator[str]:
    """A server with everything, on the tiny snapshot, that logs to a file."""
    with whole_site(tiny, log=str(log), workers=1, query_seconds=1.0) as address:
        yield address


def figures(url: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Name of a sample -> its labels -> its value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(found: dict[str, Any], sample: str, /, **labels: str) -> float:
    return float(found.get(sample, {}).get(tuple(sorted(labels.items())), 0))


def lines(log: Path, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines of the log that are wanted, once there is one."""
    for _ in range(250):
        found = [line for line in map(json.loads, log.read_text().splitlines()) if wanted(line)]
        if found:
            return found
        time.sleep(0.02)
    return []


# ------------------------------------------------------------------------------------------ metrics


def test_requests_are_counted_by_route_and_status(url: str) -> None:
    before = figures(url)
    httpx.get(f"{url}/sparql", params={"query": SMALL})
    httpx.get(f"{url}/sparql", params={"query": "nonsense"})
    httpx.head(f"{url}/queries/routes")
    httpx.get(f"{url}/no/such/thing")
    after = figures(url)

    def more(sample: str, **labels: str) -> float:
        return value(after, sample, **labels) - value(before, sample, **labels)

    total = "stroma_requests_total"
    assert more(total, method="GET", route="/sparql", status="200") == 1
    assert more(total, method="GET", route="/sparql", status="400") == 1
    assert more(total, method="HEAD", route="/queries/routes", status="200") == 1
    assert sum(count for labels, count in after[total].items() if ("status", "404") in labels) >= 1
    assert more("stroma_request_seconds_count", route="/sparql") == 2
    assert more("stroma_answers_total", outcome="complete") >= 1


def test_figures_tell_snapshot_workers_and_memory(url: str, tiny: Snapshot) -> None:
    found = figures(url)
    assert value(found, "stroma_snapshot_info", name=tiny.name, version=tiny.version) == 1
    assert value(found, "stroma_snapshot_quads") == tiny.quads
    assert value(found, "stroma_ready") == 1
    assert value(found, "stroma_workers", state="idle") + value(found, "stroma_workers", state="busy") == 1
    for process in ("server", "keeper", "workers"):
        assert value(found, "stroma_memory_bytes", process=process) > 2**20
    assert value(found, "process_open_fds") > 3


def test_late_queries_and_replaced_workers_are_counted(url: str) -> None:
    before = figures(url)
    endless = "SELECT * { ?a ?o ?x . ?b ?p ?y . ?c ?q ?z } ORDER BY ?x ?y ?z"
    assert httpx.get(f"{url}/sparql", params={"query": endless}, timeout=20).status_code == 503
    after = figures(url)
    for name, labels in (
        ("stroma_answers_total", {"outcome": "query-timeout"}),
        ("stroma_workers_replaced_total", {"why": "deadline"}),
    ):
        assert value(after, name, **labels) == value(before, name, **labels) + 1


def test_what_the_cache_was_asked_for_is_counted(url: str) -> None:
    asked = {"query": "SELECT * { <https://example.org/t1> ?p ?o } # counted"}

    def outcomes() -> tuple[float, float]:
        found = figures(url)
        hits, misses = (
            value(found, "stroma_cache_answers_total", outcome=each) for each in ("hits", "misses")
        )
        return hits, misses

    hits, misses = outcomes()
    for _ in range(3):
        httpx.get(f"{url}/sparql", params=asked).raise_for_status()
    assert outcomes() == (hits + 2, misses + 1)


def test_no_request_can_add_a_label(url: str) -> None:
    for number in range(30):
        httpx.get(f"{url}/made-up/{number}")
        httpx.get(f"{url}/made-up-{number}", headers={"User-Agent": f"agent {number}"})
        httpx.get(f"{url}/sparql", params={"query": f"SELECT ({number} AS ?x) {{}}"})
        httpx.request(f"VERB{number}"[:5], f"{url}/")
    labels = {pair for samples in figures(url).values() for found in samples for pair in found}
    assert not [pair for pair in labels if "made-up" in pair[1] or "agent" in pair[1] or "SELECT" in pair[1]]
    assert {pair[1] for pair in labels if pair[0] == "method"} <= {"GET", "HEAD", "POST", "OPTIONS", "other"}


def test_figures_are_given_in_the_form_that_is_asked_for(url: str) -> None:
    plain = httpx.get(f"{url}/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert plain.headers["cache-control"] == "no-store"
    opened = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")


# ---------------------------------------------------------------------------------------------- log


def test_a_request_is_logged_with_its_outcome_and_its_querys_hash(
    url: str, log: Path, tiny: Snapshot
) -> None:
    answer = httpx.get(f"{url}/sparql", params={"query": SMALL})
    (line, *_) = lines(log, lambda line: line.get("query") == query_hash(SMALL))
    assert line["logger"] == "kg.access"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/sparql", 200)
    assert (line["outcome"], line["bytes"], line["snapshot"]) == ("complete", len(answer.content), tiny.name)
    assert line["milliseconds"] > 0
    assert line["client"] == "127.0.0.0/24"


def test_the_log_holds_no_querys_text_and_no_parameters(url: str, log: Path) -> None:
    httpx.get(f"{url}/sparql", params={"query": SECRET})
    httpx.post(f"{url}/sparql", data={"query": SECRET})
    assert len(lines(log, lambda line: line.get("query") == query_hash(SECRET))) >= 1
    assert "nobody should read" not in log.read_text()


def test_a_failed_request_is_logged_with_its_problem(url: str, log: Path) -> None:
    text = "SELECT * { SERVICE <http://evil.example/> { ?s ?p ?o } }"
    httpx.get(f"{url}/sparql", params={"query": text})
    (line, *_) = lines(log, lambda line: line.get("query") == query_hash(text))
    assert (line["status"], line["problem"]) == (403, "query-refused")


def test_a_client_that_leaves_is_logged_as_gone(url: str, log: Path) -> None:
    text = "SELECT * { ?a ?o ?x . ?b ?p ?y . ?c ?q ?z } ORDER BY ?x ?y ?z ?a"
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{url}/sparql", params={"query": text}, timeout=0.3)
    (line, *_) = lines(log, lambda line: line.get("query") == query_hash(text))
    assert line["status"] == 499


@pytest.mark.parametrize(
    "evil", ["/x%0a%7B%22event%22:%22forged%22%7D", "/x%1b%5b2J", "/x%e2%80%ae", "/x%0d%0a", "/x%00"]
)
def test_no_request_can_write_a_line_of_its_own(url: str, log: Path, evil: str) -> None:
    httpx.get(url + evil)
    assert lines(log, lambda line: str(line.get("path", "")).startswith("/x"))
    text = log.read_bytes()
    assert re.search(rb"[^\x20-\x7e\n]", text) is None  # ASCII, no control character
    assert all(json.loads(line)["event"] != "forged" for line in text.splitlines())


def test_settings_say_what_the_log_tells_of_clients_and_queries(tiny: Snapshot, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with whole_site(tiny, log=str(file), log_clients="whole", log_queries="text") as url:
        httpx.get(f"{url}/sparql", params={"query": SMALL})
        (line, *_) = lines(file, lambda line: line.get("query") == query_hash(SMALL))
    assert (line["client"], line["text"]) == ("127.0.0.1", SMALL)
    assert "engine ready" in [json.loads(line)["event"] for line in file.read_text().splitlines()]


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with written_to(str(file)):
        logging.getLogger("kg.test").info("first")
        for _ in range(100):
            if file.read_text():
                break
            time.sleep(0.01)
        file.rename(tmp_path / "log.jsonl.1")
        logging.getLogger("kg.test").info("second")
    assert [json.loads(file.read_text())["event"]] == ["second"]


def test_a_log_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="KG_LOG"), written_to(str(tmp_path / "no" / "log")):
        pass


def test_a_reader_that_stands_still_does_not_stop_the_server() -> None:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(2)
    ours = _Queue(waiting)
    for number in range(5):
        ours.handle(logging.LogRecord("kg", logging.INFO, "", 0, f"line {number}", (), None))
    assert (waiting.qsize(), ours.dropped) == (2, 3)
    waiting.get()
    waiting.get()
    ours.handle(logging.LogRecord("kg", logging.INFO, "", 0, "line 5", (), None))
    told = json.loads(JsonLines().format(waiting.get()))
    assert (told["event"], told["lines"]) == ("log lines dropped", 3)


@given(st.text(), st.text())
def test_a_log_line_is_one_line_of_ascii_that_reads_back(event: str, field: str) -> None:
    record = logging.LogRecord("kg", logging.INFO, "", 0, event, (), None)
    record.field = field
    line = JsonLines().format(record)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["field"] == field


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("/run/socket", "unknown"),
    ],
)
def test_a_coarse_address_names_no_person(address: str, network: str) -> None:
    assert coarse(address) == network


# -------------------------------------------------------------------------------------- clients, stop


def test_a_client_that_asks_too_often_is_told_when_to_come_back(serve: Any) -> None:
    url = serve(client_rate=0.5, client_burst=3)
    answers = [httpx.get(f"{url}/sparql", params={"query": "ASK {}"}) for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert answers[3].json()["type"].endswith("too-many-requests")
    assert 1 <= int(answers[3].headers["retry-after"]) <= 2
    # Whoever watches the server is let in all the same.
    assert httpx.get(f"{url}/health/live").status_code == 200
    assert value(figures(url), "stroma_requests_total", method="GET", route="none", status="429") == 2


def test_a_bucket_fills_at_its_rate_and_is_one_clients_own() -> None:
    rates = Rates(rate=2, burst=2)
    assert [rates.wait("192.0.2.1", 0.0) for _ in range(3)] == [0, 0, 0.5]
    assert rates.wait("192.0.2.2", 0.0) == 0
    assert rates.wait("192.0.2.1", 0.5) == 0
    assert rates.wait("192.0.2.1", 0.5) == 0.5
    # One customer of an IPv6 provider has 64 bits of addresses, and is one client.
    assert [rates.wait(f"2001:db8::{number}", 0.0) for number in range(3)] == [0, 0, 0.5]
    assert Rates(0, 1).wait("192.0.2.1", 0.0) == 0


def test_only_so_many_clients_are_remembered() -> None:
    rates = Rates(rate=1, burst=1)
    for number in range(10_100):
        rates.wait(f"192.0.{number // 256}.{number % 256}", 0.0)
    assert len(rates._buckets) == 10_000


@pytest.mark.parametrize(("name", "word"), [("log_clients", "some"), ("log_queries", "yes")])
def test_a_word_that_is_no_setting_is_refused(name: str, word: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is '{word}'"):
        Settings.from_environ({f"KG_{name.upper()}": word})


def test_a_stop_lets_the_answer_in_progress_end(tiny: Snapshot) -> None:
    port = free_port()
    program = (
        "from pathlib import Path; from kg.settings import Settings; from kg.web.app import run\n"
        "from kg.snapshot import open_snapshot\n"
        f"snapshot = open_snapshot(Path({str(tiny.folder)!r}))\n"
        f"run(snapshot, Settings(port={port}), on_ready=lambda _: print('ready', flush=True))"
    )
    number = "<https://example.org/number>"
    query = f"SELECT ?a ?b {{ ?a {number} ?x . ?b {number} ?y }} LIMIT 300000"
    asked = {"params": {"query": query}, "headers": {"Accept": "text/csv", "Accept-Encoding": "identity"}}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        with httpx.stream("GET", f"http://127.0.0.1:{port}/sparql", **asked) as response:  # type: ignore[arg-type]
            pieces = response.iter_bytes()
            first = next(pieces)
            server.terminate()
            whole = first + b"".join(pieces)
        server.communicate(timeout=20)
    assert whole.count(b"\n") == 300_001
    assert server.returncode == 0
