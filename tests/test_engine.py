"""The contract of every engine: text in, serialised results out, errors that say what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest
from pyoxigraph import Literal, RdfFormat, Store

from kg.engine import Dataset, Engine, Limits
from kg.engine.formats import BY_KEY
from kg.engine.memory import DiskEngine, MemoryEngine
from kg.engine.publishing import GraphStore, VirtuosoLoader, publish_to
from kg.engine.remote import RemoteEngine
from kg.errors import (
    QueryFailed,
    QueryRefused,
    QuerySyntaxError,
    QueryTooLarge,
    QueryUnsupported,
    StromaError,
    UsageError,
)
from kg.snapshot import Snapshot, load_store
from kg.terms import XSD
from tests.peers import NO_VIRTUOSO, has_virtuoso, oxigraph, virtuoso

Ask = Callable[..., bytes]


@pytest.fixture(scope="session")
def oxigraph_server(tiny: Snapshot) -> Iterator[str]:
    """The query endpoint of an Oxigraph server that the tiny snapshot was published to."""
    with oxigraph() as running:
        with GraphStore(running.store) as target:
            publish_to(tiny, running.query, target)
        yield running.query


@pytest.fixture(scope="session")
def virtuoso_server(tiny: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of Virtuoso, published with its own loader."""
    if not has_virtuoso():
        pytest.skip(NO_VIRTUOSO)
    folder = tmp_path_factory.mktemp("virtuoso")
    with virtuoso(folder) as running:
        publish_to(tiny, running.sparql, VirtuosoLoader(f"127.0.0.1:{running.port}", folder, "dba", "dba"))
        yield running.sparql


@pytest.fixture(params=["memory", "disk", "oxigraph", "virtuoso"])
def engine(request: pytest.FixtureRequest, tiny: Snapshot) -> Engine:
    """Each engine there is, not started; a new one adds a parameter here and no test."""
    if request.param in ("oxigraph", "virtuoso"):
        return RemoteEngine(tiny, request.getfixturevalue(f"{request.param}_server"))
    return {"memory": MemoryEngine, "disk": DiskEngine}[request.param](tiny)


@pytest.fixture
def ask(engine: Engine) -> Ask:
    """Ask one query of a started engine."""

    def ask(text: str, accept: str = "csv", dataset: Dataset | None = None) -> bytes:
        async def asked() -> bytes:
            async with engine:
                answer = await engine.query(text, accept=BY_KEY[accept], dataset=dataset, limits=Limits())
                assert BY_KEY[accept] == answer.format
                return await answer.read()

        return asyncio.run(asked())

    return ask


PREFIX = "PREFIX : <https://example.org/>\n"
PHASES = PREFIX + "SELECT ?trial ?phase { ?trial :phase ?phase } ORDER BY ?phase"


@pytest.mark.parametrize(
    ("accept", "body"),
    [
        ("csv", "trial,phase\r\nhttps://example.org/t1,2\r\nhttps://example.org/t2,3\r\n"),
        ("tsv", "?trial\t?phase\n<https://example.org/t1>\t2\n<https://example.org/t2>\t3\n"),
    ],
)
def test_a_select_is_written_in_the_format_asked_for(ask: Ask, accept: str, body: str) -> None:
    assert body == ask(PHASES, accept).decode()


def test_json_keeps_types_and_languages(ask: Ask) -> None:
    results = json.loads(ask(PREFIX + "SELECT * { :t1 ?p ?o } ORDER BY ?p", "json"))
    label, phase = (row["o"] for row in results["results"]["bindings"])
    assert label == {"type": "literal", "value": "类风湿关节炎", "xml:lang": "zh-hans"}
    assert phase["datatype"] == "http://www.w3.org/2001/XMLSchema#integer"


@pytest.mark.parametrize("accept", ["turtle", "ntriples", "nquads", "trig", "rdfxml", "jsonld"])
def test_a_construct_gives_the_same_graph_in_every_format(ask: Ask, accept: str) -> None:
    body = ask(PREFIX + "CONSTRUCT { ?t :is ?p } WHERE { ?t :phase ?p }", accept)
    store = Store()
    format = RdfFormat.from_media_type(BY_KEY[accept].media_type)
    assert format is not None
    store.load(body, format=format)
    assert {str(quad.object) for quad in store} == {str(Literal(2)), str(Literal(3))}


def test_an_ask_is_answered_yes_or_no(ask: Ask) -> None:
    assert json.loads(ask(PREFIX + "ASK { :t1 :phase 2 }", "json"))["boolean"] is True
    assert ask(PREFIX + "ASK { :t1 :phase 3 }", "csv") == b"false"


def test_html_shows_rows_and_links_only_the_web(ask: Ask) -> None:
    page = ask(
        "SELECT * { VALUES ?x { <javascript:alert(1)> <https://example.org/> '<b>' UNDEF } }", "html"
    ).decode()
    assert '<a href="https://example.org/"' in page
    assert "<td>javascript:alert(1)</td>" in page
    assert "&lt;b&gt;" in page
    assert "4 rows" in page


def test_the_default_graph_is_the_union_of_all(ask: Ask) -> None:
    # A label and a phase of one trial, from two graphs.
    assert ask(PREFIX + "ASK { ?t :label ?label ; :phase 2 }") == b"true"


def test_a_relative_iri_is_one_of_ours_unless_the_query_says_otherwise(ask: Ask) -> None:
    assert ask("SELECT (<trial/1> AS ?x) {}") == b"x\r\nhttps://w3id.org/stroma/trial/1\r\n"
    assert (
        ask("BASE <https://example.org/> SELECT ?phase FROM <trials> { <t1> ?p ?phase }") == b"phase\r\n2\r\n"
    )


COUNT = PREFIX + "SELECT (COUNT(*) AS ?n) {} { ?t ?p ?o }"


@pytest.mark.parametrize(
    ("clauses", "dataset", "default", "named"),
    [
        ("", None, 2003, 2003),
        ("FROM :trials", None, 2, 0),
        ("FROM :trials FROM :labels", None, 3, 0),
        ("FROM NAMED :trials", None, 0, 2),
        # What the request says overrides the query.
        ("FROM :many", Dataset(("https://example.org/labels",), ("https://example.org/trials",)), 1, 2),
    ],
)
def test_a_dataset_limits_what_a_query_sees(
    ask: Ask, engine: Engine, clauses: str, dataset: Dataset | None, default: int, named: int
) -> None:
    if isinstance(engine, RemoteEngine) and engine.url.endswith("/query") and not clauses:
        # Oxigraph's default graph is all there is, the mark of a publication too: three graphs with their
        # counts, the publication and the whole.
        default, named = default + 8, named + 8

    def count(pattern: str) -> str:
        query = f"{PREFIX}SELECT (COUNT(*) AS ?n) {clauses} {{ {pattern} }}"
        return ask(query, dataset=dataset).decode().split()[1]

    assert str(default) == count("?t ?p ?o")
    assert str(named) == count("GRAPH ?g { ?t ?p ?o }")


IN_VIRTUOSOS_WORDS = {
    "line 2, column 7": "syntax error at '}'",
    "(?i)prefix not found": "Undefined namespace prefix at 'nope'",
    "but 0 were given": "but the call contains only 0",
}


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        ("SELECT * {\n ?s ?p", QuerySyntaxError, "line 2, column 7"),
        ("SELECT * { ?s nope:p ?o }", QuerySyntaxError, "(?i)prefix not found"),
        ("SELECT ?s ?n { ?s ?p ?o } GROUP BY ?n", QuerySyntaxError, "unbound|variable"),
        ("SELECT * { SERVICE <http://127.0.0.1:9/> {} }", QueryRefused, "no other server"),
        ("INSERT DATA { <a:a> <a:b> <a:c> }", QueryRefused, "kg build"),
        ("SELECT (<http://f>(1) AS ?x) {}", QueryUnsupported, "no function <http://f> here. The service"),
        (
            "SELECT (<http://www.opengis.net/def/function/geosparql/distanc>() AS ?x) {}",
            QueryUnsupported,
            "mean <http://www.opengis.net/def/function/geosparql/distance>",
        ),
        (f"SELECT (<{XSD.date.value}>() AS ?x) {{}}", QueryUnsupported, "but 0 were given"),
        ("SELECT * FROM <https://example.org/trails> {}", UsageError, "<https://example.org/trials>"),
        ("SELECT * {" + "{" * 600 + "}" * 600 + "}", QueryTooLarge, "500 deep"),
    ],
)
def test_what_cannot_be_answered_says_why(
    ask: Ask, engine: Engine, query: str, error: type[StromaError], says: str
) -> None:
    if isinstance(engine, RemoteEngine) and engine.url.endswith("/sparql"):
        says = IN_VIRTUOSOS_WORDS.get(says, says)
        if says == "unbound|variable":
            assert ask(query), "Virtuoso answers a query that groups by one variable and shows another"
            return
    with pytest.raises(error, match=says):
        ask(query)


def test_a_format_that_does_not_fit_the_result_is_an_error(ask: Ask) -> None:
    with pytest.raises(QueryFailed, match="CSV cannot hold"):
        ask("CONSTRUCT WHERE { ?s ?p ?o }", "csv")


def test_a_large_answer_comes_in_chunks_and_is_complete(engine: Engine) -> None:
    async def asked() -> tuple[int, int]:
        async with engine:
            query = (
                "SELECT * { ?a <https://example.org/number> ?x . VALUES ?i { "
                + "1 2 3 4 5 6 7 8 9 " * 5
                + "} }"
            )
            answer = await engine.query(query, accept=BY_KEY["csv"], limits=Limits())
            assert answer.whole is None
            chunks = [chunk async for chunk in answer]
            await answer.aclose()
            return len(chunks), b"".join(chunks).count(b"\r\n")

    chunks, lines = asyncio.run(asked())
    assert lines == 2000 * 45 + 1
    assert chunks > 10


def test_many_queries_at_once_each_get_their_own_answer(engine: Engine) -> None:
    async def asked() -> list[bytes]:
        async with engine:

            async def one(number: int) -> bytes:
                query = f"SELECT ?x {{ <https://example.org/n{number}> ?p ?x }}"
                answer = await engine.query(query, accept=BY_KEY["csv"], limits=Limits())
                return await answer.read()

            return await asyncio.gather(*(one(number) for number in range(60)))

    assert [f"x\r\n{number}\r\n".encode() for number in range(60)] == asyncio.run(asked())


def test_an_engine_says_whether_it_is_ready(engine: Engine) -> None:
    async def asked() -> None:
        assert not engine.status.ready
        async with engine:
            assert engine.status.ready
            assert {"network", "memory"} == set(engine.status.locks)
        assert not engine.status.ready

    asyncio.run(asked())


def test_the_snapshot_asked_is_the_one_given(engine: Engine, tiny: Snapshot) -> None:
    assert tiny == engine.snapshot
    assert len(load_store(tiny)) == 2003
