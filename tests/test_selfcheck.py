"""`kg selfcheck` tells a good endpoint from a poor one, says why, and no endpoint can harm it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from kg.errors import UsageError
from kg.selfcheck import ASPECTS, Verdict, selfcheck
from kg.terms import ROOT
from tests.peers import free_port


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kg", "selfcheck", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def missed(verdict: Verdict) -> dict[str, str]:
    """What did not get all of its points, with the reason."""
    return {each.name: each.reason for each in verdict.findings if each.points < each.of}


@pytest.fixture(scope="module")
def oxigraph() -> Iterator[str]:
    """A server that is not ours: Oxigraph's, with one statement."""
    port = free_port()
    command = [str(ROOT / ".venv" / "bin" / "oxigraph"), "serve", "--bind", f"127.0.0.1:{port}"]
    typed = {"Content-Type": "application/n-quads"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                try:
                    store = f"http://127.0.0.1:{port}/store"
                    httpx.post(store, content=b"<urn:s> <urn:p> <urn:o> .", headers=typed)
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/query"
        finally:
            server.terminate()


def test_our_endpoint_scores_high_and_what_is_missing_is_known(site: str) -> None:
    verdict = selfcheck(f"{site}/sparql")
    assert verdict.score >= 97
    assert verdict.rank == "A"
    # The graphs name the endpoint by its lasting address; this server is another one.
    assert list(missed(verdict)) == ["its own graphs name this address"]
    assert "https://w3id.org/stroma/sparql" in missed(verdict)["its own graphs name this address"]
    skipped = {each.name for each in verdict.findings if not each.counts}
    assert skipped == {"is reached by TLS", "its names lead to data"}
    assert 40 < verdict.requests < 80


def test_a_foreign_endpoint_gets_points_for_what_it_has_and_reasons_for_what_it_lacks(oxigraph: str) -> None:
    verdict = selfcheck(oxigraph)
    assert verdict.answers
    assert verdict.aspect("availability") == 100
    assert verdict.aspect("freshness") == 0
    lacks = missed(verdict)
    assert lacks["has VoID at its well-known address"] == "HTTP 404"
    assert lacks["says its licence"] == "no dcterms:license"
    assert "SPARQL 1.1" not in lacks
    assert "results in every standard format" not in lacks
    assert verdict.rank == "C"


def test_the_command_fails_where_the_score_is_too_low(oxigraph: str) -> None:
    done = run(oxigraph, "--least", "90", "--format", "json")
    assert done.returncode == 7
    told = json.loads(done.stdout)
    assert set(told["aspects"]) == set(ASPECTS)
    assert told["score"] < 90
    assert f"scores {told['score']:.1f}, below the 90" in done.stderr
    assert run(oxigraph, "--least", "20").returncode == 0


def test_where_nothing_answers_the_command_says_so_and_asks_once() -> None:
    url = f"http://127.0.0.1:{free_port()}/sparql"
    verdict = selfcheck(url)
    assert (verdict.score, verdict.rank, verdict.answers, verdict.requests) == (0, "E", False, 1)
    done = run(url)
    assert done.returncode == 7
    assert "does not answer" in done.stderr


@pytest.mark.parametrize("url", ["sparql", "ftp://example.org/sparql", "http:///sparql", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="https://host/sparql"):
        selfcheck(url)


# --------------------------------------------------------------------------- endpoints that mean harm


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does this to every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(65536)
                    answer(connection)
                except OSError:
                    return  # the client left, as it should

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/sparql"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def says(content_type: str, body: bytes, more: str = "") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}Connection: close\r\n\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/turtle\r\n\r\n")
    while True:
        connection.sendall(b"# more\n" * 10_000)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


def silent(connection: socket.socket) -> None:
    connection.recv(1)


BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><rdf:RDF>&b;</rdf:RDF>'


@pytest.mark.parametrize(
    "answer",
    [
        endless,
        dripping,
        silent,
        says("application/sparql-results+json", b"[" * 100_000),
        says("application/sparql-results+json", b'{"boolean": true, "results": {"bindings": [1, null]}}'),
        says("application/rdf+xml", BOMB),
        says("text/turtle", b"[" * 200_000),
        says("text/turtle", b"\xff\xfe\x00"),
        says("text/csv", b"\x00" * 1000, "Content-Encoding: gzip\r\n"),
        says("text/html", b'<script type="application/ld+json">' + b"[" * 100_000 + b"</script>"),
        lambda connection: connection.sendall(b"220 smtp.example.org ESMTP\r\n"),
        lambda connection: connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://\x00/\r\n\r\n"),
    ],
    ids=["endless", "dripping headers", "silent", "nested JSON", "odd JSON", "entity bomb", "nested Turtle",
         "no text", "compressed", "nested JSON-LD", "no HTTP", "broken redirect"],
)  # fmt: skip
def test_a_hostile_endpoint_gets_a_low_score_in_bounded_time(answer: Callable[[socket.socket], None]) -> None:
    with listening(answer) as url:
        started = time.monotonic()
        verdict = selfcheck(url, timeout=0.3, seconds=5)
        assert time.monotonic() - started < 8
    assert verdict.score < 30
    assert all(each.reason for each in verdict.findings)


def test_no_entity_of_a_document_is_read() -> None:
    bomb = BOMB.replace(
        b"<rdf:RDF>&b;</rdf:RDF>",
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="http://x/"><rdf:value>&b;</rdf:value></rdf:Description></rdf:RDF>',
    )
    for document in (bomb, bomb.replace(b"DOCTYPE", b"doctype")):
        with listening(says("application/rdf+xml", document)) as url:
            told = selfcheck(url, timeout=2, seconds=20).text()
        assert "DOCTYPE, which is not read" in told


def test_no_other_host_is_asked_than_the_endpoints_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        elsewhere = f"http://127.0.0.1:{other.getsockname()[1]}/"
        description = (
            f"<#d> a <http://rdfs.org/ns/void#Dataset> ; <http://rdfs.org/ns/void#dataDump> <{elsewhere}a> ; "
            f"<http://rdfs.org/ns/void#exampleResource> <{elsewhere}b> ."
        )

        def answer(connection: socket.socket) -> None:
            turtle = f"Content-Type: text/turtle\r\nContent-Length: {len(description)}\r\n"
            connection.sendall(f"HTTP/1.1 200 OK\r\n{turtle}Connection: close\r\n\r\n{description}".encode())

        def away(connection: socket.socket) -> None:
            head = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())

        for behaviour in (answer, away):
            with listening(behaviour) as url:
                verdict = selfcheck(url, timeout=1, seconds=10)
        assert verdict.requests > 1
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
