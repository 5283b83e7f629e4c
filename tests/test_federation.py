"""SERVICE: a second instance of ours answers for real, and strangers that answer badly hurt nobody."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape, quoteattr

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pyoxigraph import (
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    QueryResultsFormat,
    RdfFormat,
    Store,
    parse,
)
from rdflib import Graph, URIRef

from kg.engine import Answer, Dataset, Figures, Limits, answers, broker, query_hash
from kg.engine.federation import Federation
from kg.engine.formats import BY_KEY
from kg.engine.memory import MemoryEngine
from kg.engine.remote import RemoteEngine
from kg.errors import QueryFailed, QueryRefused, QuerySyntaxError, QueryTimeout, ServerBusy, ServiceFailed
from kg.services import networks
from kg.snapshot import Snapshot, publish, write_snapshot
from kg.terms import ROOT
from tests.peers import free_port, ours, whole_site
from tests.test_isolation import alive, eventually
from tests.w3c.__main__ import SUITE
from tests.w3c.results import difference, read
from tests.w3c.suite import Case, cases, quads

EX = "https://example.org/"
HERE = f"{EX}here"
THERE = f"{EX}there"
PREFIX = f"PREFIX ex: <{EX}>\n"
NOWHERE = "http://127.0.0.1:9/sparql"  # the port of the discard service, where nobody listens


def snapshot(folder: Path, lines: Sequence[str]) -> Snapshot:
    return write_snapshot(parse("\n".join(lines), format=RdfFormat.N_QUADS), folder, version="2026-11-22")


def triples(graph: str) -> list[str]:
    """What each side knows: people, whom they know, and numbers; some on both sides, some on one."""
    (shift,) = {HERE: [0], THERE: [3]}[graph]
    lines = []
    for number in range(shift, shift + 6):
        person = f"<{EX}p{number}>"
        lines += [
            f"{person} <{EX}knows> <{EX}p{number + 1}> <{graph}> .",
            f'{person} <{EX}age> "{20 + number % 4}"^^<http://www.w3.org/2001/XMLSchema#integer> <{graph}> .',
            f'{person} <{EX}name> "人 {number}"@zh <{graph}> .',
        ]
        if number % 2:
            lines.append(f'{person} <{EX}nick> "n\\"\\\\\\n{number}" <{graph}> .')
    return lines


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot(tmp_path_factory.mktemp("here"), triples(HERE))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second instance of ours, in processes of its own; its /sparql."""
    with ours(snapshot(tmp_path_factory.mktemp("there"), triples(THERE))) as address:
        yield f"{address}/sparql"


def limits(services: Sequence[str], **more: Any) -> Limits:
    return Limits(services=frozenset(networks(services)), **more)


Rows = Counter[frozenset[tuple[str, str]]]


def bag(results: bytes) -> Rows:
    """Rows of SPARQL JSON as a bag: each a set of column and term."""
    rows = json.loads(results)["results"]["bindings"]
    return Counter(
        frozenset((name, json.dumps(term, sort_keys=True)) for name, term in row.items()) for row in rows
    )


class Asked:
    """An engine that may ask some endpoints, running between tests."""

    def __init__(
        self, runner: asyncio.Runner, engine: MemoryEngine, federation: Federation, figures: Figures
    ) -> None:
        self.engine, self.federation, self.figures = engine, federation, figures
        self.run = runner.run

    async def answer(self, query: str, bounds: Limits) -> Answer:
        return await self.engine.query(PREFIX + query, accept=BY_KEY["json"], limits=bounds)

    async def rows(self, query: str, bounds: Limits) -> Rows:
        return bag(await (await self.answer(query, bounds)).read())


@contextmanager
def running(here: Snapshot, services: Sequence[str], *, queries: int = 8, **sizes: Any) -> Iterator[Asked]:
    """An engine and its broker, of which nothing is left afterwards."""
    figures = Figures()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Asked:
            federation = Federation(services, queries=queries, figures=figures)
            await stack.enter_async_context(federation)
            engine = MemoryEngine(here, federation=federation, figures=figures, **sizes)
            await stack.enter_async_context(engine)
            return Asked(runner, engine, federation, figures)

        asked = runner.run(start())
        try:
            yield asked
        finally:
            pids = [asked.federation.broker_pid or 0, *asked.engine.pids]
            runner.run(stack.aclose())
    assert eventually(lambda: not any(alive(pid) for pid in pids))


@pytest.fixture(scope="module")
def asked(here: Snapshot, there: str) -> Iterator[Asked]:
    with running(here, [there, NOWHERE]) as started:
        yield started


# ------------------------------------------------------------------------------- what a query means


def in_one_store(query: str) -> Rows:
    """What a query has to give, by an evaluator that has both sides as graphs of one store."""
    store = Store()
    for quad in parse("\n".join(triples(HERE)), format=RdfFormat.N_QUADS):
        store.add(Quad(quad.subject, quad.predicate, quad.object, DefaultGraph()))
    store.extend(parse("\n".join(triples(THERE)), format=RdfFormat.N_QUADS))
    result = store.query(PREFIX + query.replace("SERVICE <there>", f"GRAPH <{THERE}>"))
    written = result.serialize(format=QueryResultsFormat.JSON)  # type: ignore[union-attr]
    assert written is not None
    return bag(written)


# Each place where a SERVICE clause may stand, and what may stand in it.
QUERIES = [
    "SELECT * { ?s ex:age ?a SERVICE <there> { ?s ex:name ?n } }",
    "SELECT * { SERVICE <there> { ?s ex:name ?n } ?s ex:age ?a }",
    "SELECT ?s ?n { ?s ex:age ?a OPTIONAL { SERVICE <there> { ?s ex:name ?n } } }",
    "SELECT * { ?s ex:age ?a OPTIONAL { SERVICE <there> { ?s ex:name ?n } FILTER(?a > 21) } }",
    "SELECT * { { ?s ex:age ?a } UNION { SERVICE <there> { ?s ex:age ?a } } }",
    "SELECT * { ?s ex:age ?a MINUS { SERVICE <there> { ?s ex:age ?a } } }",
    "SELECT * { ?s ex:age ?a { SELECT ?s (COUNT(?o) AS ?c) { SERVICE <there> { ?s ?p ?o } } GROUP BY ?s } }",
    "SELECT * { ?s ex:age ?a SERVICE <there> { SELECT ?s (COUNT(?o) AS ?c) { ?s ?p ?o } GROUP BY ?s } }",
    "SELECT * { ?s ex:knows ?t SERVICE <there> { ?s ex:age ?x } SERVICE <there> { ?t ex:age ?y } }",
    "SELECT * { SERVICE <there> { ?s ex:age ?a FILTER(?a > 21) OPTIONAL { ?s ex:nick ?k } } }",
    "SELECT * { SERVICE <there> { ?s ex:age ?a . FILTER NOT EXISTS { ?s ex:nick ?k } } }",
    "SELECT * { ?s ex:age ?a SERVICE <there> { { ?s ex:name ?n } UNION { ?s ex:nick ?k } } }",
    "SELECT * { VALUES ?s { ex:p3 ex:p4 } SERVICE <there> { ?s ex:name ?n } BIND(STR(?n) AS ?t) }",
    "SELECT (COUNT(*) AS ?c) { ?s ex:age ?a SERVICE <there> { [] ex:age ?a } }",
    "SELECT ?a (GROUP_CONCAT(STR(?s)) AS ?all) { SERVICE <there> { ?s ex:age ?a } FILTER(?a > 20) } "
    "GROUP BY ?a HAVING(COUNT(*) = 1)",
    "SELECT * { ?s ex:age ?a SERVICE <there> { ex:p3 ex:age 23 } }",
    "SELECT * { ?s ex:age ?a SERVICE <there> { ex:p3 ex:age 99 } }",
    "SELECT * { ?s ex:age ?a SERVICE <there> { } }",
    "SELECT * { ?s ex:age ?a SERVICE <there> { ex:p3 ex:knows [] } }",
    "SELECT * { SERVICE <there> { ?s ex:knows+/ex:age ?x } FILTER EXISTS { ?s ex:age ?y } }",
    "SELECT DISTINCT ?k { SERVICE <there> { ?s ex:nick ?k } FILTER(CONTAINS(?k, '\"')) }",
    "SELECT * { { SERVICE <there> { $s ex:age $a } } { ?s ex:knows ?t } } ORDER BY ?s VALUES ?a { 22 23 }",
    # Where values that stand beside a clause must not narrow it, or not by all of what stands there.
    "SELECT * { SERVICE <there> { ?s ex:age ?a } BIND(COALESCE(?a, 23) AS ?b) "
    "SERVICE <there> { ?t ex:age ?b } }",
    "SELECT * { SERVICE <there> { ?s ex:knows ?x } OPTIONAL { ?s ex:knows ?x . ?x ex:age ?y } "
    "SERVICE <there> { ?x ex:name ?n } }",
    "SELECT * { ?s ex:age ?a SERVICE <there> { ?a ^ex:age ?t } MINUS { ?s ex:knows ?t } "
    "SERVICE <there> { ?s ex:name ?n } }",
    "SELECT * { ?s ex:age ?a OPTIONAL { ?s ex:knows ?t SERVICE <there> { ?t ex:nick ?k } } "
    "SERVICE <there> { ?t ex:age ?b } }",
    "SELECT * { ?s ex:nick ?k OPTIONAL { SERVICE <there> { ?s ex:age ?a OPTIONAL { ?s ex:nick ?k } } "
    "FILTER(BOUND(?k)) } }",
    "SELECT * { ?s ex:nick ?k { SERVICE <there> { ?s ex:name ?n OPTIONAL { ?s ex:none ?k } } "
    "FILTER(!BOUND(?k)) } }",
    "SELECT * { ?s ex:nick ?k MINUS { SERVICE <there> { ?t ex:name ?n OPTIONAL { ?t ex:none ?k } } } }",
    "SELECT * { ?s ex:nick ?k { SELECT ?n { SERVICE <there> { ?s ex:name ?n } } } }",
    "SELECT * { ?s ex:nick ?k { SELECT ?n WHERE { SERVICE <there> { ?s ex:name ?n } } } }",
    "SELECT * { SERVICE <there> { ?s ex:age ?a } OPTIONAL { ?s ex:knows ?t } ?t ex:age ?b }",
    "SELECT * { ?s ex:knows ?t FILTER(?a = 23) SERVICE <there> { ?t ex:age ?a } }",
    "SELECT * { { SELECT ?s { ?s ex:age ?a } ORDER BY ?s LIMIT 5 } SERVICE <there> { ?s ex:name ?n } }",
    "SELECT * { SERVICE <there> { ?s ex:age ?a MINUS { ?s ex:age 23 } } OPTIONAL { SERVICE <there> "
    "{ ?s ex:nick ?k } SERVICE <there> { ?s ex:knows ?t } OPTIONAL { ?t ex:name ?n } } }",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_clause_gives_what_the_standard_says_wherever_it_stands(
    asked: Asked, there: str, query: str
) -> None:
    got = asked.run(asked.rows(query.replace("<there>", f"<{there}>"), limits([there])))
    assert got == in_one_store(query)
    assert got or "99" in query


@st.composite
def patterns(draw: st.DrawFn, depth: int = 2) -> str:
    """A pattern over few variables, so that clauses meet in them."""
    variable = st.sampled_from(["?a", "?b", "?c", "?d"])
    subject = st.one_of(variable, st.sampled_from(["ex:p3", "ex:p5"]))
    triple = st.builds(
        "{} {} {} .".format,
        subject,
        st.sampled_from(["ex:knows", "ex:age", "ex:nick", "^ex:knows"]),
        variable,
    )
    if depth == 0:
        return draw(triple)
    inner = patterns(depth=depth - 1)
    return draw(
        st.one_of(
            triple,
            st.builds("{} {}".format, inner, inner),
            st.builds("{} OPTIONAL {{ {} }}".format, inner, inner),
            st.builds("{{ {} }} UNION {{ {} }}".format, inner, inner),
            st.builds("{} MINUS {{ {} }}".format, inner, inner),
            st.builds("{} FILTER({} != ex:p4)".format, inner, variable),
            st.builds("{} FILTER(BOUND({}))".format, inner, variable),
            st.builds("{{ SELECT {} {} {{ {} }} }}".format, st.just("DISTINCT"), variable, inner),
            st.builds("VALUES (?a ?b) {{ (UNDEF ex:p4) (ex:p3 UNDEF) }} {}".format, inner),
        )
    )


@st.composite
def federated(draw: st.DrawFn) -> str:
    """A query with one to three clauses, in any place where they may stand."""
    here = patterns(depth=1)
    clause = st.builds("SERVICE <there> {{ {} }}".format, patterns(depth=1))
    parts = draw(
        st.lists(
            st.one_of(
                here,
                clause,
                st.builds("OPTIONAL {{ {} {} }}".format, here, clause),
                st.builds("OPTIONAL {{ {} }}".format, clause),
                st.builds("{{ {} }} UNION {{ {} }}".format, here, clause),
                st.builds("MINUS {{ {} }}".format, clause),
                st.builds("{{ {} }} UNION {{ {} }}".format, clause, clause),
                st.builds("{{ SELECT DISTINCT ?a ?c {{ {} {} }} }}".format, clause, here),
                st.builds("{{ {} {} FILTER(BOUND(?b) || ?c != ?d) }}".format, clause, here),
                st.builds("OPTIONAL {{ {} FILTER(!BOUND(?a)) }}".format, here),
                st.builds("OPTIONAL {{ {} FILTER(BOUND(?d)) }}".format, clause),
                st.builds("MINUS {{ {} {} }}".format, here, clause),
                st.just("{ SELECT (COALESCE(?b, ex:p4) AS ?a) { OPTIONAL { ?b ex:knows ex:p9 } } }"),
                st.sampled_from(["FILTER(?a = ?b)", "FILTER(!BOUND(?c))", "FILTER EXISTS { ?a ?p ?b }"]),
                st.just("VALUES (?a ?b) { (ex:p3 UNDEF) (ex:p4 ex:p5) }"),
            ),
            min_size=1,
            max_size=4,
        )
    )
    return f"SELECT * {{ {' '.join(parts)} }}"


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(federated())
def test_any_query_means_what_it_means_in_one_store(asked: Asked, there: str, query: str) -> None:
    got = asked.run(asked.rows(query.replace("<there>", f"<{there}>"), limits([there])))
    assert got == in_one_store(query)


@pytest.mark.parametrize(
    "query",
    [
        "BASE <https://example.org/> SELECT * { SERVICE <there> { <p3> <age> ?a } }",
        "BASE <https://example.org/x/> BASE <../> PREFIX e: <> SELECT * { SERVICE <there> "
        "{ e:p3 e:age ?a } }",
        "PREFIX e: <https://example.org/> PREFIX e: <https://example.org/p> SELECT * { SERVICE <there> "
        "{ e:3 ex:age ?a } }",
        "# SERVICE is what follows\nSELECT * # all\n{ SERVICE # of\n<there> # that\n{ # one\n"
        "ex:p3 ex:age ?a # this }\n} }",
        "SELECT*{SERVICE<there>{ex:p3 ex:age?a}}",
        "SELECT * { service silent <there> { ex:p3 ex:age ?a FILTER(\"}\" != '{') } }",
        "PREFIX t: <there> SELECT * { SERVICE t: { ex:p3 ex:age ?a } }",
        "PREFIX exists: <https://example.org/> PREFIX graph: <https://example.org/> "
        "SELECT * { { SERVICE <there> { graph:p3 exists:age ?a } } }",
    ],
)
def test_prefixes_base_comments_and_spelling_reach_the_endpoint(asked: Asked, there: str, query: str) -> None:
    got = asked.run(asked.rows(query.replace("<there>", f"<{there}>"), limits([there])))
    (row,) = got
    assert dict(row) == {
        "a": json.dumps(
            {"datatype": "http://www.w3.org/2001/XMLSchema#integer", "type": "literal", "value": "23"}
        )
    }


def test_a_relative_iri_without_base_means_the_same_on_both_sides(asked: Asked, there: str) -> None:
    query = f"SELECT ?here ?there {{ BIND(<x> AS ?here) SERVICE <{there}> {{ BIND(<x> AS ?there) }} }}"
    ((here, other),) = asked.run(asked.rows(query, limits([there])))
    assert here[1] == other[1]


def test_every_form_of_query_may_ask(asked: Asked, there: str) -> None:
    async def claim() -> None:
        clause = f"SERVICE <{there}> {{ ex:p3 ex:age ?a }}"
        bounds = limits([there])
        answer = await asked.answer(f"ASK {{ {clause} }}", bounds)
        assert json.loads(await answer.read())["boolean"] is True
        for form in (
            f"CONSTRUCT {{ ex:x ex:y ?a }} {{ {clause} }}",
            f"DESCRIBE ?s {{ ?s ex:age ?a {clause} }}",
        ):
            graph = await asked.engine.query(PREFIX + form, accept=BY_KEY["ntriples"], limits=bounds)
            assert b'"23"' in await graph.read()

    asked.run(claim())


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("SELECT * {\n  SERVICE <there>\n { ?a ?b ?c .\n   ?x } }", (5, 8)),
        ("SELECT * {\n  SERVICE <there> { ?a ?b ?c } ?x }", (3, 0)),
        ("SELECT * {\n  SERVICE <there> {\n ?a ?b ?c } ?x }", (4, 0)),
        ("SELECT * {\n  BIND(1 AS ?a) SERVICE <there> { ?a ?b ?c } BIND(2 AS ?b) }", (3, 0)),
    ],
)
def test_an_error_is_told_where_it_stands_and_costs_no_request(
    asked: Asked, there: str, query: str, place: tuple[int, int]
) -> None:
    before = asked.figures.calls.copy()
    with pytest.raises(QuerySyntaxError) as problem:
        asked.run(asked.rows(query.replace("<there>", f"<{there}>"), limits([there])))
    line, column = place
    assert problem.value.line in (line, None)
    if column:
        assert problem.value.column == column
    assert asked.figures.calls == before


# ---------------------------------------------------------------------------------- what may be asked


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("SERVICE <http://example.org/other> { ?s ?p ?o }", "not among the endpoints it may ask: <http"),
        ("SERVICE SILENT <http://example.org/other> { ?s ?p ?o }", "not among the endpoints"),
        ("SERVICE <there#a> { ?s ?p ?o }", "not among the endpoints"),
        ("SERVICE <there?> { ?s ?p ?o }", "not among the endpoints"),
        ("SERVICE ex:there { ?s ?p ?o }", "not among the endpoints"),
        ("VALUES ?e { <there> } SERVICE ?e { ?s ?p ?o }", r"asks \?e, which may be anybody"),
        ("SERVICE <there> { ?s ?p ?o SERVICE <there> { ?s ?q ?r } }", "stands in another one"),
        ("?s ?p ?o FILTER NOT EXISTS { SERVICE <there> { ?s ?p ?o } }", "stands in EXISTS"),
        ("?s ?p ?o LATERAL { SERVICE <there> { ?s ?p ?o } }", "stands in LATERAL"),
        ("GRAPH ?g { ?s ?p ?o SERVICE <there> { ?s ?p ?o } }", "stands in GRAPH"),
        ("GRAPH <g> { { OPTIONAL { SERVICE <there> { ?s ?p ?o } } } }", "stands in GRAPH"),
        ("SERVICESILENT<there> { ?s ?p ?o }", "with spaces"),
        ("?s ?p trueSERVICE <there> { ?s ?p ?o }", "with spaces"),
        ("SERVICEex:a { ?s ?p ?o }", "with spaces"),
        (r'?s ?p "\u0022 SERVICE <there> {} #"', "when its .u escapes are read first"),
        (" ".join(["SERVICE <there> {}"] * 11), "more than 10 SERVICE clauses"),
    ],
)
def test_a_clause_that_may_not_be_is_refused_with_what_to_do(
    asked: Asked, there: str, clause: str, said: str
) -> None:
    before = asked.figures.calls.copy()
    query = f"SELECT * {{ {clause.replace('<there', f'<{there}')} }}"
    with pytest.raises(QueryRefused, match=said):
        asked.run(asked.rows(query, limits([there])))
    assert asked.figures.calls == before


def test_an_engine_without_a_broker_asks_nobody(asked: Asked, here: Snapshot, there: str) -> None:
    async def claim() -> None:
        for engine in (MemoryEngine(here), RemoteEngine(here, NOWHERE)):
            with pytest.raises(QueryRefused, match="asks no other server"):
                await engine.query(
                    f"ASK {{ SERVICE <{there}> {{}} }}", accept=BY_KEY["json"], limits=limits([there])
                )

    asked.run(claim())


# ------------------------------------------------------------------------------------------ strangers


@dataclass
class Stranger:
    """An endpoint on loopback that does to each request what a test says."""

    url: str
    behave: Callable[[BaseHTTPRequestHandler], None]
    queries: list[bytes] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)  # a client went away


@contextmanager
def stranger(behave: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Stranger]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.hosts.append(self.headers["Host"])
            told.queries.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.close_connection = True
            try:
                told.behave(self)
                self.wfile.flush()
            except OSError:
                told.left.set()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told = Stranger(f"http://127.0.0.1:{server.server_port}/sparql", behave)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield told
        finally:
            server.shutdown()


def replies(
    body: bytes, content_type: str = "application/sparql-results+json", status: int = 200, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def waits(handler: BaseHTTPRequestHandler) -> None:
    """Say nothing until the client goes away."""
    handler.connection.settimeout(30)
    if handler.connection.recv(1) == b"":
        raise ConnectionResetError


def drips(handler: BaseHTTPRequestHandler) -> None:
    replies(b'{"head": {"vars": ["x"]}, "results": {"bindings": [')(handler)
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.05)


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/sparql-results+json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"head"')


def bomb(_: int = 0) -> bytes:
    return gzip.compress(b" " * 50_000_000)


def table(*terms: dict[str, Any]) -> bytes:
    bindings = [{"x": term} for term in terms]
    return json.dumps({"head": {"vars": ["x"]}, "results": {"bindings": bindings}}).encode()


XML = "application/sparql-results+xml"
ONE_ROW = (
    '<?xml version="1.0"?><sparql xmlns="http://www.w3.org/2005/sparql-results#">'
    '<head><variable name="x"/></head>'
    '<results><result><binding name="x"><literal>1</literal></binding></result>'
)
ENTITIES = ONE_ROW.replace("?>", '?><!DOCTYPE sparql [<!ENTITY a "aaaaaaaaaa">]>', 1)
IRI = {"type": "uri", "value": "http://a/"}
NESTED = b'{"type":"triple","value":{"subject":{"type":"uri","value":"http://a/"},"predicate":{"type":"uri","value":"http://a/"},"object":'

# What a stranger does, and what the error says of it. None of it may end anything but this query.
STRANGE: dict[str, tuple[Callable[[BaseHTTPRequestHandler], None], str]] = {
    "says nothing": (waits, "did not answer within 0.5 seconds"),
    "drips": (drips, "did not answer within 0.5 seconds"),
    "breaks off": (breaks_off, "broke off"),
    "says nothing at all": (lambda _: None, "broke off"),
    "speaks no HTTP": (lambda handler: handler.wfile.write(b"\0\1\2 hello\r\n" * 9) and None, "broke off"),
    "sends elsewhere": (
        replies(b"", status=307, Location="http://127.0.0.1:9/x"),
        "sends to 'http://127.0.0.1:9/x'",
    ),
    "sends to itself": (replies(b"", status=302, Location="/sparql/"), "redirects are not followed"),
    "is a web page": (replies(b"<html>", "text/html; charset=utf-8"), "answers with a web page"),
    "is an image": (replies(b"GIF", "image/gif"), "answers in image/gif"),
    "is nothing": (replies(b"", status=204), "answers 204"),
    "is unnamed": (replies(b"{}", ""), "answers in an unnamed format"),
    "is busy": (
        replies(b"later\n", "text/plain", 503, Retry_After="7"),
        "503, and asks to come back in 7 seconds: later",
    ),
    "refuses": (
        replies(b'{"detail": "no\\u001b[31m such\\n"}', "application/problem+json", 400),
        r"answers 400: no \[31m such\.",
    ),
    "fails with a page": (replies(b"<script>", "text/html", 500), "answers 500\\."),
    "is too large": (replies(b'{"head":' + b" " * 200_000), "more than 100,000 bytes"),
    "is a bomb": (replies(bomb(), Content_Encoding="gzip"), "more than 100,000 bytes"),
    "is no gzip": (replies(b"{}", Content_Encoding="gzip"), "no gzip"),
    "is half a gzip": (
        replies(gzip.compress(table(IRI))[:-20], Content_Encoding="gzip"),
        "broke off|no gzip",
    ),
    "is brotli": (replies(b"{}", Content_Encoding="br"), "coding 'br'"),
    "is empty": (replies(b""), "no SPARQL result"),
    "is no JSON": (replies(b"\xff\xfe{"), "no SPARQL result"),
    "is another JSON": (replies(b"[1, 2]"), "no SPARQL result"),
    "goes on behind its end": (replies(table(IRI) + b"{}"), "no SPARQL result"),
    "is half an XML": (replies(ONE_ROW.encode(), XML), "no XML: no element found"),
    "has entities": (replies((ENTITIES + "</results></sparql>").encode(), XML), "DOCTYPE"),
    "is yes": (replies(b'{"head": {}, "boolean": true}'), "yes or no, not rows"),
    "lacks a column": (replies(b'{"head":{"vars":["y"]},"results":{"bindings":[{}]}}'), "no column \\?x"),
    "has a blank node": (
        replies(table({"type": "bnode", "value": "b"})),
        "blank node for \\?x.*SELECT there",
    ),
    "has a blank node inside": (
        replies(
            table(
                {
                    "type": "triple",
                    "value": {"subject": {"type": "bnode", "value": "b"}, "predicate": IRI, "object": IRI},
                }
            )
        ),
        "blank node for \\?x",
    ),
    "writes SPARQL in an IRI": (
        replies(table({"type": "uri", "value": "http://a> } #"})),
        "no SPARQL result",
    ),
    "writes SPARQL in a language": (
        replies(table({"type": "literal", "value": "a", "xml:lang": "en) } #"})),
        "no SPARQL result",
    ),
    "writes SPARQL in a datatype": (
        replies(table({"type": "literal", "value": "a", "datatype": "http://a> ) } #"})),
        "no SPARQL result",
    ),
    "has half a character": (
        replies(
            b'{"head":{"vars":["x"]},"results":{"bindings":[{"x":{"type":"literal","value":"\\ud800"}}]}}'
        ),
        "no SPARQL result",
    ),
}
# Failures of the way an endpoint is asked are silenced by SILENT; a blank node is what it answered.
LOUD = {"has a blank node", "has a blank node inside"}


@pytest.fixture(scope="module")
def strange(here: Snapshot) -> Iterator[tuple[Asked, Stranger]]:
    with stranger(waits) as endpoint, running(here, [endpoint.url], workers=1) as started:
        yield started, endpoint


@pytest.mark.parametrize("behaviour", STRANGE)
def test_an_endpoint_that_answers_badly_fails_that_query_and_says_how(
    strange: tuple[Asked, Stranger], behaviour: str
) -> None:
    asked, endpoint = strange
    endpoint.behave, said = STRANGE[behaviour]
    bounds = limits([endpoint.url], service_seconds=0.5, service_bytes=100_000)
    clause = f"<{endpoint.url}> {{ ?x ex:knows ?y . FILTER(?x != ?y) MINUS {{ ?y ?y ?x }} }}"
    clause = clause.replace("?y", "[]").replace("FILTER(?x != []) MINUS { [] [] ?x } ", "")

    async def claim() -> None:
        with pytest.raises(ServiceFailed, match=f"(?s)<{endpoint.url}>.*({said})"):
            await asked.rows(f"SELECT * {{ ?s ex:age 23 SERVICE {clause} }}", bounds)
        silent = f"SELECT * {{ ?s ex:age 23 SERVICE SILENT {clause} }}"
        if behaviour in LOUD:
            with pytest.raises(ServiceFailed, match=said):
                await asked.rows(silent, bounds)
        else:
            answer = await asked.answer(silent, bounds)
            assert answer.silenced == (endpoint.url,)
            told = json.loads(await answer.read())
            assert sorted(told["head"]["vars"]) == ["s", "x"]
            assert [set(row) for row in told["results"]["bindings"]] == [{"s"}]
        assert await asked.rows("SELECT * { ex:p3 ex:age ?a }", bounds)

    asked.run(claim())


def test_terms_nested_without_end_are_no_answer(
    strange: tuple[Asked, Stranger],
) -> None:
    asked, endpoint = strange
    deep = b'{"head":{"vars":["x"]},"results":{"bindings":[{"x":%s{"type":"literal","value":""}%s}]}}'
    endpoint.behave = replies(deep % (NESTED * 80_000, b"}}" * 80_000))

    async def claim() -> None:
        query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"
        with pytest.raises(ServiceFailed, match="nested without end"):
            await asked.rows(query, limits([endpoint.url]))
        assert await asked.rows("SELECT * { ex:p3 ex:age ?a }", Limits())

    asked.run(claim())


def test_a_silent_clause_that_answers_is_not_told_as_silenced(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(table(IRI, IRI))
    query = f"SELECT ?x {{ SERVICE SILENT <{endpoint.url}> {{ ?x ex:knows [] }} }}"
    answer = asked.run(asked.answer(query, limits([endpoint.url])))
    assert answer.silenced == ()
    assert asked.run(asked.rows(query, limits([endpoint.url]))).total() == 2


def test_what_is_sent_is_a_query_for_the_variables_in_scope_and_says_who_asks(
    strange: tuple[Asked, Stranger],
) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(b'{"head": {"vars": []}, "results": {"bindings": []}}')
    query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:p ?y MINUS {{ ?y ex:q ?z }} }} }}"
    assert not asked.run(asked.rows(query, limits([endpoint.url])))
    (sent,) = parse_qs(endpoint.queries[-1].decode()).pop("query")
    assert sent.endswith("SELECT ?x ?y WHERE { ?x ex:p ?y MINUS { ?y ex:q ?z } }")
    assert endpoint.hosts[-1] == endpoint.url.split("/")[2]


@pytest.mark.parametrize(
    ("beside", "sent"),
    [
        ("?s ex:age 23 . SERVICE", "(?s) { (<p3>) }"),
        ("SERVICE ?s ex:age 23", "(?s) { (<p3>) }"),
        ("?s ex:age 23 . FILTER(?n != 1) OPTIONAL { SERVICE }", "(?s) { (<p3>) }"),
        ("?s ex:age 23 . { SERVICE } UNION { ?s ex:age 22 }", "(?s) { (<p3>) }"),
        (
            "?s ex:nick ?n VALUES ?s { ex:p1 ex:p5 } SERVICE",
            r'(?n ?s) { ("n\"\\\n1" <p1>) ("n\"\\\n5" <p5>) }',
        ),
        ("?s ex:age 23 . ?t ex:age ?n SERVICE", "(?s) { (<p3>) }"),  # ?n is a number
        ("?s ex:name ?n . ?s ex:age 23 SERVICE", "(?s) { (<p3>) }"),  # ?n has a language
        ("?s ex:age ?a FILTER(?a = 23) SERVICE", "(?s) { (<p3>) }"),
        ('SERVICE ?s ex:age ?a FILTER(STR(?s) = CONCAT(STR(ex:p), "3"))', "(?s) { (<p3>) }"),
        ("?s ex:age ?a SERVICE ?s ex:nick ?k FILTER NOT EXISTS { ?s ex:age 21 }", "(?s) { (<p3>) }"),
        ("?s ex:age 23 OPTIONAL { ?s ex:nick ?k } FILTER(!BOUND(?k)) SERVICE", "(?s) { (<p3>) }"),
        ("?s ex:age 23 OPTIONAL { ?s ex:nick ?n . ?s ex:age 99 } SERVICE", "(?s) { (<p3>) }"),
        ("?a ex:age ?b SERVICE", ""),
        ("?n ex:age 23 . ?s ex:age ?a SERVICE", ""),  # more pairs than may be sent
        ("?s ex:age 23 BIND(BNODE() AS ?n) SERVICE", "(?s) { (<p3>) }"),
        ("?s ex:age 23 BIND(STRUUID() AS ?n) SERVICE", ""),  # another one each time
        ("MINUS { SERVICE } ?s ex:age 23", ""),
        ("{ SELECT ?s { SERVICE } } ?s ex:age 23", ""),
    ],
)
def test_values_that_stand_beside_a_clause_are_sent_along(
    strange: tuple[Asked, Stranger], beside: str, sent: str
) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(b'{"head": {"vars": []}, "results": {"bindings": []}}')
    pattern = beside.replace("SERVICE", f"SERVICE <{endpoint.url}> {{ ?s ex:p ?n }}")
    asked.run(asked.rows(f"SELECT * {{ {pattern} }}", limits([endpoint.url], service_values=5)))
    (query,) = parse_qs(endpoint.queries[-1].decode()).pop("query")
    where = query.partition(" WHERE ")[2].replace(f"<{EX}p", "<p")
    assert where == (f"{{ VALUES {sent} {{ ?s ex:p ?n }} }}" if sent else "{ ?s ex:p ?n }")


def test_where_nothing_here_would_fit_nobody_is_asked(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(b"", status=500)
    before = len(endpoint.queries)
    query = f"SELECT * {{ ?s ex:age 99 SERVICE <{endpoint.url}> {{ ?s ex:p ?n }} }}"
    assert not asked.run(asked.rows(query, limits([endpoint.url])))
    assert len(endpoint.queries) == before


def test_a_setting_keeps_values_here(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(table(IRI))
    query = f"SELECT * {{ ?s ex:age 23 SERVICE <{endpoint.url}> {{ ?x ex:p ?s }} }}"
    with contextlib.suppress(ServiceFailed):  # it does not give the column ?s
        asked.run(asked.rows(query, limits([endpoint.url], service_values=0)))
    assert b"VALUES" not in endpoint.queries[-1]


def test_an_answer_that_is_too_large_for_lack_of_values_says_so(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(table(*[IRI] * 5000))
    query = f"SELECT * {{ ?x ex:age ?a SERVICE <{endpoint.url}> {{ ?x ex:p [] }} }}"
    bounds = limits([endpoint.url], service_bytes=100_000, service_values=3)
    with pytest.raises(
        ServiceFailed, match=r"more than 3 values of \?x here, so none was sent along. Narrow"
    ):
        asked.run(asked.rows(query, bounds))


def test_all_answers_to_one_query_share_one_bound(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(table(*[IRI] * 1500))
    one = f"SERVICE <{endpoint.url}> {{ ?x ex:knows [] }}"
    bounds = limits([endpoint.url], service_bytes=100_000)
    assert asked.run(asked.rows(f"SELECT * {{ {one} }}", bounds)).total() == 1500
    with pytest.raises(ServiceFailed, match=r"limit for all answers to one query. Narrow"):
        asked.run(asked.rows(f"SELECT * {{ {one} {one} {one} }}", bounds))


def test_no_worker_waits_for_another_endpoint(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = waits

    async def claim() -> None:
        query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"
        waiting = [asyncio.create_task(asked.rows(query, limits([endpoint.url]))) for _ in range(5)]
        await arrived(endpoint, 5)
        assert asked.engine.status.busy == 0
        assert await asked.rows("SELECT * { ex:p3 ex:age ?a }", Limits())
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    asked.run(claim())


async def arrived(endpoint: Stranger, count: int) -> None:
    """Wait until so many more requests have come."""
    wanted = len(endpoint.queries) + count
    deadline = time.monotonic() + 10
    while len(endpoint.queries) < wanted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_a_query_that_nobody_wants_any_more_ends_its_request(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = waits

    async def claim() -> None:
        endpoint.left.clear()
        query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"
        waiting = asyncio.create_task(asked.rows(query, limits([endpoint.url])))
        await arrived(endpoint, 1)
        before = asked.figures.calls[endpoint.url, "gone"]
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await asyncio.to_thread(endpoint.left.wait, 20)
        assert asked.figures.calls[endpoint.url, "gone"] == before + 1

    asked.run(claim())


def test_when_one_clause_fails_the_requests_of_the_others_end(here: Snapshot) -> None:
    with (
        stranger(waits) as slow,
        stranger(replies(b"", status=500)) as bad,
        running(here, [slow.url, bad.url]) as asked,
    ):
        slow.behave = waits
        query = f"SELECT * {{ SERVICE <{slow.url}> {{ ?x ex:p [] }} SERVICE <{bad.url}> {{ ?x ex:q [] }} }}"
        with pytest.raises(ServiceFailed, match=bad.url):
            asked.run(asked.rows(query, limits([slow.url, bad.url])))
        assert not slow.queries or slow.left.wait(20)


def test_the_querys_own_deadline_holds_over_all(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = waits
    query = f"SELECT * {{ SERVICE SILENT <{endpoint.url}> {{ ?x ex:knows [] }} }}"
    with pytest.raises(QueryTimeout, match=rf"0.4 seconds.*waiting for <{endpoint.url}>"):
        asked.run(asked.rows(query, limits([endpoint.url], seconds=0.4)))


def test_more_queries_than_may_ask_at_once_are_told_to_come_back(here: Snapshot) -> None:
    with stranger(waits) as endpoint, running(here, [endpoint.url], queries=1) as asked:
        query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"

        async def claim() -> None:
            waiting = asyncio.create_task(asked.rows(query, limits([endpoint.url])))
            await arrived(endpoint, 1)
            with pytest.raises(ServerBusy, match="1 queries are asking other endpoints"):
                await asked.rows(query, limits([endpoint.url], seconds=0.3))
            waiting.cancel()
            await asyncio.wait([waiting])
            endpoint.behave = replies(table(IRI))
            assert await asked.rows(query, limits([endpoint.url]))

        asked.run(claim())


def test_a_broker_that_is_killed_fails_what_it_did_and_is_replaced(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = waits
    query = f"SELECT * {{ SERVICE SILENT <{endpoint.url}> {{ ?x ex:knows [] }} }}"

    async def claim() -> None:
        waiting = [asyncio.create_task(asked.rows(query, limits([endpoint.url]))) for _ in range(2)]
        await arrived(endpoint, 2)
        before = asked.federation.broker_pid
        os.kill(before or 0, signal.SIGKILL)
        for task in waiting:
            with pytest.raises(QueryFailed, match=r"process that asks other endpoints ended.*Ask again"):
                await task
        endpoint.behave = replies(table(IRI))
        assert await asked.rows(query, limits([endpoint.url]))
        assert asked.federation.broker_pid != before

    asked.run(claim())


def test_a_broker_that_stands_still_is_replaced(strange: tuple[Asked, Stranger]) -> None:
    asked, endpoint = strange
    endpoint.behave = replies(table(IRI))
    query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"

    async def claim() -> None:
        assert await asked.rows(query, limits([endpoint.url]))
        before = asked.federation.broker_pid
        os.kill(before or 0, signal.SIGSTOP)
        with pytest.raises(ServiceFailed, match="did not answer"):
            await asked.rows(query, limits([endpoint.url], service_seconds=0.2))
        assert await asked.rows(query, limits([endpoint.url]))
        assert asked.federation.broker_pid != before

    asked.run(claim())


# ------------------------------------------------------------------------------ where a request goes


def test_a_name_of_this_machine_is_asked_only_where_its_network_is_listed(here: Snapshot) -> None:
    with stranger(replies(table(IRI))) as endpoint:
        named = endpoint.url.replace("127.0.0.1", "localhost")
        query = f"SELECT * {{ SERVICE <{named}> {{ ?x ex:knows [] }} }}"
        for listed, allowed in ((named, False), (f"{named} 127.0.0.0/8 ::1", True)):
            with running(here, [listed]) as asked:
                if allowed:
                    assert asked.run(asked.rows(query, limits([listed])))
                else:
                    with pytest.raises(ServiceFailed, match=r"localhost is at .*which is not public"):
                        asked.run(asked.rows(query, limits([listed])))
                    assert asked.figures.calls == {(named, "refused"): 1}
                    assert not endpoint.queries


async def fetched(endpoint: str, listed: Sequence[str], look_up: broker.LookUp) -> bytes:
    order = broker.Order(1, endpoint, tuple(listed), 5.0, 100_000)
    context = ssl.create_default_context()
    return b"".join(
        [piece async for piece in broker.ask(order, "ASK {}", context, look_up) if isinstance(piece, bytes)]
    )


def test_a_name_that_is_given_another_address_meanwhile_is_asked_at_the_one_that_was_checked() -> None:
    """DNS rebinding: the first look-up is checked and used, and there is no second one."""
    asked: list[str] = []

    async def look_up(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with stranger(replies(table(IRI))) as endpoint:
        url = endpoint.url.replace("127.0.0.1", "rebound.example")
        assert asyncio.run(fetched(url, ["127.0.0.1"], look_up)) == table(IRI)
        assert asked == [url.split("/")[2]]
        assert endpoint.hosts == asked


def test_of_a_names_addresses_only_those_that_may_be_asked_are() -> None:
    async def look_up(host: str, port: int) -> list[str]:
        return ["169.254.169.254", "10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1"]

    with stranger(replies(table(IRI))) as endpoint:
        url = endpoint.url.replace("127.0.0.1", "several.example")
        # Were the others asked, this would wait for them, or find them unreachable.
        assert asyncio.run(fetched(url, ["127.0.0.1"], look_up)) == table(IRI)
        with pytest.raises(broker.Refused, match=r"several.example is at") as problem:
            asyncio.run(fetched(url, ["127.0.0.2"], look_up))
        assert problem.value.kind == "refused"


def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async def look_up(host: str, port: int) -> list[str]:
        return ["127.0.0.3", "::1", "127.0.0.1"]

    with stranger(replies(table(IRI))) as endpoint:
        url = endpoint.url.replace("127.0.0.1", "several.example")
        assert asyncio.run(fetched(url, ["127.0.0.0/8", "::1"], look_up)) == table(IRI)


def test_a_name_that_nobody_knows_is_told(here: Snapshot) -> None:
    listed = "http://no-such-host.invalid/sparql"
    with (
        running(here, [listed]) as asked,
        pytest.raises(ServiceFailed, match=r"name no-such-host.invalid is not known"),
    ):
        asked.run(asked.rows(f"SELECT * {{ SERVICE <{listed}> {{ ?x ex:p [] }} }}", limits([listed])))


def test_no_proxy_of_the_environment_sees_a_request(here: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger(replies(table(IRI))) as endpoint, stranger(waits) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with running(here, [endpoint.url]) as asked:
            query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"
            assert asked.run(asked.rows(query, limits([endpoint.url])))
        assert not proxy.queries


def test_where_an_endpoint_redirects_to_nobody_is_asked(here: Snapshot) -> None:
    with stranger(replies(table(IRI))) as elsewhere, stranger(waits) as endpoint:
        query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ex:knows [] }} }}"
        with running(here, [endpoint.url, elsewhere.url]) as asked:
            for status in (301, 302, 303, 307, 308):
                endpoint.behave = replies(b"", status=status, Location=elsewhere.url)
                with pytest.raises(ServiceFailed, match="list that one"):
                    asked.run(asked.rows(query, limits([endpoint.url])))
        assert not elsewhere.queries


def test_a_certificate_has_to_be_for_the_endpoints_name(tmp_path: Path) -> None:
    """The connection goes to a checked address; who answers there has to show a certificate for the name."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=right.example",
         "-addext", "subjectAltName=DNS:right.example"],
        check=True,
        capture_output=True,
    )  # fmt: skip

    async def look_up(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            connection, address = super().get_request()
            connection.settimeout(5)
            return offered.wrap_socket(connection, server_side=True), address

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            replies(table(IRI))(self)

        def log_message(self, *_: Any) -> None:
            pass

    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def ask(host: str, context: ssl.SSLContext) -> bytes:
        order = broker.Order(1, f"https://{host}:{server.server_port}/sparql", ("127.0.0.1",), 5.0, 100_000)
        pieces = broker.ask(order, "ASK {}", context, look_up)
        return b"".join([piece async for piece in pieces if isinstance(piece, bytes)])

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert asyncio.run(ask("right.example", trusting)) == table(IRI)
        for host, context in (("wrong.example", trusting), ("right.example", ssl.create_default_context())):
            with pytest.raises(broker.Refused, match="certificate"):
                asyncio.run(ask(host, context))
        server.shutdown()


def test_the_broker_can_call_out_and_can_neither_start_a_program_nor_be_called() -> None:
    program = (
        "import socket, subprocess, sys\n"
        "from kg.engine import sandbox\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "lock = sandbox.deny_programs()\n"
        "if lock != 'seccomp': sys.exit(lock)\n"
        "socket.create_connection(listener.getsockname())\n"
        "for attempt in (listener.accept, socket.socket().listen, lambda: subprocess.run(['true'])):\n"
        "    try: attempt()\n"
        "    except PermissionError: continue\n"
        "    sys.exit('not refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    if done.stderr.startswith("none ("):
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_broker_is_locked_and_holds_no_graph(asked: Asked) -> None:
    assert asked.federation.lock == asked.engine.status.locks["network"]
    assert "data.nq" not in Path(f"/proc/{asked.federation.broker_pid}/maps").read_text()


# ------------------------------------------------------------------------------------- terms, unchanged

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
iris = names.map(lambda text: "http://example.org/" + quote(text))
languages = st.sampled_from(["en", "zh-hans", "de-at-1996", "x-private"])
terms = st.one_of(
    iris.map(lambda iri: NamedNode(iri)),
    names.map(lambda text: Literal(text)),
    st.builds(lambda text, tag: Literal(text, language=tag), names, languages),
    st.builds(lambda text, iri: Literal(text, datatype=NamedNode(iri)), names, iris),
)
table_rows = st.lists(st.tuples(st.none() | terms, st.none() | terms), max_size=5)


def as_json(rows: Sequence[Sequence[Any]]) -> bytes:
    def written(term: Any) -> dict[str, str]:
        if isinstance(term, NamedNode):
            return {"type": "uri", "value": term.value}
        more = {"xml:lang": term.language} if term.language else {"datatype": term.datatype.value}
        return {"type": "literal", "value": term.value, **more}

    bindings = [
        {name: written(term) for name, term in zip("xy", row, strict=True) if term is not None}
        for row in rows
    ]
    return json.dumps({"head": {"vars": ["x", "y"]}, "results": {"bindings": bindings}}).encode()


def as_xml(rows: Sequence[Sequence[Any]]) -> bytes:
    def written(term: Any) -> str:
        if isinstance(term, NamedNode):
            return f"<uri>{escape(term.value)}</uri>"
        more = (
            f"xml:lang={quoteattr(term.language)}"
            if term.language
            else f"datatype={quoteattr(term.datatype.value)}"
        )
        return f"<literal {more}>{escape(term.value, {chr(13): '&#13;'})}</literal>"

    body = "".join(
        "<result>"
        + "".join(
            f'<binding name="{name}">{written(term)}</binding>'
            for name, term in zip("xy", row, strict=True)
            if term is not None
        )
        + "</result>"
        for row in rows
    )
    return (
        '<sparql xmlns="http://www.w3.org/2005/sparql-results#">'
        '<head><variable name="x"/><variable name="y"/></head>'
        f"<results>{body}</results></sparql>\n<!-- the end -->\n"
    ).encode()


@given(table_rows, st.sampled_from(["json", "xml"]), st.sampled_from(["", "FILTER(true)", "?s ?p ?o"]))
def test_every_term_comes_out_as_it_was_sent_whatever_is_in_it(
    rows: list[tuple[Any, Any]], format: str, behind: str
) -> None:
    if format == "xml":
        # XML has no way to write some characters, and reads white space of a literal as it stands.
        rows = [
            row for row in rows if all(re.match(f"[{_XML}]*$", getattr(term, "value", "")) for term in row)
        ]
    body = as_json(rows) if format == "json" else as_xml(rows)
    call = {
        "endpoint": "http://a/",
        "variables": ["x", "y"],
        "silent": False,
        "format": format,
        "bytes": len(body),
    }
    text, silenced = answers.filled(["SELECT ?x ?y {", f"{behind}}}"], [call], body)
    store = Store()
    store.add(Quad(NamedNode("http://a"), NamedNode("http://a"), Literal("a"), DefaultGraph()))
    got = Counter((row["x"], row["y"]) for row in store.query(text))  # type: ignore[union-attr]
    assert got == Counter(rows)
    assert silenced == []


_XML = "\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"


@given(st.binary(max_size=200), st.sampled_from(["json", "xml"]))
def test_no_bytes_become_anything_but_an_answer_or_an_error(body: bytes, format: str) -> None:
    call = {
        "endpoint": "http://a/",
        "variables": ["x"],
        "silent": False,
        "format": format,
        "bytes": len(body),
    }
    with contextlib.suppress(answers.BadAnswer):
        text, _ = answers.filled(["SELECT * {", "}"], [call], body)
        assert text == "SELECT * { VALUES ( ?x ) {  } }"


def test_a_term_of_rdf_1_2_is_kept_as_it_is() -> None:
    triple = {
        "type": "triple",
        "value": {
            "subject": IRI,
            "predicate": IRI,
            "object": {"type": "literal", "value": "a", "xml:lang": "ar", "its:dir": "rtl"},
        },
    }
    body = table(triple)
    call = {
        "endpoint": "http://a/",
        "variables": ["x"],
        "silent": False,
        "format": "json",
        "bytes": len(body),
    }
    text, _ = answers.filled(["SELECT * {", "}"], [call], body)
    (row,) = Store().query(text)  # type: ignore[union-attr]
    assert str(row["x"]) == '<http://a/> <http://a/> "a"@ar--rtl'


# ------------------------------------------------------------------------------------------ over HTTP


@pytest.fixture(scope="module")
def address(
    here: Snapshot, there: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("log") / "log.jsonl"
    with whole_site(here, services=(there, NOWHERE), log=str(log)) as started:
        yield started, log


def test_a_federated_answer_is_not_kept_by_anybody(address: tuple[str, Path], there: str) -> None:
    query = f"{PREFIX}SELECT ?n {{ ex:p3 ex:age ?a SERVICE <{there}> {{ ex:p4 ex:age ?n }} }}"
    for _ in range(2):
        got = httpx.get(f"{address[0]}/sparql", params={"query": query}, headers={"Accept": "text/csv"})
        assert (got.status_code, got.text) == (200, "n\r\n20\r\n")
        assert got.headers["cache-control"] == "no-store"
        assert "etag" not in got.headers
        assert "bookmark" not in got.headers["link"]
        assert "services;dur=" in got.headers["server-timing"]
        assert "x-stroma-silenced" not in got.headers


def test_a_silenced_failure_is_told_in_a_header(address: tuple[str, Path]) -> None:
    query = f"SELECT ?x {{ SERVICE SILENT <{NOWHERE}> {{ ?x ?y ?z }} }}"
    got = httpx.get(f"{address[0]}/sparql", params={"query": query}, headers={"Accept": "text/csv"})
    assert (got.status_code, got.text) == (200, "x\r\n\r\n")
    assert got.headers["x-stroma-silenced"] == f"<{NOWHERE}>"


def test_a_failure_is_a_problem_of_its_own_type(address: tuple[str, Path]) -> None:
    query = f"SELECT ?x {{ SERVICE <{NOWHERE}> {{ ?x ?y ?z }} }}"
    got = httpx.get(f"{address[0]}/sparql", params={"query": query})
    assert got.status_code == 502
    assert got.headers["cache-control"] == "no-store"
    assert got.json()["type"].endswith("/error/service-failed")
    assert NOWHERE in got.json()["detail"]
    assert "Connection refused" in got.json()["detail"]


def test_calls_are_counted_and_logged_by_endpoint(address: tuple[str, Path], there: str) -> None:
    url, log = address
    query = f"ASK {{ SERVICE <{there}> {{}} SERVICE SILENT <{NOWHERE}> {{}} }}"
    assert httpx.get(f"{url}/sparql", params={"query": query}).json()["boolean"] is True
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
        for sample in family.samples
    }
    for endpoint, outcome in ((there, "answered"), (NOWHERE, "failed")):
        assert samples["stroma_service_calls_total", (("endpoint", endpoint), ("outcome", outcome))] >= 1
        assert samples["stroma_service_seconds_total", (("endpoint", endpoint),)] > 0
    assert samples["stroma_service_bytes_total", (("endpoint", there),)] > 0
    assert samples["stroma_memory_bytes", (("process", "broker"),)] > 2**20
    assert eventually(lambda: '"services": 2' in log.read_text())
    events = [json.loads(line) for line in log.read_text().splitlines()]
    told = [event for event in events if event["event"] == "endpoint asked" and event["endpoint"] == NOWHERE]
    assert told[-1]["outcome"] == "failed"
    assert told[-1]["query"] == query_hash(query)
    assert not any("SERVICE" in json.dumps(event) for event in events)


def test_whom_it_may_ask_is_said_where_people_and_programs_look(
    address: tuple[str, Path], there: str
) -> None:
    url, _ = address
    about = httpx.get(f"{url}/about", headers={"Accept": "application/json"}).json()
    assert about["services"] == [there, NOWHERE]
    assert about["locks"]["programs of the broker"]
    assert {"service_seconds", "service_bytes", "service_queries"} <= {
        each["setting"] for each in about["limits"]
    }
    assert there in httpx.get(f"{url}/about", headers={"Accept": "text/html"}).text
    described = Graph().parse(data=httpx.get(f"{url}/sparql").text, format="turtle")
    feature = URIRef("http://www.w3.org/ns/sparql-service-description#feature")
    federated = URIRef("http://www.w3.org/ns/sparql-service-description#BasicFederatedQuery")
    assert (None, feature, federated) in described


def test_without_a_list_nobody_is_asked_and_none_is_promised(there: str) -> None:
    """The second instance has no list: what federation adds is off."""
    url = there.removesuffix("/sparql")
    assert "BasicFederatedQuery" not in httpx.get(f"{url}/sparql").text
    assert httpx.get(f"{url}/about", headers={"Accept": "application/json"}).json()["services"] == []
    got = httpx.get(f"{url}/sparql", params={"query": f"ASK {{ SERVICE <{there}> {{}} }}"})
    assert got.status_code == 403
    assert "stroma_service" not in httpx.get(f"{url}/metrics").text


def test_a_client_that_leaves_ends_the_request_that_was_made_for_it(here: Snapshot) -> None:
    with stranger(waits) as endpoint, ours(here, services=(endpoint.url,)) as url:
        query = quote(f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ?y ?z }} }}")
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"GET /sparql?query={query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert eventually(lambda: bool(endpoint.queries), 20)
        assert endpoint.left.wait(20)


def test_a_query_that_is_stopped_by_its_id_ends_its_request(here: Snapshot) -> None:
    id = "a-secret-that-nobody-guesses"
    with stranger(waits) as endpoint, ours(here, services=(endpoint.url,)) as url:
        query = f"SELECT * {{ SERVICE <{endpoint.url}> {{ ?x ?y ?z }} }}"
        got: list[httpx.Response] = []

        def ask() -> None:
            headers = {"X-Stroma-Query-Id": id}
            got.append(httpx.get(f"{url}/sparql", params={"query": query}, headers=headers, timeout=20))

        asking = threading.Thread(target=ask)
        asking.start()
        assert eventually(lambda: bool(endpoint.queries), 20)
        assert httpx.delete(f"{url}/queries/running/{id}").status_code == 204
        asking.join(20)
        assert got[0].status_code == 503
        assert endpoint.left.wait(20)


def test_an_instance_may_ask_itself(here: Snapshot) -> None:
    """Which takes no worker from the query that is asked meanwhile: one is enough for both."""
    port = free_port()
    itself = f"http://127.0.0.1:{port}/sparql"
    with ours(here, port=port, services=(itself,), workers=1) as url:
        query = f"{PREFIX}SELECT ?n {{ ex:p3 ex:age ?a SERVICE <{itself}> {{ ex:p4 ex:age ?n }} }}"
        got = httpx.get(f"{url}/sparql", params={"query": query}, headers={"Accept": "text/csv"})
        assert got.text == "n\r\n20\r\n"


def test_the_command_line_asks_the_endpoints_of_the_settings(there: str, tmp_path: Path) -> None:
    publish(snapshot(tmp_path, triples(HERE)), tmp_path)
    query = f"{PREFIX}SELECT ?n {{ SERVICE <{there}> {{ ex:p4 ex:age ?n }} }}"
    for services, expected in ((there, (0, "n\r\n20\r\n")), ("", (6, ""))):
        environment = os.environ | {"KG_VAR": str(tmp_path), "KG_SERVICES": services}
        done = subprocess.run(
            [sys.executable, "-m", "kg", "query", "-", "--format", "csv"],
            input=query.encode(), cwd=ROOT, env=environment, capture_output=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout.decode()) == expected, done.stderr


# --------------------------------------------------------------------------------------- the W3C's suite

# What the suite asks that we do not do, and why.
REFUSED = {
    "service3": "a SERVICE clause in another one",
    "service5": "an endpoint named by a variable",
    "service6": "a SERVICE clause in another one",
}


def w3c_cases() -> Iterator[Any]:
    if not SUITE.is_dir():
        yield pytest.param(None, marks=pytest.mark.skip(reason="needs ../shared (the W3C's suite)"))
        return
    for case in cases(SUITE):
        if case.suite == "service":
            yield pytest.param(case, id=case.name)


@pytest.fixture(scope="module")
def w3c(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Snapshot]]:
    """Each file of the suite as a graph: in a second instance, and in the snapshot of the first."""
    every = [case for case in cases(SUITE) if case.suite == "service"]
    folder = tmp_path_factory.mktemp("w3c")
    held = write_snapshot(quads(SUITE, every), folder, version="2013-03-21")
    with ours(held) as started:
        yield started, held


@pytest.mark.parametrize("case", list(w3c_cases()))
def test_w3c_service(w3c: tuple[str, Snapshot], case: Case) -> None:
    started, held = w3c
    query, services = case.query, []
    for endpoint, file in case.services:
        # One instance is every endpoint: the data of each are the dataset its address names.
        there = f"{started}/sparql?default-graph-uri={quote(file, safe='')}"
        services.append(there)
        query = query.replace(f"<{endpoint}>", f"<{there}>")
    query = query.replace("<http://invalid.endpoint.org/sparql>", f"<{NOWHERE}>")
    services.append(NOWHERE)
    # A case without data has an empty default graph; a dataset has to name something.
    default = tuple(iri for iri in case.data if iri in held.graphs)
    dataset = Dataset(default, () if default else tuple(held.graphs)[:1])
    with running(held, services) as asked:

        async def ask() -> bytes:
            answer = await asked.engine.query(
                query, accept=BY_KEY["xml"], dataset=dataset, limits=limits(services)
            )
            return await answer.read()

        if case.name in REFUSED:
            with pytest.raises(QueryRefused):
                asked.run(ask())
            return
        assert case.result is not None
        expected = read(case.result.read_bytes(), "srx", case.base)
        assert difference(expected, read(asked.run(ask()), "srx")) is None
