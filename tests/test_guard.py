"""The guard: what may be evaluated, judged by tokens."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat, Store

from kg.engine import Dataset, Limits, guard
from kg.engine.formats import Kind
from kg.errors import QueryRefused, QuerySyntaxError, QueryTooLarge, UsageError

LIMITS = Limits()
PREFIXES = (
    "PREFIX : <http://127.0.0.1:9/> PREFIX ex: <http://127.0.0.1:9/> PREFIX service: <http://127.0.0.1:9/>\n"
)

CALLS = [
    "SELECT * { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }",
    "SELECT * { service <http://127.0.0.1:9/> { ?s ?p ?o } }",
    "SELECT * { SERVICE ?where { ?s ?p ?o } }",
    "SELECT * { SERVICE SILENT <http://127.0.0.1:9/> { ?s ?p ?o } }",
    "SELECT * { SERVICE# a comment\n#another\nSILENT#\nex:a { ?s ?p ?o } }",
    "SELECT * { ?a ?b ?c .SERVICE<http://127.0.0.1:9/>{?s ?p ?o} }",
    "SELECT * { { SELECT * { OPTIONAL { SERVICE ex:a { ?s ?p ?o } } } } }",
    "ASK { FILTER EXISTS { SERVICE ex:a { ?s ?p ?o } } }",
    "CONSTRUCT { ?s ?p ?o } WHERE { SERVICE ex:a { ?s ?p ?o } }",
    # The parser takes keywords without a boundary, so these call out too.
    "SELECT * { SERVICEex:a { ?s ?p ?o } }",
    "SELECT * { SERVICE:a { ?s ?p ?o } }",
    "SELECT * { service:a { ?s ?p ?o } }",
    "SELECT * { SERVICESILENT<http://127.0.0.1:9/> { ?s ?p ?o } }",
    "SELECT * { ?s ?p trueSERVICE<http://127.0.0.1:9/>{ ?s ?p ?o } }",
    "SELECT * { ?s ?p trueSERVICE:a{ ?s ?p ?o } }",
    "SELECT * { ?s ?p 1SERVICE<http://127.0.0.1:9/>{ ?s ?p ?o } }",
]


@pytest.mark.parametrize("query", CALLS)
def test_every_way_to_write_a_service_call_is_refused(query: str) -> None:
    with pytest.raises(QueryRefused, match="SERVICE is not allowed"):
        guard.inspect(PREFIXES + query, LIMITS)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?s ?p ex:SERVICE, :SERVICE }",
        'SELECT * { ?s ?p \'SERVICE <http://x> {}\' , """a "SERVICE" ?x""" }',
        "SELECT * { ?s <http://example.org/SERVICE> ?SERVICE, $service }",
        "SELECT * { ?s ?p ?o } # SERVICE <http://x> { }",
        "SELECT * { ?s ?p 'x'@service, _:SERVICE }",
        "SELECT * { ?s a service:Thing ; service:p service:q . GRAPH service:g { ?s ?p ?o } }",
        r"SELECT * { ?s ?p 'it''s \'SERVICE\'' }".replace("''", r"\'"),
        "DESCRIBE service:thing { ?s ?p ?o }",
    ],
)
def test_the_word_service_is_fine_where_it_is_no_call(query: str) -> None:
    guard.inspect(PREFIXES + query, LIMITS)


@pytest.mark.parametrize("word", ["SERVICE", "sErViCe"])
def test_an_escaped_keyword_is_no_way_round(word: str) -> None:
    for position in range(len(word)):
        hidden = f"{word[:position]}\\u{ord(word[position]):04X}{word[position + 1 :]}"
        with pytest.raises((QueryRefused, QuerySyntaxError)):
            guard.inspect(f"SELECT * {{ {hidden} <http://127.0.0.1:9/> {{ ?s ?p ?o }} }}", LIMITS)


def test_a_string_that_ends_by_an_escape_hides_no_call() -> None:
    # An engine that replaces escapes first would read the quote, and then the call behind it.
    with pytest.raises(QueryRefused):
        guard.inspect(r'SELECT * { ?s ?p "a\u0022 . SERVICE <http://127.0.0.1:9/> {} #" }', LIMITS)


@pytest.mark.parametrize(
    "update",
    [
        "INSERT DATA { <a:a> <a:b> <a:c> }",
        "PREFIX ex: <http://example.org/> delete where { ?s ?p ?o }",
        "LOAD <http://example.org/>",
        "CLEAR ALL",
        "DROP GRAPH <a:a>",
        "BASE <http://example.org/> WITH <g> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
        "create graph <a:a>",
        "MOVE <a:a> TO <a:b>",
        "COPY <a:a> TO <a:b>",
        "ADD <a:a> TO <a:b>",
    ],
)
def test_every_update_is_refused_and_told_how_knowledge_enters(update: str) -> None:
    with pytest.raises(QueryRefused, match="kg build"):
        guard.inspect(update, LIMITS)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELECT * {}", Kind.SOLUTIONS),
        ("# ASK\nPREFIX ask: <http://example.org/> select?x{}", Kind.SOLUTIONS),
        ("BASE <http://example.org/> ASK {}", Kind.BOOLEAN),
        ("CONSTRUCT WHERE { ?s ?p ?o }", Kind.GRAPH),
        ("DESCRIBE <http://example.org/>", Kind.GRAPH),
    ],
)
def test_the_kind_of_result_is_known_before_parsing(query: str, kind: Kind) -> None:
    assert kind == guard.inspect(query, LIMITS).kind


def test_from_clauses_are_resolved_by_base_and_prefixes() -> None:
    query = "BASE <http://a/b/> PREFIX g: <http://g/> SELECT * FROM <c> FROM NAMED g:x\\,y FROM g: { }"
    assert Dataset(("http://a/b/c", "http://g/"), ("http://g/x,y",)) == guard.inspect(query, LIMITS).dataset


def test_a_graph_we_do_not_have_is_refused_with_the_nearest_names() -> None:
    graphs = {"https://w3id.org/stroma/graph/literature": 1, "https://w3id.org/stroma/graph/ictrp": 1}
    with pytest.raises(UsageError, match="graph/literature>"):
        guard.check_graphs(Dataset(("https://w3id.org/stroma/graph/litterature",)), graphs)


def test_a_query_by_clock_or_chance_is_not_repeatable() -> None:
    assert guard.inspect("SELECT (1 AS ?now) { ?s ?p 'NOW()' }", LIMITS).repeatable
    assert not guard.inspect("SELECT (Now() AS ?x) {}", LIMITS).repeatable


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "it is empty"),
        ("SELCT * {}", "line 1, column 1: .*did you mean SELECT"),
        ("PREFIX ex <http://example.org/>\nSELECT * {}", "PREFIX name: <IRI>"),
        ("SELECT *\n{ ?s ?p 'open }", "line 2, column 9: a string starts here"),
        ("SELECT * { ?s ?p “quoted” }", "column 18"),
    ],
)
def test_what_is_no_query_is_told_where_and_why(query: str, says: str) -> None:
    with pytest.raises(QuerySyntaxError, match=says):
        guard.inspect(query, LIMITS)


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("SELECT * { ?s ?p '" + "x" * 300_000 + "' }", "262,144"),
        ("SELECT * { VALUES ?x { " + "1 " * 60_000 + "} }", "50,000 tokens"),
        ("SELECT * { FILTER(" + "(" * 600 + "1" + ")" * 600 + ") }", "500 deep"),
        ("SELECT * " + "{" * 20_000 + "}" * 20_000, "500 deep"),
        ("SELECT * { ?s ?p " + "[ ?p " * 600 + "]" * 600 + "}", "500 deep"),
    ],
)
def test_a_cap_that_is_crossed_is_named(query: str, limit: str) -> None:
    with pytest.raises(QueryTooLarge, match=limit):
        guard.inspect(query, LIMITS)


@pytest.mark.parametrize(
    "piece", ["a.a.", '"\\"', '"""\\', "'''\"", "<a", "1.e", "_:a.", "a-", ":a.", "\\", "#", "@a-", "?"]
)
def test_no_text_takes_the_tokenizer_long(piece: str) -> None:
    text = ("SELECT * { " + piece * 200_000)[: LIMITS.query_bytes]
    started = time.process_time()
    with suppress(QueryTooLarge, QuerySyntaxError):
        guard.inspect(text, replace(LIMITS, query_tokens=1_000_000))
    # Linear: some 50 ms of processor time here. Quadratic would be minutes.
    assert time.process_time() - started < 5


def test_every_query_of_the_w3c_suite_passes_unless_it_is_wrong_or_calls_out(shared: Path) -> None:
    refused = set()
    for file in (shared / "rdf-tests" / "sparql" / "sparql11").rglob("*.rq"):
        try:
            guard.inspect(file.read_text(encoding="utf-8"), LIMITS)
        except (QueryRefused, QuerySyntaxError):
            if "bad" not in file.name:
                refused.add(file.name)
    # The files of service/ and syntax-fed/, and no other.
    assert {f"service0{n}.rq" for n in (1, 2, 3, 5, 6, 7)} | {"service04a.rq"} | {
        f"syntax-service-0{n}.rq" for n in (1, 2, 3)
    } == refused


FRAGMENTS = st.sampled_from(
    [*"{}()[].,;<>='\"\\#:?$@^|/*+-!& \n", "<http://a>", "?x", "ex:a", "'''", '"""', "SERVICE", "\\u0041"]
)


@given(st.lists(FRAGMENTS | st.text(max_size=5), max_size=30).map("".join))
def test_tokens_joined_give_the_text_back(text: str) -> None:
    try:
        pieces = list(guard.tokens(text))
    except QuerySyntaxError:
        return
    assert text == "".join(piece.text for piece in pieces)
    assert all(text.startswith(piece.text, piece.start) and piece.text for piece in pieces)


@given(st.lists(st.sampled_from(["SERVICE <a:a> {}", "'", '"', "\\", "\n", "}", "#"]) | st.text(max_size=4)))
def test_a_keyword_inside_a_string_is_never_refused(pieces: list[str]) -> None:
    inside = "".join(pieces).encode("utf-8", "replace").decode()
    guard.inspect(f"SELECT * {{ ?s ?p {Literal(inside)} }}", LIMITS)


def called_out(store: Store, query: str) -> bool:
    """Whether pyoxigraph takes the query for a call; port 9 is one it refuses without a connection."""
    try:
        list(store.query(query))
    except (SyntaxError, ValueError):
        return False
    except (OSError, RuntimeError) as problem:
        return "port 9" in str(problem) or "service name" in str(problem)
    return False


GLUE = st.sampled_from(
    ["", "", " ", ".", ";", "true", "1", "1.5", "'x'", "'x'@en", "ex:a", "?c", "_:b", "a", "#\n", "ex:", "<"]
)
CALL = st.sampled_from(
    ["SERVICE", "service", "sErVice", "SERVICEex:a", "service:a", "SERVICE:", "ex:SERVICE"]
)
TARGET = st.sampled_from(["<http://127.0.0.1:9/>", "ex:a", ":a", "?c", "", " ex:", "\\u003Ahttp"])


@given(GLUE, GLUE, CALL, GLUE, TARGET)
def test_what_the_evaluator_takes_for_a_call_the_guard_refuses(
    one: str, two: str, call: str, three: str, target: str
) -> None:
    store = Store()
    store.load(b"<a:a> <a:b> true, 1, 1.5, 'x', 'x'@en .", format=RdfFormat.TURTLE)
    store.add(Quad(NamedNode("a:a"), NamedNode("a:b"), NamedNode("http://127.0.0.1:9/a")))
    for before in ("", "?a ?b "):
        query = f"{PREFIXES}SELECT * {{ {before}{one}{two}{call}{three}{target}{{ ?s ?p ?o }} }}"
        if called_out(store, query):
            with pytest.raises((QueryRefused, QuerySyntaxError)):
                guard.inspect(query, LIMITS)


LISTED = replace(LIMITS, services=frozenset({"http://127.0.0.1:9/", "http://127.0.0.1:9/a"}))


@given(GLUE, GLUE, CALL, GLUE, TARGET, st.sampled_from(["{{ ?s ?p ?o }}", "{{ {} {{ ?s ?p ?o }} }}"]))
def test_with_a_list_too_no_call_is_left_for_the_evaluator(
    one: str, two: str, call: str, three: str, target: str, group: str
) -> None:
    """What is evaluated here, and what is sent elsewhere, asks nobody."""
    store = Store()
    store.load(b"<a:a> <a:b> true, 1, 1.5, 'x', 'x'@en .", format=RdfFormat.TURTLE)
    inner = group.format(f"{one}{call}{three}{target}")
    for head in (f"{two}{call}{three}{target}", "SERVICE <http://127.0.0.1:9/>"):
        query = f"{PREFIXES}SELECT * {{ {one}{head} {inner} }}"
        try:
            inspection = guard.inspect(query, LISTED)
        except (QueryRefused, QuerySyntaxError):
            continue
        left, at = "", 0
        for each in inspection.calls:
            assert each.endpoint in LISTED.services
            left += f"{query[at : each.start]} VALUES () {{}} "
            at = each.end
            assert not called_out(store, f"{PREFIXES}SELECT * {query[each.group : each.end]}")
        assert not called_out(store, left + query[at:])
