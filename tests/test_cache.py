"""Answers given before: kept within bounds, shared while they are made, told to caches elsewhere."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kg.engine import Answer, Limits, guard
from kg.engine.cache import AnswerCache
from kg.engine.formats import BY_KEY
from kg.engine.memory import MemoryEngine
from kg.errors import QueryFailed, QueryTimeout
from kg.snapshot import Snapshot
from kg.web.documents import matches

CSV = BY_KEY["csv"]


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


class Source:
    """Evaluations made by hand: each call waits until the test lets it answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = 0
        self.gate = asyncio.Event()
        self.complete: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.outcome: bytes | Exception | None = b"whole"

    async def ask(self) -> Answer:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is None:
            return Answer(CSV, pieces(b"a", b"b"), None, self.complete, close=self._close)
        return Answer(CSV, pieces(self.outcome), self.outcome)

    async def _close(self) -> None:
        self.closed += 1


def run(claim: Callable[[AnswerCache, Source], Coroutine[Any, Any, None]], limit: int = 10_000) -> None:
    async def started() -> None:
        await claim(AnswerCache(limit, limit // 2), Source())

    asyncio.run(started())


# ------------------------------------------------------------------------------------------- what is kept


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2000)), max_size=80), st.integers(0, 8000))
def test_the_cache_stays_within_its_bytes_and_forgets_the_least_recent(
    puts: list[tuple[int, int]], limit: int
) -> None:
    cache = AnswerCache(limit, 1500)
    recent: list[bytes] = []
    for number, size in puts:
        key = bytes([number]) * 32
        found = cache.get(key)
        if found is None:
            cache.put(key, b"x" * size)
        if cache.find(key) is not None:
            recent = [each for each in recent if each != key] + [key]
        assert cache.bytes <= limit
    assert [each for each in recent if cache.find(each) is not None] == recent[len(recent) - len(cache) :]
    assert cache.figures.hits + cache.figures.misses == len(puts)


def test_one_evaluation_serves_all_who_ask_meanwhile() -> None:
    async def claim(cache: AnswerCache, source: Source) -> None:
        tasks = [asyncio.create_task(cache.answer(b"key", source.ask)) for _ in range(5)]
        await asyncio.sleep(0)
        source.gate.set()
        assert [await answer.read() for answer in await asyncio.gather(*tasks)] == [b"whole"] * 5
        assert source.asked == 1
        assert cache.figures.shared == 4
        assert cache.get(b"key") == b"whole"

    run(claim)


def test_who_comes_later_gets_a_streamed_answer_whole_and_the_first_as_it_comes() -> None:
    async def claim(cache: AnswerCache, source: Source) -> None:
        source.outcome = None
        source.gate.set()
        first = await cache.answer(b"key", source.ask)
        later = asyncio.create_task(cache.answer(b"key", source.ask))
        assert [piece async for piece in first] == [b"a", b"b"]
        assert not later.done()
        source.complete.set_result(b"ab")
        assert (await later).whole == b"ab"
        await first.aclose()
        assert (source.asked, source.closed, cache.get(b"key")) == (1, 1, b"ab")

    run(claim)


def test_the_evaluation_goes_on_when_the_first_leaves_and_ends_when_all_have() -> None:
    async def claim(cache: AnswerCache, source: Source) -> None:
        source.outcome = None
        tasks = [asyncio.create_task(cache.answer(b"key", source.ask)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        source.gate.set()
        stream = await tasks[1]
        await stream.aclose()
        assert source.closed == 0  # the third still waits for it
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert (source.asked, source.closed) == (1, 1)
        # And in the middle of the evaluation itself:
        source.gate.clear()
        alone = asyncio.create_task(cache.answer(b"other", source.ask))
        await asyncio.sleep(0)
        alone.cancel()
        await asyncio.wait((alone,))
        source.outcome = b"new"
        source.gate.set()
        assert await (await cache.answer(b"other", source.ask)).read() == b"new"

    run(claim)


def test_an_answer_too_large_to_keep_is_not_waited_for_twice() -> None:
    async def claim(cache: AnswerCache, source: Source) -> None:
        source.outcome = None
        source.gate.set()
        first = await cache.answer(b"key", source.ask)
        later = asyncio.create_task(cache.answer(b"key", source.ask))
        await asyncio.sleep(0.01)
        source.complete.set_result(None)
        assert (await later).whole is None
        third = await cache.answer(b"key", source.ask)
        assert source.asked == 3
        for answer in (first, await later, third):
            await answer.aclose()
        assert len(cache) == 0

    run(claim)


def test_an_error_is_for_all_who_wait_but_an_evaluators_death_is_for_one() -> None:
    async def claim(cache: AnswerCache, source: Source) -> None:
        source.outcome = QueryTimeout("late")
        tasks = [asyncio.create_task(cache.answer(b"key", source.ask)) for _ in range(3)]
        await asyncio.sleep(0)
        source.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in results] == [QueryTimeout] * 3
        assert source.asked == 1

        async def ask() -> Answer:
            source.outcome = QueryFailed("killed") if source.asked == 1 else b"whole"
            return await source.ask()

        tasks = [asyncio.create_task(cache.answer(b"key", ask)) for _ in range(3)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(each, QueryFailed) for each in results) == 1
        assert [each.whole for each in results if isinstance(each, Answer)] == [b"whole"] * 2
        assert source.asked == 3

    run(claim)


def test_a_cache_of_no_bytes_keeps_and_shares_nothing() -> None:
    async def claim(cache: AnswerCache, source: Source) -> None:
        source.gate.set()
        for _ in range(2):
            await cache.answer(b"key", source.ask)
        assert (source.asked, len(cache), cache.bytes) == (2, 0, 0)

    run(claim, limit=0)


def test_real_answers_are_shared_whatever_their_size(tiny: Snapshot) -> None:
    """The engine and the cache together: many clients, some of whom leave at any moment."""
    query = "SELECT * { ?a <https://example.org/number> ?x . VALUES ?i { " + "7 " * 20 + "} }"

    async def claim() -> None:
        cache = AnswerCache(10_000_000, 5_000_000)
        async with MemoryEngine(tiny, workers=1, keep_bytes=5_000_000) as engine:

            async def client(number: int) -> int:
                def ask() -> Coroutine[Any, Any, Answer]:
                    return engine.query(query, accept=CSV, limits=Limits())

                answer = await cache.answer(b"key", ask)
                await asyncio.sleep(number % 3 / 100)
                if number % 4 == 1:
                    await answer.aclose()
                    return 0
                return (await answer.read()).count(b"\n")

            counts = await asyncio.gather(*(client(number) for number in range(12)))
            assert set(counts) == {0, 40_001}
            assert engine.status.busy == 0

    asyncio.run(claim())


# --------------------------------------------------------------------------- what caches elsewhere are told


@pytest.mark.parametrize(
    ("header", "tag", "known"),
    [
        (None, '"a"', False),
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"a"', 'W/"a"', True),
        ('"x", W/"y" ,"a"', '"a"', True),
        ("*", '"a"', True),
        ('"a-gzip"', '"a"', False),
        ('"x,y", "b"', '"x,y"', True),
        ('"xa"', '"a"', False),
        ("a", '"a"', False),
        ('"*"', '"a"', False),
    ],
)
def test_if_none_match_is_a_list_compared_weakly(header: str | None, tag: str, known: bool) -> None:
    assert matches(header, tag) is known


@pytest.mark.parametrize(
    ("query", "repeatable", "exact"),
    [
        ("SELECT * { ?s ?p [] }", True, True),
        ("SELECT (NOW() AS ?x) {}", False, True),
        ("SELECT * { FILTER(trueRAND() < 1) }", False, True),
        ("SELECT (BNODE() AS ?x) {}", True, False),
        ("CONSTRUCT { ?s ?p [] } WHERE { ?s ?p ?o }", True, False),
        ("CONSTRUCT { ?s ?p _:x } WHERE { ?s ?p ?o }", True, False),
        ("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o }", True, True),
        ("DESCRIBE <a:b>", True, True),
    ],
)
def test_the_guard_tells_which_answers_come_again(query: str, repeatable: bool, exact: bool) -> None:
    inspection = guard.inspect(query, Limits())
    assert (inspection.repeatable, inspection.exact) == (repeatable, exact)


@pytest.fixture(scope="module")
def url(serve: Any) -> str:
    return f"{serve(workers=1)}/sparql"


PHASES = "SELECT ?trial ?phase { ?trial <https://example.org/phase> ?phase }"
# A second or so of work, one row.
SLOW = "SELECT (COUNT(*) AS ?n) { ?a <https://example.org/number> ?x . ?b <https://example.org/number> ?y }"


def test_a_second_client_gets_the_kept_answer_in_every_coding(url: str) -> None:
    asked = {"query": SLOW, "format": "json"}
    first = httpx.get(url, params=asked, timeout=30)
    assert "evaluate" in first.headers["server-timing"]
    for method in ("GET", "POST"):
        again = httpx.request(
            method, url, **({"params": asked} if method == "GET" else {"data": asked})  # type: ignore[arg-type]
        )  # fmt: skip
        assert again.content == first.content
        assert again.headers["server-timing"] == 'cache;desc="hit"'
    large = {"query": "SELECT * { ?a <https://example.org/number> ?x } LIMIT 1000", "format": "csv"}
    plain = httpx.get(url, params=large, headers={"Accept-Encoding": "identity"})
    for _ in range(2):
        with httpx.stream("GET", url, params=large, headers={"Accept-Encoding": "gzip"}) as coded:
            assert gzip.decompress(b"".join(coded.iter_raw())) == plain.content
        assert coded.headers["server-timing"] == 'cache;desc="hit"'


def cached(url: str) -> dict[str, float]:
    """What the cache was asked for, by outcome."""
    text = httpx.get(url.removesuffix("/sparql") + "/metrics").text
    return {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "stroma_cache_answers"
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_the_same_query_of_many_clients_is_evaluated_once(url: str) -> None:
    async def load() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30) as client:
            asked = {"query": SLOW + " # together", "format": "csv"}
            return await asyncio.gather(*(client.get(url, params=asked) for _ in range(20)))

    before = cached(url)
    answers = asyncio.run(load())
    assert {answer.text for answer in answers} == {"n\r\n4000000\r\n"}
    # Each is the first, one who waits with it, or comes after it.
    told = {outcome: number - before[outcome] for outcome, number in cached(url).items()}
    assert told["shared"] + told["hits"] == 19
    assert told["shared"] > 0


def test_each_coding_has_its_own_tag_and_gives_304(url: str) -> None:
    asked = {"query": "SELECT * { ?a <https://example.org/number> ?x } LIMIT 500"}
    tags = {}
    for coding in ("identity", "gzip", "zstd"):
        answer = httpx.get(url, params=asked, headers={"Accept-Encoding": coding})
        tags[coding] = answer.headers["etag"]
        again = httpx.get(
            url, params=asked, headers={"Accept-Encoding": coding, "If-None-Match": f'"x", {tags[coding]}'}
        )
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tags[coding])
        assert again.headers["vary"] == "Accept, Accept-Encoding"
        assert again.headers["cache-control"] == answer.headers["cache-control"]
    assert len(set(tags.values())) == 3
    other = httpx.get(url, params=asked, headers={"Accept-Encoding": "gzip", "If-None-Match": tags["zstd"]})
    assert other.status_code == 200


def test_a_graph_with_new_blank_nodes_has_a_weak_tag(url: str) -> None:
    made = {"query": "CONSTRUCT { [] <a:b> ?o } WHERE { ?s <https://example.org/phase> ?o }"}
    assert httpx.get(url, params=made).headers["etag"].startswith('W/"')
    assert httpx.get(url, params={"query": PHASES}).headers["etag"].startswith('"')


def test_caches_are_told_how_long_an_answer_is_true(url: str) -> None:
    current = httpx.get(url, params={"query": PHASES})
    assert current.headers["cache-control"] == "public, max-age=60, must-revalidate"
    link = re.search(r'<([^>]+)>; rel="bookmark"', current.headers["link"])
    assert link is not None
    permanent = httpx.get(url.removesuffix("/sparql") + link[1])
    assert permanent.content == current.content
    assert permanent.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert f"version={current.headers['x-stroma-snapshot']}" in link[1]
    by_date = httpx.get(url, params={"query": PHASES, "version": current.headers["x-stroma-version"]})
    assert by_date.headers["cache-control"] == current.headers["cache-control"]
    assert httpx.get(url, params={"query": "SELECT (NOW() AS ?x) {}"}).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "params": {"query": PHASES, "format": "csv"}},
        {"method": "POST", "data": {"query": PHASES + ' # <"三>', "format": "csv"}},
        {
            "method": "POST",
            "content": PHASES,
            "headers": {"Content-Type": "application/sparql-query", "Accept": "*/*"},
            "params": {"default-graph-uri": "https://example.org/trials"},
        },
    ],
    ids=["GET", "form", "body with a dataset"],
)
def test_every_answer_links_to_itself_for_ever(url: str, request_: dict[str, Any]) -> None:
    answer = httpx.request(url=url, **request_)
    link = re.search(r'<([^>]+)>; rel="bookmark"', answer.headers["link"])
    assert link is not None
    again = httpx.get(url.removesuffix("/sparql") + link[1])
    assert (again.status_code, again.content) == (200, answer.content)
    assert again.headers["content-type"] == answer.headers["content-type"]


def test_a_version_that_is_not_kept_is_gone_and_says_what_there_is(url: str) -> None:
    gone = httpx.get(url, params={"query": PHASES, "version": "2019-01-01-0123456789ab"})
    assert (gone.status_code, gone.headers["content-type"]) == (410, "application/problem+json")
    assert gone.json()["kept"] == [gone.headers["x-stroma-snapshot"]]
    assert httpx.get(url, params={"query": PHASES, "version": "latest"}).status_code == 400
    assert httpx.get(url, params={"version": ["2019-01-01", "2026-11-22"]}).status_code == 400
    form = httpx.post(url, data={"query": PHASES, "version": "2026-11-22"})
    assert (form.status_code, "address" in json.loads(form.content)["detail"]) == (400, True)


def test_curl_can_ask_whether_it_has_the_answer(url: str, tmp_path: Any) -> None:
    tag, body = tmp_path / "tag", tmp_path / "body"
    command = ["curl", "-sSG", url, "--data-urlencode", f"query={PHASES}", "--etag-save", str(tag),
               "--etag-compare", str(tag), "-o", str(body), "-w", "%{http_code}"]  # fmt: skip
    assert [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)] == [
        b"200",
        b"304",
    ]
